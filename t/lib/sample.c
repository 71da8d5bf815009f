/* t/lib/sample.c - see sample.h: the generation; sample_read.c reads it. */
#include "t/lib/sample.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

static void *
put(struct arena *a, size_t bytes, block_ref *ref)
{
	void *p = arena_put(a, bytes, ref);

	if (p == NULL)
		abort();		/* a test's arena is large enough */
	return p;
}

static void *
at(const struct arena *a, block_ref ref)
{
	return a->base + (uint64_t)ref * ARENA_UNIT_BYTES;
}

static block_ref
text_put(struct arena *a, const char *s)
{
	block_ref ref;
	struct block_text *t = put(a, sizeof(*t) + strlen(s) + 1, &ref);

	t->len = (uint32_t)strlen(s);
	strcpy(t->bytes, s);
	return ref;
}

static block_ref
list_put(struct arena *a, uint32_t n, const block_ref *items)
{
	block_ref ref;
	struct block_list *l = put(a, sizeof(*l) + n * sizeof(l->at[0]), &ref);

	l->n = n;
	if (items != NULL)
		memcpy(l->at, items, n * sizeof(l->at[0]));
	return ref;
}

static block_ref
plan_put(struct arena *a, uint32_t timeout_ms)
{
	block_ref ref;
	struct block_plan *p = put(a, sizeof(*p), &ref);

	*p = (struct block_plan){ .hash = 0x12345678 + timeout_ms,
	    .bytes = sizeof(*p), .timeout_ms = timeout_ms };
	return ref;
}

static struct block_span
plan_span_put(struct block_plan *p, const char *s)
{
	struct block_span span = { p->bytes, (uint32_t)strlen(s) };

	strcpy((char *)p + span.off, s);
	p->bytes += span.len + 1;
	return span;
}

/* With two changes of the request, one of the answer, and a part of each
 * kind. */
static block_ref
changes_put(struct arena *a)
{
	enum { REQUEST = 2, ANSWER = 1, PARTS = 3 };
	block_ref ref;
	struct block_plan *p = put(a, 512, &ref);
	struct block_part *parts;

	p->hash = 0x4321;
	p->bytes = sizeof(*p) + (REQUEST + ANSWER) * sizeof(p->mutations[0]) +
	    PARTS * sizeof(parts[0]);
	p->flags = PLAN_FLAGS;
	p->request_n = REQUEST;
	p->answer_n = ANSWER;
	p->parts_n = PARTS;
	p->mutations[0] = (struct block_mutation){ plan_span_put(p, "x-gone"),
	    0, 0, MUTATION_REMOVE, MUTATION_LEVEL };
	p->mutations[1] = (struct block_mutation){ plan_span_put(p, "x-new"),
	    0, 2, MUTATION_OVERWRITE, MUTATION_KEEP_EMPTY };
	p->mutations[2] = (struct block_mutation){ plan_span_put(p, "via"),
	    2, 1, MUTATION_APPEND, MUTATION_LEVEL | MUTATION_JOIN };
	parts = (struct block_part *)(void *)&p->mutations[REQUEST + ANSWER];
	parts[0] = (struct block_part){ PART_HEADER, 3,
	    plan_span_put(p, "x-a"), plan_span_put(p, "x-b") };
	parts[1] = (struct block_part){ PART_ADDRESS, 0, { 0 }, { 0 } };
	parts[2] = (struct block_part){ PART_TEXT, 0,
	    plan_span_put(p, "godwit"), { 0 } };
	p->host = plan_span_put(p, "other.mesh");
	p->path = plan_span_put(p, "/other/");
	p->path_bytes = 9;
	p->direct_status = 403;
	p->direct_body = plan_span_put(p, "no");
	return ref;
}

static block_ref
split_put(struct arena *a)
{
	block_ref ref;
	struct block_split *b = put(a, sizeof(*b) +
	    2 * sizeof(b->shares[0]), &ref);

	b->n = 2;
	b->total = 100;
	b->shares[0] = (struct block_share){ 10, 0, plan_put(a, 5) };
	b->shares[1] = (struct block_share){ 100, 255, plan_put(a, 6) };
	return ref;
}

static const struct block_h2 h2 = { 1024, 16 << 20, 24 << 20, 4096, 10000, 1000,
	1, 100, 10, 1000, 33 };
static const struct block_header_limits limits = { 61440, 100 };

/* ---- TLS */

static struct block_span
span_put(struct block_tls *b, const char *s)
{
	struct block_span span = { b->bytes, (uint32_t)strlen(s) };

	strcpy((char *)b + span.off, s);
	b->bytes += span.len + 1;
	return span;
}

static block_ref
tls_put(struct arena *a, uint8_t server)
{
	block_ref ref;
	struct block_tls *b = put(a, 400, &ref);

	b->hash = 0x5678 + server;
	b->admits = 1;
	b->bytes = sizeof(*b) + 2 * sizeof(b->sans[0]);
	b->version_min = 0x0303;
	b->version_max = 0x0304;
	b->server = server;
	b->require_client_certificate = server;
	b->private_key = 4711;		/* in another arena: not followed */
	b->sans_n = 2;
	b->certificate_chain = span_put(b, "-----BEGIN CERTIFICATE-----");
	b->private_key_file = span_put(b, "/etc/godwit/key.pem");
	b->certificate_file = span_put(b, "/etc/godwit/cert.pem");
	b->trusted_ca = span_put(b, "-----BEGIN CERTIFICATE-----");
	b->ca_secret = span_put(b, "mesh");
	if (server == 0)
		b->sni = span_put(b, "gw.mesh");
	b->ciphers = span_put(b, "ECDHE+AESGCM");
	b->sans[0] = (struct block_san){ 2, HEADER_EXACT,
	    span_put(b, "gw.mesh") };
	b->sans[1] = (struct block_san){ 3, HEADER_PREFIX,
	    span_put(b, "spiffe://mesh/") };
	return ref;
}

/* ---- clusters */

static void
endpoint_fill(struct block_endpoint *e, uint32_t id, uint32_t weight,
    uint16_t family)
{
	e->address.family = family;
	e->address.port = 8080;
	memset(e->address.bytes, 10, family == AF_INET ? 4 : 16);
	e->id = id;
	e->tag = id + 1;
	e->weight = weight;
}

/* Ids from first on; weights step apart from each other. */
static block_ref
balance_put(struct arena *a, uint32_t n, uint32_t first, uint32_t step)
{
	block_ref ref;
	struct block_balance *b = put(a, sizeof(*b) +
	    n * sizeof(b->endpoints[0]), &ref);

	b->endpoints_n = n;
	b->endpoints_all = n + 1;
	b->weights_differ = n > 1 && step > 0;
	for (uint32_t i = 0; i < n; i++) {
		endpoint_fill(&b->endpoints[i], first + i, 1 + i * step,
		    i % 2 == 0 ? AF_INET : AF_INET6);
		b->weight_total += b->endpoints[i].weight;
	}
	return ref;
}

static block_ref
cluster_put(struct arena *a, uint32_t slot, block_ref balance)
{
	block_ref ref;
	struct block_cluster *c = put(a, sizeof(*c), &ref);

	c->name = text_put(a, "greeter");
	c->slot = slot;
	c->tag = slot + 1;
	c->balance = balance;
	c->lb_policy = slot % 3;
	c->connect_timeout_ms = 5000;
	c->h2 = h2;
	c->limits = limits;
	return ref;
}

static void
clusters_put(struct sample *s, struct arena *a)
{
	block_ref pages[3] = { list_put(a, PAGE_SLOTS, NULL), 0,
	    list_put(a, PAGE_SLOTS, NULL) };
	struct block_list *last = at(a, pages[2]);

	s->page = at(a, pages[0]);
	s->page->at[0] = cluster_put(a, 0, balance_put(a, 3, 7, 2));
	s->page->at[255] = cluster_put(a, 255, balance_put(a, 0, 0, 0));
	last->at[1] = cluster_put(a, 513, balance_put(a, 2, 100, 0));
	s->cluster = at(a, s->page->at[0]);
	s->cluster->tls = tls_put(a, 0);
	s->balance = at(a, s->cluster->balance);
	s->tls_client = at(a, s->cluster->tls);
	s->root->clusters = list_put(a, 3, pages);
	s->pages = at(a, s->root->clusters);
}

/* ---- routes */

static block_ref
matches_put(struct arena *a)
{
	block_ref ref;
	struct block_header_matches *b = put(a, sizeof(*b) +
	    3 * sizeof(b->at[0]), &ref);

	b->n = 3;
	b->at[0] = (struct block_header_match){ text_put(a, "x-tenant"),
	    text_put(a, "blue"), HEADER_EXACT,
	    HEADER_ANY_CASE | HEADER_INVERT, { 0 }, 0, 0 };
	b->at[1] = (struct block_header_match){ text_put(a, "x-level"), 0,
	    HEADER_RANGE, 0, { 0 }, -5, INT64_MAX };
	b->at[2] = (struct block_header_match){ text_put(a, "x-any"),
	    text_put(a, "As Is"), HEADER_CONTAINS, HEADER_MISSING_AS_EMPTY,
	    { 0 }, 0, 0 };
	return ref;
}

static block_ref
rules_put(struct arena *a)
{
	static const struct block_rbac_node nodes[] = {
		{ RBAC_PATH, 2, 1, 0, { .kind = HEADER_PREFIX } },
		{ RBAC_HEADER, 2, RBAC_FAILS, 0, { .kind = HEADER_EXACT,
		    .flags = HEADER_ANY_CASE | HEADER_INVERT } },
		{ RBAC_NAME, 3, RBAC_FAILS, 0, { .kind = HEADER_PRESENT } },
		{ RBAC_NAME, RBAC_FAILS, RBAC_MATCHES, 0,
		    { .kind = HEADER_EXACT } },
	};
	block_ref ref;
	struct block_rbac_rules *r = put(a, sizeof(*r) + sizeof(nodes), &ref);

	r->action = RBAC_DENY;
	r->nodes_n = 4;
	memcpy(r->nodes, nodes, sizeof(nodes));
	r->nodes[0].match.value = text_put(a, "/pkg.Greeter/");
	r->nodes[1].match.name = text_put(a, "x-tenant");
	r->nodes[1].match.value = text_put(a, "blue");
	r->nodes[3].match.value = text_put(a, "spiffe://mesh/Guest");
	return ref;
}

/* Its rules, and as a shadow none that anybody matches. */
static block_ref
rbac_put(struct sample *s, struct arena *a)
{
	block_ref ref, none;
	struct block_rbac_rules *r = put(a, sizeof(*r), &none);

	r->entry = RBAC_FAILS;
	s->rbac = put(a, sizeof(*s->rbac), &ref);
	s->rbac->rules = rules_put(a);
	s->rbac->shadow_rules = none;
	s->rules = at(a, s->rbac->rules);
	return ref;
}

/* One that turns the first of two filters off, one that has other rules. */
static void
overrides_put(struct sample *s, struct arena *a, block_ref rbac)
{
	for (int i = 0; i < 2; i++) {
		s->overrides = put(a, sizeof(*s->overrides) +
		    2 * sizeof(s->overrides->at[0]),
		    &s->host->routes[i].overrides);
		s->overrides->n = 2;
		s->overrides->at[0] = (struct block_override){ 1,
		    i == 0 ? 0 : rbac };
	}
}

static block_ref
host_put(struct arena *a, const char *name, uint32_t routes_n)
{
	static const char *const paths[] = { "/pkg.greeter/", "/Exact", "/" };
	block_ref ref;
	struct block_host *h = put(a, sizeof(*h) +
	    routes_n * sizeof(h->routes[0]), &ref);

	h->name = text_put(a, name);
	h->routes_n = routes_n;
	for (uint32_t i = 0; i < routes_n; i++) {
		struct block_route *r = &h->routes[i];

		r->kind = (uint8_t)(MATCH_SEPARATED_PREFIX - i % 3);
		r->flags = i == 0 ? MATCH_ANY_CASE | MATCH_GRPC : 0;
		r->path = text_put(a, paths[i % 3]);
		r->path_len = (uint32_t)strlen(paths[i % 3]);
		r->cluster = i * 255;
		r->plan = plan_put(a, i);
	}
	return ref;
}

static block_ref
route_config_put(struct sample *s, struct arena *a)
{
	static const struct { const char *text; uint16_t kind; uint32_t host; }
	domains[] = {
		{ "greeter.mesh", DOMAIN_EXACT, 0 },
		{ "gw.mesh", DOMAIN_EXACT, 1 }, { ".mesh", DOMAIN_SUFFIX, 0 },
		{ "gw.", DOMAIN_PREFIX, 1 }, { "", DOMAIN_ANY, 0 },
	};
	enum { N = sizeof(domains) / sizeof(domains[0]) };
	block_ref hosts[2] = { host_put(a, "first", 3), host_put(a, "", 0) };
	block_ref ref;
	struct block_route_config *b = put(a, sizeof(*b) +
	    N * sizeof(b->domains[0]), &ref);

	b->name = text_put(a, "routes");
	b->hosts = list_put(a, 2, hosts);
	b->domains_n = N;
	b->overrides = 1;
	for (int i = 0; i < N; i++)
		b->domains[i] = (struct block_domain){
		    text_put(a, domains[i].text), domains[i].kind,
		    (uint16_t)strlen(domains[i].text), domains[i].host };
	s->route_config = b;
	s->hosts = at(a, b->hosts);
	s->host = at(a, hosts[0]);
	s->host->routes[0].headers = matches_put(a);
	s->host->routes[0].name = text_put(a, "to greeter");
	s->host->routes[0].plan = changes_put(a);
	s->host->routes[1].split = split_put(a);
	s->split = at(a, s->host->routes[1].split);
	s->matches = at(a, s->host->routes[0].headers);
	s->plan = at(a, s->host->routes[0].plan);
	return ref;
}

/* ---- listeners */

static block_ref
listener_put(struct arena *a, uint32_t slot, block_ref hcm, block_ref tls)
{
	block_ref ref, chain_ref;
	struct block_listener *l = put(a, sizeof(*l), &ref);
	struct block_chain *c = put(a, sizeof(*c), &chain_ref);

	*c = (struct block_chain){ 0, tls, hcm, 10000 };
	l->name = text_put(a, slot == 0 ? "ingress" : "egress");
	l->stat_name = text_put(a, "0.0.0.0_443");
	l->address.family = slot == 0 ? AF_INET : AF_INET6;
	l->address.port = 443;
	l->slot = slot;
	l->tag = slot + 1;
	l->chains = list_put(a, 1, &chain_ref);
	return ref;
}

/* Both listeners have one connection manager: a block that is shared. */
static void
listeners_put(struct sample *s, struct arena *a)
{
	block_ref hcm, refs[2];

	s->hcm = put(a, sizeof(*s->hcm) + 2 * sizeof(s->hcm->filters[0]),
	    &hcm);
	s->hcm->stat_prefix = text_put(a, "http");
	s->hcm->route_config = route_config_put(s, a);
	s->hcm->h2 = h2;
	s->hcm->limits = limits;
	s->hcm->flags = HCM_REQUEST_ID | HCM_ORIGINALS;
	s->hcm->filters_n = 2;
	s->hcm->filters[0] = (struct block_filter){ FILTER_RBAC,
	    rbac_put(s, a) };
	s->hcm->filters[1] = (struct block_filter){ FILTER_ROUTER, 0 };
	overrides_put(s, a, s->hcm->filters[0].rbac);
	refs[0] = listener_put(a, 0, hcm, tls_put(a, 1));
	refs[1] = listener_put(a, 63, hcm, 0);
	s->root->listeners = list_put(a, 2, refs);
	s->listeners = at(a, s->root->listeners);
	s->listener = at(a, refs[0]);
	s->chains = at(a, s->listener->chains);
	s->chain = at(a, s->chains->at[0]);
	s->chain->name = text_put(a, "with TLS");
	s->tls = at(a, s->chain->tls);
	s->text = at(a, s->listener->name);
}

static struct block_root *
root_put(struct arena *a, block_ref *ref)
{
	struct block_root *root = put(a, sizeof(*root), ref);

	root->number = 3;
	root->settings = (struct block_settings){ 1 << 28, 30000, 0, 2, 0 };
	return root;
}

void
sample_put(struct sample *s, struct arena *a)
{
	s->root = root_put(a, &s->root_ref);
	listeners_put(s, a);
	clusters_put(s, a);
}

block_ref
sample_put_endpoints(struct arena *a, uint32_t n, uint32_t m)
{
	uint32_t pages_n = m / PAGE_SLOTS + 1;
	block_ref ref;
	struct block_root *root = root_put(a, &ref);
	struct block_list *pages, *page;

	root->listeners = list_put(a, 0, NULL);
	root->clusters = list_put(a, pages_n, NULL);
	pages = at(a, root->clusters);
	for (uint32_t i = 0; i < pages_n; i++)
		pages->at[i] = list_put(a, PAGE_SLOTS, NULL);
	for (uint32_t slot = 0; slot <= m; slot++) {
		page = at(a, pages->at[slot / PAGE_SLOTS]);
		page->at[slot % PAGE_SLOTS] = cluster_put(a, slot, slot == 0 ?
		    balance_put(a, n, 0, 1) : balance_put(a, 1, n + slot, 0));
	}
	return ref;
}
