/* shm/latch.c - see latch.h; the tags name its lines. */
#include "shm/latch.h"

/* A test replaces this to stop the writer after its n-th store. */
#ifndef LATCH_STORED
#define LATCH_STORED()
#endif

static void
copy_put(struct latch *l, int copy, const uint64_t *words)
{
	for (int i = 0; i < LATCH_WORDS; i++) {
		atomic_store_explicit(&l->words[copy][i], words[i],
		    memory_order_relaxed);
		LATCH_STORED();
	}
}

/* Sends the readers to the other copy, and keeps what follows behind it. */
static void
turn_put(struct latch *l, uint64_t turn)
{
	atomic_store_explicit(&l->turn, turn, memory_order_release);
	atomic_thread_fence(memory_order_release);
	LATCH_STORED();
}

void
latch_put(struct latch *l, const uint64_t *words)
{
	uint64_t turn = atomic_load_explicit(&l->turn, memory_order_relaxed);

	/* A writer that was cut off between its two turns left copy 1 old and
	 * copy 0 half done; going on from an odd turn would show it. */
	if (turn & 1)
		turn--;
	turn_put(l, turn + 1);
	copy_put(l, 0, words);
	turn_put(l, turn + 2);
	copy_put(l, 1, words);
}

bool
latch_get(const struct latch *l, uint64_t *out, uint64_t *turn)
{
	for (int try = 0; try < LATCH_TRIES; try++) {
		uint64_t before = latch_turn(l), after;

		for (int i = 0; i < LATCH_WORDS; i++)
			out[i] = atomic_load_explicit(
			    &l->words[before & 1][i], memory_order_relaxed);
		atomic_thread_fence(memory_order_acquire);
		after = atomic_load_explicit(&l->turn, memory_order_relaxed);
		if (before == after) {
			*turn = before;
			return true;
		}
	}
	return false;
}
