/*
 * t/bench/stream.h - the open streams of a connection: id / 2 modulo a power
 * of two that grows until no two are in one place. Source: RFC 9113 5.1.1.
 */
#ifndef T_BENCH_STREAM_H
#define T_BENCH_STREAM_H

#include <stdbool.h>
#include <stdint.h>

struct stream {
	uint32_t	 id;		/* 0 = free */
	uint32_t	 got;		/* bytes of DATA */
	uint32_t	 seen;		/* headers, as block_judge's bits */
	bool		 bad;		/* some byte was not as it must be */
};

struct streams {
	struct stream	*rows;
	uint32_t	 size;		/* a power of two */
	uint32_t	 n;		/* open */
};

void	streams_init(struct streams *t);
void	streams_fini(struct streams *t);

struct stream *stream_new(struct streams *t, uint32_t id);
/* NULL: not open. */
struct stream *stream_find(struct streams *t, uint32_t id);
void	stream_free(struct streams *t, struct stream *s);

/* Counts n bytes of DATA and compares them with the message. */
void	stream_data(struct stream *s, const uint8_t *p, uint32_t n,
	    const uint8_t *message, uint32_t message_len);

#endif
