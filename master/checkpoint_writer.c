/* master/checkpoint_writer.c - see checkpoint_writer.h. */
#include "master/checkpoint_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/log.h"
#include "shm/title.h"

/* Where the child says how it went; what is above is the master's. */
enum { SAY_FD = STDERR_FILENO + 1, SAY_BYTES = 512 };

/* ---- the child */

/* A signal to all of a terminal's processes, or an operator's to all that is
 * called godwit, is not for it: it ends in a moment anyway. */
static void
signals_ignore(void)
{
	static const int ignored[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM,
		SIGUSR1, SIGUSR2, SIGPIPE };

	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
}

/* W3. */
static void
child_open(pid_t master, int say_fd)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != master)
		_exit(1);
	signals_ignore();
	title_set("checkpoint", "");
	if (say_fd != SAY_FD && dup2(say_fd, SAY_FD) == -1)
		_exit(1);
	(void)close_range(SAY_FD + 1, ~0u, 0);
}

static void
child_run(const char *dir, const char *identity,
    const struct checkpoint_part *parts, size_t parts_n)
{
	char said[SAY_BYTES] = "+";
	ssize_t n;

	for (size_t i = 0; i < parts_n && said[0] == '+'; i++)
		if (checkpoint_write(dir, identity, &parts[i], said + 1,
		    sizeof(said) - 1) == -1)
			said[0] = '-';
	n = write(SAY_FD, said, strlen(said));
	/* Not exit: what it would run and flush is the master's. */
	_exit(n <= 0);
}

/* ---- its end */

static void
close_all(struct checkpoint_writer *w)
{
	struct sys *sys = w->loop->sys;

	timer_stop(&w->loop->timers, &w->limit);
	if (w->pid_fd != -1) {
		loop_forget(w->loop, &w->ended);
		sys->close(sys->ctx, w->pid_fd);
	}
	if (w->why_fd != -1)
		close(w->why_fd);
	w->pid_fd = w->why_fd = -1;
	w->pid = 0;
}

/* What it said counts, not its status: where SIGCHLD is ignored nobody can
 * ask for that. */
static bool
how(const struct checkpoint_writer *w, const siginfo_t *info, char *why,
    size_t why_len)
{
	char said[SAY_BYTES + 1];
	ssize_t n = read(w->why_fd, said, SAY_BYTES);

	why[0] = '\0';
	if (n > 0) {
		said[n] = '\0';
		if (said[0] == '-')
			why_set(why, why_len, "%s", said + 1);
		return said[0] == '+';
	}
	if (w->late)
		why_set(why, why_len, "the checkpoint's writer, pid %d, hung "
		    "for %lld ms and was killed", (int)w->pid,
		    (long long)w->limit_ms);
	else if (info->si_code == CLD_KILLED || info->si_code == CLD_DUMPED)
		why_set(why, why_len, "the checkpoint's writer, pid %d, was "
		    "killed: %s", (int)w->pid, strsignal(info->si_status));
	else
		why_set(why, why_len, "the checkpoint's writer, pid %d, ended "
		    "without a word", (int)w->pid);
	return false;
}

static void
ended_ready(struct source *s, uint32_t events)
{
	struct checkpoint_writer *w = CONTAINER(s, struct checkpoint_writer,
	    ended);
	siginfo_t info = { 0 };
	char why[SAY_BYTES];
	bool ok;

	(void)events;
	if (waitid(P_PIDFD, (id_t)w->pid_fd, &info, WEXITED | WNOHANG) == 0 &&
	    info.si_pid == 0)
		return;			/* not yet */
	ok = how(w, &info, why, sizeof(why));
	close_all(w);
	w->done(w->arg, ok, why);
}

static void
limit_fire(struct timer *t)
{
	struct checkpoint_writer *w = CONTAINER(t, struct checkpoint_writer,
	    limit);

	w->late = true;
	kill(w->pid, SIGKILL);
}

/* ---- life */

void
checkpoint_writer_init(struct checkpoint_writer *w, struct loop *l,
    void (*done)(void *arg, bool ok, const char *why), void *arg)
{
	*w = (struct checkpoint_writer){ .loop = l, .done = done, .arg = arg,
		.limit_ms = CHECKPOINT_WRITER_LIMIT_MS, .pid_fd = -1,
		.why_fd = -1, .ended = { ended_ready },
		.limit = { .fire = limit_fire } };
}

/* One that the kernel can't end, since its disk hangs, is not waited for. */
void
checkpoint_writer_fini(struct checkpoint_writer *w)
{
	siginfo_t ignored;

	if (w->pid == 0)
		return;
	kill(w->pid, SIGKILL);
	(void)waitid(P_PIDFD, (id_t)w->pid_fd, &ignored, WEXITED | WNOHANG);
	close_all(w);
}

/* In the master: the child is there, and is watched. */
static int
child_watch(struct checkpoint_writer *w, char *why, size_t why_len)
{
	w->late = false;
	w->pid_fd = pidfd_open(w->pid, 0);
	if (w->pid_fd != -1 &&
	    loop_watch(w->loop, w->pid_fd, &w->ended) == 0) {
		timer_start(&w->loop->timers, &w->limit, w->loop->now,
		    w->limit_ms);
		return 0;
	}
	why_set(why, why_len, "the checkpoint's writer can't be watched: %s",
	    strerror(errno));
	kill(w->pid, SIGKILL);
	waitpid(w->pid, NULL, 0);
	close_all(w);
	return -1;
}

int
checkpoint_writer_begin(struct checkpoint_writer *w, const char *dir,
    const char *identity, const struct checkpoint_part *parts, size_t parts_n,
    char *why, size_t why_len)
{
	pid_t master = getpid();
	int fds[2];

	if (w->pid != 0)
		return why_set(why, why_len, "a checkpoint is being written");
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) == -1)
		return why_set(why, why_len, "no pipe to the checkpoint's "
		    "writer: %s", strerror(errno));
	w->pid = fork();
	if (w->pid == 0) {
		child_open(master, fds[1]);
		child_run(dir, identity, parts, parts_n);
	}
	close(fds[1]);
	if (w->pid == -1) {
		w->pid = 0;
		close(fds[0]);
		return why_set(why, why_len, "the checkpoint's writer can't "
		    "be forked: %s", strerror(errno));
	}
	w->why_fd = fds[0];
	return child_watch(w, why, why_len);
}
