/*
 * t/stress/keeper.c - what the keeper does with rows, arenas and children,
 * and who dies when.
 *
 *   master dies   reads all that it still says | a successor, with the arena
 *                 and the file that were said last
 *   worker dies   row_death | row_birth | fork, in the newest arena
 *   MOVED         newborns go there from now on; the living ones are told
 *
 * Again and again, after a random number of publications, so that a slow
 * machine sees the same, or a random time, which hits births too: kill -9 for
 * a worker or the master or both; SIGSTOP for a while for one of them, and
 * sometimes kill -9 then.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "master/control.h"
#include "shm/log.h"
#include "shm/row.h"
#include "t/stress/stress.h"
#include "worker/message.h"

enum {
	MASTER = WORKERS,		/* its place among the children */
	CHILDREN,
	DUE_US_MAX = 16000, DUE_US_LATE = 1000000, DUE_GENERATIONS_MAX = 300,
	STOP_US_MAX = 25000, CALM_S = 30, CALM_MUTANT_S = 2, CALM_MASTERS = 10, LATE_GENERATIONS = 60,
	REAP_MS = 30000,
};

struct child {
	pid_t		pid;		/* 0: none */
	int		control_fd;
	struct mono	continue_due;	/* 0: it is not stopped */
	uint64_t	late_published;	/* MUTANT_ROW_AFTER_FORK; 0: no */
};

struct keeper {
	const struct scenario *scenario;
	struct shared	*shared;
	struct chance	 chance;
	uint64_t	 births;
	char		 folder[64], file[96];
	struct child	 children[CHILDREN];
	struct row	*rows[WORKERS];
	int		 row_fds[WORKERS], wake_fds[WORKERS];
	int		 arena_fd, secrets_fd, kept_fd;	/* said last */
	struct mono	 due;		/* for the next event */
	uint64_t	 due_published;	/* or when so many are */
};

/* The machine refuses something; the children die with us. */
static void
give_up(const char *what)
{
	fprintf(stderr, "keeper: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* ---- births */

static void
child_run(struct keeper *k, int i, int control_fd)
{
	struct seat seat = { .shared = k->shared, .scenario = k->scenario,
	    .file = k->file, .slot = i, .arena_fd = k->arena_fd,
	    .secrets_fd = k->secrets_fd, .kept_fd = k->kept_fd,
	    .control_fd = control_fd };
	char who[32];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* So that each end of file comes when it should. */
	for (int j = 0; j < CHILDREN; j++)
		if (k->children[j].control_fd != -1)
			close(k->children[j].control_fd);
	if (i < WORKERS && k->kept_fd != -1)
		close(k->kept_fd);
	memcpy(seat.row_fds, k->row_fds, sizeof(seat.row_fds));
	memcpy(seat.wake_fds, k->wake_fds, sizeof(seat.wake_fds));
	seat.chance.state = chance_next(&k->chance) ^ k->births;
	snprintf(who, sizeof(who), i == MASTER ? "master" : "worker %d", i);
	log_open(who, LOG_ERROR);
	exit(i == MASTER ? stress_master(&seat) : stress_worker(&seat));
}

static void
birth(struct keeper *k, int i)
{
	struct child *c = &k->children[i];
	bool late = k->scenario->mutant == MUTANT_ROW_AFTER_FORK;
	int fds[2];

	if (i < WORKERS && !late)
		row_birth(k->rows[i]);
	if (pass_pair(fds) == -1 || (i < WORKERS &&
	    pass_nonblocking(fds[1]) == -1))
		give_up("a socket");
	k->births++;
	c->control_fd = fds[0];
	c->continue_due.ns = 0;
	fflush(NULL);
	c->pid = fork();
	if (c->pid == -1)
		give_up("fork");
	if (c->pid == 0)
		child_run(k, i, fds[1]);
	close(fds[1]);
	c->late_published = i < WORKERS && late ? LATE_GENERATIONS +
	    atomic_load(&k->shared->published) : 0;
}

/* ---- words */

static void
moved(struct keeper *k, const int *fds)
{
	const struct message m = { .kind = MESSAGE_REHOME };
	bool first = k->arena_fd == -1;

	if (!first) {
		close(k->arena_fd);
		close(k->secrets_fd);
	}
	k->arena_fd = fds[0];
	k->secrets_fd = fds[1];
	for (int i = 0; i < WORKERS; i++)
		if (k->children[i].control_fd != -1 && message_send(
		    k->children[i].control_fd, &m, fds, 2) == -1 &&
		    errno != EPIPE && errno != ECONNRESET)
			found(k->shared, FOUND_LOST, "worker %d can't be led "
			    "to another arena: %s", i, strerror(errno));
	for (int i = 0; i < WORKERS && first; i++)
		birth(k, i);
}

static void
staged(struct keeper *k, int kept_fd)
{
	if (k->kept_fd != -1)
		close(k->kept_fd);
	k->kept_fd = kept_fd;
	/* A dead one does not hear it. */
	(void)control_say(k->children[MASTER].control_fd, CONTROL_BOUND, "");
}

/* False: its end of the socket is gone. */
static bool
master_hear(struct keeper *k)
{
	int fds[CONTROL_FDS_MAX], got;
	struct control c;

	while ((got = control_receive(k->children[MASTER].control_fd, &c,
	    fds)) == 1)
		if (c.kind == CONTROL_STAGE)
			staged(k, fds[0]);
		else if (c.kind == CONTROL_MOVED)
			moved(k, fds);
	return got == -1 && errno == EAGAIN;
}

static bool
worker_hear(const struct keeper *k, int i)
{
	int fds[PASS_FDS_MAX], got;
	struct message m;

	while ((got = message_receive(k->children[i].control_fd, &m,
	    fds)) == 1)
		;			/* READY */
	return got == -1 && errno == EAGAIN;
}

/* ---- deaths */

static void
status_check(struct keeper *k, int i, int status, bool ours)
{
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL &&
	    (ours || i == MASTER)) {
		k->shared->masters_killed += i == MASTER && ours;
		k->shared->masters_cut += i == MASTER && !ours;
		k->shared->workers_killed += i != MASTER;
		return;
	}
	found(k->shared, FOUND_DEATH, "%s %d died by itself: %s %d",
	    i == MASTER ? "master" : "worker", i,
	    WIFSIGNALED(status) ? "signal" : "exit code",
	    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

/* Pid 0 would be everybody. */
static void
signal_send(const struct child *c, int number)
{
	if (c->pid > 0)
		kill(c->pid, number);
}

/* Its status, once it is dead, which who closed its socket should be soon. */
static int
reap(struct keeper *k, const struct child *c)
{
	pid_t got = 0;
	int status;

	for (int i = 0; i < REAP_MS * 10 && got == 0; i++) {
		got = waitpid(c->pid, &status, WNOHANG);
		if (got == 0)
			sleep_us(100);
	}
	if (got == 0) {
		found(k->shared, FOUND_LOST, "pid %d neither speaks nor "
		    "dies", (int)c->pid);
		signal_send(c, SIGKILL);
		got = waitpid(c->pid, &status, 0);
	}
	if (got != c->pid)
		give_up("wait");
	return status;
}

/* It dies, or died: ours says by whom. Its successor is there afterwards. */
static void
death(struct keeper *k, int i, bool ours)
{
	struct child *c = &k->children[i];
	int status;

	if (c->pid == 0)
		return;			/* something was found already */
	if (ours)
		signal_send(c, SIGKILL);
	status = reap(k, c);
	c->pid = 0;
	status_check(k, i, status, ours);
	if (i == MASTER)
		(void)master_hear(k);
	close(c->control_fd);
	c->control_fd = -1;
	if (i < WORKERS)
		row_death(k->rows[i]);
	if (atomic_load(&k->shared->finding) == FOUND_NOTHING)
		birth(k, i);
}

static void
stop(struct keeper *k, int i)
{
	struct child *c = &k->children[i];

	signal_send(c, SIGSTOP);
	c->continue_due = clock_now();
	c->continue_due.ns += 1000 * (int64_t)chance_below(&k->chance,
	    STOP_US_MAX);
	k->shared->stops++;
}

/* Of 16: how often. */
static void
event(struct keeper *k)
{
	int worker = (int)chance_below(&k->chance, WORKERS);
	uint32_t kind = chance_below(&k->chance, 16);

	if (k->scenario->mutant == MUTANT_NEWBORN ||
	    k->scenario->mutant == MUTANT_ROW_AFTER_FORK ||
	    k->scenario->mutant == MUTANT_NEVER)
		kind = 0;	/* at births; in a master that lives long */
	if (k->arena_fd == -1)
		return;			/* the first one is being born */
	if (kind < 6)
		death(k, worker, true);
	else if (kind < 8)
		death(k, MASTER, true);
	else if (kind < 9) {
		death(k, MASTER, true);
		death(k, worker, true);
	} else if (kind < 14)
		stop(k, worker);
	else
		stop(k, MASTER);
}

/* ---- time */

static void
continue_step(struct keeper *k, bool all)
{
	int64_t now = clock_now().ns;

	for (int i = 0; i < CHILDREN; i++) {
		struct child *c = &k->children[i];

		if (c->continue_due.ns == 0 ||
		    (!all && now < c->continue_due.ns))
			continue;
		c->continue_due.ns = 0;
		if (!all && chance_below(&k->chance, 8) == 0)
			death(k, i, true);
		else
			signal_send(c, SIGCONT);
	}
}

static void
late_step(struct keeper *k)
{
	for (int i = 0; i < WORKERS; i++) {
		struct child *c = &k->children[i];

		if (c->pid == 0 || c->late_published == 0 ||
		    atomic_load(&k->shared->published) < c->late_published)
			continue;
		c->late_published = 0;
		row_birth(k->rows[i]);
	}
}

static void
hear(struct keeper *k, int wait_us)
{
	const struct timespec wait = { .tv_nsec = wait_us * 1000l };
	struct pollfd fds[CHILDREN];

	for (int i = 0; i < CHILDREN; i++)
		fds[i] = (struct pollfd){ .events = POLLIN,
		    .fd = k->children[i].control_fd };
	(void)ppoll(fds, CHILDREN, &wait, NULL);
	if (fds[MASTER].revents != 0 && !master_hear(k))
		death(k, MASTER, false);
	for (int i = 0; i < WORKERS; i++)
		if (fds[i].revents != 0 && k->children[i].control_fd ==
		    fds[i].fd && !worker_hear(k, i))
			death(k, i, false);
}

static void
due_set(struct keeper *k)
{
	bool soon = chance_below(&k->chance, 8) == 0;

	k->due = clock_now();
	k->due.ns += 1000 * (int64_t)(soon ? chance_below(&k->chance,
	    DUE_US_MAX) : DUE_US_LATE);
	k->due_published = atomic_load(&k->shared->published) +
	    chance_below(&k->chance, DUE_GENERATIONS_MAX);
}

static bool
is_due(const struct keeper *k)
{
	return clock_now().ns >= k->due.ns ||
	    atomic_load(&k->shared->published) >= k->due_published;
}

/* Until so much is published, or something is found. */
static void
storm(struct keeper *k)
{
	struct mono until = mono_after_ms(clock_now(),
	    k->scenario->seconds * 1000);

	due_set(k);
	while (atomic_load(&k->shared->finding) == FOUND_NOTHING &&
	    atomic_load(&k->shared->published) < k->scenario->generations &&
	    clock_now().ns < until.ns) {
		hear(k, 200);
		continue_step(k, false);
		late_step(k);
		if (is_due(k)) {
			event(k);
			due_set(k);
		}
	}
}

static void
lost(struct keeper *k, int seconds)
{
	unsigned long long at[WORKERS];

	for (int i = 0; i < WORKERS; i++)
		at[i] = (unsigned long long)count_get(&k->rows[i]->announced);
	found(k->shared, FOUND_LOST, "after %d s of calm the workers use "
	    "%llu %llu %llu %llu", seconds, at[0], at[1], at[2], at[3]);
}

static void
settled_await(struct keeper *k)
{
	int seconds = k->scenario->mutant == MUTANT_NONE ? CALM_S :
	    CALM_MUTANT_S;
	struct mono until = mono_after_ms(clock_now(), seconds * 1000);

	while (!atomic_load(&k->shared->settled) &&
	    atomic_load(&k->shared->finding) == FOUND_NOTHING) {
		hear(k, 1000);
		if (clock_now().ns > until.ns)
			lost(k, seconds);
	}
}

/* Nobody disturbs: with no turns but those that they are woken for, all
 * workers come to the newest generation, round after round, and to each of a
 * few new masters. */
static void
calm(struct keeper *k)
{
	continue_step(k, true);
	atomic_store(&k->shared->quiet, true);
	settled_await(k);
	for (int i = 0; i < CALM_MASTERS &&
	    atomic_load(&k->shared->finding) == FOUND_NOTHING; i++) {
		atomic_store(&k->shared->settled, false);
		death(k, MASTER, true);
		settled_await(k);
	}
}

/* ---- life */

static void
end_one(struct keeper *k, int i, bool good)
{
	struct child *c = &k->children[i];
	int status;

	if (c->pid == 0)
		return;
	if (!good)
		signal_send(c, SIGKILL);
	else if (i < WORKERS)
		(void)message_say(c->control_fd, MESSAGE_STOP);
	else
		(void)control_say(c->control_fd, CONTROL_BOUND, "");
	status = reap(k, c);
	if (good && status != 0)
		found(k->shared, FOUND_DEATH, "%s %d ended with %s %d",
		    i == MASTER ? "master" : "worker", i,
		    WIFSIGNALED(status) ? "signal" : "exit code",
		    WIFSIGNALED(status) ? WTERMSIG(status) :
		    WEXITSTATUS(status));
	c->pid = 0;
	close(c->control_fd);
	c->control_fd = -1;
}

static void
keeper_open(struct keeper *k)
{
	char why[256];

	strcpy(k->folder, "/tmp/godwit-stress-XXXXXX");
	if (mkdtemp(k->folder) == NULL)
		give_up(k->folder);
	snprintf(k->file, sizeof(k->file), "%s/conf.yaml", k->folder);
	k->arena_fd = k->secrets_fd = k->kept_fd = -1;
	for (int i = 0; i < CHILDREN; i++)
		k->children[i].control_fd = -1;
	for (int i = 0; i < WORKERS; i++) {
		k->row_fds[i] = row_new((uint32_t)i, why, sizeof(why));
		k->rows[i] = row_open(k->row_fds[i], 1, why, sizeof(why));
		k->wake_fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (k->rows[i] == NULL || k->wake_fds[i] == -1)
			give_up("a row");
	}
}

static void
keeper_close(struct keeper *k)
{
	char beside[128];

	for (int i = 0; i < WORKERS; i++) {
		row_close(k->rows[i]);
		close(k->row_fds[i]);
		close(k->wake_fds[i]);
	}
	if (k->arena_fd != -1) {
		close(k->arena_fd);
		close(k->secrets_fd);
	}
	if (k->kept_fd != -1)
		close(k->kept_fd);
	snprintf(beside, sizeof(beside), "%s.new", k->file);
	unlink(beside);
	unlink(k->file);
	rmdir(k->folder);
}

void
stress_run(const struct scenario *scenario, struct shared *s)
{
	struct keeper k = { .scenario = scenario, .shared = s,
	    .chance = { scenario->seed } };
	int64_t begun = clock_now().ns;
	bool good;

	keeper_open(&k);
	birth(&k, MASTER);
	storm(&k);
	if (atomic_load(&s->finding) == FOUND_NOTHING)
		calm(&k);
	s->ns = clock_now().ns - begun;
	good = atomic_load(&s->finding) == FOUND_NOTHING;
	for (int i = CHILDREN - 1; i >= 0; i--)
		end_one(&k, i, good);
	keeper_close(&k);
}
