/* t/unit/ads_file.c - a file as a response (xds/ads_file.h). */
#include "xds/ads_file.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "xds/proto/envoy/service/discovery.pb-c.h"

#define AT "\"@type\": type.googleapis.com/envoy.config.cluster.v3.Cluster"
#define URL "type.googleapis.com/envoy.config.cluster.v3.Cluster"

static char why[1024];

static Envoy__Service__Discovery__V3__DiscoveryResponse *
read_text(const char *text)
{
	Envoy__Service__Discovery__V3__DiscoveryResponse *m;
	uint8_t *bytes;
	size_t len;

	why[0] = '\0';
	bytes = ads_file_read("f.yaml", text, strlen(text), RESOURCE_CLUSTER,
	    &len, why, sizeof(why));
	if (bytes == NULL)
		return NULL;
	m = envoy__service__discovery__v3__discovery_response__unpack(NULL,
	    len, bytes);
	free(bytes);
	cr_assert_not_null(m);
	return m;
}

Test(ads_file, what_is_read)
{
	static const struct {
		const char	*text, *version;
		size_t		 n;
	} s[] = {
		{ "resources: []", "", 0 },
		{ "version_info: v1", "v1", 0 },
		{ "resources: [{" AT ", name: a}, {" AT ", name: b}]\n"
		    "versionInfo: \"7\"", "7", 2 },
		{ "{\"resources\": [{\"@type\": \"" URL "\", \"name\": "
		    "\"a\"}]}", "", 1 },
		{ "type_url: " URL "\nresources: [{" AT ", name: a}]", "", 1 },
		/* Of another kind: refused by ads.h, by name. */
		{ "resources: [{\"@type\": type.googleapis.com/envoy.config."
		    "route.v3.RouteConfiguration, name: r}]", "", 1 },
	};

	for (size_t i = 0; i < sizeof(s) / sizeof(s[0]); i++) {
		Envoy__Service__Discovery__V3__DiscoveryResponse *m =
		    read_text(s[i].text);

		cr_assert_not_null(m, "%zu: %s", i, why);
		cr_expect_str_eq(m->type_url, URL);
		cr_expect_str_eq(m->version_info, s[i].version);
		cr_expect_eq(m->n_resources, s[i].n);
		envoy__service__discovery__v3__discovery_response__free_unpacked(
		    m, NULL);
	}
}

Test(ads_file, what_is_refused)
{
	static const struct {
		const char	*text, *why;
	} s[] = {
		{ "", "f.yaml: is empty, expected a DiscoveryResponse; "
		    "resources: [] says that there are none" },
		{ "# nothing\n", "f.yaml: is empty" },
		{ "resources: [", "f.yaml:2:1: " },
		{ "- a", "f.yaml:1:1: " },
		{ "resource: []", "f.yaml:1:1: resource: unknown field" },
		{ "resources: [{name: a}]", "f.yaml:1:13: resources[0]: no "
		    "\"@type\"" },
		{ "resources:\n- {" AT ", lb_polcy: 1}", "f.yaml:2:66: "
		    "resources[0].lb_polcy: unknown field" },
		{ "type_url: x.y/Z", "f.yaml:1:11: type_url: is \"x.y/Z\", "
		    "expected envoy.config.cluster.v3.Cluster, or nothing" },
	};

	for (size_t i = 0; i < sizeof(s) / sizeof(s[0]); i++) {
		cr_expect_null(read_text(s[i].text), "%zu", i);
		cr_expect_eq(strncmp(why, s[i].why, strlen(s[i].why)), 0,
		    "%zu: %s", i, why);
	}
}

Test(ads_file, places)
{
	static const char text[] = "resources:\n- {" AT ", name: a}\n- " AT
	    "\n  name: b\n  lb_policy: MAGLEV\n";
	static const struct {
		const char	*name, *why, *placed;
	} s[] = {
		{ "b", "lb_policy: is bad", "f.yaml:5:14: resources[1]."
		    "lb_policy: is bad" },
		{ "b", "lb_policy: is: bad", "f.yaml:5:14: resources[1]."
		    "lb_policy: is: bad" },
		/* Where it would stand. */
		{ "b", "load_assignment.endpoints: is missing", "f.yaml:3:3: "
		    "resources[1].load_assignment.endpoints: is missing" },
		{ "a", "this is bad: so", "f.yaml:2:3: resources[0]: this is "
		    "bad: so" },
		{ "c", "lb_policy: is bad", "lb_policy: is bad" },
	};
	char out[256];

	for (size_t i = 0; i < sizeof(s) / sizeof(s[0]); i++) {
		ads_file_place("f.yaml", text, strlen(text), RESOURCE_CLUSTER,
		    s[i].name, s[i].why, out, sizeof(out));
		cr_expect_str_eq(out, s[i].placed, "%zu: %s", i, out);
	}
}
