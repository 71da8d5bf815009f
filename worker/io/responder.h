/*
 * worker/io/responder.h - a GET-only HTTP/1.1 responder on a unix socket, for
 * statistics and questions; callers are curl, probes and godwitctl.
 *
 * One answer per request, keep-alive allowed, a request of at most 4 KiB, 16
 * callers at once, 10 s for a request. It writes as the socket takes it and
 * never blocks the loop. Anything but GET: 405.
 *
 * A large answer is made in pieces, each in a turn of its own and not before
 * the socket took the one before: who does not read costs one piece. It is
 * chunked, or, for HTTP/1.0, ended by the connection's end. Source: RFC 9112.
 * Test: t/unit/responder.c.
 */
#ifndef WORKER_IO_RESPONDER_H
#define WORKER_IO_RESPONDER_H

#include <stdio.h>

#include "worker/io/loop.h"

struct responder;

/* How an answer goes on. */
struct responder_rest {
	/* The next piece, which may be empty; false: it was the last. */
	bool		(*more)(void *arg, FILE *out);
	/* Once for each rest, also when its caller has left. */
	void		(*end)(void *arg);
	void		*arg;
};

/* Writes the body for path ("/stats"; query is what follows '?', or "") to
 * out and returns the HTTP status: 200, 404, 503. A 404 may leave out empty.
 * out is the first piece if it sets rest->more. */
typedef int	(*responder_fn)(void *arg, const char *path, const char *query,
		    FILE *out, struct responder_rest *rest);

/* Serves listen_fd, which stays the caller's. NULL: errno. */
struct responder *responder_open(struct loop *l, int listen_fd,
	    responder_fn answer, void *arg);
void	responder_close(struct responder *r);

#endif
