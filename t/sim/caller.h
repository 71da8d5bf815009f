/*
 * t/sim/caller.h - the client: connections to the worker's listeners, each with
 * its calls, as their scripts say.
 */
#ifndef T_SIM_CALLER_H
#define T_SIM_CALLER_H

#include "t/sim/body.h"

enum { CONNS_MAX = 3, START_MS = 150 };

/* The caller's side of a call. */
struct ongoing {
	struct caller	*caller;
	struct call	*call;
	struct end	*end;		/* NULL: not begun, or over */
	int32_t		 stream;
	struct pour	 pour;
	struct intake	 intake;
	struct alarm	 begin, cancel;
};

struct caller {
	struct peer	 peer;
	struct end	*conns[CONNS_MAX];	/* NULL: gone */
	int		 conns_n;
	struct ongoing	 ongoing[CALLS_MAX];
	int		 calls_n;
};

void	caller_open(struct caller *c, struct net_actor *a, struct call *calls,
	    int calls_n);
/* A connection more. */
struct end *caller_connect(struct caller *c, uint16_t port,
	    const struct end_settings *s);
/* Every call begins, at its time. */
void	caller_start(struct caller *c);
/* One more call, now, on a connection that is there. */
void	caller_call(struct caller *c, struct call *call);
/* A call that is not over, or NULL. */
const struct call *caller_waits(const struct caller *c);
void	caller_close(struct caller *c);

#endif
