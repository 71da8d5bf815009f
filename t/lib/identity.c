/* t/lib/identity.c - see identity.h. */
#include "t/lib/identity.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

enum { DAY_S = 86400 };

static void
extension(X509 *x, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *e;

	X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	if (e == NULL)
		abort();
	X509_add_ext(x, e, -1);
	X509_EXTENSION_free(e);
}

void
identity_text(struct identity *i)
{
	BIO *b = BIO_new(BIO_s_mem());

	PEM_write_bio_X509(b, i->certificate);
	i->pem[BIO_read(b, i->pem, PEM_BYTES - 1)] = '\0';
	PEM_write_bio_PrivateKey(b, i->key, NULL, NULL, 0, NULL, NULL);
	i->key_pem[BIO_read(b, i->key_pem, PEM_BYTES - 1)] = '\0';
	BIO_free(b);
}

struct identity *
mint(const char *name, struct wanted w)
{
	static long serial = 1;
	struct identity *i = calloc(1, sizeof(*i));
	X509 *x = i->certificate = X509_new();
	X509_NAME *subject = X509_get_subject_name(x);
	const struct identity *by = w.by == NULL ? i : w.by;

	i->key = EVP_EC_gen("P-256");
	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), serial++);
	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
	    (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(by->certificate));
	X509_gmtime_adj(X509_getm_notBefore(x), (w.from_days == 0 ? -1 :
	    w.from_days) * (long)DAY_S);
	X509_gmtime_adj(X509_getm_notAfter(x), (w.to_days == 0 ? 1 :
	    w.to_days) * (long)DAY_S);
	X509_set_pubkey(x, i->key);
	extension(x, NID_basic_constraints, w.ca ? "critical,CA:TRUE" :
	    "CA:FALSE");
	if (w.san != NULL)
		extension(x, NID_subject_alt_name, w.san);
	if (w.usage != NULL)
		extension(x, NID_ext_key_usage, w.usage);
	X509_sign(x, by->key, EVP_sha256());
	identity_text(i);
	return i;
}

void
drop(struct identity *i)
{
	X509_free(i->certificate);
	EVP_PKEY_free(i->key);
	free(i);
}
