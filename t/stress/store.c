/*
 * t/stress/store.c - kill -9 in the middle of a thousand concurrent writes to
 * the store of godwit-ems: everything acknowledged is there, nothing half.
 * Then the same with a rule broken on purpose, which must be found.
 *
 *   store [-n KILLS] [-t SECONDS] [-s SEED] [-m MUTANT] [-v]
 *
 *   -n, -t   how much, of the run in which nothing is broken, until the first
 *            of them; if neither is given, 60 and 8, since on a busy disk a
 *            death takes long
 *   -s       the seed; it repeats the plan, not where a kill hits
 *   -m       one case only; 0 = nothing is broken
 *
 *   parent ──fork──> writer: store_write × 1,000 in flight, next on answer
 *      │ <──pipe──── each answer
 *      └ kill -9 at any moment, then store_check.c looks at the file
 *
 * Writes are of 1 to 4 of 64 items: creations, changes, deletions; each 16th
 * expects a version that is wrong, each 16th is a lease. Some deaths are while
 * the store opens, and recovers from the death before.
 *
 * What it does not test: a loss of power. The kernel lives on and has every
 * byte that was written, synced or not. That an answer comes after the fsync
 * is seen by t/unit/store_fault.c, which counts them.
 *
 * A mutant stands in front of SQLite's sqlite3_step (ld's --wrap); the program
 * has no switch for it.
 */
#include "t/stress/store.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/clock.h"
#include "shm/log.h"
#include "t/lib/chance.h"
#include "worker/io/loop.h"

enum {
	FLIGHT = 1000, KILLS = 60, MUTANT_KILLS = 300, KILLS_OF_A_FILE = 10,
	KILL_US_MAX = 30000, BODY_MAX = 2000, SECONDS = 8,
};

enum mutant { MUTANT_NONE, MUTANT_EARLY, MUTANT_HALF, MUTANTS };

static const char *const cases[MUTANTS] = {
	[MUTANT_NONE] = "nothing is broken",
	[MUTANT_EARLY] = "a write is answered before it is committed",
	[MUTANT_HALF] = "each change is committed alone",
};

/* ---- mutants */

static enum mutant mutant;	/* of the writer only */

int	__real_sqlite3_step(sqlite3_stmt *q);
int	__wrap_sqlite3_step(sqlite3_stmt *q);

/* COMMIT says done, and is done when the next transaction begins. */
static int
step_early(sqlite3_stmt *q, const char *sql)
{
	static sqlite3_stmt *late;

	if (strcmp(sql, "COMMIT") == 0) {
		late = q;
		return SQLITE_DONE;
	}
	if (strncmp(sql, "BEGIN", 5) == 0 && late != NULL) {
		__real_sqlite3_step(late);
		sqlite3_reset(late);
		late = NULL;
	}
	return __real_sqlite3_step(q);
}

static int
step_half(sqlite3_stmt *q, const char *sql)
{
	int rc;

	if (strstr(sql, " one") != NULL)	/* savepoints */
		return SQLITE_DONE;
	rc = __real_sqlite3_step(q);
	if (strncmp(sql, "INSERT OR REPLACE INTO item", 27) == 0)
		sqlite3_exec(sqlite3_db_handle(q), "COMMIT; BEGIN IMMEDIATE",
		    NULL, NULL, NULL);
	return rc;
}

int
__wrap_sqlite3_step(sqlite3_stmt *q)
{
	switch (mutant) {
	case MUTANT_EARLY:
		return step_early(q, sqlite3_sql(q));
	case MUTANT_HALF:
		return step_half(q, sqlite3_sql(q));
	default:
		return __real_sqlite3_step(q);
	}
}

/* ---- the writer, until it is killed */

struct flying {				/* a submission */
	struct ack	 ack;		/* as it should become */
	struct writer	*writer;
};

struct writer {
	struct loop	 loop;
	struct store	*store;
	struct chance	 chance;
	struct state	 items[ITEMS];	/* as they will be */
	uint64_t	 number;
	int		 pipe;
	struct flying	 flying[FLIGHT];
};

static void	submit(struct writer *w, struct flying *f);

static void
say(const struct writer *w, const struct ack *a)
{
	if (write(w->pipe, a, sizeof(*a)) != (ssize_t)sizeof(*a))
		_exit(3);
}

static void
on_answer(void *arg, const struct store_answer *a)
{
	struct flying *f = arg;

	f->ack.result = (uint32_t)a->result;
	f->ack.revision = a->revision;
	for (size_t i = 0; i < a->versions_n; i++)
		f->ack.versions[i] = a->versions[i];
	say(f->writer, &f->ack);
	submit(f->writer, f);
}

/* One that is not in the write yet. */
static uint32_t
item_pick(struct writer *w, const struct ack *a, uint32_t n)
{
	uint32_t item, i;

	do {
		item = chance_below(&w->chance, ITEMS);
		for (i = 0; i < n && a->items[i] != item; i++)
			;
	} while (i < n);
	return item;
}

static void
change_make(struct writer *w, struct store_change *c, uint32_t item,
    char *name, char *body)
{
	struct state *s = &w->items[item];
	bool deletes = s->live != 0 && chance_below(&w->chance, 8) == 0;
	int n = sprintf(body, "%" PRIu64 " %u ", w->number, item);
	size_t more = chance_below(&w->chance, 16) == 0 ?
	    chance_below(&w->chance, BODY_MAX) : 10;

	memset(body + n, '.', more);
	sprintf(name, "n%u", item);
	*c = (struct store_change){ .noun = store_text("service"),
		.name = store_text(name), .expect_version = s->live,
		.body = { body, (size_t)n + more } };
	if (deletes)
		c->body = store_text(NULL);
}

static void
expect(struct writer *w, const struct store_change *c, uint32_t item)
{
	struct state *s = &w->items[item];

	s->last++;
	s->live = c->body.p == NULL ? 0 : s->last;
}

static void
write_submit(struct writer *w, struct flying *f)
{
	static char names[PARTS_MAX][8], bodies[PARTS_MAX][BODY_MAX + 64];
	struct store_change changes[PARTS_MAX];
	struct ack *a = &f->ack;
	bool wrong = chance_below(&w->chance, 16) == 0;
	char why[48];
	struct store_write write = { .changes = changes,
		.changes_n = 1 + chance_below(&w->chance, PARTS_MAX),
		.who = store_text("stress") };

	a->parts_n = (uint32_t)write.changes_n;
	a->wanted = wrong ? STORE_CONFLICT : STORE_OK;
	for (uint32_t i = 0; i < a->parts_n; i++) {
		a->items[i] = item_pick(w, a, i);
		change_make(w, &changes[i], a->items[i], names[i], bodies[i]);
	}
	if (wrong)
		changes[a->parts_n - 1].expect_version += 100000;
	else
		for (uint32_t i = 0; i < a->parts_n; i++)
			expect(w, &changes[i], a->items[i]);
	sprintf(why, "%" PRIu64 " %u", w->number, a->parts_n);
	write.why = store_text(why);
	if (store_write(w->store, &write, on_answer, f) != 0)
		_exit(3);
}

static void
lease_submit(struct writer *w, struct flying *f)
{
	uint32_t lease = chance_below(&w->chance, LEASES);
	char id[8];
	struct store_lease l = { .epoch = w->number,
		.service = store_text("s"), .address = store_text("::1"),
		.port = 1 };

	sprintf(id, "l%u", lease);
	l.id = store_text(id);
	f->ack.parts_n = 0;
	f->ack.items[0] = lease;
	f->ack.wanted = STORE_OK;
	if (store_lease_put(w->store, &l, on_answer, f) != 0)
		_exit(3);
}

static void
submit(struct writer *w, struct flying *f)
{
	f->writer = w;
	memset(&f->ack, 0, sizeof(f->ack));
	f->ack.number = ++w->number;
	if (chance_below(&w->chance, 16) == 0)
		lease_submit(w, f);
	else
		write_submit(w, f);
}

static void
writer_run(const struct ground *g, uint64_t seed, enum mutant m, int fd)
{
	static struct writer w;
	const struct store_settings set = { .path = g->path };
	char why[512];

	mutant = m;
	w.chance.state = seed;
	w.number = g->number;
	w.pipe = fd;
	memcpy(w.items, g->items, sizeof(w.items));
	loop_init(&w.loop, sys_kernel_new());
	w.store = store_open(&w.loop, &set, why, sizeof(why));
	if (w.store == NULL || why[0] != '\0') {
		fprintf(stderr, "%s\n", why);
		_exit(3);
	}
	for (int i = 0; i < FLIGHT; i++)
		submit(&w, &w.flying[i]);
	loop_run(&w.loop);
}

/* ---- one death */

/* Takes what was acknowledged. False: the end of it. */
static bool
pipe_read(struct ground *g, int fd)
{
	ssize_t n;

	if (g->acks_n == ACKS_MAX)
		abort();
	do
		n = read(fd, &g->acks[g->acks_n], sizeof(struct ack));
	while (n == -1 && errno == EINTR);
	if (n == (ssize_t)sizeof(struct ack))
		g->acks_n++;
	return n == (ssize_t)sizeof(struct ack);
}

/* Until that moment, or until the writer ends by itself. */
static void
pipe_until(struct ground *g, int fd, struct mono until)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int64_t us;

	while ((us = mono_between_us(clock_now(), until)) > 0) {
		struct timespec t = { us / 1000000, us % 1000000 * 1000 };

		if (ppoll(&p, 1, &t, NULL) == 1 && !pipe_read(g, fd))
			return;
	}
}

static bool
death(struct ground *g, enum mutant m, struct chance *c)
{
	uint64_t seed = chance_next(c);
	bool early = chance_below(c, 8) == 0;	/* while it opens */
	int64_t us = chance_below(c, KILL_US_MAX);
	int fds[2], status;
	pid_t pid;

	if (pipe(fds) != 0 || (pid = fork()) == -1)
		abort();
	if (pid == 0) {
		close(fds[0]);
		writer_run(g, seed, m, fds[1]);
		_exit(3);
	}
	close(fds[1]);
	if (early || pipe_read(g, fds[0]))
		pipe_until(g, fds[0], (struct mono){ clock_now().ns +
		    us * 1000 / (early ? 4 : 1) });
	kill(pid, SIGKILL);
	while (pipe_read(g, fds[0]))
		;
	close(fds[0]);
	if (waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status))
		snprintf(g->found, sizeof(g->found), "the writer ended by "
		    "itself");
	return g->found[0] == '\0' && store_check_look(g);
}

/* ---- a case */

struct wish {
	int		 kills, mutant;	/* -1: each */
	int		 seconds;	/* 0: no matter */
	uint64_t	 seed;
	bool		 verbose;
};

static void
file_new(struct ground *g, const char *folder, int n)
{
	uint64_t number = g->number;

	snprintf(g->path, sizeof(g->path), "%s/%d", folder, n);
	memset(g->items, 0, sizeof(g->items));
	memset(g->epochs, 0, sizeof(g->epochs));
	g->revision = g->hash = 0;
	g->number = number;
}

static void
file_remove(const struct ground *g)
{
	static const char *const ends[] = { "", "-wal", "-shm", "-journal",
		".lock" };
	char name[128];

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		snprintf(name, sizeof(name), "%s%s", g->path, ends[i]);
		unlink(name);
	}
}

/* Deaths until one is found out, or it is enough. */
static int
deaths(struct ground *g, const char *folder, const struct wish *w)
{
	struct chance c = { w->seed };
	struct mono until = mono_after_ms(clock_now(), w->seconds * 1000l);
	int n = 0;

	while (n < w->kills && g->found[0] == '\0' &&
	    (w->seconds == 0 || clock_now().ns < until.ns)) {
		if (n % KILLS_OF_A_FILE == 0) {
			file_remove(g);
			file_new(g, folder, n);
		}
		death(g, (enum mutant)w->mutant, &c);
		n++;
	}
	file_remove(g);
	return n;
}

/* Something must have happened, or the rest says nothing. */
static bool
happened(const struct ground *g)
{
	return g->acked > 0 && g->unheard > 0 && g->conflicts > 0 &&
	    g->deletions > 0 && g->leases > 0;
}

static bool
case_run(int m, struct wish w)
{
	char folder[] = "/tmp/godwit-stress-XXXXXX";
	struct ground *g = calloc(1, sizeof(*g));
	struct mono began = clock_now();
	bool good;
	int n;

	if (g == NULL || mkdtemp(folder) == NULL ||
	    (g->acks = calloc(ACKS_MAX, sizeof(*g->acks))) == NULL)
		abort();
	w.mutant = m;
	if (m != MUTANT_NONE) {
		w.kills = MUTANT_KILLS;
		w.seconds = 0;
	}
	n = deaths(g, folder, &w);
	rmdir(folder);
	if (m == MUTANT_NONE && g->found[0] == '\0' && !happened(g))
		strcpy(g->found, "too little happened");
	good = (m != MUTANT_NONE) == (g->found[0] != '\0');
	printf("%s stress store: %s%s\n", good ? "ok    " : "FAILED",
	    cases[m], m == MUTANT_NONE ? "" : good ? ": caught" :
	    ": NOT caught");
	if (g->found[0] != '\0' && (!good || w.verbose))
		printf("    %s, seed %" PRIu64 "\n", g->found, w.seed);
	printf("    %d deaths in %.1f s: %" PRIu64 " writes acknowledged, %"
	    PRIu64 " more there, %" PRIu64 " conflicts, %" PRIu64 " leases; "
	    "opened again in at most %.1f ms\n", n,
	    (double)(clock_now().ns - began.ns) / 1e9, g->acked, g->unheard,
	    g->conflicts, g->leases, g->open_ms_max);
	fflush(stdout);
	free(g->acks);
	free(g);
	return good;
}

static void
usage(void)
{
	fprintf(stderr, "store [-n KILLS] [-t SECONDS] [-s SEED] [-m MUTANT] "
	    "[-v]\n");
	exit(2);
}

int
main(int argc, char **argv)
{
	struct wish w = { .kills = KILLS, .mutant = -1, .seed = 1,
		.seconds = SECONDS };
	int passed = 0, failed = 0, option;

	while ((option = getopt(argc, argv, "n:t:s:m:v")) != -1)
		switch (option) {
		case 'n': w.kills = atoi(optarg); w.seconds = 0; break;
		case 't': w.seconds = atoi(optarg); w.kills = 1 << 30; break;
		case 's': w.seed = strtoull(optarg, NULL, 10); break;
		case 'm': w.mutant = atoi(optarg); break;
		case 'v': w.verbose = true; break;
		default: usage();
		}
	if (w.mutant >= MUTANTS)
		usage();
	log_open("store", LOG_ERROR);
	for (int m = 0; m < MUTANTS; m++)
		if (w.mutant == -1 || w.mutant == m) {
			if (case_run(m, w))
				passed++;
			else
				failed++;
		}
	printf("%d passed, %d failed\n", passed, failed);
	return failed > 0;
}
