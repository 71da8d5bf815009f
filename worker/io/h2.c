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
#include "worker/io/h2_session.h"

#include <assert.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <string.h>

_Static_assert(sizeof(struct header) == sizeof(nghttp2_nv) &&
    offsetof(struct header, value) == offsetof(nghttp2_nv, value) &&
    offsetof(struct header, value_len) == offsetof(nghttp2_nv, valuelen) &&
    offsetof(struct header, wire_flags) == offsetof(nghttp2_nv, flags),
    "header.h I4");
_Static_assert(NGHTTP2_NV_FLAG_NO_INDEX == 1, "header.c NO_INDEX");

enum {
	FRAME_HEAD_BYTES = 9,
	TOO_LARGE_TIMES = 4,	/* over the limit: the connection goes */
};

/* How far a server's leaving got (I6). */
enum leaving { STAYS, NOTICE_QUEUED, PING_QUEUED, LEFT };

struct h2 {
	nghttp2_session	*session;
	struct mem	*mem;
	const struct h2_events *events;
	void		*owner;
	struct h2_settings settings;
	LIST_HEAD(, h2_stream) streams;
	uint32_t	 streams_n;
	LIST_HEAD(, headers) sending;	/* blocks that frames still use */
	struct buf	*out;		/* of the h2_take in progress */
	size_t		 out_limit;
	uint32_t	 paused_n;	/* streams that met the limit */
	struct h2_stream *block_of;	/* whose header block is coming in */
	uint32_t	 block_bytes, block_n;	/* of it */
	enum leaving	 leaving;
	int32_t		 goaway_last;	/* the last the peer will process */
	bool		 failed, goaway_seen, settled;
	char		 why[128];
};

/* ---- header blocks under way ---- */

/* The block as nghttp2 wants it, held until its frame is sent or dropped. */
static struct headers *
sending_begin(struct h2 *h, struct headers *head)
{
	if (head->sending.le_prev != NULL)	/* elsewhere: a retry */
		head = headers_copy(head);
	else
		headers_get(head);
	if (head == NULL)
		return NULL;
	LIST_INSERT_HEAD(&h->sending, head, sending);
	for (uint32_t i = 0; i < head->n; i++)
		head->at[i].wire_flags |= NGHTTP2_NV_FLAG_NO_COPY_NAME |
		    NGHTTP2_NV_FLAG_NO_COPY_VALUE;
	return head;
}

static void
sending_end(struct headers *head)
{
	LIST_REMOVE(head, sending);
	head->sending.le_prev = NULL;
	headers_put(head);
}

static const nghttp2_nv *
wire(const struct headers *head)
{
	return (const nghttp2_nv *)(const void *)head->at;
}

/* ---- streams ---- */

static void
stream_link(struct h2 *h, struct h2_stream *s, int32_t id)
{
	s->h2 = h;
	s->id = id;
	LIST_INSERT_HEAD(&h->streams, s, link);
	h->streams_n++;
}

static void
stream_close(struct h2_stream *s, enum h2_close why)
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

/* Where there may be nothing: it is cheaper to ask than to take nothing. */
static void
wake_if_wanted(struct h2 *h)
{
	if (nghttp2_session_want_write(h->session) ||
	    !nghttp2_session_want_read(h->session))
		h->events->wake(h->owner);
}

static struct h2_stream *
stream_of(nghttp2_session *session, int32_t id)
{
	return nghttp2_session_get_stream_user_data(session, id);
}

/* ---- from the wire ---- */

static int
on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame,
    void *arg)
{
	struct h2 *h = arg;
	struct h2_stream *s;

	h->block_bytes = h->block_n = 0;
	h->block_of = NULL;
	if (frame->hd.type != NGHTTP2_HEADERS)
		return 0;
	if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
		/* nghttp2 ignores it once our GOAWAY is out; this one may
		 * come before. */
		s = h->leaving == LEFT ? NULL : h->events->open(h->owner);
		if (s == NULL)
			return nghttp2_submit_rst_stream(session, 0,
			    frame->hd.stream_id, NGHTTP2_REFUSED_STREAM) == 0 ?
			    0 : NGHTTP2_ERR_CALLBACK_FAILURE;
		stream_link(h, s, frame->hd.stream_id);
		nghttp2_session_set_stream_user_data(session,
		    frame->hd.stream_id, s);
	} else {
		s = stream_of(session, frame->hd.stream_id);
	}
	if (s == NULL || s->dead)
		return 0;
	s->in_too_large = false;
	s->in = headers_new(h->mem);
	h->block_of = s;
	return s->in == NULL ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

/* Over the limit: nothing more of the block is kept; far over it: the
 * connection goes. */
static int
block_too_large(struct h2 *h)
{
	if (h->block_of != NULL)
		h->block_of->in_too_large = true;
	if (h->block_bytes / TOO_LARGE_TIMES <= h->settings.header_bytes_max &&
	    h->block_n / TOO_LARGE_TIMES <= h->settings.header_count_max)
		return 0;
	snprintf(h->why, sizeof(h->why), "the peer sent headers of more than "
	    "%d times the limit of %u bytes, %u fields", TOO_LARGE_TIMES,
	    h->settings.header_bytes_max, h->settings.header_count_max);
	return NGHTTP2_ERR_CALLBACK_FAILURE;
}

/* Counts before anything is kept (reliability.md 3.2, HPACK bomb). */
static int
on_header(nghttp2_session *session, const nghttp2_frame *frame,
    const uint8_t *name, size_t name_len, const uint8_t *value,
    size_t value_len, uint8_t flags, void *arg)
{
	struct h2 *h = arg;
	struct h2_stream *s = h->block_of;

	(void)session;
	(void)frame;
	h->block_bytes += (uint32_t)(name_len + value_len + 32);
	h->block_n++;
	if (h->block_bytes > h->settings.header_bytes_max ||
	    h->block_n > h->settings.header_count_max)
		return block_too_large(h);
	if (s == NULL || s->in == NULL)
		return 0;
	if (!headers_add(s->in, name, name_len, value, value_len,
	    flags & NGHTTP2_NV_FLAG_NO_INDEX))
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	return 0;
}

/* A 1xx answer is between two hops only: dropped. */
static bool
is_interim(const struct headers *in)
{
	const struct header *status = headers_find(in, HEADER_status);

	return status != NULL && status->value_len == 3 &&
	    status->value[0] == '1';
}

static void
headers_came(struct h2_stream *s, bool end)
{
	struct headers *in = s->in;

	s->in = NULL;
	s->in_ended = end;
	if (s->in_too_large) {
		headers_put(in);
		in = NULL;
	}
	if (s->in_started && in != NULL) {
		s->h2->events->end(s, in);
	} else if (in == NULL || s->h2->settings.server || !is_interim(in)) {
		s->in_started = true;
		s->h2->events->headers(s, in, end);
	} else {
		headers_put(in);
	}
}

static int
on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct h2 *h = arg;
	bool end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
	struct h2_stream *s;

	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
		s = stream_of(session, frame->hd.stream_id);
		if (s != NULL && !s->dead && s->in != NULL)
			headers_came(s, end);
		break;
	case NGHTTP2_DATA:
		s = end ? stream_of(session, frame->hd.stream_id) : NULL;
		if (s != NULL && !s->dead) {
			s->in_ended = true;
			h->events->end(s, NULL);
		}
		break;
	case NGHTTP2_RST_STREAM:
		s = stream_of(session, frame->hd.stream_id);
		if (s != NULL) {
			s->peer_reset = true;
			s->peer_code = frame->rst_stream.error_code;
		}
		break;
	case NGHTTP2_GOAWAY:
		if (!h->goaway_seen)
			h->events->goaway(h->owner);
		h->goaway_seen = true;
		h->goaway_last = frame->goaway.last_stream_id;
		break;
	case NGHTTP2_SETTINGS:
		if (frame->hd.flags & NGHTTP2_FLAG_ACK)
			break;
		h->settled = true;
		h->events->room(h->owner);
		break;
	case NGHTTP2_PING:
		if (frame->hd.flags & NGHTTP2_FLAG_ACK &&
		    h->leaving == PING_QUEUED)
			h2_leave(h);
		break;
	}
	return 0;
}

static int
on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id,
    const uint8_t *p, size_t n, void *arg)
{
	struct h2 *h = arg;
	struct h2_stream *s = stream_of(session, id);

	(void)flags;
	nghttp2_session_consume_connection(session, n);		/* I3 */
	if (s != NULL && !s->dead)
		h->events->data(s, p, n);
	return 0;
}

static enum h2_close
close_reason(const struct h2_stream *s, uint32_t code)
{
	if (s->dead)
		return H2_CLOSE_LOCAL;
	if (s->peer_reset && code != NGHTTP2_REFUSED_STREAM)
		return s->in_ended && code == NGHTTP2_NO_ERROR ?
		    H2_CLOSE_DONE : H2_CLOSE_RESET;
	if (code == NGHTTP2_REFUSED_STREAM)
		return H2_CLOSE_REFUSED;
	if (code != NGHTTP2_NO_ERROR)
		return H2_CLOSE_PROTOCOL;
	return H2_CLOSE_DONE;
}

static int
on_stream_close(nghttp2_session *session, int32_t id, uint32_t code,
    void *arg)
{
	struct h2_stream *s = stream_of(session, id);

	(void)arg;
	if (s != NULL) {
		nghttp2_session_set_stream_user_data(session, id, NULL);
		stream_close(s, close_reason(s, code));
	}
	return 0;
}

/* ---- to the wire ---- */

static ssize_t
on_read_data(nghttp2_session *session, int32_t id, uint8_t *unused,
    size_t room, uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	struct h2 *h = arg;
	struct h2_stream *s = source->ptr;
	size_t n = s->out.bytes < room ? s->out.bytes : room;
	struct headers *trailers;

	(void)unused;
	if (n == 0 && !s->out_ended) {
		s->out_deferred = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	if (buf_len(h->out) >= h->out_limit) {	/* the next h2_take goes on */
		s->out_paused = true;
		h->paused_n++;
		return NGHTTP2_ERR_DEFERRED;
	}
	*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	if (n < s->out.bytes || !s->out_ended)
		return (ssize_t)n;
	*flags |= NGHTTP2_DATA_FLAG_EOF;
	if (s->out_trailers == NULL)
		return (ssize_t)n;
	*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
	trailers = sending_begin(h, s->out_trailers);
	if (trailers == NULL)
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	if (nghttp2_submit_trailer(session, id, wire(trailers),
	    trailers->n) != 0) {
		sending_end(trailers);
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	}
	return (ssize_t)n;
}

/* Writes a DATA frame: its head and n bytes out of the chunks. */
static int
on_send_data(nghttp2_session *session, nghttp2_frame *frame,
    const uint8_t *head, size_t n, nghttp2_data_source *source, void *arg)
{
	struct h2 *h = arg;
	struct h2_stream *s = source->ptr;
	uint8_t *to = buf_room(h->out, FRAME_HEAD_BYTES + n);

	(void)session;
	(void)frame;
	if (to == NULL)
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	memcpy(to, head, FRAME_HEAD_BYTES);
	chunks_take(&s->out, h->mem, to + FRAME_HEAD_BYTES, n);
	h->out->last += FRAME_HEAD_BYTES + n;
	if (n > 0 && !s->dead)
		h->events->sent(s, n);
	return 0;
}

static void
frame_done(const nghttp2_frame *frame)
{
	if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.nvlen > 0)
		sending_end(headers_of(frame->headers.nva[0].name));
}

static void
goaway_sent(struct h2 *h, const nghttp2_goaway *goaway)
{
	/* Not together with the notice: nghttp2 sends PINGs first. */
	if (h->leaving == NOTICE_QUEUED) {
		h->leaving = PING_QUEUED;
		nghttp2_submit_ping(h->session, 0, NULL);
	}
	if (goaway->error_code != NGHTTP2_NO_ERROR && h->why[0] == '\0')
		snprintf(h->why, sizeof(h->why), "the peer broke HTTP/2: %s",
		    nghttp2_http2_strerror(goaway->error_code));
}

static int
on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct h2 *h = arg;
	struct h2_stream *s;

	frame_done(frame);
	if (frame->hd.type == NGHTTP2_GOAWAY)
		goaway_sent(h, &frame->goaway);
	if (!h->settings.server ||
	    !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
		return 0;
	/* The whole answer was given before the request ended: tell the
	 * caller to stop (RFC 9113 section 8.1). */
	s = stream_of(session, frame->hd.stream_id);
	if (s != NULL && !s->in_ended)
		nghttp2_submit_rst_stream(session, 0, frame->hd.stream_id,
		    NGHTTP2_NO_ERROR);
	return 0;
}

static int
on_frame_not_send(nghttp2_session *session, const nghttp2_frame *frame,
    int code, void *arg)
{
	(void)session;
	(void)code;
	(void)arg;
	frame_done(frame);
	return 0;
}

/* ---- sessions ---- */

static nghttp2_session_callbacks *
callbacks_new(void)
{
	nghttp2_session_callbacks *c;

	if (nghttp2_session_callbacks_new(&c) != 0)
		return NULL;
	nghttp2_session_callbacks_set_on_begin_headers_callback(c,
	    on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(c, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame_recv);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c,
	    on_data_chunk);
	nghttp2_session_callbacks_set_on_stream_close_callback(c,
	    on_stream_close);
	nghttp2_session_callbacks_set_on_frame_send_callback(c, on_frame_send);
	nghttp2_session_callbacks_set_on_frame_not_send_callback(c,
	    on_frame_not_send);
	nghttp2_session_callbacks_set_send_data_callback(c, on_send_data);
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
		mem_frame_begin(h->mem);
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
    const struct h2_events *events, void *owner)
{
	struct h2 *h = mem_alloc(mem, sizeof(*h));

	if (h == NULL)
		return NULL;
	memset(h, 0, sizeof(*h));
	h->mem = mem;
	h->settings = *s;
	h->events = events;
	h->owner = owner;
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
		stream_close(s, beyond_goaway(h, s) ? H2_CLOSE_REFUSED : why);
	nghttp2_session_del(h->session);
	while (!LIST_EMPTY(&h->sending))
		sending_end(LIST_FIRST(&h->sending));
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
	ssize_t rc = nghttp2_session_mem_recv(h->session, p, n);

	wake_if_wanted(h);
	if (rc >= 0)
		return true;
	h->failed = true;
	wake(h);
	if (h->why[0] == '\0')
		snprintf(h->why, sizeof(h->why), "the peer broke HTTP/2: %s",
		    nghttp2_strerror((int)rc));
	nghttp2_session_terminate_session(h->session,
	    rc == NGHTTP2_ERR_CALLBACK_FAILURE ?
	    NGHTTP2_ENHANCE_YOUR_CALM : NGHTTP2_PROTOCOL_ERROR);
	return false;
}

static void
paused_resume(struct h2 *h)
{
	struct h2_stream *s;

	h->paused_n = 0;
	LIST_FOREACH(s, &h->streams, link)
		if (s->out_paused) {
			s->out_paused = false;
			nghttp2_session_resume_data(h->session, s->id);
		}
}

bool
h2_take(struct h2 *h, struct buf *out, size_t limit)
{
	const uint8_t *p;
	ssize_t n;

	h->out = out;
	h->out_limit = limit;
	if (h->paused_n > 0)
		paused_resume(h);
	while (buf_len(out) < limit) {
		n = nghttp2_session_mem_send(h->session, &p);
		if (n < 0)
			h->failed = true;
		/* 0 also follows a DATA frame, which on_send_data wrote. */
		if (n <= 0)
			return h->paused_n > 0;
		if (!buf_put(out, p, (size_t)n))
			h->failed = true;
	}
	return true;
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

/* ---- streams, by their owners ---- */

static nghttp2_data_provider
provider(struct h2_stream *s)
{
	return (nghttp2_data_provider){ .source.ptr = s,
	    .read_callback = on_read_data };
}

bool
h2_request(struct h2 *h, struct h2_stream *s, struct headers *head, bool end)
{
	nghttp2_data_provider data = provider(s);
	int32_t id;

	head = sending_begin(h, head);
	if (head == NULL)
		return false;
	id = nghttp2_submit_request(h->session, NULL, wire(head), head->n,
	    end ? NULL : &data, s);
	if (id < 0) {
		sending_end(head);
		return false;
	}
	s->out_started = true;
	s->out_ended = end;
	stream_link(h, s, id);
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
	nghttp2_data_provider data = provider(s);

	assert(!s->out_started && !s->dead);
	head = sending_begin(h, head);
	if (head == NULL)
		return false;
	if (nghttp2_submit_response(h->session, s->id, wire(head), head->n,
	    end ? NULL : &data) != 0) {
		sending_end(head);
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
		nghttp2_session_resume_data(s->h2->session, s->id);
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
	nghttp2_submit_rst_stream(s->h2->session, 0, s->id, code);
	wake(s->h2);
}

void
h2_consume(struct h2_stream *s, size_t n)
{
	if (s->dead)
		return;
	nghttp2_session_consume_stream(s->h2->session, s->id, n);
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
