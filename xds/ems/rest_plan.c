/* xds/ems/rest_plan.c - see rest_plan.h. */
#include "xds/ems/rest_plan.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int64_t
now_ms(const struct rest *r)
{
	return r->loop->now.ns / 1000000;
}

void
plan_put(struct plan *p)
{
	if (p == NULL || --p->holders > 0)
		return;
	edits_fini(&p->edits);
	free(p);
}

void
plan_forget(struct rest *r, struct plan *p)
{
	struct plan *at;

	TAILQ_FOREACH(at, &r->plans, link)
		if (at == p)
			break;
	if (at == NULL)
		return;
	TAILQ_REMOVE(&r->plans, p, link);
	r->plans_n--;
	r->plans_bytes -= p->edits.bytes;
	plan_put(p);
}

static void
plans_expire(struct rest *r)
{
	struct plan *p;

	while ((p = TAILQ_FIRST(&r->plans)) != NULL &&
	    (now_ms(r) - p->made_ms >= REST_PLAN_MS ||
	    r->plans_n > REST_PLANS_MAX || r->plans_bytes > REST_HELD_BYTES))
		plan_forget(r, p);
}

struct plan *
plan_new(struct rest *r, struct edits *e, const char *why)
{
	struct plan *p = e->bytes > REST_HELD_BYTES ? NULL :
	    calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	snprintf(p->id, sizeof(p->id), "p%016" PRIx64,
	    r->loop->sys->random(r->loop->sys->ctx));
	snprintf(p->why, sizeof(p->why), "%s", why);
	p->edits = *e;
	*e = (struct edits){ 0 };
	p->made_ms = now_ms(r);
	p->holders = 2;
	TAILQ_INSERT_TAIL(&r->plans, p, link);
	r->plans_n++;
	r->plans_bytes += p->edits.bytes;
	plans_expire(r);
	return p;
}

struct plan *
plan_hold(struct rest *r, const char *id)
{
	struct plan *p;

	plans_expire(r);
	TAILQ_FOREACH(p, &r->plans, link)
		if (strcmp(p->id, id) == 0) {
			p->holders++;
			return p;
		}
	return NULL;
}

void
plans_free(struct rest *r)
{
	struct plan *p;

	while ((p = TAILQ_FIRST(&r->plans)) != NULL)
		plan_forget(r, p);
}
