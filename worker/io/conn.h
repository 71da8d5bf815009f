/*
 * worker/io/conn.h - a connection: a socket, TLS or not, and an HTTP/2
 * session, from the first byte to the last.
 *
 *   conn_connect ──> CONNECTING ──> HANDSHAKE ──> OPEN ──────────> closed
 *   conn_accept ───────────────────────^────────────^ └─> LINGER ────^
 *                                    (TLS)       (clear)
 *
 * Invariants
 *   I1  Reading: one recv into the worker's buffer, until a short read, at
 *       most CONN_READS a turn; then the ready list.
 *   I2  Writing: once at the end of a turn in which something was touched:
 *       all frames of the session, one TLS pass, one send. While the socket
 *       takes no more, no frames are made: flow control holds the callers.
 *   I3  A connection ends at the end of a turn, never inside an up-call; then
 *       the session's streams are closed, then closed is the last up-call:
 *       after LINGER, in which there is no session any more.
 *   I4  out is bounded: frames are made only while it is empty, and a peer that
 *       makes TLS answer over CONN_OUT_BYTES (KeyUpdates) and takes nothing is
 *       cut.
 *   I5  A TLS connection that ends in order says so (RFC 8446 section 6.1).
 *   I6  A session's preface is taken as soon as it is made (mem.h I3).
 *   I7  Our last words arrive. A caller's connection that we end, and whose
 *       socket took all we had to say, lingers: no more from us (FIN), and
 *       what still comes is thrown away, to the caller's end of file. To
 *       close(2) while bytes come makes the kernel answer RST, which destroys
 *       what the caller has not read yet: the GOAWAY that tells it which
 *       calls are safe to send elsewhere. Bounded in time and bytes.
 *   I8  Drained or idle, a caller's connection loses no call (h2.h I6).
 *   I9  In clear text nothing of HTTP/2 goes to a caller before its preface
 *       came, so that one that speaks something else can be told (greeting.h);
 *       unless it is drained: that says GOAWAY.
 *   I10 Keepalive: a peer of whom nothing came for a while is asked by a PING,
 *       and when nothing comes within the time for its answer it is gone. Any
 *       byte is an answer. (Envoy asks also while bytes come; gRPC, A8, does
 *       as we do.)
 *
 * Test: t/unit/conn.c, t/unit/keepalive.c, t/unit/drain.c, t/sim/, t/mesh/.
 */
#ifndef WORKER_IO_CONN_H
#define WORKER_IO_CONN_H

#include "worker/io/greeting.h"
#include "worker/io/h2.h"
#include "worker/io/loop.h"
#include "worker/io/tls.h"

enum {
	CONN_READ_BYTES = 65536, CONN_READS = 4, CONN_TAKE_BYTES = 49152,
	CONN_OUT_BYTES = 262144,	/* three times what frames can fill */
	/* How long a drain waits for the answer to our PING. */
	CONN_DRAIN_MS = 1000,
	/* LINGER's bounds (I7): some round trips, as who reads closes; and more
	 * than what is on its way in the windows of a busy caller. */
	CONN_LINGER_MS = 1000, CONN_LINGER_BYTES = 16 << 20,
};

/* What all connections of a worker share. */
struct io {
	struct sys	*sys;
	struct loop	*loop;
	struct mem	 mem;
	struct buf	 plain, cipher;	/* out of the session; records of it */
	uint8_t		*in;		/* CONN_READ_BYTES, received */
	uint8_t		*in_plain;	/* as many, decrypted */
};

int	io_init(struct io *io, struct loop *l);
void	io_fini(struct io *io);

enum conn_state { CONN_CONNECTING, CONN_HANDSHAKE, CONN_OPEN, CONN_LINGER };

enum conn_end {
	CONN_END_NONE,
	CONN_END_PEER,			/* it closed, or the network did */
	CONN_END_CONNECT,		/* refused, unreachable */
	CONN_END_CONNECT_TIMEOUT,	/* TCP or TLS took too long */
	CONN_END_TLS,			/* handshake or record refused */
	CONN_END_PROTOCOL,		/* HTTP/2 broken, or not spoken */
	CONN_END_LOCAL,			/* by us: idle, drained, stopped */
};

struct conn;

struct conn_events {
	void	(*opened)(struct conn *c);	/* after the handshake */
	/* c is the owner's again, its descriptor closed. */
	void	(*closed)(struct conn *c);
};

struct conn {
	struct source	 source;
	struct io	*io;
	const struct conn_events *events;
	struct task	 flush, again;
	struct timer	 timer;		/* of the state; OPEN: idle, drain */
	struct timer	 block_timer;	/* while a header block comes in */
	struct timer	 keepalive;	/* I10 */
	struct tls	*tls;		/* NULL: clear text */
	struct h2	*h2;		/* NULL in LINGER */
	struct buf	 early;		/* frames made before it was open */
	struct buf	 out;		/* what the socket did not take */
	int64_t		 active_ms;	/* last bytes received */
	int64_t		 taken_ms;	/* last bytes that the socket took */
	int64_t		 asked_ms;	/* by our PING; 0 = it was answered */
	uint32_t	 keepalive_ms, keepalive_timeout_ms;	/* 0 = none */
	uint32_t	 idle_timeout_ms;	/* 0 = none */
	uint32_t	 linger_bytes;	/* thrown away */
	int		 fd;
	enum conn_state	 state;
	enum conn_end	 end;
	enum tls_failure tls_failure;	/* with CONN_END_TLS */
	enum h2_guard	 guard;		/* with CONN_END_PROTOCOL, or NONE */
	enum greeting	 greeting;	/* how far, or what; HTTP2 if by us */
	uint8_t		 greeting_n;	/* bytes of the preface that came */
	bool		 accepted;	/* by us; else connected */
	bool		 secret;	/* what came is wiped when it was read */
	bool		 draining;
	bool		 lingered;	/* LINGER is over */
	char		 why[320];	/* the end, in words */
};

struct conn_settings {
	struct h2_settings h2;
	const struct h2_events *h2_events;
	const struct conn_events *events;
	struct tls_context *tls;	/* NULL: clear text */
	uint32_t	open_timeout_ms;	/* connect and TLS; 0 = none */
	uint32_t	idle_timeout_ms;
	/* I10: how long nothing came, and how long an answer may take. */
	uint32_t	keepalive_ms, keepalive_timeout_ms;	/* 0 = none */
	/* The buffers that all connections share keep nothing of it. Not for
	 * calls: it costs. */
	bool		secret;
};

/* Takes over an accepted socket; c is zeroed memory of the owner, who is the
 * owner of the session too (h2_owner gives c). False: fd is closed, c is as
 * it was, and no up-call comes. */
bool	conn_accept(struct conn *c, struct io *io, int fd,
	    const struct conn_settings *s);
/* The same towards to. Frames may be submitted at once; they wait. */
bool	conn_connect(struct conn *c, struct io *io, const struct sockaddr *to,
	    socklen_t to_len, const struct conn_settings *s);

/* Write at the end of this turn. The wake of h2_events calls it. */
void	conn_touch(struct conn *c);
/* An accepted one: closed once its streams are done, and none is lost (I8).
 * Begins after the handshake, whose caller would see an error otherwise. A
 * second call changes nothing. */
void	conn_drain(struct conn *c);
/* Ends it at the end of this turn (I3), or then begins to linger (I7). why may
 * be NULL. */
void	conn_end(struct conn *c, enum conn_end end, const char *why);
/* Ends it here: for the worker's own end, outside of all up-calls. */
void	conn_close(struct conn *c);

/* For h2_events.wake, whose owner is the conn. */
void	conn_wake(void *conn);

#endif
