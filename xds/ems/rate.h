/*
 * xds/ems/rate.h - a bucket of tokens: a burst, then so many a second. Time is
 * given. Test: t/unit/rest_rate.c, t/mesh/915-keep.py.
 */
#ifndef XDS_EMS_RATE_H
#define XDS_EMS_RATE_H

#include <stdbool.h>
#include <stdint.h>

struct rate {
	uint32_t	 per_s, burst;
};

struct rate_bucket {			/* all 0: full */
	int64_t		 at_ms;		/* when it was counted */
	uint32_t	 spent_milli;	/* thousandths of a token */
};

/* Takes n tokens; false: there are not as many. */
bool	rate_take(struct rate_bucket *b, struct rate r, uint32_t n,
	    int64_t now_ms);

#endif
