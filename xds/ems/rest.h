/*
 * xds/ems/rest.h - the door for people, programs and Prometheus: HTTP/1.1 and
 * JSON, on a TCP address and on a unix socket for the operator of this machine.
 *
 *   PUT    /v1/NOUN/NAME          one intent; ?expect_version=N
 *   DELETE /v1/NOUN/NAME          ?expect_version=N
 *   GET    /v1/NOUN[/NAME]        ?revision=N: as it was then
 *   POST   /v1/apply, /v1/plan    documents, all or nothing (documents.h)
 *   POST   /v1/rollback           ?revision=N
 *   GET    /v1/history, /v1/diff  who, when, why, from, to
 *   POST   /v1/register, /v1/heartbeat, /v1/deregister
 *   GET    /v1/services, /v1/leases, /v1/proxies
 *   GET    /healthz, /readyz, /metrics
 *
 * Every answer is an object of JSON, {"error": "one sentence"} if it was
 * refused. All of it is in rest.def.
 *
 * Who may: on the unix socket whoever can open it (0600). On TCP, in clear text
 * or by TLS, whoever has the token of token_file or the certificate for it
 * (rest_who.c), which a loopback address may do without; a browser that is sent
 * by a page of others is turned away (Origin, Host).
 *
 * Invariants
 *   R1  Nothing waits: a request that waits for the store is set aside
 *       (MHD_suspend_connection), and taken up again by the store's answer.
 *   R2  What a caller can make us hold is bounded: bodies by the resource,
 *       all that is held at once, callers by connections, requests by a rate.
 *   R3  Who is written into history is who was seen: a uid, an address, the
 *       writer that a certificate names. What a caller calls himself stands
 *       beside it.
 *
 * Test: t/mesh/910-rest.py, 912-rest-tls.py, t/unit/rest_rate.c.
 */
#ifndef XDS_EMS_REST_H
#define XDS_EMS_REST_H

#include "xds/ems/admission.h"
#include "xds/ems/lease.h"
#include "xds/ems/who.h"

enum { REST_RATE_PER_S = 200, REST_BURST = 400 };

struct rest_settings {			/* all texts are copied or used up */
	const char	*address;	/* ADDRESS:PORT; "": none */
	const char	*token_file;	/* "": none */
	const char	*socket_path;	/* "": none */
	struct tls_context *tls;	/* NULL: clear text */
	bool		 by_certificate;	/* tls asks for callers' */
	struct who_rules rules;		/* its texts are the caller's */
	uint32_t	 rate_per_s, burst;	/* of one caller; 0: as above */
	struct ems	*ems;
	struct admission *admission;
	struct leases	*leases;
	struct store	*store;
};

struct rest;

/* NULL: why. */
struct rest *rest_open(struct loop *l, const struct rest_settings *s,
	    char *why, size_t why_len);
/* With TLS: another context, for those who come from now on. */
void	rest_certificate(struct rest *r, struct tls_context *c);
/* Those who wait for the store are let go; its answers may still come, until
 * store_close. */
void	rest_close(struct rest *r);

#endif
