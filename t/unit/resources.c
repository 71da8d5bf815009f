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

#include "master/checkpoint_set.h"
#include "master/compile_parts.h"
#include "master/generations.h"
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
static char *
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

static int
text_compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void
sorted_print(FILE *f, char **texts, int n)
{
	qsort(texts, (size_t)n, sizeof(texts[0]), text_compare);
	for (int i = 0; i < n; i++) {
		fputs(texts[i], f);
		free(texts[i]);
	}
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

static void
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
	"= a/1 | edge: a\n+ r S a\n= a/1 | edge: a\n~",

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

/* ---- a checkpoint of it */

/* junk: the name of a resource whose bytes are none, or NULL. */
static void
checkpoint_make(const char *junk)
{
	struct checkpoint_set set;

	cr_assert_eq(checkpoint_set_make(&set, now.resources,
	    &now.image.secrets), 0);
	for (size_t i = 0; junk != NULL && i < set.plain.n; i++)
		if (strcmp(set.plain.all[i].name, junk) == 0) {
			set.plain.all[i].bytes = (const uint8_t *)"\xff";
			set.plain.all[i].len = 1;
		}
	const struct checkpoint_part parts[] = {
		{ "plain", false, set.plain.all, set.plain.n },
		{ "secrets", true, set.secrets.all, set.secrets.n },
	};
	for (size_t i = 0; i < 2; i++)
		cr_assert_eq(checkpoint_write(unit_folder, "us", &parts[i],
		    why, sizeof(why)), 0, "%s", why);
	checkpoint_set_free(&set);
}

static struct checkpoint *
checkpoint_take(const char *base, bool secret)
{
	struct checkpoint *c = checkpoint_read(unit_folder, "us", base,
	    secret, why, sizeof(why));
	char name[128];

	cr_assert_not_null(c, "%s", why);
	snprintf(name, sizeof(name), "%s/%s.a", unit_folder, base);
	unlink(name);
	return c;
}

/* Into another set, that of a process started anew. */
static struct checkpoint_put
checkpoint_put_anew(const struct checkpoint_left_out *out)
{
	struct checkpoint *plain = checkpoint_take("plain", false);
	struct checkpoint *secrets = checkpoint_take("secrets", true);
	struct checkpoint_put how;

	world_close();
	world_open("godwit: {}\n");
	stage_begin();
	how = checkpoint_set_put(now.resources, plain, secrets, out);
	stage_end("the checkpoint");
	checkpoint_free(plain);
	checkpoint_free(secrets);
	return how;
}

static void
other_source(void *arg, const struct resource_view *v)
{
	bool *all = arg;

	*all &= (v->live == NULL || v->live->from == FROM_CHECKPOINT) &&
	    (v->next == NULL || v->next->from == FROM_CHECKPOINT);
}

static void
picture(char live[1024], char waiting[1024], struct checkpoint_set *set)
{
	memset(live, 0, 1024);
	memset(waiting, 0, 1024);
	live_text(live, 1024);
	waiting_text(waiting, 1024);
	cr_assert_eq(checkpoint_set_make(set, now.resources,
	    &now.image.secrets), 0);
}

static void
by_checkpoint(const char *story)
{
	const struct checkpoint_left_out none = { .n = 0 };
	bool all = true;

	checkpoint_make(NULL);
	cr_assert_eq(checkpoint_put_anew(&none).refused, 0, "%s", story);
	resources_each(now.resources, other_source, &all);
	cr_assert(all, "%s", story);
}

static void
replay(void *arg, const struct journal_entry *e)
{
	(void)arg;
	resources_replay(now.resources, e, NULL, 0);
}

static void
by_entries(int fd, const char *story)
{
	world_close();
	world_open("godwit: {}\n");
	stage_begin();
	cr_assert_eq(journal_read(fd, replay, NULL, why, sizeof(why)), 0,
	    "%s: %s", story, why);
	resources_prune(now.resources);
	stage_end(story);
}

static void
by_fresh_journal(const char *story)
{
	struct journal j;

	cr_assert_eq(journal_open(&j, why, sizeof(why)), 0, "%s", why);
	resources_journal_write(now.resources, &j);
	by_entries(j.fd, story);
	journal_close(&j);
}

static void
by_journal(const char *story)
{
	int fd = dup(now.journal.fd);

	by_entries(fd, story);
	close(fd);
}

/* The world as it is, and one that began with what is kept of it. */
static void
compare(const char *story, void (*begin)(const char *story), bool secrets)
{
	char live[2][1024], waiting[2][1024];
	struct checkpoint_set set;
	size_t plain_n, secrets_n;

	/* Nobody sends what was not asked for, as stories do. */
	stage_begin();
	resources_prune(now.resources);
	stage_end(story);
	picture(live[0], waiting[0], &set);
	plain_n = set.plain.n;
	secrets_n = set.secrets.n;
	checkpoint_set_free(&set);
	if (secrets_n > 0 && !secrets)
		return;
	begin(story);
	picture(live[1], waiting[1], &set);
	cr_assert_str_eq(live[1], live[0], "%s\n%s\n%s", story, live[1],
	    live[0]);
	cr_assert_str_eq(waiting[1], waiting[0], "%s\n%s\n%s", story,
	    waiting[1], waiting[0]);
	cr_assert_eq(set.plain.n, plain_n, "%s", story);
	cr_assert_eq(set.secrets.n, secrets_n, "%s", story);
	checkpoint_set_free(&set);
}

/* Wherever a story stands. */
static void
compare_all(void (*begin)(const char *story), bool secrets)
{
	for (size_t i = 0; i < sizeof(stories) / sizeof(stories[0]); i++)
		for (const char *end = strstr(stories[i], "\n="); end != NULL;
		    end = strstr(end + 1, "\n=")) {
			char *text = strndup(stories[i],
			    (size_t)(end - stories[i])), *at = text, *line;

			world_open("godwit: {}\n");
			while ((line = strsep(&at, "\n")) != NULL)
				tell(line);
			free(text);
			compare(stories[i], begin, secrets);
			world_close();
		}
}

/* What is served is served again, what waits waits, and a checkpoint of that
 * says the same. */
Test(resources, checkpoint)
{
	compare_all(by_checkpoint, true);
}

/* The same for a master's successor. (Keys are in the arena of the dead.) */
Test(resources, journal)
{
	compare_all(by_journal, false);
	compare_all(by_fresh_journal, false);
}

/* What is refused now, or left out, is not there; all else is as if it had
 * never been put, and what only that named is gone. */
Test(resources, checkpoint_in_part)
{
	static const struct {
		const char	*name, *junk, *out;
		size_t		 accepted, refused;
		const char	*live, *waits;
	} rows[] = {
		{ "all", NULL, NULL, 6, 0, "a/1 b/1 | edge: a two: a b", "" },
		{ "a cluster", "b", NULL, 5, 1, "a/1 | edge: a",
		  "two waits for cluster \"b\"; " },
		{ "a listener", "two", NULL, 5, 1, "a/1 b/1 | edge: a", "" },
		{ "routes", "S", NULL, 5, 1, "a/1 b/1 | edge: a",
		  "two waits for routes \"S\"; " },
		{ "left out", NULL, "two", 5, 0, "a/1 b/1 | edge: a", "" },
	};
	struct checkpoint_left_out out = { .n = 0 };
	struct resource_view v;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char live[1024] = "", waiting[1024] = "";
		struct checkpoint_put how;
		bool named;

		world_open("godwit: {}\n");
		tell("+ c a");
		tell("+ c b");
		tell("+ l edge 1 R");
		tell("+ r R a");
		tell("+ l two 2 S");
		tell("+ r S a b");
		checkpoint_make(rows[i].junk);
		out.n = rows[i].out != NULL;
		out.names[0] = rows[i].out;
		how = checkpoint_put_anew(&out);
		live_text(live, sizeof(live));
		waiting_text(waiting, sizeof(waiting));
		cr_expect_str_eq(live, rows[i].live, "%s: %s", rows[i].name,
		    live);
		cr_expect_eq(strncmp(waiting, rows[i].waits, strlen(waiting)),
		    0, "%s: %s", rows[i].name, waiting);
		cr_expect_eq(how.refused, rows[i].refused, "%s",
		    rows[i].name);
		cr_expect_eq(how.accepted, rows[i].accepted, "%s: %zu",
		    rows[i].name, how.accepted);
		named = strstr(rows[i].live, "two") != NULL ||
		    strstr(rows[i].waits, "two") != NULL;
		cr_expect_eq(resources_find(now.resources, RESOURCE_ROUTE,
		    "S", &v) && v.live != NULL, named && rows[i].junk !=
		    NULL ? strcmp(rows[i].junk, "S") != 0 : named, "%s",
		    rows[i].name);
		world_close();
	}
}
