/*
 * shm/publish.h - the crossing: how a generation of routing configuration
 * goes from the master to the workers.
 *
 *   master  write blocks ... | publish_put: latch {generation, root, ...}
 *   worker  top of each turn | publish_observe: one load; on a new turn copy
 *
 * A worker gets a whole generation or keeps the old one, and never waits.
 * The control page of the arena holds the latch. Test: t/unit/publish.c.
 */
#ifndef SHM_PUBLISH_H
#define SHM_PUBLISH_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/arena.h"

struct generation {
	uint64_t	number;		/* from 1; 0 = nothing published yet */
	uint64_t	published_ns;	/* struct mono of the master */
	uint64_t	live_bytes;	/* of the arena, all generations */
	uint32_t	listeners_n, clusters_n, routes_n, endpoints_n;
	block_ref	root;		/* struct block_root */
	uint32_t	tag_last;	/* the newest of all tags ever given */
};

/* Makes g the generation that workers use from their next turn on. */
void	publish_put(struct arena *a, const struct generation *g);

/* True when a generation other than g->number is there: it is copied to *g.
 * *turn is the caller's, 0 at first; it makes the usual answer one load. */
bool	publish_observe(const struct arena *a, uint64_t *turn,
	    struct generation *g);

#endif
