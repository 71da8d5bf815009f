/*
 * master/sources.c - see sources.h. The memfd: a head, then for each source
 * an item, its name and its bytes (none for a key).
 */
#include "master/sources.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "master/whole.h"
#include "shm/block.h"
#include "shm/log.h"

/* glibc's lists have none. */
#ifndef STAILQ_FOREACH_SAFE
#define STAILQ_FOREACH_SAFE(at, head, field, after) \
	for (at = STAILQ_FIRST(head); \
	    at != NULL && (after = STAILQ_NEXT(at, field), 1); at = after)
#endif

#define KEPT_LAYOUT (BLOCK_LAYOUT ^ 0x6b657074ull)	/* "kept" */

struct head {
	uint64_t	layout;		/* KEPT_LAYOUT */
	uint64_t	bytes;		/* of all, this head too */
};

struct item {
	uint64_t	name_len, len;
	struct watch_stamp stamp;	/* of the file that was read */
	uint64_t	key_hash;
	block_ref	key;		/* not 0: a key, and where */
	uint32_t	pad;
};

struct source {
	STAILQ_ENTRY(source) link;
	char		*bytes;		/* NULL: of a key not asked for yet */
	size_t		 len;
	struct watch_stamp stamp;
	block_ref	 key;
	uint64_t	 key_hash;
	bool		 secret;
	bool		 asked;
	bool		 added;		/* from disk */
	char		 name[];
};

struct renewed {			/* of sources_renew */
	SLIST_ENTRY(renewed) link;
	uint64_t	 group;		/* the last that asked for it */
	char		 name[];
};

struct sources {
	STAILQ_HEAD(, source) all;	/* in the order they were read */
	const struct arena *secrets;	/* of the kept ones; NULL: disk */
	bool		 is_over;	/* the disk as well, */
	enum sources_first first;
	int		 fd;		/* to be read; -1: it was, or there is
					   none */
	bool		 added;
	SLIST_HEAD(, renewed) renewed;
	uint64_t	 group;		/* from 1 */
};

/* ---- the list */

static struct sources *
sources_new(const struct arena *secrets)
{
	struct sources *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	STAILQ_INIT(&s->all);
	SLIST_INIT(&s->renewed);
	s->secrets = secrets;
	s->fd = -1;
	s->group = 1;
	return s;
}

struct sources *
sources_disk(void)
{
	return sources_new(NULL);
}

static void
source_free(struct source *at)
{
	/* What was not read to its end may be a key as well. */
	if (at->bytes != NULL)
		explicit_bzero(at->bytes, at->len);
	free(at->bytes);
	free(at);
}

void
sources_free(struct sources *s)
{
	struct renewed *r;
	struct source *at;

	if (s == NULL)
		return;
	while ((r = SLIST_FIRST(&s->renewed)) != NULL) {
		SLIST_REMOVE_HEAD(&s->renewed, link);
		free(r);
	}
	while ((at = STAILQ_FIRST(&s->all)) != NULL) {
		STAILQ_REMOVE_HEAD(&s->all, link);
		source_free(at);
	}
	free(s);
}

static struct source *
find(const struct sources *s, const char *name, bool secret)
{
	struct source *at;

	STAILQ_FOREACH(at, &s->all, link)
		if (at->secret == secret && strcmp(at->name, name) == 0)
			return at;
	return NULL;
}

/* With room for len bytes and a NUL. NULL: no memory. */
static struct source *
add(struct sources *s, const char *name, size_t name_len, size_t len)
{
	struct source *at = calloc(1, sizeof(*at) + name_len + 1);

	if (at == NULL || (at->bytes = malloc(len + 1)) == NULL) {
		free(at);
		return NULL;
	}
	memcpy(at->name, name, name_len);
	at->len = len;
	at->bytes[len] = '\0';
	STAILQ_INSERT_TAIL(&s->all, at, link);
	return at;
}

static void
take_out(struct sources *s, struct source *at)
{
	STAILQ_REMOVE(&s->all, at, source, link);
	source_free(at);
}

/* ---- from disk */

/* Only a regular file has a size to go by; a pipe or a device is read as far
 * as max goes. */
static struct source *
disk_take(struct sources *s, int fd, const char *name, size_t max, char *why,
    size_t why_len)
{
	struct source *at;
	struct stat st;

	if (fd == -1 || fstat(fd, &st) == -1) {
		why_set(why, why_len, "can't read \"%s\": %s", name,
		    strerror(errno));
		return NULL;
	}
	if (!S_ISREG(st.st_mode)) {
		why_set(why, why_len, "\"%s\" is no regular file", name);
		return NULL;
	}
	if (st.st_size == 0 || (uint64_t)st.st_size > max) {
		why_set(why, why_len, "\"%s\" has %lld bytes, expected "
		    "1..%zu", name, (long long)st.st_size, max);
		return NULL;
	}
	at = add(s, name, strlen(name), (size_t)st.st_size);
	if (at != NULL)
		at->stamp = watch_stamp_of(&st);
	errno = ENOMEM;
	if (at != NULL && whole_read(fd, at->bytes, &at->len) == 0) {
		at->bytes[at->len] = '\0';
		if (at->len > 0)
			return at;
		errno = EAGAIN;		/* somebody is just writing it */
	}
	why_set(why, why_len, "can't read \"%s\": %s", name, strerror(errno));
	if (at != NULL)
		take_out(s, at);
	return NULL;
}

static struct source *
disk_read(struct sources *s, const char *name, size_t max, char *why,
    size_t why_len)
{
	/* Not to wait for whoever writes into a pipe of that name. */
	int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct source *at = disk_take(s, fd, name, max, why, why_len);

	if (fd != -1)
		close(fd);
	return at;
}

/* ---- from what was kept */

/* One item at *p, before end; false: there is none. */
static bool
item_take(struct sources *s, const uint8_t **p, const uint8_t *end)
{
	struct source *at;
	struct item item;
	size_t left = (size_t)(end - *p);

	if (left < sizeof(item))
		return false;
	memcpy(&item, *p, sizeof(item));
	left -= sizeof(item);
	if (item.name_len > left || item.len > left - item.name_len)
		return false;
	*p += sizeof(item);
	at = add(s, (const char *)*p, item.name_len, item.len);
	if (at == NULL)
		return false;
	*p += item.name_len;
	memcpy(at->bytes, *p, item.len);
	*p += item.len;
	at->stamp = item.stamp;
	at->key = item.key;
	at->key_hash = item.key_hash;
	at->secret = item.key != 0;
	return true;
}

/* The key's bytes, out of the arena of secrets; NULL bytes: it is not there any
 * more (S3). False: it can't be there, or no memory. */
static bool
key_take(const struct sources *s, struct source *at)
{
	uint64_t off = (uint64_t)at->key * ARENA_UNIT_BYTES;
	const struct block_text *t;

	if (off > s->secrets->size_bytes - sizeof(*t))
		return false;
	t = arena_at(s->secrets, at->key);
	if (t->len > s->secrets->size_bytes - off - sizeof(*t) - 1)
		return false;
	free(at->bytes);
	at->bytes = NULL;
	if (XXH3_64bits(t->bytes, t->len) != at->key_hash)
		return true;
	at->bytes = malloc((size_t)t->len + 1);
	if (at->bytes == NULL)
		return false;
	at->len = t->len;
	memcpy(at->bytes, t->bytes, t->len);
	at->bytes[t->len] = '\0';
	return true;
}

/* How long it is; 0: it is not what sources_keep made. Whatever else was in
 * its place, gigabytes of an arena too, is not read any further. */
static size_t
kept_len(int fd)
{
	struct head head;
	struct stat st;

	if (fstat(fd, &st) == -1 ||
	    pread(fd, &head, sizeof(head), 0) != sizeof(head) ||
	    head.layout != KEPT_LAYOUT || head.bytes != (uint64_t)st.st_size)
		return 0;
	return (size_t)head.bytes;
}

static bool
kept_read(struct sources *s, const uint8_t *p, size_t len)
{
	const uint8_t *end = p + len;
	struct source *at, *next;

	p += sizeof(struct head);
	while (p < end)
		if (!item_take(s, &p, end))
			return false;
	STAILQ_FOREACH_SAFE(at, &s->all, link, next)
		if (at->secret && !key_take(s, at))
			return false;
		else if (at->bytes == NULL)
			take_out(s, at);
	return true;
}

static bool
fd_read(struct sources *s, int fd)
{
	size_t len = kept_len(fd);
	uint8_t *bytes = len == 0 ? NULL : malloc(len);
	bool good = bytes != NULL &&
	    pread(fd, bytes, len, 0) == (ssize_t)len &&
	    kept_read(s, bytes, len);

	free(bytes);
	return good;
}

struct sources *
sources_over(int fd, const struct arena *secrets, enum sources_first first)
{
	struct sources *s = sources_new(secrets);

	if (s == NULL)
		return NULL;
	s->is_over = true;
	s->first = first;
	s->fd = fd;
	return s;
}

static void
load(struct sources *s)
{
	int fd = s->fd;

	s->fd = -1;
	if (fd != -1 && !fd_read(s, fd))
		log_error("the configuration that was kept can't be read");
}

struct sources *
sources_kept(int fd, const struct arena *secrets, char *why, size_t why_len)
{
	struct sources *s = sources_new(secrets);

	if (s != NULL && fd_read(s, fd))
		return s;
	sources_free(s);
	why_set(why, why_len, "the configuration that was kept can't be read");
	return NULL;
}

void
sources_and_disk(struct sources *s)
{
	s->is_over = true;
	s->first = SOURCES_KEPT_FIRST;
}

static struct source *get(struct sources *s, const char *name, bool secret,
		    size_t max, char *why, size_t why_len);

/* ---- anew, and together */

static struct renewed *
renewed_find(const struct sources *s, const char *name)
{
	struct renewed *r;

	SLIST_FOREACH(r, &s->renewed, link)
		if (strcmp(r->name, name) == 0)
			return r;
	return NULL;
}

bool
sources_renew(struct sources *s, const char *name)
{
	size_t n = strlen(name) + 1;
	struct renewed *r = calloc(1, sizeof(*r) + n);
	struct source *at, *next;

	if (r == NULL)
		return false;
	memcpy(r->name, name, n);
	SLIST_INSERT_HEAD(&s->renewed, r, link);
	load(s);
	STAILQ_FOREACH_SAFE(at, &s->all, link, next)
		if (strcmp(at->name, name) == 0)
			take_out(s, at);
	return true;
}

/* As a file and as a key, if it is both. */
bool
sources_same(struct sources *s, const char *name)
{
	struct sources *disk = sources_disk();
	const struct source *at, *now;
	bool same = disk != NULL, any = false;
	char why[256];

	load(s);
	STAILQ_FOREACH(at, &s->all, link) {
		if (!same || strcmp(at->name, name) != 0)
			continue;
		any = true;
		now = get(disk, name, at->secret, at->len, why, sizeof(why));
		same = now != NULL && now->len == at->len &&
		    memcmp(now->bytes, at->bytes, at->len) == 0;
	}
	sources_free(disk);
	return same && any;
}

void
sources_group(struct sources *s)
{
	s->group++;
}

bool
sources_in_group(const struct sources *s, const char *name)
{
	const struct renewed *r = renewed_find(s, name);

	return r != NULL && r->group == s->group;
}

bool
sources_added(const struct sources *s)
{
	return s->added;
}

void
sources_prune(struct sources *s, bool (*used)(void *arg, const char *name),
    void *arg)
{
	struct source *at, *next;

	load(s);
	STAILQ_FOREACH_SAFE(at, &s->all, link, next)
		if (!at->asked && !used(arg, at->name))
			take_out(s, at);
}

void
sources_each(struct sources *s, void (*each)(void *arg, const char *name,
    const struct watch_stamp *stamp), void *arg)
{
	const struct source *at;

	load(s);
	STAILQ_FOREACH(at, &s->all, link)
		each(arg, at->name, &at->stamp);
}

/* ---- asking */

static struct source *
get(struct sources *s, const char *name, bool secret, size_t max, char *why,
    size_t why_len)
{
	struct renewed *r = renewed_find(s, name);
	struct source *at;

	load(s);
	if (r != NULL)
		r->group = s->group;
	at = find(s, name, secret);
	if (at != NULL && !at->added && s->is_over &&
	    s->first == SOURCES_DISK_FIRST) {
		take_out(s, at);
		at = NULL;
	}
	if (at == NULL && s->secrets != NULL && !s->is_over)
		why_set(why, why_len, "\"%s\" was not kept", name);
	else if (at == NULL &&
	    (at = disk_read(s, name, max, why, why_len)) != NULL) {
		at->secret = secret;
		at->added = s->added = true;
	}
	if (at != NULL)
		at->asked = true;
	return at;
}

const char *
sources_file(struct sources *s, const char *name, size_t max, size_t *len,
    char *why, size_t why_len)
{
	struct source *at = get(s, name, false, max, why, why_len);

	if (at == NULL)
		return NULL;
	*len = at->len;
	return at->bytes;
}

const char *
sources_key(struct sources *s, const char *name, size_t max, size_t *len,
    char *why, size_t why_len)
{
	struct source *at = get(s, name, true, max, why, why_len);

	if (at == NULL)
		return NULL;
	*len = at->len;
	return at->bytes;
}

void
sources_key_put(struct sources *s, const char *name, block_ref text)
{
	struct source *at = find(s, name, true);

	if (at == NULL)
		return;
	at->key = text;
	at->key_hash = XXH3_64bits(at->bytes, at->len);
}

/* ---- keeping */

static bool
item_write(int fd, const struct source *at, uint64_t *bytes)
{
	struct item item = { strlen(at->name), at->secret ? 0 : at->len,
	    at->stamp, at->key_hash, at->key, 0 };

	*bytes += sizeof(item) + item.name_len + item.len;
	return whole_write(fd, &item, sizeof(item)) == 0 &&
	    whole_write(fd, at->name, item.name_len) == 0 &&
	    whole_write(fd, at->bytes, item.len) == 0;
}

static bool
all_write(int fd, const struct sources *s)
{
	struct head head = { KEPT_LAYOUT, sizeof(head) };
	const struct source *at;

	if (whole_write(fd, &head, sizeof(head)) == -1)
		return false;
	STAILQ_FOREACH(at, &s->all, link)
		if ((!at->secret || at->key != 0) &&
		    !item_write(fd, at, &head.bytes))
			return false;
	return pwrite(fd, &head, sizeof(head), 0) == sizeof(head) &&
	    arena_file_seal(fd) == 0;
}

int
sources_keep(const struct sources *s, char *why, size_t why_len)
{
	int fd = arena_file("godwit-kept");

	if (fd != -1 && all_write(fd, s))
		return fd;
	why_set(why, why_len, "can't keep the configuration in memory: %s",
	    strerror(errno));
	if (fd != -1)
		close(fd);
	return -1;
}
