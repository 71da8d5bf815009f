/*
 * xds/load_arena.c - memory of a set of messages (load.h): handed out from
 * zeroed chunks, never given back singly, thrown away whole.
 *
 * The cap is on what was asked for. It is what stops 2 MB of empty messages
 * from becoming 74 MB (reference/dependencies.md 3.1).
 * Test: t/unit/load.c.
 */
#include "xds/load.h"

#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES = 64 << 10, ALIGN_BYTES = 16 };

struct chunk {
	struct chunk	*next;
	size_t		 used, size;
	_Alignas(ALIGN_BYTES) char bytes[];
};

struct load_arena {
	struct chunk	*chunks;	/* newest first */
	size_t		 bytes, bytes_max;
};

struct load_arena *
load_arena_new(size_t bytes_max)
{
	struct load_arena *m = calloc(1, sizeof(*m));

	if (m != NULL)
		m->bytes_max = bytes_max;
	return m;
}

void
load_arena_wipe(struct load_arena *m)
{
	for (struct chunk *c = m->chunks; c != NULL; c = c->next)
		explicit_bzero(c->bytes, c->used);
}

static void
chunks_free(struct chunk *c)
{
	struct chunk *next;

	for (; c != NULL; c = next) {
		next = c->next;
		free(c);
	}
}

void
load_arena_clear(struct load_arena *m)
{
	struct chunk *c = m->chunks;

	m->bytes = 0;
	if (c == NULL)
		return;
	chunks_free(c->next);
	c->next = NULL;
	if (c->size > CHUNK_BYTES) {
		free(c);
		m->chunks = NULL;
		return;
	}
	memset(c->bytes, 0, c->used);
	c->used = 0;
}

void
load_arena_free(struct load_arena *m)
{
	if (m == NULL)
		return;
	chunks_free(m->chunks);
	free(m);
}

static struct chunk *
chunk_add(struct load_arena *m, size_t n)
{
	size_t size = n > CHUNK_BYTES ? n : CHUNK_BYTES;
	struct chunk *c = calloc(1, sizeof(*c) + size);

	if (c != NULL) {
		c->size = size;
		c->next = m->chunks;
		m->chunks = c;
	}
	return c;
}

void *
load_alloc(struct load_arena *m, size_t n)
{
	struct chunk *c = m->chunks;

	if (n > m->bytes_max)
		return NULL;
	n = (n + ALIGN_BYTES - 1) & ~(size_t)(ALIGN_BYTES - 1);
	if (n > m->bytes_max - m->bytes)
		return NULL;
	if (c == NULL || c->size - c->used < n)
		if ((c = chunk_add(m, n)) == NULL)
			return NULL;
	m->bytes += n;
	c->used += n;
	return c->bytes + c->used - n;
}
