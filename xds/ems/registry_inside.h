/* xds/ems/registry_inside.h - what the files of the registry share. */
#ifndef XDS_EMS_REGISTRY_INSIDE_H
#define XDS_EMS_REGISTRY_INSIDE_H

#include "xds/ems/registry.h"
#include "xds/load_inside.h"

enum { REGISTRY_ARENA_BYTES = 1 << 20 };

extern const struct call_handler registry_register, registry_heartbeat,
    registry_deregister, registry_keep, registry_check, registry_watch,
    registry_reflection;

/* What a lease's answer is as a status. */
enum call_status registry_status(const struct lease_answer *a);
/* The message, in a (NULL: no memory). NULL: the call was finished. */
const void *registry_read(struct call *c, struct load_arena *a,
	    const ProtobufCMessageDescriptor *d, const uint8_t *bytes,
	    size_t n);
/* m, or an empty message (NULL). False: the call was finished. */
bool	registry_send(struct call *c, const ProtobufCMessage *m);
/* For handlers that send little: nothing waits for room. */
void	registry_no_room(void *state, struct call *c);

#endif
