/*
 * worker/balance.h - which endpoint of a cluster takes the next attempt:
 * pure, over the balance block, with what it needs of the world passed in.
 *
 * Weighted round robin walks the total weight by the golden ratio: turn n
 * stands at frac(n * 0.618...) of it, which spreads every weight evenly over
 * any run of turns and needs no state but n.
 *
 * Who has tried some gets another, as long as there is one: when the policy
 * picks one of them, the next in the table that is none. Envoy picks anew so
 * many times, and then goes where it was: least request, to whom a dead
 * endpoint looks idle, finds the other of two in one of four picks.
 *
 * Test: t/unit/balance.c.
 */
#ifndef WORKER_BALANCE_H
#define WORKER_BALANCE_H

#include "shm/block.h"

struct balance_tried {			/* an endpoint */
	uint32_t	 id, tag;
};

struct balance_view {
	uint32_t	*turn;		/* of this cluster in this worker */
	uint64_t	 random;
	/* Requests open to an endpoint, in all workers. */
	uint32_t	(*active)(void *arg, const struct block_endpoint *e);
	void		*arg;
	const struct balance_tried *tried;
	uint32_t	 tried_n;
};

/* NULL: no usable endpoint. */
const struct block_endpoint *balance_pick(const struct block_balance *b,
	    enum lb_policy policy, const struct balance_view *v);

#endif
