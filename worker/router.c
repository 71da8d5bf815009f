/* worker/router.c - see router.h. */
#include "worker/router.h"

#include <string.h>

#include "worker/attempt.h"
#include "worker/balance.h"
#include "worker/pool.h"
#include "worker/relay.h"
#include "worker/route.h"

enum { TURNS_STEP = 256 };

/* The round robin counter of a cluster slot, or NULL: no memory. */
static uint32_t *
turn_of(struct worker *w, uint32_t slot)
{
	uint32_t n = (slot / TURNS_STEP + 1) * TURNS_STEP, *turns;

	if (slot < w->turns_n)
		return &w->turns[slot];
	turns = mem_realloc(&w->io.mem, w->turns, n * sizeof(*turns));
	if (turns == NULL)
		return NULL;
	for (uint32_t i = w->turns_n; i < n; i++)
		turns[i] = (uint32_t)w->sys->random(w->sys->ctx);
	w->turns = turns;
	w->turns_n = n;
	return &turns[slot];
}

static uint32_t
active(void *arg, const struct block_endpoint *e)
{
	const struct worker *w = arg;

	return word_get(w->words, WORD_active, e->id, e->tag);
}

static const struct block_endpoint *
endpoint_pick(struct worker *w, const struct block_cluster *cluster)
{
	struct balance_view view = { .active = active, .arg = w };

	if (cluster->balance == 0)
		return NULL;
	view.turn = turn_of(w, cluster->slot);
	if (view.turn == NULL)
		return NULL;
	if (cluster->lb_policy != LB_ROUND_ROBIN)
		view.random = w->sys->random(w->sys->ctx);
	return balance_pick(arena_at(&w->arena, cluster->balance),
	    (enum lb_policy)cluster->lb_policy, &view);
}

/* Starts an attempt at an endpoint of the cluster, or says why it can't. */
static enum cause
attempt_start(struct stream *s, const struct block_cluster *cluster)
{
	struct worker *w = s->down->worker;
	const struct block_endpoint *e = endpoint_pick(w, cluster);
	struct upstream *u;

	if (e == NULL) {
		count_one(row_cluster(w->row, cluster->slot)->cluster,
		    COUNT_CLUSTER_upstream_cx_none_healthy);
		return CAUSE_no_endpoint;
	}
	u = pool_get(w, cluster, e);
	if (u == NULL)
		return CAUSE_connect_failure;
	return attempt_begin(s, u) ? CAUSE_none : CAUSE_no_memory;
}

static enum cause
route(struct stream *s, const struct block_hcm *hcm)
{
	struct worker *w = s->down->worker;
	const struct block_route *r = route_find(&w->arena,
	    arena_at(&w->arena, hcm->route_config), s->request);
	const struct block_cluster *cluster;

	if (r == NULL) {
		count_one(http_counts(s->down), COUNT_HTTP_no_route);
		return CAUSE_no_route;
	}
	cluster = block_cluster_find(&w->arena, w->root, r->cluster);
	if (cluster == NULL) {
		count_one(http_counts(s->down), COUNT_HTTP_no_cluster);
		return CAUSE_no_cluster;
	}
	s->plan = plan_get(&w->plans, arena_at(&w->arena, r->plan));
	if (s->plan == NULL || !deadline_route(s, hcm))
		return CAUSE_no_memory;
	return attempt_start(s, cluster);
}

enum filter_verdict
router_headers(struct stream *s, const struct block_hcm *hcm)
{
	enum cause cause = route(s, hcm);

	if (cause != CAUSE_none) {
		relay_fail(s, cause);
		return FILTER_REPLY;
	}
	return FILTER_CONTINUE;
}

enum filter_verdict
router_data(struct stream *s, const uint8_t *p, size_t n)
{
	struct worker *w = s->down->worker;

	if (s->attempt == NULL)
		return FILTER_STOP;
	s->attempt->held_bytes += n;
	w->held_bytes += n;
	if (!h2_data(&s->attempt->h2, p, n)) {
		relay_fail(s, CAUSE_no_memory);
		return FILTER_REPLY;
	}
	return FILTER_CONTINUE;
}

enum filter_verdict
router_end(struct stream *s, struct headers *trailers)
{
	if (s->attempt == NULL)
		return FILTER_STOP;
	h2_end(&s->attempt->h2, trailers);
	deadline_request_end(s);
	return FILTER_CONTINUE;
}
