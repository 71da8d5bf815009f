/*
 * worker/change.h - a stream's headers changed as its plan says: what
 * mutate.h does, with what the stream knows.
 *
 *   routed ──change_request──> attempt ──> answer ──change_answer──> caller
 *
 * Answers of ours are changed as the service's are, once there is a plan.
 * Test: t/mesh/620-envoy-routes.py.
 */
#ifndef WORKER_CHANGE_H
#define WORKER_CHANGE_H

#include "worker/state.h"

/* It has a plan. False: no memory. */
bool	change_request(struct stream *s, const struct block_hcm *hcm);
/* h: the headers of its answer; nothing to do unless s->changes_answer. */
bool	change_answer(struct stream *s, struct headers *h);

#endif
