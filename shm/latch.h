/*
 * shm/latch.h - a seqlock of the latch kind: a few words that one writer
 * changes and any number of readers copy, where a writer that is killed at
 * any instruction leaves every reader a whole set.
 *
 *   turn  even: copy 0 is stable      odd: copy 1 is stable
 *
 *   writer  turn+1 | write copy 0 | turn+1 | write copy 1
 *   reader  turn | copy words[turn & 1] | the same turn? | only now use them
 *
 * Invariants
 *   I1  At every instruction the copy that the parity names is whole.
 *   I2  One writer for life. It leaves the turn even; nobody goes on with the
 *       latch of a dead one, whose other copy may be half done.
 *   I3  A reader that lost LATCH_TRIES races keeps what it had.
 *   I4  Words are _Atomic and relaxed: a torn copy is expected and thrown
 *       away, which is undefined for plain memory in C11.
 *
 * Memory order (Boehm, "Can seqlocks get along with programming language
 * memory models", 2012; Linux Documentation/locking/seqlock.rst, latch):
 * the writer's release fence after each turn store keeps the stores into a
 * copy behind the store that took readers off it; the release store of the
 * next turn keeps them before the store that sends readers back. The reader's
 * acquire load of turn sees at least what was released with it; its acquire
 * fence before the second load keeps the word loads before that load. On x86
 * all of it is plain moves, and a test can't show that a fence is missing.
 *
 * Test: t/unit/latch.c (an arithmetic relation between the words; a writer
 * cut off after every store; a writer running on after every load).
 */
#ifndef SHM_LATCH_H
#define SHM_LATCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { LATCH_WORDS = 8, LATCH_TRIES = 8 };

struct latch {
	_Atomic uint64_t turn;			/* see above; starts at 0 */
	uint64_t	 pad[7];		/* words: their own lines */
	_Atomic uint64_t words[2][LATCH_WORDS];
};

/* Writes words[0..LATCH_WORDS). The one writer only. */
void	latch_put(struct latch *l, const uint64_t *words);

/* Copies a whole set into out[0..LATCH_WORDS) and its turn into *turn.
 * False: every try was overtaken; out is rubbish and *turn unchanged. */
bool	latch_get(const struct latch *l, uint64_t *out, uint64_t *turn);

/* The cheap question of every loop turn: one load. */
static inline uint64_t
latch_turn(const struct latch *l)
{
	return atomic_load_explicit(&l->turn, memory_order_acquire);
}

#endif
