/*
 * t/unit/route_index.c - master/compile_index.c and worker/route_index.c:
 * with an index every request takes the route that it takes without one, and
 * that a matcher takes which is written here and knows neither.
 *
 * The texts are made of few pieces, so that they nest, repeat and differ by
 * case; paths of one hash are looked for, since only those make the search
 * start again.
 */
#include <stdio.h>
#include <stdlib.h>

#include "master/compile_parts.h"
#include "shm/path_hash.h"
#include "t/lib/unit_process.h"
#include "t/lib/unit_route.h"

TestSuite(route_index, .init = unit_arena_open, .fini = unit_arena_close);

enum { RULES_MAX = 300, PATH_MAX_BYTES = 200 };

/* ---- a table of routes, as a test sees it */

enum header_rule { NO_HEADER, IS_1, IS_2, IS_MISSING };

struct wish {
	enum match_kind	 kind;
	uint8_t		 flags;
	enum header_rule header;
	char		 path[PATH_MAX_BYTES];
};

struct call {
	bool		 grpc;
	const char	*k;		/* a header; NULL = missing */
	char		 path[PATH_MAX_BYTES];
};

static block_ref
header_rule_block(enum header_rule rule)
{
	struct block_header_matches *m;
	block_ref ref;

	m = unit_block(sizeof(*m) + sizeof(m->at[0]), &ref);
	m->n = 1;
	m->at[0] = (struct block_header_match){ .name = unit_text("k"),
	    .value = unit_text(rule == IS_1 ? "1" : "2"),
	    .kind = rule == IS_MISSING ? HEADER_PRESENT : HEADER_EXACT,
	    .flags = rule == IS_MISSING ? HEADER_INVERT : 0 };
	return ref;
}

static const struct block_host *
host_of(const struct wish *rules, uint32_t n, block_ref *ref)
{
	struct block_route routes[RULES_MAX];

	for (uint32_t i = 0; i < n; i++) {
		routes[i] = route(rules[i].kind, rules[i].path,
		    rules[i].flags);
		if (rules[i].header == NO_HEADER)
			continue;
		routes[i].headers = header_rule_block(rules[i].header);
	}
	*ref = host(routes, n);
	return arena_at(&unit_arena, *ref);
}

static block_ref
index_of(const struct block_host *h)
{
	char why[256] = "";
	struct image image = { .blocks = heap_new(&unit_arena, HEAP_KEEP) };
	struct compiler c = { .arena = &unit_arena, .image = &image,
	    .why = why, .why_len = sizeof(why),
	    .memory = load_arena_new(64 << 20) };
	block_ref ref;

	heap_begin(image.blocks);
	cr_assert_eq(compile_index(&c, h->routes, h->routes_n, &ref), 0,
	    "%s", why);
	load_arena_free(c.memory);
	heap_free(image.blocks);
	return ref;
}

struct table {
	const struct block_route_config *config[2];	/* without, with */
	const struct block_route_index *index;	/* NULL: few routes */
};

static struct table
table_of(const struct wish *rules, uint32_t n)
{
	static const struct domain any = { DOMAIN_ANY, "", 0 };
	struct table t = { .index = NULL };
	block_ref ref, copy;
	const struct block_host *h = host_of(rules, n, &ref);
	struct block_host *indexed = unit_block(sizeof(*h) +
	    n * sizeof(h->routes[0]), &copy);

	memcpy(indexed, h, sizeof(*h) + n * sizeof(h->routes[0]));
	indexed->index = index_of(h);
	if (indexed->index != 0)
		t.index = arena_at(&unit_arena, indexed->index);
	t.config[0] = config(&any, 1, &ref, 1, false);
	t.config[1] = config(&any, 1, &copy, 1, false);
	return t;
}

static int
table_find(const struct table *t, int with, struct mem *m,
    const struct call *c)
{
	struct headers *h = request(m, "x", c->path);

	if (c->grpc)
		headers_add_text(h, "content-type", "application/grpc");
	if (c->k != NULL)
		headers_add_text(h, "k", c->k);
	return found(t->config[with], h);
}

/* ---- the matcher that knows nothing of the above */

static bool
rule_matches(const struct wish *r, const struct call *c)
{
	size_t len = strcspn(c->path, "?"), want = strlen(r->path);
	bool begins = len >= want && (r->flags & MATCH_ANY_CASE ?
	    strncasecmp(c->path, r->path, want) :
	    strncmp(c->path, r->path, want)) == 0;

	if (!begins || (r->kind == MATCH_PATH && len != want) ||
	    (r->kind == MATCH_SEPARATED_PREFIX && len != want &&
	    c->path[want] != '/'))
		return false;
	if (r->flags & MATCH_GRPC && !c->grpc)
		return false;
	switch (r->header) {
	case NO_HEADER:
		return true;
	case IS_MISSING:
		return c->k == NULL;
	default:
		return c->k != NULL &&
		    strcmp(c->k, r->header == IS_1 ? "1" : "2") == 0;
	}
}

static int
naive_find(const struct wish *rules, uint32_t n, const struct call *c)
{
	for (uint32_t i = 0; i < n; i++)
		if (rule_matches(&rules[i], c))
			return (int)i;
	return -1;
}

/* ---- random tables and calls */

static uint32_t
below(uint32_t n)
{
	return (uint32_t)(unit_random() % n);
}

static void
path_grow(char *path, uint32_t pieces)
{
	static const char *const all[] = { "/", "/", "a", "b", "A", "/a",
	    "company.", "/Service", "/service", "\xff" };

	while (pieces-- > 0 && strlen(path) < PATH_MAX_BYTES - 12)
		strcat(path, all[below(sizeof(all) / sizeof(all[0]))]);
}

/* Often one that is there, cut or grown. */
static void
path_random(char *path, const struct wish *rules, uint32_t n)
{
	uint32_t how = below(10);

	path[0] = '\0';
	if (n == 0 || how < 3) {
		path_grow(path, below(6));
		return;
	}
	strcpy(path, rules[below(n)].path);
	if (how < 5)
		path[below((uint32_t)strlen(path) + 1)] = '\0';
	if (how > 7)
		path_grow(path, 1 + below(4));
}

static struct wish
rule_random(const struct wish *rules, uint32_t n, uint32_t strange)
{
	struct wish r = { .kind = (enum match_kind)below(3) };

	path_random(r.path, rules, n);
	if (below(10) < strange)
		r.header = (enum header_rule)below(4);
	if (below(10) < strange && below(3) == 0)
		r.flags |= MATCH_GRPC;
	if (below(10) < strange && below(4) == 0) {
		r.flags |= MATCH_ANY_CASE;
		for (char *p = r.path; *p != '\0'; p++)
			if (*p >= 'A' && *p <= 'Z')
				*p = (char)(*p - 'A' + 'a');
	}
	return r;
}

static struct call
call_random(const struct wish *rules, uint32_t n)
{
	static const char *const ks[] = { NULL, "1", "2", "3" };
	struct call c = { .grpc = below(2), .k = ks[below(4)] };
	uint32_t i;

	path_random(c.path, rules, n);
	if (c.path[0] != '\0' && below(8) == 0) {
		i = below((uint32_t)strlen(c.path));
		c.path[i] = (char)(c.path[i] ^ 0x20);
	}
	if (below(8) == 0)
		strcat(c.path, "?/a");
	return c;
}

/* One node for one text; links lead to shorter ones. */
static void
expect_nodes(const struct wish *rules, const struct block_route_index *x)
{
	const struct block_route_node *nodes = block_route_nodes(x);

	for (uint32_t i = 0; i < x->nodes_n; i++) {
		const struct block_route_node *n = &nodes[i], *o;

		cr_assert(n->link == BLOCK_NONE || nodes[n->link].len <
		    n->len + n->whole, "node %u", i);
		for (uint32_t j = 0; j < i; j++) {
			o = &nodes[j];
			cr_assert(o->len != n->len || o->whole != n->whole ||
			    memcmp(rules[o->text].path, rules[n->text].path,
			    n->len) != 0, "nodes %u and %u", j, i);
		}
	}
}

static void
differ(const struct wish *rules, uint32_t n, struct mem *m, int seen[])
{
	struct table t = table_of(rules, n);

	if (t.index != NULL)
		expect_nodes(rules, t.index);
	for (int i = 0; i < 50; i++) {
		struct call c = call_random(rules, n);
		int want = naive_find(rules, n, &c);

		for (int with = 0; with < 2; with++)
			cr_assert_eq(table_find(&t, with, m, &c), want,
			    "%u routes, '%s' k=%s grpc=%d, index %d: want %d",
			    n, c.path, c.k == NULL ? "-" : c.k, c.grpc, with,
			    want);
		seen[want < 0 ? 0 : 1 + rules[want].kind]++;
		seen[4] += t.index != NULL;
		seen[5] += want >= 0 && rules[want].flags & MATCH_ANY_CASE;
		seen[6] += want >= 0 && rules[want].header != NO_HEADER;
	}
}

Test(route_index, as_the_naive_one, .timeout = 100)
{
	static struct wish rules[RULES_MAX];
	int seen[7] = { 0 };
	struct mem m;

	mem_init(&m, &unit_sys);
	for (int i = 0; i < 4000; i++) {
		uint32_t n = below(i % 4 == 0 ? RULES_MAX + 1 : 40);
		uint32_t strange = below(11);

		unit_arena.used_bytes = ARENA_CONTROL_BYTES;
		for (uint32_t j = 0; j < n; j++)
			rules[j] = rule_random(rules, j, strange);
		differ(rules, n, &m, seen);
	}
	/* or it would have shown nothing */
	for (size_t i = 0; i < sizeof(seen) / sizeof(seen[0]); i++)
		cr_assert_gt(seen[i], 4000, "%zu: %d", i, seen[i]);
	mem_fini(&m);
	cr_assert_eq(unit_blocks, 0);
}

Test(route_index, same_paths_same_bytes)
{
	static struct wish rules[RULES_MAX];
	const struct block_route_index *x[2];
	block_ref ref;

	for (uint32_t j = 0; j < RULES_MAX; j++)
		rules[j] = rule_random(rules, j, 3);
	for (int i = 0; i < 2; i++)
		x[i] = arena_at(&unit_arena,
		    index_of(host_of(rules, RULES_MAX, &ref)));
	cr_assert_eq(x[0]->routes_n, RULES_MAX);
	cr_assert_eq(memcmp(x[0], x[1], x[0]->bytes), 0);
	cr_assert_eq(index_of(host_of(rules, 7, &ref)), 0, "few: none");
	cr_assert_neq(index_of(host_of(rules, 8, &ref)), 0);
}

/* ---- by hand */

static const struct {
	const char	*path, *k;
	bool		 grpc;
	int		 want;
} by_hand[] = {
	{ "/a.B/C", NULL, false, 2 },	/* the whole path */
	{ "/a.B/C", "1", false, 0 },	/* a header, at the root, before it */
	{ "/a.B/C", NULL, true, 1 },
	{ "/a.B/C/", NULL, false, 4 }, { "/a.B/D", NULL, false, 4 },
	{ "/a.B/D", "2", false, 3 },	/* one path, by headers */
	{ "/a.B", NULL, false, 5 }, { "/a.Bc", NULL, false, 7 },
	{ "/x/y", NULL, false, 6 }, { "/X/Y", NULL, false, 6 },
	{ "/x/y/z", NULL, false, 7 }, { "", NULL, false, 8 },
	{ "?a", NULL, false, 8 }, { "", "1", false, 0 },
	{ "/a.B/E", NULL, false, 4 },	/* 9 comes too late */
};

Test(route_index, by_hand)
{
	static const struct wish rules[] = {
		{ MATCH_PREFIX, 0, IS_1, "" },
		{ MATCH_PREFIX, MATCH_GRPC, NO_HEADER, "/" },
		{ MATCH_PATH, 0, NO_HEADER, "/a.B/C" },
		{ MATCH_PREFIX, 0, IS_2, "/a.B/" },
		{ MATCH_PREFIX, 0, NO_HEADER, "/a.B/" },
		{ MATCH_SEPARATED_PREFIX, 0, NO_HEADER, "/a.B" },
		{ MATCH_PATH, MATCH_ANY_CASE, NO_HEADER, "/x/y" },
		{ MATCH_PREFIX, 0, NO_HEADER, "/" },
		{ MATCH_PREFIX, 0, NO_HEADER, "" },
		{ MATCH_PATH, 0, NO_HEADER, "/a.B/E" },
	};
	struct table t = table_of(rules, 10);
	struct mem m;

	mem_init(&m, &unit_sys);
	cr_assert_not_null(t.index);
	for (size_t i = 0; i < sizeof(by_hand) / sizeof(by_hand[0]); i++) {
		struct call c = { by_hand[i].grpc, by_hand[i].k, "" };

		strcpy(c.path, by_hand[i].path);
		cr_assert_eq(table_find(&t, 1, &m, &c), by_hand[i].want,
		    "'%s' k=%s", c.path, c.k == NULL ? "-" : c.k);
		cr_assert_eq(table_find(&t, 0, &m, &c), by_hand[i].want);
	}
	mem_fini(&m);
}

/* What takes all requests hides what comes after it. */
Test(route_index, a_root_at_the_end_costs_nothing)
{
	struct wish rules[9] = { { MATCH_PREFIX, 0, NO_HEADER, "/" } };
	const struct block_route_node *nodes;
	uint32_t links = 0;
	struct table t;

	for (int first = 0; first < 2; first++) {
		for (int i = 0; i < 8; i++) {
			struct wish *r = &rules[first ? i + 1 : i];

			*r = (struct wish){ .kind = MATCH_PREFIX };
			snprintf(r->path, sizeof(r->path), "/%d/", i);
		}
		rules[first ? 0 : 8] = (struct wish){ MATCH_PREFIX, 0,
		    NO_HEADER, "/" };
		t = table_of(rules, 9);
		nodes = block_route_nodes(t.index);
		for (uint32_t i = 0; i < t.index->nodes_n; i++)
			links += nodes[i].route != BLOCK_NONE &&
			    nodes[i].link != BLOCK_NONE;
		cr_assert_eq(links, first ? 8 : 0);
	}
}

/* ---- paths of one hash */

enum { TRIES = 1 << 20, TRY_BYTES = 8, SLOTS = 32 };

struct try {
	uint64_t	place;		/* tag and slot of SLOTS */
	uint32_t	seed;
};

static void
try_write(char *path, uint32_t seed)
{
	snprintf(path, TRY_BYTES + 1, "/%06x/", seed);
}

static int
try_compare(const void *a, const void *b)
{
	const struct try *x = a, *y = b;

	return x->place < y->place ? -1 : x->place > y->place;
}

/* Two texts that a table of SLOTS can't tell apart by hash. */
static void
twins_find(bool whole, char twins[2][PATH_MAX_BYTES])
{
	struct try *all = calloc(TRIES, sizeof(*all));
	uint64_t hash;
	uint32_t i;

	cr_assert_not_null(all);
	for (i = 0; i < TRIES; i++) {
		try_write(twins[0], i);
		hash = path_hash(twins[0], TRY_BYTES, whole);
		all[i] = (struct try){ hash & (((uint64_t)SLOTS << 32) - 1),
		    i };
	}
	qsort(all, TRIES, sizeof(*all), try_compare);
	for (i = 1; i < TRIES && all[i].place != all[i - 1].place; i++)
		;
	cr_assert_lt(i, TRIES, "no two of one hash: try more");
	try_write(twins[0], all[i - 1].seed);
	try_write(twins[1], all[i].seed);
	free(all);
}

/* Ten nodes of which one has 8 bytes and others more and fewer. */
static uint32_t
rules_around(struct wish *rules, const char twin[], enum match_kind kind)
{
	static const char *const paths[] = { "/", "/b", "/ccccccccccc",
	    "/dddddddddddd", "/e", "/f", "/g", "/hhhhhhhhhhh" };
	uint32_t n = 0;

	rules[n] = (struct wish){ .kind = kind };
	strcpy(rules[n++].path, twin);
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++, n++) {
		rules[n] = (struct wish){ .kind = MATCH_PREFIX };
		strcpy(rules[n].path, paths[i]);
	}
	return n;
}

static void
expect_twins(const struct wish *rules, uint32_t n,
    char twins[2][PATH_MAX_BYTES], const int want[2])
{
	struct table t = table_of(rules, n);
	struct call c = { false, NULL, "" };
	struct mem m;

	mem_init(&m, &unit_sys);
	cr_assert_eq(t.index->slots_n, SLOTS, "%u", t.index->slots_n);
	for (int i = 0; i < 2; i++) {
		strcpy(c.path, twins[i]);
		cr_assert_eq(table_find(&t, 1, &m, &c), want[i], "twin %d", i);
		if (rules[0].kind == MATCH_PATH)
			continue;
		strcat(c.path, "xxxx");
		cr_assert_eq(table_find(&t, 1, &m, &c), want[i], "on %d", i);
	}
	mem_fini(&m);
}

static void
expect_told_apart(enum match_kind kind)
{
	char twins[2][PATH_MAX_BYTES];
	struct wish rules[RULES_MAX];
	uint32_t n;

	twins_find(kind == MATCH_PATH, twins);
	n = rules_around(rules, twins[0], kind);
	/* the other is not there: it takes the root */
	expect_twins(rules, n, twins, (const int [2]){ 0, 1 });
	/* nor does it hide the 7 bytes that it begins with */
	rules[n] = (struct wish){ .kind = MATCH_PREFIX };
	memcpy(rules[n].path, twins[1], TRY_BYTES - 1);
	rules[1].kind = MATCH_PATH;
	expect_twins(rules, n + 1, twins, (const int [2]){ 0, (int)n });
	/* both are there */
	rules[n] = (struct wish){ .kind = kind };
	strcpy(rules[n].path, twins[1]);
	expect_twins(rules, n + 1, twins, (const int [2]){ 0, (int)n });
}

Test(route_index, texts_of_one_hash, .timeout = 100)
{
	expect_told_apart(MATCH_PREFIX);
	expect_told_apart(MATCH_PATH);
}

/* ---- domains */

static int
domain_compare(const void *a, const void *b)
{
	const struct domain *x = a, *y = b;
	size_t n = strlen(x->text), m = strlen(y->text);

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	return n != m ? (n > m ? -1 : 1) : strcmp(x->text, y->text);
}

/* The first of all that fits, by its number; -1. */
static int
domain_naive(const struct domain *d, uint32_t n, const char *host)
{
	size_t len = strlen(host), want;

	for (uint32_t i = 0; i < n; i++) {
		want = strlen(d[i].text);
		if (d[i].kind == DOMAIN_EXACT ? strcasecmp(host, d[i].text)
		    == 0 : d[i].kind == DOMAIN_ANY || (len > want &&
		    strncasecmp(d[i].kind == DOMAIN_PREFIX ? host :
		    host + len - want, d[i].text, want) == 0))
			return (int)i;
	}
	return -1;
}

static void
name_random(char *name, uint32_t bytes)
{
	for (uint32_t i = 0; i < bytes; i++)
		name[i] = "ab.\xe4"[below(4)];
	name[bytes] = '\0';
}

Test(route_index, domains_as_the_naive_one)
{
	enum { N = 120 };
	static char names[N][16];
	struct domain d[N];
	block_ref hosts[N];
	struct mem m;

	mem_init(&m, &unit_sys);
	for (int round = 0; round < 300; round++) {
		uint32_t n = 1 + below(N);
		const struct block_route_config *c;

		unit_arena.used_bytes = ARENA_CONTROL_BYTES;
		for (uint32_t i = 0; i < n; i++) {
			name_random(names[i], 1 + below(5));
			d[i] = (struct domain){ (enum domain_kind)(below(4) *
			    below(2)), names[i], 0 };
		}
		qsort(d, n, sizeof(d[0]), domain_compare);
		for (uint32_t i = 0; i < n; i++) {
			struct block_route r = route(MATCH_PREFIX, "", 0);
			struct block_host *h;

			hosts[i] = host(&r, 1);
			h = (struct block_host *)(void *)(unit_arena.base +
			    (size_t)hosts[i] * ARENA_UNIT_BYTES);
			h->routes[0].cluster = i;
			d[i].host = i;
		}
		c = config(d, n, hosts, n, false);
		for (int i = 0; i < 100; i++) {
			char name[16];
			int want, is;

			name_random(name, below(7));
			if (name[0] == 'a')
				name[0] = 'A';
			want = domain_naive(d, n, name);
			is = found(c, request(&m, name, "/"));
			/* doubles, which the compiler refuses, are as good */
			cr_assert(want == is || (want >= 0 && is >= 0 &&
			    domain_compare(&d[want], &d[is]) == 0),
			    "'%s': want %d, is %d", name, want, is);
		}
	}
	mem_fini(&m);
	cr_assert_eq(unit_blocks, 0);
}
