/*
 * master/keeper_listen.h - the TCP sockets of a listener: bound once, many
 * per address, so that a worker's death or a change of their number only
 * hands descriptors around and no queued connection is lost.
 *
 *   slot     0  1  2  3  4 ... 15       at least LISTEN_SLOTS
 *   worker   0  1  2  0  1      0       slot s is served by the (s mod W)-th
 *
 * Port 0: the kernel picks one for slot 0 and the others take the same.
 * Before all, a probe without SO_REUSEPORT: a second godwit on the port is
 * named instead of silently sharing it. Test: t/unit/keeper.c.
 */
#ifndef MASTER_KEEPER_LISTEN_H
#define MASTER_KEEPER_LISTEN_H

#include <stdbool.h>

#include "master/control.h"

enum { LISTEN_SLOTS = 16, LISTEN_ADDRESS_BYTES = 64 };

struct keeper_listen {
	struct control_listener listener;	/* address: the chosen one */
	bool		 fresh;		/* of a change that is not accepted */
	bool		 renamed;	/* workers know it by another slot */
	int		 fds_n;		/* 0: nobody's */
	int		 fds[CONTROL_WORKERS_MAX];
	int16_t		 owners[CONTROL_WORKERS_MAX];	/* worker; -1 */
};

/* Binds l n times. -1: why names the listener and the address. */
int	keeper_listen_open(struct keeper_listen *out,
	    const struct control_listener *l, int n, char *why, size_t why_len);
/* As many sockets as n, if there are fewer. -1: why; some may be more. */
int	keeper_listen_grow(struct keeper_listen *l, int n, char *why,
	    size_t why_len);
void	keeper_listen_close(struct keeper_listen *l);

/* Slots for so many workers. */
int	keeper_listen_slots(int workers_n);

/* "127.0.0.1:10000", "[::1]:10000". */
void	keeper_listen_text(const struct control_listener *l,
	    char text[LISTEN_ADDRESS_BYTES]);

#endif
