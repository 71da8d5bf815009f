/* worker/rbac_filter.c - see rbac_filter.h. */
#include "worker/rbac_filter.h"

#include "worker/rbac.h"
#include "worker/relay.h"
#include "worker/route.h"
#include "worker/route_text.h"
#include "worker/router.h"

static const struct block_override *
override_find(struct stream *s, const struct block_hcm *hcm, int i)
{
	const struct arena *a = &s->down->worker->arena;
	const struct block_route_config *config = arena_at(a,
	    hcm->route_config);
	const struct block_overrides *all;
	const struct block_route *r;

	if (config->overrides == 0)
		return NULL;
	/* The router asks again: few listeners get here, and a route kept in
	 * the stream would be an address into the arena. */
	r = route_find(a, config, s->request);
	if (r == NULL || r->overrides == 0)
		return NULL;
	all = arena_at(a, r->overrides);
	return (uint32_t)i < all->n && all->at[i].set ? &all->at[i] : NULL;
}

/* NULL: nothing is asked here. */
static const struct block_rbac *
settings_find(struct stream *s, const struct block_hcm *hcm, int i)
{
	const struct block_override *o = override_find(s, hcm, i);
	block_ref ref = o == NULL ? hcm->filters[i].rbac : o->rbac;

	return ref == 0 ? NULL : arena_at(&s->down->worker->arena, ref);
}

/* Counts, too: the second of the two is that it may not. */
static enum cause
ask(struct stream *s, block_ref ref, int counts)
{
	const struct arena *a = &s->down->worker->arena;
	const struct tls *tls = s->down->conn.tls;
	const struct text path = path_of(s->request);
	const struct rbac_call call = {
	    .names = tls == NULL ? NULL : tls_peer_names(tls),
	    .path = path.p,
	    .path_len = path.len,
	    .headers = s->request,
	};
	enum cause cause = CAUSE_none;

	if (!rbac_path_is_canonical(path.p, path.len))
		cause = CAUSE_path_not_canonical;
	else if (!rbac_allows(a, arena_at(a, ref), &call))
		cause = CAUSE_rbac_denied;
	count_one(http_counts(s->down), counts + (cause != CAUSE_none));
	return cause;
}

enum filter_verdict
rbac_filter_headers(struct stream *s, const struct block_hcm *hcm, int i)
{
	const struct block_rbac *b = settings_find(s, hcm, i);
	enum cause cause = CAUSE_none;

	_Static_assert(COUNT_HTTP_rbac_denied == COUNT_HTTP_rbac_allowed + 1 &&
	    COUNT_HTTP_rbac_shadow_denied == COUNT_HTTP_rbac_shadow_allowed +
	    1, "ask() counts by this");
	if (b != NULL && b->shadow_rules != 0)
		ask(s, b->shadow_rules, COUNT_HTTP_rbac_shadow_allowed);
	if (b != NULL && b->rules != 0)
		cause = ask(s, b->rules, COUNT_HTTP_rbac_allowed);
	if (cause == CAUSE_none)
		return FILTER_CONTINUE;
	router_plan(s, hcm);
	relay_fail(s, cause);
	return FILTER_REPLY;
}
