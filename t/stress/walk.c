/*
 * t/stress/walk.c - one number for all that a generation reaches: every block
 * by the table of block_kind.h, so that no kind is left out.
 *
 * The master takes it just before it publishes, a worker whenever it reads.
 * What a worker gets may be rubbish, which is what it looks for: nothing is
 * followed out of the arena, and no longer than bytes_max. (The arena is
 * sparse: reading far would fill it.)
 */
#include <xxhash.h>

#include "shm/block_kind.h"
#include "t/stress/stress.h"

struct walk {
	const struct arena *arena;
	uint64_t	hash, bytes_left;
};

static int
block_look(void *arg, enum block_kind kind, block_ref ref)
{
	struct walk *w = arg;
	uint64_t at = (uint64_t)ref * ARENA_UNIT_BYTES;
	const void *p = arena_at(w->arena, ref);
	size_t n;

	if (at < ARENA_CONTROL_BYTES ||
	    at + w->bytes_left > w->arena->size_bytes)
		return -1;
	n = block_kind_bytes(kind, p, w->bytes_left);
	if (n == 0)
		return -1;
	w->bytes_left -= n;
	w->hash = XXH64(p, n, w->hash);
	return block_kind_look(kind, p, block_look, w);
}

bool
walk(const struct arena *a, block_ref root, uint64_t bytes_max,
    uint64_t *hash)
{
	struct walk w = { .arena = a, .bytes_left = bytes_max };

	if (block_look(&w, BLOCK_ROOT, root) != 0)
		return false;
	*hash = w.hash;
	return true;
}
