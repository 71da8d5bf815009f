/*
 * t/sim/service.h - the backend: two endpoints of one actor, which do with each
 * try of a call what its script says.
 */
#ifndef T_SIM_SERVICE_H
#define T_SIM_SERVICE_H

#include "t/sim/body.h"

enum { SERVICES_MAX = 2 };

struct service {
	struct peer	 peer;
	int		 listens[SERVICES_MAX];
	struct call	*calls;		/* by number */
	int		 calls_n;
	struct end_settings settings;
	LIST_HEAD(, serving) serving;
	/* What it does to its next connections. */
	struct deed	 deeds[END_DEEDS_MAX];
	int		 deeds_n, conns_n;
	bool		 audits;	/* end.h */
	int		 audits_n;
	int32_t		 id_max;	/* of all connections */
};

void	service_open(struct service *s, struct net_actor *a,
	    const uint16_t *ports, int ports_n,
	    const struct end_settings *settings);
/* The connections that it has audit from now on. */
void	service_audit(struct service *s);
void	service_close(struct service *s);

#endif
