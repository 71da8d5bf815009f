/*
 * t/unit/sources.c - files from disk and from a memfd: what master/sources.h
 * promises, S1 and S2, and what a memfd of rubbish does.
 */
#include "master/sources.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shm/block.h"
#include "t/lib/unit_process.h"

enum { MAX = 4096, SECRETS_BYTES = 64 << 10, NOBODY = 65534 };

/* What the three files hold. */
#define YAML "godwit: {workers: 2}\n"
#define PEM "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
#define KEY "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2Vw\n" \
	"-----END PRIVATE KEY-----\n"

static char folder[64], why[512];
static char yaml_file[96], pem_file[96], key_file[96];

/* ---- files */

static void
write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	cr_assert_not_null(f, "%s", path);
	fputs(text, f);
	fclose(f);
}

static void
folder_open(void)
{
	strcpy(folder, "/tmp/godwit-unit-XXXXXX");
	cr_assert_not_null(mkdtemp(folder));
	cr_assert_eq(chmod(folder, 0755), 0);
	snprintf(yaml_file, sizeof(yaml_file), "%s/yaml", folder);
	snprintf(pem_file, sizeof(pem_file), "%s/pem", folder);
	snprintf(key_file, sizeof(key_file), "%s/key", folder);
	write_file(yaml_file, YAML);
	write_file(pem_file, PEM);
	write_file(key_file, KEY);
}

static void
folder_close(void)
{
	(void)unlink(yaml_file);
	unlink(pem_file);
	unlink(key_file);
	cr_assert_eq(rmdir(folder), 0, "%s", strerror(errno));
}

/* ---- asking */

static bool
same(const char *bytes, size_t len, const char *want)
{
	return bytes != NULL && len == strlen(want) && bytes[len] == '\0' &&
	    memcmp(bytes, want, len) == 0;
}

static const char *
ask(struct sources *s, const char *name, size_t *len)
{
	return sources_file(s, name, MAX, len, why, sizeof(why));
}

static const char *
ask_key(struct sources *s, const char *name, size_t *len)
{
	return sources_key(s, name, MAX, len, why, sizeof(why));
}

/* ---- disk */

Test(sources, a_name_is_read_once)
{
	struct sources *s = sources_disk();
	const char *first, *again, *key;
	size_t len = 0;

	folder_open();
	first = ask(s, yaml_file, &len);
	cr_assert(same(first, len, YAML), "%s", why);
	key = ask_key(s, key_file, &len);
	cr_assert(same(key, len, KEY), "%s", why);
	write_file(yaml_file, "edited meanwhile");
	unlink(key_file);
	again = ask(s, yaml_file, &len);
	cr_assert(same(again, len, YAML), "read twice: %.*s", (int)len, again);
	again = ask_key(s, key_file, &len);
	cr_assert(same(again, len, KEY), "%s", why);

	/* A file is not a key because it has the same name. */
	cr_assert_null(ask(s, key_file, &len));
	sources_free(s);
	sources_free(NULL);
	folder_close();
}

/* What stands at path. */
static void
place_make(const char *place, const char *path)
{
	int fd;

	if (strcmp(place, "folder") == 0)
		cr_assert_eq(mkdir(path, 0755), 0);
	else if (strcmp(place, "pipe") == 0)
		cr_assert_eq(mkfifo(path, 0644), 0);
	else if (strcmp(place, "missing") != 0) {
		fd = open(path, O_CREAT | O_WRONLY, strcmp(place, "closed") ==
		    0 ? 0 : 0644);
		cr_assert_neq(fd, -1);
		cr_assert_eq(ftruncate(fd, strtol(place, NULL, 10)), 0);
		close(fd);
	}
}

/* Root reads everything. */
static const char *
ask_as_nobody(struct sources *s, const char *name, bool key, size_t max,
    size_t *len)
{
	bool root = geteuid() == 0;
	const char *p;

	if (root)
		cr_assert_eq(seteuid(NOBODY), 0);
	p = key ? sources_key(s, name, max, len, why, sizeof(why)) :
	    sources_file(s, name, max, len, why, sizeof(why));
	if (root)
		cr_assert_eq(seteuid(0), 0);
	return p;
}

/* "%s" is the file's name. */
Test(sources, what_disk_refuses)
{
	static const struct {
		const char	*place;	/* or how many bytes it has */
		size_t		 max;
		const char	*why;	/* NULL: it is read */
	} cases[] = {
		{ "missing", 9, "can't read \"%s\": No such file or "
		    "directory" },
		{ "folder", 9, "\"%s\" is no regular file" },
		{ "pipe", 9, "\"%s\" is no regular file" },
		{ "closed", 9, "can't read \"%s\": Permission denied" },
		{ "0", 9, "\"%s\" has 0 bytes, expected 1..9" },
		{ "1", 9, NULL },
		{ "9", 9, NULL },
		{ "10", 9, "\"%s\" has 10 bytes, expected 1..9" },
		{ "5000000000", 9, "\"%s\" has 5000000000 bytes, expected "
		    "1..9" },
	};
	char path[96], want[256];
	int descriptors = unit_descriptors_n();
	const char *p;
	size_t len;

	folder_open();
	for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		struct sources *s = sources_disk();
		const char *expected = cases[i / 2].why;

		snprintf(path, sizeof(path), "%s/it", folder);
		place_make(cases[i / 2].place, path);
		why[0] = '\0';
		p = ask_as_nobody(s, path, i % 2 == 1, cases[i / 2].max, &len);
		cr_assert_eq(p == NULL, expected != NULL, "%s: %s",
		    cases[i / 2].place, why);
		if (expected != NULL) {
			snprintf(want, sizeof(want), expected, path);
			cr_assert_str_eq(why, want);
		}
		sources_free(s);
		remove(path);
	}
	cr_assert_eq(unit_descriptors_n(), descriptors);
	folder_close();
}

/* ---- keeping */

static struct arena secrets;

/* A text block, as the compiler puts a key. */
static block_ref
secret_put(const char *text, size_t len)
{
	block_ref ref;
	struct block_text *t = arena_put(&secrets, sizeof(*t) + len + 1, &ref);

	cr_assert_not_null(t);
	t->len = (uint32_t)len;
	memcpy(t->bytes, text, len);
	return ref;
}

/* All three are asked for; the key lies at ref, 0: nowhere. */
static int
keep_at(block_ref ref)
{
	struct sources *s = sources_disk();
	size_t len = 0;
	int fd;

	cr_assert_not_null(ask(s, yaml_file, &len), "%s", why);
	cr_assert_not_null(ask_key(s, key_file, &len), "%s", why);
	cr_assert_not_null(ask(s, pem_file, &len), "%s", why);
	if (ref != 0)
		sources_key_put(s, key_file, ref);
	fd = sources_keep(s, why, sizeof(why));
	cr_assert_neq(fd, -1, "%s", why);
	sources_free(s);
	return fd;
}

static int
keep(void)
{
	folder_open();
	cr_assert_eq(arena_new(&secrets, SECRETS_BYTES, why, sizeof(why)), 0,
	    "%s", why);
	return keep_at(secret_put(KEY, strlen(KEY)));
}

static void
keep_end(int fd)
{
	close(fd);
	arena_close(&secrets);
	folder_close();
}

static size_t
memfd_read(int fd, uint8_t *to, size_t room)
{
	ssize_t n = pread(fd, to, room, 0);

	cr_assert(n > 0 && (size_t)n < room);
	return (size_t)n;
}

Test(sources, what_is_kept_is_what_was_read)
{
	int fd = keep();
	struct sources *s;
	const char *p;
	size_t len = 0;

	/* The disk has no part in it. */
	write_file(yaml_file, "edited meanwhile");
	write_file(key_file, "stolen");
	s = sources_kept(fd, &secrets, why, sizeof(why));
	cr_assert_not_null(s, "%s", why);
	p = ask(s, yaml_file, &len);
	cr_assert(same(p, len, YAML), "%s", why);
	p = ask(s, pem_file, &len);
	cr_assert(same(p, len, PEM), "%s", why);
	p = ask_key(s, key_file, &len);
	cr_assert(same(p, len, KEY), "%s", why);
	cr_assert_null(ask(s, "/etc/passwd", &len));
	cr_assert_str_eq(why, "\"/etc/passwd\" was not kept");
	cr_assert_null(ask_key(s, pem_file, &len), "a certificate is no key");
	cr_assert_null(ask(s, key_file, &len), "a key is no certificate");
	sources_and_disk(s);
	p = ask(s, key_file, &len);
	cr_assert(same(p, len, "stolen"), "%s", why);
	p = ask_key(s, key_file, &len);
	cr_assert(same(p, len, KEY), "%s", why);
	sources_free(s);
	keep_end(fd);
}

/* A successor keeps again what it was given, at its own place of the key. */
Test(sources, what_is_kept_is_kept_again)
{
	int fd = keep(), again;
	struct sources *s = sources_kept(fd, &secrets, why, sizeof(why));
	struct arena next;
	block_ref pad, ref;
	struct block_text *t;
	const char *p;
	size_t len = 0;

	cr_assert_not_null(s, "%s", why);
	cr_assert_eq(arena_new(&next, SECRETS_BYTES, why, sizeof(why)), 0);
	arena_put(&next, 1000, &pad);
	t = arena_put(&next, sizeof(*t) + sizeof(KEY), &ref);
	t->len = sizeof(KEY) - 1;
	memcpy(t->bytes, KEY, sizeof(KEY));
	sources_key_put(s, key_file, ref);
	again = sources_keep(s, why, sizeof(why));
	cr_assert_neq(again, -1, "%s", why);
	sources_free(s);
	s = sources_kept(again, &next, why, sizeof(why));
	cr_assert_not_null(s, "%s", why);
	p = ask_key(s, key_file, &len);
	cr_assert(same(p, len, KEY), "%s", why);
	p = ask(s, pem_file, &len);
	cr_assert(same(p, len, PEM), "%s", why);
	sources_free(s);
	arena_close(&next);
	close(again);
	keep_end(fd);
}

/* ---- what was kept, and the disk */

static bool
named(void *arg, const char *name)
{
	return arg != NULL && strcmp(arg, name) == 0;
}

static void
count_one(void *arg, const char *name, const struct watch_stamp *stamp)
{
	struct stat st;
	struct watch_stamp now;

	cr_assert_eq(stat(name, &st), 0);
	now = watch_stamp_of(&st);
	++*(int *)arg;
	cr_assert_eq(stamp->ino, now.ino, "%s", name);
	cr_assert_eq(stamp->size, now.size, "%s", name);
}

Test(sources, kept_first)
{
	int fd = keep(), n = 0;
	struct sources *s;
	const char *p;
	size_t len = 0;

	s = sources_over(fd, &secrets, SOURCES_KEPT_FIRST);
	sources_each(s, count_one, &n);
	cr_assert_eq(n, 3, "with the stamps of what was read");
	write_file(pem_file, "half");
	write_file(key_file, "stolen");
	p = ask(s, pem_file, &len);
	cr_assert(same(p, len, PEM), "%s", why);
	p = ask_key(s, key_file, &len);
	cr_assert(same(p, len, KEY), "%s", why);
	cr_assert_not(sources_added(s));
	cr_assert_null(ask(s, "/nowhere", &len), "that is the disk");
	cr_assert(sources_renew(s, pem_file));
	p = ask(s, pem_file, &len);
	cr_assert(same(p, len, "half"), "%s", why);
	cr_assert(sources_added(s));
	cr_assert(sources_in_group(s, pem_file));
	cr_assert_not(sources_in_group(s, key_file), "not a renewed one");
	cr_assert_not(sources_same(s, key_file));
	write_file(key_file, KEY);
	cr_assert(sources_same(s, key_file));
	write_file(key_file, KEY "\n");
	cr_assert_not(sources_same(s, key_file), "longer");
	cr_assert_not(sources_same(s, "/nowhere"));
	sources_group(s);
	cr_assert_not(sources_in_group(s, pem_file));
	cr_assert(sources_renew(s, yaml_file));
	unlink(yaml_file);
	cr_assert_null(ask(s, yaml_file, &len));
	cr_assert(sources_in_group(s, yaml_file), "what can't be read too");
	sources_free(s);
	keep_end(fd);
}

/* What is not asked for stays as it was, where it is used. */
Test(sources, disk_first)
{
	int fd = keep(), again;
	struct sources *s = sources_over(fd, &secrets, SOURCES_DISK_FIRST);
	const char *p;
	size_t len = 0;

	write_file(yaml_file, "edited");
	write_file(pem_file, "edited too");
	p = ask(s, yaml_file, &len);
	cr_assert(same(p, len, "edited"), "%s", why);
	write_file(yaml_file, "once more");
	p = ask(s, yaml_file, &len);
	cr_assert(same(p, len, "edited"), "S1");
	sources_prune(s, named, pem_file);
	again = sources_keep(s, why, sizeof(why));
	sources_free(s);
	s = sources_kept(again, &secrets, why, sizeof(why));
	cr_assert_not_null(s, "%s", why);
	p = ask(s, pem_file, &len);
	cr_assert(same(p, len, PEM), "%s", why);
	p = ask(s, yaml_file, &len);
	cr_assert(same(p, len, "edited"), "%s", why);
	cr_assert_null(ask_key(s, key_file, &len), "nobody uses it");
	sources_free(s);
	close(again);
	s = sources_over(-1, &secrets, SOURCES_KEPT_FIRST);
	p = ask(s, yaml_file, &len);
	cr_assert(same(p, len, "once more"), "nothing was kept");
	sources_free(s);
	keep_end(fd);
}

Test(sources, nobody_can_change_the_memfd)
{
	int fd = keep(), seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	cr_assert_eq(seals, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK |
	    F_SEAL_SEAL, "%x", (unsigned)seals);
	cr_assert_eq(fstat(fd, &st), 0);
	cr_assert_eq(st.st_mode & 0777, 0400);
	cr_assert_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	cr_assert_eq(pwrite(fd, "x", 1, 0), -1);
	cr_assert_eq(errno, EPERM);
	cr_assert_eq(ftruncate(fd, st.st_size - 1), -1);
	cr_assert_eq(errno, EPERM);
	cr_assert_eq(ftruncate(fd, st.st_size + 1), -1);
	cr_assert_eq(errno, EPERM);
	cr_assert_eq(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
	    0), MAP_FAILED);
	cr_assert_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	keep_end(fd);
}

/* ---- S2 */

/* The longest run of bytes of KEY among them. */
static size_t
key_run(const uint8_t *p, size_t n)
{
	size_t longest = 0;

	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < strlen(KEY); j++) {
			size_t run = 0;

			while (i + run < n && j + run < strlen(KEY) &&
			    p[i + run] == (uint8_t)KEY[j + run])
				run++;
			if (run > longest)
				longest = run;
		}
	return longest;
}

Test(sources, keys_are_not_in_the_memfd)
{
	uint8_t bytes[4096];
	int fd = keep();
	size_t len = 0, n = memfd_read(fd, bytes, sizeof(bytes));
	struct sources *s;

	cr_assert_not_null(memmem(bytes, n, PEM, strlen(PEM)), "it looks in "
	    "the wrong place");
	cr_assert_null(memmem(bytes, n, "PRIVATE", 7));
	cr_assert_null(memmem(bytes, n, "MC4CAQAwBQYDK2Vw", 8));
	close(fd);

	/* One that was read and put nowhere can't be found again. */
	fd = keep_at(0);
	n = memfd_read(fd, bytes, sizeof(bytes));
	cr_assert_null(memmem(bytes, n, "MC4CAQAwBQYDK2Vw", 8));
	s = sources_kept(fd, &secrets, why, sizeof(why));
	cr_assert_not_null(s, "%s", why);
	cr_assert_null(ask_key(s, key_file, &len));
	cr_assert_not_null(strstr(why, "was not kept"), "%s", why);
	cr_assert_null(ask(s, key_file, &len), "an empty file");
	sources_free(s);
	keep_end(fd);
}

/* Looks at what was freed, as who reads a core dump does. */
static void
wiped(struct sources *s, const char *whence)
{
	uint8_t bytes[sizeof(KEY)];
	size_t len = 0;
	off_t at = (off_t)(uintptr_t)ask_key(s, key_file, &len);
	int fd = open("/proc/self/mem", O_RDONLY);

	cr_assert_neq(at, 0, "%s", why);
	cr_assert_eq(pread(fd, bytes, len, at), (ssize_t)len);
	cr_assert_eq(key_run(bytes, len), strlen(KEY), "it looks in the wrong "
	    "place");
	sources_free(s);
	cr_assert_eq(pread(fd, bytes, len, at), (ssize_t)len);
	cr_assert_lt(key_run(bytes, len), 4, "%s: %zu bytes of the key are "
	    "left", whence, key_run(bytes, len));
	close(fd);
}

Test(sources, keys_are_wiped)
{
	int fd = keep();

	wiped(sources_disk(), "disk");
	wiped(sources_kept(fd, &secrets, why, sizeof(why)), "kept");
	keep_end(fd);
}

/* ---- rubbish */

/* NULL must have said why. */
static struct sources *
kept(int fd)
{
	struct sources *s;

	why[0] = '\0';
	s = sources_kept(fd, &secrets, why, sizeof(why));
	if (s == NULL)
		cr_assert_str_eq(why, "the configuration that was kept can't "
		    "be read");
	return s;
}

/* How many of the three are what they were. */
static int
right(struct sources *s)
{
	const char *p;
	size_t len = 0;
	int n = 0;

	p = ask(s, yaml_file, &len);
	n += same(p, len, YAML);
	p = ask(s, pem_file, &len);
	n += same(p, len, PEM);
	p = ask_key(s, key_file, &len);
	n += same(p, len, KEY);
	return n;
}

static int
memfd_of(const uint8_t *bytes, size_t n)
{
	int fd = memfd_create("rubbish", MFD_CLOEXEC);

	cr_assert_neq(fd, -1);
	cr_assert_eq(write(fd, bytes, n), (ssize_t)n);
	return fd;
}

Test(sources, another_descriptor)
{
	static const uint8_t zeros[4096];
	int whole = keep(), fds[5], pair[2];

	cr_assert_eq(pipe(pair), 0);
	fds[0] = open("/dev/null", O_RDONLY);
	fds[1] = open(folder, O_RDONLY);
	fds[2] = pair[0];
	fds[3] = memfd_of(zeros, sizeof(zeros));
	fds[4] = open(pem_file, O_RDONLY);
	for (int i = 0; i < 5; i++) {
		cr_assert_null(kept(fds[i]), "%d", i);
		close(fds[i]);
	}
	cr_assert_null(kept(-1));
	close(pair[1]);
	keep_end(whole);
}

Test(sources, cut_anywhere)
{
	uint8_t bytes[4096];
	int fd = keep(), cut;
	size_t n = memfd_read(fd, bytes, sizeof(bytes));
	struct sources *s;

	for (size_t i = 0; i < n; i++) {
		cut = memfd_of(bytes, i);
		cr_assert_null(kept(cut), "cut at %zu of %zu", i, n);
		close(cut);
	}
	bytes[n] = 0;
	cut = memfd_of(bytes, n + 1);
	cr_assert_null(kept(cut), "a byte too many");
	close(cut);
	cut = memfd_of(bytes, n);
	s = kept(cut);
	cr_assert(s != NULL && right(s) == 3, "nothing was cut");
	sources_free(s);
	close(cut);
	keep_end(fd);
}

/* One bit: it is seen, or at most one source is another. */
Test(sources, each_bit_flipped)
{
	enum { HEAD_BYTES = 16 };
	uint8_t bytes[4096];
	int fd = keep(), flipped, accepted = 0;
	size_t n = memfd_read(fd, bytes, sizeof(bytes));
	struct sources *s;

	flipped = memfd_of(bytes, n);
	for (size_t bit = 0; bit < n * 8; bit++) {
		uint8_t byte = bytes[bit / 8] ^ (uint8_t)(1 << bit % 8);

		cr_assert_eq(pwrite(flipped, &byte, 1, (off_t)bit / 8), 1);
		s = kept(flipped);
		cr_assert_eq(pwrite(flipped, &bytes[bit / 8], 1,
		    (off_t)bit / 8), 1);
		if (s == NULL)
			continue;
		accepted++;
		cr_assert_geq(bit / 8, HEAD_BYTES, "bit %zu", bit);
		cr_assert_geq(right(s), 2, "bit %zu", bit);
		sources_free(s);
	}
	cr_assert_gt(accepted, 0, "bits of the texts are nobody's business");
	close(flipped);
	keep_end(fd);
}

/* Many bytes: the sanitizers see to it. */
Test(sources, many_bytes_changed)
{
	enum { ROUNDS = 4000 };
	static const uint8_t values[] = { 0, 1, 0x7f, 0x80, 0xff };
	uint8_t bytes[4096], was[4096];
	int fd = keep(), changed, accepted = 0;
	size_t n = memfd_read(fd, was, sizeof(was));
	struct sources *s;

	changed = memfd_of(was, n);
	for (int round = 0; round < ROUNDS; round++) {
		memcpy(bytes, was, n);
		for (uint64_t i = 1 + unit_random() % 4; i > 0; i--)
			bytes[16 + unit_random() % (n - 16)] =
			    values[unit_random() % sizeof(values)];
		cr_assert_eq(pwrite(changed, bytes, n, 0), (ssize_t)n);
		s = kept(changed);
		if (s == NULL)
			continue;
		accepted++;
		right(s);
		sources_free(s);
	}
	cr_assert(accepted > 0 && accepted < ROUNDS, "%d", accepted);
	close(changed);
	keep_end(fd);
}

/* Where the key is said to lie, and how long it says it is. What is there is
 * another by now (S3). */
Test(sources, a_key_beyond_the_arena)
{
	enum { UNITS = SECRETS_BYTES / ARENA_UNIT_BYTES };
	static const struct {
		block_ref	 ref;
		uint32_t	 len;
		bool		 good;
	} cases[] = {
		{ UNITS - 1, 11, true },	/* to the last byte, its NUL */
		{ UNITS - 1, 12, false },
		{ UNITS - 1, UINT32_MAX, false },
		{ UNITS / 2, SECRETS_BYTES / 2 - 5, true },
		{ UNITS / 2, SECRETS_BYTES / 2 - 4, false },
		{ UNITS, 0, false },
		{ UINT32_MAX, 0, false },
	};
	struct block_text *t;
	struct sources *s;
	size_t len = 0;
	int fd = keep();

	close(fd);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (cases[i].ref < UNITS) {
			t = (void *)(secrets.base + (uint64_t)cases[i].ref *
			    ARENA_UNIT_BYTES);
			t->len = cases[i].len;
		}
		fd = keep_at(cases[i].ref);
		s = kept(fd);
		cr_assert_eq(s != NULL, cases[i].good, "case %zu", i);
		if (s != NULL) {
			cr_assert_null(ask_key(s, key_file, &len));
			cr_assert_not_null(strstr(why, "was not kept"));
		}
		sources_free(s);
		close(fd);
	}
	arena_close(&secrets);
	folder_close();
}
