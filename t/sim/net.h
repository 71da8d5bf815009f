/*
 * t/sim/net.h - a network and a clock in one process, by one seed: the struct
 * sys of every actor is a door into it.
 *
 *   actor A: send ──> [ arrived | on its way ] ──> recv :actor B
 *
 * Faults: a send takes fewer bytes than it was given or none (EAGAIN); a recv
 * gets fewer than there are, down to one; an edge comes late; a connection is
 * refused, or reset between any two bytes; an allocation fails. A count that a
 * fault made short is followed by another edge, as with a kernel's socket; an
 * end of file behind the last byte is not: its edge came with the closing.
 *
 * As TCP does, who closes with bytes unread, or is sent some afterwards, answers
 * with a reset, which destroys what the other side has not received yet.
 *
 * Time stands still while anybody has something to do.
 */
#ifndef T_SIM_NET_H
#define T_SIM_NET_H

#include <stdbool.h>

#include "t/lib/chance.h"
#include "worker/io/sys.h"

enum { NET_SOCKETS_MAX = 256, NET_PIPE_BYTES = 32768 };

struct net_faults {			/* chances in 1,000 */
	unsigned	short_recv, short_send, one_byte, no_send, late,
			refuse, reset, no_memory;
};

struct net_socket {
	bool		used, listening, failed, reset;
	bool		closed, silent;	/* in, out: nothing more comes */
	uint16_t	port;		/* listening */
	int		peer;		/* -1: it was closed */
	int		backlog[64], backlog_n;
	void		*source;
	struct net_actor *actor;	/* who watches it */
	uint32_t	edges;		/* to report */
	int64_t		edges_at_ns;
	size_t		in_n;		/* arrived, not received */
	uint8_t		in[NET_PIPE_BYTES];
};

struct net {
	struct chance	chance;
	int64_t		now_ns;
	uint64_t	trace;		/* hash of everything that happened */
	struct net_faults faults;
	struct net_socket *sockets;	/* [NET_SOCKETS_MAX] */
};

struct net_actor {
	struct net	*net;
	struct sys	sys;
	int64_t		blocks_n;	/* allocated, not freed */
	uint64_t	refused_n;	/* connections it asked for in vain */
	bool		starves;	/* its allocations may fail */
};

void	net_init(struct net *n, uint64_t seed, struct net_faults f);
void	net_fini(struct net *n);
void	net_actor_init(struct net_actor *a, struct net *n);
/* A listening socket of a port of 127.0.0.1. */
int	net_listen(struct net *n, uint16_t port);
/* When the next edge is to be reported; -1: none waits. */
int64_t	net_next_ns(const struct net *n);
uint64_t net_random(struct net *n);
bool	net_chance(struct net *n, unsigned in_1000);

#endif
