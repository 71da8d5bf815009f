/*
 * master/compile_origin.c - a ConfigSource: what we can follow, and what its
 * resources are called.
 *
 *   ads: {}, self: {}      the stream of ads_config
 *   api_config_source      a stream of one kind, to clusters of the file
 *   path_config_source     a file
 *
 * Source: config.core.v3.ConfigSource, ApiConfigSource, PathConfigSource;
 * reference/envoy-xds.md 1.1. Test: t/unit/dynamic.c, origin.c.
 */
#include "master/compile_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef Envoy__Config__Core__V3__GrpcService GrpcService;
typedef Envoy__Config__Core__V3__GrpcService__EnvoyGrpc EnvoyGrpc;
typedef Envoy__Config__Core__V3__PathConfigSource PathSource;

#define API(name) ENVOY__CONFIG__CORE__V3__API_CONFIG_SOURCE__API_TYPE__##name
#define SOURCE(name) \
	ENVOY__CONFIG__CORE__V3__CONFIG_SOURCE__CONFIG_SOURCE_SPECIFIER_##name

enum { BACK_OFF_BASE_MS = 500, BACK_OFF_MAX_MS = 30000 };

/* ---- servers */

static int
metadata_read(struct compiler *c, const struct at *at, const GrpcService *m,
    struct origin_server *s)
{
	const struct at all = AT(at, "initial_metadata");

	if (m->n_initial_metadata > ORIGIN_METADATA_MAX)
		return refuse(c, &all, "has %zu items, expected at most %d",
		    m->n_initial_metadata, ORIGIN_METADATA_MAX);
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
    struct origin_server *s)
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

/* A cluster of the file: others come from somebody, who comes first? */
static bool
cluster_there(const struct compiler *c, const char *name)
{
	const char *end = c->clusters + c->clusters_len;

	if (c->clusters == NULL)
		return true;
	for (const char *at = c->clusters; at < end; at += strlen(at) + 1)
		if (strcmp(at, name) == 0)
			return true;
	return false;
}

static int
server_read(struct compiler *c, const struct at *at, const GrpcService *m,
    struct origin_server *s)
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
	if (!cluster_there(c, g->cluster_name))
		return refuse(c, &name, "there is no cluster \"%s\" in "
		    "static_resources, expected the control plane's",
		    g->cluster_name);
	snprintf(s->cluster, sizeof(s->cluster), "%s", g->cluster_name);
	snprintf(s->authority, sizeof(s->authority), "%s",
	    *g->authority == '\0' ? g->cluster_name : g->authority);
	s->message_bytes_max = number_or(g->max_receive_message_length, 0);
	return back_off_read(c, &grpc, g, s) < 0 ? -1 :
	    metadata_read(c, at, m, s);
}

static uint64_t
key_of(struct compiler *c, const ProtobufCMessage *m)
{
	size_t len = protobuf_c_message_get_packed_size(m);
	uint8_t *bytes = scratch(c, len + 1);

	if (bytes == NULL)
		return 0;
	protobuf_c_message_pack(m, bytes);
	return put_hash(bytes, len, strlen(m->descriptor->name));
}

/* ---- streams */

int
origin_api(struct compiler *c, const struct at *at, const ApiSource *m,
    struct origin **out)
{
	static const struct rule rules[] = {
		{ "transport_api_version", RULE_LATER, .text = "AUTO|V3" },
		{ "api_type", RULE_LATER, .text = "GRPC|DELTA_GRPC" },
		{ NULL, RULE_SET, 0, 0, NULL },
	};
	const struct at all = AT(at, "grpc_services");
	struct origin *o;

	if (rule_check(c, at, &m->base, rules) < 0)
		return -1;
	if (m->n_grpc_services == 0 || m->n_grpc_services > ORIGIN_SERVERS_MAX)
		return refuse(c, &all, "has %zu items, expected 1..%d",
		    m->n_grpc_services, ORIGIN_SERVERS_MAX);
	if ((o = origin_new((uint32_t)m->n_grpc_services)) == NULL)
		return refuse(c, at, "no memory is left");
	o->delta = m->api_type == API(DELTA_GRPC);
	o->node_once = m->set_node_on_first_message_only;
	for (uint32_t i = 0; i < o->servers_n; i++) {
		const struct at one = AT_ITEM(at, "grpc_services", i);

		if (server_read(c, &one, m->grpc_services[i],
		    &o->servers[i]) < 0) {
			origin_put(o);
			return -1;
		}
	}
	*out = o;
	return (o->key = key_of(c, &m->base)) != 0 ? 0 : -1;
}

/* ---- files */

static int
path_check(struct compiler *c, const struct at *at, const char *path,
    const char *what)
{
	return *path == '/' && path[1] != '\0' ? 0 : refuse(c, at, *path ==
	    '\0' ? "is missing, expected the whole path of a %s" :
	    "is no whole path, expected that of a %s, from / on", what);
}

/* Whatever watched_directory is, the file is looked after itself, through all
 * links: so it changes nothing, and is not of the key. */
static int
origin_path(struct compiler *c, const struct at *at, const PathSource *m,
    struct origin **out)
{
	const struct at path = AT(at, "path");
	const struct at watched = AT(at, "watched_directory");
	const struct at folder = AT(&watched, "path");
	struct origin *o;

	if (path_check(c, &path, m->path, "file") < 0 ||
	    (m->watched_directory != NULL && path_check(c, &folder,
	    m->watched_directory->path, "folder") < 0))
		return -1;
	if ((o = origin_new(0)) == NULL)
		return refuse(c, at, "no memory is left");
	*out = o;
	o->key = put_hash(m->path, strlen(m->path), 0);
	o->path = strdup(m->path);
	return o->path != NULL ? 0 : refuse(c, at, "no memory is left");
}

/* ---- either */

int
origin_read(struct compiler *c, const struct at *up, const ConfigSource *m,
    struct origin **out)
{
	static const struct rule rules[] = {
		{ "resource_api_version", RULE_LATER, .text = "AUTO|V3" },
		{ NULL, RULE_SET, 0, 0, NULL },
	};
	const struct at api = AT(up, "api_config_source");
	const struct at path = AT(up, "path_config_source");
	const struct at self = AT(up, "self");
	int rc;

	*out = NULL;
	if (m == NULL || m->config_source_specifier_case == SOURCE(_NOT_SET))
		return refuse(c, up, "is missing, expected ads, "
		    "api_config_source or path_config_source");
	if (rule_check(c, up, &m->base, rules) < 0)
		return -1;
	switch (m->config_source_specifier_case) {
	case SOURCE(API_CONFIG_SOURCE):
		rc = origin_api(c, &api, m->api_config_source, out);
		break;
	case SOURCE(PATH_CONFIG_SOURCE):
		rc = origin_path(c, &path, m->path_config_source, out);
		break;
	case SOURCE(SELF):
		return c->stage.origins == NULL ||
		    origins_self_allowed(c->stage.origins) ? 0 : refuse(c,
		    &self, "is not built yet beside a lds_config or "
		    "cds_config that is not by ADS, expected the source "
		    "itself");
	default:
		return 0;		/* ADS */
	}
	if (rc < 0) {
		origin_put(*out);
		*out = NULL;
	}
	return rc;
}

/* Known from now on to who will be asked for it. */
static int
origin_known(struct compiler *c, const struct at *at, struct origin *o)
{
	struct origins *all = c->stage.origins;

	return all == NULL || origins_find(all, o->key) != NULL ||
	    origins_add(all, o) ? 0 : refuse(c, at, "no memory is left");
}

int
find_source(struct compiler *c, const struct at *at, const ConfigSource *m,
    const char *name, struct sought *to)
{
	const struct at timeout = AT(at, "initial_fetch_timeout");
	struct origin *o;
	char *qualified;
	size_t len;
	int rc;

	*to = (struct sought){ .name = name };
	if (origin_read(c, at, m, &o) < 0 || duration_ms(c, &timeout,
	    m->initial_fetch_timeout, COMPILE_MISSING_MS, &to->missing_ms) <
	    0) {
		origin_put(o);
		return -1;
	}
	if (o == NULL)
		return 0;
	len = strlen(name) + ORIGIN_MARK_BYTES + 1;
	to->name = qualified = scratch(c, len);
	rc = qualified == NULL || !origin_name(qualified, len, o->key, name) ?
	    -1 : origin_known(c, at, o);
	origin_put(o);
	return rc;
}
