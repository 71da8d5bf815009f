/*
 * t/lib/unit_checkpoint.h - for t/unit/checkpoint*.c: a folder of
 * checkpoints, their files as bytes, and contents that are known by a number.
 *
 * A content is made of its number, which its records say; so what was read is
 * known by that number, and every byte of it is compared.
 */
#ifndef T_LIB_UNIT_CHECKPOINT_H
#define T_LIB_UNIT_CHECKPOINT_H

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "master/checkpoint.h"
#include "t/lib/chance.h"

enum {
	RECORDS = 12, BYTES = 512, SMALL_RECORDS = 3, SMALL_BYTES = 8,
	IMAGE_MAX = 16 << 10,
	HEAD = 64, HEAD_BYTES_AT = 24, HEAD_HASH_AT = 48,
};

#define WHO "sidecar-1 layout 7"

/* The first writing goes into one, the second into the other. */
#define FIRST "all.a"
#define SECOND "all.b"

static char folder[64], why[1024];
/* ---- a folder */

static const char *
path(const char *name)
{
	static char at[4][128];
	static int turn;
	char *to = at[turn++ % 4];

	snprintf(to, sizeof(at[0]), "%s/%s", folder, name);
	return to;
}

static inline void
folder_empty(void)
{
	static const char *const names[] = { FIRST, SECOND, "all.new" };

	for (size_t i = 0; i < 3; i++)
		if (unlink(path(names[i])) == -1)
			rmdir(path(names[i]));
}

static inline void
folder_open(void)
{
	strcpy(folder, "/tmp/godwit-unit-XXXXXX");
	cr_assert_not_null(mkdtemp(folder));
}

static inline void
folder_close(void)
{
	folder_empty();
	cr_assert_eq(rmdir(folder), 0, "%s", strerror(errno));
}

/* ---- files as bytes */

struct image {
	size_t	len;
	uint8_t	bytes[IMAGE_MAX];
};

static inline void
image_load(struct image *m, const char *name)
{
	int fd = open(path(name), O_RDONLY);
	ssize_t n = read(fd, m->bytes, sizeof(m->bytes));

	cr_assert(n > 0 && n < IMAGE_MAX, "%s: %zd", name, n);
	m->len = (size_t)n;
	close(fd);
}

static inline void
image_save(const struct image *m, const char *name)
{
	int fd = open(path(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	cr_assert_eq(write(fd, m->bytes, m->len), (ssize_t)m->len);
	close(fd);
}

static inline bool
same(const struct image *a, const struct image *b)
{
	return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

static inline void
sign(struct image *m)
{
	uint64_t len = m->len;
	XXH128_hash_t h;

	memcpy(m->bytes + HEAD_BYTES_AT, &len, 8);
	memset(m->bytes + HEAD_HASH_AT, 0, 16);
	h = XXH3_128bits(m->bytes, m->len);
	memcpy(m->bytes + HEAD_HASH_AT, &h.low64, 8);
	memcpy(m->bytes + HEAD_HASH_AT + 8, &h.high64, 8);
}

/* ---- contents */

struct content {
	char	version[32], names[RECORDS][32];
	uint8_t	bytes[RECORDS][BYTES];
	struct checkpoint_record records[RECORDS];
	size_t	n;
};

/* Of number v, records_n of them with bytes_n at most. */
static inline void
content_make(struct content *c, uint64_t v, size_t records_n, size_t bytes_n)
{
	struct chance own = { v };
	size_t len;

	c->n = records_n;
	snprintf(c->version, sizeof(c->version), "%llu",
	    (unsigned long long)v);
	for (size_t i = 0; i < records_n; i++) {
		snprintf(c->names[i], sizeof(c->names[i]), "name-%zu", i);
		len = i == 0 ? 0 : bytes_n - (size_t)chance_below(&own,
		    (uint32_t)bytes_n / 8 + 1);
		for (size_t k = 0; k < len; k++)
			c->bytes[i][k] = (uint8_t)(k % 64 < 16 ? 0 :
			    chance_next(&own));
		c->records[i] = (struct checkpoint_record){
			(enum resource_kind)(i % RESOURCE_KINDS), i % 2 == 0 ?
			"ems" : "", i == 0 ? "" : c->names[i], c->version,
			c->bytes[i], len };
	}
}

static inline void
write_as(const char *identity, uint64_t v, size_t records_n, size_t bytes_n)
{
	static struct content c;
	struct checkpoint_part part = { "all", false, c.records, records_n };

	content_make(&c, v, records_n, bytes_n);
	cr_assert_eq(checkpoint_write(folder, identity, &part, why,
	    sizeof(why)), 0, "%s", why);
}

static inline void
write_one(uint64_t v)
{
	write_as(WHO, v, RECORDS, BYTES);
}

static inline void
record_same(const struct checkpoint_record *got,
    const struct checkpoint_record *want)
{
	cr_assert_eq(got->kind, want->kind);
	cr_assert_str_eq(got->source, want->source);
	cr_assert_str_eq(got->name, want->name);
	cr_assert_str_eq(got->version, want->version);
	cr_assert_eq(got->len, want->len);
	cr_assert(want->len == 0 ||
	    memcmp(got->bytes, want->bytes, want->len) == 0);
}

/* The number of c's content, 0 for none; it must be all of that content. */
static inline uint64_t
number_of(const struct checkpoint *c, size_t bytes_n)
{
	static struct content want;
	struct checkpoint_record r;
	size_t at = 0, n = 0;
	uint64_t v;

	if (c == NULL)
		return 0;
	cr_assert(checkpoint_next(c, &at, &r));
	v = strtoull(r.version, NULL, 10);
	content_make(&want, v, RECORDS, bytes_n);
	at = 0;
	while (checkpoint_next(c, &at, &r) && n < RECORDS)
		record_same(&r, &want.records[n++]);
	cr_assert_eq(n, bytes_n == SMALL_BYTES ? SMALL_RECORDS : RECORDS);
	return v;
}

static inline uint64_t
read_sized(bool secret, size_t bytes_n)
{
	struct checkpoint *c = checkpoint_read(folder, WHO, "all", secret,
	    why, sizeof(why));
	uint64_t v = number_of(c, bytes_n);

	checkpoint_free(c);
	return v;
}

static inline uint64_t
read_one(void)
{
	return read_sized(false, BYTES);
}

#endif
