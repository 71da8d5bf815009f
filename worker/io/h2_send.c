/*
 * worker/io/h2_send.c - frames that go: header blocks stay until theirs are
 * sent, DATA is copied once, out of a stream's chunks into the output. See
 * h2_inside.h.
 */
#include "worker/io/h2_inside.h"

#include <stdio.h>
#include <string.h>

enum { FRAME_HEAD_BYTES = 9 };

/* ---- header blocks under way ---- */

struct headers *
h2_send_begin(struct h2 *h, struct headers *head)
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

void
h2_send_end(struct headers *head)
{
	LIST_REMOVE(head, sending);
	head->sending.le_prev = NULL;
	headers_put(head);
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
	if (n == 0 && (!s->out_ended || s->dead)) {
		s->out_deferred = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	if (buf_len(h->out) >= h->out_limit) {	/* the next h2_take goes on */
		s->out_paused = true;
		h->paused_n++;
		return NGHTTP2_ERR_DEFERRED;
	}
	if (n < s->out.bytes && !guard_window(&h->guards, n))
		h2_break(h);
	*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	if (n < s->out.bytes || !s->out_ended)
		return (ssize_t)n;
	*flags |= NGHTTP2_DATA_FLAG_EOF;
	if (s->out_trailers == NULL)
		return (ssize_t)n;
	*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
	trailers = h2_send_begin(h, s->out_trailers);
	if (trailers == NULL)
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	if (nghttp2_submit_trailer(session, id, wire(trailers),
	    trailers->n) != 0) {
		h2_send_end(trailers);
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
	guard_data_sent(&h->guards);
	if (n > 0 && !s->dead)
		h->events->sent(s, n);
	return 0;
}

static void
frame_done(const nghttp2_frame *frame)
{
	if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.nvlen > 0)
		h2_send_end(headers_of(frame->headers.nva[0].name));
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

/* One that nobody here asked for answers a broken or a surplus request. */
static void
reset_sent(struct h2 *h, const nghttp2_frame *frame)
{
	const struct h2_stream *s = stream_of(h->session, frame->hd.stream_id);
	uint32_t code = frame->rst_stream.error_code;

	if (s != NULL && s->dead)
		return;			/* h2_reset */
	if (code != NGHTTP2_STREAM_CLOSED)
		guard_reset_sent(&h->guards);
	if (code != NGHTTP2_NO_ERROR && !guard_reset(&h->guards))
		h2_break(h);
}

static int
on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct h2 *h = arg;
	struct h2_stream *s;

	frame_done(frame);
	if (frame->hd.type == NGHTTP2_GOAWAY)
		goaway_sent(h, &frame->goaway);
	if (frame->hd.type == NGHTTP2_RST_STREAM)
		reset_sent(h, frame);
	if (!h->settings.server ||
	    !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
		return 0;
	/* The whole answer was given before the request ended: tell the
	 * caller to stop (RFC 9113 section 8.1). */
	s = stream_of(session, frame->hd.stream_id);
	return s != NULL && !s->in_ended && nghttp2_submit_rst_stream(session,
	    0, frame->hd.stream_id, NGHTTP2_NO_ERROR) != 0 ?
	    NGHTTP2_ERR_CALLBACK_FAILURE : 0;
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

nghttp2_data_provider
h2_send_provider(struct h2_stream *s)
{
	return (nghttp2_data_provider){ .source.ptr = s,
	    .read_callback = on_read_data };
}

void
h2_send_callbacks(nghttp2_session_callbacks *c)
{
	nghttp2_session_callbacks_set_on_frame_send_callback(c, on_frame_send);
	nghttp2_session_callbacks_set_on_frame_not_send_callback(c,
	    on_frame_not_send);
	nghttp2_session_callbacks_set_send_data_callback(c, on_send_data);
}
