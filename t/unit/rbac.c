/*
 * t/unit/rbac.c - worker/rbac.c over rules that the test lays out itself: who
 * has which name, which paths are canonical, what a node asks, where a walk
 * ends. That compiled rules mean what they say is t/unit/compile_rbac.c.
 */
#include "worker/rbac.h"

#include <criterion/criterion.h>

#include "t/lib/unit_block.h"
#include "t/lib/unit_sys.h"

TestSuite(rbac, .init = unit_arena_open, .fini = unit_arena_close);

static struct block_rbac_rules *
rules(enum rbac_action action, uint32_t entry, uint32_t n)
{
	block_ref ref;
	struct block_rbac_rules *r = unit_block(sizeof(*r) +
	    n * sizeof(r->nodes[0]), &ref);

	r->action = action;
	r->entry = entry;
	r->nodes_n = n;
	return r;
}

/* One node: matches or not. */
static struct block_rbac_rules *
rule(enum rbac_what what, enum header_match_kind kind, const char *value)
{
	struct block_rbac_rules *r = rules(RBAC_ALLOW, 0, 1);

	r->nodes[0] = (struct block_rbac_node){ .what = what,
	    .yes = RBAC_MATCHES, .no = RBAC_FAILS,
	    .match = { .kind = (uint8_t)kind, .value = unit_text(value) } };
	return r;
}

/* ---- paths */

Test(rbac, paths_that_can_be_read_in_one_way_only)
{
	static const struct { const char *path; bool canonical; } rows[] = {
		{ "/pkg.Service/Method", true }, { "/", true },
		{ "/a", true }, { "/a/b/c", true }, { "/.a/..b/...", true },
		{ "/a-._~!$&'()*+,=:@Z9", true }, { "/a./b..", true },
		{ "", false }, { "*", false }, { "a/b", false },
		{ "http://a/b", false },
		{ "/pkg.Admin%2FDelete", false }, { "/pkg.%41dmin/D", false },
		{ "/a/%", false }, { "/a/b%00", false },
		{ "//pkg.Admin/Delete", false }, { "/a//b", false },
		{ "/a/b/", false }, { "//", false },
		{ "/x/../pkg.Admin/Delete", false }, { "/a/..", false },
		{ "/./a", false }, { "/.", false }, { "/..", false },
		{ "/a\\b", false }, { "/a;v=1/b", false }, { "/a#b", false },
		{ "/a b", false }, { "/a\tb", false }, { "/\xc3\xa4", false },
		{ "/a\"b", false }, { "/a|b", false }, { "/a\x7f", false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		cr_expect_eq(rbac_path_is_canonical(rows[i].path,
		    strlen(rows[i].path)),
		    rows[i].canonical, "%s", rows[i].path);
	cr_expect(!rbac_path_is_canonical("/a\0b", 4));
}

Test(rbac, a_rule_on_the_path)
{
	static const struct {
		enum header_match_kind kind;
		const char *want, *path;
		bool matches;
	} rows[] = {
		{ HEADER_EXACT, "/a/b", "/a/b", true },
		{ HEADER_EXACT, "/a/b", "/a/bc", false },
		{ HEADER_EXACT, "/a/b", "/A/b", false },
		{ HEADER_PREFIX, "/a/", "/a/b", true },
		{ HEADER_PREFIX, "/a/", "/a", false },
		{ HEADER_SUFFIX, "/b", "/a/b", true },
		{ HEADER_CONTAINS, ".B/", "/a.B/c", true },
		{ HEADER_CONTAINS, ".B/", "/a.b/c", false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct rbac_call call = { .path = rows[i].path,
		    .path_len = strlen(rows[i].path) };

		cr_expect_eq(rbac_allows(&unit_arena, rule(RBAC_PATH,
		    rows[i].kind, rows[i].want), &call), rows[i].matches,
		    "%s of %s", rows[i].want, rows[i].path);
	}
}

/* ---- names */

Test(rbac, a_rule_on_the_callers_names)
{
	static const char us[] = "spiffe://mesh/region/us/local\0";
	static const char many[] = "spiffe://a\0spiffe://b\0b.mesh\0";
	static const struct {
		enum header_match_kind kind;
		const char *want, *names;
		bool matches;
	} rows[] = {
		{ HEADER_EXACT, "spiffe://mesh/region/us/local", us, true },
		{ HEADER_EXACT, "spiffe://mesh/region/us", us, false },
		{ HEADER_PREFIX, "spiffe://mesh/region/", us, true },
		{ HEADER_PREFIX, "spiffe://mesh/region/eu", us, false },
		{ HEADER_SUFFIX, "/local", us, true },
		{ HEADER_CONTAINS, "/us/", us, true },
		/* any of them, URIs and DNS names */
		{ HEADER_EXACT, "spiffe://a", many, true },
		{ HEADER_EXACT, "spiffe://b", many, true },
		{ HEADER_EXACT, "b.mesh", many, true },
		{ HEADER_EXACT, "", many, false },
		/* a certificate without a name, and none */
		{ HEADER_PRESENT, "", "\0", true },
		{ HEADER_PREFIX, "s", "\0", false },
		{ HEADER_PRESENT, "", us, true },
		{ HEADER_PRESENT, "", NULL, false },
		{ HEADER_PREFIX, "s", NULL, false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct rbac_call call = { .names = rows[i].names };

		cr_expect_eq(rbac_allows(&unit_arena, rule(RBAC_NAME,
		    rows[i].kind, rows[i].want), &call), rows[i].matches,
		    "row %zu: %s", i, rows[i].want);
	}
}

/* ---- headers */

static bool
allows(struct block_rbac_rules *r, const char *name, enum rbac_action action,
    const struct headers *h)
{
	const struct rbac_call call = { .headers = h };

	r->action = action;
	r->nodes[0].match.name = unit_text(name);
	return rbac_allows(&unit_arena, r, &call);
}

Test(rbac, a_rule_on_a_header)
{
	struct block_rbac_rules *r = rule(RBAC_HEADER, HEADER_EXACT, "blue");
	struct headers *h;
	struct mem m;

	mem_init(&m, &unit_sys);
	h = headers_new(&m);
	headers_add_text(h, ":method", "POST");
	headers_add_text(h, "host", "blue");
	headers_add_text(h, "x-tenant", "blue");
	cr_expect(allows(r, "x-tenant", RBAC_ALLOW, h));
	cr_expect(!allows(r, "x-other", RBAC_ALLOW, h));
	cr_expect(allows(r, ":authority", RBAC_ALLOW, h), "host is its other "
	    "name");
	headers_put(h);
	mem_fini(&m);
}

/* Whoever sends a header a second time must not hide the first behind it. */
Test(rbac, a_header_too_long_to_be_looked_at_is_never_allowed)
{
	static const enum header_match_kind kinds[] = { HEADER_EXACT,
	    HEADER_CONTAINS, HEADER_PRESENT };
	static char long_value[8192];
	struct headers *once, *twice;
	struct mem m;

	memset(long_value, 'x', sizeof(long_value) - 1);
	mem_init(&m, &unit_sys);
	once = headers_new(&m);
	headers_add_text(once, ":method", "POST");
	headers_add_text(once, "x-tenant", long_value);
	twice = headers_copy(once);
	headers_add_text(twice, "x-tenant", "blue");
	for (size_t i = 0; i < 3; i++) {
		struct block_rbac_rules *r = rule(RBAC_HEADER, kinds[i],
		    "blue");

		cr_expect_eq(allows(r, "x-tenant", RBAC_DENY, once),
		    kinds[i] != HEADER_PRESENT);
		cr_expect(!allows(r, "x-tenant", RBAC_DENY, twice));
		cr_expect(!allows(r, "x-tenant", RBAC_ALLOW, twice));
		cr_expect(allows(r, "x-other", RBAC_DENY, twice));
	}
	headers_put(once);
	headers_put(twice);
	mem_fini(&m);
}

/* ---- actions */

Test(rbac, what_the_ends_of_a_walk_mean)
{
	static const struct {
		enum rbac_action action;
		uint32_t entry;
		bool allowed;
	} rows[] = {
		{ RBAC_ALLOW, RBAC_MATCHES, true },
		{ RBAC_ALLOW, RBAC_FAILS, false },
		{ RBAC_DENY, RBAC_MATCHES, false },
		{ RBAC_DENY, RBAC_FAILS, true },
	};
	const struct rbac_call call = { .names = NULL };

	for (size_t i = 0; i < 4; i++)
		cr_expect_eq(rbac_allows(&unit_arena, rules(rows[i].action,
		    rows[i].entry, 0), &call), rows[i].allowed, "%zu", i);
}
