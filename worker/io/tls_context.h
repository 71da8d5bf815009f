/*
 * worker/io/tls_context.h - what tls.c and tls_context.c share; nobody else
 * includes it.
 */
#ifndef WORKER_IO_TLS_CONTEXT_H
#define WORKER_IO_TLS_CONTEXT_H

#define OPENSSL_API_COMPAT 30000	/* nothing that OpenSSL 3.0 gave up */
#define OPENSSL_NO_DEPRECATED
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "worker/io/tls.h"

struct tls_context {
	SSL_CTX		*ssl;
	BIO_METHOD	*bio;		/* spans in, a buf out: tls.c */
	uint32_t	 refs;
	bool		 server;
	bool		 verify;	/* there is a CA to verify with */
	bool		 http1;		/* tls.h I3 */
	char		*sni;		/* client; NULL = none */
	struct tls_san	*sans;		/* copies */
	unsigned	 sans_n;
};

enum {
	TLS_WHY_BYTES = 448, TLS_URI_BYTES = 256,
	TLS_NUISANCES_MAX = 32,		/* in a row: struct tls */
};

struct tls {
	SSL		*ssl;
	struct tls_context *context;	/* counted */
	const uint8_t	*in;		/* the span that was fed */
	size_t		 in_len;
	struct buf	*out;		/* of the call in progress */
	enum tls_state	 state;
	enum tls_failure failure;
	/* Messages that carry nothing and cost us work, since the last data:
	 * KeyUpdates, and what our warnings refused. */
	int		 nuisances;
	bool		 no_memory;	/* for out */
	char		 peer_uri[TLS_URI_BYTES];
	char		*peer_names;	/* tls_peer_names */
	char		 why[TLS_WHY_BYTES];
};

/* tls.c, for the context: */
BIO_METHOD	*tls_bio_new(void);
void		 tls_message(int sent, int version, int type, const void *p,
		    size_t n, SSL *ssl, void *arg);

/* tls_context.c: NULL: no more, or it can't be read. */
X509		*tls_certificate_next(BIO *pem);

struct tls_name {			/* of a certificate */
	enum tls_san_type type;
	const char	*p;
	size_t		 len;
};

/* tls_verify.c: false: of another type, or no text. */
bool	tls_name_of(const GENERAL_NAME *g, struct tls_name *n);
/* SSL_CTX_set_cert_verify_callback; arg is the context. */
int	tls_verify(X509_STORE_CTX *store, void *context);
/* The certificate's first URI SAN into to[0..n), "" if it has none or that
 * one is longer or has a NUL: never a later one in its place. */
void	tls_uri_find(X509 *certificate, char *to, size_t n);
/* Its URIs and DNS names as tls_peer_names has them, to be freed. NULL: no
 * memory. */
char	*tls_names_new(X509 *certificate);
/* What to call the certificate in a sentence: its first URI, DNS name or
 * other text among the SANs, or "no name". */
void	tls_name_find(X509 *certificate, char *to, size_t n);

#endif
