/*
 * worker/router.h - the last filter: finds the route, its cluster, an endpoint
 * of it, a connection to that, and starts the attempt.
 *
 *   route_find ──> block_cluster_find ──> balance_pick ──> pool_start
 *    no_route        no_cluster    ^      no_endpoint     overflow, ...
 *                                  └── router_start: a further try (retry.h)
 *    └─> the plan: what changes (change.h), or the answer (direct_response)
 *
 * Source: Envoy's router filter; reference/envoy-xds.md 3.1. Test: t/mesh/.
 */
#ifndef WORKER_ROUTER_H
#define WORKER_ROUTER_H

#include "worker/filter.h"

enum filter_verdict router_headers(struct stream *s,
	    const struct block_hcm *hcm);
enum filter_verdict router_data(struct stream *s, const uint8_t *p, size_t n);
enum filter_verdict router_end(struct stream *s, struct headers *trailers);

/* The plan of the route that it would take, so that an answer of ours before
 * the router is changed like others; none: no route, or no memory. */
void		router_plan(struct stream *s, const struct block_hcm *hcm);

/* A try, by the generation in use; or why there is none. */
enum cause	router_start(struct stream *s);

#endif
