/*
 * t/unit/resources_name.c - clusters of host names in the set of resources:
 * what waits for an answer, what an answer changes, and who is asked for.
 *
 * A case is a story: lines of "+ CLUSTER FIELDS | HOST ..." (put; FIELDS are
 * YAML), "- CLUSTER" (remove), "a HOST IP ..." (an answer, as every cluster asks
 * for it), "x HOST IP ..." (the same, and the stage is aborted), "= WHAT" (the
 * clusters and their endpoints), "? HOST ..." (who is asked for), "~ WHAT" (who
 * waits), "! WORDS" (the last put was refused), "@ MS" (that much later).
 */
#include "master/resources.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/dns.h"
#include "master/generations.h"
#include "t/lib/unit_generations.h"

enum { WANTED_MAX = 16, HOSTS_MAX = 8, TEXT_BYTES = 4096 };

static struct generations now;
static char refusal[1024];
static int64_t clock_ms;
static char *wanted[WANTED_MAX];	/* names of RESOURCE_NAME */
static size_t wanted_n;

static void
want(void *arg, enum resource_kind kind, const char *name, bool on)
{
	size_t i = 0;

	(void)arg;
	if (kind != RESOURCE_NAME)
		return;
	while (i < wanted_n && strcmp(wanted[i], name) != 0)
		i++;
	cr_assert_eq(i == wanted_n, on, "%s", name);
	if (on) {
		cr_assert_lt(wanted_n, WANTED_MAX);
		wanted[wanted_n++] = strdup(name);
	} else {
		free(wanted[i]);
		wanted[i] = wanted[--wanted_n];
	}
}

static void
world_open(void)
{
	unit_folder_open();
	unit_write(unit_file, "godwit: {}\n");
	cr_assert_eq(generations_open(&now, &unit_options, why, sizeof(why)),
	    0, "%s", why);
	now.dynamic_always = true;
	resources_want(now.resources, want, NULL);
	resources_dynamic(now.resources, RESOURCE_NAME, true);
	cr_assert_eq(generations_next(&now, why, sizeof(why)), 0, "%s", why);
	clock_ms = 1000;
}

static void
world_close(void)
{
	generations_close(&now);
	unit_folder_close();
	while (wanted_n > 0)
		free(wanted[--wanted_n]);
}

static void
stage_begin(void)
{
	cr_assert_eq(generations_change_begin(&now, clock_ms, why,
	    sizeof(why)), 0, "%s", why);
}

static void
stage_end(const char *line, bool aborted)
{
	int rc = generations_change_end(&now, why, sizeof(why));

	cr_assert_neq(rc, -1, "%s: %s", line, why);
	if (rc == 0 && aborted)
		generations_drop(&now);
	else if (rc == 0)
		generations_publish(&now);
}

/* ---- clusters */

static void
cluster_print(FILE *f, const char *name, const char *fields, char *hosts)
{
	const char *comma = "";
	char *host;

	fprintf(f, "name: %s\nhttp2_protocol_options: {}\n%s\n"
	    "load_assignment: {cluster_name: x, endpoints: [{lb_endpoints: [",
	    name, fields);
	while ((host = strsep(&hosts, " ")) != NULL) {
		fprintf(f, "%s{endpoint: {address: {socket_address: {address: "
		    "\"%s\", port_value: 80}}}}", comma, host);
		comma = ", ";
	}
	fprintf(f, "]}]}\n");
}

/* line: "CLUSTER FIELDS | HOST ..."; fields are parted by "; ". */
static void
cluster_put(const char *line)
{
	char words[TEXT_BYTES], text[TEXT_BYTES] = "", *at = words, *name;
	char *fields, *hosts;
	FILE *f = fmemopen(text, sizeof(text), "w");
	struct load_arena *m = load_arena_new(16 << 20);
	const ProtobufCMessage *message;
	struct yaml *y;
	uint8_t *bytes;
	size_t len;

	snprintf(words, sizeof(words), "%s", line);
	name = strsep(&at, " ");
	hosts = strstr(at, "| ");
	cr_assert_not_null(hosts, "%s", line);
	*hosts = '\0';
	for (fields = at; (fields = strchr(fields, ';')) != NULL;)
		*fields = '\n', fields[1] = '\n';
	cluster_print(f, name, at, hosts + 2);
	fclose(f);
	y = yaml_read(text, strlen(text), "test", why, sizeof(why));
	cr_assert_not_null(y, "%s: %s", why, text);
	message = load_message(m, load_type_find(resource_about(
	    RESOURCE_CLUSTER)->message), y, yaml_root(y), "", why,
	    sizeof(why));
	cr_assert_not_null(message, "%s: %s", why, text);
	len = protobuf_c_message_get_packed_size(message);
	bytes = malloc(len);
	protobuf_c_message_pack(message, bytes);
	refusal[0] = '\0';
	stage_begin();
	resources_put(now.resources, RESOURCE_CLUSTER, name, "1", bytes, len,
	    FROM_PLANE, refusal, sizeof(refusal));
	stage_end(line, false);
	free(bytes);
	yaml_close(y);
	load_arena_free(m);
}

static void
cluster_remove(const char *name)
{
	stage_begin();
	resources_remove(now.resources, RESOURCE_CLUSTER, name);
	stage_end(name, false);
}

/* ---- answers */

/* Of every name of that host, in one stage. */
static void
answer(const char *line, bool aborted)
{
	struct block_address all[HOSTS_MAX];
	char words[256], host[DNS_HOST_MAX + 1], *at = words, *name, *ip;
	struct dns_question q;
	size_t n = 0;

	memset(all, 0, sizeof(all));
	snprintf(words, sizeof(words), "%s", line);
	name = strsep(&at, " ");
	while ((ip = strsep(&at, " ")) != NULL) {
		all[n].family = strchr(ip, ':') != NULL ? AF_INET6 : AF_INET;
		cr_assert_eq(inet_pton(all[n].family, ip, all[n].bytes), 1,
		    "%s", line);
		n++;
	}
	stage_begin();
	for (size_t i = 0; i < wanted_n; i++) {
		cr_assert(dns_question_read(wanted[i], &q, host));
		if (strcmp(host, name) == 0)
			cr_assert_eq(resources_put(now.resources,
			    RESOURCE_NAME, wanted[i], "",
			    (const uint8_t *)all, n * sizeof(all[0]),
			    FROM_DNS, why, sizeof(why)), 0, "%s: %s", line,
			    why);
	}
	stage_end(line, aborted);
}

/* ---- what is seen */

static int
text_compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* "10.0.0.1,10.0.0.2", sorted. */
static void
endpoints_text(FILE *f, const struct block_balance *b)
{
	char ips[HOSTS_MAX][INET6_ADDRSTRLEN], *sorted[HOSTS_MAX];

	for (uint32_t i = 0; i < b->endpoints_n; i++) {
		sorted[i] = ips[i];
		inet_ntop(b->endpoints[i].address.family,
		    b->endpoints[i].address.bytes, ips[i], sizeof(ips[i]));
	}
	qsort(sorted, b->endpoints_n, sizeof(sorted[0]), text_compare);
	for (uint32_t i = 0; i < b->endpoints_n; i++)
		fprintf(f, "%s%s", i == 0 ? "" : ",", sorted[i]);
}

/* "a/10.0.0.1,10.0.0.2 ", in the order of their slots. */
static void
live_text(FILE *f)
{
	const struct arena *a = &now.image.arena;
	const struct block_cluster *c;

	for (uint32_t slot = 0; slot < PAGE_SLOTS; slot++) {
		c = block_cluster_find(a, generations_root(&now), slot);
		if (c == NULL)
			continue;
		fprintf(f, "%s/", block_text(a, c->name));
		endpoints_text(f, arena_at(a, c->balance));
		fprintf(f, " ");
	}
}

static void
wanted_text(FILE *f)
{
	qsort(wanted, wanted_n, sizeof(wanted[0]), text_compare);
	for (size_t i = 0; i < wanted_n; i++)
		fprintf(f, "%s; ", wanted[i]);
}

static void
waits(void *arg, const struct resource_view *v)
{
	cr_assert_lt(v->kind, RESOURCE_KINDS, "%s", v->name);
	if (v->next == NULL)
		return;
	fprintf(arg, "%s waits for ", v->name);
	resources_waits_print(now.resources, v->kind, v->name, arg);
	fprintf(arg, "; ");
}

static void
expect(const char *line)
{
	char text[1024] = "";
	FILE *f = fmemopen(text, sizeof(text), "w");
	size_t n;

	if (line[0] == '=')
		live_text(f);
	else if (line[0] == '?')
		wanted_text(f);
	else
		resources_each(now.resources, waits, f);
	fclose(f);
	for (n = strlen(text); n > 0 && strchr(" ;", text[n - 1]) != NULL;)
		text[--n] = '\0';
	cr_assert_str_eq(text, line[1] == '\0' ? "" : line + 2);
}

static void
tell(const char *line)
{
	switch (line[0]) {
	case '+':
		cluster_put(line + 2);
		break;
	case '-':
		cluster_remove(line + 2);
		break;
	case 'a':
	case 'x':
		answer(line + 2, line[0] == 'x');
		break;
	case '@':
		clock_ms += atoi(line + 2);
		cr_assert_eq(resources_due(now.resources, clock_ms), 0);
		stage_begin();
		stage_end(line, false);
		break;
	case '!':
		cr_assert_not_null(strstr(refusal, line + 2), "%s: %s", line,
		    refusal);
		break;
	default:
		expect(line);
	}
}

#define STRICT "type: STRICT_DNS"
#define LOGICAL "type: LOGICAL_DNS"

static const char *const stories[] = {
	/* It waits, and an answer is its endpoints; another is others. */
	"+ a " STRICT " | x.mesh\n=\n~ a waits for host name \"x.mesh\"\n"
	"? x.mesh 0 5000 0 0 0\n"
	"a x.mesh 10.0.0.1 10.0.0.2\n= a/10.0.0.1,10.0.0.2\n~\n"
	"a x.mesh 10.0.0.2\n= a/10.0.0.2\na x.mesh 10.0.0.2 ::1\n"
	"= a/10.0.0.2,::1\n- a\n=\n?",
	/* All names; what two have is one endpoint; numbers are at once there. */
	"+ a " STRICT " | x y 10.0.0.9\n~ a waits for host name \"x\", host "
	"name \"y\"\na x 10.0.0.1\n=\na y 10.0.0.1 10.0.0.2\n"
	"= a/10.0.0.1,10.0.0.2,10.0.0.9\n"
	"+ b " STRICT " | 10.0.0.1\n"
	"= a/10.0.0.1,10.0.0.2,10.0.0.9 b/10.0.0.1",
	/* A name that fails has none, the others serve; so does one that nobody
	 * answers in time. */
	"+ a " STRICT " | x y\na x\na y 10.0.0.2\n= a/10.0.0.2\n"
	"a x 10.0.0.1\n= a/10.0.0.1,10.0.0.2",
	"+ a " STRICT " | x y\na y 10.0.0.2\n=\n@ 15000\n= a/10.0.0.2\n~\n"
	"a x 10.0.0.1\n= a/10.0.0.1,10.0.0.2",
	/* The first one of an answer, and one endpoint alone. */
	"+ a " LOGICAL " | x\na x 10.0.0.3 10.0.0.1\n= a/10.0.0.3\n"
	"a x 10.0.0.1 10.0.0.3\n= a/10.0.0.1\n"
	"+ b " LOGICAL " | x y\n! load_assignment: is not one endpoint\n"
	"= a/10.0.0.1\n+ c " LOGICAL " | 10.0.0.9\n= a/10.0.0.1 c/10.0.0.9",
	/* Make before break. */
	"+ a " STRICT " | x\na x 10.0.0.1\n+ a " STRICT " | y\n= a/10.0.0.1\n"
	"? x 0 5000 0 0 0; y 0 5000 0 0 0\na x 10.0.0.2\n= a/10.0.0.2\n"
	"a y 10.0.0.3\n= a/10.0.0.3\n? y 0 5000 0 0 0",
	/* The settings are a cluster's own; who asks in the same way shares. */
	"+ a " STRICT " | x\n+ b " STRICT "; dns_refresh_rate: 1s; "
	"dns_lookup_family: V4_ONLY; respect_dns_ttl: true; "
	"dns_failure_refresh_rate: {base_interval: 2s} | x\n"
	"+ c " STRICT " | x y\n? x 0 5000 0 0 0; x 1 1000 1 2000 20000; "
	"y 0 5000 0 0 0\na x 10.0.0.1\n= a/10.0.0.1 b/10.0.0.1\n- a\n"
	"? x 0 5000 0 0 0; x 1 1000 1 2000 20000; y 0 5000 0 0 0\n- c\n- b\n?",
	/* A change that does not come about is none, for the next as well. */
	"+ a " STRICT " | x y\nx x 10.0.0.1\nx y 10.0.0.1\na x 10.0.0.1\n=\n"
	"x y 10.0.0.2\n=\na y 10.0.0.3\n= a/10.0.0.1,10.0.0.3\n"
	"x x 10.0.0.7\n= a/10.0.0.1,10.0.0.3\na y 10.0.0.4\n"
	"= a/10.0.0.1,10.0.0.4",
	/* Names stand nowhere else, and are names. */
	"+ a type: STATIC | x\n! \"x\" is no IP address (names are for",
	"+ a " STRICT " | x/y\n! \"x/y\" is neither an IP address nor a host "
	"name\n?",
};

Test(resources_name, stories)
{
	for (size_t i = 0; i < sizeof(stories) / sizeof(stories[0]); i++) {
		char *text = strdup(stories[i]), *at = text, *line;

		world_open();
		while ((line = strsep(&at, "\n")) != NULL)
			tell(line);
		free(text);
		world_close();
	}
}

/* An answer is put into the clusters that have the name, and nowhere else. */
Test(resources_name, who_is_not_named_is_not_kept)
{
	struct resource_view v;

	world_open();
	stage_begin();
	cr_assert_eq(resources_put(now.resources, RESOURCE_NAME,
	    "x 0 5000 0 0 0", "", NULL, 0, FROM_DNS, why, sizeof(why)), 0);
	stage_end("x", false);
	cr_assert_not(resources_find(now.resources, RESOURCE_NAME,
	    "x 0 5000 0 0 0", &v));
	tell("+ a " STRICT " | x");
	stage_begin();
	resources_remove(now.resources, RESOURCE_CLUSTER, "a");
	cr_assert_eq(resources_put(now.resources, RESOURCE_NAME,
	    "x 0 5000 0 0 0", "", NULL, 0, FROM_DNS, why, sizeof(why)), 0);
	stage_end("x", false);
	cr_assert_not(resources_find(now.resources, RESOURCE_NAME,
	    "x 0 5000 0 0 0", &v));
	world_close();
}

/* Who has none is in the journal too: a successor does not wait once more for
 * what nobody answers. */
Test(resources_name, none_is_an_answer)
{
	static const char *const rows[] = { "a x", "@ 15000" };
	struct resource_view v;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		world_open();
		tell("+ a " STRICT " | x");
		uint64_t before = now.journal.bytes;

		tell(rows[i]);
		cr_assert(resources_find(now.resources, RESOURCE_NAME,
		    "x 0 5000 0 0 0", &v), "%s", rows[i]);
		cr_assert_not_null(v.live, "%s", rows[i]);
		cr_assert_eq(v.live->len, 0, "%s", rows[i]);
		cr_assert_gt(now.journal.bytes, before, "%s", rows[i]);
		tell("= a/");
		world_close();
	}
}

/* Where nobody resolves (-t, -1) they are done without. */
Test(resources_name, nobody_resolves)
{
	world_open();
	resources_dynamic(now.resources, RESOURCE_NAME, false);
	tell("+ a " STRICT " | x 10.0.0.1");
	tell("= a/10.0.0.1");
	world_close();
}

Test(resources_name, as_text_and_back)
{
	static const struct dns_question rows[] = {
		{ .name = "x", .refresh_ms = 5000 },
		{ .name = "a-b._c.mesh", .family = DNS_ALL,
		    .refresh_ms = UINT32_MAX, .respect_ttl = true,
		    .failure_base_ms = 1, .failure_max_ms = UINT32_MAX },
	};
	static const char *const wrong[] = { "", "x", "x 0 1 0 0",
		"x 9 1 0 0 0", "x a 1 0 0 0" };
	char text[DNS_TEXT_BYTES], host[DNS_HOST_MAX + 1];
	struct dns_question q;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		cr_assert(dns_question_print(&rows[i], text, sizeof(text)));
		cr_assert(dns_question_read(text, &q, host), "%s", text);
		cr_assert_str_eq(q.name, rows[i].name);
		q.name = rows[i].name;
		cr_assert_eq(memcmp(&q, &rows[i], sizeof(q)), 0, "%s", text);
		cr_assert_not(dns_question_print(&rows[i], text, 8));
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		cr_assert_not(dns_question_read(wrong[i], &q, host), "%s",
		    wrong[i]);
}
