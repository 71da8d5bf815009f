/*
 * worker/balance.h - which endpoint of a cluster takes the next attempt:
 * pure, over the balance block, with what it needs of the world passed in.
 *
 * Weighted round robin walks the total weight by the golden ratio: turn n
 * stands at frac(n * 0.618...) of it, which spreads every weight evenly over
 * any run of turns and needs no state but n. Test: t/unit/balance.c.
 */
#ifndef WORKER_BALANCE_H
#define WORKER_BALANCE_H

#include "shm/block.h"

struct balance_view {
	uint32_t	*turn;		/* of this cluster in this worker */
	uint64_t	 random;
	/* Requests open to an endpoint, in all workers. */
	uint32_t	(*active)(void *arg, const struct block_endpoint *e);
	void		*arg;
};

/* NULL: no usable endpoint. */
const struct block_endpoint *balance_pick(const struct block_balance *b,
	    enum lb_policy policy, const struct balance_view *v);

#endif
