/*
 * master/compile_dynamic.c - dynamic_resources of a Bootstrap, and who we are:
 * what the subscription needs, out of the messages.
 *
 * A control plane is a cluster of the file, so that its addresses, TLS and
 * windows are said as those of any other.
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
typedef Envoy__Config__Core__V3__Node Node;

enum { DYNAMIC_BYTES_MAX = 1 << 20 };

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

/* ---- whom we ask */

/* The clusters of the file, which streams may lead to. */
static int
names_read(struct compiler *c, const Bootstrap *b, struct dynamic *d)
{
	size_t n = b->static_resources == NULL ? 0 :
	    b->static_resources->n_clusters, len = 0;

	for (size_t i = 0; i < n; i++)
		len += strlen(b->static_resources->clusters[i]->name) + 1;
	d->names = malloc(len + 1);
	if (d->names == NULL)
		return refuse(c, &top, "no memory is left");
	for (size_t i = 0; i < n; i++) {
		strcpy(d->names + d->names_len,
		    b->static_resources->clusters[i]->name);
		d->names_len += strlen(d->names + d->names_len) + 1;
	}
	c->clusters = d->names;
	c->clusters_len = d->names_len;
	return 0;
}

static int
ads_read(struct compiler *c, const ApiSource *m, struct dynamic *d)
{
	const struct at at = AT(&top, "ads_config");

	return m == NULL ? 0 : origin_api(c, &at, m, &d->ads);
}

/* ---- for what */

static int
source_read(struct compiler *c, const char *field, const ConfigSource *m,
    struct dynamic *d, struct dynamic_whole *to, uint32_t *missing_ms)
{
	const struct at at = AT(&top, field);
	const struct at timeout = AT(&at, "initial_fetch_timeout");

	to->on = m != NULL;
	if (m == NULL)
		return 0;
	if (origin_read(c, &at, m, &to->origin) < 0)
		return -1;
	if (to->origin == NULL && d->ads == NULL)
		return refuse(c, &at, "is by ads, and there is no ads_config");
	return duration_ms(c, &timeout, m->initial_fetch_timeout,
	    COMPILE_MISSING_MS, missing_ms);
}

static bool
is_stream(const struct dynamic_whole *w)
{
	return w->on && w->origin != NULL && w->origin->path == NULL;
}

/* Of a stream that a resource names nothing is known here: its server says
 * what it thinks of who has no name. */
static int
node_check(struct compiler *c, const Node *m, const struct dynamic *d)
{
	static const struct at node = AT(NULL, "node"), at = AT(&node, "id");

	if (d->ads == NULL && !is_stream(&d->listeners) &&
	    !is_stream(&d->clusters))
		return 0;
	return m != NULL && *m->id != '\0' ? 0 : refuse(c, &at, "is missing, "
	    "expected our name: a control plane is asked");
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
	uint32_t unused_ms;

	d->missing_ms = COMPILE_MISSING_MS;
	if (bootstrap_pack(c, b, d) < 0 || names_read(c, b, d) < 0 ||
	    node_pack(c, b->node, d) < 0)
		return -1;
	if (m == NULL)
		return 0;
	return ads_read(c, m->ads_config, d) < 0 || source_read(c,
	    "lds_config", m->lds_config, d, &d->listeners, &unused_ms) < 0 ||
	    source_read(c, "cds_config", m->cds_config, d, &d->clusters,
	    &d->missing_ms) < 0 ? -1 : node_check(c, b->node, d);
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
	origin_put(d->ads);
	origin_put(d->listeners.origin);
	origin_put(d->clusters.origin);
	free(d->node);
	free(d->node_id);
	free(d->names);
	free(d->bootstrap);
	memset(d, 0, sizeof(*d));
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
	*to = *from;
	(void)origin_get(to->ads);
	(void)origin_get(to->listeners.origin);
	(void)origin_get(to->clusters.origin);
	to->node = bytes_copy(from->node, from->node_len);
	to->bootstrap = bytes_copy(from->bootstrap, from->bootstrap_len);
	to->names = (char *)bytes_copy((const uint8_t *)from->names,
	    from->names_len);
	to->node_id = strdup(from->node_id == NULL ? "" : from->node_id);
	return to->node != NULL && to->node_id != NULL && to->names != NULL &&
	    to->bootstrap != NULL;
}

static bool
whole_same(const struct dynamic_whole *a, const struct dynamic_whole *b)
{
	return a->on == b->on && origin_same(a->origin, b->origin);
}

bool
dynamic_same(const struct dynamic *a, const struct dynamic *b)
{
	return origin_same(a->ads, b->ads) &&
	    whole_same(&a->listeners, &b->listeners) &&
	    whole_same(&a->clusters, &b->clusters) &&
	    a->node_len == b->node_len && (a->node_len == 0 ||
	    memcmp(a->node, b->node, a->node_len) == 0);
}

struct origin *
dynamic_origin(const struct dynamic *d, enum resource_kind kind)
{
	const struct dynamic_whole *w = kind == RESOURCE_LISTENER ?
	    &d->listeners : &d->clusters;

	if (!resource_about(kind)->whole)
		return d->ads;
	if (!w->on)
		return kind == RESOURCE_CLUSTER ? d->ads : NULL;
	return w->origin != NULL ? w->origin : d->ads;
}
