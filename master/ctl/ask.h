/*
 * master/ctl/ask.h - one question over HTTP/1.0: the answer is all that comes
 * until the other side closes. Tests: t/mesh/840-operator.py, 910-rest.py,
 * 912-rest-tls.py.
 */
#ifndef MASTER_CTL_ASK_H
#define MASTER_CTL_ASK_H

#include <stdbool.h>
#include <stddef.h>

#include "master/ctl/ask_tls.h"

struct question {
	const char	*where;		/* path of a socket, or HOST:PORT */
	bool		 tcp, tls;	/* tls: over TCP */
	struct ask_tls_files files;	/* of tls */
	const char	*hint;		/* when nobody answers, or NULL */
	const char	*method;	/* NULL: GET */
	const char	*path;
	const char	*who, *token;	/* or NULL */
	const char	*body;
	size_t		 body_n;
};

struct answer {
	int		 status;	/* of HTTP */
	char		*body;		/* ends in NUL; of malloc */
	size_t		 len;
};

/* -1: nobody answers: why. */
int	ask(const struct question *q, struct answer *a, char *why,
	    size_t why_len);

#endif
