/*
 * worker/io/h2.h - the codec boundary: HTTP/2 sessions of either role, bytes
 * in and frames out, streams and header blocks up. nghttp2 is behind it and
 * nowhere else, so that another codec could stand here.
 *
 *   bytes ──h2_feed──> [session] ──h2_events──> owner of the stream
 *   bytes <──h2_take── [session] <── h2_answer, h2_request, h2_data, h2_end,
 *                                    h2_trailers, h2_reset, h2_consume
 *
 * A stream's two directions, each on its own:
 *
 *   in    headers ──> data ... ──> end | trailers      (up-calls)
 *   out   h2_request/h2_answer ──> h2_data ... ──> h2_end | h2_trailers
 *   then  closed: the last up-call, once, whatever happened
 *
 * Invariants
 *   I1  A struct h2_stream is its owner's memory, from open or h2_request
 *       until the closed up-call, and no longer.
 *   I2  After h2_reset the only up-call left is closed.
 *   I3  Connection credit is returned on receipt, stream credit only by
 *       h2_consume: one slow reader can't stall its neighbours.
 *   I4  h2_take takes whole frames, and nghttp2's frame buffer is not looked
 *       at between two calls: all sessions of a worker share one (mem.h I3),
 *       but those that are opened from inside of a call.
 *   I5  From inside h2_take come only sent and closed. The owner may open and
 *       take another session there, but take none that shares the buffer.
 *   I6  A server that leaves loses no stream (RFC 9113 section 6.8):
 *
 *         h2_drain ──> GOAWAY 2^31-1, PING ──> its ACK, or h2_leave
 *                        ──> GOAWAY, the last stream we know ──> over with it
 *
 *       What the peer sent before the ACK has arrived then; it saw the notice,
 *       so no more is coming. What comes nevertheless is not begun.
 *   I7  What a peer can make us do for little is limited (h2_guard.h): over
 *       a limit the session says GOAWAY, ENHANCE_YOUR_CALM, and is over.
 *
 * Source: RFC 9113; dependencies.md section 1. Test: t/unit/h2.c, t/sim/.
 */
#ifndef WORKER_IO_H2_H
#define WORKER_IO_H2_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "worker/io/buf.h"
#include "worker/io/chunk.h"
#include "worker/io/h2_guard.h"
#include "worker/io/header.h"
#include "worker/io/mem.h"

struct h2;

/* Why a stream closed. */
enum h2_close {
	H2_CLOSE_DONE,		/* both sides ended */
	H2_CLOSE_RESET,		/* the peer reset it */
	H2_CLOSE_REFUSED,	/* the peer did not process it: REFUSED_STREAM,
				   or beyond its GOAWAY */
	H2_CLOSE_PROTOCOL,	/* the peer broke the protocol on it */
	H2_CLOSE_LOCAL,		/* h2_reset */
	H2_CLOSE_CONNECTION,	/* the connection went */
};

enum h2_error {			/* RFC 9113 section 7 */
	H2_NO_ERROR = 0, H2_PROTOCOL_ERROR = 1, H2_INTERNAL_ERROR = 2,
	H2_REFUSED_STREAM = 7, H2_CANCEL = 8, H2_ENHANCE_YOUR_CALM = 11,
};

struct h2_stream {
	struct h2	*h2;
	LIST_ENTRY(h2_stream) link;	/* of the session */
	int32_t		 id;
	uint32_t	 peer_code;	/* of the RST_STREAM received */
	uint32_t	 credit_bytes;	/* consumed, not yet given back */
	struct mono	 begun;		/* server: when its headers came */
	struct headers	*in;		/* the block being received */
	struct headers	*out_trailers;	/* to send after the data */
	struct chunks	 out;		/* data to send */
	bool	in_started;	/* request or final response was delivered */
	bool	in_ended;	/* the peer's END_STREAM came */
	bool	in_too_large;	/* the block broke the limits: not kept */
	bool	out_started, out_ended;	/* by our calls, not yet on the wire */
	bool	out_deferred;	/* nghttp2 waits for h2_data */
	bool	out_paused;	/* nghttp2 waits for the next h2_take */
	bool	peer_reset, dead;
};

struct h2_events {
	/* Server: a request begins. A stream that is all zero, or NULL to
	 * refuse it (REFUSED_STREAM). */
	struct h2_stream *(*open)(void *owner);
	/* The request, or the final response; h is the callee's now. NULL:
	 * a block broke the limits, be it the trailers; s->in is what was kept
	 * of it until the call returns. end: nothing follows. */
	void	(*headers)(struct h2_stream *s, struct headers *h, bool end);
	void	(*data)(struct h2_stream *s, const uint8_t *p, size_t n);
	/* The peer's end, with trailers (the callee's) or without (NULL). */
	void	(*end)(struct h2_stream *s, struct headers *trailers);
	/* n bytes of h2_data went into frames. */
	void	(*sent)(struct h2_stream *s, size_t n);
	void	(*closed)(struct h2_stream *s, enum h2_close why);
	/* The peer takes no new streams. */
	void	(*goaway)(void *owner);
	/* It takes more at once, or fewer: its SETTINGS came. */
	void	(*room)(void *owner);
	/* There is something to take: call h2_take at the end of the turn. */
	void	(*wake)(void *owner);
};

struct h2_settings {
	bool		server;
	uint32_t	max_concurrent_streams;	/* announced, or assumed of the
						   peer before its SETTINGS */
	uint32_t	stream_window_bytes, connection_window_bytes;
	uint32_t	hpack_table_bytes;
	uint32_t	header_bytes_max, header_count_max;
	struct h2_limits limits;
};

/* NULL: no memory. The preface is waiting: take it before another session of
 * mem is touched (I4). now: the owner's clock, read whenever a limit asks. */
struct h2	*h2_open(struct mem *mem, const struct h2_settings *s,
		    const struct h2_events *events, void *owner,
		    const struct mono *now);
/* Ends all streams (closed with why), then the session. Not from an up-call
 * of its own. */
void	h2_close(struct h2 *h, enum h2_close why);
void	*h2_owner(const struct h2_stream *s);

/* False: the session is over, why is one sentence; take what is left, close.*/
bool	h2_feed(struct h2 *h, const uint8_t *p, size_t n);
/* Appends frames to out until there are none or it holds limit bytes. True:
 * there is more. */
bool	h2_take(struct h2 *h, struct buf *out, size_t limit);
/* True: neither side has anything left to say. */
bool	h2_over(const struct h2 *h);
/* What the peer broke, or "". */
const char *h2_why(const struct h2 *h);
enum h2_guard h2_broken(const struct h2 *h);
/* The socket takes nothing: false when too much waits for it (I7). */
bool	h2_stuck(struct h2 *h);
/* Milliseconds that the header block coming in may still take; 0: it took too
 * long (I7); -1: none is coming in. */
int64_t	h2_block_left_ms(struct h2 *h);

/* Client: opens a stream. s is all zero; h: one reference stays the caller's.
 * end: no data follows. False: no memory, or no new streams here. */
bool	h2_request(struct h2 *h, struct h2_stream *s, struct headers *head,
	    bool end);
/* Client: how many requests the peer takes at once; what is beyond that waits
 * in the session. */
uint32_t h2_streams_max(const struct h2 *h);
/* Its SETTINGS came: until then h2_streams_max is what most peers say. */
bool	h2_settled(const struct h2 *h);
/* Of its first GOAWAY; from the goaway up-call on. */
uint32_t h2_goaway_code(const struct h2 *h);
/* Server: the final response. */
bool	h2_answer(struct h2_stream *s, struct headers *head, bool end);
/* Copies n bytes; false: no memory. */
bool	h2_data(struct h2_stream *s, const uint8_t *p, size_t n);
/* All of from, which keeps it or gives it away. False: no memory. */
bool	h2_data_chunks(struct h2_stream *s, struct chunks *from, bool keeps);
/* Ends our side; trailers may be NULL, one reference stays the caller's. */
bool	h2_end(struct h2_stream *s, struct headers *trailers);
/* What was not sent is dropped, and no sent tells of it. */
void	h2_reset(struct h2_stream *s, enum h2_error code);
/* Gives back n bytes of stream credit (I3). */
void	h2_consume(struct h2_stream *s, size_t n);

/* Server: the peer is told to open no new streams; those open, and those
 * that cross the notice, go on to their end, then the session is over (I6).
 * A second call changes nothing; nor does one of h2_leave. */
void	h2_drain(struct h2 *h);
/* The final GOAWAY now: for a peer that does not answer our PING. */
void	h2_leave(struct h2 *h);
/* Asks whether the peer is there; its ACK is a byte like any other, and not
 * taken for that of h2_drain. */
void	h2_ping(struct h2 *h);
/* GOAWAY and over, streams or not. */
void	h2_terminate(struct h2 *h, enum h2_error code);

uint32_t h2_streams_n(const struct h2 *h);
/* "nghttp2 1.52.0" */
const char *h2_library(void);

#endif
