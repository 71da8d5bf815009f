/*
 * worker/io/h2_recv.c - bytes that came, as nghttp2 tells of them: streams
 * begin, header blocks grow under their limits, frames go up to the streams'
 * owners. See h2_inside.h.
 */
#include "worker/io/h2_inside.h"

#include <string.h>

enum { TOO_LARGE_TIMES = 4 };	/* over the limit: the connection goes */

static int
verdict(bool go_on)
{
	return go_on ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

/* A frame of any type and at any time, CONTINUATION and unknown ones too,
 * before nghttp2 works for it. */
static int
on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *arg)
{
	struct h2 *h = arg;

	(void)session;
	h->later += hd->type == NGHTTP2_DATA;
	if (hd->type == NGHTTP2_DATA && hd->flags & NGHTTP2_FLAG_PADDED)
		return 0;		/* on_frame_recv knows its content */
	return verdict(guard_frame(&h->guards, hd->type,
	    (uint32_t)hd->length, hd->flags & NGHTTP2_FLAG_END_STREAM));
}

/* Of a type that is unknown here: on_begin_frame counted it. */
static int
on_unpack_extension(nghttp2_session *session, void **payload,
    const nghttp2_frame_hd *hd, void *arg)
{
	(void)session;
	(void)payload;
	(void)hd;
	(void)arg;
	return NGHTTP2_ERR_CANCEL;
}

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
	h->block_begun = *h->guards.now;
	if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
		guard_opened(&h->guards);
		/* nghttp2 ignores it once our GOAWAY is out; this one may
		 * come before. */
		s = h->leaving == LEFT ? NULL : h->events->open(h->owner);
		if (s == NULL)
			return nghttp2_submit_rst_stream(session, 0,
			    frame->hd.stream_id, NGHTTP2_REFUSED_STREAM) == 0 ?
			    0 : NGHTTP2_ERR_CALLBACK_FAILURE;
		h2_link(h, s, frame->hd.stream_id);
		s->begun = *h->guards.now;
		nghttp2_session_set_stream_user_data(session,
		    frame->hd.stream_id, s);
	} else {
		h->later++;
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
	return verdict(guard_break(&h->guards, H2_GUARD_header_overflow));
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
too_large_came(struct h2_stream *s, bool end)
{
	s->in_ended = end;
	s->in_started = true;
	s->h2->events->headers(s, NULL, end);
	headers_put(s->in);
	s->in = NULL;
}

static void
headers_came(struct h2_stream *s, bool end)
{
	struct headers *in = s->in;

	s->in = NULL;
	s->in_ended = end;
	if (s->in_started) {
		s->h2->events->end(s, in);
	} else if (s->h2->settings.server || !is_interim(in)) {
		s->in_started = true;
		s->h2->events->headers(s, in, end);
	} else {
		headers_put(in);
	}
}

/* Without an answer so far: it may be meant to cost us more than the peer. */
static bool
reset_came(struct h2 *h, struct h2_stream *s, uint32_t code)
{
	if (s == NULL)
		return guard_reset(&h->guards);
	s->peer_reset = true;
	s->peer_code = code;
	return s->out_started || guard_reset_by_peer(&h->guards, s->begun);
}

/* One of h2_ping: it says nothing of whether the notice was seen. */
static bool
answers_ping(const nghttp2_frame *frame)
{
	return memcmp(frame->ping.opaque_data, h2_ping_bytes,
	    sizeof(h2_ping_bytes)) == 0;
}

static int
on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct h2 *h = arg;
	bool end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
	struct h2_stream *s;

	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
		h->block_of = NULL;
		s = stream_of(session, frame->hd.stream_id);
		if (s == NULL || s->dead || s->in == NULL)
			break;
		if (s->in_too_large)
			too_large_came(s, end);
		else
			headers_came(s, end);
		break;
	case NGHTTP2_DATA:
		if (frame->data.padlen > 0 && !guard_frame(&h->guards,
		    GUARD_DATA, (uint32_t)(frame->hd.length -
		    frame->data.padlen), end))
			return NGHTTP2_ERR_CALLBACK_FAILURE;
		s = end ? stream_of(session, frame->hd.stream_id) : NULL;
		if (s != NULL && !s->dead) {
			s->in_ended = true;
			h->events->end(s, NULL);
		}
		break;
	case NGHTTP2_RST_STREAM:
		return verdict(reset_came(h, stream_of(session,
		    frame->hd.stream_id), frame->rst_stream.error_code));
	case NGHTTP2_GOAWAY:
		if (!h->goaway_seen) {
			h->goaway_code = frame->goaway.error_code;
			h->events->goaway(h->owner);
		}
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
		    h->leaving == PING_QUEUED && !answers_ping(frame))
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
	if (nghttp2_session_consume_connection(session, n) ==	/* I3 */
	    NGHTTP2_ERR_NOMEM)
		return NGHTTP2_ERR_CALLBACK_FAILURE;
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
	struct h2 *h = arg;
	enum h2_close why;

	if (s == NULL)
		return 0;
	why = close_reason(s, code);
	if (why == H2_CLOSE_DONE)
		guard_answered(&h->guards);
	nghttp2_session_set_stream_user_data(session, id, NULL);
	h2_unlink(s, why);
	return 0;
}

/* ---- what a caller may not say any more ---- */

static void
breached(struct h2 *h, enum ended_breach breach, int32_t id)
{
	if (breach == ENDED_AFTER_RESET)
		nghttp2_submit_rst_stream(h->session, 0, id,
		    NGHTTP2_STREAM_CLOSED);
	else
		nghttp2_session_terminate_session(h->session,
		    breach == ENDED_AFTER_END ? NGHTTP2_STREAM_CLOSED :
		    NGHTTP2_PROTOCOL_ERROR);
}

/* A caller that we leave may have begun what we don't know (I6). */
static void
dropped_check(struct h2 *h)
{
	uint64_t dropped = h->ended.later - h->later;

	if (dropped > 0 && h->leaving != LEFT &&
	    nghttp2_session_want_read(h->session) &&
	    !guard_closed(&h->guards, dropped))
		h2_break(h);
}

/* nghttp2 reads no more after a GOAWAY for an error, its own or ours. */
ssize_t
h2_recv(struct h2 *h, const uint8_t *p, size_t n)
{
	enum ended_breach breach;
	ssize_t rc = 0;
	int32_t id;
	size_t m;

	for (; n > 0 && rc >= 0; p += m, n -= m) {
		m = ended_scan(&h->ended, p, n, &breach, &id);
		rc = nghttp2_session_mem_recv(h->session, p, m);
		if (breach != ENDED_NO_BREACH && rc >= 0)
			breached(h, breach, id);
	}
	if (rc >= 0)
		dropped_check(h);
	return rc;
}

void
h2_recv_callbacks(nghttp2_session_callbacks *c)
{
	nghttp2_session_callbacks_set_on_begin_frame_callback(c,
	    on_begin_frame);
	nghttp2_session_callbacks_set_unpack_extension_callback(c,
	    on_unpack_extension);
	/* None for invalid headers: then they are the stream's end. */
	nghttp2_session_callbacks_set_on_begin_headers_callback(c,
	    on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(c, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame_recv);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c,
	    on_data_chunk);
	nghttp2_session_callbacks_set_on_stream_close_callback(c,
	    on_stream_close);
}
