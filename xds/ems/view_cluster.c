/*
 * xds/ems/view_cluster.c - a service's clusters and endpoints in a region, and
 * the clusters of the other regions' gateways.
 *
 *   no versions   CLUSTER s            ENDPOINT s
 *   versions      CLUSTER s@stable     ENDPOINT s@stable: those registered so
 *                 CLUSTER s@canary     ENDPOINT s@canary
 */
#include "xds/ems/view_inside.h"

#include <stdlib.h>
#include <string.h>

#include "shm/log.h"
#include "xds/load.h"
#include "xds/proto/envoy/config/endpoint.pb-c.h"

typedef Envoy__Config__Endpoint__V3__ClusterLoadAssignment Assignment;
typedef Envoy__Config__Endpoint__V3__LocalityLbEndpoints Group;
typedef Envoy__Config__Endpoint__V3__LbEndpoint LbEndpoint;
typedef Envoy__Config__Endpoint__V3__Endpoint Endpoint;

#define HTTP2 "typed_extension_protocol_options: {" \
	    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions: " \
	    "{\"@type\": type.googleapis.com/envoy.extensions.upstreams.http." \
	    "v3.HttpProtocolOptions, explicit_http_config: " \
	    "{http2_protocol_options: {}}}}"

enum {
	VIEW_IN_FLIGHT = 65536,
	ENDPOINT_BYTES = 1024, SLACK_BYTES = 65536,
};

void
view_cluster_name(char *to, const struct model_service *s,
    const char *version)
{
	snprintf(to, VIEW_CLUSTER_BYTES, "%s%s%s", s->name, *version == '\0' ?
	    "" : "@", version);
}

/* ---- clusters */

/* One that differs in tls alone, or that has all, has it already, and is as new
 * (W3). NULL: it is to be made. */
static struct body *
cluster_find(const struct pass *p, const char *name)
{
	const struct view *other = p->view->base != NULL ? p->view->base :
	    p->view->of[RESOURCE_ROUTE];
	const struct catalog_entry *e = other == p->view ? NULL :
	    catalog_find(&other->catalog, RESOURCE_CLUSTER, name);

	return e == NULL ? NULL : e->body;
}

/* Envoy's own 1024 calls are few for such that last, and for a gateway, whose
 * callers are a region; its 3 retries at a time are few when one of two
 * endpoints is dead, where half of the calls need one. */
static void
limits_print(FILE *f, uint32_t in_flight)
{
	fprintf(f, ", circuit_breakers: {thresholds: [{max_requests: %u, "
	    "max_pending_requests: %u, retry_budget: {budget_percent: "
	    "{value: 100}, min_retry_concurrency: 16}}]}", in_flight,
	    in_flight);
}

/* gRPC clients know only ROUND_ROBIN. Half of a service may be draining while
 * it is replaced, and be gone: by Envoy's default (50 percent) calls would go to
 * all then. Those that drain get calls only when there is nobody else. */
static int
cluster_put(const struct pass *p, const char *name,
    const struct model_service *s)
{
	struct body *same = cluster_find(p, name);
	struct text t;

	if (same != NULL)
		return catalog_put(&p->view->catalog, RESOURCE_CLUSTER, name,
		    same) ? 0 : why_set(p->why, p->why_len, "no memory is "
		    "left");
	text_begin(&t);
	if (t.out != NULL) {
		fprintf(t.out, "{name: \"%s\", type: EDS, eds_cluster_config: "
		    "{eds_config: {ads: {}, resource_api_version: V3}}, "
		    "connect_timeout: 2s, lb_policy: %s, " HTTP2, name,
		    p->view->key.role == VIEW_GRPC ? "ROUND_ROBIN" :
		    "LEAST_REQUEST, common_lb_config: "
		    "{healthy_panic_threshold: {value: 1}}");
		limits_print(t.out, s->in_flight == 0 ? VIEW_IN_FLIGHT :
		    s->in_flight);
		fprintf(t.out, "}");
	}
	return text_put(&t, p, RESOURCE_CLUSTER, name);
}

/* Of a version that is not named any more, or of none: all others go. */
static void
others_remove(const struct pass *p, const struct model_service *s, bool gone,
    enum resource_kind kind)
{
	const struct catalog_kind *k = p->view->catalog.kinds[kind];
	const Service *m = gone ? NULL : model_message(s);
	size_t n = strlen(s->name);

	for (uint32_t i = 0; i < k->at_n; i++) {
		const struct catalog_entry *e = k->at[i];
		bool stays = false;
		char name[VIEW_CLUSTER_BYTES];

		if (e == NULL || e->body == NULL ||
		    strncmp(e->name, s->name, n) != 0 ||
		    (e->name[n] != '\0' && e->name[n] != '@'))
			continue;
		if (e->name[n] == '\0')
			stays = !gone && (m == NULL || m->n_versions == 0);
		for (size_t j = 0; m != NULL && j < m->n_versions; j++)
			stays = stays || strcmp(e->name + n + (e->name[n] ==
			    '@'), m->versions[j]->key) == 0;
		if (stays)
			continue;
		snprintf(name, sizeof(name), "%s", e->name);
		catalog_remove(&p->view->catalog, kind, name);
	}
}

int
view_clusters(const struct pass *p, const struct model_service *s)
{
	const Service *m = model_message(s);
	char name[VIEW_CLUSTER_BYTES];
	bool gone = s->gone || !view_sees(p->view, s);

	if (p->view->made)
		others_remove(p, s, gone, RESOURCE_CLUSTER);
	if (gone)
		return 0;
	if (m == NULL || m->n_versions == 0)
		return cluster_put(p, s->name, s);
	for (size_t i = 0; i < m->n_versions; i++) {
		view_cluster_name(name, s, m->versions[i]->key);
		if (cluster_put(p, name, s) < 0)
			return -1;
	}
	return 0;
}

/* ---- endpoints */

static bool
is_in(const struct pass *p, const struct model_endpoint *e,
    const char *version)
{
	return strcmp(e->region, p->view->key.region) == 0 && (version == NULL ||
	    strcmp(e->version, version) == 0);
}

static LbEndpoint *
endpoint_new(struct load_arena *a, const struct model_endpoint *e)
{
	LbEndpoint *m = load_alloc(a, sizeof(*m));
	Endpoint *at = load_alloc(a, sizeof(*at));
	Envoy__Config__Core__V3__Address *address = load_alloc(a,
	    sizeof(*address));
	Envoy__Config__Core__V3__SocketAddress *socket = load_alloc(a,
	    sizeof(*socket));
	Google__Protobuf__UInt32Value *weight = load_alloc(a,
	    sizeof(*weight));

	if (weight == NULL || socket == NULL || address == NULL ||
	    at == NULL || m == NULL)
		return NULL;
	envoy__config__endpoint__v3__lb_endpoint__init(m);
	envoy__config__endpoint__v3__endpoint__init(at);
	envoy__config__core__v3__address__init(address);
	envoy__config__core__v3__socket_address__init(socket);
	google__protobuf__uint32_value__init(weight);
	/* Packed before the model may change. */
	socket->address = (char *)(uintptr_t)e->address;
	socket->port_specifier_case =
	    ENVOY__CONFIG__CORE__V3__SOCKET_ADDRESS__PORT_SPECIFIER_PORT_VALUE;
	socket->port_value = e->port;
	address->address_case =
	    ENVOY__CONFIG__CORE__V3__ADDRESS__ADDRESS_SOCKET_ADDRESS;
	address->socket_address = socket;
	at->address = address;
	m->host_identifier_case =
	    ENVOY__CONFIG__ENDPOINT__V3__LB_ENDPOINT__HOST_IDENTIFIER_ENDPOINT;
	m->endpoint = at;
	m->health_status = e->health == MODEL_DRAINING ?
	    ENVOY__CONFIG__CORE__V3__HEALTH_STATUS__DRAINING :
	    ENVOY__CONFIG__CORE__V3__HEALTH_STATUS__UNKNOWN;
	weight->value = e->weight;
	m->load_balancing_weight = weight;
	return m;
}

/* Those of its zone. */
static size_t
zone_n(const struct model_service *s, const char *zone)
{
	const struct model_endpoint *e;
	size_t n = 0;

	TAILQ_FOREACH(e, &s->endpoints, link)
		n += strcmp(e->zone, zone) == 0;
	return n;
}

static Group *
group_new(struct load_arena *a, const struct model_endpoint *e, size_t n)
{
	Group *g = load_alloc(a, sizeof(*g));
	Envoy__Config__Core__V3__Locality *l = load_alloc(a, sizeof(*l));
	Google__Protobuf__UInt32Value *weight = load_alloc(a,
	    sizeof(*weight));

	if (weight == NULL || l == NULL || g == NULL)
		return NULL;
	envoy__config__endpoint__v3__locality_lb_endpoints__init(g);
	envoy__config__core__v3__locality__init(l);
	google__protobuf__uint32_value__init(weight);
	l->region = (char *)(uintptr_t)e->region;
	l->zone = (char *)(uintptr_t)e->zone;
	g->locality = l;
	g->load_balancing_weight = weight;
	g->lb_endpoints = load_alloc(a, n * sizeof(*g->lb_endpoints));
	return g->lb_endpoints == NULL ? NULL : g;
}

static Group *
group_find(Assignment *m, const char *zone)
{
	for (size_t i = 0; i < m->n_endpoints; i++)
		if (strcmp(m->endpoints[i]->locality->zone, zone) == 0)
			return m->endpoints[i];
	return NULL;
}

/* Zones in the order in which endpoints name them, which are in that of their
 * ids (W1). A locality without a weight gets no call from gRPC clients. */
static bool
assignment_fill(const struct pass *p, struct load_arena *a, Assignment *m,
    const struct model_service *s, const char *version)
{
	const struct model_endpoint *e;
	Group *g;

	m->endpoints = load_alloc(a, (s->endpoints_n + 1) *
	    sizeof(*m->endpoints));
	if (m->endpoints == NULL)
		return false;
	TAILQ_FOREACH(e, &s->endpoints, link) {
		if (!is_in(p, e, version))
			continue;
		if ((g = group_find(m, e->zone)) == NULL) {
			g = group_new(a, e, zone_n(s, e->zone));
			if (g == NULL)
				return false;
			m->endpoints[m->n_endpoints++] = g;
		}
		g->lb_endpoints[g->n_lb_endpoints] = endpoint_new(a, e);
		if (g->lb_endpoints[g->n_lb_endpoints++] == NULL)
			return false;
		g->load_balancing_weight->value++;
	}
	return true;
}

static int
assignment_put(const struct pass *p, const struct model_service *s,
    const char *name, const char *version)
{
	struct load_arena *a = load_arena_new(s->endpoints_n *
	    ENDPOINT_BYTES + SLACK_BYTES);
	Assignment m;
	struct body *b = NULL;
	bool good = false;

	envoy__config__endpoint__v3__cluster_load_assignment__init(&m);
	m.cluster_name = (char *)(uintptr_t)name;
	if (a != NULL && assignment_fill(p, a, &m, s, version))
		b = view_pack(&m.base);
	if (b != NULL)
		good = catalog_put(&p->view->catalog, RESOURCE_ENDPOINT, name,
		    b);
	body_put(b);
	load_arena_free(a);
	return good ? 0 : why_set(p->why, p->why_len, "no memory is left");
}

int
view_endpoints(const struct pass *p, const struct model_service *s,
    bool recast)
{
	const Service *m = model_message(s);
	char name[VIEW_CLUSTER_BYTES];

	if (recast && p->view->made)
		others_remove(p, s, s->gone, RESOURCE_ENDPOINT);
	if (s->gone)
		return 0;
	if (m == NULL || m->n_versions == 0)
		return assignment_put(p, s, s->name, NULL);
	for (size_t i = 0; i < m->n_versions; i++) {
		view_cluster_name(name, s, m->versions[i]->key);
		if (assignment_put(p, s, name, m->versions[i]->key) < 0)
			return -1;
	}
	return 0;
}

/* ---- gateways */

static void
gateway_hosts_print(FILE *f, const struct model *m, const char *region)
{
	const char *comma = "";

	for (size_t i = 0; i < m->intents_n[INTENT_GATEWAY]; i++) {
		const Gateway *g = m->intents[INTENT_GATEWAY][i]->message;

		if (strcmp(g->region, region) != 0)
			continue;
		for (size_t j = 0; j < g->n_addresses; j++) {
			char host[64] = "";
			unsigned port = 0;

			(void)intent_address(g->addresses[j], host,
			    sizeof(host), &port);
			fprintf(f, "%s{endpoint: {address: {socket_address: "
			    "{address: \"%s\", port_value: %u}}}}", comma,
			    host, port);
			comma = ", ";
		}
	}
}

/* Whoever has a certificate of a gateway of that region is one. */
static int
gateway_put(const struct pass *p, const char *region)
{
	const struct view_settings *s = p->view->settings;
	char name[INTENT_NAME_MAX + 16], matcher[3 * INTENT_NAME_MAX];
	struct text t;

	snprintf(name, sizeof(name), "gateway/%s", region);
	snprintf(matcher, sizeof(matcher), "{exact: "
	    "\"spiffe://%s/region/%s/gateway\"}", s->mesh, region);
	text_begin(&t);
	if (t.out != NULL) {
		fprintf(t.out, "{name: \"%s\", type: STATIC, connect_timeout: "
		    "5s, lb_policy: LEAST_REQUEST, " HTTP2 ", "
		    "transport_socket: {name: envoy.transport_sockets.tls, "
		    "typed_config: {\"@type\": type.googleapis.com/envoy."
		    "extensions.transport_sockets.tls.v3.UpstreamTlsContext, "
		    "sni: \"gateway.%s.%s\", ", name, region, s->mesh);
		view_tls_print(t.out, p->view, matcher);
		fprintf(t.out, "}}");
		limits_print(t.out, VIEW_IN_FLIGHT);
		fprintf(t.out, ", load_assignment: {cluster_name: \"%s\", "
		    "endpoints: [{lb_endpoints: [", name);
		gateway_hosts_print(t.out, p->model, region);
		fprintf(t.out, "]}]}}");
	}
	return text_put(&t, p, RESOURCE_CLUSTER, name);
}

/* Regions that are no more, or have no gateway any more. */
static void
gateways_remove(const struct pass *p)
{
	const struct catalog_kind *k = p->view->catalog.kinds[RESOURCE_CLUSTER];

	for (uint32_t i = 0; i < k->at_n; i++) {
		const struct catalog_entry *e = k->at[i];

		if (e != NULL && e->body != NULL &&
		    strncmp(e->name, "gateway/", 8) == 0 &&
		    !model_has_gateway(p->model, e->name + 8))
			catalog_remove(&p->view->catalog, RESOURCE_CLUSTER,
			    e->name);
	}
}

int
view_gateways(const struct pass *p)
{
	const struct model *m = p->model;

	if (p->view->key.role != VIEW_SIDECAR)
		return 0;		/* a call crosses regions once */
	gateways_remove(p);
	for (size_t i = 0; i < m->intents_n[INTENT_REGION]; i++) {
		const char *region = m->intents[INTENT_REGION][i]->name;

		if (strcmp(region, p->view->key.region) != 0 &&
		    model_has_gateway(m, region) && gateway_put(p, region) < 0)
			return -1;
	}
	return 0;
}
