/*
 * master/checkpoint.c - see checkpoint.h. A file is made whole in memory and
 * read whole: its writer is a child that ends with it.
 */
#include "master/checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include "master/whole.h"
#include "shm/log.h"

/* In the byte order of this machine, as all numbers here. */
#define MAGIC 0x6b63746977646f67ull	/* "godwitck" */

enum { LAYOUT = 1, NAME_BYTES = 256 };

enum { A, B, FILES, FRESH = FILES };
static const char *const suffixes[] = {
	[A] = ".a", [B] = ".b", [FRESH] = ".new",
};

struct head {
	uint64_t	magic;
	uint32_t	layout;
	uint32_t	identity_len;
	uint64_t	sequence;
	uint64_t	bytes;		/* of the file */
	uint64_t	records_n;
	int64_t		written_s;
	uint64_t	hash[2];	/* of all, these being 0 */
};

/* Lengths without the NUL that follows each text. */
struct item {
	uint64_t	len;
	uint32_t	kind_len, source_len, name_len, version_len;
};

struct checkpoint {
	uint8_t		*bytes;
	size_t		 len;
	bool		 secret;
	char		 file[NAME_BYTES];
};

static void
hash_put(uint8_t *bytes, size_t len, uint64_t hash[2])
{
	XXH128_hash_t h;

	memset(bytes + offsetof(struct head, hash), 0, sizeof(h));
	h = XXH3_128bits(bytes, len);
	hash[0] = h.low64;
	hash[1] = h.high64;
}

static int
file_name(char name[NAME_BYTES], const char *base, int which)
{
	int n = snprintf(name, NAME_BYTES, "%s%s", base, suffixes[which]);

	if (n < NAME_BYTES)
		return 0;
	errno = ENAMETOOLONG;
	return -1;
}

/* ---- making the bytes */

static struct item
item_of(const struct checkpoint_record *r)
{
	return (struct item){ r->len,
		(uint32_t)strlen(resource_about(r->kind)->message),
		(uint32_t)strlen(r->source), (uint32_t)strlen(r->name),
		(uint32_t)strlen(r->version) };
}

static size_t
item_bytes(const struct item *i)
{
	return sizeof(*i) + (size_t)i->kind_len + i->source_len +
	    i->name_len + i->version_len + 4 + (size_t)i->len;
}

static uint8_t *
put(uint8_t *to, const void *from, size_t n)
{
	if (n > 0)
		memcpy(to, from, n);
	return to + n;
}

static uint8_t *
record_put(uint8_t *to, const struct checkpoint_record *r)
{
	struct item i = item_of(r);

	to = put(to, &i, sizeof(i));
	to = put(to, resource_about(r->kind)->message, i.kind_len + 1ul);
	to = put(to, r->source, i.source_len + 1ul);
	to = put(to, r->name, i.name_len + 1ul);
	to = put(to, r->version, i.version_len + 1ul);
	return put(to, r->bytes, r->len);
}

static size_t
bytes_of(const char *identity, const struct checkpoint_part *part)
{
	size_t n = sizeof(struct head) + strlen(identity) + 1;
	struct item item;

	for (size_t i = 0; i < part->records_n; i++) {
		item = item_of(&part->records[i]);
		n += item_bytes(&item);
	}
	return n;
}

/* NULL: why. The caller wipes and frees it. */
static uint8_t *
bytes_make(const char *identity, const struct checkpoint_part *part,
    uint64_t sequence, size_t *len, char *why, size_t why_len)
{
	struct head head = { MAGIC, LAYOUT, (uint32_t)strlen(identity),
		sequence, bytes_of(identity, part), part->records_n,
		time(NULL), { 0, 0 } };
	uint8_t *bytes, *to;

	*len = head.bytes;
	if (*len > CHECKPOINT_BYTES_MAX) {
		why_set(why, why_len, "it would have %zu bytes, expected at "
		    "most %d", *len, CHECKPOINT_BYTES_MAX);
		return NULL;
	}
	bytes = malloc(*len);
	if (bytes == NULL) {
		why_set(why, why_len, "no memory for %zu bytes", *len);
		return NULL;
	}
	to = put(bytes, &head, sizeof(head));
	to = put(to, identity, head.identity_len + 1ul);
	for (size_t i = 0; i < part->records_n; i++)
		to = record_put(to, &part->records[i]);
	hash_put(bytes, *len, head.hash);
	memcpy(bytes, &head, sizeof(head));
	return bytes;
}

/* ---- whether it is whole */

/* A text of len bytes and a NUL is at p, where so many are. */
static bool
text_whole(const uint8_t *p, size_t len)
{
	return memchr(p, '\0', len + 1) == p + len;
}

/* The record at *at; false: it is cut, or of no kind we know. */
static bool
record_take(const struct checkpoint *c, size_t *at,
    struct checkpoint_record *r)
{
	const uint8_t *p = c->bytes + *at;
	size_t left = c->len - *at;
	const char *text[4];
	struct item i;
	int kind;

	if (left < sizeof(i))
		return false;
	memcpy(&i, p, sizeof(i));
	if (i.len > left || item_bytes(&i) > left)
		return false;
	p += sizeof(i);
	for (int k = 0; k < 4; k++) {
		const uint32_t lens[] = { i.kind_len, i.source_len,
		    i.name_len, i.version_len };

		if (!text_whole(p, lens[k]))
			return false;
		text[k] = (const char *)p;
		p += lens[k] + 1ul;
	}
	kind = resource_kind_find(text[0]);
	*r = (struct checkpoint_record){ (enum resource_kind)kind, text[1],
	    text[2], text[3], p, i.len };
	*at += item_bytes(&i);
	return kind != -1;
}

static size_t
first_record(const struct head *head)
{
	return sizeof(*head) + head->identity_len + 1ul;
}

static bool
records_whole(const struct checkpoint *c, const struct head *head)
{
	size_t at = first_record(head);
	struct checkpoint_record r;
	uint64_t n = 0;

	while (at < c->len && record_take(c, &at, &r))
		n++;
	return at == c->len && n == head->records_n;
}

/* C2, C3. -1: why. */
static int
check(struct checkpoint *c, const char *identity, char *why, size_t why_len)
{
	struct head head;
	uint64_t hash[2];
	const char *whose = (const char *)c->bytes + sizeof(head);

	memcpy(&head, c->bytes, sizeof(head));
	if (head.magic != MAGIC)
		return why_set(why, why_len, "is no checkpoint of this "
		    "program and machine");
	if (head.layout != LAYOUT)
		return why_set(why, why_len, "has layout %u, expected %d",
		    (unsigned)head.layout, LAYOUT);
	hash_put(c->bytes, c->len, hash);
	if (head.bytes != c->len || hash[0] != head.hash[0] ||
	    hash[1] != head.hash[1])
		return why_set(why, why_len, "is damaged");
	if (first_record(&head) > c->len ||
	    !text_whole((const uint8_t *)whose, head.identity_len))
		return why_set(why, why_len, "is damaged");
	if (strcmp(whose, identity) != 0)
		return why_set(why, why_len, "is of \"%s\", not of \"%s\"",
		    whose, identity);
	if (!records_whole(c, &head))
		return why_set(why, why_len, "has records that this program "
		    "does not know");
	return 0;
}

/* ---- reading */

static int
file_check(const struct stat *st, bool secret, char *why, size_t why_len)
{
	mode_t others = secret ? 077 : 022;

	if (!S_ISREG(st->st_mode))
		return why_set(why, why_len, "is no regular file");
	if (st->st_uid != geteuid())
		return why_set(why, why_len, "belongs to user %u, not to us, "
		    "%u", (unsigned)st->st_uid, (unsigned)geteuid());
	if ((st->st_mode & others) != 0)
		return why_set(why, why_len, "has mode %04o, expected %s",
		    (unsigned)(st->st_mode & 07777), secret ? "0600" :
		    "that only we can write");
	if (st->st_size > CHECKPOINT_BYTES_MAX)
		return why_set(why, why_len, "has %lld bytes, expected at "
		    "most %d", (long long)st->st_size, CHECKPOINT_BYTES_MAX);
	if ((size_t)st->st_size < sizeof(struct head))
		return why_set(why, why_len, "is damaged");
	return 0;
}

static int
read_all(int fd, struct checkpoint *c, char *why, size_t why_len)
{
	size_t n = c->len;

	if (whole_read(fd, c->bytes, &n) == -1)
		return why_set(why, why_len, "can't be read: %s",
		    strerror(errno));
	return n == c->len ? 0 : why_set(why, why_len, "is damaged");
}

static struct checkpoint *
open_read(int fd, const char *name, bool secret, char *why, size_t why_len)
{
	struct checkpoint *c;
	struct stat st;

	if (fstat(fd, &st) == -1) {
		why_set(why, why_len, "can't be read: %s", strerror(errno));
		return NULL;
	}
	if (file_check(&st, secret, why, why_len) == -1)
		return NULL;
	c = calloc(1, sizeof(*c));
	if (c != NULL)
		c->bytes = malloc((size_t)st.st_size);
	if (c == NULL || c->bytes == NULL) {
		free(c);
		why_set(why, why_len, "can't be read: no memory");
		return NULL;
	}
	c->len = (size_t)st.st_size;
	c->secret = secret;
	snprintf(c->file, sizeof(c->file), "%s", name);
	if (read_all(fd, c, why, why_len) == 0)
		return c;
	checkpoint_free(c);
	return NULL;
}

/* NULL: why, "" when there is none of that name. */
static struct checkpoint *
file_read(int dir_fd, const char *name, const char *identity, bool secret,
    char *why, size_t why_len)
{
	/* Not to wait for whoever writes into a pipe of that name. */
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW |
	    O_NONBLOCK);
	struct checkpoint *c;

	if (fd == -1) {
		if (errno != ENOENT)
			why_set(why, why_len, "can't be read: %s",
			    strerror(errno));
		return NULL;
	}
	c = open_read(fd, name, secret, why, why_len);
	close(fd);
	if (c == NULL || check(c, identity, why, why_len) == 0)
		return c;
	checkpoint_free(c);
	return NULL;
}

/* What a file says of its sequence, true or not; 0: it says nothing. */
static uint64_t
sequence_claimed(int dir_fd, const char *base, int which)
{
	struct head head = { 0 };
	char name[NAME_BYTES];
	ssize_t n;
	int fd;

	if (file_name(name, base, which) == -1)
		return 0;
	fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW |
	    O_NONBLOCK);
	n = fd == -1 ? -1 : read(fd, &head, sizeof(head));
	if (fd != -1)
		close(fd);
	if (n != sizeof(head) || head.magic != MAGIC || head.layout != LAYOUT)
		return 0;
	return head.sequence;
}

/* All that was passed over becomes one sentence. */
static void
passed_over(const char *dir, const char *name, const char *what, char *why,
    size_t why_len)
{
	size_t n = strlen(why);

	if (what[0] != '\0')
		snprintf(why + n, why_len - n, "%s%s/%s %s", n > 0 ? "; " :
		    "", dir, name, what);
}

/* First the one that says it is newer: what is whole says the truth, and what
 * lies is not whole. */
static struct checkpoint *
newest(const char *dir, int dir_fd, const char *identity, const char *base,
    bool secret, char *why, size_t why_len)
{
	bool b_first = sequence_claimed(dir_fd, base, B) >
	    sequence_claimed(dir_fd, base, A);
	struct checkpoint *c = NULL;
	char name[NAME_BYTES], what[512];

	why[0] = '\0';
	for (int i = 0; i < FILES && c == NULL; i++) {
		what[0] = '\0';
		if (file_name(name, base, b_first ^ i) == -1)
			snprintf(what, sizeof(what), "is too long a name");
		else
			c = file_read(dir_fd, name, identity, secret, what,
			    sizeof(what));
		passed_over(dir, name, what, why, why_len);
	}
	return c;
}

struct checkpoint *
checkpoint_read(const char *dir, const char *identity, const char *base,
    bool secret, char *why, size_t why_len)
{
	int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct checkpoint *c;

	why[0] = '\0';
	if (dir_fd == -1) {
		if (errno != ENOENT)
			why_set(why, why_len, "can't read %s: %s", dir,
			    strerror(errno));
		return NULL;
	}
	c = newest(dir, dir_fd, identity, base, secret, why, why_len);
	close(dir_fd);
	return c;
}

void
checkpoint_free(struct checkpoint *c)
{
	if (c == NULL)
		return;
	if (c->secret)
		explicit_bzero(c->bytes, c->len);
	free(c->bytes);
	free(c);
}

/* ---- writing */

/* One more than any file has, also one that is not whole or not ours: that
 * may be mended, and must not win then. Half of the numbers are left out, so
 * that a flipped bit at the top does not use them up. */
static uint64_t
sequence_next(int dir_fd, const char *base)
{
	uint64_t claimed, last = 0;

	for (int i = 0; i < FILES; i++) {
		claimed = sequence_claimed(dir_fd, base, i);
		if (claimed > last && claimed < UINT64_MAX / 2)
			last = claimed;
	}
	return last + 1;
}

/* C1: the one that a reader would not take. It is read for that, whole: a
 * rotten one that says it is the newest must not outlive a good one. */
static int
which_next(const char *dir, int dir_fd, const char *identity,
    const struct checkpoint_part *part)
{
	char ignored[1024];
	struct checkpoint *c = newest(dir, dir_fd, identity, part->base,
	    part->secret, ignored, sizeof(ignored));
	size_t n = c == NULL ? 0 : strlen(c->file);
	int which = n > 0 && c->file[n - 1] == 'a' ? B : A;

	checkpoint_free(c);
	return which;
}

static int
close_after(int fd, int rc)
{
	int error = errno;

	if (close(fd) == -1 && rc == 0)
		return -1;
	errno = error;
	return rc;
}

/* A new file of this name with the bytes, on the disk. -1: errno. */
static int
file_write(int dir_fd, const char *name, const uint8_t *bytes, size_t len)
{
	int fd, rc = -1;

	if (unlinkat(dir_fd, name, 0) == -1 && errno != ENOENT)
		return -1;
	fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC |
	    O_NOFOLLOW, 0600);
	if (fd == -1)
		return -1;
	if (whole_write(fd, bytes, len) == 0 && fsync(fd) == 0)
		rc = 0;
	return close_after(fd, rc);
}

static int
file_replace(int dir_fd, const char *base, int which, const uint8_t *bytes,
    size_t len)
{
	char fresh[NAME_BYTES], name[NAME_BYTES];
	int error;

	if (file_name(fresh, base, FRESH) == -1 ||
	    file_name(name, base, which) == -1)
		return -1;
	if (file_write(dir_fd, fresh, bytes, len) == 0 &&
	    renameat(dir_fd, fresh, dir_fd, name) == 0)
		return fsync(dir_fd);
	error = errno;
	(void)unlinkat(dir_fd, fresh, 0);	/* a full disk has room again */
	errno = error;
	return -1;
}

/* why is what bytes_make says, or "". */
static int
part_write(const char *dir, int dir_fd, const char *identity,
    const struct checkpoint_part *part, char *why, size_t why_len)
{
	int which = which_next(dir, dir_fd, identity, part);
	size_t len;
	uint8_t *bytes = bytes_make(identity, part,
	    sequence_next(dir_fd, part->base), &len, why, why_len);
	int error, rc;

	if (bytes == NULL)
		return -1;
	rc = file_replace(dir_fd, part->base, which, bytes, len);
	error = errno;
	if (part->secret)
		explicit_bzero(bytes, len);
	free(bytes);
	errno = error;
	return rc;
}

static int
dir_open(const char *dir)
{
	if (mkdir(dir, 0700) == -1 && errno != EEXIST)
		return -1;
	return open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

int
checkpoint_write(const char *dir, const char *identity,
    const struct checkpoint_part *part, char *why, size_t why_len)
{
	char what[128] = "";
	int dir_fd = dir_open(dir);
	int rc = -1;

	if (dir_fd != -1)
		rc = close_after(dir_fd, part_write(dir, dir_fd, identity,
		    part, what, sizeof(what)));
	if (rc == 0)
		return 0;
	return why_set(why, why_len, "can't write %s/%s: %s", dir, part->base,
	    what[0] != '\0' ? what : strerror(errno));
}

/* ---- asking */

void
checkpoint_about(const struct checkpoint *c, struct checkpoint_about *a)
{
	struct head head;

	memcpy(&head, c->bytes, sizeof(head));
	*a = (struct checkpoint_about){ head.sequence, head.written_s,
	    (size_t)head.records_n, c->file };
}

bool
checkpoint_next(const struct checkpoint *c, size_t *at,
    struct checkpoint_record *r)
{
	struct head head;

	memcpy(&head, c->bytes, sizeof(head));
	if (*at == 0)
		*at = first_record(&head);
	return *at < c->len && record_take(c, at, r);
}
