/*
 * worker/listen.h - listening sockets and the callers' connections.
 *
 *   edge on a socket ──> accept, at most ACCEPTS a turn ──> connection_adopt
 *
 * connection_adopt is the one way a connection begins, so that a neighbour can
 * hand an accepted descriptor over. Test: t/mesh/.
 */
#ifndef WORKER_LISTEN_H
#define WORKER_LISTEN_H

#include "worker/state.h"
#include "worker/worker.h"

/* A socket more, or one that it has, for another listener. -1: why. */
int	listen_add(struct worker *w, const struct worker_socket *s, char *why,
	    size_t why_len);
void	listen_remove(struct worker *w, uint32_t group, uint32_t index);

/* Before a generation is taken: `next`, in `arena`. Who waits at a listener
 * that it no longer has is still taken, by the present one. */
void	listen_leave(struct worker *w, const struct arena *arena,
	    const struct block_root *next);
/* After it was taken: callers at a listener that is gone, or that asks for
 * other certificates now, are sent away; others may be waiting for it. */
void	listen_follow(struct worker *w);

/* GOAWAY to every caller; no socket is accepted from any more. */
void	listen_drain(struct worker *w);
void	listen_fini(struct worker *w);

/* Takes over an accepted socket of a listener. False: it was closed. */
bool	connection_adopt(struct worker *w, int fd, uint32_t listener,
	    uint32_t tag);

#endif
