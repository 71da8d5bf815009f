/*
 * shm/stat.h - prints statistics: names from a generation, numbers from rows.
 * The worker prints its own row, the master the sum of all, by the same code.
 *
 *   cluster.greeter.upstream_rq_total: 12
 *   cluster.greeter.upstream_rq_time: count=11 sum_ms=56.780 p50_ms=0.410
 *                      p90_ms=0.900 p99_ms=2.100 p99.9_ms=7.300 max_ms=12.900
 *   cluster.idle.upstream_rq_time: no values
 *
 *   server.NAME  godwit.cause.NAME  listener.ADDRESS.NAME
 *   http.STAT_PREFIX.NAME           cluster.CLUSTER.NAME
 *
 * One line each, sorted by scope and slot; zeros too. A number in Envoy's text
 * format; times after their scope's numbers, and not in Envoy's P99(x,y), which
 * has neither count nor sum: words that read as they are and split at the =.
 * Quantiles and max are those since the workers' first birth.
 * HTTP counts of listeners whose first chain has one stat_prefix are summed.
 * Clusters that share a row's last slot are printed once, as _others.
 * Test: t/unit/stat.c.
 */
#ifndef SHM_STAT_H
#define SHM_STAT_H

#include <stdio.h>

#include "shm/row.h"

/* cause_names[0..causes_n): the words of worker/cause.def, by number. */
void	stat_print(FILE *out, const struct arena *a,
	    const struct block_root *root, struct row *const *rows,
	    int rows_n, const char *const *cause_names, int causes_n);

#endif
