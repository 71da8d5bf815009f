/*
 * master/keeper_master.c - the master as the keeper sees it: its words, and
 * its successors. See keeper_state.h, and control.h for the messages.
 *
 *            LISTENER      STAGE, bound        PUBLISHED         SETTLED
 *   NONE ───> LISTENING ─────> BOUND ───────────> SETTLING ───────> NONE
 *     ^           │ can't bind: REFUSED               │
 *     └───────────┴──────────── it died ──────────────┘
 *
 * What was bound is accepted: the memfd of its sources takes the place of the
 * one before, and a master that dies now is succeeded by one that publishes
 * it. A master that dies before leaves the accepted one.
 */
#include "master/keeper_state.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "shm/log.h"

/* ---- births */

/* The first one gets no descriptors but its control socket, and drops to the
 * user itself, once it read who that is. */
int
keeper_master_start(struct keeper *k)
{
	struct role r;
	int fds[2];

	role_init(&r, ROLE_MASTER, 0);
	k->master.start_due.ns = 0;
	k->change = CHANGE_NONE;
	k->master_settled = false;
	k->wanted_n = k->rows_told = 0;
	if (pass_pair(fds) == -1) {
		log_error("master can't start: %s", strerror(errno));
		return -1;
	}
	r.start.control_fd = fds[1];
	r.start.arena_fd = k->arena_fd;
	r.start.secrets_fd = k->secrets_fd;
	r.kept_fd = k->kept_fd;
	r.journal_fd = k->journal_fd;
	if (keeper_spawn(k, &k->master, &r, k->argv + 1, fds) == -1)
		return -1;
	k->masters++;
	return 0;
}

/* ---- its words */

static int
say(struct keeper *k, enum control_kind kind, const char *text)
{
	return control_say(k->master.control_fd, kind, text);
}

bool
keeper_master_leave(struct keeper *k)
{
	return k->master.control_fd != -1 && k->master_settled &&
	    say(k, CONTROL_LEAVE, "") == 0;
}

bool
keeper_master_withdraw(struct keeper *k, const char *name, uint32_t number)
{
	struct control m = { .kind = CONTROL_WITHDRAW, .asker = number };

	snprintf(m.text, sizeof(m.text), "%s", name);
	return k->master.control_fd != -1 && k->master_settled &&
	    control_send(k->master.control_fd, &m, NULL) == 0;
}

/* What can be reloaded; who the children are, and where we live, stay from the
 * first stage on: a master that gave its rights up does not know them. */
static void
settings_take(struct keeper *k, const struct control_settings *s)
{
	struct control_settings before = k->settings;

	k->settings = *s;
	log_level_set((enum log_level)s->log_level);
	if (k->control_fd == -1)
		return;
	k->settings.user_set = before.user_set;
	k->settings.uid = before.uid;
	k->settings.gid = before.gid;
	k->settings.groups_n = before.groups_n;
	memcpy(k->settings.groups, before.groups, sizeof(before.groups));
	memcpy(k->settings.run_dir, before.run_dir, sizeof(before.run_dir));
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

/* Everything that the staged generation needs. -1: why; what we have is what
 * we had. */
static int
bind_all(struct keeper *k, char *why, size_t why_len)
{
	if (k->control_fd == -1 && dir_open(k, why, why_len) == -1)
		return -1;
	if (keeper_workers_open(k, (int)k->settings.workers_n, why,
	    why_len) == -1 || keeper_sockets_bind(k, why, why_len) == -1)
		return -1;
	if (strcmp(k->settings.log_file, k->log_file) == 0)
		return 0;
	return keeper_log_open(k, why, why_len);
}

/* Each master learns of every row, before a worker lives there. */
static int
rows_tell(struct keeper *k)
{
	struct control m = { .kind = CONTROL_ROW };
	struct control words = { .kind = CONTROL_WORDS };
	int rc = 0, fds[2];

	if (k->rows_told == 0)
		rc = control_send(k->master.control_fd, &words,
		    &k->common_fd);

	for (; k->rows_told < k->workers_n && rc == 0; k->rows_told++) {
		m.slot = (uint32_t)k->rows_told;
		fds[0] = k->workers[k->rows_told].row_fd;
		fds[1] = k->workers[k->rows_told].wake_fd;
		rc = control_send(k->master.control_fd, &m, fds);
	}
	return rc;
}

static void
accept_staged(struct keeper *k, int kept_fd)
{
	if (k->kept_fd != -1)
		close(k->kept_fd);
	k->kept_fd = kept_fd;
	k->change = CHANGE_BOUND;
	if (rows_tell(k) == -1 || say(k, CONTROL_BOUND, "") == -1)
		log_error("the master can't be told that all is bound: %s",
		    strerror(errno));
}

static void
refused_say(struct keeper *k, const char *why)
{
	struct control m = { .kind = CONTROL_REFUSED,
	    .slot_refused = k->slot_refused };

	snprintf(m.text, sizeof(m.text), "%s", why);
	if (control_send(k->master.control_fd, &m, NULL) == -1)
		log_error("the master can't be told what is refused: %s",
		    strerror(errno));
}

static void
stage_said(struct keeper *k, const struct control *m, int kept_fd)
{
	struct control_settings before = k->settings;
	char why[512];

	settings_take(k, &m->settings);
	k->change_asked = m->settings.asked != 0;
	k->slot_refused = -1;
	if (bind_all(k, why, sizeof(why)) == 0) {
		accept_staged(k, kept_fd);
		return;
	}
	close(kept_fd);
	k->change = CHANGE_NONE;
	if (k->state == KEEPER_STARTING) {
		if (m->settings.does_without && k->slot_refused != -1)
			refused_say(k, why);
		else
			keeper_fail(k, why);
		return;
	}
	k->settings = before;
	log_level_set((enum log_level)before.log_level);
	refused_say(k, why);
	if (k->change_asked)
		keeper_reload_done(k, why);
	else
		keeper_reload_next(k);
}

/* Workers that are born from now on live there; the others are led there. */
static void
moved_said(struct keeper *k, const int *fds)
{
	const struct message m = { .kind = MESSAGE_REHOME };

	if (k->arena_fd != -1) {
		close(k->arena_fd);
		close(k->secrets_fd);
	}
	k->arena_fd = fds[0];
	k->secrets_fd = fds[1];
	for (int i = 0; i < k->workers_n; i++) {
		int fd = k->workers[i].child.control_fd;

		if (fd != -1 && message_send(fd, &m, fds, 2) == -1)
			log_error("worker %d can't be led to the new arena: "
			    "%s", i, strerror(errno));
	}
}

static void
published_said(struct keeper *k, uint64_t generation)
{
	k->generation = generation;
	k->change = CHANGE_SETTLING;
	if (k->state != KEEPER_STARTING)
		return;
	k->state = KEEPER_WARMING;
	keeper_workers_count(k);
}

/* Every worker uses it: what it does not name can go. */
static void
settled_said(struct keeper *k)
{
	k->change = CHANGE_NONE;
	k->master.deaths_quick = 0;
	if (!k->master_settled && control_send(k->master.control_fd,
	    &(struct control){ .kind = CONTROL_SERVE }, &k->admin_fd) == -1)
		log_error("nobody answers on admin.sock: %s", strerror(errno));
	k->master_settled = true;
	if (k->state <= KEEPER_WARMING)
		return;
	keeper_sockets_prune(k);
	keeper_workers_count(k);
	keeper_title(k);
	if (k->change_asked)
		keeper_reload_done(k, NULL);
	keeper_reload_next(k);
}

static void
listener_said(struct keeper *k, const struct control_listener *l)
{
	if (k->change == CHANGE_NONE)
		k->wanted_n = 0;
	k->change = CHANGE_LISTENING;
	k->wanted[k->wanted_n++] = *l;
}

/* False: it may not say that now. */
static bool
said(struct keeper *k, const struct control *m, const int *fds)
{
	bool coming = k->change == CHANGE_NONE ||
	    k->change == CHANGE_LISTENING;

	switch (m->kind) {
	case CONTROL_LISTENER:
		if (!coming || (k->change == CHANGE_LISTENING &&
		    k->wanted_n == LISTENERS_MAX))
			return false;
		listener_said(k, &m->listener);
		return true;
	case CONTROL_STAGE:
		if (!coming)
			return false;
		if (k->change == CHANGE_NONE)
			k->wanted_n = 0;
		stage_said(k, m, fds[0]);
		return true;
	case CONTROL_MOVED:
		moved_said(k, fds);
		return true;
	case CONTROL_JOURNAL:
		if (k->journal_fd != -1)
			close(k->journal_fd);
		k->journal_fd = fds[0];
		return true;
	case CONTROL_PUBLISHED:
		if (k->change == CHANGE_BOUND)
			published_said(k, m->generation);
		else
			k->generation = m->generation;
		return true;
	case CONTROL_SETTLED:
		if (k->change != CHANGE_SETTLING)
			return false;
		settled_said(k);
		return true;
	case CONTROL_LEFT:
		if (k->state != KEEPER_LEAVING)
			return false;
		keeper_left(k);
		return true;
	case CONTROL_WITHDRAWN:
		keeper_withdraw_done(k, m->asker, m->bad != 0, m->text);
		return true;
	case CONTROL_FAIL:
		keeper_reload_done(k, m->text);
		keeper_reload_next(k);
		return true;
	default:
		return false;
	}
}

void
keeper_master_heard(struct keeper *k)
{
	struct control m;
	int fds[CONTROL_FDS_MAX], got = 0;

	while (k->master.control_fd != -1 && k->state < KEEPER_DRAINING &&
	    (got = control_receive(k->master.control_fd, &m, fds)) == 1)
		if (!said(k, &m, fds)) {
			errno = EPROTO;
			got = -1;
			break;
		}
	if (k->master.control_fd == -1 || k->state >= KEEPER_DRAINING ||
	    (got == -1 && errno == EAGAIN))
		return;
	if (got == -1 && errno == EPROTO && k->master.pid != 0) {
		log_error("the master said what it may not: it is killed");
		kill(k->master.pid, SIGKILL);
	}
	keeper_child_close(&k->master);	/* its death is reaped */
}

/* ---- deaths */

/* At the start it has said itself what is wrong, unless a signal cut its
 * words off. */
static void
died_starting(struct keeper *k, const char *how, bool signalled)
{
	if (signalled)
		log_error("the master died while it started: %s", how);
	k->exit_code = 1;
	keeper_stop(k);
}

/* A change that it was about is lost, unless all of it was bound. */
static void
died_serving(struct keeper *k, const char *how)
{
	int64_t ms = keeper_child_died(k, &k->master);
	char why[256];

	snprintf(why, sizeof(why), "the master died (%s) while it reloaded; "
	    "its successor goes on with what was accepted last", how);
	log_error("the master died (%s): the workers serve on with generation "
	    "%llu; its successor starts %s", how,
	    (unsigned long long)k->generation, ms == 0 ? "now" : "later");
	if (ms > 0)
		log_warn("the master died %u times in a row soon after its "
		    "birth: its successor waits %lld ms",
		    k->master.deaths_quick, (long long)ms);
	keeper_reload_done(k, why);
}

void
keeper_master_died(struct keeper *k, const char *how, bool killed)
{
	k->master.pid = 0;
	keeper_master_heard(k);
	keeper_child_close(&k->master);
	keeper_withdraw_lost(k);
	if (k->state <= KEEPER_WARMING)
		died_starting(k, how, killed);
	else if (k->state == KEEPER_SERVING)
		died_serving(k, how);
	else
		keeper_left(k);		/* its leases lapse */
	k->change = CHANGE_NONE;
}

int64_t
keeper_master_step(struct keeper *k)
{
	int64_t ms;

	if (k->master.start_due.ns == 0 || k->state != KEEPER_SERVING)
		return -1;
	ms = mono_between_ms(k->now, k->master.start_due);
	if (ms > 0)
		return ms + 1;
	if (keeper_master_start(k) == -1)
		(void)keeper_child_died(k, &k->master);
	return 0;
}
