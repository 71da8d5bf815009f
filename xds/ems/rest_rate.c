/* xds/ems/rest_rate.c - see rest_rate.h. */
#include "xds/ems/rest_rate.h"

#include <xxhash.h>

void
rest_rates_init(struct rest_rates *r, uint32_t per_s, uint32_t burst,
    uint64_t seed)
{
	*r = (struct rest_rates){ .rate = { per_s, burst }, .seed = seed };
}

bool
rest_rates_take(struct rest_rates *r, const void *who, size_t who_n,
    uint32_t n, int64_t now_ms)
{
	return rate_take(&r->buckets[XXH64(who, who_n, r->seed) %
	    REST_BUCKETS], r->rate, n, now_ms);
}
