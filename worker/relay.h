/*
 * worker/relay.h - a request from its first header to its last: the caller's
 * stream on one side, an attempt at a service on the other.
 *
 *                 request                          answer
 *   caller ──headers──> filters ──> attempt ──headers──> caller
 *          ──data─────>             (up)    ──data─────>
 *          ──end──────>                     ──trailers─>
 *
 *   answer of a stream:
 *
 *     waiting ──answer_started──> answering ──answer_ended──> closed (h2)
 *        │                            │
 *        └─ relay_fail: one reply     └─ relay_fail: trailers, or a reset
 *
 * Invariants
 *   I1  Every stream ends exactly once: relay_fail after answer_ended, or on a
 *       stream that is reset, does nothing.
 *   I2  Stream credit goes back when the other side's socket took the bytes
 *       (sent), so what is held is bounded by the windows, and all of it by
 *       the worker's byte budget: over it the stream whose caller took
 *       nothing for the longest is reset, never a connection.
 *   I3  Whoever ends first tells the other in the same turn: a cancelled
 *       request resets its attempt, a lost attempt answers its caller.
 *
 * Source: RFC 9113 section 8; gRPC over HTTP/2 (PROTOCOL-HTTP2.md); causes in
 * worker/cause.def. Test: t/sim/, t/mesh/.
 */
#ifndef WORKER_RELAY_H
#define WORKER_RELAY_H

#include "worker/state.h"

/* The caller's side: given to every session of a listener. */
extern const struct h2_events relay_events;

/* Ends the request for a cause: a reply of ours if none has begun, else
 * trailers (gRPC) or a reset. */
void	relay_fail(struct stream *s, enum cause cause);

/* Ends the stream without a word; what the caller did not take is dropped. */
void	relay_reset(struct stream *s, enum h2_error code);

/* The answer, as the attempt gets it. Header blocks are the callee's. */
void	relay_answer(struct stream *s, struct headers *h, bool end);
void	relay_answer_data(struct stream *s, const uint8_t *p, size_t n);
void	relay_answer_end(struct stream *s, struct headers *trailers);
/* n bytes of the request were taken by the service's socket. */
void	relay_request_sent(struct stream *s, size_t n);

#endif
