/*
 * xds/ems/view_inside.h - what the files of xds/ems/view share.
 *
 *   view.c           when what is made anew
 *   view_text.c      YAML of ours to packed messages
 *   view_listener.c  listeners, their filters, TLS
 *   view_route.c     routes of a service, and all of them together
 *   view_cluster.c   clusters and endpoints
 */
#ifndef XDS_EMS_VIEW_INSIDE_H
#define XDS_EMS_VIEW_INSIDE_H

#include <stdio.h>

#include "xds/ems/view.h"

typedef Godwit__Ems__V1__Gateway Gateway;
typedef Godwit__Ems__V1__Service Service;
typedef Godwit__Ems__V1__Service__Method Method;
typedef Godwit__Ems__V1__Caller Caller;

/* One compilation. */
struct pass {
	struct view	*view;
	const struct model *model;
	bool		 all;		/* all is made anew, but for services */
	char		*why;
	size_t		 why_len;
};

/* ---- view_told.c */
/* What it is told of, as the model is now; anew: as if it had been nothing. -1:
 * why. */
int	view_told(const struct pass *p, bool *anew);
/* Whether its proxies are told of it. */
bool	view_sees(const struct view *v, const struct model_service *s);

/* ---- view_text.c. Text is begun, written to, and ended once. */
struct text {
	FILE		*out;		/* NULL: no memory */
	char		*bytes;
	size_t		 n;
};
void	text_begin(struct text *t);
/* The message of this full name that the text is, packed. NULL: why. */
struct body *text_end(struct text *t, const struct pass *p,
	    const char *message);
/* The same, put into the catalog under its name. */
int	text_put(struct text *t, const struct pass *p,
	    enum resource_kind kind, const char *name);

/* A message as a resource. NULL: no memory. */
struct body *view_pack(const ProtobufCMessage *m);

/* ---- view_listener.c */
int	view_listeners(const struct pass *p);
/* gRPC: a service's API listener. */
int	view_api_listener(const struct pass *p,
	    const struct model_service *s);
/* "tls_certificates: ..., validation_context: ..." with this SAN matcher. */
void	view_tls_print(FILE *f, const struct view *v, const char *matcher);

/* ---- view_route.c */
int	view_service_routes(const struct pass *p, struct model_service *s);
/* Of all services' parts. */
int	view_routes(const struct pass *p);
/* "route: {cluster ...}" of a service here, with what its method says. */
void	view_route_print(FILE *f, const struct view *v,
	    const struct model_service *s, const Method *m);

/* ---- view_cluster.c */
int	view_gateways(const struct pass *p);
int	view_clusters(const struct pass *p, const struct model_service *s);
/* recast: its versions may be others. */
int	view_endpoints(const struct pass *p, const struct model_service *s,
	    bool recast);
/* "tasks.TaskStore", or "tasks.TaskStore@canary"; to has 2 * 129 bytes. */
enum { VIEW_CLUSTER_BYTES = 2 * (INTENT_NAME_MAX + 1) };
void	view_cluster_name(char *to, const struct model_service *s,
	    const char *version);

#endif
