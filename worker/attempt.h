/*
 * worker/attempt.h - one try of a request at one endpoint: the upstream half
 * of the relay.
 *
 *   attempt_new ──> waits ──> attempt_send ──> headers, data, end ──> closed
 *      (pool)         │ (pool)                   │ (relay_answer...)  ^ freed
 *                     │                          │                    │
 *                     └ attempt_fail             └ attempt_drop: nobody waits;
 *                                                  reset, then closed
 *
 * How an attempt ended before its answer began goes to retry.h, which tries
 * again or makes it the stream's cause. Test: t/sim/, t/mesh/.
 */
#ifndef WORKER_ATTEMPT_H
#define WORKER_ATTEMPT_H

#include "worker/state.h"

/* The service's side: given to every session of the pool. */
extern const struct h2_events attempt_events;

/* The stream's attempt at h, whose reference it takes over. NULL: no memory,
 * nothing was taken. */
struct attempt	*attempt_new(struct stream *s, struct host *h);
/* One that was not sent; its stream has none then. */
void	attempt_free(struct attempt *a);

/* Sends what there is of the request. Or why it can't, and nothing was done. */
enum cause	attempt_submit(struct attempt *a, struct upstream *u,
		    const struct block_cluster *c);
/* The same for one that waited: it ends when it can't. */
void	attempt_send(struct attempt *a, struct upstream *u);
/* One that was not sent is over for a cause; CAUSE_none: to be made elsewhere. */
void	attempt_fail(struct attempt *a, enum cause cause);

/* The request is complete: what limits one try begins to count. */
void	attempt_request_end(struct attempt *a);
/* Its answer begins. */
void	attempt_answered(struct attempt *a);
/* Parts the attempt from its stream; resets it unless it is over. */
void	attempt_drop(struct attempt *a, enum h2_error code);

/* Why attempts of a connection fail that ended so. */
enum cause	attempt_cause_of(enum conn_end end);

#endif
