/*
 * xds/ems/port.h - a listening socket in our loop: who connects is brought to
 * its owner, so many a turn, and what can't be accepted now is tried again.
 * Test: t/unit/rest_tls.c, t/mesh/900-ems.py.
 */
#ifndef XDS_EMS_PORT_H
#define XDS_EMS_PORT_H

#include "worker/io/loop.h"

struct port {				/* a member of its owner */
	struct source	 source;
	struct task	 again;
	struct timer	 pause;
	struct loop	*loop;
	void		(*came)(struct port *p, int fd);
	int		 fd;
	bool		 stopped;	/* no more are brought */
};

/* fd: listening, taken. -1: errno, and fd is closed. */
int	port_open(struct port *p, struct loop *l, int fd,
	    void (*came)(struct port *p, int fd));
static inline void
port_stop(struct port *p)
{
	p->stopped = true;
}
void	port_close(struct port *p);

#endif
