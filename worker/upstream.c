/* worker/upstream.c - see upstream.h. */
#include "worker/upstream.h"

#include <string.h>

#include "shm/log.h"
#include "worker/attempt.h"
#include "worker/pool.h"

enum { AGAIN_FIRST_MS = 25, AGAIN_MOST_MS = 1000 };

static void	upstream_opened(struct conn *c);
static void	upstream_closed(struct conn *c);

/* Where each of h2_guard.def counts that a service can break. */
static const int guard_counts[H2_GUARDS] = {
#define BOTH(id) [H2_GUARD_##id] = COUNT_CLUSTER_guard_##id,
#define CALLER(id)
#define GUARD(side, id, sentence) side(id)
#include "worker/io/h2_guard.def"
#undef GUARD
#undef CALLER
#undef BOTH
};

static const struct conn_events upstream_events = {
	.opened = upstream_opened, .closed = upstream_closed,
};

/* ---- beginning ---- */

static void
settings_fill(struct conn_settings *s, const struct block_cluster *c,
    const struct tls_plan *tls)
{
	*s = (struct conn_settings){
	    .h2 = h2_settings_of(false, &c->h2, &c->limits),
	    .h2_events = &attempt_events,
	    .events = &upstream_events,
	    .tls = tls == NULL ? NULL : tls->context,
	    .open_timeout_ms = c->connect_timeout_ms,
	    .idle_timeout_ms = c->idle_timeout_ms,
	};
}

static struct upstream *
upstream_alloc(struct host *h, const struct block_cluster *c)
{
	struct worker *w = h->worker;
	struct upstream *u = mem_alloc(&w->io.mem, sizeof(*u));

	if (u == NULL)
		return NULL;
	memset(u, 0, sizeof(*u));
	u->host = h;
	if (tls_plan_find(&w->plans, &w->arena, c->tls, &u->tls))
		return u;
	mem_free(&w->io.mem, u);
	return NULL;
}

static void
upstream_free(struct upstream *u)
{
	if (u->tls != NULL)
		tls_plan_put(u->tls);
	mem_free(&u->host->worker->io.mem, u);
}

/* Every connection is counted here once and, in upstream_closed, back. */
static void
upstream_link(struct upstream *u)
{
	struct host *h = u->host;
	struct worker *w = h->worker;

	count_one(h->counts->cluster, COUNT_CLUSTER_upstream_cx_active);
	host_word_add(h, WORD_connections);
	LIST_INSERT_HEAD(&h->upstreams, u, host_link);
	LIST_INSERT_HEAD(&w->upstreams, u, link);
	h->refs++;
}

/* The next may be tried after a while (P4). */
static void
host_failed(struct host *h, enum cause cause)
{
	struct worker *w = h->worker;
	int64_t ms = AGAIN_FIRST_MS;

	h->fail = cause;
	if (h->fails++ == 0)
		return;			/* it may just be starting again */
	for (uint32_t n = h->fails; n > 2 && ms < AGAIN_MOST_MS; n--)
		ms *= 2;
	if (ms > AGAIN_MOST_MS)
		ms = AGAIN_MOST_MS;
	ms -= (int64_t)(w->sys->random(w->sys->ctx) % (uint64_t)(ms / 2 + 1));
	h->again = mono_after_ms(w->loop.now, ms);
}

struct upstream *
upstream_new(struct host *h, const struct block_cluster *c,
    const struct block_endpoint *e)
{
	struct upstream *u = upstream_alloc(h, c);
	struct sockaddr_storage to;
	struct conn_settings s;

	if (u == NULL)
		return NULL;
	settings_fill(&s, c, u->tls);
	count_one(h->counts->cluster, COUNT_CLUSTER_upstream_cx_total);
	if (!conn_connect(&u->conn, &h->worker->io, (struct sockaddr *)&to,
	    block_socket_address(&e->address, e->address.port, &to), &s)) {
		count_one(h->counts->cluster,
		    COUNT_CLUSTER_upstream_cx_connect_fail);
		host_failed(h, CAUSE_connect_failure);
		upstream_free(u);
		return NULL;
	}
	upstream_link(u);
	return u;
}

/* ---- life ---- */

static void
upstream_opened(struct conn *c)
{
	struct upstream *u = CONTAINER(c, struct upstream, conn);
	struct host *h = u->host;

	h->fails = 0;
	h->again = (struct mono){ 0 };
	if (c->tls != NULL)
		count_one(h->counts->cluster, COUNT_CLUSTER_ssl_handshake);
	pool_pump(h);
}

void
upstream_retire(struct upstream *u)
{
	if (u->retired)
		return;
	u->retired = true;
	LIST_REMOVE(u, host_link);
	upstream_idle(u);
	pool_pump(u->host);
}

void
upstream_idle(struct upstream *u)
{
	if (u->retired && u->conn.h2 != NULL &&
	    h2_streams_n(u->conn.h2) == 0)
		conn_end(&u->conn, CONN_END_LOCAL, NULL);
}

/* ---- end ---- */

static void
end_count(const struct upstream *u)
{
	count *counts = u->host->counts->cluster;

	count_less(counts, COUNT_CLUSTER_upstream_cx_active);
	if (u->conn.guard != H2_GUARD_NONE)
		count_one(counts, guard_counts[u->conn.guard]);
	switch (u->conn.end) {
	case CONN_END_CONNECT:
		count_one(counts, COUNT_CLUSTER_upstream_cx_connect_fail);
		break;
	case CONN_END_CONNECT_TIMEOUT:
		count_one(counts, COUNT_CLUSTER_upstream_cx_connect_fail);
		count_one(counts, COUNT_CLUSTER_upstream_cx_connect_timeout);
		break;
	case CONN_END_TLS:
		count_one(counts, COUNT_CLUSTER_upstream_cx_connect_fail);
		count_one(counts, COUNT_CLUSTER_ssl_connection_error);
		break;
	case CONN_END_PROTOCOL:
		count_one(counts, COUNT_CLUSTER_upstream_cx_protocol_error);
		break;
	case CONN_END_PEER:
		count_one(counts, COUNT_CLUSTER_upstream_cx_destroy_remote);
		break;
	case CONN_END_NONE:
	case CONN_END_LOCAL:
		break;
	}
}

static void
end_log(const struct upstream *u)
{
	struct worker *w = u->host->worker;
	const struct block_cluster *cluster = block_cluster_find(&w->arena,
	    w->root, u->host->cluster);

	if (u->conn.end != CONN_END_LOCAL && u->conn.why[0] != '\0' &&
	    worker_may_log(w))
		log_info("cluster %s: connection ended: %s",
		    cluster == NULL ? "(removed)" :
		    block_text(&w->arena, cluster->name), u->conn.why);
}

static void
upstream_closed(struct conn *c)
{
	struct upstream *u = CONTAINER(c, struct upstream, conn);
	struct host *h = u->host;
	bool failed = c->state < CONN_OPEN && c->end != CONN_END_LOCAL;

	end_count(u);
	end_log(u);
	host_word_sub(h, WORD_connections);
	if (failed)
		host_failed(h, attempt_cause_of(c->end));
	LIST_REMOVE(u, link);
	if (!u->retired)
		LIST_REMOVE(u, host_link);
	upstream_free(u);
	if (failed)
		pool_fail(h, h->fail);
	else
		pool_pump(h);
	host_put(h);
}
