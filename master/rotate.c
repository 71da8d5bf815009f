/* master/rotate.c - see rotate.h. */
#include "master/rotate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "master/watch.h"
#include "shm/log.h"
#include "worker/io/loop.h"

enum {
	QUIET_MS = 5000,	/* a copy by hand, of two files */
	AGAIN_MS = 60000,	/* a mode that was mended is no other file */
	BUSY_MS = 20,
	WHY_BYTES = 1024, NAMES_BYTES = 2048,
	SENTENCE_BYTES = NAMES_BYTES + WHY_BYTES + 128,
};

enum state {
	GOOD,			/* as it was accepted */
	CHANGED,		/* to be tried */
	TRIED,			/* staged */
	REFUSED,
};

struct file {
	LIST_ENTRY(file) link;
	struct watch_stamp stamp;	/* of what is accepted */
	enum state	 state;
	bool		 again;		/* changed while it was tried */
	bool		 is_used;	/* by what is accepted */
	bool		 said;
	int64_t		 since_ms;	/* it was noticed */
	uint64_t	 group;		/* refused together */
	char		 why[WHY_BYTES];
	char		 name[];
};

struct rotate {
	struct loop	*loop;
	struct generations *generations;
	struct rotate_owner owner;
	struct watch	*watch;
	LIST_HEAD(, file) files;
	struct timer	 timer;
	int64_t		 again_ms;	/* when the refused are tried again */
	uint64_t	 group;
};

static int64_t
now_ms(const struct rotate *r)
{
	return r->loop->now.ns / 1000000;
}

static void
after(struct rotate *r, int64_t ms)
{
	timer_start(&r->loop->timers, &r->timer, r->loop->now, ms);
}

/* ---- saying */

/* The names of those that were refused with f. */
static void
names_of(const struct rotate *r, const struct file *f, char *to, size_t n)
{
	const struct file *at;
	size_t used = 0;

	to[0] = '\0';
	LIST_FOREACH(at, &r->files, link)
		if (at->state == REFUSED && at->group == f->group && used < n)
			used += (size_t)snprintf(to + used, n - used, "%s%s",
			    used == 0 ? "" : " and ", at->name);
}

static bool
is_first(const struct rotate *r, const struct file *f)
{
	const struct file *at;

	LIST_FOREACH(at, &r->files, link)
		if (at->state == REFUSED && at->group == f->group)
			return at == f;
	return false;
}

static void
sentence(const struct rotate *r, const struct file *f, char *to, size_t n)
{
	char names[NAMES_BYTES];

	names_of(r, f, names, sizeof(names));
	snprintf(to, n, "%s changed and can't be used, what was read before "
	    "goes on: %s", names, f->why);
}

static void
said(struct rotate *r, uint64_t group)
{
	struct file *at;

	LIST_FOREACH(at, &r->files, link)
		if (at->state == REFUSED && at->group == group)
			at->said = true;
}

/* Milliseconds until one is to be said; -1: none. */
static int64_t
say_due(struct rotate *r)
{
	char words[SENTENCE_BYTES];
	int64_t left, least = -1;
	struct file *f;

	LIST_FOREACH(f, &r->files, link) {
		if (f->state != REFUSED || f->said)
			continue;
		left = f->since_ms + QUIET_MS - now_ms(r);
		if (left > 0) {
			least = least == -1 || left < least ? left : least;
			continue;
		}
		sentence(r, f, words, sizeof(words));
		log_error("%s", words);
		said(r, f->group);
	}
	return least;
}

void
rotate_wrong(const struct rotate *r, void (*say)(void *arg,
    const char *sentence), void *arg)
{
	char words[SENTENCE_BYTES];
	const struct file *f;

	LIST_FOREACH(f, &r->files, link)
		if (f->state == REFUSED && f->said && is_first(r, f)) {
			sentence(r, f, words, sizeof(words));
			say(arg, words);
		}
}

/* ---- trying */

static struct file *
find(const struct rotate *r, const char *name)
{
	struct file *f;

	LIST_FOREACH(f, &r->files, link)
		if (strcmp(f->name, name) == 0)
			return f;
	return NULL;
}

/* Those to blame leave the list; all, when nobody is. How many are left. */
static size_t
blame(struct rotate *r, struct generations_file *files, size_t n,
    const char *why)
{
	size_t left = 0;
	bool any = false;

	for (size_t i = 0; i < n; i++)
		any |= files[i].blamed;
	r->group++;
	for (size_t i = 0; i < n; i++) {
		struct file *f = find(r, files[i].name);

		if (files[i].same || (any && !files[i].blamed)) {
			files[left++] = files[i];
			continue;
		}
		f->state = REFUSED;
		f->group = r->group;
		snprintf(f->why, sizeof(f->why), "%s", why);
	}
	return left;
}

static void
set_state(struct rotate *r, enum state from, enum state to)
{
	struct file *f;

	LIST_FOREACH(f, &r->files, link)
		if (f->state == from)
			f->state = to;
}

static void
staged(struct rotate *r)
{
	char why[WHY_BYTES];

	set_state(r, CHANGED, TRIED);
	if (r->owner.staged(r->owner.arg, why, sizeof(why)) == -1)
		rotate_end(r, why);
}

/* Those that are as they were, after all. */
static void
same(struct rotate *r, const struct generations_file *files, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (files[i].same)
			find(r, files[i].name)->state = GOOD;
}

/* Without those that are refused, as often as it takes. */
static void
try(struct rotate *r)
{
	struct generations_file *files;
	char why[WHY_BYTES];
	struct file *f;
	size_t n = 0;
	int rc = 1;

	LIST_FOREACH(f, &r->files, link)
		n += f->state == CHANGED;
	files = calloc(n + 1, sizeof(files[0]));
	if (files == NULL)
		return;
	n = 0;
	LIST_FOREACH(f, &r->files, link)
		if (f->state == CHANGED)
			files[n++].name = f->name;
	while (n > 0 && (rc = generations_renew(r->generations, files, n,
	    why, sizeof(why))) == -1)
		n = blame(r, files, n, why);
	same(r, files, n);
	free(files);
	if (n > 0 && rc == 0)
		staged(r);
}

static bool
any(const struct rotate *r, enum state s)
{
	const struct file *f;

	LIST_FOREACH(f, &r->files, link)
		if (f->state == s)
			return true;
	return false;
}

static void
step(struct rotate *r)
{
	int64_t due;

	if (any(r, TRIED))
		return;			/* rotate_end comes */
	if (any(r, REFUSED) && now_ms(r) >= r->again_ms) {
		set_state(r, REFUSED, CHANGED);
		r->again_ms = now_ms(r) + AGAIN_MS;
	}
	if (any(r, CHANGED) && !r->owner.idle(r->owner.arg)) {
		after(r, BUSY_MS);
		return;
	}
	try(r);
	due = say_due(r);
	if (any(r, REFUSED) && !any(r, TRIED))
		after(r, due != -1 ? due : r->again_ms - now_ms(r));
}

static void
timer_fire(struct timer *t)
{
	step(CONTAINER(t, struct rotate, timer));
}

void
rotate_end(struct rotate *r, const char *why)
{
	struct file *f;

	if (why != NULL)
		r->group++;
	LIST_FOREACH(f, &r->files, link) {
		if (f->state != TRIED)
			continue;
		if (why == NULL)
			log_info("%s changed and is in use", f->name);
		else
			snprintf(f->why, sizeof(f->why), "%s", why);
		f->group = r->group;
		f->state = f->again ? CHANGED : why == NULL ? GOOD : REFUSED;
		f->again = false;
	}
	after(r, 0);
}

/* ---- files */

/* The others that were refused may be good with it. */
static void
on_change(void *arg, const char *name)
{
	struct rotate *r = arg;
	struct file *f = find(r, name);

	if (f == NULL)
		return;
	if (f->state != REFUSED || f->said)
		f->since_ms = now_ms(r);
	f->said = false;
	f->again = f->state == TRIED;
	if (f->state == GOOD)
		f->state = CHANGED;
	set_state(r, REFUSED, CHANGED);
	r->again_ms = now_ms(r) + AGAIN_MS;
	after(r, 0);
}

static struct file *
file_new(struct rotate *r, const char *name)
{
	size_t n = strlen(name) + 1;
	struct file *f = calloc(1, sizeof(*f) + n);

	if (f == NULL)
		return NULL;
	memcpy(f->name, name, n);
	LIST_INSERT_HEAD(&r->files, f, link);
	return f;
}

/* What is accepted was read when its stamp says; what came since is told. */
static void
file_take(void *arg, const char *name, const struct watch_stamp *stamp)
{
	struct rotate *r = arg;
	struct file *f = find(r, name);

	if (f == NULL && (f = file_new(r, name)) == NULL)
		return;
	f->is_used = true;
	if (watch_stamp_same(&f->stamp, stamp))
		return;
	f->stamp = *stamp;
	if (f->state != TRIED)
		f->state = GOOD;
	if (watch_add(r->watch, name, stamp) == -1)
		log_error("no memory to watch %s", name);
}

static void
file_free(struct rotate *r, struct file *f)
{
	watch_remove(r->watch, f->name);
	LIST_REMOVE(f, link);
	free(f);
}

void
rotate_follow(struct rotate *r)
{
	struct file *f, *next;

	LIST_FOREACH(f, &r->files, link)
		f->is_used = false;
	generations_files(r->generations, file_take, r);
	for (f = LIST_FIRST(&r->files); f != NULL; f = next) {
		next = LIST_NEXT(f, link);
		if (!f->is_used)
			file_free(r, f);
	}
}

/* ---- life */

struct rotate *
rotate_new(struct loop *l, struct generations *g,
    const struct rotate_owner *o)
{
	struct rotate *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->loop = l;
	r->generations = g;
	r->owner = *o;
	r->timer.fire = timer_fire;
	LIST_INIT(&r->files);
	r->watch = watch_open(l, on_change, r);
	if (r->watch != NULL)
		return r;
	free(r);
	return NULL;
}

void
rotate_free(struct rotate *r)
{
	struct file *f;

	if (r == NULL)
		return;
	while ((f = LIST_FIRST(&r->files)) != NULL)
		file_free(r, f);
	watch_close(r->watch);
	timer_stop(&r->loop->timers, &r->timer);
	free(r);
}
