/*
 * master/grpc.h - one bidirectional gRPC call to one address, over a
 * connection of its own: messages out, messages in, one sentence at the end.
 *
 *   grpc_open ──> (connect, TLS, SETTINGS) ──opened──> grpc_begin
 *                        │                                 │ grpc_send
 *                        │                                 │ message ...
 *                        └────────────> ended <────────────┘
 *
 * Invariants
 *   G1  ended is the last up-call, once, and comes at the end of a turn, when
 *       nothing of HTTP/2 is on the stack; none comes after grpc_drop.
 *   G2  A message is handed over whole, and only while ready says so. What
 *       comes meanwhile waits here, within the stream's window, which is not
 *       opened for it.
 *   G3  The first reason of an end is the one that is told.
 *
 * A server that leaves (GOAWAY) is left at once: go-grpc's GracefulStop waits
 * for streams, and one to a control plane has no end of its own.
 *
 * Why a connection for each call: there are few, and they last. Source: gRPC's
 * PROTOCOL-HTTP2.md. Test: t/unit/subscribe.c.
 */
#ifndef MASTER_GRPC_H
#define MASTER_GRPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "worker/io/conn.h"

enum {
	/* What the server may send ahead of us; nothing of it is lost when
	 * the other side of the wire is 50 ms away: 20 MB/s. */
	GRPC_WINDOW_BYTES = 1 << 20,
	/* What may wait for a server that takes nothing. */
	GRPC_OUT_BYTES = 65536,
};

struct grpc;

struct grpc_pair {			/* of metadata */
	const char	*name, *value;	/* the name in lower case */
};

struct grpc_settings {			/* good until grpc_open returns */
	const struct sockaddr_storage *address;
	struct tls_context *tls;	/* NULL: clear text */
	/* For TCP, TLS and the server's SETTINGS together. */
	uint32_t	 connect_timeout_ms;
	uint32_t	 keepalive_ms, keepalive_timeout_ms;
	uint32_t	 message_bytes_max;
	/* The connection is held when the call ended well: ended tells when
	 * the server ends it. */
	bool		 held;
	/* What it is called in sentences, for ever good; NULL: the control
	 * plane. */
	const char	*peer;
};

struct grpc_events {
	void	(*opened)(void *arg, struct grpc *g);
	/* Whether a message may be handed over now. */
	bool	(*ready)(void *arg, struct grpc *g);
	void	(*message)(void *arg, struct grpc *g, const uint8_t *bytes,
		    size_t n);
	/* Something was sent: there may be room again. NULL: never mind. */
	void	(*sent)(void *arg, struct grpc *g);
	/* g is gone after it. */
	void	(*ended)(void *arg, struct grpc *g, const char *why);
};

/* NULL: it can't even begin; why. */
struct grpc *grpc_open(struct io *io, const struct grpc_settings *s,
	    const struct grpc_events *e, void *arg, char *why, size_t why_len);
/* The call: its headers. False: no memory. After opened. */
bool	grpc_begin(struct grpc *g, const char *authority, const char *path,
	    const struct grpc_pair *metadata, size_t metadata_n);
/* Whether there is room for one more. */
bool	grpc_has_room(const struct grpc *g);
/* Frames and copies. False: no memory; part of it may be under way. */
bool	grpc_send(struct grpc *g, const uint8_t *bytes, size_t n);
/* All was said: for calls with one request. */
void	grpc_half_close(struct grpc *g);
/* Hands over what waited, as far as ready says so. */
void	grpc_resume(struct grpc *g);
/* Ends it; ended comes with this sentence. */
void	grpc_end(struct grpc *g, const char *why);
/* The same, and nobody wants to hear of it. */
void	grpc_drop(struct grpc *g);
/* Here and now, without an up-call: outside of all up-calls. After grpc_drop
 * too, which may not have come to its end yet. */
void	grpc_close(struct grpc *g);
/* It sent us away for our PINGs (gRFC A8: ask half as often). */
bool	grpc_was_asked_for_calm(const struct grpc *g);
/* "127.0.0.1:18000", "[::1]:18000", of what was dialled. */
const char *grpc_address(const struct grpc *g);

#endif
