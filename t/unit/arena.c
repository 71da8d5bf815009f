/*
 * t/unit/arena.c - shm/arena.c: blocks in a sparse memory, and that whoever
 * gets the descriptor can read it and do nothing else.
 *
 * Who may do what is tried in children, as the user we are and, if that is
 * root, as nobody too: made by root and by an ordinary user, held by root, by
 * the same user and by another.
 */
#include "shm/arena.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/block.h"
#include "shm/control.h"
#include "t/lib/unit_process.h"

enum { NOBODY = 65534, SMALL = 1 << 20 };

static char why[256];

/* ---- blocks */

Test(arena, blocks_lie_behind_each_other_zeroed)
{
	static const size_t sizes[] = { 1, 15, 16, 17, 4096, 100000, 8 };
	struct arena a;
	block_ref ref, next = ARENA_CONTROL_BYTES / ARENA_UNIT_BYTES;

	cr_assert_eq(arena_new(&a, SMALL, why, sizeof(why)), 0, "%s", why);
	memset(a.base + ARENA_CONTROL_BYTES, 0xff, 200000);	/* used once */
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint8_t *p = arena_put(&a, sizes[i], &ref);

		cr_assert_eq(ref, next, "block %zu", i);
		cr_assert_eq(arena_at(&a, ref), p);
		next += (block_ref)(sizes[i] + 15) / 16;
		for (; p < (uint8_t *)a.base + next * 16; p++)
			cr_assert_eq(*p, 0);
	}
	arena_close(&a);
	arena_close(&a);
	cr_assert_eq(a.fd, -1);
}

Test(arena, is_full_at_its_end_and_not_before)
{
	struct arena a;
	block_ref ref = 77;

	cr_assert_eq(arena_new(&a, SMALL, why, sizeof(why)), 0, "%s", why);
	cr_assert_null(arena_put(&a, SMALL - ARENA_CONTROL_BYTES + 1, &ref));
	cr_assert_null(arena_put(&a, SIZE_MAX, &ref));
	cr_assert_null(arena_put(&a, SIZE_MAX - 15, &ref));
	cr_assert_eq(ref, 77);
	cr_assert_not_null(arena_put(&a, SMALL - ARENA_CONTROL_BYTES - 16,
	    &ref));
	cr_assert_not_null(arena_put(&a, 16, &ref));
	cr_assert_eq((uint64_t)ref * ARENA_UNIT_BYTES, SMALL - 16);
	cr_assert_null(arena_put(&a, 1, &ref));
	arena_close(&a);
}

/* Only touched pages exist, in the writer and in a reader. */
Test(arena, the_usual_size_is_sparse)
{
	struct arena a, r;
	struct stat st;
	block_ref ref;
	int fd;

	cr_assert_eq(arena_new(&a, ARENA_SIZE_BYTES, why, sizeof(why)), 0,
	    "%s", why);
	cr_assert_not_null(arena_put(&a, 3 * 4096, &ref));
	fd = dup(a.fd);
	cr_assert_eq(arena_open(&r, fd, why, sizeof(why)), 0, "%s", why);
	cr_assert_eq(r.fd, fd);
	cr_assert_eq(r.size_bytes, ARENA_SIZE_BYTES);
	memset(a.base + (uint64_t)ref * ARENA_UNIT_BYTES, 'g', 4096);
	cr_assert_eq(*(const char *)arena_at(&r, ref), 'g');
	cr_assert_eq(fstat(fd, &st), 0);
	cr_assert_leq(st.st_blocks, 16 * 8, "%lld KiB are in use",
	    (long long)st.st_blocks / 2);
	arena_close(&r);
	arena_close(&a);
}

/* ---- what a reader refuses */

/* A memfd with these bytes at its beginning, as an arena has them. */
static int
forge(uint64_t layout, uint64_t says_bytes, int seals, off_t bytes)
{
	struct { uint64_t layout, size_bytes; } head = { layout, says_bytes };
	int fd = memfd_create("forged", MFD_ALLOW_SEALING);

	cr_assert(fd >= 0 && ftruncate(fd, bytes) == 0);
	if (bytes > 0)
		cr_assert_eq(pwrite(fd, &head, sizeof(head), 0), sizeof(head));
	cr_assert_eq(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

Test(arena, open_refuses_what_is_no_arena)
{
	enum { ALL = F_SEAL_FUTURE_WRITE | F_SEAL_GROW | F_SEAL_SHRINK |
	    F_SEAL_SEAL };
	static const struct {
		uint64_t	layout, says_bytes;
		int		seals;
		off_t		bytes;
		const char	*why;
	} cases[] = {
		{ BLOCK_LAYOUT, 8192, ALL, 8192, NULL },
		{ BLOCK_LAYOUT, 8192, ALL & ~F_SEAL_FUTURE_WRITE, 8192,
		    "not sealed" },
		{ BLOCK_LAYOUT, 8192, ALL & ~F_SEAL_GROW, 8192, "not sealed" },
		{ BLOCK_LAYOUT, 8192, ALL & ~F_SEAL_SHRINK, 8192,
		    "not sealed" },
		{ BLOCK_LAYOUT, 8192, ALL & ~F_SEAL_SEAL, 8192,
		    "not sealed" },
		{ BLOCK_LAYOUT, 4096, ALL, 8192, "size" },
		{ BLOCK_LAYOUT + 1, 8192, ALL, 8192, "another version" },
		{ 0, 0, ALL, 8192, "another version" },
		{ BLOCK_LAYOUT, 4095, ALL, 4095, "not an arena" },
		{ BLOCK_LAYOUT, 0, ALL, 0, "not an arena" },
	};
	struct arena a;
	int fd, rc;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fd = forge(cases[i].layout, cases[i].says_bytes,
		    cases[i].seals, cases[i].bytes);
		why[0] = '\0';
		rc = arena_open(&a, fd, why, sizeof(why));
		cr_assert_eq(rc, cases[i].why == NULL ? 0 : -1, "case %zu: %s",
		    i, why);
		if (rc == 0)
			arena_close(&a);
		else {
			cr_assert(strstr(why, cases[i].why), "case %zu: %s",
			    i, why);
			cr_assert_eq(a.fd, -1);
			cr_assert_eq(close(fd), 0, "not the caller's any more");
		}
	}
}

Test(arena, open_refuses_other_descriptors)
{
	int ordinary = open("/proc/self/exe", O_RDONLY), pipes[2];
	struct arena a;

	cr_assert_eq(arena_open(&a, ordinary, why, sizeof(why)), -1);
	cr_assert(strstr(why, "not sealed"), "%s", why);
	cr_assert_eq(pipe(pipes), 0);
	cr_assert_eq(arena_open(&a, pipes[0], why, sizeof(why)), -1);
	cr_assert_eq(arena_open(&a, -1, why, sizeof(why)), -1);
	cr_assert(strstr(why, "not an arena"), "%s", why);
	close(ordinary);
	close(pipes[0]);
	close(pipes[1]);
}

/* The one that can write is closed: nobody is handed it by mistake. */
Test(arena, one_descriptor_is_left_and_it_reads)
{
	int before = unit_descriptors_n(), flags;
	struct arena a;
	struct stat st;

	cr_assert_eq(arena_new(&a, SMALL, why, sizeof(why)), 0, "%s", why);
	cr_assert_eq(unit_descriptors_n(), before + 1);
	flags = fcntl(a.fd, F_GETFL);
	cr_assert_eq(flags & O_ACCMODE, O_RDONLY);
	cr_assert(fcntl(a.fd, F_GETFD) & FD_CLOEXEC);
	cr_assert_eq(fstat(a.fd, &st), 0);
	cr_assert_eq(st.st_mode & 07777, 0400);
	arena_close(&a);
	cr_assert_eq(unit_descriptors_n(), before);
}

Test(arena, new_says_what_was_refused)
{
	int before = unit_descriptors_n();
	struct arena a;

#ifndef __SANITIZE_ADDRESS__		/* which needs more than this */
	struct rlimit all, little = { (rlim_t)1 << 30, RLIM_INFINITY };

	cr_assert_eq(getrlimit(RLIMIT_AS, &all), 0);
	little.rlim_max = all.rlim_max;
	cr_assert_eq(setrlimit(RLIMIT_AS, &little), 0);
	cr_assert_eq(arena_new(&a, ARENA_SIZE_BYTES, why, sizeof(why)), -1);
	cr_assert_eq(setrlimit(RLIMIT_AS, &all), 0);
	cr_assert_str_eq(why, "can't map a shared memory arena of 8589934592 "
	    "bytes: Cannot allocate memory");
	cr_assert_null(a.base);
	cr_assert_eq(a.fd, -1);
#endif
	cr_assert_eq(unit_descriptors_n(), before);
	for (int fd = 0; fd >= 0;)
		fd = dup(0);
	cr_assert_eq(errno, EMFILE);
	cr_assert_eq(arena_new(&a, SMALL, why, sizeof(why)), -1);
	cr_assert_str_eq(why, "can't make a shared memory arena of 1048576 "
	    "bytes: Too many open files");
	cr_assert_eq(a.fd, -1);
	cr_assert_null(a.base);
}

/* ---- who holds the descriptor can read it and do nothing else */

/* What a child found: the first thing that was allowed, or NULL. */
static const char *
map_somehow(int fd, int prot, int want_errno)
{
	void *p = mmap(NULL, SMALL, prot, MAP_SHARED, fd, 0);

	if (p != MAP_FAILED)
		return "a writable mapping";
	return errno == want_errno ? NULL : "another errno than expected";
}

static const char *
try_descriptor(int fd)
{
	char byte = 'x';

	if (write(fd, &byte, 1) != -1 || pwrite(fd, &byte, 1, 4096) != -1)
		return "writing";
	if (ftruncate(fd, 0) != -1 || ftruncate(fd, 2 * SMALL) != -1)
		return "another size";
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
	    4096) != -1)
		return "a hole";
	return map_somehow(fd, PROT_READ | PROT_WRITE, EACCES);
}

static const char *
try_mapping(int fd)
{
	uint8_t *p = mmap(NULL, SMALL, PROT_READ, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return "no reading: mmap failed";
	if (mprotect(p, 4096, PROT_READ | PROT_WRITE) != -1)
		return "mprotect";
	if (madvise(p, 4096, MADV_REMOVE) != -1)
		return "MADV_REMOVE";
	return p[ARENA_CONTROL_BYTES] == 'g' ? NULL : "no reading: no g";
}

/* Opened again for writing: impossible for others; the owner and root can,
 * but what they get writes nothing either. */
static const char *
try_reopening(int fd, bool may_chmod)
{
	char path[32], byte = 'x';
	int again;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (getuid() != 0) {
		if (open(path, O_RDWR) != -1 || open(path, O_WRONLY) != -1)
			return "opening for writing";
		if (errno != EACCES)
			return "another errno than EACCES";
	}
	if (!may_chmod)
		return fchmod(fd, 0777) == -1 ? NULL : "fchmod";
	fchmod(fd, 0777);
	again = open(path, O_RDWR);
	if (again == -1)
		return "the owner can't open it: so nothing was tried";
	if (write(again, &byte, 1) != -1)
		return "writing to what was opened again";
	if (ftruncate(again, 0) != -1)
		return "another size of what was opened again";
	return map_somehow(again, PROT_READ | PROT_WRITE, EPERM);
}

static const char *
try_everything(int fd, bool may_chmod)
{
	const char *got = try_descriptor(fd);

	if (got == NULL)
		got = try_mapping(fd);
	return got != NULL ? got : try_reopening(fd, may_chmod);
}

/* From here on nobody; still able to look into its own /proc, which a change
 * of user takes away, so that what refuses is the mode and nothing else. */
static bool
become_nobody(void)
{
	return getuid() != 0 || (setgroups(0, NULL) == 0 &&
	    setgid(NOBODY) == 0 && setuid(NOBODY) == 0 &&
	    prctl(PR_SET_DUMPABLE, 1) == 0);
}

/* In a child, whose answer is a sentence through a pipe. */
static void
in_a_child(const char *(*child)(int fd), int fd, const char *who)
{
	char said[256] = "";
	int pipes[2], status;
	pid_t pid;

	cr_assert_eq(pipe(pipes), 0);
	pid = fork();
	cr_assert_neq(pid, -1);
	if (pid == 0) {
		const char *got = child(fd);
		size_t n = got == NULL ? 0 : strlen(got);

		_exit(got != NULL && write(pipes[1], got, n) >= 0);
	}
	close(pipes[1]);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert_geq(read(pipes[0], said, sizeof(said) - 1), 0);
	close(pipes[0]);
	cr_assert_eq(status, 0, "%s: %s (status %x)", who, said, status);
}

static const char *
as_ourselves(int fd)
{
	return try_everything(fd, true);
}

static const char *
as_nobody(int fd)
{
	return become_nobody() ? try_everything(fd, false) : "can't setuid";
}

static int
arena_with_a_g(struct arena *a)
{
	block_ref ref;

	if (arena_new(a, SMALL, why, sizeof(why)) != 0)
		return -1;
	memset(arena_put(a, 16, &ref), 'g', 16);
	return a->fd;
}

/* Made by an ordinary user and held by the same, as without root. */
static const char *
made_as_nobody(int fd)
{
	struct arena a;

	(void)fd;
	if (!become_nobody())
		return "can't setuid";
	if (arena_with_a_g(&a) < 0)
		return why;
	munmap(a.base, SMALL);
	return try_everything(a.fd, true);
}

Test(arena, a_holder_reads_and_does_nothing_else)
{
	struct arena a;
	int fd = arena_with_a_g(&a);

	cr_assert_geq(fd, 0, "%s", why);
	if (getuid() == 0)
		in_a_child(as_nobody, fd, "made by root, held by nobody");
	in_a_child(as_ourselves, fd, "held by the maker's user");
	in_a_child(made_as_nobody, fd, "made and held by nobody");
	cr_assert_eq(a.base[ARENA_CONTROL_BYTES], 'g');
	arena_close(&a);
}

/* The proof that become_nobody and the tries can find something: a memfd as
 * the kernel makes it is everyone's to write. */
static const char *
bare_as_nobody(int fd)
{
	char path[32];

	if (!become_nobody())
		return "can't setuid";
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (open(path, O_RDWR) == -1)
		return "a bare memfd can't be opened for writing";
	return try_everything(fd, false) == NULL ? "nothing found" : NULL;
}

Test(arena, a_bare_memfd_would_be_found_out)
{
	char path[32];
	int fd = memfd_create("bare", 0), read_only;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	cr_assert_eq(ftruncate(fd, SMALL), 0);
	read_only = open(path, O_RDONLY);
	in_a_child(bare_as_nobody, read_only, "nobody with a bare memfd");
	close(read_only);
	close(fd);
}

static uint8_t *writable;

/* A child of the master has the address and no memory there (DONTFORK). */
static const char *
writable_is_gone(int fd)
{
	unsigned char in;

	(void)fd;
	return mincore(writable, 4096, &in) == -1 && errno == ENOMEM ? NULL :
	    "the writable mapping went through fork";
}

Test(arena, no_child_inherits_the_writable_mapping)
{
	struct arena a;

	cr_assert_eq(arena_new(&a, SMALL, why, sizeof(why)), 0, "%s", why);
	writable = a.base;
	cr_assert_not_null(writable_is_gone(a.fd), "mincore finds nothing");
	in_a_child(writable_is_gone, a.fd, "a child");
	arena_close(&a);
}
