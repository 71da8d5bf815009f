/*
 * t/lib/unit_resources.h - a set of resources that is told stories.
 *
 * A story is lines of "+ KIND NAME ..." (put), "- KIND NAME" (remove),
 * "? KIND NAME" (it does not exist), "= WHAT" (what is in the newest
 * generation), "~ WHAT" (who waits for what), "! WORDS" (the last put was
 * refused, with these words), "@ MS" (that much later).
 */
#ifndef T_LIB_UNIT_RESOURCES_H
#define T_LIB_UNIT_RESOURCES_H

#include "master/resources.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/compile_parts.h"
#include "master/generations.h"
#include "t/lib/unit_generations.h"

#define HCM "envoy.extensions.filters.network.http_connection_manager.v3" \
	".HttpConnectionManager"
#define ROUTER "envoy.extensions.filters.http.router.v3.Router"

enum { BYTES_MAX = 64 << 10 };

/* ---- messages, by words */

/* c NAME [eds [SERVICE] | from SOURCE] | e NAME ENDPOINTS | l NAME PORT ROUTES
 * [SOURCE] | r NAME CLUSTER...: as YAML. SOURCE: a ConfigSource; what comes
 * from a file is called PATH:NAME. */
static inline void
cluster_print(FILE *f, const char *name, const char *rest)
{
	fprintf(f, "name: %s\nconnect_timeout: 1s\nhttp2_protocol_options: "
	    "{}\n", name);
	if (strncmp(rest, "eds", 3) == 0)
		fprintf(f, "type: EDS\neds_cluster_config: {eds_config: "
		    "{ads: {}}, service_name: \"%s\"}\n", rest[3] == ' ' ?
		    rest + 4 : "");
	else if (strncmp(rest, "from ", 5) == 0)
		fprintf(f, "type: EDS\neds_cluster_config: {eds_config: %s}\n",
		    rest + 5);
	else if (strcmp(rest, "bad") == 0)
		fprintf(f, "type: STATIC\n");
	else if (strcmp(rest, "key") == 0)
		fprintf(f, "transport_socket: {name: t, typed_config: "
		    UNIT_AT "transport_sockets.tls.v3.UpstreamTlsContext, "
		    "common_tls_context: {tls_certificates: "
		    "[{certificate_chain: {inline_string: \"-----BEGIN "
		    "CERTIFICATE-----\"}, private_key: {inline_string: "
		    "\"-----BEGIN PRIVATE KEY-----\"}}]}}}\n"
		    "load_assignment: {cluster_name: %s}\n", name);
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

static inline void
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
static inline void
secret_print(FILE *f, const char *name, const char *rest)
{
	fprintf(f, "name: %s\ntls_certificate: {certificate_chain: "
	    "{inline_string: \"-----BEGIN CERTIFICATE-----\"}", name);
	if (strcmp(rest, "bad") != 0)
		fprintf(f, ", private_key: {inline_string: \"-----BEGIN "
		    "PRIVATE KEY-----%s\"}", rest);
	fprintf(f, "}\n");
}

static inline void
listener_print(FILE *f, const char *name, const char *rest)
{
	char routes[64];
	int port, used = 0;

	cr_assert_eq(sscanf(rest, "%d %63s %n", &port, routes, &used), 2, "%s",
	    rest);
	fprintf(f, "name: %s\naddress: {socket_address: {address: 127.0.0.1, "
	    "port_value: %d}}\nfilter_chains: [{filters: [{name: h, "
	    "typed_config: {\"@type\": type.googleapis.com/" HCM
	    ", stat_prefix: x, rds: {route_config_name: %s, config_source: "
	    "%s}, http_filters: [{name: r, typed_config: {\"@type\": "
	    "type.googleapis.com/" ROUTER "}}]}}]}]\n", name, port, routes,
	    rest[used] == '\0' ? "{ads: {}}" : rest + used);
}

static inline void
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

static inline size_t
kind_of(char letter)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (kinds[i].letter == letter)
			return i;
	cr_assert_fail("%c", letter);
	return 0;
}

/* Packed; the caller's. */
static inline uint8_t *
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

static inline void
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

static inline void
world_close(void)
{
	generations_close(&now);
	unit_folder_close();
}

static inline void
stage_begin(void)
{
	cr_assert_eq(generations_change_begin(&now, clock_ms, why,
	    sizeof(why)), 0, "%s", why);
}

static inline void
stage_end(const char *line)
{
	int rc = generations_change_end(&now, why, sizeof(why));

	cr_assert_neq(rc, -1, "%s: %s", line, why);
	if (rc == 0)
		generations_publish(&now);
}

/* PATH:NAME is of that file; what it is called in the set, and by it. */
static inline const char *
source_split(char *name, char room[ORIGIN_NAME_BYTES])
{
	char *colon = strchr(name, ':');

	if (name[0] != '/' || colon == NULL)
		return strcpy(room, name);
	cr_assert(origin_name(room, ORIGIN_NAME_BYTES, put_hash(name,
	    (size_t)(colon - name), 0), colon + 1));
	memmove(name, colon + 1, strlen(colon));
	return room;
}

static inline void
put(const char *line)
{
	char name[64], room[ORIGIN_NAME_BYTES];
	int used = 0;
	size_t len, kind = kind_of(line[0]);
	uint8_t *bytes;

	cr_assert_eq(sscanf(line + 2, "%63s %n", name, &used), 1, "%s", line);
	source_split(name, room);
	bytes = pack(kind, name, line + 2 + used, &len);
	refusal[0] = '\0';
	stage_begin();
	resources_put(now.resources, kinds[kind].kind, room, "1", bytes, len,
	    FROM_PLANE, refusal, sizeof(refusal));
	stage_end(line);
	free(bytes);
}

static inline void
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
static inline char *
routes_text(const struct block_listener *l)
{
	char *text = calloc(1, 256);
	FILE *f = fmemopen(text, 256, "w");
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
	fclose(f);
	return text;
}

static inline int
text_compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static inline void
sorted_print(FILE *f, char **texts, int n)
{
	qsort(texts, (size_t)n, sizeof(texts[0]), text_compare);
	for (int i = 0; i < n; i++) {
		fputs(texts[i], f);
		free(texts[i]);
	}
}

/* "(1)": the key's last character. */
static inline const char *
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

static inline void
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
	sorted_print(f, names, n);
	cr_assert_eq(now.newest.generation.clusters_n, (uint32_t)n);
	fprintf(f, "| ");
	for (n = 0; n < (int)listeners->n; n++)
		names[n] = routes_text(arena_at(a, listeners->at[n]));
	sorted_print(f, names, n);
	fclose(f);
	cr_assert_eq(now.newest.generation.listeners_n, listeners->n);
	if (*to != '\0')
		to[strlen(to) - 1] = '\0';
}

static inline void
waits(void *arg, const struct resource_view *v)
{
	FILE *f = arg;

	if (v->lingers)
		fprintf(f, "%s lingers; ", v->name);
	if (v->next == NULL)
		return;
	fprintf(f, "%s waits for ", v->name);
	resources_waits_print(now.resources, v->kind, v->name, f);
	fprintf(f, "; ");
}

static inline void
waiting_text(char *to, size_t to_len)
{
	FILE *f = fmemopen(to, to_len, "w");

	resources_each(now.resources, waits, f);
	fclose(f);
	if (*to != '\0')
		to[strlen(to) - 2] = '\0';
}

static inline void
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

#endif
