/*
 * t/unit/route.c - worker/route.c over blocks that the test lays out itself.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "t/lib/unit_route.h"

TestSuite(route, .init = unit_arena_open, .fini = unit_arena_close);

Test(route, domains)
{
	/* sorted as the compiler does: kind, then longer first */
	static const struct domain d[] = {
		{ DOMAIN_EXACT, "a.example:80", 0 },
		{ DOMAIN_EXACT, "a.example", 1 },
		{ DOMAIN_SUFFIX, ".b.example", 2 },
		{ DOMAIN_SUFFIX, ".example", 3 },
		{ DOMAIN_PREFIX, "a.b.", 4 }, { DOMAIN_PREFIX, "a.", 5 },
		{ DOMAIN_ANY, "", 6 },
	};
	static const struct { const char *authority; int want, no_port; }
	    rows[] = {
		{ "a.example", 1, 1 }, { "A.EXAMPLE", 1, 1 },
		{ "a.example:80", 0, 1 }, { "a.example:81", 5, 1 },
		{ "x.example", 3, 3 }, { ".example", 6, 6 },
		{ "x.b.example", 2, 2 }, { "b.example", 3, 3 },
		{ "a.b.org", 4, 4 }, { "a.b.", 5, 5 }, { "a.org", 5, 5 },
		{ "a.", 6, 6 }, { "", 6, 6 }, { "org", 6, 6 },
		{ "x.example:1", 6, 3 }, { "[::1]:80", 6, 6 },
	};
	const struct block_route_config *c[2];
	block_ref hosts[7];
	struct mem m;

	mem_init(&m, &unit_sys);
	for (uint32_t i = 0; i < 7; i++) {
		struct block_route r = route(MATCH_PREFIX, "/", 0);
		struct block_host *h;

		hosts[i] = host(&r, 1);
		h = (struct block_host *)(void *)(unit_arena.base +
		    (size_t)hosts[i] * ARENA_UNIT_BYTES);
		h->routes[0].cluster = i;
	}
	c[0] = config(d, 7, hosts, 7, false);
	c[1] = config(d, 7, hosts, 7, true);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		cr_assert_eq(found(c[0], request(&m, rows[i].authority, "/")),
		    rows[i].want, "%s", rows[i].authority);
		cr_assert_eq(found(c[1], request(&m, rows[i].authority, "/")),
		    rows[i].no_port, "%s, port ignored", rows[i].authority);
	}
	cr_assert_eq(found(config(d, 6, hosts, 7, false),
	    request(&m, "org", "/")), -1, "a host that nobody has");
	mem_fini(&m);
}

Test(route, paths_first_match_wins)
{
	static const struct { const char *path; int want; } rows[] = {
		{ "/a.B/C", 0 }, { "/a.B/C?x=1", 0 }, { "/a.B/Cx", 2 },
		{ "/a.b/c", -1 }, { "/x.Y/ANY", 1 }, { "/X.y/any", 1 },
		{ "/x.Y/any2", -1 }, { "/a.B/", 2 }, { "/a.B", -1 },
		{ "/sep", 3 }, { "/sep/", 3 }, { "/sep/x", 3 },
		{ "/separate", -1 }, { "/sep?q", 3 }, { "/", -1 },
	};
	struct block_route r[] = {
		route(MATCH_PATH, "/a.B/C", 0),
		route(MATCH_PATH, "/x.y/any", MATCH_ANY_CASE),
		route(MATCH_PREFIX, "/a.B/", 0),
		route(MATCH_SEPARATED_PREFIX, "/sep", 0),
		route(MATCH_PREFIX, "/a.B/C", 0),	/* never reached */
	};
	static const struct domain any = { DOMAIN_ANY, "", 0 };
	block_ref h = host(r, 5);
	const struct block_route_config *c = config(&any, 1, &h, 1, false);
	struct mem m;

	mem_init(&m, &unit_sys);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		cr_assert_eq(found(c, request(&m, "x", rows[i].path)),
		    rows[i].want, "%s", rows[i].path);
	mem_fini(&m);
}

struct header_row {
	enum header_match_kind kind;
	uint8_t		 flags;
	const char	*want, *have;	/* NULL: missing; "a|b": twice */
	bool		 matches;
};

static const struct header_row header_rows[] = {
	{ HEADER_PRESENT, 0, "", "x", true },
	{ HEADER_PRESENT, 0, "", "", true },
	{ HEADER_PRESENT, 0, "", NULL, false },
	{ HEADER_PRESENT, HEADER_INVERT, "", NULL, true },
	{ HEADER_PRESENT, HEADER_INVERT, "", "x", false },
	{ HEADER_EXACT, 0, "eu", "eu", true },
	{ HEADER_EXACT, 0, "eu", "EU", false },
	{ HEADER_EXACT, HEADER_ANY_CASE, "eu", "EU", true },
	{ HEADER_EXACT, 0, "eu", "eux", false },
	{ HEADER_EXACT, 0, "eu", NULL, false },
	{ HEADER_EXACT, HEADER_INVERT, "eu", "us", true },
	{ HEADER_EXACT, HEADER_INVERT, "eu", "eu", false },
	/* a missing header satisfies no value rule, inverted or not */
	{ HEADER_EXACT, HEADER_INVERT, "eu", NULL, false },
	{ HEADER_EXACT, HEADER_INVERT | HEADER_MISSING_AS_EMPTY, "eu", NULL,
	    true },
	{ HEADER_EXACT, HEADER_MISSING_AS_EMPTY, "", NULL, true },
	{ HEADER_EXACT, 0, "a,b", "a|b", true },
	{ HEADER_EXACT, 0, "a", "a|b", false },
	{ HEADER_PREFIX, 0, "ab", "abc", true },
	{ HEADER_PREFIX, 0, "ab", "a", false },
	{ HEADER_PREFIX, HEADER_ANY_CASE, "ab", "ABc", true },
	{ HEADER_SUFFIX, 0, "bc", "abc", true },
	{ HEADER_SUFFIX, 0, "bc", "bcd", false },
	{ HEADER_CONTAINS, 0, "b", "abc", true },
	{ HEADER_CONTAINS, HEADER_ANY_CASE, "b", "ABC", true },
	{ HEADER_CONTAINS, 0, "bb", "abc", false },
	{ HEADER_CONTAINS, 0, "abcd", "abc", false },
	{ HEADER_RANGE, 0, "", "10", true },
	{ HEADER_RANGE, 0, "", "19", true },
	{ HEADER_RANGE, 0, "", "20", false },
	{ HEADER_RANGE, 0, "", "9", false },
	{ HEADER_RANGE, 0, "", "1x", false },
	{ HEADER_RANGE, 0, "", " 15", false },
	{ HEADER_RANGE, 0, "", "", false },
	{ HEADER_RANGE, 0, "", "99999999999999999999", false },
	{ HEADER_RANGE, HEADER_INVERT, "", "9", true },
};

Test(route, headers)
{
	static const struct domain any = { DOMAIN_ANY, "", 0 };
	struct mem m;

	mem_init(&m, &unit_sys);
	for (size_t i = 0; i < sizeof(header_rows) / sizeof(*header_rows);
	    i++) {
		const struct header_row *row = &header_rows[i];
		struct block_route r = route(MATCH_PREFIX, "/", 0);
		struct block_header_matches *matches = unit_block(
		    sizeof(*matches) + sizeof(matches->at[0]), &r.headers);
		struct headers *h = request(&m, "x", "/");
		block_ref hr;

		matches->n = 1;
		matches->at[0] = (struct block_header_match){ .name = unit_text("k"),
		    .value = unit_text(row->want), .kind = (uint8_t)row->kind,
		    .flags = row->flags, .range_from = 10, .range_to = 20 };
		hr = host(&r, 1);
		if (row->have != NULL) {
			size_t n = strcspn(row->have, "|");

			headers_add(h, "k", 1, row->have, n, 0);
			if (row->have[n] == '|')
				headers_add_text(h, "k", row->have + n + 1);
		}
		cr_assert_eq(found(config(&any, 1, &hr, 1, false), h) == 0,
		    row->matches, "row %zu: kind %d flags %d want '%s' "
		    "have '%s'", i, row->kind, row->flags, row->want,
		    row->have == NULL ? "(missing)" : row->have);
	}
	mem_fini(&m);
}

Test(route, grpc_is_a_content_type)
{
	static const struct { const char *type; bool grpc; } rows[] = {
		{ "application/grpc", true }, { "application/grpc+x", true },
		{ "application/grpc-web", false }, { "text/html", false },
		{ "application/grp", false }, { NULL, false },
	};
	static const struct domain any = { DOMAIN_ANY, "", 0 };
	struct block_route r = route(MATCH_PREFIX, "/", MATCH_GRPC);
	block_ref hr = host(&r, 1);
	const struct block_route_config *c = config(&any, 1, &hr, 1, false);
	struct mem m;

	mem_init(&m, &unit_sys);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct headers *h = request(&m, "x", "/");

		if (rows[i].type != NULL)
			headers_add_text(h, "content-type", rows[i].type);
		cr_assert_eq(found(c, h), rows[i].grpc ? 0 : -1, "%s",
		    rows[i].type == NULL ? "(none)" : rows[i].type);
	}
	mem_fini(&m);
	cr_assert_eq(unit_blocks, 0);
}

/* Every number under the total, and those that wrap around it. */
Test(route, a_split_goes_by_weight)
{
	block_ref ref;
	struct block_split *b = unit_block(sizeof(*b) +
	    3 * sizeof(b->shares[0]), &ref);
	uint32_t taken[3] = { 0 };

	b->n = 3;
	b->total = 10;
	b->shares[0].below = 1;
	b->shares[1].below = 8;
	b->shares[2].below = 10;
	for (uint64_t n = 0; n < 20; n++)
		taken[route_share(b, n) - b->shares]++;
	cr_assert_eq(taken[0], 2);
	cr_assert_eq(taken[1], 14);
	cr_assert_eq(taken[2], 4);
	cr_assert_eq(route_share(b, 0) - b->shares, 0);
	cr_assert_eq(route_share(b, 1) - b->shares, 1);
	cr_assert_eq(route_share(b, 7) - b->shares, 1);
	cr_assert_eq(route_share(b, 8) - b->shares, 2);
	cr_assert_eq(route_share(b, UINT64_MAX) - b->shares, 1);
	b->n = b->total = b->shares[0].below = 1;
	cr_assert_eq(route_share(b, UINT64_MAX) - b->shares, 0);
}
