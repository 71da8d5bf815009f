/*
 * master/config_dump.h - /config_dump: all that is configured, in the shape in
 * which Envoy answers it, so that what reads Envoy's reads ours.
 *
 *   {configs: [bootstrap, clusters, endpoints, listeners, scoped routes (none),
 *              routes, secrets]}                in the order of Envoy 1.40
 *   ?include_eds            endpoints too
 *   ?resource=NAME          only this list, "dynamic_active_clusters"
 *   ?name_regex=REGEX       only what is called so, as a whole (POSIX extended)
 *   ?mask=                  refused
 *
 * More than Envoy says: error_state and client_status of every dynamic
 * resource, and an entry for each that is asked for and not there, or refused.
 * Less: what our subset of a message lacks, and what Envoy works out
 * (endpoints' health, its extensions).
 *
 * It is made in pieces, so that nobody waits for one who looks on: with 10,000
 * clusters 15 ms, in which the names are gathered, then 1 ms a turn, where all
 * at once took 137 ms (453 with endpoints). All of it is as it was when it was
 * asked for: it holds names and versions of then, for as long as its reader may
 * take (10 s, responder.h). A resource is in one piece, however large.
 *
 * Source: envoy/admin/v3/config_dump.proto, config_dump_shared.proto; what
 * Envoy 1.40 answers. Test: t/unit/status.c, t/mesh/840-operator.py.
 */
#ifndef MASTER_CONFIG_DUMP_H
#define MASTER_CONFIG_DUMP_H

#include <stdio.h>

#include "master/resources.h"

struct config_dump {
	const struct resources *resources;
	const struct dynamic *dynamic;	/* its bootstrap */
	/* By kind: the last that was accepted, or NULL. */
	const char	*versions[RESOURCE_KINDS];
};

struct config_dump_run;

/* The HTTP status. 200: *d is the answer, of which nothing is written yet;
 * else out says why there is none. */
int	config_dump_begin(const struct config_dump *of, const char *query,
	    FILE *out, struct config_dump_run **d);
/* The next piece, which may be empty. False: it was the last. */
bool	config_dump_more(struct config_dump_run *d, FILE *out);
void	config_dump_end(struct config_dump_run *d);

#endif
