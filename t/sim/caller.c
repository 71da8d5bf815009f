/* t/sim/caller.c - see caller.h. */
#include "t/sim/caller.h"

#include <stdio.h>
#include <string.h>

static struct net *
net_of(const struct ongoing *o)
{
	return o->caller->peer.actor->net;
}

static struct ongoing *
ongoing_of(nghttp2_session *session, int32_t id)
{
	return nghttp2_session_get_stream_user_data(session, id);
}

/* ---- cancelling ---- */

static void
cancel(struct ongoing *o)
{
	if (o->end == NULL || o->call->cancelled)
		return;
	net_say(net_of(o), "call %u: cancelled", o->call->number);
	o->call->cancelled = true;
	nghttp2_submit_rst_stream(o->end->session, 0, o->stream,
	    NGHTTP2_CANCEL);
}

static void
cancel_ring(struct alarm *a)
{
	cancel(ALARM_OF(a, struct ongoing, cancel));
}

static void
cancel_look(struct ongoing *o)
{
	const struct call *c = o->call;

	if ((c->cancel == CANCEL_GOT && c->answer.bytes >= c->cancel_at &&
	    c->heads_n > 0) ||
	    (c->cancel == CANCEL_SENT && o->pour.sent_bytes >= c->cancel_at &&
	    o->pour.sent_bytes > 0))
		cancel(o);
}

/* ---- the request ---- */

/* Who goes in lockstep is one share, and a byte, ahead. */
static void
request_let(struct ongoing *o)
{
	const struct call *c = o->call;
	uint32_t most = c->request_bytes, ahead;

	if (c->lockstep) {
		ahead = c->answer_bytes == 0 ? most :
		    most / c->answer_bytes + 2;
		if (ahead < c->send.piece_bytes)
			ahead = c->send.piece_bytes;
		most = script_share(most, c->answer_bytes, c->answer.bytes);
		most = most + ahead < c->request_bytes ? most + ahead :
		    c->request_bytes;
	}
	pour_let(&o->pour, most);
}

static size_t
pair(nghttp2_nv *at, const char *name, const char *value)
{
	*at = (nghttp2_nv){ .name = (uint8_t *)(uintptr_t)name,
	    .value = (uint8_t *)(uintptr_t)value, .namelen = strlen(name),
	    .valuelen = strlen(value) };
	return 1;
}

static void
request_submit(struct ongoing *o)
{
	const struct call *c = o->call;
	nghttp2_data_provider data = pour_provider(&o->pour);
	char number[16], timeout[16];
	nghttp2_nv head[8];
	size_t n = 0;

	snprintf(number, sizeof(number), "%u", c->number);
	snprintf(timeout, sizeof(timeout), "%um", c->deadline_ms);
	n += pair(&head[n], ":method", "POST");
	n += pair(&head[n], ":scheme", "http");
	n += pair(&head[n], ":path", route_paths[c->route]);
	n += pair(&head[n], ":authority", "sim");
	n += pair(&head[n], "content-type", "application/grpc");
	n += pair(&head[n], "te", "trailers");
	n += pair(&head[n], "x-number", number);
	if (c->deadline_ms != 0)
		n += pair(&head[n], "grpc-timeout", timeout);
	o->stream = nghttp2_submit_request(o->end->session, NULL, head, n,
	    &data, o);
	o->pour.stream = o->intake.stream = o->stream;
}

static void
begin(struct ongoing *o, struct end *e)
{
	struct call *c = o->call;

	o->end = e;
	c->started = true;
	c->begun_ns = c->active_ns = net_of(o)->now_ns;
	net_say(net_of(o), "call %u: begins, %s, %u bytes", c->number,
	    route_paths[c->route], c->request_bytes);
	pour_init(&o->pour, e, c, REQUEST, &c->send, c->request_bytes);
	intake_init(&o->intake, e, c, ANSWER, &c->take, &c->answer);
	if (c->trailers)
		o->pour.trailers_n = pair(o->pour.trailers, "x-trailer", "t");
	request_submit(o);
	request_let(o);
	pour_end(&o->pour);
	if (c->cancel == CANCEL_MS)
		alarm_set(&o->caller->peer, &o->cancel, c->cancel_at);
}

static void
begin_ring(struct alarm *a)
{
	struct ongoing *o = ALARM_OF(a, struct ongoing, begin);
	struct end *e = o->caller->conns[o->call->conn];

	/* Who said GOAWAY and has no stream reads no more (nghttp2). */
	if (e != NULL && nghttp2_session_want_read(e->session))
		begin(o, e);
	else
		o->call->gone = true;
}

/* ---- the answer ---- */

static int
on_begin(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct ongoing *o = ongoing_of(session, frame->hd.stream_id);

	(void)arg;
	if (o != NULL && frame->headers.cat == NGHTTP2_HCAT_RESPONSE)
		o->call->heads_n++;
	return 0;
}

static bool
is(const uint8_t *name, size_t n, const char *wanted)
{
	return n == strlen(wanted) && memcmp(name, wanted, n) == 0;
}

static int
number_of(const uint8_t *p, size_t n)
{
	int v = 0;

	while (n-- > 0)
		v = v * 10 + (*p++ - '0');
	return v;
}

static int
on_header(nghttp2_session *session, const nghttp2_frame *frame,
    const uint8_t *name, size_t name_n, const uint8_t *value, size_t value_n,
    uint8_t flags, void *arg)
{
	struct ongoing *o = ongoing_of(session, frame->hd.stream_id);

	(void)flags;
	(void)arg;
	if (o == NULL)
		return 0;
	if (is(name, name_n, "grpc-status")) {
		o->call->statuses_n++;
		o->call->got_status = number_of(value, value_n);
	} else if (is(name, name_n, "godwit-cause"))
		snprintf(o->call->cause, sizeof(o->call->cause), "%.*s",
		    (int)value_n, (const char *)value);
	return 0;
}

static int
on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct ongoing *o = frame->hd.stream_id == 0 ? NULL :
	    ongoing_of(session, frame->hd.stream_id);
	struct call *c = o == NULL ? NULL : o->call;

	(void)arg;
	if (c == NULL || (frame->hd.type != NGHTTP2_DATA &&
	    frame->hd.type != NGHTTP2_HEADERS))
		return 0;
	if (!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
		c->headed = true;
	else {
		c->answer.ended = true;
		c->over_ns = net_of(o)->now_ns;
		script_active(c, c->over_ns);
		net_say(net_of(o), "call %u: status %d, %s, %u bytes",
		    c->number, c->got_status, c->cause[0] == '\0' ?
		    "the service's" : c->cause, c->answer.bytes);
	}
	cancel_look(o);
	return 0;
}

static int
on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p,
    size_t n, void *arg)
{
	struct ongoing *o = ongoing_of(session, id);

	(void)flags;
	(void)arg;
	if (o == NULL)
		return 0;
	intake_data(&o->intake, p, n);
	request_let(o);
	cancel_look(o);
	return 0;
}

/* ---- ends ---- */

static void
over(struct ongoing *o)
{
	if (!o->call->answer.ended)
		o->call->over_ns = net_of(o)->now_ns;
	pour_fini(&o->pour);
	intake_fini(&o->intake);
	alarm_stop(&o->cancel);
	o->end = NULL;
}

static int
on_closed(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
	struct ongoing *o = ongoing_of(session, id);

	(void)arg;
	if (o == NULL)
		return 0;
	if (code != 0)
		net_say(net_of(o), "call %u: closed, %s", o->call->number,
		    nghttp2_http2_strerror(code));
	o->call->closed_n++;
	o->call->close_code = code;
	over(o);
	return 0;
}

static void
on_gone(struct end *e)
{
	struct caller *c = e->peer->owner;

	for (int i = 0; i < c->conns_n; i++)
		if (c->conns[i] == e)
			c->conns[i] = NULL;
	for (int i = 0; i < c->calls_n; i++) {
		struct ongoing *o = &c->ongoing[i];

		if (o->end != e)
			continue;
		o->call->gone = true;
		/* Who said GOAWAY and does not read is not waited for. */
		o->call->cut = !e->by_us && !e->left;
		over(o);
	}
}

static const struct end_events events = { on_begin, on_header, on_frame,
	on_data, on_closed, NULL, on_gone };

/* ---- life ---- */

static struct ongoing *
ongoing_add(struct caller *c, struct call *call)
{
	struct ongoing *o = &c->ongoing[c->calls_n++];

	*o = (struct ongoing){ .caller = c, .call = call };
	o->begin.ring = begin_ring;
	o->cancel.ring = cancel_ring;
	return o;
}

void
caller_open(struct caller *c, struct net_actor *a, struct call *calls,
    int calls_n)
{
	c->conns_n = c->calls_n = 0;
	peer_init(&c->peer, a, &events, c);
	for (int i = 0; i < calls_n; i++)
		ongoing_add(c, &calls[i]);
}

struct end *
caller_connect(struct caller *c, uint16_t port, const struct end_settings *s)
{
	return c->conns[c->conns_n++] = end_connect(&c->peer, port, s);
}

void
caller_start(struct caller *c)
{
	struct net *n = c->peer.actor->net;

	for (int i = 0; i < c->calls_n; i++)
		alarm_set(&c->peer, &c->ongoing[i].begin,
		    net_below(n, 3) == 0 ? net_below(n, START_MS) : 0);
}

void
caller_call(struct caller *c, struct call *call)
{
	begin(ongoing_add(c, call), c->conns[call->conn]);
}

const struct call *
caller_waits(const struct caller *c)
{
	for (int i = 0; i < c->calls_n; i++) {
		const struct call *call = c->ongoing[i].call;

		if (call->closed_n == 0 && !call->gone)
			return call;
	}
	return NULL;
}

void
caller_close(struct caller *c)
{
	for (int i = 0; i < c->calls_n; i++)
		alarm_stop(&c->ongoing[i].begin);
	peer_fini(&c->peer);
}
