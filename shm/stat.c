/* shm/stat.c - see stat.h. */
#include "shm/stat.h"

#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

/* In the order of count.def: a scope's begin at its COUNT_..._FIRST. */
static const char *const count_names[] = {
#define COUNT(scope, id, kind, name, help) name,
#include "shm/count.def"
#undef COUNT
};

/* In the order of histogram.def, the same way. */
static const struct {
	const char	*name;
	int		 counter;	/* of its scope */
} times[] = {
#define HISTOGRAM(scope, id, counter, name, help) \
	{ name, COUNT_##scope##_##counter },
#include "shm/histogram.def"
#undef HISTOGRAM
};

static const struct { const char *name; uint32_t per_mille; } quantiles[] = {
	{ "p50", 500 }, { "p90", 900 }, { "p99", 990 }, { "p99.9", 999 },
};
enum { QUANTILES = sizeof(quantiles) / sizeof(quantiles[0]) };

/* Where a scope's counts and times begin in a row. */
struct place {
	size_t	counts, times;
};

struct printing {
	FILE		*out;
	const struct arena *arena;
	const struct block_root *root;
	struct row *const *rows;
	int		 rows_n;
};

static void
key_print(const struct printing *p, const char *scope, const char *name,
    const char *what)
{
	fprintf(p->out, "%s%s%s.%s: ", scope, name[0] == '\0' ? "" : ".",
	    name, what);
}

static const void *
row_at(const struct printing *p, int row, size_t offset)
{
	return (const uint8_t *)p->rows[row] + offset;
}

/* Over all rows, of the number that has this offset in struct row. */
static uint64_t
sum_at(const struct printing *p, size_t offset)
{
	uint64_t sum = 0;

	for (int i = 0; i < p->rows_n; i++)
		sum += count_get(row_at(p, i, offset));
	return sum;
}

/* ---- times ---- */

/* Over all rows, of the i-th of histogram.def; not of those whose counter says
 * that nobody wrote there (row.h, I4). */
static void
time_add(const struct printing *p, struct histogram *sum, int i, int first,
    struct place at)
{
	size_t counter = at.counts + (size_t)times[i].counter * sizeof(count);
	size_t time = at.times + (size_t)(i - first) * sizeof(*sum);

	for (int row = 0; row < p->rows_n; row++)
		if (count_get(row_at(p, row, counter)) != 0)
			histogram_merge(sum, row_at(p, row, time));
}

static void
ms_print(const struct printing *p, const char *name, uint64_t us)
{
	fprintf(p->out, " %s_ms=%" PRIu64 ".%03" PRIu64, name, us / 1000,
	    us % 1000);
}

static void
time_print(const struct printing *p, const struct histogram *h)
{
	uint64_t n = histogram_n(h);

	if (n == 0) {
		fprintf(p->out, "no values\n");
		return;
	}
	fprintf(p->out, "count=%" PRIu64, n);
	ms_print(p, "sum", count_get(&h->sum_us));
	for (int i = 0; i < QUANTILES; i++)
		ms_print(p, quantiles[i].name, histogram_quantile_us(h,
		    quantiles[i].per_mille));
	ms_print(p, "max", count_get(&h->max_us));
	fprintf(p->out, "\n");
}

static void
times_print(const struct printing *p, const char *scope, const char *name,
    int first, int n, struct place at)
{
	for (int i = first; i < first + n; i++) {
		struct histogram sum = { 0 };

		time_add(p, &sum, i, first, at);
		key_print(p, scope, name, times[i].name);
		time_print(p, &sum);
	}
}

/* ---- scopes ---- */

static void
scope_print(const struct printing *p, const char *scope, const char *name,
    const char *const *names, int n, size_t offset)
{
	for (int i = 0; i < n; i++) {
		key_print(p, scope, name, names[i]);
		fprintf(p->out, "%" PRIu64 "\n",
		    sum_at(p, offset + (size_t)i * sizeof(count)));
	}
}

static const struct block_listener *
listener_at(const struct printing *p, uint32_t i)
{
	const struct block_list *l = arena_at(p->arena, p->root->listeners);

	return arena_at(p->arena, l->at[i]);
}

static uint32_t
listeners_n(const struct printing *p)
{
	return p->root->listeners == 0 ? 0 : ((const struct block_list *)
	    arena_at(p->arena, p->root->listeners))->n;
}

static void
listeners_print(const struct printing *p)
{
	for (uint32_t i = 0; i < listeners_n(p); i++) {
		const struct block_listener *l = listener_at(p, i);

		scope_print(p, "listener", block_text(p->arena, l->stat_name),
		    count_names + COUNT_LISTENER_FIRST, COUNT_LISTENER_N,
		    offsetof(struct row, listeners[l->slot].listener));
	}
}

static const char *
prefix_of(const struct printing *p, const struct block_listener *l)
{
	const struct block_hcm *hcm = arena_at(p->arena,
	    block_chain_of(p->arena, l)->hcm);

	return block_text(p->arena, hcm->stat_prefix);
}

static struct place
http_place(const struct block_listener *l)
{
	return (struct place){ offsetof(struct row, listeners[l->slot].http),
	    offsetof(struct row, http_times[l->slot]) };
}

/* Listeners with one stat_prefix are one scope. */
static uint64_t
http_sum(const struct printing *p, const char *prefix, int i)
{
	uint64_t sum = 0;

	for (uint32_t j = 0; j < listeners_n(p); j++) {
		const struct block_listener *l = listener_at(p, j);

		if (strcmp(prefix_of(p, l), prefix) == 0)
			sum += sum_at(p, http_place(l).counts +
			    (size_t)i * sizeof(count));
	}
	return sum;
}

static void
http_time_print(const struct printing *p, const char *prefix, int i)
{
	struct histogram sum = { 0 };

	for (uint32_t j = 0; j < listeners_n(p); j++) {
		const struct block_listener *l = listener_at(p, j);

		if (strcmp(prefix_of(p, l), prefix) == 0)
			time_add(p, &sum, i, HISTOGRAM_HTTP_FIRST,
			    http_place(l));
	}
	key_print(p, "http", prefix, times[i].name);
	time_print(p, &sum);
}

static bool
printed_before(const struct printing *p, uint32_t i)
{
	const char *prefix = prefix_of(p, listener_at(p, i));

	for (uint32_t j = 0; j < i; j++)
		if (strcmp(prefix_of(p, listener_at(p, j)), prefix) == 0)
			return true;
	return false;
}

static void
http_print(const struct printing *p)
{
	for (uint32_t i = 0; i < listeners_n(p); i++) {
		const char *prefix = prefix_of(p, listener_at(p, i));

		if (printed_before(p, i))
			continue;
		for (int j = 0; j < COUNT_HTTP_N; j++) {
			key_print(p, "http", prefix,
			    count_names[COUNT_HTTP_FIRST + j]);
			fprintf(p->out, "%" PRIu64 "\n",
			    http_sum(p, prefix, j));
		}
		for (int j = 0; j < HISTOGRAM_HTTP_N; j++)
			http_time_print(p, prefix, HISTOGRAM_HTTP_FIRST + j);
	}
}

static void
cluster_print(const struct printing *p, const char *name, uint32_t slot)
{
	struct place at = { offsetof(struct row, clusters[slot].cluster),
	    offsetof(struct row, cluster_times[slot]) };

	scope_print(p, "cluster", name, count_names + COUNT_CLUSTER_FIRST,
	    COUNT_CLUSTER_N, at.counts);
	times_print(p, "cluster", name, HISTOGRAM_CLUSTER_FIRST,
	    HISTOGRAM_CLUSTER_N, at);
}

static void
clusters_print(const struct printing *p)
{
	const struct block_list *pages = p->root->clusters == 0 ? NULL :
	    arena_at(p->arena, p->root->clusters);
	uint32_t slots = pages == NULL ? 0 : pages->n * PAGE_SLOTS;
	bool others = false;

	for (uint32_t slot = 0; slot < slots; slot++) {
		const struct block_cluster *c = block_cluster_find(p->arena,
		    p->root, slot);

		if (c != NULL && slot >= ROW_CLUSTERS - 1)
			others = true;
		else if (c != NULL)
			cluster_print(p, block_text(p->arena, c->name), slot);
	}
	if (others)
		cluster_print(p, "_others", ROW_CLUSTERS - 1);
}

void
stat_print(FILE *out, const struct arena *a, const struct block_root *root,
    struct row *const *rows, int rows_n, const char *const *cause_names,
    int causes_n)
{
	struct printing p = { out, a, root, rows, rows_n };
	struct place worker = { offsetof(struct row, worker),
	    offsetof(struct row, worker_times) };

	assert(causes_n <= ROW_CAUSES);
	scope_print(&p, "server", "", count_names + COUNT_WORKER_FIRST,
	    COUNT_WORKER_N, worker.counts);
	times_print(&p, "server", "", HISTOGRAM_WORKER_FIRST,
	    HISTOGRAM_WORKER_N, worker);
	scope_print(&p, "godwit.cause", "", cause_names, causes_n,
	    offsetof(struct row, cause));
	listeners_print(&p);
	http_print(&p);
	clusters_print(&p);
}
