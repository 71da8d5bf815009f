/* worker/pool.c - see pool.h. */
#include "worker/pool.h"

#include <assert.h>
#include <netinet/in.h>
#include <string.h>

#include "shm/log.h"
#include "worker/attempt.h"

static void	upstream_opened(struct conn *c);
static void	upstream_closed(struct conn *c);

static const struct conn_events upstream_events = {
	.opened = upstream_opened, .closed = upstream_closed,
};

static uint64_t
tls_hash(const struct worker *w, block_ref tls)
{
	return tls == 0 ? 0 :
	    ((const struct block_tls *)arena_at(&w->arena, tls))->hash;
}

static bool
serves(const struct upstream *u, const struct block_endpoint *e,
    uint64_t tls)
{
	return u->endpoint == e->id && u->endpoint_tag == e->tag &&
	    (u->tls == NULL ? 0 : u->tls->hash) == tls &&
	    u->conn.end == CONN_END_NONE;
}

static struct upstream **
bucket(struct worker *w, uint32_t endpoint)
{
	return &w->pool[endpoint % POOL_BUCKETS];
}

static socklen_t
address_fill(struct sockaddr_storage *to, const struct block_endpoint *e)
{
	struct sockaddr_in *in = (struct sockaddr_in *)(void *)to;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)to;

	memset(to, 0, sizeof(*to));
	to->ss_family = e->address.family;
	if (e->address.family == AF_INET) {
		memcpy(&in->sin_addr, e->address.bytes, 4);
		in->sin_port = htons(e->address.port);
		return sizeof(*in);
	}
	memcpy(&in6->sin6_addr, e->address.bytes, 16);
	in6->sin6_port = htons(e->address.port);
	return sizeof(*in6);
}

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

static void
upstream_link(struct upstream *u)
{
	struct worker *w = u->worker;
	struct upstream **at = bucket(w, u->endpoint);

	u->bucket_next = *at;
	*at = u;
	LIST_INSERT_HEAD(&w->upstreams, u, link);
}

static void
upstream_free(struct upstream *u)
{
	if (u->tls != NULL)
		tls_plan_put(u->tls);
	mem_free(&u->worker->io.mem, u);
}

static struct upstream *
upstream_alloc(struct worker *w, const struct block_cluster *c,
    const struct block_endpoint *e)
{
	struct upstream *u = mem_alloc(&w->io.mem, sizeof(*u));

	if (u == NULL)
		return NULL;
	memset(u, 0, sizeof(*u));
	u->worker = w;
	u->counts = row_cluster(w->row, c->slot);
	u->times = row_cluster_times(w->row, c->slot);
	u->cluster = c->slot;
	u->cluster_tag = c->tag;
	u->endpoint = e->id;
	u->endpoint_tag = e->tag;
	if (!tls_plan_find(&w->plans, &w->arena, c->tls, &u->tls)) {
		upstream_free(u);
		return NULL;
	}
	return u;
}

static struct upstream *
upstream_new(struct worker *w, const struct block_cluster *c,
    const struct block_endpoint *e)
{
	struct upstream *u = upstream_alloc(w, c, e);
	struct sockaddr_storage to;
	struct conn_settings s;

	if (u == NULL)
		return NULL;
	settings_fill(&s, c, u->tls);
	count_one(u->counts->cluster, COUNT_CLUSTER_upstream_cx_total);
	if (!conn_connect(&u->conn, &w->io, (struct sockaddr *)&to,
	    address_fill(&to, e), &s)) {
		count_one(u->counts->cluster,
		    COUNT_CLUSTER_upstream_cx_connect_fail);
		upstream_free(u);
		return NULL;
	}
	count_one(u->counts->cluster, COUNT_CLUSTER_upstream_cx_active);
	upstream_link(u);
	return u;
}

struct upstream *
pool_get(struct worker *w, const struct block_cluster *c,
    const struct block_endpoint *e)
{
	uint64_t tls = tls_hash(w, c->tls);
	struct upstream *u;

	for (u = *bucket(w, e->id); u != NULL; u = u->bucket_next)
		if (serves(u, e, tls))
			return u;
	return upstream_new(w, c, e);
}

/* ---- ends ---- */

void
pool_retire(struct upstream *u)
{
	struct upstream **at = bucket(u->worker, u->endpoint);

	if (u->retired)
		return;
	u->retired = true;
	while (*at != u)
		at = &(*at)->bucket_next;
	*at = u->bucket_next;
	pool_idle(u);
}

void
pool_idle(struct upstream *u)
{
	if (u->retired && u->conn.h2 != NULL &&
	    h2_streams_n(u->conn.h2) == 0)
		conn_end(&u->conn, CONN_END_LOCAL, NULL);
}

static void
upstream_opened(struct conn *c)
{
	struct upstream *u = CONTAINER(c, struct upstream, conn);

	if (c->tls != NULL)
		count_one(u->counts->cluster, COUNT_CLUSTER_ssl_handshake);
}

static void
end_count(const struct upstream *u)
{
	count *counts = u->counts->cluster;

	count_less(counts, COUNT_CLUSTER_upstream_cx_active);
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
upstream_closed(struct conn *c)
{
	struct upstream *u = CONTAINER(c, struct upstream, conn);
	struct worker *w = u->worker;
	const struct block_cluster *cluster = block_cluster_find(&w->arena,
	    w->root, u->cluster);

	end_count(u);
	if (c->end != CONN_END_LOCAL && c->why[0] != '\0' &&
	    worker_may_log(w))
		log_info("cluster %s: connection ended: %s",
		    cluster == NULL ? "(removed)" :
		    block_text(&w->arena, cluster->name), c->why);
	pool_retire(u);
	LIST_REMOVE(u, link);
	upstream_free(u);
}

/* ---- generations ---- */

static bool
still_named(struct worker *w, const struct upstream *u)
{
	const struct block_cluster *c = block_cluster_find(&w->arena,
	    w->root, u->cluster);
	const struct block_balance *b;
	uint32_t low = 0, high, mid;

	if (c == NULL || c->tag != u->cluster_tag || c->balance == 0)
		return false;
	b = arena_at(&w->arena, c->balance);
	high = b->endpoints_n;
	while (low < high) {		/* ordered by id: block.h */
		mid = low + (high - low) / 2;
		if (b->endpoints[mid].id < u->endpoint)
			low = mid + 1;
		else
			high = mid;
	}
	return low < b->endpoints_n &&
	    serves(u, &b->endpoints[low], tls_hash(w, c->tls));
}

void
pool_sweep(struct worker *w)
{
	struct upstream *u, *next;

	for (u = LIST_FIRST(&w->upstreams); u != NULL; u = next) {
		next = LIST_NEXT(u, link);
		if (!still_named(w, u))
			pool_retire(u);
	}
}

void
pool_fini(struct worker *w)
{
	while (!LIST_EMPTY(&w->upstreams))
		conn_close(&LIST_FIRST(&w->upstreams)->conn);
}
