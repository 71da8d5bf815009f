/*
 * t/unit/status.c - /status, /config and /config_dump (master/status.h,
 * master/config_dump.h) of a set of resources with one of each fate, and no
 * control plane; with one: t/mesh/840-operator.py.
 */
#include "master/status.h"

#include <criterion/criterion.h>
#include <string.h>

#include "master/config_dump.h"
#include "t/lib/unit_generations.h"
#include "xds/resource.h"

Test(status, span)
{
	static const struct {
		int64_t		 ms;
		const char	*want;
	} s[] = {
		{ -5, "0.0 s" }, { 0, "0.0 s" }, { 949, "0.9 s" },
		{ 9900, "9.9 s" }, { 10000, "10 s" }, { 119999, "119 s" },
		{ 120000, "2 min" }, { 3599999, "59 min" },
		{ 3600000, "1 h 0 min" }, { 12000000, "3 h 20 min" },
		{ 86400000, "1 d 0 h" }, { 187200000, "2 d 4 h" },
	};
	char text[32];

	for (size_t i = 0; i < sizeof(s) / sizeof(s[0]); i++)
		cr_expect_str_eq(status_span(s[i].ms, text), s[i].want);
}

/* ---- a set: what the file of unit_generations.h has, and of a control plane
 * one cluster that is live, one that waits, one that is refused */

static void
put(const char *name, const char *more, size_t more_n)
{
	uint8_t bytes[64];
	size_t n = strlen(name);

	bytes[0] = 0x0a;
	bytes[1] = (uint8_t)n;
	memcpy(bytes + 2, name, n);
	memcpy(bytes + 2 + n, more, more_n);
	cr_assert_eq(resources_put(g.resources, RESOURCE_CLUSTER, name, "7",
	    bytes, 2 + n + more_n, FROM_PLANE, why, sizeof(why)),
	    strcmp(name, "zbad") == 0 ? -1 : 0, "%s: %s", name, why);
}

static void
begin_set(void)
{
	/* http2_protocol_options: {}, and ... */
#define HTTP2	"\x72\x00"
	/* ... type: EDS; eds_cluster_config: {eds_config: {ads: {}}} */
	static const char eds[] = "\x10\x03\x1a\x04\x0a\x02\x1a\x00" HTTP2;
	/* ... load_assignment: {cluster_name: zlive} */
	static const char own[] = HTTP2 "\x8a\x02\x07\x0a\x05zlive";
	/* ... lb_policy: RING_HASH */
	static const char bad[] = "\x30\x02" HTTP2;
	begin();
	for (int kind = 0; kind < RESOURCE_KINDS; kind++)
		resources_dynamic(g.resources, (enum resource_kind)kind, true);
	cr_assert_eq(generations_change_begin(&g, 1, why, sizeof(why)), 0);
	put("zlive", own, sizeof(own) - 1);
	put("zwaits", eds, sizeof(eds) - 1);
	put("zbad", bad, sizeof(bad) - 1);
	cr_assert_eq(generations_change_end(&g, why, sizeof(why)), 0, "%s",
	    why);
	generations_publish(&g);
}

static char *text;
static size_t text_n;

static void
expect(const char *part)
{
	cr_expect_not_null(strstr(text, part), "%s\nis not in\n%.3000s", part,
	    text);
}

static int
config(const char *query)
{
	FILE *f = open_memstream(&text, &text_n);
	int status = status_config(g.resources, NULL, query, f);

	fclose(f);
	return status;
}

Test(status, what_is_wrong)
{
	struct status s = { .file = "the.yaml", .generation =
	    "generation 2: two" };
	FILE *f = open_memstream(&text, &text_n);

	begin_set();
	s.resources = g.resources;
	s.now_ms = 5001;
	cr_expect_eq(status_print(&s, f), 200);
	fclose(f);
	cr_expect_eq(strncmp(text, "2 things are wrong:\n  cluster \"zbad\": "
	    "version 7 refused 5.0 s ago, there is no other: lb_policy: "
	    "RING_HASH is not built yet", 107), 0, "%s", text);
	expect("\n  cluster \"zwaits\": version 7 waits for endpoints "
	    "\"zwaits\", for 5.0 s\n");
	expect("\ncontrol plane  none is followed\nfile           the.yaml\n"
	    "generation     2: two\n");
	free(text);
	end();
}

Test(status, config)
{
	static const struct {
		const char	*query;
		int		 status;
		const char	*part;
	} s[] = {
		{ "", 200, "\ncluster    zlive " },
		{ "kind=CDS", 200, "  control plane  7 " },
		{ "kind=clusters", 200, "  file           - " },
		{ "kind=e", 200, "endpoints  zwaits  -              -" },
		{ "kind=cluster&name=zwaits", 200, "waits for endpoints "
		    "\"zwaits\"\n\n{\n \"@type\"" },
		{ "kind=cluster&name=zbad", 200, "\n \"lb_policy\": "
		    "\"RING_HASH\",\n" },
		{ "kind=cluster&name=none", 404, "there is no cluster \"none\"" },
		{ "kind=route&name=zlive", 404, "there is no routes" },
		{ "kind=x", 400, "expected cluster, endpoints" },
		{ "kind=", 400, "\"\" is no kind" },
		{ "name=zlive", 400, "expected kind=KIND" },
	};

	begin_set();
	for (size_t i = 0; i < sizeof(s) / sizeof(s[0]); i++) {
		cr_expect_eq(config(s[i].query), s[i].status, "%s",
		    s[i].query);
		expect(s[i].part);
		free(text);
	}
	end();
}

Test(status, config_dump)
{
	static const struct {
		const char	*query, *part;
	} s[] = {
		{ "resource=dynamic_active_clusters", "{\n \"configs\": [\n  {\n"
		    "   \"@type\": \"type.googleapis.com/envoy.admin.v3."
		    "ClustersConfigDump.DynamicCluster\",\n   \"version_info\": "
		    "\"7\",\n   \"cluster\": {\n    \"@type\": "
		    "\"type.googleapis.com/envoy.config.cluster.v3.Cluster\",\n"
		    "    \"name\": \"zlive\",\n    \"http2_protocol_options\": "
		    "{},\n    \"load_assignment\": {\n     \"cluster_name\": "
		    "\"zlive\"\n    }\n   },\n   \"last_updated\": \"" },
		{ "resource=dynamic_warming_clusters", "\"name\": \"zwaits\"" },
		{ "resource=dynamic_warming_clusters&name_regex=zb.*",
		    "\"lb_policy\": \"RING_HASH\",\n" },
		{ "name_regex=zwaits&include_eds", "\"cluster_name\": "
		    "\"zwaits\"\n     },\n     \"client_status\": "
		    "\"REQUESTED\"" },
		{ "resource=static_clusters&name_regex=z.*", "{}\n" },
		/* All are called c and a number. */
		{ "resource=static_clusters&name_regex=c", "{}\n" },
		{ "resource=static_clusters&name_regex=c.", "\"c9\"" },
	};
	struct config_dump d = { 0 };
	struct config_dump_run *run;
	FILE *f;

	begin_set();
	d.resources = g.resources;
	d.dynamic = &g.dynamic;
	for (size_t i = 0; i < sizeof(s) / sizeof(s[0]); i++) {
		f = open_memstream(&text, &text_n);
		cr_expect_eq(config_dump_begin(&d, s[i].query, f, &run), 200);
		while (config_dump_more(run, f))
			;
		config_dump_end(run);
		fclose(f);
		expect(s[i].part);
		free(text);
	}
	end();
}

/* ---- a dump in pieces */

static struct config_dump_run *
run_begin(const char *query)
{
	const struct config_dump d = { .resources = g.resources,
	    .dynamic = &g.dynamic };
	struct config_dump_run *run = NULL;

	cr_assert_eq(config_dump_begin(&d, query, stderr, &run), 200);
	return run;
}

/* The caller's; *more: that was not the last. */
static char *
piece(struct config_dump_run *run, bool *more)
{
	char *to = NULL;
	size_t n;
	FILE *f = open_memstream(&to, &n);

	*more = config_dump_more(run, f);
	fclose(f);
	cr_expect_lt(n, 80 << 10);
	return to;
}

/* All of it, or what is left; the times, which are reckoned anew each time, are
 * not. The caller's. */
static char *
rest(struct config_dump_run *run, char *begun, int *pieces)
{
	char *to = begun, *next, *all, *from;
	bool more = true;

	while (more) {
		next = piece(run, &more);
		cr_assert_gt(asprintf(&all, "%s%s", to, next), 0);
		free(to);
		free(next);
		to = all;
		++*pieces;
	}
	config_dump_end(run);
	for (all = from = to; *from != '\0';) {
		next = strchrnul(from, '\n');
		next += *next != '\0';
		if (memmem(from, (size_t)(next - from), "last_updat", 10) ==
		    NULL) {
			memmove(all, from, (size_t)(next - from));
			all += next - from;
		}
		from = next;
	}
	*all = '\0';
	return to;
}

/* It is what was there when it began, whatever becomes of that meanwhile. */
Test(status, config_dump_is_of_one_moment)
{
	static const char *const queries[] = { "", "include_eds",
	    "resource=static_clusters", "resource=static_endpoint_configs",
	    "name_regex=z.*" };
	char *before, *across, *after;

	for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
		struct config_dump_run *run;
		int pieces = 0;
		bool more;

		begin_set();
		before = rest(run_begin(queries[i]), strdup(""), &pieces);
		cr_expect_gt(pieces, 1, "%s", queries[i]);
		run = run_begin(queries[i]);
		across = piece(run, &more);
		cr_assert(more, "%s", queries[i]);
		cr_assert_eq(generations_change_begin(&g, 2, why,
		    sizeof(why)), 0);
		resources_remove(g.resources, RESOURCE_CLUSTER, "zlive");
		resources_remove(g.resources, RESOURCE_CLUSTER, "zwaits");
		cr_assert_eq(generations_change_end(&g, why, sizeof(why)), 0);
		generations_publish(&g);
		unit_file_write("workers: 2", 10000, 1, THREE);
		cr_assert_eq(generations_next(&g, why, sizeof(why)), 0, "%s",
		    why);
		across = rest(run, across, &pieces);
		cr_expect_str_eq(across, before, "%s", queries[i]);
		after = rest(run_begin(queries[i]), strdup(""), &pieces);
		cr_expect_str_neq(after, before, "%s", queries[i]);
		free(before);
		free(across);
		free(after);
		end();
	}
}

/* Who leaves in the middle leaves nothing. */
Test(status, config_dump_is_left)
{
	struct config_dump_run *run;
	bool more;

	begin_set();
	run = run_begin("");
	free(piece(run, &more));
	cr_assert(more);
	config_dump_end(run);
	end();
}
