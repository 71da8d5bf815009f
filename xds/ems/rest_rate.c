/* xds/ems/rest_rate.c - see rest_rate.h. */
#include "xds/ems/rest_rate.h"

#include <xxhash.h>

enum { MILLI = 1000 };

void
rest_rates_init(struct rest_rates *r, uint32_t per_s, uint32_t burst,
    uint64_t seed)
{
	*r = (struct rest_rates){ .per_s = per_s, .burst = burst,
	    .seed = seed };
}

bool
rest_rates_take(struct rest_rates *r, const void *who, size_t who_n,
    uint32_t n, int64_t now_ms)
{
	size_t i = XXH64(who, who_n, r->seed) % REST_BUCKETS;
	uint64_t wanted = (uint64_t)n * MILLI, spent = r->buckets[i].spent_milli;
	/* per_s tokens a second are as many thousandths a millisecond. */
	uint64_t back = now_ms <= r->buckets[i].at_ms ? 0 :
	    (uint64_t)(now_ms - r->buckets[i].at_ms) * r->per_s;

	spent = back >= spent ? 0 : spent - back;
	r->buckets[i].at_ms = now_ms;
	r->buckets[i].spent_milli = (uint32_t)spent;
	if (spent + wanted > (uint64_t)r->burst * MILLI)
		return false;
	r->buckets[i].spent_milli = (uint32_t)(spent + wanted);
	return true;
}
