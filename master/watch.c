/* master/watch.c - see watch.h. */
#include "master/watch.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/queue.h>
#include <unistd.h>

#include "shm/log.h"
#include "worker/io/loop.h"

enum {
	DEBOUNCE_MS = 50,
	LOOK_MS = 10000,
	LINKS_MAX = 40,		/* as Linux */
	EVENTS_BYTES = 16 << 10,
};

/* IN_MODIFY is left out: half of a write is of no use. */
#define EVENTS (IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | \
	IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

/* A name that is looked up in the folder that wd watches. */
struct step {
	int		 wd;
	char		*name;
};

struct watched {
	LIST_ENTRY(watched) link;
	struct watch_stamp stamp;	/* what was told last */
	struct step	*steps;
	int		 steps_n;
	bool		 stirred;	/* to be looked at */
	char		 path[];
};

struct watch {
	struct loop	*loop;
	struct source	 source;
	int		 fd;		/* -1: no inotify */
	struct timer	 debounce, look;
	LIST_HEAD(, watched) all;
	void		(*on_change)(void *arg, const char *path);
	void		*arg;
};

/* ---- stamps */

struct watch_stamp
watch_stamp_of(const struct stat *st)
{
	return (struct watch_stamp){ .dev = (uint64_t)st->st_dev,
	    .ino = (uint64_t)st->st_ino, .size = (uint64_t)st->st_size,
	    .mtime_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 +
	    st->st_mtim.tv_nsec };
}

static struct watch_stamp
stamp_now(const char *path)
{
	struct stat st;

	if (stat(path, &st) == -1)
		return (struct watch_stamp){ 0 };
	return watch_stamp_of(&st);
}

bool
watch_stamp_same(const struct watch_stamp *a, const struct watch_stamp *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	    a->mtime_ns == b->mtime_ns;
}

/* ---- the folders of a path */

static void
steps_free(struct step *steps, int n)
{
	for (int i = 0; i < n; i++)
		free(steps[i].name);
	free(steps);
}

/* Memory or inotify is out: then this step is looked at only (W2). */
static void
step_add(const struct watch *w, struct watched *f, const char *folder,
    const char *name, size_t name_len)
{
	int wd = inotify_add_watch(w->fd, folder, EVENTS);
	struct step *to = wd == -1 ? NULL : realloc(f->steps,
	    ((size_t)f->steps_n + 1) * sizeof(*to));

	if (to == NULL)
		return;
	f->steps = to;
	to[f->steps_n].wd = wd;
	to[f->steps_n].name = strndup(name, name_len);
	if (to[f->steps_n].name != NULL)
		f->steps_n++;
}

struct walk {
	char		at[PATH_MAX];	/* a folder with no link in its name */
	char		rest[PATH_MAX];	/* to be looked up from there */
	int		links_n;
};

/* The link that stands at next instead of itself. */
static bool
link_follow(struct walk *k, const char *next, const char *after)
{
	char to[PATH_MAX], rest[PATH_MAX];
	ssize_t n = readlink(next, to, sizeof(to) - 1);
	int len;

	if (n == -1 || ++k->links_n > LINKS_MAX)
		return false;
	to[n] = '\0';
	len = snprintf(rest, sizeof(rest), "%s/%s", to, after);
	if (len < 0 || (size_t)len >= sizeof(rest))
		return false;
	memcpy(k->rest, rest, (size_t)len + 1);
	if (to[0] == '/')
		strcpy(k->at, "/");
	return true;
}

/* One name further; false: it is the last, or is not there. */
static bool
walk_step(const struct watch *w, struct watched *f, struct walk *k)
{
	char next[PATH_MAX], after[PATH_MAX];
	const char *name = k->rest + strspn(k->rest, "/");
	size_t n = strcspn(name, "/");
	struct stat st;
	int len;

	if (n == 0)
		return false;
	if (n > 2 || name[0] != '.' || (n == 2 && name[1] != '.'))
		step_add(w, f, k->at, name, n);
	len = snprintf(next, sizeof(next), "%s/%.*s", k->at, (int)n, name);
	if (len < 0 || (size_t)len >= sizeof(next) || lstat(next, &st) == -1)
		return false;
	strcpy(after, name + n);
	if (S_ISLNK(st.st_mode))
		return link_follow(k, next, after);
	strcpy(k->at, next);
	strcpy(k->rest, after);
	return true;
}

static bool
wd_used(const struct watch *w, int wd)
{
	const struct watched *f;

	LIST_FOREACH(f, &w->all, link)
		for (int i = 0; i < f->steps_n; i++)
			if (f->steps[i].wd == wd)
				return true;
	return false;
}

/* The folders of before are no longer those of a path. */
static void
steps_leave(const struct watch *w, struct step *before, int n)
{
	for (int i = 0; i < n; i++)
		if (!wd_used(w, before[i].wd))
			inotify_rm_watch(w->fd, before[i].wd);
	steps_free(before, n);
}

/* A folder is watched before what is in it is looked at: what changes
 * meanwhile is told by one or seen by the other. */
static void
walk(const struct watch *w, struct watched *f)
{
	struct step *before = f->steps;
	int n = f->steps_n;
	struct walk k = { .links_n = 0 };

	if (w->fd == -1)
		return;
	f->steps = NULL;
	f->steps_n = 0;
	strcpy(k.at, f->path[0] == '/' ? "/" : ".");
	if (strlen(f->path) < sizeof(k.rest)) {
		strcpy(k.rest, f->path);
		while (walk_step(w, f, &k))
			;
	}
	steps_leave(w, before, n);
}

/* ---- looking, and telling */

static struct watched *
find_stirred(const struct watch *w)
{
	struct watched *f;

	LIST_FOREACH(f, &w->all, link)
		if (f->stirred)
			return f;
	return NULL;
}

/* From the first each time: whoever is told may add and remove (W3). */
static void
look(struct watch *w)
{
	struct watched *f;
	struct watch_stamp now;

	while ((f = find_stirred(w)) != NULL) {
		f->stirred = false;
		walk(w, f);
		now = stamp_now(f->path);
		if (now.ino == 0 || watch_stamp_same(&now, &f->stamp))
			continue;		/* W1 */
		f->stamp = now;
		w->on_change(w->arg, f->path);
	}
}

static void
stir_all(struct watch *w)
{
	struct watched *f;

	LIST_FOREACH(f, &w->all, link)
		f->stirred = true;
}

static void
debounce_fire(struct timer *t)
{
	look(CONTAINER(t, struct watch, debounce));
}

static void
look_fire(struct timer *t)
{
	struct watch *w = CONTAINER(t, struct watch, look);

	timer_start(&w->loop->timers, t, w->loop->now, LOOK_MS);
	stir_all(w);
	look(w);
}

/* ---- what inotify says */

/* Of a folder itself (no name) all that goes through it. */
static bool
concerns(const struct watched *f, const struct inotify_event *e)
{
	for (int i = 0; i < f->steps_n; i++)
		if (f->steps[i].wd == e->wd && (e->len == 0 ||
		    strcmp(f->steps[i].name, e->name) == 0))
			return true;
	return false;
}

static bool
event_take(struct watch *w, const struct inotify_event *e)
{
	struct watched *f;
	bool any = false;

	if ((e->mask & IN_Q_OVERFLOW) != 0) {
		stir_all(w);
		return true;
	}
	LIST_FOREACH(f, &w->all, link)
		if (!f->stirred && concerns(f, e))
			any = f->stirred = true;
	return any;
}

static void
events_ready(struct source *s, uint32_t events)
{
	struct watch *w = CONTAINER(s, struct watch, source);
	_Alignas(struct inotify_event) char bytes[EVENTS_BYTES];
	const struct inotify_event *e;
	bool any = false;
	ssize_t n;

	(void)events;
	while ((n = read(w->fd, bytes, sizeof(bytes))) > 0 ||
	    (n == -1 && errno == EINTR))
		for (ssize_t at = 0; at < n;
		    at += (ssize_t)(sizeof(*e) + e->len)) {
			e = (const void *)(bytes + at);
			any |= event_take(w, e);
		}
	/* Not moved by what follows: who writes all the time is looked at. */
	if (any && !timer_started(&w->debounce))
		timer_start(&w->loop->timers, &w->debounce, w->loop->now,
		    DEBOUNCE_MS);
}

/* ---- life */

static void
inotify_start(struct watch *w)
{
	w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (w->fd != -1 && loop_watch(w->loop, w->fd, &w->source) == 0)
		return;
	log_warn("inotify: %s: changed files are noticed within %d s, not at "
	    "once", strerror(errno), LOOK_MS / 1000);
	if (w->fd != -1)
		close(w->fd);
	w->fd = -1;
}

struct watch *
watch_open(struct loop *l, void (*on_change)(void *arg, const char *path),
    void *arg)
{
	struct watch *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return NULL;
	w->loop = l;
	w->source.ready = events_ready;
	w->debounce.fire = debounce_fire;
	w->look.fire = look_fire;
	w->on_change = on_change;
	w->arg = arg;
	LIST_INIT(&w->all);
	inotify_start(w);
	timer_start(&l->timers, &w->look, l->now, LOOK_MS);
	return w;
}

static void
watched_free(struct watched *f)
{
	LIST_REMOVE(f, link);
	steps_free(f->steps, f->steps_n);
	free(f);
}

void
watch_close(struct watch *w)
{
	struct watched *f;

	if (w == NULL)
		return;
	while ((f = LIST_FIRST(&w->all)) != NULL)
		watched_free(f);
	timer_stop(&w->loop->timers, &w->debounce);
	timer_stop(&w->loop->timers, &w->look);
	if (w->fd != -1) {
		loop_forget(w->loop, &w->source);
		w->loop->sys->close(w->loop->sys->ctx, w->fd);
	}
	free(w);
}

static struct watched *
find(const struct watch *w, const char *path)
{
	struct watched *f;

	LIST_FOREACH(f, &w->all, link)
		if (strcmp(f->path, path) == 0)
			return f;
	return NULL;
}

int
watch_add(struct watch *w, const char *path, const struct watch_stamp *seen)
{
	struct watched *f = find(w, path);
	size_t n = strlen(path) + 1;

	if (f == NULL) {
		f = calloc(1, sizeof(*f) + n);
		if (f == NULL)
			return -1;
		memcpy(f->path, path, n);
		LIST_INSERT_HEAD(&w->all, f, link);
		walk(w, f);
	} else if (seen == NULL)
		return 0;
	f->stamp = seen == NULL ? stamp_now(path) : *seen;
	if (seen == NULL)
		return 0;
	/* It may be another by now. */
	f->stirred = true;
	if (!timer_started(&w->debounce))
		timer_start(&w->loop->timers, &w->debounce, w->loop->now,
		    DEBOUNCE_MS);
	return 0;
}

void
watch_remove(struct watch *w, const char *path)
{
	struct watched *f = find(w, path);
	struct step *steps;
	int n;

	if (f == NULL)
		return;
	steps = f->steps;
	n = f->steps_n;
	f->steps = NULL;
	f->steps_n = 0;
	watched_free(f);
	steps_leave(w, steps, n);
}
