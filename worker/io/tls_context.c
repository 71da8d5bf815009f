/*
 * worker/io/tls_context.c - what all sessions of one configuration share: an
 * SSL_CTX, made from PEM texts, immutable afterwards.
 *
 * Decided here, for gRPC between our own: TLS 1.2 only with ECDHE and AEAD
 * (RFC 9113 section 9.2.2), X25519 before P-256, AES-128-GCM first, no
 * renegotiation, no compression. No tickets and no session cache yet: a
 * resumed session must be authorised again and its key shared by the workers;
 * until then every connection makes its own handshake.
 */
#include "worker/io/tls_context.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

#include "shm/log.h"

static const char CIPHERS[] =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
static const char SUITES[] = "TLS_AES_128_GCM_SHA256:"
    "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
static const char GROUPS[] = "X25519:P-256";
static const unsigned char H2[] = { 2, 'h', '2' };
static const unsigned char HTTP1[] = { 8, 'h', 't', 't', 'p', '/', '1', '.',
    '1' };

enum { DEPTH_MAX = 100 };

/* What OpenSSL says of the last failure; its queue is empty afterwards. */
static const char *
reason(void)
{
	const char *text = ERR_reason_error_string(ERR_peek_last_error());

	ERR_clear_error();
	return text == NULL ? "no reason given" : text;
}

/* Never ask a terminal. */
static int
no_password(char *to, int n, int writing, void *arg)
{
	(void)to;
	(void)n;
	(void)writing;
	(void)arg;
	return -1;
}

X509 *
tls_certificate_next(BIO *pem)
{
	return PEM_read_bio_X509(pem, NULL, no_password, NULL);
}

/* After tls_certificate_next gave NULL: that must be the end of the text, not a
 * certificate that is damaged, with others behind it never looked at. */
static int
end_check(const char *what, int n, char *why, size_t why_len)
{
	if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		return why_set(why, why_len, "certificate %d of %s can't be "
		    "read: %s", n + 1, what, reason());
	ERR_clear_error();
	return 0;
}

static bool
is_expired(X509 *leaf, char *name, size_t name_len)
{
	if (X509_cmp_current_time(X509_get0_notAfter(leaf)) >= 0)
		return false;
	tls_name_find(leaf, name, name_len);
	return true;
}

bool
tls_certificate_expired(const char *pem, size_t len, char *name,
    size_t name_len)
{
	BIO *bio = BIO_new_mem_buf(pem, (int)len);
	X509 *leaf = bio == NULL ? NULL : tls_certificate_next(bio);
	bool expired = leaf != NULL && is_expired(leaf, name, name_len);

	ERR_clear_error();
	X509_free(leaf);
	BIO_free(bio);
	return expired;
}

static void
expiry_check(X509 *leaf)
{
	char name[TLS_URI_BYTES];

	if (!is_expired(leaf, name, sizeof(name)))
		return;
	log_warn("our own certificate for %s has expired; peers will refuse "
	    "it", name);
}

static int
chain_load(SSL_CTX *ssl, BIO *pem, char *why, size_t why_len)
{
	X509 *leaf = tls_certificate_next(pem), *next;
	int ok, n = 1;

	if (leaf == NULL)
		return why_set(why, why_len, "the certificate chain has no "
		    "certificate in PEM: %s", reason());
	expiry_check(leaf);
	ok = SSL_CTX_use_certificate(ssl, leaf);
	X509_free(leaf);
	if (ok != 1)
		return why_set(why, why_len, "the certificate can't be used: "
		    "%s", reason());
	for (; (next = tls_certificate_next(pem)) != NULL; n++)
		if (SSL_CTX_add0_chain_cert(ssl, next) != 1) {
			X509_free(next);
			return why_set(why, why_len, "an intermediate "
			    "certificate can't be used: %s", reason());
		}
	return end_check("the certificate chain", n, why, why_len);
}

static int
key_load(SSL_CTX *ssl, BIO *pem, char *why, size_t why_len)
{
	EVP_PKEY *key = PEM_read_bio_PrivateKey(pem, NULL, no_password, NULL);
	int ok;

	if (key == NULL)
		return why_set(why, why_len, "the private key is not an "
		    "unencrypted key in PEM: %s", reason());
	ok = SSL_CTX_use_PrivateKey(ssl, key);
	EVP_PKEY_free(key);
	if (ok != 1 || SSL_CTX_check_private_key(ssl) != 1)
		return why_set(why, why_len, "the private key does not belong "
		    "to the certificate: %s", reason());
	return 0;
}

static int
ca_load(struct tls_context *c, BIO *pem, char *why, size_t why_len)
{
	X509_STORE *store = SSL_CTX_get_cert_store(c->ssl);
	X509 *ca;
	int n = 0;

	while ((ca = tls_certificate_next(pem)) != NULL) {
		n += X509_STORE_add_cert(store, ca);
		if (c->server)
			SSL_CTX_add_client_CA(c->ssl, ca);
		X509_free(ca);
	}
	if (end_check("the trusted CA", n, why, why_len) != 0)
		return -1;
	if (n == 0)
		return why_set(why, why_len, "the trusted CA has no "
		    "certificate in PEM");
	X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
	SSL_CTX_set_verify_depth(c->ssl, DEPTH_MAX);
	c->verify = true;
	return 0;
}

static int
pem_with(struct tls_context *c, const char *text, size_t len,
    int (*load)(struct tls_context *, BIO *, char *, size_t), char *why,
    size_t why_len)
{
	BIO *pem = BIO_new_mem_buf(text, (int)len);
	int rc;

	if (pem == NULL)
		return why_set(why, why_len, "no memory for a certificate");
	rc = load(c, pem, why, why_len);
	BIO_free(pem);
	return rc;
}

static int
chain_of(struct tls_context *c, BIO *pem, char *why, size_t why_len)
{
	return chain_load(c->ssl, pem, why, why_len);
}

static int
key_of(struct tls_context *c, BIO *pem, char *why, size_t why_len)
{
	return key_load(c->ssl, pem, why, why_len);
}

static int
identity_set(struct tls_context *c, const struct tls_settings *s, char *why,
    size_t why_len)
{
	if (s->certificate_chain == NULL && !s->server)
		return 0;
	if (s->certificate_chain == NULL || s->private_key == NULL)
		return why_set(why, why_len, "a certificate needs its private "
		    "key, and a server needs both");
	if (pem_with(c, s->certificate_chain, s->certificate_chain_len,
	    chain_of, why, why_len) != 0)
		return -1;
	return pem_with(c, s->private_key, s->private_key_len, key_of, why,
	    why_len);
}

/* ---- what is agreed on ---- */

static int
alpn_select(SSL *ssl, const unsigned char **out, unsigned char *out_len,
    const unsigned char *in, unsigned int in_len, void *arg)
{
	const struct tls_context *c = arg;
	unsigned char *selected;

	(void)ssl;
	if (SSL_select_next_proto(&selected, out_len, c->http1 ? HTTP1 : H2,
	    c->http1 ? sizeof(HTTP1) : sizeof(H2), in, in_len) !=
	    OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = selected;
	return SSL_TLSEXT_ERR_OK;
}

static int
protocol_set(struct tls_context *c, const struct tls_settings *s, char *why,
    size_t why_len)
{
	if (s->version_min > s->version_max)
		return why_set(why, why_len, "the lowest TLS version is above "
		    "the highest");
	if (SSL_CTX_set_min_proto_version(c->ssl, s->version_min) != 1 ||
	    SSL_CTX_set_max_proto_version(c->ssl, s->version_max) != 1)
		return why_set(why, why_len, "the TLS versions are not ones "
		    "that OpenSSL has: %s", reason());
	if (SSL_CTX_set_cipher_list(c->ssl, s->ciphers == NULL ? CIPHERS :
	    s->ciphers) != 1)
		return why_set(why, why_len, "the cipher list \"%s\" names "
		    "nothing that OpenSSL has", s->ciphers);
	if (SSL_CTX_set_ciphersuites(c->ssl, SUITES) != 1 ||
	    SSL_CTX_set1_groups_list(c->ssl, GROUPS) != 1)
		return why_set(why, why_len, "OpenSSL lacks our suites: %s",
		    reason());
	if (c->server)
		SSL_CTX_set_alpn_select_cb(c->ssl, alpn_select, c);
	else if (SSL_CTX_set_alpn_protos(c->ssl, c->http1 ? HTTP1 : H2,
	    c->http1 ? sizeof(HTTP1) : sizeof(H2)) != 0)
		return why_set(why, why_len, "no memory for ALPN");
	return 0;
}

static void
options_set(SSL_CTX *ssl)
{
	SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION |
	    SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET |
	    SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_num_tickets(ssl, 0);
	SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS |
	    SSL_MODE_NO_AUTO_CHAIN);	/* only what we were given is sent */
	SSL_CTX_set_msg_callback(ssl, tls_message);
}

static void
verify_set(struct tls_context *c, const struct tls_settings *s)
{
	int mode = SSL_VERIFY_NONE;

	if (c->verify || c->sans_n > 0 || s->require_peer_certificate)
		mode = SSL_VERIFY_PEER;
	/* A name that may be left out is no check (Envoy does the same). */
	if (c->server && (s->require_peer_certificate || c->sans_n > 0))
		mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	SSL_CTX_set_verify(c->ssl, mode, NULL);
	SSL_CTX_set_cert_verify_callback(c->ssl, tls_verify, c);
}

/* ---- copies and life ---- */

static int
names_copy(struct tls_context *c, const struct tls_settings *s)
{
	if (s->sni != NULL && (c->sni = strdup(s->sni)) == NULL)
		return -1;
	if (s->sans_n == 0)
		return 0;
	c->sans = calloc(s->sans_n, sizeof(*c->sans));
	if (c->sans == NULL)
		return -1;
	for (; c->sans_n < s->sans_n; c->sans_n++) {
		struct tls_san *to = &c->sans[c->sans_n];

		*to = s->sans[c->sans_n];
		if ((to->value = strdup(to->value)) == NULL)
			return -1;
	}
	return 0;
}

static int
context_fill(struct tls_context *c, const struct tls_settings *s, char *why,
    size_t why_len)
{
	c->bio = tls_bio_new();
	c->ssl = SSL_CTX_new(s->server ? TLS_server_method() :
	    TLS_client_method());
	if (c->bio == NULL || c->ssl == NULL || names_copy(c, s) != 0)
		return why_set(why, why_len, "no memory for a TLS context");
	if (s->sans_n > 0 && s->trusted_ca == NULL)
		return why_set(why, why_len, "names that no CA vouches for "
		    "prove nothing: rules for names need a trusted CA");
	options_set(c->ssl);
	if (protocol_set(c, s, why, why_len) != 0 ||
	    identity_set(c, s, why, why_len) != 0)
		return -1;
	if (s->trusted_ca != NULL && pem_with(c, s->trusted_ca,
	    s->trusted_ca_len, ca_load, why, why_len) != 0)
		return -1;
	verify_set(c, s);
	return 0;
}

struct tls_context *
tls_context_new(const struct tls_settings *s, char *why, size_t why_len)
{
	struct tls_context *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		why_set(why, why_len, "no memory for a TLS context");
		return NULL;
	}
	c->refs = 1;
	c->server = s->server;
	c->http1 = s->http1;
	if (context_fill(c, s, why, why_len) == 0)
		return c;
	tls_context_put(c);
	return NULL;
}

struct tls_context *
tls_context_get(struct tls_context *c)
{
	c->refs++;
	return c;
}

void
tls_context_put(struct tls_context *c)
{
	if (--c->refs > 0)
		return;
	SSL_CTX_free(c->ssl);
	BIO_meth_free(c->bio);
	for (unsigned i = 0; i < c->sans_n; i++) {
		union { const char *in; char *out; } value = {
		    c->sans[i].value };

		free(value.out);
	}
	free(c->sans);
	free(c->sni);
	free(c);
}
