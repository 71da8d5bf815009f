/*
 * master/keeper_worker.c - workers: what they live on (rows, wake-ups,
 * sockets), their births and successors. See keeper_state.h.
 */
#include "master/keeper_state.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "shm/log.h"

/* A worker that lived shorter died quickly; so many quick deaths in a row
 * are made up for at once, further ones after a second, two, four... */
enum { QUICK_MS = 10000, QUICK_FREE = 3, BACKOFF_MAX_MS = 30000 };

/* ---- what a worker lives on */

static int
worker_open_slot(struct keeper *k, int slot, char *why, size_t why_len)
{
	struct keeper_worker *w = &k->workers[slot];

	w->child.control_fd = w->row_fd = w->wake_fd = w->stats_fd = -1;
	k->workers_n = slot + 1;
	w->row_fd = row_new((uint32_t)slot, why, why_len);
	if (w->row_fd == -1)
		return -1;
	w->row = row_open(w->row_fd, 1, why, why_len);
	if (w->row == NULL)
		return -1;
	w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->wake_fd == -1)
		return why_set(why, why_len, "eventfd: %s", strerror(errno));
	w->stats_fd = keeper_dir_bind_worker(&k->dir, slot, &k->settings, why,
	    why_len);
	return w->stats_fd == -1 ? -1 : 0;
}

static int
dir_open(struct keeper *k, char *why, size_t why_len)
{
	if (keeper_dir_open(&k->dir, k->settings.run_dir, why, why_len) == -1)
		return -1;
	k->control_fd = keeper_dir_bind_control(&k->dir, why, why_len);
	k->admin_fd = keeper_dir_bind_admin(&k->dir, &k->settings, why,
	    why_len);
	return k->control_fd == -1 || k->admin_fd == -1 ? -1 : 0;
}

static int
listeners_open(struct keeper *k, char *why, size_t why_len)
{
	int slots = keeper_listen_slots((int)k->settings.workers_n);
	char text[LISTEN_ADDRESS_BYTES];

	for (int i = 0; i < k->listeners_n; i++) {
		if (keeper_listen_open(&k->listeners[i], &k->wanted[i], slots,
		    why, why_len) == -1)
			return -1;
		keeper_listen_text(&k->listeners[i].listener, text);
		log_debug("listener %s is bound to %s",
		    k->listeners[i].listener.name, text);
	}
	return 0;
}

static int
master_tell(struct keeper *k, char *why, size_t why_len)
{
	struct control m = { .kind = CONTROL_WORKER };
	int rc = 0, fds[2];

	for (int i = 0; i < k->workers_n && rc == 0; i++) {
		m.slot = (uint32_t)i;
		fds[0] = k->workers[i].row_fd;
		fds[1] = k->workers[i].wake_fd;
		rc = control_send(k->master.control_fd, &m, fds);
	}
	m = (struct control){ .kind = CONTROL_SERVE };
	if (rc == 0)
		rc = control_send(k->master.control_fd, &m, &k->admin_fd);
	if (rc == 0)
		return 0;
	return why_set(why, why_len, "the master can't be told its workers: "
	    "%s", strerror(errno));
}

int
keeper_workers_open(struct keeper *k, char *why, size_t why_len)
{
	if (dir_open(k, why, why_len) == -1 ||
	    listeners_open(k, why, why_len) == -1)
		return -1;
	for (uint32_t i = 0; i < k->settings.workers_n; i++)
		if (worker_open_slot(k, (int)i, why, why_len) == -1)
			return -1;
	if (master_tell(k, why, why_len) == -1)
		return -1;
	for (int i = 0; i < k->workers_n && k->state == KEEPER_WARMING; i++)
		keeper_worker_start(k, i);
	return 0;
}

static void
close_fd(int fd)
{
	if (fd != -1)
		close(fd);
}

void
keeper_workers_close(struct keeper *k)
{
	struct keeper_worker *w;

	for (int i = 0; i < k->workers_n; i++) {
		w = &k->workers[i];
		if (w->row != NULL)
			row_close(w->row);
		close_fd(w->child.control_fd);
		close_fd(w->row_fd);
		close_fd(w->wake_fd);
		close_fd(w->stats_fd);
	}
	k->workers_n = 0;
}

/* ---- births and deaths */

static void
role_fill(struct keeper *k, struct role *r, int slot, int control_fd)
{
	struct keeper_worker *w = &k->workers[slot];

	role_init(r, ROLE_WORKER, (uint32_t)slot);
	r->start.arena_fd = k->arena_fd;
	r->start.row_fd = w->row_fd;
	r->start.control_fd = control_fd;
	r->start.wake_fd = w->wake_fd;
	r->start.stats_fd = w->stats_fd;
	for (int i = 0; i < k->listeners_n; i++)
		keeper_listen_deal(&k->listeners[i], slot, k->workers_n,
		    &r->start);
}

int64_t
keeper_worker_backoff_ms(unsigned deaths_quick)
{
	unsigned over;

	if (deaths_quick <= QUICK_FREE)
		return 0;
	over = deaths_quick - QUICK_FREE - 1;
	return over >= 5 ? BACKOFF_MAX_MS : (int64_t)1000 << over;
}

void
keeper_worker_start(struct keeper *k, int slot)
{
	static char debuggable[] = "--debuggable";
	char *args[2] = { NULL, NULL };
	struct keeper_worker *w = &k->workers[slot];
	struct role r;
	int fds[2];

	w->ready = false;
	w->start_due.ns = 0;
	if (k->options->debuggable)
		args[0] = debuggable;
	if (control_pair(fds) == -1 || control_nonblocking(fds[1]) == -1) {
		log_error("worker %d can't start: %s", slot, strerror(errno));
		keeper_worker_died(k, slot);
		return;
	}
	role_fill(k, &r, slot, fds[1]);
	if (keeper_spawn(k, &w->child, &r, args, fds) == -1)
		keeper_worker_died(k, slot);
}

void
keeper_worker_died(struct keeper *k, int slot)
{
	struct keeper_worker *w = &k->workers[slot];
	int64_t ms;

	row_init(w->row, 0);	/* its gauges end with it; a death, */
	w->row->incarnation--;	/* though, is no birth */
	if (k->state == KEEPER_WARMING) {
		k->exit_code = 1;
		keeper_stop(k);
	}
	if (k->state != KEEPER_SERVING)
		return;
	if (mono_between_ms(w->child.born, k->now) >= QUICK_MS)
		w->deaths_quick = 0;
	ms = keeper_worker_backoff_ms(++w->deaths_quick);
	w->start_due = mono_after_ms(k->now, ms);
	if (ms > 0)
		log_warn("worker %d died %u times in a row within %d s of its "
		    "birth: its successor waits %lld ms", slot,
		    w->deaths_quick, QUICK_MS / 1000, (long long)ms);
}

int64_t
keeper_workers_step(struct keeper *k)
{
	int64_t next = -1, ms;
	struct keeper_worker *w;

	for (int i = 0; i < k->workers_n; i++) {
		w = &k->workers[i];
		if (w->start_due.ns == 0 || k->state != KEEPER_SERVING)
			continue;
		ms = mono_between_ms(k->now, w->start_due);
		if (ms <= 0)
			keeper_worker_start(k, i);
		if (w->start_due.ns != 0) {
			ms = mono_between_ms(k->now, w->start_due) + 1;
			next = next == -1 || ms < next ? ms : next;
		}
	}
	return next;
}

bool
keeper_worker_heard(struct keeper *k, int slot)
{
	struct keeper_worker *w = &k->workers[slot];
	char c = 0;
	ssize_t n = recv(w->child.control_fd, &c, 1, 0);

	if (n == 0 || (n == -1 && errno != EAGAIN && errno != EINTR)) {
		close(w->child.control_fd);	/* its death is reaped */
		w->child.control_fd = -1;
	}
	if (n != 1 || c != WORKER_READY || w->ready)
		return false;
	w->ready = true;
	if (k->state == KEEPER_SERVING)
		log_info("worker %d serves again, as pid %d", slot,
		    (int)w->child.pid);
	for (int i = 0; i < k->workers_n; i++)
		if (!k->workers[i].ready)
			return false;
	return true;
}

int
keeper_workers_alive(const struct keeper *k)
{
	int n = 0;

	for (int i = 0; i < k->workers_n; i++)
		n += k->workers[i].child.pid != 0;
	return n;
}

void
keeper_workers_say(struct keeper *k, enum worker_command c)
{
	char byte = (char)c;

	for (int i = 0; i < k->workers_n; i++)
		if (k->workers[i].child.control_fd != -1)
			(void)send(k->workers[i].child.control_fd, &byte, 1,
			    MSG_NOSIGNAL | MSG_DONTWAIT);
}
