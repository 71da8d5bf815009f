/* master/keeper.c - see keeper.h. */
#include "master/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "master/keeper_state.h"
#include "shm/log.h"
#include "shm/title.h"

/* The place of each descriptor in the poll array. */
enum {
	POLL_SIGNALS, POLL_MASTER, POLL_CONTROL, POLL_CLIENTS,
	POLL_WORKERS = POLL_CLIENTS + KEEPER_CLIENTS,
	POLL_N = POLL_WORKERS + CONTROL_WORKERS_MAX,
};

/* Drained workers end by their own clock; this is for those that don't. */
enum { DRAIN_SLACK_MS = 1000 };

/* For the control plane's answer to what leaves (registration.c), and what
 * comes after it. */
enum { LEAVE_MS = 3000 };

/* A worker whose queue was full is told again. */
enum { DEAL_AGAIN_MS = 50 };

/* A child that lived shorter died quickly; so many quick deaths in a row are
 * made up for at once, further ones after a second, two, four... */
enum { QUICK_MS = 1000, QUICK_FREE = 3, BACKOFF_MAX_MS = 30000 };

/* ---- children */

/* In the child. */
static void
become(const struct keeper *k, const struct role *r, char *const *args)
{
	char name[32];
	const char *what;

	role_exec(r, k->state == KEEPER_STARTING ? NULL : &k->settings, args,
	    &what);
	role_name(r, name, sizeof(name));
	log_error("%s can't start: %s: %s", name, what, strerror(errno));
	_exit(127);
}

int
keeper_spawn(struct keeper *k, struct child *c, const struct role *r,
    char *const *args, int fds[2])
{
	char name[32];
	pid_t pid = fork();

	if (pid == 0)
		become(k, r, args);
	close(fds[1]);
	if (pid == -1) {
		role_name(r, name, sizeof(name));
		log_error("%s can't start: fork: %s", name, strerror(errno));
		close(fds[0]);
		return -1;
	}
	c->pid = pid;
	c->control_fd = fds[0];
	c->born = k->now;
	return 0;
}

void
keeper_child_close(struct child *c)
{
	if (c->control_fd != -1)
		close(c->control_fd);
	c->control_fd = -1;
}

int64_t
keeper_backoff_ms(unsigned deaths_quick)
{
	unsigned over;

	if (deaths_quick <= QUICK_FREE)
		return 0;
	over = deaths_quick - QUICK_FREE - 1;
	return over >= 5 ? BACKOFF_MAX_MS : (int64_t)1000 << over;
}

int64_t
keeper_child_died(struct keeper *k, struct child *c)
{
	int64_t ms;

	if (mono_between_ms(c->born, k->now) >= QUICK_MS)
		c->deaths_quick = 0;
	ms = keeper_backoff_ms(++c->deaths_quick);
	c->start_due = mono_after_ms(k->now, ms);
	return ms;
}

/* ---- phases */

void
keeper_fail(struct keeper *k, const char *why)
{
	log_error("%s", why);
	k->exit_code = 1;
	keeper_stop(k);
}

void
keeper_status(const struct keeper *k, char *out, size_t out_len)
{
	const struct keeper_listen *g;
	char text[LISTEN_ADDRESS_BYTES];
	size_t n = 0;
	int workers, ready;

	out[0] = '\0';
	for (g = k->listeners; g < k->listeners + KEEPER_LISTENERS &&
	    n < out_len; g++) {
		if (g->fds_n == 0)
			continue;
		keeper_listen_text(&g->listener, text);
		n += (size_t)snprintf(out + n, out_len - n, "%s %s, ",
		    g->listener.name, text);
	}
	workers = keeper_workers_wanted(k, &ready);
	if (n < out_len)
		snprintf(out + n, out_len - n, "%d worker%s, generation %llu",
		    workers, workers == 1 ? "" : "s",
		    (unsigned long long)k->generation);
}

const char *
keeper_state_name(const struct keeper *k)
{
	static const char *const names[] = { "starting", "starting",
		"serving", "leaving", "draining", "stopping" };

	return names[k->state];
}

void
keeper_title(const struct keeper *k)
{
	char doing[128];
	int ready;

	snprintf(doing, sizeof(doing), "%s, %d workers, generation %llu",
	    keeper_state_name(k), keeper_workers_wanted(k, &ready),
	    (unsigned long long)k->generation);
	title_set("keeper", doing);
}

void
keeper_serve(struct keeper *k)
{
	char status[1024];

	k->state = KEEPER_SERVING;
	keeper_status(k, status, sizeof(status));
	log_info("godwit is serving: %s, run_dir %s", status, k->dir.path);
	notify_ready(&k->notify, status);
	keeper_title(k);
	keeper_reload_next(k);
}

bool
keeper_is_serving(const struct keeper *k)
{
	return k->state == KEEPER_SERVING || k->state == KEEPER_LEAVING;
}

static int64_t
drain_ms(const struct keeper *k)
{
	return (int64_t)k->settings.drain_time_ms + DRAIN_SLACK_MS;
}

static void
drain_begin(struct keeper *k)
{
	int64_t ms = drain_ms(k);

	k->state = KEEPER_DRAINING;
	k->due = mono_after_ms(k->now, ms);
	log_info("draining: ends with the last stream, at the latest in "
	    "%u ms", k->settings.drain_time_ms);
	notify_stopping(&k->notify, ms + KEEPER_KILL_MS);
	keeper_workers_say(k, MESSAGE_DRAIN);
	/* With the workers' own, which they close when their queues are
	 * empty, these were the last: new callers are refused. */
	keeper_sockets_close(k);
	keeper_title(k);
}

/* Who is sent here by the control plane is sent elsewhere first. */
void
keeper_drain(struct keeper *k)
{
	if (k->state < KEEPER_SERVING)
		keeper_stop(k);
	if (k->state != KEEPER_SERVING)
		return;
	if (k->settings.registers_n == 0 || !keeper_master_leave(k)) {
		drain_begin(k);
		return;
	}
	k->state = KEEPER_LEAVING;
	k->due = mono_after_ms(k->now, LEAVE_MS);
	log_info("leaving: what is registered is deregistered first");
	notify_stopping(&k->notify, LEAVE_MS + drain_ms(k) + KEEPER_KILL_MS);
	keeper_title(k);
}

void
keeper_left(struct keeper *k)
{
	if (k->state == KEEPER_LEAVING)
		drain_begin(k);
}

void
keeper_stop(struct keeper *k)
{
	if (k->state == KEEPER_STOPPING)
		return;
	if (k->state < KEEPER_DRAINING)
		notify_stopping(&k->notify, KEEPER_KILL_MS);
	k->state = KEEPER_STOPPING;
	k->due = mono_after_ms(k->now, KEEPER_KILL_MS);
	keeper_workers_say(k, MESSAGE_STOP);
	keeper_child_close(&k->master);
	keeper_title(k);
}

/* What does not end by itself. */
static void
kill_all(struct keeper *k)
{
	struct child *c;

	for (int i = 0; i < k->workers_n; i++) {
		c = &k->workers[i].child;
		if (c->pid == 0)
			continue;
		log_warn("worker %d, pid %d, does not stop: killed", i,
		    (int)c->pid);
		kill(c->pid, SIGKILL);
		k->exit_code = 1;
	}
	if (k->master.pid != 0)
		kill(k->master.pid, SIGKILL);
	k->due = mono_after_ms(k->now, KEEPER_KILL_MS);
}

/* Milliseconds until it must be called again; -1: when something happens. */
static int64_t
end_step(struct keeper *k)
{
	if (k->state < KEEPER_LEAVING)
		return -1;
	if (k->state == KEEPER_LEAVING) {
		if (mono_between_ms(k->now, k->due) > 0)
			return mono_between_ms(k->now, k->due) + 1;
		log_warn("the master did not deregister in time: draining");
		drain_begin(k);
	}
	if (keeper_workers_alive(k) == 0) {
		keeper_stop(k);
		if (k->master.pid == 0) {
			k->over = true;
			return 0;
		}
	}
	if (mono_between_ms(k->now, k->due) <= 0) {
		if (k->state == KEEPER_DRAINING) {
			log_warn("the drain time is over: what is still open "
			    "is cut");
			keeper_stop(k);
		} else
			kill_all(k);
	}
	return mono_between_ms(k->now, k->due) + 1;
}

/* ---- the log's file */

int
keeper_log_open(struct keeper *k, char *why, size_t why_len)
{
	const char *file = k->settings.log_file;
	const struct message m = { .kind = MESSAGE_REOPEN };
	int fd, child;

	fd = file[0] == '\0' ? dup(k->stderr_fd) : open(file, O_WRONLY |
	    O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
	if (fd == -1)
		return why_set(why, why_len, "the setting log_file: %s can't "
		    "be opened: %s", file, strerror(errno));
	for (int i = 0; i < k->workers_n; i++) {
		child = k->workers[i].child.control_fd;
		if (child != -1)
			(void)message_send(child, &m, &fd, 1);
	}
	if (k->master.control_fd != -1)
		(void)control_send(k->master.control_fd,
		    &(struct control){ .kind = CONTROL_REOPEN }, &fd);
	log_reopen(fd);
	memcpy(k->log_file, file, sizeof(k->log_file));
	return 0;
}

/* ---- deaths */

static void
status_text(int status, char *out, size_t out_len)
{
	if (WIFSIGNALED(status))
		snprintf(out, out_len, "killed by signal %d, %s",
		    WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		snprintf(out, out_len, "exit status %d", WEXITSTATUS(status));
}

static void
worker_dead(struct keeper *k, int slot, int status)
{
	struct keeper_worker *w = &k->workers[slot];
	char how[96], last[256];
	int pid = (int)w->child.pid;

	keeper_child_close(&w->child);
	w->child.pid = 0;
	status_text(status, how, sizeof(how));
	last_text(w->row, last, sizeof(last));
	if (status == 0 && (k->state >= KEEPER_DRAINING ||
	    w->kill_due.ns != 0))
		log_info("worker %d, pid %d, is done", slot, pid);
	else
		log_error("worker %d, pid %d, died: %s%s%s", slot, pid, how,
		    last[0] == '\0' ? "" : ", ", last);
	keeper_worker_died(k, slot);
}

static void
master_dead(struct keeper *k, int status)
{
	char how[96];

	status_text(status, how, sizeof(how));
	keeper_master_died(k, how, WIFSIGNALED(status));
}

static void
reap(struct keeper *k)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == k->master.pid)
			master_dead(k, status);
		for (int i = 0; i < k->workers_n; i++)
			if (pid == k->workers[i].child.pid)
				worker_dead(k, i, status);
	}
}

/* ---- signals */

static const int signals[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1,
	SIGUSR2, SIGCHLD };

static int
signals_open(void)
{
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaddset(&set, signals[i]);
	if (sigprocmask(SIG_BLOCK, &set, NULL) == -1)
		return -1;
	/* Ours and our children's: a write that can't be is an error. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void
signal_take(struct keeper *k, int number)
{
	char why[512];

	switch (number) {
	case SIGCHLD:
		reap(k);
		break;
	case SIGHUP:
		keeper_reload_ask(k);
		break;
	case SIGTERM: case SIGQUIT:
		if (k->state >= KEEPER_LEAVING)
			keeper_stop(k);
		else
			keeper_drain(k);
		break;
	case SIGINT:
		keeper_stop(k);
		break;
	case SIGUSR1:
		if (keeper_log_open(k, why, sizeof(why)) == 0)
			log_info("the log was reopened");
		else
			log_error("%s", why);
		break;
	default:
		log_warn("%s: godwit can't upgrade itself in place yet",
		    strsignal(number));
	}
}

static void
signals_heard(struct keeper *k)
{
	struct signalfd_siginfo s;

	while (read(k->signal_fd, &s, sizeof(s)) == sizeof(s))
		signal_take(k, (int)s.ssi_signo);
}

/* ---- the loop */

static void
poll_fill(const struct keeper *k, struct pollfd *p)
{
	for (int i = 0; i < POLL_N; i++)
		p[i] = (struct pollfd){ .fd = -1, .events = POLLIN };
	p[POLL_SIGNALS].fd = k->signal_fd;
	p[POLL_MASTER].fd = k->master.control_fd;
	p[POLL_CONTROL].fd = k->control_fd;
	for (int i = 0; i < KEEPER_CLIENTS; i++)
		p[POLL_CLIENTS + i].fd = k->clients[i].fd;
	for (int i = 0; i < k->workers_n; i++)
		p[POLL_WORKERS + i].fd = k->workers[i].child.control_fd;
}

/* Signals come last: what a child said before it died is heard first. */
static void
poll_take(struct keeper *k, const struct pollfd *p)
{
	if (p[POLL_MASTER].revents != 0)
		keeper_master_heard(k);
	for (int i = 0; i < k->workers_n; i++)
		if (p[POLL_WORKERS + i].revents != 0 &&
		    k->workers[i].child.control_fd != -1)
			keeper_worker_heard(k, i);
	for (int i = 0; i < KEEPER_CLIENTS; i++)
		if (p[POLL_CLIENTS + i].revents != 0)
			keeper_client_heard(k, &k->clients[i]);
	if (p[POLL_CONTROL].revents != 0)
		keeper_client_accept(k);
	if (p[POLL_SIGNALS].revents != 0)
		signals_heard(k);
}

int64_t
keeper_sooner(int64_t a, int64_t b)
{
	if (a == -1 || b == -1)
		return a == -1 ? b : a;
	return a < b ? a : b;
}

/* What is due. Milliseconds until something is again; -1: nothing is. */
static int
due_step(struct keeper *k)
{
	int64_t ms = end_step(k);

	ms = keeper_sooner(ms, keeper_workers_step(k));
	ms = keeper_sooner(ms, keeper_master_step(k));
	ms = keeper_sooner(ms, keeper_watch_step(k));
	ms = keeper_sooner(ms, notify_step(&k->notify, k->now));
	if (keeper_sockets_due(k)) {
		keeper_sockets_deal(k);
		ms = keeper_sooner(ms, DEAL_AGAIN_MS);
	}
	if (ms < 0)
		return -1;
	return ms > 60000 ? 60000 : (int)ms;
}

static void
turn(struct keeper *k)
{
	struct pollfd p[POLL_N];
	int n, ms;

	k->now = clock_now();
	ms = due_step(k);
	if (k->over)
		return;
	poll_fill(k, p);
	n = poll(p, POLL_N, ms);
	k->now = clock_now();
	if (n > 0)
		poll_take(k, p);
}

/* ---- life */

/* Each listener takes LISTEN_SLOTS descriptors here, each call two in a
 * worker. */
static void
descriptors_raise(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
		r.rlim_cur = r.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &r);
	}
}

static int
keeper_open(struct keeper *k)
{
	k->now = k->born = clock_now();
	k->arena_fd = k->secrets_fd = k->kept_fd = k->journal_fd =
	    k->control_fd = -1;
	k->common_fd = -1;
	k->admin_fd = k->dir.lock_fd = -1;
	k->stderr_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	k->master.control_fd = -1;
	for (int i = 0; i < KEEPER_CLIENTS; i++)
		k->clients[i].fd = -1;
	descriptors_raise();
	notify_open(&k->notify, k->now);
	k->signal_fd = signals_open();
	if (k->signal_fd == -1) {
		log_error("signalfd: %s", strerror(errno));
		return -1;
	}
	return keeper_master_start(k);
}

static void
keeper_close(struct keeper *k)
{
	keeper_sockets_close(k);
	keeper_workers_close(k);
	keeper_dir_close(&k->dir);
	keeper_clients_close(k);	/* after the folder is free again */
	if (k->control_fd != -1)
		close(k->control_fd);
	if (k->admin_fd != -1)
		close(k->admin_fd);
	if (k->arena_fd != -1)
		close(k->arena_fd);
	if (k->secrets_fd != -1)
		close(k->secrets_fd);
	if (k->kept_fd != -1)
		close(k->kept_fd);
	if (k->journal_fd != -1)
		close(k->journal_fd);
	if (k->signal_fd != -1)
		close(k->signal_fd);
	notify_close(&k->notify);
}

int
keeper_run(const struct options *o, char *const *argv)
{
	struct keeper *k = calloc(1, sizeof(*k));
	bool served;
	int rc;

	log_open("keeper", LOG_INFO);
	title_set("keeper", "starting");
	if (k == NULL) {
		log_error("no memory");
		return 1;
	}
	k->options = o;
	k->argv = argv;
	k->over = keeper_open(k) == -1;
	k->exit_code = k->over;
	while (!k->over)
		turn(k);
	served = k->generation > 0;
	keeper_close(k);
	rc = k->exit_code;
	free(k);
	if (served && rc == 0)
		log_info("godwit is down");
	return rc;
}
