/*
 * worker/route_host.h - which virtual host an authority belongs to.
 *
 *   exact, by a binary search ─> *suffix ─> prefix* ─> *    the rest in order
 *
 * The compiler sorts the domains (master/compile_route.c), so that the first
 * that matches is the one: longer before shorter in each kind.
 *
 * Source: envoy/config/route/v3/route_components.proto (VirtualHost.domains).
 * Test: t/unit/route.c, t/unit/route_index.c.
 */
#ifndef WORKER_ROUTE_HOST_H
#define WORKER_ROUTE_HOST_H

#include "shm/block.h"
#include "worker/route_text.h"

/* NULL: no domain matches. */
const struct block_host *route_host_find(const struct arena *a,
	    const struct block_route_config *config, struct text authority);

#endif
