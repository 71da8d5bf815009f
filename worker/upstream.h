/*
 * worker/upstream.h - a connection to an endpoint, one of a host's.
 *
 *   upstream_new ──> connecting ──> open ──> retired (GOAWAY, out of stream
 *                        │            │         │     ids, endpoint or
 *                        │            │         │     settings gone)
 *                        │            │         │ no attempts left
 *                        └── failed ──┴── lost ─┴──> closed, freed
 *
 * Test: t/sim/, t/mesh/.
 */
#ifndef WORKER_UPSTREAM_H
#define WORKER_UPSTREAM_H

#include "worker/state.h"

/* Begins to connect. NULL: that failed at once. */
struct upstream	*upstream_new(struct host *h, const struct block_cluster *c,
		    const struct block_endpoint *e);
/* No new attempts. */
void	upstream_retire(struct upstream *u);
/* An attempt is over: closes what is retired and empty. */
void	upstream_idle(struct upstream *u);

#endif
