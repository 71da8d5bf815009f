/* xds/ems/rate.c - see rate.h. */
#include "xds/ems/rate.h"

enum { MILLI = 1000 };

bool
rate_take(struct rate_bucket *b, struct rate r, uint32_t n, int64_t now_ms)
{
	uint64_t wanted = (uint64_t)n * MILLI, spent = b->spent_milli;
	/* per_s tokens a second are as many thousandths a millisecond. */
	uint64_t back = now_ms <= b->at_ms ? 0 :
	    (uint64_t)(now_ms - b->at_ms) * r.per_s;

	spent = back >= spent ? 0 : spent - back;
	b->at_ms = now_ms;
	b->spent_milli = (uint32_t)spent;
	if (spent + wanted > (uint64_t)r.burst * MILLI)
		return false;
	b->spent_milli = (uint32_t)(spent + wanted);
	return true;
}
