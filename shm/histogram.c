/* shm/histogram.c - see histogram.h. */
#include "shm/histogram.h"

#include <assert.h>

void
histogram_merge(struct histogram *to, const struct histogram *from)
{
	uint64_t max_us;

	for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
		count_add(&to->bucket[i], count_get(&from->bucket[i]));
	count_add(&to->sum_us, count_get(&from->sum_us));
	max_us = count_get(&from->max_us);			/* I5 */
	if (max_us > count_get(&to->max_us))
		count_set(&to->max_us, max_us);
}

uint64_t
histogram_n(const struct histogram *h)
{
	uint64_t n = 0;

	for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
		n += count_get(&h->bucket[i]);
	return n;
}

/* The rank-th of n values that lie even in a bucket, which ends at the max if
 * that is in it (I2 too). In floating point, so that no count is too large. */
static uint64_t
within(const struct histogram *h, uint32_t bucket, uint64_t rank, uint64_t n)
{
	uint64_t first = histogram_first_us(bucket);
	uint64_t last = histogram_first_us(bucket + 1) - 1;
	uint64_t max_us = count_get(&h->max_us), part;

	if (max_us < last || bucket == HISTOGRAM_BUCKETS - 1)
		last = max_us;
	if (last <= first)
		return last;				/* I5, or one wide */
	part = (uint64_t)((double)(last - first) *
	    ((double)rank / (double)n));
	return part < last - first ? first + part : last;
}

/* A row may hold any numbers; but rank is at most n, even where those wrap, so
 * the walk ends at a bucket that has it. */
uint64_t
histogram_quantile_us(const struct histogram *h, uint32_t per_mille)
{
	uint64_t n = histogram_n(h), here;
	uint64_t rank = n / 1000 * per_mille +
	    (n % 1000 * per_mille + 999) / 1000;
	uint32_t bucket = 0;

	assert(per_mille <= 1000);
	if (n == 0)
		return 0;
	if (rank == 0)
		rank = 1;
	while ((here = count_get(&h->bucket[bucket])) < rank) {
		rank -= here;
		bucket++;
	}
	return within(h, bucket, rank, here);
}
