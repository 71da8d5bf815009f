/* worker/pool.c - see pool.h. */
#include "worker/pool.h"

#include <assert.h>
#include <string.h>

#include "worker/attempt.h"
#include "worker/upstream.h"

/* ---- hosts ---- */

static uint64_t
tls_hash(const struct worker *w, block_ref tls)
{
	return tls == 0 ? 0 :
	    ((const struct block_tls *)arena_at(&w->arena, tls))->hash;
}

static bool
is_host(const struct host *h, const struct block_endpoint *e, uint64_t tls)
{
	return h->endpoint == e->id && h->endpoint_tag == e->tag &&
	    h->tls == tls;
}

static struct host *
host_new(struct worker *w, const struct block_cluster *c,
    const struct block_endpoint *e, uint64_t tls)
{
	struct host **at = &w->pool[e->id % POOL_BUCKETS];
	struct host *h = mem_alloc(&w->io.mem, sizeof(*h));

	if (h == NULL)
		return NULL;
	memset(h, 0, sizeof(*h));
	h->worker = w;
	TAILQ_INIT(&h->waiting);
	h->counts = row_cluster(w->row, c->slot);
	h->times = row_cluster_times(w->row, c->slot);
	h->cluster = c->slot;
	h->cluster_tag = c->tag;
	h->endpoint = e->id;
	h->endpoint_tag = e->tag;
	h->tls = tls;
	h->bucket_next = *at;
	*at = h;
	return h;
}

/* + 1 user. NULL: no memory. */
static struct host *
host_get(struct worker *w, const struct block_cluster *c,
    const struct block_endpoint *e)
{
	uint64_t tls = tls_hash(w, c->tls);
	struct host *h = w->pool[e->id % POOL_BUCKETS];

	while (h != NULL && !is_host(h, e, tls))
		h = h->bucket_next;
	if (h == NULL)
		h = host_new(w, c, e, tls);
	if (h != NULL)
		h->refs++;
	return h;
}

/* What failed to connect is remembered until it may be tried again: a host
 * without users stays for the next sweep. */
void
host_put(struct host *h)
{
	struct host **at = &h->worker->pool[h->endpoint % POOL_BUCKETS];

	assert(h->refs > 0);
	if (--h->refs > 0 || h->fails > 0)
		return;
	while (*at != h)
		at = &(*at)->bucket_next;
	*at = h->bucket_next;
	mem_free(&h->worker->io.mem, h);
}

/* ---- room ---- */

/* A connection that takes an attempt now, or NULL. */
static struct upstream *
room_find(const struct host *h)
{
	struct upstream *u;

	LIST_FOREACH(u, &h->upstreams, host_link)
		if (u->conn.state == CONN_OPEN && u->conn.end ==
		    CONN_END_NONE && h2_streams_n(u->conn.h2) <
		    h2_streams_max(u->conn.h2))
			return u;
	return NULL;
}

/* How many of those who wait the connections will take that we know too
 * little of: that are being made, or whose SETTINGS have not come. */
static uint64_t
room_coming(const struct host *h, const struct block_cluster *c)
{
	uint32_t each = h->streams_seen != 0 ? h->streams_seen :
	    c->h2.max_concurrent_streams, used;
	const struct upstream *u;
	uint64_t n = 0;

	LIST_FOREACH(u, &h->upstreams, host_link) {
		if (u->conn.end != CONN_END_NONE ||
		    h2_settled(u->conn.h2))
			continue;
		used = h2_streams_n(u->conn.h2);
		n += each > used ? each - used : 0;
	}
	return n;
}

static bool
breaker_open(const struct host *h, const struct block_cluster *c)
{
	struct worker *w = h->worker;

	return word_get(w->words, WORD_connections, h->cluster,
	    h->cluster_tag) >= c->breaker.connections_max;
}

static const struct block_cluster *
cluster_of(const struct host *h)
{
	const struct block_cluster *c = block_cluster_find(&h->worker->arena,
	    h->worker->root, h->cluster);

	return c != NULL && c->tag == h->cluster_tag &&
	    tls_hash(h->worker, c->tls) == h->tls ? c : NULL;
}

/* The endpoint in the generation in use, or NULL. */
static const struct block_endpoint *
endpoint_of(const struct host *h, const struct block_cluster *c)
{
	const struct block_balance *b;
	uint32_t low = 0, high, mid;

	if (c == NULL || c->balance == 0)
		return NULL;
	b = arena_at(&h->worker->arena, c->balance);
	high = b->endpoints_n;
	while (low < high) {		/* ordered by id: block.h */
		mid = low + (high - low) / 2;
		if (b->endpoints[mid].id < h->endpoint)
			low = mid + 1;
		else
			high = mid;
	}
	return low < b->endpoints_n && is_host(h, &b->endpoints[low],
	    h->tls) ? &b->endpoints[low] : NULL;
}

/* Makes connections for those who wait (P2). False: there is none now, and
 * none can be made (P1). */
static bool
grow(struct host *h, const struct block_cluster *c,
    const struct block_endpoint *e)
{
	while (h->waiting_n > room_coming(h, c)) {
		if (!LIST_EMPTY(&h->upstreams) && breaker_open(h, c)) {
			count_one(h->counts->cluster,
			    COUNT_CLUSTER_upstream_cx_overflow);
			return true;
		}
		if (upstream_new(h, c, e) == NULL)
			break;
	}
	return !LIST_EMPTY(&h->upstreams);
}

/* ---- waiting ---- */

void
pool_leave(struct attempt *a)
{
	struct host *h = a->host;

	TAILQ_REMOVE(&h->waiting, a, link);
	h->waiting_n--;
	count_less(h->counts->cluster, COUNT_CLUSTER_upstream_rq_pending_active);
	host_word_sub(h, WORD_pending);
}

/* False: too many do. */
static bool
pool_wait(struct attempt *a, const struct block_cluster *c)
{
	struct host *h = a->host;
	uint32_t n = host_word_add(h, WORD_pending);

	TAILQ_INSERT_TAIL(&h->waiting, a, link);
	h->waiting_n++;
	count_one(h->counts->cluster, COUNT_CLUSTER_upstream_rq_pending_active);
	if (n <= c->breaker.pending_max) {
		count_one(h->counts->cluster,
		    COUNT_CLUSTER_upstream_rq_pending_total);
		return true;
	}
	pool_leave(a);
	count_one(h->counts->cluster,
	    COUNT_CLUSTER_upstream_rq_pending_overflow);
	return false;
}

void
pool_fail(struct host *h, enum cause cause)
{
	struct attempt *a;

	h->refs++;			/* the last of them would free it */
	while ((a = TAILQ_FIRST(&h->waiting)) != NULL) {
		pool_leave(a);
		attempt_fail(a, cause);
	}
	host_put(h);
}

void
pool_pump(struct host *h)
{
	const struct block_cluster *c;
	const struct block_endpoint *e;
	struct upstream *u;
	struct attempt *a;

	h->refs++;
	while ((a = TAILQ_FIRST(&h->waiting)) != NULL &&
	    (u = room_find(h)) != NULL) {
		pool_leave(a);
		attempt_send(a, u);
	}
	if (h->waiting_n > 0) {
		c = cluster_of(h);
		e = endpoint_of(h, c);
		if (e == NULL)		/* it, or the way to it, is gone */
			pool_fail(h, CAUSE_none);
		else if (!grow(h, c, e))
			pool_fail(h, CAUSE_connect_failure);
	}
	host_put(h);
}

/* ---- beginning ---- */

static enum cause
begin(struct attempt *a, const struct block_cluster *c,
    const struct block_endpoint *e)
{
	struct host *h = a->host;
	struct upstream *u = TAILQ_EMPTY(&h->waiting) ? room_find(h) : NULL;

	if (u != NULL)
		return attempt_submit(a, u, c);
	if (LIST_EMPTY(&h->upstreams) && h->again.ns > h->worker->loop.now.ns)
		return h->fail;					/* P4 */
	if (!pool_wait(a, c))
		return CAUSE_overflow;
	if (grow(h, c, e))
		return CAUSE_none;
	pool_leave(a);
	return CAUSE_connect_failure;
}

enum cause
pool_start(struct stream *s, const struct block_cluster *c,
    const struct block_endpoint *e)
{
	struct host *h = host_get(s->down->worker, c, e);
	struct attempt *a = h == NULL ? NULL : attempt_new(s, h);
	enum cause cause;

	if (a == NULL) {
		if (h != NULL)
			host_put(h);
		return CAUSE_no_memory;
	}
	cause = begin(a, c, e);
	if (cause != CAUSE_none)
		attempt_free(a);
	return cause;
}

/* ---- generations ---- */

/* What is not named any more, and hosts that were only remembered. */
static void
host_sweep(struct host *h)
{
	struct upstream *u, *next;

	h->refs++;
	if (endpoint_of(h, cluster_of(h)) == NULL) {
		h->fails = 0;
		for (u = LIST_FIRST(&h->upstreams); u != NULL; u = next) {
			next = LIST_NEXT(u, host_link);
			upstream_retire(u);
		}
	} else if (h->again.ns <= h->worker->loop.now.ns && h->refs == 1)
		h->fails = 0;
	host_put(h);
}

void
pool_sweep(struct worker *w)
{
	struct host *h, *next;

	for (int i = 0; i < POOL_BUCKETS; i++)
		for (h = w->pool[i]; h != NULL; h = next) {
			next = h->bucket_next;
			host_sweep(h);
		}
}

void
pool_fini(struct worker *w)
{
	while (!LIST_EMPTY(&w->upstreams))
		conn_close(&LIST_FIRST(&w->upstreams)->conn);
	for (int i = 0; i < POOL_BUCKETS; i++)
		while (w->pool[i] != NULL) {
			w->pool[i]->fails = 0;
			w->pool[i]->refs++;
			host_put(w->pool[i]);
		}
}
