/*
 * worker/io/tls_certificate.c - what certificates say of themselves: serial
 * number, names, from when and until when. See tls.h. Test: t/unit/tls.c.
 */
#include "worker/io/tls_context.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int64_t
seconds(const ASN1_TIME *t)
{
	struct tm tm;

	return ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

static void
serial_read(X509 *x, char *to, size_t n)
{
	BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(x), NULL);
	char *hex = number == NULL ? NULL : BN_bn2hex(number);

	snprintf(to, n, "%s", hex == NULL ? "" : hex);
	for (; *to != '\0'; to++)
		*to = (char)tolower((unsigned char)*to);
	OPENSSL_free(hex);
	BN_free(number);
}

static void
san_read(const struct tls_name *n, struct tls_certificate_san *to)
{
	to->type = n->type;
	if (n->type != TLS_SAN_IP)
		snprintf(to->text, sizeof(to->text), "%.*s", (int)n->len,
		    n->p);
	else if ((n->len != 4 && n->len != 16) || inet_ntop(n->len == 4 ?
	    AF_INET : AF_INET6, n->p, to->text, sizeof(to->text)) == NULL)
		to->text[0] = '\0';
}

static void
sans_read(X509 *x, struct tls_certificate_about *c)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL,
	    NULL);
	int n = sk_GENERAL_NAME_num(names);
	struct tls_name name;

	c->sans = n > 0 ? calloc((size_t)n, sizeof(*c->sans)) : NULL;
	for (int i = 0; c->sans != NULL && i < n; i++)
		if (tls_name_of(sk_GENERAL_NAME_value(names, i), &name))
			san_read(&name, &c->sans[c->sans_n++]);
	GENERAL_NAMES_free(names);
}

static void
about(X509 *x, void (*each)(void *, const struct tls_certificate_about *),
    void *arg)
{
	struct tls_certificate_about c = {
	    .valid_from_s = seconds(X509_get0_notBefore(x)),
	    .expires_s = seconds(X509_get0_notAfter(x)) };

	serial_read(x, c.serial, sizeof(c.serial));
	sans_read(x, &c);
	each(arg, &c);
	free(c.sans);
}

void
tls_certificates_each(const char *pem, size_t len, void (*each)(void *arg,
    const struct tls_certificate_about *c), void *arg)
{
	BIO *bio = BIO_new_mem_buf(pem, (int)len);
	X509 *x;

	if (bio == NULL)
		return;
	while ((x = tls_certificate_next(bio)) != NULL) {
		about(x, each, arg);
		X509_free(x);
	}
	ERR_clear_error();
	BIO_free(bio);
}
