/*
 * worker/io/timer.h - timers in a hierarchical wheel: start and stop are a
 * few stores, because almost all of them are stopped before they are due.
 *
 *   level 0   256 slots of 1 ms       level 2   64 slots of 16.4 s
 *   level 1    64 slots of 256 ms     level 3   64 slots of 17.5 min (18.6 h)
 *
 *   slots | level 0: 0..255 | level 1: 256..319 | level 2 | level 3: ..447 |
 *   map   | one bit for each slot: it is not empty                        |
 *
 * Invariants
 *   I1  A timer lies in the level whose reach its distance from now_ms is
 *       within, in the slot of its due time; further than 18 hours: in the
 *       last slot, to be looked at again there.
 *   I2  Where the time of a slot of level 1 to 3 begins, its timers are
 *       placed anew, nearer; so each fires from level 0, in its millisecond.
 *   I3  The map is exact: a stopped timer wakes nobody.
 *
 * A timer may fire up to 1 ms late, never early. Why a wheel and no heap: a
 * call starts and stops two or three, and none of them fires. Source: Varghese
 * and Lauck, "Hashed and hierarchical timing wheels", 1987, scheme 7. Test:
 * t/unit/timer.c.
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

enum { TIMER_LEVELS = 4, TIMER_SLOTS = 256 + 3 * 64 };

struct timers {
	int64_t		 now_ms;	/* all that was due then has fired */
	uint64_t	 map[TIMER_SLOTS / 64];
	struct timer	*slots[TIMER_SLOTS];
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

/* Fires all that is due at now, in order of time by the millisecond. fire may
 * start and stop any timer, its own too. */
void	timers_step(struct timers *ts, struct mono now);

/* Milliseconds until timers_step has something to do: exact for what is due
 * within 256 ms, less than the truth further on (I2); -1 = never. */
int	timers_wait_ms(const struct timers *ts, struct mono now);

#endif
