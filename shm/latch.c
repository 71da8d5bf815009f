/* shm/latch.c - see latch.h, which argues every memory order below. */
#include "shm/latch.h"

#include <assert.h>

/* t/unit/latch.c stops the writer after its n-th store by these, and lets it
 * run on between two loads of a reader. */
#ifndef LATCH_STORED
#define LATCH_STORED()
#define LATCH_LOADED()
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

/* Sends readers to the copy just written, and then keeps what follows, the
 * stores into the other copy, behind it. */
static void
turn_put(struct latch *l, uint64_t turn)
{
	atomic_store_explicit(&l->turn, turn, memory_order_release);
	LATCH_STORED();
	atomic_thread_fence(memory_order_release);
}

void
latch_put(struct latch *l, const uint64_t *words)
{
	uint64_t turn = atomic_load_explicit(&l->turn, memory_order_relaxed);

	assert(turn % 2 == 0);		/* I2 */
	turn_put(l, turn + 1);
	copy_put(l, 0, words);
	turn_put(l, turn + 2);
	copy_put(l, 1, words);
}

bool
latch_get(const struct latch *l, uint64_t *out, uint64_t *turn)
{
	for (int try = 0; try < LATCH_TRIES; try++) {
		uint64_t before = latch_turn(l);

		LATCH_LOADED();
		for (int i = 0; i < LATCH_WORDS; i++) {
			out[i] = atomic_load_explicit(
			    &l->words[before & 1][i], memory_order_relaxed);
			LATCH_LOADED();
		}
		atomic_thread_fence(memory_order_acquire);
		if (before == atomic_load_explicit(&l->turn,
		    memory_order_relaxed)) {
			*turn = before;
			return true;
		}
	}
	return false;
}
