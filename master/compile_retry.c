/*
 * master/compile_retry.c - when a request is tried again, and what a cluster
 * bears: RetryPolicy and CircuitBreakers.
 *
 * Unknown words in retry_on are refused, where Envoy ignores them: a policy
 * that never retries because of a typo is found when it is needed.
 *
 * Source: config.route.v3.RetryPolicy, config.cluster.v3.CircuitBreakers;
 * Envoy's documentation of x-envoy-retry-on. Test: t/unit/compile.c.
 */
#include "master/compile_parts.h"

#include <stdio.h>
#include <string.h>

#include "xds/proto/envoy/extensions/previous_hosts.pb-c.h"
#include "xds/retry_on.h"

typedef Envoy__Config__Route__V3__RetryPolicy__RetryHostPredicate Predicate;

#define PREDICATE_TYPED	\
	ENVOY__CONFIG__ROUTE__V3__RETRY_POLICY__RETRY_HOST_PREDICATE__CONFIG_TYPE_TYPED_CONFIG
#define PREVIOUS_HOSTS	\
	(&envoy__extensions__retry__host__previous_hosts__v3__previous_hosts_predicate__descriptor)

enum {
	BACK_OFF_BASE_MS = 25, BACK_OFF_TIMES = 10,
	BREAKER_MAX = 1024, RETRIES_MAX = 3,
	BUDGET_PERCENT = 20, BUDGET_UNITS = 100,	/* of a percent */
};

/* ---- retries */

static const uint16_t reasons[] = {
#define WORD(word, bits) bits,
#include "xds/retry_on.def"
#undef WORD
};

static int
word_read(struct compiler *c, const struct at *at, const char *p, size_t n,
    uint16_t *bits)
{
	const char *best;
	char word[64];
	int found;

	snprintf(word, sizeof(word), "%.*s", (int)n, p);
	if ((found = retry_on_find(word, &best)) != -1) {
		*bits |= reasons[found];
		return 0;
	}
	if (best != NULL)
		return refuse(c, at, "\"%s\" is no reason to retry, did you "
		    "mean \"%s\"?", word, best);
	return refuse(c, at, "\"%s\" is no reason to retry, expected some of "
	    "connect-failure, refused-stream, reset, unavailable, "
	    "retriable-status-codes and others, with commas between", word);
}

static int
words_read(struct compiler *c, const struct at *up, const char *text,
    uint16_t *bits)
{
	const struct at at = AT(up, "retry_on");
	size_t n;

	for (;; text += n + 1) {
		text += strspn(text, " ");
		n = strcspn(text, ",");
		while (n > 0 && text[n - 1] == ' ')
			n--;
		if (n > 0 && word_read(c, &at, text, n, bits) < 0)
			return -1;
		n = strcspn(text, ",");
		if (text[n] == '\0')
			return 0;
	}
}

static int
codes_read(struct compiler *c, const struct at *up, const RetryPolicy *m,
    struct block_plan *plan)
{
	const struct at all = AT(up, "retriable_status_codes");

	if (m->n_retriable_status_codes > RETRIABLE_CODES_MAX)
		return refuse(c, &all, "has %zu items, expected at most %d",
		    m->n_retriable_status_codes, RETRIABLE_CODES_MAX);
	for (size_t i = 0; i < m->n_retriable_status_codes; i++) {
		const struct at at = AT_ITEM(up, "retriable_status_codes", i);

		if (m->retriable_status_codes[i] < 100 ||
		    m->retriable_status_codes[i] > 599)
			return refuse(c, &at, "%u, expected a status of HTTP, "
			    "100..599", m->retriable_status_codes[i]);
		plan->retriable_codes[i] =
		    (uint16_t)m->retriable_status_codes[i];
	}
	return 0;
}

/* Whatever host_selection_retry_max_attempts says: one pick finds it. */
static int
predicates_read(struct compiler *c, const struct at *up, const RetryPolicy *m,
    struct block_plan *plan)
{
	plan->flags &= (uint16_t)~PLAN_PREVIOUS_HOSTS;
	for (size_t i = 0; i < m->n_retry_host_predicate; i++) {
		const struct at at = AT_ITEM(up, "retry_host_predicate", i);
		const struct at typed = AT(&at, "typed_config");
		const Predicate *p = m->retry_host_predicate[i];
		const ProtobufCMessage *any = any_open(c, &typed,
		    p->config_type_case == PREDICATE_TYPED ? p->typed_config :
		    NULL);

		if (any == NULL)
			return -1;
		if (any->descriptor != PREVIOUS_HOSTS)
			return refuse(c, &typed, "%s says of no endpoint "
			    "whether it is tried, expected "
			    "PreviousHostsPredicate",
			    any->descriptor->short_name);
		plan->flags |= PLAN_PREVIOUS_HOSTS;
	}
	return 0;
}

static int
back_off_read(struct compiler *c, const struct at *up, const RetryPolicy *m,
    struct block_plan *plan)
{
	const struct at at = AT(up, "retry_back_off");
	const struct at base = AT(&at, "base_interval");
	const struct at max = AT(&at, "max_interval");
	const RetryBackOff *b = m->retry_back_off;

	plan->retry_base_ms = BACK_OFF_BASE_MS;
	plan->retry_max_ms = BACK_OFF_BASE_MS * BACK_OFF_TIMES;
	if (b == NULL)
		return 0;
	if (b->base_interval == NULL)
		return refuse(c, &base, "is missing, expected more than 0s");
	if (duration_ms(c, &base, b->base_interval, 0, &plan->retry_base_ms) <
	    0 || duration_ms(c, &max, b->max_interval,
	    plan->retry_base_ms > UINT32_MAX / BACK_OFF_TIMES ? UINT32_MAX :
	    plan->retry_base_ms * BACK_OFF_TIMES, &plan->retry_max_ms) < 0)
		return -1;
	if (plan->retry_base_ms == 0)
		return refuse(c, &base, "is 0s, expected more");
	if (plan->retry_max_ms < plan->retry_base_ms)
		return refuse(c, &max, "is below base_interval, expected at "
		    "least that");
	return 0;
}

int
compile_retry(struct compiler *c, const struct at *at, const RetryPolicy *m,
    struct block_plan *plan)
{
	static const struct rule rules[] = {
		{ "num_retries", RULE_RANGE, 0, UINT16_MAX, "0..65535" },
		{ NULL, RULE_SET, 0, 0, NULL },
	};
	const struct at try = AT(at, "per_try_timeout");

	if (m == NULL)
		return 0;
	plan->retry_on = 0;
	memset(plan->retriable_codes, 0, sizeof(plan->retriable_codes));
	plan->retries_max = (uint16_t)number_or(m->num_retries, 1);
	return rule_check(c, at, &m->base, rules) < 0 ||
	    words_read(c, at, m->retry_on, &plan->retry_on) < 0 ||
	    codes_read(c, at, m, plan) < 0 ||
	    predicates_read(c, at, m, plan) < 0 ||
	    back_off_read(c, at, m, plan) < 0 ||
	    duration_ms(c, &try, m->per_try_timeout, 0,
	    &plan->per_try_timeout_ms) < 0 ? -1 : 0;
}

/* ---- what a cluster bears */

static int
budget_read(struct compiler *c, const struct at *up, const RetryBudget *m,
    struct block_breaker *b)
{
	const struct at at = AT(up, "retry_budget");
	const struct at percent = AT(&at, "budget_percent");
	double v = m == NULL ? 0 : m->budget_percent == NULL ?
	    BUDGET_PERCENT : m->budget_percent->value;

	if (m == NULL)
		return 0;
	if (!(v >= 0 && v <= 100))
		return refuse(c, &percent, "%g, expected 0..100", v);
	b->retry_budget = (uint32_t)(v * BUDGET_UNITS);
	b->retry_budget_min = number_or(m->min_retry_concurrency,
	    RETRIES_MAX);
	return 0;
}

/* Of priority HIGH nothing is asked: no route can name it. */
int
compile_breaker(struct compiler *c, const struct at *up,
    const CircuitBreakers *m, struct block_breaker *b)
{
	static const struct rule none[] = { { NULL, RULE_SET, 0, 0, NULL } };
	bool seen = false;

	*b = (struct block_breaker){ BREAKER_MAX, BREAKER_MAX, BREAKER_MAX,
	    RETRIES_MAX, BLOCK_NONE, RETRIES_MAX };
	for (size_t i = 0; m != NULL && i < m->n_thresholds; i++) {
		const struct at at = AT_ITEM(up, "thresholds", i);
		const Thresholds *t = m->thresholds[i];

		if (rule_check(c, &at, &t->base, none) < 0)
			return -1;
		if (t->priority != ENVOY__CONFIG__CORE__V3__ROUTING_PRIORITY__DEFAULT ||
		    seen)
			continue;		/* the first counts */
		seen = true;
		b->connections_max = number_or(t->max_connections,
		    BREAKER_MAX);
		b->pending_max = number_or(t->max_pending_requests,
		    BREAKER_MAX);
		b->requests_max = number_or(t->max_requests, BREAKER_MAX);
		b->retries_max = number_or(t->max_retries, RETRIES_MAX);
		if (budget_read(c, &at, t->retry_budget, b) < 0)
			return -1;
	}
	return 0;
}
