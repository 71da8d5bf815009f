/*
 * xds/ems/view.c - see view.h: what is made anew when something changed.
 *
 *   regions, gateways            gateways' clusters, all routes
 *   callers, and who answers     a gateway's rules, which name paths
 *   which names
 *   what a caller is told of     its clusters and routes, which are joined
 *   a service                    its clusters, endpoints and routes; then the
 *                                routes of all, which are joined, not made
 *   its endpoints                those; its routes if regions.order follows them
 */
#include "xds/ems/view.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "xds/ems/view_inside.h"

struct view *
view_new(const struct view_settings *s, const struct view_key *k,
    uint32_t number)
{
	struct view *v = calloc(1, sizeof(*v));

	if (v == NULL)
		return NULL;
	v->settings = s;
	v->number = number;
	v->hash = view_hash(k);
	for (int i = 0; i < RESOURCE_KINDS; i++)
		v->of[i] = v;
	v->key = (struct view_key){ k->role, strdup(k->region),
	    strdup(k->gateway), strdup(k->listen), strdup(k->tls),
	    strdup(k->caller) };
	if (v->key.region != NULL && v->key.gateway != NULL &&
	    v->key.listen != NULL && v->key.tls != NULL &&
	    v->key.caller != NULL && catalog_init(&v->catalog))
		return v;
	view_free(v);
	return NULL;
}

/* Its texts are ours. */
static void
text_free(const char *text)
{
	free((char *)(uintptr_t)text);
}

void
view_free(struct view *v)
{
	if (v == NULL)
		return;
	catalog_fini(&v->catalog);
	body_put(v->frame);
	body_put(v->last);
	free(v->sees);
	text_free(v->key.region);
	text_free(v->key.gateway);
	text_free(v->key.listen);
	text_free(v->key.tls);
	text_free(v->key.caller);
	free(v);
}

static uint64_t
text_hash(const char *text, uint64_t hash)
{
	return XXH3_64bits_withSeed(text, strlen(text) + 1, hash);
}

uint64_t
view_hash(const struct view_key *k)
{
	return text_hash(k->region, text_hash(k->gateway, text_hash(k->listen,
	    text_hash(k->tls, text_hash(k->caller, (uint64_t)k->role)))));
}

bool
view_is(const struct view *v, const struct view_key *k)
{
	return v->key.role == k->role &&
	    strcmp(v->key.region, k->region) == 0 &&
	    strcmp(v->key.gateway, k->gateway) == 0 &&
	    strcmp(v->key.listen, k->listen) == 0 &&
	    strcmp(v->key.tls, k->tls) == 0 &&
	    strcmp(v->key.caller, k->caller) == 0;
}

bool
view_shares(const struct view *v, const struct view_key *k,
    enum resource_kind kind)
{
	bool role = v->key.role == k->role &&
	    strcmp(v->key.caller, k->caller) == 0;

	if (strcmp(v->key.region, k->region) != 0)
		return false;
	switch (kind) {
	case RESOURCE_ENDPOINT:
		return true;
	case RESOURCE_ROUTE:
		return role && k->role != VIEW_GRPC;
	case RESOURCE_CLUSTER:
		return role && (k->role != VIEW_SIDECAR ||
		    strcmp(v->key.tls, k->tls) == 0);
	default:
		return false;
	}
}

void
view_share(struct view *v, struct view *from, enum resource_kind kind)
{
	assert(!v->made && view_owns(v, kind) && view_owns(from, kind));
	catalog_share(&v->catalog, &from->catalog, kind);
	v->of[kind] = from;
	from->users++;
}

static bool
follows_endpoints(const struct model_service *s)
{
	const Service *m = model_message(s);

	return m != NULL && m->regions != NULL && m->regions->n_order > 0;
}

static int
service_listener(const struct pass *p, const struct model_service *s)
{
	if (!s->gone)
		return view_api_listener(p, s);
	catalog_remove(&p->view->catalog, RESOURCE_LISTENER, s->name);
	return 0;
}

/* What the model says of a service, as far as it is news to this view. */
struct look {
	bool	 dirty, recast;		/* model_service */
	bool	 all;			/* routes are made anew */
};

static int
service_compile(const struct pass *p, struct model_service *s,
    const struct look *l, bool *routes)
{
	const struct view *v = p->view;

	if ((l->recast && view_owns(v, RESOURCE_CLUSTER) &&
	    view_clusters(p, s) < 0) || (l->dirty &&
	    view_owns(v, RESOURCE_ENDPOINT) &&
	    view_endpoints(p, s, l->recast) < 0))
		return -1;
	if (v->key.role == VIEW_GRPC)
		return l->recast ? service_listener(p, s) : 0;
	if (!view_owns(v, RESOURCE_ROUTE) || v->base != NULL || (!l->all &&
	    !l->recast && !(l->dirty && follows_endpoints(s))))
		return 0;
	*routes = true;
	return view_service_routes(p, s);
}

static bool
has_news(const struct view *v, enum resource_kind kind)
{
	const struct view *of = v->of[kind];

	return of->changed && v->catalog.kinds[kind]->changed ==
	    of->catalog.sequence;
}

static int
services_compile(const struct pass *p, bool anew)
{
	const struct model *m = p->model;
	const struct view *base = p->view->base;
	bool all = p->all, routes = all || (base != NULL &&
	    has_news(base, RESOURCE_ROUTE));

	for (size_t i = 0; i < m->services_n; i++) {
		struct model_service *s = m->services[i];
		const struct look l = { anew || s->dirty, anew || s->recast,
		    all };

		if ((all || s->dirty) && service_compile(p, s, &l,
		    &routes) < 0)
			return -1;
	}
	return routes && view_owns(p->view, RESOURCE_ROUTE) ? view_routes(p) :
	    0;
}

/* The listener of a sidecar says nothing of the model. */
static bool
needs_listeners(const struct pass *p)
{
	const struct view *v = p->view;

	return !v->made || v->broken || (v->key.role == VIEW_GATEWAY &&
	    (p->all || p->model->dirty_names));
}

static bool
has_services(const struct view *v)
{
	return v->key.role == VIEW_GRPC || view_owns(v, RESOURCE_CLUSTER) ||
	    view_owns(v, RESOURCE_ENDPOINT) || view_owns(v, RESOURCE_ROUTE);
}

static int
compile(struct pass *p)
{
	struct view *v = p->view;
	bool anew = !v->made || v->broken;

	if (view_told(p, &anew) < 0)
		return -1;
	p->all = anew || p->model->dirty_all;
	if ((needs_listeners(p) && view_listeners(p) < 0) ||
	    (p->all && view_owns(v, RESOURCE_CLUSTER) && view_gateways(p) < 0)
	    || (has_services(v) && services_compile(p, anew) < 0))
		return -1;
	v->made = true;
	return 0;
}

int
view_compile(struct view *v, const struct model *m, char *why, size_t why_len)
{
	struct pass p = { .view = v, .model = m, .why = why,
	    .why_len = why_len };
	int rc;

	catalog_begin(&v->catalog);
	rc = compile(&p);
	v->broken = rc == -1;
	v->changed = catalog_end(&v->catalog) && rc == 0;
	v->news = false;
	for (enum resource_kind kind = 0; kind < RESOURCE_KINDS; kind++)
		v->news = v->news || has_news(v, kind);
	return rc == 0 ? v->news : rc;
}
