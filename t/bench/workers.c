/* t/bench/workers.c - see workers.h. */
#include "t/bench/workers.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/log.h"
#include "shm/word.h"
#include "t/bench/timing.h"
#include "worker/worker.h"

struct said {				/* a worker, when it announced */
	uint64_t	generation;
	int64_t		ns;
};

/* ---- in the child */

struct teller {
	struct row	*row;
	uint64_t	 told;		/* the last generation that was said */
	int		 fd;
};

/* The top of each of its turns, after the announcement. */
static void
tell(void *arg)
{
	struct teller *t = arg;
	struct said s = { count_get(&t->row->announced),
	    timing_ns(CLOCK_MONOTONIC) };

	if (s.generation == t->told)
		return;
	t->told = s.generation;
	if (write(t->fd, &s, sizeof(s)) != sizeof(s))
		_exit(1);
}

static void
live(const struct workers *w, int slot, const struct image *image, int say_fd)
{
	const struct worker_start start = { .slot = (uint32_t)slot,
	    .arena_fd = image->arena.fd, .secrets_fd = image->secrets.fd,
	    .row_fd = w->row_fds[slot], .common_fd = w->common_fd,
	    .control_fd = -1, .wake_fd = w->wake_fds[slot], .stats_fd = -1 };
	struct teller teller = { w->rows[slot], 0, say_fd };
	struct sys *sys = sys_kernel_new();
	struct worker *worker = NULL;
	char why[256] = "no epoll";

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (sys != NULL)
		worker = worker_open(sys, &start, why, sizeof(why));
	if (worker != NULL)
		worker_run(worker, tell, &teller);
	else
		log_error("%s", why);
	_exit(1);
}

/* ---- in the parent */

static int
child_start(struct workers *w, const struct image *image, int say_fd,
    char *why, size_t why_len)
{
	int slot = w->n;

	w->row_fds[slot] = row_new((uint32_t)slot, why, why_len);
	if (w->row_fds[slot] == -1)
		return -1;
	w->rows[slot] = row_open(w->row_fds[slot], 1, why, why_len);
	if (w->rows[slot] == NULL)
		return -1;
	w->wake_fds[slot] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	row_birth(w->rows[slot]);
	fflush(NULL);			/* or it is printed twice */
	w->pids[slot] = fork();
	if (w->pids[slot] == 0)
		live(w, slot, image, say_fd);
	if (w->pids[slot] == -1)
		return why_set(why, why_len, "fork: %s", strerror(errno));
	w->n++;
	return 0;
}

int
workers_start(struct workers *w, int n, const struct image *image, char *why,
    size_t why_len)
{
	int fds[2], rc = 0;

	w->n = 0;
	w->common_fd = word_new(why, why_len);
	if (w->common_fd == -1)
		return -1;
	if (pipe(fds) == -1)
		return why_set(why, why_len, "pipe: %s", strerror(errno));
	while (w->n < n && rc == 0)
		rc = child_start(w, image, fds[1], why, why_len);
	close(fds[1]);			/* so that the last death is seen */
	w->said_fd = fds[0];
	return rc;
}

void
workers_end(struct workers *w)
{
	for (int i = 0; i < w->n; i++) {
		kill(w->pids[i], SIGKILL);
		waitpid(w->pids[i], NULL, 0);
		row_close(w->rows[i]);
		close(w->row_fds[i]);
		close(w->wake_fds[i]);
	}
	close(w->said_fd);
	close(w->common_fd);
}

void
workers_wake(const struct workers *w)
{
	uint64_t one = 1;
	ssize_t n;

	for (int i = 0; i < w->n; i++) {
		n = write(w->wake_fds[i], &one, sizeof(one));
		(void)n;		/* full: it is awake */
	}
}

int64_t
workers_wait(const struct workers *w, uint64_t generation, char *why,
    size_t why_len)
{
	int64_t last = 0;
	struct said s;

	for (int n = 0; n < w->n; n++) {
		if (read(w->said_fd, &s, sizeof(s)) != sizeof(s))
			return why_set(why, why_len, "the workers died");
		if (s.generation != generation)
			return why_set(why, why_len, "a worker uses "
			    "generation %llu, expected %llu",
			    (unsigned long long)s.generation,
			    (unsigned long long)generation);
		if (s.ns > last)
			last = s.ns;
	}
	if (w->n > 0 && row_oldest(w->rows, w->n) != generation)
		return why_set(why, why_len, "a worker said what its row does "
		    "not say");
	return last;
}
