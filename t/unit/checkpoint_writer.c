/*
 * t/unit/checkpoint_writer.c - the child of master/checkpoint_writer.h in a
 * real loop: that it writes what was, that its end is told once however it
 * ends (W1, W2), and that it holds nothing (W3).
 */
#include "master/checkpoint_writer.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "t/lib/unit_checkpoint.h"
#include "t/lib/unit_process.h"

enum { TURNS_MAX = 1000, TURN_MS = 100, SHORT_MS = 50 };

static struct loop loop;
static struct checkpoint_writer writer;
static struct content content;
static struct checkpoint_part parts[2] = {
	{ "all", false, content.records, RECORDS },
	{ "keys", true, content.records, SMALL_RECORDS },
};

static struct {
	int	n;
	bool	ok, again;
	char	why[512];
} ended;

static int
begin(void)
{
	return checkpoint_writer_begin(&writer, folder, WHO, parts, 2, why,
	    sizeof(why));
}

static void
on_done(void *arg, bool ok, const char *what)
{
	cr_assert_eq(arg, &ended);
	cr_assert_not(checkpoint_writer_busy(&writer));
	ended.n++;
	ended.ok = ok;
	snprintf(ended.why, sizeof(ended.why), "%s", what);
	if (ended.again)
		cr_assert_eq(begin(), 0, "%s", why);
	ended.again = false;
}

static void
start(void)
{
	folder_open();
	loop_init(&loop, sys_kernel_new());
	checkpoint_writer_init(&writer, &loop, on_done, &ended);
	content_make(&content, 1, RECORDS, BYTES);
}

static void
end(void)
{
	checkpoint_writer_fini(&writer);
	sys_kernel_free(loop.sys);
	unlink(path("keys.a"));
	unlink(path("keys.b"));
	unlink(path("keys.new"));
	folder_close();
}

static void
until(int n)
{
	for (int i = 0; i < TURNS_MAX && ended.n < n; i++)
		loop_turn(&loop, TURN_MS);
	cr_assert_eq(ended.n, n);
}

/* No child is left, and no descriptor. */
static void
nothing_left(int descriptors_n)
{
	cr_assert_eq(waitpid(-1, NULL, WNOHANG), -1);
	cr_assert_eq(errno, ECHILD);
	cr_assert_eq(unit_descriptors_n(), descriptors_n);
}

Test(checkpoint_writer, writes_what_was, .timeout = 60)
{
	struct checkpoint *c;
	int n;

	start();
	n = unit_descriptors_n();
	cr_assert_eq(begin(), 0, "%s", why);
	cr_assert(checkpoint_writer_busy(&writer));
	content_make(&content, 2, RECORDS, BYTES);	/* meanwhile */
	until(1);
	cr_assert(ended.ok, "%s", ended.why);
	cr_assert_str_eq(ended.why, "");
	cr_assert_eq(read_one(), 1, "%s", why);
	c = checkpoint_read(folder, WHO, "keys", true, why, sizeof(why));
	cr_assert_not_null(c, "%s", why);
	checkpoint_free(c);
	nothing_left(n);
	end();
}

Test(checkpoint_writer, one_at_a_time, .timeout = 60)
{
	start();
	cr_assert_eq(begin(), 0, "%s", why);
	cr_assert_eq(begin(), -1);
	cr_assert_not_null(strstr(why, "is being written"), "%s", why);
	ended.again = true;
	content_make(&content, 2, RECORDS, BYTES);
	until(2);
	cr_assert(ended.ok, "%s", ended.why);
	cr_assert_eq(read_one(), 2, "%s", why);
	end();
}

/* The second part fails: the first is there, the reason is told. */
Test(checkpoint_writer, says_why_not, .timeout = 60)
{
	start();
	cr_assert_eq(mkdir(path("keys.new"), 0700), 0);
	cr_assert_eq(begin(), 0, "%s", why);
	until(1);
	cr_assert_not(ended.ok);
	cr_assert_not_null(strstr(ended.why, "/keys: Is a directory"), "%s",
	    ended.why);
	cr_assert_eq(read_one(), 1, "%s", why);
	cr_assert_eq(rmdir(path("keys.new")), 0);
	end();
}

/* Stopped before it can do anything: the parent runs on after a fork, and if
 * it did not, the child has ended and is not the row's business. */
static bool
stopped(void)
{
	siginfo_t info = { 0 };

	kill(writer.pid, SIGSTOP);
	waitid(P_PID, (id_t)writer.pid, &info, WSTOPPED | WEXITED | WNOWAIT);
	return info.si_code == CLD_STOPPED;
}

Test(checkpoint_writer, one_that_hangs_is_killed, .timeout = 60)
{
	int n;

	start();
	n = unit_descriptors_n();
	writer.limit_ms = SHORT_MS;
	do {
		loop_turn(&loop, 0);
		ended.n = 0;
		if (!checkpoint_writer_busy(&writer))
			cr_assert_eq(begin(), 0, "%s", why);
	} while (!stopped());
	until(1);
	cr_assert_not(ended.ok);
	cr_assert_not_null(strstr(ended.why, "hung for 50 ms and was killed"),
	    "%s", ended.why);
	nothing_left(n);
	end();
}

Test(checkpoint_writer, one_that_somebody_kills, .timeout = 60)
{
	start();
	do {
		loop_turn(&loop, 0);
		ended.n = 0;
		if (!checkpoint_writer_busy(&writer))
			cr_assert_eq(begin(), 0, "%s", why);
	} while (!stopped());
	kill(writer.pid, SIGKILL);
	until(1);
	cr_assert_not(ended.ok);
	cr_assert_not_null(strstr(ended.why, "was killed: Killed"), "%s",
	    ended.why);
	end();
}

/* Where children are reaped by the kernel, whose status nobody gets. */
Test(checkpoint_writer, where_sigchld_is_ignored, .timeout = 60)
{
	start();
	signal(SIGCHLD, SIG_IGN);
	cr_assert_eq(begin(), 0, "%s", why);
	until(1);
	cr_assert(ended.ok, "%s", ended.why);
	cr_assert_eq(read_one(), 1, "%s", why);
	end();
}

/* Until the child is past its preparations. */
static void
wait_for_work(void)
{
	while (access(path("all.new"), F_OK) == -1 &&
	    access(path(FIRST), F_OK) == -1)
		;
}

Test(checkpoint_writer, signals_for_all_are_not_for_it, .timeout = 60)
{
	static const int all[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1,
		SIGUSR2 };
	int tries = 0;

	start();
	/* It may be hit before it could say that it ignores them. */
	for (ended.ok = false; !ended.ok && tries < TURNS_MAX; tries++) {
		cr_assert_eq(begin(), 0, "%s", why);
		wait_for_work();
		for (size_t i = 0; i < 6; i++)
			kill(writer.pid, all[i]);
		until(tries + 1);
	}
	cr_assert_eq(tries, 1, "%s", ended.why);
	end();
}

/* A master that begins, is seen to have a child at work, and dies. */
static pid_t
dies_with_a_child(void)
{
	pid_t child, pid;
	int fds[2];

	cr_assert_eq(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		if (begin() == -1)
			_exit(1);
		wait_for_work();
		kill(writer.pid, SIGSTOP);
		if (write(fds[1], &writer.pid, sizeof(pid)) != sizeof(pid))
			_exit(1);
		pause();
	}
	cr_assert_eq(read(fds[0], &child, sizeof(child)), sizeof(child));
	close(fds[0]);
	close(fds[1]);
	kill(pid, SIGKILL);
	cr_assert_eq(waitpid(pid, NULL, 0), pid);
	return child;
}

Test(checkpoint_writer, dies_with_the_master, .timeout = 60)
{
	pid_t child;

	start();
	/* It becomes ours, so that its end is seen. */
	cr_assert_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	child = dies_with_a_child();
	cr_assert_eq(waitpid(child, NULL, 0), child);
	end();
}

/* The other end of what the master closes sees the end, though a child is
 * there. */
Test(checkpoint_writer, holds_nothing_open, .timeout = 60)
{
	int fds[2];
	char c;

	start();
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds),
	    0);
	cr_assert_eq(begin(), 0, "%s", why);
	wait_for_work();
	kill(writer.pid, SIGSTOP);
	close(fds[0]);
	cr_assert_eq(recv(fds[1], &c, 1, MSG_DONTWAIT), 0, "%s",
	    strerror(errno));
	kill(writer.pid, SIGCONT);
	until(1);
	close(fds[1]);
	end();
}

Test(checkpoint_writer, is_killed_at_the_end, .timeout = 60)
{
	start();
	cr_assert_eq(begin(), 0, "%s", why);
	checkpoint_writer_fini(&writer);
	cr_assert_not(checkpoint_writer_busy(&writer));
	loop_turn(&loop, 0);
	cr_assert_eq(ended.n, 0);
	end();
}
