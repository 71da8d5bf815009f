/*
 * xds/ads_judge.c - what a response means for what is wanted and held (ads.h).
 *
 *   a part      ignored (nobody asked), refused, a heartbeat, or an item
 *   a name      removed: absent (SotW, whole kinds) or said so (delta)
 *   the whole   refused once, when it is a server's empty start
 *
 * When something of a response can't be named, nothing is removed by absence:
 * it could be just that. When it has heartbeats only, neither: servers send
 * only what has a TTL then (go-control-plane does).
 *
 * Source: xDS protocol document; gRFC A46; reference/envoy-xds.md 2.2, 2.6.
 * Test: t/unit/ads.c, t/unit/ads_delta.c.
 */
#include "xds/ads_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- its parts */

static int
by_name(const void *a, const void *b)
{
	const struct ads_part *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

/* Which of two is meant nobody knows: neither is taken. */
static int
refuse_twice(struct ads_response *r)
{
	struct ads_part **sorted;
	size_t n = 0;

	sorted = load_alloc(r->arena, (r->parts_n + 1) * sizeof(*sorted));
	if (sorted == NULL)
		return -1;
	for (size_t i = 0; i < r->parts_n; i++)
		if (r->parts[i].name != NULL && !r->parts[i].is_ignored)
			sorted[n++] = &r->parts[i];
	qsort(sorted, n, sizeof(*sorted), by_name);
	for (size_t i = 1; i < n; i++)
		if (by_name(&sorted[i - 1], &sorted[i]) == 0) {
			sorted[i - 1]->why = "it is given twice";
			sorted[i]->why = "it is given twice";
		}
	return 0;
}

static void
judge(struct ads *a, const struct ads_response *r, struct ads_part *p)
{
	struct ads_kind *k = &a->kinds[r->kind];
	struct ads_name *n;

	if (p->name == NULL)
		return;
	if (strncmp(p->name, "xdstp:", 6) == 0) {
		p->why = "names of the form xdstp:// are not supported";
		return;
	}
	if (strcmp(p->name, "*") == 0) {
		p->why = "no resource may be named *";
		return;
	}
	n = ads_name_find(k, p->name);
	if (n != NULL)
		n->seen = a->serial;
	if (n != NULL && n->gone == a->serial)
		p->why = "it is both sent and removed";
	if (!ads_is_covered(a, k) && (n == NULL || !n->wanted))
		p->is_ignored = true;
	else if (p->is_heartbeat && p->why == NULL && (n == NULL ||
	    n->version == NULL || strcmp(n->version, p->version) != 0))
		p->why = ads_say(r->arena, "it has no body, and its version "
		    "\"%.100s\" is not what is held", p->version);
}

/* ---- what is gone */

bool
ads_is_heartbeats(const struct ads_response *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->parts_n; i++)
		n += r->parts[i].is_heartbeat;
	return n > 0 && n == r->parts_n && r->named_n == 0;
}

static bool
is_all_named(const struct ads_response *r)
{
	for (size_t i = 0; i < r->parts_n; i++)
		if (r->parts[i].name == NULL)
			return false;
	return true;
}

int
ads_add_removed(struct ads_response *r, const struct ads_name *n)
{
	const char *copy = ads_copy(r->arena, n->text);

	if (copy == NULL)
		return -1;
	r->removed[r->removed_n++] = copy;
	return 0;
}

static int
find_absent(struct ads *a, struct ads_response *r)
{
	struct ads_kind *k = &a->kinds[r->kind];
	struct ads_name *n;

	r->removed = load_alloc(r->arena, (k->held_n + 1) *
	    sizeof(*r->removed));
	if (r->removed == NULL)
		return -1;
	TAILQ_FOREACH(n, &k->names, all)
		if (n->version != NULL && n->seen != a->serial &&
		    ads_add_removed(r, n) == -1)
			return -1;
	return 0;
}

static int
find_named(struct ads *a, struct ads_response *r)
{
	struct ads_name *n;

	r->removed = load_alloc(r->arena, (r->named_n + 1) *
	    sizeof(*r->removed));
	if (r->removed == NULL)
		return -1;
	for (size_t i = 0; i < r->named_n; i++) {
		n = ads_name_find(&a->kinds[r->kind], r->named[i]);
		if (n == NULL || n->version == NULL || n->gone != a->serial ||
		    n->seen == a->serial)
			continue;
		n->gone = 0;		/* it may be named twice */
		if (ads_add_removed(r, n) == -1)
			return -1;
	}
	return 0;
}

/* Which of what we hold is gone. -1: no memory. */
static int
find_removed(struct ads *a, struct ads_response *r)
{
	if (a->settings.delta)
		return find_named(a, r);
	if (resource_about(r->kind)->whole && !ads_is_heartbeats(r) &&
	    is_all_named(r))
		return find_absent(a, r);
	return 0;
}

/* ---- the whole */

/* A server that has just started and knows nothing yet would empty us: it must
 * say so twice. */
static void
check_empty(struct ads *a, struct ads_response *r)
{
	struct ads_kind *k = &a->kinds[r->kind];
	char why[128];

	if (!resource_about(r->kind)->whole || a->settings.empty_meant)
		return;
	if (r->parts_n > 0) {
		k->emptied = false;
		return;
	}
	if (k->responses_n > 1 || k->held_n == 0 || k->emptied ||
	    r->removed_n < k->held_n)
		return;
	snprintf(why, sizeof(why), "the first response of this stream would "
	    "remove all that is held (%zu); send it again if that is meant",
	    k->held_n);
	k->emptied = true;
	r->why = ads_copy(r->arena, why);
	if (r->why == NULL)
		r->why = "no memory";
	r->removed_n = 0;
}

int
ads_judge(struct ads *a, struct ads_response *r)
{
	struct ads_name *n;

	for (size_t i = 0; i < r->named_n; i++)
		if ((n = ads_name_find(&a->kinds[r->kind], r->named[i])) !=
		    NULL)
			n->gone = a->serial;
	for (size_t i = 0; i < r->parts_n; i++)
		judge(a, r, &r->parts[i]);
	if (refuse_twice(r) == -1 || find_removed(a, r) == -1)
		return -1;
	check_empty(a, r);
	return 0;
}
