/*
 * t/unit/compile_rbac.c - master/compile_rbac.c and worker/rbac.c: whatever
 * rules say, nested at random, a walk through their program comes to what
 * they say when they are read as they stand.
 *
 * Rules are made as a tree, printed as a file would have them, loaded and
 * compiled; the tree is asked here, by a recursion that knows neither.
 */
#include "master/compile_parts.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shm/block_kind.h"
#include "t/lib/chance.h"
#include "t/lib/unit_block.h"
#include "t/lib/unit_sys.h"
#include "worker/rbac.h"
#include "xds/proto/envoy/extensions/rbac.pb-c.h"

TestSuite(compile_rbac, .init = unit_arena_open, .fini = unit_arena_close);

enum { ROUNDS = 3000, LEVELS = 16, PARTS_MAX = 3, POLICIES_MAX = 3 };

/* A request is what is true of it, a bit each: 16 of them are all there are. */
enum leaf { BEGINS, ENDS, NAMED, TENANT, LEAVES };

struct part {
	enum { LEAF, ANYBODY, ALL, ONE, NOT } form;
	enum leaf	 leaf;
	size_t		 n;
	struct part	*parts[PARTS_MAX];
};

static struct chance chance;

/* ---- trees */

static struct part *
part_new(bool principal, int level)
{
	struct part *p = calloc(1, sizeof(*p));

	cr_assert_not_null(p);
	p->leaf = (enum leaf)chance_below(&chance, LEAVES);
	if (!principal && p->leaf == NAMED)
		p->leaf = TENANT;
	p->form = level == LEVELS || chance_below(&chance, 3) == 0 ? LEAF : chance_below(&chance, 12) == 0 ?
	    ANYBODY : ALL + chance_below(&chance, 3);
	p->n = p->form < ALL ? 0 : p->form == NOT ? 1 : 1 + chance_below(&chance, PARTS_MAX);
	if (level > 4 && p->n > 1)
		p->n = 1 + chance_below(&chance, 2);
	for (size_t i = 0; i < p->n; i++)
		p->parts[i] = part_new(principal, level + 1);
	return p;
}

static void
part_free(struct part *p)
{
	for (size_t i = 0; i < p->n; i++)
		part_free(p->parts[i]);
	free(p);
}

static bool
part_holds(const struct part *p, unsigned request)
{
	bool all = true, one = false;

	if (p->form == LEAF)
		return request >> p->leaf & 1;
	for (size_t i = 0; i < p->n; i++) {
		bool holds = part_holds(p->parts[i], request);

		all = all && holds;
		one = one || holds;
	}
	return p->form == ONE ? one : p->form == NOT ? !one : all;
}

static size_t
leaves_n(const struct part *p)
{
	size_t n = p->form == LEAF;

	for (size_t i = 0; i < p->n; i++)
		n += leaves_n(p->parts[i]);
	return n;
}

/* ---- as a file has them */

static const char *const leaf_text[LEAVES] = {
	[BEGINS] = "url_path: {path: {prefix: /A, ignore_case: true}}",
	[ENDS] = "url_path: {path: {suffix: z}}",
	[NAMED] = "authenticated: {principal_name: {exact: b}}",
	[TENANT] = "header: {name: x-tenant, string_match: {exact: blue}}",
};

static void
part_print(FILE *f, const struct part *p, bool principal)
{
	static const char *const names[2][3] = {
		{ "and_rules: {rules: [", "or_rules: {rules: [",
		    "not_rule: " },
		{ "and_ids: {ids: [", "or_ids: {ids: [", "not_id: " },
	};

	if (p->form < ALL) {
		fprintf(f, "{%s}", p->form == LEAF ? leaf_text[p->leaf] :
		    "any: true");
		return;
	}
	fprintf(f, "{%s", names[principal][p->form - ALL]);
	for (size_t i = 0; i < p->n; i++) {
		fputs(i > 0 ? ", " : "", f);
		part_print(f, p->parts[i], principal);
	}
	fputs(p->form == NOT ? "}" : "]}}", f);
}

/* One of the permissions, and one of the principals: each list is a ONE. */
struct policy {
	struct part	*permissions, *principals;
};

static void
list_print(FILE *f, const char *name, const struct part *p, bool principal)
{
	fprintf(f, "%s: [", name);
	for (size_t i = 0; i < p->n; i++) {
		fputs(i > 0 ? ", " : "", f);
		part_print(f, p->parts[i], principal);
	}
	fputs("]", f);
}

static char *
policies_print(const struct policy *p, size_t n, bool deny)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	fprintf(f, "rules: {action: %s, policies: {", deny ? "DENY" :
	    "ALLOW");
	for (size_t i = 0; i < n; i++) {
		fprintf(f, "%sp%zu: {", i > 0 ? ", " : "", i);
		list_print(f, "permissions", p[i].permissions, false);
		list_print(f, ", principals", p[i].principals, true);
		fputs("}", f);
	}
	fputs("}}\n", f);
	fclose(f);
	return text;
}

/* ---- compiled and asked */

static const struct block_rbac_rules *
rules_of(const char *text)
{
	static const struct at at = AT(NULL, "rbac");
	char why[1024] = "";
	struct image image = { .blocks = heap_new(&unit_arena, HEAP_KEEP) };
	struct compiler c = { .arena = &unit_arena, .image = &image,
	    .why = why, .why_len = sizeof(why),
	    .memory = load_arena_new(64 << 20) };
	struct yaml *y = yaml_read(text, strlen(text), "f", why, sizeof(why));
	const ProtobufCMessage *m = y == NULL ? NULL : load_message(c.memory,
	    &envoy__extensions__filters__http__rbac__v3__rbac__descriptor, y,
	    yaml_root(y), "", why, sizeof(why));
	const struct block_rbac *b;
	block_ref ref;

	cr_assert_not_null(m, "%s\n%s", why, text);
	heap_begin(image.blocks);
	cr_assert_eq(compile_rbac(&c, &at, m, &ref), 0, "%s\n%s", why, text);
	yaml_close(y);
	load_arena_free(c.memory);
	heap_free(image.blocks);
	b = arena_at(&unit_arena, ref);
	return arena_at(&unit_arena, b->rules);
}

static bool
asked(const struct block_rbac_rules *r, struct mem *m, unsigned request)
{
	static const char *const paths[] = { "/b/y", "/a/y", "/b/z", "/a/z" };
	const char *path = paths[request & 3];
	struct headers *h = headers_new(m);
	const struct rbac_call call = { .headers = h, .path = path,
	    .path_len = strlen(path),
	    .names = request >> NAMED & 1 ? "a\0b\0" : "a\0" };
	bool allowed;

	headers_add_text(h, ":path", path);
	headers_add_text(h, "x-tenant", request >> TENANT & 1 ? "blue" :
	    "red");
	allowed = rbac_allows(&unit_arena, r, &call);
	headers_put(h);
	return allowed;
}

static size_t
round_check(struct mem *m)
{
	struct policy p[POLICIES_MAX];
	size_t n = chance_below(&chance, POLICIES_MAX + 1), leaves = 0, allowed = 0;
	bool deny = chance_below(&chance, 2) == 1;
	const struct block_rbac_rules *r;
	char *text;

	for (size_t i = 0; i < n; i++) {
		do
			p[i].permissions = part_new(false, 0);
		while (p[i].permissions->form != ONE &&
		    (part_free(p[i].permissions), true));
		do
			p[i].principals = part_new(true, 0);
		while (p[i].principals->form != ONE &&
		    (part_free(p[i].principals), true));
		leaves += leaves_n(p[i].permissions) +
		    leaves_n(p[i].principals);
	}
	text = policies_print(p, n, deny);
	r = rules_of(text);
	cr_assert_leq(r->nodes_n, leaves, "%s", text);
	cr_assert_null(block_kind_check(BLOCK_RBAC_RULES, r), "%s", text);
	for (unsigned request = 0; request < 1 << LEAVES; request++) {
		bool matches = false;

		for (size_t i = 0; i < n; i++)
			matches = matches ||
			    (part_holds(p[i].permissions, request) &&
			    part_holds(p[i].principals, request));
		cr_assert_eq(asked(r, m, request), matches != deny,
		    "request %x: %s", request, text);
		allowed += matches != deny;
	}
	for (size_t i = 0; i < n; i++) {
		part_free(p[i].permissions);
		part_free(p[i].principals);
	}
	free(text);
	return allowed;
}

Test(compile_rbac, a_program_says_what_its_rules_say)
{
	size_t allowed = 0;
	struct mem m;

	mem_init(&m, &unit_sys);
	for (uint64_t round = 1; round <= ROUNDS; round++) {
		chance.state = round;
		allowed += round_check(&m);
	}
	/* Neither all nor none, or nothing was asked. */
	cr_assert(allowed > ROUNDS * 3 && allowed < ROUNDS * 13, "%zu",
	    allowed);
	mem_fini(&m);
}
