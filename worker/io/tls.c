/* worker/io/tls.c - see tls.h: sessions. Contexts are in tls_context.c. */
#include "worker/io/tls.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/io/tls_context.h"

#include <openssl/err.h>

/* ---- the BIO: spans in, a buf out ---- */

static int
bio_read(BIO *bio, char *to, int n)
{
	struct tls *t = BIO_get_data(bio);
	size_t now = t->in_len < (size_t)n ? t->in_len : (size_t)n;

	BIO_clear_retry_flags(bio);
	if (now == 0 || t->nuisances > TLS_NUISANCES_MAX) {
		BIO_set_retry_read(bio);
		return -1;
	}
	memcpy(to, t->in, now);
	t->in += now;
	t->in_len -= now;
	return (int)now;
}

static int
bio_write(BIO *bio, const char *p, int n)
{
	struct tls *t = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	if (buf_put(t->out, p, (size_t)n))
		return n;
	t->no_memory = true;
	return -1;
}

static long
bio_ctrl(BIO *bio, int command, long n, void *p)
{
	(void)bio;
	(void)n;
	(void)p;
	return command == BIO_CTRL_FLUSH;
}

BIO_METHOD *
tls_bio_new(void)
{
	BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "godwit");

	if (m == NULL || BIO_meth_set_read(m, bio_read) != 1 ||
	    BIO_meth_set_write(m, bio_write) != 1 ||
	    BIO_meth_set_ctrl(m, bio_ctrl) != 1) {
		BIO_meth_free(m);
		return NULL;
	}
	return m;
}

/* Counts what costs the peer nothing to send and us much to heed: KeyUpdates,
 * which OpenSSL does not limit, and TLS 1.2's attempts to negotiate anew, each
 * answered by a warning of ours. */
void
tls_message(int sent, int version, int type, const void *p, size_t n,
    SSL *ssl, void *arg)
{
	struct tls *t = SSL_get_app_data(ssl);

	(void)version;
	(void)arg;
	if (t == NULL || n == 0)
		return;
	if (sent ? type == SSL3_RT_ALERT : type == SSL3_RT_HANDSHAKE &&
	    *(const uint8_t *)p == SSL3_MT_KEY_UPDATE)
		t->nuisances++;
}

/* ---- sessions ---- */

static int
ssl_fill(struct tls *t)
{
	BIO *bio = BIO_new(t->context->bio);

	if (bio == NULL)
		return -1;
	BIO_set_data(bio, t);
	BIO_set_init(bio, 1);
	SSL_set_bio(t->ssl, bio, bio);
	SSL_set_app_data(t->ssl, t);
	if (t->context->server) {
		SSL_set_accept_state(t->ssl);
		return 0;
	}
	SSL_set_connect_state(t->ssl);
	if (t->context->sni != NULL &&
	    SSL_set_tlsext_host_name(t->ssl, t->context->sni) != 1)
		return -1;
	return 0;
}

struct tls *
tls_new(struct tls_context *c)
{
	struct tls *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->context = tls_context_get(c);
	t->ssl = SSL_new(c->ssl);
	if (t->ssl != NULL && ssl_fill(t) == 0)
		return t;
	tls_free(t);
	return NULL;
}

void
tls_secret(struct tls *t)
{
	SSL_set_options(t->ssl, SSL_OP_CLEANSE_PLAINTEXT);
}

void
tls_free(struct tls *t)
{
	if (t == NULL)
		return;
	SSL_free(t->ssl);
	ERR_clear_error();
	tls_context_put(t->context);
	free(t->peer_names);
	free(t);
}

/* Keeps the first reason; a certificate's was set by tls_verify. */
static void
fail(struct tls *t, enum tls_failure failure, const char *why)
{
	t->state = TLS_FAILED;
	if (t->failure == TLS_FAIL_NONE)
		t->failure = failure;
	if (t->why[0] == '\0')
		snprintf(t->why, sizeof(t->why), "%s", why);
}

/* What OpenSSL's queue says, in a sentence. */
static void
fail_by_queue(struct tls *t, int error)
{
	unsigned long code = ERR_peek_error();
	const char *text = ERR_reason_error_string(code);
	char why[TLS_WHY_BYTES];

	if (t->no_memory) {
		fail(t, TLS_FAIL_OTHER, "no memory for TLS records");
	} else if (ERR_GET_REASON(code) == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) {
		fail(t, TLS_FAIL_NO_CERTIFICATE, "the peer sent no "
		    "certificate, and one is required here");
	} else if (error == SSL_ERROR_SSL &&
	    ERR_GET_REASON(code) > SSL_AD_REASON_OFFSET) {
		snprintf(why, sizeof(why), "the peer refused us: %s",
		    text == NULL ? "unknown alert" : text);
		fail(t, TLS_FAIL_OTHER, why);
	} else {
		snprintf(why, sizeof(why), "TLS failed: %s",
		    text == NULL ? "the records make no sense" : text);
		fail(t, TLS_FAIL_OTHER, why);
	}
	ERR_clear_error();
}

/* After each call that moved the session on; rc <= 0. */
static void
not_done(struct tls *t, int rc)
{
	int error = SSL_get_error(t->ssl, rc);

	if (error == SSL_ERROR_WANT_READ)
		return;
	if (error == SSL_ERROR_ZERO_RETURN)
		t->state = TLS_CLOSED;
	else
		fail_by_queue(t, error);
}

static void
established(struct tls *t)
{
	X509 *peer = SSL_get0_peer_certificate(t->ssl);
	const unsigned char *alpn;
	unsigned int len;

	SSL_get0_alpn_selected(t->ssl, &alpn, &len);
	if (!t->context->http1 && (len != 2 || memcmp(alpn, "h2", 2) != 0)) {
		fail(t, TLS_FAIL_OTHER, "the peer did not agree on HTTP/2 "
		    "(ALPN h2)");
		SSL_shutdown(t->ssl);	/* no alert of RFC 7301's from here */
		return;
	}
	if (peer != NULL)
		tls_uri_find(peer, t->peer_uri, sizeof(t->peer_uri));
	if (peer != NULL && t->context->verify) {
		t->peer_names = tls_names_new(peer);
		if (t->peer_names == NULL) {
			fail(t, TLS_FAIL_OTHER, "no memory for the peer's "
			    "names");
			return;
		}
	}
	t->state = TLS_ESTABLISHED;
}

void
tls_feed(struct tls *t, const uint8_t *cipher, size_t n)
{
	assert(t->in_len == 0 || t->state > TLS_ESTABLISHED);
	t->in = cipher;
	t->in_len = n;
}

static void
handshake(struct tls *t)
{
	int rc = SSL_do_handshake(t->ssl);

	if (rc == 1)
		established(t);
	else
		not_done(t, rc);
}

size_t
tls_read(struct tls *t, uint8_t *plain, size_t cap, struct buf *out)
{
	size_t n = 0;
	int rc;

	t->out = out;
	ERR_clear_error();
	if (t->state == TLS_HANDSHAKE)
		handshake(t);
	if (t->state != TLS_ESTABLISHED)
		return 0;
	rc = SSL_read_ex(t->ssl, plain, cap, &n);
	if (rc == 1) {
		t->nuisances = 0;
		return n;
	}
	if (t->nuisances > TLS_NUISANCES_MAX) {
		fail(t, TLS_FAIL_OTHER, "the peer changes its keys, or asks "
		    "for a new handshake, without end");
		ERR_clear_error();
		return 0;
	}
	not_done(t, rc);
	return 0;
}

bool
tls_write(struct tls *t, const uint8_t *plain, size_t n, struct buf *out)
{
	size_t written;
	int rc;

	t->out = out;
	if (t->state != TLS_ESTABLISHED)
		return false;
	if (n == 0)
		return true;
	ERR_clear_error();
	rc = SSL_write_ex(t->ssl, plain, n, &written);
	if (rc == 1 && written == n)
		return true;
	fail_by_queue(t, SSL_get_error(t->ssl, rc));
	return false;
}

void
tls_close(struct tls *t, struct buf *out)
{
	t->out = out;
	if (t->state == TLS_ESTABLISHED || t->state == TLS_CLOSED)
		SSL_shutdown(t->ssl);
	ERR_clear_error();
}

enum tls_state
tls_state(const struct tls *t)
{
	return t->state;
}

enum tls_failure
tls_failure(const struct tls *t)
{
	return t->failure;
}

const char *
tls_why(const struct tls *t)
{
	return t->why;
}

const char *
tls_peer_uri(const struct tls *t)
{
	return t->peer_uri;
}

const char *
tls_peer_names(const struct tls *t)
{
	return t->peer_names;
}

const char *
tls_version(const struct tls *t)
{
	return SSL_get_version(t->ssl);
}

const char *
tls_library(void)
{
	return OpenSSL_version(OPENSSL_VERSION);
}
