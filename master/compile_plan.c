/*
 * master/compile_plan.c - where a route leads, and what a stream needs from
 * then on: its plan.
 *
 *   route ──> cluster, plan
 *         ──> weighted_clusters ──> split: cluster, plan | cluster, plan | ...
 *         ──> direct_response ────> plan
 *
 * A plan holds all that is said at any level, so that a stream that has it
 * needs neither its route nor its generation. Shares that differ in nothing
 * have one plan: equal blocks are one.
 *
 * A cluster that is not there is refused, or waited for: compile_find.c.
 *
 * Source: config.route.v3.RouteAction, WeightedCluster, DirectResponseAction.
 * Test: t/unit/compile.c.
 */
#include "master/compile_parts.h"

#include <string.h>

#define ACTION(name) ENVOY__CONFIG__ROUTE__V3__ROUTE__ACTION_##name
#define SPECIFIER(name) \
	ENVOY__CONFIG__ROUTE__V3__ROUTE_ACTION__CLUSTER_SPECIFIER_##name
#define ROUTE_HOST(name) ENVOY__CONFIG__ROUTE__V3__ROUTE_ACTION__HOST_REWRITE_SPECIFIER_HOST_REWRITE_##name
#define SHARE_HOST(name) ENVOY__CONFIG__ROUTE__V3__WEIGHTED_CLUSTER__CLUSTER_WEIGHT__HOST_REWRITE_SPECIFIER_HOST_REWRITE_##name
#define BODY(name) ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_##name

enum { ROUTE_TIMEOUT_MS = 15000 };	/* what unset means */

/* ---- how long */

/* The older way to follow grpc-timeout. */
static int
plan_grpc_timeout(struct compiler *c, const struct at *up,
    const RouteAction *m, struct block_plan *plan)
{
	const struct at max = AT(up, "max_grpc_timeout");
	const struct at offset = AT(up, "grpc_timeout_offset");

	if (m->max_grpc_timeout != NULL)
		plan->deadline = DEADLINE_GRPC_TIMEOUT;
	return duration_ms(c, &max, m->max_grpc_timeout, 0,
	    &plan->grpc_timeout_max_ms) < 0 ? -1 : duration_ms(c, &offset,
	    m->grpc_timeout_offset, 0, &plan->grpc_timeout_offset_ms);
}

/* The newer one, which wins. */
static int
plan_duration(struct compiler *c, const struct at *up, const RouteAction *m,
    struct block_plan *plan)
{
	const struct at at = AT(up, "max_stream_duration");
	const struct at own = AT(&at, "max_stream_duration");
	const struct at max = AT(&at, "grpc_timeout_header_max");
	const struct at offset = AT(&at, "grpc_timeout_header_offset");
	const MaxStreamDuration *d = m->max_stream_duration;

	if (d == NULL)
		return plan_grpc_timeout(c, up, m, plan);
	plan->deadline = DEADLINE_DURATION;
	plan->flags |= (uint16_t)(
	    (d->max_stream_duration != NULL ? PLAN_DURATION : 0) |
	    (d->grpc_timeout_header_max != NULL ? PLAN_GRPC_TIMEOUT_MAX : 0));
	return duration_ms(c, &own, d->max_stream_duration, 0,
	    &plan->duration_ms) < 0 ||
	    duration_ms(c, &max, d->grpc_timeout_header_max, 0,
	    &plan->grpc_timeout_max_ms) < 0 ||
	    duration_ms(c, &offset, d->grpc_timeout_header_offset, 0,
	    &plan->grpc_timeout_offset_ms) < 0 ? -1 : 0;
}

static int
plan_times(struct compiler *c, const struct at *up, const RouteAction *m,
    struct block_plan *plan)
{
	const struct at at = AT(up, "timeout"), idle = AT(up, "idle_timeout");

	if (m->idle_timeout != NULL)
		plan->flags |= PLAN_IDLE_TIMEOUT;
	return duration_ms(c, &at, m->timeout, ROUTE_TIMEOUT_MS,
	    &plan->timeout_ms) < 0 || duration_ms(c, &idle, m->idle_timeout, 0,
	    &plan->idle_timeout_ms) < 0 ? -1 : plan_duration(c, up, m, plan);
}

/* ---- the path and the authority */

static int
visible(struct compiler *c, const struct at *at, const char *text)
{
	for (; *text != '\0'; text++)
		if (*text <= ' ' || *text > '~')
			return refuse(c, at, "has a byte that is no visible "
			    "ASCII, expected none");
	return 0;
}

static int
plan_path(struct compiler *c, const struct at *up, const char *path,
    uint32_t old_bytes, struct plan_draft *d)
{
	const struct at at = AT(up, "prefix_rewrite");

	if (*path == '\0')
		return 0;
	if (*path != '/')
		return refuse(c, &at, "\"%s\", expected a path that begins "
		    "with /", path);
	d->plan.flags |= PLAN_CHANGES;
	d->plan.path_bytes = old_bytes;
	return visible(c, &at, path) < 0 ? -1 :
	    draft_text(c, d, path, strlen(path), &d->plan.path);
}

static int
plan_host(struct compiler *c, const struct at *up, const char *host,
    struct plan_draft *d)
{
	const struct at at = AT(up, "host_rewrite_literal");

	if (host == NULL || *host == '\0')
		return 0;
	d->plan.flags |= PLAN_CHANGES;
	return visible(c, &at, host) < 0 ? -1 :
	    draft_text(c, d, host, strlen(host), &d->plan.host);
}

/* ---- plans of clusters */

struct target {
	const RouteAction *action;
	const struct at	*at;		/* of that */
	const char	*cluster;
	uint32_t	 path_bytes;	/* what prefix_rewrite replaces */
	const char	*host;		/* "": as the caller said */
	const struct at	*host_at;	/* who says that */
};

static int
target_plan(struct compiler *c, const struct target *t, const struct levels *l,
    block_ref *ref)
{
	const struct at retry = AT(t->at, "retry_policy");
	struct plan_draft d = { .cluster = t->cluster, .plan = l->retry };

	if (plan_times(c, t->at, t->action, &d.plan) < 0 ||
	    compile_retry(c, &retry, t->action->retry_policy, &d.plan) < 0 ||
	    plan_path(c, t->at, t->action->prefix_rewrite, t->path_bytes,
	    &d) < 0 || plan_host(c, t->host_at, t->host, &d) < 0 ||
	    compile_mutations(c, l, true, &d) < 0 ||
	    compile_mutations(c, l, false, &d) < 0)
		return -1;
	if (d.plan.request_n > 0)
		d.plan.flags |= PLAN_CHANGES;
	/* As Envoy: a share changes it without a word. */
	if (d.plan.host.off != 0 && t->host_at == t->at)
		d.plan.flags |= PLAN_HOST_TOLD;
	return draft_put(c, &d, ref);
}

static const char *
host_of(const RouteAction *m)
{
	return m->host_rewrite_specifier_case == ROUTE_HOST(LITERAL) ?
	    m->host_rewrite_literal : "";
}

static int
share_compile(struct compiler *c, const struct at *up, const ClusterWeight *m,
    const struct target *route, const struct levels *outer,
    struct block_share *to)
{
	const struct at at = AT(up, "name");
	struct levels l = *outer;
	struct target t = *route;

	l.share = (struct level)LEVEL(up, m);
	t.cluster = m->name;
	if (*t.host == '\0' &&
	    m->host_rewrite_specifier_case == SHARE_HOST(LITERAL)) {
		t.host = m->host_rewrite_literal;
		t.host_at = up;
	}
	return find_cluster(c, &at, m->name, l.lenient, &to->cluster) < 0 ? -1 :
	    target_plan(c, &t, &l, &to->plan);
}

/* A share of weight 0 is checked, and then left out. */
static int
shares_compile(struct compiler *c, const struct at *at,
    const WeightedCluster *m, const struct target *t, const struct levels *l,
    struct block_split *b)
{
	uint64_t total = 0;
	size_t i;

	for (i = 0; i < m->n_clusters; i++) {
		const struct at item = AT_ITEM(at, "clusters", i);

		if (share_compile(c, &item, m->clusters[i], t, l,
		    &b->shares[b->n]) < 0)
			return -1;
		if (number_or(m->clusters[i]->weight, 0) == 0)
			continue;
		total += m->clusters[i]->weight->value;
		if (total > UINT32_MAX)
			return refuse(c, &item, "the weights are %llu with "
			    "it, expected at most %u in all",
			    (unsigned long long)total, UINT32_MAX);
		b->shares[b->n++].below = (uint32_t)total;
	}
	b->total = (uint32_t)total;
	return 0;
}

static int
total_check(struct compiler *c, const struct at *up, const WeightedCluster *m,
    uint32_t total)
{
	const struct at clusters = AT(up, "clusters");
	const struct at at = AT(up, "total_weight");

	if (total == 0)
		return refuse(c, &clusters, "have no weight, expected one of "
		    "them above 0");
	if (m->total_weight != NULL && m->total_weight->value != total)
		return refuse(c, &at, "%u, expected %u, the sum of the "
		    "weights", m->total_weight->value, total);
	return 0;
}

static int
split_compile(struct compiler *c, const struct at *up, const struct target *t,
    const struct levels *l, struct block_route *to)
{
	const struct at at = AT(up, "weighted_clusters");
	const WeightedCluster *m = t->action->weighted_clusters;
	struct block_split *b = scratch(c, sizeof(*b) +
	    m->n_clusters * sizeof(b->shares[0]));

	if (b == NULL || shares_compile(c, &at, m, t, l, b) < 0 ||
	    total_check(c, &at, m, b->total) < 0)
		return -1;
	to->cluster = b->shares[0].cluster;
	to->plan = b->shares[0].plan;
	return put_block(c, BLOCK_SPLIT, b, sizeof(*b) +
	    b->n * sizeof(b->shares[0]), &to->split);
}

static int
route_compile(struct compiler *c, const struct at *up, const RouteAction *m,
    const struct levels *l, struct block_route *to)
{
	const struct at cluster = AT(up, "cluster");
	const struct target t = { m, up, m->cluster_specifier_case ==
	    SPECIFIER(CLUSTER) ? m->cluster : "", to->path_len, host_of(m),
	    up };

	if (m->cluster_specifier_case == SPECIFIER(WEIGHTED_CLUSTERS))
		return split_compile(c, up, &t, l, to);
	return find_cluster(c, &cluster, t.cluster, l->lenient,
	    &to->cluster) < 0 ? -1 :
	    target_plan(c, &t, l, &to->plan);
}

/* ---- plans that answer */

static int
body_read(struct compiler *c, const struct at *up, const DirectResponse *m,
    const char **body, size_t *n)
{
	const struct at at = AT(up, "body");
	const DataSource *s = m->body;

	*body = "";
	*n = 0;
	if (s == NULL)
		return 0;
	if (s->specifier_case == BODY(INLINE_STRING)) {
		*body = s->inline_string;
		*n = strlen(*body);
	} else if (s->specifier_case == BODY(INLINE_BYTES)) {
		*body = (const char *)s->inline_bytes.data;
		*n = s->inline_bytes.len;
	} else {
		return refuse(c, &at, "is not inline, which is not built "
		    "yet, expected inline_string or inline_bytes");
	}
	return memchr(*body, '\0', *n) == NULL ? 0 :
	    refuse(c, &at, "has a NUL in it, expected a text");
}

static int
direct_body(struct compiler *c, const struct at *up, const DirectResponse *m,
    uint32_t bytes_max, struct plan_draft *d)
{
	const struct at at = AT(up, "body");
	const char *body;
	size_t n;

	if (body_read(c, up, m, &body, &n) < 0)
		return -1;
	if (n > bytes_max)
		return refuse(c, &at, "has %zu bytes, expected at most %u "
		    "(max_direct_response_body_size_bytes)", n, bytes_max);
	return n == 0 ? 0 : draft_text(c, d, body, n, &d->plan.direct_body);
}

static int
direct_compile(struct compiler *c, const struct at *up,
    const DirectResponse *m, const struct levels *l, struct block_route *to)
{
	static const struct rule rules[] = {
		{ "status", RULE_SET, .text = "200..599" },
		{ "status", RULE_RANGE, 200, 599, "200..599" },
		{ NULL, RULE_SET, 0, 0, NULL },
	};
	struct plan_draft d = { .cluster = "" };

	d.plan.direct_status = m->status;
	return rule_check(c, up, &m->base, rules) < 0 ||
	    direct_body(c, up, m, l->body_bytes_max, &d) < 0 ||
	    compile_mutations(c, l, false, &d) < 0 ? -1 :
	    draft_put(c, &d, &to->plan);
}

int
compile_action(struct compiler *c, const struct at *up, const Route *m,
    const struct levels *l, struct block_route *to)
{
	const struct at route = AT(up, "route");
	const struct at direct = AT(up, "direct_response");

	switch (m->action_case) {
	case ACTION(ROUTE):
		return route_compile(c, &route, m->route, l, to);
	case ACTION(DIRECT_RESPONSE):
		return direct_compile(c, &direct, m->direct_response, l, to);
	default:
		return refuse(c, &route, "is missing, expected a cluster");
	}
}
