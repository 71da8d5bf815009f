/*
 * t/lib/sample_read.c - see sample.h: the reader. Written field by field from
 * block.h and from what workers do with it, not from block_kind.c, so that
 * what is wrong there is not wrong here.
 */
#include "t/lib/sample.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

struct reader {
	const struct arena *a;
	uint32_t	*seen;		/* per unit of the arena: a bit for
					   each type that was read there */
	volatile uint64_t sum;		/* so that touching is done */
};

enum type { LISTENER, CHAIN, HCM, ROUTE_CONFIG, HOST, MATCHES, OVERRIDES, RBAC,
    RULES, SPLIT, PAGE, CLUSTER, BALANCE, TLS, PLAN, TEXT };

#define WANT(cond) do { if (!(cond)) return #cond; } while (0)
#define READ(call) do { \
	const char *wrong_ = call; \
	if (wrong_ != NULL) return wrong_; } while (0)

static const void *
at(const struct reader *r, block_ref ref)
{
	return arena_at(r->a, ref);
}

static int
again(struct reader *r, enum type type, block_ref ref)
{
	uint32_t bit = (uint32_t)1 << type, had = r->seen[ref] & bit;

	r->seen[ref] |= bit;
	return had != 0;
}

static void
touch(struct reader *r, const void *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		r->sum += ((const uint8_t *)p)[i];
}

static const char *
text_read(struct reader *r, block_ref ref)
{
	const struct block_text *t = at(r, ref);

	if (ref == 0 || again(r, TEXT, ref))
		return NULL;
	touch(r, t->bytes, (size_t)t->len + 1);
	WANT(strlen(block_text(r->a, ref)) <= t->len);
	return NULL;
}

static const char *
span_read(struct reader *r, const struct block_tls *b, struct block_span s)
{
	if (block_span_at(b, s) == NULL) {
		WANT(s.len == 0);
		return NULL;
	}
	touch(r, block_span_at(b, s), (size_t)s.len + 1);
	WANT((uint64_t)s.off + s.len < b->bytes);	/* a copy's end */
	WANT(strlen(block_span_at(b, s)) <= s.len);
	return NULL;
}

static const char *
tls_read(struct reader *r, block_ref ref)
{
	const struct block_tls *b = at(r, ref);

	if (again(r, TLS, ref))
		return NULL;
	touch(r, b, b->bytes);
	WANT(b->hash != 0 && b->version_min <= b->version_max);
	READ(span_read(r, b, b->certificate_chain));
	READ(span_read(r, b, b->private_key_file));
	READ(span_read(r, b, b->certificate_file));
	READ(span_read(r, b, b->certificate_secret));
	READ(span_read(r, b, b->trusted_ca));
	READ(span_read(r, b, b->ca_file));
	READ(span_read(r, b, b->ca_secret));
	READ(span_read(r, b, b->sni));
	READ(span_read(r, b, b->ciphers));
	for (uint32_t i = 0; i < b->sans_n; i++) {
		WANT(b->sans[i].type >= 1 && b->sans[i].type <= 4);
		WANT(b->sans[i].kind >= 1 && b->sans[i].kind <= 4);
		WANT(block_span_at(b, b->sans[i].value) != NULL);
		READ(span_read(r, b, b->sans[i].value));
	}
	return NULL;
}

static const char *
plan_span_read(struct reader *r, const struct block_plan *b,
    struct block_span s)
{
	if (block_span_at(b, s) == NULL)
		return NULL;
	touch(r, block_span_at(b, s), (size_t)s.len + 1);
	WANT((uint64_t)s.off + s.len < b->bytes);
	WANT(strlen(block_span_at(b, s)) <= s.len);
	return NULL;
}

static const char *
mutation_read(struct reader *r, const struct block_plan *b,
    const struct block_mutation *m)
{
	WANT(block_span_at(b, m->name) != NULL);
	READ(plan_span_read(r, b, m->name));
	for (uint32_t i = 0; i < m->parts_n; i++) {
		const struct block_part *p = &block_parts(b)[m->part + i];

		touch(r, p, sizeof(*p));
		WANT(p->kind == PART_ADDRESS ||
		    block_span_at(b, p->text) != NULL);
		READ(plan_span_read(r, b, p->text));
		READ(plan_span_read(r, b, p->other));
	}
	return NULL;
}

static const char *
plan_read(struct reader *r, block_ref ref)
{
	const struct block_plan *b = at(r, ref);

	if (again(r, PLAN, ref))
		return NULL;
	touch(r, b, b->bytes);
	WANT(b->hash != 0 && b->bytes >= sizeof(*b));
	READ(plan_span_read(r, b, b->direct_body));
	READ(plan_span_read(r, b, b->host));
	READ(plan_span_read(r, b, b->path));
	for (uint32_t i = 0; i < b->request_n + b->answer_n; i++)
		READ(mutation_read(r, b, &b->mutations[i]));
	return NULL;
}

static const char *
split_read(struct reader *r, block_ref ref)
{
	const struct block_split *b = at(r, ref);

	if (ref == 0 || again(r, SPLIT, ref))
		return NULL;
	WANT(b->n >= 1 && b->total >= 1);
	WANT(b->shares[b->n - 1].below == b->total);
	for (uint32_t i = 0; i < b->n; i++) {
		WANT(b->shares[i].cluster <= CLUSTER_NONE);
		WANT(b->shares[i].plan != 0);
		READ(plan_read(r, b->shares[i].plan));
	}
	return NULL;
}

/* ---- routes */

static const char *
matches_read(struct reader *r, block_ref ref)
{
	const struct block_header_matches *b = at(r, ref);

	if (ref == 0 || again(r, MATCHES, ref))
		return NULL;
	WANT(b->n >= 1);
	for (uint32_t i = 0; i < b->n; i++) {
		const struct block_header_match *m = &b->at[i];

		WANT(m->name != 0 && m->kind <= HEADER_RANGE);
		READ(text_read(r, m->name));
		READ(text_read(r, m->value));
		r->sum += (uint64_t)m->range_from ^ (uint64_t)m->range_to;
	}
	return NULL;
}

/* A walk from any node on comes to an end. */
static const char *
rules_read(struct reader *r, block_ref ref)
{
	const struct block_rbac_rules *b = at(r, ref);

	if (ref == 0 || again(r, RULES, ref))
		return NULL;
	WANT(b->action <= RBAC_DENY);
	WANT(b->entry < b->nodes_n || b->entry == RBAC_MATCHES ||
	    b->entry == RBAC_FAILS);
	for (uint32_t i = 0; i < b->nodes_n; i++) {
		const struct block_rbac_node *n = &b->nodes[i];

		WANT(n->yes > i && n->no > i);
		WANT(n->yes < b->nodes_n || n->yes == RBAC_MATCHES ||
		    n->yes == RBAC_FAILS);
		WANT(n->no < b->nodes_n || n->no == RBAC_MATCHES ||
		    n->no == RBAC_FAILS);
		WANT(n->what <= RBAC_HEADER && n->match.kind <= HEADER_RANGE);
		WANT(n->what != RBAC_HEADER || n->match.name != 0);
		READ(text_read(r, n->match.name));
		READ(text_read(r, n->match.value));
	}
	return NULL;
}

static const char *
rbac_read(struct reader *r, block_ref ref)
{
	const struct block_rbac *b = at(r, ref);

	if (ref == 0 || again(r, RBAC, ref))
		return NULL;
	READ(rules_read(r, b->rules));
	return rules_read(r, b->shadow_rules);
}

static const char *
overrides_read(struct reader *r, block_ref ref)
{
	const struct block_overrides *b = at(r, ref);

	if (ref == 0 || again(r, OVERRIDES, ref))
		return NULL;
	for (uint32_t i = 0; i < b->n; i++) {
		r->sum += b->at[i].set;
		READ(rbac_read(r, b->at[i].rbac));
	}
	return NULL;
}

static const char *
route_read(struct reader *r, const struct block_route *route)
{
	const struct block_text *path = at(r, route->path);

	WANT(route->path != 0 && route->plan != 0);
	WANT(route->kind <= MATCH_SEPARATED_PREFIX);
	READ(text_read(r, route->path));
	WANT(route->path_len <= path->len);
	touch(r, path->bytes, route->path_len);
	READ(matches_read(r, route->headers));
	READ(plan_read(r, route->plan));
	READ(overrides_read(r, route->overrides));
	READ(split_read(r, route->split));
	return text_read(r, route->name);
}

static const char *
host_read(struct reader *r, block_ref ref)
{
	const struct block_host *h = at(r, ref);

	WANT(ref != 0);
	if (again(r, HOST, ref))
		return NULL;
	READ(text_read(r, h->name));
	for (uint32_t i = 0; i < h->routes_n; i++)
		READ(route_read(r, &h->routes[i]));
	return NULL;
}

static const char *
domain_read(struct reader *r, const struct block_domain *d,
    const struct block_list *hosts)
{
	const struct block_text *t = at(r, d->text);

	WANT(d->text != 0 && d->kind <= DOMAIN_ANY);
	READ(text_read(r, d->text));
	WANT(d->len <= t->len);
	touch(r, block_text(r->a, d->text), d->len);
	WANT(d->host < hosts->n);
	return host_read(r, hosts->at[d->host]);
}

static const char *
route_config_read(struct reader *r, block_ref ref)
{
	const struct block_route_config *b = at(r, ref);
	const struct block_list *hosts = at(r, b->hosts);

	if (again(r, ROUTE_CONFIG, ref))
		return NULL;
	WANT(b->hosts != 0);
	READ(text_read(r, b->name));
	for (uint32_t i = 0; i < b->domains_n; i++)
		READ(domain_read(r, &b->domains[i], hosts));
	for (uint32_t i = 0; i < hosts->n; i++)
		READ(host_read(r, hosts->at[i]));
	return NULL;
}

/* ---- listeners */

static const char *
hcm_read(struct reader *r, block_ref ref)
{
	const struct block_hcm *b = at(r, ref);

	if (again(r, HCM, ref))
		return NULL;
	touch(r, b, sizeof(*b));
	READ(text_read(r, b->stat_prefix));
	WANT(b->route_config != 0);
	READ(route_config_read(r, b->route_config));
	WANT(b->filters_n >= 1 && b->filters_n <= 8);
	for (uint32_t i = 0; i < b->filters_n; i++) {
		WANT(b->filters[i].kind < FILTER_KINDS);
		WANT((b->filters[i].kind == FILTER_ROUTER) ==
		    (i == b->filters_n - 1));
		READ(rbac_read(r, b->filters[i].rbac));
	}
	return NULL;
}

static const char *
chain_read(struct reader *r, block_ref ref)
{
	const struct block_chain *c = at(r, ref);

	WANT(ref != 0);
	if (again(r, CHAIN, ref))
		return NULL;
	READ(text_read(r, c->name));
	if (c->tls != 0)
		READ(tls_read(r, c->tls));
	WANT(c->hcm != 0);
	return hcm_read(r, c->hcm);
}

static const char *
listener_read(struct reader *r, const struct block_root *root, block_ref ref)
{
	const struct block_listener *l = at(r, ref);
	const struct block_list *chains;

	WANT(ref != 0);
	WANT(l->slot < LISTENERS_MAX);	/* an index into a row */
	WANT(block_listener_find(r->a, root, l->slot, l->tag) ==
	    l);
	if (again(r, LISTENER, ref))
		return NULL;
	READ(text_read(r, l->name));
	READ(text_read(r, l->stat_name));
	WANT(l->address.family == AF_INET || l->address.family == AF_INET6);
	chains = at(r, l->chains);
	WANT(l->chains != 0 && chains->n >= 1);
	READ(chain_read(r, chains->at[0]));
	WANT(block_chain_of(r->a, l) == at(r, chains->at[0]));
	for (uint32_t i = 1; i < chains->n; i++)
		READ(chain_read(r, chains->at[i]));
	return NULL;
}

/* ---- clusters */

static const char *
balance_read(struct reader *r, block_ref ref)
{
	const struct block_balance *b = at(r, ref);
	uint64_t sum = 0;

	if (again(r, BALANCE, ref))
		return NULL;
	for (uint32_t i = 0; i < b->endpoints_n; i++) {
		const struct block_endpoint *e = &b->endpoints[i];

		WANT(e->address.family == AF_INET ||
		    e->address.family == AF_INET6);
		WANT(e->id < 1 << 20 && e->weight >= 1);
		WANT(i == 0 || e[-1].id < e->id);
		WANT(b->weights_differ || e->weight == b->endpoints[0].weight);
		touch(r, e, sizeof(*e));
		sum += e->weight;
	}
	WANT(sum == b->weight_total);
	return NULL;
}

static const char *
cluster_read(struct reader *r, const struct block_cluster *c, uint32_t slot,
    block_ref ref)
{
	WANT(c->slot == slot);
	if (again(r, CLUSTER, ref))
		return NULL;
	touch(r, c, sizeof(*c));
	READ(text_read(r, c->name));
	WANT(c->lb_policy <= LB_RANDOM && c->balance != 0);
	READ(balance_read(r, c->balance));
	return c->tls == 0 ? NULL : tls_read(r, c->tls);
}

static const char *
clusters_read(struct reader *r, const struct block_root *root)
{
	const struct block_list *pages = at(r, root->clusters), *page;

	WANT(pages->n <= CLUSTERS_MAX / PAGE_SLOTS);
	for (uint32_t slot = 0; slot < pages->n * PAGE_SLOTS; slot++) {
		const struct block_cluster *c = block_cluster_find(r->a, root,
		    slot);

		if (c == NULL)
			continue;
		page = at(r, pages->at[slot / PAGE_SLOTS]);
		READ(cluster_read(r, c, slot, page->at[slot % PAGE_SLOTS]));
	}
	return NULL;
}

static const char *
root_read(struct reader *r, block_ref ref)
{
	const struct block_root *root = at(r, ref);
	const struct block_list *listeners = at(r, root->listeners);

	touch(r, root, sizeof(*root));
	WANT(root->listeners != 0 && root->clusters != 0);
	WANT(root->settings.log_level <= 3);
	WANT(listeners->n <= LISTENERS_MAX);
	for (uint32_t i = 0; i < listeners->n; i++)
		READ(listener_read(r, root, listeners->at[i]));
	return clusters_read(r, root);
}

const char *
sample_read(const struct arena *a, block_ref root)
{
	struct reader r = { .a = a, .seen = calloc(a->size_bytes /
	    ARENA_UNIT_BYTES + 1, sizeof(*r.seen)) };
	const char *wrong = r.seen == NULL ? "no memory" : root_read(&r, root);

	free(r.seen);
	return wrong;
}
