/*
 * xds/ems/rest_plan.h - plans that were shown, to be applied as they are.
 *
 * A plan is its edits, with the versions that they were compared with, so that
 * what is applied is what was shown, or nothing. Plans live for an hour, in
 * memory, of REST_PLANS_MAX the newest; who applies one holds it. Test:
 * t/mesh/910-rest.py.
 */
#ifndef XDS_EMS_REST_PLAN_H
#define XDS_EMS_REST_PLAN_H

#include "xds/ems/rest_edit.h"
#include "xds/ems/rest_inside.h"

enum { PLAN_ID_BYTES = 24 };

struct plan {
	TAILQ_ENTRY(plan) link;
	char		 id[PLAN_ID_BYTES];
	struct edits	 edits;
	int64_t		 made_ms;	/* of the loop's clock */
	char		 why[128];	/* if the writer says none */
	unsigned	 holders;	/* the list is one */
};

/* e is the plan's then; one holder. NULL: no memory, or no room. */
struct plan *plan_new(struct rest *r, struct edits *e, const char *why);
/* One holder more. NULL: there is none. */
struct plan *plan_hold(struct rest *r, const char *id);
void	plan_put(struct plan *p);
/* No longer to be found. */
void	plan_forget(struct rest *r, struct plan *p);

#endif
