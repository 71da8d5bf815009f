/*
 * master/feed_file.c - a feed that is a file: a DiscoveryResponse that is read
 * when it changes, and told to ads.h as if a server had sent it. See
 * subscription_inside.h.
 *
 *   watch ─> other bytes ──┐
 *   a name more is wanted ─┴─> read ─> xds/ads_file ─> ads_feed ─> update
 *
 * What can't be read or understood changes nothing. What is sent is sent
 * again when one name more is wanted, as a server does it: the response before
 * had it, and it was not asked for. No byte is kept: there may be keys in it.
 *
 * Test: t/mesh/880-sources.py.
 */
#include "master/subscription_inside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "master/whole.h"
#include "shm/log.h"
#include "worker/io/loop.h"
#include "xds/ads_file.h"

enum { FILE_BYTES_MAX = 64 << 20 };

struct feed_file {
	struct feed	*feed;
	struct task	 look;
	uint64_t	 hash;		/* of the bytes seen last; 0: none */
	bool		 stale;		/* they may be others by now */
	bool		 again;		/* the same ones are told too */
	bool		 up;		/* ads_begin was called */
	int64_t		 read_ms, why_ms;
	char		 why[WHY_BYTES];
};

/* ---- reading */

/* The bytes and a NUL, the caller's to wipe and free. NULL: why. */
static char *
bytes_read(const char *path, size_t *len, struct stat *st, char *why,
    size_t why_len)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	char *bytes = NULL;

	if (fd == -1 || fstat(fd, st) == -1)
		why_set(why, why_len, "%s: %s", path, strerror(errno));
	else if (!S_ISREG(st->st_mode))
		why_set(why, why_len, "%s: is no file", path);
	else if (st->st_size > FILE_BYTES_MAX)
		why_set(why, why_len, "%s: has %lld bytes, expected at most "
		    "%d", path, (long long)st->st_size, FILE_BYTES_MAX);
	else if ((bytes = malloc((size_t)st->st_size + 1)) == NULL)
		why_set(why, why_len, "%s: no memory", path);
	*len = bytes == NULL ? 0 : (size_t)st->st_size;
	if (bytes != NULL && whole_read(fd, bytes, len) == -1) {
		why_set(why, why_len, "%s: %s", path, strerror(errno));
		free(bytes);
		bytes = NULL;
	}
	if (bytes != NULL)
		bytes[*len] = '\0';
	if (fd != -1)
		close(fd);
	return bytes;
}

static void
bytes_free(void *bytes, size_t len)
{
	if (bytes != NULL)
		explicit_bzero(bytes, len);
	free(bytes);
}

/* ---- telling */

static void
fail(struct feed_file *t, const char *why)
{
	if (strcmp(why, t->why) != 0)
		log_warn("%s: %s; %s",
		    resource_about((enum resource_kind)t->feed->kind)->acronym,
		    why, t->read_ms == 0 ? "it is waited for" :
		    "what it said before goes on");
	snprintf(t->why, sizeof(t->why), "%s", why);
	t->why_ms = subscription_now_ms(t->feed->owner);
}

/* What a server would be told. Whatever is wanted is known to ads.h then. */
static void
requests_drop(struct feed *f)
{
	uint8_t *bytes;
	size_t n;

	while (ads_take(f->ads, subscription_now_ms(f->owner), &bytes, &n))
		free(bytes);
}

static void
tell(struct feed_file *t, const uint8_t *message, size_t len)
{
	struct feed *f = t->feed;
	char why[WHY_BYTES];

	t->again = false;
	if (ads_feed(f->ads, message, len, subscription_now_ms(f->owner), why,
	    sizeof(why)) == -1) {
		fail(t, why);
		return;
	}
	t->read_ms = subscription_now_ms(f->owner);
	t->why[0] = '\0';
	requests_drop(f);
}

static void
take(struct feed_file *t, const char *bytes, size_t len)
{
	struct feed *f = t->feed;
	char why[WHY_BYTES];
	uint8_t *message;
	size_t n;

	message = ads_file_read(f->origin->path, bytes, len,
	    (enum resource_kind)f->kind, &n, why, sizeof(why));
	if (message == NULL) {
		fail(t, why);
		return;
	}
	tell(t, message, n);
	bytes_free(message, n);
}

/* What was read, or could not be: told again only when it is another. */
static void
seen(const struct feed *f, const struct stat *read)
{
	struct watch_stamp stamp = { 0 };
	struct stat st;

	if (read != NULL)
		stamp = watch_stamp_of(read);
	else if (stat(f->origin->path, &st) == 0)
		stamp = watch_stamp_of(&st);
	if (watch_add(f->owner->watch, f->origin->path, &stamp) == -1)
		log_error("no memory to look after %s", f->origin->path);
}

/* Another file, or another content: those that are told again come to
 * nothing. */
static void
look(struct feed_file *t)
{
	struct feed *f = t->feed;
	char why[WHY_BYTES];
	uint64_t hash;
	struct stat st;
	size_t len;
	char *bytes = bytes_read(f->origin->path, &len, &st, why, sizeof(why));

	seen(f, bytes == NULL ? NULL : &st);
	if (bytes == NULL) {
		fail(t, why);
		t->hash = 0;		/* the same ones are news again */
		return;
	}
	hash = XXH3_64bits(bytes, len) | 1;
	if (hash != t->hash || t->again) {
		t->hash = hash;
		take(t, bytes, len);
	}
	bytes_free(bytes, len);
}

static void
look_run(struct task *task)
{
	struct feed_file *t = CONTAINER(task, struct feed_file, look);

	if (ads_is_pending(t->feed->ads))
		return;			/* its answer wakes us */
	if (!t->up)
		ads_begin(t->feed->ads, subscription_now_ms(t->feed->owner));
	t->up = true;
	requests_drop(t->feed);
	if (t->stale || t->again) {
		t->stale = false;
		look(t);
	}
}

void
feed_file_wake(struct feed *f)
{
	loop_soon(f->owner->io->loop, &f->file->look);
}

void
feed_file_look(struct feed *f)
{
	f->file->stale = true;
	feed_file_wake(f);
}

void
feed_file_retry(struct feed *f)
{
	struct ads_status s;

	ads_status(f->ads, (enum resource_kind)f->kind, &s);
	f->file->again |= s.refused;
	feed_file_look(f);
}

void
feed_file_wanted(struct feed *f)
{
	f->file->again = true;
	feed_file_wake(f);
}

void
feed_file_place(const struct feed *f, enum resource_kind kind,
    const char *name, const char *why, char *out, size_t out_len)
{
	const char *path = f->origin->path;
	char ignored[WHY_BYTES];
	struct stat st;
	size_t len;
	char *bytes = bytes_read(path, &len, &st, ignored, sizeof(ignored));

	if (bytes == NULL || (XXH3_64bits(bytes, len) | 1) != f->file->hash)
		snprintf(out, out_len, "%s: %s", path, why);
	else
		ads_file_place(path, bytes, len, kind, name, why, out,
		    out_len);
	bytes_free(bytes, len);
}

/* ---- life */

int
feed_file_open(struct feed *f)
{
	if ((f->file = calloc(1, sizeof(*f->file))) == NULL ||
	    watch_add(f->owner->watch, f->origin->path, NULL) == -1)
		return -1;
	f->file->feed = f;
	f->file->look.run = look_run;
	feed_file_look(f);
	return 0;
}

/* Another kind's may be the same file. */
void
feed_file_close(struct feed *f)
{
	const struct feed *other;
	bool shared = false;

	TAILQ_FOREACH(other, &f->owner->feeds, link)
		shared |= other->file != NULL && strcmp(other->origin->path,
		    f->origin->path) == 0;
	if (!shared)
		watch_remove(f->owner->watch, f->origin->path);
	loop_cancel(f->owner->io->loop, &f->file->look);
	if (f->file->up)
		ads_end(f->ads);
	free(f->file);
	f->file = NULL;
}

void
feed_file_status(const struct feed *f, struct feed_status *to)
{
	to->read_ms = f->file->read_ms;
	to->why = f->file->why;
	to->why_ms = f->file->why_ms;
}
