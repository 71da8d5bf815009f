/*
 * master/compile_secret.c - secrets by name: certificates with their keys, and
 * what peers are checked with.
 *
 *   Secret ──> checked: chain, key, that they are a pair, CA
 *     │            └── private key ──> arena of secrets, held; nowhere else
 *     │                (of one in a file the name is left: see rotate.h)
 *     └──────────> what is left of the message, kept and shown
 *
 * Source: extensions.transport_sockets.tls.v3.Secret, SdsSecretConfig.
 * Test: t/unit/resources.c, t/mesh/860.
 */
#include "master/compile_parts.h"

#include <stdlib.h>
#include <string.h>

#include "worker/io/tls.h"

typedef Envoy__Extensions__TransportSockets__Tls__V3__Secret Secret;
typedef Envoy__Extensions__TransportSockets__Tls__V3__SdsSecretConfig
    SdsConfig;

#define IS(name) ENVOY__EXTENSIONS__TRANSPORT_SOCKETS__TLS__V3__SECRET__TYPE_##name

static const struct at top = AT(NULL, "");

/* ---- looking at what OpenSSL will say */

static bool
checked_find(const struct compile_checked *k, uint64_t hash)
{
	uint32_t n = k->n < COMPILE_CHECKED_MAX ? k->n : COMPILE_CHECKED_MAX;

	for (uint32_t i = 0; i < n; i++)
		if (k->hashes[i] == hash)
			return true;
	return false;
}

int
secret_check(struct compiler *c, const struct at *at,
    const struct tls_settings *s)
{
	struct compile_checked *k = c->stage.checked;
	struct tls_context *t;
	uint64_t hash;
	char why[512];

	if (k == NULL)
		return 0;
	hash = put_hash(s->certificate_chain, s->certificate_chain_len,
	    put_hash(s->private_key, s->private_key_len,
	    put_hash(s->trusted_ca, s->trusted_ca_len,
	    put_hash(s->ciphers, s->ciphers == NULL ? 0 :
	    strlen(s->ciphers), s->server))));
	if (checked_find(k, hash))
		return 0;
	if ((t = tls_context_new(s, why, sizeof(why))) == NULL)
		return refuse(c, at, "%s", why);
	tls_context_put(t);
	k->hashes[k->n++ % COMPILE_CHECKED_MAX] = hash;
	return 0;
}

/* ---- taking a secret apart */

/* Envoy takes it, and its peers refuse it from then on; ours that is there is
 * better, and if there is none, a server that says why is. One that expires
 * while it is in use stays. */
int
secret_expiry_check(struct compiler *c, const struct at *up,
    const struct tls_certificate *t)
{
	const struct at at = AT(up, "certificate_chain");
	char name[256];

	if (c->stage.checked == NULL || !tls_certificate_expired(t->chain,
	    t->chain_len, name, sizeof(name)))
		return 0;
	return refuse(c, &at, "the certificate for %s has expired, expected "
	    "one that peers will accept", name);
}

static bool
key_is_file(const TlsCertificate *m)
{
	return m->private_key != NULL && m->private_key->specifier_case ==
	    ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_FILENAME;
}

static int
certificate_read(struct compiler *c, const TlsCertificate *m,
    struct compile_key *key)
{
	const struct at at = AT(&top, "tls_certificate");
	struct tls_certificate t;

	if (compile_certificate(c, &at, m, NULL, &t) < 0 ||
	    secret_expiry_check(c, &at, &t) < 0)
		return -1;
	*key = t.key;
	heap_hold(c->image->keys, key->ref);
	return 0;
}

static int
secret_read(struct compiler *c, const Secret *m, struct compile_key *key)
{
	const struct at context = AT(&top, "validation_context");

	switch (m->type_case) {
	case IS(TLS_CERTIFICATE):
		return certificate_read(c, m->tls_certificate, key);
	case IS(VALIDATION_CONTEXT):
		return compile_validation_check(c, &context,
		    m->validation_context);
	default:
		return refuse(c, &top, "is empty, expected a tls_certificate "
		    "or a validation_context");
	}
}

/* The message without the key, but with the name of its file, packed. NULL: no
 * memory. */
static uint8_t *
secret_pack(const Secret *m, size_t *len)
{
	Secret rest = *m;
	TlsCertificate certificate;
	uint8_t *bytes;

	if (m->type_case == IS(TLS_CERTIFICATE) &&
	    !key_is_file(m->tls_certificate)) {
		certificate = *m->tls_certificate;
		certificate.private_key = NULL;
		rest.tls_certificate = &certificate;
	}
	*len = protobuf_c_message_get_packed_size(&rest.base);
	bytes = malloc(*len + 1);
	if (bytes != NULL)
		protobuf_c_message_pack(&rest.base, bytes);
	return bytes;
}

int
secret_take(struct compiler *c, const ProtobufCMessage *m, uint8_t **out,
    size_t *out_len, struct compile_key *key)
{
	*key = (struct compile_key){ 0 };
	if (secret_read(c, (const Secret *)m, key) < 0)
		return -1;
	*out = secret_pack((const Secret *)m, out_len);
	if (*out != NULL)
		return 0;
	if (key->ref != 0)
		heap_let_go(c->image->keys, key->ref);
	return refuse(c, &top, "no memory is left");
}

/* The key is not copied but into the message. */
static uint8_t *
key_pack(Secret *m, const struct block_text *key, size_t *len)
{
	Envoy__Config__Core__V3__DataSource source;
	TlsCertificate *certificate = m->tls_certificate;
	uint8_t *bytes;

	envoy__config__core__v3__data_source__init(&source);
	source.specifier_case =
	    ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_INLINE_BYTES;
	source.inline_bytes.len = key->len;
	memcpy(&source.inline_bytes.data, &(const char *){ key->bytes },
	    sizeof(source.inline_bytes.data));
	certificate->private_key = &source;
	*len = protobuf_c_message_get_packed_size(&m->base);
	bytes = malloc(*len + 1);
	if (bytes != NULL)
		protobuf_c_message_pack(&m->base, bytes);
	certificate->private_key = NULL;
	return bytes;
}

static uint8_t *
rest_copy(const uint8_t *rest, size_t rest_len, size_t *len)
{
	uint8_t *bytes = malloc(rest_len + 1);

	*len = rest_len;
	if (bytes != NULL)
		memcpy(bytes, rest, rest_len);
	return bytes;
}

uint8_t *
compile_secret_join(const uint8_t *rest, size_t rest_len,
    const struct block_text *key, size_t *len)
{
	Secret *m;
	uint8_t *bytes;

	if (key == NULL)
		return rest_copy(rest, rest_len, len);
	m = envoy__extensions__transport_sockets__tls__v3__secret__unpack(NULL,
	    rest_len, rest);
	if (m == NULL)
		return NULL;
	if (m->type_case != IS(TLS_CERTIFICATE))
		bytes = NULL;
	else if (key_is_file(m->tls_certificate))
		bytes = rest_copy(rest, rest_len, len);
	else
		bytes = key_pack(m, key, len);
	envoy__extensions__transport_sockets__tls__v3__secret__free_unpacked(m,
	    NULL);
	return bytes;
}

/* ---- finding one by its name */

/* NULL: it waits, or it is refused. */
static const Secret *
secret_find(struct compiler *c, const struct at *up, const SdsConfig *m,
    struct compile_key *key, bool *refused)
{
	const struct at name = AT(up, "name"), source = AT(up, "sds_config");
	struct sought of = { m->name, COMPILE_MISSING_MS };

	*refused = true;
	if (*m->name == '\0') {
		refuse(c, &name, "is missing, expected a secret's name");
		return NULL;
	}
	if (m->sds_config != NULL &&
	    find_source(c, &source, m->sds_config, m->name, &of) < 0)
		return NULL;
	return (const Secret *)find_message(c, &name, RESOURCE_SECRET, &of,
	    refused, key);
}

int
find_certificate(struct compiler *c, const struct at *at, const SdsConfig *m,
    const TlsCertificate **found, struct compile_key *key)
{
	const struct at name = AT(at, "name");
	const Secret *s;
	bool refused;

	*found = NULL;
	s = secret_find(c, at, m, key, &refused);
	if (s == NULL)
		return refused ? -1 : 0;
	if (s->type_case != IS(TLS_CERTIFICATE))
		return refuse(c, &name, "secret \"%s\" is no certificate, "
		    "expected a tls_certificate", m->name);
	*found = s->tls_certificate;
	return 0;
}

int
find_validation(struct compiler *c, const struct at *at, const SdsConfig *m,
    const Validation **found)
{
	const struct at name = AT(at, "name");
	struct compile_key key;
	const Secret *s;
	bool refused;

	*found = NULL;
	s = secret_find(c, at, m, &key, &refused);
	if (s == NULL)
		return refused ? -1 : 0;
	if (s->type_case != IS(VALIDATION_CONTEXT))
		return refuse(c, &name, "secret \"%s\" is a certificate, "
		    "expected a validation_context", m->name);
	*found = s->validation_context;
	return 0;
}
