/*
 * t/unit/resources.c - the set of resources: what is live when, what waits for
 * what, and what a refusal or an aborted stage leaves.
 *
 * A case is a story: lines of "+ KIND NAME ..." (put), "- KIND NAME" (remove),
 * "? KIND NAME" (it does not exist), "= WHAT" (what is in the newest
 * generation), "~ WHAT" (who waits for what), "! WORDS" (the last put was
 * refused, with these words), "@ MS" (that much later).
 */
#include "master/resources.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/compile_parts.h"
#include "master/generations.h"
#include "shm/log.h"
#include "t/lib/chance.h"
#include "t/lib/unit_generations.h"

#define HCM "envoy.extensions.filters.network.http_connection_manager.v3" \
	".HttpConnectionManager"
#define ROUTER "envoy.extensions.filters.http.router.v3.Router"

enum { BYTES_MAX = 64 << 10 };

/* ---- messages, by words */

/* c NAME [eds [SERVICE]] | e NAME ENDPOINTS | l NAME PORT ROUTES | r NAME
 * CLUSTER...: as YAML. */
static void
cluster_print(FILE *f, const char *name, const char *rest)
{
	fprintf(f, "name: %s\nconnect_timeout: 1s\nhttp2_protocol_options: "
	    "{}\n", name);
	if (strncmp(rest, "eds", 3) == 0)
		fprintf(f, "type: EDS\neds_cluster_config: {eds_config: "
		    "{ads: {}}, service_name: \"%s\"}\n", rest[3] == ' ' ?
		    rest + 4 : "");
	else if (strcmp(rest, "bad") == 0)
		fprintf(f, "type: STATIC\n");
	else if (strncmp(rest, "tls ", 4) == 0)
		fprintf(f, "transport_socket: {name: t, typed_config: "
		    UNIT_AT "transport_sockets.tls.v3.UpstreamTlsContext, "
		    "common_tls_context: {tls_certificate_sds_secret_configs: "
		    "[{name: %s, sds_config: {ads: {}}}]}}}\n"
		    "load_assignment: {cluster_name: %s}\n", rest + 4, name);
	else
		fprintf(f, "load_assignment: {cluster_name: %s, endpoints: "
		    "[{lb_endpoints: [" UNIT_ENDPOINT("10.0.0.1", "")
		    "]}]}\n", name);
}

static void
endpoints_print(FILE *f, const char *name, const char *rest)
{
	int n = atoi(rest);

	fprintf(f, "cluster_name: %s\nendpoints: [{lb_endpoints: [", name);
	for (int i = 0; i < n; i++)
		fprintf(f, "%s{endpoint: {address: {socket_address: {address: "
		    "10.0.1.%d, port_value: 80}}}}", i == 0 ? "" : ", ", i);
	fprintf(f, strcmp(rest, "bad") == 0 ? "{}]}]\n" : "]}]\n");
}

/* A secret: "1", "2": a certificate with that key; bad: without one. */
static void
secret_print(FILE *f, const char *name, const char *rest)
{
	fprintf(f, "name: %s\ntls_certificate: {certificate_chain: "
	    "{inline_string: \"-----BEGIN CERTIFICATE-----\"}", name);
	if (strcmp(rest, "bad") != 0)
		fprintf(f, ", private_key: {inline_string: \"-----BEGIN "
		    "PRIVATE KEY-----%s\"}", rest);
	fprintf(f, "}\n");
}

static void
listener_print(FILE *f, const char *name, const char *rest)
{
	char routes[64];
	int port;

	cr_assert_eq(sscanf(rest, "%d %63s", &port, routes), 2, "%s", rest);
	fprintf(f, "name: %s\naddress: {socket_address: {address: 127.0.0.1, "
	    "port_value: %d}}\nfilter_chains: [{filters: [{name: h, "
	    "typed_config: {\"@type\": type.googleapis.com/" HCM
	    ", stat_prefix: x, rds: {route_config_name: %s, config_source: "
	    "{ads: {}}}, http_filters: [{name: r, typed_config: {\"@type\": "
	    "type.googleapis.com/" ROUTER "}}]}}]}]\n", name, port, routes);
}

static void
routes_print(FILE *f, const char *name, const char *rest)
{
	char words[256], *word, *at = words;

	snprintf(words, sizeof(words), "%s", rest);
	fprintf(f, "name: %s\nvirtual_hosts: [{name: all, domains: [\"*\"], "
	    "routes: [", name);
	while ((word = strsep(&at, " ")) != NULL)
		if (strcmp(word, "bad") == 0)
			fprintf(f, "{match: {prefix: /}}, ");
		else
			fprintf(f, "{match: {prefix: /%s}, route: {cluster: "
			    "%s}}, ", word, word);
	fprintf(f, "]}]\n");
}

static const struct {
	char		letter;
	enum resource_kind kind;
	void		(*print)(FILE *f, const char *name, const char *rest);
} kinds[] = {
	{ 'c', RESOURCE_CLUSTER, cluster_print },
	{ 'e', RESOURCE_ENDPOINT, endpoints_print },
	{ 'l', RESOURCE_LISTENER, listener_print },
	{ 'r', RESOURCE_ROUTE, routes_print },
	{ 's', RESOURCE_SECRET, secret_print },
};

static size_t
kind_of(char letter)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (kinds[i].letter == letter)
			return i;
	cr_assert_fail("%c", letter);
	return 0;
}

/* Packed; the caller's. */
static uint8_t *
pack(size_t kind, const char *name, const char *rest, size_t *len)
{
	char *text = calloc(1, BYTES_MAX);
	FILE *f = fmemopen(text, BYTES_MAX, "w");
	struct load_arena *m = load_arena_new(16 << 20);
	const ProtobufCMessage *message;
	struct yaml *y;
	uint8_t *bytes;

	kinds[kind].print(f, name, rest);
	fclose(f);
	y = yaml_read(text, strlen(text), "test", why, sizeof(why));
	cr_assert_not_null(y, "%s: %s", why, text);
	message = load_message(m, load_type_find(resource_about(
	    kinds[kind].kind)->message), y, yaml_root(y), "", why,
	    sizeof(why));
	cr_assert_not_null(message, "%s: %s", why, text);
	*len = protobuf_c_message_get_packed_size(message);
	bytes = malloc(*len + 1);
	protobuf_c_message_pack(message, bytes);
	yaml_close(y);
	load_arena_free(m);
	free(text);
	return bytes;
}

/* ---- the set under test */

static struct generations now;
static char refusal[1024];
static int64_t clock_ms;

static void
world_open(const char *file)
{
	unit_folder_open();
	unit_write(unit_file, file);
	cr_assert_eq(generations_open(&now, &unit_options, why, sizeof(why)),
	    0, "%s", why);
	now.dynamic_always = true;
	cr_assert_eq(generations_next(&now, why, sizeof(why)), 0, "%s", why);
	clock_ms = 1000;
}

static void
world_close(void)
{
	generations_close(&now);
	unit_folder_close();
}

static void
stage_begin(void)
{
	cr_assert_eq(generations_change_begin(&now, clock_ms, why,
	    sizeof(why)), 0, "%s", why);
}

static void
stage_end(const char *line)
{
	int rc = generations_change_end(&now, why, sizeof(why));

	cr_assert_neq(rc, -1, "%s: %s", line, why);
	if (rc == 0)
		generations_publish(&now);
}

static void
put(const char *line)
{
	char name[64];
	int used = 0;
	size_t len, kind = kind_of(line[0]);
	uint8_t *bytes;

	cr_assert_eq(sscanf(line + 2, "%63s %n", name, &used), 1, "%s", line);
	bytes = pack(kind, name, line + 2 + used, &len);
	refusal[0] = '\0';
	stage_begin();
	resources_put(now.resources, kinds[kind].kind, name, "1", bytes, len,
	    FROM_PLANE, refusal, sizeof(refusal));
	stage_end(line);
	free(bytes);
}

static void
gone(const char *line, bool is_missing)
{
	enum resource_kind kind = kinds[kind_of(line[0])].kind;

	stage_begin();
	if (is_missing)
		resources_missing(now.resources, kind, line + 2);
	else
		resources_remove(now.resources, kind, line + 2);
	stage_end(line);
}

/* "a/2 b/1 | edge: a b-": clusters with their endpoints, and listeners with
 * the clusters of their routes, - for one that is not there. */
static void
routes_text(FILE *f, const struct block_listener *l)
{
	const struct arena *a = &now.image.arena;
	const struct block_hcm *hcm = arena_at(a, block_chain_of(a, l)->hcm);
	const struct block_route_config *c = arena_at(a, hcm->route_config);
	const struct block_list *hosts = arena_at(a, c->hosts);
	const struct block_cluster *cluster;
	const struct block_host *h;

	fprintf(f, "%s:", block_text(a, l->name));
	for (uint32_t i = 0; i < hosts->n; i++) {
		h = arena_at(a, hosts->at[i]);
		for (uint32_t j = 0; j < h->routes_n; j++) {
			cluster = block_cluster_find(a,
			    generations_root(&now), h->routes[j].cluster);
			fprintf(f, " %s", cluster == NULL ? "-" :
			    block_text(a, cluster->name));
		}
	}
	fprintf(f, " ");
}

static int
text_compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* "(1)": the key's last character. */
static const char *
key_text(const struct block_cluster *c)
{
	static char text[4] = "(x)";
	const struct block_tls *tls;
	const struct block_text *key;

	if (c->tls == 0)
		return "";
	tls = arena_at(&now.image.arena, c->tls);
	key = arena_at(&now.image.secrets, tls->private_key);
	text[1] = key->bytes[key->len - 1];
	return text;
}

static void
live_text(char *to, size_t to_len)
{
	const struct arena *a = &now.image.arena;
	const struct block_root *root = generations_root(&now);
	const struct block_list *listeners = arena_at(a, root->listeners);
	const struct block_cluster *c;
	char *names[16];
	int n = 0;
	FILE *f = fmemopen(to, to_len, "w");

	for (uint32_t slot = 0; slot < 4 * PAGE_SLOTS; slot++) {
		if ((c = block_cluster_find(a, root, slot)) == NULL)
			continue;
		cr_assert_gt(asprintf(&names[n++], "%s/%u%s ", block_text(a,
		    c->name), ((const struct block_balance *)arena_at(a,
		    c->balance))->endpoints_n, key_text(c)), 0);
	}
	qsort(names, (size_t)n, sizeof(names[0]), text_compare);
	for (int i = 0; i < n; i++) {
		fputs(names[i], f);
		free(names[i]);
	}
	fprintf(f, "| ");
	for (uint32_t i = 0; i < listeners->n; i++)
		routes_text(f, arena_at(a, listeners->at[i]));
	fclose(f);
	cr_assert_eq(now.newest.generation.clusters_n, (uint32_t)n);
	cr_assert_eq(now.newest.generation.listeners_n, listeners->n);
	if (*to != '\0')
		to[strlen(to) - 1] = '\0';
}

static void
waits(void *arg, const struct resource_view *v)
{
	FILE *f = arg;

	if (v->next == NULL)
		return;
	fprintf(f, "%s waits for ", v->name);
	resources_waits_print(now.resources, v->kind, v->name, f);
	fprintf(f, "; ");
}

static void
waiting_text(char *to, size_t to_len)
{
	FILE *f = fmemopen(to, to_len, "w");

	resources_each(now.resources, waits, f);
	fclose(f);
	if (*to != '\0')
		to[strlen(to) - 2] = '\0';
}

static void
tell(const char *line)
{
	char text[1024] = "";

	switch (line[0]) {
	case '+':
		put(line + 2);
		break;
	case '-':
	case '?':
		gone(line + 2, line[0] == '?');
		break;
	case '@':
		clock_ms += atoi(line + 2);
		if (resources_due(now.resources, clock_ms) == 0) {
			stage_begin();
			stage_end(line);
		}
		break;
	case '!':
		cr_assert_not_null(strstr(refusal, line + 2), "%s: %s", line,
		    refusal);
		cr_assert_neq(refusal[0], '\0', "%s: accepted", line);
		break;
	case '=':
		live_text(text, sizeof(text));
		cr_assert_str_eq(text, line + 2);
		break;
	case '~':
		waiting_text(text, sizeof(text));
		cr_assert_str_eq(text, line[1] == '\0' ? "" : line + 2);
		break;
	default:
		cr_assert_fail("%s", line);
	}
}

/* ---- stories */

static const char *const stories[] = {
	/* In the best order. */
	"+ c a\n= a/1 |\n+ r R a\n= a/1 |\n+ l edge 1 R\n= a/1 | edge: a\n~",
	/* In the worst: nothing is seen before all is there. */
	"+ l edge 1 R\n= |\n~ edge waits for routes \"R\"\n"
	"+ r R a\n= |\n~ edge waits for cluster \"a\"\n"
	"+ c a eds\n= |\n~ a waits for endpoints \"a\"; edge waits for "
	"cluster \"a\"\n"
	"+ e a 2\n= a/2 | edge: a\n~",
	/* One snapshot that adds a cluster and switches the route to it, and
	 * drops the old one at once. */
	"+ c a\n+ r R a\n+ l edge 1 R\n= a/1 | edge: a\n"
	"+ c b eds\n- c a\n= a/1 | edge: a\n"
	"+ r R b\n= a/1 | edge: a\n+ e b 3\n= b/3 | edge: b\n~",
	/* The same, and the routes before the cluster. */
	"+ c a\n+ r R a\n+ l edge 1 R\n+ r R b\n= a/1 | edge: a\n"
	"~ R waits for cluster \"b\"\n- c a\n= a/1 | edge: a\n+ c b\n"
	"= b/1 | edge: b\n~",
	/* A cluster that changes needs its endpoints no second time. */
	"+ c a eds\n+ e a 2\n= a/2 |\n+ c a eds a2\n= a/2 |\n"
	"~ a waits for endpoints \"a2\"\n+ e a2 4\n= a/4 |\n+ c a eds\n"
	"~ a waits for endpoints \"a\"",
	"+ c a eds s\n+ c b eds s\n+ e s 2\n= a/2 b/2 |\n+ e s 5\n"
	"= a/5 b/5 |\n+ c a\n= a/1 b/5 |\n+ e s 1\n= a/1 b/1 |",
	/* What does not come is done without, and used when it comes. */
	"+ l edge 1 R\n? r R\n= | edge:\n+ r R a\n= | edge:\n@ 14999\n"
	"= | edge:\n@ 1\n= | edge: -\n+ c a\n= a/1 | edge: a\n~",
	"+ c a eds\n@ 15000\n= a/0 |\n+ e a 1\n= a/1 |",
	/* A removed cluster lingers while routes name it, but not for ever. */
	"+ c a\n+ r R a\n+ l edge 1 R\n- c a\n@ 14999\n= a/1 | edge: a\n@ 1\n"
	"= | edge: -\n+ c b\n= b/1 | edge: -\n+ c a\n= a/1 b/1 | edge: a",
	"+ c a\n+ r R a\n+ l edge 1 R\n- c a\n+ c a\n@ 60000\n"
	"= a/1 | edge: a",
	"+ c a\n+ r R a\n+ l edge 1 R\n- c a\n- l edge\n= |",
	/* Refused: named, and what was there stays. */
	"+ c a\n+ c a bad\n! load_assignment: is missing\n= a/1 |",
	"+ c a eds\n+ e a 1\n+ e a bad\n! endpoints[0].lb_endpoints[0]\n"
	"= a/1 |\n+ e a 2\n= a/2 |",
	"+ c a\n+ r R a\n+ l edge 1 R\n+ r R bad\n"
	"! virtual_hosts[0].routes[0].route: is missing\n= a/1 | edge: a\n~\n"
	"+ c b\n+ r R a b\n= a/1 b/1 | edge: a b",
	"+ l edge 1 R\n+ r R bad\n! virtual_hosts[0]\n= |\n"
	"~ edge waits for routes \"R\"",
	"+ c a\n+ r R a\n+ l edge 1 R\n+ l two 1 R\n! address \"127.0.0.1_1\" "
	"is there twice\n= a/1 | edge: a\n+ l two 2 R\n"
	"= a/1 | edge: a two: a",
	/* Nothing is served without its certificate, however long. */
	"+ c a tls S\n= |\n~ a waits for secret \"S\"\n@ 15000\n= |\n"
	"~ a waits for secret \"S\"\n+ s S 1\n= a/0(1) |\n~\n"
	"+ s S 2\n= a/0(2) |\n+ s S bad\n! tls_certificate.private_key: is "
	"missing\n= a/0(2) |\n+ c b tls S\n= a/0(2) b/0(2) |",
	/* A newer version takes the place of one that waits. */
	"+ l edge 1 R\n+ c a\n+ r R b\n~ edge waits for cluster \"b\"\n"
	"+ r R a\n= a/1 | edge: a\n~",
	"+ c a\n+ r R a\n+ l edge 1 R\n+ r R b\n+ l edge 2 S\n"
	"= a/1 | edge: a\n+ r S a\n= a/1 | edge: a",
	"+ c a\n+ r R a\n+ l edge 1 R\n+ l two 2 R\n+ r R b\n+ c b\n"
	"= a/1 b/1 | edge: b two: b\n- l two\n= a/1 b/1 | edge: b",
};

Test(resources, stories)
{
	for (size_t i = 0; i < sizeof(stories) / sizeof(stories[0]); i++) {
		char *text = strdup(stories[i]), *at = text, *line;

		world_open("godwit: {}\n");
		while ((line = strsep(&at, "\n")) != NULL)
			tell(line);
		free(text);
		world_close();
	}
}

/* ---- at random */

/* "+ c a eds" ...: one of a few names of each kind, good, bad, waiting. */
static void
op_at_random(struct chance *dice, char *to, size_t to_len)
{
	static const char names[] = "abcd", rests[] = "RSTU";
	char n = names[chance_below(dice, 4)], m = names[chance_below(dice,
	    4)];
	char r = rests[chance_below(dice, 3)];
	int k = (int)chance_below(dice, 5);

	switch (chance_below(dice, 12)) {
	case 0:
		snprintf(to, to_len, "+ c %c", n);
		break;
	case 1:
	case 2:
		snprintf(to, to_len, "+ c %c eds%s%c", n, k < 2 ? " " : "",
		    k < 2 ? m : '\0');
		break;
	case 3:
		snprintf(to, to_len, "+ c %c %s", n, k < 2 ? "bad" : "tls Z");
		break;
	case 4:
	case 5:
		snprintf(to, to_len, k == 0 ? "+ e %c bad" : "+ e %c 1", n);
		break;
	case 6:
		snprintf(to, to_len, "+ r %c %s", r, k == 0 ? "bad" : "a b");
		break;
	case 7:
		snprintf(to, to_len, "+ r %c %c %c", r, n, m);
		break;
	case 8:
		snprintf(to, to_len, "+ l %c %d %c", n, 1 + k, r);
		break;
	case 9:
		snprintf(to, to_len, "- %c %c", "cl"[k % 2], n);
		break;
	case 10:
		if (k < 3)
			snprintf(to, to_len, "? %c %c", "er"[k % 2], k % 2 ==
			    0 ? n : r);
		else
			snprintf(to, to_len, "+ s Z %d", k);
		break;
	default:
		snprintf(to, to_len, "@ %d", 1 + 5000 * k);
	}
}

/* R1, from the blocks alone: no route leads to an empty slot, or to another
 * cluster than it names (a route's prefix is its cluster's name). */
static void
blocks_hold(const char *line)
{
	const struct arena *a = &now.image.arena;
	const struct block_root *root = generations_root(&now);
	const struct block_list *listeners = arena_at(a, root->listeners);
	struct resource_view v;

	for (uint32_t i = 0; i < listeners->n; i++) {
		const struct block_listener *l = arena_at(a,
		    listeners->at[i]);
		const struct block_hcm *hcm = arena_at(a, block_chain_of(a,
		    l)->hcm);
		const struct block_route_config *c = arena_at(a,
		    hcm->route_config);
		const struct block_list *hosts = arena_at(a, c->hosts);

		for (uint32_t j = 0; hosts->n > 0 && j < ((const struct
		    block_host *)arena_at(a, hosts->at[0]))->routes_n; j++) {
			const struct block_route *r = &((const struct
			    block_host *)arena_at(a, hosts->at[0]))->routes[j];
			const struct block_cluster *to = block_cluster_find(a,
			    root, r->cluster);

			if (r->cluster == CLUSTER_NONE) {
				cr_assert(!resources_find(now.resources,
				    RESOURCE_CLUSTER, block_text(a, r->path) +
				    1, &v) || v.live == NULL, "%s: it is there",
				    line);
				continue;
			}
			cr_assert_not_null(to, "%s: an empty slot", line);
			cr_assert_str_eq(block_text(a, to->name), block_text(a,
			    r->path) + 1, "%s", line);
		}
	}
}

static void
set_print(void *arg, const struct resource_view *v)
{
	fprintf(arg, "%d %s %p %p %p %s %d %d\n", v->kind, v->name,
	    (const void *)v->live, (const void *)v->next,
	    (const void *)v->refused, v->why == NULL ? "" : v->why,
	    v->missing, v->lingers);
	resources_waits_print(now.resources, v->kind, v->name, arg);
}

static int
line_compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Everything of the set and of what is published, as text. */
static char *
all_text(void)
{
	char *text = NULL, *sorted = NULL, *blocks = unit_dumped(&now);
	char *at, *line, *lines[256];
	size_t len, n = 0;
	FILE *f = open_memstream(&text, &len);

	resources_each(now.resources, set_print, f);
	fclose(f);
	for (at = text; (line = strsep(&at, "\n")) != NULL;)
		if (n < 256)
			lines[n++] = line;
	qsort(lines, n, sizeof(lines[0]), line_compare);
	f = open_memstream(&sorted, &len);
	for (size_t i = 0; i < n; i++)
		fprintf(f, "%s\n", lines[i]);
	fprintf(f, "%s %zu %zu %llu", blocks, names_count(now.names,
	    NAMES_CLUSTER), names_count(now.names, NAMES_ENDPOINT),
	    (unsigned long long)heap_allocated(now.image.blocks));
	fclose(f);
	free(blocks);
	free(text);
	return sorted;
}

/* A stage of some ops that is then aborted: all is as it was. */
static void
aborted(struct chance *dice)
{
	char line[64], name[16], *before = all_text(), *after;
	uint8_t *bytes;
	size_t len, kind;
	int used;

	stage_begin();
	for (unsigned i = 0; i < 1 + chance_below(dice, 4); i++) {
		op_at_random(dice, line, sizeof(line));
		if (line[0] == '-')
			resources_remove(now.resources,
			    kinds[kind_of(line[2])].kind, line + 4);
		if (line[0] != '+')
			continue;
		kind = kind_of(line[2]);
		cr_assert_eq(sscanf(line + 4, "%15s %n", name, &used), 1);
		bytes = pack(kind, name, line + 4 + used, &len);
		resources_put(now.resources, kinds[kind].kind, name, "2",
		    bytes, len, FROM_PLANE, refusal, sizeof(refusal));
		free(bytes);
	}
	resources_abort(now.resources);
	sources_free(now.change_sources);
	now.change_sources = NULL;
	after = all_text();
	if (strcmp(after, before) != 0)
		fprintf(stderr, "before: %s\nafter: %s\n", before, after);
	cr_assert(strcmp(after, before) == 0, "%s", line);
	free(before);
	free(after);
}

enum { SEEDS = 60, OPS = 150 };

Test(resources, at_random)
{
	char line[64];
	struct chance dice;

	log_level_set(LOG_ERROR);
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		dice.state = seed;
		world_open("godwit: {}\n");
		for (int i = 0; i < OPS; i++) {
			op_at_random(&dice, line, sizeof(line));
			tell(line);
			blocks_hold(line);
			generations_reclaim(&now, UINT64_MAX);
			if (chance_below(&dice, 4) == 0)
				aborted(&dice);
			if (chance_below(&dice, 50) == 0)
				(void)generations_compact(&now, why,
				    sizeof(why));
		}
		world_close();
	}
}
