/* shm/block_kind.c - see block_kind.h. */
#include "shm/block_kind.h"

#include <stdbool.h>
#include <string.h>

enum { FIELDS_MAX = 6 };

/* A ref field of a struct, at a fixed place. */
struct field {
	size_t		at;
	enum block_kind	names;
};

/* A kind: fixed bytes, then items as many as the count at count_at says. */
struct shape {
	const char	*name;
	size_t		 fixed, item;	/* item 0: none follow */
	size_t		 count_at;
	size_t		 extra;		/* after the items: a text's NUL */
	struct field	 fields[FIELDS_MAX];	/* until names is BLOCK_ROOT */
	struct field	 items[FIELDS_MAX];	/* inside each item */
	bool		 bytes_inside;	/* self-contained: count_at is where
					   its whole length stands */
};

#define LIST(of) .fixed = offsetof(struct block_list, at), \
	.item = sizeof(block_ref), .count_at = offsetof(struct block_list, n), \
	.items = { { 0, of } }
#define AT(type, field) offsetof(struct block_##type, field)

static const struct shape shapes[BLOCK_KINDS] = {
	[BLOCK_ROOT] = { "root", .fixed = sizeof(struct block_root),
	    .fields = { { AT(root, listeners), BLOCK_LISTENERS },
	    { AT(root, clusters), BLOCK_PAGES } } },
	[BLOCK_LISTENERS] = { "listeners", LIST(BLOCK_LISTENER) },
	[BLOCK_LISTENER] = { "listener",
	    .fixed = sizeof(struct block_listener),
	    .fields = { { AT(listener, name), BLOCK_TEXT },
	    { AT(listener, stat_name), BLOCK_TEXT },
	    { AT(listener, chains), BLOCK_CHAINS } } },
	[BLOCK_CHAINS] = { "filter chains", LIST(BLOCK_CHAIN) },
	[BLOCK_CHAIN] = { "filter chain", .fixed = sizeof(struct block_chain),
	    .fields = { { AT(chain, name), BLOCK_TEXT },
	    { AT(chain, tls), BLOCK_TLS }, { AT(chain, hcm), BLOCK_HCM } } },
	[BLOCK_HCM] = { "connection manager",
	    .fixed = offsetof(struct block_hcm, filters),
	    .item = sizeof(struct block_filter), .count_at = AT(hcm, filters_n),
	    .fields = { { AT(hcm, stat_prefix), BLOCK_TEXT },
	    { AT(hcm, route_config), BLOCK_ROUTE_CONFIG } },
	    .items = { { AT(filter, rbac), BLOCK_RBAC } } },
	[BLOCK_ROUTE_CONFIG] = { "route configuration",
	    .fixed = offsetof(struct block_route_config, domains),
	    .item = sizeof(struct block_domain),
	    .count_at = AT(route_config, domains_n),
	    .fields = { { AT(route_config, name), BLOCK_TEXT },
	    { AT(route_config, hosts), BLOCK_HOSTS } },
	    .items = { { AT(domain, text), BLOCK_TEXT } } },
	[BLOCK_HOSTS] = { "virtual hosts", LIST(BLOCK_HOST) },
	[BLOCK_HOST] = { "virtual host",
	    .fixed = offsetof(struct block_host, routes),
	    .item = sizeof(struct block_route), .count_at = AT(host, routes_n),
	    .fields = { { AT(host, name), BLOCK_TEXT },
	    { AT(host, index), BLOCK_ROUTE_INDEX } },
	    .items = { { AT(route, path), BLOCK_TEXT },
	    { AT(route, headers), BLOCK_HEADER_MATCHES },
	    { AT(route, plan), BLOCK_PLAN },
	    { AT(route, split), BLOCK_SPLIT },
	    { AT(route, name), BLOCK_TEXT },
	    { AT(route, overrides), BLOCK_OVERRIDES } } },
	[BLOCK_ROUTE_INDEX] = { "route index",
	    .fixed = sizeof(struct block_route_index),
	    .count_at = AT(route_index, bytes), .bytes_inside = true },
	[BLOCK_HEADER_MATCHES] = { "header matches",
	    .fixed = offsetof(struct block_header_matches, at),
	    .item = sizeof(struct block_header_match),
	    .count_at = AT(header_matches, n),
	    .items = { { AT(header_match, name), BLOCK_TEXT },
	    { AT(header_match, value), BLOCK_TEXT } } },
	[BLOCK_OVERRIDES] = { "overrides",
	    .fixed = offsetof(struct block_overrides, at),
	    .item = sizeof(struct block_override), .count_at = AT(overrides, n),
	    .items = { { AT(override, rbac), BLOCK_RBAC } } },
	[BLOCK_RBAC] = { "RBAC", .fixed = sizeof(struct block_rbac),
	    .fields = { { AT(rbac, rules), BLOCK_RBAC_RULES },
	    { AT(rbac, shadow_rules), BLOCK_RBAC_RULES } } },
	[BLOCK_RBAC_RULES] = { "RBAC rules",
	    .fixed = offsetof(struct block_rbac_rules, nodes),
	    .item = sizeof(struct block_rbac_node),
	    .count_at = AT(rbac_rules, nodes_n),
	    .items = { { AT(rbac_node, match.name), BLOCK_TEXT },
	    { AT(rbac_node, match.value), BLOCK_TEXT } } },
	[BLOCK_SPLIT] = { "split",
	    .fixed = offsetof(struct block_split, shares),
	    .item = sizeof(struct block_share), .count_at = AT(split, n),
	    .items = { { AT(share, plan), BLOCK_PLAN } } },
	[BLOCK_PAGES] = { "cluster pages", LIST(BLOCK_PAGE) },
	[BLOCK_PAGE] = { "cluster page", LIST(BLOCK_CLUSTER) },
	[BLOCK_CLUSTER] = { "cluster", .fixed = sizeof(struct block_cluster),
	    .fields = { { AT(cluster, name), BLOCK_TEXT },
	    { AT(cluster, balance), BLOCK_BALANCE },
	    { AT(cluster, tls), BLOCK_TLS } } },
	[BLOCK_BALANCE] = { "endpoints",
	    .fixed = offsetof(struct block_balance, endpoints),
	    .item = sizeof(struct block_endpoint),
	    .count_at = AT(balance, endpoints_n) },
	[BLOCK_TLS] = { "TLS settings", .fixed = sizeof(struct block_tls),
	    .count_at = AT(tls, bytes), .bytes_inside = true },
	[BLOCK_PLAN] = { "plan", .fixed = sizeof(struct block_plan),
	    .count_at = AT(plan, bytes), .bytes_inside = true },
	[BLOCK_SECRETS] = { "secrets", LIST(BLOCK_TEXT) },
	[BLOCK_TEXT] = { "text", .fixed = offsetof(struct block_text, bytes),
	    .item = 1, .count_at = AT(text, len), .extra = 1 },
};

const char *
block_kind_name(enum block_kind kind)
{
	return shapes[kind].name;
}

static uint32_t
count_of(const struct shape *s, const void *p)
{
	uint32_t n;

	memcpy(&n, (const uint8_t *)p + s->count_at, sizeof(n));
	return n;
}

size_t
block_kind_bytes(enum block_kind kind, const void *p, size_t max)
{
	const struct shape *s = &shapes[kind];
	uint64_t n;

	if (s->fixed > max)
		return 0;
	if (s->bytes_inside)
		n = count_of(s, p);
	else if (s->item > 0)
		n = s->fixed + (uint64_t)count_of(s, p) * s->item + s->extra;
	else
		n = s->fixed;
	return n >= s->fixed && n <= max ? (size_t)n : 0;
}

static void
fields_see(const struct field *fields, uint8_t *at, block_ref_see *see,
    void *arg)
{
	for (int i = 0; i < FIELDS_MAX && fields[i].names != BLOCK_ROOT; i++) {
		block_ref *ref = (block_ref *)(void *)(at + fields[i].at);

		if (*ref != 0)
			see(arg, fields[i].names, ref);
	}
}

void
block_kind_refs(enum block_kind kind, void *p, block_ref_see *see, void *arg)
{
	const struct shape *s = &shapes[kind];
	uint32_t n;

	fields_see(s->fields, p, see, arg);
	if (s->items[0].names == BLOCK_ROOT)
		return;
	n = count_of(s, p);
	for (uint32_t i = 0; i < n; i++)
		fields_see(s->items, (uint8_t *)p + s->fixed + i * s->item,
		    see, arg);
}

static int
fields_look(const struct field *fields, const uint8_t *at,
    block_ref_look *look, void *arg)
{
	int rc = 0;

	for (int i = 0; i < FIELDS_MAX && fields[i].names != BLOCK_ROOT &&
	    rc == 0; i++) {
		block_ref ref;

		memcpy(&ref, at + fields[i].at, sizeof(ref));
		if (ref != 0)
			rc = look(arg, fields[i].names, ref);
	}
	return rc;
}

int
block_kind_look(enum block_kind kind, const void *p, block_ref_look *look,
    void *arg)
{
	const struct shape *s = &shapes[kind];
	int rc = fields_look(s->fields, p, look, arg);
	uint32_t n;
	size_t bytes;
	const uint8_t *at = block_kind_items(kind, p, &n, &bytes);

	if (s->items[0].names == BLOCK_ROOT)
		return rc;
	for (uint32_t i = 0; i < n && rc == 0; i++, at += bytes)
		rc = fields_look(s->items, at, look, arg);
	return rc;
}

const void *
block_kind_items(enum block_kind kind, const void *p, uint32_t *n,
    size_t *bytes)
{
	const struct shape *s = &shapes[kind];

	*n = s->item == 0 ? 0 : count_of(s, p);
	*bytes = s->item;
	return (const uint8_t *)p + s->fixed;
}
