/*
 * xds/ems/registry.h - what a door answers besides xDS: leases over gRPC
 * (godwit.ems.v1.Registry), whether we are well (grpc.health.v1.Health), and
 * which services there are (grpc.reflection.v1.ServerReflection).
 *
 *   registry_unary.c       one message ──> lease.h ──done──> one message, or a
 *                          status with a sentence
 *   registry_keep.c        a lease as long as a call, and longer
 *   registry_health.c      Check, Watch
 *   registry_reflection.c  descriptors that were made at build time
 *
 * Test: t/mesh/915-keep.py, t/mesh/920-register.py.
 */
#ifndef XDS_EMS_REGISTRY_H
#define XDS_EMS_REGISTRY_H

#include "xds/ems/call.h"
#include "xds/ems/lease.h"

enum { REGISTRY_METHODS = 8 };

struct registry {
	struct leases	*leases;
	const struct who_rules *rules;	/* of who may register what */
};

/* r lives longer than the door. */
void	registry_methods(struct registry *r,
	    struct call_method to[REGISTRY_METHODS]);

#endif
