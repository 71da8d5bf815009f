/*
 * master/compile_dns.c - clusters whose endpoints are host names: how often
 * they are asked for, and what may stand there.
 *
 *   STRICT_DNS    every address of every name is an endpoint
 *   LOGICAL_DNS   one name, one of its addresses (resolve.h says which)
 *
 * Numeric addresses may stand among the names. The same address of two names
 * is one endpoint, with the weight of the first.
 *
 * Source: config.cluster.v3.Cluster. Test: t/unit/compile.c,
 * t/unit/resources_name.c.
 */
#include "master/compile_parts.h"

#include <ctype.h>
#include <string.h>

typedef Envoy__Config__Cluster__V3__Cluster__RefreshRate RefreshRate;

#define TYPE(name) ENVOY__CONFIG__CLUSTER__V3__CLUSTER__DISCOVERY_TYPE__##name

enum { REFRESH_MS = 5000, MAX_TIMES = 10 };

bool
compile_is_dns(const Cluster *m)
{
	return m->type == TYPE(STRICT_DNS) || m->type == TYPE(LOGICAL_DNS);
}

static int
failure_rate(struct compiler *c, const struct at *up, const RefreshRate *m,
    struct dns_question *q)
{
	static const char shorter[] = "more than 0.001s";
	static const struct rule rules[] = {
		{ "base_interval", RULE_SET, .text = shorter },
		{ "base_interval", RULE_RANGE, 1001, INT64_MAX, shorter },
		{ "max_interval", RULE_RANGE, 1001, INT64_MAX, shorter },
		{ NULL, RULE_SET, 0, 0, NULL },
	};
	const struct at at = AT(up, "dns_failure_refresh_rate");
	const struct at base = AT(&at, "base_interval");
	const struct at max = AT(&at, "max_interval");

	if (m == NULL)
		return 0;
	if (rule_check(c, &at, &m->base, rules) < 0 ||
	    duration_ms(c, &base, m->base_interval, 0, &q->failure_base_ms) <
	    0 || duration_ms(c, &max, m->max_interval, q->failure_base_ms >
	    UINT32_MAX / MAX_TIMES ? UINT32_MAX : q->failure_base_ms *
	    MAX_TIMES, &q->failure_max_ms) < 0)
		return -1;
	return q->failure_max_ms >= q->failure_base_ms ? 0 : refuse(c, &max,
	    "is below base_interval, expected at least that");
}

static int
logical_check(struct compiler *c, const struct at *at,
    const LoadAssignment *from)
{
	return from->n_endpoints == 1 &&
	    from->endpoints[0]->n_lb_endpoints == 1 ? 0 : refuse(c, at,
	    "is not one endpoint, expected one in one locality: the name of a "
	    "LOGICAL_DNS cluster");
}

int
compile_dns(struct compiler *c, const struct at *at, const Cluster *m,
    const LoadAssignment *from, struct dns_question *q)
{
	static const struct rule rules[] = {
		{ "dns_refresh_rate", RULE_RANGE, 1001, INT64_MAX,
		    "more than 0.001s" },
		{ NULL, RULE_SET, 0, 0, NULL },
	};
	const struct at refresh = AT(at, "dns_refresh_rate");
	const struct at own = AT(at, "load_assignment");

	*q = (struct dns_question){
	    .family = (enum dns_family)m->dns_lookup_family,
	    .respect_ttl = m->respect_dns_ttl };
	if (rule_check(c, at, &m->base, rules) < 0 ||
	    duration_ms(c, &refresh, m->dns_refresh_rate, REFRESH_MS,
	    &q->refresh_ms) < 0 ||
	    failure_rate(c, at, m->dns_failure_refresh_rate, q) < 0)
		return -1;
	return m->type == TYPE(LOGICAL_DNS) ?
	    logical_check(c, &own, from) : 0;
}

int
compile_name(struct compiler *c, const struct at *at, const char *name)
{
	size_t n = strlen(name);
	const char *p = name;

	while (isalnum((unsigned char)*p) || (*p != '\0' &&
	    strchr("-._", *p) != NULL))
		p++;
	if (n > DNS_HOST_MAX)
		return refuse(c, at, "has %zu bytes, expected at most %d", n,
		    DNS_HOST_MAX);
	return *p == '\0' ? 0 : refuse(c, at, "\"%s\" is neither an IP "
	    "address nor a host name", name);
}
