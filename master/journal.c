/* master/journal.c - see journal.h. */
#include "master/journal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "master/whole.h"
#include "shm/log.h"

enum { WORN_BYTES_MIN = 1 << 20, JOURNAL_BYTES_MAX = 1 << 30 };

/* Then name and version, each with its NUL, and the bytes. */
struct head {
	uint64_t	hash;		/* of all behind it */
	uint64_t	bytes;		/* of all, this head too */
	uint64_t	key_hash;
	uint64_t	len;
	uint32_t	name_len, version_len;
	uint32_t	op, kind;
	block_ref	key;
	uint32_t	layout;
	uint64_t	from;
};
#define LAYOUT 0x6a6f7533u

int
journal_open(struct journal *j, char *why, size_t why_len)
{
	*j = (struct journal){ .fd = arena_file("godwit-journal") };
	return j->fd != -1 ? 0 : why_set(why, why_len, "no memory for what a "
	    "control plane sends: %s", strerror(errno));
}

void
journal_close(struct journal *j)
{
	if (j->fd != -1)
		close(j->fd);
	free(j->buffer);
	*j = (struct journal){ .fd = -1 };
}

static bool
room(struct journal *j, size_t n)
{
	size_t cap = j->buffer_cap == 0 ? 64 << 10 : j->buffer_cap;
	uint8_t *to;

	while (cap - j->buffer_n < n)
		cap *= 2;
	if (cap == j->buffer_cap)
		return true;
	if ((to = realloc(j->buffer, cap)) == NULL)
		return false;
	j->buffer = to;
	j->buffer_cap = cap;
	return true;
}

void
journal_append(struct journal *j, const struct journal_entry *e)
{
	struct head h = { .key_hash = e->key.hash, .key = e->key.ref,
	    .len = e->len, .op = e->op, .kind = e->kind, .layout = LAYOUT,
	    .from = e->from,
	    .name_len = (uint32_t)strlen(e->name),
	    .version_len = (uint32_t)strlen(e->version) };
	uint8_t *at;

	h.bytes = sizeof(h) + h.name_len + 1 + h.version_len + 1 + h.len;
	if (!room(j, h.bytes)) {
		j->failed = true;
		j->error = ENOMEM;
		return;
	}
	at = j->buffer + j->buffer_n;
	memcpy(at + sizeof(h), e->name, h.name_len + 1);
	memcpy(at + sizeof(h) + h.name_len + 1, e->version,
	    h.version_len + 1);
	if (h.len > 0)
		memcpy(at + h.bytes - h.len, e->bytes, h.len);
	memcpy(at, &h, sizeof(h));
	h.hash = XXH64(at + sizeof(h.hash), h.bytes - sizeof(h.hash), 0);
	memcpy(at, &h, sizeof(h));
	j->buffer_n += h.bytes;
}

void
journal_commit(struct journal *j)
{
	static const struct journal_entry mark = { .op = JOURNAL_MARK,
	    .name = "", .version = "" };

	if (j->buffer_n == 0)
		return;
	journal_append(j, &mark);
	if (!j->failed && whole_write(j->fd, j->buffer, j->buffer_n) == -1) {
		j->failed = true;
		j->error = errno;
	}
	j->bytes += j->buffer_n;
	j->buffer_n = 0;
	if (j->buffer_cap > WORN_BYTES_MIN) {
		free(j->buffer);
		j->buffer = NULL;
		j->buffer_cap = 0;
	}
}

void
journal_abort(struct journal *j)
{
	j->buffer_n = 0;
}

bool
journal_is_worn(const struct journal *j)
{
	return j->failed || (j->bytes > WORN_BYTES_MIN &&
	    j->bytes > 2 * j->fresh_bytes);
}

void
journal_fresh(struct journal *j)
{
	j->fresh_bytes = j->bytes;
}

/* ---- reading */

/* The entry at *at, before n; false: there is none that is whole. */
static bool
entry_take(const uint8_t *bytes, size_t n, size_t *at,
    struct journal_entry *e)
{
	const uint8_t *p = bytes + *at;
	struct head h;

	if (n - *at < sizeof(h))
		return false;
	memcpy(&h, p, sizeof(h));
	if (h.layout != LAYOUT || h.bytes > n - *at || h.len > h.bytes ||
	    h.bytes != sizeof(h) + (uint64_t)h.name_len + 1 + h.version_len +
	    1 + h.len || h.op > JOURNAL_MARK || h.kind >= RESOURCE_KINDS_ALL ||
	    h.from > FROM_DNS ||
	    XXH64(p + sizeof(h.hash), h.bytes - sizeof(h.hash), 0) != h.hash)
		return false;
	*e = (struct journal_entry){ .op = (enum journal_kind)h.op,
	    .kind = (enum resource_kind)h.kind,
	    .from = (enum resource_from)h.from,
	    .name = (const char *)p + sizeof(h),
	    .version = (const char *)p + sizeof(h) + h.name_len + 1,
	    .bytes = p + h.bytes - h.len, .len = h.len,
	    .key = { h.key, h.key_hash } };
	*at += h.bytes;
	return e->name[h.name_len] == '\0' && e->version[h.version_len] ==
	    '\0';
}

/* The caller's. NULL: errno. */
static uint8_t *
slurp(int fd, size_t *n)
{
	struct stat st;
	uint8_t *bytes;

	if (fstat(fd, &st) == -1)
		return NULL;
	if (st.st_size > JOURNAL_BYTES_MAX) {
		errno = EFBIG;
		return NULL;
	}
	*n = (size_t)st.st_size;
	if ((bytes = malloc(*n + 1)) == NULL)
		return NULL;
	if (whole_read(fd, bytes, n) == 0)
		return bytes;
	free(bytes);
	return NULL;
}

int
journal_read(int fd, void (*each)(void *arg, const struct journal_entry *e),
    void *arg, char *why, size_t why_len)
{
	struct journal_entry e;
	size_t n, at = 0;
	uint8_t *bytes = slurp(fd, &n);

	if (bytes == NULL)
		return why_set(why, why_len, "what the control plane sent "
		    "can't be read again: %s", strerror(errno));
	while (entry_take(bytes, n, &at, &e))
		each(arg, &e);
	free(bytes);
	return 0;
}
