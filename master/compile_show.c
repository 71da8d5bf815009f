/* master/compile_show.c - see compile_show.h. */
#include "master/compile_show.h"

#include "master/compile_parts.h"

typedef Envoy__Extensions__TransportSockets__Tls__V3__Secret Secret;

static const ProtobufCMessage *
unpack(struct load_arena *m, enum resource_kind kind, const uint8_t *bytes,
    size_t len)
{
	char why[256];

	return load_any(m, resource_about(kind)->message, bytes, len, why,
	    sizeof(why));
}

/* ---- routes in a listener */

static void
filter_show(struct load_arena *m, const Any *any, compile_show_fn fn,
    void *arg)
{
	const ConnectionManager *h;
	char why[256];

	if (any == NULL || load_type_find(any->type_url) !=
	    &envoy__extensions__filters__network__http_connection_manager__v3__http_connection_manager__descriptor)
		return;
	h = (const ConnectionManager *)load_any(m, any->type_url,
	    any->value.data, any->value.len, why, sizeof(why));
	if (h != NULL && h->route_specifier_case ==
	    ENVOY__EXTENSIONS__FILTERS__NETWORK__HTTP_CONNECTION_MANAGER__V3__HTTP_CONNECTION_MANAGER__ROUTE_SPECIFIER_ROUTE_CONFIG)
		fn(arg, h->route_config->name, &h->route_config->base);
}

static void
chain_show(struct load_arena *m, const FilterChain *c, compile_show_fn fn,
    void *arg)
{
	for (size_t i = 0; i < c->n_filters; i++)
		if (c->filters[i]->config_type_case ==
		    ENVOY__CONFIG__LISTENER__V3__FILTER__CONFIG_TYPE_TYPED_CONFIG)
			filter_show(m, c->filters[i]->typed_config, fn, arg);
}

static void
listener_show(struct load_arena *m, const Listener *l, compile_show_fn fn,
    void *arg)
{
	for (size_t i = 0; i < l->n_filter_chains; i++)
		chain_show(m, l->filter_chains[i], fn, arg);
	if (l->default_filter_chain != NULL)
		chain_show(m, l->default_filter_chain, fn, arg);
}

void
compile_show_inside(struct load_arena *m, enum resource_kind kind,
    const uint8_t *bytes, size_t len, compile_show_fn fn, void *arg)
{
	const ProtobufCMessage *r = unpack(m, kind, bytes, len);
	const Cluster *c = (const Cluster *)r;

	if (r != NULL && kind == RESOURCE_LISTENER)
		listener_show(m, (const Listener *)r, fn, arg);
	else if (r != NULL && kind == RESOURCE_CLUSTER &&
	    c->load_assignment != NULL)
		fn(arg, c->load_assignment->cluster_name,
		    &c->load_assignment->base);
}

/* ---- secrets */

const ProtobufCMessage *
compile_show_secret(struct load_arena *m, const uint8_t *bytes, size_t len)
{
	static char redacted[] = "[redacted]";
	Secret *s = (Secret *)(uintptr_t)unpack(m, RESOURCE_SECRET, bytes, len);
	DataSource *key = load_alloc(m, sizeof(*key));

	if (s == NULL || key == NULL || s->type_case !=
	    ENVOY__EXTENSIONS__TRANSPORT_SOCKETS__TLS__V3__SECRET__TYPE_TLS_CERTIFICATE)
		return s == NULL ? NULL : &s->base;
	envoy__config__core__v3__data_source__init(key);
	key->specifier_case =
	    ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_INLINE_STRING;
	key->inline_string = redacted;
	s->tls_certificate->private_key = key;
	return &s->base;
}
