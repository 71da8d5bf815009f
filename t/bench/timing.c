/* t/bench/timing.c - see timing.h. */
#include "t/bench/timing.h"

#include <stdlib.h>

int64_t
timing_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static int
compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

double
timing_quantile(double *all, size_t n, double q)
{
	qsort(all, n, sizeof(all[0]), compare);
	return all[(size_t)(q * (double)(n - 1) + 0.5)];
}
