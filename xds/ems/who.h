/*
 * xds/ems/who.h - what a caller may do, by the names in its certificate.
 *
 *   spiffe://MESH/...            follows (xDS) as        registers       writes
 *     region/R/service/S         a proxy of R            S in R          -
 *     region/R/host/H            a proxy of R            all in R        -
 *     region/R/gateway           a proxy, gateway of R   -               -
 *     writer/W                   -                       all             all
 *
 * A gRPC client that asks without a proxy follows as a proxy does. Where there
 * are no certificates (clear text), or where the operator said so
 * (any_certificate), everybody may follow and register.
 *
 * Invariants
 *   O1  A name counts only as a whole: a segment more, less or empty makes it
 *       no name of ours, and no name of ours is a refusal.
 *   O2  Who has several names may what one of them may.
 *   O3  A refusal says what was seen and what was expected.
 *
 * Source: design.md 7; SPIFFE-ID 2. Test: t/unit/who.c, t/mesh/907.
 */
#ifndef XDS_EMS_WHO_H
#define XDS_EMS_WHO_H

#include <stdbool.h>
#include <stddef.h>

#include "xds/ems/intent.h"

struct who_rules {
	const char	*mesh;		/* of spiffe://MESH/... */
	bool		 anybody;	/* names are not asked for */
};

/* names: as tls_peer_names has them, each ending in NUL, then an empty one;
 * NULL: no certificate. */
struct who {
	const struct who_rules *rules;
	const char	*names;
};

/* Whether it may be told what proxies of that region are, or its gateway. */
bool	who_may_follow(const struct who *w, const char *region, bool gateway,
	    char *why, size_t why_len);
/* Whether it may say where that service is. */
bool	who_may_register(const struct who *w, const char *service,
	    const char *region, char *why, size_t why_len);
/* The W of the first that it is a writer by; rules->anybody is not asked. */
bool	who_is_writer(const struct who *w, char to[INTENT_NAME_MAX + 1]);

/* The names as text, "spiffe://a, DNS.name"; what has no room is left out.
 * Returns to; "no name" if there are none. */
const char *who_print(const struct who *w, char *to, size_t to_len);

#endif
