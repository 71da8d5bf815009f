/*
 * worker/request_id.h - x-request-id: a random UUID (version 4) for each
 * request that brings none, or an empty one.
 *
 *   xxxxxxxx-xxxx-4xxx-[89ab]xxx-xxxxxxxxxxxx
 *                 ^ also Envoy's trace reason: 4, not traced
 *
 * One that is there stays: without use_remote_address, which is not built yet,
 * no caller counts as external, and preserve_external_request_id changes
 * nothing. Source: Envoy's UUIDRequestIDExtension. Test: t/unit/request_id.c.
 */
#ifndef WORKER_REQUEST_ID_H
#define WORKER_REQUEST_ID_H

#include "worker/state.h"

enum { REQUEST_ID_BYTES = 36 };

/* 128 random bits, 6 of which the form takes; no NUL. */
void	request_id_write(uint64_t a, uint64_t b, char text[REQUEST_ID_BYTES]);

/* Either of the flags is set. False: no memory. */
bool	request_id_set(struct stream *s, const struct block_hcm *hcm);

/* The request's headers came. False: no memory. */
static inline bool
request_id_begin(struct stream *s, const struct block_hcm *hcm)
{
	return !(hcm->flags & (HCM_REQUEST_ID | HCM_REQUEST_ID_BACK)) ||
	    request_id_set(s, hcm);
}

#endif
