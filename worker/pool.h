/*
 * worker/pool.h - where a worker's attempts find a connection: for each
 * endpoint in use a host, with its connections and who waits for one.
 *
 *   pool_start ──> a connection has room? ──> sent
 *                     │ no                     ^
 *                     └──> waits ──────────────┘ pool_pump: one is open, its
 *                            │                   SETTINGS came, a stream ended
 *                            │ could not connect, or endpoint gone
 *                            └──> attempt_fail
 *
 * Invariants
 *   P1  While an attempt waits, its host has a connection that is not retired.
 *   P2  The connections that are being made are not more than those who wait
 *       need, by the limit that this endpoint's connections had so far, and
 *       the cluster's max_connections; a host may always have one.
 *   P3  A host is known by endpoint id, tag and TLS settings: a connection
 *       made with other settings is never used (reliability.md 3.3).
 *   P4  After two failures to connect, and until again, nobody tries: an
 *       attempt fails at once for the same cause. 25 ms at first, doubled up
 *       to a second, less a random half.
 *
 * One connection for all callers, while it has room: what is sent together
 * costs one system call. Test: t/sim/, t/mesh/.
 */
#ifndef WORKER_POOL_H
#define WORKER_POOL_H

#include "worker/state.h"

/* The stream's attempt is sent or waits; or why there is none. */
enum cause	pool_start(struct stream *s, const struct block_cluster *c,
		    const struct block_endpoint *e);
/* Who waits is sent, as far as there is room, and connections are made for
 * the rest. */
void	pool_pump(struct host *h);
/* Who waits can't be sent; CAUSE_none: not here. */
void	pool_fail(struct host *h, enum cause cause);
/* An attempt that waits is over. */
void	pool_leave(struct attempt *a);
/* One user less: freed with the last. */
void	host_put(struct host *h);

/* Retires what the generation in use does not name any more. */
void	pool_sweep(struct worker *w);
void	pool_fini(struct worker *w);

#endif
