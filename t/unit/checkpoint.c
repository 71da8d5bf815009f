/*
 * t/unit/checkpoint.c - what master/checkpoint.h promises of reading and
 * writing: the newest whole one is taken (C1), whatever happens to a writer,
 * and nobody else's (C3). Damage is t/unit/checkpoint_damage.c's.
 */
#include "master/checkpoint.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "t/lib/unit_checkpoint.h"

enum { NOBODY = 65534, KILLS = 150 };

static struct chance chance = { 6 };

/* ---- as it should be */

Test(checkpoint, what_is_written_is_read)
{
	struct checkpoint_about about;
	struct checkpoint *c;
	struct stat st;

	folder_open();
	cr_assert_eq(read_one(), 0);
	cr_assert_str_eq(why, "");
	write_one(1);
	cr_assert_eq(read_one(), 1, "%s", why);
	cr_assert_str_eq(why, "");
	cr_assert_eq(read_sized(true, BYTES), 1, "%s", why);
	cr_assert_eq(stat(path(FIRST), &st), 0);
	cr_assert_eq(st.st_mode & 07777, 0600);

	c = checkpoint_read(folder, WHO, "all", false, why, sizeof(why));
	checkpoint_about(c, &about);
	cr_assert_eq(about.sequence, 1);
	cr_assert_eq(about.records_n, RECORDS);
	cr_assert_str_eq(about.file, FIRST);
	cr_assert(about.written_s >= st.st_mtime - 60 &&
	    about.written_s <= st.st_mtime + 1);
	checkpoint_free(c);
	checkpoint_free(NULL);
	folder_close();
}

Test(checkpoint, nothing_is_something_to_write)
{
	struct checkpoint_part part = { "all", false, NULL, 0 };
	struct checkpoint_record r;
	struct checkpoint *c;
	size_t at = 0;

	folder_open();
	cr_assert_eq(checkpoint_write(folder, WHO, &part, why, sizeof(why)),
	    0, "%s", why);
	c = checkpoint_read(folder, WHO, "all", false, why, sizeof(why));
	cr_assert_not_null(c, "%s", why);
	cr_assert_not(checkpoint_next(c, &at, &r));
	checkpoint_free(c);
	folder_close();
}

Test(checkpoint, a_folder_is_made)
{
	struct checkpoint_part part = { "all", false, NULL, 0 };
	char inner[96];

	folder_open();
	snprintf(inner, sizeof(inner), "%s/all", folder);
	cr_assert_null(checkpoint_read(inner, WHO, "all", false, why,
	    sizeof(why)));
	cr_assert_str_eq(why, "");
	cr_assert_eq(checkpoint_write(inner, WHO, &part, why, sizeof(why)), 0,
	    "%s", why);
	cr_assert_eq(unlink(path("all/all.a")), 0);
	cr_assert_eq(rmdir(inner), 0);
	folder_close();
}

/* ---- which one is taken */

struct which {
	const char	*what;
	const char	*first, *second, *fresh;	/* a number, "torn", "" */
	uint64_t	 want;
	const char	*why;
};

static const struct which which[] = {
	{ "usual", "1", "2", "", 2, "" },
	{ "usual, turned", "3", "2", "", 3, "" },
	{ "the first only", "1", "", "", 1, "" },
	{ "crash while writing", "1", "2", "torn", 2, "" },
	{ "crash before the renaming", "1", "2", "3", 2, "" },
	{ "crash in the first writing", "", "", "torn", 0, "" },
	{ "the newer rotten", "1", "torn", "", 1, SECOND " is damaged" },
	{ "the newer rotten, turned", "torn", "2", "", 2,
	  FIRST " is damaged" },
	{ "the newer gone", "1", "", "3", 1, "" },
	{ "both rotten", "torn", "torn", "", 0, SECOND " is damaged" },
	{ "twice the same", "2", "2", "", 2, "" },
};

static void
place(const char *what, const char *name)
{
	static struct image m;
	char from[8];

	unlink(path(name));
	if (what[0] == '\0')
		return;
	snprintf(from, sizeof(from), "%s", what[0] == 't' ? "3" : what);
	image_load(&m, from);
	if (what[0] == 't')
		m.len -= BYTES;
	image_save(&m, name);
}

/* Files "1" "2" "3" with those numbers. */
static void
samples_open(void)
{
	static const char *const names[] = { "1", "2", "3" };
	static struct image m;

	folder_open();
	for (uint64_t i = 0; i < 3; i++) {
		write_one(i + 1);
		image_load(&m, i % 2 == 0 ? FIRST : SECOND);
		image_save(&m, names[i]);
	}
}

static void
samples_close(void)
{
	unlink(path("1"));
	unlink(path("2"));
	unlink(path("3"));
	folder_close();
}

static void
which_place(const struct which *w)
{
	place(w->first, FIRST);
	place(w->second, SECOND);
	place(w->fresh, "all.new");
}

/* And the next writing leaves it where it is. */
static void
goes_on(const struct which *w)
{
	static struct image m;
	const char *name;

	write_one(9);
	cr_assert_eq(read_one(), 9, "%s: %s", w->what, why);
	cr_assert_str_eq(why, "", "%s: %s", w->what, why);
	for (int i = 0; i < 2; i++) {
		name = i == 0 ? FIRST : SECOND;
		if (access(path(name), F_OK) == -1)
			continue;
		image_load(&m, name);
		unlink(path(name));
		if (read_one() == w->want)
			return;
		image_save(&m, name);
	}
	cr_assert_eq(w->want, 0, "%s: lost", w->what);
}

Test(checkpoint, the_newest_whole_one_is_taken)
{
	const struct which *w;
	uint64_t got;

	samples_open();
	for (size_t i = 0; i < sizeof(which) / sizeof(which[0]); i++) {
		w = &which[i];
		which_place(w);
		got = read_one();
		cr_assert_eq(got, w->want, "%s: got %llu: %s", w->what,
		    (unsigned long long)got, why);
		cr_assert(w->why[0] == '\0' ? why[0] == '\0' :
		    strstr(why, w->why) != NULL, "%s: %s", w->what, why);
		goes_on(w);
	}
	samples_close();
}

/* A file that could not be read then and can be now must not win over those
 * written since. */
Test(checkpoint, what_was_passed_over_stays_behind)
{
	folder_open();
	for (uint64_t v = 1; v <= 4; v++)
		write_one(v);
	cr_assert_eq(chmod(path(FIRST), 0666), 0);
	cr_assert_eq(chmod(path(SECOND), 0666), 0);
	cr_assert_eq(read_one(), 0);
	write_one(8);
	cr_assert_eq(chmod(path(SECOND), 0600), 0);
	cr_assert_eq(read_one(), 8, "%s", why);
	folder_close();
}

/* ---- nobody else's file */

static void
as_link(void)
{
	cr_assert_eq(rename(path(FIRST), path("all.new")), 0);
	cr_assert_eq(symlink("all.new", path(FIRST)), 0);
}

static void
as_fifo(void)
{
	unlink(path(FIRST));
	cr_assert_eq(mkfifo(path(FIRST), 0600), 0);
}

static void
as_folder(void)
{
	unlink(path(FIRST));
	cr_assert_eq(mkdir(path(FIRST), 0700), 0);
}

static void
of_nobody(void)
{
	cr_assert_eq(chown(path(FIRST), NOBODY, NOBODY), 0);
}

static void
for_all(void)
{
	cr_assert_eq(chmod(path(FIRST), 0602), 0);
}

static void
for_the_group(void)
{
	cr_assert_eq(chmod(path(FIRST), 0620), 0);
}

static void
shown_to_the_group(void)
{
	cr_assert_eq(chmod(path(FIRST), 0640), 0);
}

static void
huge(void)
{
	cr_assert_eq(truncate(path(FIRST), CHECKPOINT_BYTES_MAX + 1l), 0);
}

static void
of_another(void)
{
	unlink(path(FIRST));
	write_as("sidecar-2 layout 7", 1, RECORDS, BYTES);
}

static void
of_another_layout(void)
{
	static struct image m;

	image_load(&m, FIRST);
	m.bytes[8] = 99;
	sign(&m);
	image_save(&m, FIRST);
}

static void
of_another_kind(void)
{
	static struct image m;
	uint8_t *at;

	image_load(&m, FIRST);
	at = memmem(m.bytes, m.len, "Cluster", 7);
	cr_assert_not_null(at);
	memcpy(at, "Kluster", 7);
	sign(&m);
	image_save(&m, FIRST);
}

static const struct refused {
	const char	*what;
	void		(*make)(void);
	bool		 secret, root;	/* root: only he can make it so */
	const char	*why;
} refused[] = {
	{ "link", as_link, false, false, "all.a can't be read: Too many" },
	{ "pipe", as_fifo, false, false, "is no regular file" },
	{ "folder", as_folder, false, false, "is no regular file" },
	{ "nobody's", of_nobody, false, true, "belongs to user 65534" },
	{ "for all", for_all, false, false, "has mode 0602" },
	{ "for the group", for_the_group, false, false, "has mode 0620" },
	{ "shown", shown_to_the_group, true, false, "has mode 0640" },
	{ "huge", huge, false, false, "has 1073741825 bytes" },
	{ "another's", of_another, false, false,
	  "is of \"sidecar-2 layout 7\", not of \"sidecar-1 layout 7\"" },
	{ "layout", of_another_layout, false, false, "has layout 99" },
	{ "kind", of_another_kind, false, false, "records that this" },
};

Test(checkpoint, nobody_elses_file_is_taken)
{
	const struct refused *r;

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		r = &refused[i];
		if (r->root && geteuid() != 0)
			continue;
		folder_open();
		write_one(1);
		r->make();
		cr_assert_eq(read_sized(r->secret, BYTES), 0, "%s",
		    r->what);
		cr_assert_not_null(strstr(why, r->why), "%s: %s", r->what,
		    why);
		folder_close();
	}
	/* Others may read what is no secret. */
	folder_open();
	write_one(1);
	shown_to_the_group();
	cr_assert_eq(read_one(), 1, "%s", why);
	folder_close();
}

/* ---- writing that fails, or ends in the middle */

Test(checkpoint, a_failure_leaves_what_was)
{
	struct rlimit usual, little;
	struct checkpoint_part part = { "all", false, NULL, 0 };
	static struct content c;

	folder_open();
	write_one(1);
	write_one(2);
	content_make(&c, 3, RECORDS, BYTES);
	part.records = c.records;
	part.records_n = c.n;

	getrlimit(RLIMIT_FSIZE, &usual);
	little = usual;
	little.rlim_cur = 3 * BYTES;
	signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &little), 0);
	cr_assert_eq(checkpoint_write(folder, WHO, &part, why, sizeof(why)),
	    -1);
	setrlimit(RLIMIT_FSIZE, &usual);
	cr_assert_not_null(strstr(why, "/all: File too large"), "%s", why);
	cr_assert_eq(read_one(), 2, "%s", why);
	write_one(4);
	cr_assert_eq(read_one(), 4, "%s", why);

	cr_assert_eq(checkpoint_write(path(FIRST), WHO, &part, why,
	    sizeof(why)), -1);
	cr_assert_not_null(strstr(why, "Not a directory"), "%s", why);
	folder_close();
}

static pid_t
writer_start(uint64_t from, int said_fd)
{
	pid_t pid = fork();

	cr_assert_neq(pid, -1);
	while (pid == 0) {
		write_one(++from);
		if (write(said_fd, &from, sizeof(from)) != sizeof(from))
			_exit(1);
	}
	return pid;
}

/* Killed at any moment: what was said to be written is there, or newer. */
Test(checkpoint, a_killed_writer_leaves_a_whole_file)
{
	uint64_t last = 0, said, got;
	int fds[2];
	pid_t pid;

	folder_open();
	for (int i = 0; i < KILLS; i++) {
		cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
		pid = writer_start(last, fds[1]);
		close(fds[1]);
		for (uint32_t n = chance_below(&chance, 4); n > 0; n--)
			cr_assert_eq(read(fds[0], &last, sizeof(last)),
			    sizeof(last));
		for (uint32_t n = chance_below(&chance, 1 << 22); n > 0; n--)
			__asm__ volatile("");
		kill(pid, SIGKILL);
		cr_assert_eq(waitpid(pid, NULL, 0), pid);
		while (read(fds[0], &said, sizeof(said)) > 0)
			last = said;
		close(fds[0]);
		got = read_one();
		cr_assert(got == last || got == last + 1, "%llu was written, "
		    "%llu is read: %s", (unsigned long long)last,
		    (unsigned long long)got, why);
		last = got;
	}
	cr_assert(last > 0);
	folder_close();
}
