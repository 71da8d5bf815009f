/*
 * t/fuzz/file.c - what may stand in godwit's file, against a master that reads
 * it: YAML or JSON, settings, messages, the compiler; and what workers would
 * read, which an address-sanitizer build verifies.
 *
 *   bytes ─ yaml ─ conf, load ─ compile ─> a generation | a reason
 *
 * The words of the messages are a dictionary, which the seeds are written with.
 */
#include "t/fuzz/world.h"

#include <protobuf-c/protobuf-c.h>

#include "master/dump.h"
#include "xds/load.h"

enum { WORDS_MAX = 4096 };

/* ---- seeds */

struct words {
	const char	*at[WORDS_MAX];
	const ProtobufCMessageDescriptor *seen[WORDS_MAX];
	size_t		 n, seen_n;
};

/* Of all that stands in a message. */
static void
words_add(struct words *w, const ProtobufCMessageDescriptor *d)
{
	for (size_t i = 0; i < w->seen_n; i++)
		if (w->seen[i] == d)
			return;
	w->seen[w->seen_n++] = d;
	for (unsigned i = 0; i < d->n_fields; i++) {
		if (w->n < WORDS_MAX)
			w->at[w->n++] = d->fields[i].name;
		if (d->fields[i].type == PROTOBUF_C_TYPE_MESSAGE)
			words_add(w, d->fields[i].descriptor);
	}
}

static void
dictionary_write(const char *dir)
{
	static const char *const types[] = {
		"envoy.config.bootstrap.v3.Bootstrap",
		"envoy.extensions.filters.network.http_connection_manager.v3."
		    "HttpConnectionManager",
		"envoy.extensions.filters.http.rbac.v3.RBAC",
		"envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
		"envoy.extensions.transport_sockets.tls.v3."
		    "DownstreamTlsContext",
		"envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
	};
	static struct words w;

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		words_add(&w, load_type_find(types[i]));
	fuzz_dictionary(dir, w.at, w.n, ": ");
}

static void
seeds_write(const char *dir)
{
	static const char *const files[] = {
		"t/data/compile/full.yaml", "t/data/compile/rbac.yaml",
		"t/data/compile/tls.yaml", "conf/examples/sidecar.yaml",
	};
	char name[16], *text;
	size_t n;

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		text = fuzz_file(files[i], &n);
		snprintf(name, sizeof(name), "%zu", i);
		fuzz_seed(dir, name, text, n);
		free(text);
	}
	dictionary_write(dir);
}

/* ---- one input */

static void
generation_read(struct generations *g)
{
	FILE *f = fopen("/dev/null", "w");

	if (f == NULL)
		abort();
	dump(f, &g->image.arena, g->newest.generation.root);
	fclose(f);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char name[128];
	struct options o = { .file = name, .file_given = true };
	char why[1024] = "";
	struct generations g;

	world_folder_open();
	setenv("GODWIT_TEST_CA", "-----BEGIN CERTIFICATE-----", 1);	/* tls.yaml */
	snprintf(name, sizeof(name), "%s/input", world_folder);
	fuzz_seed(world_folder, "input", data, size);
	if (generations_open(&g, &o, why, sizeof(why)) == -1)
		fuzz_fail("%s", why);
	if (generations_next(&g, why, sizeof(why)) == 0) {
		fuzz_say("%u listeners, %u clusters",
		    g.newest.generation.listeners_n,
		    g.newest.generation.clusters_n);
		generation_read(&g);
	} else if (*why == '\0')
		fuzz_fail("refused without a reason");
	fuzz_say("%s", why);
	generations_close(&g);
	unlink(name);
	return 0;
}
