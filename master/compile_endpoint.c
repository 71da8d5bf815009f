/*
 * master/compile_endpoint.c - the endpoints of a cluster: which of them can
 * be picked, each with an id that it keeps.
 *
 * Usable are those of unknown or good health. When they are fewer than
 * healthy_panic_threshold percent of all (50 unless set, as in Envoy), health
 * is not believed and all are usable; 0 turns that off.
 *
 * Source: config.endpoint.v3.ClusterLoadAssignment. Test: t/unit/compile.c.
 */
#include "master/compile_parts.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

typedef Envoy__Config__Endpoint__V3__LocalityLbEndpoints Locality;
typedef Envoy__Config__Endpoint__V3__LbEndpoint Endpoint;

#define LOGICAL_DNS \
	ENVOY__CONFIG__CLUSTER__V3__CLUSTER__DISCOVERY_TYPE__LOGICAL_DNS
#define HEALTH(name) ENVOY__CONFIG__CORE__V3__HEALTH_STATUS__##name
#define HOST(name) \
	ENVOY__CONFIG__ENDPOINT__V3__LB_ENDPOINT__HOST_IDENTIFIER_##name

enum { PANIC_PERCENT = 50 };

struct found {
	struct block_endpoint endpoint;
	bool		 usable;
};

/* What gathers while the localities are walked. */
struct walk {
	const struct at	*up;		/* the load_assignment */
	const struct assignment *from;
	size_t		 seen_n;	/* of from->known */
	struct name_id	 cluster;
	const struct dns_question *dns;	/* names are asked for so, or NULL */
	bool		 logical;	/* one address of a name */
	struct found	*found;
	size_t		 found_n, found_cap, usable_n;
	uint64_t	 weights;	/* of the locality */
};

static const struct rule endpoint_rules[] = {
	{ "health_status", RULE_LATER,
	    .text = "UNKNOWN|HEALTHY|UNHEALTHY|DRAINING|TIMEOUT" },
	{ "load_balancing_weight", RULE_RANGE, 1, UINT32_MAX, "at least 1" },
	{ NULL, RULE_SET, 0, 0, NULL },
};

/* The endpoint was there already: looks for where. */
static int
endpoint_twice(struct compiler *c, const struct walk *w, const struct at *at,
    const struct block_address *address)
{
	const LoadAssignment *m = w->from->m;
	const struct found *f = w->found;
	struct sockaddr_storage socket;
	size_t i = 0, j = 0;
	char text[80];

	if (w->from->partly)		/* it is said of the whole one */
		return -1;
	while (memcmp(&f->endpoint.address, address, sizeof(*address)) != 0) {
		f++;
		j++;
	}
	for (; j >= m->endpoints[i]->n_lb_endpoints; i++)
		j -= m->endpoints[i]->n_lb_endpoints;
	const struct at locality = AT_ITEM(w->up, "endpoints", i);
	const struct at first = AT_ITEM(&locality, "lb_endpoints", j);

	(void)block_socket_address(address, address->port, &socket);
	address_text(&socket, text, sizeof(text));
	return refuse_twice(c, at, &first, "endpoint", text);
}

/* For one more, which found_n does not count yet. NULL: refused. */
static struct found *
found_room(struct compiler *c, struct walk *w)
{
	size_t cap = w->found_cap * 2 + 8;
	struct found *to;

	if (w->found_n == w->found_cap) {
		if ((to = scratch(c, cap * sizeof(*to))) == NULL)
			return NULL;
		if (w->found_n > 0)
			memcpy(to, w->found, w->found_n * sizeof(*to));
		w->found = to;
		w->found_cap = cap;
	}
	return &w->found[w->found_n];
}

/* One more; what names call it is found here, if it is not known. */
static int
endpoint_add(struct compiler *c, struct walk *w, const struct at *at,
    struct known_endpoint *e)
{
	struct found *f = found_room(c, w);
	int taken;

	if (f == NULL)
		return -1;
	taken = w->from->amends && e->known ? 0 :
	    names_take_endpoint(c->names, w->cluster, &e->address, &e->id);
	if (taken < 0)
		return refuse(c, at, "there is room for %d endpoints, those "
		    "that this change removes included", ENDPOINTS_MAX);
	if (taken > 0)
		return w->dns != NULL ? 0 : endpoint_twice(c, w, at,
		    &e->address);
	*f = (struct found){ .endpoint = { .address = e->address,
	    .weight = e->weight, .id = e->id.id, .tag = e->id.tag },
	    .usable = e->usable };
	w->found_n++;
	w->usable_n += f->usable ? 1 : 0;
	w->weights += f->endpoint.weight;
	return 0;
}

/* Those of a host name. */
static int
endpoints_of_name(struct compiler *c, struct walk *w, const struct at *at,
    const Endpoint *m, const char *name, struct known_endpoint *e)
{
	struct dns_question q = *w->dns;
	const struct block_address *all = NULL;
	struct sockaddr_storage address;
	size_t n;

	q.name = name;
	if (find_name(c, at, &q, &all, &n) < 0)
		return -1;
	if (w->logical && n > 1)
		n = 1;
	for (size_t i = 0; i < n; i++) {
		(void)block_socket_address(&all[i], (uint16_t)
		    m->endpoint->address->socket_address->port_value,
		    &address);
		address_block(&address, &e->address);
		if (endpoint_add(c, w, at, e) < 0)
			return -1;
	}
	return 0;
}

/* *e: what its message says, to be remembered. */
static int
compile_endpoint(struct compiler *c, struct walk *w, const struct at *at,
    const Endpoint *m, struct known_endpoint *e)
{
	const struct at place = AT(at, "endpoint");
	const struct at where = AT(&place, "address");
	struct sockaddr_storage address;
	const char *name = NULL;
	socklen_t len;

	if (m->host_identifier_case != HOST(ENDPOINT))
		return refuse(c, &place, "is missing, expected an address");
	if (rule_check(c, at, &m->base, endpoint_rules) < 0 ||
	    address_read(c, &where, m->endpoint->address, &address, &len,
	    w->dns != NULL ? &name : NULL) < 0)
		return -1;
	e->weight = number_or(m->load_balancing_weight, 1);
	e->usable = m->health_status == HEALTH(UNKNOWN) ||
	    m->health_status == HEALTH(HEALTHY);
	if (name != NULL)
		return endpoints_of_name(c, w, at, m, name, e);
	address_block(&address, &e->address);
	return endpoint_add(c, w, at, e);
}

/* All of a locality, in their order: those that are known, and the others. */
static int
compile_some(struct compiler *c, struct walk *w, const struct at *at,
    const Locality *m, uint32_t locality)
{
	struct compile_known *k = w->from->known;
	struct known_endpoint *e;
	size_t i = 0;

	for (; w->seen_n < k->n && k->all[w->seen_n].locality == locality;
	    w->seen_n++) {
		const struct at item = AT_ITEM(at, "lb_endpoints", i);

		e = &k->all[w->seen_n];
		assert(e->known || i < m->n_lb_endpoints);	/* K3 */
		if ((e->known ? endpoint_add(c, w, &item, e) :
		    compile_endpoint(c, w, &item, m->lb_endpoints[i++], e)) <
		    0)
			return -1;
	}
	assert(i == m->n_lb_endpoints);				/* K3 */
	return 0;
}

static int
compile_all(struct compiler *c, struct walk *w, const struct at *at,
    const Locality *m)
{
	struct known_endpoint unused = { 0 };

	for (size_t i = 0; i < m->n_lb_endpoints; i++) {
		const struct at item = AT_ITEM(at, "lb_endpoints", i);

		if (compile_endpoint(c, w, &item, m->lb_endpoints[i],
		    &unused) < 0)
			return -1;
	}
	return 0;
}

static int
compile_locality(struct compiler *c, struct walk *w, const struct at *at,
    const Locality *m, uint32_t i)
{
	static const struct rule rules[] = {
		{ "priority", RULE_RANGE, 0, 128, "0..128" },
		{ "priority", RULE_LATER, .text = "0" },
		{ "load_balancing_weight", RULE_RANGE, 1, UINT32_MAX,
		    "at least 1" },
		{ NULL, RULE_SET, 0, 0, NULL },
	};

	if (rule_check(c, at, &m->base, rules) < 0)
		return -1;
	w->weights = 0;
	if ((w->from->known != NULL ? compile_some(c, w, at, m, i) :
	    compile_all(c, w, at, m)) < 0)
		return -1;
	return w->weights <= UINT32_MAX ? 0 :
	    refuse(c, at, "its endpoints weigh %llu together, expected at "
	    "most 4294967295", (unsigned long long)w->weights);
}

static int
assignment_check(struct compiler *c, const struct at *at,
    const LoadAssignment *m)
{
	static const struct rule rules[] = {
		{ "cluster_name", RULE_SET, .text = "a name" },
		{ NULL, RULE_SET, 0, 0, NULL },
	};
	static const struct rule policy_rules[] = {
		{ "overprovisioning_factor", RULE_RANGE, 1, UINT32_MAX,
		    "at least 1" },
		{ NULL, RULE_SET, 0, 0, NULL },
	};
	const struct at policy = AT(at, "policy");

	if (rule_check(c, at, &m->base, rules) < 0)
		return -1;
	return m->policy == NULL ? 0 :
	    rule_check(c, &policy, &m->policy->base, policy_rules);
}

static int
panic_percent(struct compiler *c, const struct at *up, const Cluster *m,
    double *percent)
{
	static const struct rule rules[] = {
		{ "value", RULE_RANGE, 0, 100, "0..100" },
		{ NULL, RULE_SET, 0, 0, NULL },
	};
	const struct at config = AT(up, "common_lb_config");
	const struct at at = AT(&config, "healthy_panic_threshold");
	const Envoy__Type__V3__Percent *p = m->common_lb_config == NULL ?
	    NULL : m->common_lb_config->healthy_panic_threshold;

	*percent = p == NULL ? PANIC_PERCENT : p->value;
	return p == NULL ? 0 : rule_check(c, &at, &p->base, rules);
}

static int
found_compare(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	return x->endpoint.id < y->endpoint.id ? -1 :
	    x->endpoint.id > y->endpoint.id;
}

static int
put_balance(struct compiler *c, struct walk *w, double panic,
    block_ref *ref)
{
	bool all = (double)w->usable_n * 100 < panic * (double)w->found_n;
	size_t i, n = all ? w->found_n : w->usable_n;
	size_t bytes = sizeof(struct block_balance) +
	    n * sizeof(struct block_endpoint);
	struct block_balance *b = scratch(c, bytes);

	if (b == NULL)
		return -1;
	if (w->found_n > 1)
		qsort(w->found, w->found_n, sizeof(*w->found), found_compare);
	for (i = 0; i < w->found_n; i++)
		if (all || w->found[i].usable)
			b->endpoints[b->endpoints_n++] = w->found[i].endpoint;
	for (i = 0; i < b->endpoints_n; i++) {
		b->weight_total += b->endpoints[i].weight;
		if (b->endpoints[i].weight != b->endpoints[0].weight)
			b->weights_differ = 1;
	}
	b->endpoints_all = (uint32_t)w->found_n;
	c->out->generation.endpoints_n += (uint32_t)w->found_n;
	return put_block(c, BLOCK_BALANCE, b, bytes, ref);
}

int
compile_endpoints(struct compiler *c, const struct at *at,
    const struct assignment *from, const struct at *cluster_at,
    const Cluster *m, struct name_id cluster, block_ref *ref)
{
	struct walk w = { .up = at, .from = from, .cluster = cluster,
	    .logical = m->type == LOGICAL_DNS };
	struct dns_question q;
	double panic;
	size_t n = from->known == NULL ? 0 : from->known->n;

	if (!c->whole && !from->amends && !names_retake(c->names, cluster))
		return refuse(c, at, "no memory is left");
	if (assignment_check(c, at, from->m) < 0 ||
	    panic_percent(c, cluster_at, m, &panic) < 0)
		return -1;
	if (compile_is_dns(m)) {
		if (compile_dns(c, cluster_at, m, from->m, &q) < 0)
			return -1;
		w.dns = &q;
	}
	for (size_t i = 0; n == 0 && i < from->m->n_endpoints; i++)
		n += from->m->endpoints[i]->n_lb_endpoints;
	if ((w.found = scratch(c, n * sizeof(*w.found))) == NULL)
		return -1;
	w.found_cap = n;
	for (size_t i = 0; i < from->m->n_endpoints; i++) {
		const struct at item = AT_ITEM(at, "endpoints", i);

		if (compile_locality(c, &w, &item, from->m->endpoints[i],
		    (uint32_t)i) < 0)
			return -1;
	}
	return put_balance(c, &w, panic, ref);
}
