/*
 * master/subscribe.h - a stream to a control plane, kept up: over our HTTP/2
 * client, to the first server that answers.
 *
 *            subscribe_open
 *                 v         opened             first response
 *   WAITING ──> CONNECTING ──────> STREAMING ────────────────> SETTLED
 *      ^          │  ^ next            │ ended                      │ ended
 *      │          │  └── address, or ──┘                            │
 *      │          │      server                                     │
 *      └──────────┴ none is left: back-off        back-off anew ────┘
 *
 * A round is every address of every server, in the list's order, until one
 * answers; each server begins with the address after the one it was tried at
 * last. While a server that is not the first is in use, those before it are
 * called every back_off_max_ms; one that speaks HTTP/2 is the one in use from
 * then on (A71; whether it has resources nobody can tell but by asking, and
 * a second stream would be a second subscription).
 *
 * The stream is master/grpc.h's, what is said on it xds/ads.h's. Also calls
 * ads_step, all the time, stream or not.
 *
 * Invariants
 *   S1  A pause of base to twice that, jittered, doubling to max, before each
 *       round that follows one without a response; of base to twice that after
 *       a stream that had one, whose end is no error (A57).
 *   S2  A server that is silent is found out by PINGs. One that sends us away
 *       for them (gRPC's servers: more than 2 within 5 minutes each, as long
 *       as nobody configured them) is asked half as often from then on (A8).
 *   S3  Messages over the limit end the stream with a sentence, not memory.
 *   S4  While an update waits for its answer nothing is fed (A1): the window
 *       holds the server.
 *
 * Source: gRFC A8, A57, A71; reference/envoy-xds.md 2.4.
 * Test: t/unit/subscribe.c, t/mesh/.
 */
#ifndef MASTER_SUBSCRIBE_H
#define MASTER_SUBSCRIBE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "master/grpc.h"
#include "xds/ads.h"

struct subscribe;

enum { SUBSCRIBE_SERVERS_MAX = 8, SUBSCRIBE_METADATA_MAX = 16 };

/* How to reach one server now; the addresses may change from call to call. */
struct subscribe_target {
	const struct sockaddr_storage *addresses;
	size_t		 addresses_n;	/* 0: none is known yet */
	struct tls_context *tls;	/* NULL: clear text; the caller's */
	uint32_t	 connect_timeout_ms;
	const char	*authority;	/* good until target is called again */
};

struct subscribe_server {
	const char	*name;		/* of its cluster, for humans */
	struct grpc_pair metadata[SUBSCRIBE_METADATA_MAX];
	uint32_t	 metadata_n;
};

struct subscribe_settings {
	const char	*path;		/* "/envoy.service...StreamAggregatedResources" */
	struct subscribe_server servers[SUBSCRIBE_SERVERS_MAX];
	uint32_t	 servers_n;	/* the first is preferred */
	uint32_t	 back_off_base_ms, back_off_max_ms;	/* 500, 30000 */
	uint32_t	 keepalive_ms, keepalive_timeout_ms;	/* 30000, 20000; 0: off */
	uint32_t	 message_bytes_max;	/* 64 MiB */
	/* Where server i is. False: it is not known (why). */
	bool		(*target)(void *arg, uint32_t i,
			    struct subscribe_target *t, char *why,
			    size_t why_len);
	/* The state changed: for status and log. Not to close it there. */
	void		(*changed)(void *arg);
	void		*arg;
};

enum subscribe_state {
	SUBSCRIBE_WAITING, SUBSCRIBE_CONNECTING, SUBSCRIBE_STREAMING,
	SUBSCRIBE_SETTLED,
};

struct subscribe_status {
	enum subscribe_state state;
	int64_t		 since_ms;	/* by the loop's clock */
	int64_t		 lost_ms;	/* WAITING, CONNECTING: no stream since */
	const char	*server;	/* name of the one meant */
	char		 address[64];	/* "127.0.0.1:18000"; "": no connection */
	const char	*why;		/* the last failure, "" */
	int64_t		 why_ms;	/* when that was, 0: never */
	int64_t		 next_ms;	/* WAITING: it tries again then */
	uint64_t	 attempts, streams;
};

/* a is the caller's and must live longer; wake of its events must call
 * subscribe_wake. The settings' texts are copied. The first round begins with
 * the loop's next turn. NULL: no memory. */
struct subscribe *subscribe_open(struct io *io, struct ads *a,
	    const struct subscribe_settings *s);
/* Outside of all up-calls. */
void	subscribe_close(struct subscribe *s);
/* There is something to send, or an answer was given: from anywhere, it only
 * notes that. */
void	subscribe_wake(struct subscribe *s);
/* Where servers are has changed: tries at once when it is waiting, and a better
 * server than the one in use. */
void	subscribe_retry(struct subscribe *s);
void	subscribe_status(const struct subscribe *s,
	    struct subscribe_status *to);

#endif
