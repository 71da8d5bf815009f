/*
 * t/unit/latch.c - shm/latch.c: no reader ever gets a torn set, wherever the
 * writer was cut off and whatever it did between two loads.
 *
 * The words of a set are bound by arithmetic, so that no mixture of two sets
 * looks like one. The latch is compiled in here with hooks at every store and
 * load. It can't show that a fence is missing: latch.h argues those.
 */
#include <setjmp.h>

static void	stored(void);
static void	loaded(void);

#define LATCH_STORED() stored()
#define LATCH_LOADED() loaded()
#include "shm/latch.c"

#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

#include "shm/clock.h"

enum {
	PUT_STORES = 2 + 2 * LATCH_WORDS,
	GET_LOADS = 1 + LATCH_WORDS,	/* that a writer can step between */
	TURN_EVEN = 2 + LATCH_WORDS,	/* stores until the second turn */
};

static void
set_fill(uint64_t *words, uint64_t number)
{
	words[0] = number;
	for (int i = 1; i < LATCH_WORDS; i++)
		words[i] = words[i - 1] * 6364136223846793005u + 1;
}

static bool
set_is_whole(const uint64_t *words)
{
	uint64_t want[LATCH_WORDS];

	set_fill(want, words[0]);
	return memcmp(want, words, sizeof(want)) == 0;
}

/* ---- the writer dies after its n-th store */

static _Thread_local jmp_buf dead;
static _Thread_local int stores_left = -1;	/* -1: it lives */
static _Thread_local void (*at_load)(int load);
static _Thread_local int loads;

static void
stored(void)
{
	if (stores_left > 0 && --stores_left == 0)
		longjmp(dead, 1);
}

static void
loaded(void)
{
	if (at_load != NULL)
		at_load(loads++);
}

/* stores 0: dies before the first. False: it came to its end. */
static bool
put_cut(struct latch *l, uint64_t number, int stores)
{
	uint64_t words[LATCH_WORDS];

	set_fill(words, number);
	if (stores == 0)
		return true;
	if (setjmp(dead) == 0) {
		stores_left = stores;
		latch_put(l, words);
		stores_left = -1;
		return false;
	}
	stores_left = -1;
	return true;
}

static void
put(struct latch *l, uint64_t number)
{
	uint64_t words[LATCH_WORDS];

	set_fill(words, number);
	latch_put(l, words);
}

Test(latch, a_writer_cut_off_anywhere_leaves_a_whole_set)
{
	for (int stores = 0; stores <= PUT_STORES; stores++) {
		uint64_t out[LATCH_WORDS], turn = 7;
		struct latch l = { 0 };

		put(&l, 1);
		put(&l, 2);
		cr_assert(put_cut(&l, 3, stores), "a put has %d stores",
		    stores);
		cr_assert(latch_get(&l, out, &turn));
		cr_assert(set_is_whole(out), "torn after %d stores", stores);
		cr_assert_eq(out[0], stores < TURN_EVEN ? 2 : 3,
		    "set %llu after %d stores", (unsigned long long)out[0],
		    stores);
		cr_assert_eq(turn, stores == 0 ? 4 : stores < TURN_EVEN ? 5 :
		    6);
		cr_assert_eq(turn, latch_turn(&l));
	}
	cr_assert_not(put_cut(&(struct latch){ 0 }, 1, PUT_STORES + 1),
	    "a put has more stores than were cut off after");
}

Test(latch, the_first_put_shows_nothing_or_all)
{
	for (int stores = 0; stores <= PUT_STORES; stores++) {
		static const uint64_t nothing[LATCH_WORDS];
		uint64_t out[LATCH_WORDS], turn;
		struct latch l = { 0 };

		put_cut(&l, 1, stores);
		cr_assert(latch_get(&l, out, &turn));
		if (stores < TURN_EVEN)
			cr_assert_arr_eq(out, nothing, sizeof(out));
		else
			cr_assert(out[0] == 1 && set_is_whole(out));
	}
}

/* ---- the writer runs on between two loads */

static struct latch meeting;
static int at, for_stores;		/* where it steps, and how far */

static void
writer_steps(int load)
{
	if (load != at)
		return;
	for (int put_n = 0; put_n * PUT_STORES < for_stores; put_n++)
		put_cut(&meeting, 3 + (uint64_t)put_n,
		    for_stores - put_n * PUT_STORES);
}

/* Every place in a get x every number of stores of two puts there. */
Test(latch, a_reader_overtaken_anywhere_gets_a_whole_set)
{
	int again = 0, cases = 0;

	for (at = 0; at < GET_LOADS; at++)
		for (for_stores = 0; for_stores <= 2 * PUT_STORES;
		    for_stores++) {
			uint64_t out[LATCH_WORDS], turn;

			meeting = (struct latch){ 0 };
			put(&meeting, 1);
			put(&meeting, 2);
			loads = 0;
			at_load = writer_steps;
			cr_assert(latch_get(&meeting, out, &turn));
			at_load = NULL;
			cr_assert(set_is_whole(out),
			    "torn: %d stores after load %d", for_stores, at);
			cr_assert(out[0] >= 2 && out[0] <= 4);
			cr_assert_eq(turn, latch_turn(&meeting));
			again += loads > GET_LOADS;
			cases++;
		}
	/* Whoever is overtaken looks again; who isn't, doesn't. */
	cr_assert_eq(again, cases - GET_LOADS);
}

static void
writer_puts(int load)
{
	put(&meeting, 3 + (uint64_t)load);
}

Test(latch, a_reader_that_is_always_overtaken_gives_up)
{
	uint64_t out[LATCH_WORDS], turn = 7;

	meeting = (struct latch){ 0 };
	put(&meeting, 1);
	loads = 0;
	at_load = writer_puts;
	cr_assert_not(latch_get(&meeting, out, &turn));
	at_load = NULL;
	cr_assert_eq(loads, LATCH_TRIES * GET_LOADS);
	cr_assert_eq(turn, 7, "turn is the reader's until it gets a set");
	cr_assert(latch_get(&meeting, out, &turn));
	cr_assert(set_is_whole(out));
}

/* ---- all at once */

enum { READERS = 3, STRESS_MS = 2000 };

struct reader {
	pthread_t	thread;
	struct latch	*latch;
	uint64_t	 got, lost, torn, backwards, last;
};

static _Atomic bool done;

static void *
read_on(void *arg)
{
	struct reader *r = arg;
	uint64_t out[LATCH_WORDS], turn;

	while (!done) {
		if (!latch_get(r->latch, out, &turn)) {
			r->lost++;
			continue;
		}
		r->got++;
		r->torn += !set_is_whole(out);
		r->backwards += out[0] < r->last;
		r->last = out[0];
	}
	return NULL;
}

/* Bursts, in which readers are overtaken all the time, and rests. */
static uint64_t
write_on(struct latch *l, struct mono until)
{
	uint64_t number = 1;

	while (clock_now().ns < until.ns)
		for (int i = 0; i < 5000; i++)
			if (i < 2500)
				put(l, ++number);
			else
				(void)latch_turn(l);
	return number;
}

Test(latch, one_writer_and_three_readers)
{
	static struct reader readers[READERS];
	struct latch l = { 0 };
	uint64_t puts;

	put(&l, 1);
	for (int i = 0; i < READERS; i++) {
		readers[i].latch = &l;
		cr_assert_eq(pthread_create(&readers[i].thread, NULL, read_on,
		    &readers[i]), 0);
	}
	puts = write_on(&l, mono_after_ms(clock_now(), STRESS_MS));
	done = true;
	for (int i = 0; i < READERS; i++) {
		struct reader *r = &readers[i];

		pthread_join(r->thread, NULL);
		cr_log_info("reader %d: %llu sets whole, %llu times "
		    "overtaken, %llu puts", i, (unsigned long long)r->got,
		    (unsigned long long)r->lost, (unsigned long long)puts);
		cr_assert_eq(r->torn, 0, "%llu of %llu sets are torn",
		    (unsigned long long)r->torn, (unsigned long long)r->got);
		cr_assert_eq(r->backwards, 0);
		cr_assert_gt(r->got, 10000, "hardly anything was read");
	}
	cr_assert_gt(puts, 10000);
}
