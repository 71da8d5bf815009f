/*
 * t/unit/journal.c - what is read of a journal: every entry that is whole, and
 * none behind the first that is not. (What becomes of them: resources.c.)
 */
#include "master/journal.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "master/whole.h"

enum { TEXT_BYTES = 1024, BYTES_MAX = 4096 };

static char why[256];

static void
each(void *arg, const struct journal_entry *e)
{
	char *text = arg;
	size_t n = strlen(text);

	snprintf(text + n, TEXT_BYTES - n, "%d %d %s %s %.*s %u/%llu|", e->op,
	    e->kind, e->name, e->version, (int)e->len,
	    e->bytes == NULL ? "" : (const char *)e->bytes, e->key.ref,
	    (unsigned long long)e->key.hash);
}

static const char *
text_of(int fd)
{
	static char text[TEXT_BYTES];

	text[0] = '\0';
	cr_assert_eq(journal_read(fd, each, text, why, sizeof(why)), 0, "%s",
	    why);
	return text;
}

static void
put(struct journal *j, const char *name, const char *bytes, uint32_t key)
{
	const struct journal_entry e = { .op = JOURNAL_PUT,
	    .kind = RESOURCE_SECRET, .from = FROM_PLANE, .name = name,
	    .version = "v", .bytes = (const uint8_t *)bytes,
	    .len = strlen(bytes), .key = { key, key * 7 } };

	journal_append(j, &e);
}

/* Two commits with one that is aborted between. */
static void
fill(struct journal *j)
{
	cr_assert_eq(journal_open(j, why, sizeof(why)), 0, "%s", why);
	put(j, "a", "bytes", 3);
	journal_commit(j);
	put(j, "never", "x", 0);
	journal_abort(j);
	put(j, "b", "", 0);
	put(j, "c", "more", 0);
	journal_commit(j);
	journal_commit(j);
	cr_assert(!j->failed);
}

#define A "0 2 a v bytes 3/21|"
#define B "0 2 b v  0/0|"
#define C "0 2 c v more 0/0|"
#define MARK "3 0    0/0|"

static const char *const parts[] = { "", A, A MARK, A MARK B, A MARK B C,
    A MARK B C MARK };
enum { PARTS_N = sizeof(parts) / sizeof(parts[0]) };

Test(journal, what_is_committed_is_read)
{
	struct journal j;

	fill(&j);
	cr_expect_str_eq(text_of(j.fd), parts[PARTS_N - 1]);
	journal_close(&j);
}

/* Which of parts it is; they only grow with more bytes. */
static int
part_of(const char *text)
{
	for (int i = 0; i < PARTS_N; i++)
		if (strcmp(text, parts[i]) == 0)
			return i;
	return -1;
}

Test(journal, cut_anywhere_or_flipped_it_ends_before)
{
	uint8_t bytes[BYTES_MAX];
	size_t n = sizeof(bytes);
	struct journal j;
	int part, last = 0, fd;

	fill(&j);
	cr_assert_eq(whole_read(j.fd, bytes, &n), 0);
	cr_assert(n > 0 && n < sizeof(bytes));
	for (size_t i = 0; i <= n; i++) {
		fd = arena_file("test");
		cr_assert_eq(whole_write(fd, bytes, i), 0);
		part = part_of(text_of(fd));
		cr_assert(part >= last && part <= last + 1, "%zu: %d", i,
		    part);
		last = part;
		close(fd);
	}
	cr_assert_eq(last, PARTS_N - 1);
	for (size_t i = 0; i < n; i++) {
		fd = arena_file("test");
		bytes[i] ^= 0x10;
		cr_assert_eq(whole_write(fd, bytes, n), 0);
		bytes[i] ^= 0x10;
		part = part_of(text_of(fd));
		cr_assert(part >= 0 && part < PARTS_N - 1, "%zu: %d", i,
		    part);
		close(fd);
	}
	journal_close(&j);
}

Test(journal, worn)
{
	struct journal j;

	fill(&j);
	journal_fresh(&j);
	cr_expect(!journal_is_worn(&j), "little is not worth it");
	while (j.bytes <= 1 << 20) {
		cr_expect(!journal_is_worn(&j));
		put(&j, "a", "bytes", 0);
		journal_commit(&j);
	}
	cr_expect(journal_is_worn(&j));
	journal_fresh(&j);
	cr_expect(!journal_is_worn(&j));
	journal_close(&j);
}
