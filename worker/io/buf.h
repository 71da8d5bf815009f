/*
 * worker/io/buf.h - a run of bytes: put at the end, taken from the front.
 *
 *   data        pos            last         cap
 *   | taken ... | to be taken  | free ...   |      pos <= last <= cap
 *
 * Grows by doubling; that is for buffers that are kept (one per worker, or a
 * socket's rest), not for bodies, which move in chunks. Test: t/unit/buf.c.
 */
#ifndef WORKER_IO_BUF_H
#define WORKER_IO_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/io/sys.h"

struct buf {
	struct sys	*sys;
	uint8_t		*data;
	size_t		 pos, last, cap;
	bool		 secret;	/* wiped where it is left */
};

void	buf_init(struct buf *b, struct sys *sys);
void	buf_fini(struct buf *b);

/* Makes room for n more bytes and returns where they go; NULL: no memory.
 * What was written there counts once b->last is moved. */
uint8_t	*buf_room(struct buf *b, size_t n);
bool	buf_put(struct buf *b, const void *p, size_t n);

static inline size_t
buf_len(const struct buf *b)
{
	return b->last - b->pos;
}

static inline void
buf_clear(struct buf *b)
{
	b->pos = b->last = 0;
}

/* Takes n <= buf_len bytes from the front. */
static inline void
buf_take(struct buf *b, size_t n)
{
	b->pos += n;
	if (b->pos == b->last)
		buf_clear(b);
}

#endif
