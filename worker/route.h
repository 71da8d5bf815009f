/*
 * worker/route.h - which route a request takes: pure, over the arena, no
 * allocation, no copy.
 *
 *   authority ──> domain (exact, longest suffix, longest prefix, any)
 *             ──> virtual host ──> the first route whose path and headers match
 *
 * The files: route_host.c the first arrow, route_index.c which routes to look
 * at when there are many, route.c the rest.
 *
 * Source: envoy/config/route/v3/route_components.proto (VirtualHost.domains,
 * RouteMatch, HeaderMatcher); reference/envoy-xds.md 1.4.
 * Test: t/unit/route.c.
 */
#ifndef WORKER_ROUTE_H
#define WORKER_ROUTE_H

#include "shm/block.h"
#include "worker/io/header.h"

struct text;				/* worker/route_text.h */

/* Which share takes it, by a random number. */
const struct block_share *route_share(const struct block_split *b,
	    uint64_t random);

/* NULL: no virtual host, or none of its routes. Good for this turn. */
const struct block_route *route_find(const struct arena *a,
	    const struct block_route_config *config, const struct headers *h);

/* One condition of a route, also of an RBAC rule. */
bool	route_header_matches(const struct arena *a,
	    const struct block_header_match *m, const struct headers *h);
/* The same on a value at hand. */
bool	route_value_matches(const struct arena *a,
	    const struct block_header_match *m, struct text v);
/* False: the header is there more than once, and longer than what of all its
 * values is looked at. */
bool	route_header_fits(const struct arena *a,
	    const struct block_header_match *m, const struct headers *h);

/* content-type is application/grpc or application/grpc+... */
int	route_is_grpc(const struct headers *h);

#endif
