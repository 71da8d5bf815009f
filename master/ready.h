/*
 * master/ready.h - /ready: whether callers can come, for probes and for what
 * sends callers here.
 *
 *   what listens                                    answer
 *   nothing (or only what the file has, and its     503, and why
 *     control plane has not spoken of listeners)
 *   something, and one waits for what it names      503, if it never was 200
 *   all that was heard of, but what was refused     200
 *
 * Not whether all is well (status.h): a change that is refused or waits, an app
 * that is not there or a control plane that is gone takes nobody out of
 * service.
 *
 * Test: t/mesh/840-operator.py.
 */
#ifndef MASTER_READY_H
#define MASTER_READY_H

#include <stdio.h>

#include "master/dynamic.h"
#include "master/resources.h"

struct ready {
	const struct resources *resources;
	const struct dynamic *dynamic;
	bool		 heard;		/* who sends listeners has answered */
	bool		 was;		/* it was 200, or a dead master's may
					   have been */
};

/* The HTTP status; out has a sentence. */
int	ready_print(const struct ready *r, FILE *out);

#endif
