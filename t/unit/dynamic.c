/*
 * t/unit/dynamic.c - what a file says about control planes: dynamic_resources,
 * and the setting ems that stands for them.
 */
#include "master/dynamic.h"

#include <criterion/criterion.h>
#include <string.h>

#include "master/compile_parts.h"

#define CLUSTER(name) "{name: " name ", http2_protocol_options: {}, " \
	"load_assignment: {cluster_name: " name "}}"
#define ADS(more) "dynamic_resources: {ads_config: {grpc_services: " \
	"[{envoy_grpc: {cluster_name: p}}]" more "}, lds_config: {ads: {}}, " \
	"cds_config: {ads: {}}}\n"
#define NODE "node: {id: n}\n"
#define STATIC "static_resources: {clusters: [" CLUSTER("p") "]}\n"
#define API "{api_config_source: {grpc_services: [{envoy_grpc: " \
	"{cluster_name: p}}]}}"
#define LDS(source) NODE STATIC "dynamic_resources: {lds_config: {" source \
	"}}\n"
#define HEAD "dynamic_resources.ads_config."

static char why[1024];
static size_t clusters_n;

/* 0, or -1 and why. */
static int
read_file(const char *text, const char *const *settings, struct dynamic *d)
{
	struct load_arena *m = load_arena_new(16 << 20);
	struct yaml *y = yaml_read(text, strlen(text), "f", why, sizeof(why));
	const ProtobufCMessage *b;
	struct conf conf;
	int rc;

	cr_assert_not_null(y, "%s", why);
	conf_init(&conf);
	for (; settings != NULL && *settings != NULL; settings++)
		cr_assert_eq(conf_set(&conf, *settings, why, sizeof(why)), 0,
		    "%s", why);
	b = load_message(m,
	    &envoy__config__bootstrap__v3__bootstrap__descriptor, y,
	    yaml_root(y), "", why, sizeof(why));
	cr_assert_not_null(b, "%s", why);
	memset(d, 0, sizeof(*d));
	rc = compile_ems(m, b, &conf, why, sizeof(why)) == -1 ? -1 :
	    compile_dynamic(y, b, d, why, sizeof(why));
	clusters_n = compile_file_n(b, RESOURCE_CLUSTER);
	yaml_close(y);
	load_arena_free(m);
	return rc;
}

Test(dynamic, refusals)
{
	static const struct {
		const char	*text, *why;
	} cases[] = {
		{ STATIC ADS(""), "f:1:1: node.id: is missing, expected our "
		    "name: a control plane is asked" },
		{ NODE ADS(""), "f:2:80: " HEAD "grpc_services[0].envoy_grpc."
		    "cluster_name: there is no cluster \"p\" in "
		    "static_resources, expected the control plane's" },
		{ NODE STATIC ADS(", api_type: REST"), "f:3:103: " HEAD
		    "api_type: REST is not built yet, expected "
		    "GRPC|DELTA_GRPC or nothing" },
		{ NODE STATIC ADS(", transport_api_version: V2"), "f:3:116: "
		    HEAD "transport_api_version: V2 is not built yet, expected "
		    "AUTO|V3 or nothing" },
		{ NODE "dynamic_resources: {ads_config: {}}",
		    "f:2:34: " HEAD "grpc_services: has 0 items, expected "
		    "1..8" },
		{ NODE "dynamic_resources: {lds_config: {ads: {}}}",
		    "f:2:34: dynamic_resources.lds_config: is by ads, and "
		    "there is no ads_config" },
		{ NODE "dynamic_resources: {lds_config: {}}", "f:2:1: "
		    "dynamic_resources.lds_config: is missing, expected ads, "
		    "api_config_source or path_config_source" },
		{ LDS("path_config_source: {path: x}"), "f:3:1: dynamic_"
		    "resources.lds_config.path_config_source.path: is no "
		    "whole path, expected that of a file, from / on" },
		{ LDS("path_config_source: {path: /x, watched_directory: "
		    "{}}"), "f:3:1: dynamic_resources.lds_config."
		    "path_config_source.watched_directory.path: is missing, "
		    "expected the whole path of a folder" },
		{ LDS("api_config_source: {grpc_services: [{envoy_grpc: "
		    "{cluster_name: q}}]}"), "f:3:1: dynamic_resources."
		    "lds_config.api_config_source.grpc_services[0].envoy_grpc."
		    "cluster_name: there is no cluster \"q\" in "
		    "static_resources, expected the control plane's" },
		{ STATIC "dynamic_resources: {cds_config: " API "}", "f:1:1: "
		    "node.id: is missing, expected our name: a control plane "
		    "is asked" },
		{ LDS("path_config_source: {path: /x}, resource_api_version: "
		    "V2"), "f:3:1: dynamic_resources.lds_config."
		    "resource_api_version: V2 is not built yet, expected "
		    "AUTO|V3 or nothing" },
	};
	struct dynamic d;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		why[0] = '\0';
		cr_expect_eq(read_file(cases[i].text, NULL, &d), -1, "%zu", i);
		/* The column is the loader's business. */
		cr_expect_str_eq(strstr(why, ": ") + 2, strstr(cases[i].why,
		    ": ") + 2, "%zu: %s", i, why);
		dynamic_fini(&d);
	}
}

Test(dynamic, what_is_said)
{
	struct dynamic d, same, copy;

	cr_assert_eq(read_file(NODE STATIC ADS(", api_type: DELTA_GRPC, "
	    "set_node_on_first_message_only: true"), NULL, &d), 0, "%s", why);
	cr_assert_not_null(d.ads);
	cr_expect(d.ads->delta && d.ads->node_once && d.listeners.on &&
	    d.clusters.on && d.listeners.origin == NULL &&
	    d.clusters.origin == NULL);
	cr_expect_eq(d.ads->servers_n, 1);
	cr_expect_str_eq(d.ads->servers[0].cluster, "p");
	cr_expect_str_eq(d.ads->servers[0].authority, "p");
	cr_expect_eq(d.ads->servers[0].back_off_base_ms, 500);
	cr_expect_eq(d.ads->servers[0].back_off_max_ms, 30000);
	cr_expect_eq(d.missing_ms, 15000);
	cr_expect_not_null(memmem(d.node, d.node_len, "godwit", 6));
	cr_expect_not_null(memmem(d.node, d.node_len,
	    "xds.config.resource-in-sotw", 27));
	cr_assert(dynamic_copy(&copy, &d));
	cr_expect(dynamic_same(&copy, &d));
	cr_assert_eq(read_file(NODE STATIC ADS(""), NULL, &same), 0);
	cr_expect(!dynamic_same(&same, &d));
	dynamic_fini(&same);
	dynamic_fini(&copy);
	dynamic_fini(&d);
	cr_assert_eq(read_file(NODE STATIC "dynamic_resources: {ads_config: "
	    "{grpc_services: [{envoy_grpc: {cluster_name: p}}]}, lds_config: "
	    "{ads: {}, initial_fetch_timeout: 9s}, cds_config: {ads: {}, "
	    "initial_fetch_timeout: 2s}}", NULL, &d), 0, "%s", why);
	cr_expect_eq(d.missing_ms, 2000, "clusters are waited for");
	dynamic_fini(&d);
	cr_assert_eq(read_file("{}", NULL, &d), 0);
	cr_expect(!d.ads);
	dynamic_fini(&d);
}

/* LDS and CDS each by a source of its own. */
Test(dynamic, other_sources)
{
	struct dynamic d, other;

	cr_assert_eq(read_file(NODE STATIC "dynamic_resources: {cds_config: "
	    API ", lds_config: {path_config_source: {path: /l.yaml, "
	    "watched_directory: {path: /d}}}}", NULL, &d), 0, "%s", why);
	cr_expect_null(d.ads);
	cr_assert(d.clusters.on && d.listeners.on);
	cr_expect_str_eq(d.listeners.origin->path, "/l.yaml");
	cr_expect_null(d.clusters.origin->path);
	cr_expect_str_eq(d.clusters.origin->servers[0].cluster, "p");
	cr_expect_eq(dynamic_origin(&d, RESOURCE_CLUSTER), d.clusters.origin);
	cr_expect_eq(dynamic_origin(&d, RESOURCE_LISTENER),
	    d.listeners.origin);
	cr_expect_null(dynamic_origin(&d, RESOURCE_ROUTE));
	cr_assert_eq(read_file(NODE STATIC "dynamic_resources: {cds_config: "
	    API ", lds_config: {path_config_source: {path: /m.yaml}}}", NULL,
	    &other), 0, "%s", why);
	cr_expect(!dynamic_same(&d, &other));
	cr_expect(origin_same(d.clusters.origin, other.clusters.origin));
	dynamic_fini(&other);
	cr_assert_eq(read_file(NODE STATIC "dynamic_resources: {cds_config: "
	    API ", lds_config: {path_config_source: {path: /l.yaml}}}", NULL,
	    &other), 0, "%s", why);
	cr_expect(dynamic_same(&d, &other), "the folder is looked at anyway");
	dynamic_fini(&other);
	dynamic_fini(&d);
	cr_assert_eq(read_file("dynamic_resources: {lds_config: "
	    "{path_config_source: {path: /l.yaml}}}", NULL, &d), 0,
	    "no control plane, no name needed: %s", why);
	dynamic_fini(&d);
}

Test(dynamic, ems)
{
	static const struct {
		const char	*settings[5], *why;	/* NULL: good */
	} cases[] = {
		{ { "ems=127.0.0.1:18000" }, NULL },
		{ { "ems=[::1]:18000" }, NULL },
		{ { "ems=ems.mesh:18000" }, NULL },
		{ { "ems=ems.mesh:18000", "ems_ca=/ca" }, NULL },
		{ { "ems=10.0.0.1:1", "ems_ca=/a\"b", "ems_certificate=/c",
		    "ems_key=/k" }, NULL },
		{ { "ems=ems.mesh" }, "is no HOST:PORT" },
		{ { "ems=:1" }, "is no HOST:PORT" },
		{ { "ems=a:0" }, "is no HOST:PORT" },
		{ { "ems=a:65536" }, "is no HOST:PORT" },
		{ { "ems=a b:1" }, "is no HOST:PORT" },
		{ { "ems=::1:1" }, "is no HOST:PORT" },
		{ { "ems=a:1", "ems_certificate=/c", "ems_ca=/a" },
		    "ems_key is missing" },
		{ { "ems=a:1", "ems_key=/c", "ems_ca=/a" },
		    "ems_certificate is missing" },
		{ { "ems=a:1", "ems_certificate=/c", "ems_key=/k" },
		    "ems_ca is missing" },
	};
	struct dynamic d;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int rc = read_file(NODE STATIC, cases[i].settings, &d);

		cr_expect_eq(rc, cases[i].why == NULL ? 0 : -1, "%zu: %s", i,
		    why);
		if (cases[i].why != NULL)
			cr_expect_not_null(strstr(why, cases[i].why), "%zu: %s",
			    i, why);
		else
			cr_expect(d.ads->delta && clusters_n == 2 &&
			    strcmp(d.ads->servers[0].cluster,
			    "godwit-ems") == 0, "%zu", i);
		dynamic_fini(&d);
	}
	cr_expect_eq(read_file(NODE STATIC ADS(""), (const char *const[]){
	    "ems=a:1", NULL }, &d), -1);
	cr_expect_not_null(strstr(why, "expected one of the two"), "%s", why);
	dynamic_fini(&d);
}
