/* master/master.c - see master.h. */
#include "master/master.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "master/admin.h"
#include "master/certificates.h"
#include "master/checkpoint_store.h"
#include "master/control.h"
#include "master/generations.h"
#include "master/register.h"
#include "master/rotate.h"
#include "master/subscription.h"
#include "shm/log.h"
#include "shm/title.h"
#include "worker/io/pass.h"
#include "worker/io/responder.h"

/* How long a change waits for the workers to use it, and how often it looks.
 * They are awake within a turn; who needs longer hangs. */
enum { FOLLOW_MS = 2000, FOLLOW_STEP_MS = 1 };

/* How often room is looked for when nothing happens. */
enum { ROOM_MS = 1000, CERTIFICATES_STEPS = 10 };

enum by { BY_RELOAD, BY_PLANE, BY_ROTATION };

struct master {
	struct sys	*sys;
	struct loop	 loop;
	struct generations generations;
	struct source	 control;
	int		 control_fd;
	int		 rows_n;
	struct row	*rows[CONTROL_WORKERS_MAX];
	int		 wake_fds[CONTROL_WORKERS_MAX];
	struct admin	 admin;
	struct responder *responder;
	int		 admin_fd;	/* -1: not yet */
	struct timer	 follow;	/* a change waits for the workers */
	struct mono	 follow_until;
	struct timer	 room;
	struct words	*words;		/* that all workers write */
	struct word_doubts doubts;	/* of word_heal */
	bool		 is_home;	/* the keeper has our arena */
	enum by		 by;		/* what is staged */
	bool		 failed;	/* to start: it was said */
	bool		 reload_wanted;	/* as soon as we are idle */
	uint64_t	 follow_number;
	struct io	 io;
	struct subscription *subscription;
	struct registers *registers;
	struct checkpoint_store store;
	struct certificates *certificates;
	struct rotate	*rotate;	/* certificate files */
	uint32_t	 room_steps;
};

/* ---- words to the keeper */

static void
say(struct master *m, struct control *c, const int *fds)
{
	c->generation = m->generations.newest.generation.number;
	if (control_send(m->control_fd, c, fds) == 0)
		return;
	log_error("the keeper does not hear: %s", strerror(errno));
	m->loop.stop = true;
}

static void
say_kind(struct master *m, enum control_kind kind)
{
	struct control c = { .kind = kind };

	say(m, &c, NULL);
}

/* Everything is in another arena than before. */
static void
say_moved(struct master *m)
{
	const struct image *image = &m->generations.image;
	const int fds[] = { image->arena.fd, image->secrets.fd };
	struct control c = { .kind = CONTROL_MOVED };

	say(m, &c, fds);
}

/* What a successor of ours reads; from now on it is ours. */
static void
say_journal(struct master *m)
{
	struct control c = { .kind = CONTROL_JOURNAL };

	say(m, &c, &m->generations.journal.fd);
}

/* ---- staging: what the keeper must have before it is published */

static int
stage_say(struct master *m, char *why, size_t why_len)
{
	int kept_fd = generations_kept(&m->generations);
	struct control c = { .kind = CONTROL_LISTENER };
	int n = generations_listeners_n(&m->generations);

	for (int i = 0; i < n; i++) {
		generations_listener(&m->generations, i, &c.listener);
		say(m, &c, NULL);
	}
	c = (struct control){ .kind = CONTROL_STAGE };
	if (generations_settings(&m->generations, &c.settings, why,
	    why_len) == -1)
		return -1;
	c.settings.asked = m->by == BY_RELOAD;
	c.settings.does_without = checkpoint_store_has_listeners(&m->store);
	say(m, &c, &kept_fd);
	return 0;
}

static int
stage(struct master *m, char *why, size_t why_len)
{
	int kept_fd, rc;

	m->by = BY_RELOAD;
	if (generations_stage(&m->generations, &kept_fd, why, why_len) == -1)
		return -1;
	close(kept_fd);
	rc = stage_say(m, why, why_len);
	if (rc == -1)
		generations_drop(&m->generations);
	return rc;
}

static bool
idle(void *arg)
{
	const struct master *m = arg;

	return !m->generations.is_staged && !timer_started(&m->follow) &&
	    !m->reload_wanted && m->admin_fd != -1;
}

static void
reload(struct master *m)
{
	char why[CONTROL_TEXT_BYTES];

	m->reload_wanted = m->generations.is_staged ||
	    timer_started(&m->follow);
	if (m->reload_wanted || stage(m, why, sizeof(why)) == 0)
		return;
	if (control_say(m->control_fd, CONTROL_FAIL, why) == -1)
		log_warn("the keeper does not hear: %s", strerror(errno));
	subscription_go(m->subscription);
}

/* ---- publishing */

static void
wake_all(const struct master *m)
{
	uint64_t one = 1;
	ssize_t n;

	for (int i = 0; i < m->rows_n; i++) {
		/* Full only when it is awake anyway. */
		n = write(m->wake_fds[i], &one, sizeof(one));
		(void)n;
	}
}

static void
published_say(struct master *m)
{
	char text[256];

	generations_text(&m->generations, text, sizeof(text));
	title_set("master", text);
	if (m->by == BY_RELOAD)
		log_info("%s, from %s", text, m->generations.options->file);
	else
		log_debug("%s, from %s", text, m->by == BY_PLANE ?
		    "the control plane" : "certificate files");
}

static void
bound(struct master *m)
{
	bool read = m->generations.kept_staged != -1;

	if (!m->generations.is_staged) {
		log_error("the keeper bound what nobody asked for");
		m->loop.stop = true;
		return;
	}
	generations_publish(&m->generations);
	log_level_set((enum log_level)log_level_find(
	    m->generations.conf.log_level));
	checkpoint_store_forget(&m->store);
	if (read)
		rotate_follow(m->rotate);
	if (!m->is_home) {
		say_moved(m);
		say_journal(m);
	}
	m->is_home = true;
	say_kind(m, CONTROL_PUBLISHED);
	wake_all(m);
	published_say(m);
	m->follow_number = m->generations.newest.generation.number;
	m->follow_until = mono_after_ms(clock_now(), FOLLOW_MS);
	timer_start(&m->loop.timers, &m->follow, m->loop.now, 0);
}

/* Names those who live and use an older generation. */
static void
late_say(const struct master *m)
{
	uint64_t number = m->follow_number;

	for (int i = 0; i < m->rows_n; i++)
		if (row_oldest(&m->rows[i], 1) < number)
			log_warn("worker %d is at generation %llu, not at "
			    "%llu, after %d ms", i, (unsigned long long)
			    count_get(&m->rows[i]->announced),
			    (unsigned long long)number, FOLLOW_MS);
}

static void
journal_care(struct master *m)
{
	if (generations_journal_renew(&m->generations))
		say_journal(m);
}

/* What was staged came to its end: what was asked for meanwhile. */
static void
reload_waiting(struct master *m)
{
	if (m->reload_wanted)
		reload(m);
}

/* All workers use what was staged. */
static void
settled(struct master *m)
{
	journal_care(m);
	switch (m->by) {
	case BY_RELOAD:
		subscription_follow(m->subscription);
		registers_follow(m->registers, &m->generations.registers);
		break;
	case BY_PLANE:
		subscription_bound(m->subscription, NULL, NULL);
		break;
	case BY_ROTATION:
		rotate_end(m->rotate, NULL);
		subscription_go(m->subscription);
		break;
	}
	reload_waiting(m);
}

static void
follow_step(struct timer *t)
{
	struct master *m = CONTAINER(t, struct master, follow);
	uint64_t oldest = row_oldest(m->rows, m->rows_n);
	bool late = mono_between_ms(m->loop.now, m->follow_until) <= 0;

	if (oldest < m->follow_number && !late) {
		timer_start(&m->loop.timers, t, m->loop.now, FOLLOW_STEP_MS);
		return;
	}
	generations_reclaim(&m->generations, oldest);
	if (late)
		late_say(m);
	say_kind(m, CONTROL_SETTLED);
	settled(m);
}

/* ---- changes of the control plane */

static enum subscription_end
change_staged(void *arg, char *why, size_t why_len)
{
	struct master *m = arg;

	m->by = BY_PLANE;
	/* What was read for it is for the keeper, too. */
	if (m->generations.kept_staged == -1 &&
	    generations_same_listeners(&m->generations)) {
		generations_publish(&m->generations);
		say_kind(m, CONTROL_PUBLISHED);
		wake_all(m);
		published_say(m);
		journal_care(m);
		return SUBSCRIPTION_DONE;
	}
	if (stage_say(m, why, why_len) == 0)
		return SUBSCRIPTION_STAGED;
	generations_drop(&m->generations);
	return SUBSCRIPTION_FAILED;
}

static int
rotation_staged(void *arg, char *why, size_t why_len)
{
	struct master *m = arg;

	m->by = BY_ROTATION;
	if (stage_say(m, why, why_len) == 0)
		return 0;
	generations_drop(&m->generations);
	return -1;
}

/* The name of the listener that would have had the slot. */
static void
listener_name(const struct master *m, int32_t slot, char *name, size_t n)
{
	struct control_listener l;

	snprintf(name, n, "?");
	for (int i = 0; i < generations_listeners_n(&m->generations); i++) {
		generations_listener(&m->generations, i, &l);
		if ((int32_t)l.slot == slot)
			snprintf(name, n, "%s", l.name);
	}
}

/* At the start: without a listener of the checkpoint; one of the file is a
 * reason not to start. */
static void
start_again(struct master *m, const char *listener, const char *refusal)
{
	char why[CONTROL_TEXT_BYTES];

	if (checkpoint_store_leave_out(&m->store, listener)) {
		log_error("listener \"%s\" of the checkpoint is left out: %s",
		    listener, refusal);
		if (stage(m, why, sizeof(why)) == 0)
			return;
		refusal = why;
	}
	log_error("%s", refusal);
	m->failed = m->loop.stop = true;
}

static void
refused(struct master *m, const struct control *c)
{
	char name[sizeof(c->listener.name)];

	if (!m->generations.is_staged)
		return;
	listener_name(m, c->slot_refused, name, sizeof(name));
	generations_drop(&m->generations);
	if (m->generations.newest.generation.number == 0)
		start_again(m, name, c->text);
	else if (m->by == BY_PLANE)
		subscription_bound(m->subscription, name, c->text);
	else {
		if (m->by == BY_ROTATION)
			rotate_end(m->rotate, c->text);
		subscription_go(m->subscription);
	}
	reload_waiting(m);
}

/* ---- certificates */

static void
certificate_say(void *arg, bool expired, const char *sentence)
{
	(void)arg;
	if (expired)
		log_error("%s", sentence);
	else
		log_warn("%s", sentence);
}

/* One that expires while it is in use is said when it does. Those of a new
 * generation are looked for now and then: that costs as much as there are. */
static void
certificates_care(struct master *m)
{
	const struct generations *g = &m->generations;

	if (g->newest.generation.number == 0 ||
	    (m->room_steps++ % CERTIFICATES_STEPS != 0 &&
	    !certificates_are_of(m->certificates, generations_root(g))))
		return;
	certificates_look(m->certificates, &g->image.arena,
	    generations_root(g));
	certificates_warn(m->certificates, time(NULL), true, certificate_say,
	    NULL);
}

/* ---- room */

/* What a worker left behind that was killed between two stores. */
static void
words_heal(struct master *m)
{
	int n = m->words == NULL ? 0 : word_heal(m->words, m->rows,
	    m->rows_n, &m->doubts);

	if (n > 0)
		log_warn("%d shared count%s corrected: a worker died while it "
		    "counted", n, n == 1 ? " was" : "s were");
}

static void
room_step(struct timer *t)
{
	struct master *m = CONTAINER(t, struct master, room);
	char why[256];
	int moved;

	timer_start(&m->loop.timers, t, m->loop.now, ROOM_MS);
	generations_reclaim(&m->generations, row_oldest(m->rows, m->rows_n));
	words_heal(m);
	certificates_care(m);
	checkpoint_store_step(&m->store, &m->generations);
	moved = generations_compact(&m->generations, why, sizeof(why));
	if (moved == -1)
		log_warn("no compaction: %s", why);
	if (moved != 1)
		return;
	log_info("half of the arena was dead: generation %llu is in a new "
	    "one, of %llu bytes", (unsigned long long)
	    m->generations.newest.generation.number, (unsigned long long)
	    m->generations.newest.generation.live_bytes);
	say_moved(m);
	wake_all(m);
}

/* ---- the keeper's words */

static void
row_take(struct master *m, uint32_t slot, int row_fd, int wake_fd)
{
	char why[256];

	if (slot != (uint32_t)m->rows_n) {
		log_error("the keeper told of worker %u out of turn", slot);
		m->loop.stop = true;
	} else if ((m->rows[slot] = row_open(row_fd, 0, why,
	    sizeof(why))) == NULL) {
		log_error("the row of worker %u: %s", slot, why);
		m->loop.stop = true;
	} else
		m->wake_fds[m->rows_n++] = wake_fd;
	close(row_fd);
}

static void
words_take(struct master *m, int fd)
{
	char why[256];

	if (m->words != NULL || (m->words = word_open(fd, why,
	    sizeof(why))) == NULL) {
		log_error("the common words: %s", m->words != NULL ?
		    "they were there" : why);
		m->loop.stop = true;
	}
	close(fd);
}

static void
serve(struct master *m, int admin_fd)
{
	m->admin_fd = admin_fd;
	m->responder = responder_open(&m->loop, admin_fd, admin_answer,
	    &m->admin);
	if (m->responder == NULL)
		log_error("nobody answers on admin.sock: %s",
		    strerror(errno));
	subscription_go(m->subscription);
}

static void
left(void *arg)
{
	say_kind(arg, CONTROL_LEFT);
}

static void
withdrawn(void *arg, uint32_t number, bool bad, const char *why)
{
	struct control c = { .kind = CONTROL_WITHDRAWN, .asker = number,
	    .bad = bad };

	snprintf(c.text, sizeof(c.text), "%s", why);
	say(arg, &c, NULL);
}

static void
withdraw(struct master *m, const struct control *c)
{
	const struct registers_withdrawn told = { withdrawn, m };

	registers_withdraw(m->registers, c->text, c->asker, &told);
}

static void
control_said(struct master *m, const struct control *c, const int *fds)
{
	switch (c->kind) {
	case CONTROL_ROW:
		row_take(m, c->slot, fds[0], fds[1]);
		break;
	case CONTROL_WORDS:
		words_take(m, fds[0]);
		break;
	case CONTROL_BOUND:
		bound(m);
		break;
	case CONTROL_REFUSED:
		refused(m, c);
		break;
	case CONTROL_SERVE:
		serve(m, fds[0]);
		break;
	case CONTROL_RELOAD:
		reload(m);
		break;
	case CONTROL_LEAVE:
		registers_leave(m->registers, left, m);
		break;
	case CONTROL_WITHDRAW:
		withdraw(m, c);
		break;
	case CONTROL_REOPEN:
		log_reopen(fds[0]);
		break;
	default:
		log_error("the keeper said what it may not");
		m->loop.stop = true;
	}
}

static void
control_ready(struct source *s, uint32_t events)
{
	struct master *m = CONTAINER(s, struct master, control);
	int fds[CONTROL_FDS_MAX], got = 1;
	struct control c;

	(void)events;
	while (!m->loop.stop &&
	    (got = control_receive(m->control_fd, &c, fds)) == 1)
		control_said(m, &c, fds);
	if (got == 0 || (got == -1 && errno != EAGAIN))
		m->loop.stop = true;
}

/* ---- start */

/* The children's user, once the settings name one. */
static int
drop(void *arg, const struct conf *conf, const struct control_settings *s,
    char *why, size_t why_len)
{
	struct master *m = arg;
	const struct options *o = m->generations.options;

	log_level_set((enum log_level)s->log_level);
	if (checkpoint_store_find(&m->store, o->as_root, conf, s, why,
	    why_len) == -1)
		return -1;
	/* A successor was born as that user, and nobody goes back. */
	if (!s->user_set || geteuid() != 0)
		return 0;
	if (role_drop(s) == -1)
		return why_set(why, why_len, "the setting user: %s: %s",
		    conf->user, strerror(errno));
	if (access(o->file, R_OK) == -1)
		log_warn("user %s can't read %s (%s): reloads will be refused",
		    conf->user, o->file, strerror(errno));
	return 0;
}

static int
start(struct master *m, const struct options *o, const struct role *r,
    char *why, size_t why_len)
{
	const struct subscription_owner owner = { idle, change_staged, m };
	const struct rotate_owner files = { idle, rotation_staged, m };
	const int fds[GENERATIONS_KEPT_N] = { r->kept_fd, r->start.arena_fd,
	    r->start.secrets_fd, r->journal_fd };
	int rc = r->kept_fd == -1 ?
	    generations_open(&m->generations, o, why, why_len) :
	    generations_open_kept(&m->generations, o, fds, why, why_len);

	if (rc == -1)
		return -1;
	m->generations.check_tls = true;
	m->generations.conf_known = drop;
	m->generations.conf_known_arg = m;
	m->generations.restore = checkpoint_store_restore;
	m->generations.restore_arg = &m->store;
	m->subscription = subscription_new(&m->io, &m->generations, &owner);
	if (m->subscription != NULL)
		m->registers = registers_new(&m->io, subscription_target,
		    m->subscription);
	if (m->registers == NULL)
		return why_set(why, why_len, "no memory");
	m->rotate = rotate_new(&m->loop, &m->generations, &files);
	if (m->rotate == NULL)
		return why_set(why, why_len, "no memory");
	m->admin.subscription = m->subscription;
	m->admin.registers = m->registers;
	m->admin.rotate = m->rotate;
	/* What a dead master served is served. */
	m->admin.was_ready = r->kept_fd != -1;
	return stage(m, why, why_len);
}

/* ---- life */

static int
loop_start(struct master *m, char *why, size_t why_len)
{
	m->sys = sys_kernel_new();
	if (m->sys == NULL)
		return why_set(why, why_len, "epoll: %s", strerror(errno));
	loop_init(&m->loop, m->sys);
	checkpoint_store_init(&m->store, &m->loop);
	m->control.ready = control_ready;
	m->follow.fire = follow_step;
	m->room.fire = room_step;
	timer_start(&m->loop.timers, &m->room, m->loop.now, ROOM_MS);
	m->certificates = certificates_new();
	if (m->certificates == NULL)
		return why_set(why, why_len, "no memory");
	m->admin = (struct admin){ .generations = &m->generations,
	    .certificates = m->certificates,
	    .rows = m->rows, .rows_n = &m->rows_n };
	if (io_init(&m->io, &m->loop) == -1)
		return why_set(why, why_len, "no memory");
	if (pass_nonblocking(m->control_fd) == -1 ||
	    loop_watch(&m->loop, m->control_fd, &m->control) == -1)
		return why_set(why, why_len, "epoll: %s", strerror(errno));
	return 0;
}

static void
master_close(struct master *m)
{
	if (m->responder != NULL)
		responder_close(m->responder);
	if (m->admin_fd != -1)
		close(m->admin_fd);
	for (int i = 0; i < m->rows_n; i++) {
		row_close(m->rows[i]);
		close(m->wake_fds[i]);
	}
	timer_stop(&m->loop.timers, &m->follow);
	timer_stop(&m->loop.timers, &m->room);
	registers_free(m->registers);
	rotate_free(m->rotate);
	subscription_free(m->subscription);
	checkpoint_store_fini(&m->store);
	certificates_free(m->certificates);
	if (m->io.loop != NULL)
		io_fini(&m->io);
	if (m->words != NULL)
		word_close(m->words);
	generations_close(&m->generations);
	if (m->sys != NULL)
		sys_kernel_free(m->sys);
	free(m);
}

int
master_run(const struct options *o, const struct role *r)
{
	struct master *m = calloc(1, sizeof(*m));
	char why[CONTROL_TEXT_BYTES];
	int rc = 0;

	if (m == NULL) {
		log_error("no memory");
		return 1;
	}
	m->control_fd = r->start.control_fd;
	m->admin_fd = -1;
	if (loop_start(m, why, sizeof(why)) == -1 ||
	    start(m, o, r, why, sizeof(why)) == -1) {
		log_error("%s", why);
		rc = 1;
	} else {
		loop_run(&m->loop);
		rc = m->failed;
	}
	master_close(m);
	return rc;
}
