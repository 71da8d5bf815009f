/*
 * xds/ems/certificate.h - files of PEM as a TLS context of a server, for the
 * doors of godwit-ems. Test: t/mesh/912-rest-tls.py.
 */
#ifndef XDS_EMS_CERTIFICATE_H
#define XDS_EMS_CERTIFICATE_H

#include "worker/io/tls.h"

struct certificate_files {
	const char	*certificate, *key;
	const char	*ca;		/* "": no caller is asked for his */
	bool		 required;	/* a caller must have one */
	bool		 http1;		/* tls.h */
};

/* NULL: why, with the file's name where it is one's fault. */
struct tls_context *certificate_context(const struct certificate_files *f,
	    char *why, size_t why_len);

#endif
