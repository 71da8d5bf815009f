/* worker/io/timer.c - see timer.h. */
#include "worker/io/timer.h"

#include <stddef.h>
#include <string.h>

enum { NEAR_BITS = 8, FAR_BITS = 6 };

void
timers_init(struct timers *ts, struct mono now)
{
	memset(ts, 0, sizeof(*ts));
	ts->now_ms = now.ns / 1000000;
}

/* The slot's list and the bit that says that it is not empty. */
static struct timer **
slot_of(struct timers *ts, int64_t due_ms, uint64_t **map, int *bit)
{
	int64_t ahead = due_ms - ts->now_ms;
	int shift = NEAR_BITS, level, i;

	if (ahead < TIMER_NEAR) {
		i = (int)(due_ms & (TIMER_NEAR - 1));
		*map = &ts->near_map[i / 64];
		*bit = i % 64;
		return &ts->near[i];
	}
	for (level = 0; level < TIMER_LEVELS - 1; level++) {
		if (ahead < (int64_t)1 << (shift + FAR_BITS))
			break;
		shift += FAR_BITS;
	}
	if (ahead >= (int64_t)1 << (shift + FAR_BITS))	/* looked at again */
		due_ms = ts->now_ms + ((int64_t)1 << (shift + FAR_BITS)) - 1;
	i = (int)((due_ms >> shift) & (TIMER_FAR - 1));
	*map = &ts->far_map[level];
	*bit = i;
	return &ts->far[level][i];
}

static void
place(struct timers *ts, struct timer *t)
{
	uint64_t *map;
	int bit;
	struct timer **at = slot_of(ts, t->due_ms, &map, &bit);

	t->next = *at;
	t->prev = at;
	if (t->next != NULL)
		t->next->prev = &t->next;
	*at = t;
	*map |= (uint64_t)1 << bit;
}

void
timer_start(struct timers *ts, struct timer *t, struct mono now, int64_t ms)
{
	timer_stop(ts, t);
	/* Rounded up: never early. What is due now fires in the next step. */
	t->due_ms = (now.ns + 999999) / 1000000 + (ms < 0 ? 0 : ms);
	if (t->due_ms <= ts->now_ms)
		t->due_ms = ts->now_ms + 1;
	place(ts, t);
	ts->started_n++;
}

void
timer_stop(struct timers *ts, struct timer *t)
{
	if (t->prev == NULL)
		return;
	*t->prev = t->next;
	if (t->next != NULL)
		t->next->prev = t->prev;
	t->next = NULL;
	t->prev = NULL;
	ts->started_n--;
}

/* Takes a slot's list; its timers are placed again, nearer. */
static void
cascade(struct timers *ts, int level, int i)
{
	struct timer *t = ts->far[level][i], *next;

	ts->far[level][i] = NULL;
	ts->far_map[level] &= ~((uint64_t)1 << i);
	for (; t != NULL; t = next) {
		next = t->next;
		place(ts, t);
	}
}

static void
cascades(struct timers *ts)
{
	int shift = NEAR_BITS;

	for (int level = 0; level < TIMER_LEVELS; level++) {
		if (ts->now_ms & (((int64_t)1 << shift) - 1))
			return;
		cascade(ts, level,
		    (int)((ts->now_ms >> shift) & (TIMER_FAR - 1)));
		shift += FAR_BITS;
	}
}

static void
fire_slot(struct timers *ts, int i)
{
	struct timer *t;

	while ((t = ts->near[i]) != NULL) {
		timer_stop(ts, t);
		t->fire(t);
	}
	ts->near_map[i / 64] &= ~((uint64_t)1 << (i % 64));
}

/* Milliseconds from now_ms + 1 to the next used near slot, or to the next
 * cascade, whichever is first. */
static int64_t
quiet_ms(const struct timers *ts)
{
	int64_t to_cascade = TIMER_NEAR -
	    (ts->now_ms & (TIMER_NEAR - 1)) - 1;

	for (int64_t n = 0; n < to_cascade; n++) {
		int i = (int)((ts->now_ms + 1 + n) & (TIMER_NEAR - 1));
		uint64_t rest = ts->near_map[i / 64] >> (i % 64);

		if (rest & 1)
			return n;
		if (rest == 0)
			n += 63 - i % 64;
	}
	return to_cascade;
}

void
timers_step(struct timers *ts, struct mono now)
{
	int64_t now_ms = now.ns / 1000000, quiet;

	while (ts->now_ms < now_ms) {
		if (ts->started_n == 0) {
			ts->now_ms = now_ms;
			return;
		}
		quiet = quiet_ms(ts);
		if (ts->now_ms + quiet >= now_ms) {
			ts->now_ms = now_ms;
			return;
		}
		ts->now_ms += quiet + 1;
		cascades(ts);
		fire_slot(ts, (int)(ts->now_ms & (TIMER_NEAR - 1)));
	}
}

int
timers_wait_ms(const struct timers *ts, struct mono now)
{
	int64_t wait;

	if (ts->started_n == 0)
		return -1;
	/* now_ms + 1 + quiet is the next that may be due, rounded up. */
	wait = (ts->now_ms + 1 + quiet_ms(ts)) * 1000000 - now.ns;
	if (wait <= 0)
		return 0;
	wait = (wait + 999999) / 1000000;
	return wait > INT32_MAX ? INT32_MAX : (int)wait;
}
