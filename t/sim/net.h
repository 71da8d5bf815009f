/*
 * t/sim/net.h - a network and a clock in one process, by one seed: the struct
 * sys of every actor is a door into it.
 *
 *   actor A: send ──> [ arrived | on its way ] ──> recv :actor B
 *
 * Faults: a send takes fewer bytes than it was given or none (EAGAIN); a recv
 * gets fewer than there are, down to one; an edge comes late; a connection is
 * refused, never answered, or reset between any two bytes; an allocation
 * fails. A count that a fault made short is followed by another edge, as with
 * a kernel's socket; an end of file behind the last byte is not: its edge came
 * with the closing.
 *
 * As TCP does, who closes with bytes unread, or is sent some afterwards, answers
 * with a reset, which destroys what the other side has not received yet.
 *
 * Time stands still while anybody has something to do. What lies between two
 * sockets is a ring of pipe_bytes: a small one makes every write a short one.
 */
#ifndef T_SIM_NET_H
#define T_SIM_NET_H

#include <stdbool.h>

#include "t/lib/chance.h"
#include "worker/io/sys.h"

enum { NET_SOCKETS_MAX = 256, NET_PIPE_BYTES = 32768 };

struct net_faults {			/* chances in 1,000 */
	unsigned	short_recv, short_send, one_byte, no_send, late,
			refuse, unanswered, reset, no_memory;
};

struct net_socket {
	bool		used, listening, failed, reset, unanswered;
	bool		closed, silent;	/* in, out: nothing more comes */
	uint16_t	port;		/* listening */
	int		peer;		/* -1: it was closed */
	int		backlog[64], backlog_n;
	void		*source;
	struct net_actor *actor;	/* who watches it */
	uint32_t	edges;		/* to report */
	int64_t		edges_at_ns;
	size_t		in_at, in_n;	/* arrived, not received: a ring */
};

struct net {
	uint64_t	seed;
	struct chance	chance;
	int64_t		now_ns;
	uint64_t	trace;		/* hash of everything that happened */
	struct net_faults faults;
	size_t		pipe_bytes;
	int		sockets_n;	/* 1 + the highest that was used */
	bool		verbose;	/* tells what happens */
	struct net_socket sockets[NET_SOCKETS_MAX];
};

struct net_actor {
	struct net	*net;
	const char	*name;
	struct sys	sys;
	int64_t		blocks_n;	/* allocated, not freed */
	uint64_t	refused_n;	/* connections it asked for in vain */
	uint64_t	unanswered_n;	/* and without a word */
	bool		starves;	/* its allocations may fail */
	bool		gives_up;	/* on who does not answer it */
};

void	net_init(struct net *n, uint64_t seed, struct net_faults f);
void	net_actor_init(struct net_actor *a, struct net *n, const char *name);
/* A listening socket of a port of 127.0.0.1. */
int	net_listen(struct net *n, uint16_t port);
/* Both sides find a reset, now; the descriptor is closed. */
void	net_abort(struct net_actor *a, int fd);
/* When the next edge of a, or of anybody (NULL), is to be reported; -1: none
 * waits. */
int64_t	net_next_ns(const struct net *n, const struct net_actor *a);
uint64_t net_random(struct net *n);
/* 0..below-1 */
uint32_t net_below(struct net *n, uint32_t below);
bool	net_chance(struct net *n, unsigned in_1000);
/* A line of the trace, when somebody reads it. */
void	net_say(const struct net *n, const char *format, ...)
	    __attribute__((format(printf, 2, 3)));

#endif
