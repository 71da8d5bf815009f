/* t/sim/service.c - see service.h. */
#include "t/sim/service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FINISH_MS = 50 };

/* A try, while its stream is open. */
struct serving {
	struct service	*service;
	struct end	*end;
	LIST_ENTRY(serving) link;
	int32_t		 stream;
	int		 number;	/* of the call; -1: none came */
	struct call	*call;
	struct try	*try;
	struct pour	 pour;
	struct intake	 intake;
	struct alarm	 finish;
	char		 status[16];
	bool		 headed;	/* the answer's head is sent */
};

static struct net *
net_of(const struct serving *v)
{
	return v->service->peer.actor->net;
}

static struct serving *
serving_of(nghttp2_session *session, int32_t id)
{
	return nghttp2_session_get_stream_user_data(session, id);
}

static nghttp2_nv
pair(const char *name, const char *value)
{
	return (nghttp2_nv){ .name = (uint8_t *)(uintptr_t)name,
	    .value = (uint8_t *)(uintptr_t)value, .namelen = strlen(name),
	    .valuelen = strlen(value) };
}

/* ---- ends of an answer ---- */

static void
reset(struct serving *v, uint32_t code)
{
	net_say(net_of(v), "call %d, try %d: reset, %s", v->number,
	    v->call->tries_n, nghttp2_http2_strerror(code));
	v->try->reset = true;
	v->try->refused = code == NGHTTP2_REFUSED_STREAM;
	nghttp2_submit_rst_stream(v->end->session, 0, v->stream, code);
}

static void
bare(struct serving *v, int status)
{
	nghttp2_nv head[3] = { pair(":status", "200"),
	    pair("content-type", "application/grpc") };

	v->headed = v->try->finished = true;
	v->try->status = status;
	snprintf(v->status, sizeof(v->status), "%d", status);
	head[2] = pair("grpc-status", v->status);
	nghttp2_submit_response(v->end->session, v->stream, head, 3, NULL);
}

static void
fail(struct serving *v)
{
	v->try->failed = true;
	switch (v->call->fail) {
	case FAIL_REFUSE:
		reset(v, NGHTTP2_REFUSED_STREAM);
		break;
	case FAIL_RESET:
		reset(v, NGHTTP2_INTERNAL_ERROR);
		break;
	case FAIL_UNAVAILABLE:
		bare(v, 14);
		break;
	case FAIL_SILENT:
		break;
	}
}

/* Whatever is sent by now. */
static void
finish_ring(struct alarm *a)
{
	struct serving *v = ALARM_OF(a, struct serving, finish);

	if (v->call->finish == FINISH_RESET)
		reset(v, v->call->reset_code);
	else
		end_deed(v->end, DEED_CLOSE, v->end->moved_bytes, 0);
}

/* ---- an answer ---- */

static void
head_send(struct serving *v)
{
	struct call *c = v->call;
	nghttp2_nv head[2] = { pair(":status", "200"),
	    pair("content-type", "application/grpc") };
	nghttp2_data_provider data = pour_provider(&v->pour);

	v->headed = true;
	script_active(c, net_of(v)->now_ns);
	pour_init(&v->pour, v->end, c, ANSWER, &c->serve_send,
	    c->answer_bytes);
	v->pour.stream = v->stream;
	v->try->status = c->finish == FINISH_STATUS ? c->status : 0;
	snprintf(v->status, sizeof(v->status), "%d", v->try->status);
	v->pour.trailers[0] = pair("grpc-status", v->status);
	v->pour.trailers_n = 1;
	nghttp2_submit_response(v->end->session, v->stream, head, 2, &data);
}

static uint32_t
answer_due(const struct serving *v)
{
	const struct call *c = v->call;

	if (c->gate == GATE_NONE || v->try->request.ended)
		return c->answer_bytes;
	return c->gate == GATE_END ? 0 : script_share(c->answer_bytes,
	    c->request_bytes, v->try->request.bytes);
}

/* What is due by what came so far. */
static void
serve(struct serving *v)
{
	const struct call *c = v->call;
	uint32_t due = answer_due(v);
	bool last = c->gate == GATE_NONE || v->try->request.ended;

	if (v->try->failed || v->try->reset || v->try->finished)
		return;
	if (c->finish == FINISH_BARE) {
		if (last)
			bare(v, c->status);
		return;
	}
	if (!v->headed && (due > 0 || c->head_early || (last &&
	    c->finish <= FINISH_STATUS)))
		head_send(v);
	if (v->headed)
		pour_let(&v->pour, due);
	if (!last)
		return;
	if (c->finish <= FINISH_STATUS)
		pour_end(&v->pour);
	else if (c->finish != FINISH_NEVER && v->finish.at_ns == 0)
		alarm_set(&v->service->peer, &v->finish,
		    net_below(net_of(v), FINISH_MS));
}

/* ---- a request ---- */

static int
on_begin(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct end *e = arg;
	struct service *s = e->peer->owner;
	struct serving *v;

	if (frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	v = calloc(1, sizeof(*v));
	v->service = s;
	v->end = e;
	v->stream = frame->hd.stream_id;
	v->number = -1;
	v->finish.ring = finish_ring;
	LIST_INSERT_HEAD(&s->serving, v, link);
	nghttp2_session_set_stream_user_data(session, v->stream, v);
	if (v->stream > s->id_max)
		s->id_max = v->stream;
	return 0;
}

static int
on_header(nghttp2_session *session, const nghttp2_frame *frame,
    const uint8_t *name, size_t name_n, const uint8_t *value, size_t value_n,
    uint8_t flags, void *arg)
{
	struct serving *v = serving_of(session, frame->hd.stream_id);

	(void)flags;
	(void)arg;
	if (v == NULL || name_n != 8 || memcmp(name, "x-number", 8) != 0)
		return 0;
	v->number = 0;
	for (size_t i = 0; i < value_n; i++)
		v->number = v->number * 10 + (value[i] - '0');
	return 0;
}

/* The call is asked for, once more. */
static bool
try_begin(struct serving *v)
{
	struct service *s = v->service;
	struct call *c;

	if (v->number < 0 || v->number >= s->calls_n) {
		peer_wrong(&s->peer, "a request of no call");
		return false;
	}
	c = &s->calls[v->number];
	if (c->tries_n == TRIES_MAX) {
		peer_wrong(&s->peer, "a call is tried without end");
		return false;
	}
	v->call = c;
	v->try = &c->tries[c->tries_n++];
	v->try->status = -1;
	intake_init(&v->intake, v->end, c, REQUEST, &c->serve_take,
	    &v->try->request);
	v->intake.stream = v->stream;
	net_say(net_of(v), "call %u, try %d: begins", c->number, c->tries_n);
	if (c->tries_n <= (int)c->fails_n)
		fail(v);
	return true;
}

static int
on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct serving *v = frame->hd.stream_id == 0 ? NULL :
	    serving_of(session, frame->hd.stream_id);

	(void)arg;
	if (v == NULL || (frame->hd.type != NGHTTP2_DATA &&
	    frame->hd.type != NGHTTP2_HEADERS))
		return 0;
	if (v->call == NULL && !try_begin(v))
		return 0;
	if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) {
		v->try->request.ended = true;
		net_say(net_of(v), "call %u, try %d: request whole, %u bytes",
		    v->call->number, v->call->tries_n,
		    v->try->request.bytes);
	}
	serve(v);
	return 0;
}

static int
on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p,
    size_t n, void *arg)
{
	struct serving *v = serving_of(session, id);

	(void)flags;
	(void)arg;
	if (v == NULL || v->call == NULL)
		return 0;
	intake_data(&v->intake, p, n);
	serve(v);
	return 0;
}

/* ---- ends ---- */

static void
over(struct serving *v)
{
	if (v->call != NULL)
		intake_fini(&v->intake);
	if (v->headed) {
		v->try->finished |= v->pour.ended;
		v->try->sent_bytes = v->pour.sent_bytes;
		if (v->pour.end != NULL)
			pour_fini(&v->pour);
	}
	alarm_stop(&v->finish);
	LIST_REMOVE(v, link);
	free(v);
}

static int
on_closed(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
	struct serving *v = serving_of(session, id);

	(void)arg;
	if (v == NULL)
		return 0;
	nghttp2_session_set_stream_user_data(session, id, NULL);
	if (v->try != NULL && code == NGHTTP2_REFUSED_STREAM)
		v->try->refused = true;	/* beyond our GOAWAY */
	over(v);
	return 0;
}

static void
on_gone(struct end *e)
{
	struct service *s = e->peer->owner;
	struct serving *v, *next;

	s->audits_n += e->audits_n;
	for (v = LIST_FIRST(&s->serving); v != NULL; v = next) {
		next = LIST_NEXT(v, link);
		if (v->end != e)
			continue;
		if (v->try != NULL)
			v->try->lost = e->by_us;
		over(v);
	}
}

/* ---- connections ---- */

static void
on_waits(struct peer *p)
{
	struct service *s = p->owner;
	struct net_actor *a = p->actor;
	struct end *e;
	int fd;

	for (int i = 0; i < SERVICES_MAX; i++)
		while (s->listens[i] >= 0 &&
		    (fd = a->sys.accept(a, s->listens[i])) >= 0) {
			e = end_accept(p, fd, &s->settings);
			e->audited = s->audits;
			/* The first connections have it. */
			if (s->conns_n++ >= 2)
				continue;
			for (int d = 0; d < s->deeds_n; d++)
				end_deed(e, s->deeds[d].kind,
				    s->deeds[d].at_bytes, s->deeds[d].value);
		}
}

static const struct end_events events = { on_begin, on_header, on_frame,
	on_data, on_closed, on_waits, on_gone };

void
service_open(struct service *s, struct net_actor *a, const uint16_t *ports,
    int ports_n, const struct end_settings *settings)
{
	*s = (struct service){ .settings = *settings };
	peer_init(&s->peer, a, &events, s);
	LIST_INIT(&s->serving);
	for (int i = 0; i < SERVICES_MAX; i++) {
		s->listens[i] = i < ports_n ? net_listen(a->net, ports[i]) :
		    -1;
		if (s->listens[i] >= 0)
			a->sys.watch(a, s->listens[i], &s->peer);
	}
}

void
service_audit(struct service *s)
{
	struct end *e;

	s->audits = true;
	LIST_FOREACH(e, &s->peer.ends, link)
		e->audited = true;
}

void
service_close(struct service *s)
{
	for (int i = 0; i < SERVICES_MAX; i++)
		if (s->listens[i] >= 0)
			s->peer.actor->sys.close(s->peer.actor,
			    s->listens[i]);
	peer_fini(&s->peer);
}
