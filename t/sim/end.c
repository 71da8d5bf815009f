/* t/sim/end.c - see end.h. */
#include "t/sim/end.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FRAME_BYTES_MAX = 9 + 16384, READ_BYTES = 65536, RAISE_MS = 50,
	RAISED_BYTES = 20000 };

static struct net *
net_of(const struct peer *p)
{
	return p->actor->net;
}

void
peer_wrong(struct peer *p, const char *format, ...)
{
	va_list args;

	if (p->wrong != NULL)
		return;
	va_start(args, format);
	vsnprintf(p->wrong_room, sizeof(p->wrong_room), format, args);
	va_end(args);
	p->wrong = p->wrong_room;
}

/* ---- alarms ---- */

void
alarm_set(struct peer *p, struct alarm *a, uint32_t ms)
{
	if (a->at_ns == 0)
		LIST_INSERT_HEAD(&p->alarms, a, link);
	a->at_ns = net_of(p)->now_ns + (int64_t)ms * 1000000;
}

void
alarm_stop(struct alarm *a)
{
	if (a->at_ns != 0)
		LIST_REMOVE(a, link);
	a->at_ns = 0;
}

static struct alarm *
alarm_first(const struct peer *p)
{
	struct alarm *a, *first = NULL;

	LIST_FOREACH(a, &p->alarms, link)
		if (first == NULL || a->at_ns < first->at_ns)
			first = a;
	return first;
}

static void
alarms_ring(struct peer *p)
{
	struct alarm *a;

	while ((a = alarm_first(p)) != NULL && a->at_ns <= net_of(p)->now_ns) {
		alarm_stop(a);
		a->ring(a);
	}
}

/* ---- the session ---- */

static int
on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct end *e = arg;

	(void)session;
	if (frame->hd.type == NGHTTP2_DATA)
		e->data_sent_bytes += frame->hd.length;
	return 0;
}

/* A window begins with 65,535 bytes and is made larger by credit. */
static void
credit_came(struct end *e, uint32_t bytes)
{
	int64_t debt;

	e->credited_bytes += bytes;
	if (!e->audited)
		return;
	e->audits_n++;
	debt = (int64_t)(e->data_sent_bytes - e->credited_bytes);
	if (nghttp2_session_get_remote_settings(e->session,
	    NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE) == WIDE_STREAM_BYTES)
		debt += WIDE_BYTES - 65535;
	if (debt != 0)
		peer_wrong(e->peer, "of the connection's credit %lld bytes "
		    "are not back", (long long)debt);
}

static int
on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct end *e = arg;

	if (frame->hd.type == NGHTTP2_WINDOW_UPDATE && frame->hd.stream_id == 0)
		credit_came(e,
		    (uint32_t)frame->window_update.window_size_increment);
	if (frame->hd.type == NGHTTP2_GOAWAY) {
		e->leaving = true;
		if (frame->goaway.error_code != 0)
			peer_wrong(e->peer, "the worker says GOAWAY, %s",
			    nghttp2_http2_strerror(frame->goaway.error_code));
	}
	return e->peer->events->frame(session, frame, arg);
}

static int
on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame,
    int error, void *arg)
{
	struct end *e = arg;

	(void)session;
	if (error == NGHTTP2_ERR_REFUSED_STREAM)
		return 0;		/* more than we take at once */
	peer_wrong(e->peer, "an invalid frame of type %d from the worker: %s",
	    frame->hd.type, nghttp2_strerror(error));
	return 0;
}

static int
on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id,
    const uint8_t *p, size_t n, void *arg)
{
	struct end *e = arg;

	end_took(e, n);
	return e->peer->events->data(session, flags, id, p, n, arg);
}

static nghttp2_session_callbacks *
callbacks_new(const struct end_events *events)
{
	nghttp2_session_callbacks *c;

	if (nghttp2_session_callbacks_new(&c) != 0)
		abort();
	nghttp2_session_callbacks_set_on_begin_headers_callback(c,
	    events->begin);
	nghttp2_session_callbacks_set_on_header_callback(c, events->header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame_recv);
	nghttp2_session_callbacks_set_on_frame_send_callback(c, on_frame_send);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(c,
	    on_invalid_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c,
	    on_data_chunk);
	nghttp2_session_callbacks_set_on_stream_close_callback(c,
	    events->closed);
	return c;
}

static void
session_new(struct end *e, const struct end_settings *s)
{
	nghttp2_session_callbacks *c = callbacks_new(e->peer->events);
	const nghttp2_settings_entry entries[] = {
	    { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, s->window_bytes },
	    { e->server ? NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS :
	    NGHTTP2_SETTINGS_ENABLE_PUSH, e->server ? s->streams_max : 0 } };
	nghttp2_option *o;

	if (nghttp2_option_new(&o) != 0)
		abort();
	nghttp2_option_set_no_auto_window_update(o, 1);
	if ((e->server ? nghttp2_session_server_new2(&e->session, c, e, o) :
	    nghttp2_session_client_new2(&e->session, c, e, o)) != 0)
		abort();
	nghttp2_submit_settings(e->session, 0, entries, 2);
	nghttp2_option_del(o);
	nghttp2_session_callbacks_del(c);
}

/* ---- credit ---- */

static void
credit_give(struct alarm *a)
{
	struct end *e = ALARM_OF(a, struct end, credit);

	nghttp2_submit_window_update(e->session, 0, 0, (int32_t)e->owed_bytes);
	e->owed_bytes = 0;
}

void
end_took(struct end *e, size_t n)
{
	if (n == 0)
		return;
	e->owed_bytes += (uint32_t)n;
	if (e->credit.at_ns == 0)
		alarm_set(e->peer, &e->credit, CREDIT_MS + (e->credit_ms == 0 ?
		    0 : net_below(net_of(e->peer), e->credit_ms)));
}

static void
window_set(struct end *e, uint32_t bytes)
{
	nghttp2_settings_entry entry = {
	    NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, bytes };

	e->window_bytes = bytes;
	nghttp2_submit_settings(e->session, 0, &entry, 1);
	if (bytes == 0)
		alarm_set(e->peer, &e->raise, RAISE_MS);
}

static void
window_raise(struct alarm *a)
{
	window_set(ALARM_OF(a, struct end, raise), RAISED_BYTES);
}

/* ---- life ---- */

static void
nothing(struct alarm *a)
{
	(void)a;		/* whoever looks sees that it is not set */
}

static struct end *
end_new(struct peer *p, int fd, bool server, const struct end_settings *s)
{
	struct end *e = malloc(sizeof(*e));

	memset(e, 0, offsetof(struct end, out));
	memset((char *)e + offsetof(struct end, out_at), 0,
	    sizeof(*e) - offsetof(struct end, out_at));
	e->peer = p;
	e->fd = fd;
	e->server = server;
	e->stalled.ring = nothing;
	e->credit.ring = credit_give;
	e->raise.ring = window_raise;
	e->credit_ms = s->credit_ms;
	e->window_bytes = s->window_bytes;
	session_new(e, s);
	if (s->window_bytes == 0)
		alarm_set(p, &e->raise, RAISE_MS);
	LIST_INSERT_HEAD(&p->ends, e, link);
	p->actor->sys.watch(p->actor, fd, e);
	return e;
}

struct end *
end_connect(struct peer *p, uint16_t port, const struct end_settings *s)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
	    .sin_port = htons(port) };
	int fd = p->actor->sys.connect(p->actor,
	    (struct sockaddr *)(void *)&to, sizeof(to));

	return fd < 0 ? NULL : end_new(p, fd, false, s);
}

struct end *
end_accept(struct peer *p, int fd, const struct end_settings *s)
{
	struct end *e = end_new(p, fd, true, s);

	e->open = true;
	return e;
}

void
end_close(struct end *e, bool abort)
{
	struct peer *p = e->peer;

	alarm_stop(&e->stalled);
	alarm_stop(&e->credit);
	alarm_stop(&e->raise);
	LIST_REMOVE(e, link);
	if (abort)
		net_abort(p->actor, e->fd);
	else
		p->actor->sys.close(p->actor, e->fd);
	p->events->gone(e);
	nghttp2_session_del(e->session);
	free(e);
}

/* ---- deeds ---- */

void
end_deed(struct end *e, enum deed_kind kind, uint64_t at_bytes, uint32_t value)
{
	if (e->deeds_n < END_DEEDS_MAX)
		e->deeds[e->deeds_n++] = (struct deed){ kind, at_bytes, value,
		    false };
}

/* The last value streams are not processed, it says. */
static void
goaway(struct end *e, uint32_t value)
{
	int32_t last = nghttp2_session_get_last_proc_stream_id(e->session);

	if (e->server && last > (int32_t)(2 * value))
		last -= (int32_t)(2 * value);
	/* Of two in a row nghttp2 would say the larger last. */
	if (e->left && last > e->last)
		last = e->last;
	e->last = last;
	e->left = true;
	nghttp2_submit_goaway(e->session, 0, e->server ? last : 0, 0, NULL, 0);
}

static void
deed_do(struct end *e, const struct deed *d)
{
	static const char *const words[DEEDS] = { "PING", "a window of",
	    "streams at once:", "GOAWAY less", "stalls for", "FIN", "RST" };
	nghttp2_settings_entry streams = {
	    NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, d->value };

	net_say(net_of(e->peer), "%s %d: %s %u, behind byte %llu",
	    e->peer->actor->name, e->fd, words[d->kind], d->value,
	    (unsigned long long)e->moved_bytes);
	switch (d->kind) {
	case DEED_PING:
		nghttp2_submit_ping(e->session, 0, NULL);
		break;
	case DEED_WINDOW:
		window_set(e, d->value);
		break;
	case DEED_STREAMS:
		nghttp2_submit_settings(e->session, 0, &streams, 1);
		break;
	case DEED_GOAWAY:
		goaway(e, d->value);
		break;
	case DEED_STALL:
		alarm_set(e->peer, &e->stalled, d->value);
		break;
	case DEED_CLOSE:
	case DEED_ABORT:
	case DEEDS:
		break;		/* deeds_do has it */
	}
}

/* How many bytes may pass before the next deed. */
static size_t
deed_room(const struct end *e, size_t n)
{
	for (int i = 0; i < e->deeds_n; i++) {
		const struct deed *d = &e->deeds[i];

		if (!d->done && d->at_bytes > e->moved_bytes &&
		    d->at_bytes - e->moved_bytes < n)
			n = (size_t)(d->at_bytes - e->moved_bytes);
	}
	return n;
}

static bool
deed_is_due(const struct end *e)
{
	for (int i = 0; i < e->deeds_n; i++)
		if (!e->deeds[i].done &&
		    e->deeds[i].at_bytes <= e->moved_bytes)
			return true;
	return false;
}

/* False: the connection is gone, and so is e. */
static bool
deeds_do(struct end *e)
{
	for (int i = 0; i < e->deeds_n; i++) {
		struct deed *d = &e->deeds[i];

		if (d->done || d->at_bytes > e->moved_bytes)
			continue;
		d->done = true;
		e->by_us = d->kind == DEED_CLOSE || d->kind == DEED_ABORT;
		deed_do(e, d);
		if (d->kind != DEED_CLOSE && d->kind != DEED_ABORT)
			continue;
		end_close(e, d->kind == DEED_ABORT);
		return false;
	}
	return true;
}

/* ---- bytes ---- */

/* False: e is gone. */
static bool
end_read(struct end *e)
{
	static uint8_t bytes[READ_BYTES];
	struct net_actor *a = e->peer->actor;
	ssize_t n = a->sys.recv(a, e->fd, bytes, deed_room(e, READ_BYTES)), rc;

	if (n < 0 && errno == EAGAIN) {
		e->readable = false;
		return true;
	}
	if (n <= 0) {
		end_close(e, false);
		return false;
	}
	e->moved_bytes += (uint64_t)n;
	rc = nghttp2_session_mem_recv(e->session, bytes, (size_t)n);
	if (rc < 0) {
		peer_wrong(e->peer, "the worker broke HTTP/2: %s",
		    nghttp2_strerror((int)rc));
		end_close(e, false);
		return false;
	}
	return deeds_do(e);
}

static void
out_fill(struct end *e)
{
	const uint8_t *p;
	ssize_t n;

	if (e->out_at == e->out_n)
		e->out_at = e->out_n = 0;
	while (e->out_n + FRAME_BYTES_MAX <= END_OUT_BYTES &&
	    (n = nghttp2_session_mem_send(e->session, &p)) > 0) {
		memcpy(e->out + e->out_n, p, (size_t)n);
		e->out_n += (size_t)n;
	}
}

/* False: e is gone. */
static bool
end_write(struct end *e)
{
	struct net_actor *a = e->peer->actor;
	ssize_t n;

	out_fill(e);
	while (e->out_at < e->out_n && e->writable) {
		n = a->sys.send(a, e->fd, e->out + e->out_at,
		    deed_room(e, e->out_n - e->out_at));
		if (n < 0 && errno != EAGAIN) {
			end_close(e, false);
			return false;
		}
		if (n < 0) {
			e->writable = false;
			break;
		}
		e->out_at += (size_t)n;
		e->moved_bytes += (uint64_t)n;
		if (!deeds_do(e))
			return false;
		out_fill(e);
	}
	return true;
}

/* ---- turns ---- */

static void
end_turn(struct end *e)
{
	if (!e->open || !deeds_do(e))
		return;
	if (e->readable && e->stalled.at_ns == 0 && !end_read(e))
		return;
	if (e->silent || !end_write(e))
		return;
	if (e->out_at < e->out_n || nghttp2_session_want_read(e->session) ||
	    nghttp2_session_want_write(e->session))
		return;
	/* To close while bytes come would destroy what we said last. */
	e->silent = true;
	e->peer->actor->sys.shutdown(e->peer->actor, e->fd);
}

static void
end_ready(struct end *e, uint32_t edges)
{
	struct net_actor *a = e->peer->actor;

	if (!e->open && edges & SYS_HANGUP &&
	    a->sys.connected(a, e->fd) != 0) {
		end_close(e, false);
		return;
	}
	if (edges & SYS_WRITE)
		e->open = e->writable = true;
	if (edges & (SYS_READ | SYS_HANGUP))
		e->readable = true;
}

void
peer_turn(struct peer *p)
{
	struct sys_event events[64];
	int n = p->actor->sys.wait(p->actor, events, 64, 0);
	struct end *e, *next;

	for (int i = 0; i < n; i++)
		if (events[i].source == p)
			p->events->waits(p);
		else
			end_ready(events[i].source, events[i].events);
	alarms_ring(p);
	for (e = LIST_FIRST(&p->ends); e != NULL; e = next) {
		next = LIST_NEXT(e, link);
		end_turn(e);
	}
}

static bool
end_busy(const struct end *e)
{
	return e->open && (deed_is_due(e) || (e->readable && e->stalled.at_ns == 0) ||
	    (e->writable && !e->silent && (e->out_at < e->out_n ||
	    nghttp2_session_want_write(e->session))));
}

int64_t
peer_next_ns(const struct peer *p)
{
	int64_t next = net_next_ns(net_of(p), p->actor);
	const struct alarm *first = alarm_first(p);
	const struct end *e;

	LIST_FOREACH(e, &p->ends, link)
		if (end_busy(e))
			return net_of(p)->now_ns;
	if (first != NULL && (next < 0 || first->at_ns < next))
		next = first->at_ns;
	return next;
}

void
peer_init(struct peer *p, struct net_actor *a,
    const struct end_events *events, void *owner)
{
	*p = (struct peer){ .actor = a, .events = events, .owner = owner };
	LIST_INIT(&p->ends);
	LIST_INIT(&p->alarms);
}

void
peer_fini(struct peer *p)
{
	while (!LIST_EMPTY(&p->ends))
		end_close(LIST_FIRST(&p->ends), false);
}
