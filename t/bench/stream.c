/* t/bench/stream.c - see stream.h. */
#include "t/bench/stream.h"

#include <stdlib.h>
#include <string.h>

#include "t/bench/wire.h"

enum { ROWS_FIRST = 16, ROWS_LIMIT = 65536 };

static struct stream *
allocate_rows(uint32_t n)
{
	struct stream *rows = calloc(n, sizeof *rows);

	if (rows == NULL)
		wire_die("out of memory");
	return rows;
}

void
streams_init(struct streams *t)
{
	t->size = ROWS_FIRST;
	t->n = 0;
	t->rows = allocate_rows(ROWS_FIRST);
}

void
streams_fini(struct streams *t)
{
	free(t->rows);
}

static struct stream *
stream_at(const struct streams *t, uint32_t id)
{
	return &t->rows[(id >> 1) & (t->size - 1)];
}

/* A stream stands in the way of another: twice the size, until none does. */
static void
streams_grow(struct streams *t)
{
	struct stream *old = t->rows;
	uint32_t size = t->size, i;

	if (size == ROWS_LIMIT)
		wire_die("a stream never ended: %u others came since", size);
	t->size = 2 * size;
	t->rows = allocate_rows(t->size);
	for (i = 0; i < size; i++)
		if (old[i].id != 0)
			*stream_at(t, old[i].id) = old[i];
	free(old);
}

struct stream *
stream_new(struct streams *t, uint32_t id)
{
	struct stream *s;

	while ((s = stream_at(t, id))->id != 0)
		streams_grow(t);
	*s = (struct stream){ .id = id };
	t->n++;
	return s;
}

struct stream *
stream_find(struct streams *t, uint32_t id)
{
	struct stream *s = stream_at(t, id);

	return s->id == id && id != 0 ? s : NULL;
}

void
stream_free(struct streams *t, struct stream *s)
{
	s->id = 0;
	t->n--;
}

void
stream_data(struct stream *s, const uint8_t *p, uint32_t n,
    const uint8_t *message, uint32_t message_len)
{
	if (n > message_len - s->got)
		s->bad = true;
	else if (memcmp(p, message + s->got, n) != 0)
		s->bad = true;
	else
		s->got += n;
}
