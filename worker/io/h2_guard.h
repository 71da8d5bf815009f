/*
 * worker/io/h2_guard.h - what a peer may ask of a connection before it is
 * sent away: counters over frames, beside the codec and without it.
 *
 *   frame ──> guard_* ──> true: go on
 *                └──────> false, once: the connection ends (ENHANCE_YOUR_CALM),
 *                         the log has the guard's sentence, its counter grows
 *
 * Three kinds of limit, cheapest first:
 *
 *   ratio    so many per stream opened or DATA frame sent: what costs us is
 *            paid for by what the peer really uses the connection for.
 *            PRIORITY, WINDOW_UPDATE: Envoy's formulas and defaults
 *   bucket   a burst, so many a second, and back with what shows good will:
 *            a PING for each DATA frame that we sent (grpc-go measures its
 *            bandwidth so, once a round trip), resets for each request that
 *            was answered
 *   queue    what waits while the peer's socket takes nothing
 *
 * Why beside nghttp2: 1.52 has limits for resets (a rate that a merged
 * connection of many callers exceeds in a bad minute, without looking at what
 * the streams did), for CONTINUATION (counted per read, so that slow bytes
 * break it) and for waiting acknowledgements. The first is switched off, the
 * second far behind ours: for blocks that nghttp2 skips, which we don't see.
 *
 * Frames for streams that are over are a ratio, too: what was under way when
 * we reset a stream is legal and may be many. What is not is h2_ended.h's.
 *
 * Source: reliability.md section 3.2; Envoy's protocol_constraints.cc; RFC
 * 9113 section 10.5. Test: t/unit/h2_guard.c, t/unit/h2_heavy.c,
 * t/mesh/450-floods.py.
 */
#ifndef WORKER_IO_H2_GUARD_H
#define WORKER_IO_H2_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/clock.h"

enum h2_guard {
	H2_GUARD_NONE,
#define GUARD(side, id, sentence) H2_GUARD_##id,
#include "worker/io/h2_guard.def"
#undef GUARD
	H2_GUARDS
};

/* Http2ProtocolOptions. */
struct h2_limits {
	uint32_t	outbound_frames, outbound_control_frames;
	uint32_t	empty_frames;		/* one after the other */
	uint32_t	priority_frames;	/* per stream */
	uint32_t	window_updates;		/* per DATA frame sent */
	uint32_t	reset_burst, reset_rate;	/* tokens, a second */
};

/* For a session that nobody configures: Envoy's defaults. */
#define H2_LIMITS_DEFAULT { 10000, 1000, 1, 100, 10, 1000, 33 }

struct guard_bucket {
	uint32_t	left;
	uint64_t	paid;		/* good deeds up to the last filling */
	int64_t		filled_ns;
};

/* One connection's. */
struct guards {
	const struct mono *now;		/* the owner's */
	struct h2_limits limits;
	bool		server;
	enum h2_guard	broken;		/* the first, or H2_GUARD_NONE */
	uint32_t	continuations, continuations_max;	/* of a block */
	uint32_t	empty_frames;
	uint64_t	opened, answered;	/* streams */
	uint64_t	priority_frames, window_updates;
	uint64_t	usual;		/* frames with enough in them */
	uint64_t	resets_sent;
	uint64_t	data_sent, tiny_sent;	/* DATA frames; of them, cut */
	struct guard_bucket tiny_frames, tiny_windows, settings, pings,
			unknown_frames, resets;
};

/* A gRPC message's head alone has 5 bytes. */
enum { GUARD_TINY_BYTES = 5 };

/* The field's own numbers (RFC 9113 section 6). */
enum guard_frame {
	GUARD_DATA, GUARD_HEADERS, GUARD_PRIORITY, GUARD_RST_STREAM,
	GUARD_SETTINGS, GUARD_PUSH_PROMISE, GUARD_PING, GUARD_GOAWAY,
	GUARD_WINDOW_UPDATE, GUARD_CONTINUATION,
};

/* CONTINUATION frames that a header block may have. */
uint32_t guard_continuations_max(uint32_t header_bytes_max);

void	guards_init(struct guards *g, const struct h2_limits *limits,
	    bool server, uint32_t header_bytes_max, const struct mono *now);

/* What it stands for, in words. */
const char *guard_sentence(enum h2_guard guard);

/* Each says whether the connection may go on; broken has the reason. */

bool	guard_other_frame(struct guards *g, uint8_t type, uint32_t bytes,
	    bool end);
/* A frame begins. bytes: its content. Of padded DATA nobody knows it yet: that
 * comes at its end. In two parts, since almost all frames are of the first. */
static inline bool
guard_frame(struct guards *g, uint8_t type, uint32_t bytes, bool end)
{
	if (type > GUARD_HEADERS || bytes < GUARD_TINY_BYTES)
		return guard_other_frame(g, type, bytes, end);
	g->empty_frames = g->continuations = 0;
	g->usual++;
	return true;
}

/* The codec found out: false. */
bool	guard_break(struct guards *g, enum h2_guard guard);
/* A header block has been coming since then; *left_ms: so long it still may. */
bool	guard_block(struct guards *g, struct mono begun, int64_t *left_ms);
/* A request that came to nothing. */
bool	guard_reset(struct guards *g);
/* The caller reset a request that had no answer yet, begun at begun. */
bool	guard_reset_by_peer(struct guards *g, struct mono begun);
/* So many frames were dropped so far: their streams were over. */
bool	guard_closed(struct guards *g, uint64_t frames);
/* We send a DATA frame that the peer's window cut down to bytes. */
bool	guard_window(struct guards *g, size_t bytes);
/* The peer's socket takes nothing while so many frames wait. */
bool	guard_outbound(struct guards *g, uint64_t frames, uint64_t control);

static inline void
guard_opened(struct guards *g)
{
	g->opened++;
}

/* We reset a stream, and not in answer to a frame for one that is over. */
static inline void
guard_reset_sent(struct guards *g)
{
	g->resets_sent++;
}

static inline void
guard_data_sent(struct guards *g)
{
	g->data_sent++;
}

/* A request was answered to its end. */
static inline void
guard_answered(struct guards *g)
{
	g->answered++;
}

#endif
