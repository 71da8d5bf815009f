/*
 * t/lib/identity.h - certificates and keys for unit tests, minted in memory.
 *
 *   struct identity *ca = mint("ca", (struct wanted){ .ca = true });
 *   struct identity *a = mint("a", (struct wanted){ .by = ca,
 *       .san = "URI:spiffe://mesh/a" });
 *
 * What can't be minted is a bug of the test: abort.
 */
#ifndef T_LIB_IDENTITY_H
#define T_LIB_IDENTITY_H

#include <openssl/x509.h>
#include <stdbool.h>

enum { PEM_BYTES = 8192 };

struct identity {
	X509		*certificate;
	EVP_PKEY	*key;
	char		 pem[PEM_BYTES], key_pem[PEM_BYTES];
};

struct wanted {
	const struct identity *by;	/* NULL: self-signed */
	const char	*san, *usage;	/* as OpenSSL writes them; NULL: none */
	bool		 ca;
	int		 from_days, to_days;	/* of now; 0, 0: -1, +1 */
};

struct identity	*mint(const char *name, struct wanted w);
/* After the certificate was changed: its PEM anew. */
void		 identity_text(struct identity *i);
void		 drop(struct identity *i);

#endif
