/*
 * master/compile_cluster.c - clusters: how we speak to an upstream service,
 * and the pages that find a cluster by its slot.
 *
 * godwit speaks HTTP/2 to its upstreams, so a cluster has to say so: by
 * HttpProtocolOptions.explicit_http_config.http2_protocol_options in
 * typed_extension_protocol_options, or by the older http2_protocol_options.
 *
 * Accepted without effect: per_connection_buffer_limit_bytes (see
 * compile_listener.c) and metadata.
 *
 * Source: config.cluster.v3.Cluster, extensions.upstreams.http.v3.
 * Test: t/unit/compile.c.
 */
#include "master/compile_parts.h"

#include <string.h>

typedef Envoy__Config__Cluster__V3__Cluster__TypedExtensionProtocolOptionsEntry
    OptionsEntry;

#define LB(name) ENVOY__CONFIG__CLUSTER__V3__CLUSTER__LB_POLICY__##name
#define OPTIONS_CASE(name) \
	ENVOY__EXTENSIONS__UPSTREAMS__HTTP__V3__HTTP_PROTOCOL_OPTIONS__UPSTREAM_PROTOCOL_OPTIONS_##name
#define EXPLICIT_CASE(name) \
	ENVOY__EXTENSIONS__UPSTREAMS__HTTP__V3__HTTP_PROTOCOL_OPTIONS__EXPLICIT_HTTP_CONFIG__PROTOCOL_CONFIG_##name
#define OPTIONS \
	&envoy__extensions__upstreams__http__v3__http_protocol_options__descriptor

enum { CONNECT_TIMEOUT_MS = 5000 };

static const char options_key[] =
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
static const char only_h2[] = "godwit speaks HTTP/2 to its upstreams, "
    "expected HttpProtocolOptions with explicit_http_config: "
    "{http2_protocol_options: {}}";

/* ---- HTTP */

/* A limit of the callers' side that has another meaning here. */
static const struct rule common_rules[] = {
	{ "max_stream_duration", RULE_LATER, .text = "0s" },
	{ NULL, RULE_SET, 0, 0, NULL },
};

static int
common_http(struct compiler *c, const struct at *at, const CommonHttp *m,
    struct block_cluster *b)
{
	if (m != NULL && rule_check(c, at, &m->base, common_rules) < 0)
		return -1;
	return compile_common_http(c, at, m, &b->idle_timeout_ms, &b->limits);
}

static int
options_h2(struct compiler *c, const struct at *up, const HttpOptions *m,
    struct block_cluster *b)
{
	static const struct rule upstream_rules[] = {
		{ "auto_sni", RULE_LATER, .text = "false" },
		{ "auto_san_validation", RULE_LATER, .text = "false" },
		{ NULL, RULE_SET, 0, 0, NULL },
	};
	const struct at config = AT(up, "explicit_http_config");
	const struct at h2 = AT(&config, "http2_protocol_options");
	const struct at common = AT(up, "common_http_protocol_options");
	const struct at upstream = AT(up, "upstream_http_protocol_options");

	if (m->upstream_protocol_options_case !=
	    OPTIONS_CASE(EXPLICIT_HTTP_CONFIG) ||
	    m->explicit_http_config->protocol_config_case !=
	    EXPLICIT_CASE(HTTP2_PROTOCOL_OPTIONS))
		return refuse(c, &config, "%s", only_h2);
	if (m->upstream_http_protocol_options != NULL && rule_check(c,
	    &upstream, &m->upstream_http_protocol_options->base,
	    upstream_rules) < 0)
		return -1;
	if (compile_h2(c, &h2, m->explicit_http_config->
	    http2_protocol_options, &b->h2) < 0)
		return -1;
	return common_http(c, &common, m->common_http_protocol_options, b);
}

/* The two ways to say it are not mixed. */
static int
options_alone(struct compiler *c, const struct at *at, const Cluster *m)
{
	static const struct rule rules[] = {
		{ "http_protocol_options", RULE_LATER, .text = NULL },
		{ NULL, RULE_SET, 0, 0, NULL },
	};
	const struct at h2 = AT(at, "http2_protocol_options");
	const struct at common = AT(at, "common_http_protocol_options");
	static const char both[] =
	    "is said in typed_extension_protocol_options too, expected one "
	    "of the two";

	if (rule_check(c, at, &m->base, rules) < 0)
		return -1;
	if (m->n_typed_extension_protocol_options == 0)
		return 0;
	if (m->http2_protocol_options != NULL)
		return refuse(c, &h2, "%s", both);
	if (m->common_http_protocol_options != NULL)
		return refuse(c, &common, "%s", both);
	return 0;
}

static int
options_typed(struct compiler *c, const struct at *up, const OptionsEntry *m,
    struct block_cluster *b)
{
	const struct at at = AT_KEY(up, "typed_extension_protocol_options",
	    m->key);
	const ProtobufCMessage *typed;

	if (strcmp(m->key, options_key) != 0)
		return refuse(c, &at, "is not known, expected \"%s\"",
		    options_key);
	if ((typed = any_open(c, &at, m->value)) == NULL)
		return -1;
	if (typed->descriptor != OPTIONS)
		return refuse(c, &at, "%s has no place here, expected "
		    "HttpProtocolOptions", typed->descriptor->short_name);
	return options_h2(c, &at, (const HttpOptions *)typed, b);
}

static int
cluster_http(struct compiler *c, const struct at *up, const Cluster *m,
    struct block_cluster *b)
{
	const struct at h2 = AT(up, "http2_protocol_options");
	const struct at common = AT(up, "common_http_protocol_options");
	size_t i;

	if (options_alone(c, up, m) < 0)
		return -1;
	for (i = 0; i < m->n_typed_extension_protocol_options; i++)
		if (options_typed(c, up,
		    m->typed_extension_protocol_options[i], b) < 0)
			return -1;
	if (i > 0)
		return 0;
	if (m->http2_protocol_options == NULL)
		return refuse(c, up, "%s", only_h2);
	if (compile_h2(c, &h2, m->http2_protocol_options, &b->h2) < 0)
		return -1;
	return common_http(c, &common, m->common_http_protocol_options, b);
}

/* ---- clusters */

static const struct rule cluster_rules[] = {
	{ "name", RULE_SET, .text = "a name" },
	{ "type", RULE_LATER, .text = "STATIC" },
	{ "connect_timeout", RULE_RANGE, 1, INT64_MAX, "more than 0s" },
	{ "lb_policy", RULE_LATER, .text = "ROUND_ROBIN|LEAST_REQUEST|RANDOM" },
	{ "alt_stat_name", RULE_LATER, .text = NULL },
	{ "load_assignment", RULE_SET, .text = "the endpoints of a STATIC "
	    "cluster" },
	{ NULL, RULE_SET, 0, 0, NULL },
};

static enum lb_policy
policy(const Cluster *m)
{
	return m->lb_policy == LB(LEAST_REQUEST) ? LB_LEAST_REQUEST :
	    m->lb_policy == LB(RANDOM) ? LB_RANDOM : LB_ROUND_ROBIN;
}

static int
compile_cluster(struct compiler *c, const struct at *up, const Cluster *m,
    struct name_id id, block_ref *ref)
{
	const struct at tls = AT(up, "transport_socket");
	const struct at connect = AT(up, "connect_timeout");
	const struct at breakers = AT(up, "circuit_breakers");
	struct block_cluster b = { .slot = id.id, .tag = id.tag,
	    .lb_policy = policy(m) };

	if (put_text(c, m->name, &b.name) < 0 ||
	    duration_ms(c, &connect, m->connect_timeout, CONNECT_TIMEOUT_MS,
	    &b.connect_timeout_ms) < 0 ||
	    compile_breaker(c, &breakers, m->circuit_breakers, &b.breaker) <
	    0 ||
	    cluster_http(c, up, m, &b) < 0 ||
	    compile_transport(c, &tls, m->transport_socket, false, &b.tls) <
	    0 || compile_endpoints(c, up, m, id, &b.balance) < 0)
		return -1;
	return put_block(c, BLOCK_CLUSTER, &b, sizeof(b), ref);
}

/* Where the cluster of a slot is written down. NULL: refused. */
static block_ref *
page_at(struct compiler *c, uint32_t slot)
{
	uint32_t page = slot / PAGE_SLOTS;

	if (c->pages[page] == NULL &&
	    (c->pages[page] = list_new(c, PAGE_SLOTS)) == NULL)
		return NULL;
	return &c->pages[page]->at[slot % PAGE_SLOTS];
}

static int
put_pages(struct compiler *c, block_ref *ref)
{
	struct block_list *list;
	uint32_t i, n = CLUSTERS_MAX / PAGE_SLOTS;

	while (n > 0 && c->pages[n - 1] == NULL)
		n--;
	if ((list = list_new(c, n)) == NULL)
		return -1;
	for (i = 0; i < n; i++)
		if (c->pages[i] != NULL && put_list(c, BLOCK_PAGE,
		    c->pages[i], &list->at[i]) < 0)
			return -1;
	return put_list(c, BLOCK_PAGES, list, ref);
}

static int
cluster_twice(struct compiler *c, const struct at *up,
    Cluster *const *all, size_t i)
{
	size_t first = 0;

	while (strcmp(all[first]->name, all[i]->name) != 0)
		first++;
	const struct at here = AT_ITEM(up, "clusters", i);
	const struct at there = AT_ITEM(up, "clusters", first);
	const struct at at = AT(&here, "name"), first_at = AT(&there, "name");

	return refuse_twice(c, &at, &first_at, "cluster", all[i]->name);
}

int
compile_clusters(struct compiler *c, const struct at *up,
    Cluster *const *clusters, size_t n, block_ref *ref)
{
	struct name_id id;
	block_ref *page;
	size_t i;
	int taken;

	for (i = 0; i < n; i++) {
		const struct at at = AT_ITEM(up, "clusters", i);

		if (rule_check(c, &at, &clusters[i]->base, cluster_rules) < 0)
			return -1;
		taken = names_take(c->names, NAMES_CLUSTER, clusters[i]->name,
		    strlen(clusters[i]->name), &id);
		if (taken < 0)
			return refuse(c, &at, "there is room for %d clusters, "
			    "those that this change removes included",
			    CLUSTERS_MAX);
		if (taken > 0)
			return cluster_twice(c, up, clusters, i);
		if ((page = page_at(c, id.id)) == NULL ||
		    compile_cluster(c, &at, clusters[i], id, page) < 0)
			return -1;
	}
	c->out->generation.clusters_n = (uint32_t)n;
	return put_pages(c, ref);
}
