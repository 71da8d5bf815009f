/*
 * xds/ems/view_listener.c - where a proxy listens, and who gets in.
 *
 *   sidecar   clear text, on the address that its node.metadata.listen says
 *   gateway   mutual TLS: a certificate of the mesh's CA and of a region; then
 *             the callers' intents as an RBAC filter
 *   gRPC      an API listener, which is a description only
 */
#include "xds/ems/view_inside.h"

#include <stdlib.h>
#include <string.h>

#include "shm/log.h"
#include "xds/wire.h"

#define HCM "type.googleapis.com/envoy.extensions.filters.network." \
	    "http_connection_manager.v3.HttpConnectionManager"
#define ROUTER "{name: envoy.filters.http.router, typed_config: {\"@type\": " \
	    "type.googleapis.com/envoy.extensions.filters.http.router.v3." \
	    "Router}}"

void
view_tls_print(FILE *f, const struct view *v, const char *matcher)
{
	fprintf(f, "common_tls_context: {alpn_protocols: [h2], tls_params: "
	    "{tls_minimum_protocol_version: TLSv1_3, "
	    "tls_maximum_protocol_version: TLSv1_3}, tls_certificates: "
	    "[{certificate_chain: {filename: \"%s/tls.crt\"}, private_key: "
	    "{filename: \"%s/tls.key\"}}], validation_context: {trusted_ca: "
	    "{filename: \"%s/ca.crt\"}, match_typed_subject_alt_names: [{san_type: "
	    "URI, matcher: %s}]}}", v->key.tls, v->key.tls, v->key.tls, matcher);
}

/* ---- who may call what */

/* The paths of SERVICE or SERVICE/METHOD. */
static void
path_print(FILE *f, const char *may)
{
	const char *slash = strchr(may, '/');

	fprintf(f, "{url_path: {path: {%s: \"/%s%s\"}}}", slash == NULL ?
	    "prefix" : "exact", may, slash == NULL ? "/" : "");
}

/* By its gRPC names, if it is a service of ours. */
static void
may_print(FILE *f, const struct model *m, const char *may)
{
	const char *slash = strchr(may, '/');
	size_t n = slash == NULL ? strlen(may) : (size_t)(slash - may);
	char name[INTENT_NAME_MAX + 1], path[2 * INTENT_NAME_MAX + 2];
	struct model_service *s;

	snprintf(name, sizeof(name), "%.*s", (int)n, may);
	s = model_service(m, name);
	if (s == NULL) {
		path_print(f, may);
		return;
	}
	for (size_t i = 0; i < model_grpc_n(s); i++) {
		snprintf(path, sizeof(path), "%s%s", model_grpc(s, i),
		    slash == NULL ? "" : slash);
		fprintf(f, "%s%s", i == 0 ? "" : ", ", s->shared ?
		    "{and_rules: {rules: [" : "");
		path_print(f, path);
		/* Others answer this path too: it is who is asked. */
		if (s->shared)
			fprintf(f, ", {header: {name: \":authority\", "
			    "string_match: {exact: \"%s\", ignore_case: "
			    "true}}}]}}", s->name);
	}
}

/* What a caller names is closed to others: each once. */
static void
all_may_print(FILE *f, const struct model *m, const struct model_may *all)
{
	for (size_t i = 0; i < all->n; i++) {
		fprintf(f, i == 0 ? "" : ", ");
		may_print(f, m, all->at[i]);
	}
}

/* Whole names, of every region there is: what only ends in one is another
 * (who.h O1). */
static void
principals_print(FILE *f, const struct pass *p, const char *caller)
{
	const struct model *m = p->model;

	fprintf(f, "principals: [");
	for (size_t i = 0; i < m->intents_n[INTENT_REGION]; i++)
		fprintf(f, "%s{authenticated: {principal_name: {exact: "
		    "\"spiffe://%s/region/%s/service/%s\"}}}", i == 0 ? "" :
		    ", ", p->view->settings->mesh,
		    m->intents[INTENT_REGION][i]->name, caller);
	fprintf(f, "], ");
}

/* One policy for each caller, and one for what no caller names. */
static void
rbac_print(FILE *f, const struct pass *p, const struct model_may *all)
{
	const struct model *m = p->model;

	if (all->n == 0)
		return;
	fprintf(f, "{name: envoy.filters.http.rbac, typed_config: {\"@type\": "
	    "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC, "
	    "rules: {action: ALLOW, policies: {");
	for (size_t i = 0; i < m->intents_n[INTENT_CALLER]; i++) {
		const Caller *c = m->intents[INTENT_CALLER][i]->message;

		if (c->n_may == 0)
			continue;
		fprintf(f, "\"caller %s\": {", c->caller);
		principals_print(f, p, c->caller);
		fprintf(f, "permissions: [");
		for (size_t j = 0; j < c->n_may; j++) {
			fprintf(f, j == 0 ? "" : ", ");
			may_print(f, m, c->may[j]);
		}
		fprintf(f, "]}, ");
	}
	fprintf(f, "\"open to the mesh\": {principals: [{any: true}], "
	    "permissions: [{not_rule: {or_rules: {rules: [");
	all_may_print(f, m, all);
	fprintf(f, "]}}}]}}}}}, ");
}

/* ---- listeners */

static void
hcm_print(FILE *f, const struct pass *p, const struct model_may *may)
{
	fprintf(f, "{name: envoy.filters.network.http_connection_manager, "
	    "typed_config: {\"@type\": " HCM ", codec_type: HTTP2, "
	    "stat_prefix: mesh, stream_idle_timeout: 0s, rds: {config_source: "
	    "{ads: {}, resource_api_version: V3}, route_config_name: mesh}, "
	    "http_filters: [");
	if (p->view->key.role == VIEW_GATEWAY)
		rbac_print(f, p, may);
	fprintf(f, ROUTER "]}}");
}

static void
mutual_tls_print(FILE *f, const struct pass *p)
{
	const struct view_settings *s = p->view->settings;
	char matcher[2 * INTENT_NAME_MAX];

	snprintf(matcher, sizeof(matcher), "{prefix: \"spiffe://%s/region/\"}",
	    s->mesh);
	fprintf(f, ", transport_socket_connect_timeout: 10s, "
	    "transport_socket: {name: envoy.transport_sockets.tls, "
	    "typed_config: {\"@type\": type.googleapis.com/envoy.extensions."
	    "transport_sockets.tls.v3.DownstreamTlsContext, "
	    "require_client_certificate: true, ");
	view_tls_print(f, p->view, matcher);
	fprintf(f, "}}");
}

int
view_listeners(const struct pass *p)
{
	const struct view *v = p->view;
	const char *name = v->key.role == VIEW_GATEWAY ? v->key.gateway : "mesh";
	char host[64];
	unsigned port;
	struct model_may may = { 0 };
	struct text t;

	if (v->key.role == VIEW_GRPC ||
	    !intent_address(v->key.listen, host, sizeof(host), &port))
		return 0;
	if (v->key.role == VIEW_GATEWAY && !model_may(p->model, &may))
		return why_set(p->why, p->why_len, "no memory is left");
	text_begin(&t);
	if (t.out != NULL) {
		fprintf(t.out, "{name: \"%s\", address: {socket_address: "
		    "{address: \"%s\", port_value: %u}}, filter_chains: "
		    "[{filters: [", name, host, port);
		hcm_print(t.out, p, &may);
		fprintf(t.out, "]");
		if (v->key.role == VIEW_GATEWAY)
			mutual_tls_print(t.out, p);
		fprintf(t.out, "}]}");
	}
	free(may.at);
	return text_put(&t, p, RESOURCE_LISTENER, name);
}

/* ---- gRPC clients (gRFC A27): Listener{1 name, 19 api_listener{1 Any}}; the
 * subset of ours has no such field, for a proxy has no use for it. */

static void
api_listener_put(struct wire_out *w, const char *name, const struct body *hcm)
{
	size_t any = wire_any_size(HCM, hcm->len);

	wire_put_text(w, WIRE_TAG(1), name);
	wire_put_head(w, WIRE_TAG(19), wire_size(WIRE_TAG(1), any));
	wire_put_any(w, WIRE_TAG(1), HCM, hcm->bytes, hcm->len);
}

static struct body *
api_listener_new(const char *name, const struct body *hcm)
{
	struct wire_out w = { 0 };
	struct body *b;

	api_listener_put(&w, name, hcm);
	if ((b = body_new(w.n)) == NULL)
		return NULL;
	w = (struct wire_out){ .to = b->bytes };
	api_listener_put(&w, name, hcm);
	body_hash(b);
	return b;
}

/* No call has this path. It makes gRPC clients load every version, those of
 * weight 0 too: grpc-go (1.85) takes new routes a moment before it takes the
 * clusters that they name, and fails the calls between. */
static void
versions_load_print(FILE *f, const struct model_service *s)
{
	const Service *m = model_message(s);
	char name[VIEW_CLUSTER_BYTES];

	if (m == NULL || m->n_versions == 0)
		return;
	fprintf(f, "{name: \"all versions\", match: {path: \"/\"}, route: "
	    "{weighted_clusters: {clusters: [");
	for (size_t i = 0; i < m->n_versions; i++) {
		view_cluster_name(name, s, m->versions[i]->key);
		fprintf(f, "%s{name: \"%s\", weight: 1}", i == 0 ? "" : ", ",
		    name);
	}
	fprintf(f, "]}}}, ");
}

int
view_api_listener(const struct pass *p, const struct model_service *s)
{
	const Service *m = model_message(s);
	struct body *hcm, *b;
	struct text t;
	bool good;

	text_begin(&t);
	if (t.out != NULL) {
		fprintf(t.out, "{stat_prefix: mesh, route_config: {name: "
		    "\"%s\", virtual_hosts: [{name: \"%s\", domains: [\"*\"], "
		    "routes: [", s->name, s->name);
		versions_load_print(t.out, s);
		fprintf(t.out, "{match: {prefix: \"\"}, ");
		view_route_print(t.out, p->view, s, m == NULL ? NULL :
		    m->defaults);
		fprintf(t.out, "}]}]}, http_filters: [" ROUTER "]}");
	}
	hcm = text_end(&t, p, HCM);
	b = hcm == NULL ? NULL : api_listener_new(s->name, hcm);
	good = b != NULL && catalog_put(&p->view->catalog, RESOURCE_LISTENER,
	    s->name, b);
	body_put(hcm);
	body_put(b);
	return good ? 0 : -1;
}
