/*
 * worker/filter.h - the filters of a listener, in order, the router last: a
 * static table of functions, one row per kind.
 *
 *   headers / data / trailers ──> CONTINUE  the next filter
 *                                 STOP      not yet: the filter goes on later
 *                                 REPLY     the filter answered; no more
 *
 * A filter's settings lie in the arena, good for this turn; what it needs
 * later goes into the stream. One more filter is a row here, its enum
 * filter_kind and its settings in shm/block.h, and its compiler function.
 */
#ifndef WORKER_FILTER_H
#define WORKER_FILTER_H

#include "worker/state.h"

enum filter_verdict { FILTER_CONTINUE, FILTER_STOP, FILTER_REPLY };

/* Runs the request's headers through the filters of hcm. */
enum filter_verdict filter_headers(struct stream *s,
	    const struct block_hcm *hcm);
enum filter_verdict filter_data(struct stream *s, const uint8_t *p, size_t n);
/* trailers may be NULL; one reference stays the caller's. */
enum filter_verdict filter_end(struct stream *s, struct headers *trailers);

#endif
