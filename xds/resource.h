/*
 * xds/resource.h - the kinds of resources that a control plane sends
 * (resource.def). Test: t/unit/ads.c.
 */
#ifndef XDS_RESOURCE_H
#define XDS_RESOURCE_H

#include <stdbool.h>

enum resource_kind {
#define RESOURCE(id, word, message, whole, acronym, service, method) RESOURCE_##id,
#include "xds/resource.def"
#undef RESOURCE
	RESOURCE_KINDS,
	/* One that nobody sends: the addresses of a host name, as a cluster
	 * asks for them (master/resolve.h). */
	RESOURCE_NAME = RESOURCE_KINDS,
	RESOURCE_KINDS_ALL
};

struct resource_about {
	const char	*word;		/* "cluster" */
	const char	*message;	/* full name */
	bool		 whole;		/* resource.def */
	const char	*acronym;	/* "CDS" */
	const char	*service, *method;
};

const struct resource_about *resource_about(enum resource_kind kind);
/* By "type.googleapis.com/NAME" or NAME; -1: none of ours. */
int	resource_kind_find(const char *type_url);

#endif
