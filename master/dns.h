/*
 * master/dns.h - names to addresses, again and again, for STRICT_DNS and
 * LOGICAL_DNS clusters: c-ares in the master's loop.
 *
 *   dns_watch_new ─┐  same name and family: one lookup
 *   dns_watch_new ─┴─> lookup ──query──> c-ares ──> /etc/hosts, servers
 *                        │ <──answer───────┘
 *        answer(watch) <─┤ first answer or failure, or other addresses
 *                        └ timer: TTL, refresh rate, or back-off ──> query
 *
 * Invariants
 *   D1  answer is called from the loop, never from within a function here; it
 *       may free any watch.
 *   D2  What was good stays when a later query fails: NXDOMAIN, SERVFAIL,
 *       silence, an answer without addresses. dns_status says since when and
 *       why it is stale.
 *   D3  Addresses that come in another order are no change.
 *   D4  A lookup always ends: by c-ares' timeouts, or by our watchdog, which
 *       takes a new channel. So does one that heard nobody, since resolv.conf
 *       may be another by now.
 *
 * A TTL of 0 is paced by the refresh rate, as in Envoy; one of 1 s is the
 * least there is. Why not Envoy's emptying of a cluster at NXDOMAIN: its issue
 * 2691. Source: cluster.proto, dns_lookup_family and dns_refresh_rate.
 * Test: t/unit/dns.c.
 */
#ifndef MASTER_DNS_H
#define MASTER_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/block.h"
#include "worker/io/loop.h"

/* Envoy's numbers. */
enum dns_family {
	DNS_AUTO,		/* v6, and v4 when there is none */
	DNS_V4_ONLY, DNS_V6_ONLY,
	DNS_V4_PREFERRED,	/* v4, and v6 when there is none */
	DNS_ALL,
};

struct dns_settings {			/* 0: the number behind it */
	const char	*servers;	/* "ADDR:PORT,..."; NULL: resolv.conf */
	bool		 no_search;	/* names are whole */
	uint32_t	 timeout_ms;	/* 2000, of the first try */
	uint32_t	 tries;		/* 3 */
	uint32_t	 watchdog_ms;	/* 60000, of a lookup */
};

struct dns;
struct dns_watch;

struct dns_question {
	const char	*name;		/* or an address */
	enum dns_family	 family;
	uint32_t	 refresh_ms;	/* dns_refresh_rate; 0: 5000 */
	bool		 respect_ttl;
	/* dns_failure_refresh_rate; 0: refresh_ms, no back-off. */
	uint32_t	 failure_base_ms, failure_max_ms;
	void		(*answer)(void *arg, struct dns_watch *w);
	void		*arg;
};

/* As text, "HOST FAMILY ...", by which the set of resources knows it, and
 * back: without answer and arg. False: text is none, or does not fit. */
bool	dns_question_print(const struct dns_question *q, char *text,
	    size_t text_len);
/* q->name becomes host. */
enum { DNS_HOST_MAX = 253, DNS_TEXT_BYTES = DNS_HOST_MAX + 80 };
bool	dns_question_read(const char *text, struct dns_question *q,
	    char host[DNS_HOST_MAX + 1]);

struct dns_status {			/* until the loop's next turn */
	const struct block_address *addresses;	/* port 0; the answer's order */
	size_t		 addresses_n;
	bool		 answered;	/* once, well or badly */
	int64_t		 stale_since_ms;	/* loop's clock; 0: it is fresh */
	const char	*why;		/* the last failure, "" when fresh */
	uint32_t	 ttl_s;		/* of the last answer, the least */
	uint64_t	 queries_n;
};

/* NULL: why. */
struct dns *dns_open(struct loop *l, const struct dns_settings *s, char *why,
	    size_t why_len);
/* Every watch is freed before. */
void	dns_close(struct dns *d);

/* Asks at once. NULL: no memory. */
struct dns_watch *dns_watch_new(struct dns *d, const struct dns_question *q);
void	dns_watch_free(struct dns_watch *w);
void	dns_status(const struct dns_watch *w, struct dns_status *s);

#endif
