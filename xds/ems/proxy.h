/*
 * xds/ems/proxy.h - those who are connected: a stream of xDS each, and what we
 * know of who is at its other end.
 *
 *   call ──message──> push ──take──> call_send
 *                       ^ wake: its view changed, or it has room again
 *
 * Invariants
 *   X1  Proxies that may be owed something stand in a queue, worked on a few
 *       in each turn: neither one slow proxy nor a thousand quick ones keep the
 *       loop from the others.
 *   X2  A proxy is sent the next response when the one before is on its way
 *       (call_has_room), so what waits for it is one response a kind at most.
 *
 * Test: t/mesh/900-ems.py.
 */
#ifndef XDS_EMS_PROXY_H
#define XDS_EMS_PROXY_H

#include "xds/ems/call.h"
#include "xds/ems/ems.h"

struct proxy {
	LIST_ENTRY(proxy) link;
	TAILQ_ENTRY(proxy) ready_link;
	struct ems	*ems;
	struct call	*call;
	struct push	*push;
	struct view	*view;		/* NULL: it has not said who it is */
	struct timer	 timer;		/* push_due */
	char		*id, *cluster, *zone, *agent;
	char		 region[INTENT_NAME_MAX + 1];
	int64_t		 since_ms;	/* UTC, since 1970 */
	enum ems_refusal refusal;	/* of who it says it is */
	bool		 is_delta, is_ready;
};

enum { PROXY_METHODS = 2 + 2 * RESOURCE_KINDS, PROXY_PATH_BYTES = 128 };

struct proxy_purpose {			/* of a method */
	struct ems	*ems;
	int		 kind;		/* -1: all */
	bool		 delta;
	char		 path[PROXY_PATH_BYTES];
};

/* The methods of all xDS services; methods are for a door. */
struct proxy_door {
	struct call_method methods[PROXY_METHODS];
	struct proxy_purpose purposes[PROXY_METHODS];
};
void	proxy_door_init(struct proxy_door *d, struct ems *e);

/* All whose view has news. */
void	proxies_wake(struct ems *e);
/* Those that would get another view now are sent away, to come again. */
void	proxies_check(struct ems *e);
/* ems->task. */
void	proxies_run(struct task *t);

/* node.metadata.KEY, if it is a text. False: there is none. */
bool	node_text(const struct push_node *n, const char *key, char *to,
	    size_t to_len);

#endif
