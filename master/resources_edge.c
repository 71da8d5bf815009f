/*
 * master/resources_edge.c - who names whom: see resources_inside.h.
 *
 * A compilation finds what a version names; if that version is accepted, what
 * was found becomes its edges, and what nobody named before is wanted from now
 * on. Each name once, however many routes lead there.
 */
#include "master/resources_inside.h"

#include <stdlib.h>

void
edges_begin(struct resources *r)
{
	LIST_INIT(&r->found);
	r->walk++;
}

/* 0 is for ever. */
static uint32_t
longer(uint32_t a_ms, uint32_t b_ms)
{
	return a_ms == 0 || b_ms == 0 ? 0 : a_ms > b_ms ? a_ms : b_ms;
}

void
edges_find(struct resources *r, struct resource *to, bool waits,
    uint32_t missing_ms)
{
	struct edge *e;

	if (to->seen == r->walk) {
		to->found->missing_ms = longer(to->found->missing_ms,
		    missing_ms);
		return;
	}
	if ((e = calloc(1, sizeof(*e))) == NULL) {
		r->no_memory = true;
		return;
	}
	to->seen = r->walk;
	to->edges_n++;
	e->to = to;
	e->waits = waits;
	e->missing_ms = to->kind == RESOURCE_NAME ? r->settings.missing_ms :
	    to->kind == RESOURCE_CLUSTER ? r->clusters_ms : missing_ms;
	to->found = e;
	LIST_INSERT_HEAD(&r->found, e, out);
}

void
edges_free(struct resources *r, struct edges *all)
{
	struct resource *to;
	struct edge *e;

	while ((e = LIST_FIRST(all)) != NULL) {
		LIST_REMOVE(e, out);
		to = e->to;
		to->edges_n--;
		free(e);
		resource_tidy(r, to);
	}
}

void
edges_lose(struct resources *r, struct resource *to)
{
	struct edges lost;
	struct edge *e;

	LIST_INIT(&lost);
	LIST_FOREACH(e, &r->found, out)
		if (e->to == to)
			break;
	if (e == NULL)
		return;
	LIST_REMOVE(e, out);
	LIST_INSERT_HEAD(&lost, e, out);
	edges_free(r, &lost);
}

void
edges_drop(struct resources *r)
{
	edges_free(r, &r->found);
}

bool
edges_live(const struct resource *at)
{
	const struct edge *e;

	LIST_FOREACH(e, &at->in, in)
		if (e->which == LIVE)
			return true;
	return false;
}

/* It came and was refused, and who waits for it has nothing to go on with: a
 * service that can be reached is not kept from its callers by a cluster that
 * can't be. Routes without which a listener has none, and secrets, are. */
static bool
is_hopeless(const struct resource *to)
{
	const struct edge *e;

	if (to->kind != RESOURCE_CLUSTER || to->refused == NULL ||
	    to->version[NEXT] != NULL)
		return false;
	LIST_FOREACH(e, &to->in, in)
		if (e->waits && e->from->version[LIVE] != NULL)
			return false;
	return true;
}

/* A cluster that lingers is due for that. */
static void
patience_set(struct resources *r, struct resource *to, uint32_t ms)
{
	to->patience_ms = ms;
	if (!to->gone && !to->missing)
		resource_due(r, to, ms == 0 ? 0 : is_hopeless(to) ?
		    r->now_ms : to->waits_since_ms + ms);
}

void
edges_refused(struct resources *r, struct resource *to)
{
	if (to->waits_since_ms != 0)
		patience_set(r, to, to->patience_ms);
}

/* What is waited for is missing after a while: as long as one who waits has
 * patience. */
static void
waited_for(struct resources *r, struct resource *to, uint32_t ms)
{
	if (!r->open || !resource_touch(r, to))
		return;
	if (to->waits_since_ms == 0) {
		to->waits_since_ms = r->now_ms;
		patience_set(r, to, ms);
	} else
		patience_set(r, to, longer(to->patience_ms, ms));
}

static void
attach(struct resources *r, struct resource *from, struct edges *all,
    enum which which)
{
	struct edge *e;

	LIST_FOREACH(e, all, out) {
		e->from = from;
		e->which = which;
		if (LIST_EMPTY(&e->to->in) && r->settings.want != NULL)
			r->settings.want(r->settings.arg, e->to->kind,
			    e->to->name, true);
		LIST_INSERT_HEAD(&e->to->in, e, in);
		if (e->waits)
			waited_for(r, e->to, e->missing_ms);
	}
}

/* Who had the most patience does not wait any more. */
static void
waits_less(struct resources *r, struct resource *to, uint32_t ms)
{
	uint32_t longest_ms = 0;
	const struct edge *e;
	bool any = false;

	if (!r->open || ms != to->patience_ms || to->waits_since_ms == 0)
		return;
	LIST_FOREACH(e, &to->in, in) {
		if (!e->waits)
			continue;
		longest_ms = any ? longer(longest_ms, e->missing_ms) :
		    e->missing_ms;
		any = true;
		if (longest_ms == ms)
			return;
	}
	if (any && resource_touch(r, to))
		patience_set(r, to, longest_ms);
}

/* Nobody waits or names it any more. */
static void
left(struct resources *r, struct resource *to)
{
	if (LIST_EMPTY(&to->in)) {
		if (r->open && resource_touch(r, to)) {
			to->waits_since_ms = 0;
			if (!to->gone)
				resource_due(r, to, 0);
			to->missing = false;
		}
		if (r->settings.want != NULL)
			r->settings.want(r->settings.arg, to->kind, to->name,
			    false);
	}
	if (r->open && ((to->gone && !edges_live(to)) || (LIST_EMPTY(&to->in) &&
	    to->version[LIVE] != NULL && r->named[to->kind])))
		resource_dirty(r, to, false);
}

static void
detach(struct resources *r, struct edges *all)
{
	struct edge *e;

	LIST_FOREACH(e, all, out) {
		LIST_REMOVE(e, in);
		if (e->waits)
			waits_less(r, e->to, e->missing_ms);
		left(r, e->to);
	}
}

static void
move(struct edges *to, struct edges *from)
{
	struct edge *e;

	while ((e = LIST_FIRST(from)) != NULL) {
		LIST_REMOVE(e, out);
		LIST_INSERT_HEAD(to, e, out);
	}
}

/* Routes are found by the listeners that they are compiled with; they don't
 * wait for themselves. */
static void
self_drop(struct resources *r, struct resource *at)
{
	struct edge *e, *next;

	for (e = LIST_FIRST(&r->found); e != NULL; e = next) {
		next = LIST_NEXT(e, out);
		if (e->to != at)
			continue;
		LIST_REMOVE(e, out);
		at->edges_n--;
		free(e);
	}
}

/* The new ones first, so that what both name stays wanted. */
void
edges_set(struct resources *r, struct resource *at, enum which which)
{
	struct undo *u = at->undo;
	struct edges before;

	LIST_INIT(&before);
	self_drop(r, at);
	move(&before, &at->out[which]);
	move(&at->out[which], &r->found);
	attach(r, at, &at->out[which], which);
	detach(r, &before);
	if (!u->saved[which])
		move(&u->out[which], &before);
	u->saved[which] = true;
	edges_free(r, &before);
}

void
edges_clear(struct resources *r, struct resource *at, enum which which)
{
	edges_begin(r);
	edges_set(r, at, which);
}

void
edges_commit(struct resources *r, struct undo *u)
{
	for (int which = 0; which < WHICHES; which++)
		edges_free(r, &u->out[which]);
}

void
edges_abort(struct resources *r, struct undo *u)
{
	struct resource *at = u->resource;

	for (enum which which = LIVE; which < WHICHES; which++) {
		if (!u->saved[which])
			continue;
		edges_begin(r);
		move(&r->found, &u->out[which]);
		u->saved[which] = true;		/* what is there goes */
		edges_set(r, at, which);
	}
}
