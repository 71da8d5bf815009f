/*
 * xds/ems/admission_plan.c - what a write would do (admission.h): each view is
 * made anew beside itself, and the two catalogs are compared.
 */
#include "xds/ems/admission_inside.h"

#include <stdlib.h>
#include <string.h>

#include "shm/log.h"
#include "xds/ems/proxy.h"

static bool
effect_add(struct admission_plan *p, const struct admission_effect *e,
    size_t *size)
{
	size_t to_size = *size == 0 ? 32 : *size * 2;
	struct admission_effect *to;

	if (p->effects_n == *size) {
		to = realloc(p->effects, to_size * sizeof(*to));
		if (to == NULL)
			return false;
		p->effects = to;
		*size = to_size;
	}
	p->effects[p->effects_n++] = *e;
	return true;
}

static bool
is_same(const struct body *a, const struct body *b)
{
	return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

/* What is in to and is not so in from; gone: what is only in from. */
static bool
compare(struct admission_plan *p, const struct view *from,
    const struct view *to, bool gone, size_t *size)
{
	const struct catalog *c = gone ? &from->catalog : &to->catalog;
	const struct catalog *other = gone ? &to->catalog : &from->catalog;
	const struct catalog_entry *e, *o;

	for (enum resource_kind kind = 0; kind < RESOURCE_KINDS; kind++)
		TAILQ_FOREACH(e, &c->kinds[kind].entries, change) {
			struct admission_effect effect = { from, kind,
			    e->name, NULL, NULL };

			o = catalog_find(other, kind, e->name);
			if (e->body == NULL || (o != NULL && o->body != NULL &&
			    (gone || is_same(e->body, o->body))))
				continue;
			effect.after = gone ? NULL : e->body;
			effect.before = gone ? e->body : o == NULL ? NULL :
			    o->body;
			if (!effect_add(p, &effect, size))
				return false;
		}
	return true;
}

static size_t
proxies_of(const struct ems *e, const struct view *v)
{
	const struct proxy *at;
	size_t n = 0;

	LIST_FOREACH(at, &e->proxies, link)
		n += at->view == v;
	return n;
}

/* The numbers of real views end before e->views_n. */
static bool
view_try(struct ems *e, const struct view *v, struct admission_plan *p,
    size_t *size)
{
	struct view *next = view_new(&e->settings.view, &v->key, e->views_n);
	size_t before = p->effects_n;

	if (next == NULL)
		return false;
	next->next = p->views;
	p->views = next;
	if (view_compile(next, &e->model, p->why, sizeof(p->why)) == -1 ||
	    !compare(p, v, next, false, size) || !compare(p, v, next, true,
	    size))
		return false;
	if (p->effects_n > before)
		p->proxies_n += proxies_of(e, v);
	return true;
}

bool
admission_plan(struct admission *a, const struct store_change *changes,
    size_t n, struct admission_plan *to)
{
	struct ems *e = admission_ems(a);
	struct trial t;
	size_t size = 0;
	bool good = true;

	*to = (struct admission_plan){ .result = STORE_INVALID };
	if (trial_begin(&e->model, changes, n, &t, to->why,
	    sizeof(to->why)) == -1)
		return true;
	to->result = STORE_OK;
	for (const struct view *v = e->views; good && v != NULL; v = v->next)
		good = view_try(e, v, to, &size);
	trial_end(&e->model, &t);
	if (!good)
		admission_plan_fini(to);
	return good;
}

void
admission_plan_fini(struct admission_plan *p)
{
	struct view *v;

	while ((v = p->views) != NULL) {
		p->views = v->next;
		view_free(v);
	}
	free(p->effects);
	p->effects = NULL;
	p->effects_n = 0;
}
