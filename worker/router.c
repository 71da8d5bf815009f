/* worker/router.c - see router.h. */
#include "worker/router.h"

#include <string.h>

#include "worker/balance.h"
#include "worker/change.h"
#include "worker/pool.h"
#include "worker/relay.h"
#include "worker/retry.h"
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

/* The oldest is forgotten. */
static void
tried_put(struct retry *r, const struct block_endpoint *e)
{
	if (r->tried_n == TRIED_MAX)
		memmove(r->tried, r->tried + 1, --r->tried_n *
		    sizeof(r->tried[0]));
	r->tried[r->tried_n++] = (struct balance_tried){ e->id, e->tag };
}

static const struct block_endpoint *
endpoint_pick(struct stream *s, const struct block_cluster *cluster)
{
	struct worker *w = s->down->worker;
	struct balance_view view = { .active = active, .arg = w,
	    .tried = s->retry.tried, .tried_n = s->retry.tried_n };

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

static enum cause
start(struct stream *s, const struct block_cluster *cluster)
{
	struct worker *w = s->down->worker;
	const struct block_endpoint *e = endpoint_pick(s, cluster);

	if (e == NULL) {
		count_one(row_cluster(w->row, cluster->slot)->cluster,
		    COUNT_CLUSTER_upstream_cx_none_healthy);
		return CAUSE_no_endpoint;
	}
	if (s->plan->block.flags & PLAN_PREVIOUS_HOSTS)
		tried_put(&s->retry, e);
	return pool_start(s, cluster, e);
}

enum cause
router_start(struct stream *s)
{
	struct worker *w = s->down->worker;
	const struct block_cluster *cluster = block_cluster_find(&w->arena,
	    w->root, s->cluster);

	if (cluster == NULL || cluster->tag != s->cluster_tag)
		return CAUSE_no_cluster;
	return start(s, cluster);
}

/* The plan, of the route or of one of its shares; the cluster's slot. */
static bool
plan_pick(struct stream *s, const struct block_route *r, uint32_t *slot)
{
	struct worker *w = s->down->worker;
	const struct block_share *share;
	block_ref plan = r->plan;

	*slot = r->cluster;
	if (r->split != 0) {
		share = route_share(arena_at(&w->arena, r->split),
		    w->sys->random(w->sys->ctx));
		*slot = share->cluster;
		plan = share->plan;
	}
	s->plan = plan_get(&w->plans, arena_at(&w->arena, plan));
	if (s->plan != NULL && s->plan->block.answer_n > 0)
		s->changes_answer = true;
	return s->plan != NULL;
}

void
router_plan(struct stream *s, const struct block_hcm *hcm)
{
	struct worker *w = s->down->worker;
	const struct block_route *r = route_find(&w->arena,
	    arena_at(&w->arena, hcm->route_config), s->request);
	uint32_t slot;

	if (r != NULL)
		plan_pick(s, r, &slot);
}

static bool
request_finish(struct stream *s, const struct block_hcm *hcm)
{
	return deadline_route(s, hcm) &&
	    (!(s->plan->block.flags & PLAN_CHANGES) ||
	    change_request(s, hcm));
}

static enum cause
route(struct stream *s, const struct block_hcm *hcm)
{
	struct worker *w = s->down->worker;
	const struct block_route *r = route_find(&w->arena,
	    arena_at(&w->arena, hcm->route_config), s->request);
	const struct block_cluster *cluster;
	uint32_t slot;

	if (r == NULL) {
		count_one(http_counts(s->down), COUNT_HTTP_no_route);
		return CAUSE_no_route;
	}
	if (!plan_pick(s, r, &slot))
		return CAUSE_no_memory;
	if (s->plan->block.direct_status != 0)
		return CAUSE_direct_response;
	cluster = block_cluster_find(&w->arena, w->root, slot);
	if (cluster == NULL) {
		count_one(http_counts(s->down), COUNT_HTTP_no_cluster);
		return CAUSE_no_cluster;
	}
	if (!request_finish(s, hcm))
		return CAUSE_no_memory;
	s->cluster = cluster->slot;
	s->cluster_tag = cluster->tag;
	return start(s, cluster);
}

enum filter_verdict
router_headers(struct stream *s, const struct block_hcm *hcm)
{
	enum cause cause;

	retry_begin(s);
	s->originals = hcm->flags & HCM_ORIGINALS;
	cause = route(s, hcm);
	if (cause == CAUSE_none)
		return FILTER_CONTINUE;
	if (s->plan != NULL && cause != CAUSE_direct_response) {
		retry_failed(s, cause);
		return FILTER_CONTINUE;
	}
	relay_fail(s, cause);
	return FILTER_REPLY;
}

enum filter_verdict
router_data(struct stream *s, const uint8_t *p, size_t n)
{
	if (retry_data(s, p, n))
		return FILTER_CONTINUE;
	relay_fail(s, CAUSE_no_memory);
	return FILTER_REPLY;
}

enum filter_verdict
router_end(struct stream *s, struct headers *trailers)
{
	retry_request_end(s, trailers);
	deadline_request_end(s);
	return FILTER_CONTINUE;
}
