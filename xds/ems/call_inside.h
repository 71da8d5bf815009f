/* xds/ems/call_inside.h - what door.c and call.c share. */
#ifndef XDS_EMS_CALL_INSIDE_H
#define XDS_EMS_CALL_INSIDE_H

#include "xds/ems/call.h"
#include "xds/ems/rate.h"
#include "xds/framing.h"

struct visitor {			/* a connection */
	struct conn	 conn;
	LIST_ENTRY(visitor) link;
	struct door	*door;
	struct tls_context *tls;	/* counted, or NULL */
	LIST_HEAD(, call) calls;
	struct rate_bucket begun;	/* calls (call.h D6) */
	char		 address[64];
};

/* call.c: an answer of our own to a stream of a visitor. */
extern const struct h2_events call_events;
/* call.c: D5, of all calls of a visitor. */
void	calls_leave(struct visitor *v);

const struct door_settings *door_settings(const struct door *d);
bool	door_drains(const struct door *d);

#endif
