/*
 * shm/count.h - a number that one process writes and any other may read.
 *
 *   writer   count_add  count_set      reader   count_get: a hint
 *
 * Invariants
 *   I1  One writer, so that a load and a store lose nothing and no locked
 *       instruction is needed.
 *   I2  64 bits, atomic: it doesn't tear and doesn't overflow in our time.
 *
 * Relaxed: numbers say nothing about other memory. Test: t/unit/row.c.
 */
#ifndef SHM_COUNT_H
#define SHM_COUNT_H

#include <stdatomic.h>
#include <stdint.h>

typedef _Atomic uint64_t count;

static inline uint64_t
count_get(const count *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

static inline void
count_set(count *c, uint64_t n)
{
	atomic_store_explicit(c, n, memory_order_relaxed);
}

static inline void
count_add(count *c, uint64_t n)
{
	count_set(c, count_get(c) + n);
}

#endif
