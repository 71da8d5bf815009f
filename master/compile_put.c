/*
 * master/compile_put.c - values out of messages and blocks into the arena.
 *
 * Blocks are filled in memory that goes with the messages, and put when they
 * are done; the heap finds out whether one like it is there. Test: t/unit/compile.c.
 */
#include "master/compile_parts.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static const struct at everything = AT(NULL, "static_resources");

int
put_block(struct compiler *c, enum block_kind kind, const void *block,
    size_t bytes, block_ref *ref)
{
	*ref = heap_put(c->image->blocks, kind, block, bytes);
	if (*ref == 0)
		return refuse(c, &everything, "is larger than the shared "
		    "memory, %llu bytes, or than what memory there is",
		    (unsigned long long)c->arena->size_bytes);
	return 0;
}

struct block_list *
list_new(struct compiler *c, size_t n)
{
	struct block_list *list = scratch(c, sizeof(*list) +
	    n * sizeof(list->at[0]));

	if (list != NULL)
		list->n = (uint32_t)n;
	return list;
}

int
put_list(struct compiler *c, enum block_kind kind,
    const struct block_list *list, block_ref *ref)
{
	return put_block(c, kind, list, sizeof(*list) +
	    list->n * sizeof(list->at[0]), ref);
}

int
put_text(struct compiler *c, const char *s, block_ref *ref)
{
	size_t n = strlen(s);
	struct block_text *b = scratch(c, sizeof(*b) + n + 1);

	if (b == NULL)
		return -1;
	b->len = (uint32_t)n;
	memcpy(b->bytes, s, n);
	return put_block(c, BLOCK_TEXT, b, sizeof(*b) + n + 1, ref);
}

int
put_name(struct compiler *c, const char *s, block_ref *ref)
{
	*ref = 0;
	return *s == '\0' ? 0 : put_text(c, s, ref);
}

uint64_t
put_hash(const void *bytes, size_t n, uint64_t seed)
{
	uint64_t hash = XXH64(bytes, n, seed);

	return hash == 0 ? 1 : hash;
}

void *
scratch(struct compiler *c, size_t bytes)
{
	void *p = load_alloc(c->memory, bytes == 0 ? 1 : bytes);

	if (p == NULL)
		refuse(c, &everything, "is larger than what may be loaded");
	return p;
}

char *
lower(struct compiler *c, const char *s)
{
	size_t i, n = strlen(s);
	char *to = scratch(c, n + 1);

	for (i = 0; to != NULL && i < n; i++)
		to[i] = s[i] >= 'A' && s[i] <= 'Z' ?
		    (char)(s[i] - 'A' + 'a') : s[i];
	return to;
}

uint32_t
number_or(const UInt32 *v, uint32_t unset)
{
	return v == NULL ? unset : v->value;
}

int
duration_ms(struct compiler *c, const struct at *at, const Duration *d,
    uint32_t unset_ms, uint32_t *ms)
{
	uint64_t n;

	*ms = unset_ms;
	if (d == NULL)
		return 0;
	if (d->seconds < 0 || d->nanos < 0)
		return refuse(c, at, "is negative, expected 0s or more");
	n = d->seconds > UINT32_MAX ? UINT64_MAX :
	    (uint64_t)d->seconds * 1000 + ((uint64_t)d->nanos + 999999) /
	    1000000;
	if (n > UINT32_MAX)
		return refuse(c, at, "is over 49 days, expected at most "
		    "4294967s");
	*ms = (uint32_t)n;
	return 0;
}

const ProtobufCMessage *
any_open(struct compiler *c, const struct at *at, const Any *any)
{
	const ProtobufCMessage *m;
	char why[512];

	if (any == NULL || *any->type_url == '\0') {
		refuse(c, at, "is missing, expected a message with \"@type\"");
		return NULL;
	}
	m = load_any(c->memory, any->type_url, any->value.data,
	    any->value.len, why, sizeof(why));
	if (m == NULL)
		refuse(c, at, "%s", why);
	return m;
}

static const struct rule socket_rules[] = {
	{ "protocol", RULE_LATER, .text = "TCP" },
	{ "address", RULE_SET, .text = "an IP address" },
	{ "named_port", RULE_LATER, .text = NULL },
	{ "ipv4_compat", RULE_LATER, .text = "false" },
	{ NULL, RULE_SET, 0, 0, NULL },
};

/* All but the address in it. */
static int
socket_check(struct compiler *c, const struct at *up, const Address *a)
{
	const struct at at = AT(up, "socket_address"), pipe = AT(up, "pipe");
	const struct at port_at = AT(&at, "port_value");
	const SocketAddress *s;

	if (a != NULL && a->address_case ==
	    ENVOY__CONFIG__CORE__V3__ADDRESS__ADDRESS_PIPE)
		return refuse(c, &pipe, "is not built yet, expected a "
		    "socket_address");
	if (a == NULL || a->address_case !=
	    ENVOY__CONFIG__CORE__V3__ADDRESS__ADDRESS_SOCKET_ADDRESS)
		return refuse(c, &at, "is missing, expected an address and a "
		    "port_value");
	s = a->socket_address;
	if (rule_check(c, &at, &s->base, socket_rules) < 0)
		return -1;
	if (s->port_specifier_case !=
	    ENVOY__CONFIG__CORE__V3__SOCKET_ADDRESS__PORT_SPECIFIER_PORT_VALUE)
		return refuse(c, &port_at, "is missing, expected 1..65535");
	if (s->port_value == 0 || s->port_value > UINT16_MAX)
		return refuse(c, &port_at, "%u, expected 1..65535",
		    s->port_value);
	return 0;
}

int
address_read(struct compiler *c, const struct at *up, const Address *a,
    struct sockaddr_storage *to, socklen_t *len, const char **name)
{
	const struct at at = AT(up, "socket_address");
	const struct at ip_at = AT(&at, "address");
	struct sockaddr_in *v4 = (struct sockaddr_in *)to;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)to;
	const SocketAddress *s;

	memset(to, 0, sizeof(*to));
	if (socket_check(c, up, a) < 0)
		return -1;
	s = a->socket_address;
	if (inet_pton(AF_INET, s->address, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)s->port_value);
		*len = sizeof(*v4);
		return 0;
	}
	if (inet_pton(AF_INET6, s->address, &v6->sin6_addr) != 1) {
		if (name == NULL)
			return refuse(c, &ip_at, "\"%s\" is no IP address "
			    "(names are for clusters of type STRICT_DNS or "
			    "LOGICAL_DNS)", s->address);
		*name = s->address;
		return compile_name(c, &ip_at, *name);
	}
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons((uint16_t)s->port_value);
	*len = sizeof(*v6);
	return 0;
}

void
address_block(const struct sockaddr_storage *a, struct block_address *to)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)a;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)a;

	memset(to, 0, sizeof(*to));
	to->family = (uint16_t)a->ss_family;
	if (to->family == AF_INET) {
		memcpy(to->bytes, &v4->sin_addr, 4);
		to->port = ntohs(v4->sin_port);
	} else {
		memcpy(to->bytes, &v6->sin6_addr, 16);
		to->port = ntohs(v6->sin6_port);
	}
}

void
address_text(const struct sockaddr_storage *a, char *text, size_t text_len)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)a;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)a;
	char ip[INET6_ADDRSTRLEN];
	char *p;

	if (a->ss_family == AF_INET) {
		inet_ntop(AF_INET, &v4->sin_addr, ip, sizeof(ip));
		snprintf(text, text_len, "%s_%u", ip, ntohs(v4->sin_port));
		return;
	}
	inet_ntop(AF_INET6, &v6->sin6_addr, ip, sizeof(ip));
	snprintf(text, text_len, "[%s]_%u", ip, ntohs(v6->sin6_port));
	for (p = text; *p != '\0'; p++)
		if (*p == ':')
			*p = '_';
}
