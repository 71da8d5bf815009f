/*
 * xds/ems/push.h - the control plane's side of one xDS stream, state of the
 * world or delta, of all kinds (ADS) or of one; no sockets, no clock.
 *
 *   a request ──push_feed──> what is asked for, ACK, NACK
 *   a response <──push_take── what changed in the catalog since ── wake
 *
 * A kind's life
 *
 *   not asked ──request──> owing ──take──> outstanding ──ACK, NACK──> told
 *                            ^                (nothing more is sent)    │
 *                            └──── the catalog changed, another name ───┘
 *
 * Invariants
 *   E1  Of a kind one response is outstanding at most. What changes meanwhile
 *       is in the next one, once, as it is then: a slow proxy costs nothing
 *       but its own delay.
 *   E2  What was refused is sent again when it is another, or asked for anew,
 *       or after PUSH_AGAIN_MS, doubling: what kept it may have gone (a port
 *       in use, no memory; a proxy that refused once to lose all it had).
 *   E3  A response of the kinds that may be parted (not `whole`, or delta) has
 *       at most PUSH_RESPONSE_BYTES, or one resource.
 *   E4  Ordered, for clients that use each kind as it comes (Envoy, gRPC):
 *       clusters, their endpoints, secrets; when all that was sent, and the
 *       clusters acknowledged, listeners, routes; a cluster is removed after
 *       the routes that left it were acknowledged. godwit puts together
 *       itself what belongs together, and gets it as it is there.
 *   E5  The endpoints of a cluster that was sent are sent again: who warms it
 *       anew waits for them.
 *
 * Source: xDS protocol document ("Eventual consistency considerations",
 * "ACK/NACK and resource type instance version"); reference/envoy-xds.md 2,
 * measured-peers.md. Test: t/unit/push.c, t/unit/push_random.c.
 */
#ifndef XDS_EMS_PUSH_H
#define XDS_EMS_PUSH_H

#include "xds/ems/catalog.h"

enum {
	PUSH_RESPONSE_BYTES = 256 << 10,
	PUSH_NAMES_MAX = 100000,	/* that one stream may ask for */
	PUSH_TAIL_BYTES = 32,
	PUSH_AGAIN_MS = 30000, PUSH_AGAIN_MAX_MS = 480000,	/* E2 */
	/* How long E4 waits for a client that does not ask for the endpoints of
	 * a cluster that it was sent. */
	PUSH_AWAIT_MS = 1000,
};

struct push;

struct push_node {			/* good during the call */
	const char	*id, *cluster, *region, *zone, *agent;
	const uint8_t	*metadata;	/* a packed google.protobuf.Struct */
	size_t		 metadata_len;
};

struct push_events {
	/* The first request says who it is: what it gets. NULL: the stream is
	 * to end; why. */
	struct catalog *(*node)(void *arg, const struct push_node *n,
		    char *why, size_t why_len);
	/* A response was refused (NACK). */
	void	(*refused)(void *arg, enum resource_kind kind,
		    const char *why);
};

struct push_settings {
	bool		 delta;
	int		 kind;		/* the only one, or -1 */
	const char	*identifier;	/* who we are; at most 64 bytes */
};

/* NULL: no memory. */
struct push *push_new(const struct push_settings *s,
	    const struct push_events *e, void *arg);
void	push_free(struct push *s);

/* -1: the stream is to end with INVALID_ARGUMENT; why. */
int	push_feed(struct push *s, const uint8_t *request, size_t n,
	    int64_t now_ms, char *why, size_t why_len);

struct push_message {			/* its bytes: body, then tail */
	struct body	*body;		/* the callee's */
	uint8_t		 tail[PUSH_TAIL_BYTES];
	size_t		 tail_len;
};
/* 1: the next response. 0: nothing is owed now. -1: no memory. */
int	push_take(struct push *s, int64_t now_ms,
	    struct push_message *m);
/* Milliseconds until push_take may have something though nothing was fed
 * and nothing changed; -1: never. */
int64_t	push_due(const struct push *s, int64_t now_ms);

/* What it gets; NULL: no request came yet. */
struct catalog *push_catalog(const struct push *s);

struct push_status {
	bool		 asked, wildcard, outstanding;
	uint32_t	 names_n;
	/* Sequences of the catalog: newest, sent, acknowledged or refused. */
	uint64_t	 newest, sent, answered;
	uint64_t	 accepted_n, refused_n;
	int64_t		 since_ms;	/* sent; of the last */
	const char	*why;		/* the last was refused, or NULL */
};
void	push_status(const struct push *s, enum resource_kind kind,
	    struct push_status *to);

#endif
