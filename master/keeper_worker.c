/*
 * master/keeper_worker.c - workers: what they live on (rows, wake-ups, a
 * socket for statistics), how many there are, their births and successors.
 * See keeper_state.h.
 */
#include "master/keeper_state.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "shm/log.h"

/* A leaving worker ends by its own clock; this is for one that doesn't. */
enum { LEAVE_SLACK_MS = 1000 };

/* ---- what a worker lives on */

static int
slot_open(struct keeper *k, int slot, char *why, size_t why_len)
{
	struct keeper_worker *w = &k->workers[slot];

	*w = (struct keeper_worker){ .child.control_fd = -1, .row_fd = -1,
	    .wake_fd = -1, .stats_fd = -1 };
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

static void
close_fd(int fd)
{
	if (fd != -1)
		close(fd);
}

static void
slot_close(struct keeper_worker *w)
{
	if (w->row != NULL)
		row_close(w->row);
	w->row = NULL;
	close_fd(w->child.control_fd);
	close_fd(w->row_fd);
	close_fd(w->wake_fd);
	close_fd(w->stats_fd);
}

/* They outlive masters and workers. */
static int
common_open(struct keeper *k, char *why, size_t why_len)
{
	k->common_fd = word_new(why, why_len);
	if (k->common_fd == -1)
		return -1;
	k->words = word_open(k->common_fd, why, why_len);
	return k->words == NULL ? -1 : 0;
}

/* Slots that a worker could be born in; those of the leaving are not free
 * before they left. */
static int
slots_free(const struct keeper *k)
{
	int n = 0;

	for (int i = 0; i < k->workers_n; i++)
		n += k->workers[i].kill_due.ns == 0;
	return n;
}

int
keeper_workers_open(struct keeper *k, int n, char *why, size_t why_len)
{
	int before = k->workers_n;

	if (k->words == NULL && common_open(k, why, why_len) == -1)
		return -1;
	while (slots_free(k) < n) {
		if (k->workers_n == CONTROL_WORKERS_MAX)
			return why_set(why, why_len, "%d workers are asked "
			    "for while %d are leaving, expected %d at once: "
			    "try again when they are gone", n, k->workers_n -
			    slots_free(k), CONTROL_WORKERS_MAX);
		if (slot_open(k, k->workers_n, why, why_len) == -1)
			break;
	}
	if (slots_free(k) >= n)
		return 0;
	while (k->workers_n > before)
		slot_close(&k->workers[--k->workers_n]);
	return -1;
}

void
keeper_workers_close(struct keeper *k)
{
	for (int i = 0; i < k->workers_n; i++)
		slot_close(&k->workers[i]);
	k->workers_n = 0;
	if (k->words != NULL)
		word_close(k->words);
	close_fd(k->common_fd);
}

/* ---- births */

static void
role_fill(const struct keeper *k, struct role *r, int slot, int control_fd)
{
	const struct keeper_worker *w = &k->workers[slot];

	role_init(r, ROLE_WORKER, (uint32_t)slot);
	r->start.arena_fd = k->arena_fd;
	r->start.secrets_fd = k->secrets_fd;
	r->start.common_fd = k->common_fd;
	r->start.row_fd = w->row_fd;
	r->start.control_fd = control_fd;
	r->start.wake_fd = w->wake_fd;
	r->start.stats_fd = w->stats_fd;
}

static void
start(struct keeper *k, int slot)
{
	static char debuggable[] = "--debuggable";
	char *args[2] = { NULL, NULL };
	struct keeper_worker *w = &k->workers[slot];
	struct role r;
	int fds[2];

	w->ready = w->alarmed = false;
	w->asked.ns = w->child.start_due.ns = 0;
	if (k->options->debuggable)
		args[0] = debuggable;
	row_birth(w->row);
	if (pass_pair(fds) == -1 || pass_nonblocking(fds[1]) == -1) {
		log_error("worker %d can't start: %s", slot, strerror(errno));
		keeper_worker_died(k, slot);
		return;
	}
	role_fill(k, &r, slot, fds[1]);
	if (keeper_spawn(k, &w->child, &r, args, fds) == -1)
		keeper_worker_died(k, slot);
	else
		w->serving = true;	/* its sockets wait with it */
}

/* ---- how many */

/* No new callers; what it has ends, or is cut when the drain time is over. */
static void
leave(struct keeper *k, int slot)
{
	struct keeper_worker *w = &k->workers[slot];

	w->wanted = w->serving = false;
	w->child.start_due.ns = 0;
	if (w->child.pid == 0)
		return;
	w->kill_due = mono_after_ms(k->now, (int64_t)k->settings.
	    drain_time_ms + LEAVE_SLACK_MS);
	log_info("worker %d, pid %d, leaves: it ends with its last stream",
	    slot, (int)w->child.pid);
}

/* Sockets go first, so that nobody waits at one that is being closed. */
static void
leaving_tell(struct keeper *k)
{
	struct keeper_worker *w;

	for (w = k->workers; w < k->workers + k->workers_n; w++)
		if (w->kill_due.ns != 0 && w->child.control_fd != -1)
			(void)message_say(w->child.control_fd, MESSAGE_DRAIN);
}

void
keeper_workers_count(struct keeper *k)
{
	int n = 0, want = (int)k->settings.workers_n;
	struct keeper_worker *w;

	for (int i = 0; i < k->workers_n; i++) {
		w = &k->workers[i];
		if (w->wanted && n == want)
			leave(k, i);
		else if (w->wanted)
			n++;
	}
	for (int i = 0; i < k->workers_n && n < want; i++) {
		w = &k->workers[i];
		if (w->wanted || w->kill_due.ns != 0)
			continue;
		w->wanted = true;
		n++;
		start(k, i);
	}
	keeper_sockets_deal(k);
	leaving_tell(k);
}

int
keeper_workers_wanted(const struct keeper *k, int *ready)
{
	int n = 0;

	*ready = 0;
	for (int i = 0; i < k->workers_n; i++) {
		n += k->workers[i].wanted;
		*ready += k->workers[i].wanted && k->workers[i].ready;
	}
	return n;
}

/* ---- deaths */

static void
successor_plan(struct keeper *k, int slot)
{
	struct keeper_worker *w = &k->workers[slot];
	int64_t ms = keeper_child_died(k, &w->child);

	w->serving = ms == 0;		/* others take its callers meanwhile */
	if (ms > 0)
		log_warn("worker %d died %u times in a row soon after its "
		    "birth: its successor waits %lld ms", slot,
		    w->child.deaths_quick, (long long)ms);
}

void
keeper_worker_died(struct keeper *k, int slot)
{
	struct keeper_worker *w = &k->workers[slot];

	word_shares_take(k->words, w->row);
	row_death(w->row);
	w->ready = false;
	w->kill_due.ns = 0;
	keeper_sockets_lost(k, slot);
	if (k->state == KEEPER_WARMING) {
		k->exit_code = 1;
		keeper_stop(k);
	}
	if (keeper_is_serving(k) && w->wanted)
		successor_plan(k, slot);
	keeper_sockets_deal(k);
}

/* ---- time */

/* Milliseconds until it wants something; -1: nothing. */
static int64_t
worker_step(struct keeper *k, int slot)
{
	struct keeper_worker *w = &k->workers[slot];
	int64_t ms;

	if (w->child.start_due.ns != 0 && keeper_is_serving(k)) {
		ms = mono_between_ms(k->now, w->child.start_due);
		if (ms > 0)
			return ms + 1;
		start(k, slot);
		keeper_sockets_deal(k);
		return w->child.start_due.ns == 0 ? -1 : 0;
	}
	if (w->kill_due.ns == 0)
		return -1;
	ms = mono_between_ms(k->now, w->kill_due);
	if (ms > 0)
		return ms + 1;
	log_warn("worker %d, pid %d, does not leave: killed", slot,
	    (int)w->child.pid);
	kill(w->child.pid, SIGKILL);
	w->kill_due = mono_after_ms(k->now, LEAVE_SLACK_MS);
	return LEAVE_SLACK_MS;
}

int64_t
keeper_workers_step(struct keeper *k)
{
	int64_t next = -1;

	for (int i = 0; i < k->workers_n; i++)
		next = keeper_sooner(next, worker_step(k, i));
	return next;
}

/* ---- words */

static void
ready_take(struct keeper *k, int slot)
{
	struct keeper_worker *w = &k->workers[slot];
	int ready;

	w->ready = true;
	w->serving = w->wanted;
	keeper_sockets_deal(k);
	if (keeper_is_serving(k))
		log_info("worker %d serves, as pid %d", slot,
		    (int)w->child.pid);
	else if (k->state == KEEPER_WARMING &&
	    keeper_workers_wanted(k, &ready) == ready)
		keeper_serve(k);
}

void
keeper_worker_heard(struct keeper *k, int slot)
{
	struct keeper_worker *w = &k->workers[slot];
	int got, fds[PASS_FDS_MAX];
	struct message m;

	got = message_receive(w->child.control_fd, &m, fds);
	if (got == 0 || (got == -1 && errno != EAGAIN))
		keeper_child_close(&w->child);	/* its death is reaped */
	if (got == 1 && m.kind == MESSAGE_READY && !w->ready)
		ready_take(k, slot);
	for (int i = 0; i < PASS_FDS_MAX && got == 1; i++)
		close_fd(fds[i]);
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
keeper_workers_say(struct keeper *k, enum message_kind kind)
{
	for (int i = 0; i < k->workers_n; i++)
		if (k->workers[i].child.control_fd != -1)
			(void)message_say(k->workers[i].child.control_fd,
			    kind);
}
