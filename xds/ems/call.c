/*
 * xds/ems/call.c - see call.h: the calls of a connection.
 *
 *   headers ──> method? ──> begin          out: body body body
 *   data ──> framing ──> message                 ^ at     as sent says
 */
#include "xds/ems/call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/io/percent.h"
#include "xds/ems/call_inside.h"

enum { TAIL_BYTES = 48, MESSAGE_BYTES = 512 };

struct parcel {				/* a message to be sent */
	STAILQ_ENTRY(parcel) link;
	struct body	*body;
	uint8_t		 prefix[FRAMING_PREFIX_BYTES];
	uint8_t		 tail[TAIL_BYTES];
	size_t		 tail_len, at;	/* bytes of all three that went */
};

struct call {
	struct h2_stream stream;	/* first: stream_call */
	LIST_ENTRY(call) link;
	struct visitor	*visitor;
	const struct call_method *method;	/* NULL: none yet */
	void		*state;		/* NULL: nobody listens */
	struct framing	 framing;
	STAILQ_HEAD(, parcel) out;
	enum call_status status;
	bool		 answered;	/* headers were sent */
	bool		 finished, ended;
	char		 message[MESSAGE_BYTES];
};

static struct call *
stream_call(struct h2_stream *s)
{
	return (struct call *)(void *)s;
}

const char *
call_address(const struct call *c)
{
	return c->visitor->address;
}

const char *
call_names(const struct call *c)
{
	return c->visitor->conn.tls == NULL ? NULL :
	    tls_peer_names(c->visitor->conn.tls);
}

/* ---- the end: grpc-status and grpc-message (percent-encoded) */

static bool
status_add(struct headers *h, const struct call *c)
{
	char number[8], text[3 * MESSAGE_BYTES];

	snprintf(number, sizeof(number), "%d", (int)c->status);
	percent_encode(c->message, text, sizeof(text));
	return headers_add_text(h, "grpc-status", number) &&
	    (*text == '\0' || headers_add_text(h, "grpc-message", text));
}

static bool
head_add(struct headers *h)
{
	return headers_add_text(h, ":status", "200") &&
	    headers_add_text(h, "content-type", "application/grpc");
}

static void
end_send(struct call *c)
{
	struct headers *h = headers_new(&c->visitor->conn.io->mem);
	bool good = h != NULL && (c->answered || head_add(h)) &&
	    status_add(h, c);

	c->ended = true;
	if (!good)
		h2_reset(&c->stream, H2_INTERNAL_ERROR);
	else if (c->answered)
		h2_end(&c->stream, h);
	else
		h2_answer(&c->stream, h, true);
	if (h != NULL)
		headers_put(h);
}

/* ---- what goes out */

static void
parcel_free(struct parcel *p)
{
	body_put(p->body);
	free(p);
}

/* A slice of one of three parts; false: all of it went. */
static bool
parcel_slice(struct parcel *p, const uint8_t **at, size_t *n)
{
	size_t off = p->at;

	if (off < sizeof(p->prefix)) {
		*at = p->prefix + off;
		*n = sizeof(p->prefix) - off;
	} else if ((off -= sizeof(p->prefix)) < p->body->len) {
		*at = p->body->bytes + off;
		*n = p->body->len - off;
	} else if ((off -= p->body->len) < p->tail_len) {
		*at = p->tail + off;
		*n = p->tail_len - off;
	} else
		return false;
	return true;
}

/* Moves what fits into the session (D3). */
static void
out_move(struct call *c)
{
	struct parcel *p;
	const uint8_t *at;
	size_t n;

	while (!c->ended && (p = STAILQ_FIRST(&c->out)) != NULL &&
	    c->stream.out.bytes < CALL_OUT_BYTES) {
		if (!parcel_slice(p, &at, &n)) {
			STAILQ_REMOVE_HEAD(&c->out, link);
			parcel_free(p);
			continue;
		}
		if (n > CALL_OUT_BYTES)
			n = CALL_OUT_BYTES;
		if (!h2_data(&c->stream, at, n)) {
			h2_reset(&c->stream, H2_INTERNAL_ERROR);
			c->ended = true;
			return;
		}
		p->at += n;
	}
	if (c->finished && !c->ended && STAILQ_EMPTY(&c->out))
		end_send(c);
}

static bool
answer_begin(struct call *c)
{
	struct headers *h;
	bool good;

	if (c->answered)
		return true;
	h = headers_new(&c->visitor->conn.io->mem);
	good = h != NULL && head_add(h) && h2_answer(&c->stream, h, false);
	if (h != NULL)
		headers_put(h);
	c->answered = good;
	return good;
}

bool
call_send(struct call *c, struct body *body, const uint8_t *tail,
    size_t tail_len)
{
	struct parcel *p = c->finished || tail_len > TAIL_BYTES ? NULL :
	    calloc(1, sizeof(*p));

	if (p == NULL || !answer_begin(c)) {
		free(p);
		body_put(body);
		call_finish(c, CALL_RESOURCE_EXHAUSTED, "no memory is left");
		return false;
	}
	p->body = body;
	framing_prefix(p->prefix, (uint32_t)(body->len + tail_len));
	if (tail_len > 0)
		memcpy(p->tail, tail, tail_len);
	p->tail_len = tail_len;
	STAILQ_INSERT_TAIL(&c->out, p, link);
	out_move(c);
	return true;
}

bool
call_has_room(const struct call *c)
{
	return !c->finished && STAILQ_EMPTY(&c->out);
}

void
call_finish(struct call *c, enum call_status status, const char *message)
{
	if (c->finished)
		return;
	c->finished = true;
	c->status = status;
	snprintf(c->message, sizeof(c->message), "%s", message);
	out_move(c);
}

/* ---- leaving (D5) */

void
call_leave(void *state, struct call *c)
{
	(void)state;
	call_finish(c, CALL_UNAVAILABLE, "the control plane is leaving");
}

static void
leave(struct call *c)
{
	if (c->state != NULL && !c->finished &&
	    c->method->handler->leave != NULL)
		c->method->handler->leave(c->state, c);
}

void
calls_leave(struct visitor *v)
{
	struct call *c;

	/* None is closed by it: that comes from h2_take (h2.h I5). */
	LIST_FOREACH(c, &v->calls, link)
		leave(c);
}

/* ---- what comes in */

static struct h2_stream *
on_open(void *owner)
{
	struct visitor *v = CONTAINER(owner, struct visitor, conn);
	struct call *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->visitor = v;
	STAILQ_INIT(&c->out);
	LIST_INSERT_HEAD(&v->calls, c, link);
	return &c->stream;
}

static const struct call_method *
method_find(const struct call *c, const struct header *path)
{
	const struct door_settings *s = door_settings(c->visitor->door);

	for (size_t i = 0; path != NULL && i < s->methods_n; i++)
		if (strlen(s->methods[i].path) == path->value_len &&
		    memcmp(s->methods[i].path, path->value,
		    path->value_len) == 0)
			return &s->methods[i];
	return NULL;
}

static bool
is_grpc(const struct headers *h)
{
	const struct header *type = headers_find(h, HEADER_content_type);
	static const char grpc[] = "application/grpc";

	return type != NULL && type->value_len >= sizeof(grpc) - 1 &&
	    memcmp(type->value, grpc, sizeof(grpc) - 1) == 0;
}

static void
half_close(struct call *c)
{
	if (c->state != NULL && !c->finished)
		c->method->handler->half_closed(c->state, c);
}

static void
begin(struct call *c, const struct headers *h)
{
	static const struct rate rate = { CALLS_PER_S, CALLS_BURST };
	const struct header *path = headers_find(h, HEADER_path);
	struct visitor *v = c->visitor;
	char why[256];

	c->method = is_grpc(h) ? method_find(c, path) : NULL;
	if (c->method == NULL) {
		snprintf(why, sizeof(why), is_grpc(h) ? "there is no method "
		    "%.*s here" : "%.*s: this is no gRPC call, expected "
		    "content-type application/grpc", path == NULL ? 0 :
		    (int)(path->value_len < 128 ? path->value_len : 128),
		    path == NULL ? "" : (const char *)path->value);
		call_finish(c, CALL_UNIMPLEMENTED, why);
		return;
	}
	if (!rate_take(&v->begun, rate, 1, v->conn.io->loop->now.ns /
	    1000000)) {
		snprintf(why, sizeof(why), "this connection has begun %d calls "
		    "and begins more than %d a second, come again later",
		    CALLS_BURST, CALLS_PER_S);
		call_finish(c, CALL_RESOURCE_EXHAUSTED, why);
		return;
	}
	framing_init(&c->framing, c->method->message_bytes_max);
	c->state = c->method->handler->begin(c->method->arg, c);
	if (door_drains(v->door))
		leave(c);
}

static void
on_headers(struct h2_stream *s, struct headers *h, bool end)
{
	struct call *c = stream_call(s);

	if (h == NULL) {
		call_finish(c, CALL_RESOURCE_EXHAUSTED, "the headers are too "
		    "large");
		return;
	}
	begin(c, h);
	headers_put(h);
	if (end)
		half_close(c);
}

static void
on_data(struct h2_stream *s, const uint8_t *p, size_t n)
{
	struct call *c = stream_call(s);
	const uint8_t *at = p, *end = p + n;
	char why[256];
	int rc = 1;

	while (rc == 1 && c->state != NULL && !c->finished) {
		rc = framing_take(&c->framing, &at, end, why, sizeof(why));
		if (rc == 1)
			c->method->handler->message(c->state, c,
			    c->framing.bytes, c->framing.len);
		else if (rc == -1)
			call_finish(c, CALL_RESOURCE_EXHAUSTED, why);
	}
	h2_consume(s, n);
}

static void
on_end(struct h2_stream *s, struct headers *trailers)
{
	if (trailers != NULL)
		headers_put(trailers);
	half_close(stream_call(s));
}

static void
on_sent(struct h2_stream *s, size_t n)
{
	struct call *c = stream_call(s);

	(void)n;
	if (c->ended)
		return;
	out_move(c);
	if (c->state != NULL && call_has_room(c))
		c->method->handler->room(c->state, c);
}

static void
on_closed(struct h2_stream *s, enum h2_close why)
{
	struct call *c = stream_call(s);
	struct parcel *p;

	(void)why;
	c->finished = c->ended = true;
	if (c->state != NULL)
		c->method->handler->closed(c->state, c);
	while ((p = STAILQ_FIRST(&c->out)) != NULL) {
		STAILQ_REMOVE_HEAD(&c->out, link);
		parcel_free(p);
	}
	LIST_REMOVE(c, link);
	framing_fini(&c->framing);
	free(c);
}

static void
on_nothing(void *owner)
{
	(void)owner;
}

const struct h2_events call_events = {
	.open = on_open, .headers = on_headers, .data = on_data,
	.end = on_end, .sent = on_sent, .closed = on_closed,
	.goaway = on_nothing, .room = on_nothing, .wake = conn_wake,
};
