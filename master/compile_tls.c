/*
 * master/compile_tls.c - transport sockets: TLS contexts become block_tls.
 *
 *   message ──> draft (pointers to what was read) ──> one self-contained
 *   block: struct, SAN rules, then the texts with a NUL after each
 *
 * What Envoy allows and we refuse, because it looks like a check and is none:
 * SAN rules or require_client_certificate without a trusted_ca. A client's
 * context without a trusted_ca is Envoy's default; it is warned about.
 *
 * Differs from Envoy: a client's highest version is TLS 1.3, not 1.2.
 *
 * Source: DownstreamTlsContext, UpstreamTlsContext. Test: t/unit/compile.c.
 */
#include "master/compile_parts.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "worker/io/tls.h"

typedef Envoy__Extensions__TransportSockets__Tls__V3__CommonTlsContext
    CommonTls;
typedef Envoy__Extensions__TransportSockets__Tls__V3__DownstreamTlsContext
    Downstream;
typedef Envoy__Extensions__TransportSockets__Tls__V3__UpstreamTlsContext
    Upstream;
typedef Envoy__Extensions__TransportSockets__Tls__V3__TlsParameters Params;
typedef Envoy__Extensions__TransportSockets__Tls__V3__CommonTlsContext__CombinedCertificateValidationContext
    Combined;
typedef Envoy__Extensions__TransportSockets__Tls__V3__SubjectAltNameMatcher
    SanMatcher;

#define DOWNSTREAM \
	&envoy__extensions__transport_sockets__tls__v3__downstream_tls_context__descriptor
#define UPSTREAM \
	&envoy__extensions__transport_sockets__tls__v3__upstream_tls_context__descriptor
#define RAW_BUFFER \
	&envoy__extensions__transport_sockets__raw_buffer__v3__raw_buffer__descriptor
#define CONTEXT(name) \
	ENVOY__EXTENSIONS__TRANSPORT_SOCKETS__TLS__V3__COMMON_TLS_CONTEXT__VALIDATION_CONTEXT_TYPE_##name
#define SAN_TYPE(name) \
	ENVOY__EXTENSIONS__TRANSPORT_SOCKETS__TLS__V3__SUBJECT_ALT_NAME_MATCHER__SAN_TYPE__##name

enum {
	TLS_1_2 = 0x0303, TLS_1_3 = 0x0304,
	CIPHERS_BYTES_MAX = 4096,
};

struct text {
	const char	*bytes;		/* NULL = unset */
	size_t		 len;
};

struct san {
	uint32_t	type, kind;
	struct text	value;
};

struct draft {
	bool		server, require_client_certificate;
	uint16_t	version_min, version_max;
	struct text	certificate_chain, private_key_file, trusted_ca;
	struct text	certificate_file, certificate_secret;
	struct text	ca_file, ca_secret;
	struct text	sni, ciphers;
	struct san	*sans;
	size_t		sans_n;
	block_ref	private_key;	/* in the arena of secrets */
	uint64_t	key_hash;
};

static struct text
text_of(const char *s)
{
	return (struct text){ s, s == NULL ? 0 : strlen(s) };
}

/* Unset where it is no file. */
static const char *
file_of(const Envoy__Config__Core__V3__DataSource *s)
{
	return s->specifier_case ==
	    ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_FILENAME ?
	    s->filename : NULL;
}

/* ---- TlsParameters */

static const struct rule params_rules[] = {
	{ "ecdh_curves", RULE_LATER, .text = NULL },
	{ "signature_algorithms", RULE_LATER, .text = NULL },
	{ NULL, RULE_SET, 0, 0, NULL },
};

/* TlsProtocol counts AUTO, 1.0, 1.1, 1.2, 1.3 from 0. */
static int
version(struct compiler *c, const struct at *up, const char *field,
    unsigned protocol, uint16_t *to)
{
	const struct at at = AT(up, field);

	if (protocol == 0)
		return 0;
	if (protocol < 3)
		return refuse(c, &at, "TLSv1_%u is too old for HTTP/2, "
		    "expected TLSv1_2 or TLSv1_3", protocol - 1);
	*to = (uint16_t)(protocol == 3 ? TLS_1_2 : TLS_1_3);
	return 0;
}

/* Appends one suite, or a group "[A|B]" of equals, which OpenSSL does not
 * have: its members follow each other. */
static int
cipher_add(struct compiler *c, const struct at *at, const char *suite,
    char *list, size_t *n)
{
	size_t i, len = strlen(suite);

	if (len == 0)
		return refuse(c, at, "is empty, expected a cipher's name");
	if (*n + len + 2 > CIPHERS_BYTES_MAX)
		return refuse(c, at, "the list is too long with it, expected "
		    "under %d bytes", CIPHERS_BYTES_MAX);
	if (*n > 0)
		list[(*n)++] = ':';
	for (i = 0; i < len; i++) {
		if (strchr("[]", suite[i]) != NULL)
			continue;
		if (strspn(suite + i, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
		    "abcdefghijklmnopqrstuvwxyz0123456789-_+!@=|") == 0)
			return refuse(c, at, "\"%s\" is no name of a cipher, "
			    "expected one like ECDHE-RSA-AES128-GCM-SHA256",
			    suite);
		list[(*n)++] = suite[i] == '|' ? ':' : suite[i];
	}
	return 0;
}

/* OpenSSL has one of them at least. */
static int
ciphers_check(struct compiler *c, const struct at *up, const struct draft *d)
{
	const struct at at = AT(up, "cipher_suites");
	const struct tls_settings s = { .version_min = d->version_min,
	    .version_max = d->version_max, .ciphers = d->ciphers.bytes };

	return secret_check(c, &at, &s);
}

static int
tls_params(struct compiler *c, const struct at *at, const Params *m,
    struct draft *d)
{
	char *list;
	size_t i, n = 0;

	d->version_min = TLS_1_2;
	d->version_max = TLS_1_3;
	if (m == NULL)
		return 0;
	if (rule_check(c, at, &m->base, params_rules) < 0 ||
	    version(c, at, "tls_minimum_protocol_version",
	    m->tls_minimum_protocol_version, &d->version_min) < 0 ||
	    version(c, at, "tls_maximum_protocol_version",
	    m->tls_maximum_protocol_version, &d->version_max) < 0)
		return -1;
	if (d->version_min > d->version_max)
		return refuse(c, at, "the minimum version is above the "
		    "maximum, expected TLSv1_2..TLSv1_3");
	if (m->n_cipher_suites == 0)
		return 0;
	if ((list = scratch(c, CIPHERS_BYTES_MAX)) == NULL)
		return -1;
	for (i = 0; i < m->n_cipher_suites; i++) {
		const struct at item = AT_ITEM(at, "cipher_suites", i);

		if (cipher_add(c, &item, m->cipher_suites[i], list, &n) < 0)
			return -1;
	}
	d->ciphers = text_of(list);
	return ciphers_check(c, at, d);
}

/* ---- certificates */

/* They are a pair, and can be used. */
static int
pair_check(struct compiler *c, const struct at *at,
    const struct tls_certificate *t)
{
	const struct block_text *key = arena_at(&c->image->secrets,
	    t->key.ref);
	const struct tls_settings s = { .server = true,
	    .version_min = TLS_1_2, .version_max = TLS_1_3,
	    .certificate_chain = t->chain,
	    .certificate_chain_len = t->chain_len,
	    .private_key = key->bytes, .private_key_len = key->len };

	return secret_check(c, at, &s);
}

int
compile_certificate(struct compiler *c, const struct at *at,
    const TlsCertificate *m, const struct compile_key *known,
    struct tls_certificate *t)
{
	static const struct rule rules[] = {
		{ "certificate_chain", RULE_SET, .text = "a source of PEM" },
		{ NULL, RULE_SET, 0, 0, NULL },
	};
	const struct at chain = AT(at, "certificate_chain");
	const struct at key = AT(at, "private_key");

	memset(t, 0, sizeof(*t));
	t->key_file = "";
	sources_group(c->sources);
	if (rule_check(c, at, &m->base, rules) < 0)
		return -1;
	/* A file's may be another by now. */
	if (m->private_key != NULL)
		known = NULL;
	else if (known == NULL || known->ref == 0)
		return refuse(c, &key, "is missing, expected a filename");
	if (source_certificates(c, &chain, m->certificate_chain, &t->chain,
	    &t->chain_len) < 0)
		return -1;
	t->chain_file = file_of(m->certificate_chain);
	if (known != NULL)
		t->key = *known;
	else if (source_key(c, &key, m->private_key, &t->key_file,
	    &t->key) < 0)
		return -1;
	if (pair_check(c, at, t) < 0)
		return -1;
	return t->chain_file != NULL && sources_in_group(c->sources,
	    t->chain_file) ? secret_expiry_check(c, at, t) : 0;
}

static int
tls_certificate(struct compiler *c, const struct at *at,
    const TlsCertificate *m, const struct compile_key *known,
    struct draft *d)
{
	struct tls_certificate t;

	if (compile_certificate(c, at, m, known, &t) < 0)
		return -1;
	d->certificate_chain = (struct text){ t.chain, t.chain_len };
	d->private_key_file = text_of(t.key_file);
	d->certificate_file = text_of(t.chain_file);
	d->private_key = t.key.ref;
	d->key_hash = t.key.hash;
	return 0;
}

/* An address is compared as OpenSSL would print it. */
static int
san_ip(struct compiler *c, const struct at *at, struct san *san)
{
	uint8_t ip[16];
	char *text = scratch(c, INET6_ADDRSTRLEN);
	int family = strchr(san->value.bytes, ':') == NULL ? AF_INET : AF_INET6;

	if (text == NULL)
		return -1;
	if (san->kind != HEADER_EXACT ||
	    inet_pton(family, san->value.bytes, ip) != 1)
		return refuse(c, at, "\"%s\" is no IP address, expected "
		    "exact: ADDRESS", san->value.bytes);
	inet_ntop(family, ip, text, INET6_ADDRSTRLEN);
	san->value = text_of(text);
	return 0;
}

static int
tls_san(struct compiler *c, const struct at *up, const SanMatcher *m,
    struct san *san)
{
	static const struct rule rules[] = {
		{ "san_type", RULE_SET, .text = "EMAIL, DNS, URI or "
		    "IP_ADDRESS" },
		{ "matcher", RULE_SET, .text = "exact, prefix, suffix or "
		    "contains" },
		{ NULL, RULE_SET, 0, 0, NULL },
	};
	const struct at at = AT(up, "matcher"), case_at = AT(&at,
	    "ignore_case"), type_at = AT(up, "san_type");
	enum header_match_kind kind = HEADER_EXACT;

	if (rule_check(c, up, &m->base, rules) < 0 ||
	    compile_string(c, &at, m->matcher, &san->value.bytes, &kind) < 0)
		return -1;
	if (m->san_type == SAN_TYPE(OTHER_NAME))
		return refuse(c, &type_at, "OTHER_NAME is not built yet, "
		    "expected EMAIL, DNS, URI or IP_ADDRESS");
	if (m->matcher->ignore_case)
		return refuse(c, &case_at, "is not built yet for names in "
		    "certificates, expected false");
	san->type = (uint32_t)m->san_type;
	san->kind = (uint32_t)kind;
	san->value = text_of(san->value.bytes);
	return m->san_type == SAN_TYPE(IP_ADDRESS) ? san_ip(c, &at, san) : 0;
}

static const struct rule validation_rules[] = {
	{ "allow_expired_certificate", RULE_LATER, .text = "false" },
	{ "trust_chain_verification", RULE_LATER,
	    .text = "VERIFY_TRUST_CHAIN" },
	{ "max_verify_depth", RULE_LATER, .text = "100" },
	{ "match_typed_subject_alt_names", RULE_ITEMS, 0, TLS_SANS_MAX,
	    "at most 64" },
	{ NULL, RULE_SET, 0, 0, NULL },
};

/* What m says is added to what another context said. */
static int
sans_add(struct compiler *c, const struct at *at, const Validation *m,
    struct draft *d)
{
	const struct at names = AT(at, "match_typed_subject_alt_names");
	size_t i, n = m->n_match_typed_subject_alt_names;
	struct san *to;

	if (n == 0)
		return 0;
	if (d->sans_n + n > TLS_SANS_MAX)
		return refuse(c, &names, "are %zu together, expected at most "
		    "%d", d->sans_n + n, TLS_SANS_MAX);
	if ((to = scratch(c, (d->sans_n + n) * sizeof(*to))) == NULL)
		return -1;
	if (d->sans_n > 0)
		memcpy(to, d->sans, d->sans_n * sizeof(*to));
	for (i = 0; i < n; i++) {
		const struct at item = AT_ITEM(at,
		    "match_typed_subject_alt_names", i);

		if (tls_san(c, &item, m->match_typed_subject_alt_names[i],
		    &to[d->sans_n + i]) < 0)
			return -1;
	}
	d->sans = to;
	d->sans_n += n;
	return 0;
}

static int
ca_check(struct compiler *c, const struct at *at, const struct draft *d)
{
	const struct tls_settings s = { .version_min = TLS_1_2,
	    .version_max = TLS_1_3, .trusted_ca = d->trusted_ca.bytes,
	    .trusted_ca_len = d->trusted_ca.len };

	return secret_check(c, at, &s);
}

static int
tls_validation(struct compiler *c, const struct at *at, const Validation *m,
    struct draft *d)
{
	const struct at ca = AT(at, "trusted_ca");

	if (rule_check(c, at, &m->base, validation_rules) < 0)
		return -1;
	if (m->trusted_ca != NULL) {
		d->ca_file = text_of(file_of(m->trusted_ca));
		d->ca_secret = text_of(NULL);
		sources_group(c->sources);
	}
	if (m->trusted_ca != NULL && (source_certificates(c, &ca,
	    m->trusted_ca, &d->trusted_ca.bytes, &d->trusted_ca.len) < 0 ||
	    ca_check(c, &ca, d) < 0))
		return -1;
	return sans_add(c, at, m, d);
}

static int
names_checked(struct compiler *c, const struct at *at, const struct draft *d)
{
	const struct at names = AT(at, "match_typed_subject_alt_names");

	return d->sans_n == 0 || d->trusted_ca.bytes != NULL ? 0 : refuse(c,
	    &names, "names in a certificate that nobody checks prove nothing, "
	    "expected a trusted_ca");
}

/* Of a secret: with which default it is combined is not known yet. */
int
compile_validation_check(struct compiler *c, const struct at *at,
    const Validation *m)
{
	struct draft d = { 0 };

	return tls_validation(c, at, m, &d);
}

static int
validation_sds(struct compiler *c, const struct at *at,
    const Envoy__Extensions__TransportSockets__Tls__V3__SdsSecretConfig *m,
    struct draft *d)
{
	static const struct at top = AT(NULL, "");
	const struct at context = AT(&top, "validation_context");
	const Validation *found;

	if (m == NULL)
		return refuse(c, at, "is missing, expected a secret's name");
	if (find_validation(c, at, m, &found) < 0)
		return -1;
	if (found == NULL)
		return 0;
	if (tls_validation(c, &context, found, d) < 0)
		return -1;
	if (found->trusted_ca != NULL)
		d->ca_secret = text_of(m->name);
	return 0;
}

static int
validation_combined(struct compiler *c, const struct at *at,
    const Combined *m, struct draft *d)
{
	const struct at own = AT(at, "default_validation_context");
	const struct at sds = AT(at, "validation_context_sds_secret_config");

	if (m->default_validation_context != NULL && tls_validation(c, &own,
	    m->default_validation_context, d) < 0)
		return -1;
	return validation_sds(c, &sds, m->validation_context_sds_secret_config,
	    d);
}

/* ---- contexts */

static int
alpn_check(struct compiler *c, const struct at *up, const CommonTls *m)
{
	const struct at at = AT(up, "alpn_protocols");
	size_t i;

	for (i = 0; i < m->n_alpn_protocols; i++)
		if (strcmp(m->alpn_protocols[i], "h2") == 0)
			return 0;
	return m->n_alpn_protocols == 0 ? 0 :
	    refuse(c, &at, "godwit speaks HTTP/2, expected h2 among them");
}

/* One certificate at most, in the message or by name. */
static int
common_certificate(struct compiler *c, const struct at *at,
    const CommonTls *m, struct draft *d)
{
	static const struct rule rules[] = {
		{ "tls_certificates", RULE_ITEMS, 0, 1, "at most one: several "
		    "are not built yet" },
		{ "tls_certificate_sds_secret_configs", RULE_ITEMS, 0, 1,
		    "at most one: several are not built yet" },
		{ NULL, RULE_SET, 0, 0, NULL },
	};
	static const struct at top = AT(NULL, ""), secret = AT(&top,
	    "tls_certificate");
	const struct at own = AT_ITEM(at, "tls_certificates", 0);
	const struct at sds = AT_ITEM(at,
	    "tls_certificate_sds_secret_configs", 0);
	const Envoy__Extensions__TransportSockets__Tls__V3__SdsSecretConfig *s;
	const TlsCertificate *found;
	struct compile_key key;

	if (rule_check(c, at, &m->base, rules) < 0)
		return -1;
	if (m->n_tls_certificates > 0)
		return m->n_tls_certificate_sds_secret_configs > 0 ?
		    refuse(c, &sds, "is one too many beside "
		    "tls_certificates, expected one of the two") :
		    tls_certificate(c, &own, m->tls_certificates[0], NULL, d);
	if (m->n_tls_certificate_sds_secret_configs == 0)
		return 0;
	s = m->tls_certificate_sds_secret_configs[0];
	d->certificate_secret = text_of(s->name);
	if (find_certificate(c, &sds, s, &found, &key) < 0)
		return -1;
	return found == NULL ? 0 : tls_certificate(c, &secret, found, &key, d);
}

static int
common_validation(struct compiler *c, const struct at *at,
    const CommonTls *m, struct draft *d)
{
	const struct at own = AT(at, "validation_context");
	const struct at sds = AT(at, "validation_context_sds_secret_config");
	const struct at both = AT(at, "combined_validation_context");

	switch (m->validation_context_type_case) {
	case CONTEXT(VALIDATION_CONTEXT):
		return tls_validation(c, &own, m->validation_context, d) < 0 ?
		    -1 : names_checked(c, &own, d);
	case CONTEXT(VALIDATION_CONTEXT_SDS_SECRET_CONFIG):
		return validation_sds(c, &sds,
		    m->validation_context_sds_secret_config, d) < 0 ? -1 :
		    names_checked(c, &sds, d);
	case CONTEXT(COMBINED_VALIDATION_CONTEXT):
		if (validation_combined(c, &both,
		    m->combined_validation_context, d) < 0)
			return -1;
		return c->waits ? 0 : names_checked(c, &both, d);
	default:
		return 0;
	}
}

static int
tls_common(struct compiler *c, const struct at *up, const CommonTls *m,
    struct draft *d)
{
	const struct at at = AT(up, "common_tls_context");
	const struct at params = AT(&at, "tls_params");

	if (m == NULL)
		return tls_params(c, &at, NULL, d);
	return alpn_check(c, &at, m) < 0 ||
	    tls_params(c, &params, m->tls_params, d) < 0 ||
	    common_certificate(c, &at, m, d) < 0 ? -1 :
	    common_validation(c, &at, m, d);
}

static const struct rule downstream_rules[] = {
	{ "require_sni", RULE_LATER, .text = "false" },
	{ "session_timeout", RULE_LATER, .text = NULL },
	{ "disable_stateless_session_resumption", RULE_LATER,
	    .text = "false" },
	{ "disable_stateful_session_resumption", RULE_LATER,
	    .text = "false" },
	{ NULL, RULE_SET, 0, 0, NULL },
};

static int
tls_downstream(struct compiler *c, const struct at *at, const Downstream *m,
    struct draft *d)
{
	const struct at require = AT(at, "require_client_certificate");
	const struct at common = AT(at, "common_tls_context");

	d->server = true;
	if (rule_check(c, at, &m->base, downstream_rules) < 0 ||
	    tls_common(c, at, m->common_tls_context, d) < 0)
		return -1;
	if (c->waits)
		return 0;
	if (d->certificate_chain.bytes == NULL)
		return refuse(c, &common, "a server needs a certificate, "
		    "expected tls_certificates");
	d->require_client_certificate = m->require_client_certificate != NULL &&
	    m->require_client_certificate->value;
	if (d->require_client_certificate && d->trusted_ca.bytes == NULL)
		return refuse(c, &require, "any certificate would do, "
		    "expected a validation_context with a trusted_ca");
	return 0;
}

static const struct rule upstream_rules[] = {
	{ "sni", RULE_LENGTH, 0, 255, "at most 255" },
	{ "max_session_keys", RULE_LATER, .text = "1|0" },
	{ "auto_host_sni", RULE_LATER, .text = "false" },
	{ "auto_sni_san_validation", RULE_LATER, .text = "false" },
	{ NULL, RULE_SET, 0, 0, NULL },
};

static int
tls_upstream(struct compiler *c, const struct at *at, const Upstream *m,
    struct draft *d)
{
	if (rule_check(c, at, &m->base, upstream_rules) < 0 ||
	    tls_common(c, at, m->common_tls_context, d) < 0)
		return -1;
	if (*m->sni != '\0')
		d->sni = text_of(m->sni);
	if (d->trusted_ca.bytes == NULL && !c->waits)
		warn_at(c, at, "nothing checks the server's certificate "
		    "(no trusted_ca)");
	return 0;
}

/* ---- the block */

static struct block_span
span_put(struct block_tls *b, size_t *used, struct text t)
{
	struct block_span s = { 0, 0 };

	if (t.bytes == NULL)
		return s;
	s.off = (uint32_t)*used;
	s.len = (uint32_t)t.len;
	memcpy((uint8_t *)b + *used, t.bytes, t.len);
	*used += t.len + 1;
	return s;
}

static size_t
draft_bytes(const struct draft *d)
{
	size_t i, n = sizeof(struct block_tls) +
	    d->sans_n * sizeof(struct block_san) + d->certificate_chain.len +
	    d->private_key_file.len + d->certificate_file.len +
	    d->certificate_secret.len + d->trusted_ca.len + d->ca_file.len +
	    d->ca_secret.len + d->sni.len + d->ciphers.len + 9;

	for (i = 0; i < d->sans_n; i++)
		n += d->sans[i].value.len + 1;
	return n;
}

/* What a peer that is connected was let in by. */
static uint64_t
admits(const struct draft *d)
{
	uint64_t hash = put_hash(d->trusted_ca.bytes == NULL ? "" :
	    d->trusted_ca.bytes, d->trusted_ca.len,
	    d->require_client_certificate);

	for (size_t i = 0; i < d->sans_n; i++)
		hash = put_hash(d->sans[i].value.bytes, d->sans[i].value.len,
		    hash ^ d->sans[i].type << 8 ^ d->sans[i].kind);
	return hash;
}

static int
tls_put(struct compiler *c, const struct draft *d, block_ref *ref)
{
	size_t i, bytes = draft_bytes(d), used = sizeof(struct block_tls) +
	    d->sans_n * sizeof(struct block_san);
	struct block_tls *b = scratch(c, bytes);

	if (b == NULL)
		return -1;
	b->version_min = d->version_min;
	b->version_max = d->version_max;
	b->server = d->server;
	b->require_client_certificate = d->require_client_certificate;
	b->sans_n = (uint32_t)d->sans_n;
	b->certificate_chain = span_put(b, &used, d->certificate_chain);
	b->private_key_file = span_put(b, &used, d->private_key_file);
	b->certificate_file = span_put(b, &used, d->certificate_file);
	b->certificate_secret = span_put(b, &used, d->certificate_secret);
	b->trusted_ca = span_put(b, &used, d->trusted_ca);
	b->ca_file = span_put(b, &used, d->ca_file);
	b->ca_secret = span_put(b, &used, d->ca_secret);
	b->sni = span_put(b, &used, d->sni);
	b->ciphers = span_put(b, &used, d->ciphers);
	for (i = 0; i < d->sans_n; i++)
		b->sans[i] = (struct block_san){ d->sans[i].type,
		    d->sans[i].kind,
		    span_put(b, &used, d->sans[i].value) };
	b->bytes = (uint32_t)used;
	b->admits = admits(d);
	/* The same settings and key are the same block to a worker, wherever
	 * the key lies. */
	b->hash = put_hash(&b->admits, used - sizeof(b->hash), d->key_hash);
	b->private_key = d->private_key;
	return put_block(c, BLOCK_TLS, b, used, ref);
}

int
compile_transport(struct compiler *c, const struct at *up,
    const TransportSocket *m, bool server, block_ref *ref)
{
	const struct at at = AT(up, "typed_config");
	const ProtobufCMessage *typed;
	struct draft d = { 0 };

	*ref = 0;
	if (m == NULL)
		return 0;
	if ((typed = any_open(c, &at, m->config_type_case ==
	    ENVOY__CONFIG__CORE__V3__TRANSPORT_SOCKET__CONFIG_TYPE_TYPED_CONFIG
	    ? m->typed_config : NULL)) == NULL)
		return -1;
	if (typed->descriptor == RAW_BUFFER)
		return 0;
	if (typed->descriptor != (server ? DOWNSTREAM : UPSTREAM))
		return refuse(c, &at, "%s has no place here, expected %s or "
		    "RawBuffer", typed->descriptor->short_name, server ?
		    "DownstreamTlsContext" : "UpstreamTlsContext");
	if ((server ? tls_downstream(c, &at, (const Downstream *)typed, &d) :
	    tls_upstream(c, &at, (const Upstream *)typed, &d)) < 0)
		return -1;
	return tls_put(c, &d, ref);
}
