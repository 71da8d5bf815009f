/*
 * t/model/latch.pml - shm/latch.c store by store, for publish.pml and
 * rehome.pml.
 *
 *   writer  turn odd | copy 0, word by word | turn even | copy 1, word by word
 *   reader  turn | copy[turn & 1], word by word | the same turn?
 *
 * A set is two words, {number, root}: two are enough to be torn. A reader has
 * TRIES tries (LATCH_TRIES of latch.h; fewer lose more races).
 *
 * LATCH=0 makes a put two steps and a get two: what publish.pml has shown of
 * the latch (a whole set; the old one until turn even; lost only when turn
 * moved meanwhile) is then taken for granted, and there is room for more of
 * everything else.
 */
#ifndef LATCH
#define LATCH 1
#endif
#ifndef TRIES
#define TRIES 1
#endif

typedef latch {
	byte turn;
	byte number[2];
	byte root[2]
}

#if MUTANT == 1			/* the copy that readers are on comes first */
#define FIRST 1
#define SECOND 0
#else
#define FIRST 0
#define SECOND 1
#endif

/* Each line is one store. done: what the master notes with the last. */
#if LATCH
#if MUTANT == 2			/* turn even before the copy is whole */
#define latch_put(l, n, r, visible, done) \
	l.turn++; \
	l.number[0] = n; \
	atomic { l.turn++; visible }; \
	l.root[0] = r; \
	l.number[1] = n; \
	atomic { l.root[1] = r; done }
#else
#define latch_put(l, n, r, visible, done) \
	l.turn++; \
	l.number[FIRST] = n; \
	l.root[FIRST] = r; \
	atomic { l.turn++; visible }; \
	l.number[SECOND] = n; \
	atomic { l.root[SECOND] = r; done }
#endif
#else
#define latch_put(l, n, r, visible, done) \
	l.turn++; \
	atomic { l.number[0] = n; l.root[0] = r; l.turn++; visible; done }
#endif

/* Into t, n, r and got, the reader's own, which with try are 0 before; known
 * is the turn that it has already, for which the answer is one load. */
#if MUTANT == 3			/* the turn is not looked at again */
#define SAME_TURN(l)	true
#else
#define SAME_TURN(l)	l.turn == t
#endif
#if LATCH
#define WORDS(l) \
	n = l.number[t & 1]; \
	r = l.root[t & 1]; \
	atomic { if :: SAME_TURN(l) -> got = true; break :: else fi }
#else
#define WORDS(l) \
	atomic { if :: l.turn == t -> n = l.number[0]; r = l.root[0]; \
	    got = true; break :: else fi }
#endif
#define latch_get(l, known) \
	do \
	:: atomic { try < TRIES -> try++; t = l.turn; \
		if :: t == known -> break :: else fi }; \
	   WORDS(l) \
	:: atomic { try == TRIES -> break } \
	od
