/*
 * xds/ems/view.h - what all proxies of one role in one region get, out of the
 * model: a catalog of xDS resources, kept as the model changes.
 *
 *              sidecar in us               gateway of eu          gRPC client in us
 *   LDS        mesh: where callers come    its name: mutual TLS   a service's name:
 *                                          and RBAC               an API listener
 *   RDS        mesh                        mesh                   (in the listener)
 *   CDS, EDS   each service, its versions  the same               the same
 *              gateway/REGION
 *
 * What does not differ is made once (view_shares):
 *
 *   EDS    for all of a region
 *   RDS    for all of a role in it
 *   CDS    for those of them that say the same tls, which their gateways'
 *          clusters name; tls is nothing to the others
 *   LDS    for each listen, each gateway's name
 *
 * Of a service only the endpoints in its own region are in it; the rest is
 * behind the gateways. The routes of mesh, first match wins:
 *
 *   x-region names     another region     ──> gateway/REGION, or refused for a
 *                                             service that is not allowed there
 *                      no region of ours  ──> refused
 *   then, by path or :authority           ──> the service here; without x-region
 *                                             and with none here: regions.order
 *
 * Written as YAML and read by xds/load.c, so that what is sent is what an
 * operator could write, and nothing that godwit would refuse.
 *
 * Invariants
 *   W1  The same model gives the same bytes, whatever came in what order.
 *   W2  What a service's change costs does not grow with the others, but for
 *       the routes, which are one resource.
 *   W3  Of a kind that is another view's nothing is made here; it is compiled
 *       before this one. One with a base makes no clusters and no routes: it
 *       has the base's, of fewer services.
 *
 * Source: design.md 7; envoy-xds.md 2.10 (what gRPC clients take).
 * Test: t/unit/view.c, t/mesh/900-ems.py.
 */
#ifndef XDS_EMS_VIEW_H
#define XDS_EMS_VIEW_H

#include "xds/ems/catalog.h"
#include "xds/ems/model.h"

enum view_role { VIEW_SIDECAR, VIEW_GATEWAY, VIEW_GRPC };

struct view_settings {
	const char	*mesh;		/* of spiffe://MESH/region/... */
	const char	*region_header;	/* "x-region" */
};

/* What it is made for. All are "" where they have no meaning. */
struct view_key {
	enum view_role	 role;
	const char	*region;
	const char	*gateway;	/* its name */
	const char	*listen;	/* ADDRESS:PORT */
	/* The folder on the proxy's machine with tls.crt, tls.key, ca.crt. */
	const char	*tls;
	/* A sidecar's, that is told only of what it may call. */
	const char	*caller;
};

struct view {
	TAILQ_ENTRY(view) link, idle;	/* view_set.h */
	uint64_t	 hash;		/* of the key */
	const struct view_settings *settings;
	struct view_key	 key;		/* the view's own copies */
	uint32_t	 number;	/* of its parts in a service, if RDS is
					 * its own */
	unsigned	 users;		/* view_set.h V1 */
	struct view	*of[RESOURCE_KINDS];	/* whose; mostly its own */
	/* Of which it has the services that its caller is told of, or NULL. */
	struct view	*base;
	uint64_t	 told_by;	/* that intent's number; 0: told of all */
	struct model_service **sees;	/* what it is told of then, by name */
	size_t		 sees_n, sees_size;
	struct body	*frame, *last;	/* view_route.c: around the services */
	struct view	*twin;		/* admission_plan.c */
	struct catalog	 catalog;
	bool		 made;		/* all of the model is in it */
	bool		 broken;	/* or, after a failure, only some */
	/* The last compilation changed its catalog; or what it has. */
	bool		 changed, news;
};
TAILQ_HEAD(view_list, view);

/* NULL: no memory. */
struct view *view_new(const struct view_settings *s,
	    const struct view_key *k, uint32_t number);
void	view_free(struct view *v);
uint64_t view_hash(const struct view_key *k);
bool	view_is(const struct view *v, const struct view_key *k);
/* Whether one of this key has of this kind what v has. */
bool	view_shares(const struct view *v, const struct view_key *k,
	    enum resource_kind kind);
/* v, which is not made yet, has those of from. */
void	view_share(struct view *v, struct view *from,
	    enum resource_kind kind);
static inline bool
view_owns(const struct view *v, enum resource_kind kind)
{
	return v->of[kind] == v;
}

/* Brings it up to the model, of which only what is dirty is looked at. 1: it,
 * or whom it shares with, is another (news); 0: it is not. -1: why; some of it
 * may be. */
int	view_compile(struct view *v, const struct model *m, char *why,
	    size_t why_len);

#endif
