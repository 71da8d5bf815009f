/*
 * shm/block_check.c - what the numbers of a block may be, whoever wrote them:
 * all that a reader takes on trust and that the block itself can tell.
 *
 * Most of it is one table, limits[]: a number at a place of a kind, and from
 * where to where it may be. A ref that must be there is a number that is at
 * least 1. What has no such form stands in others[], a function per kind.
 */
#include "shm/block_kind.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

#include "shm/log.h"

/* ---- numbers with limits */

enum place { FIXED, ITEM };

struct limit {
	enum block_kind	kind;
	enum place	place;		/* at counts from the block, or from
					   each of its items */
	size_t		at, bytes;	/* 1, 2, 4 */
	uint32_t	low, high;
	const char	*wrong;
};

#define IN(type, field) offsetof(struct block_##type, field), \
	sizeof(((struct block_##type *)0)->field)
#define OF(kind, type, field, ...) \
	{ BLOCK_##kind, FIXED, IN(type, field), __VA_ARGS__ }
#define EACH(kind, type, field, ...) \
	{ BLOCK_##kind, ITEM, IN(type, field), __VA_ARGS__ }
#define PRESENT 1, UINT32_MAX
#define REF_EACH(kind, wrong) \
	{ BLOCK_##kind, ITEM, 0, sizeof(block_ref), PRESENT, wrong }

/* HTTP/2's windows are signed (RFC 9113 6.9.1). */
#define HTTP(kind, type) \
	OF(kind, type, h2.stream_window_bytes, 0, INT32_MAX, \
	    "its stream window is too large"), \
	OF(kind, type, h2.connection_window_bytes, 0, INT32_MAX, \
	    "its connection window is too large"), \
	OF(kind, type, limits.bytes_max, PRESENT, "it allows no header"), \
	OF(kind, type, limits.count_max, PRESENT, "it allows no header")

/* In the order of the kinds: limits_find relies on it. */
static const struct limit limits[] = {
	OF(ROOT, root, listeners, PRESENT, "its listeners are missing"),
	OF(ROOT, root, clusters, PRESENT, "its clusters are missing"),
	OF(ROOT, root, settings.cause_off, 0, 1,
	    "cause_off is neither 0 nor 1"),
	OF(ROOT, root, settings.log_level, 0, LOG_DEBUG,
	    "its log level is none"),
	OF(LISTENERS, list, n, 0, LISTENERS_MAX,
	    "they are more than there are slots"),
	REF_EACH(LISTENERS, "a listener is missing"),
	OF(LISTENER, listener, name, PRESENT, "its name is missing"),
	OF(LISTENER, listener, stat_name, PRESENT,
	    "its name for statistics is missing"),
	OF(LISTENER, listener, chains, PRESENT, "its chains are missing"),
	OF(LISTENER, listener, slot, 0, LISTENERS_MAX - 1,
	    "its slot is beyond the last"),
	OF(LISTENER, listener, tag, PRESENT, "it has no tag"),
	OF(CHAINS, list, n, PRESENT, "there are none"),
	REF_EACH(CHAINS, "a filter chain is missing"),
	OF(CHAIN, chain, hcm, PRESENT, "its connection manager is missing"),
	OF(HCM, hcm, stat_prefix, PRESENT,
	    "its name for statistics is missing"),
	OF(HCM, hcm, route_config, PRESENT,
	    "its route configuration is missing"),
	OF(HCM, hcm, flags, 0,
	    HCM_REQUEST_ID | HCM_REQUEST_ID_BACK | HCM_ORIGINALS,
	    "it has an unknown flag"),
	OF(HCM, hcm, filters_n, 1, FILTERS_MAX,
	    "it has no filter, or too many"),
	HTTP(HCM, hcm),
	EACH(HCM, filter, kind, 0, FILTER_KINDS - 1,
	    "a filter is of no known kind"),
	OF(ROUTE_CONFIG, route_config, name, PRESENT, "its name is missing"),
	OF(ROUTE_CONFIG, route_config, hosts, PRESENT,
	    "its virtual hosts are missing"),
	OF(ROUTE_CONFIG, route_config, ignore_port, 0, 1,
	    "ignore_port is neither 0 nor 1"),
	OF(ROUTE_CONFIG, route_config, overrides, 0, 1,
	    "overrides is neither 0 nor 1"),
	EACH(ROUTE_CONFIG, domain, text, PRESENT,
	    "a domain's text is missing"),
	EACH(ROUTE_CONFIG, domain, kind, 0, DOMAIN_ANY,
	    "a domain is of no known kind"),
	REF_EACH(HOSTS, "a virtual host is missing"),
	OF(HOST, host, name, PRESENT, "its name is missing"),
	EACH(HOST, route, kind, 0, MATCH_SEPARATED_PREFIX,
	    "a route matches in no known way"),
	EACH(HOST, route, flags, 0, MATCH_ANY_CASE | MATCH_GRPC,
	    "a route has an unknown flag"),
	EACH(HOST, route, path, PRESENT, "a route's path is missing"),
	EACH(HOST, route, cluster, 0, CLUSTER_NONE,
	    "a route's cluster is beyond the last slot"),
	EACH(HOST, route, plan, PRESENT, "a route's plan is missing"),
	OF(HEADER_MATCHES, header_matches, n, PRESENT, "there are none"),
	EACH(HEADER_MATCHES, header_match, name, PRESENT,
	    "a header's name is missing"),
	EACH(HEADER_MATCHES, header_match, kind, 0, HEADER_RANGE,
	    "a header is matched in no known way"),
	EACH(HEADER_MATCHES, header_match, flags, 0,
	    HEADER_INVERT | HEADER_MISSING_AS_EMPTY | HEADER_ANY_CASE,
	    "a header match has an unknown flag"),
	OF(OVERRIDES, overrides, n, 1, FILTERS_MAX,
	    "they are for no filter, or for too many"),
	EACH(OVERRIDES, override, set, 0, 1,
	    "one is neither there nor not there"),
	OF(RBAC_RULES, rbac_rules, action, 0, RBAC_DENY,
	    "their action is of no known kind"),
	OF(RBAC_RULES, rbac_rules, nodes_n, 0, RBAC_NODES_MAX,
	    "they have too many nodes"),
	EACH(RBAC_RULES, rbac_node, what, 0, RBAC_HEADER,
	    "a node looks at nothing known"),
	EACH(RBAC_RULES, rbac_node, match.kind, 0, HEADER_RANGE,
	    "a node matches in no known way"),
	EACH(RBAC_RULES, rbac_node, match.flags, 0,
	    HEADER_INVERT | HEADER_MISSING_AS_EMPTY | HEADER_ANY_CASE,
	    "a node has an unknown flag"),
	OF(SPLIT, split, n, PRESENT, "there are none"),
	EACH(SPLIT, share, below, PRESENT, "a share is never taken"),
	EACH(SPLIT, share, cluster, 0, CLUSTER_NONE,
	    "a share's cluster is beyond the last slot"),
	EACH(SPLIT, share, plan, PRESENT, "a share's plan is missing"),
	OF(PAGES, list, n, 0, CLUSTERS_MAX / PAGE_SLOTS,
	    "they are more than there are slots"),
	OF(PAGE, list, n, PAGE_SLOTS, PAGE_SLOTS,
	    "it has not as many slots as a page"),
	OF(CLUSTER, cluster, name, PRESENT, "its name is missing"),
	OF(CLUSTER, cluster, slot, 0, CLUSTERS_MAX - 1,
	    "its slot is beyond the last"),
	OF(CLUSTER, cluster, tag, PRESENT, "it has no tag"),
	OF(CLUSTER, cluster, balance, PRESENT, "its endpoints are missing"),
	OF(CLUSTER, cluster, lb_policy, 0, LB_RANDOM,
	    "it balances in no known way"),
	HTTP(CLUSTER, cluster),
	OF(BALANCE, balance, endpoints_n, 0, ENDPOINTS_MAX,
	    "they are more than there are ids"),
	EACH(BALANCE, endpoint, id, 0, ENDPOINTS_MAX - 1,
	    "an endpoint's id is beyond the last"),
	EACH(BALANCE, endpoint, tag, PRESENT, "an endpoint has no tag"),
	EACH(BALANCE, endpoint, weight, PRESENT,
	    "an endpoint has no weight"),
	OF(TLS, tls, version_min, 0x0303, 0x0304,
	    "its lowest TLS version is neither 1.2 nor 1.3"),
	OF(TLS, tls, version_max, 0x0303, 0x0304,
	    "its highest TLS version is neither 1.2 nor 1.3"),
	OF(TLS, tls, server, 0, 1, "server is neither 0 nor 1"),
	OF(TLS, tls, require_client_certificate, 0, 1,
	    "require_client_certificate is neither 0 nor 1"),
	REF_EACH(SECRETS, "a secret is missing"),
};

enum { LIMITS_N = sizeof(limits) / sizeof(limits[0]) };

static const struct limit *
limits_find(enum block_kind kind)
{
	const struct limit *l = limits;

	while (l < limits + LIMITS_N && l->kind < kind)
		l++;
	return l;
}

static uint32_t
number_at(const uint8_t *p, size_t bytes)
{
	uint16_t two;
	uint32_t four;

	if (bytes == 1)
		return *p;
	memcpy(bytes == 2 ? (void *)&two : (void *)&four, p, bytes);
	return bytes == 2 ? two : four;
}

static bool
keeps(const struct limit *l, const uint8_t *p)
{
	uint32_t n = number_at(p + l->at, l->bytes);

	return n >= l->low && n <= l->high;
}

static const char *
limits_check(enum block_kind kind, const uint8_t *p)
{
	size_t bytes;
	uint32_t n;
	const uint8_t *items = block_kind_items(kind, p, &n, &bytes);
	const struct limit *l;

	for (l = limits_find(kind); l < limits + LIMITS_N && l->kind == kind;
	    l++) {
		if (l->place == FIXED && !keeps(l, p))
			return l->wrong;
		for (uint32_t i = 0; l->place == ITEM && i < n; i++)
			if (!keeps(l, items + i * bytes))
				return l->wrong;
	}
	return NULL;
}

/* ---- what else */

static bool
is_ip(const struct block_address *a)
{
	return a->family == AF_INET || a->family == AF_INET6;
}

static const char *
listener_check(const void *p)
{
	return is_ip(&((const struct block_listener *)p)->address) ? NULL :
	    "its address is neither IPv4 nor IPv6";
}

/* A router before the last would begin a second attempt. */
static const char *
hcm_check(const void *p)
{
	const struct block_hcm *h = p;

	for (uint32_t i = 0; i < h->filters_n; i++) {
		const struct block_filter *f = &h->filters[i];

		if ((f->kind == FILTER_ROUTER) != (i == h->filters_n - 1))
			return "its router is not its last filter";
		if (f->kind != FILTER_RBAC && f->rbac != 0)
			return "its router has rules";
	}
	return NULL;
}

/* The first that matches wins, so their order is what they mean. */
static const char *
route_config_check(const void *p)
{
	const struct block_route_config *b = p;

	if (b->exact_n > b->domains_n)
		return "its exact domains are more than all";
	for (uint32_t i = 1; i < b->domains_n; i++) {
		const struct block_domain *one = &b->domains[i - 1];
		const struct block_domain *two = &b->domains[i];

		if (one->kind > two->kind ||
		    (one->kind == two->kind && one->len < two->len))
			return "its domains are out of order";
	}
	return NULL;
}

static bool
leads_on(const struct block_rbac_rules *b, uint32_t to, uint32_t from)
{
	return to == RBAC_MATCHES || to == RBAC_FAILS ||
	    (to >= from && to < b->nodes_n);
}

/* A walk ends: see struct block_rbac_rules. */
static const char *
rbac_rules_check(const void *p)
{
	const struct block_rbac_rules *b = p;

	if (!leads_on(b, b->entry, 0))
		return "their entry is none of their nodes";
	for (uint32_t i = 0; i < b->nodes_n; i++) {
		const struct block_rbac_node *n = &b->nodes[i];

		if (!leads_on(b, n->yes, i + 1) || !leads_on(b, n->no, i + 1))
			return "a node does not lead to a later one";
		if ((n->what == RBAC_HEADER) != (n->match.name != 0))
			return "a header's name is missing, or one too many";
	}
	return NULL;
}

static const char *
sums_check(const struct block_balance *b)
{
	bool differ = false;
	uint64_t sum = 0;

	for (uint32_t i = 0; i < b->endpoints_n; i++) {
		sum += b->endpoints[i].weight;
		if (b->endpoints[i].weight != b->endpoints[0].weight)
			differ = true;
	}
	if (sum != b->weight_total)
		return "their weights have another sum";
	if (b->weights_differ != (uint32_t)differ)
		return differ ? "their weights differ" :
		    "their weights don't differ";
	return b->endpoints_n > b->endpoints_all ?
	    "more are usable than there are" : NULL;
}

static const char *
balance_check(const void *p)
{
	const struct block_balance *b = p;

	for (uint32_t i = 0; i < b->endpoints_n; i++) {
		if (!is_ip(&b->endpoints[i].address))
			return "an endpoint's address is neither IPv4 nor "
			    "IPv6";
		if (i > 0 && b->endpoints[i].id <= b->endpoints[i - 1].id)
			return "they are not ordered by id";
	}
	return sums_check(b);
}

/* Behind the names, before the end, and a NUL after it. */
static bool
span_holds(const struct block_tls *b, struct block_span s)
{
	uint64_t from = offsetof(struct block_tls, sans) +
	    (uint64_t)b->sans_n * sizeof(b->sans[0]);

	if (s.off == 0)
		return s.len == 0;
	return s.off >= from && (uint64_t)s.off + s.len < b->bytes &&
	    ((const char *)b)[s.off + s.len] == '\0';
}

static const char *
sans_check(const struct block_tls *b)
{
	for (uint32_t i = 0; i < b->sans_n; i++) {
		const struct block_san *s = &b->sans[i];

		if (s->type < 1 || s->type > 4)
			return "a name's type is none";
		if (s->kind < HEADER_EXACT || s->kind > HEADER_CONTAINS)
			return "a name is matched in no known way";
		if (s->value.off == 0 || !span_holds(b, s->value))
			return "a name's text is not inside";
	}
	return NULL;
}

static const char *
tls_check(const void *p)
{
	const struct block_tls *b = p;

	if (b->hash == 0 || b->admits == 0)
		return "its hash is missing";
	if (b->version_min > b->version_max)
		return "its lowest TLS version is above its highest";
	if (b->sans_n > TLS_SANS_MAX)
		return "it has too many names";
	if (offsetof(struct block_tls, sans) +
	    (uint64_t)b->sans_n * sizeof(b->sans[0]) > b->bytes)
		return "its names are longer than itself";
	if (!span_holds(b, b->certificate_chain) ||
	    !span_holds(b, b->private_key_file) ||
	    !span_holds(b, b->certificate_file) ||
	    !span_holds(b, b->certificate_secret) ||
	    !span_holds(b, b->trusted_ca) || !span_holds(b, b->ca_file) ||
	    !span_holds(b, b->ca_secret) || !span_holds(b, b->sni) ||
	    !span_holds(b, b->ciphers))
		return "a text of it is not inside";
	return sans_check(b);
}

/* A share that ends where it begins is never taken: it would be no error, but
 * nobody writes it. */
static const char *
split_check(const void *p)
{
	const struct block_split *b = p;
	uint32_t last = 0;

	for (uint32_t i = 0; i < b->n; i++) {
		if (b->shares[i].below <= last)
			return "a share is never taken";
		last = b->shares[i].below;
	}
	return b->total == last ? NULL : "its shares have another sum";
}

static const char *
text_check(const void *p)
{
	const struct block_text *b = p;

	return b->bytes[b->len] == '\0' ? NULL : "it does not end in NUL";
}

static const char *(*const others[BLOCK_KINDS])(const void *p) = {
	[BLOCK_LISTENER] = listener_check,
	[BLOCK_HCM] = hcm_check,
	[BLOCK_ROUTE_CONFIG] = route_config_check,
	[BLOCK_RBAC_RULES] = rbac_rules_check,
	[BLOCK_SPLIT] = split_check,
	[BLOCK_BALANCE] = balance_check,
	[BLOCK_ROUTE_INDEX] = block_index_check,
	[BLOCK_TLS] = tls_check,
	[BLOCK_PLAN] = block_plan_check,
	[BLOCK_TEXT] = text_check,
};

const char *
block_kind_check(enum block_kind kind, const void *p)
{
	const char *wrong = limits_check(kind, p);

	if (wrong == NULL && others[kind] != NULL)
		wrong = others[kind](p);
	return wrong;
}
