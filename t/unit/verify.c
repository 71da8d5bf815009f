/*
 * t/unit/verify.c - shm/verify.c and shm/block_check.c: a good generation
 * passes; with any one thing wrong it is refused with its sentence; with
 * anything at random nothing is read outside, and what passes is readable.
 *
 * The arena ends where a page begins that can't be touched, and can't be
 * written while verify looks at it.
 */
#include "shm/verify.h"

#include <criterion/criterion.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "t/lib/chance.h"
#include "t/lib/sample.h"

enum { PAGE_BYTES = 4096, MAP_BYTES = 4 << 20, ROUNDS = 300000 };

static char why[512];
static struct arena good;		/* on the heap */
static struct sample sample;		/* points into it */
static struct arena a;			/* before the edge */
static uint8_t *map;

static void
map_protect(int prot)
{
	cr_assert_eq(mprotect(map, MAP_BYTES, prot), 0);
}

/* The first bytes of from, so that they end at the edge. */
static void
arena_set(const struct arena *from, uint64_t bytes)
{
	map_protect(PROT_READ | PROT_WRITE);
	a = (struct arena){ .base = map + MAP_BYTES - bytes,
	    .size_bytes = bytes, .fd = -1 };
	memcpy(a.base, from->base, bytes);
}

static void
setup(void)
{
	map = mmap(NULL, MAP_BYTES + PAGE_BYTES, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	cr_assert_neq(map, MAP_FAILED);
	cr_assert_eq(mprotect(map + MAP_BYTES, PAGE_BYTES, PROT_NONE), 0);
	good = (struct arena){ .base = calloc(1, MAP_BYTES),
	    .size_bytes = MAP_BYTES, .used_bytes = ARENA_CONTROL_BYTES };
	sample_put(&sample, &good);
	arena_set(&good, good.used_bytes);
}

static void
teardown(void)
{
	free(good.base);
	munmap(map, MAP_BYTES + PAGE_BYTES);
}

TestSuite(verify, .init = setup, .fini = teardown);

static uint64_t
ref_of(const void *p)
{
	return (uint64_t)((const uint8_t *)p - good.base) / ARENA_UNIT_BYTES;
}

static int
verify_it(uint64_t bytes_max)
{
	map_protect(PROT_READ);
	strcpy(why, "");
	return verify(&a, NULL, sample.root_ref, bytes_max, why, sizeof(why));
}

/* ---- what passes */

Test(verify, a_good_generation_passes_and_is_readable)
{
	cr_assert_eq(verify_it(UINT64_MAX), 0, "%s", why);
	cr_assert_str_eq(why, "");
	cr_assert_null(sample_read(&a, sample.root_ref));
}

/* Two listeners have one connection manager, whose bytes count once. */
Test(verify, bytes_max_is_what_the_blocks_take)
{
	uint64_t low = 0, high = good.used_bytes - ARENA_CONTROL_BYTES, mid;

	cr_assert_eq(verify_it(high), 0, "%s", why);
	while (high - low > 1) {
		mid = low + (high - low) / 2;
		if (verify_it(mid) == 0)
			high = mid;
		else
			low = mid;
	}
	cr_assert_eq(high % ARENA_UNIT_BYTES, 0);
	cr_assert_gt(high, good.used_bytes - ARENA_CONTROL_BYTES - 2 * 320);
	cr_assert_eq(verify_it(low), -1);
	cr_assert_not_null(strstr(why, ": with it there are more bytes than "
	    "were written"), "%s", why);
}

Test(verify, a_large_generation_passes)
{
	block_ref root;

	good.used_bytes = ARENA_CONTROL_BYTES;
	root = sample_put_endpoints(&good, 20000, 9000);
	arena_set(&good, good.used_bytes);
	sample.root_ref = root;
	cr_assert_eq(verify_it(good.used_bytes), 0, "%s", why);
	cr_assert_null(sample_read(&a, root));
}

/* What was seen is remembered while the memory of it grows: the last cluster
 * has the first one's name, whose 16 bytes count once. */
Test(verify, a_shared_block_counts_once_however_many_there_are)
{
	const struct block_cluster *first;
	struct block_cluster *last;

	good.used_bytes = ARENA_CONTROL_BYTES;
	sample.root_ref = sample_put_endpoints(&good, 1, 9000);
	first = block_cluster_find(&good, arena_at(&good, sample.root_ref),
	    0);
	last = (struct block_cluster *)(uintptr_t)block_cluster_find(&good,
	    arena_at(&good, sample.root_ref), 9000);
	last->name = first->name;
	arena_set(&good, good.used_bytes);
	cr_expect_eq(verify_it(good.used_bytes - ARENA_CONTROL_BYTES - 16),
	    0, "%s", why);
	cr_expect_eq(verify_it(good.used_bytes - ARENA_CONTROL_BYTES - 17),
	    -1);
}

/* ---- one thing wrong */

#define ROOT "root"
#define LISTENERS ROOT " > listeners"
#define LISTENER LISTENERS " > listener"
#define CHAINS LISTENER " > filter chains"
#define CHAIN CHAINS " > filter chain"
#define HCM CHAIN " > connection manager"
#define ROUTES HCM " > route configuration"
#define HOSTS ROUTES " > virtual hosts"
#define HOST HOSTS " > virtual host"
#define OVERRIDES HOST " > overrides"
#define RBAC OVERRIDES " > RBAC"	/* its routes come before its filters */
#define RULES RBAC " > RBAC rules"
#define MATCHES HOST " > header matches"
#define SPLIT HOST " > split"
#define PAGES ROOT " > cluster pages"
#define PAGE PAGES " > cluster page"
#define CLUSTER PAGE " > cluster"
#define BALANCE CLUSTER " > endpoints"
#define TLS CHAIN " > TLS settings"

/* of: which block, as a field of struct sample. */
#define SET(of, type, field, value) offsetof(struct sample, of), \
	offsetof(struct block_##type, field), \
	sizeof(((struct block_##type *)0)->field), value

enum whose {			/* where it is that something is wrong */
	OWN,
	CHILD,				/* at the ref that was written */
	PARENT,				/* in what names it */
};

static const struct wrong {
	size_t		of, at, bytes;
	uint64_t	value;
	const char	*path, *wrong;
	enum whose	address;
} wrongs[] = {
	{ SET(root, root, listeners, 0), ROOT, "its listeners are missing" },
	{ SET(root, root, clusters, 0), ROOT, "its clusters are missing" },
	{ SET(root, root, settings.cause_off, 2), ROOT,
	    "cause_off is neither 0 nor 1" },
	{ SET(root, root, settings.log_level, 4), ROOT,
	    "its log level is none" },

	/* refs */
	{ SET(root, root, listeners, 255), LISTENERS,
	    "it lies in the control page", CHILD },
	{ SET(root, root, listeners, 1), LISTENERS,
	    "it lies in the control page", CHILD },
	{ SET(root, root, listeners, UINT32_MAX), LISTENERS,
	    "it lies outside the arena", CHILD },
	{ SET(listener, listener, chains, 0x1000000), CHAINS,
	    "it lies outside the arena", CHILD },
	{ SET(chain, chain, name, 255), CHAIN " > text",
	    "it lies in the control page", CHILD },
	{ SET(host, host, routes[2].plan, 1 << 28), HOST " > plan",
	    "it lies outside the arena", CHILD },
	{ SET(hcm, hcm, filters[0].rbac, 1 << 28), HCM " > RBAC",
	    "it lies outside the arena", CHILD },
	{ SET(page, list, at[255], 200), CLUSTER,
	    "it lies in the control page", CHILD },

	{ SET(listeners, list, n, 65), LISTENERS,
	    "they are more than there are slots" },
	{ SET(listeners, list, n, UINT32_MAX), LISTENERS,
	    "it reaches beyond the arena" },
	{ SET(listeners, list, at[1], 0), LISTENERS, "a listener is missing" },
	{ SET(listener, listener, slot, 63), LISTENERS,
	    "two of them have one slot", PARENT },

	{ SET(listener, listener, name, 0), LISTENER, "its name is missing" },
	{ SET(listener, listener, stat_name, 0), LISTENER,
	    "its name for statistics is missing" },
	{ SET(listener, listener, chains, 0), LISTENER,
	    "its chains are missing" },
	{ SET(listener, listener, slot, 64), LISTENER,
	    "its slot is beyond the last" },
	{ SET(listener, listener, tag, 0), LISTENER, "it has no tag" },
	{ SET(listener, listener, address.family, 0), LISTENER,
	    "its address is neither IPv4 nor IPv6" },

	{ SET(chains, list, n, 0), CHAINS, "there are none" },
	{ SET(chains, list, at[0], 0), CHAINS, "a filter chain is missing" },

	{ SET(chain, chain, hcm, 0), CHAIN,
	    "its connection manager is missing" },
	{ SET(tls, tls, server, 0), CHAIN, "its TLS settings are a client's", PARENT },

	{ SET(hcm, hcm, stat_prefix, 0), HCM,
	    "its name for statistics is missing" },
	{ SET(hcm, hcm, route_config, 0), HCM,
	    "its route configuration is missing" },
	{ SET(hcm, hcm, flags, 8), HCM, "it has an unknown flag" },
	{ SET(hcm, hcm, filters_n, 0), HCM, "it has no filter, or too many" },
	{ SET(hcm, hcm, filters_n, 9), HCM, "it has no filter, or too many" },
	{ SET(hcm, hcm, filters_n, UINT32_MAX), HCM,
	    "it reaches beyond the arena" },
	{ SET(hcm, hcm, filters[0].kind, FILTER_KINDS), HCM,
	    "a filter is of no known kind" },
	{ SET(hcm, hcm, filters[1].rbac, 4711), HCM, "its router has rules" },
	{ SET(hcm, hcm, h2.stream_window_bytes, 0x80000000), HCM,
	    "its stream window is too large" },
	{ SET(hcm, hcm, h2.connection_window_bytes, 0x80000000), HCM,
	    "its connection window is too large" },
	{ SET(hcm, hcm, limits.bytes_max, 0), HCM, "it allows no header" },
	{ SET(hcm, hcm, limits.count_max, 0), HCM, "it allows no header" },

	{ SET(route_config, route_config, name, 0), ROUTES,
	    "its name is missing" },
	{ SET(route_config, route_config, hosts, 0), ROUTES,
	    "its virtual hosts are missing" },
	{ SET(route_config, route_config, ignore_port, 2), ROUTES,
	    "ignore_port is neither 0 nor 1" },
	{ SET(route_config, route_config, overrides, 2), ROUTES,
	    "overrides is neither 0 nor 1" },
	{ SET(route_config, route_config, domains_n, 0x80000000), ROUTES,
	    "it reaches beyond the arena" },
	{ SET(route_config, route_config, domains[4].text, 0), ROUTES,
	    "a domain's text is missing" },
	{ SET(route_config, route_config, domains[4].kind, 4), ROUTES,
	    "a domain is of no known kind" },
	{ SET(route_config, route_config, domains[3].kind, DOMAIN_EXACT),
	    ROUTES, "its domains are out of order" },
	{ SET(route_config, route_config, domains[0].len, 6), ROUTES,
	    "its domains are out of order" },
	{ SET(route_config, route_config, domains[0].len, 13), ROUTES,
	    "a domain has not the length of its text" },
	{ SET(route_config, route_config, domains[4].host, 2), ROUTES,
	    "a domain's virtual host is beyond the last" },
	{ SET(hosts, list, n, 1), ROUTES,
	    "a domain's virtual host is beyond the last", PARENT },

	{ SET(hosts, list, at[1], 0), HOSTS, "a virtual host is missing" },

	{ SET(host, host, name, 0), HOST, "its name is missing" },
	{ SET(host, host, routes_n, 1 << 30), HOST,
	    "it reaches beyond the arena" },
	{ SET(host, host, routes[2].kind, 3), HOST,
	    "a route matches in no known way" },
	{ SET(host, host, routes[2].flags, 4), HOST,
	    "a route has an unknown flag" },
	{ SET(host, host, routes[2].path, 0), HOST,
	    "a route's path is missing" },
	{ SET(host, host, routes[2].path_len, 2), HOST,
	    "a route has not the length of its path" },
	{ SET(host, host, routes[1].flags, MATCH_ANY_CASE), HOST,
	    "a route of any case is not in lower case" },
	{ SET(host, host, routes[2].cluster, CLUSTER_NONE + 1), HOST,
	    "a route's cluster is beyond the last slot" },
	{ SET(host, host, routes[2].plan, 0), HOST,
	    "a route's plan is missing" },

	{ SET(matches, header_matches, n, 0), MATCHES, "there are none" },
	{ SET(matches, header_matches, at[1].name, 0), MATCHES,
	    "a header's name is missing" },
	{ SET(matches, header_matches, at[1].kind, 6), MATCHES,
	    "a header is matched in no known way" },
	{ SET(matches, header_matches, at[1].flags, 8), MATCHES,
	    "a header match has an unknown flag" },
	{ SET(matches, header_matches, at[2].flags, HEADER_ANY_CASE), MATCHES,
	    "a value of any case is not in lower case" },

	{ SET(overrides, overrides, n, 0), OVERRIDES,
	    "they are for no filter, or for too many" },
	{ SET(overrides, overrides, n, FILTERS_MAX + 1), OVERRIDES,
	    "they are for no filter, or for too many" },
	{ SET(overrides, overrides, at[0].set, 2), OVERRIDES,
	    "one is neither there nor not there" },
	{ SET(overrides, overrides, at[1].rbac, 1 << 28),
	    RBAC, "it lies outside the arena", CHILD },

	{ SET(rbac, rbac, rules, 0), NULL, NULL },
	{ SET(rbac, rbac, rules, 1 << 28), RULES,
	    "it lies outside the arena", CHILD },
	{ SET(rbac, rbac, shadow_rules, 1 << 28), RULES,
	    "it lies outside the arena", CHILD },
	{ SET(rules, rbac_rules, action, 2), RULES,
	    "their action is of no known kind" },
	{ SET(rules, rbac_rules, nodes_n, RBAC_NODES_MAX + 1), RULES,
	    "it reaches beyond the arena" },
	{ SET(rules, rbac_rules, nodes_n, 3), RULES,
	    "a node does not lead to a later one" },
	{ SET(rules, rbac_rules, entry, 3), NULL, NULL },
	{ SET(rules, rbac_rules, entry, 4), RULES,
	    "their entry is none of their nodes" },
	{ SET(rules, rbac_rules, entry, RBAC_FAILS + 1), RULES,
	    "their entry is none of their nodes" },
	{ SET(rules, rbac_rules, nodes[0].what, 3), RULES,
	    "a node looks at nothing known" },
	{ SET(rules, rbac_rules, nodes[0].yes, 0), RULES,
	    "a node does not lead to a later one" },
	{ SET(rules, rbac_rules, nodes[2].no, 2), RULES,
	    "a node does not lead to a later one" },
	{ SET(rules, rbac_rules, nodes[3].no, 1), RULES,
	    "a node does not lead to a later one" },
	{ SET(rules, rbac_rules, nodes[3].yes, 4), RULES,
	    "a node does not lead to a later one" },
	{ SET(rules, rbac_rules, nodes[3].yes, RBAC_FAILS + 1), RULES,
	    "a node does not lead to a later one" },
	{ SET(rules, rbac_rules, nodes[3].yes, RBAC_MATCHES), NULL, NULL },
	{ SET(rules, rbac_rules, nodes[0].match.kind, 6), RULES,
	    "a node matches in no known way" },
	{ SET(rules, rbac_rules, nodes[0].match.flags, 8), RULES,
	    "a node has an unknown flag" },
	{ SET(rules, rbac_rules, nodes[0].what, RBAC_HEADER), RULES,
	    "a header's name is missing, or one too many" },
	{ SET(rules, rbac_rules, nodes[1].what, RBAC_PATH), RULES,
	    "a header's name is missing, or one too many" },
	{ SET(rules, rbac_rules, nodes[3].match.flags, HEADER_ANY_CASE),
	    RULES, "a value of any case is not in lower case" },

	{ SET(pages, list, n, 257), PAGES, "it reaches beyond the arena" },
	{ SET(page, list, n, 255), PAGE,
	    "it has not as many slots as a page" },
	{ SET(page, list, n, 257), PAGE,
	    "it has not as many slots as a page" },
	{ SET(cluster, cluster, slot, 1), PAGES,
	    "a cluster is not at its slot", PARENT },

	{ SET(cluster, cluster, name, 0), CLUSTER, "its name is missing" },
	{ SET(cluster, cluster, slot, CLUSTERS_MAX), CLUSTER,
	    "its slot is beyond the last" },
	{ SET(cluster, cluster, tag, 0), CLUSTER, "it has no tag" },
	{ SET(cluster, cluster, balance, 0), CLUSTER,
	    "its endpoints are missing" },
	{ SET(cluster, cluster, lb_policy, 3), CLUSTER,
	    "it balances in no known way" },
	{ SET(cluster, cluster, h2.stream_window_bytes, UINT32_MAX), CLUSTER,
	    "its stream window is too large" },
	{ SET(cluster, cluster, limits.count_max, 0), CLUSTER,
	    "it allows no header" },
	{ SET(tls_client, tls, server, 1), CLUSTER,
	    "its TLS settings are a server's", PARENT },

	{ SET(balance, balance, endpoints_n, 0x8000000), BALANCE,
	    "it reaches beyond the arena" },
	{ SET(balance, balance, endpoints_n, 2), BALANCE,
	    "their weights have another sum" },
	{ SET(balance, balance, weight_total, 8), BALANCE,
	    "their weights have another sum" },
	{ SET(balance, balance, weights_differ, 0), BALANCE,
	    "their weights differ" },
	{ SET(balance, balance, weights_differ, 2), BALANCE,
	    "their weights differ" },
	{ SET(balance, balance, endpoints_all, 2), BALANCE,
	    "more are usable than there are" },
	{ SET(balance, balance, endpoints[2].id, 1 << 20), BALANCE,
	    "an endpoint's id is beyond the last" },
	{ SET(balance, balance, endpoints[2].id, 8), BALANCE,
	    "they are not ordered by id" },
	{ SET(balance, balance, endpoints[0].id, 9), BALANCE,
	    "they are not ordered by id" },
	{ SET(balance, balance, endpoints[1].tag, 0), BALANCE,
	    "an endpoint has no tag" },
	{ SET(balance, balance, endpoints[0].weight, 0), BALANCE,
	    "an endpoint has no weight" },
	{ SET(balance, balance, endpoints[2].address.family, 1), BALANCE,
	    "an endpoint's address is neither IPv4 nor IPv6" },

	{ SET(tls, tls, hash, 0), TLS, "its hash is missing" },
	{ SET(tls, tls, bytes, sizeof(struct block_tls) - 1), TLS,
	    "it reaches beyond the arena" },
	{ SET(tls, tls, bytes, sizeof(struct block_tls)), TLS,
	    "its names are longer than itself" },
	{ SET(tls, tls, bytes, UINT32_MAX), TLS,
	    "it reaches beyond the arena" },
	{ SET(tls, tls, version_min, 0x0302), TLS,
	    "its lowest TLS version is neither 1.2 nor 1.3" },
	{ SET(tls, tls, version_max, 0x0305), TLS,
	    "its highest TLS version is neither 1.2 nor 1.3" },
	{ SET(tls, tls, version_max, 0x0303), NULL, NULL },
	{ SET(tls, tls, server, 2), TLS, "server is neither 0 nor 1" },
	{ SET(tls, tls, require_client_certificate, 2), TLS,
	    "require_client_certificate is neither 0 nor 1" },
	{ SET(tls, tls, sans_n, UINT32_MAX), TLS, "it has too many names" },
	{ SET(tls, tls, sans_n, TLS_SANS_MAX + 1), TLS,
	    "it has too many names" },
	{ SET(tls, tls, sans_n, TLS_SANS_MAX), TLS,
	    "its names are longer than itself" },
	{ SET(tls, tls, sans_n, 3), TLS, "a text of it is not inside" },
	{ SET(tls, tls, private_key, UINT32_MAX), NULL, NULL },
	{ SET(tls, tls, sni.len, 1), TLS, "a text of it is not inside" },
	{ SET(tls, tls, certificate_chain.off, 8), TLS,
	    "a text of it is not inside" },
	{ SET(tls, tls, certificate_chain.len, 28), TLS,
	    "a text of it is not inside" },
	{ SET(tls, tls, private_key_file.len, UINT32_MAX), TLS,
	    "a text of it is not inside" },
	{ SET(tls, tls, certificate_file.len, 4096), TLS,
	    "a text of it is not inside" },
	{ SET(tls, tls, certificate_secret.len, 1), TLS,
	    "a text of it is not inside" },
	{ SET(tls, tls, ca_file.off, 8), TLS, "a text of it is not inside" },
	{ SET(tls, tls, ca_secret.len, UINT32_MAX), TLS,
	    "a text of it is not inside" },
	{ SET(tls, tls, trusted_ca.off, UINT32_MAX), TLS,
	    "a text of it is not inside" },
	{ SET(tls, tls, ciphers.off, 4096), TLS,
	    "a text of it is not inside" },
	{ SET(tls, tls, sans[1].type, 0), TLS, "a name's type is none" },
	{ SET(tls, tls, sans[1].type, 5), TLS, "a name's type is none" },
	{ SET(tls, tls, sans[1].kind, HEADER_PRESENT), TLS,
	    "a name is matched in no known way" },
	{ SET(tls, tls, sans[1].kind, HEADER_RANGE), TLS,
	    "a name is matched in no known way" },
	{ SET(tls, tls, sans[1].value.off, 0), TLS,
	    "a name's text is not inside" },
	{ SET(tls, tls, sans[1].value.len, 300), TLS,
	    "a name's text is not inside" },

#include "t/data/verify/plan.def"

	{ SET(text, text, len, 6), LISTENER " > text",
	    "it does not end in NUL" },
	{ SET(text, text, len, UINT32_MAX), LISTENER " > text",
	    "it reaches beyond the arena" },
};

/* Where a block of the sample is in the arena before the edge. */
static uint8_t *
place(const void *in_good)
{
	return a.base + ((const uint8_t *)in_good - good.base);
}

static const void *
block_of(const struct wrong *w)
{
	const void *p;

	memcpy(&p, (const uint8_t *)&sample + w->of, sizeof(p));
	return p;
}

/* A parent's address is taken from what was said. */
static void
want_fill(char *want, size_t len, const struct wrong *w, const void *p)
{
	unsigned long long at = w->address == OWN ? ref_of(p) * 16 :
	    w->value * 16;
	const char *said = strstr(why, " at 0x");

	if (w->address == PARENT && said != NULL)
		at = strtoull(said + 6, NULL, 16);
	snprintf(want, len, "%s at 0x%llx: %s", w->path, at, w->wrong);
}

Test(verify, each_thing_that_is_wrong_has_its_sentence)
{
	char want[512];

	for (size_t i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
		const struct wrong *w = &wrongs[i];
		const void *p = block_of(w);

		arena_set(&good, good.used_bytes);
		memcpy(place(p) + w->at, &w->value, w->bytes);
		cr_expect_eq(verify_it(UINT64_MAX), w->path == NULL ? 0 : -1,
		    "row %zu", i);
		want_fill(want, sizeof(want), w, p);
		cr_expect_str_eq(why, w->path == NULL ? "" : want, "row %zu: %s",
		    i, why);
	}
}

static void
expect_in_why(const char *what)
{
	cr_expect_eq(verify_it(UINT64_MAX), -1, "%s", what);
	cr_expect_not_null(strstr(why, what), "%s", why);
}

Test(verify, a_name_of_any_case_or_a_header_in_capitals)
{
	struct block_text *t = (struct block_text *)(void *)(good.base +
	    (uint64_t)sample.matches->at[1].name * ARENA_UNIT_BYTES);

	*(char *)place(t->bytes) = 'X';
	expect_in_why("header matches");
	expect_in_why(": a header's name is not in lower case");
	arena_set(&good, good.used_bytes);
	t = (struct block_text *)(void *)(good.base + (uint64_t)
	    sample.route_config->domains[1].text * ARENA_UNIT_BYTES);
	*(char *)place(t->bytes) = 'G';
	expect_in_why(": a domain is not in lower case");
}

Test(verify, the_router_is_the_last_filter_only)
{
	struct block_hcm *h;
	block_ref ref;

	good.size_bytes = MAP_BYTES;
	h = arena_put(&good, sizeof(*h) + 2 * sizeof(h->filters[0]), &ref);
	memcpy(h, sample.hcm, sizeof(*h) + 2 * sizeof(h->filters[0]));
	h->filters[0] = h->filters[1];
	h->filters_n = 2;
	sample.chain->hcm = ref;
	arena_set(&good, good.used_bytes);
	expect_in_why(HCM " at 0x");
	expect_in_why(": its router is not its last filter");
}

Test(verify, versions_the_wrong_way_round)
{
	sample.tls->version_min = 0x0304;
	sample.tls->version_max = 0x0303;
	arena_set(&good, good.used_bytes);
	expect_in_why(": its lowest TLS version is above its highest");
}

/* The same bytes as another kind are another block: what they are was asked
 * of the first kind only. */
Test(verify, a_plan_is_no_text)
{
	block_ref plan = sample.host->routes[0].plan;

	sample.host->routes[0].name = plan;
	arena_set(&good, good.used_bytes);
	expect_in_why(HOST " > text at 0x");
}

/* They have no field of their own: they lie behind the changes. */
Test(verify, parts_of_a_plan)
{
	static const struct { uint32_t kind, off; const char *wrong; } rows[] = {
		{ PART_ADDRESS + 1, 0, "a value is made of no known part" },
		{ PART_HEADER, 0, "a part's text is missing" },
		{ PART_HEADER, 8, "a text of it is not inside" },
		{ PART_ADDRESS, 1, "a part's text is missing" },
	};
	struct block_part *part = (struct block_part *)(void *)
	    &sample.plan->mutations[3], was = *part;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		*part = was;
		part->kind = rows[i].kind;
		if (rows[i].off != 1)
			part->text = (struct block_span){ rows[i].off, 0 };
		arena_set(&good, good.used_bytes);
		expect_in_why(rows[i].wrong);
	}
}

Test(verify, a_root_can_be_anywhere_but_must_be_whole)
{
	for (uint64_t ref = 0; ref <= good.used_bytes / ARENA_UNIT_BYTES + 1;
	    ref++) {
		map_protect(PROT_READ);
		cr_expect_eq(verify(&a, NULL, (block_ref)ref, UINT64_MAX,
		    why, sizeof(why)), ref == sample.root_ref ? 0 : -1);
	}
	cr_expect_not_null(strstr(why, ": it lies outside the arena"));
}

Test(verify, more_pages_than_slots)
{
	block_ref room;

	arena_put(&good, 4 * 257, &room);
	sample.pages->n = 257;
	arena_set(&good, good.used_bytes);
	expect_in_why(PAGES " at 0x");
	expect_in_why(": they are more than there are slots");
}

/* The arena of secrets ends where this page does, and so does its key. */
static const struct {
	const char	*name;
	uint32_t	 from_end, len;	/* of the key's block; 0 = where it is */
	char		 last;		/* after its bytes */
	const char	*wrong;		/* NULL: it passes */
} keys[] = {
	{ "whole, to the last byte", 32, 27, 0, NULL },
	{ "in the control page", UINT32_MAX, 0, 0,
	    "its key lies outside the arena of secrets" },
	{ "at the end", 0, 0, 0,
	    "its key lies outside the arena of secrets" },
	{ "a byte too long", 32, 28, 0,
	    "its key reaches beyond the arena of secrets" },
	{ "far too long", 32, UINT32_MAX, 0,
	    "its key reaches beyond the arena of secrets" },
	{ "without its NUL", 32, 27, 'x', "its key does not end" },
};

Test(verify, keys_are_where_tls_says)
{
	enum { BYTES = 2 * ARENA_CONTROL_BYTES };
	struct arena secrets = { .size_bytes = BYTES, .fd = -1,
		.base = map + MAP_BYTES - BYTES };
	struct block_text *key = (void *)(secrets.base + BYTES - 32);

	a = good;		/* the edge is the other arena's in this test */
	sample.tls_client->private_key = 0;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		key->len = keys[i].len;
		((char *)key)[31] = keys[i].last;
		sample.tls->private_key = keys[i].from_end == UINT32_MAX ? 1 :
		    (block_ref)((BYTES - keys[i].from_end) /
		    ARENA_UNIT_BYTES);
		cr_expect_eq(verify(&a, &secrets, sample.root_ref, UINT64_MAX,
		    why, sizeof(why)), keys[i].wrong == NULL ? 0 : -1,
		    "%s: %s", keys[i].name, why);
		if (keys[i].wrong != NULL)
			cr_expect_not_null(strstr(why, keys[i].wrong),
			    "%s: %s", keys[i].name, why);
	}
}

Test(verify, a_short_why_is_cut)
{
	char small[8] = "1234567";

	sample.root->listeners = 0;
	arena_set(&good, good.used_bytes);
	cr_assert_eq(verify(&a, NULL, sample.root_ref, UINT64_MAX, small,
	    5), -1);
	cr_assert_str_eq(small, "root");
	cr_assert_str_eq(small + 5, "67");
}

/* ---- bounds */

/* V1: cut anywhere, nothing behind the cut is touched. */
Test(verify, an_arena_that_ends_early)
{
	uint64_t cut = 0;

	for (uint64_t bytes = ARENA_CONTROL_BYTES; bytes < good.used_bytes;
	    bytes++) {
		arena_set(&good, bytes);
		/* Refs are multiples of 16 from the base. */
		if (bytes % ARENA_UNIT_BYTES != 0)
			a.base = memmove(a.base - (16 - bytes % 16), a.base,
			    bytes);
		if (verify_it(UINT64_MAX) == -1)
			cut++;
		else
			cr_assert_null(sample_read(&a, sample.root_ref));
	}
	cr_assert_gt(cut, good.used_bytes - ARENA_CONTROL_BYTES - 32);
}

/* V2: texts of 60,000 bytes that begin every 16 bytes. */
Test(verify, blocks_that_overlap_are_more_than_was_written)
{
	enum { LEN = 60000, N = 5000 };
	struct block_host *h;
	block_ref texts, host;
	uint8_t *p = arena_put(&good, LEN + N * 16 + 16, &texts);

	for (uint32_t i = 0, len = LEN; i < N; i++)
		memcpy(p + 16 * i, &len, sizeof(len));
	h = arena_put(&good, sizeof(*h) + N * sizeof(h->routes[0]), &host);
	h->name = sample.host->name;
	h->routes_n = N;
	for (uint32_t i = 0; i < N; i++)
		h->routes[i] = (struct block_route){ .path = texts + i,
		    .path_len = LEN, .plan = sample.host->routes[0].plan };
	sample.hosts->at[1] = host;
	arena_set(&good, good.used_bytes);
	cr_assert_eq(verify_it(good.used_bytes), -1);
	cr_assert_not_null(strstr(why, HOST " > text at 0x"), "%s", why);
	cr_assert_not_null(strstr(why, ": with it there are more bytes than "
	    "were written"), "%s", why);
	/* And they are the only thing that is wrong. */
	cr_assert_eq(verify_it(UINT64_MAX), 0, "%s", why);
}

/* ---- at random */

static struct chance chance;

static uint32_t
random_word(void)
{
	uint32_t first = ARENA_CONTROL_BYTES / 16, n,
	    end = (uint32_t)(a.size_bytes / 16);

	switch (chance_below(&chance, 8)) {
	case 0:
		return chance_below(&chance, 4);
	case 1:
		return UINT32_MAX - chance_below(&chance, 4);
	case 2:
		return end - 2 + chance_below(&chance, 4);
	case 3:
		return (uint32_t)1 << chance_below(&chance, 32);
	case 4:
		return chance_below(&chance, 300);
	case 5:				/* a word that stands elsewhere */
		memcpy(&n, a.base + 16 * first + 4 *
		    chance_below(&chance, 4 * (end - first)), sizeof(n));
		return n;
	default:
		return first + chance_below(&chance, end - first);
	}
}

static void
one_change(void)
{
	uint32_t bytes = (uint32_t)(a.size_bytes - ARENA_CONTROL_BYTES), n;
	uint8_t *p = a.base + ARENA_CONTROL_BYTES;

	if (chance_below(&chance, 3) == 0) {
		p[chance_below(&chance, bytes)] ^= (uint8_t)(1 << chance_below(&chance, 8));
		return;
	}
	n = random_word();
	memcpy(p + 4 * chance_below(&chance, bytes / 4), &n, sizeof(n));
}

static int64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * (int64_t)1000000000 + t.tv_nsec;
}

Test(verify, at_random, .timeout = 300)
{
	int64_t longest_ns = 0, began_ns;
	const char *wrong;
	int passed = 0, rc;

	for (int i = 0; i < ROUNDS; i++) {
		memcpy(a.base + ARENA_CONTROL_BYTES, good.base +
		    ARENA_CONTROL_BYTES, a.size_bytes - ARENA_CONTROL_BYTES);
		for (uint32_t n = chance_below(&chance, 3) + 1; n > 0; n--)
			one_change();
		began_ns = now_ns();
		rc = verify(&a, NULL, sample.root_ref, a.size_bytes, why,
		    sizeof(why));
		if (now_ns() - began_ns > longest_ns)
			longest_ns = now_ns() - began_ns;
		if (rc != 0)
			continue;
		wrong = sample_read(&a, sample.root_ref);
		cr_assert_null(wrong, "round %d passed, but not %s", i, wrong);
		passed++;
	}
	cr_assert(passed > ROUNDS / 20 && passed < ROUNDS * 9 / 10,
	    "%d of %d passed: the changes are not what they were meant to be",
	    passed, ROUNDS);
	cr_assert_lt(longest_ns, 1000000000, "%lld ns",
	    (long long)longest_ns);
}
