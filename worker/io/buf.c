/* worker/io/buf.c - see buf.h. */
#include "worker/io/buf.h"

#include <string.h>

enum { BUF_FIRST_BYTES = 4096 };

void
buf_init(struct buf *b, struct sys *sys)
{
	memset(b, 0, sizeof(*b));
	b->sys = sys;
}

void
buf_fini(struct buf *b)
{
	if (b->data != NULL && b->secret)
		explicit_bzero(b->data, b->last);
	if (b->data != NULL)
		b->sys->free(b->sys->ctx, b->data);
	b->data = NULL;
	b->pos = b->last = b->cap = 0;
}

static bool
grow(struct buf *b, size_t n)
{
	size_t len = buf_len(b), cap = BUF_FIRST_BYTES;
	uint8_t *data;

	while (cap <= b->cap || cap - len < n) {
		if (cap > SIZE_MAX / 2)
			return false;
		cap *= 2;
	}
	data = b->sys->alloc(b->sys->ctx, cap);
	if (data == NULL)
		return false;
	if (len > 0)
		memcpy(data, b->data + b->pos, len);
	buf_fini(b);
	b->data = data;
	b->last = len;
	b->cap = cap;
	return true;
}

uint8_t *
buf_room(struct buf *b, size_t n)
{
	if (b->cap - b->last >= n && b->data != NULL)
		return b->data + b->last;
	/* Moved only where taken bytes have paid for it: a full buffer that
	 * moves by a byte each time would cost the square. */
	if (b->pos > 0 && b->pos >= buf_len(b) && b->cap - buf_len(b) >= n) {
		memmove(b->data, b->data + b->pos, buf_len(b));
		if (b->secret)
			explicit_bzero(b->data + buf_len(b), b->pos);
		b->last -= b->pos;
		b->pos = 0;
	} else if (!grow(b, n)) {
		return NULL;
	}
	return b->data + b->last;
}

bool
buf_put(struct buf *b, const void *p, size_t n)
{
	uint8_t *to = buf_room(b, n);

	if (to == NULL)
		return false;
	if (n > 0)		/* p may be NULL then */
		memcpy(to, p, n);
	b->last += n;
	return true;
}
