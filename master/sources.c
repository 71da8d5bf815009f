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

#include "master/whole.h"
#include "shm/block.h"
#include "shm/log.h"

#define KEPT_LAYOUT (BLOCK_LAYOUT ^ 0x6b657074ull)	/* "kept" */

struct head {
	uint64_t	layout;		/* KEPT_LAYOUT */
	uint64_t	bytes;		/* of all, this head too */
};

struct item {
	uint64_t	name_len, len;
	block_ref	key;		/* not 0: a key, and where */
	uint32_t	pad;
};

struct source {
	STAILQ_ENTRY(source) link;
	char		*bytes;		/* NULL: of a key not asked for yet */
	size_t		 len;
	block_ref	 key;
	bool		 secret;
	char		 name[];
};

struct sources {
	STAILQ_HEAD(, source) all;	/* in the order they were read */
	const struct arena *secrets;	/* of the kept ones; NULL: disk */
};

/* ---- the list */

static struct sources *
sources_new(const struct arena *secrets)
{
	struct sources *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	STAILQ_INIT(&s->all);
	s->secrets = secrets;
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
	struct source *at;

	if (s == NULL)
		return;
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
	at->key = item.key;
	at->secret = item.key != 0;
	return true;
}

/* The key's bytes, out of the arena of secrets. */
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
	struct source *at;

	p += sizeof(struct head);
	while (p < end)
		if (!item_take(s, &p, end))
			return false;
	STAILQ_FOREACH(at, &s->all, link)
		if (at->secret && !key_take(s, at))
			return false;
	return true;
}

struct sources *
sources_kept(int fd, const struct arena *secrets, char *why, size_t why_len)
{
	struct sources *s = sources_new(secrets);
	size_t len = s == NULL ? 0 : kept_len(fd);
	uint8_t *bytes = len == 0 ? NULL : malloc(len);
	bool good = false;

	if (bytes != NULL)
		good = pread(fd, bytes, len, 0) == (ssize_t)len &&
		    kept_read(s, bytes, len);
	free(bytes);
	if (good)
		return s;
	sources_free(s);
	why_set(why, why_len, "the configuration that was kept can't be read");
	return NULL;
}

/* ---- asking */

static struct source *
get(struct sources *s, const char *name, bool secret, size_t max, char *why,
    size_t why_len)
{
	struct source *at = find(s, name, secret);

	if (at == NULL && s->secrets != NULL)
		why_set(why, why_len, "\"%s\" was not kept", name);
	else if (at == NULL &&
	    (at = disk_read(s, name, max, why, why_len)) != NULL)
		at->secret = secret;
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

	if (at != NULL)
		at->key = text;
}

/* ---- keeping */

static bool
item_write(int fd, const struct source *at, uint64_t *bytes)
{
	struct item item = { strlen(at->name), at->secret ? 0 : at->len,
	    at->key, 0 };

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
