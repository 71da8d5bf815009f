/*
 * master/ctl/ask.h - one question to admin.sock, over HTTP/1.0: the answer is
 * all that comes until the other side closes. Test: t/mesh/840-operator.py.
 */
#ifndef MASTER_CTL_ASK_H
#define MASTER_CTL_ASK_H

#include <stddef.h>

struct answer {
	int		 status;	/* of HTTP */
	char		*body;		/* ends in NUL; of malloc */
	size_t		 len;
};

/* -1: nobody answers: why. */
int	ask(const char *socket_path, const char *path, struct answer *a,
	    char *why, size_t why_len);

#endif
