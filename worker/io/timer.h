/*
 * worker/io/timer.h - timers in a hierarchical wheel: start and stop are a
 * few stores, because almost all of them are stopped before they are due.
 *
 *   level 0   256 slots of 1 ms       level 2   64 slots of 16.4 s
 *   level 1    64 slots of 256 ms     level 3   64 slots of 17.5 min (18.6 h)
 *
 * A timer may fire up to 1 ms late, never early. Further than 18 hours: it is
 * put in the last slot and looked at again there. Test: t/unit/timer.c.
 */
#ifndef WORKER_IO_TIMER_H
#define WORKER_IO_TIMER_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/clock.h"

struct timer {
	struct timer	*next, **prev;	/* prev NULL: not started */
	int64_t		 due_ms;	/* of the wheel's own count */
	void		(*fire)(struct timer *t);
};

enum { TIMER_NEAR = 256, TIMER_FAR = 64, TIMER_LEVELS = 3 };

struct timers {
	int64_t		 now_ms;	/* all that was due then has fired */
	int64_t		 started_n;
	struct timer	*near[TIMER_NEAR];
	struct timer	*far[TIMER_LEVELS][TIMER_FAR];
	uint64_t	 near_map[TIMER_NEAR / 64];	/* non-empty slots */
	uint64_t	 far_map[TIMER_LEVELS];
};

void	timers_init(struct timers *ts, struct mono now);

/* Starts (or moves) t, whose fire is set, to now + ms. */
void	timer_start(struct timers *ts, struct timer *t, struct mono now,
	    int64_t ms);
void	timer_stop(struct timers *ts, struct timer *t);

static inline bool
timer_started(const struct timer *t)
{
	return t->prev != 0;
}

/* Fires all that is due at now, in order of time by the millisecond. */
void	timers_step(struct timers *ts, struct mono now);

/* Milliseconds until something may be due: an under-estimate; -1 = none. */
int	timers_wait_ms(const struct timers *ts, struct mono now);

#endif
