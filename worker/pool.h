/*
 * worker/pool.h - the worker's connections to endpoints: one merged HTTP/2
 * connection for each endpoint in use, whoever the callers are.
 *
 *   pool_get ──> in the pool ──> retired (GOAWAY, out of stream ids, endpoint
 *                    │              │       or settings gone)
 *                    │              │ no attempts left
 *                    └── lost ──────┴──> closed
 *
 * Known by endpoint id, its tag and the TLS settings: a connection made with
 * other settings is never used for a request (reliability.md 3.3).
 * Test: t/sim/, t/mesh/.
 */
#ifndef WORKER_POOL_H
#define WORKER_POOL_H

#include "worker/state.h"

/* A connection that takes attempts; it may still be connecting. NULL: the
 * attempt to connect failed at once. */
struct upstream	*pool_get(struct worker *w, const struct block_cluster *c,
	    const struct block_endpoint *e);
/* No new attempts. */
void	pool_retire(struct upstream *u);
/* An attempt is over: closes what is retired and empty. */
void	pool_idle(struct upstream *u);
/* Retires what the generation in use does not name any more. */
void	pool_sweep(struct worker *w);
void	pool_fini(struct worker *w);

#endif
