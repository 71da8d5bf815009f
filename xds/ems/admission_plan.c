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
		TAILQ_FOREACH(e, &c->kinds[kind]->entries, change) {
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

/* Sidecars that differ only in where they listen have what one of them has, and
 * their listeners are nothing of the model's. */
static bool
is_as_another(const struct view *v)
{
	return v->key.role == VIEW_SIDECAR && !view_owns(v, RESOURCE_CLUSTER);
}

static size_t
proxies_of(const struct ems *e, const struct view *v)
{
	const struct proxy *at;
	size_t n = 0;

	LIST_FOREACH(at, &e->proxies, link)
		n += at->view == v || (at->view != NULL &&
		    is_as_another(at->view) &&
		    at->view->of[RESOURCE_CLUSTER] == v);
	return n;
}

/* The twins of those that v has something of are there (view_set.h V2). */
static struct view *
twin_new(struct ems *e, const struct view *v)
{
	struct view *twin = view_new(&e->settings.view, &v->key,
	    view_set_has_parts(v) ? view_set_number(&e->views) : 0);

	for (enum resource_kind kind = 0; twin != NULL &&
	    kind < RESOURCE_KINDS; kind++)
		if (!view_owns(v, kind))
			view_share(twin, v->of[kind]->twin, kind);
	if (twin != NULL)
		twin->base = v->base == NULL ? NULL : v->base->twin;
	return twin;
}

static bool
view_try(struct ems *e, struct view *v, struct admission_plan *p,
    size_t *size)
{
	size_t before = p->effects_n;

	if ((v->twin = twin_new(e, v)) == NULL)
		return false;
	TAILQ_INSERT_TAIL(&p->twins, v->twin, link);
	if (view_compile(v->twin, &e->model, p->why, sizeof(p->why)) == -1 ||
	    !compare(p, v, v->twin, false, size) || !compare(p, v, v->twin,
	    true, size))
		return false;
	if (p->effects_n > before)
		p->proxies_n += proxies_of(e, v);
	return true;
}

static bool
views_try(struct ems *e, struct admission_plan *p)
{
	size_t size = 0;
	struct view *v;
	bool good = true;

	TAILQ_FOREACH(v, &e->views.all, link)
		good = good && (is_as_another(v) || view_try(e, v, p, &size));
	TAILQ_FOREACH(v, &p->twins, link)
		if (view_set_has_parts(v))
			view_set_number_put(&e->views, v->number);
	return good;
}

bool
admission_plan(struct admission *a, const struct store_change *changes,
    size_t n, struct admission_plan *to)
{
	struct ems *e = admission_ems(a);
	struct trial t;
	bool good;

	*to = (struct admission_plan){ .result = STORE_INVALID };
	TAILQ_INIT(&to->twins);
	if (trial_begin(&e->model, changes, n, &t, to->why,
	    sizeof(to->why)) == -1)
		return true;
	to->result = STORE_OK;
	good = views_try(e, to);
	trial_end(&e->model, &t);
	if (!good)
		admission_plan_fini(to);
	return good;
}

void
admission_plan_fini(struct admission_plan *p)
{
	struct view *v;

	while ((v = TAILQ_FIRST(&p->twins)) != NULL) {
		TAILQ_REMOVE(&p->twins, v, link);
		view_free(v);
	}
	free(p->effects);
	p->effects = NULL;
	p->effects_n = 0;
}
