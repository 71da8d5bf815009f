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

static const struct at files = AT(NULL, "static_resources");

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
	return *key == 0 ? keys_full(c, at) : 0;
}

uint64_t
compile_hash(const char *pem, size_t n)
{
	return put_hash(pem, n, 0);
}

int
compile_key(struct compiler *c, const char *pem, size_t n,
    struct compile_key *key)
{
	char why[64];

	c->why = why;
	c->why_len = sizeof(why);
	key->hash = put_hash(pem, n, 0);
	if (key_put(c, &files, pem, n, &key->ref) < 0)
		return -1;
	heap_hold(c->image->keys, key->ref);
	return 0;
}

static int
key_file(struct compiler *c, const struct at *up, const char *name,
    struct compile_key *key)
{
	const struct at at = AT(up, "filename");
	const char *pem;
	char why[512];
	size_t n;

	pem = sources_key(c->sources, name, KEY_BYTES_MAX, &n, why,
	    sizeof(why));
	if (pem == NULL)
		return refuse(c, &at, "%s", why);
	if (!is_key(pem, n))
		return refuse(c, &at, "\"%s\" holds no private key in PEM "
		    "form, expected \"-----BEGIN PRIVATE KEY-----\"", name);
	key->hash = put_hash(pem, n, 0);
	if (key_put(c, &at, pem, n, &key->ref) < 0)
		return -1;
	sources_key_put(c->sources, name, key->ref);
	return 0;
}

static int
key_inline(struct compiler *c, const struct at *up, const char *pem, size_t n,
    struct compile_key *key)
{
	if (n > KEY_BYTES_MAX || memchr(pem, '\0', n) != NULL ||
	    !is_key(pem, n))
		return refuse(c, up, "holds no private key in PEM form, "
		    "expected \"-----BEGIN PRIVATE KEY-----\"");
	key->hash = put_hash(pem, n, 0);
	return key_put(c, up, pem, n, &key->ref);
}

/* Of what is kept and shown only a secret is taken apart first. */
int
source_key(struct compiler *c, const struct at *up, const DataSource *s,
    const char **file, struct compile_key *key)
{
	const struct at text = AT(up, "inline_string");
	const struct at bytes = AT(up, "inline_bytes");

	*file = "";
	if (s->specifier_case == CASE(FILENAME)) {
		*file = s->filename;
		return key_file(c, up, s->filename, key);
	}
	if (c->is_secret && s->specifier_case == CASE(INLINE_STRING))
		return key_inline(c, &text, s->inline_string,
		    strlen(s->inline_string), key);
	if (c->is_secret && s->specifier_case == CASE(INLINE_BYTES))
		return key_inline(c, &bytes, (const char *)
		    s->inline_bytes.data, s->inline_bytes.len, key);
	return refuse(c, up, "a private key belongs in a file of its "
	    "own, expected a filename");	/* or in a secret */
}

/* ---- the keys of a generation */

struct keys {
	block_ref	*at;
	size_t		 n, cap;
};

/* The key that a TLS block names, if any. */
static bool
keys_add(struct compiler *c, struct keys *k, block_ref tls)
{
	const struct block_tls *b = tls == 0 ? NULL : arena_at(c->arena, tls);
	size_t cap = k->cap == 0 ? 64 : k->cap * 2;
	block_ref *to;

	if (b == NULL || b->private_key == 0 ||
	    (k->n > 0 && k->at[k->n - 1] == b->private_key))
		return true;
	if (k->n == k->cap) {
		if ((to = scratch(c, cap * sizeof(*to))) == NULL)
			return false;
		if (k->n > 0)
			memcpy(to, k->at, k->n * sizeof(*to));
		k->at = to;
		k->cap = cap;
	}
	k->at[k->n++] = b->private_key;
	return true;
}

static bool
keys_of_clusters(struct compiler *c, struct keys *k)
{
	const struct block_list *page;
	const struct block_cluster *b;

	for (uint32_t i = 0; i < CLUSTERS_MAX / PAGE_SLOTS; i++) {
		if ((page = page_view(c, i)) == NULL)
			continue;
		for (uint32_t j = 0; j < PAGE_SLOTS; j++) {
			b = page->at[j] == 0 ? NULL : arena_at(c->arena,
			    page->at[j]);
			if (b != NULL && !keys_add(c, k, b->tls))
				return false;
		}
	}
	return true;
}

static bool
keys_of_listeners(struct compiler *c, struct keys *k)
{
	for (int i = 0; i < c->out->listeners_n; i++) {
		const struct block_listener *l = arena_at(c->arena,
		    c->out->listeners[i].ref);

		if (!keys_add(c, k, block_chain_of(c->arena, l)->tls))
			return false;
	}
	return true;
}

static int
ref_compare(const void *a, const void *b)
{
	const block_ref *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Each once, in the order of their places: the order in which resources came
 * leaves no trace. */
static int
keys_put(struct compiler *c, const struct keys *k, block_ref *ref)
{
	struct block_list *list = list_new(c, k->n);

	if (list == NULL)
		return -1;
	list->n = 0;
	if (k->n > 1)
		qsort(k->at, k->n, sizeof(*k->at), ref_compare);
	for (size_t i = 0; i < k->n; i++)
		if (i == 0 || k->at[i] != k->at[i - 1])
			list->at[list->n++] = k->at[i];
	*ref = heap_put(c->image->keys, BLOCK_SECRETS, list, sizeof(*list) +
	    list->n * sizeof(list->at[0]));
	return *ref == 0 ? keys_full(c, &files) : 0;
}

int
source_keys_end(struct compiler *c, block_ref *ref)
{
	struct keys k = { 0 };

	*ref = c->whole ? 0 : c->stage.newest->keys;
	if (*ref != 0 && !c->tls_changed)
		return 0;
	return keys_of_clusters(c, &k) && keys_of_listeners(c, &k) ?
	    keys_put(c, &k, ref) : -1;
}
