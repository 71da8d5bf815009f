/* worker/io/timer.c - see timer.h. */
#include "worker/io/timer.h"

#include <stddef.h>
#include <string.h>

enum { NS_PER_MS = 1000000 };
#define DISTANCE_MS_MAX ((int64_t)1 << 40)	/* 35 years: no overflow */

static const struct level {
	int	first;		/* of its slots in slots[] */
	int	slots_n;	/* a power of two, 64 or more */
	int	shift;		/* a slot is 2^shift ms */
} levels[TIMER_LEVELS] = {
	{ 0, 256, 0 }, { 256, 64, 8 }, { 320, 64, 14 }, { 384, 64, 20 },
};

/* The first distance that a level does not reach. */
static int64_t
reach_ms(int level)
{
	return (int64_t)levels[level].slots_n << levels[level].shift;
}

static int
slot_at(int level, int64_t ms)
{
	const struct level *l = &levels[level];

	return l->first + (int)(ms >> l->shift & (l->slots_n - 1));
}

void
timers_init(struct timers *ts, struct mono now)
{
	memset(ts, 0, sizeof(*ts));
	ts->now_ms = now.ns / NS_PER_MS;
}

/* ---- a timer into its slot and out of it */

static void
place(struct timers *ts, struct timer *t)
{
	int64_t distance = t->due_ms - ts->now_ms;
	int level = 0, i;

	if (distance >= reach_ms(TIMER_LEVELS - 1))
		distance = reach_ms(TIMER_LEVELS - 1) - 1;	/* I1 */
	while (distance >= reach_ms(level))
		level++;
	i = slot_at(level, ts->now_ms + distance);
	t->next = ts->slots[i];
	t->prev = &ts->slots[i];
	if (t->next != NULL)
		t->next->prev = &t->next;
	ts->slots[i] = t;
	ts->map[i / 64] |= (uint64_t)1 << i % 64;
}

void
timer_start(struct timers *ts, struct timer *t, struct mono now, int64_t ms)
{
	timer_stop(ts, t);
	if (ms < 0)
		ms = 0;
	if (ms > DISTANCE_MS_MAX)
		ms = DISTANCE_MS_MAX;
	/* Rounded up: never early. What is due now fires in the next step. */
	t->due_ms = (now.ns + NS_PER_MS - 1) / NS_PER_MS + ms;
	if (t->due_ms <= ts->now_ms)
		t->due_ms = ts->now_ms + 1;
	place(ts, t);
}

void
timer_stop(struct timers *ts, struct timer *t)
{
	/* If t is the first of its list, prev is a member of slots[]. */
	uintptr_t at = (uintptr_t)t->prev - (uintptr_t)ts->slots;
	size_t i = at / sizeof(ts->slots[0]);

	if (t->prev == NULL)
		return;
	*t->prev = t->next;
	if (t->next != NULL)
		t->next->prev = t->prev;
	else if (at < sizeof(ts->slots))
		ts->map[i / 64] &= ~((uint64_t)1 << i % 64);	/* I3 */
	t->next = NULL;
	t->prev = NULL;
}

/* ---- time passes */

/* Steps from slot number from, cyclic, to the first that is used; -1: none. */
static int
steps_to_used(const uint64_t *map, int words_n, int from)
{
	/* The word of from comes twice: its end first, its start last. */
	for (int n = 0; n <= words_n; n++) {
		uint64_t bits = map[(from / 64 + n) & (words_n - 1)];

		if (n == 0)
			bits &= UINT64_MAX << from % 64;
		if (bits != 0)
			return n * 64 + __builtin_ctzll(bits) - from % 64;
	}
	return -1;
}

/* When the first slot that is used begins; INT64_MAX: no timer is started. */
static int64_t
next_ms(const struct timers *ts)
{
	int64_t next = INT64_MAX;

	for (int level = 0; level < TIMER_LEVELS; level++) {
		const struct level *l = &levels[level];
		int64_t slot = (ts->now_ms >> l->shift) + 1;
		int steps = steps_to_used(&ts->map[l->first / 64],
		    l->slots_n / 64, (int)(slot & (l->slots_n - 1)));

		if (steps >= 0 && (slot + steps) << l->shift < next)
			next = (slot + steps) << l->shift;
	}
	return next;
}

/* Places the timers of a slot anew (I2). */
static void
cascade(struct timers *ts, int i)
{
	struct timer *t = ts->slots[i], *next;

	ts->slots[i] = NULL;
	ts->map[i / 64] &= ~((uint64_t)1 << i % 64);
	for (; t != NULL; t = next) {
		next = t->next;
		place(ts, t);
	}
}

/* What has to happen at ts->now_ms. */
static void
millisecond_step(struct timers *ts)
{
	struct timer *t;
	int i = slot_at(0, ts->now_ms);

	for (int level = 1; level < TIMER_LEVELS; level++) {
		if (ts->now_ms & (((int64_t)1 << levels[level].shift) - 1))
			break;
		cascade(ts, slot_at(level, ts->now_ms));
	}
	/* It ends: what fire starts is due later, so in another slot. */
	while ((t = ts->slots[i]) != NULL) {
		timer_stop(ts, t);
		t->fire(t);
	}
}

void
timers_step(struct timers *ts, struct mono now)
{
	int64_t now_ms = now.ns / NS_PER_MS, next;

	while (ts->now_ms < now_ms) {
		next = next_ms(ts);
		if (next > now_ms) {
			ts->now_ms = now_ms;
			return;
		}
		ts->now_ms = next;
		millisecond_step(ts);
	}
}

int
timers_wait_ms(const struct timers *ts, struct mono now)
{
	int64_t next = next_ms(ts), wait_ms;

	if (next == INT64_MAX)
		return -1;
	/* Rounded up: the kernel's wait must not end before next. */
	wait_ms = (next * NS_PER_MS - now.ns + NS_PER_MS - 1) / NS_PER_MS;
	if (wait_ms < 0)
		return 0;
	return wait_ms > INT32_MAX ? INT32_MAX : (int)wait_ms;
}
