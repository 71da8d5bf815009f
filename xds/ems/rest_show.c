/*
 * xds/ems/rest_show.c - how things stand: services and where they are, leases,
 * proxies and what each has (rest_inside.h).
 */
#include "xds/ems/rest_inside.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "xds/ems/proxy.h"

static const char *const health_words[] = { [MODEL_LIVE] = "live",
    [MODEL_SUSPECT] = "suspect", [MODEL_DRAINING] = "draining" };
enum { HEALTHS = 3 };

/* ---- services */

/* Endpoints under a name: of a region, of a version. */
struct count {
	const char	*name;
	size_t		 n[HEALTHS];
};

struct counts {
	struct count	*at;
	size_t		 n, size;
};

static void
counts_add(struct counts *c, const char *name, enum model_health health)
{
	size_t i, size = c->size * 2 + 4;
	struct count *more;

	for (i = 0; i < c->n; i++)
		if (strcmp(c->at[i].name, name) == 0)
			break;
	if (i == c->size) {
		if ((more = realloc(c->at, size * sizeof(*more))) == NULL)
			return;
		c->at = more;
		c->size = size;
	}
	if (i == c->n)
		c->at[c->n++] = (struct count){ .name = name };
	c->at[i].n[health]++;
}

static int
compare_count(const void *a, const void *b)
{
	return strcmp(((const struct count *)a)->name,
	    ((const struct count *)b)->name);
}

static void
counts_print(struct print *p, const char *key, const char *what,
    struct counts *c)
{
	if (c->n > 0)
		qsort(c->at, c->n, sizeof(*c->at), compare_count);
	print_open(p, key, '[');
	for (size_t i = 0; i < c->n; i++) {
		print_open(p, NULL, '{');
		print_text(p, what, c->at[i].name);
		for (int h = 0; h < HEALTHS; h++)
			print_number(p, health_words[h], c->at[i].n[h]);
		print_close(p, '{');
	}
	print_close(p, '[');
	free(c->at);
}

static void
endpoints_print(struct print *p, const struct model_service *s)
{
	const struct model_endpoint *e;

	print_open(p, "endpoints", '[');
	TAILQ_FOREACH(e, &s->endpoints, link) {
		print_open(p, NULL, '{');
		print_text(p, "id", e->id);
		print_text(p, "state", health_words[e->health]);
		print_text(p, "region", e->region);
		print_text(p, "zone", e->zone);
		print_text(p, "address", e->address);
		print_number(p, "port", e->port);
		print_number(p, "weight", e->weight);
		print_text(p, "version", e->version);
		print_close(p, '{');
	}
	print_close(p, '[');
}

static void
service_print(struct print *p, const struct model_service *s, bool whole)
{
	struct counts regions = { 0 }, versions = { 0 };
	const struct model_endpoint *e;

	TAILQ_FOREACH(e, &s->endpoints, link) {
		counts_add(&regions, e->region, e->health);
		counts_add(&versions, e->version, e->health);
	}
	print_open(p, NULL, '{');
	print_text(p, "service", s->name);
	print_flag(p, "intent", s->intent != NULL);
	print_number(p, "endpoints_n", s->endpoints_n);
	counts_print(p, "regions", "region", &regions);
	counts_print(p, "versions", "version", &versions);
	if (whole)
		endpoints_print(p, s);
	print_close(p, '{');
}

void
rest_services(struct request *q)
{
	const char *only = request_argument(q, "service");
	const struct model *m = &q->rest->ems->model;
	struct print *p;

	if (only != NULL && model_service(m, only) == NULL) {
		answer_refuse(q, 404, "there is no service \"%.140s\": neither "
		    "an intent nor an endpoint has that name", only);
		return;
	}
	if ((p = answer_begin(q, 200)) == NULL)
		return;
	print_open(p, "services", '[');
	for (size_t i = 0; i < m->services_n; i++)
		if (only == NULL || strcmp(only, m->services[i]->name) == 0)
			service_print(p, m->services[i], only != NULL);
	print_close(p, '[');
	answer_end(q);
}

/* ---- leases */

struct show {
	struct print	*print;
	const char	*service, *region;	/* NULL: all */
};

static void
lease_print(void *arg, const struct lease_view *v)
{
	struct show *s = arg;

	if ((s->service != NULL && strcmp(s->service, v->service) != 0) ||
	    (s->region != NULL && strcmp(s->region, v->region) != 0))
		return;
	print_open(s->print, NULL, '{');
	print_text(s->print, "id", v->id);
	print_number(s->print, "epoch", v->epoch);
	print_text(s->print, "state", health_words[v->health]);
	print_flag(s->print, "deregistered", v->deregistered);
	print_text(s->print, "service", v->service);
	print_text(s->print, "region", v->region);
	print_text(s->print, "zone", v->zone);
	print_text(s->print, "address", v->address);
	print_number(s->print, "port", v->port);
	print_number(s->print, "weight", v->weight);
	print_text(s->print, "version", v->version);
	print_number(s->print, "ttl_ms", v->ttl_ms);
	print_number(s->print, "silent_ms", v->silent_ms < 0 ? 0 :
	    (uint64_t)v->silent_ms);
	print_close(s->print, '{');
}

static void
alarms_print(struct print *p, const struct rest *r)
{
	const struct model *m = &r->ems->model;
	size_t lapsed, all;

	print_open(p, "alarms", '[');
	for (size_t i = 0; i < m->intents_n[INTENT_REGION]; i++) {
		const char *region = m->intents[INTENT_REGION][i]->name;

		if (!lease_alarm(r->leases, region, &lapsed, &all))
			continue;
		print_open(p, NULL, '{');
		print_text(p, "region", region);
		print_number(p, "lapsed", lapsed);
		print_number(p, "leases", all);
		print_close(p, '{');
	}
	print_close(p, '[');
}

void
rest_leases(struct request *q)
{
	struct show s = { NULL, request_argument(q, "service"),
	    request_argument(q, "region") };

	if ((s.print = answer_begin(q, 200)) == NULL)
		return;
	alarms_print(s.print, q->rest);
	print_open(s.print, "leases", '[');
	leases_each(q->rest->leases, lease_print, &s);
	print_close(s.print, '[');
	answer_end(q);
}

/* ---- proxies */

static void
type_print(struct print *p, const struct proxy *x, enum resource_kind kind,
    int64_t now_ms)
{
	struct push_status s;

	push_status(x->push, kind, &s);
	if (!s.asked)
		return;
	print_open(p, NULL, '{');
	print_text(p, "type", resource_about(kind)->acronym);
	print_number(p, "newest", s.newest);
	print_number(p, "sent", s.sent);
	print_number(p, "acknowledged", s.answered);
	print_flag(p, "outstanding", s.outstanding);
	if (s.outstanding)
		print_number(p, "outstanding_ms", s.since_ms > now_ms ? 0 :
		    (uint64_t)(now_ms - s.since_ms));
	print_number(p, "accepted_n", s.accepted_n);
	print_number(p, "refused_n", s.refused_n);
	if (s.why != NULL)
		answer_put(p, "refused", s.why, strlen(s.why));
	print_close(p, '{');
}

static void
since_print(struct print *p, int64_t since_ms)
{
	time_t s = (time_t)(since_ms / 1000);
	char text[32];
	struct tm tm;

	gmtime_r(&s, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	print_text(p, "since", text);
}

static void
proxy_print(struct print *p, const struct proxy *x, int64_t now_ms)
{
	static const char *const roles[] = { [VIEW_SIDECAR] = "sidecar",
	    [VIEW_GATEWAY] = "gateway", [VIEW_GRPC] = "grpc" };

	print_open(p, NULL, '{');
	answer_put(p, "node", x->id, strlen(x->id));
	answer_put(p, "cluster", x->cluster, strlen(x->cluster));
	print_text(p, "role", roles[x->view->key.role]);
	answer_put(p, "region", x->region, strlen(x->region));
	answer_put(p, "zone", x->zone, strlen(x->zone));
	answer_put(p, "agent", x->agent, strlen(x->agent));
	print_text(p, "address", call_address(x->call));
	print_text(p, "protocol", x->is_delta ? "delta" : "sotw");
	since_print(p, x->since_ms);
	print_open(p, "types", '[');
	for (enum resource_kind kind = 0; kind < RESOURCE_KINDS; kind++)
		type_print(p, x, kind, now_ms);
	print_close(p, '[');
	print_close(p, '{');
}

void
rest_proxies(struct request *q)
{
	struct ems *e = q->rest->ems;
	struct print *p = answer_begin(q, 200);
	const struct proxy *x;

	if (p == NULL)
		return;
	print_open(p, "proxies", '[');
	LIST_FOREACH(x, &e->proxies, link)
		if (x->view != NULL)
			proxy_print(p, x, e->loop->now.ns / 1000000);
	print_close(p, '[');
	answer_end(q);
}
