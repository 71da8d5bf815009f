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
#include <unistd.h>

#include "master/compile_parts.h"
#include "master/dump.h"
#include "shm/log.h"

#define DATA "t/data/compile/"

struct world {
	struct image	 image;
	struct names	*names;
	struct conf	 conf;
	struct compiled	 out;
	uint64_t	 number;
	size_t		 memory;	/* for the messages */
	char		 why[1024];
};

enum { MEMORY = 64 << 20 };

static void
world_init(struct world *w)
{
	memset(w, 0, sizeof(*w));
	w->memory = MEMORY;
	conf_init(&w->conf);
	w->names = names_new();
	cr_assert_not_null(w->names);
	cr_assert_eq(image_open_sized(&w->image, 256 << 20, w->why,
	    sizeof(w->why)), 0, "%s", w->why);
	image_settle(&w->image);
}

static void
world_fini(struct world *w)
{
	names_free(w->names);
	image_close(&w->image);
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

/* 0, or -1 and w->why. */
static int
run_or_unloaded(struct world *w, const char *text)
{
	struct load_arena *m = load_arena_new(MEMORY);
	struct yaml *y = yaml_read(text, strlen(text), "t.yaml", w->why,
	    sizeof(w->why));
	struct sources *sources = sources_disk();
	const ProtobufCMessage *bootstrap;
	int rc;

	cr_assert_not_null(y, "%s", w->why);
	bootstrap = load_message(m,
	    &envoy__config__bootstrap__v3__bootstrap__descriptor, y,
	    yaml_root(y), "", w->why, sizeof(w->why));
	rc = bootstrap == NULL ? -1 : compile(&w->out, &w->image, w->names,
	    sources, ++w->number, &w->conf, y, bootstrap, w->memory, w->why,
	    sizeof(w->why));
	if (rc == 0)
		compile_commit(&w->out, &w->image, w->names);
	sources_free(sources);
	yaml_close(y);
	load_arena_free(m);
	return rc;
}

/* A file that does not load is a test that is wrong. */
static int
run(struct world *w, const char *text)
{
	uint64_t before = w->number;
	int rc = run_or_unloaded(w, text);

	cr_assert_eq(w->number, before + 1, "not loaded: %s", w->why);
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

	dump(f, &w->image.arena, w->out.generation.root);
	fclose(f);
	return text;
}

/* ---- refusals: one piece of text makes base.yaml wrong */

static const struct refusal {
	const char	*from, *to, *why;
} refusals[] = {
#include "t/data/compile/refusals.def"
#include "t/data/compile/refusals_cluster.def"
#include "t/data/compile/refusals_rbac.def"
#include "t/data/compile/refusals_route.def"
};

/* As if it had never been there. */
static void
expect_no_trace(const struct world *w)
{
	cr_expect_eq(heap_allocated(w->image.blocks), 0);
	cr_expect_eq(heap_allocated(w->image.keys), 0);
	cr_expect_eq(names_count(w->names, NAMES_CLUSTER) +
	    names_count(w->names, NAMES_LISTENER) +
	    names_count(w->names, NAMES_ENDPOINT), 0);
}

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
		expect_no_trace(&w);
		free(text);
	}
	cr_assert_geq(n, 200);
	free(base);
	world_fini(&w);
}

#define HCM "static_resources.listeners[0].filter_chains[0].filters[0]" \
	".typed_config."
#define TLS "static_resources.listeners[0].filter_chains[0]" \
	".transport_socket.typed_config.common_tls_context."

#define K16 "kkkkkkkkkkkkkkkk"
#define K64 K16 K16 K16 K16

/* Too many of something: item n times between before and after. */
static const struct limit {
	const char	*from, *before, *item;
	size_t		 n;
	const char	*after, *why;
} limits[] = {
	{ "  - name: edge\n", "  - name: ", "e", 901, "\n",
	    "t.yaml:5:11: static_resources.listeners[0].name: has 901 bytes, "
	    "expected at most 900" },
	{ "  clusters:\n", "", "  - {name: more}\n", 64, "  clusters:\n",
	    "t.yaml:5:3: static_resources.listeners: has 65 items, expected "
	    "at most 64" },
	{ "tls_minimum_protocol_version: TLSv1_3", "cipher_suites: [", "A",
	    4092, ", BBBB]", "t.yaml:14:4136: " TLS "tls_params."
	    "cipher_suites[1]: the list is too long with it, expected under "
	    "4096 bytes" },
	{ "{filename: t/data/compile/chain.pem}", "{inline_string: ", "x",
	    1048577, "}", "t.yaml:17:50: " TLS "tls_certificates[0]."
	    "certificate_chain.inline_string: has 1048577 bytes, expected "
	    "1..1048576" },
	{ "              - {san_type: URI, matcher: {prefix:", "",
	    "              - {san_type: URI, matcher: {exact: x}}\n", 64,
	    "              - {san_type: URI, matcher: {prefix:",
	    "t.yaml:22:15: " TLS "validation_context."
	    "match_typed_subject_alt_names: has 65 items, expected at most "
	    "64" },
	{ "          - name: router\n", "", "          - {name: more}\n", 64,
	    "          - name: router\n", "t.yaml:31:11: " HCM "http_filters: "
	    "has 65 items, expected 1..64, the last of them the router" },
	{ "          - name: router\n", "", "          - name: who\n"
	    "            typed_config: {\"@type\": type.googleapis.com/"
	    "envoy.extensions.filters.http.rbac.v3.RBAC}\n", 8,
	    "          - name: router\n", "t.yaml:47:13: " HCM
	    "http_filters[8]: is one too many, expected at most 8 filters" },
	{ "domains: [\"*\"]", "domains: [", "d", 1025, "]",
	    "t.yaml:37:25: " HCM "route_config.virtual_hosts[0].domains[0]: "
	    "has 1025 bytes, expected 1..1024" },
	{ "      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:",
	    "      ? ", "k", 2000, "\n      :",
	    "t.yaml:51:7: static_resources.clusters[0]."
	    "typed_extension_protocol_options[\"" K64 K64 K64 K64 "\"]: is "
	    "not known, expected \"envoy.extensions.upstreams.http.v3."
	    "HttpProtocolOptions\"" },
	{ "headers: [", "headers: [", "{name: x}, ", 65535, "",
	    "t.yaml:40:45: " HCM "route_config.virtual_hosts[0].routes[0]."
	    "match.headers: has 65536 items, expected at most 65535" },
};

static char *
repeat(const struct limit *l)
{
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	fputs(l->before, f);
	for (size_t i = 0; i < l->n; i++)
		fputs(l->item, f);
	fputs(l->after, f);
	fclose(f);
	return text;
}

Test(compile, refuses_too_many)
{
	char *base = slurp(DATA "base.yaml"), *text, *to;
	struct world w;

	world_init(&w);
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		to = repeat(&limits[i]);
		text = replace(base, limits[i].from, to);
		cr_expect_eq(run(&w, text), -1, "%s", limits[i].why);
		cr_expect_str_eq(w.why, limits[i].why, "\n  is  %s\n  not %s",
		    w.why, limits[i].why);
		expect_no_trace(&w);
		free(text);
		free(to);
	}
	free(base);
	world_fini(&w);
}

static void
take(struct world *w, enum names_kind kind, struct name_id cluster, uint32_t k)
{
	struct block_address address = { .port = (uint16_t)k };
	struct name_id id;

	memcpy(address.bytes, &k, sizeof(k));
	if (kind == NAMES_ENDPOINT)
		names_take_endpoint(w->names, cluster, &address, &id);
	else
		names_take(w->names, kind, &k, sizeof(k), &id);
}

/* Ids that the generation before holds are not free yet (names.h N2). */
Test(compile, refuses_more_names_than_there_are_ids)
{
	static const struct {
		enum names_kind	 kind;
		uint32_t	 n;	/* so many are taken */
		const char	*why;
	} rows[] = {
		{ NAMES_LISTENER, LISTENERS_MAX, "t.yaml:5:5: "
		    "static_resources.listeners[0]: there is room for 64 "
		    "listeners, those that this change removes included" },
		{ NAMES_CLUSTER, CLUSTERS_MAX - 1, "t.yaml:62:5: "
		    "static_resources.clusters[1]: there is room for 65536 "
		    "clusters, those that this change removes included" },
		{ NAMES_ENDPOINT, ENDPOINTS_MAX - 1, "t.yaml:60:11: "
		    "static_resources.clusters[0].load_assignment."
		    "endpoints[0].lb_endpoints[1]: there is room for 1048576 "
		    "endpoints, those that this change removes included" },
	};
	char *base = slurp(DATA "base.yaml");
	struct world w;
	struct name_id cluster;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		world_init(&w);
		names_begin(w.names);
		names_take(w.names, NAMES_CLUSTER, "a", 1, &cluster);
		for (uint32_t k = rows[i].kind == NAMES_CLUSTER; k < rows[i].n;
		    k++)
			take(&w, rows[i].kind, cluster, k);
		names_commit(w.names);
		cr_expect_eq(run(&w, base), -1);
		cr_expect_str_eq(w.why, rows[i].why, "%s", w.why);
		cr_expect_eq(names_count(w.names, rows[i].kind), rows[i].n);
		world_fini(&w);
	}
	free(base);
}

/* Wherever the room ends, it is told and nothing stays. */
Test(compile, no_room_at_any_point)
{
	char *full = slurp(DATA "full.yaml"), *want, *is, *whole;
	const char *says = "t.yaml:8:3: static_resources: is larger than the "
	    "shared memory, ";
	uint64_t size, need, n = 0;
	struct world w, good;

	world_init(&w);
	world_init(&good);
	cr_assert_eq(run(&good, full), 0, "%s", good.why);
	need = good.image.arena.used_bytes;
	size = w.image.arena.size_bytes;
	for (w.image.arena.size_bytes = ARENA_CONTROL_BYTES;
	    w.image.arena.size_bytes < need;
	    w.image.arena.size_bytes += ARENA_UNIT_BYTES, n++) {
		cr_assert_eq(run(&w, full), -1);
		cr_assert_gt(asprintf(&whole, "%s%llu bytes, "
		    "or than what memory there is", says,
		    (unsigned long long)w.image.arena.size_bytes), 0);
		cr_assert_str_eq(w.why, whole, "%s", w.why);
		expect_no_trace(&w);
		free(whole);
	}
	cr_assert_gt(n, 100);
	w.number = 0;
	cr_assert_eq(run(&w, full), 0, "%s", w.why);
	w.image.arena.size_bytes = size;	/* what arena_close unmaps */
	want = dumped(&good);
	is = dumped(&w);
	cr_assert_str_eq(is, want, "%s", is);
	free(is);
	free(want);
	free(full);
	world_fini(&w);
	world_fini(&good);
}

/* The same for the memory of the messages. */
Test(compile, no_memory_at_any_point)
{
	static const char *const files[] = { DATA "base.yaml",
	    DATA "full.yaml", DATA "tls.yaml", DATA "rbac.yaml" };
	struct world w;
	size_t i, unloaded, refused;
	char *text;

	log_level_set(LOG_ERROR);	/* tls.yaml warns each time */
	setenv("GODWIT_TEST_CA", "-----BEGIN CERTIFICATE-----\nx\n", 1);
	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		text = slurp(files[i]);
		world_init(&w);
		unloaded = refused = 0;
		for (w.memory = 1024; run_or_unloaded(&w, text) < 0;
		    w.memory += 64) {
			if (strstr(w.why, "is larger than what may be "
			    "loaded") != NULL)
				refused++;
			else if (strstr(w.why, "more memory than these "
			    "messages may take") != NULL)
				unloaded++;
			else
				cr_assert_fail("%s", w.why);
			expect_no_trace(&w);
			cr_assert_lt(w.memory, MEMORY);
		}
		cr_expect(unloaded + refused > 20 && refused > 5, "%zu %zu", unloaded,
		    refused);
		free(text);
		world_fini(&w);
	}
}


/* ---- what lies in the arena */

Test(compile, generations_as_text)
{
	static const char *const names[] = { "base", "full", "tls", "none",
	    "rbac" };
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
	cr_assert_eq(one.image.arena.used_bytes, two.image.arena.used_bytes);
	cr_assert_eq(memcmp(one.image.arena.base + ARENA_CONTROL_BYTES,
	    two.image.arena.base + ARENA_CONTROL_BYTES,
	    one.image.arena.used_bytes - ARENA_CONTROL_BYTES), 0);
	free(text);
	world_fini(&one);
	world_fini(&two);
}

/* The cluster of a name in the newest generation. */
static const struct block_cluster *
cluster_named(const struct world *w, const char *name)
{
	const struct block_root *root = arena_at(&w->image.arena,
	    w->out.generation.root);
	const struct block_cluster *c;

	for (uint32_t slot = 0; slot < PAGE_SLOTS; slot++) {
		c = block_cluster_find(&w->image.arena, root, slot);
		if (c != NULL && strcmp(block_text(&w->image.arena, c->name),
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
	b[0] = arena_at(&w.image.arena, local[0]->balance);
	b[1] = arena_at(&w.image.arena, local[1]->balance);
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

static struct name_id
slot_of(const struct world *w, const char *cluster)
{
	const struct block_cluster *c = cluster_named(w, cluster);

	cr_assert_not_null(c, "%s", cluster);
	return (struct name_id){ c->slot, c->tag };
}

#define CLUSTER(name, port) "  - name: " name "\n" \
	"    http2_protocol_options: {}\n" \
	"    load_assignment: {cluster_name: x, endpoints: [{lb_endpoints: " \
	"[{endpoint: {address: {socket_address: {address: 10.0.0.1, " \
	"port_value: " port "}}}}]}]}\n"

/* What leaves frees its slot for the generation after the next, and whoever
 * gets it then has another tag; what stays feels nothing of it. */
Test(compile, slots_change_hands_with_another_tag)
{
	static const char *const files[] = {
		"static_resources:\n  clusters:\n" CLUSTER("a", "1")
		    CLUSTER("b", "2"),
		"static_resources:\n  clusters:\n" CLUSTER("c", "3")
		    CLUSTER("b", "2"),
		"static_resources:\n  clusters:\n" CLUSTER("d", "4")
		    CLUSTER("a", "1") CLUSTER("b", "2"),
	};
	struct name_id a, b, c, d, again;
	struct world w;

	world_init(&w);
	cr_assert_eq(run(&w, files[0]), 0, "%s", w.why);
	a = slot_of(&w, "a");
	b = slot_of(&w, "b");
	cr_assert_eq(run(&w, files[1]), 0, "%s", w.why);
	c = slot_of(&w, "c");
	cr_assert(c.id != a.id && c.id != b.id, "a's slot is not free yet");
	cr_assert_null(cluster_named(&w, "a"));
	cr_assert_eq(run(&w, files[2]), 0, "%s", w.why);
	d = slot_of(&w, "d");
	cr_assert_eq(d.id, a.id);
	cr_assert_neq(d.tag, a.tag);
	cr_assert_neq(slot_of(&w, "a").tag, a.tag, "it was gone meanwhile");
	again = slot_of(&w, "b");
	cr_assert(again.id == b.id && again.tag == b.tag);
	world_fini(&w);
}

Test(compile, what_the_keeper_binds)
{
	char *base = slurp(DATA "base.yaml"), *full = slurp(DATA "full.yaml");
	char *moved = replace(base, "port_value: 7443", "port_value: 7444");
	char text[80];
	uint32_t slot;
	struct world w;

	world_init(&w);
	cr_assert_eq(run(&w, base), 0, "%s", w.why);
	cr_assert_eq(w.out.listeners_n, 1);
	cr_assert_str_eq(w.out.listeners[0].name, "edge");
	cr_assert_eq(w.out.listeners[0].backlog, INT32_MAX, "the kernel's");
	address_text(&w.out.listeners[0].address, text, sizeof(text));
	cr_assert_str_eq(text, "0.0.0.0_7443");
	cr_assert_eq(w.out.generation.clusters_n, 2);
	cr_assert_eq(w.out.generation.endpoints_n, 3);
	cr_assert_eq(w.out.generation.routes_n, 2);
	cr_assert_eq(w.out.generation.listeners_n, 1);
	slot = w.out.listeners[0].slot;

	cr_assert_eq(run(&w, base), 0, "%s", w.why);
	cr_assert_eq(w.out.listeners[0].slot, slot);
	cr_assert_eq(run(&w, moved), 0, "%s", w.why);
	cr_assert_neq(w.out.listeners[0].slot, slot, "other sockets");

	cr_assert_eq(run(&w, full), 0, "%s", w.why);
	cr_assert_str_eq(w.out.listeners[0].name, "[__1]_8080");
	cr_assert_eq(w.out.listeners[0].backlog, 17);
	address_text(&w.out.listeners[0].address, text, sizeof(text));
	cr_assert_str_eq(text, "[__1]_8080");
	free(moved);
	free(full);
	free(base);
	world_fini(&w);
}

/* More texts than the first table of them holds, each there once. */
Test(compile, many_texts)
{
	enum { N = 1000 };
	char *base = slurp(DATA "base.yaml"), *more = NULL, *text, *is;
	char want[80];
	struct world w;
	size_t n;
	FILE *f = open_memstream(&more, &n);

	for (int i = 0; i < N; i++)
		fprintf(f, "              - {name: \"/p%d\", match: {path: "
		    "/p%d}, route: {cluster: eu}}\n", i, i);
	fprintf(f, "              - name: home\n");
	fclose(f);
	world_init(&w);
	cr_assert_eq(run(&w, base), 0, "%s", w.why);
	n = w.image.arena.used_bytes - ARENA_CONTROL_BYTES;
	text = replace(base, "              - name: home\n", more);
	cr_assert_eq(run(&w, text), 0, "%s", w.why);
	is = dumped(&w);
	for (int i = 0; i < N; i++) {
		snprintf(want, sizeof(want), "route \"/p%d\" path \"/p%d\" "
		    "-> cluster", i, i);
		cr_assert_not_null(strstr(is, want), "%s", want);
	}
	n = w.image.arena.used_bytes - ARENA_CONTROL_BYTES - 2 * n;
	/* Of each a route, a text and its place in the index; blocks' room
	 * comes in classes. */
	cr_assert_leq(n, N * (sizeof(struct block_route) + 16 + 56) * 5 / 4 +
	    64);
	free(is);
	free(text);
	free(more);
	free(base);
	world_fini(&w);
}

Test(compile, our_settings_are_in_the_root)
{
	const struct block_root *root;
	struct world w;

	world_init(&w);
	strcpy(w.conf.godwit_cause, "off");
	strcpy(w.conf.log_level, "debug");
	w.conf.buffer_budget_bytes = 5ll << 32;
	w.conf.drain_time_ms = 7;
	cr_assert_eq(run(&w, "{}"), 0, "%s", w.why);
	root = arena_at(&w.image.arena, w.out.generation.root);
	cr_assert_eq(root->number, 1);
	cr_assert_eq(root->settings.cause_off, 1);
	cr_assert_eq(root->settings.log_level, LOG_DEBUG);
	cr_assert_eq(root->settings.buffer_budget_bytes, 5ull << 32);
	cr_assert_eq(root->settings.drain_time_ms, 7);
	world_fini(&w);
}

/* A changed key in the same file is another block, an unchanged one is not. */
Test(compile, a_changed_key_changes_the_hash)
{
	static const char *const keys[] = { "AAAA", "AAAA", "BBBB" };
	char *base = slurp(DATA "base.yaml"), *text;
	char file[] = "/tmp/godwit-key-XXXXXX", key[128];
	const struct block_tls *tls;
	uint64_t hash[3];
	struct world w;
	int fd = mkstemp(file);
	FILE *f;

	cr_assert_geq(fd, 0);
	snprintf(key, sizeof(key), "{filename: %s}\n"
	    "          validation_context", file);
	world_init(&w);
	for (size_t i = 0; i < 3; i++) {
		f = fopen(file, "w");
		fprintf(f, "-----BEGIN PRIVATE KEY-----\n%s\n"
		    "-----END PRIVATE KEY-----\n", keys[i]);
		fclose(f);
		text = replace(base, "{filename: t/data/compile/key.pem}\n"
		    "          validation_context", key);
		cr_assert_eq(run(&w, text), 0, "%s", w.why);
		tls = arena_at(&w.image.arena, cluster_named(&w, "eu")->tls);
		hash[i] = tls->hash;
		free(text);
	}
	cr_assert_eq(hash[0], hash[1]);
	cr_assert_neq(hash[0], hash[2]);
	close(fd);
	unlink(file);
	free(base);
	world_fini(&w);
}
