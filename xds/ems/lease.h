/*
 * xds/ems/lease.h - endpoints that register, and stay for as long as they say
 * that they are there.
 *
 *                  heartbeat
 *                 ┌────┐      ttl           ttl               gone_ms
 *   register ──> LIVE ─┴──────────> SUSPECT ─────> DRAINING ─────────> gone
 *                 ^   ^──heartbeat─────┴──────────────┘                  ^
 *                 └───────────── register anew (a higher epoch)          │
 *   deregister ─────────────────────────────────> DRAINING ──drain_ms───┘
 *
 * A suspect gets calls as before: it may be we who can't hear it, and the
 * proxies' own health checks and retries know better. A draining one gets no
 * new calls.
 *
 * Invariants
 *   L1  Each lease has an epoch, higher than any before it of its id; who says
 *       a lower one is told so and changes nothing (fencing).
 *   L2  What was registered is in the store before it is answered, and in the
 *       model; after a restart every lease lives a whole ttl more.
 *   L3  Never en masse: while more than LEASE_LAPSED_MAX_PERCENT of a region's
 *       leases (and more than LEASE_LAPSED_MIN) have lapsed, none of that region
 *       drains or goes for it, and lease_alarm says so. Deregistering is not
 *       lapsing.
 *
 * Source: design.md 8; reference/peers.md 5. Test: t/unit/lease.c.
 */
#ifndef XDS_EMS_LEASE_H
#define XDS_EMS_LEASE_H

#include "xds/ems/ems.h"
#include "xds/ems/store.h"

enum {
	LEASE_TTL_MS = 15000, LEASE_TTL_MIN_MS = 1000,
	LEASE_TTL_MAX_MS = 600000,
	LEASE_LAPSED_MAX_PERCENT = 15, LEASE_LAPSED_MIN = 2,
	LEASE_GONE_MS = 60000,		/* of silence after draining began */
	LEASE_DRAIN_MS = 10000,		/* after it was deregistered */
};

struct leases;

/* All texts as in struct store_lease; "" has a default where one is named. */
struct lease_request {
	const char	*id;		/* "": SERVICE-ADDRESS-PORT */
	const char	*service, *region, *zone, *address;
	uint32_t	 port;
	uint32_t	 weight;	/* 0: 1 */
	const char	*version;	/* "r42", of the service's versions */
	uint32_t	 ttl_ms;	/* 0: LEASE_TTL_MS */
	const struct who *who;		/* NULL: may all */
};

struct lease_answer {
	enum store_result result;	/* CONFLICT: another epoch holds it */
	const char	*why;
	const char	*id;
	uint64_t	 epoch;
	uint32_t	 ttl_ms;	/* heartbeat each third of it */
	bool		 denied;	/* INVALID, for who asks may not */
};
typedef void lease_done(void *arg, const struct lease_answer *a);

/* NULL: no memory. */
struct leases *leases_new(struct ems *e);
void	leases_free(struct leases *l);
/* Once, before anything else: the store and what it has. */
int	leases_load(struct leases *l, struct store *s,
	    const struct store_answer *leases, char *why, size_t why_len);

/* Registers, or anew (another address too). Who registers must be allowed to
 * speak for the service, and for the one that has that id now. -1: no memory,
 * done won't come. */
int	lease_register(struct leases *l, const struct lease_request *r,
	    lease_done *done, void *arg);
/* Whether he may say the words below of that lease; of one that is not there,
 * or was deregistered, he may. */
bool	lease_may(const struct leases *l, const struct who *w, const char *id,
	    char *why, size_t why_len);
/* OK; INVALID: no such lease, register anew; CONFLICT: another epoch. */
enum store_result lease_heartbeat(struct leases *l, const char *id,
	    uint64_t epoch);
/* It drains, then goes; OK when it is not there. */
int	lease_deregister(struct leases *l, const char *id, uint64_t epoch,
	    lease_done *done, void *arg);

struct lease_view {
	const char	*id, *service, *region, *zone, *address, *version;
	uint32_t	 port, weight, ttl_ms;
	uint64_t	 epoch;
	enum model_health health;
	bool		 deregistered;
	int64_t		 silent_ms;	/* since its last word */
};
/* Each, by id. */
void	leases_each(const struct leases *l,
	    void (*each)(void *arg, const struct lease_view *v), void *arg);
size_t	leases_n(const struct leases *l);
/* Whether L3 holds expiry back in a region; lapsed and all are its leases. */
bool	lease_alarm(const struct leases *l, const char *region,
	    size_t *lapsed, size_t *all);

#endif
