/*
 * worker/retry.h - a stream's tries: the request is kept from its beginning
 * for as long as it may have to be sent again, and sent again when the
 * policy, or HTTP/2 itself, says so.
 *
 *   request ──retry_data──> kept ──> attempt 1 ──x
 *                             └────> attempt 2 ──> answer ──> retry_commit
 *
 *   how a try ended             is tried again when retry_on has
 *   -------------------------   ------------------------------------------
 *   could not connect           connect-failure, reset, 5xx, gateway-error,
 *                               reset-before-request
 *   refused, unprocessed        refused-stream, reset, 5xx, gateway-error;
 *                               once, at once and uncounted, by any policy:
 *                               the service did nothing (RFC 9113, 8.7)
 *   reset, lost, silent for     reset, 5xx, gateway-error
 *   per_try_timeout
 *   :status                     5xx, gateway-error (502, 503, 504),
 *                               retriable-4xx (409), retriable-status-codes
 *   grpc-status, no message     cancelled, deadline-exceeded, internal,
 *                               resource-exhausted, unavailable
 *
 * never: an answer that has begun, a request that is not kept, the breaker of
 * retries, what says x-envoy-ratelimited.
 *
 * Invariants
 *   R1  Until a try is sent to a peer whose SETTINGS we have, all of the
 *       request is kept; after it, as long as that is at most REPLAY_BYTES_MAX.
 *       (A peer that allows few streams refuses what comes before we know.)
 *   R2  The caller's stream credit comes back once for each byte, with the
 *       first try whose socket took it.
 *   R3  A retry waits a random part of base * 2^n ms, at most max.
 *
 * Source: Envoy's RetryStateImpl, told in reference/envoy-xds.md section 3.4.
 * Test: t/sim/, t/mesh/.
 */
#ifndef WORKER_RETRY_H
#define WORKER_RETRY_H

#include "worker/state.h"

enum { REPLAY_BYTES_MAX = 65536 };

void	retry_begin(struct stream *s);
/* n bytes of the request. False: no memory. */
bool	retry_data(struct stream *s, const uint8_t *p, size_t n);
/* Its end; trailers may be NULL, one reference stays the caller's. */
void	retry_request_end(struct stream *s, struct headers *trailers);
/* The request is kept after a try is sent (R1). */
bool	retry_keeps(const struct stream *s);
/* The present try's socket took so many bytes in all. */
void	retry_sent(struct stream *s, size_t bytes);

/* A try ended for a cause, without an answer: another, or that's it. */
void	retry_failed(struct stream *s, enum cause cause);
/* The answer begins with h: true, and a try is to come, or false. */
bool	retry_answer(struct stream *s, const struct headers *h, bool end);
/* A try of which the service saw nothing: another, whatever the policy. False:
 * the request is not kept. */
bool	retry_move(struct stream *s);

/* No further try: the answer began, or the stream ends. */
void	retry_commit(struct stream *s);

#endif
