/*
 * t/unit/block_kind.c - shm/block_kind.c: lengths and refs of every kind.
 *
 * The table below says which refs a kind has, in order. It is held against
 * the text of shm/block.h, where every "block_ref" field of a struct must be
 * in it, and against what block_kind_refs finds: a new field fails here until
 * it is in both.
 */
#include "shm/block_kind.h"

#include <criterion/criterion.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { REFS_MAX = 32, ITEMS = 3, ROOM = 4096, PAGE_BYTES = 4096 };

/* A ref: in the fixed part of its kind's struct, or in each item. */
struct want {
	enum block_kind	kind;
	const char	*type, *field;	/* in block.h; type NULL: a list's */
	size_t		at;
	enum block_kind	names;		/* BLOCK_KINDS: not one of ours */
	bool		item;
};

#define OF(kind, type, field, names) \
	{ BLOCK_##kind, "block_" #type, #field, \
	    offsetof(struct block_##type, field), BLOCK_##names, false }
#define EACH(kind, type, field, names) \
	{ BLOCK_##kind, "block_" #type, #field, \
	    offsetof(struct block_##type, field), BLOCK_##names, true }
/* In a struct inside an item, whose own fields have rows already. */
#define INSIDE(kind, type, field, names) \
	{ BLOCK_##kind, NULL, NULL, offsetof(struct block_##type, field), \
	    BLOCK_##names, true }
#define LIST(kind, names) \
	{ BLOCK_##kind, NULL, NULL, 0, BLOCK_##names, true }

/* In the order of block.h. */
static const struct want wants[] = {
	OF(ROOT, root, listeners, LISTENERS), OF(ROOT, root, clusters, PAGES),
	OF(LISTENER, listener, name, TEXT),
	OF(LISTENER, listener, stat_name, TEXT),
	OF(LISTENER, listener, chains, CHAINS),
	OF(CHAIN, chain, name, TEXT), OF(CHAIN, chain, tls, TLS),
	OF(CHAIN, chain, hcm, HCM),
	EACH(HCM, filter, rbac, RBAC),
	OF(HCM, hcm, stat_prefix, TEXT),
	OF(HCM, hcm, route_config, ROUTE_CONFIG),
	OF(ROUTE_CONFIG, route_config, name, TEXT),
	OF(ROUTE_CONFIG, route_config, hosts, HOSTS),
	EACH(ROUTE_CONFIG, domain, text, TEXT),
	EACH(HOST, route, path, TEXT),
	EACH(HOST, route, headers, HEADER_MATCHES),
	EACH(HOST, route, plan, PLAN), EACH(HOST, route, split, SPLIT),
	EACH(HOST, route, name, TEXT),
	EACH(HOST, route, overrides, OVERRIDES),
	EACH(OVERRIDES, override, rbac, RBAC),
	OF(HOST, host, name, TEXT), OF(HOST, host, index, ROUTE_INDEX),
	EACH(SPLIT, share, plan, PLAN),
	EACH(HEADER_MATCHES, header_match, name, TEXT),
	EACH(HEADER_MATCHES, header_match, value, TEXT),
	OF(RBAC, rbac, rules, RBAC_RULES),
	OF(RBAC, rbac, shadow_rules, RBAC_RULES),
	OF(CLUSTER, cluster, name, TEXT),
	OF(CLUSTER, cluster, balance, BALANCE),
	OF(CLUSTER, cluster, tls, TLS),
	OF(TLS, tls, private_key, KINDS),	/* in the other arena */
	INSIDE(RBAC_RULES, rbac_node, match.name, TEXT),
	INSIDE(RBAC_RULES, rbac_node, match.value, TEXT),
	LIST(LISTENERS, LISTENER), LIST(CHAINS, CHAIN), LIST(HOSTS, HOST),
	LIST(PAGES, PAGE), LIST(PAGE, CLUSTER), LIST(SECRETS, TEXT),
};

enum { WANTS_N = sizeof(wants) / sizeof(wants[0]) };

/* A kind's length: fixed bytes, and those of each item. */
static const struct {
	const char	*name;
	size_t		 fixed, item, count_at, extra;
	bool		 inside;
} shapes[BLOCK_KINDS] = {
#define OF_LIST(name) { name, 4, 4, 0 }
	[BLOCK_ROOT] = { "root", sizeof(struct block_root) },
	[BLOCK_LISTENERS] = OF_LIST("listeners"),
	[BLOCK_LISTENER] = { "listener", sizeof(struct block_listener) },
	[BLOCK_CHAINS] = OF_LIST("filter chains"),
	[BLOCK_CHAIN] = { "filter chain", sizeof(struct block_chain) },
	[BLOCK_HCM] = { "connection manager", sizeof(struct block_hcm),
	    sizeof(struct block_filter),
	    offsetof(struct block_hcm, filters_n) },
	[BLOCK_ROUTE_CONFIG] = { "route configuration",
	    sizeof(struct block_route_config), sizeof(struct block_domain),
	    offsetof(struct block_route_config, domains_n) },
	[BLOCK_HOSTS] = OF_LIST("virtual hosts"),
	[BLOCK_HOST] = { "virtual host", sizeof(struct block_host),
	    sizeof(struct block_route), offsetof(struct block_host, routes_n) },
	[BLOCK_ROUTE_INDEX] = { "route index",
	    sizeof(struct block_route_index), 4,
	    offsetof(struct block_route_index, bytes), 0, true },
	[BLOCK_HEADER_MATCHES] = { "header matches",
	    sizeof(struct block_header_matches),
	    sizeof(struct block_header_match),
	    offsetof(struct block_header_matches, n) },
	[BLOCK_OVERRIDES] = { "overrides", 4, sizeof(struct block_override) },
	[BLOCK_RBAC] = { "RBAC", sizeof(struct block_rbac) },
	[BLOCK_RBAC_RULES] = { "RBAC rules", sizeof(struct block_rbac_rules),
	    sizeof(struct block_rbac_node),
	    offsetof(struct block_rbac_rules, nodes_n) },
	[BLOCK_SPLIT] = { "split", sizeof(struct block_split),
	    sizeof(struct block_share), offsetof(struct block_split, n) },
	[BLOCK_PAGES] = OF_LIST("cluster pages"),
	[BLOCK_PAGE] = OF_LIST("cluster page"),
	[BLOCK_CLUSTER] = { "cluster", sizeof(struct block_cluster) },
	[BLOCK_BALANCE] = { "endpoints", sizeof(struct block_balance),
	    sizeof(struct block_endpoint),
	    offsetof(struct block_balance, endpoints_n) },
	[BLOCK_TLS] = { "TLS settings", sizeof(struct block_tls), 1,
	    offsetof(struct block_tls, bytes), 0, true },
	[BLOCK_PLAN] = { "plan", sizeof(struct block_plan), 1,
	    offsetof(struct block_plan, bytes), 0, true },
	[BLOCK_SECRETS] = OF_LIST("secrets"),
	[BLOCK_TEXT] = { "text", 4, 1, 0, 1 },
};

static _Alignas(16) uint8_t block[ROOM];

/* A block of n items, zeroed but for its count; how long it is. */
static size_t
make(enum block_kind kind, uint32_t n)
{
	size_t bytes = shapes[kind].fixed + n * shapes[kind].item +
	    shapes[kind].extra;
	uint32_t count = shapes[kind].inside ? (uint32_t)bytes : n;

	memset(block, 0, sizeof(block));
	if (shapes[kind].item > 0)
		memcpy(block + shapes[kind].count_at, &count, sizeof(count));
	return shapes[kind].item == 0 ? shapes[kind].fixed : bytes;
}

static void
count_set(enum block_kind kind, uint32_t n)
{
	memcpy(block + shapes[kind].count_at, &n, sizeof(n));
}

/* ---- lengths */

Test(block_kind, names)
{
	for (int kind = 0; kind < BLOCK_KINDS; kind++)
		cr_expect_str_eq(block_kind_name(kind), shapes[kind].name);
}

Test(block_kind, a_length_is_what_the_counts_say_or_0)
{
	for (int kind = 0; kind < BLOCK_KINDS; kind++)
		for (uint32_t n = 0; n <= ITEMS; n++) {
			size_t bytes = make(kind, n);

			for (size_t max = 0; max < bytes; max++)
				cr_assert_eq(block_kind_bytes(kind, block,
				    max), 0, "%s of %u items in %zu bytes",
				    shapes[kind].name, n, max);
			cr_assert_eq(block_kind_bytes(kind, block, bytes),
			    bytes, "%s of %u items", shapes[kind].name, n);
			cr_assert_eq(block_kind_bytes(kind, block,
			    SIZE_MAX), bytes);
		}
}

Test(block_kind, the_largest_counts_do_not_wrap)
{
	static const uint32_t counts[] = { UINT32_MAX, UINT32_MAX - 1,
	    UINT32_MAX - 4, (uint32_t)1 << 31, UINT32_MAX / 4,
	    UINT32_MAX / 4 + 1, UINT32_MAX / 28 + 1, UINT32_MAX / 32 + 1 };

	for (int kind = 0; kind < BLOCK_KINDS; kind++)
		for (size_t i = 0; i < 8 && shapes[kind].item > 0; i++) {
			uint64_t bytes = shapes[kind].inside ? counts[i] :
			    shapes[kind].fixed + (uint64_t)counts[i] *
			    shapes[kind].item + shapes[kind].extra;

			make(kind, 0);
			count_set(kind, counts[i]);
			cr_assert_eq(block_kind_bytes(kind, block, ROOM), 0,
			    "%s of %u", shapes[kind].name, counts[i]);
			cr_assert_eq(block_kind_bytes(kind, block, SIZE_MAX),
			    bytes, "%s of %u", shapes[kind].name, counts[i]);
		}
}

Test(block_kind, what_says_to_be_shorter_than_its_struct_is_none)
{
	static const enum block_kind kinds[] = { BLOCK_TLS, BLOCK_PLAN };

	for (size_t i = 0; i < 2; i++)
		for (uint32_t n = 0; n < shapes[kinds[i]].fixed; n++) {
			make(kinds[i], 0);
			count_set(kinds[i], n);
			cr_assert_eq(block_kind_bytes(kinds[i], block, ROOM),
			    0, "%s of %u bytes", shapes[kinds[i]].name, n);
		}
}

/* K2, by a page that can't be touched right behind max. */
Test(block_kind, no_byte_beyond_max_is_looked_at)
{
	uint8_t *edge = mmap(NULL, 2 * PAGE_BYTES, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	cr_assert_neq(edge, MAP_FAILED);
	edge += PAGE_BYTES;
	cr_assert_eq(mprotect(edge, PAGE_BYTES, PROT_NONE), 0);
	for (int kind = 0; kind < BLOCK_KINDS; kind++) {
		size_t bytes = make(kind, ITEMS);

		for (size_t max = 0; max <= bytes; max++) {
			memcpy(edge - max, block, max);
			cr_assert_eq(block_kind_bytes(kind, edge - max, max),
			    max == bytes ? bytes : 0);
		}
	}
}

/* ---- refs */

struct found {
	enum block_kind	names;
	size_t		at;
	block_ref	ref;
};

static struct found found[REFS_MAX];
static int found_n, stop_after;

static void
see(void *arg, enum block_kind names, block_ref *ref)
{
	cr_assert_eq(arg, &found_n);
	cr_assert_lt(found_n, REFS_MAX);
	found[found_n++] = (struct found){ names,
	    (size_t)((uint8_t *)ref - block), *ref };
	*ref += 1000;
}

static int
look(void *arg, enum block_kind names, block_ref ref)
{
	cr_assert_eq(arg, &found_n);
	cr_assert_eq(found[found_n].names, names);
	cr_assert_eq(found[found_n].ref, ref);
	return ++found_n == stop_after ? 4711 : 0;
}

/* The refs that the table has of a kind of n items, in the block's order,
 * each set to a number of its own. */
static int
refs_set(enum block_kind kind, uint32_t n, struct found *out)
{
	int out_n = 0;

	for (uint32_t item = 0; item <= n; item++)
		for (const struct want *w = wants; w < wants + WANTS_N; w++) {
			struct found *f = &out[out_n];

			if (w->kind != kind || w->item != (item > 0) ||
			    w->names == BLOCK_KINDS)
				continue;
			f->names = w->names;
			f->at = w->at + (item == 0 ? 0 : shapes[kind].fixed +
			    (item - 1) * shapes[kind].item);
			f->ref = (block_ref)++out_n;
			memcpy(block + f->at, &f->ref, sizeof(f->ref));
		}
	return out_n;
}

Test(block_kind, refs_are_those_of_the_table_in_order)
{
	struct found want[REFS_MAX];

	for (int kind = 0; kind < BLOCK_KINDS; kind++)
		for (uint32_t n = 0; n <= ITEMS; n++) {
			int want_n;

			make(kind, n);
			want_n = refs_set(kind, n, want);
			found_n = 0;
			block_kind_refs(kind, block, see, &found_n);
			cr_assert_eq(found_n, want_n, "%s has %d refs",
			    shapes[kind].name, found_n);
			for (int i = 0; i < want_n; i++) {
				block_ref now;

				cr_assert_eq(found[i].names, want[i].names);
				cr_assert_eq(found[i].at, want[i].at);
				cr_assert_eq(found[i].ref, want[i].ref);
				memcpy(&now, block + want[i].at, sizeof(now));
				cr_assert_eq(now, want[i].ref + 1000);
			}
		}
}

Test(block_kind, looking_is_the_same_and_ends_when_told)
{
	for (int kind = 0; kind < BLOCK_KINDS; kind++) {
		int want_n;

		make(kind, ITEMS);
		want_n = refs_set(kind, ITEMS, found);
		for (stop_after = 0; stop_after <= want_n; stop_after++) {
			found_n = 0;
			cr_assert_eq(block_kind_look(kind, block, look,
			    &found_n), stop_after == 0 ? 0 : 4711);
			cr_assert_eq(found_n, stop_after == 0 ? want_n :
			    stop_after, "%s", shapes[kind].name);
		}
	}
}

Test(block_kind, a_ref_of_0_is_not_seen)
{
	for (int kind = 0; kind < BLOCK_KINDS; kind++) {
		make(kind, ITEMS);
		found_n = 0;
		block_kind_refs(kind, block, see, &found_n);
		block_kind_look(kind, block, look, &found_n);
		cr_assert_eq(found_n, 0, "%s", shapes[kind].name);
	}
}

/* K1. */
Test(block_kind, a_block_names_later_kinds_only)
{
	for (int kind = 0; kind < BLOCK_KINDS; kind++) {
		make(kind, 1);
		refs_set(kind, 1, found);
		found_n = 0;
		block_kind_refs(kind, block, see, &found_n);
		for (int i = 0; i < found_n; i++)
			cr_assert_gt(found[i].names, (enum block_kind)kind);
	}
}

Test(block_kind, items_lie_behind_the_fixed_part)
{
	uint32_t n;
	size_t bytes;

	for (int kind = 0; kind < BLOCK_KINDS; kind++) {
		const uint8_t *items;
		bool none = shapes[kind].inside || shapes[kind].item == 0;

		make(kind, ITEMS);
		items = block_kind_items(kind, block, &n, &bytes);
		cr_assert_eq(n, none ? 0u : (uint32_t)ITEMS);
		cr_assert_eq(bytes, none ? 0 : shapes[kind].item);
		cr_assert_eq(items, block + shapes[kind].fixed);
	}
}

/* ---- block.h itself */

/* The field's name in a line "	block_ref	name;  ...", or NULL. */
static char *
field_of(char *line)
{
	char *at = line + strspn(line, " \t"), *end;

	if (strncmp(at, "block_ref", 9) != 0)
		return NULL;
	at += 9;
	at += strspn(at, " \t");
	end = at + strcspn(at, ";,");
	cr_assert_eq(*end, ';', "one ref a line, please: %s", line);
	*end = '\0';
	return at;
}

/* Whose fields come next: those of a struct that begins here, or again those
 * of the struct around one that ends here ("}	domains[];"). */
static void
struct_of(const char *line, char outer[64], char type[64])
{
	char name[64];
	int end = 0;

	if (sscanf(line, " struct %63[a-z_0-9] {%n", name, &end) == 1 &&
	    end > 0) {
		strcpy(type, name);
		if (line[0] == 's')
			strcpy(outer, name);
	} else if (strncmp(line, "\t}", 2) == 0) {
		strcpy(type, outer);
	}
}

Test(block_kind, block_h_has_no_ref_that_the_table_has_not)
{
	FILE *f = fopen("shm/block.h", "r");
	char line[256], outer[64] = "", type[64] = "", *field;
	const struct want *w = wants;

	cr_assert_not_null(f, "tests run from the top of the tree");
	while (fgets(line, sizeof(line), f) != NULL) {
		struct_of(line, outer, type);
		field = field_of(line);
		if (field == NULL)
			continue;
		cr_assert_not_null(w->type, "%s.%s is new", type, field);
		cr_assert_str_eq(w->type, type, "%s.%s is new", type, field);
		cr_assert_str_eq(w->field, field, "%s.%s is new", type,
		    field);
		w++;
	}
	fclose(f);
	cr_assert_null(w->type, "%s.%s is gone", w->type, w->field);
}
