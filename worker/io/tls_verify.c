/*
 * worker/io/tls_verify.c - whether a peer's certificate is one we expect: the
 * chain by OpenSSL, then a SAN by our rules (tls.h I4).
 *
 * Names compare by type: a rule for a URI never looks at a DNS name. A name
 * with a NUL in it matches nothing. A DNS name "*.x" in the certificate stands
 * for one label, as in RFC 9525 section 6.3. Source: Envoy's
 * SubjectAltNameMatcher. Test: t/unit/tls.c.
 */
#include "worker/io/tls_context.h"

#include <arpa/inet.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool
tls_name_of(const GENERAL_NAME *g, struct tls_name *n)
{
	const ASN1_STRING *s;
	int type;

	s = GENERAL_NAME_get0_value(g, &type);
	switch (type) {
	case GEN_EMAIL:
		n->type = TLS_SAN_EMAIL;
		break;
	case GEN_DNS:
		n->type = TLS_SAN_DNS;
		break;
	case GEN_URI:
		n->type = TLS_SAN_URI;
		break;
	case GEN_IPADD:
		n->type = TLS_SAN_IP;
		break;
	default:
		return false;
	}
	n->p = (const char *)ASN1_STRING_get0_data(s);
	n->len = (size_t)ASN1_STRING_length(s);
	return type == GEN_IPADD || memchr(n->p, '\0', n->len) == NULL;
}

static bool
ip_matches(const struct tls_name *n, const char *want)
{
	uint8_t ip[16];

	if (n->len == 4)
		return inet_pton(AF_INET, want, ip) == 1 &&
		    memcmp(ip, n->p, 4) == 0;
	return n->len == 16 && inet_pton(AF_INET6, want, ip) == 1 &&
	    memcmp(ip, n->p, 16) == 0;
}

/* The star stands for one whole label. */
static bool
wildcard_matches(const struct tls_name *n, const char *want)
{
	const char *dot = strchr(want, '.');

	return n->len > 2 && n->p[0] == '*' && n->p[1] == '.' &&
	    dot != NULL && dot != want && strlen(dot) == n->len - 1 &&
	    strncasecmp(dot, n->p + 1, n->len - 1) == 0;
}

static bool
bytes_match(const struct tls_name *n, const char *p, const char *want,
    size_t len)
{
	if (n->type == TLS_SAN_DNS)
		return strncasecmp(p, want, len) == 0;
	return memcmp(p, want, len) == 0;
}

static bool
text_matches(const struct tls_name *n, const struct tls_san *san)
{
	size_t len = strlen(san->value);

	if (n->len < len && san->match != TLS_MATCH_EXACT)
		return false;
	switch (san->match) {
	case TLS_MATCH_EXACT:
		return (n->len == len &&
		    bytes_match(n, n->p, san->value, len)) ||
		    (n->type == TLS_SAN_DNS &&
		    wildcard_matches(n, san->value));
	case TLS_MATCH_PREFIX:
		return bytes_match(n, n->p, san->value, len);
	case TLS_MATCH_SUFFIX:
		return bytes_match(n, n->p + n->len - len, san->value, len);
	case TLS_MATCH_CONTAINS:
		for (size_t i = 0; i + len <= n->len; i++)
			if (bytes_match(n, n->p + i, san->value, len))
				return true;
		return false;
	}
	return false;
}

static bool
name_matches(const struct tls_context *c, const struct tls_name *n)
{
	for (unsigned i = 0; i < c->sans_n; i++) {
		const struct tls_san *san = &c->sans[i];

		if (san->type != n->type)
			continue;
		if (n->type == TLS_SAN_IP ? ip_matches(n, san->value) :
		    text_matches(n, san))
			return true;
	}
	return false;
}

static bool
san_matches(const struct tls_context *c, X509 *certificate)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate,
	    NID_subject_alt_name, NULL, NULL);
	bool matches = false;
	struct tls_name n;

	for (int i = 0; i < sk_GENERAL_NAME_num(names) && !matches; i++)
		matches = tls_name_of(sk_GENERAL_NAME_value(names, i), &n) &&
		    name_matches(c, &n);
	GENERAL_NAMES_free(names);
	return matches;
}

/* The first name of a type into to[0..to_len). */
static bool
name_find(X509 *certificate, enum tls_san_type type, char *to, size_t to_len)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate,
	    NID_subject_alt_name, NULL, NULL);
	struct tls_name n = { 0 };
	bool text = false;

	for (int i = 0; i < sk_GENERAL_NAME_num(names) && n.type != type; i++)
		text = tls_name_of(sk_GENERAL_NAME_value(names, i), &n);
	text = text && n.type == type && n.len < to_len;
	snprintf(to, to_len, "%.*s", text ? (int)n.len : 0, text ? n.p : "");
	GENERAL_NAMES_free(names);
	return text;
}

void
tls_uri_find(X509 *certificate, char *to, size_t to_len)
{
	name_find(certificate, TLS_SAN_URI, to, to_len);
}

/* The names of a type, one behind the other, into to where it is not NULL.
 * Returns how many bytes they are. */
static size_t
names_copy(const GENERAL_NAMES *names, enum tls_san_type type, char *to)
{
	size_t used = 0;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		struct tls_name n;

		if (!tls_name_of(sk_GENERAL_NAME_value(names, i), &n) ||
		    n.type != type || n.len == 0)
			continue;
		if (to != NULL) {
			memcpy(to + used, n.p, n.len);
			to[used + n.len] = '\0';
		}
		used += n.len + 1;
	}
	return used;
}

char *
tls_names_new(X509 *certificate)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate,
	    NID_subject_alt_name, NULL, NULL);
	size_t uris = names_copy(names, TLS_SAN_URI, NULL);
	size_t dns = names_copy(names, TLS_SAN_DNS, NULL);
	char *all = calloc(1, uris + dns + 1);

	if (all != NULL) {
		names_copy(names, TLS_SAN_URI, all);
		names_copy(names, TLS_SAN_DNS, all + uris);
	}
	GENERAL_NAMES_free(names);
	return all;
}

void
tls_name_find(X509 *certificate, char *to, size_t to_len)
{
	if (!name_find(certificate, TLS_SAN_URI, to, to_len) &&
	    !name_find(certificate, TLS_SAN_DNS, to, to_len) &&
	    !name_find(certificate, TLS_SAN_EMAIL, to, to_len))
		snprintf(to, to_len, "no name");
}

static void
chain_why(struct tls *t, X509_STORE_CTX *store)
{
	int error = X509_STORE_CTX_get_error(store);
	char name[TLS_URI_BYTES];

	tls_name_find(X509_STORE_CTX_get0_cert(store), name, sizeof(name));
	t->failure = TLS_FAIL_VERIFY;
	snprintf(t->why, sizeof(t->why), "the peer's certificate (%s) is not "
	    "one that a CA we trust vouches for now: %s%s", name,
	    X509_verify_cert_error_string(error),
	    X509_STORE_CTX_get_error_depth(store) > 0 ?
	    " (of a certificate above it)" : "");
}

/* All that was expected, as far as it fits. */
static void
san_why(struct tls *t, X509 *certificate)
{
	const struct tls_context *c = t->context;
	char name[TLS_URI_BYTES];
	size_t n;

	tls_name_find(certificate, name, sizeof(name));
	t->failure = TLS_FAIL_SAN;
	n = (size_t)snprintf(t->why, sizeof(t->why), "the peer's certificate "
	    "names %s, expected", name);
	for (unsigned i = 0; i < c->sans_n && n < sizeof(t->why); i++)
		n += (size_t)snprintf(t->why + n, sizeof(t->why) - n, "%s %s",
		    i == 0 ? "" : " or", c->sans[i].value);
}

int
tls_verify(X509_STORE_CTX *store, void *context)
{
	const struct tls_context *c = context;
	SSL *ssl = X509_STORE_CTX_get_ex_data(store,
	    SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls *t = SSL_get_app_data(ssl);
	X509 *certificate = X509_STORE_CTX_get0_cert(store);

	if (c->verify && X509_verify_cert(store) != 1) {
		chain_why(t, store);
		return 0;
	}
	if (c->sans_n > 0 && !san_matches(c, certificate)) {
		san_why(t, certificate);
		X509_STORE_CTX_set_error(store,		/* its alert: */
		    X509_V_ERR_HOSTNAME_MISMATCH);	/* bad_certificate */
		return 0;
	}
	return 1;
}
