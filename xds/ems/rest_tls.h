/*
 * xds/ems/rest_tls.h - a port with TLS in front of something that reads and
 * writes a socket in clear text (libmicrohttpd).
 *
 *   caller ──records── outer │ tls │ inner ──plain── fd ── who serves
 *                            └──┬──┘   a pair of unix sockets
 *              HANDSHAKE ──> OPEN ──> LEAVING ──> gone
 *                  └───────────────────^
 *
 * libmicrohttpd has TLS by GnuTLS. We end it here instead, for there is one
 * TLS in this program, with its suites, its judgement of certificates, its
 * sentences and its tests (worker/io/tls.h), and a context can be replaced
 * while its connections go on.
 *
 * Invariants
 *   T1  Nobody serves a caller before his handshake is done; what he is called
 *       (names) is what our CA vouches for, and is taken once.
 *   T2  Bounded: connections; a handshake's time; what waits for one side while
 *       the other can't take it (nothing is read meanwhile); records that make
 *       us answer (TLS_OUT_BYTES). Where all connections are taken, the oldest
 *       handshake makes room: who only connects keeps nobody out.
 *   T3  Who is served last has all of it: what was written before the end is
 *       sent, then close_notify, then we wait for the caller to close.
 *
 * Test: t/unit/rest_tls.c, t/mesh/912-rest-tls.py.
 */
#ifndef XDS_EMS_REST_TLS_H
#define XDS_EMS_REST_TLS_H

#include "worker/io/loop.h"
#include "worker/io/tls.h"

struct rest_tls;

struct rest_tls_settings {
	struct tls_context *tls;	/* of a server, held from here on */
	size_t		 connections_max;
	/* Whether one more may come from this address (without its port). */
	bool	(*may_come)(void *arg, const char *address);
	/* fd has the plain bytes, and is the callee's. */
	void	(*arrived)(void *arg, int fd, const struct sockaddr *from,
		    socklen_t from_len);
	void		*arg;
};

/* fd: listening, taken. NULL: errno. */
struct rest_tls *rest_tls_open(struct loop *l, int fd,
	    const struct rest_tls_settings *s);
/* Another context, for those who come from now on. */
void	rest_tls_replace(struct rest_tls *t, struct tls_context *c);
/* Of one that arrived: tls_peer_names, to be freed; NULL: it has none, or is
 * gone. A second call has NULL. */
char	*rest_tls_names(struct rest_tls *t, int fd);
/* After who serves has closed all of them. */
void	rest_tls_close(struct rest_tls *t);

#endif
