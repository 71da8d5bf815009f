/*
 * xds/ems/rest_rate.h - how often each caller may ask: a bucket of tokens for
 * each, by a hash of who it is.
 *
 * Buckets are few and never more: callers that fall into one share it, so that
 * a caller of many names costs no memory and gains nothing. Time is given.
 * Test: t/unit/rest_rate.c.
 */
#ifndef XDS_EMS_REST_RATE_H
#define XDS_EMS_REST_RATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "xds/ems/rate.h"

enum { REST_BUCKETS = 4096 };

struct rest_rates {
	struct rate	 rate;
	uint64_t	 seed;
	struct rate_bucket buckets[REST_BUCKETS];
};

void	rest_rates_init(struct rest_rates *r, uint32_t per_s, uint32_t burst,
	    uint64_t seed);
/* Takes n tokens; false: there are not as many. */
bool	rest_rates_take(struct rest_rates *r, const void *who, size_t who_n,
	    uint32_t n, int64_t now_ms);

#endif
