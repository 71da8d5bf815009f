/*
 * master/dynamic.h - what a file says about control planes: who we are, who is
 * asked, in which way, for what. Made by master/compile_dynamic.c.
 */
#ifndef MASTER_DYNAMIC_H
#define MASTER_DYNAMIC_H

#include "master/origin.h"

struct dynamic_whole {			/* LDS, CDS: all of them */
	bool		 on;
	struct origin	*origin;	/* NULL: ADS */
};

struct dynamic {
	struct origin	*ads;		/* ads_config, or NULL */
	struct dynamic_whole listeners, clusters;
	uint32_t	 missing_ms;	/* of clusters: cds_config's
					   initial_fetch_timeout; 0: never */
	uint8_t		*node;		/* a packed Node, with our own words */
	size_t		 node_len;
	char		*node_id;
	char		*names;		/* of its clusters, each with its NUL */
	size_t		 names_len;
	uint8_t		*bootstrap;	/* the file, packed, without its
					   static_resources: to be shown */
	size_t		 bootstrap_len;
};

/* False: no memory. */
bool	dynamic_copy(struct dynamic *to, const struct dynamic *from);
void	dynamic_fini(struct dynamic *d);
/* Whether who follows a goes on with b; bootstrap is not looked at. */
bool	dynamic_same(const struct dynamic *a, const struct dynamic *b);
/* Whose resources of this kind are called by their plain names; NULL: nobody
 * sends those. */
struct origin *dynamic_origin(const struct dynamic *d,
	    enum resource_kind kind);

#endif
