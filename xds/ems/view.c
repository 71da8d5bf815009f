/*
 * xds/ems/view.c - see view.h: what is made anew when something changed.
 *
 *   regions, gateways, callers   all of it
 *   who answers which names      the listeners: a gateway's rules name paths
 *   a service                    its clusters, endpoints and routes; then the
 *                                routes of all, which are joined, not made
 *   its endpoints                those; its routes if regions.order follows them
 */
#include "xds/ems/view.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

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
	v->key = (struct view_key){ k->role, strdup(k->region),
	    strdup(k->gateway), strdup(k->listen), strdup(k->tls) };
	if (v->key.region != NULL && v->key.gateway != NULL &&
	    v->key.listen != NULL && v->key.tls != NULL &&
	    catalog_init(&v->catalog))
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
	text_free(v->key.region);
	text_free(v->key.gateway);
	text_free(v->key.listen);
	text_free(v->key.tls);
	free(v);
}

bool
view_is(const struct view *v, const struct view_key *k)
{
	return v->key.role == k->role &&
	    strcmp(v->key.region, k->region) == 0 &&
	    strcmp(v->key.gateway, k->gateway) == 0 &&
	    strcmp(v->key.listen, k->listen) == 0 &&
	    strcmp(v->key.tls, k->tls) == 0;
}

static bool
follows_endpoints(const struct model_service *s)
{
	const Service *m = view_intent(s);

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

/* recast: not only its endpoints. *routes: they may be others. */
static int
service_compile(const struct pass *p, struct model_service *s, bool recast,
    bool *routes)
{
	if ((recast && view_clusters(p, s) < 0) || view_endpoints(p, s) < 0)
		return -1;
	if (p->view->key.role == VIEW_GRPC)
		return recast ? service_listener(p, s) : 0;
	if (!recast && !follows_endpoints(s))
		return 0;
	*routes = true;
	return view_service_routes(p, s);
}

static int
compile(const struct pass *p)
{
	const struct model *m = p->model;
	bool all = !p->view->made || m->dirty_all, routes = all;

	if (((all || m->dirty_names) && view_listeners(p) < 0) ||
	    (all && view_gateways(p) < 0))
		return -1;
	for (size_t i = 0; i < m->services_n; i++)
		if ((all || m->services[i]->dirty) &&
		    service_compile(p, m->services[i], all ||
		    m->services[i]->recast, &routes) < 0)
			return -1;
	if (routes && view_routes(p) < 0)
		return -1;
	p->view->made = true;
	return 0;
}

int
view_compile(struct view *v, const struct model *m, char *why, size_t why_len)
{
	const struct pass p = { v, m, why, why_len };
	int rc;

	catalog_begin(&v->catalog);
	rc = compile(&p);
	return catalog_end(&v->catalog) && rc == 0 ? 1 : rc;
}
