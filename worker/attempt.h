/*
 * worker/attempt.h - one try of a request at one endpoint: the upstream half
 * of the relay.
 *
 *   attempt_begin ──> headers, data, end ──> closed: freed
 *                       │ (relay_answer...)     ^
 *                       └ attempt_drop: nobody waits; reset, then closed
 *
 * An attempt that closes while its stream still waits becomes the stream's
 * cause (attempt.c, cause_of). Test: t/sim/, t/mesh/.
 */
#ifndef WORKER_ATTEMPT_H
#define WORKER_ATTEMPT_H

#include "worker/state.h"

/* The service's side: given to every session of the pool. */
extern const struct h2_events attempt_events;

/* False: no memory. */
bool	attempt_begin(struct stream *s, struct upstream *u);
/* Parts the attempt from its stream; resets it unless it is over. */
void	attempt_drop(struct attempt *a, enum h2_error code);

#endif
