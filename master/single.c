/*
 * master/single.c - see single.h.
 *
 *   signal ──> a flag, the eventfd ──> the worker's next turn ──> single_top
 */
#include "master/single.h"

#include <errno.h>
#include <fcntl.h>
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
	uint64_t	 settled;	/* the worker was seen to use it */
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
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGUSR1, SIG_IGN);
	signal(SIGUSR2, SIG_IGN);
}

/* ---- listeners: bound before the generation that names them */

static struct keeper_listen *
listener_find(struct single *s, const struct control_listener *l)
{
	struct keeper_listen *at;

	for (at = s->listeners; at < s->listeners + LISTENERS_MAX; at++)
		if (at->fds_n > 0 && at->listener.slot == l->slot &&
		    at->listener.tag == l->tag)
			return at;
	return NULL;
}

static int
listener_open(struct single *s, const struct control_listener *l, char *why,
    size_t why_len)
{
	struct worker_socket socket = { .group = l->slot,
	    .listener = l->slot, .tag = l->tag };
	struct keeper_listen *at = &s->listeners[l->slot];
	char text[LISTEN_ADDRESS_BYTES];

	if (listener_find(s, l) != NULL)
		return 0;
	if (keeper_listen_open(at, l, 1, why, why_len) == -1)
		return -1;
	keeper_listen_text(&at->listener, text);
	log_info("listener %s: %s", l->name, text);
	socket.fd = fcntl(at->fds[0], F_DUPFD_CLOEXEC, 3);
	return worker_listen(s->worker, &socket, why, why_len);
}

static void
listener_close(struct single *s, struct keeper_listen *at)
{
	worker_unlisten(s->worker, at->listener.slot, 0);
	keeper_listen_close(at);
}

/* Those of the staged generation are open; on -1 (why) those that were fresh
 * are closed again. */
static int
listeners_open(struct single *s, char *why, size_t why_len)
{
	int n = generations_listeners_n(&s->generations), rc = 0;
	struct control_listener l;
	struct keeper_listen *at;

	for (int i = 0; i < n && rc == 0; i++) {
		generations_listener(&s->generations, i, &l);
		rc = listener_open(s, &l, why, why_len);
	}
	for (at = s->listeners; at < s->listeners + LISTENERS_MAX; at++) {
		if (rc == -1 && at->fds_n > 0 && at->fresh)
			listener_close(s, at);
		at->fresh = false;
	}
	return rc;
}

static bool
named(const struct single *s, const struct keeper_listen *at)
{
	return block_listener_find(&s->generations.image.arena,
	    generations_root(&s->generations), at->listener.slot,
	    at->listener.tag) != NULL;
}

/* After the worker's turn with the new generation. */
static void
listeners_prune(struct single *s)
{
	struct keeper_listen *at;

	for (at = s->listeners; at < s->listeners + LISTENERS_MAX; at++)
		if (at->fds_n > 0 && !named(s, at))
			listener_close(s, at);
}

/* ---- what signals ask for */

/* Publishes the next generation. -1: why. */
static int
next(struct single *s, char *why, size_t why_len)
{
	if (generations_stage(&s->generations, NULL, why, why_len) == -1)
		return -1;
	if (listeners_open(s, why, why_len) == -1) {
		generations_drop(&s->generations);
		return -1;
	}
	generations_publish(&s->generations);
	return 0;
}

static void
reload(struct single *s)
{
	char why[1024], text[256];
	uint64_t one = 1;
	ssize_t n;

	if (next(s, why, sizeof(why)) == -1) {
		generations_text(&s->generations, text, sizeof(text));
		log_error("reload refused: %s; what stays is %s", why, text);
		return;
	}
	generations_text(&s->generations, text, sizeof(text));
	log_info("%s", text);
	n = write(s->start.wake_fd, &one, sizeof(one));	/* one more turn */
	(void)n;
}

/* What is not read any more: this is the only reader, at its top. */
static void
room(struct single *s)
{
	uint64_t oldest = row_oldest(&s->row, 1);

	if (oldest < s->generations.newest.generation.number ||
	    oldest == s->settled)
		return;
	s->settled = oldest;
	generations_reclaim(&s->generations, oldest);
	listeners_prune(s);
}

/* The top of each of the worker's turns. */
static void
single_top(void *arg)
{
	struct single *s = arg;

	room(s);
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

static void
name_wanted(void *arg, enum resource_kind kind, const char *name, bool on)
{
	(void)arg;
	if (kind == RESOURCE_NAME && on)
		log_warn("host name %.*s is not resolved: godwit -1 does not; "
		    "its endpoints are missing", (int)strcspn(name, " "),
		    name);
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
	row_birth(s->row);
	return 0;
}

static int
worker_make(struct single *s, char *why, size_t why_len)
{
	/* The worker's own. */
	s->start.arena_fd = fcntl(s->generations.image.arena.fd,
	    F_DUPFD_CLOEXEC, 3);
	s->start.secrets_fd = fcntl(s->generations.image.secrets.fd,
	    F_DUPFD_CLOEXEC, 3);
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
	int opened = generations_open(&s->generations, o, why, why_len);

	s->generations.check_tls = true;
	if (opened == -1)
		return -1;
	resources_want(s->generations.resources, name_wanted, NULL);
	if (generations_stage(&s->generations, NULL, why, why_len) == -1 ||
	    generations_settings(&s->generations, &s->settings, why,
	    why_len) == -1)
		return -1;
	log_level_set((enum log_level)s->settings.log_level);
	s->settings.user_set = 0;
	if (keeper_dir_open(&s->dir, s->settings.run_dir, why, why_len) ==
	    -1 || row_make(s, why, why_len) == -1)
		return -1;
	s->start.stats_fd = keeper_dir_bind_worker(&s->dir, 0, &s->settings,
	    why, why_len);
	if (s->start.stats_fd == -1)
		return -1;
	if (worker_make(s, why, why_len) == -1 ||
	    listeners_open(s, why, why_len) == -1)
		return -1;
	generations_publish(&s->generations);
	return 0;
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
	for (int i = 0; i < LISTENERS_MAX; i++)
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
	s->generations.image.arena.fd = s->dir.lock_fd = -1;
	s->generations.image.secrets.fd = s->generations.before.arena.fd =
	    s->generations.before.secrets.fd =
	    s->generations.kept_secrets.fd = -1;
	s->start.common_fd = s->start.row_fd = s->start.control_fd = s->start.wake_fd =
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
