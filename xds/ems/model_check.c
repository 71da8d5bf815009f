/*
 * xds/ems/model_check.c - whether what is in a model goes together (model.h M1),
 * and what its services are by that.
 *
 *   regions that are named                  are there, and allowed
 *   gRPC names, by name and service         shared, or one service's own
 *   what callers may                        as much as a gateway can bear
 *   limits, by service                      the more specific one counts:
 *       service: limits > limit: services > limit of all > default
 */
#include "xds/ems/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shm/log.h"

typedef Godwit__Ems__V1__Gateway Gateway;
typedef Godwit__Ems__V1__Service Service;
typedef Godwit__Ems__V1__Limit Limit;
typedef Godwit__Ems__V1__Caller Caller;

/* ---- regions */

static int
region_check(const struct model *m, const struct intent *i, const char *region,
    char *why, size_t why_len)
{
	return model_intent(m, INTENT_REGION, region) != NULL ? 0 :
	    why_set(why, why_len, "%s %s names region \"%s\", and there is no "
	    "such region", intent_word(i->noun), i->name, region);
}

static int
service_check(const struct model *m, const struct model_service *s, char *why,
    size_t why_len)
{
	const Service *x = model_message(s);

	for (size_t i = 0; x != NULL && x->regions != NULL &&
	    i < x->regions->n_allow; i++)
		if (region_check(m, s->intent, x->regions->allow[i], why,
		    why_len) == -1)
			return -1;
	for (size_t i = 0; x != NULL && x->regions != NULL &&
	    i < x->regions->n_order; i++) {
		const char *region = x->regions->order[i];

		if (region_check(m, s->intent, region, why, why_len) == -1)
			return -1;
		if (!model_allows(s, region))
			return why_set(why, why_len, "service %s: "
			    "regions.order sends calls to \"%s\", which "
			    "regions.allow forbids", s->name, region);
	}
	return 0;
}

/* ---- gRPC names */

struct claim {				/* a gRPC name, and who answers it */
	const char	*name;
	struct model_service *service;
	bool		 was_shared;
};

static int
claim_compare(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;
	int rc = strcmp(x->name, y->name);

	return rc != 0 ? rc : strcmp(x->service->name, y->service->name);
}

/* All claims, those of one name together; NULL: no memory. */
static struct claim *
claims_new(const struct model *m, size_t *n)
{
	struct claim *all;

	*n = 0;
	for (size_t i = 0; i < m->services_n; i++)
		*n += model_grpc_n(m->services[i]);
	if ((all = calloc(*n + 1, sizeof(*all))) == NULL)
		return NULL;
	*n = 0;
	for (size_t i = 0; i < m->services_n; i++)
		for (size_t j = 0; j < model_grpc_n(m->services[i]); j++)
			all[(*n)++] = (struct claim){ model_grpc(
			    m->services[i], j), m->services[i],
			    m->services[i]->shared };
	if (*n > 0)
		qsort(all, *n, sizeof(*all), claim_compare);
	return all;
}

static void
shared_mark(struct model *m, const struct claim *all, size_t n)
{
	for (size_t i = 0; i < n; i++)
		all[i].service->shared = false;
	for (size_t i = 1; i < n; i++)
		if (strcmp(all[i - 1].name, all[i].name) == 0)
			all[i - 1].service->shared =
			    all[i].service->shared = true;
	for (size_t i = 0; i < n; i++)
		if (all[i].service->shared != all[i].was_shared &&
		    !all[i].service->gone) {
			m->dirty_names = true;
			model_recast(m, all[i].service);
		}
}

/* One service's own name is no other's gRPC name: a call by path would be
 * either's. Several may share one that is nobody's own: their callers say by
 * :authority whom they mean. */
static int
claims_check(struct model *m, char *why, size_t why_len)
{
	size_t n;
	struct claim *all = claims_new(m, &n);
	int rc = 0;

	if (all == NULL)
		return why_set(why, why_len, "no memory is left");
	for (size_t i = 1; i < n && rc == 0; i++) {
		const struct claim *a = &all[i - 1], *b = &all[i];
		bool own = strcmp(a->name, a->service->name) == 0 ||
		    strcmp(b->name, b->service->name) == 0;

		if (own && strcmp(a->name, b->name) == 0)
			rc = why_set(why, why_len, "services %s and %s both "
			    "answer gRPC service %s, which is the name of one "
			    "of them", a->service->name, b->service->name,
			    a->name);
	}
	if (rc == 0)
		shared_mark(m, all, n);
	free(all);
	return rc;
}

/* ---- limits */

struct budget {				/* what a limit says of a service */
	const char	*service;
	const struct intent *limit;
};

static int
budget_compare(const void *a, const void *b)
{
	const struct budget *x = a, *y = b;

	return strcmp(x->service, y->service);
}

static uint32_t
limit_in_flight(const struct intent *i)
{
	return ((const Limit *)i->message)->in_flight->value;
}

/* By service; what is of all is of "". NULL: no memory. */
static struct budget *
budgets_new(const struct model *m, size_t *n)
{
	struct intent *const *limits = m->intents[INTENT_LIMIT];
	struct budget *all;
	size_t size = 1;

	for (size_t i = 0; i < m->intents_n[INTENT_LIMIT]; i++)
		size += 1 + ((const Limit *)limits[i]->message)->n_services;
	if ((all = calloc(size, sizeof(*all))) == NULL)
		return NULL;
	*n = 0;
	for (size_t i = 0; i < m->intents_n[INTENT_LIMIT]; i++) {
		const Limit *l = limits[i]->message;

		if (l->n_services == 0)
			all[(*n)++] = (struct budget){ "", limits[i] };
		for (size_t j = 0; j < l->n_services; j++)
			all[(*n)++] = (struct budget){ l->services[j],
			    limits[i] };
	}
	if (*n > 0)
		qsort(all, *n, sizeof(*all), budget_compare);
	return all;
}

static uint32_t
in_flight_of(const struct model_service *s, const struct budget *all, size_t n)
{
	const struct budget key = { s->name, NULL }, *found;
	const Service *m = model_message(s);

	if (m != NULL && m->limits != NULL && m->limits->in_flight != NULL)
		return m->limits->in_flight->value;
	found = bsearch(&key, all, n, sizeof(key), budget_compare);
	if (found != NULL)
		return limit_in_flight(found->limit);
	return n > 0 && *all[0].service == '\0' ?
	    limit_in_flight(all[0].limit) : 0;
}

static void
budgets_mark(struct model *m, const struct budget *all, size_t n)
{
	for (size_t i = 0; i < m->services_n; i++) {
		struct model_service *s = m->services[i];
		uint32_t in_flight = in_flight_of(s, all, n);

		if (in_flight == s->in_flight || s->gone)
			continue;
		s->in_flight = in_flight;
		model_recast(m, s);
	}
}

static int
limits_check(struct model *m, char *why, size_t why_len)
{
	size_t n;
	struct budget *all = budgets_new(m, &n);
	int rc = 0;

	if (all == NULL)
		return why_set(why, why_len, "no memory is left");
	for (size_t i = 1; i < n && rc == 0; i++)
		if (strcmp(all[i - 1].service, all[i].service) == 0)
			rc = why_set(why, why_len, "limits %s and %s both say "
			    "in_flight of %s%s, expected one of them",
			    all[i - 1].limit->name, all[i].limit->name,
			    *all[i].service == '\0' ? "all services" :
			    "service ", all[i].service);
	if (rc == 0)
		budgets_mark(m, all, n);
	free(all);
	return rc;
}

/* ---- callers */

/* Of a proxy's RBAC filter (shm/block.h). */
enum { QUESTIONS_MAX = 65536 };

static int
may_compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

bool
model_may(const struct model *m, struct model_may *to)
{
	size_t n = 0;

	for (size_t i = 0; i < m->intents_n[INTENT_CALLER]; i++)
		n += ((const Caller *)m->intents[INTENT_CALLER][i]->message)->
		    n_may;
	*to = (struct model_may){ .at = calloc(n + 1, sizeof(*to->at)) };
	if (to->at == NULL)
		return false;
	for (size_t i = 0; i < m->intents_n[INTENT_CALLER]; i++) {
		const Caller *c = m->intents[INTENT_CALLER][i]->message;

		for (size_t j = 0; j < c->n_may; j++)
			to->at[to->n++] = c->may[j];
	}
	qsort(to->at, to->n, sizeof(*to->at), may_compare);
	n = to->n;
	to->n = 0;
	for (size_t i = 0; i < n; i++)
		if (i == 0 || strcmp(to->at[to->n - 1], to->at[i]) != 0)
			to->at[to->n++] = to->at[i];
	return true;
}

/* A path of each gRPC name, and who is asked where others answer it too. */
static size_t
questions_of(const struct model *m, const char *may)
{
	char name[INTENT_NAME_MAX + 1];
	const struct model_service *s;

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(may, "/"), may);
	s = model_service(m, name);
	return s == NULL ? 1 : model_grpc_n(s) * (s->shared ? 2 : 1);
}

/* A gateway asks of each caller whether it is one, and may call what is called;
 * then whether that is closed to others (view_listener.c). */
static int
callers_check(const struct model *m, char *why, size_t why_len)
{
	struct model_may all;
	size_t n = 0;

	if (!model_may(m, &all))
		return why_set(why, why_len, "no memory is left");
	for (size_t i = 0; i < all.n; i++)
		n += questions_of(m, all.at[i]);
	free(all.at);
	for (size_t i = 0; i < m->intents_n[INTENT_CALLER]; i++) {
		const Caller *c = m->intents[INTENT_CALLER][i]->message;

		n += c->n_may > 0 ? m->intents_n[INTENT_REGION] : 0;
		for (size_t j = 0; j < c->n_may; j++)
			n += questions_of(m, c->may[j]);
	}
	return n <= QUESTIONS_MAX ? 0 : why_set(why, why_len, "gateways would "
	    "ask %zu questions of who may call what, and can ask %d: expected "
	    "fewer callers, or services in the place of their methods", n,
	    QUESTIONS_MAX);
}

/* ---- all of it */

int
model_check(struct model *m, char *why, size_t why_len)
{
	for (size_t i = 0; i < m->intents_n[INTENT_GATEWAY]; i++) {
		const struct intent *at = m->intents[INTENT_GATEWAY][i];
		const Gateway *g = at->message;

		if (region_check(m, at, g->region, why, why_len) == -1)
			return -1;
		if (model_service(m, at->name) != NULL)
			return why_set(why, why_len, "gateway %s has the name "
			    "of a service, expected one of its own: a proxy "
			    "says by it what it is", at->name);
	}
	for (size_t i = 0; i < m->services_n; i++)
		if (service_check(m, m->services[i], why, why_len) == -1)
			return -1;
	if (limits_check(m, why, why_len) == -1 ||
	    claims_check(m, why, why_len) == -1 ||
	    callers_check(m, why, why_len) == -1)
		return -1;
	m->unchecked = false;
	return 0;
}
