/*
 * t/unit/timer.c - worker/io/timer.c: against a list that is searched from
 * end to end, at the edges of every level, and from within fire.
 */
#include "worker/io/timer.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "t/lib/unit_process.h"
#include "worker/io/loop.h"

static struct timers wheel;
static struct mono now;
static int fired_n;

static struct mono
at_us(int64_t us)
{
	return (struct mono){ us * 1000 };
}

static void
count_fire(struct timer *t)
{
	cr_assert_not(timer_started(t));
	fired_n++;
}

/* ---- one timer */

/* Waits as a loop does. Returns when t fired; *wakes: how often it woke. */
static struct mono
wait_for(struct timer *t, int *wakes)
{
	int wait_ms;

	for (*wakes = 0; timer_started(t); ++*wakes) {
		wait_ms = timers_wait_ms(&wheel, now);
		cr_assert_geq(wait_ms, 0);
		now.ns += (int64_t)wait_ms * 1000000;
		timers_step(&wheel, now);
	}
	return now;
}

Test(timer, fires_on_time_and_wakes_seldom)
{
	/* One wake a level, and one each 18 hours. */
	static const struct { int64_t ms; int wakes; } cases[] = {
		{ 0, 1 }, { 1, 1 }, { 2, 1 }, { 63, 1 }, { 64, 1 }, { 65, 1 },
		{ 254, 1 }, { 255, 2 }, { 256, 2 }, { 257, 2 }, { 1000, 2 },
		{ 15000, 2 }, { 16383, 3 }, { 16384, 3 }, { 60000, 3 },
		{ 1048575, 4 }, { 1048576, 4 }, { 3600000, 4 },
		{ 67108863, 5 }, { 67108864, 5 },
		{ (int64_t)7 * 86400000, 4 + 10 },
	};
	/* Where now is within the wheel, and within a millisecond. */
	static const int64_t starts_us[] = { 0, 1, 999, 1000, 255000, 255999,
	    256000, 16383999, 16384000, 1048575000, 1048576001, 67108863999,
	    67108864000, 1234567890123 };
	int wakes;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t j = 0; j < sizeof(starts_us) / sizeof(int64_t);
		    j++) {
			struct timer t = { .fire = count_fire };
			struct mono end, due;

			now = at_us(starts_us[j]);
			due = mono_after_ms(now, cases[i].ms);
			timers_init(&wheel, now);
			cr_assert_eq(timers_wait_ms(&wheel, now), -1);
			timer_start(&wheel, &t, now, cases[i].ms);
			end = wait_for(&t, &wakes);
			cr_assert_geq(end.ns, due.ns, "%lld ms from %lld us: "
			    "early by %lld ns", (long long)cases[i].ms,
			    (long long)starts_us[j],
			    (long long)(due.ns - end.ns));
			cr_assert_lt(end.ns, due.ns + 2000000,
			    "%lld ms from %lld us: late by %lld ns",
			    (long long)cases[i].ms, (long long)starts_us[j],
			    (long long)(end.ns - due.ns));
			cr_assert_leq(wakes, cases[i].wakes,
			    "%lld ms from %lld us: %d wakes",
			    (long long)cases[i].ms, (long long)starts_us[j],
			    wakes);
			cr_assert_eq(timers_wait_ms(&wheel, now), -1);
		}
}

Test(timer, a_stopped_one_wakes_nobody)
{
	static const int64_t ms[] = { 0, 5, 255, 256, 20000, 2000000,
	    1000000000, INT64_MAX };
	struct timer a = { .fire = count_fire }, b = { .fire = count_fire };

	now = at_us(123456);
	timers_init(&wheel, now);
	for (size_t i = 0; i < sizeof(ms) / sizeof(ms[0]); i++) {
		timer_start(&wheel, &a, now, ms[i]);
		timer_start(&wheel, &b, now, ms[i]);
		cr_assert_geq(timers_wait_ms(&wheel, now), 0);
		cr_assert_geq(a.due_ms, 123 + (ms[i] < INT32_MAX ? ms[i] :
		    INT32_MAX));
		timer_stop(&wheel, &b);
		cr_assert(timer_started(&a) && !timer_started(&b));
		cr_assert_geq(timers_wait_ms(&wheel, now), 0);
		timer_stop(&wheel, &a);
		timer_stop(&wheel, &a);
		cr_assert_eq(timers_wait_ms(&wheel, now), -1, "%lld ms",
		    (long long)ms[i]);
	}
	timer_start(&wheel, &a, now, 1000000);
	timer_start(&wheel, &a, now, 3);
	cr_assert_eq(timers_wait_ms(&wheel, mono_after_ms(now, 50)), 0,
	    "it is due since long, and nobody stepped");
	timer_start(&wheel, &b, now, -5);
	timers_step(&wheel, mono_after_ms(now, 10));
	cr_assert_eq(fired_n, 2, "one moved, one long due");
	cr_assert_eq(timers_wait_ms(&wheel, now), -1);
}

/* ---- fire starts and stops */

static struct timer self, victim, heir;

static void
self_fire(struct timer *t)
{
	if (++fired_n < 5)
		timer_start(&wheel, t, now, 0);
}

static void
killer_fire(struct timer *t)
{
	(void)t;
	fired_n++;
	timer_stop(&wheel, &victim);
	timer_start(&wheel, &heir, now, 0);
}

Test(timer, fire_may_start_and_stop_any)
{
	now = at_us(7000);
	timers_init(&wheel, now);
	self.fire = self_fire;
	timer_start(&wheel, &self, now, 0);
	for (int i = 1; i <= 5; i++) {
		now.ns += 1000000;
		timers_step(&wheel, now);
		cr_assert_eq(fired_n, i, "again in the next millisecond, and "
		    "not in this one for ever");
	}
	cr_assert_not(timer_started(&self));

	/* Both are due in one millisecond; whichever fires first, the other
	 * is off its list, which is being walked. */
	for (int first = 0; first < 2; first++) {
		struct timer killer = { .fire = killer_fire };
		struct timer rest = { .fire = count_fire };

		fired_n = 0;
		victim.fire = heir.fire = count_fire;
		timer_start(&wheel, first ? &killer : &victim, now, 3);
		timer_start(&wheel, &rest, now, 3);
		timer_start(&wheel, first ? &victim : &killer, now, 3);
		now.ns += 3000000;
		timers_step(&wheel, now);
		cr_assert_not(timer_started(&victim));
		cr_assert(timer_started(&heir));
		cr_assert(fired_n == 2 || fired_n == 3);
		now.ns += 1000000;
		timers_step(&wheel, now);
		cr_assert_not(timer_started(&heir));
	}
}

/* ---- against the naive */

enum { TIMERS = 300, OPERATIONS = 100000 };

static struct naive {
	struct timer	timer;
	int64_t		due_ms;		/* -1: not started */
} all[TIMERS];
static int64_t step_ms, last_ms;

static void	naive_start(struct naive *n);

static void
naive_fire(struct timer *t)
{
	struct naive *n = CONTAINER(t, struct naive, timer);

	cr_assert_neq(n->due_ms, -1, "it was not started");
	cr_assert_geq(n->due_ms, last_ms, "out of order");
	cr_assert_leq(n->due_ms, step_ms, "early");
	last_ms = n->due_ms;
	n->due_ms = -1;
	fired_n++;
	/* Some start or stop one, itself too: as callbacks do. */
	n = &all[unit_random() % TIMERS];
	switch (unit_random() % 4) {
	case 0:
		timer_stop(&wheel, &n->timer);
		n->due_ms = -1;
		break;
	case 1:
		naive_start(n);
	}
}

static void
naive_start(struct naive *n)
{
	/* Mostly near, but every level; 2^1 to 2^30 ms. */
	int64_t ms = (int64_t)(unit_random() %
	    ((uint64_t)2 << unit_random() % 30));

	timer_start(&wheel, &n->timer, now, ms);
	n->due_ms = (now.ns + 999999) / 1000000 + ms;
	if (n->due_ms <= wheel.now_ms)
		n->due_ms = wheel.now_ms + 1;
}

static int64_t
naive_next_ms(void)
{
	int64_t next = -1;

	for (int i = 0; i < TIMERS; i++)
		if (all[i].due_ms != -1 &&
		    (next == -1 || all[i].due_ms < next))
			next = all[i].due_ms;
	return next;
}

/* Nothing that is due is left, and the wait is what the header says. */
static void
naive_check(void)
{
	int64_t next = naive_next_ms(), wait_ms;
	int wait = timers_wait_ms(&wheel, now);

	if (next == -1) {
		cr_assert_eq(wait, -1);
		return;
	}
	cr_assert_gt(next, now.ns / 1000000, "left behind");
	wait_ms = (next * 1000000 - now.ns + 999999) / 1000000;
	cr_assert_geq(wait, 0);
	cr_assert_leq(wait, wait_ms, "it would oversleep");
	if (next - wheel.now_ms <= 255 - wheel.now_ms % 256)
		cr_assert_eq(wait, wait_ms, "near, and not exact");
}

static void
naive_step(void)
{
	/* Mostly a moment; sometimes as long as the loop would sleep. */
	switch (unit_random() % 8) {
	case 0:
	case 1:
		now.ns += (int64_t)(unit_random() % 3000000);
		break;
	case 2:
		now.ns += (int64_t)(unit_random() % 1000) * 1000000;
		break;
	case 3:			/* the machine stood still */
		now.ns += (int64_t)(unit_random() % 100001) * 1000000;
		break;
	default:
		if (timers_wait_ms(&wheel, now) > 0)
			now.ns += timers_wait_ms(&wheel, now) *
			    (int64_t)1000000;
	}
	step_ms = now.ns / 1000000;
	last_ms = 0;
	timers_step(&wheel, now);
	naive_check();
}

Test(timer, like_a_list)
{
	int started = 0;

	now = at_us(unit_random() % 100000000);
	timers_init(&wheel, now);
	for (int i = 0; i < TIMERS; i++) {
		all[i].timer.fire = naive_fire;
		all[i].due_ms = -1;
	}
	for (int i = 0; i < OPERATIONS; i++) {
		struct naive *n = &all[unit_random() % TIMERS];

		switch (unit_random() % 4) {
		case 0:
			naive_step();
			break;
		case 1:
			timer_stop(&wheel, &n->timer);
			n->due_ms = -1;
			break;
		default:
			naive_start(n);
			started++;
		}
		cr_assert_eq(timer_started(&n->timer), n->due_ms != -1);
	}
	cr_log_info("%d started, %d fired", started, fired_n);
	cr_assert_gt(fired_n, OPERATIONS / 20, "hardly any fired");
	while (naive_next_ms() != -1)
		naive_step();
	cr_assert_eq(timers_wait_ms(&wheel, now), -1);
}
