/* t/stress/config.c - see config.h. */
#include "t/stress/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/yaml.h"
#include "xds/load.h"
#include "xds/proto/envoy/config/bootstrap.pb-c.h"

enum { ENDPOINTS = 64 };		/* of a cluster, at most */

struct config_clusters {
	struct load_arena *memory;
	ProtobufCMessage *at[CLUSTERS];
};

static const char listener[] =
    "  listeners:\n"
    "  - name: in\n"
    "    address: {socket_address: {address: 127.0.0.1, port_value: 1}}\n"
    "    filter_chains:\n"
    "    - filters:\n"
    "      - name: http\n"
    "        typed_config:\n"
    "          \"@type\": type.googleapis.com/envoy.extensions.filters."
    "network.http_connection_manager.v3.HttpConnectionManager\n"
    "          stat_prefix: in\n"
    "          codec_type: HTTP2\n"
    "          http_filters: [{name: router, typed_config: {\"@type\": "
    "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]\n"
    "          route_config:\n"
    "            virtual_hosts:\n"
    "            - name: all\n"
    "              domains: ['*']\n"
    "              routes:\n";

static void
cluster_print(FILE *f, const char *name, uint32_t endpoints_n, uint32_t seed)
{
	fprintf(f, "  - {name: %s, type: STATIC, connect_timeout: 1s, "
	    "http2_protocol_options: {}, load_assignment: {cluster_name: %s, "
	    "endpoints: [{lb_endpoints: [", name, name);
	for (uint32_t i = 0; i < endpoints_n; i++)
		fprintf(f, "%s{load_balancing_weight: %u, endpoint: {address: "
		    "{socket_address: {address: 10.0.0.%u, port_value: %u}}}}",
		    i == 0 ? "" : ", ", 1 + (seed + i) % 100, 1 + i,
		    1 + seed % 3);
	fprintf(f, "]}]}}\n");
}

/* c0, c1, ... are always there; x0 and x1 come and go. */
static void
file_print(FILE *f, uint32_t serial)
{
	char name[16];

	fprintf(f, "godwit: {log_level: error, drain_time_ms: %u}\n"
	    "static_resources:\n  clusters:\n", serial);
	for (uint32_t i = 0; i < CLUSTERS; i++) {
		snprintf(name, sizeof(name), "c%u", i);
		cluster_print(f, name, 1 + (serial * 7 + i) % ENDPOINTS,
		    serial + i);
	}
	for (uint32_t i = 0; i < serial % 3; i++) {
		snprintf(name, sizeof(name), "x%u", i);
		cluster_print(f, name, 5, serial);
	}
	fputs(listener, f);
	for (uint32_t i = 0; i < CLUSTERS; i++)
		fprintf(f, "              - {match: {path: /s%u/m%u}, "
		    "route: {cluster: c%u, timeout: %us}}\n", i, serial % 5, i,
		    1 + i % 4);
}

/* Beside it and then over it, as who edits well does. */
bool
config_write(const char *file, uint64_t serial)
{
	char beside[128];
	FILE *f;

	snprintf(beside, sizeof(beside), "%s.new", file);
	f = fopen(beside, "w");
	if (f == NULL)
		return false;
	file_print(f, (uint32_t)serial);
	return fclose(f) == 0 && rename(beside, file) == 0;
}

static ProtobufCMessage *
cluster_load(struct load_arena *memory, uint32_t i)
{
	char *text, name[16], why[256];
	ProtobufCMessage *m;
	struct yaml *y;
	size_t len;
	FILE *f;

	snprintf(name, sizeof(name), "c%u", i);
	f = open_memstream(&text, &len);
	fputs("---\n", f);
	cluster_print(f, name, ENDPOINTS, i);
	fclose(f);
	*strchr(text + 4, '-') = ' ';	/* no list */
	y = yaml_read(text, len, name, why, sizeof(why));
	m = y == NULL ? NULL : load_message(memory, load_type_find(
	    "envoy.config.cluster.v3.Cluster"), y, yaml_root(y), "", why,
	    sizeof(why));
	if (m == NULL) {
		fprintf(stderr, "%s\n", why);
		abort();
	}
	yaml_close(y);
	free(text);
	return m;
}

struct config_clusters *
config_clusters_new(void)
{
	struct config_clusters *all = calloc(1, sizeof(*all));

	all->memory = load_arena_new(16 << 20);
	for (uint32_t i = 0; i < CLUSTERS; i++)
		all->at[i] = cluster_load(all->memory, i);
	return all;
}

void
config_clusters_free(struct config_clusters *all)
{
	load_arena_free(all->memory);
	free(all);
}

/* Some addresses are new, some are as they were. */
const ProtobufCMessage *
config_cluster(struct config_clusters *all, uint32_t i, struct chance *c)
{
	Envoy__Config__Cluster__V3__Cluster *m = (void *)all->at[i];
	Envoy__Config__Endpoint__V3__LocalityLbEndpoints *to =
	    m->load_assignment->endpoints[0];

	to->n_lb_endpoints = 1 + chance_below(c, ENDPOINTS);
	for (size_t j = 0; j < to->n_lb_endpoints; j++) {
		to->lb_endpoints[j]->load_balancing_weight->value =
		    1 + chance_below(c, 1000);
		to->lb_endpoints[j]->endpoint->address->socket_address->
		    port_value = 1 + chance_below(c, 3);
	}
	return all->at[i];
}
