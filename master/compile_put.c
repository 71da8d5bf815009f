/*
 * master/compile_put.c - values out of messages and blocks into the arena.
 *
 * Equal texts, and equal self-contained blocks, are put once per generation:
 * a table of hashes says where. Test: t/unit/compile.c.
 */
#include "master/compile_parts.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum intern_kind { INTERN_TEXT, INTERN_PLAN };

struct intern {
	uint64_t	hash;
	block_ref	ref;		/* 0: a free place */
	uint32_t	len;
};

static const struct at everything = AT(NULL, "static_resources");

void *
put_block(struct compiler *c, size_t bytes, block_ref *ref)
{
	void *p = arena_put(c->arena, bytes, ref);

	if (p == NULL)
		refuse(c, &everything, "is larger than the shared memory, "
		    "%llu bytes", (unsigned long long)c->arena->size_bytes);
	return p;
}

struct block_list *
put_list(struct compiler *c, size_t n, block_ref *ref)
{
	struct block_list *list = put_block(c,
	    sizeof(*list) + n * sizeof(list->at[0]), ref);

	if (list != NULL)
		list->n = (uint32_t)n;
	return list;
}

/* Twice the places, when half of them are taken. */
static int
intern_grow(struct compiler *c)
{
	uint32_t i, at, cap = c->interned_cap == 0 ? 256 : c->interned_cap * 2;
	struct intern *to;

	if (c->interned_n * 2 < c->interned_cap)
		return 0;
	if ((to = calloc(cap, sizeof(*to))) == NULL)
		return refuse(c, &everything, "no memory is left");
	for (i = 0; i < c->interned_cap; i++) {
		if (c->interned[i].ref == 0)
			continue;
		at = (uint32_t)c->interned[i].hash & (cap - 1);
		while (to[at].ref != 0)
			at = (at + 1) & (cap - 1);
		to[at] = c->interned[i];
	}
	free(c->interned);
	c->interned = to;
	c->interned_cap = cap;
	return 0;
}

/* Where the bytes of a text stand in its block, and what they need more. */
static size_t
head_bytes(enum intern_kind kind)
{
	return kind == INTERN_TEXT ? offsetof(struct block_text, bytes) : 0;
}

static int
put_interned(struct compiler *c, enum intern_kind kind, const void *bytes,
    size_t len, block_ref *ref)
{
	uint64_t hash = XXH64(bytes, len, kind);
	size_t head = head_bytes(kind);
	struct intern *in;
	uint8_t *block;
	uint32_t at;

	if (intern_grow(c) < 0)
		return -1;
	at = (uint32_t)hash & (c->interned_cap - 1);
	for (; (in = &c->interned[at])->ref != 0;
	    at = (at + 1) & (c->interned_cap - 1))
		if (in->hash == hash && in->len == len &&
		    memcmp((const uint8_t *)arena_at(c->arena, in->ref) +
		    head, bytes, len) == 0) {
			*ref = in->ref;
			return 0;
		}
	if ((block = put_block(c, head + len + (head > 0 ? 1 : 0), ref)) ==
	    NULL)
		return -1;
	if (kind == INTERN_TEXT)
		((struct block_text *)(void *)block)->len = (uint32_t)len;
	memcpy(block + head, bytes, len);
	*in = (struct intern){ hash, *ref, (uint32_t)len };
	c->interned_n++;
	return 0;
}

int
put_text(struct compiler *c, const char *s, block_ref *ref)
{
	return put_interned(c, INTERN_TEXT, s, strlen(s), ref);
}

int
put_name(struct compiler *c, const char *s, block_ref *ref)
{
	*ref = 0;
	return *s == '\0' ? 0 : put_text(c, s, ref);
}

int
put_plan(struct compiler *c, const void *block, size_t bytes, block_ref *ref)
{
	return put_interned(c, INTERN_PLAN, block, bytes, ref);
}

void
put_end(struct compiler *c)
{
	free(c->interned);
	c->interned = NULL;
	c->interned_n = c->interned_cap = 0;
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

int
address_read(struct compiler *c, const struct at *up, const Address *a,
    struct sockaddr_storage *to, socklen_t *len)
{
	const struct at at = AT(up, "socket_address");
	const struct at ip_at = AT(&at, "address"), pipe = AT(up, "pipe");
	const struct at port_at = AT(&at, "port_value");
	struct sockaddr_in *v4 = (struct sockaddr_in *)to;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)to;
	const SocketAddress *s;

	memset(to, 0, sizeof(*to));
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
	if (inet_pton(AF_INET, s->address, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)s->port_value);
		*len = sizeof(*v4);
		return 0;
	}
	if (inet_pton(AF_INET6, s->address, &v6->sin6_addr) != 1)
		return refuse(c, &ip_at, "\"%s\" is no IP address (names are "
		    "for DNS clusters, which are not built yet)", s->address);
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons((uint16_t)s->port_value);
	*len = sizeof(*v6);
	return 0;
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
