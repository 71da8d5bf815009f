/*
 * master/views.h - all resources in an order for humans: by kind, then by
 * name. For one answer, within a turn of the loop, or, held, for longer: it
 * stays what it was.
 */
#ifndef MASTER_VIEWS_H
#define MASTER_VIEWS_H

#include "master/resources.h"
#include "xds/print.h"

struct views {
	struct resource_view *at;
	size_t		 n, room;
	/* Of a kind: first[kind] and what follows, up to first[kind + 1]. */
	size_t		 first[RESOURCE_KINDS + 1];
	size_t		 held_n;	/* of at, the first */
	bool		 no_memory;
};

/* False: no memory. views_fini in either case. */
bool	views_init(struct views *v, const struct resources *r);
/* False: no memory. */
bool	views_hold(struct views *v);
void	views_fini(struct views *v);
/* "file", "control plane", "checkpoint" */
const char *views_from(enum resource_from from);
/* The resource itself, its private key not; typed: with "@type". */
void	views_body(struct print *p, const char *key, enum resource_kind kind,
	    const struct resource_version *v, bool typed);
/* The wall clock at a time of the loop's, "2026-11-26T21:52:05.310Z". */
void	views_time(int64_t since_ms, char text[32]);

#endif
