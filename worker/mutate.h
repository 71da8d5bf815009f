/*
 * worker/mutate.h - what a plan makes of headers: pure, over struct headers.
 *
 *   request   the caller's ──mutate_request──> levels ──> authority, path
 *   answer    the service's, or ours ──mutate_answer──> levels
 *
 * The levels are in the plan in the order in which they count: the share of a
 * split, then route, virtual host, configuration, or those three the other way
 * round (most_specific_header_mutations_wins). In each of them:
 *
 *   1 removals
 *   2 all values are made, of the headers as they are now, and whether a name
 *     is there is asked of the same
 *   3 what overwrites: the only one of its name
 *   4 what adds
 *
 * so that a level's values don't depend on each other. A value that came out
 * empty is not set unless it says so. Of the names that HTTP knows as one list
 * (MUTATION_JOIN) a second value goes behind a comma.
 *
 * Source: Envoy's HeaderParser::evaluateHeaders and finalizeRequestHeaders, as
 * seen from outside by t/mesh/620-envoy-routes.py. Test: t/unit/mutate.c.
 */
#ifndef WORKER_MUTATE_H
#define WORKER_MUTATE_H

#include "shm/block.h"
#include "worker/io/header.h"

/* address: the caller's, without port; may be NULL without PLAN_ADDRESS.
 * False: no memory, with some of the changes made. */
bool	mutate_request(struct headers *h, const struct block_plan *p,
	    const char *address);
bool	mutate_answer(struct headers *h, const struct block_plan *p,
	    const struct headers *request, const char *address);

/* Authority and path; originals: what they were goes into
 * x-envoy-original-host and -path. The path's query stays. */
bool	mutate_target(struct headers *h, const struct block_plan *p,
	    bool originals);

#endif
