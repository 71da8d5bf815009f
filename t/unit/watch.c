/*
 * t/unit/watch.c - files that change under a path: each way in which tools
 * replace them is told, once; what is no change is not.
 */
#include "master/watch.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "t/lib/unit_process.h"
#include "worker/io/loop.h"

enum { TURN_MS = 20, TURNS_MAX = 250, QUIET_TURNS = 12, LOOK_MS = 10000 };

static struct loop loop;
static struct watch *w;
static char folder[64];
static char told[1024];			/* "a,b,": by their last names */
static const char *take_out;		/* on_change removes it */

/* ---- a folder */

static const char *
path(const char *name)
{
	static char at[4][128];
	static int i;

	i = (i + 1) % 4;
	snprintf(at[i], sizeof(at[i]), "%s/%s", folder, name);
	return at[i];
}

static void
put(const char *name, const char *text)
{
	FILE *f = fopen(path(name), "w");

	cr_assert_not_null(f, "%s: %s", path(name), strerror(errno));
	fputs(text, f);
	fclose(f);
}

static void
put_folder(const char *name)
{
	cr_assert_eq(mkdir(path(name), 0755), 0, "%s", strerror(errno));
}

static void
put_link(const char *name, const char *to)
{
	cr_assert_eq(symlink(to, path(name)), 0, "%s", strerror(errno));
}

static void
move(const char *from, const char *to)
{
	cr_assert_eq(rename(path(from), path(to)), 0, "%s", strerror(errno));
}

/* ---- being told */

static void
on_change(void *arg, const char *file)
{
	cr_assert_eq(arg, &told);
	cr_assert_eq(strncmp(file, folder, strlen(folder)), 0);
	strcat(told, file + strlen(folder) + 1);
	strcat(told, ",");
	if (take_out != NULL)
		watch_remove(w, take_out);
}

static void
start(void)
{
	strcpy(folder, "/tmp/godwit-unit-XXXXXX");
	cr_assert_not_null(mkdtemp(folder));
	loop_init(&loop, sys_kernel_new());
	w = watch_open(&loop, on_change, &told);
	cr_assert_not_null(w);
}

static void
end(void)
{
	char command[128];

	watch_close(w);
	sys_kernel_free(loop.sys);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	cr_assert_eq(system(command), 0);
}

static void
add(const char *name)
{
	cr_assert_eq(watch_add(w, path(name), NULL), 0);
}

static void
until(const char *want)
{
	for (int i = 0; i < TURNS_MAX && strlen(told) < strlen(want); i++)
		loop_turn(&loop, TURN_MS);
	cr_assert_str_eq(told, want);
	told[0] = '\0';
}

/* How many folders inotify has, of all instances here. */
static int
folders_n(void)
{
	char name[64], line[512];
	int n = 0;
	FILE *f;

	for (int fd = 0; fd < 64; fd++) {
		snprintf(name, sizeof(name), "/proc/self/fdinfo/%d", fd);
		f = fopen(name, "r");
		while (f != NULL && fgets(line, sizeof(line), f) != NULL)
			n += strncmp(line, "inotify wd:", 11) == 0;
		if (f != NULL)
			fclose(f);
	}
	return n;
}

/* What would be told comes after the debounce: four of them. */
static void
quiet(void)
{
	struct mono end_of_it = mono_after_ms(clock_now(), QUIET_TURNS *
	    TURN_MS);

	while (mono_between_ms(clock_now(), end_of_it) > 0)
		loop_turn(&loop, TURN_MS);
	cr_assert_str_eq(told, "");
}

/* ---- ways to change a file */

Test(watch, a_file_in_its_folder, .timeout = 60)
{
	start();
	put("a", "1");
	put("b", "1");
	add("a");
	add("a");
	put("a", "in place");
	until("a,");
	put("a.new", "by a rename over it");
	move("a.new", "a");
	until("a,");
	cr_assert_eq(unlink(path("a")), 0);
	quiet();			/* W1 */
	put("a", "anew");
	until("a,");
	put("b", "of nobody's interest");
	quiet();
	end();
}

/* A link of the path is swapped, whatever it leads through. */
Test(watch, kubernetes, .timeout = 60)
{
	start();
	put_folder("..1");
	put("..1/crt", "1");
	put("..1/key", "1");
	put_link("..data", "..1");
	put_link("crt", "..data/crt");
	put_link("key", "..data/key");
	add("crt");
	put_folder("..2");
	put("..2/crt", "2");
	put_link("..data_tmp", "..2");
	move("..data_tmp", "..data");
	until("crt,");
	put("..1/crt", "left behind");
	quiet();
	put("..2/crt", "where the link leads now");
	until("crt,");
	end();
}

Test(watch, folders_of_the_path, .timeout = 60)
{
	start();
	add("to/come/a");
	put_folder("to");
	quiet();
	put_folder("to/come");
	put("to/come/a", "1");
	until("to/come/a,");
	put_folder("to/new");
	put("to/new/a", "in a folder that takes the place");
	move("to/come", "to/old");
	move("to/new", "to/come");
	until("to/come/a,");
	put("to/old/a", "no longer it");
	quiet();
	put_folder("elsewhere");
	put("elsewhere/a", "2");
	move("to", "gone");
	put_folder("to");
	put_link("to/come", path("elsewhere"));	/* from the top */
	until("to/come/a,");
	put_link("to/more", "../to/./come");
	add("to/more/a");
	put("elsewhere/a", "three");
	until("to/more/a,to/come/a,");
	end();
}

/* Many writes of a moment are one change; a new time alone is none. */
Test(watch, once, .timeout = 60)
{
	start();
	put("a", "1");
	add("a");
	for (int i = 0; i < 100; i++)
		put("a", i % 2 == 0 ? "12" : "123");
	until("a,");
	quiet();
	cr_assert_eq(chmod(path("a"), 0600), 0);
	quiet();
	end();
}

/* Opened long before, written and not closed: not yet; then it is. */
Test(watch, when_the_writer_closes, .timeout = 60)
{
	int fd;

	start();
	put("a", "1");
	add("a");
	fd = open(path("a"), O_WRONLY);
	cr_assert_eq(write(fd, "half", 4), 4);
	quiet();
	close(fd);
	until("a,");
	end();
}

/* What the caller read was another already. */
Test(watch, since_it_was_read, .timeout = 60)
{
	struct watch_stamp seen;
	struct stat st;

	start();
	put("a", "1");
	cr_assert_eq(stat(path("a"), &st), 0);
	seen = watch_stamp_of(&st);
	cr_assert_eq(watch_add(w, path("a"), &seen), 0);
	quiet();
	put("a", "22");
	until("a,");
	cr_assert_eq(watch_add(w, path("a"), &seen), 0);
	until("a,");
	end();
}

Test(watch, removed, .timeout = 60)
{
	int n = unit_descriptors_n();

	start();
	put("a", "1");
	put("b", "1");
	add("a");
	add("b");
	watch_remove(w, path("c"));
	watch_remove(w, path("a"));
	put("a", "22");
	put("b", "22");
	until("b,");
	add("a");
	take_out = path("a");		/* W3: its own */
	put("a", "333");
	put("b", "333");
	until("a,b,");
	add("a");
	take_out = path("b");		/* the next one */
	put("a", "4444");
	put("b", "4444");
	until("a,");
	put("b", "55555");
	quiet();
	cr_assert_eq(folders_n(), 3, "/, /tmp, the folder of a");
	watch_remove(w, path("a"));
	cr_assert_eq(folders_n(), 0);
	quiet();
	end();
	cr_assert_eq(unit_descriptors_n(), n);
	watch_close(NULL);
}

/* Links that lead to themselves, and names that are too long, are looked at
 * as far as they go. */
Test(watch, odd_paths, .timeout = 60)
{
	char name[5000];

	start();
	put_link("round", "round");
	add("round");
	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	cr_assert_eq(watch_add(w, name, NULL), 0);
	cr_assert_eq(watch_add(w, "", NULL), 0);
	put("it", "1");
	put_link("round.new", "it");
	move("round.new", "round");
	until("round,");
	end();
}

/* W2. A loop that has no descriptor to give has its clock. */
Test(watch, without_inotify, .timeout = 60)
{
	struct rlimit none = { 0, 0 }, was;
	struct unit_tap tap;
	char line[512] = "";

	start();
	watch_close(w);
	unit_tap_open(&tap);
	getrlimit(RLIMIT_NOFILE, &was);
	none.rlim_max = was.rlim_max;
	setrlimit(RLIMIT_NOFILE, &none);
	w = watch_open(&loop, on_change, &told);
	setrlimit(RLIMIT_NOFILE, &was);
	cr_assert_gt(recv(tap.fd, line, sizeof(line) - 1, 0), 0);
	unit_tap_close(&tap);
	cr_assert_not_null(strstr(line, "within 10 s"), "%s", line);
	put("a", "1");
	add("a");
	put("a", "22");
	quiet();
	timers_step(&loop.timers, mono_after_ms(loop.now, LOOK_MS));
	cr_assert_str_eq(told, "a,");
	end();
}
