/* t/unit/stat.c - shm/stat.c: names from a generation, sums from rows. */
#include "shm/stat.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "t/lib/unit_block.h"

enum {
	CAUSES = 3,
	WORKER_LINES = COUNT_WORKER_N + HISTOGRAM_WORKER_N,
	HTTP_LINES = COUNT_HTTP_N + HISTOGRAM_HTTP_N,
	CLUSTER_LINES = COUNT_CLUSTER_N + HISTOGRAM_CLUSTER_N,
};

static const char *const causes[CAUSES] = { "none", "no_route", "no_endpoint" };

static struct row *rows[2];
static int row_fds[2];
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
	l->stat_name = unit_text(address);
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

static void
row_make(int i)
{
	char why[200];

	row_fds[i] = row_new(0, why, sizeof(why));
	rows[i] = row_open(row_fds[i], 1, why, sizeof(why));
	cr_assert_not_null(rows[i], "%s", why);
}

static void
setup(void)
{
	unit_arena_open();
	row_make(0);
	row_make(1);
}

static void
teardown(void)
{
	free(text);
	for (int i = 0; i < 2; i++) {
		row_close(rows[i]);
		close(row_fds[i]);
	}
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

/* What follows the name; NULL: no such line, or more than one. */
static const char *
words_of(const char *name)
{
	char key[300];
	const char *at, *again;

	snprintf(key, sizeof(key), "\n%s: ", name);
	at = strstr(text, key);
	if (at == NULL && strncmp(text, key + 1, strlen(key) - 1) == 0)
		at = text - 1;
	if (at == NULL)
		return NULL;
	again = strstr(at + 1, key);
	return again != NULL ? NULL : at + strlen(key);
}

/* -1: no such line, or more than one. */
static long long
value_of(const char *name)
{
	const char *words = words_of(name);

	return words == NULL ? -1 : atoll(words);
}

static void
words_check(const char *name, const char *want)
{
	const char *words = words_of(name);

	cr_assert_not_null(words, "%s", name);
	cr_assert(strncmp(words, want, strlen(want)) == 0 &&
	    words[strlen(want)] == '\n', "%s is %.99s", name, words);
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
	cr_assert_eq(lines(), WORKER_LINES + CAUSES + 3 * COUNT_LISTENER_N +
	    2 * HTTP_LINES + 3 * CLUSTER_LINES);

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
	    "server.over_budget: ", "server.loop_turn_time: ",
	    "godwit.cause.none: ",
	    "godwit.cause.no_endpoint: ",
	    "listener.0.0.0.0_80.downstream_cx_total: ",
	    "listener.10.0.0.1_443.downstream_cx_total: ",
	    "listener.[__1]_443.downstream_cx_total: ",
	    "http.ingress.downstream_rq_total: ",
	    "http.ingress.downstream_rq_time: ",
	    "http.egress.downstream_rq_total: ",
	    "http.egress.downstream_rq_time: ",
	    "cluster.greeter.upstream_cx_total: ",
	    "cluster.greeter.upstream_rq_time: ",
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
	cr_assert_eq(lines(), WORKER_LINES + CAUSES + 3 * COUNT_LISTENER_N +
	    2 * HTTP_LINES + 4 * CLUSTER_LINES);
}

Test(stat, of_nothing)
{
	struct block_root *root;
	block_ref ref;

	root = unit_block(sizeof(*root), &ref);
	print(root, 2);
	cr_assert_eq(lines(), WORKER_LINES + CAUSES);
}

/* ---- times */

/* A request of a listener or of a cluster, as a worker writes it down. */
static void
http_request(struct row *r, uint32_t listener, uint64_t us)
{
	count_add(&r->listeners[listener].http[
	    COUNT_HTTP_downstream_rq_total], 1);
	histogram_observe(&r->http_times[listener][
	    HISTOGRAM_HTTP_downstream_rq_time], us);
}

static void
cluster_request(struct row *r, uint32_t slot, uint64_t us)
{
	count_add(&row_cluster(r, slot)->cluster[
	    COUNT_CLUSTER_upstream_rq_total], 1);
	histogram_observe(&row_cluster_times(r, slot)[
	    HISTOGRAM_CLUSTER_upstream_rq_time], us);
}

Test(stat, prints_times_of_all_rows_and_listeners_of_a_prefix)
{
	const struct block_root *root = root_block();

	for (int i = 0; i < 2; i++) {
		count_add(&rows[i]->worker[COUNT_WORKER_worker_turns], 1);
		histogram_observe(&rows[i]->worker_times[
		    HISTOGRAM_WORKER_loop_turn_time], 3);
	}
	http_request(rows[0], 0, 7);
	http_request(rows[1], 63, 2000);
	http_request(rows[1], 5, 12345678);
	cluster_request(rows[0], ROW_CLUSTERS - 2, 1000);

	print(root, 2);
	words_check("server.loop_turn_time", "count=2 sum_ms=0.006 "
	    "p50_ms=0.003 p90_ms=0.003 p99_ms=0.003 p99.9_ms=0.003 "
	    "max_ms=0.003");
	words_check("http.ingress.downstream_rq_time", "count=2 sum_ms=2.007 "
	    "p50_ms=0.007 p90_ms=2.000 p99_ms=2.000 p99.9_ms=2.000 "
	    "max_ms=2.000");
	words_check("http.egress.downstream_rq_time", "count=1 "
	    "sum_ms=12345.678 p50_ms=12345.678 p90_ms=12345.678 "
	    "p99_ms=12345.678 p99.9_ms=12345.678 max_ms=12345.678");
	words_check("cluster.last_of_its_own.upstream_rq_time", "count=1 "
	    "sum_ms=1.000 p50_ms=1.000 p90_ms=1.000 p99_ms=1.000 "
	    "p99.9_ms=1.000 max_ms=1.000");
	words_check("cluster.greeter.upstream_rq_time", "no values");

	print(root, 1);
	words_check("http.ingress.downstream_rq_time", "count=1 sum_ms=0.007 "
	    "p50_ms=0.007 p90_ms=0.007 p99_ms=0.007 p99.9_ms=0.007 "
	    "max_ms=0.007");
	words_check("http.egress.downstream_rq_time", "no values");
	print(root, 0);
	words_check("server.loop_turn_time", "no values");
}

/* The words are what their names say. */
Test(stat, prints_quantiles_in_their_place)
{
	for (uint64_t us = 1; us <= 10000; us++)
		cluster_request(rows[us % 2], 0, us);
	print(root_block(), 2);
	words_check("cluster.greeter.upstream_rq_time", "count=10000 "
	    "sum_ms=50005.000 p50_ms=5.000 p90_ms=9.000 p99_ms=9.900 "
	    "p99.9_ms=9.990 max_ms=10.000");
}

/* A request that has begun: its counter is there, its time is not. */
Test(stat, of_requests_without_an_end)
{
	count_add(&rows[0]->clusters[0].cluster[
	    COUNT_CLUSTER_upstream_rq_total], 1);
	print(root_block(), 2);
	words_check("cluster.greeter.upstream_rq_time", "no values");
}

static off_t
pages_bytes(int fd)
{
	struct stat st;

	cr_assert_eq(fstat(fd, &st), 0);
	return st.st_blocks * 512;
}

/* row.h, I5: a look at times costs a page, at those of every cluster 2 MB. */
Test(stat, looks_at_no_times_that_are_not_there)
{
	struct block_root *root = root_block();
	off_t before;
	char name[32];

	for (uint32_t slot = 3; slot < 2 * ROW_CLUSTERS; slot++) {
		if (slot == ROW_CLUSTERS - 2)
			continue;
		snprintf(name, sizeof(name), "c%u", slot);
		cluster_add(root, slot, name);
	}
	row_death(rows[0]);
	row_death(rows[1]);
	cluster_request(rows[0], 500, 1);
	cluster_request(rows[0], 500, UINT64_MAX);	/* all of it is there */
	before = pages_bytes(row_fds[0]) + pages_bytes(row_fds[1]);
	print(root, 2);
	cr_assert_eq(value_of("cluster.c500.upstream_rq_total"), 2);
	cr_assert_eq(pages_bytes(row_fds[0]) + pages_bytes(row_fds[1]),
	    before);
}
