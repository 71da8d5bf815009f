/*
 * master/compile_show.h - what stands inside of resources, for those who show
 * them: they know no message. Test: t/unit/status.c, t/mesh/840-operator.py.
 */
#ifndef MASTER_COMPILE_SHOW_H
#define MASTER_COMPILE_SHOW_H

#include "xds/load.h"
#include "xds/resource.h"

typedef void (*compile_show_fn)(void *arg, const char *name,
	    const ProtobufCMessage *m);

/* Of a listener: each RouteConfiguration that stands in it; of a cluster: its
 * ClusterLoadAssignment. All in m. */
void	compile_show_inside(struct load_arena *m, enum resource_kind kind,
	    const uint8_t *bytes, size_t len, compile_show_fn fn, void *arg);
/* A secret whose private key was taken out, with a place that says so. NULL:
 * it can't be read. */
const ProtobufCMessage *compile_show_secret(struct load_arena *m,
	    const uint8_t *bytes, size_t len);

#endif
