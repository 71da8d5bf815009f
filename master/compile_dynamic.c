/*
 * master/compile_dynamic.c - dynamic_resources of a Bootstrap, and who we are:
 * what the subscription needs, out of the messages.
 *
 * A control plane is a cluster of the file, so that its addresses, TLS and
 * windows are said as those of any other.
 *
 * Not built yet and refused by name: streams of one kind (api_config_source in
 * lds_config and cds_config), files (path_config_source).
 *
 * Source: config.bootstrap.v3.Bootstrap.DynamicResources,
 * config.core.v3.ApiConfigSource, Node; reference/envoy-xds.md 1.1, 2.9.
 * Test: t/unit/dynamic.c.
 */
#include "master/dynamic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "master/compile_parts.h"

typedef Envoy__Config__Bootstrap__V3__Bootstrap__DynamicResources Dynamic;
typedef Envoy__Config__Core__V3__ApiConfigSource ApiSource;
typedef Envoy__Config__Core__V3__GrpcService GrpcService;
typedef Envoy__Config__Core__V3__GrpcService__EnvoyGrpc EnvoyGrpc;
typedef Envoy__Config__Core__V3__Node Node;

#define API(name) ENVOY__CONFIG__CORE__V3__API_CONFIG_SOURCE__API_TYPE__##name

enum {
	MISSING_MS = 15000, BACK_OFF_BASE_MS = 500, BACK_OFF_MAX_MS = 30000,
	DYNAMIC_BYTES_MAX = 1 << 20,
};

/* What we do of the features that a server may ask for (2.9 has why some
 * stand there twice). */
static const char *const features[] = {
	"envoy.config.resource-in-sotw", "xds.config.resource-in-sotw",
	"xds.config.supports-resource-in-sotw",
	"envoy.config.supports-resource-ttl",
	"xds.config.supports-resource-ttl",
};
enum { FEATURES_N = sizeof(features) / sizeof(features[0]) };

static const struct at top = AT(NULL, "dynamic_resources");

/* ---- who we are */

static int
node_pack(struct compiler *c, const Node *m, struct dynamic *d)
{
	size_t i, n = m == NULL ? 0 : m->n_client_features;
	char **all = scratch(c, (n + FEATURES_N) * sizeof(char *));
	Node own;

	if (all == NULL)
		return -1;
	envoy__config__core__v3__node__init(&own);
	if (m != NULL)
		own = *m;
	for (i = 0; i < n; i++)
		all[i] = m->client_features[i];
	for (i = 0; i < FEATURES_N; i++)
		if ((all[n + i] = lower(c, features[i])) == NULL)
			return -1;
	own.client_features = all;
	own.n_client_features = n + FEATURES_N;
	if (*own.user_agent_name == '\0') {
		own.user_agent_name = lower(c, "godwit");
		own.user_agent_version_type_case =
		    ENVOY__CONFIG__CORE__V3__NODE__USER_AGENT_VERSION_TYPE_USER_AGENT_VERSION;
		own.user_agent_version = lower(c, GODWIT_VERSION);
	}
	d->node_len = protobuf_c_message_get_packed_size(&own.base);
	d->node = malloc(d->node_len + 1);
	d->node_id = strdup(own.id);
	if (d->node == NULL || d->node_id == NULL)
		return refuse(c, &top, "no memory is left");
	protobuf_c_message_pack(&own.base, d->node);
	return 0;
}

static int
node_check(struct compiler *c, const Node *m)
{
	static const struct at node = AT(NULL, "node"), at = AT(&node, "id");

	return m != NULL && *m->id != '\0' ? 0 : refuse(c, &at, "is missing, "
	    "expected our name: a control plane is asked");
}

/* ---- whom we ask */

static int
metadata_read(struct compiler *c, const struct at *at, const GrpcService *m,
    struct dynamic_server *s)
{
	const struct at all = AT(at, "initial_metadata");

	if (m->n_initial_metadata > DYNAMIC_METADATA_MAX)
		return refuse(c, &all, "has %zu items, expected at most %d",
		    m->n_initial_metadata, DYNAMIC_METADATA_MAX);
	for (size_t i = 0; i < m->n_initial_metadata; i++) {
		s->metadata[i].name = strdup(m->initial_metadata[i]->key);
		s->metadata[i].value = strdup(m->initial_metadata[i]->value);
		s->metadata_n++;
		if (s->metadata[i].name == NULL ||
		    s->metadata[i].value == NULL)
			return refuse(c, &all, "no memory is left");
	}
	return 0;
}

static int
back_off_read(struct compiler *c, const struct at *up, const EnvoyGrpc *m,
    struct dynamic_server *s)
{
	const struct at retry = AT(up, "retry_policy");
	const struct at back = AT(&retry, "retry_back_off");
	const struct at base = AT(&back, "base_interval");
	const struct at max = AT(&back, "max_interval");
	const Envoy__Config__Core__V3__BackoffStrategy *b =
	    m->retry_policy == NULL ? NULL : m->retry_policy->retry_back_off;

	if (duration_ms(c, &base, b == NULL ? NULL : b->base_interval,
	    BACK_OFF_BASE_MS, &s->back_off_base_ms) < 0 || duration_ms(c,
	    &max, b == NULL ? NULL : b->max_interval, BACK_OFF_MAX_MS,
	    &s->back_off_max_ms) < 0)
		return -1;
	if (s->back_off_base_ms == 0)
		return refuse(c, &base, "is 0s, expected more");
	return s->back_off_max_ms >= s->back_off_base_ms ? 0 : refuse(c, &max,
	    "is less than the base_interval, expected as much or more");
}

static int
server_read(struct compiler *c, const struct at *at, const GrpcService *m,
    struct dynamic_server *s)
{
	const struct at grpc = AT(at, "envoy_grpc");
	const struct at name = AT(&grpc, "cluster_name");
	const EnvoyGrpc *g = m->envoy_grpc;

	if (m->target_specifier_case !=
	    ENVOY__CONFIG__CORE__V3__GRPC_SERVICE__TARGET_SPECIFIER_ENVOY_GRPC
	    || *g->cluster_name == '\0')
		return refuse(c, &name, "is missing, expected a cluster of "
		    "static_resources");
	if (strlen(g->cluster_name) >= sizeof(s->cluster) ||
	    strlen(g->authority) >= sizeof(s->authority))
		return refuse(c, &grpc, "has a name of more than %zu bytes",
		    sizeof(s->cluster) - 1);
	snprintf(s->cluster, sizeof(s->cluster), "%s", g->cluster_name);
	snprintf(s->authority, sizeof(s->authority), "%s",
	    *g->authority == '\0' ? g->cluster_name : g->authority);
	s->message_bytes_max = number_or(g->max_receive_message_length, 0);
	return back_off_read(c, &grpc, g, s) < 0 ? -1 :
	    metadata_read(c, at, m, s);
}

static bool
cluster_there(const Bootstrap *b, const char *name)
{
	for (size_t i = 0; b->static_resources != NULL &&
	    i < b->static_resources->n_clusters; i++)
		if (strcmp(b->static_resources->clusters[i]->name, name) == 0)
			return true;
	return false;
}

static int
servers_read(struct compiler *c, const struct at *up, const Bootstrap *b,
    const ApiSource *m, struct dynamic *d)
{
	const struct at all = AT(up, "grpc_services");

	if (m->n_grpc_services == 0 ||
	    m->n_grpc_services > DYNAMIC_SERVERS_MAX)
		return refuse(c, &all, "has %zu items, expected 1..%d",
		    m->n_grpc_services, DYNAMIC_SERVERS_MAX);
	for (size_t i = 0; i < m->n_grpc_services; i++) {
		const struct at at = AT_ITEM(up, "grpc_services", i);
		const struct at grpc = AT(&at, "envoy_grpc");
		const struct at name = AT(&grpc, "cluster_name");

		d->servers_n++;
		if (server_read(c, &at, m->grpc_services[i],
		    &d->servers[i]) < 0)
			return -1;
		if (!cluster_there(b, d->servers[i].cluster))
			return refuse(c, &name, "there is no cluster \"%s\" "
			    "in static_resources, expected the control "
			    "plane's", d->servers[i].cluster);
	}
	return 0;
}

static int
ads_read(struct compiler *c, const Bootstrap *b, const ApiSource *m,
    struct dynamic *d)
{
	static const struct rule rules[] = {
		{ "transport_api_version", RULE_LATER, .text = "AUTO|V3" },
		{ "api_type", RULE_LATER, .text = "GRPC|DELTA_GRPC" },
		{ NULL, RULE_SET, 0, 0, NULL },
	};
	const struct at at = AT(&top, "ads_config");

	if (m == NULL)
		return 0;
	d->ads = true;
	d->delta = m->api_type == API(DELTA_GRPC);
	d->node_once = m->set_node_on_first_message_only;
	return rule_check(c, &at, &m->base, rules) < 0 ||
	    servers_read(c, &at, b, m, d) < 0 ? -1 : node_check(c, b->node);
}

/* ---- for what */

static int
source_read(struct compiler *c, const char *field, const ConfigSource *m,
    struct dynamic *d, bool *on)
{
	const struct at at = AT(&top, field);
	const struct at timeout = AT(&at, "initial_fetch_timeout");

	*on = m != NULL;
	if (m == NULL)
		return 0;
	if (find_source(c, &at, m) < 0)
		return -1;
	if (!d->ads)
		return refuse(c, &at, "is by ads, and there is no ads_config");
	return m->initial_fetch_timeout == NULL ? 0 : duration_ms(c, &timeout,
	    m->initial_fetch_timeout, 0, &d->missing_ms);
}

static int
bootstrap_pack(struct compiler *c, const Bootstrap *b, struct dynamic *d)
{
	Bootstrap rest = *b;

	rest.static_resources = NULL;
	d->bootstrap_len = protobuf_c_message_get_packed_size(&rest.base);
	d->bootstrap = malloc(d->bootstrap_len + 1);
	if (d->bootstrap == NULL)
		return refuse(c, &top, "no memory is left");
	protobuf_c_message_pack(&rest.base, d->bootstrap);
	return 0;
}

static int
read_all(struct compiler *c, const Bootstrap *b, struct dynamic *d)
{
	const Dynamic *m = b->dynamic_resources;

	d->missing_ms = MISSING_MS;
	if (bootstrap_pack(c, b, d) < 0)
		return -1;
	if (m == NULL)
		return 0;
	return ads_read(c, b, m->ads_config, d) < 0 ||
	    source_read(c, "lds_config", m->lds_config, d, &d->listeners) < 0
	    || source_read(c, "cds_config", m->cds_config, d, &d->clusters) <
	    0 ? -1 : node_pack(c, b->node, d);
}

int
compile_dynamic(const struct yaml *yaml, const ProtobufCMessage *bootstrap,
    struct dynamic *d, char *why, size_t why_len)
{
	struct compiler c = { .yaml = yaml, .why = why, .why_len = why_len,
	    .memory = load_arena_new(DYNAMIC_BYTES_MAX) };
	int rc = -1;

	memset(d, 0, sizeof(*d));
	if (c.memory == NULL)
		refuse(&c, &top, "no memory is left");
	else
		rc = read_all(&c, (const Bootstrap *)bootstrap, d);
	load_arena_free(c.memory);
	if (rc < 0)
		dynamic_fini(d);
	return rc;
}

/* ---- life */

void
dynamic_fini(struct dynamic *d)
{
	for (uint32_t i = 0; i < d->servers_n; i++)
		for (uint32_t j = 0; j < d->servers[i].metadata_n; j++) {
			free(d->servers[i].metadata[j].name);
			free(d->servers[i].metadata[j].value);
		}
	free(d->node);
	free(d->node_id);
	free(d->bootstrap);
	memset(d, 0, sizeof(*d));
}

static bool
metadata_copy(struct dynamic_server *to, const struct dynamic_server *from)
{
	to->metadata_n = 0;
	for (uint32_t i = 0; i < from->metadata_n; i++) {
		to->metadata[i].name = strdup(from->metadata[i].name);
		to->metadata[i].value = strdup(from->metadata[i].value);
		to->metadata_n++;
		if (to->metadata[i].name == NULL ||
		    to->metadata[i].value == NULL)
			return false;
	}
	return true;
}

static uint8_t *
bytes_copy(const uint8_t *from, size_t len)
{
	uint8_t *to = malloc(len + 1);

	if (to != NULL && len > 0)
		memcpy(to, from, len);
	return to;
}

bool
dynamic_copy(struct dynamic *to, const struct dynamic *from)
{
	bool good = true;

	*to = *from;
	to->node = bytes_copy(from->node, from->node_len);
	to->bootstrap = bytes_copy(from->bootstrap, from->bootstrap_len);
	to->node_id = strdup(from->node_id == NULL ? "" : from->node_id);
	for (uint32_t i = 0; i < from->servers_n; i++)
		good = metadata_copy(&to->servers[i], &from->servers[i]) &&
		    good;
	return good && to->node != NULL && to->node_id != NULL &&
	    to->bootstrap != NULL;
}

static bool
server_same(const struct dynamic_server *a, const struct dynamic_server *b)
{
	if (strcmp(a->cluster, b->cluster) != 0 ||
	    strcmp(a->authority, b->authority) != 0 ||
	    a->back_off_base_ms != b->back_off_base_ms ||
	    a->back_off_max_ms != b->back_off_max_ms ||
	    a->message_bytes_max != b->message_bytes_max ||
	    a->metadata_n != b->metadata_n)
		return false;
	for (uint32_t i = 0; i < a->metadata_n; i++)
		if (strcmp(a->metadata[i].name, b->metadata[i].name) != 0 ||
		    strcmp(a->metadata[i].value, b->metadata[i].value) != 0)
			return false;
	return true;
}

bool
dynamic_same(const struct dynamic *a, const struct dynamic *b)
{
	if (a->ads != b->ads || a->delta != b->delta ||
	    a->node_once != b->node_once || a->listeners != b->listeners ||
	    a->clusters != b->clusters || a->missing_ms != b->missing_ms ||
	    a->servers_n != b->servers_n || a->node_len != b->node_len ||
	    (a->node_len > 0 && memcmp(a->node, b->node, a->node_len) != 0))
		return false;
	for (uint32_t i = 0; i < a->servers_n; i++)
		if (!server_same(&a->servers[i], &b->servers[i]))
			return false;
	return true;
}
