/*
 * master/status.h - /status and /config: the subscription, for a human at
 * night; godwitctl prints them as they are.
 *
 *   all is well | 2 things are wrong:          the first line; then one a line:
 *     certificates                             expired, or soon
 *     control plane                            not connected, and why
 *     followed file                            not read, and why
 *     an app                                   not registered, and why
 *     refused, does not exist, waits           resources, worst first
 *
 *   control plane, last failure, registered apps, generation
 *   a table of the kinds of resources
 *
 * Test: t/unit/status.c, t/mesh/840-operator.py.
 */
#ifndef MASTER_STATUS_H
#define MASTER_STATUS_H

#include <stdio.h>

#include "master/certificates.h"
#include "master/register.h"
#include "master/resources.h"
#include "master/rotate.h"
#include "master/subscription.h"

struct status {
	const struct resources *resources;
	const char	*file;
	struct certificates *certificates;	/* in use; or NULL */
	const struct rotate *rotate;	/* their files; or NULL */
	char		 generation[256];
	int64_t		 now_ms;	/* by the loop's clock */
	const struct feed_status *feeds;	/* what is followed */
	size_t		 feeds_n;
	const struct registers *registers;	/* NULL: none */
};

/* The HTTP status. */
int	status_print(const struct status *s, FILE *out);
/* s: says where they come from, or NULL. All resources, one version a line; or (kind=, name=) one with its text. */
int	status_config(const struct resources *r,
	    const struct subscription *s, const char *query, FILE *out);
/* "850 ms", "12 s", "5 min", "3 h 20 min", "2 d 4 h" */
const char *status_span(int64_t ms, char text[32]);

#endif
