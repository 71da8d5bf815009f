/* worker/io/chunk.c - see chunk.h. */
#include "worker/io/chunk.h"

#include <assert.h>
#include <string.h>

struct chunk {
	struct chunk	*next;
	uint32_t	 pos, last, cap;	/* pos <= last <= cap */
	uint8_t		 bytes[];
};

static struct chunk *
chunk_new(struct mem *m, size_t n)
{
	uint32_t cap = n <= CHUNK_SMALL_BYTES ? CHUNK_SMALL_BYTES :
	    CHUNK_LARGE_BYTES;
	struct chunk *c = mem_alloc(m, sizeof(*c) + cap);

	if (c == NULL)
		return NULL;
	c->next = NULL;
	c->pos = c->last = 0;
	c->cap = cap;
	return c;
}

static bool
chunk_append(struct chunks *q, struct mem *m, size_t n)
{
	struct chunk *c = chunk_new(m, n);

	if (c == NULL)
		return false;
	if (q->first == NULL)
		q->first = c;
	else
		q->last->next = c;
	q->last = c;
	return true;
}

bool
chunks_put(struct chunks *q, struct mem *m, const uint8_t *p, size_t n)
{
	size_t now;

	while (n > 0) {
		if ((q->first == NULL || q->last->last == q->last->cap) &&
		    !chunk_append(q, m, n))
			return false;
		now = q->last->cap - q->last->last;
		if (now > n)
			now = n;
		memcpy(q->last->bytes + q->last->last, p, now);
		q->last->last += (uint32_t)now;
		q->bytes += now;
		p += now;
		n -= now;
	}
	return true;
}

void
chunks_take(struct chunks *q, struct mem *m, uint8_t *to, size_t n)
{
	struct chunk *c;
	size_t now;

	assert(n <= q->bytes);
	q->bytes -= n;
	while (n > 0) {
		c = q->first;
		now = c->last - c->pos;
		if (now > n)
			now = n;
		memcpy(to, c->bytes + c->pos, now);
		c->pos += (uint32_t)now;
		to += now;
		n -= now;
		if (c->pos == c->last) {
			q->first = c->next;
			mem_free(m, c);
		}
	}
}

bool
chunks_copy(struct chunks *to, struct mem *m, const struct chunks *from)
{
	for (const struct chunk *c = from->first; c != NULL; c = c->next)
		if (!chunks_put(to, m, c->bytes + c->pos, c->last - c->pos))
			return false;
	return true;
}

void
chunks_move(struct chunks *to, struct chunks *from)
{
	if (from->first == NULL)
		return;
	if (to->first == NULL)
		to->first = from->first;
	else
		to->last->next = from->first;
	to->last = from->last;
	to->bytes += from->bytes;
	*from = (struct chunks){ 0 };
}

void
chunks_drop(struct chunks *q, struct mem *m)
{
	struct chunk *c;

	while ((c = q->first) != NULL) {
		q->first = c->next;
		mem_free(m, c);
	}
	q->bytes = 0;
}
