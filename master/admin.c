/* master/admin.c - see admin.h. */
#include "master/admin.h"

#include <string.h>

#include "shm/stat.h"
#include "worker/worker.h"

static void
stats(const struct admin *a, FILE *out)
{
	stat_print(out, &a->generations->arena,
	    generations_root(a->generations), a->rows, a->rows_n,
	    worker_causes, worker_causes_n);
}

static void
generations(const struct admin *a, FILE *out)
{
	const struct row *r;

	fprintf(out, "published: %llu\n", (unsigned long long)
	    a->generations->newest.generation.number);
	for (int i = 0; i < a->rows_n; i++) {
		r = a->rows[i];
		if (r->pid == 0)
			fprintf(out, "worker %d: dead\n", i);
		else
			fprintf(out, "worker %d: %llu\n", i,
			    (unsigned long long)count_get(&r->announced));
	}
}

static const struct {
	const char	*path, *help;
	void		(*answer)(const struct admin *a, FILE *out);
} paths[] = {
	{ "/generations", "which is published, and which each worker uses",
	    generations },
	{ "/stats", "counters, gauges and times, over all workers", stats },
};
enum { PATHS_N = sizeof(paths) / sizeof(paths[0]) };

int
admin_answer(void *arg, const char *path, const char *query, FILE *out)
{
	const struct admin *a = arg;

	(void)query;
	for (int i = 0; i < PATHS_N; i++)
		if (strcmp(paths[i].path, path) == 0) {
			paths[i].answer(a, out);
			return 200;
		}
	fprintf(out, "godwit answers:\n");
	for (int i = 0; i < PATHS_N; i++)
		fprintf(out, "  %-14s %s\n", paths[i].path, paths[i].help);
	return 404;
}
