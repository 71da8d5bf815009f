/* master/master.c - see master.h. */
#include "master/master.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "master/admin.h"
#include "master/control.h"
#include "master/generations.h"
#include "master/role.h"
#include "shm/log.h"
#include "worker/io/responder.h"

/* How long a reload waits for the workers to use it, and how often it looks.
 * They are awake within a turn; who needs longer hangs. */
enum { FOLLOW_MS = 2000, FOLLOW_STEP_MS = 1 };

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
	struct timer	 follow;	/* a reload waits for the workers */
	struct mono	 follow_until;
};

/* ---- start */

/* The children's user, once the settings name one. */
static int
drop(struct master *m, const struct control_settings *s, char *why,
    size_t why_len)
{
	const struct options *o = m->generations.options;

	if (role_drop(s) == -1)
		return why_set(why, why_len, "the setting user: %s: %s",
		    m->generations.conf.user, strerror(errno));
	if (s->user_set && access(o->file, R_OK) == -1)
		log_warn("user %s can't read %s (%s): reloads will be refused",
		    m->generations.conf.user, o->file, strerror(errno));
	return 0;
}

static int
announce(struct master *m, const struct control_settings *s, char *why,
    size_t why_len)
{
	struct control c = { .kind = CONTROL_LISTENER };
	int rc = 0;

	for (int i = 0; i < m->generations.newest.listeners_n && rc == 0;
	    i++) {
		generations_listener(&m->generations, i, &c.listener);
		rc = control_send(m->control_fd, &c, NULL);
	}
	c = (struct control){ .kind = CONTROL_START };
	c.generation = m->generations.newest.generation.number;
	c.settings = *s;
	if (rc == 0)
		rc = control_send(m->control_fd, &c,
		    &m->generations.arena.fd);
	return rc == 0 ? 0 : why_set(why, why_len, "the keeper is gone: %s",
	    strerror(errno));
}

static int
start(struct master *m, const struct options *o, char *why, size_t why_len)
{
	struct control_settings s;
	char text[256];

	if (generations_open(&m->generations, o, why, why_len) == -1 ||
	    generations_settings(&m->generations, &s, why, why_len) == -1)
		return -1;
	log_level_set((enum log_level)s.log_level);
	if (drop(m, &s, why, why_len) == -1 ||
	    generations_first(&m->generations, why, why_len) == -1)
		return -1;
	generations_text(&m->generations, text, sizeof(text));
	log_info("%s, from %s", text, o->file);
	return announce(m, &s, why, why_len);
}

/* ---- reload */

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

/* Workers that live and use an older generation. */
static int
behind(const struct master *m)
{
	uint64_t number = m->generations.newest.generation.number;
	int n = 0;

	for (int i = 0; i < m->rows_n; i++)
		n += m->rows[i]->pid != 0 &&
		    count_get(&m->rows[i]->announced) < number;
	return n;
}

static void
reloaded_say(struct master *m)
{
	struct control c = { .kind = CONTROL_RELOADED };
	char why[256];

	c.generation = m->generations.newest.generation.number;
	/* Its user was found at the start and can't have changed. */
	(void)generations_settings(&m->generations, &c.settings, why,
	    sizeof(why));
	if (control_send(m->control_fd, &c, NULL) == -1)
		log_warn("the keeper does not hear: %s", strerror(errno));
}

static void
follow_step(struct timer *t)
{
	struct master *m = CONTAINER(t, struct master, follow);
	int n = behind(m);
	bool late = mono_between_ms(m->loop.now, m->follow_until) <= 0;

	if (n > 0 && !late) {
		timer_start(&m->loop.timers, t, m->loop.now, FOLLOW_STEP_MS);
		return;
	}
	if (n > 0)
		log_warn("%d worker%s not at generation %llu after %d ms", n,
		    n == 1 ? " is" : "s are", (unsigned long long)
		    m->generations.newest.generation.number, FOLLOW_MS);
	reloaded_say(m);
}

static void
reload(struct master *m)
{
	char why[CONTROL_TEXT_BYTES], text[256];

	if (generations_next(&m->generations, why, sizeof(why)) == -1) {
		if (control_say(m->control_fd, CONTROL_FAIL, why) == -1)
			log_warn("the keeper does not hear: %s",
			    strerror(errno));
		return;
	}
	log_level_set((enum log_level)log_level_find(
	    m->generations.conf.log_level));
	wake_all(m);
	generations_text(&m->generations, text, sizeof(text));
	log_info("%s", text);
	m->follow_until = mono_after_ms(clock_now(), FOLLOW_MS);
	timer_start(&m->loop.timers, &m->follow, m->loop.now,
	    FOLLOW_STEP_MS);
}

/* ---- the keeper's words */

static void
worker_take(struct master *m, uint32_t slot, int row_fd, int wake_fd)
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
serve(struct master *m, int admin_fd)
{
	m->admin_fd = admin_fd;
	m->admin = (struct admin){ &m->generations, m->rows, m->rows_n };
	m->responder = responder_open(&m->loop, admin_fd, admin_answer,
	    &m->admin);
	if (m->responder == NULL)
		log_error("nobody answers on admin.sock: %s",
		    strerror(errno));
}

static void
control_said(struct master *m, const struct control *c, const int *fds)
{
	switch (c->kind) {
	case CONTROL_WORKER:
		worker_take(m, c->slot, fds[0], fds[1]);
		break;
	case CONTROL_SERVE:
		serve(m, fds[0]);
		break;
	case CONTROL_RELOAD:
		reload(m);
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

/* ---- life */

static int
loop_start(struct master *m, char *why, size_t why_len)
{
	m->sys = sys_kernel_new();
	if (m->sys == NULL)
		return why_set(why, why_len, "epoll: %s", strerror(errno));
	loop_init(&m->loop, m->sys);
	m->control.ready = control_ready;
	m->follow.fire = follow_step;
	if (control_nonblocking(m->control_fd) == -1 ||
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
	generations_close(&m->generations);
	if (m->sys != NULL)
		sys_kernel_free(m->sys);
	free(m);
}

int
master_run(const struct options *o, int control_fd)
{
	struct master *m = calloc(1, sizeof(*m));
	char why[CONTROL_TEXT_BYTES];
	int rc = 0;

	if (m == NULL) {
		log_error("no memory");
		return 1;
	}
	m->control_fd = control_fd;
	m->admin_fd = -1;
	m->generations.arena.fd = -1;
	if (start(m, o, why, sizeof(why)) == -1 ||
	    loop_start(m, why, sizeof(why)) == -1) {
		log_error("%s", why);
		rc = 1;
	} else
		loop_run(&m->loop);
	master_close(m);
	return rc;
}
