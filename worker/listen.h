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

/* Watches the sockets of start. -1: why. */
int	listen_open(struct worker *w, const struct worker_start *start,
	    char *why, size_t why_len);
/* A generation came: connections may be waiting for it. */
void	listen_resume(struct worker *w);
/* GOAWAY to every caller; no socket is accepted from any more. */
void	listen_drain(struct worker *w);
void	listen_fini(struct worker *w);

/* Takes over an accepted socket of a listener. False: it was closed. */
bool	connection_adopt(struct worker *w, int fd, uint32_t listener);

#endif
