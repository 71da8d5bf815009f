/*
 * t/sim/sim.c - a client, a worker and a backend in one process, by seed: runs
 * schedules (world.h) and says which of them ended as they must not.
 *
 *   sim [--schedules N] [--processes N]      seeds 1..N; one process per core
 *   sim --seed N [-v]                        one of them again, as a story
 *   sim --first                              the first that is not good
 *   sim --reached [--schedules N]            what calls ended with, in all
 *
 * Each process has its own range of seeds, its own arena and its own worker.
 * Now and then a seed runs twice: the same seed must give the same trace, or
 * no failure could be looked at. See README.md.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/log.h"
#include "t/sim/world.h"

enum { TWICE_ONE_IN = 32, PROCESSES_MAX = 64, SCHEDULE_S = 60 };

#if defined(__SANITIZE_ADDRESS__)
enum { SCHEDULES = 2500 };		/* each takes some times longer */
#else
enum { SCHEDULES = 10000 };
#endif

static struct world world;

/* What was reached: a cause that no schedule has is one that nothing here
 * tests. */
static uint64_t causes[ROW_CAUSES], statuses, calls, tries, probes,
	held_max;

static void
tally(const struct world *w)
{
	for (int i = 0; i < ROW_CAUSES; i++)
		causes[i] += count_get(&w->row->cause[i]);
	for (int i = 0; i < w->calls_n; i++) {
		calls++;
		tries += (uint64_t)w->calls[i].tries_n;
		statuses += w->calls[i].answer.ended &&
		    w->calls[i].cause[0] == '\0';
	}
	probes += (uint64_t)w->probes_n;
	if (w->held_bytes_max > held_max)
		held_max = w->held_bytes_max;
}

static void
tally_print(void)
{
	printf("%" PRIu64 " calls, %" PRIu64 " tries, %" PRIu64 " ended by "
	    "the service, %" PRIu64 " connections audited, at most %" PRIu64
	    " bytes held\n", calls, tries, statuses, probes, held_max);
	for (int i = 0; i < worker_causes_n; i++)
		if (causes[i] > 0)
			printf("%10" PRIu64 " %s\n", causes[i],
			    worker_causes[i]);
}

static uint64_t
schedule_run(struct generations_made *m, uint64_t seed, bool verbose)
{
	world_open(&world, m, seed, verbose);
	world_play(&world);
	tally(&world);
	world_close(&world);
	return world.net.trace;
}

/* Whether it ended as it must. */
static bool
seed_run(struct generations_made *m, uint64_t seed, bool verbose)
{
	uint64_t trace, again;

	alarm(SCHEDULE_S);		/* a loop without an end is a crash */
	again = trace = schedule_run(m, seed, verbose);
	if (world.wrong[0] == '\0' && seed % TWICE_ONE_IN == 0)
		again = schedule_run(m, seed, false);
	if (again != trace)
		world_wrong(&world, "a second run went elsewhere");
	if (verbose || world.wrong[0] != '\0')
		printf("seed %" PRIu64 " (%s): %s\n"
		    "    again: build/t/sim/sim --seed %" PRIu64 " -v\n",
		    seed, world_kind(&world), world.wrong[0] == '\0' ?
		    "good" : world.wrong, seed);
	return world.wrong[0] == '\0';
}

/* What a process did so far, where its parent sees it too. */
struct range {
	uint64_t	seed, last, step, good;
	bool		stops;		/* at the first that is not good */
};

/* Every step-th seed of the range that is left. */
static void
range_run(struct range *r, bool verbose)
{
	static struct generations_made made;

	generations_make(&made, verbose);
	for (; r->seed <= r->last; r->seed += r->step) {
		if (seed_run(&made, r->seed, verbose))
			r->good++;
		else if (r->stops)
			break;
	}
	generations_close(&made.g);
}

static pid_t
child_start(struct range *r)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid != 0)
		return pid;
	range_run(r, false);
	exit(0);
}

/* One whose seed crashed goes on behind it, in another process. */
static void
child_wait(struct range *r, pid_t *pids, int processes)
{
	int status, i = 0;
	pid_t pid = wait(&status);

	while (i < processes - 1 && pids[i] != pid)
		i++;
	if (WIFEXITED(status))
		return;
	printf("seed %" PRIu64 ": crashed\n"
	    "    again: build/t/sim/sim --seed %" PRIu64 " -v\n", r[i].seed,
	    r[i].seed);
	r[i].seed += r[i].step;
	if (r[i].stops)
		return;
	pids[i] = child_start(&r[i]);
	child_wait(r, pids, processes);
}

struct ask {
	uint64_t	seed, schedules;	/* seed 0: all of them */
	int		processes;
	bool		verbose, first, reached;
};

static uint64_t
processes_run(const struct ask *a)
{
	int processes = a->first ? 1 : a->processes;
	struct range *r = mmap(NULL, sizeof(*r) * PROCESSES_MAX, PROT_READ |
	    PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pids[PROCESSES_MAX];
	uint64_t good = 0;

	if (r == MAP_FAILED)
		abort();
	for (int i = 0; i < processes; i++) {
		r[i] = (struct range){ 1 + (uint64_t)i, a->schedules,
		    (uint64_t)processes, 0, a->first };
		pids[i] = child_start(&r[i]);
	}
	for (int i = 0; i < processes; i++)
		child_wait(r, pids, processes);
	for (int i = 0; i < processes; i++)
		good += r[i].good;
	return good;
}

static int
cores(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n < 1 ? 1 : n > PROCESSES_MAX ? PROCESSES_MAX : (int)n;
}

static void
ask_read(struct ask *a, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "-v") == 0 ||
		    strcmp(argv[i], "--verbose") == 0)
			a->verbose = true;
		else if (strcmp(argv[i], "--reached") == 0)
			a->reached = true;
		else if (strcmp(argv[i], "--first") == 0)
			a->first = true;
		else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
			a->seed = strtoull(argv[++i], NULL, 0);
		else if (strcmp(argv[i], "--schedules") == 0 && i + 1 < argc)
			a->schedules = strtoull(argv[++i], NULL, 0);
		else if (strcmp(argv[i], "--processes") == 0 && i + 1 < argc)
			a->processes = atoi(argv[++i]);
	}
	if (a->processes < 1 || a->processes > PROCESSES_MAX)
		a->processes = 1;
	if (a->seed != 0)
		a->schedules = 1;
}

int
main(int argc, char **argv)
{
	struct ask a = { .schedules = SCHEDULES, .processes = cores() };
	struct range all;
	uint64_t good;

	setlinebuf(stdout);		/* what a crash would take away */
	log_open("sim", LOG_ERROR);
	ask_read(&a, argc, argv);
	all = (struct range){ a.seed != 0 ? a.seed : 1,
	    a.seed != 0 ? a.seed : a.schedules, 1, 0, a.first };
	if (a.seed != 0 || a.reached) {
		range_run(&all, a.verbose);
		good = all.good;
	} else
		good = processes_run(&a);
	if (a.reached)
		tally_print();
	printf("%" PRIu64 " passed, %" PRIu64 " failed\n", good,
	    a.schedules - good);
	return good != a.schedules;
}
