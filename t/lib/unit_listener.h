/*
 * t/lib/unit_listener.h - an item of static_resources.listeners, as the files
 * that tests write have it: clear text, HTTP/2, the router.
 */
#ifndef T_LIB_UNIT_LISTENER_H
#define T_LIB_UNIT_LISTENER_H

#include <stdio.h>

/* Every host, every path, to this cluster. */
#define UNIT_ROUTES_TO(cluster) "{virtual_hosts: [{name: all, domains: " \
	"[\"*\"], routes: [{match: {prefix: /}, route: {cluster: " cluster \
	"}}]}]}"

/* routes: the RouteConfiguration, on one line. */
static inline void
unit_listener_print(FILE *f, const char *name, int port, const char *routes)
{
	fprintf(f, "  - name: %s\n"
	    "    address: {socket_address: {address: 127.0.0.1, "
	    "port_value: %d}}\n"
	    "    filter_chains:\n"
	    "    - filters:\n"
	    "      - name: http\n"
	    "        typed_config:\n"
	    "          \"@type\": type.googleapis.com/envoy.extensions."
	    "filters.network.http_connection_manager.v3."
	    "HttpConnectionManager\n"
	    "          stat_prefix: %s\n"
	    "          codec_type: HTTP2\n"
	    "          route_config: %s\n"
	    "          http_filters: [{name: router, typed_config: "
	    "{\"@type\": type.googleapis.com/envoy.extensions.filters.http."
	    "router.v3.Router}}]\n", name, port, name, routes);
}

#endif
