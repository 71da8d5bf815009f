/* t/unit/stat.c - shm/stat.c: names from a generation, sums from rows. */
#include "shm/stat.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "t/lib/unit_block.h"

enum { CAUSES = 3 };

static const char *const causes[CAUSES] = { "none", "no_route", "no_endpoint" };

static struct row *rows[2];
static char *text;
static size_t text_len;

/* ---- a generation by hand */

static block_ref
listener_block(uint32_t slot, const char *address, const char *prefix)
{
	block_ref chain_ref, hcm_ref, ref;
	struct block_hcm *hcm = unit_block(sizeof(*hcm), &hcm_ref);
	struct block_chain *chain = unit_block(sizeof(*chain), &chain_ref);
	struct block_listener *l = unit_block(sizeof(*l), &ref);

	hcm->stat_prefix = unit_text(prefix);
	chain->hcm = hcm_ref;
	l->slot = slot;
	l->address = unit_text(address);
	l->chains = unit_list(1, &chain_ref);
	return ref;
}

/* Into its page, which is made when it is the first there. */
static void
cluster_add(struct block_root *root, uint32_t slot, const char *name)
{
	struct block_list *pages = (struct block_list *)(void *)
	    (unit_arena.base + (uint64_t)root->clusters * ARENA_UNIT_BYTES);
	struct block_list *page;
	struct block_cluster *c;
	block_ref ref;

	if (pages->at[slot / PAGE_SLOTS] == 0)
		pages->at[slot / PAGE_SLOTS] = unit_list(PAGE_SLOTS, NULL);
	page = (struct block_list *)(void *)(unit_arena.base +
	    (uint64_t)pages->at[slot / PAGE_SLOTS] * ARENA_UNIT_BYTES);
	c = unit_block(sizeof(*c), &ref);
	c->name = unit_text(name);
	c->slot = slot;
	page->at[slot % PAGE_SLOTS] = ref;
}

static struct block_root *
root_block(void)
{
	block_ref ref, listeners[3];
	struct block_root *root = unit_block(sizeof(*root), &ref);

	listeners[0] = listener_block(0, "0.0.0.0_80", "ingress");
	listeners[1] = listener_block(5, "10.0.0.1_443", "egress");
	listeners[2] = listener_block(63, "[__1]_443", "ingress");
	root->listeners = unit_list(3, listeners);
	root->clusters = unit_list(CLUSTERS_MAX / PAGE_SLOTS, NULL);
	cluster_add(root, 0, "greeter");
	cluster_add(root, 2, "empty");
	cluster_add(root, ROW_CLUSTERS - 2, "last_of_its_own");
	return root;
}

static struct row *
row_make(void)
{
	char why[200];
	int fd = row_new(0, why, sizeof(why));
	struct row *r = row_open(fd, 1, why, sizeof(why));

	cr_assert_not_null(r, "%s", why);
	close(fd);
	return r;
}

static void
setup(void)
{
	unit_arena_open();
	rows[0] = row_make();
	rows[1] = row_make();
}

static void
teardown(void)
{
	free(text);
	row_close(rows[0]);
	row_close(rows[1]);
	unit_arena_close();
}

TestSuite(stat, .init = setup, .fini = teardown);

static void
print(const struct block_root *root, int rows_n)
{
	FILE *out;

	free(text);
	out = open_memstream(&text, &text_len);
	stat_print(out, &unit_arena, root, rows, rows_n, causes, CAUSES);
	fclose(out);
}

/* ---- what comes out */

/* -1: no such line, or more than one. */
static long long
value_of(const char *name)
{
	char key[300];
	const char *at, *again;

	snprintf(key, sizeof(key), "\n%s: ", name);
	at = strstr(text, key);
	if (at == NULL && strncmp(text, key + 1, strlen(key) - 1) == 0)
		at = text - 1;
	if (at == NULL)
		return -1;
	again = strstr(at + 1, key);
	return again != NULL ? -1 : atoll(at + strlen(key));
}

static int
lines(void)
{
	int n = 0;

	for (const char *c = text; *c != '\0'; c++)
		n += *c == '\n';
	return n;
}

Test(stat, prints_every_name_once_and_sums)
{
	static const struct { const char *name; long long value; } cases[] = {
		{ "server.worker_turns", 107 },
		{ "server.buffered_bytes", 0 },
		{ "godwit.cause.none", 0 },
		{ "godwit.cause.no_endpoint", 5 },
		{ "listener.0.0.0.0_80.downstream_cx_total", 3 },
		{ "listener.0.0.0.0_80.ssl.handshake", 0 },
		{ "listener.10.0.0.1_443.downstream_cx_total", 0 },
		{ "listener.[__1]_443.downstream_cx_total", 40 },
		{ "http.ingress.downstream_rq_total", 1 + 20 + 300 },
		{ "http.ingress.no_route", 0 },
		{ "http.egress.downstream_rq_total", 4000 },
		{ "cluster.greeter.upstream_rq_total", 11 },
		{ "cluster.greeter.ssl.handshake", 0 },
		{ "cluster.empty.upstream_rq_total", 0 },
		{ "cluster.last_of_its_own.upstream_rq_total", 9 },
		{ "cluster._others.upstream_rq_total", -1 },
		{ "server", -1 },
		{ "upstream_rq_total", -1 },
	};
	const struct block_root *root = root_block();
	struct row *a = rows[0], *b = rows[1];

	count_add(&a->worker[COUNT_WORKER_worker_turns], 7);
	count_add(&b->worker[COUNT_WORKER_worker_turns], 100);
	count_add(&b->cause[2], 5);
	count_add(&a->listeners[0].listener[
	    COUNT_LISTENER_downstream_cx_total], 3);
	count_add(&b->listeners[63].listener[
	    COUNT_LISTENER_downstream_cx_total], 40);
	count_add(&a->listeners[0].http[COUNT_HTTP_downstream_rq_total], 1);
	count_add(&b->listeners[0].http[COUNT_HTTP_downstream_rq_total], 20);
	count_add(&b->listeners[63].http[COUNT_HTTP_downstream_rq_total], 300);
	count_add(&a->listeners[5].http[COUNT_HTTP_downstream_rq_total], 4000);
	count_add(&a->clusters[0].cluster[COUNT_CLUSTER_upstream_rq_total],
	    11);
	count_add(&row_cluster(a, ROW_CLUSTERS - 2)->cluster[
	    COUNT_CLUSTER_upstream_rq_total], 9);

	print(root, 2);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cr_assert_eq(value_of(cases[i].name), cases[i].value,
		    "%s is %lld", cases[i].name, value_of(cases[i].name));
	cr_assert_eq(lines(), COUNT_WORKER_N + CAUSES + 3 * COUNT_LISTENER_N +
	    2 * COUNT_HTTP_N + 3 * COUNT_CLUSTER_N);

	print(root, 1);
	cr_assert_eq(value_of("server.worker_turns"), 7, "one worker's own");
	cr_assert_eq(value_of("http.ingress.downstream_rq_total"), 1);
	print(root, 0);
	cr_assert_eq(value_of("server.worker_turns"), 0);
}

/* By scope, then by slot; within, in count.def's order. */
Test(stat, comes_in_order)
{
	static const char *const in_order[] = { "server.worker_turns: ",
	    "server.over_budget: ", "godwit.cause.none: ",
	    "godwit.cause.no_endpoint: ",
	    "listener.0.0.0.0_80.downstream_cx_total: ",
	    "listener.10.0.0.1_443.downstream_cx_total: ",
	    "listener.[__1]_443.downstream_cx_total: ",
	    "http.ingress.downstream_rq_total: ",
	    "http.egress.downstream_rq_total: ",
	    "cluster.greeter.upstream_cx_total: ",
	    "cluster.empty.upstream_cx_total: ",
	    "cluster.last_of_its_own.upstream_cx_total: " };
	const char *at;

	print(root_block(), 2);
	at = text;
	for (size_t i = 0; i < sizeof(in_order) / sizeof(in_order[0]); i++) {
		at = strstr(at, in_order[i]);
		cr_assert_not_null(at, "%s", in_order[i]);
	}
}

Test(stat, clusters_beyond_the_rows_are_others)
{
	struct block_root *root = root_block();
	char name[32];

	count_add(&row_cluster(rows[0], ROW_CLUSTERS - 1)->cluster[
	    COUNT_CLUSTER_upstream_rq_total], 1);
	count_add(&row_cluster(rows[1], CLUSTERS_MAX - 1)->cluster[
	    COUNT_CLUSTER_upstream_rq_total], 2);
	cluster_add(root, ROW_CLUSTERS - 1, "shares");
	print(root, 2);
	cr_assert_eq(value_of("cluster._others.upstream_rq_total"), 3);
	cr_assert_eq(value_of("cluster.shares.upstream_rq_total"), -1);
	for (uint32_t slot = ROW_CLUSTERS; slot < 3 * ROW_CLUSTERS; slot++) {
		snprintf(name, sizeof(name), "c%u", slot);
		cluster_add(root, slot, name);
	}
	cluster_add(root, CLUSTERS_MAX - 1, "very_last");
	print(root, 2);
	cr_assert_eq(value_of("cluster._others.upstream_rq_total"), 3, "once");
	cr_assert_eq(lines(), COUNT_WORKER_N + CAUSES + 3 * COUNT_LISTENER_N +
	    2 * COUNT_HTTP_N + 4 * COUNT_CLUSTER_N);
}

Test(stat, of_nothing)
{
	struct block_root *root;
	block_ref ref;

	root = unit_block(sizeof(*root), &ref);
	print(root, 2);
	cr_assert_eq(lines(), COUNT_WORKER_N + CAUSES);
}
