/*
 * worker/io/chunk.h - a queue of bytes in fixed chunks: bodies between the
 * side that received them and the side that sends them.
 *
 *   first ──> [ taken | bytes | room ] ──> ... ──> last [ bytes | room ]
 *
 * Chunks never grow and bytes are copied twice in all: off the wire into a
 * chunk, out of it into the socket's buffer. Two sizes: most messages are
 * small, and a small one must not hold 16 KiB. Test: t/unit/chunk.c.
 */
#ifndef WORKER_IO_CHUNK_H
#define WORKER_IO_CHUNK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/io/mem.h"

enum { CHUNK_SMALL_BYTES = 960, CHUNK_LARGE_BYTES = 16384 };

struct chunks {			/* all zero: empty */
	struct chunk	*first, *last;
	size_t		 bytes;	/* waiting */
};

/* Copies p[0..n) to the end. False: no memory; what fitted is there. */
bool	chunks_put(struct chunks *q, struct mem *m, const uint8_t *p,
	    size_t n);
/* Moves the first n <= q->bytes to to[0..n). */
void	chunks_take(struct chunks *q, struct mem *m, uint8_t *to, size_t n);
/* A copy of all of from behind what to has. False: no memory; what fitted is
 * there. */
bool	chunks_copy(struct chunks *to, struct mem *m,
	    const struct chunks *from);
/* All of from behind what to has; from is empty then. */
void	chunks_move(struct chunks *to, struct chunks *from);
void	chunks_drop(struct chunks *q, struct mem *m);

#endif
