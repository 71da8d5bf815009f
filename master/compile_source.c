/*
 * master/compile_source.c - bytes that a message names instead of holding:
 * certificates and keys, from files, from the message, from the environment.
 *
 * Certificates are public and go into the arena of blocks. A private key goes
 * into the arena of secrets, which no core dump and no command shows, and
 * nowhere else: what was read of it here is wiped.
 *
 * Source: config.core.v3.DataSource. Test: t/unit/compile.c.
 */
#include "master/compile_parts.h"

#include <stdlib.h>
#include <string.h>

enum {
	PEM_BYTES_MAX = 1 << 20,	/* of certificates: a bundle of CAs */
	KEY_BYTES_MAX = 64 << 10,
};

#define CASE(name) ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_##name

static bool
is_key(const char *pem, size_t n)
{
	static const char end[] = "PRIVATE KEY-----";

	return memmem(pem, n, "-----BEGIN ", 11) != NULL &&
	    memmem(pem, n, end, sizeof(end) - 1) != NULL;
}

static int
pem_check(struct compiler *c, const struct at *at, const char *pem, size_t n)
{
	static const char begin[] = "-----BEGIN CERTIFICATE-----";

	if (n == 0 || n > PEM_BYTES_MAX)
		return refuse(c, at, "has %zu bytes, expected 1..%d", n,
		    PEM_BYTES_MAX);
	if (memchr(pem, '\0', n) != NULL ||
	    memmem(pem, n, begin, sizeof(begin) - 1) == NULL)
		return refuse(c, at, "holds no certificate in PEM form, "
		    "expected \"%s\"", begin);
	if (is_key(pem, n))
		return refuse(c, at, "holds a private key too, expected only "
		    "certificates: a key belongs in a file of its own");
	return 0;
}

static int
pem_file(struct compiler *c, const struct at *at, const char *name,
    const char **pem, size_t *len)
{
	char why[512];

	*pem = sources_file(c->sources, name, PEM_BYTES_MAX, len, why,
	    sizeof(why));
	return *pem == NULL ? refuse(c, at, "%s", why) : 0;
}

int
source_certificates(struct compiler *c, const struct at *up,
    const DataSource *s, const char **pem, size_t *len)
{
	const struct at file = AT(up, "filename"), env = AT(up,
	    "environment_variable"), text = AT(up, "inline_string");
	const struct at bytes = AT(up, "inline_bytes");

	switch (s->specifier_case) {
	case CASE(FILENAME):
		if (pem_file(c, &file, s->filename, pem, len) < 0)
			return -1;
		return pem_check(c, &file, *pem, *len);
	case CASE(INLINE_STRING):
		*pem = s->inline_string;
		*len = strlen(*pem);
		return pem_check(c, &text, *pem, *len);
	case CASE(INLINE_BYTES):
		*pem = (const char *)s->inline_bytes.data;
		*len = s->inline_bytes.len;
		return pem_check(c, &bytes, *pem, *len);
	case CASE(ENVIRONMENT_VARIABLE):
		*pem = getenv(s->environment_variable);
		if (*pem == NULL)
			return refuse(c, &env, "\"%s\" is not in the "
			    "environment", s->environment_variable);
		*len = strlen(*pem);
		return pem_check(c, &env, *pem, *len);
	default:
		return refuse(c, up, "names no source, expected filename, "
		    "inline_string, inline_bytes or environment_variable");
	}
}

/* ---- keys */

/* One place more in the list of this generation's keys. */
static int
keys_add(struct compiler *c, block_ref key)
{
	struct block_list *to;
	uint32_t i, cap = c->keys_cap == 0 ? 16 : c->keys_cap * 2;

	for (i = 0; c->keys != NULL && i < c->keys->n; i++)
		if (c->keys->at[i] == key)
			return 0;
	if (c->keys == NULL || c->keys->n == c->keys_cap) {
		if ((to = list_new(c, cap)) == NULL)
			return -1;
		to->n = 0;
		if (c->keys != NULL)
			memcpy(to, c->keys, sizeof(*to) +
			    c->keys->n * sizeof(to->at[0]));
		c->keys = to;
		c->keys_cap = cap;
	}
	c->keys->at[c->keys->n++] = key;
	return 0;
}

static int
keys_full(struct compiler *c, const struct at *at)
{
	return refuse(c, at, "the arena of private keys is full, %d bytes",
	    SECRETS_SIZE_BYTES);
}

/* A text block of the key, in the arena of secrets only. */
static int
key_put(struct compiler *c, const struct at *at, const char *pem, size_t n,
    block_ref *key)
{
	size_t bytes = sizeof(struct block_text) + n + 1;
	struct block_text *b = malloc(bytes);

	if (b == NULL)
		return refuse(c, at, "no memory is left");
	b->len = (uint32_t)n;
	memcpy(b->bytes, pem, n);
	b->bytes[n] = '\0';
	*key = heap_put(c->image->keys, BLOCK_TEXT, b, bytes);
	explicit_bzero(b, bytes);
	free(b);
	return *key == 0 ? keys_full(c, at) : keys_add(c, *key);
}

int
source_key(struct compiler *c, const struct at *up, const DataSource *s,
    const char **file, block_ref *key, uint64_t *hash)
{
	const struct at at = AT(up, "filename");
	const char *pem;
	char why[512];
	size_t n;

	if (s->specifier_case != CASE(FILENAME))
		return refuse(c, up, "a private key belongs in a file of its "
		    "own, expected a filename");
	*file = s->filename;
	pem = sources_key(c->sources, *file, KEY_BYTES_MAX, &n, why,
	    sizeof(why));
	if (pem == NULL)
		return refuse(c, &at, "%s", why);
	if (!is_key(pem, n))
		return refuse(c, &at, "\"%s\" holds no private key in PEM "
		    "form, expected \"-----BEGIN PRIVATE KEY-----\"", *file);
	*hash = put_hash(pem, n, 0);
	if (key_put(c, &at, pem, n, key) < 0)
		return -1;
	sources_key_put(c->sources, *file, *key);
	return 0;
}

int
source_keys_end(struct compiler *c, block_ref *ref)
{
	static const struct at at = AT(NULL, "static_resources");
	static const struct block_list none = { 0 };
	const struct block_list *keys = c->keys == NULL ? &none : c->keys;

	*ref = heap_put(c->image->keys, BLOCK_SECRETS, keys, sizeof(*keys) +
	    keys->n * sizeof(keys->at[0]));
	return *ref == 0 ? keys_full(c, &at) : 0;
}
