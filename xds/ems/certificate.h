/*
 * xds/ems/certificate.h - files of PEM as a TLS context: of the doors of
 * godwit-ems, and of who asks them. Test: t/mesh/912-rest-tls.py.
 */
#ifndef XDS_EMS_CERTIFICATE_H
#define XDS_EMS_CERTIFICATE_H

#include "worker/io/tls.h"

struct certificate_files {		/* "": none */
	const char	*certificate, *key, *ca;
};

/* With what else t says; its versions are ours. NULL: why, with the name of a
 * file that can't be read. */
struct tls_context *certificate_context(const struct certificate_files *f,
	    struct tls_settings t, char *why, size_t why_len);

#endif
