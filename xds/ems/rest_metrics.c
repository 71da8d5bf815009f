/*
 * xds/ems/rest_metrics.c - /metrics as Prometheus reads it, and the two probes
 * (rest_inside.h).
 *
 * /healthz says that the loop turns, /readyz that the store answers too. What a
 * write costs is the time from its submission to its answer, fsync and what
 * waited before it included.
 *
 * Source: Prometheus' text exposition format 0.0.4.
 */
#include "xds/ems/rest_inside.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "xds/ems/proxy.h"

enum { REGIONS_MAX = 256, STATES = 3, ROLES = 3 };

struct region {				/* what is in it */
	char		 name[INTENT_NAME_MAX + 1];
	size_t		 leases[STATES], proxies[ROLES];
};

struct regions {
	size_t		 n;
	struct region	 at[REGIONS_MAX];
};

/* ---- writing */

static void
head(FILE *f, const char *name, const char *type, const char *help)
{
	fprintf(f, "# HELP godwit_ems_%s %s\n# TYPE godwit_ems_%s %s\n", name,
	    help, name, type);
}

static void
number(FILE *f, const char *name, const char *type, const char *help,
    uint64_t value)
{
	head(f, name, type, help);
	fprintf(f, "godwit_ems_%s %" PRIu64 "\n", name, value);
}

/* ---- by region */

/* NULL: there are too many; they are left out. */
static struct region *
region_of(struct regions *r, const char *name)
{
	for (size_t i = 0; i < r->n; i++)
		if (strcmp(r->at[i].name, name) == 0)
			return &r->at[i];
	if (r->n == REGIONS_MAX || !intent_name_is_good(name))
		return NULL;
	snprintf(r->at[r->n].name, sizeof(r->at[r->n].name), "%s", name);
	return &r->at[r->n++];
}

static void
lease_count(void *arg, const struct lease_view *v)
{
	struct region *r = region_of(arg, v->region);

	if (r != NULL)
		r->leases[v->health]++;
}

static bool
is_behind(const struct proxy *x)
{
	struct push_status s;

	for (enum resource_kind kind = 0; kind < RESOURCE_KINDS; kind++) {
		push_status(x->push, kind, &s);
		if (s.asked && (s.outstanding || s.answered < s.newest))
			return true;
	}
	return false;
}

static size_t
proxies_count(struct regions *r, const struct ems *e)
{
	const struct proxy *x;
	struct region *at;
	size_t behind = 0;

	LIST_FOREACH(x, &e->proxies, link) {
		if (x->view == NULL)
			continue;
		behind += is_behind(x);
		if ((at = region_of(r, x->region)) != NULL)
			at->proxies[x->view->key.role]++;
	}
	return behind;
}

static void
regions_print(FILE *f, const struct regions *r)
{
	static const char *const states[] = { [MODEL_LIVE] = "live",
	    [MODEL_SUSPECT] = "suspect", [MODEL_DRAINING] = "draining" };
	static const char *const roles[] = { [VIEW_SIDECAR] = "sidecar",
	    [VIEW_GATEWAY] = "gateway", [VIEW_GRPC] = "grpc" };

	head(f, "leases", "gauge", "Endpoints that are registered.");
	for (size_t i = 0; i < r->n; i++)
		for (int s = 0; s < STATES; s++)
			fprintf(f, "godwit_ems_leases{region=\"%s\","
			    "state=\"%s\"} %zu\n", r->at[i].name, states[s],
			    r->at[i].leases[s]);
	head(f, "proxies", "gauge", "Proxies that are connected.");
	for (size_t i = 0; i < r->n; i++)
		for (int s = 0; s < ROLES; s++)
			fprintf(f, "godwit_ems_proxies{region=\"%s\","
			    "role=\"%s\"} %zu\n", r->at[i].name, roles[s],
			    r->at[i].proxies[s]);
}

static void
alarms_print(FILE *f, const struct regions *r, const struct rest *rest)
{
	size_t lapsed, all;

	head(f, "lease_alarm", "gauge", "1: so many leases of the region "
	    "lapsed at once that none of them goes.");
	for (size_t i = 0; i < r->n; i++)
		fprintf(f, "godwit_ems_lease_alarm{region=\"%s\"} %d\n",
		    r->at[i].name, lease_alarm(rest->leases, r->at[i].name,
		    &lapsed, &all));
}

/* ---- the rest */

static void
counts_print(FILE *f, const struct rest *r)
{
	const struct ems *e = r->ems;

	head(f, "items", "gauge", "Intents by noun.");
	for (enum intent_noun n = 0; n < INTENT_NOUNS; n++)
		fprintf(f, "godwit_ems_items{noun=\"%s\"} %zu\n",
		    intent_word(n), e->model.intents_n[n]);
	number(f, "services", "gauge", "Services with an intent or an "
	    "endpoint.", e->model.services_n);
	number(f, "views", "gauge", "Kinds of proxies, by role, region, listen "
	    "and tls; some are kept when all of a kind are gone.",
	    e->views.all_n);
	number(f, "pushes_total", "counter", "xDS responses sent.",
	    e->pushes_n);
	number(f, "refusals_total", "counter", "xDS responses that a proxy "
	    "refused.", e->refusals_n);
	head(f, "rest_answers_total", "counter", "Answers of this door, by "
	    "class of status.");
	for (int i = 2; i < 6; i++)
		fprintf(f, "godwit_ems_rest_answers_total{class=\"%dxx\"} %"
		    PRIu64 "\n", i, r->answers[i]);
	head(f, "write_seconds", "summary", "What writes of this door took, "
	    "to the answer.");
	fprintf(f, "godwit_ems_write_seconds_sum %.6f\n"
	    "godwit_ems_write_seconds_count %" PRIu64 "\n",
	    (double)r->writes_ns / 1e9, r->writes_n);
}

static void
metrics_came(struct request *q, const struct store_answer *a)
{
	struct regions *r = calloc(1, sizeof(*r));
	size_t behind;
	FILE *f;

	if (r == NULL) {
		answer_refuse(q, 503, "no memory is left");
		return;
	}
	for (size_t i = 0; i < q->rest->ems->model.intents_n[INTENT_REGION];
	    i++)
		(void)region_of(r, q->rest->ems->model.intents
		    [INTENT_REGION][i]->name);
	leases_each(q->rest->leases, lease_count, r);
	behind = proxies_count(r, q->rest->ems);
	f = answer_text(q, 200, "text/plain; version=0.0.4");
	if (f != NULL) {
		number(f, "store_up", "gauge", "1: the store answers.",
		    a->result == STORE_OK);
		number(f, "revision", "gauge", "The newest of the store.",
		    a->revision);
		counts_print(f, q->rest);
		regions_print(f, r);
		alarms_print(f, r, q->rest);
		number(f, "proxies_behind", "gauge", "Proxies that have not "
		    "acknowledged all that is theirs.", behind);
		answer_text_end(q);
	}
	free(r);
}

void
rest_metrics(struct request *q)
{
	static const struct store_question newest = { .kind =
	    STORE_REVISION };

	answer_ask(q, &newest, metrics_came);
}

/* ---- probes */

void
rest_healthz(struct request *q)
{
	struct print *p = answer_begin(q, 200);

	if (p == NULL)
		return;
	print_flag(p, "healthy", true);
	answer_end(q);
}

static void
ready_came(struct request *q, const struct store_answer *a)
{
	struct print *p;

	if (a->result != STORE_OK)
		answer_refuse(q, 503, "the store does not answer: %s",
		    a->why);
	else if ((p = answer_begin(q, 200)) != NULL) {
		print_flag(p, "ready", true);
		print_number(p, "revision", a->revision);
		answer_end(q);
	}
}

void
rest_readyz(struct request *q)
{
	static const struct store_question newest = { .kind =
	    STORE_REVISION };

	answer_ask(q, &newest, ready_came);
}
