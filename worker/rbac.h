/*
 * worker/rbac.h - whether a caller may call: pure, over the arena, no
 * allocation, no copy.
 *
 *   names of the caller ┐
 *   path, canonical     ├──> rules ──> may it pass?
 *   headers             ┘
 *
 * Who a caller is: every URI and DNS name of its certificate, if a CA that the
 * listener trusts vouches for it (tls_peer_names). A rule for a name matches
 * when one of them does. "authenticated" without a name is whoever has such a
 * certificate. Never the subject, which nobody checks for being one name.
 *
 * Which path: the bytes that routing sees, and only if no service reads
 * something else there (rbac_path_is_canonical). Go's net/http, Kestrel and
 * others decode %2F, merge // and resolve /../ before they look for a method;
 * a rule against /pkg.Admin/Delete would not see /pkg.Admin%2FDelete. To
 * normalise would be to guess which of these the service does, so where rules
 * are asked, what could be read in two ways is refused. A path of gRPC,
 * /Service/Method, never is. Envoy does nothing about it by default.
 *
 * Case is not changed: to a service that ignores it (ASP.NET), a rule that
 * denies says ignore_case, and one that allows needs not.
 *
 * Source: config.rbac.v3.RBAC; Envoy's rbac matchers; RFC 3986 section 3.3.
 * Test: t/unit/rbac.c, t/mesh/350-rbac.py.
 */
#ifndef WORKER_RBAC_H
#define WORKER_RBAC_H

#include <stdbool.h>
#include <stddef.h>

#include "shm/block.h"
#include "worker/io/header.h"

struct rbac_call {
	const char	*names;		/* of tls_peer_names; NULL: nobody */
	const char	*path;		/* without its query */
	size_t		 path_len;
	const struct headers *headers;
};

bool	rbac_allows(const struct arena *a, const struct block_rbac_rules *r,
	    const struct rbac_call *call);

/* "/", or segments of which none is empty, "." or "..", of characters that
 * mean themselves: no %, ;, \, #, no bytes beyond ASCII. */
bool	rbac_path_is_canonical(const char *path, size_t len);

#endif
