/*
 * master/probe.h - whether an app of this machine is there: asked again and
 * again, over TCP or by gRPC's health service.
 *
 *   ask ──> yes | no, and why ──> healthy_n or unhealthy_n in a row ──changed──>
 *    ^         late: no   │
 *    ├──── interval_ms ───┤ no, since it began or was lost: soon
 *    └── soon ── lost <───┘ yes: its connection is held until the next answer
 *
 * Of gRPC the connection is held, not a call: an app that ends by waiting for
 * its calls (go-grpc's GracefulStop) is not kept waiting.
 *
 * An app that dies, is killed or restarted ends its connections: that is asked
 * about soon, and one "no" is enough then. Soon is after 10 ms, 20, 40 ...,
 * interval_ms, until it was held for an interval: who restarts, or has not begun
 * yet, is found about as soon as it is there, and who ends each connection costs
 * no more than who does not.
 *
 * Source: gRPC's doc/health-checking.md. Test: t/unit/probe.c.
 */
#ifndef MASTER_PROBE_H
#define MASTER_PROBE_H

#include "master/register_settings.h"
#include "worker/io/conn.h"

struct probe;

/* well: the app is there, from now on. Not to close it there. */
typedef void probe_changed(void *arg, bool well);

/* s lives longer. It begins as not well, and asks in the loop's next turn.
 * NULL: no memory. */
struct probe *probe_open(struct io *io, const struct register_settings *s,
	    probe_changed *changed, void *arg);
void	probe_close(struct probe *p);
/* Why it is not well; "" before the first answer. */
const char *probe_why(const struct probe *p);

#endif
