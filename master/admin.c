/* master/admin.c - see admin.h. */
#include "master/admin.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "master/config_dump.h"
#include "master/ready.h"
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
certs(struct admin *a, const char *query, FILE *out,
    struct responder_rest *rest)
{
	(void)query;
	(void)rest;
	certificates_print(certificates(a), time(NULL), out);
	return 200;
}

static int
stats(struct admin *a, const char *query, FILE *out,
    struct responder_rest *rest)
{
	(void)query;
	(void)rest;
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
generations(struct admin *a, const char *query, FILE *out,
    struct responder_rest *rest)
{
	const struct generation *g = &a->generations->newest.generation;
	const struct mono then = { (int64_t)g->published_ns };
	const struct row *r;

	(void)query;
	(void)rest;
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

struct followed {
	struct feed_status *feeds;
	size_t		 n;
	bool		 no_memory;
};

static void
followed_add(void *arg, const struct feed_status *f)
{
	struct followed *to = arg;
	struct feed_status *more = realloc(to->feeds, (to->n + 1) *
	    sizeof(*more));

	to->no_memory |= more == NULL;
	if (more == NULL)
		return;
	to->feeds = more;
	more[to->n++] = *f;
}

/* Of LDS or CDS there is one source: the last that was accepted of it. */
static void
version_take(void *arg, const struct feed_status *f)
{
	struct config_dump *d = arg;

	for (int kind = 0; kind < RESOURCE_KINDS; kind++)
		if (f->kinds[kind].version[0] != '\0')
			d->versions[kind] = f->kinds[kind].version;
}

static bool
dump_more(void *arg, FILE *out)
{
	return config_dump_more(arg, out);
}

static void
dump_end(void *arg)
{
	config_dump_end(arg);
}

static int
config_dump_answer(struct admin *a, const char *query, FILE *out,
    struct responder_rest *rest)
{
	struct config_dump d = { .resources = a->generations->resources,
	    .dynamic = &a->generations->dynamic };
	struct config_dump_run *dump;
	int code;

	subscription_each(a->subscription, version_take, &d);
	code = config_dump_begin(&d, query, out, &dump);
	if (code != 200)
		return code;
	if (config_dump_more(dump, out))
		*rest = (struct responder_rest){ dump_more, dump_end, dump };
	else
		config_dump_end(dump);
	return code;
}

static int
status_answer(struct admin *a, const char *query, FILE *out,
    struct responder_rest *rest)
{
	struct status s = { .resources = a->generations->resources,
	    .file = a->generations->options->file,
	    .certificates = certificates(a), .rotate = a->rotate,
	    .registers = a->registers,
	    .now_ms = subscription_now_ms(a->subscription) };
	struct followed all = { 0 };
	int code = 503;

	(void)query;
	(void)rest;
	subscription_each(a->subscription, followed_add, &all);
	s.feeds = all.feeds;
	s.feeds_n = all.n;
	generations_text(a->generations, s.generation, sizeof(s.generation));
	if (all.no_memory)
		fprintf(out, "no memory\n");
	else
		code = status_print(&s, out);
	subscription_names_print(a->subscription, out);
	free(all.feeds);
	return code;
}

static void
heard_take(void *arg, const struct feed_status *f)
{
	*(bool *)arg |= f->kinds[RESOURCE_LISTENER].accepted_n > 0;
}

static int
ready_answer(struct admin *a, const char *query, FILE *out,
    struct responder_rest *rest)
{
	struct ready r = { .resources = a->generations->resources,
	    .dynamic = &a->generations->dynamic, .was = a->was_ready };
	int code;

	(void)query;
	(void)rest;
	subscription_each(a->subscription, heard_take, &r.heard);
	code = ready_print(&r, out);
	a->was_ready |= code == 200;
	return code;
}

static int
config_answer(struct admin *a, const char *query, FILE *out,
    struct responder_rest *rest)
{
	(void)rest;
	return status_config(a->generations->resources, a->subscription, query,
	    out);
}

static const struct {
	const char	*path, *help;
	int		(*answer)(struct admin *a, const char *query,
			    FILE *out, struct responder_rest *rest);
} paths[] = {
	{ "/certs", "certificates in use, and until when, as Envoy answers "
	    "it", certs },
	{ "/config", "resources: whose, which version, since when; ?kind= and "
	    "?name=", config_answer },
	{ "/config_dump", "the same as Envoy answers it: ?include_eds, "
	    "?resource=, ?name_regex=", config_dump_answer },
	{ "/generations", "which is published, which each worker uses, and the "
	    "room they take", generations },
	{ "/ready", "whether callers can come: 200 or 503", ready_answer },
	{ "/stats", "counters, gauges and times, over all workers", stats },
	{ "/status", "what is wrong, the control plane, and what came of it",
	    status_answer },
};
enum { PATHS_N = sizeof(paths) / sizeof(paths[0]) };

int
admin_answer(void *arg, const char *path, const char *query, FILE *out,
    struct responder_rest *rest)
{
	struct admin *a = arg;

	for (int i = 0; i < PATHS_N; i++)
		if (strcmp(paths[i].path, path) == 0)
			return paths[i].answer(a, query, out, rest);
	fprintf(out, "godwit answers:\n");
	for (int i = 0; i < PATHS_N; i++)
		fprintf(out, "  %-14s %s\n", paths[i].path, paths[i].help);
	return 404;
}
