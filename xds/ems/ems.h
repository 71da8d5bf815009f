/*
 * xds/ems/ems.h - the middle of the control plane: the model, the views that
 * are made of it, and the proxies that get them.
 *
 *   store ──> model ──ems_publish──> views ──wake──> proxies
 *   leases ──^                       (catalogs)      (push.h, one a stream)
 *
 * Test: t/mesh/900-ems.py.
 */
#ifndef XDS_EMS_EMS_H
#define XDS_EMS_EMS_H

#include "worker/io/loop.h"
#include "xds/ems/push.h"
#include "xds/ems/view_set.h"
#include "xds/ems/who.h"

struct proxy;
LIST_HEAD(proxies, proxy);
TAILQ_HEAD(proxies_ready, proxy);

struct ems_settings {
	struct view_settings view;
	/* Of proxies that don't say. */
	const char	*listen;	/* of sidecars, ADDRESS:PORT */
	const char	*tls;		/* view_key */
	const char	*identifier;	/* what proxies call us */
	struct who_rules who;		/* of those who come to the gRPC door */
};

struct ems {
	struct loop	*loop;
	struct ems_settings settings;
	struct model	 model;
	struct view_set	 views;
	struct proxies	 proxies;
	struct proxies_ready ready;	/* that may be owed something: X1 */
	struct task	 task;		/* works on ready */
	struct task	 publish;
	uint64_t	 pushes_n, refusals_n;	/* responses; NACKs */
	size_t		 proxies_n;
};

void	ems_init(struct ems *e, struct loop *l, const struct ems_settings *s);
/* No proxies are left. */
void	ems_fini(struct ems *e);

/* The model changed: what of it is another goes to whom it concerns. */
void	ems_publish(struct ems *e);
/* In this turn, after all else that changes it. */
void	ems_publish_soon(struct ems *e);

/* The caller that a sidecar of this node.cluster is told of only what it may
 * call as; "": it is told of all. */
const char *ems_caller(const struct ems *e, const char *cluster);

enum ems_refusal { EMS_BAD_NODE, EMS_DENIED };

/* What this proxy gets, who has these names (call_names), for view_set_put once
 * it is gone. NULL: why. */
struct view *ems_view(struct ems *e, const struct push_node *n,
	    const char *names, enum ems_refusal *refusal, char *why,
	    size_t why_len);

#endif
