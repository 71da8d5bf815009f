/*
 * master/compile_file.c - the resources that stand in a file: a Bootstrap's
 * static_resources, one after the other.
 *
 * What can be wrong with them together, before any is compiled: a name or an
 * address that is there twice is refused with both places.
 *
 * Source: config.bootstrap.v3.Bootstrap. Test: t/unit/compile.c.
 */
#include "master/compile_parts.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHECK_BYTES_MAX = 64 << 20, ADDRESS_BYTES = 80 };

static const struct at files = AT(NULL, "static_resources");

typedef Envoy__Config__Bootstrap__V3__Bootstrap__StaticResources Static;

static const Static *
static_of(const ProtobufCMessage *m)
{
	static const Static none =
	    ENVOY__CONFIG__BOOTSTRAP__V3__BOOTSTRAP__STATIC_RESOURCES__INIT;
	const Bootstrap *b = (const Bootstrap *)m;

	assert(m->descriptor ==
	    &envoy__config__bootstrap__v3__bootstrap__descriptor);
	return b->static_resources == NULL ? &none : b->static_resources;
}

static const ProtobufCMessage *
message_at(const Static *s, enum resource_kind kind, size_t i)
{
	return kind == RESOURCE_CLUSTER ? &s->clusters[i]->base :
	    kind == RESOURCE_SECRET ? &s->secrets[i]->base :
	    &s->listeners[i]->base;
}

size_t
compile_file_n(const ProtobufCMessage *bootstrap, enum resource_kind kind)
{
	const Static *s = static_of(bootstrap);

	return kind == RESOURCE_CLUSTER ? s->n_clusters :
	    kind == RESOURCE_LISTENER ? s->n_listeners :
	    kind == RESOURCE_SECRET ? s->n_secrets : 0;
}

void
compile_file_at(const ProtobufCMessage *bootstrap, const struct yaml *yaml,
    enum resource_kind kind, size_t i, struct compile_resource *r)
{
	const Static *s = static_of(bootstrap);

	*r = (struct compile_resource){ .kind = kind, .yaml = yaml,
	    .index = i, .message = message_at(s, kind, i) };
}

/* "" for what is no address: its listener is refused for that. */
static void
listener_address(const Listener *m, char *text, size_t text_len)
{
	const struct at at = AT(NULL, "address");
	struct sockaddr_storage address;
	char why[64];
	struct compiler c = { .why = why, .why_len = sizeof(why) };
	socklen_t len;

	*text = '\0';
	if (address_read(&c, &at, m->address, &address, &len, NULL) == 0)
		address_text(&address, text, text_len);
}

/* An unnamed listener is called by its address. */
static void
listener_name(const Listener *m, char *name, size_t name_len)
{
	if (*m->name != '\0')
		snprintf(name, name_len, "%s", m->name);
	else
		listener_address(m, name, name_len);
}

uint8_t *
compile_file_pack(const ProtobufCMessage *bootstrap, enum resource_kind kind,
    size_t i, char *name, size_t name_len, size_t *len)
{
	const Static *s = static_of(bootstrap);
	const ProtobufCMessage *m = message_at(s, kind, i);
	uint8_t *bytes;

	if (kind == RESOURCE_CLUSTER)
		snprintf(name, name_len, "%s", s->clusters[i]->name);
	else if (kind == RESOURCE_SECRET)
		snprintf(name, name_len, "%s", s->secrets[i]->name);
	else
		listener_name(s->listeners[i], name, name_len);
	*len = protobuf_c_message_get_packed_size(m);
	bytes = malloc(*len + 1);
	if (bytes != NULL)
		protobuf_c_message_pack(m, bytes);
	return bytes;
}

/* ---- twice */

struct named {
	const char	*name;
	size_t		 index;
};

static int
named_compare(const void *a, const void *b)
{
	const struct named *x = a, *y = b;
	int diff = strcmp(x->name, y->name);

	return diff != 0 ? diff : x->index < y->index ? -1 : 1;
}

/* The first cluster of the file whose name an earlier one has. */
static int
clusters_unique(struct compiler *c, const Static *s)
{
	struct named *all = scratch(c, s->n_clusters * sizeof(*all));
	size_t i, n = s->n_clusters, at = SIZE_MAX, first = 0;

	if (all == NULL)
		return -1;
	for (i = 0; i < n; i++)
		all[i] = (struct named){ s->clusters[i]->name, i };
	if (n > 1)
		qsort(all, n, sizeof(*all), named_compare);
	for (i = 1; i < n; i++)
		if (*all[i].name != '\0' && all[i].index < at &&
		    strcmp(all[i].name, all[i - 1].name) == 0) {
			at = all[i].index;
			first = all[i - 1].index;
		}
	if (at == SIZE_MAX)
		return 0;
	const struct at here = AT_ITEM(&files, "clusters", at);
	const struct at there = AT_ITEM(&files, "clusters", first);
	const struct at name = AT(&here, "name"), first_name = AT(&there,
	    "name");

	return refuse_twice(c, &name, &first_name, "cluster",
	    s->clusters[at]->name);
}

static int
listener_unique(struct compiler *c, const Static *s, size_t i)
{
	const char *own = s->listeners[i]->name;
	char address[ADDRESS_BYTES], other[ADDRESS_BYTES];

	listener_address(s->listeners[i], address, sizeof(address));
	for (size_t j = 0; j < i; j++) {
		const struct at here = AT_ITEM(&files, "listeners", i);
		const struct at there = AT_ITEM(&files, "listeners", j);
		const struct at name = AT(&here, "name"), at = AT(&here,
		    "address");
		const struct at first_name = AT(&there, "name");
		const struct at first = AT(&there, "address");

		if (*own != '\0' && strcmp(own, s->listeners[j]->name) == 0)
			return refuse_twice(c, &name, &first_name, "listener",
			    own);
		listener_address(s->listeners[j], other, sizeof(other));
		if (*address != '\0' && strcmp(address, other) == 0)
			return refuse_twice(c, &at, &first, "address",
			    address);
	}
	return 0;
}

static int
check(struct compiler *c, const Static *s)
{
	const struct at all = AT(&files, "listeners");

	if (clusters_unique(c, s) < 0)
		return -1;
	if (s->n_listeners > LISTENERS_MAX)
		return refuse(c, &all, "has %zu items, expected at most %d",
		    s->n_listeners, LISTENERS_MAX);
	for (size_t i = 1; i < s->n_listeners; i++)
		if (listener_unique(c, s, i) < 0)
			return -1;
	return 0;
}

int
compile_file_check(const struct yaml *yaml, const ProtobufCMessage *bootstrap,
    char *why, size_t why_len)
{
	struct compiler c = { .yaml = yaml, .why = why, .why_len = why_len,
	    .memory = load_arena_new(CHECK_BYTES_MAX) };
	int rc = c.memory == NULL ? refuse(&c, &files, "no memory is left") :
	    check(&c, static_of(bootstrap));

	load_arena_free(c.memory);
	return rc;
}
