/* t/unit/histogram.c - shm/histogram.c: borders, sums, quantiles. */
#include "shm/histogram.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum { LAST = HISTOGRAM_BUCKETS - 1, VALUES_MAX = 100000 };

static struct histogram h, other;
static uint64_t values[VALUES_MAX];

static void
setup(void)
{
	memset(&h, 0, sizeof(h));
	memset(&other, 0, sizeof(other));
}

TestSuite(histogram, .init = setup);

/* ---- buckets */

Test(histogram, a_value_has_its_bucket)
{
	static const struct { uint64_t us; uint32_t bucket; } cases[] = {
		{ 0, 0 }, { 1, 1 }, { 7, 7 }, { 8, 8 }, { 15, 15 },
		{ 16, 16 }, { 17, 16 }, { 18, 17 }, { 30, 23 }, { 31, 23 },
		{ 32, 24 }, { 35, 24 }, { 36, 25 }, { 63, 31 }, { 64, 32 },
		{ 1000, 63 }, { 1023, 63 }, { 1024, 64 }, { 1151, 64 },
		{ 1152, 65 }, { 1ull << 35, LAST - 7 },
		{ (15ull << 32) - 1, LAST - 1 }, { 15ull << 32, LAST },
		{ (1ull << 36) - 1, LAST }, { 1ull << 36, LAST },
		{ 1ull << 37, LAST }, { UINT64_MAX, LAST },
	};

	cr_assert_eq(HISTOGRAM_BUCKETS, 272);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cr_assert_eq(histogram_bucket(cases[i].us), cases[i].bucket,
		    "%llu us is in %u", (unsigned long long)cases[i].us,
		    histogram_bucket(cases[i].us));
}

/* Each begins where the one before ends, and is as narrow as promised. */
Test(histogram, buckets_join_and_are_narrow)
{
	cr_assert_eq(histogram_first_us(0), 0);
	cr_assert_eq(histogram_first_us(LAST + 1), 1ull << 36);
	for (uint32_t b = 0; b <= LAST; b++) {
		uint64_t first = histogram_first_us(b);
		uint64_t next = histogram_first_us(b + 1);

		cr_assert_gt(next, first, "%u", b);
		cr_assert(next - first == 1 || (next - first) * 8 <= first,
		    "%u is too wide", b);
		cr_assert(first >= 16 || next - first == 1, "%u", b);
		cr_assert_eq(histogram_bucket(first), b);
		cr_assert_eq(histogram_bucket(next - 1), b);
	}
}

/* ---- what is observed */

Test(histogram, observes_into_bucket_sum_and_max)
{
	histogram_observe(&h, 20);
	histogram_observe(&h, 1000000);
	histogram_observe(&h, 21);
	cr_assert_eq(count_get(&h.bucket[histogram_bucket(20)]), 2);
	cr_assert_eq(count_get(&h.bucket[histogram_bucket(1000000)]), 1);
	cr_assert_eq(histogram_n(&h), 3);
	cr_assert_eq(count_get(&h.sum_us), 1000041);
	cr_assert_eq(count_get(&h.max_us), 1000000);
}

Test(histogram, of_nothing)
{
	histogram_merge(&h, &other);
	cr_assert_eq(histogram_n(&h), 0);
	cr_assert_eq(count_get(&h.sum_us), 0);
	cr_assert_eq(count_get(&h.max_us), 0);
	for (uint32_t q = 0; q <= 1000; q += 100)
		cr_assert_eq(histogram_quantile_us(&h, q), 0);
}

/* One value is every quantile; what its bucket blurs, max puts right. */
Test(histogram, of_one_value)
{
	static const uint64_t cases[] = { 0, 1, 15, 16, 17, 1000, 123456789,
	    (1ull << 36) - 1, 1ull << 36, (1ull << 50) + 12345, UINT64_MAX };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		setup();
		histogram_observe(&h, cases[i]);
		for (uint32_t q = 0; q <= 1000; q += 50)
			cr_assert_eq(histogram_quantile_us(&h, q), cases[i],
			    "%u of %llu is %llu", q,
			    (unsigned long long)cases[i], (unsigned long long)
			    histogram_quantile_us(&h, q));
	}
}

/* Beyond the last bucket: even between its first value and the max. */
Test(histogram, of_values_beyond)
{
	const uint64_t first = 15ull << 32;

	for (int i = 0; i < 10; i++)
		histogram_observe(&h, first + 1000);
	histogram_observe(&h, first + 11000000000);
	cr_assert_eq(count_get(&h.bucket[LAST]), 11);
	cr_assert_eq(histogram_quantile_us(&h, 0), first + 1000000000);
	cr_assert_eq(histogram_quantile_us(&h, 1000), first + 11000000000);
}

/* ---- quantiles of what is known */

static int
by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Every quantile is within 12.5 % of the true one, exact below 16 us, and
 * never falls. */
static void
quantiles_check(int n, const char *what)
{
	uint64_t before = 0;

	qsort(values, (size_t)n, sizeof(values[0]), by_value);
	for (uint32_t q = 0; q <= 1000; q++) {
		uint64_t got = histogram_quantile_us(&h, q);
		int rank = (int)(((int64_t)n * q + 999) / 1000);
		uint64_t want = values[rank == 0 ? 0 : rank - 1];
		uint64_t off = got > want ? got - want : want - got;

		cr_assert(want < 16 ? off == 0 : off * 8 < want,
		    "%s: %u is %llu, not %llu", what, q,
		    (unsigned long long)got, (unsigned long long)want);
		cr_assert_geq(got, before, "%s falls at %u", what, q);
		before = got;
	}
	cr_assert_eq(before, values[n - 1], "%s: 1000 is not the max", what);
	cr_assert_eq(histogram_n(&h), (uint64_t)n);
}

static uint64_t seed = 20261126;

static uint64_t
random_next(void)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return seed >> 16;
}

static uint64_t
same(int i)
{
	(void)i;
	return 777;
}

static uint64_t
rising(int i)
{
	return (uint64_t)i;
}

static uint64_t
two_humps(int i)
{
	return i % 100 < 90 ? 300 + random_next() % 100 :
	    1000000 + random_next() % 1000;
}

/* Every size as likely as twice as much, up to 2^35. */
static uint64_t
long_tail(int i)
{
	(void)i;
	return (random_next() & ((1ull << 35) - 1)) >> random_next() % 35;
}

static const struct {
	const char	*what;
	uint64_t	(*value)(int i);
	int		n;
} distributions[] = {
	{ "same", same, 1000 }, { "rising", rising, VALUES_MAX },
	{ "rising a little", rising, 7 }, { "two humps", two_humps, 10000 },
	{ "a long tail", long_tail, VALUES_MAX },
	{ "a few of a long tail", long_tail, 13 },
};
enum { DISTRIBUTIONS = sizeof(distributions) / sizeof(distributions[0]) };

Test(histogram, quantiles_are_within_the_promise)
{
	for (int d = 0; d < DISTRIBUTIONS; d++) {
		setup();
		for (int i = 0; i < distributions[d].n; i++) {
			values[i] = distributions[d].value(i);
			histogram_observe(&h, values[i]);
		}
		quantiles_check(distributions[d].n, distributions[d].what);
	}
}

/* Where all lie even the true value comes out, not a bucket's border. */
Test(histogram, interpolates_within_a_bucket)
{
	for (uint64_t us = 0; us < 1 << 16; us++)
		histogram_observe(&h, us);
	for (uint32_t q = 1; q <= 1000; q++) {
		uint64_t got = histogram_quantile_us(&h, q);
		uint64_t want = ((1 << 16) * q + 999) / 1000 - 1;

		cr_assert(got == want || got + 1 == want, "%u: %llu, not %llu",
		    q, (unsigned long long)got, (unsigned long long)want);
	}
}

/* ---- many rows */

Test(histogram, merged_is_as_if_one_had_observed_all)
{
	struct histogram parts[3], sum;

	memset(parts, 0, sizeof(parts));
	memset(&sum, 0, sizeof(sum));
	for (int i = 0; i < 9999; i++) {
		uint64_t us = long_tail(i);

		histogram_observe(&h, us);
		histogram_observe(&parts[i % 3], us);
	}
	for (int i = 0; i < 3; i++)
		histogram_merge(&sum, &parts[i]);
	cr_assert_arr_eq(&sum, &h, sizeof(h));
	histogram_merge(&sum, &other);		/* of nothing */
	cr_assert_arr_eq(&sum, &h, sizeof(h));
}

/* A row may hold anything: no count lets the walk leave the buckets. */
Test(histogram, any_numbers_have_an_answer)
{
	for (int turn = 0; turn < 1000; turn++) {
		setup();
		for (int i = 0; i < 8; i++)
			count_set(&h.bucket[random_next() % HISTOGRAM_BUCKETS],
			    random_next() << random_next() % 40);
		count_set(&h.bucket[LAST], UINT64_MAX << turn % 64);
		count_set(&h.max_us, UINT64_MAX << turn % 64);
		for (uint32_t q = 0; q <= 1000; q += 125)
			cr_assert_leq(histogram_quantile_us(&h, q),
			    count_get(&h.max_us));
	}
}
