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

struct printing {
	FILE		*out;
	const struct arena *arena;
	const struct block_root *root;
	struct row *const *rows;
	int		 rows_n;
};

/* Over all rows, of the number that has this offset in struct row. */
static uint64_t
sum_at(const struct printing *p, size_t offset)
{
	uint64_t sum = 0;

	for (int i = 0; i < p->rows_n; i++)
		sum += count_get((const count *)(const void *)
		    ((const uint8_t *)p->rows[i] + offset));
	return sum;
}

static void
scope_print(const struct printing *p, const char *scope, const char *name,
    const char *const *names, int n, size_t offset)
{
	for (int i = 0; i < n; i++)
		fprintf(p->out, "%s%s%s.%s: %" PRIu64 "\n", scope,
		    name[0] == '\0' ? "" : ".", name, names[i],
		    sum_at(p, offset + (size_t)i * sizeof(count)));
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

		scope_print(p, "listener", block_text(p->arena, l->address),
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

/* Listeners with one stat_prefix are one scope. */
static uint64_t
http_sum(const struct printing *p, const char *prefix, int i)
{
	uint64_t sum = 0;

	for (uint32_t j = 0; j < listeners_n(p); j++) {
		const struct block_listener *l = listener_at(p, j);

		if (strcmp(prefix_of(p, l), prefix) == 0)
			sum += sum_at(p, offsetof(struct row,
			    listeners[l->slot].http) +
			    (size_t)i * sizeof(count));
	}
	return sum;
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
		for (int j = 0; j < COUNT_HTTP_N; j++)
			fprintf(p->out, "http.%s.%s: %" PRIu64 "\n", prefix,
			    count_names[COUNT_HTTP_FIRST + j],
			    http_sum(p, prefix, j));
	}
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
			scope_print(p, "cluster",
			    block_text(p->arena, c->name),
			    count_names + COUNT_CLUSTER_FIRST, COUNT_CLUSTER_N,
			    offsetof(struct row, clusters[slot].cluster));
	}
	if (others)
		scope_print(p, "cluster", "_others",
		    count_names + COUNT_CLUSTER_FIRST, COUNT_CLUSTER_N,
		    offsetof(struct row, clusters[ROW_CLUSTERS - 1].cluster));
}

void
stat_print(FILE *out, const struct arena *a, const struct block_root *root,
    struct row *const *rows, int rows_n, const char *const *cause_names,
    int causes_n)
{
	struct printing p = { out, a, root, rows, rows_n };

	assert(causes_n <= ROW_CAUSES);
	scope_print(&p, "server", "", count_names + COUNT_WORKER_FIRST,
	    COUNT_WORKER_N, offsetof(struct row, worker));
	scope_print(&p, "godwit.cause", "", cause_names, causes_n,
	    offsetof(struct row, cause));
	listeners_print(&p);
	http_print(&p);
	clusters_print(&p);
}
