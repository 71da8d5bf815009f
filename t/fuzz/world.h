/*
 * t/fuzz/world.h - a proxy without a network or processes: resources go in as a
 * control plane would send them, generations come out.
 */
#ifndef T_FUZZ_WORLD_H
#define T_FUZZ_WORLD_H

#include <unistd.h>

#include "master/generations.h"
#include "t/fuzz/fuzz.h"

struct world {
	struct generations now;
	int64_t		 now_ms;
	char		 why[1024];
};

static char world_folder[64], world_file[96];
static struct options world_options;

static inline void
world_copy(const char *from, const char *name)
{
	size_t n;
	char *text = fuzz_file(from, &n);

	fuzz_seed(world_folder, name, text, n);
	free(text);
}

static inline void
world_folder_remove(void)
{
	static const char *const names[] = { "file", "tls.crt", "tls.key",
	    "ca.crt" };
	char path[128];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", world_folder, names[i]);
		unlink(path);
	}
	rmdir(world_folder);
}

/* Its file, and a certificate where view_key.tls says; once. */
static inline void
world_folder_open(void)
{
	static const char file[] = "node: {id: p, locality: {region: us}}\n"
	    "godwit: {workers: 1}\n";

	if (*world_folder != '\0')
		return;
	strcpy(world_folder, "/tmp/godwit-fuzz-XXXXXX");
	if (mkdtemp(world_folder) == NULL)
		abort();
	snprintf(world_file, sizeof(world_file), "%s/file", world_folder);
	world_options = (struct options){ .file = world_file,
	    .file_given = true };
	fuzz_seed(world_folder, "file", file, sizeof(file) - 1);
	world_copy("t/data/compile/chain.pem", "tls.crt");
	world_copy("t/data/compile/key.pem", "tls.key");
	world_copy("t/data/compile/ca.pem", "ca.crt");
	atexit(world_folder_remove);
}

static inline void
world_open(struct world *w)
{
	world_folder_open();
	*w = (struct world){ .now_ms = 1000 };
	if (generations_open(&w->now, &world_options, w->why,
	    sizeof(w->why)) == -1)
		fuzz_fail("%s", w->why);
	w->now.dynamic_always = true;
	if (generations_next(&w->now, w->why, sizeof(w->why)) == -1)
		fuzz_fail("%s", w->why);
}

static inline void
world_close(struct world *w)
{
	generations_close(&w->now);
}

static inline void
world_begin(struct world *w)
{
	if (generations_change_begin(&w->now, w->now_ms, w->why,
	    sizeof(w->why)) == -1)
		fuzz_fail("%s", w->why);
}

/* 0: taken, -1: refused, w->why. */
static inline int
world_put(struct world *w, enum resource_kind kind, const char *name,
    const uint8_t *bytes, size_t n)
{
	return resources_put(w->now.resources, kind, name, "1", bytes, n,
	    FROM_PLANE, w->why, sizeof(w->why));
}

/* What was accepted must be a generation, or wait. */
static inline void
world_end(struct world *w)
{
	int rc = generations_change_end(&w->now, w->why, sizeof(w->why));

	if (rc == -1)
		fuzz_fail("what was accepted is no generation: %s", w->why);
	if (rc == 0)
		generations_publish(&w->now);
}

static inline void
world_wait_print(void *arg, const struct resource_view *v)
{
	struct world *w = arg;

	if (v->next == NULL)
		return;
	fprintf(stderr, "%s waits for ", v->name);
	resources_waits_print(w->now.resources, v->kind, v->name, stderr);
	fprintf(stderr, "\n");
}

/* Nothing waits: all that is named is there. */
static inline void
world_is_whole(struct world *w)
{
	if (w->now.newest.generation.listeners_n > 0)
		return;
	resources_each(w->now.resources, world_wait_print, w);
	fuzz_fail("there is no listener: %d %u %s", (int)w->now.newest.generation.number, w->now.newest.generation.clusters_n, w->why);
}

#endif
