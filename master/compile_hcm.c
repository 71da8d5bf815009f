/*
 * master/compile_hcm.c - the HTTP connection manager: what we say to callers,
 * its filters, and its routes.
 *
 * What godwit does today, and what is therefore refused when a file asks for
 * something else (hcm_rules): no x-forwarded-for, no server header of our own.
 * Unset means Envoy's default, and is accepted without a word also where we
 * don't do yet what Envoy would: drain_timeout, delayed_close_timeout.
 *
 * Source: HttpConnectionManager. Test: t/unit/compile.c.
 */
#include "master/compile_parts.h"

#include <stddef.h>

#define FILTER_CASE(name) \
	ENVOY__EXTENSIONS__FILTERS__NETWORK__HTTP_CONNECTION_MANAGER__V3__HTTP_FILTER__CONFIG_TYPE_##name
#define ROUTES(name) \
	ENVOY__EXTENSIONS__FILTERS__NETWORK__HTTP_CONNECTION_MANAGER__V3__HTTP_CONNECTION_MANAGER__ROUTE_SPECIFIER_##name
#define ROUTER \
	&envoy__extensions__filters__http__router__v3__router__descriptor

enum {
	LISTED_MAX = 64,		/* those that are off included */
	STREAM_IDLE_TIMEOUT_MS = 300 * 1000,
};

static const struct rule hcm_rules[] = {
	{ "codec_type", RULE_LATER, .text = "AUTO|HTTP2" },
	{ "stat_prefix", RULE_SET, .text = "a word for statistics" },
	{ "http_filters", RULE_ITEMS, 1, LISTED_MAX, "1..64, the last of "
	    "them the router" },
	{ "max_request_headers_kb", RULE_RANGE, 1, 8192, "1..8192" },
	{ "server_name", RULE_LATER, .text = "envoy" },
	{ "drain_timeout", RULE_LATER, .text = "5s" },
	{ "use_remote_address", RULE_LATER, .text = "false" },
	{ "forward_client_cert_details", RULE_LATER, .text = "SANITIZE" },
	{ "xff_num_trusted_hops", RULE_LATER, .text = "0" },
	{ "delayed_close_timeout", RULE_LATER, .text = "1s" },
	{ "request_timeout", RULE_LATER, .text = "0s" },
	{ "normalize_path", RULE_LATER, .text = "false" },
	{ "merge_slashes", RULE_LATER, .text = "false" },
	{ "server_header_transformation", RULE_LATER,
	    .text = "OVERWRITE|PASS_THROUGH" },
	{ "strip_matching_host_port", RULE_LATER, .text = "false" },
	{ "strip_any_host_port", RULE_LATER, .text = "false" },
	{ "stream_error_on_invalid_http_message", RULE_LATER,
	    .text = "false" },
	{ "request_headers_timeout", RULE_LATER, .text = "0s" },
	{ NULL, RULE_SET, 0, 0, NULL },
};

static const struct rule router_rules[] = {
	{ "respect_expected_rq_timeout", RULE_LATER, .text = "false" },
	{ NULL, RULE_SET, 0, 0, NULL },
};

static void
router_read(const Envoy__Extensions__Filters__Http__Router__V3__Router *m,
    struct block_hcm *b)
{
	if (!m->suppress_envoy_headers)
		b->flags |= HCM_ORIGINALS;
}

static int
compile_router(struct compiler *c, const struct at *up, const HttpFilter *m,
    const ProtobufCMessage *typed, struct block_hcm *b)
{
	const struct at at = AT(up, "typed_config"), off = AT(up, "disabled");

	if (typed->descriptor != ROUTER)
		return refuse(c, &at, "%s is no HTTP filter, expected Router "
		    "or RBAC", typed->descriptor->short_name);
	router_read((const void *)typed, b);
	return m->disabled ? refuse(c, &off, "the router can't be turned "
	    "off") : rule_check(c, &at, typed, router_rules);
}

/* One filter: 1 when it is put, 0 when it is not. One that is off is put, for
 * a route that turns it on. */
static int
compile_filter(struct compiler *c, const struct at *up, const HttpFilter *m,
    struct block_hcm *b, struct block_filter *to)
{
	static const struct rule rules[] = {
		{ "name", RULE_SET, .text = "a name" },
		{ NULL, RULE_SET, 0, 0, NULL },
	};
	const struct at at = AT(up, "typed_config");
	const ProtobufCMessage *typed;
	const Any *any = m->config_type_case == FILTER_CASE(TYPED_CONFIG) ?
	    m->typed_config : NULL;

	if (rule_check(c, up, &m->base, rules) < 0)
		return -1;
	if (m->is_optional && any != NULL &&
	    load_type_find(any->type_url) == NULL)
		return 0;		/* what the operator allowed */
	if ((typed = any_open(c, &at, any)) == NULL)
		return -1;
	to->kind = FILTER_ROUTER;
	if (!compile_is_rbac(typed))
		return compile_router(c, up, m, typed, b) < 0 ? -1 : 1;
	to->kind = FILTER_RBAC;
	if (compile_rbac(c, &at, typed, &to->rbac) < 0)
		return -1;
	if (m->disabled)
		to->rbac = 0;
	return 1;
}

/* Exactly one router, and it ends the list. */
static int
compile_filters(struct compiler *c, const struct at *up,
    const ConnectionManager *m, struct block_hcm *b,
    struct filter_names *names)
{
	const struct at all = AT(up, "http_filters");
	struct block_filter own, last = { .kind = FILTER_KINDS };
	size_t i;
	int put;

	for (i = 0; i < m->n_http_filters; i++) {
		const struct at at = AT_ITEM(up, "http_filters", i);

		own = (struct block_filter){ 0 };
		put = compile_filter(c, &at, m->http_filters[i], b, &own);
		if (put < 0)
			return -1;
		if (put == 0)
			continue;
		if (last.kind == FILTER_ROUTER)
			return refuse(c, &at, "nothing comes after the "
			    "router, expected it once, as the last");
		if (names->n == FILTERS_MAX)
			return refuse(c, &at, "is one too many, expected at "
			    "most %d filters", FILTERS_MAX);
		b->filters[names->n] = last = own;
		names->at[names->n++] = (struct filter_name){
		    (enum filter_kind)own.kind, m->http_filters[i]->name };
	}
	b->filters_n = names->n;
	if (last.kind != FILTER_ROUTER)
		return refuse(c, &all, "has no router, expected one as the "
		    "last");
	return 0;
}

/* What limits a caller's stream where its route says nothing. */
static int
stream_limits(struct compiler *c, const struct at *up,
    const ConnectionManager *m, struct block_hcm *b)
{
	const struct at idle = AT(up, "stream_idle_timeout");
	const struct at common = AT(up, "common_http_protocol_options");
	const struct at duration = AT(&common, "max_stream_duration");
	const CommonHttp *o = m->common_http_protocol_options;

	return duration_ms(c, &idle, m->stream_idle_timeout,
	    STREAM_IDLE_TIMEOUT_MS, &b->stream_idle_timeout_ms) < 0 ? -1 :
	    duration_ms(c, &duration, o == NULL ? NULL :
	    o->max_stream_duration, 0, &b->max_stream_duration_ms);
}

static uint32_t
request_id_flags(const ConnectionManager *m)
{
	return (m->generate_request_id == NULL ||
	    m->generate_request_id->value ? HCM_REQUEST_ID : 0) |
	    (m->always_set_request_id_in_response ? HCM_REQUEST_ID_BACK : 0);
}

/* The routes of its own, which stand in the listener, or those of RDS. */
static int
hcm_routes(struct compiler *c, const struct at *up,
    const ConnectionManager *m, const struct filter_names *filters,
    block_ref *ref)
{
	static const struct at top = AT(NULL, "");
	const struct at own = AT(up, "route_config"), rds = AT(up, "rds");
	const struct at name = AT(&rds, "route_config_name");
	const struct at source = AT(&rds, "config_source");
	const ProtobufCMessage *found;
	RouteConfiguration none;
	struct sought of;
	bool refused;

	if (m->route_specifier_case == ROUTES(ROUTE_CONFIG))
		return compile_routes(c, &own, m->route_config, filters,
		    c->yaml == NULL, ref);
	if (m->route_specifier_case != ROUTES(RDS))
		return refuse(c, &own, "is missing, expected a "
		    "RouteConfiguration");
	if (*m->rds->route_config_name == '\0')
		return refuse(c, &name, "is missing, expected a name");
	if (find_source(c, &source, m->rds->config_source,
	    m->rds->route_config_name, &of) < 0)
		return -1;
	found = find_message(c, &name, RESOURCE_ROUTE, &of, &refused, NULL);
	if (refused)
		return -1;
	envoy__config__route__v3__route_configuration__init(&none);
	return compile_routes(c, &top, found == NULL ? &none :
	    (const RouteConfiguration *)found, filters, true, ref);
}

int
compile_hcm(struct compiler *c, const struct at *at,
    const ConnectionManager *m, block_ref *ref)
{
	const struct at h2 = AT(at, "http2_protocol_options");
	const struct at common = AT(at, "common_http_protocol_options");
	struct filter_names filters = { 0 };
	struct block_hcm *b = scratch(c, sizeof(*b) +
	    m->n_http_filters * sizeof(b->filters[0]));

	if (b == NULL || rule_check(c, at, &m->base, hcm_rules) < 0 ||
	    put_text(c, m->stat_prefix, &b->stat_prefix) < 0 ||
	    compile_h2(c, &h2, m->http2_protocol_options, &b->h2) < 0 ||
	    compile_common_http(c, &common, m->common_http_protocol_options,
	    &b->idle_timeout_ms, &b->limits) < 0 ||
	    stream_limits(c, at, m, b) < 0 ||
	    compile_filters(c, at, m, b, &filters) < 0)
		return -1;
	b->flags |= request_id_flags(m);
	/* The other limit in kb is for what upstreams send. */
	b->limits.bytes_max = number_or(m->max_request_headers_kb, 60) << 10;
	if (hcm_routes(c, at, m, &filters, &b->route_config) < 0)
		return -1;
	return put_block(c, BLOCK_HCM, b, sizeof(*b) +
	    b->filters_n * sizeof(b->filters[0]), ref);
}
