/*
 * master/compile_listener.c - listeners: an address to bind, one filter chain,
 * and the HTTP connection manager in it.
 *
 * A listener's slot belongs to its address: one that moves to another address
 * is bound anew in another slot, and the old sockets go with the old slot; one
 * that has another name at the same address keeps sockets and callers.
 *
 * Differs from Envoy: with TLS, transport_socket_connect_timeout is 10 s when
 * unset (Envoy waits for ever; set 0s for that).
 *
 * Accepted without effect: per_connection_buffer_limit_bytes (the budget of
 * bytes is per worker, godwit.buffer_budget_bytes), traffic_direction,
 * metadata, and a tls_inspector, since no chain chooses by what it would see.
 *
 * Source: config.listener.v3.Listener. Test: t/unit/compile.c.
 */
#include "master/compile_parts.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILTER_CASE(name) \
	ENVOY__CONFIG__LISTENER__V3__FILTER__CONFIG_TYPE_##name
#define LISTENER_FILTER_CASE(name) \
	ENVOY__CONFIG__LISTENER__V3__LISTENER_FILTER__CONFIG_TYPE_##name
#define HCM \
	&envoy__extensions__filters__network__http_connection_manager__v3__http_connection_manager__descriptor
#define TLS_INSPECTOR \
	&envoy__extensions__filters__listener__tls_inspector__v3__tls_inspector__descriptor

enum { HANDSHAKE_TIMEOUT_MS = 10000, ADDRESS_TEXT_BYTES = 80,
	NAME_BYTES_MAX = 900 };

/* ---- filter chains */

static const struct rule chain_rules[] = {
	{ "filter_chain_match", RULE_LATER, .text = NULL },
	{ "filters", RULE_ITEMS, 1, 1, "one: an HttpConnectionManager" },
	{ NULL, RULE_SET, 0, 0, NULL },
};

static int
chain_filter(struct compiler *c, const struct at *up,
    const Envoy__Config__Listener__V3__Filter *m, block_ref *ref)
{
	static const struct rule rules[] = {
		{ "name", RULE_SET, .text = "a name" },
		{ NULL, RULE_SET, 0, 0, NULL },
	};
	const struct at at = AT(up, "typed_config");
	const ProtobufCMessage *typed;

	if (rule_check(c, up, &m->base, rules) < 0 ||
	    (typed = any_open(c, &at, m->config_type_case ==
	    FILTER_CASE(TYPED_CONFIG) ? m->typed_config : NULL)) == NULL)
		return -1;
	if (typed->descriptor != HCM)
		return refuse(c, &at, "%s is no network filter, expected "
		    "HttpConnectionManager", typed->descriptor->short_name);
	return compile_hcm(c, &at, (const ConnectionManager *)typed, ref);
}

static int
compile_chain(struct compiler *c, const struct at *up, const FilterChain *m,
    block_ref *ref)
{
	const struct at tls = AT(up, "transport_socket");
	const struct at timeout = AT(up, "transport_socket_connect_timeout");
	const struct at filter = AT_ITEM(up, "filters", 0);
	struct block_chain b = { 0 };
	uint32_t ms;

	if (rule_check(c, up, &m->base, chain_rules) < 0 ||
	    put_name(c, m->name, &b.name) < 0 ||
	    compile_transport(c, &tls, m->transport_socket, true, &b.tls) <
	    0 || duration_ms(c, &timeout, m->transport_socket_connect_timeout,
	    HANDSHAKE_TIMEOUT_MS, &ms) < 0 ||
	    chain_filter(c, &filter, m->filters[0], &b.hcm) < 0)
		return -1;
	b.handshake_timeout_ms = b.tls == 0 ? 0 : ms;
	return put_block(c, BLOCK_CHAIN, &b, sizeof(b), ref);
}

/* ---- listeners */

static const struct rule listener_rules[] = {
	{ "name", RULE_LENGTH, 0, NAME_BYTES_MAX, "at most 900" },
	{ "address", RULE_SET, .text = "a socket_address" },
	{ "default_filter_chain", RULE_LATER, .text = NULL },
	{ "filter_chains", RULE_ITEMS, 1, 1, "one: to choose among several "
	    "is not built yet" },
	{ "bind_to_port", RULE_LATER, .text = "true" },
	{ "enable_reuse_port", RULE_LATER, .text = "true" },
	{ "tcp_backlog_size", RULE_RANGE, 1, INT32_MAX, "1..2147483647" },
	{ NULL, RULE_SET, 0, 0, NULL },
};

static int
listener_filters(struct compiler *c, const struct at *up, const Listener *m)
{
	const Envoy__Config__Listener__V3__ListenerFilter *f;
	const ProtobufCMessage *typed;
	size_t i;

	for (i = 0; i < m->n_listener_filters; i++) {
		const struct at item = AT_ITEM(up, "listener_filters", i);
		const struct at at = AT(&item, "typed_config");

		f = m->listener_filters[i];
		typed = any_open(c, &at, f->config_type_case ==
		    LISTENER_FILTER_CASE(TYPED_CONFIG) ? f->typed_config :
		    NULL);
		if (typed == NULL)
			return -1;
		if (typed->descriptor != TLS_INSPECTOR)
			return refuse(c, &at, "%s is no listener filter, "
			    "expected TlsInspector",
			    typed->descriptor->short_name);
	}
	return 0;
}

/* ---- the list of listeners */

static struct compile_listener *
listener_of(struct compiler *c, uint32_t owner)
{
	struct compile_listener *l = c->out->listeners;

	for (int i = 0; i < c->out->listeners_n; i++)
		if (l[i].owner == owner)
			return &l[i];
	return NULL;
}

/* Another one has the address. */
static int
address_taken(struct compiler *c, const struct at *at,
    const struct compile_listener *to)
{
	const struct compile_listener *l = c->out->listeners;
	char address[ADDRESS_TEXT_BYTES];

	for (int i = 0; i < c->out->listeners_n; i++) {
		if (l[i].owner == to->owner ||
		    l[i].address_len != to->address_len ||
		    memcmp(&l[i].address, &to->address, to->address_len) != 0)
			continue;
		address_text(&to->address, address, sizeof(address));
		return refuse(c, at, "address \"%s\" is there twice, listener "
		    "\"%s\" has it", address, l[i].name);
	}
	return 0;
}

/* What the keeper must bind, and the slot for it: by address, so that a
 * listener with another name goes on with the same sockets. */
static int
listener_bind(struct compiler *c, const struct at *up, const Listener *m,
    const char *name, struct compile_listener *to, struct name_id *id)
{
	struct block_address key;

	address_block(&to->address, &key);
	if ((to->owner == 0 || listener_of(c, to->owner) == NULL ?
	    c->out->listeners_n : 0) == LISTENERS_MAX ||
	    names_take(c->names, NAMES_LISTENER, &key, sizeof(key), id) < 0)
		return refuse(c, up, "there is room for %d listeners, those "
		    "that this change removes included", LISTENERS_MAX);
	to->slot = id->id;
	to->tag = id->tag;
	to->backlog = number_or(m->tcp_backlog_size, INT32_MAX);
	snprintf(to->name, sizeof(to->name), "%s", name);
	return 0;
}

static int
listener_put(struct compiler *c, const struct at *at, const Listener *m,
    struct compile_listener *to)
{
	const struct at chain = AT_ITEM(at, "filter_chains", 0);
	char address[ADDRESS_TEXT_BYTES];
	struct block_list *chains = list_new(c, 1);
	struct block_listener b = { 0 };
	struct name_id id;

	address_text(&to->address, address, sizeof(address));
	if (chains == NULL || listener_filters(c, at, m) < 0 ||
	    listener_bind(c, at, m, *m->name == '\0' ? address : m->name, to,
	    &id) < 0 ||
	    put_text(c, *m->name == '\0' ? address : m->name, &b.name) < 0 ||
	    put_text(c, *m->stat_prefix == '\0' ? address : m->stat_prefix,
	    &b.stat_name) < 0 ||
	    compile_chain(c, &chain, m->filter_chains[0], &chains->at[0]) <
	    0 || put_list(c, BLOCK_CHAINS, chains, &b.chains) < 0)
		return -1;
	address_block(&to->address, &b.address);
	b.slot = id.id;
	b.tag = id.tag;
	return put_block(c, BLOCK_LISTENER, &b, sizeof(b), &to->ref);
}

/* In the place of its former self, whose address may be another. */
static bool
listener_replace(struct compiler *c, const struct compile_listener *to)
{
	struct compile_listener *l = listener_of(c, to->owner);
	bool good = true;

	if (l == NULL)
		l = &c->out->listeners[c->out->listeners_n++];
	else {
		c->out->generation.routes_n -= l->routes_n;
		if (l->slot != to->slot || l->tag != to->tag)
			good = names_drop(c->names, NAMES_LISTENER,
			    (struct name_id){ l->slot, l->tag });
	}
	*l = *to;
	c->tls_changed = true;
	return good;
}

int
compile_listener(struct compiler *c, const struct at *at, const Listener *m,
    uint32_t owner)
{
	const struct at address = AT(at, "address");
	struct compile_listener to = { .owner = owner };
	uint32_t routes_n = c->out->generation.routes_n;

	if (rule_check(c, at, &m->base, listener_rules) < 0 ||
	    address_read(c, &address, m->address, &to.address,
	    &to.address_len, NULL) < 0 || address_taken(c, &address, &to) < 0 ||
	    listener_put(c, at, m, &to) < 0)
		return -1;
	if (c->waits)
		return 0;		/* rolled back */
	to.routes_n = c->out->generation.routes_n - routes_n;
	return listener_replace(c, &to) ? 0 : refuse(c, at, "no memory is "
	    "left");
}

bool
compile_listener_drop(struct compiler *c, uint32_t owner)
{
	struct compile_listener *l = listener_of(c, owner);
	struct name_id id;

	if (l == NULL)
		return true;
	id = (struct name_id){ l->slot, l->tag };
	c->out->generation.routes_n -= l->routes_n;
	*l = c->out->listeners[--c->out->listeners_n];
	c->tls_changed = true;
	return names_drop(c->names, NAMES_LISTENER, id);
}

static int
slot_compare(const void *a, const void *b)
{
	const struct compile_listener *x = a, *y = b;

	return x->slot < y->slot ? -1 : x->slot > y->slot;
}

/* By slot: the order in which they came leaves no trace. */
int
compile_listeners(struct compiler *c, block_ref *ref)
{
	size_t n = (size_t)c->out->listeners_n;
	struct block_list *list = list_new(c, n);

	if (list == NULL)
		return -1;
	qsort(c->out->listeners, n, sizeof(c->out->listeners[0]),
	    slot_compare);
	for (size_t i = 0; i < n; i++)
		list->at[i] = c->out->listeners[i].ref;
	c->out->generation.listeners_n = (uint32_t)n;
	return put_list(c, BLOCK_LISTENERS, list, ref);
}
