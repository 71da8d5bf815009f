/*
 * xds/ems/admission.h - the one way intent changes: read, checked against all
 * there is, stored, and only then in the model and on its way to the proxies.
 *
 *   write ──queue──> read, check ──> store_write ──watch──> model, ems_publish
 *            one at a time              │ conflict               │
 *                                       └───────> done <─────────┘
 *
 * Invariants
 *   N1  What is in the store goes together (model_check): a write is checked
 *       against the model with all writes before it in it, which is why there
 *       is one at a time. Leases don't wait for it.
 *   N2  done comes once, after the write's changes are in every view and every
 *       proxy that takes them was woken.
 *   N3  A write that deletes more than ADMISSION_DELETES_MAX intents, and more
 *       than a fifth of all, has to say that it means that.
 *
 * Test: t/unit/admission.c.
 */
#ifndef XDS_EMS_ADMISSION_H
#define XDS_EMS_ADMISSION_H

#include <stdio.h>

#include "xds/ems/ems.h"
#include "xds/ems/store.h"

enum { ADMISSION_DELETES_MAX = 5, ADMISSION_WAITING_MAX = 1000 };

struct admission;

/* All of the store's intents are in the model already, or come by
 * admission_load. NULL: no memory. */
struct admission *admission_new(struct ems *e);
/* After store_close: a write of ours may be under way until then. */
void	admission_free(struct admission *a);
/* The watch of store_settings; arg is the admission. */
void	admission_watch(void *arg, const struct store_past *past, size_t n);
/* Once, before any write: the store, and what it has. -1: why. */
int	admission_load(struct admission *a, struct store *s,
	    const struct store_answer *items, char *why, size_t why_len);

/* As store_write; also STORE_INVALID when a body is no intent, is not the one
 * it is written as, or does not go with the others; why is then
 * "NOUN/NAME:line:col: path: what, what was expected". confirmed: N3. */
int	admission_write(struct admission *a, const struct store_write *w,
	    bool confirmed, store_done *done, void *arg);

/* What a write would do, were it admitted now; nothing is changed. */
struct admission_effect {
	const struct view *view;	/* or those that share it */
	enum resource_kind kind;
	const char	*name;		/* of the xDS resource */
	const struct body *before, *after;	/* NULL: there is none */
};
struct admission_plan {
	enum store_result result;
	char		 why[1024];
	struct admission_effect *effects;
	size_t		 effects_n;
	size_t		 proxies_n;	/* that would be sent something */
	struct view_list twins;		/* where after stands */
};
/* Versions are the store's to check. False: no memory. */
bool	admission_plan(struct admission *a, const struct store_change *changes,
	    size_t n, struct admission_plan *to);
void	admission_plan_fini(struct admission_plan *p);

#endif
