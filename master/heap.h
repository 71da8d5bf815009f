/*
 * master/heap.h - the writer's own book of what lies in an arena: which block
 * has which bytes, who names it, and when its room may be used again.
 *
 *   heap_begin ─> heap_put, heap_put ... ─> heap_commit   a generation more
 *                                        \─> heap_abort    as it was before
 *
 *   generation 6 ──> root ─┬──> page ──> cluster a ──> endpoints of a
 *                          │      └────> cluster b ──> endpoints of b
 *   generation 7 ──> root ─┴─(new) page ──> cluster a'──> endpoints' of a
 *                                   └─────> cluster b   (the same block)
 *
 *   heap_reclaim(oldest): every worker uses `oldest` or a newer one, so older
 *   generations let go of their root; what nobody names any more is free.
 *
 * Invariants
 *   H1  Equal bytes of one kind are one block: what did not change from one
 *       generation to the next is shared, and a change writes its own blocks
 *       and the path from the root to them.
 *   H2  refs of a block = how many refs in other blocks name it, + 1 for each
 *       generation whose root it is. It is freed when that becomes 0.
 *   H3  A block that a published generation reached is written again only
 *       after heap_reclaim let go of every generation that reaches it.
 *   H4  A block is put after those that it names (children first).
 *
 * Why counted references and not a mark of all that is reached: a change of
 * one endpoint among 100,000 must cost what changed. Why sizes in classes: no
 * search, no coalescing; what the holes cost is bounded by compaction
 * (generations.h), which begins a new arena when half of one is dead.
 *
 * The book is the master's private memory: nobody else needs it, and it dies
 * with the master, whose successor begins a new arena. Test: t/unit/heap.c,
 * heap_random.c.
 */
#ifndef MASTER_HEAP_H
#define MASTER_HEAP_H

#include <stdbool.h>

#include "shm/block_kind.h"

struct heap;

enum heap_dead {			/* what becomes of the bytes of the dead */
	HEAP_KEEP,			/* they stay until the room is used */
	HEAP_POISON,			/* so that a stale reader crashes */
	HEAP_WIPE,			/* zeros: they were secrets */
};

/* What the arena holds. allocated = live + pinned. */
struct heap_bytes {
	uint64_t	live;		/* the newest generation reaches it */
	uint64_t	pinned;		/* only older ones do */
	uint64_t	dead;		/* free to be used again */
	uint64_t	used;		/* how far the arena was ever used */
	uint32_t	blocks_n;
};

/* The book of an arena that nothing was put in yet; the arena stays the
 * caller's and must live longer. NULL: no memory. */
struct heap	*heap_new(struct arena *a, enum heap_dead dead);
void	heap_free(struct heap *h);

void	heap_begin(struct heap *h);
/* The block with these n bytes, found or made. 0: the arena is full, or no
 * memory. */
block_ref	heap_put(struct heap *h, enum block_kind kind,
		    const void *bytes, size_t n);
/* root, put in this stage, is what generation `number` reaches; blocks of the
 * stage that it does not reach are freed. */
void	heap_commit(struct heap *h, enum block_kind kind, block_ref root,
	    uint64_t number);
void	heap_abort(struct heap *h);
/* Keeps a block whatever generations reach it, and lets it go again. */
void	heap_hold(struct heap *h, block_ref ref);
void	heap_let_go(struct heap *h, block_ref ref);
/* Within a stage: frees the blocks put since the mark, which no block put
 * before names. */
uint32_t	heap_mark(const struct heap *h);
void	heap_rollback(struct heap *h, uint32_t mark);

/* Lets go of the generations before oldest; never of the newest. */
void	heap_reclaim(struct heap *h, uint64_t oldest);

/* The oldest generation that was not let go; 0: none was committed. */
uint64_t	heap_oldest(const struct heap *h);
/* How many generations are held: 1 when all workers use the newest. */
uint32_t	heap_generations_n(const struct heap *h);

/* Bytes that blocks take, live and pinned: one load. */
uint64_t	heap_allocated(const struct heap *h);
/* Walks the newest generation. */
void	heap_measure(struct heap *h, struct heap_bytes *b);

/* The arena's struct is elsewhere from now on (its mapping is not). */
void	heap_move(struct heap *h, struct arena *a);

/* Puts the newest generation's blocks into another heap, between heap_begin
 * and heap_commit of that. Its root there; 0: no room. */
block_ref	heap_copy(struct heap *from, struct heap *to);

#endif
