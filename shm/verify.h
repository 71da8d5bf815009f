/*
 * shm/verify.h - looks at a generation block by block and says whether a
 * worker can read it: never faults, whatever bytes the arena holds.
 *
 *   root ──> each ref: inside the arena? as long as its counts say, inside
 *   too? its numbers in range? its refs, one kind later each (block_kind.h)
 *
 * Invariants
 *   V1  No byte outside the arena's mapping is looked at.
 *   V2  Work and memory are bounded by bytes_max: each block is looked at
 *       once, and when all of them together have more bytes than that, as
 *       blocks that overlap have, the generation is refused.
 *   V3  Nothing about order or time: the image must be at rest, or reached by
 *       a published generation.
 *
 * Who asks: a dead master's successor, the master's debug build before each
 * publish_put, tests and the fuzzer. Test: t/unit/verify.c, t/fuzz/verify.c.
 */
#ifndef SHM_VERIFY_H
#define SHM_VERIFY_H

#include "shm/block_kind.h"

/* 0: the generation below root is whole. bytes_max is what its blocks may
 * take together (struct generation's live_bytes). secrets is where its TLS
 * blocks find their keys; NULL: keys are not looked for, as who only reads
 * names has no need to. -1: why, with the path of kinds to the block that is
 * not. */
int	verify(const struct arena *a, const struct arena *secrets,
	    block_ref root, uint64_t bytes_max, char *why, size_t why_len);

#endif
