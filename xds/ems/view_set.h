/*
 * xds/ems/view_set.h - the views that there are: made when the first proxy of a
 * kind comes, shared by all of that kind, gone some time after the last.
 *
 *   view_set_get ──> found, idle or made ──> used by n ──view_set_put──> 0
 *                                          ^                       │ a whole one
 *                                          └──view_set_get── idle <───┤
 *                                            the longest so goes   └──> gone
 *
 * That of a caller which is told only of what it may call has a base, the view
 * that has all, used or not, and takes its clusters and routes from there.
 *
 * A view is whole if it has clusters of its own (view.h), else it is light: a
 * listener, and the rest is another's, which it uses. So what a proxy says of
 * itself, where it listens, costs a few KiB.
 *
 * Invariants
 *   V1  A view is there as long as somebody uses it: a stream, or a view that
 *       has resources of it.
 *   V2  Whose resources are shared, and who is a base, comes before those that
 *       share them, in the order in which all are compiled.
 *   V3  Of those that nobody uses only whole ones are kept, VIEW_SET_IDLE_MAX
 *       (and whom they share with): they are kept up to date, so that a fleet
 *       that comes again finds them.
 *   V4  Only whole views are limited, for the others are fewer than streams.
 *
 * Test: t/unit/view_set.c, t/mesh/900-ems.py.
 */
#ifndef XDS_EMS_VIEW_SET_H
#define XDS_EMS_VIEW_SET_H

#include "xds/ems/view.h"

enum {
	VIEW_SET_WHOLE_MAX = 1024, VIEW_SET_IDLE_MAX = 32,
	/* Those whose routes have parts, once more for a plan. */
	VIEW_SET_NUMBERS = 2 * VIEW_SET_WHOLE_MAX,
};

struct view_set {
	const struct view_settings *settings;
	struct model	*model;
	struct view_list all;		/* V2 */
	struct view_list idle;		/* the longest so is first */
	size_t		 all_n, whole_n, idle_n;
	bool		 numbers[VIEW_SET_NUMBERS];	/* that are taken */
};

/* Both outlive it. */
void	view_set_init(struct view_set *s, const struct view_settings *settings,
	    struct model *m);
/* Nobody uses any. */
void	view_set_fini(struct view_set *s);

/* That of this key, as the model is; used by one more. NULL: why. */
struct view *view_set_get(struct view_set *s, const struct view_key *k,
	    char *why, size_t why_len);
/* Used by one less, and maybe gone. */
void	view_set_put(struct view_set *s, struct view *v);

/* Whether its routes are made of parts in the model, under its number. */
bool	view_set_has_parts(const struct view *v);
/* For parts in the model, of no other view; given back with its parts. */
uint32_t view_set_number(struct view_set *s);
void	view_set_number_put(struct view_set *s, uint32_t number);

#endif
