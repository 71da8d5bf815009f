/* master/admin.c - see admin.h. */
#include "master/admin.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "master/config_dump.h"
#include "master/status.h"
#include "shm/stat.h"
#include "worker/worker.h"

/* Of what is in use now. */
static struct certificates *
certificates(const struct admin *a)
{
	certificates_look(a->certificates, &a->generations->image.arena,
	    generations_root(a->generations));
	return a->certificates;
}

static int
certs(const struct admin *a, const char *query, FILE *out)
{
	(void)query;
	certificates_print(certificates(a), time(NULL), out);
	return 200;
}

static int
stats(const struct admin *a, const char *query, FILE *out)
{
	(void)query;
	stat_print(out, &a->generations->image.arena,
	    generations_root(a->generations), a->rows, *a->rows_n,
	    worker_causes, worker_causes_n);
	certificates_stats(certificates(a), time(NULL), out);
	return 200;
}

static void
arena_print(const struct admin *a, FILE *out)
{
	const struct image *image = &a->generations->image;
	struct heap_bytes b;

	heap_measure(image->blocks, &b);
	fprintf(out, "held: %u, the oldest is %" PRIu64 "\n",
	    heap_generations_n(image->blocks), heap_oldest(image->blocks));
	fprintf(out, "live_bytes: %" PRIu64 "\npinned_bytes: %" PRIu64
	    "\ndead_bytes: %" PRIu64 "\nused_bytes: %" PRIu64 "\n"
	    "blocks: %u\n", b.live, b.pinned, b.dead, b.used, b.blocks_n);
	fprintf(out, "compactions: %" PRIu64 "%s\n",
	    a->generations->compactions,
	    a->generations->before.arena.fd == -1 ? "" :
	    ", one is under way");
}

static int
generations(const struct admin *a, const char *query, FILE *out)
{
	const struct generation *g = &a->generations->newest.generation;
	const struct mono then = { (int64_t)g->published_ns };
	const struct row *r;

	(void)query;
	fprintf(out, "published: %" PRIu64 ", %" PRId64 " ms ago\n",
	    g->number, mono_between_ms(then, clock_now()));
	fprintf(out, "listeners: %u\nclusters: %u\nroutes: %u\n"
	    "endpoints: %u\n", g->listeners_n, g->clusters_n, g->routes_n,
	    g->endpoints_n);
	arena_print(a, out);
	for (int i = 0; i < *a->rows_n; i++) {
		r = a->rows[i];
		if (r->alive == 0)
			fprintf(out, "worker %d: dead\n", i);
		else
			fprintf(out, "worker %d: %" PRIu64 "\n", i,
			    count_get(&r->announced));
	}
	return 200;
}

/* ---- the control plane's */

static int
config_dump_answer(const struct admin *a, const char *query, FILE *out)
{
	struct config_dump d = { .resources = a->generations->resources,
	    .dynamic = &a->generations->dynamic };
	struct subscription_status s;

	if (subscription_status(a->subscription, &s))
		for (int kind = 0; kind < RESOURCE_KINDS; kind++)
			d.versions[kind] = s.kinds[kind].version;
	return config_dump(&d, query, out);
}

static int
status_answer(const struct admin *a, const char *query, FILE *out)
{
	struct status s = { .resources = a->generations->resources,
	    .file = a->generations->options->file,
	    .certificates = certificates(a), .rotate = a->rotate };
	int code;

	(void)query;
	s.followed = subscription_status(a->subscription, &s.subscription);
	generations_text(a->generations, s.generation, sizeof(s.generation));
	code = status_print(&s, out);
	subscription_names_print(a->subscription, out);
	return code;
}

static int
config_answer(const struct admin *a, const char *query, FILE *out)
{
	return status_config(a->generations->resources, query, out);
}

static const struct {
	const char	*path, *help;
	int		(*answer)(const struct admin *a, const char *query,
			    FILE *out);
} paths[] = {
	{ "/certs", "certificates in use, and until when, as Envoy answers "
	    "it", certs },
	{ "/config", "resources: whose, which version, since when; ?kind= and "
	    "?name=", config_answer },
	{ "/config_dump", "the same as Envoy answers it: ?include_eds, "
	    "?resource=, ?name_regex=", config_dump_answer },
	{ "/generations", "which is published, which each worker uses, and the "
	    "room they take", generations },
	{ "/stats", "counters, gauges and times, over all workers", stats },
	{ "/status", "what is wrong, the control plane, and what came of it",
	    status_answer },
};
enum { PATHS_N = sizeof(paths) / sizeof(paths[0]) };

int
admin_answer(void *arg, const char *path, const char *query, FILE *out)
{
	const struct admin *a = arg;

	for (int i = 0; i < PATHS_N; i++)
		if (strcmp(paths[i].path, path) == 0)
			return paths[i].answer(a, query, out);
	fprintf(out, "godwit answers:\n");
	for (int i = 0; i < PATHS_N; i++)
		fprintf(out, "  %-14s %s\n", paths[i].path, paths[i].help);
	return 404;
}
