/*
 * worker/io/h2.c - see h2.h.
 *
 * How nghttp2 is used, and why (reference/nghttp2-floor.md, section 6):
 *   NO_COPY headers     they lie in a counted block until on_frame_send
 *   NO_COPY data        copied once, from the stream's chunks into the output
 *   manual windows      I3 of h2.h
 *   no closed streams   they would be kept for the priority tree
 *   the tree itself     stays on: without it streams of a session starve
 */
#include "worker/io/h2.h"
#include "worker/io/h2_inside.h"
#include "worker/io/h2_session.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

_Static_assert(sizeof(struct header) == sizeof(nghttp2_nv) &&
    offsetof(struct header, value) == offsetof(nghttp2_nv, value) &&
    offsetof(struct header, value_len) == offsetof(nghttp2_nv, valuelen) &&
    offsetof(struct header, wire_flags) == offsetof(nghttp2_nv, flags),
    "header.h I4");
_Static_assert(NGHTTP2_NV_FLAG_NO_INDEX == 1, "header.c NO_INDEX");

/* ---- streams ---- */

void
h2_link(struct h2 *h, struct h2_stream *s, int32_t id)
{
	s->h2 = h;
	s->id = id;
	LIST_INSERT_HEAD(&h->streams, s, link);
	h->streams_n++;
}

void
h2_unlink(struct h2_stream *s, enum h2_close why)
{
	struct h2 *h = s->h2;

	LIST_REMOVE(s, link);
	h->streams_n--;
	if (h->block_of == s)
		h->block_of = NULL;
	chunks_drop(&s->out, h->mem);
	if (s->in != NULL)
		headers_put(s->in);
	if (s->out_trailers != NULL)
		headers_put(s->out_trailers);
	s->in = s->out_trailers = NULL;
	h->events->closed(s, why);
}

static void
wake(struct h2 *h)
{
	h->events->wake(h->owner);
}

void
h2_break(struct h2 *h)
{
	if (h->failed)
		return;
	h->failed = true;
	snprintf(h->why, sizeof(h->why), "the peer %s",
	    guard_sentence(h->guards.broken));
	nghttp2_session_terminate_session(h->session,
	    NGHTTP2_ENHANCE_YOUR_CALM);
}

/* Where there may be nothing: it is cheaper to ask than to take nothing. */
static void
wake_if_wanted(struct h2 *h)
{
	if (h->failed || nghttp2_session_want_write(h->session) ||
	    !nghttp2_session_want_read(h->session))
		h->events->wake(h->owner);
}

/* ---- sessions ---- */

static nghttp2_session_callbacks *
callbacks_new(void)
{
	nghttp2_session_callbacks *c;

	if (nghttp2_session_callbacks_new(&c) != 0)
		return NULL;
	h2_recv_callbacks(c);
	h2_send_callbacks(c);
	return c;
}

static int
session_new(struct h2 *h)
{
	nghttp2_mem m = h2_session_mem(h->mem);
	nghttp2_session_callbacks *c = callbacks_new();
	nghttp2_option *o = h2_session_options(&h->settings);
	int rc = NGHTTP2_ERR_NOMEM;

	if (c != NULL && o != NULL) {
		h->shares_frame = mem_frame_begin(h->mem);
		rc = h->settings.server ?
		    nghttp2_session_server_new3(&h->session, c, h, o, &m) :
		    nghttp2_session_client_new3(&h->session, c, h, o, &m);
		mem_frame_end(h->mem);
	}
	nghttp2_session_callbacks_del(c);
	nghttp2_option_del(o);
	return rc;
}

struct h2 *
h2_open(struct mem *mem, const struct h2_settings *s,
    const struct h2_events *events, void *owner, const struct mono *now)
{
	struct h2 *h = mem_alloc(mem, sizeof(*h));

	if (h == NULL)
		return NULL;
	memset(h, 0, sizeof(*h));
	h->mem = mem;
	h->settings = *s;
	h->events = events;
	h->owner = owner;
	ended_init(&h->ended);
	guards_init(&h->guards, &s->limits, s->server, s->header_bytes_max,
	    now);
	if (session_new(h) != 0) {
		mem_free(mem, h);
		return NULL;
	}
	if (h2_session_settings(h->session, &h->settings) != 0) {
		h2_close(h, H2_CLOSE_CONNECTION);
		return NULL;
	}
	return h;
}

/* nghttp2 closes by itself what was sent and is beyond the peer's GOAWAY; a
 * request that waited for a full socket is left to us. */
static bool
beyond_goaway(const struct h2 *h, const struct h2_stream *s)
{
	return !h->settings.server && h->goaway_seen &&
	    s->id > h->goaway_last;
}

void
h2_close(struct h2 *h, enum h2_close why)
{
	struct h2_stream *s;

	while ((s = LIST_FIRST(&h->streams)) != NULL)
		h2_unlink(s, beyond_goaway(h, s) ? H2_CLOSE_REFUSED : why);
	nghttp2_session_del(h->session);
	while (!LIST_EMPTY(&h->sending))
		h2_send_end(LIST_FIRST(&h->sending));
	mem_free(h->mem, h);
}

void *
h2_owner(const struct h2_stream *s)
{
	return s->h2->owner;
}

bool
h2_feed(struct h2 *h, const uint8_t *p, size_t n)
{
	ssize_t rc = h->settings.server ? h2_recv(h, p, n) :
	    nghttp2_session_mem_recv(h->session, p, n);

	wake_if_wanted(h);
	if (rc >= 0)
		return !h->failed;
	if (rc == NGHTTP2_ERR_FLOODED)	/* acknowledgements wait */
		guard_break(&h->guards, H2_GUARD_outbound_control_frames);
	if (rc == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS)
		guard_break(&h->guards, H2_GUARD_continuations);
	if (h->guards.broken != H2_GUARD_NONE) {
		h2_break(h);
		return false;
	}
	h->failed = true;
	wake(h);
	if (h->why[0] == '\0')
		snprintf(h->why, sizeof(h->why), "the peer broke HTTP/2: %s",
		    nghttp2_strerror((int)rc));
	nghttp2_session_terminate_session(h->session,
	    rc == NGHTTP2_ERR_CALLBACK_FAILURE ?
	    NGHTTP2_INTERNAL_ERROR : NGHTTP2_PROTOCOL_ERROR);
	return false;
}

/* A peer that is not told, or a stream that does not go on, would wait for
 * ever. */
static void
queued(struct h2 *h, int rc)
{
	if (rc == NGHTTP2_ERR_NOMEM)
		h->failed = true;
}

static void
paused_resume(struct h2 *h)
{
	struct h2_stream *s;

	h->paused_n = 0;
	LIST_FOREACH(s, &h->streams, link)
		if (s->out_paused) {
			s->out_paused = false;
			queued(h, nghttp2_session_resume_data(h->session,
			    s->id));
		}
}

/* p lies in the frame buffer when nghttp2 says what was sent and closed, and
 * an owner may open another session from there. */
static bool
frames_take(struct h2 *h, struct buf *out, size_t limit)
{
	const uint8_t *p;
	ssize_t n;

	while (buf_len(out) < limit) {
		n = nghttp2_session_mem_send(h->session, &p);
		/* It would write the same frame again, whose bytes may be
		 * gone by then. */
		if (n < 0)
			h->failed = h->out_failed = true;
		/* 0 also follows a DATA frame, which on_send_data wrote. */
		if (n <= 0)
			return h->paused_n > 0;
		if (!buf_put(out, p, (size_t)n))
			h->failed = true;
	}
	return true;
}

bool
h2_take(struct h2 *h, struct buf *out, size_t limit)
{
	bool more;

	if (h->out_failed)
		return false;
	h->out = out;
	h->out_limit = limit;
	if (h->paused_n > 0)
		paused_resume(h);
	assert(!h->shares_frame || h->mem->frame_users_n == 0);	/* I5 */
	mem_frame_use(h->mem);
	more = frames_take(h, out, limit);
	mem_frame_let_go(h->mem);
	return more;
}

bool
h2_over(const struct h2 *h)
{
	return h->failed || (!nghttp2_session_want_read(h->session) &&
	    !nghttp2_session_want_write(h->session));
}

const char *
h2_why(const struct h2 *h)
{
	return h->why;
}

enum h2_guard
h2_broken(const struct h2 *h)
{
	return h->guards.broken;
}

uint32_t
h2_goaway_code(const struct h2 *h)
{
	return h->goaway_code;
}

/* Those that wait because calls do; all else in the queue is the peer's
 * doing. */
static size_t
header_blocks(const struct h2 *h)
{
	const struct headers *head;
	size_t n = 0;

	LIST_FOREACH(head, &h->sending, sending)
		n++;
	return n;
}

bool
h2_stuck(struct h2 *h)
{
	size_t frames = nghttp2_session_get_outbound_queue_size(h->session);
	size_t calls = 0;

	if (frames > h->settings.limits.outbound_control_frames)
		calls = header_blocks(h);
	if (!guard_outbound(&h->guards, frames, calls < frames ?
	    frames - calls : 0))
		h2_break(h);
	return !h->failed;
}

int64_t
h2_block_left_ms(struct h2 *h)
{
	int64_t left_ms;

	if (h->block_of == NULL)
		return -1;
	if (guard_block(&h->guards, h->block_begun, &left_ms))
		return left_ms;
	h2_break(h);
	return 0;
}

/* ---- streams, by their owners ---- */

bool
h2_request(struct h2 *h, struct h2_stream *s, struct headers *head, bool end)
{
	nghttp2_data_provider data = h2_send_provider(s);
	int32_t id;

	head = h2_send_begin(h, head);
	if (head == NULL)
		return false;
	id = nghttp2_submit_request(h->session, NULL, wire(head), head->n,
	    end ? NULL : &data, s);
	if (id < 0) {
		h2_send_end(head);
		return false;
	}
	s->out_started = true;
	s->out_ended = end;
	h2_link(h, s, id);
	guard_opened(&h->guards);
	wake(h);
	return true;
}

uint32_t
h2_streams_max(const struct h2 *h)
{
	uint32_t most = nghttp2_session_get_remote_settings(h->session,
	    NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);

	return most < h->settings.max_concurrent_streams ? most :
	    h->settings.max_concurrent_streams;
}

bool
h2_settled(const struct h2 *h)
{
	return h->settled;
}

bool
h2_answer(struct h2_stream *s, struct headers *head, bool end)
{
	struct h2 *h = s->h2;
	nghttp2_data_provider data = h2_send_provider(s);

	assert(!s->out_started && !s->dead);
	head = h2_send_begin(h, head);
	if (head == NULL)
		return false;
	if (nghttp2_submit_response(h->session, s->id, wire(head), head->n,
	    end ? NULL : &data) != 0) {
		h2_send_end(head);
		return false;
	}
	s->out_started = true;
	s->out_ended = end;
	wake(h);
	return true;
}

static void
resume(struct h2_stream *s)
{
	if (s->out_deferred) {
		s->out_deferred = false;
		queued(s->h2, nghttp2_session_resume_data(s->h2->session,
		    s->id));
	}
	wake(s->h2);
}

bool
h2_data(struct h2_stream *s, const uint8_t *p, size_t n)
{
	assert(s->out_started && !s->out_ended && !s->dead);
	if (!chunks_put(&s->out, s->h2->mem, p, n))
		return false;
	resume(s);
	return true;
}

bool
h2_data_chunks(struct h2_stream *s, struct chunks *from, bool keeps)
{
	assert(s->out_started && !s->out_ended && !s->dead);
	if (!keeps)
		chunks_move(&s->out, from);
	else if (!chunks_copy(&s->out, s->h2->mem, from))
		return false;
	resume(s);
	return true;
}

bool
h2_end(struct h2_stream *s, struct headers *trailers)
{
	assert(s->out_started && !s->out_ended && !s->dead);
	s->out_ended = true;
	if (trailers != NULL)
		s->out_trailers = headers_get(trailers);
	resume(s);
	return true;
}

void
h2_reset(struct h2_stream *s, enum h2_error code)
{
	if (s->dead)
		return;
	s->dead = true;
	guard_reset_sent(&s->h2->guards);
	/* At once: a peer that takes nothing does not take the RST_STREAM. */
	chunks_drop(&s->out, s->h2->mem);
	queued(s->h2, nghttp2_submit_rst_stream(s->h2->session, 0, s->id,
	    code));
	wake(s->h2);
}

enum { CREDIT_BYTES = 131072 };

/* Half a window, as nghttp2 would, or this: a peer that is given much at once
 * sends it at once, and whoever shares its connection waits behind it. */
static uint32_t
credit_step_bytes(const struct h2 *h)
{
	uint32_t half = h->settings.stream_window_bytes / 2;

	return half < CREDIT_BYTES ? half : CREDIT_BYTES;
}

void
h2_consume(struct h2_stream *s, size_t n)
{
	if (s->dead || s->in_ended)
		return;
	s->credit_bytes += (uint32_t)n;
	if (s->credit_bytes < credit_step_bytes(s->h2))
		return;
	/* It can't be more than the window, which the peer filled. */
	queued(s->h2, nghttp2_submit_window_update(s->h2->session, 0, s->id,
	    (int32_t)s->credit_bytes));
	s->credit_bytes = 0;
	wake_if_wanted(s->h2);
}

void
h2_drain(struct h2 *h)
{
	if (h->leaving != STAYS)
		return;
	h->leaving = NOTICE_QUEUED;
	if (h->goaway_seen)
		h2_leave(h);		/* it sends no more as it is */
	else
		nghttp2_submit_shutdown_notice(h->session);
	wake(h);
}

void
h2_leave(struct h2 *h)
{
	if (h->leaving == LEFT)
		return;
	h->leaving = LEFT;
	if (nghttp2_submit_goaway(h->session, 0,
	    nghttp2_session_get_last_proc_stream_id(h->session),
	    NGHTTP2_NO_ERROR, NULL, 0) != 0)
		h->failed = true;
	wake(h);
}

void
h2_ping(struct h2 *h)
{
	nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, h2_ping_bytes);
	wake(h);
}

void
h2_terminate(struct h2 *h, enum h2_error code)
{
	nghttp2_session_terminate_session(h->session, code);
	wake(h);
}

uint32_t
h2_streams_n(const struct h2 *h)
{
	return h->streams_n;
}

const char *
h2_library(void)
{
	return "nghttp2 " NGHTTP2_VERSION;
}
