/*
 * t/unit/inherit.c - what the successor of a dead master reads out of its
 * arena: see master/inherit.h. The arena is the real compiler's, and then
 * damaged wherever it can be.
 */
#include "master/inherit.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "master/generations.h"
#include "shm/log.h"
#include "t/lib/unit_listener.h"
#include "t/lib/unit_process.h"

#define H2 "type.googleapis.com/envoy.extensions.upstreams.http.v3." \
	"HttpProtocolOptions"

static char file[64], why[1024];
static struct options options;

/* ---- the dead master: clusters and listeners are named by letters, each
 * with an endpoint per letter of ports. */

static void
cluster_write(FILE *f, char name, const char *ports)
{
	fprintf(f, "  - name: %c\n    type: STATIC\n    connect_timeout: 1s\n"
	    "    typed_extension_protocol_options:\n"
	    "      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:\n"
	    "        \"@type\": " H2 "\n"
	    "        explicit_http_config: {http2_protocol_options: {}}\n"
	    "    load_assignment:\n      cluster_name: %c\n"
	    "      endpoints:\n      - lb_endpoints:\n", name, name);
	for (; *ports != '\0'; ports++)
		fprintf(f, "        - endpoint: {address: {socket_address: "
		    "{address: 127.0.0.1, port_value: %d}}}\n", *ports);
}

static void
publish(struct generations *g, const char *listeners, const char *clusters,
    const char *ports)
{
	FILE *f = fopen(file, "w");

	cr_assert_not_null(f);
	fprintf(f, "static_resources:\n  listeners:\n");
	for (; *listeners != '\0'; listeners++)
		unit_listener_print(f, (char[]){ *listeners, '\0' },
		    10000 + *listeners, "{virtual_hosts: []}");
	fprintf(f, "  clusters:\n");
	for (; *clusters != '\0'; clusters++)
		cluster_write(f, *clusters, ports);
	fclose(f);
	cr_assert_eq(generations_next(g, why, sizeof(why)), 0, "%s", why);
}

/* Two generations, so that ids are not in the order of names. */
static void
dead_open(struct generations *g, uint32_t first_tag)
{
	int fd;

	strcpy(file, "/tmp/godwit-unit-XXXXXX");
	fd = mkstemp(file);
	cr_assert_neq(fd, -1);
	close(fd);
	options.file = file;
	options.file_given = true;
	cr_assert_eq(generations_open(g, &options, why, sizeof(why)), 0, "%s",
	    why);
	names_tag_set(g->names, first_tag);
	publish(g, "ab", "abc", "xyz");
	publish(g, "bc", "cdb", "wyz");
}

static void
dead_close(struct generations *g)
{
	generations_close(g);
	unlink(file);
}

/* ---- what a name has: as many as the second generation has */

enum { LISTENERS = 2, CLUSTERS = 3, PORTS = 3,
	NAMES = LISTENERS + CLUSTERS * (1 + PORTS) };

static struct block_address
address(int port)
{
	struct block_address a = { .family = AF_INET, .port = (uint16_t)port };

	memcpy(a.bytes, (const uint8_t[]){ 127, 0, 0, 1 }, 4);
	return a;
}

/* All of them, and one that nobody had before; nothing stays of the asking. */
static struct name_id
names_ask(struct names *n, struct name_id ids[NAMES])
{
	struct name_id fresh;
	struct block_address a;
	int i = 0;

	names_begin(n);
	for (const char *l = "bc"; *l != '\0'; l++, i++) {
		a = address(10000 + *l);
		names_take(n, NAMES_LISTENER, &a, sizeof(a), &ids[i]);
	}
	for (const char *c = "bcd"; *c != '\0'; c++) {
		struct name_id *cluster = &ids[i++];

		names_take(n, NAMES_CLUSTER, c, 1, cluster);
		for (const char *p = "wyz"; *p != '\0'; p++, i++) {
			a = address(*p);
			names_take_endpoint(n, *cluster, &a, &ids[i]);
		}
	}
	names_take(n, NAMES_CLUSTER, "fresh", 5, &fresh);
	names_abort(n);
	return fresh;
}

static bool
newer(uint32_t tag, uint32_t than)
{
	return (int32_t)(tag - than) > 0;	/* W1 of shm/word.h */
}

/* Tags about to pass what a sign or a word holds, too. */
static const uint32_t first_tags[] = { 0, 0x7ffffff0, 0xfffffff0 };
enum { FIRST_TAGS = sizeof(first_tags) / sizeof(first_tags[0]) };

Test(inherit, the_same_names_ids_and_tags)
{
	struct name_id were[NAMES], are[NAMES], next, fresh;
	int descriptors = unit_descriptors_n();
	struct generations g;
	struct names *n;
	uint64_t number;

	for (int i = 0; i < FIRST_TAGS; i++) {
		dead_open(&g, first_tags[i]);
		next = names_ask(g.names, were);
		n = names_new();
		cr_assert_eq(inherit(n, g.image.arena.fd, &number, why,
		    sizeof(why)), 0, "%s", why);
		cr_assert_eq(number, 2);
		for (int kind = 0; kind < NAMES_KINDS; kind++)
			cr_assert_eq(names_count(n, (enum names_kind)kind),
			    names_count(g.names, (enum names_kind)kind));
		fresh = names_ask(n, are);
		for (int j = 0; j < NAMES; j++)
			cr_assert(are[j].id == were[j].id && are[j].tag ==
			    were[j].tag, "name %d: %u %u, was %u %u", j,
			    are[j].id, are[j].tag, were[j].id, were[j].tag);
		cr_assert(fresh.id == next.id && fresh.tag == next.tag);
		names_free(n);
		dead_close(&g);
	}
	cr_assert_eq(unit_descriptors_n(), descriptors);
}

/* ---- damage */

/* Each name has the tag that it had, or a newer one than was ever given. The
 * damaged block may be the one that says a tag: one may differ. */
static void
still_good(struct names *n, const struct name_id *were, uint32_t tag_last,
    uint64_t at)
{
	struct name_id are[NAMES], fresh = names_ask(n, are);
	int other = 0;

	cr_assert(newer(fresh.tag, tag_last), "byte %llu: tag %u is not newer "
	    "than %u", (unsigned long long)at, fresh.tag, tag_last);
	for (int i = 0; i < NAMES; i++)
		other += are[i].tag != were[i].tag &&
		    !newer(are[i].tag, tag_last);
	cr_assert_leq(other, 1, "byte %llu: %d names have strange tags",
	    (unsigned long long)at, other);
}

/* One bit of every byte of every block, or all bits of every third. */
static void
damage_blocks(struct generations *g, bool whole)
{
	uint32_t tag_last = names_tag(g->names);
	int descriptors = unit_descriptors_n();
	struct name_id were[NAMES];
	uint64_t number;

	names_ask(g->names, were);
	for (uint64_t at = ARENA_CONTROL_BYTES; at < g->image.arena.used_bytes;
	    at += whole ? 3 : 1) {
		uint8_t *byte = g->image.arena.base + at, was = *byte;
		struct names *n = names_new();

		*byte ^= whole ? 0xff : (uint8_t)(1 << at % 8);
		cr_assert_eq(inherit(n, g->image.arena.fd, &number, why,
		    sizeof(why)), 0, "byte %llu: %s", (unsigned long long)at,
		    why);
		*byte = was;
		cr_assert_eq(number, 2);
		still_good(n, were, tag_last, at);
		names_free(n);
	}
	cr_assert_eq(unit_descriptors_n(), descriptors);
}

Test(inherit, any_damaged_block)
{
	struct generations g;

	log_level_set(LOG_ERROR);
	for (int i = 0; i < FIRST_TAGS; i++) {
		dead_open(&g, first_tags[i]);
		damage_blocks(&g, i > 0);
		dead_close(&g);
	}
}

/* Nothing is known but how far the dead one had come: all is newer. */
static void
nothing_known(const struct generations *g)
{
	struct name_id are[NAMES];
	struct names *n = names_new();
	uint64_t number;

	cr_assert_eq(inherit(n, g->image.arena.fd, &number, why, sizeof(why)),
	    0, "%s", why);
	cr_assert_eq(number, 2);
	for (int kind = 0; kind < NAMES_KINDS; kind++)
		cr_assert_eq(names_count(n, (enum names_kind)kind), 0);
	names_ask(n, are);
	for (int i = 0; i < NAMES; i++)
		cr_assert(newer(are[i].tag, names_tag(g->names)), "name %d: "
		    "%u after %u", i, are[i].tag, names_tag(g->names));
	names_free(n);
}

/* The block as its writer has it. */
static void *
block(const struct generations *g, block_ref ref)
{
	return g->image.arena.base + (uint64_t)ref * ARENA_UNIT_BYTES;
}

static struct block_root *
newest_root(const struct generations *g)
{
	return block(g, g->newest.generation.root);
}

static uint64_t *
root_number(const struct generations *g)
{
	return &newest_root(g)->number;
}

static uint32_t *
listener_tag(const struct generations *g)
{
	const struct block_list *all = block(g, newest_root(g)->listeners);

	return &((struct block_listener *)block(g, all->at[1]))->tag;
}

static struct block_cluster *
cluster(const struct generations *g)
{
	const struct block_list *pages = block(g, newest_root(g)->clusters);
	const struct block_list *page = block(g, pages->at[0]);

	return block(g, page->at[2]);
}

static uint32_t *
cluster_tag(const struct generations *g)
{
	return &cluster(g)->tag;
}

static uint32_t *
endpoint_tag(const struct generations *g)
{
	return &((struct block_balance *)block(g, cluster(g)->balance))->
	    endpoints[2].tag;
}

Test(inherit, a_root_of_another_generation)
{
	struct generations g;

	log_level_set(LOG_ERROR);
	dead_open(&g, 0);
	--*root_number(&g);
	nothing_known(&g);
	dead_close(&g);
}

/* It would be given again, to another owner (names.h N3). */
Test(inherit, a_tag_that_was_not_given_yet)
{
	static uint32_t *(*const tags[])(const struct generations *g) = {
		listener_tag, cluster_tag, endpoint_tag };
	struct generations g;

	log_level_set(LOG_ERROR);
	for (int i = 0; i < 3 * FIRST_TAGS; i++) {
		dead_open(&g, first_tags[i / 3]);
		*tags[i % 3](&g) = names_tag(g.names) + 1;
		nothing_known(&g);
		dead_close(&g);
	}
}

Test(inherit, no_block_is_left)
{
	struct generations g;

	log_level_set(LOG_ERROR);
	for (int i = 0; i < FIRST_TAGS; i++) {
		dead_open(&g, first_tags[i]);
		memset(g.image.arena.base + ARENA_CONTROL_BYTES, 0xa5,
		    g.image.arena.used_bytes - ARENA_CONTROL_BYTES);
		nothing_known(&g);
		dead_close(&g);
	}
}

/* The page that says where the newest generation is: a sentence, or no
 * crash. */
/* Layout, size, and the latch behind them. */
enum { CONTROL_BYTES = 256 };

Test(inherit, a_damaged_control_page)
{
	struct generations g;
	uint64_t number;
	int refused = 0;

	log_level_set(LOG_ERROR);
	dead_open(&g, 0);
	for (size_t bit = 0; bit < CONTROL_BYTES * 8; bit++) {
		uint8_t *byte = g.image.arena.base + bit / 8, was = *byte;
		struct names *n = names_new();

		*byte ^= (uint8_t)(1 << bit % 8);
		why[0] = '\0';
		if (inherit(n, g.image.arena.fd, &number, why,
		    sizeof(why)) == -1) {
			cr_assert_str_neq(why, "", "bit %zu", bit);
			refused++;
		}
		*byte = was;
		names_free(n);
	}
	cr_assert_geq(refused, 128, "layout and size are checked");
	dead_close(&g);
}

/* ---- none of ours */

Test(inherit, another_descriptor)
{
	static const uint8_t zeros[8192];
	struct names *n = names_new();
	int fds[4], pair[2], descriptors;
	struct arena empty;
	uint64_t number;

	cr_assert_eq(pipe(pair), 0);
	cr_assert_eq(arena_new(&empty, 1 << 20, why, sizeof(why)), 0);
	fds[0] = pair[0];
	fds[1] = memfd_create("zeros", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	cr_assert_eq(write(fds[1], zeros, sizeof(zeros)), sizeof(zeros));
	fds[2] = empty.fd;		/* nothing was published in it */
	fds[3] = -1;
	descriptors = unit_descriptors_n();
	for (int i = 0; i < 4; i++) {
		why[0] = '\0';
		cr_assert_eq(inherit(n, fds[i], &number, why, sizeof(why)),
		    -1, "%d", i);
		cr_assert_str_neq(why, "", "%d", i);
		cr_assert_eq(names_tag(n), 0);
	}
	cr_assert_eq(unit_descriptors_n(), descriptors);
	close(fds[1]);
	close(pair[0]);
	close(pair[1]);
	arena_close(&empty);
	names_free(n);
}
