/*
 * worker/io/h2_ended.h - what a caller may not say any more: it goes along the
 * heads of the frames that it sends, ahead of the codec and without it.
 *
 *   bytes ──ended_scan──> so many may go to the codec ──> breach? ──> ...
 *
 *   HEADERS, DATA of a stream   that the caller ended   connection error,
 *                                                       STREAM_CLOSED
 *                               that the caller reset   stream error,
 *                                                       STREAM_CLOSED
 *                               that it never opened, and opened a higher one
 *                                                       connection error,
 *                                                       PROTOCOL_ERROR
 *
 * Why ahead: nghttp2 1.52 forgets a stream when it closes (no_closed_streams:
 * keeping them costs 300 bytes each, up to max_concurrent_streams, for each
 * connection), and what comes for a stream that it doesn't know it drops
 * without a word; for DATA not even on_begin_frame is called.
 *
 * Why it does no harm: only what the caller itself said counts, in its own
 * order, so that nothing that crosses a reset of ours is taken for a breach.
 * Those frames are dropped, and nghttp2 gives their bytes back to the
 * connection's window. The memory is short, 32 streams by their numbers: one
 * that fell out of it is treated as one that we reset. Streams that are open
 * are nghttp2's to judge.
 *
 * later counts the DATA frames, and the HEADERS that open no stream: those of
 * them that nghttp2 does not tell of are the dropped ones (h2_guard.h).
 *
 * Source: RFC 9113, sections 5.1 and 5.1.1. Test: t/unit/h2_ended.c,
 * t/mesh/460-h2spec.py.
 */
#ifndef WORKER_IO_H2_ENDED_H
#define WORKER_IO_H2_ENDED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	ENDED_STREAMS = 32, ENDED_GAPS = 4, ENDED_HEAD_BYTES = 9,
	ENDED_PREFACE_BYTES = 24,
};

enum ended_breach {
	ENDED_NO_BREACH,
	ENDED_AFTER_END,		/* connection error, STREAM_CLOSED */
	ENDED_AFTER_RESET,		/* stream error, STREAM_CLOSED */
	ENDED_NEVER_OPENED,		/* connection error, PROTOCOL_ERROR */
};

struct ended_gap {
	int32_t		first, last;
};

struct ended {
	uint32_t	skip;		/* bytes to the next frame's head */
	uint32_t	head_n;		/* of a head that came in pieces */
	uint8_t		head[ENDED_HEAD_BYTES];
	uint8_t		gaps_next;
	int32_t		highest;	/* stream opened */
	int32_t		skipped;	/* the highest of gaps */
	uint64_t	later;
	/* Each at its number's place, negative if it was reset; 0: none. */
	int32_t		streams[ENDED_STREAMS];
	struct ended_gap gaps[ENDED_GAPS];	/* the last ones */
};

void	ended_init(struct ended *e);
/* How many of n bytes the codec may have before *breach of stream *id is to
 * be dealt with: all, if there is none. The rest is for the next call. */
size_t	ended_scan(struct ended *e, const uint8_t *p, size_t n,
	    enum ended_breach *breach, int32_t *id);

#endif
