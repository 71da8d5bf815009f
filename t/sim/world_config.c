/*
 * t/sim/world_config.c - the configuration of a simulated worker, by the real
 * compiler: the same file with more and more of it gone.
 */
#include "t/sim/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "shm/log.h"
#include "shm/publish.h"

static void
listener_print(FILE *f, const char *name, int port, int stream_window,
    int connection_window)
{
	fprintf(f, "  - name: %s\n"
	    "    address: {socket_address: {address: 127.0.0.1, "
	    "port_value: %d}}\n"
	    "    filter_chains:\n"
	    "    - filters:\n"
	    "      - name: hcm\n"
	    "        typed_config:\n"
	    "          '@type': type.googleapis.com/envoy.extensions.filters."
	    "network.http_connection_manager.v3.HttpConnectionManager\n"
	    "          stat_prefix: %s\n"
	    "          stream_idle_timeout: 0s\n"
	    "          http2_protocol_options: {initial_stream_window_size: "
	    "%d, initial_connection_window_size: %d}\n"
	    "          route_config:\n"
	    "            virtual_hosts:\n"
	    "            - name: all\n"
	    "              domains: ['*']\n"
	    "              routes:\n", name, port, name, stream_window,
	    connection_window);
}

/* In the order of enum route; the rest goes where PLAIN goes. */
static void
routes_print(FILE *f, int generation)
{
	static const struct { const char *prefix, *action; } rows[] = {
		{ "/sim.Flaky/", "cluster: back, timeout: 0s, retry_policy: "
		    "{retry_on: 'reset,refused-stream,unavailable', "
		    "num_retries: 3}" },
		{ "/sim.Deep/", "cluster: deep, timeout: 0s" },
		{ "/sim.Tight/", "cluster: tight, timeout: 0s, retry_policy: "
		    "{retry_on: reset, num_retries: 2}" },
		{ "/sim.Timed/", "cluster: back, timeout: 0.3s" },
		{ "/sim.Idle/", "cluster: back, timeout: 0s, idle_timeout: "
		    "0.4s" },
		{ "/sim.Try/", "cluster: back, timeout: 0s, retry_policy: "
		    "{retry_on: reset, num_retries: 3, per_try_timeout: "
		    "0.2s}" },
		{ "/sim.Limited/", "cluster: back, max_stream_duration: "
		    "{grpc_timeout_header_max: 0s}" },
		{ "/sim.Going/", "cluster: going, timeout: 0s" },
	};
	int n = (int)(sizeof(rows) / sizeof(rows[0])) -
	    (generation >= WORLD_FEWER);

	for (int i = 0; i < n; i++)
		fprintf(f, "              - match: {prefix: '%s'}\n"
		    "                route: {%s}\n", rows[i].prefix,
		    rows[i].action);
	fprintf(f, "              - match: {prefix: '/sim.Plain/'}\n"
	    "                route: {weighted_clusters: {clusters: [{name: "
	    "back, weight: 1}, {name: back, weight: 2}]}, timeout: 0s}\n"
	    "                request_headers_to_remove: [x-none]\n"
	    "                request_headers_to_add: [{header: {key: x-from, "
	    "value: '%%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%% "
	    "%%REQ(:path)%%'}}]\n"
	    "                response_headers_to_add: [{header: {key: x-back, "
	    "value: '%%UPSTREAM_CLUSTER%%'}}]\n"
	    "          http_filters:\n"
	    "          - name: router\n"
	    "            typed_config: {'@type': type.googleapis.com/envoy."
	    "extensions.filters.http.router.v3.Router}\n");
}

static void
cluster_print(FILE *f, const char *name, const char *more, bool at_2,
    bool at_3)
{
	fprintf(f, "  - name: %s\n"
	    "    connect_timeout: 1s\n%s"
	    "    load_assignment: {cluster_name: %s, endpoints: ["
	    "{lb_endpoints: [", name, more, name);
	for (int port = 2; port <= 3; port++)
		if (port == 2 ? at_2 : at_3)
			fprintf(f, "%s{endpoint: {address: {socket_address: "
			    "{address: 127.0.0.1, port_value: %d}}}}",
			    port == 3 && at_2 ? ", " : "", port);
	fprintf(f, "]}]}\n");
}

#define WINDOWS(stream, connection) "    http2_protocol_options: " \
	"{initial_stream_window_size: " #stream ", " \
	"initial_connection_window_size: " #connection "}\n"

static void
clusters_print(FILE *f, int generation)
{
	fprintf(f, "  clusters:\n");
	cluster_print(f, "back", "    circuit_breakers: {thresholds: ["
	    "{max_retries: 100}]}\n" WINDOWS(65535, 65535), true,
	    generation < WORLD_FEWER);
	cluster_print(f, "deep", WINDOWS(262144, 1048576), true, false);
	cluster_print(f, "tight", "    circuit_breakers: {thresholds: ["
	    "{max_requests: 3, max_pending_requests: 2, max_retries: 1, "
	    "max_connections: 1}]}\n" WINDOWS(65535, 65535), true, true);
	if (generation < WORLD_FEWER)
		cluster_print(f, "going", WINDOWS(65535, 65535), false, true);
}

static void
file_print(FILE *f, int generation, bool verbose)
{
	fprintf(f, "godwit: {log_level: %s, buffer_budget_bytes: %d, "
	    "drain_time_ms: 400000}\n"
	    "static_resources:\n  listeners:\n", verbose ? "info" : "error",
	    BUDGET_BYTES);
	listener_print(f, "in", 1, 65535, 65535);
	routes_print(f, generation);
	if (generation < WORLD_FEWEST) {
		listener_print(f, "wide", 4, WIDE_STREAM_BYTES, WIDE_BYTES);
		routes_print(f, generation);
	}
	clusters_print(f, generation);
}

void
generations_make(struct generations_made *m, bool verbose)
{
	static struct options o;
	char name[] = "/tmp/godwit-sim-XXXXXX", why[512];
	int fd = mkstemp(name);

	o.file = name;
	if (fd < 0 || generations_open(&m->g, &o, why, sizeof(why)) != 0)
		abort();
	close(fd);
	for (int i = 0; i < WORLD_GENERATIONS; i++) {
		FILE *f = fopen(name, "w");

		if (f == NULL)
			abort();
		file_print(f, i, verbose);
		fclose(f);
		if (generations_next(&m->g, why, sizeof(why)) != 0) {
			fprintf(stderr, "%s\n", why);
			exit(1);
		}
		m->made[i] = m->g.newest;
	}
	m->number = WORLD_GENERATIONS;
	unlink(name);
	log_level_set(LOG_ERROR);
}
