/*
 * master/resolve.h - the host names that clusters name, and their addresses,
 * between the set of resources and dns.h.
 *
 *   cluster ──names──> RESOURCE_NAME ──want──> resolve ──dns_watch──> c-ares
 *                            ^                    │ ready
 *                            └────── put <────────┘ in the owner's next stage
 *
 * Invariants
 *   V1  A name is watched while a version of a cluster names it.
 *   V2  What was good stays: a name that can't be resolved has the addresses
 *       that it had, those of a dead master's journal too. Only one that never
 *       had any is put without.
 *   V3  The first address, which a LOGICAL_DNS cluster uses, stays the first
 *       for as long as it is in the answer. (Envoy takes the first of each
 *       answer, and servers turn those around.)
 *
 * Test: t/mesh/820-dns.py; of the set, t/unit/resources_name.c.
 */
#ifndef MASTER_RESOLVE_H
#define MASTER_RESOLVE_H

#include <stdio.h>

#include "master/resources.h"
#include "worker/io/loop.h"

struct resolve;

struct resolve_settings {
	struct loop	*loop;
	struct resources *resources;
	const char	*servers;	/* of struct dns_settings, or ""; read
					   when the first name is wanted */
	void		(*ready)(void *arg);	/* there is something to put */
	void		*arg;
};

/* NULL: no memory. */
struct resolve *resolve_new(const struct resolve_settings *s);
void	resolve_free(struct resolve *r);
/* As resources_settings.want, of a RESOURCE_NAME. */
void	resolve_want(struct resolve *r, const char *name, bool on);
/* Whether there may be something to put. */
bool	resolve_pending(const struct resolve *r);
/* Into the open stage: all that differs from what is there. */
void	resolve_put(struct resolve *r);
/* What was put is lost. */
void	resolve_again(struct resolve *r);
/* Each name, a line, for a human. */
void	resolve_print(const struct resolve *r, FILE *out);

#endif
