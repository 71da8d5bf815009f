/* xds/ems/certificate.c - see certificate.h. */
#include "xds/ems/certificate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shm/log.h"

enum { PEM_BYTES_MAX = 1 << 20 };

static char *
pem_read(const char *file, size_t *len, char *why, size_t why_len)
{
	FILE *f = fopen(file, "re");
	char *p = malloc(PEM_BYTES_MAX);

	*len = f == NULL || p == NULL ? 0 : fread(p, 1, PEM_BYTES_MAX, f);
	if (f == NULL || ferror(f) || *len == 0 || *len == PEM_BYTES_MAX) {
		why_set(why, why_len, "can't read \"%s\": %s", file, f == NULL
		    || ferror(f) ? strerror(errno) : *len == 0 ?
		    "it is empty" : "it is larger than 1 MiB");
		free(p);
		p = NULL;
	}
	if (f != NULL)
		fclose(f);
	return p;
}

/* False: why. */
static bool
pem_take(const char *file, char **to, size_t *len, char *why, size_t why_len)
{
	return *file == '\0' || (*to = pem_read(file, len, why, why_len)) !=
	    NULL;
}

struct tls_context *
certificate_context(const struct certificate_files *f, struct tls_settings t,
    char *why, size_t why_len)
{
	char *certificate = NULL, *key = NULL, *ca = NULL;
	struct tls_context *c = NULL;

	t.version_min = 0x0303;
	t.version_max = 0x0304;
	if (pem_take(f->certificate, &certificate, &t.certificate_chain_len,
	    why, why_len) && pem_take(f->key, &key, &t.private_key_len, why,
	    why_len) && pem_take(f->ca, &ca, &t.trusted_ca_len, why,
	    why_len)) {
		t.certificate_chain = certificate;
		t.private_key = key;
		t.trusted_ca = ca;
		c = tls_context_new(&t, why, why_len);
	}
	if (key != NULL)
		explicit_bzero(key, t.private_key_len);
	free(certificate);
	free(key);
	free(ca);
	return c;
}
