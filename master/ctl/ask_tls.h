/*
 * master/ctl/ask_tls.h - TLS over a connected socket that waits: the sessions
 * of worker/io/tls.h, with the server's name checked. Test:
 * t/mesh/912-rest-tls.py.
 */
#ifndef MASTER_CTL_ASK_TLS_H
#define MASTER_CTL_ASK_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct ask_tls;

struct ask_tls_files {
	const char	*ca;		/* by which the server is known */
	const char	*certificate, *key;	/* ours; NULL: none */
};

/* host: a name or an address that the server's certificate must have. fd stays
 * the caller's. NULL: why. */
struct ask_tls *ask_tls_open(int fd, const char *host,
	    const struct ask_tls_files *f, char *why, size_t why_len);
void	ask_tls_close(struct ask_tls *t);
/* All of it. False: errno. */
bool	ask_tls_send(struct ask_tls *t, const char *p, size_t n);
/* As recv; 0: the other side said that this is all, or left. -1: errno, and
 * ask_tls_why if that says more. */
ssize_t	ask_tls_recv(struct ask_tls *t, char *to, size_t n);
/* "": it is not TLS's fault. */
const char *ask_tls_why(const struct ask_tls *t);

#endif
