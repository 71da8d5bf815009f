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

/* The HTTP status. */
int	config_dump(const struct config_dump *d, const char *query, FILE *out);

#endif
