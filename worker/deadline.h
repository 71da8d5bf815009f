/*
 * worker/deadline.h - how long a stream may take.
 *
 *               headers      routed       request's end      answer's end
 *   idle        |·· since the last byte either way ··|··|··········|·· until
 *                                                    the caller took it all
 *   duration    |········ grpc-timeout, max_stream_duration ·······|
 *   timeout                               |· RouteAction.timeout ··|
 *
 * What holds is the resources' to say (enum plan_deadline):
 *
 *   the route has             grpc-timeout            timeout     service sees
 *   ----------------------   ---------------------   ---------   -------------
 *   none of the two           not looked at           as set      it unchanged
 *   max_grpc_timeout          cut to it, is timeout   not used    what is left
 *   max_stream_duration       with grpc_timeout_      not used    what is left
 *                             header_max: cut to
 *                             that, is duration;
 *                             without it, the
 *                             route's, else the
 *                             listener's duration
 *
 * An offset is taken off, so that our answer comes before the caller's own
 * clock ends the call; a zero means no limit, in each place where Envoy reads
 * it so.
 *
 * Invariants
 *   I1  One timer for all three: it fires at the earliest or, after bytes
 *       came, before that, and looks again. Bytes move no timer.
 *   I2  What is due at the same turn is named in the order duration, timeout,
 *       idle.
 *
 * Source: Envoy's FilterUtility::finalTimeout and the connection manager's
 * refreshDurationTimeout, told in reference/envoy-xds.md section 3.2; gRPC
 * over HTTP/2, "Timeout". Test: t/unit/deadline.c, t/mesh/610-envoy-deadlines.
 */
#ifndef WORKER_DEADLINE_H
#define WORKER_DEADLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/block.h"
#include "worker/cause.h"
#include "worker/io/timer.h"

struct stream;

struct deadline {			/* part of a stream */
	struct timer	 timer;		/* I1 */
	struct mono	 armed;		/* when that fires */
	struct mono	 active;	/* the last byte */
	uint32_t	 idle_ms;	/* 0 = none */
	int64_t		 timeout_ms;	/* when the request ends; 0 = none */
	struct mono	 duration_due, timeout_due;	/* 0 = none */
};

enum deadline_header { DEADLINE_KEEP, DEADLINE_SET, DEADLINE_REMOVE };

/* What a route makes of a request. */
struct deadline_terms {
	int64_t		 duration_ms;	/* since the begin; -1 = none */
	int64_t		 timeout_ms;	/* since the request's end; 0 = none */
	enum deadline_header header;	/* of grpc-timeout */
	int64_t		 header_ms;
};

enum { DEADLINE_TEXT_BYTES = 16, DEADLINE_NONE_MS = -1 };

/* grpc-timeout in milliseconds, rounded up; DEADLINE_NONE_MS: it is not one. */
int64_t	deadline_read(const uint8_t *value, size_t n);
/* The same back, in the finest unit that 8 digits hold. */
void	deadline_write(int64_t ms, char text[DEADLINE_TEXT_BYTES]);

/* listener_ms is the connection manager's max_stream_duration, 0 = none;
 * grpc_timeout_ms what deadline_read said; grpc: the request is one. */
struct deadline_terms deadline_pick(const struct block_plan *p,
	    uint32_t listener_ms, bool grpc, int64_t grpc_timeout_ms);

/* The request's headers came. */
void	deadline_begin(struct stream *s, const struct block_hcm *hcm);
/* It has a plan; sets its grpc-timeout. False: no memory. */
bool	deadline_route(struct stream *s, const struct block_hcm *hcm);
/* It is complete. */
void	deadline_request_end(struct stream *s);
/* Its answer is complete; how long the caller may take nothing of it is what
 * is left to limit. */
void	deadline_answer_end(struct stream *s);
/* It is over. */
void	deadline_end(struct stream *s);

/* Which limit is over, or will be within slack_ms; CAUSE_none. */
enum cause deadline_over(const struct stream *s, int64_t slack_ms);

#endif
