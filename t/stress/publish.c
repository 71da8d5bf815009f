/*
 * t/stress/publish.c - shared memory under real processes that die: the
 * master publishes as fast as it can, workers read all of it, kill -9 and
 * SIGSTOP come at any moment. Then the same with a rule broken on purpose,
 * which must be found.
 *
 *   publish [-n GENERATIONS] [-t SECONDS] [-s SEED] [-m MUTANT] [-v]
 *
 *   -n, -t   how much, of the run in which nothing is broken: until so many
 *            are published, or for so long
 *   -s       the seed; it repeats the plan, not how the processes meet
 *   -m       one case only; 0 = nothing is broken
 *
 *       publish.c ── keeper.c ──fork──> master.c: generations, latch, reclaim
 *                        │    ──fork──> worker.c × 4: the real worker
 *                        └ kill -9, SIGSTOP; rows, arenas
 *
 * What is real: shm/, master/generations.c and all below it, the worker with
 * its loop. What is not: the keeper, because it should do nothing but kill,
 * and the exec. t/model/ has the same rules in every order, t/mesh/ has the
 * whole program.
 *
 * It ends in a calm: nobody dies or is stopped, and each burst of publications,
 * and each of a few new masters, must reach workers that do nothing but wait.
 *
 * Measured on two cores that others kept busy (load 20), 300,000 generations in
 * 238 s: 579 deaths of masters, 173 of them between two stores of a
 * publication, 987 of workers; the longest stall 11 ms, mostly under 1 ms; 1.7
 * MB of arena for 35 KB live, because lazy reclaim held 1.7 MB. Mutants are
 * found within some 100 to 2,000 generations.
 *
 * A mutant is in the test, in front of the code or instead of a call of it
 * (ld's --wrap); the program has no switch for it.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "shm/clock.h"
#include "shm/log.h"
#include "t/stress/stress.h"

enum { MUTANT_SECONDS = 60 };

static const char *const findings[] = {
	[FOUND_NOTHING] = "nothing", [FOUND_TORN] = "torn",
	[FOUND_BACK] = "back", [FOUND_DEATH] = "death",
	[FOUND_ROOM] = "room", [FOUND_STALL] = "stall",
	[FOUND_LOST] = "lost",
};

/* also: what it may be found by, when that comes first. */
static const struct {
	const char	*text;
	enum finding	 by, also;
} cases[MUTANTS] = {
	[MUTANT_NONE] = { "nothing is broken", FOUND_NOTHING, FOUND_NOTHING },
	[MUTANT_ONE_TOO_MANY] = { "reclaim lets go of the oldest that is "
	    "announced", FOUND_TORN, FOUND_DEATH },
	[MUTANT_NEWBORN] = { "reclaim ignores who has not announced yet",
	    FOUND_TORN, FOUND_DEATH },
	[MUTANT_HOME_AT_ONCE] = { "the old arena goes as soon as the new one "
	    "is there", FOUND_TORN, FOUND_DEATH },
	[MUTANT_NEVER] = { "nothing is ever let go", FOUND_ROOM, FOUND_ROOM },
	[MUTANT_WAKE_FIRST] = { "workers are woken, then it is published",
	    FOUND_LOST, FOUND_LOST },
	[MUTANT_ANNOUNCE_NEWEST] = { "a worker announces what it is about to "
	    "take", FOUND_TORN, FOUND_DEATH },
	[MUTANT_KEEP_ADDRESS] = { "a worker keeps an address over the end of "
	    "a turn", FOUND_TORN, FOUND_DEATH },
	[MUTANT_WAIT] = { "a worker waits for a master in the middle of a "
	    "publication", FOUND_STALL, FOUND_STALL },
	[MUTANT_ROW_AFTER_FORK] = { "a row comes to life after its worker",
	    FOUND_TORN, FOUND_DEATH },
};

/* ---- what the others use */

void
found(struct shared *s, enum finding finding, const char *fmt, ...)
{
	int nothing = FOUND_NOTHING;
	char why[sizeof(s->why)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	if (atomic_compare_exchange_strong(&s->finding, &nothing,
	    (int)finding))
		memcpy(s->why, why, sizeof(why));
}

void
sleep_us(uint32_t us)
{
	const struct timespec t = { us / 1000000, us % 1000000 * 1000l };

	nanosleep(&t, NULL);
}

void
await_published(struct shared *s, uint32_t n, int ms_max)
{
	struct mono until = mono_after_ms(clock_now(), ms_max);
	uint64_t to = atomic_load(&s->published) + n;

	while (atomic_load(&s->published) < to && !atomic_load(&s->quiet) &&
	    atomic_load(&s->finding) == FOUND_NOTHING &&
	    clock_now().ns < until.ns)
		sleep_us(100);
}

/* ---- a case */

static void
figures_print(const struct shared *s)
{
	uint64_t walks = 0, moves = 0, unknown = 0, turns = 0;
	int64_t stall = 0, wall = 0;
	double seconds = (double)s->ns / 1e9;

	for (int i = 0; i < WORKERS; i++) {
		walks += s->slots[i].walks;
		moves += s->slots[i].moves;
		turns += s->slots[i].turns;
		unknown += s->slots[i].unknown;
		if (s->slots[i].stall_ns > stall)
			stall = s->slots[i].stall_ns;
		if (s->slots[i].wall_ns > wall)
			wall = s->slots[i].wall_ns;
	}
	printf("    %llu generations in %.1f s, %.0f a second; %llu reloads, "
	    "%llu compactions\n", (unsigned long long)s->published, seconds,
	    (double)s->published / seconds, (unsigned long long)s->reloads,
	    (unsigned long long)s->compactions);
	printf("    kill -9: %llu masters, %llu more between two stores of a "
	    "publication, %llu workers; %llu stops\n",
	    (unsigned long long)s->masters_killed,
	    (unsigned long long)s->masters_cut,
	    (unsigned long long)s->workers_killed,
	    (unsigned long long)s->stops);
	printf("    %llu turns, %llu reads (%llu of what is long forgotten), "
	    "%llu moves; longest stall %.3f ms (%.3f ms by the clock)\n",
	    (unsigned long long)turns, (unsigned long long)walks,
	    (unsigned long long)unknown, (unsigned long long)moves,
	    (double)stall / 1e6, (double)wall / 1e6);
	printf("    arena: at most %llu KiB used, %llu KiB live, %llu KiB "
	    "held for workers; %.0f %% of the limit\n",
	    (unsigned long long)s->used_bytes >> 10,
	    (unsigned long long)s->live_bytes >> 10,
	    (unsigned long long)s->pinned_bytes >> 10, s->room * 100);
}

/* Something must have happened, or the rest says nothing. */
static bool
happened(const struct shared *s)
{
	return s->published > 0 && s->masters_killed > 0 &&
	    s->workers_killed > 0 && s->stops > 0 && s->slots[0].walks > 0;
}

static bool
case_run(const struct scenario *scenario, bool verbose)
{
	struct shared *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int m = scenario->mutant, is;
	bool good;

	if (s == MAP_FAILED)
		abort();
	stress_run(scenario, s);
	is = atomic_load(&s->finding);
	/* What was written over while it is read may also look older. */
	good = is == (int)cases[m].by || is == (int)cases[m].also ||
	    (cases[m].by == FOUND_TORN && is == FOUND_BACK);
	if (m == MUTANT_NONE && good && !happened(s)) {
		good = false;
		snprintf(s->why, sizeof(s->why), "too little happened");
	}
	if (m == MUTANT_NONE)
		printf("%s stress %s\n", good ? "ok    " : "FAILED",
		    cases[m].text);
	else
		printf("%s stress mutant %d %s after %.2f s and %llu "
		    "generations: %s\n", good ? "ok    " : "FAILED", m,
		    good ? "caught" : "NOT caught", (double)s->ns / 1e9,
		    (unsigned long long)s->published, cases[m].text);
	if (!good || verbose)
		printf("    %s%s%s, seed %llu\n", findings[is],
		    s->why[0] == '\0' ? "" : ": ", s->why,
		    (unsigned long long)scenario->seed);
	if (!good || verbose || m == MUTANT_NONE)
		figures_print(s);
	fflush(stdout);
	munmap(s, sizeof(*s));
	return good;
}

int
main(int argc, char **argv)
{
	struct scenario scenario = { .seed = 1, .generations = 15000, .seconds = 60 };
	int only = -1, c, passed = 0, failed = 0;
	bool verbose = false;

	while ((c = getopt(argc, argv, "n:t:s:m:v")) != -1)
		switch (c) {
		case 'n': scenario.generations = strtoull(optarg, NULL, 0); break;
		case 't': scenario.seconds = atoi(optarg); break;
		case 's': scenario.seed = strtoull(optarg, NULL, 0); break;
		case 'm': only = atoi(optarg); break;
		case 'v': verbose = true; break;
		default: return 2;
		}
	log_open("stress", LOG_ERROR);
	for (int m = 0; m < MUTANTS; m++) {
		struct scenario p = scenario;

		if (only != -1 && only != m)
			continue;
		p.mutant = (enum mutant)m;
		if (m != MUTANT_NONE) {
			/* What only shows in the end should end. */
			p.generations = m == MUTANT_WAKE_FIRST ? 1000 :
			    UINT64_MAX;
			p.seconds = MUTANT_SECONDS;
		}
		if (case_run(&p, verbose))
			passed++;
		else
			failed++;
	}
	printf("%d passed, %d failed\n", passed, failed);
	return failed != 0;
}
