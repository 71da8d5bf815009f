/*
 * t/lib/unit_generations.h - generations out of files in a temporary folder:
 * what a test writes, changes and publishes.
 *
 *   file   a listener, clusters c0 to cN of the same endpoints, and "abroad"
 *          with TLS, whose key is the file `key`
 */
#ifndef T_LIB_UNIT_GENERATIONS_H
#define T_LIB_UNIT_GENERATIONS_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "master/compile_parts.h"
#include "master/dump.h"
#include "master/generations.h"
#include "master/names.h"
#include "t/lib/unit_listener.h"
#include "t/lib/unit_process.h"

#define UNIT_AT "{\"@type\": type.googleapis.com/envoy.extensions."

/* An endpoint; rest: ", load_balancing_weight: 3", or "". */
#define UNIT_ENDPOINT(ip, rest) "{endpoint: {address: {socket_address: " \
	"{address: " ip ", port_value: 80}}}" rest "}"

static char unit_folder[64], unit_file[80], unit_key[80], why[1024];
static struct options unit_options;

static inline void
unit_folder_open(void)
{
	strcpy(unit_folder, "/tmp/godwit-unit-XXXXXX");
	cr_assert_not_null(mkdtemp(unit_folder));
	snprintf(unit_file, sizeof(unit_file), "%s/file", unit_folder);
	snprintf(unit_key, sizeof(unit_key), "%s/key", unit_folder);
	unit_options = (struct options){ .file = unit_file,
	    .file_given = true };
}

static inline void
unit_folder_close(void)
{
	unlink(unit_file);
	unlink(unit_key);
	rmdir(unit_folder);
}

static inline void
unit_write(const char *name, const char *text)
{
	FILE *f = fopen(name, "w");

	cr_assert_not_null(f);
	fputs(text, f);
	fclose(f);
}

/* A key by another text is another key: it is only compared. */
static inline void
unit_key_write(const char *text)
{
	FILE *f = fopen(unit_key, "w");

	cr_assert_not_null(f);
	fprintf(f, "-----BEGIN PRIVATE KEY-----\n%s\n"
	    "-----END PRIVATE KEY-----\n", text);
	fclose(f);
}

static inline void
unit_cluster_print(FILE *f, const char *name, const char *endpoints)
{
	fprintf(f, "  - {name: %s, connect_timeout: 1s, "
	    "http2_protocol_options: {}, load_assignment: {cluster_name: %s, "
	    "endpoints: [{lb_endpoints: [%s]}]}}\n", name, name, endpoints);
}

/* godwit: what stands under that key. */
static inline void
unit_file_write(const char *godwit, int port, int clusters_n,
    const char *endpoints)
{
	FILE *f = fopen(unit_file, "w");
	char name[16];

	cr_assert_not_null(f);
	fprintf(f, "godwit: {%s}\nstatic_resources:\n  listeners:\n",
	    godwit);
	unit_listener_print(f, "edge", port, UNIT_ROUTES_TO("abroad"));
	fprintf(f, "  clusters:\n");
	for (int i = 0; i < clusters_n; i++) {
		snprintf(name, sizeof(name), "c%d", i);
		unit_cluster_print(f, name, endpoints);
	}
	fprintf(f, "  - name: abroad\n"
	    "    http2_protocol_options: {}\n"
	    "    transport_socket: {name: tls, typed_config: " UNIT_AT
	    "transport_sockets.tls.v3.UpstreamTlsContext, sni: x.mesh, "
	    "common_tls_context: {tls_certificates: [{certificate_chain: "
	    "{filename: t/data/compile/chain.pem}, private_key: {filename: "
	    "%s}}], validation_context: {trusted_ca: {filename: "
	    "t/data/compile/ca.pem}}}}}\n"
	    "    load_assignment: {cluster_name: abroad, endpoints: "
	    "[{lb_endpoints: [" UNIT_ENDPOINT("10.9.0.1", "") "]}]}\n",
	    unit_key);
	fclose(f);
}

/* Takes a Cluster, "name: x\nload_assignment: ..."; 0 or -1. */
static inline int
unit_assign(struct generations *g, const char *cluster)
{
	struct load_arena *m = load_arena_new(16 << 20);
	struct yaml *y = yaml_read(cluster, strlen(cluster), "test", why,
	    sizeof(why));
	const ProtobufCMessage *message;
	int rc;

	cr_assert_not_null(y, "%s", why);
	message = load_message(m,
	    &envoy__config__cluster__v3__cluster__descriptor, y,
	    yaml_root(y), "", why, sizeof(why));
	cr_assert_not_null(message, "%s", why);
	rc = generations_assign(g, message, why, sizeof(why));
	yaml_close(y);
	load_arena_free(m);
	return rc;
}

/* The newest generation as text, from its settings on: without its number.
 * The caller's. */
static inline char *
unit_dumped(const struct generations *g)
{
	char *text = NULL, *body;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	dump(f, &g->image.arena, g->newest.generation.root);
	fclose(f);
	body = strdup(strstr(text, " budget="));
	free(text);
	return body;
}

/* What workers get who come now; 0: nothing. */
static inline uint64_t
unit_published(const struct arena *a)
{
	struct generation n = { 0 };
	uint64_t turn = 0;

	publish_observe(a, &turn, &n);
	return n.number;
}

/* ---- the generations under test */

/* Two pages of clusters; the one that changes has neighbours in both. */
enum { CLUSTERS_N = PAGE_SLOTS + 8, CHANGED = 5 };

#define ONE UNIT_ENDPOINT("10.0.0.1", "")
#define TWO UNIT_ENDPOINT("10.0.0.2", ", load_balancing_weight: 3")
#define THREE UNIT_ENDPOINT("10.0.0.3", "")

static struct generations g;
static int descriptors_n;		/* before anything was opened */

static inline void
begin(void)
{
	descriptors_n = unit_descriptors_n();
	unit_folder_open();
	unit_key_write("the first key");
	unit_file_write("workers: 2", 10000, CLUSTERS_N, ONE ", " TWO);
	cr_assert_eq(generations_open(&g, &unit_options, why, sizeof(why)), 0,
	    "%s", why);
	cr_assert_eq(generations_next(&g, why, sizeof(why)), 0, "%s", why);
}

static inline void
end(void)
{
	generations_close(&g);
	unit_folder_close();
	cr_assert_eq(unit_descriptors_n(), descriptors_n);
}

/* All that a change that does not come about must leave. */
struct before {
	char		*text;
	uint64_t	 number, allocated;
	uint32_t	 tag, blocks_n;
	size_t		 names_n[NAMES_KINDS];
	int64_t		 drain_time_ms;
	int		 descriptors;
};

static inline void
look(struct before *b)
{
	struct heap_bytes bytes;

	heap_measure(g.image.blocks, &bytes);
	b->text = unit_dumped(&g);
	b->number = unit_published(&g.image.arena);
	b->allocated = heap_allocated(g.image.blocks);
	b->blocks_n = bytes.blocks_n;
	b->tag = names_tag(g.names);
	for (int kind = 0; kind < NAMES_KINDS; kind++)
		b->names_n[kind] = names_count(g.names,
		    (enum names_kind)kind);
	b->drain_time_ms = g.conf.drain_time_ms;
	b->descriptors = unit_descriptors_n();
}

/* NULL, or what is not as it was. */
static inline const char *
changed(const struct before *b)
{
	struct before now;
	bool same;

	look(&now);
	same = strcmp(now.text, b->text) == 0;
	free(now.text);
	if (!same || now.number != b->number ||
	    generations_root(&g)->number != b->number)
		return "the published generation";
	if (now.allocated != b->allocated || now.blocks_n != b->blocks_n)
		return "what the arena holds";
	if (now.tag != b->tag || memcmp(now.names_n, b->names_n,
	    sizeof(now.names_n)) != 0)
		return "the names";
	if (now.drain_time_ms != b->drain_time_ms)
		return "the settings";
	return now.descriptors != b->descriptors ? "the descriptors" : NULL;
}

/* ---- one cluster of them */

static inline const struct block_cluster *
cluster_named(const char *name)
{
	struct name_id id;

	cr_assert_eq(names_known(g.names, NAMES_CLUSTER, name, strlen(name),
	    &id), 0);
	return block_cluster_find(&g.image.arena, generations_root(&g),
	    id.id);
}

/* The endpoints of cluster CHANGED are now those; 0 or -1. */
static inline int
assign(const char *endpoints)
{
	char text[2048];

	snprintf(text, sizeof(text), "name: c%d\nload_assignment: "
	    "{cluster_name: x, endpoints: [{lb_endpoints: [%s]}]}", CHANGED,
	    endpoints);
	return unit_assign(&g, text);
}

#endif
