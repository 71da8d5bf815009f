/*
 * t/unit/compile.c - the compiler: what it refuses and how it says so, and
 * what lies in the arena afterwards.
 *
 * Refusals start from t/data/compile/base.yaml, in which one piece of text is
 * replaced by another; the answer is compared to the last byte. Generations
 * are compared as text with t/data/compile/NAME.dump, which GOLDEN=write
 * writes anew; read the difference before committing it.
 */
#include "master/compile.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/compile_parts.h"
#include "master/dump.h"

#define DATA "t/data/compile/"

struct world {
	struct arena	 arena;
	struct names	*names;
	struct conf	 conf;
	struct compiled	 out;
	uint64_t	 number;
	char		 why[1024];
};

static void
world_init(struct world *w)
{
	memset(w, 0, sizeof(*w));
	conf_init(&w->conf);
	w->names = names_new();
	cr_assert_not_null(w->names);
	cr_assert_eq(arena_new(&w->arena, 256 << 20, w->why, sizeof(w->why)),
	    0, "%s", w->why);
}

static void
world_fini(struct world *w)
{
	names_free(w->names);
	arena_close(&w->arena);
}

static char *
slurp(const char *file)
{
	FILE *f = fopen(file, "r");
	char *text = NULL;
	size_t n = 0;

	if (f == NULL)
		return NULL;
	if (getdelim(&text, &n, '\0', f) < 0) {
		free(text);
		text = NULL;
	}
	fclose(f);
	return text;
}

/* 0, or -1 and w->why. A file that does not load is a test that is wrong. */
static int
run(struct world *w, const char *text)
{
	struct load_arena *m = load_arena_new(64 << 20);
	struct yaml *y = yaml_read(text, strlen(text), "t.yaml", w->why,
	    sizeof(w->why));
	const ProtobufCMessage *bootstrap;
	int rc;

	cr_assert_not_null(y, "%s", w->why);
	bootstrap = load_message(m,
	    &envoy__config__bootstrap__v3__bootstrap__descriptor, y,
	    yaml_root(y), "", w->why, sizeof(w->why));
	cr_assert_not_null(bootstrap, "%s", w->why);
	rc = compile(&w->out, &w->arena, w->names, ++w->number, &w->conf, y,
	    bootstrap, m, w->why, sizeof(w->why));
	yaml_close(y);
	load_arena_free(m);
	return rc;
}

/* text with the first from in it replaced by to; the caller frees it. */
static char *
replace(const char *text, const char *from, const char *to)
{
	const char *at = strstr(text, from);
	char *made = NULL;

	cr_assert_not_null(at, "\"%s\" is not in it", from);
	cr_assert_gt(asprintf(&made, "%.*s%s%s", (int)(at - text), text, to,
	    at + strlen(from)), 0);
	return made;
}

static char *
dumped(struct world *w)
{
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	dump(f, &w->arena, w->out.generation.root);
	fclose(f);
	return text;
}

/* ---- refusals */

static const struct refusal {
	const char	*from, *to, *why;
} refusals[] = {
#include "t/data/compile/refusals.def"
};

Test(compile, refuses_with_place_and_reason)
{
	char *base = slurp(DATA "base.yaml"), *text;
	size_t i, n = sizeof(refusals) / sizeof(refusals[0]);
	struct world w;

	world_init(&w);
	for (i = 0; i < n; i++) {
		text = replace(base, refusals[i].from, refusals[i].to);
		cr_expect_eq(run(&w, text), -1, "accepted: %s",
		    refusals[i].to);
		cr_expect_str_eq(w.why, refusals[i].why, "\n%s ->\n%s\n"
		    "  is  %s\n  not %s", refusals[i].from, refusals[i].to,
		    w.why, refusals[i].why);
		cr_expect_eq(w.arena.used_bytes, ARENA_CONTROL_BYTES);
		cr_expect_eq(names_count(w.names, NAMES_CLUSTER) +
		    names_count(w.names, NAMES_LISTENER) +
		    names_count(w.names, NAMES_ENDPOINT), 0);
		free(text);
	}
	cr_assert_geq(n, 40);
	free(base);
	world_fini(&w);
}

/* ---- what lies in the arena */

Test(compile, generations_as_text)
{
	static const char *const names[] = { "base", "full", "tls", "none" };
	char file[64], *text, *want, *is;
	struct world w;
	size_t i;
	FILE *f;

	setenv("GODWIT_TEST_CA", "-----BEGIN CERTIFICATE-----\nx\n", 1);
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(file, sizeof(file), DATA "%s.yaml", names[i]);
		text = slurp(file);
		world_init(&w);
		cr_assert_eq(run(&w, text), 0, "%s: %s", file, w.why);
		is = dumped(&w);
		snprintf(file, sizeof(file), DATA "%s.dump", names[i]);
		if (getenv("GOLDEN") != NULL && (f = fopen(file, "w"))) {
			fputs(is, f);
			fclose(f);
		}
		want = slurp(file);
		cr_expect_str_eq(is, want == NULL ? "" : want, "%s:\n%s",
		    file, is);
		free(want);
		free(is);
		free(text);
		world_fini(&w);
	}
}

Test(compile, the_same_twice_is_the_same_bytes)
{
	char *text = slurp(DATA "full.yaml");
	struct world one, two;

	world_init(&one);
	world_init(&two);
	cr_assert_eq(run(&one, text), 0, "%s", one.why);
	cr_assert_eq(run(&two, text), 0, "%s", two.why);
	cr_assert_eq(one.arena.used_bytes, two.arena.used_bytes);
	cr_assert_eq(memcmp(one.arena.base + ARENA_CONTROL_BYTES,
	    two.arena.base + ARENA_CONTROL_BYTES,
	    one.arena.used_bytes - ARENA_CONTROL_BYTES), 0);
	free(text);
	world_fini(&one);
	world_fini(&two);
}

/* The cluster of a name in the newest generation. */
static const struct block_cluster *
cluster_named(const struct world *w, const char *name)
{
	const struct block_root *root = arena_at(&w->arena,
	    w->out.generation.root);
	const struct block_cluster *c;

	for (uint32_t slot = 0; slot < PAGE_SLOTS; slot++) {
		c = block_cluster_find(&w->arena, root, slot);
		if (c != NULL && strcmp(block_text(&w->arena, c->name),
		    name) == 0)
			return c;
	}
	return NULL;
}

Test(compile, names_keep_their_slots_and_ids)
{
	char *base = slurp(DATA "base.yaml"), *more;
	const struct block_balance *b[2];
	const struct block_cluster *eu[2], *local[2];
	struct world w;

	world_init(&w);
	cr_assert_eq(run(&w, base), 0, "%s", w.why);
	eu[0] = cluster_named(&w, "eu");
	local[0] = cluster_named(&w, "local");
	more = replace(base, "  clusters:\n", "  clusters:\n"
	    "  - name: before\n    http2_protocol_options: {}\n"
	    "    load_assignment: {cluster_name: before}\n");
	cr_assert_eq(run(&w, more), 0, "%s", w.why);
	eu[1] = cluster_named(&w, "eu");
	local[1] = cluster_named(&w, "local");
	cr_assert_eq(eu[0]->slot, eu[1]->slot);
	cr_assert_eq(eu[0]->tag, eu[1]->tag);
	cr_assert_eq(local[0]->slot, local[1]->slot);
	b[0] = arena_at(&w.arena, local[0]->balance);
	b[1] = arena_at(&w.arena, local[1]->balance);
	cr_assert_eq(b[0]->endpoints_n, 2);
	for (uint32_t i = 0; i < 2; i++) {
		cr_assert_eq(b[0]->endpoints[i].id, b[1]->endpoints[i].id);
		cr_assert_eq(b[0]->endpoints[i].tag, b[1]->endpoints[i].tag);
	}
	cr_assert_lt(b[0]->endpoints[0].id, b[0]->endpoints[1].id,
	    "ordered by id");
	cr_assert_eq(b[0]->weights_differ, 1);
	cr_assert_eq(b[0]->weight_total, 4);
	free(more);
	free(base);
	world_fini(&w);
}
