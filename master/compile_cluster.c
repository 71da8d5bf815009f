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

typedef Envoy__Config__Cluster__V3__Cluster__EdsClusterConfig EdsConfig;

#define TYPE(name) ENVOY__CONFIG__CLUSTER__V3__CLUSTER__DISCOVERY_TYPE__##name
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
	{ "type", RULE_LATER, 
	    .text = "STATIC|EDS|STRICT_DNS|LOGICAL_DNS" },
	{ "connect_timeout", RULE_RANGE, 1, INT64_MAX, "more than 0s" },
	{ "lb_policy", RULE_LATER, .text = "ROUND_ROBIN|LEAST_REQUEST|RANDOM" },
	{ "alt_stat_name", RULE_LATER, .text = NULL },
	{ NULL, RULE_SET, 0, 0, NULL },
};

static enum lb_policy
policy(const Cluster *m)
{
	return m->lb_policy == LB(LEAST_REQUEST) ? LB_LEAST_REQUEST :
	    m->lb_policy == LB(RANDOM) ? LB_RANDOM : LB_ROUND_ROBIN;
}

/* ---- endpoints: in the message, or of EDS */

/* False: those of EDS are not there. */
static bool
eds_assignment(struct compiler *c, const struct at *up, const Cluster *m,
    bool *refused, struct compile_answer *found)
{
	const struct at own = AT(up, "load_assignment");
	const struct at eds = AT(up, "eds_cluster_config");
	const struct at source = AT(&eds, "eds_config");
	const EdsConfig *config = m->eds_cluster_config;
	struct sought of;

	*refused = true;
	if (m->load_assignment != NULL) {
		refuse(c, &own, "has no place in an EDS cluster, expected "
		    "nothing");
		return false;
	}
	return find_source(c, &source, config == NULL ? NULL :
	    config->eds_config, config == NULL ||
	    *config->service_name == '\0' ? m->name : config->service_name,
	    &of) == 0 && find_resource(c, &eds, RESOURCE_ENDPOINT, &of,
	    refused, found);
}

static int
own_endpoints(struct compiler *c, const struct at *at,
    const LoadAssignment *m, const struct at *up, const Cluster *cluster,
    struct name_id id, block_ref *ref)
{
	const struct assignment from = { .m = m };

	return compile_endpoints(c, at, &from, up, cluster, id, ref);
}

static int
cluster_endpoints(struct compiler *c, const struct at *up, const Cluster *m,
    struct name_id id, block_ref *ref)
{
	static const struct at top = AT(NULL, "");
	const struct at own = AT(up, "load_assignment");
	struct compile_answer found;
	LoadAssignment none;
	bool refused;

	envoy__config__endpoint__v3__cluster_load_assignment__init(&none);
	none.cluster_name = m->name;
	if (m->type != TYPE(EDS))
		return m->load_assignment == NULL ? refuse(c, &own, "is "
		    "missing, expected the endpoints of a cluster that is not "
		    "EDS") :
		    own_endpoints(c, &own, m->load_assignment, up, m, id,
		    ref);
	if (eds_assignment(c, up, m, &refused, &found))
		return compile_assignment(c, &top, &found, up, m, id, ref);
	return refused ? -1 : own_endpoints(c, &top, &none, up, m, id, ref);
}

/* ---- pages */

/* Where the cluster of a slot is written down, in a page that can be changed.
 * NULL: refused. */
static block_ref *
page_at(struct compiler *c, uint32_t slot)
{
	uint32_t page = slot / PAGE_SLOTS;
	const struct block_list *from = page_view(c, page);
	size_t bytes = sizeof(*from) + PAGE_SLOTS * sizeof(from->at[0]);

	if (c->pages[page] == NULL) {
		c->pages[page] = load_alloc(c->stage_memory, bytes);
		if (c->pages[page] == NULL)
			return NULL;
		if (from != NULL)
			memcpy(c->pages[page], from, bytes);
		c->pages[page]->n = PAGE_SLOTS;
	}
	return &c->pages[page]->at[slot % PAGE_SLOTS];
}

static uint32_t
endpoints_all(const struct compiler *c, block_ref cluster)
{
	const struct block_cluster *b = arena_at(c->arena, cluster);

	return ((const struct block_balance *)arena_at(c->arena,
	    b->balance))->endpoints_all;
}

static block_ref
tls_of(const struct compiler *c, block_ref cluster)
{
	return cluster == 0 ? 0 : ((const struct block_cluster *)arena_at(
	    c->arena, cluster))->tls;
}

/* Another cluster, or none (0), stands at the slot. */
static int
page_change(struct compiler *c, uint32_t slot, block_ref to)
{
	struct generation *g = &c->out->generation;
	block_ref *at = page_at(c, slot);

	if (at == NULL)
		return -1;
	if (tls_of(c, *at) != tls_of(c, to))
		c->tls_changed = true;
	if (*at != 0) {
		g->clusters_n--;
		/* put_balance counted the new ones. */
		g->endpoints_n -= endpoints_all(c, *at);
	}
	if (to != 0)
		g->clusters_n++;
	*at = to;
	return 0;
}

static bool
page_is_empty(const struct block_list *page)
{
	for (uint32_t i = 0; i < page->n; i++)
		if (page->at[i] != 0)
			return false;
	return true;
}

/* Of a changed page, or of one that is as it was. */
static int
page_put(struct compiler *c, uint32_t page, block_ref *ref)
{
	const struct block_list *all;

	*ref = 0;
	if (c->pages[page] != NULL)
		return page_is_empty(c->pages[page]) ? 0 :
		    put_list(c, BLOCK_PAGE, c->pages[page], ref);
	if (page_view(c, page) == NULL)
		return 0;
	all = arena_at(c->arena, ((const struct block_root *)arena_at(c->arena,
	    c->stage.newest->generation.root))->clusters);
	*ref = all->at[page];
	return 0;
}

int
compile_pages(struct compiler *c, block_ref *ref)
{
	uint32_t n = CLUSTERS_MAX / PAGE_SLOTS;
	struct block_list *list = list_new(c, n);

	if (list == NULL)
		return -1;
	for (uint32_t i = 0; i < n; i++)
		if (page_put(c, i, &list->at[i]) < 0)
			return -1;
	while (n > 0 && list->at[n - 1] == 0)
		n--;
	list->n = n;
	return put_list(c, BLOCK_PAGES, list, ref);
}

/* ---- clusters */

static int
cluster_put(struct compiler *c, const struct at *up, const Cluster *m,
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
	    0 || cluster_endpoints(c, up, m, id, &b.balance) < 0)
		return -1;
	return put_block(c, BLOCK_CLUSTER, &b, sizeof(b), ref);
}

int
compile_cluster(struct compiler *c, const struct at *at, const Cluster *m)
{
	struct name_id id;
	block_ref ref;

	if (rule_check(c, at, &m->base, cluster_rules) < 0)
		return -1;
	if (names_take(c->names, NAMES_CLUSTER, m->name, strlen(m->name),
	    &id) < 0)
		return refuse(c, at, "there is room for %d clusters, those "
		    "that this change removes included", CLUSTERS_MAX);
	if (cluster_put(c, at, m, id, &ref) < 0)
		return -1;
	if (c->waits)
		return 0;		/* rolled back */
	return page_change(c, id.id, ref) < 0 ? refuse(c, at,
	    "no memory is left") : 0;
}

int
compile_cluster_assign(struct compiler *c, const struct at *at,
    const Cluster *m, const struct compile_answer *from)
{
	const struct block_list *page;
	struct block_cluster b;
	struct name_id id;
	block_ref ref;

	if (names_find(c->names, NAMES_CLUSTER, m->name, strlen(m->name),
	    &id) < 0)
		return refuse(c, at, "there is no cluster \"%s\"",
		    m->name);
	page = page_view(c, id.id / PAGE_SLOTS);
	memcpy(&b, arena_at(c->arena, page->at[id.id % PAGE_SLOTS]),
	    sizeof(b));
	if ((from == NULL ?
	    own_endpoints(c, at, m->load_assignment, at, m, id, &b.balance) :
	    compile_assignment(c, at, from, at, m, id, &b.balance)) < 0 ||
	    put_block(c, BLOCK_CLUSTER, &b, sizeof(b), &ref) < 0)
		return -1;
	return page_change(c, id.id, ref) < 0 ? refuse(c, at,
	    "no memory is left") : 0;
}

bool
compile_cluster_drop(struct compiler *c, struct name_id id)
{
	return names_drop(c->names, NAMES_CLUSTER, id) &&
	    page_change(c, id.id, 0) == 0;
}
