/*
 * t/bench/timing.h - how long it took, and what is usual of many times.
 */
#ifndef T_BENCH_TIMING_H
#define T_BENCH_TIMING_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

int64_t	timing_ns(clockid_t clock);

/* The value below which the share q of all n lies: 0 the least, 0.5 the
 * median. Sorts them. */
double	timing_quantile(double *all, size_t n, double q);

#endif
