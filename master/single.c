/*
 * master/single.c - see single.h.
 *
 *   signal ──> a flag, the eventfd ──> the worker's next turn ──> single_top
 */
#include "master/single.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "master/generations.h"
#include "master/keeper_dir.h"
#include "master/keeper_listen.h"
#include "shm/log.h"
#include "shm/row.h"
#include "worker/worker.h"

struct single {
	struct generations generations;
	struct control_settings settings;
	struct keeper_dir dir;
	struct sys	*sys;
	struct row	*row;
	struct worker	*worker;
	struct worker_start start;
	struct keeper_listen	 listeners[LISTENERS_MAX];
	int		 listeners_n;
	bool		 draining;
};

/* All a signal handler can reach. */
static volatile sig_atomic_t reload_wanted, drains_wanted, stop_wanted;
static volatile sig_atomic_t wake_fd = -1;

static void
signal_take(int number)
{
	uint64_t one = 1;
	int saved = errno;
	ssize_t n;

	if (number == SIGHUP)
		reload_wanted = 1;
	else if (number == SIGINT)
		stop_wanted = 1;
	else
		drains_wanted++;
	n = write(wake_fd, &one, sizeof(one));
	(void)n;
	errno = saved;
}

static void
signals_open(int fd)
{
	static const int taken[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };
	struct sigaction a = { .sa_handler = signal_take,
		.sa_flags = SA_RESTART };

	wake_fd = fd;
	sigfillset(&a.sa_mask);
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		sigaction(taken[i], &a, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGUSR1, SIG_IGN);
	signal(SIGUSR2, SIG_IGN);
}

static void
reload(struct single *s)
{
	char why[1024], text[256];
	uint64_t one = 1;
	ssize_t n;

	if (generations_next(&s->generations, why, sizeof(why)) == -1) {
		generations_text(&s->generations, text, sizeof(text));
		log_error("reload refused: %s; what stays is %s", why, text);
		return;
	}
	generations_text(&s->generations, text, sizeof(text));
	log_info("%s", text);
	n = write(s->start.wake_fd, &one, sizeof(one));	/* one more turn */
	(void)n;
}

/* The top of each of the worker's turns. */
static void
single_top(void *arg)
{
	struct single *s = arg;

	if (reload_wanted) {
		reload_wanted = 0;
		reload(s);
	}
	if (drains_wanted > 0 && !s->draining) {
		s->draining = true;
		log_info("draining: ends with the last stream, at the latest "
		    "in %lld ms", (long long)s->generations.conf.drain_time_ms);
		worker_drain(s->worker);
	}
	if (stop_wanted || drains_wanted > 1)
		worker_stop(s->worker);
}

/* ---- life */

static int
listeners_open(struct single *s, char *why, size_t why_len)
{
	char text[LISTEN_ADDRESS_BYTES];
	struct control_listener l;
	struct keeper_listen *at;

	for (int i = 0; i < s->generations.newest.listeners_n; i++) {
		generations_listener(&s->generations, i, &l);
		at = &s->listeners[i];
		if (keeper_listen_open(at, &l, 1, why, why_len) == -1)
			return -1;
		s->listeners_n++;
		keeper_listen_deal(at, 0, 1, &s->start);
		keeper_listen_text(&at->listener, text);
		log_info("listener %s: %s", l.name, text);
	}
	return 0;
}

static int
row_make(struct single *s, char *why, size_t why_len)
{
	s->start.row_fd = row_new(0, why, why_len);
	if (s->start.row_fd == -1)
		return -1;
	s->row = row_open(s->start.row_fd, 1, why, why_len);
	if (s->row == NULL)
		return -1;
	row_init(s->row, (uint32_t)getpid());
	return 0;
}

static int
worker_make(struct single *s, char *why, size_t why_len)
{
	s->start.arena_fd = s->generations.arena.fd;
	s->start.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	s->sys = sys_kernel_new();
	if (s->sys == NULL || s->start.wake_fd == -1)
		return why_set(why, why_len, "epoll: %s", strerror(errno));
	s->worker = worker_open(s->sys, &s->start, why, why_len);
	return s->worker == NULL ? -1 : 0;
}

static int
single_open(struct single *s, const struct options *o, char *why,
    size_t why_len)
{
	if (generations_open(&s->generations, o, why, why_len) == -1 ||
	    generations_settings(&s->generations, &s->settings, why,
	    why_len) == -1)
		return -1;
	log_level_set((enum log_level)s->settings.log_level);
	s->settings.user_set = 0;
	if (generations_first(&s->generations, why, why_len) == -1 ||
	    keeper_dir_open(&s->dir, s->settings.run_dir, why,
	    why_len) == -1 ||
	    listeners_open(s, why, why_len) == -1 ||
	    row_make(s, why, why_len) == -1)
		return -1;
	s->start.stats_fd = keeper_dir_bind_worker(&s->dir, 0, &s->settings,
	    why, why_len);
	if (s->start.stats_fd == -1)
		return -1;
	return worker_make(s, why, why_len);
}

static void
single_close(struct single *s)
{
	const int fds[] = { s->start.row_fd, s->start.wake_fd,
		s->start.stats_fd };

	if (s->worker != NULL)
		worker_close(s->worker);
	wake_fd = -1;
	if (s->sys != NULL)
		sys_kernel_free(s->sys);
	for (int i = 0; i < s->listeners_n; i++)
		keeper_listen_close(&s->listeners[i]);
	if (s->row != NULL)
		row_close(s->row);
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] != -1)
			close(fds[i]);
	keeper_dir_close(&s->dir);
	generations_close(&s->generations);
	free(s);
}

int
single_run(const struct options *o)
{
	struct single *s = calloc(1, sizeof(*s));
	char why[1024], text[256];
	int rc = 0;

	log_open("single", LOG_INFO);
	if (s == NULL) {
		log_error("no memory");
		return 1;
	}
	s->generations.arena.fd = s->dir.lock_fd = -1;
	s->start.row_fd = s->start.control_fd = s->start.wake_fd =
	    s->start.stats_fd = -1;
	if (single_open(s, o, why, sizeof(why)) == 0) {
		signals_open(s->start.wake_fd);
		generations_text(&s->generations, text, sizeof(text));
		log_info("godwit is serving in one process: %s, run_dir %s",
		    text, s->dir.path);
		worker_run(s->worker, single_top, s);
	} else {
		log_error("%s", why);
		rc = 1;
	}
	single_close(s);
	return rc;
}
