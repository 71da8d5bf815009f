/*
 * xds/keep.h - what a proxy that registers an app says and hears: messages of
 * godwit.ems.v1.Registry/Keep and of grpc.health.v1.Health/Check, as bytes.
 *
 * Source: xds/proto/godwit/ems/registry.proto, grpc/health/v1/health.proto.
 * Test: t/unit/register.c, t/mesh/920-register.py.
 */
#ifndef XDS_KEEP_H
#define XDS_KEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEEP_PATH "/godwit.ems.v1.Registry/Keep"
#define KEEP_HEALTH_PATH "/grpc.health.v1.Health/Check"

enum { KEEP_ID_BYTES = 256, KEEP_LEAVE_BYTES = 2 };

struct keep_endpoint {
	const char	*id, *service, *region, *zone, *address, *version;
	uint32_t	 port, weight, ttl_ms;
};

struct keep_answer {
	char		 id[KEEP_ID_BYTES];
	uint64_t	 epoch;
	uint32_t	 ttl_ms;
	bool		 left;
};

/* The first message, the caller's to free. NULL: no memory. A heartbeat is the
 * empty message. */
uint8_t	*keep_endpoint_pack(const struct keep_endpoint *e, size_t *n);
extern const uint8_t keep_leave[KEEP_LEAVE_BYTES];
/* -1: why. */
int	keep_answer_read(const uint8_t *bytes, size_t n,
	    struct keep_answer *to, char *why, size_t why_len);

/* The request; the caller's. NULL: no memory. */
uint8_t	*keep_health_pack(const char *service, size_t *n);
/* 1: serving; 0: not; -1: why. */
int	keep_health_read(const uint8_t *bytes, size_t n, char *why,
	    size_t why_len);

#endif
