/* master/register.c - see register.h. */
#include "master/register.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "master/status.h"
#include "shm/log.h"

enum {
	/* What it takes until proxies know of one that left; nobody says when
	 * they do. */
	GRACE_MS = 300,
	SENTENCE_BYTES = 1024,
};

struct member {
	TAILQ_ENTRY(member) link;
	struct registration *registration;
	bool		 leaves, gone;
};

/* Somebody waits until those of a name are out. */
struct withdrawal {
	TAILQ_ENTRY(withdrawal) link;
	struct registers *registers;
	struct registers_withdrawn told;
	uint32_t	 number;
	char		 name[REGISTER_NAME_BYTES];
	unsigned	 n;		/* of that name */
	struct timer	 grace;
};

struct registers {
	struct io	*io;
	struct registration_owner owner;
	TAILQ_HEAD(, member) members;
	TAILQ_HEAD(, withdrawal) withdrawals;
	struct task	 sweep;
	struct timer	 grace;
	void		(*left)(void *arg);	/* NULL: not asked */
	void		*left_arg;
};

/* ---- those that are withdrawn */

static const struct register_settings *
settings_of(const struct member *m)
{
	return registration_settings(m->registration);
}

static bool
is_meant(const struct member *m, const char *name)
{
	return *name == '\0' || strcmp(settings_of(m)->service, name) == 0 ||
	    strcmp(settings_of(m)->id, name) == 0;
}

/* How many of them the control plane may still tell others of; all: these
 * and those whose lease lapses. */
static unsigned
known_n(const struct withdrawal *w, bool all)
{
	struct registration_status t;
	struct member *m;
	unsigned n = 0;

	TAILQ_FOREACH(m, &w->registers->members, link) {
		registration_status(m->registration, &t);
		n += is_meant(m, w->name) &&
		    (t.state == REGISTRATION_ASKING ||
		    t.state == REGISTRATION_HELD ||
		    t.state == REGISTRATION_LEAVING || (all && t.lapses));
	}
	return n;
}

static void
withdrawal_free(struct withdrawal *w)
{
	struct registers *r = w->registers;

	timer_stop(&r->io->loop->timers, &w->grace);
	TAILQ_REMOVE(&r->withdrawals, w, link);
	free(w);
}

static void
withdrawal_end(struct timer *t)
{
	struct withdrawal *w = CONTAINER(t, struct withdrawal, grace);
	unsigned n = known_n(w, true);
	char text[128];

	if (n == 0)
		snprintf(text, sizeof(text), "withdrawn: %u", w->n);
	else
		snprintf(text, sizeof(text), "%u of %u could not be "
		    "deregistered, and the lease lapses: the log says why",
		    n, w->n);
	w->told.withdrawn(w->told.arg, w->number, n > 0, text);
	withdrawal_free(w);
}

static void
withdrawals_look(struct registers *r)
{
	struct withdrawal *w;

	TAILQ_FOREACH(w, &r->withdrawals, link)
		if (!timer_started(&w->grace) && known_n(w, false) == 0)
			timer_start(&r->io->loop->timers, &w->grace,
			    r->io->loop->now, GRACE_MS);
}

void
registers_withdraw(struct registers *r, const char *name, uint32_t number,
    const struct registers_withdrawn *told)
{
	struct withdrawal *w = calloc(1, sizeof(*w));
	struct member *m;

	if (w == NULL) {
		told->withdrawn(told->arg, number, true, "no memory");
		return;
	}
	*w = (struct withdrawal){ .registers = r, .told = *told,
	    .number = number, .grace.fire = withdrawal_end };
	snprintf(w->name, sizeof(w->name), "%s", name);
	TAILQ_INSERT_TAIL(&r->withdrawals, w, link);
	TAILQ_FOREACH(m, &r->members, link)
		if (is_meant(m, w->name)) {
			w->n++;
			registration_withdraw(m->registration);
		}
	if (w->n > 0) {
		loop_soon(r->io->loop, &r->sweep);
		return;
	}
	told->withdrawn(told->arg, number, *name != '\0', *name == '\0' ?
	    "no app is registered here" : "no app of this service or id is "
	    "registered here");
	withdrawal_free(w);
}

/* ---- those that are gone */

static void
member_free(struct registers *r, struct member *m)
{
	TAILQ_REMOVE(&r->members, m, link);
	registration_close(m->registration);
	free(m);
}

static void
on_left(void *arg, struct registration *at)
{
	struct registers *r = arg;

	(void)at;
	loop_soon(r->io->loop, &r->sweep);
}

static void
sweep_run(struct task *t)
{
	struct registers *r = CONTAINER(t, struct registers, sweep);
	struct member *m, *next;

	for (m = TAILQ_FIRST(&r->members); m != NULL; m = next) {
		next = TAILQ_NEXT(m, link);
		if (m->gone)
			member_free(r, m);
	}
	withdrawals_look(r);
	if (r->left != NULL && TAILQ_EMPTY(&r->members) &&
	    !timer_started(&r->grace))
		timer_start(&r->io->loop->timers, &r->grace, r->io->loop->now,
		    GRACE_MS);
}

static void
on_gone(void *arg, struct registration *at)
{
	struct registers *r = arg;
	struct member *m;

	TAILQ_FOREACH(m, &r->members, link)
		if (m->registration == at)
			m->gone = true;
	loop_soon(r->io->loop, &r->sweep);
}

static void
grace_over(struct timer *t)
{
	struct registers *r = CONTAINER(t, struct registers, grace);

	r->left(r->left_arg);
}

/* ---- what a file says */

static struct member *
find(struct registers *r, const char *id)
{
	struct member *m;

	TAILQ_FOREACH(m, &r->members, link)
		if (!m->leaves && strcmp(settings_of(m)->id, id) == 0)
			return m;
	return NULL;
}

static bool
is_named(const struct register_list *l, const char *id)
{
	for (uint32_t i = 0; i < l->n; i++)
		if (strcmp(l->at[i].id, id) == 0)
			return true;
	return false;
}

static void
add(struct registers *r, const struct register_settings *s)
{
	struct member *m = calloc(1, sizeof(*m));

	if (m != NULL)
		m->registration = registration_open(r->io, s, &r->owner);
	if (m == NULL || m->registration == NULL) {
		log_error("no memory to register %s", s->service);
		free(m);
		return;
	}
	TAILQ_INSERT_TAIL(&r->members, m, link);
}

static void
member_leave(struct member *m)
{
	m->leaves = true;
	registration_leave(m->registration);
}

void
registers_follow(struct registers *r, const struct register_list *l)
{
	struct member *m;

	if (r->left != NULL)
		return;
	TAILQ_FOREACH(m, &r->members, link)
		if (!m->leaves && !is_named(l, settings_of(m)->id))
			member_leave(m);
	for (uint32_t i = 0; i < l->n; i++) {
		m = find(r, l->at[i].id);
		if (m != NULL && memcmp(settings_of(m), &l->at[i],
		    sizeof(l->at[i])) == 0)
			continue;
		if (m != NULL)
			member_free(r, m);
		add(r, &l->at[i]);
	}
}

void
registers_leave(struct registers *r, void (*left)(void *arg), void *arg)
{
	struct member *m;

	if (r->left != NULL)
		return;
	r->left = left;
	r->left_arg = arg;
	TAILQ_FOREACH(m, &r->members, link)
		member_leave(m);
	if (TAILQ_EMPTY(&r->members))
		left(arg);
}

/* ---- life */

struct registers *
registers_new(struct io *io, bool (*target)(void *arg, uint32_t i,
    struct subscribe_target *t, char *why, size_t why_len), void *target_arg)
{
	struct registers *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->io = io;
	r->owner = (struct registration_owner){ target, target_arg,
	    on_left, on_gone, r };
	TAILQ_INIT(&r->members);
	TAILQ_INIT(&r->withdrawals);
	r->sweep.run = sweep_run;
	r->grace.fire = grace_over;
	return r;
}

void
registers_free(struct registers *r)
{
	struct withdrawal *w;
	struct member *m;

	if (r == NULL)
		return;
	while ((m = TAILQ_FIRST(&r->members)) != NULL)
		member_free(r, m);
	while ((w = TAILQ_FIRST(&r->withdrawals)) != NULL)
		withdrawal_free(w);
	timer_stop(&r->io->loop->timers, &r->grace);
	loop_cancel(r->io->loop, &r->sweep);
	free(r);
}

/* ---- for humans */

static const char *const words[REGISTRATION_STATES] = {
	[REGISTRATION_WAITING] = "waits for the app",
	[REGISTRATION_CONNECTING] = "connecting to the control plane",
	[REGISTRATION_ASKING] = "asks to be registered",
	[REGISTRATION_HELD] = "registered",
	[REGISTRATION_PAUSED] = "not registered",
	[REGISTRATION_LEAVING] = "leaves",
	[REGISTRATION_GONE] = "left",
};

/* "tasks.TaskStore at 10.0.0.5:50051: registered for 12 s, epoch 3" */
static void
sentence(const struct member *m, char text[SENTENCE_BYTES])
{
	const struct register_settings *s = settings_of(m);
	struct registration_status t;
	char since[32], next[32] = "", epoch[32] = "";

	registration_status(m->registration, &t);
	if (t.state == REGISTRATION_HELD)
		snprintf(epoch, sizeof(epoch), ", epoch %llu",
		    (unsigned long long)t.epoch);
	if (t.state == REGISTRATION_PAUSED)
		status_span(t.next_ms - t.now_ms, next);
	snprintf(text, SENTENCE_BYTES, "%s at %s:%u: %s for %s%s%s%s%s%s",
	    s->service, s->host, s->port, words[t.state],
	    status_span(t.now_ms - t.since_ms, since), epoch,
	    *next == '\0' ? "" : ", tried again in ", next,
	    *t.why == '\0' ? "" : ": ", t.why);
}

static bool
is_wrong(const struct member *m)
{
	struct registration_status t;

	registration_status(m->registration, &t);
	return t.state == REGISTRATION_PAUSED ||
	    t.state == REGISTRATION_WAITING || (*t.why != '\0' &&
	    (t.state == REGISTRATION_CONNECTING ||
	    t.state == REGISTRATION_ASKING));
}

void
registers_wrong(const struct registers *r, void (*say)(void *arg,
    const char *sentence), void *arg)
{
	char text[SENTENCE_BYTES];
	struct member *m;

	TAILQ_FOREACH(m, &r->members, link)
		if (is_wrong(m)) {
			sentence(m, text);
			say(arg, text);
		}
}

void
registers_print(const struct registers *r, FILE *out)
{
	char text[SENTENCE_BYTES];
	struct member *m;

	TAILQ_FOREACH(m, &r->members, link) {
		sentence(m, text);
		fprintf(out, "%-15s%s\n", m == TAILQ_FIRST(&r->members) ?
		    "register" : "", text);
	}
}
