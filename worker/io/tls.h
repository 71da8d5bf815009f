/*
 * worker/io/tls.h - TLS over OpenSSL without a socket: cipher bytes in and
 * out of spans, so that a turn costs one recv and one send.
 *
 *   recv ──span──> tls_feed ─> tls_read ──plain──> h2
 *   send <──buf─── tls_write (records of <= 16 KiB) <── h2
 *
 * Invariants
 *   I1  No call here blocks or touches a descriptor.
 *   I2  A context is immutable and counted: each session holds it, so that it
 *       can be replaced while its sessions live on.
 *   I3  A session is established only after the peer's chain and name passed
 *       the context's rules; ALPN is h2 or the handshake fails, but with http1
 *       it is http/1.1 or none.
 *   I4  The certificate check is the chain, the dates, the purpose, and, when
 *       names are given, one SAN equal to (or beginning with, ...) one of
 *       them by type. Never the CN.
 *
 * Source: RFC 8446, RFC 7301, RFC 9113 section 9.2, RFC 9112; Envoy's
 * DownstreamTlsContext and UpstreamTlsContext. Test: t/unit/tls.c.
 */
#ifndef WORKER_IO_TLS_H
#define WORKER_IO_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "worker/io/buf.h"

struct tls_context;
struct tls;

enum tls_san_type { TLS_SAN_EMAIL = 1, TLS_SAN_DNS, TLS_SAN_URI, TLS_SAN_IP };
enum tls_san_match {
	TLS_MATCH_EXACT = 1, TLS_MATCH_PREFIX, TLS_MATCH_SUFFIX,
	TLS_MATCH_CONTAINS,
};

struct tls_san {
	enum tls_san_type type;
	enum tls_san_match match;
	const char	*value;
};

struct tls_settings {			/* all pointers are the caller's */
	bool		 server;
	bool		 require_peer_certificate;	/* server */
	bool		 http1;		/* for HTTP/1.1; else for HTTP/2 */
	uint16_t	 version_min, version_max;	/* 0x0303, 0x0304 */
	const char	*certificate_chain;	/* PEM; NULL = none */
	size_t		 certificate_chain_len;
	const char	*private_key;		/* PEM */
	size_t		 private_key_len;
	const char	*trusted_ca;		/* PEM; NULL = don't verify */
	size_t		 trusted_ca_len;
	const struct tls_san *sans;		/* 0 = any name */
	unsigned	 sans_n;
	const char	*sni;			/* client; NULL = none */
	const char	*ciphers;		/* TLS 1.2; NULL = ours */
};

/* NULL: why says which part is wrong (which PEM, key does not match, ...). */
struct tls_context *tls_context_new(const struct tls_settings *s, char *why,
	    size_t why_len);
/* The first certificate of a chain in PEM; name: whose it is. */
bool	tls_certificate_expired(const char *pem, size_t len, char *name,
	    size_t name_len);
/* What a certificate says of itself; sans: n texts, as a human reads them. */
struct tls_certificate_about {
	char		 serial[48];	/* hexadecimal, lower case */
	int64_t		 valid_from_s, expires_s;	/* since 1970 */
	unsigned	 sans_n;
	struct tls_certificate_san {
		enum tls_san_type type;
		char	 text[256];
	}		*sans;
};
/* Each certificate of a PEM text, in order, as far as it can be read. */
void	tls_certificates_each(const char *pem, size_t len, void (*each)(
	    void *arg, const struct tls_certificate_about *c), void *arg);
struct tls_context *tls_context_get(struct tls_context *c);	/* + 1 */
void	tls_context_put(struct tls_context *c);			/* - 1 */

/* A session; it holds c. NULL: no memory. */
struct tls	*tls_new(struct tls_context *c);
/* What it decrypts is wiped when it was read. */
void	tls_secret(struct tls *t);
void	tls_free(struct tls *t);

/* How a session stands after the last call. */
enum tls_state {
	TLS_HANDSHAKE,		/* more bytes are needed */
	TLS_ESTABLISHED,
	TLS_CLOSED,		/* the peer said close_notify */
	TLS_FAILED,		/* tls_why; alerts may be left to send */
};
/* Why a handshake failed, for the counters. */
enum tls_failure {
	TLS_FAIL_NONE, TLS_FAIL_OTHER, TLS_FAIL_NO_CERTIFICATE,
	TLS_FAIL_VERIFY, TLS_FAIL_SAN,
};

/* Gives the session a span of received bytes; it is used up by tls_read
 * calls until one returns 0. The span must live until then. */
void	tls_feed(struct tls *t, const uint8_t *cipher, size_t n);

/* Decrypts into plain[0..cap) and goes on with the handshake, appending what
 * must be sent to out. Bytes put into plain, or 0: the span is used up, or
 * the state is TLS_CLOSED or TLS_FAILED. A client's first call (with nothing
 * fed) writes the ClientHello. */
size_t	tls_read(struct tls *t, uint8_t *plain, size_t cap, struct buf *out);

/* Encrypts all of plain[0..n) and appends the records to out. False: the
 * session is not established or has failed, or no memory. */
bool	tls_write(struct tls *t, const uint8_t *plain, size_t n,
	    struct buf *out);

/* Appends a close_notify. */
void	tls_close(struct tls *t, struct buf *out);

enum tls_state	tls_state(const struct tls *t);
enum tls_failure tls_failure(const struct tls *t);
/* One plain sentence; "" while nothing went wrong. */
const char	*tls_why(const struct tls *t);
/* The peer's first URI SAN, or "" (no certificate, or none in it). */
const char	*tls_peer_uri(const struct tls *t);
/* All the names that a CA we trust vouches for: the URIs among the SANs, then
 * the DNS names, each ending in NUL, then an empty one. NULL: the peer sent no
 * certificate, or there is no CA to verify it with. */
const char	*tls_peer_names(const struct tls *t);
/* "TLSv1.3", for logs. */
const char	*tls_version(const struct tls *t);
/* "OpenSSL 3.0.19 ..." */
const char	*tls_library(void);

#endif
