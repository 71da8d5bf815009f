/*
 * shm/histogram.h - how long things took: counts by log-linear buckets, which
 * one process writes and any other may read.
 *
 *   bucket    0  1 ... 15 | 16    17    ... 23    | 24    ... | ... 271
 *   us        0  1 ... 15 | 16-17 18-19 ... 30-31 | 32-35 ... | ... and more
 *   width     1           | 2                     | 4         | 2^32
 *
 * Every power of two is split in 8.
 *
 * Invariants
 *   I1  A bucket is one value wide, or an eighth of its first at most: what is
 *       read back is off by less than 12.5 %, and not at all below 16 us.
 *   I2  The last bucket has its values up to 2^36 us (19 hours) and all beyond;
 *       sum and max know those whole.
 *   I3  How many there are is the sum of the buckets and stands nowhere else,
 *       so that it agrees with the quantiles of the same reading.
 *   I4  Zeroed memory is an empty one.
 *   I5  max_us is written first and read last, so that a reader who meets a
 *       value meets its max too. That is x86's promise, not C's: elsewhere a
 *       quantile may be cut to the max before, until the next reading.
 *
 * Why this way: the bucket is a shift and an addition, so observing costs some
 * 20 instructions; histograms of many rows merge by adding; 2.2 KB hold
 * everything between a microsecond and a day. Buckets have 64 bits as all
 * numbers here do: half the size would not be missed in a sparse row, an
 * overflow would be noticed.
 * Test: t/unit/histogram.c.
 */
#ifndef SHM_HISTOGRAM_H
#define SHM_HISTOGRAM_H

#include "shm/count.h"

enum {
	HISTOGRAM_SPLIT_BITS = 3,
	HISTOGRAM_SPLIT = 1 << HISTOGRAM_SPLIT_BITS,
	HISTOGRAM_MAX_BITS = 36,
	HISTOGRAM_BUCKETS = (HISTOGRAM_MAX_BITS - HISTOGRAM_SPLIT_BITS + 1) *
	    HISTOGRAM_SPLIT,
};

struct histogram {
	count	sum_us, max_us;
	count	bucket[HISTOGRAM_BUCKETS];
};

/* The 3 bits below the highest are the place within a power of two. The | lets
 * the values that have no 3 bits below take the same way. */
static inline uint32_t
histogram_bucket(uint64_t us)
{
	const uint64_t last = (1ull << HISTOGRAM_MAX_BITS) - 1;
	uint64_t v = us < last ? us : last;
	uint32_t shift = 63 - HISTOGRAM_SPLIT_BITS -
	    (uint32_t)__builtin_clzll(v | HISTOGRAM_SPLIT);

	return shift * HISTOGRAM_SPLIT + (uint32_t)(v >> shift);
}

/* The least value of a bucket; of the one after the last, too. */
static inline uint64_t
histogram_first_us(uint32_t bucket)
{
	uint32_t power = bucket / HISTOGRAM_SPLIT;

	return power == 0 ? bucket : (uint64_t)(HISTOGRAM_SPLIT +
	    bucket % HISTOGRAM_SPLIT) << (power - 1);
}

/* By its one writer (I5). */
static inline void
histogram_observe(struct histogram *h, uint64_t us)
{
	uint64_t max_us = count_get(&h->max_us);

	count_set(&h->max_us, us > max_us ? us : max_us);
	count_add(&h->sum_us, us);
	count_add(&h->bucket[histogram_bucket(us)], 1);
}

/* Adds what another process may be writing to one that is the caller's. */
void	histogram_merge(struct histogram *to, const struct histogram *from);

uint64_t histogram_n(const struct histogram *h);

/* What so many of a thousand values don't exceed, as if those of a bucket lay
 * even in it; max_us for 1000, 0 when there are none. h: nobody writes it. */
uint64_t histogram_quantile_us(const struct histogram *h, uint32_t per_mille);

#endif
