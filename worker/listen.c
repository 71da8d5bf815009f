/* worker/listen.c - see listen.h. */
#include "worker/listen.h"

#include <errno.h>
#include <string.h>

#include "shm/log.h"
#include "worker/relay.h"

enum { ACCEPTS = 64, PAUSE_MS = 100 };

static void	downstream_opened(struct conn *c);
static void	downstream_closed(struct conn *c);

/* Where each of h2_guard.def counts. */
static const int guard_counts[H2_GUARDS] = {
#define GUARD(side, id, sentence) [H2_GUARD_##id] = COUNT_HTTP_guard_##id,
#include "worker/io/h2_guard.def"
#undef GUARD
};

/* What a caller speaks that the port does not. */
static const int stranger_counts[GREETINGS] = {
	[GREETING_HTTP1] = COUNT_HTTP_downstream_cx_http1,
	[GREETING_TLS] = COUNT_HTTP_downstream_cx_tls,
	[GREETING_CLEAR] = COUNT_HTTP_downstream_cx_clear_text,
};

static const struct conn_events downstream_events = {
	.opened = downstream_opened, .closed = downstream_closed,
};

/* ---- connections ---- */

static void
settings_fill(struct conn_settings *s, const struct block_chain *chain,
    const struct block_hcm *hcm, const struct tls_plan *tls)
{
	*s = (struct conn_settings){
	    .h2 = h2_settings_of(true, &hcm->h2, &hcm->limits),
	    .h2_events = &relay_events,
	    .events = &downstream_events,
	    .tls = tls == NULL ? NULL : tls->context,
	    .open_timeout_ms = chain->handshake_timeout_ms,
	    .idle_timeout_ms = hcm->idle_timeout_ms,
	};
}

static void
downstream_free(struct downstream *d)
{
	if (d->tls != NULL)
		tls_plan_put(d->tls);
	mem_free(&d->worker->io.mem, d);
}

/* The caller's object, its TLS settings found; NULL: no memory, or settings
 * that can't be used. */
static struct downstream *
downstream_new(struct worker *w, const struct block_listener *l,
    const struct block_chain *chain)
{
	struct downstream *d = mem_alloc(&w->io.mem, sizeof(*d));

	if (d == NULL)
		return NULL;
	memset(d, 0, sizeof(*d));
	d->worker = w;
	d->listener = l->slot;
	d->tag = l->tag;
	d->counts = &w->row->listeners[l->slot];
	d->times = w->row->http_times[l->slot];
	if (!tls_plan_find(&w->plans, &w->arena, chain->tls, &d->tls)) {
		downstream_free(d);
		return NULL;
	}
	return d;
}

bool
connection_adopt(struct worker *w, int fd, uint32_t listener, uint32_t tag)
{
	const struct block_listener *l = block_listener_find(&w->arena,
	    w->root, listener, tag);
	const struct block_chain *chain;
	struct downstream *d = NULL;
	struct conn_settings s;

	if (l != NULL) {
		chain = block_chain_of(&w->arena, l);
		d = downstream_new(w, l, chain);
	}
	if (d == NULL) {
		w->sys->close(w->sys->ctx, fd);
		return false;
	}
	settings_fill(&s, chain, arena_at(&w->arena, chain->hcm), d->tls);
	count_one(d->counts->listener, COUNT_LISTENER_downstream_cx_total);
	if (!conn_accept(&d->conn, &w->io, fd, &s)) {
		downstream_free(d);
		return false;
	}
	count_one(d->counts->listener, COUNT_LISTENER_downstream_cx_active);
	LIST_INSERT_HEAD(&w->downstreams, d, link);
	return true;
}

static void
downstream_opened(struct conn *c)
{
	struct downstream *d = CONTAINER(c, struct downstream, conn);

	if (c->tls != NULL)
		count_one(d->counts->listener, COUNT_LISTENER_ssl_handshake);
}

static void
tls_end_count(const struct downstream *d)
{
	count *counts = d->counts->listener;

	count_one(counts, COUNT_LISTENER_ssl_connection_error);
	switch (d->conn.tls_failure) {
	case TLS_FAIL_NO_CERTIFICATE:
		count_one(counts, COUNT_LISTENER_ssl_fail_verify_no_cert);
		break;
	case TLS_FAIL_VERIFY:
		count_one(counts, COUNT_LISTENER_ssl_fail_verify_error);
		break;
	case TLS_FAIL_SAN:
		count_one(counts, COUNT_LISTENER_ssl_fail_verify_san);
		break;
	case TLS_FAIL_NONE:
	case TLS_FAIL_OTHER:
		break;
	}
}

static void
end_log(const struct downstream *d)
{
	struct worker *w = d->worker;
	const struct block_listener *l = block_listener_find(&w->arena,
	    w->root, d->listener, d->tag);

	if (!worker_may_log(w))
		return;
	log_info("listener %s: a caller's connection was ended: %s",
	    l == NULL ? "(removed)" : block_text(&w->arena, l->name),
	    d->conn.why);
}

static void
downstream_closed(struct conn *c)
{
	struct downstream *d = CONTAINER(c, struct downstream, conn);

	count_less(d->counts->listener, COUNT_LISTENER_downstream_cx_active);
	if (c->end == CONN_END_TLS)
		tls_end_count(d);
	if (c->end == CONN_END_CONNECT_TIMEOUT)
		count_one(d->counts->listener,
		    COUNT_LISTENER_handshake_timeout);
	if (c->end == CONN_END_PROTOCOL)
		count_one(http_counts(d),
		    COUNT_HTTP_downstream_cx_protocol_error);
	if (c->greeting > GREETING_HTTP2)
		count_one(http_counts(d), stranger_counts[c->greeting]);
	if (c->guard != H2_GUARD_NONE)
		count_one(http_counts(d), guard_counts[c->guard]);
	if (c->end != CONN_END_LOCAL && c->end != CONN_END_PEER)
		end_log(d);
	LIST_REMOVE(d, link);
	if (d->worker->draining && LIST_EMPTY(&d->worker->downstreams))
		d->worker->loop.stop = true;
	downstream_free(d);
}

/* ---- sockets ---- */

/* One more of those that wait; false: none was there, errno says why. */
static bool
listening_take(struct listening *l)
{
	struct worker *w = l->worker;
	int fd = w->sys->accept(w->sys->ctx, l->fd);

	if (fd < 0)
		return false;
	connection_adopt(w, fd, l->listener, l->tag);
	return true;
}

static bool
named(const struct listening *l, const struct arena *a,
    const struct block_root *root)
{
	return root != NULL &&
	    block_listener_find(a, root, l->listener, l->tag) != NULL;
}

static void
listening_accept(struct listening *l)
{
	struct worker *w = l->worker;
	int i = 0;

	if (w->draining || !named(l, &w->arena, w->root))
		return;
	while (i < ACCEPTS && listening_take(l))
		i++;
	if (i == ACCEPTS) {
		loop_soon(&w->loop, &l->again);
	} else if (errno != EAGAIN && errno != EINTR &&
	    errno != ECONNABORTED) {
		if (worker_may_log(w))
			log_warn("can't accept a connection: %s; trying "
			    "again in %d ms", strerror(errno), PAUSE_MS);
		timer_start(&w->loop.timers, &l->pause, w->loop.now,
		    PAUSE_MS);
	} else if (errno != EAGAIN) {
		loop_soon(&w->loop, &l->again);
	}
}

static void
listening_ready(struct source *s, uint32_t events)
{
	(void)events;
	listening_accept(CONTAINER(s, struct listening, source));
}

static void
listening_again(struct task *t)
{
	listening_accept(CONTAINER(t, struct listening, again));
}

static void
listening_pause_over(struct timer *t)
{
	listening_accept(CONTAINER(t, struct listening, pause));
}

static struct listening *
listening_find(struct worker *w, uint32_t group, uint32_t index)
{
	struct listening *l;

	LIST_FOREACH(l, &w->listening, link)
		if (l->group == group && l->index == index)
			return l;
	return NULL;
}

static struct listening *
listening_new(struct worker *w, const struct worker_socket *s)
{
	struct listening *l = w->sys->alloc(w->sys->ctx, sizeof(*l));

	if (l == NULL)
		return NULL;
	l->source.ready = listening_ready;
	l->again.run = listening_again;
	l->pause.fire = listening_pause_over;
	l->worker = w;
	l->group = s->group;
	l->index = s->index;
	l->fd = s->fd;
	if (loop_watch(&w->loop, l->fd, &l->source) != 0) {
		w->sys->free(w->sys->ctx, l);
		return NULL;
	}
	LIST_INSERT_HEAD(&w->listening, l, link);
	return l;
}

int
listen_add(struct worker *w, const struct worker_socket *s, char *why,
    size_t why_len)
{
	struct listening *l = listening_find(w, s->group, s->index);

	if (l != NULL && s->fd >= 0)
		w->sys->close(w->sys->ctx, s->fd);
	if (l == NULL && s->fd >= 0 && (l = listening_new(w, s)) == NULL) {
		why_set(why, why_len, "a listening socket can't be watched: "
		    "%s", strerror(errno));
		w->sys->close(w->sys->ctx, s->fd);
		return -1;
	}
	if (l == NULL)
		return 0;		/* the name of one that was taken away */
	l->listener = s->listener;
	l->tag = s->tag;
	loop_soon(&w->loop, &l->again);	/* edges: some may wait already */
	return 0;
}

static void
listening_close(struct listening *l)
{
	struct worker *w = l->worker;

	loop_forget(&w->loop, &l->source);
	loop_cancel(&w->loop, &l->again);
	timer_stop(&w->loop.timers, &l->pause);
	w->sys->close(w->sys->ctx, l->fd);
	LIST_REMOVE(l, link);
	w->sys->free(w->sys->ctx, l);
}

void
listen_remove(struct worker *w, uint32_t group, uint32_t index)
{
	struct listening *l = listening_find(w, group, index);

	if (l != NULL)
		listening_close(l);
}

/* ---- generations ---- */

void
listen_leave(struct worker *w, const struct arena *arena,
    const struct block_root *next)
{
	struct listening *l;

	LIST_FOREACH(l, &w->listening, link)
		if (named(l, &w->arena, w->root) && !named(l, arena, next))
			while (listening_take(l))
				;
}

/* 0: clear text. */
static uint64_t
admits(const struct worker *w, const struct block_listener *l)
{
	block_ref tls = block_chain_of(&w->arena, l)->tls;

	return tls == 0 ? 0 :
	    ((const struct block_tls *)arena_at(&w->arena, tls))->admits;
}

/* It was let in by rules that still hold. A new certificate of ours is no
 * reason to send anybody away. */
static bool
current(const struct worker *w, const struct downstream *d)
{
	const struct block_listener *l = block_listener_find(&w->arena,
	    w->root, d->listener, d->tag);

	return l != NULL && admits(w, l) ==
	    (d->tls == NULL ? 0 : d->tls->admits);
}

void
listen_follow(struct worker *w)
{
	struct downstream *d;
	struct listening *l;

	LIST_FOREACH(d, &w->downstreams, link)
		if (!current(w, d))
			conn_drain(&d->conn);
	LIST_FOREACH(l, &w->listening, link)
		loop_soon(&w->loop, &l->again);
}

/* ---- the end ---- */

/* Who waited in a queue is taken and told to go elsewhere, as all are; then
 * the sockets are closed (the keeper closed its own), so that new callers are
 * refused and don't wait in a queue that nobody empties. */
void
listen_drain(struct worker *w)
{
	struct downstream *d;
	struct listening *l;

	while ((l = LIST_FIRST(&w->listening)) != NULL) {
		while (named(l, &w->arena, w->root) && listening_take(l))
			;
		listening_close(l);
	}
	LIST_FOREACH(d, &w->downstreams, link)
		conn_drain(&d->conn);
}

void
listen_fini(struct worker *w)
{
	while (!LIST_EMPTY(&w->downstreams))
		conn_close(&LIST_FIRST(&w->downstreams)->conn);
	while (!LIST_EMPTY(&w->listening))
		listening_close(LIST_FIRST(&w->listening));
}
