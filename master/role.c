/* master/role.c - see role.h. */
#include "master/role.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "shm/block.h"
#include "shm/log.h"

extern char **environ;

/* What a worker may know of our environment: where to find things, how to
 * write dates, and how instrumented builds behave. Nothing that could be a
 * secret. A last '*' stands for any rest of the name. */
static const char *const keep[] = {
	"PATH", "HOME", "TZ", "LANG", "LC_*", "XDG_RUNTIME_DIR",
	"LD_LIBRARY_PATH", "LD_PRELOAD", "OPENSSL_CONF", "OPENSSL_MODULES",
	"ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS",
	"GCOV_*", "LLVM_PROFILE_FILE", "MALLOC_*", "GLIBC_TUNABLES", NULL
};

/* What the master may not: it is between us and who started us. */
static const char *const drop[] = {
	"NOTIFY_SOCKET", "WATCHDOG_*", "LISTEN_*", "GODWIT_ROLE",
	"GODWIT_FDS", NULL
};

/* A master that gave its rights up can't know. */
static const char of_root[] = " of root";

enum { ARGUMENTS_MAX = 256, FDS_BYTES = 512 };

/* The names of the table; -1 in the struct: not there. */
static const struct {
	const char	*name;
	size_t		 at;
} table[] = {
	{ "control", offsetof(struct role, start.control_fd) },
	{ "arena", offsetof(struct role, start.arena_fd) },
	{ "secrets", offsetof(struct role, start.secrets_fd) },
	{ "kept", offsetof(struct role, kept_fd) },
	{ "journal", offsetof(struct role, journal_fd) },
	{ "common", offsetof(struct role, start.common_fd) },
	{ "row", offsetof(struct role, start.row_fd) },
	{ "wake", offsetof(struct role, start.wake_fd) },
	{ "stats", offsetof(struct role, start.stats_fd) },
};
enum { TABLE_N = sizeof(table) / sizeof(table[0]) };

static int *
table_fd(struct role *r, size_t i)
{
	return (int *)(void *)((char *)r + table[i].at);
}

void
role_init(struct role *r, enum role_kind kind, uint32_t slot)
{
	memset(r, 0, sizeof(*r));
	r->kind = kind;
	r->start.slot = slot;
	for (size_t i = 0; i < TABLE_N; i++)
		*table_fd(r, i) = -1;
}

void
role_name(const struct role *r, char *name, size_t name_len)
{
	if (r->kind == ROLE_MASTER)
		snprintf(name, name_len, "master");
	else
		snprintf(name, name_len, "worker %u", r->start.slot);
}

/* ---- before the exec */

/* "" when it does not fit. */
static void
fds_write(const struct role *r, char *out, size_t out_len)
{
	struct role copy = *r;
	size_t n = 0;

	out[0] = '\0';
	for (size_t i = 0; i < TABLE_N && n < out_len; i++)
		if (*table_fd(&copy, i) != -1)
			n += (size_t)snprintf(out + n, out_len - n, "%s:%d ",
			    table[i].name, *table_fd(&copy, i));
	if (n >= out_len)
		out[0] = '\0';
}

static bool
names(const char *const *list, const char *variable)
{
	for (; *list != NULL; list++) {
		size_t n = strcspn(*list, "*");

		if (strncmp(variable, *list, n) == 0 &&
		    ((*list)[n] == '*' || variable[n] == '='))
			return true;
	}
	return false;
}

/* I2. NULL: no memory. Never freed: the exec does. */
static char **
environment(enum role_kind kind, char *role, char *fds)
{
	size_t n = 0;
	char **out;

	while (environ[n] != NULL)
		n++;
	out = calloc(n + 3, sizeof(*out));
	if (out == NULL)
		return NULL;
	n = 0;
	for (char **e = environ; *e != NULL; e++)
		if (kind == ROLE_MASTER ? !names(drop, *e) : names(keep, *e))
			out[n++] = *e;
	out[n++] = role;
	out[n++] = fds;
	return out;
}

/* I1. */
static int
descriptors_keep(const struct role *r)
{
	struct role copy = *r;

	/* Ours are close-on-exec already; this is for what we inherited. */
	(void)close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
	for (size_t i = 0; i < TABLE_N; i++)
		if (*table_fd(&copy, i) != -1 &&
		    fcntl(*table_fd(&copy, i), F_SETFD, 0) == -1)
			return -1;
	return 0;
}

int
role_drop(const struct control_settings *s)
{
	gid_t groups[CONTROL_GROUPS_MAX];

	if (!s->user_set)
		return 0;
	for (uint32_t i = 0; i < s->groups_n; i++)
		groups[i] = s->groups[i];
	if (setgroups(s->groups_n, groups) == -1)
		return -1;
	if (setresgid(s->gid, s->gid, s->gid) == -1)
		return -1;
	return setresuid(s->uid, s->uid, s->uid);
}

/* A terminal and a service manager signal all of us; only the keeper acts,
 * and tells the others on their control sockets. */
static void
signals_ignore(void)
{
	static const int ignored[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM,
		SIGUSR1, SIGUSR2, SIGPIPE };
	sigset_t none;

	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

void
role_exec(const struct role *r, const struct control_settings *s,
    char *const *args, const char **what)
{
	static char fds[sizeof("GODWIT_FDS=") + FDS_BYTES];
	char name[64], title[96], role[96];
	char **envp, *argv[ARGUMENTS_MAX];
	int n = 0;

	role_name(r, name, sizeof(name));
	snprintf(title, sizeof(title), "godwit: %s", name);
	snprintf(role, sizeof(role), "GODWIT_ROLE=%s%s", name,
	    r->kind == ROLE_MASTER && geteuid() == 0 ? of_root : "");
	strcpy(fds, "GODWIT_FDS=");
	fds_write(r, fds + strlen(fds), sizeof(fds) - strlen(fds));
	*what = "its environment";
	envp = environment(r->kind, role, fds);
	if (envp == NULL)
		return;
	argv[n++] = title;
	for (; *args != NULL && n < ARGUMENTS_MAX - 1; args++)
		argv[n++] = *args;
	argv[n] = NULL;
	signals_ignore();
	*what = "its descriptors";
	if (descriptors_keep(r) == -1)
		return;
	*what = "the change to its user";
	if (s != NULL && role_drop(s) == -1)
		return;
	/* What lets the keeper bind low ports is not theirs. */
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	*what = "the execution of /proc/self/exe";
	execve("/proc/self/exe", argv, envp);
}

/* ---- after the exec */

static int
fd_take(const char *text, char **end, int *fd)
{
	long n;

	errno = 0;
	n = strtol(text, end, 10);
	if (errno != 0 || *end == text || n < 3 || n > INT32_MAX)
		return -1;
	*fd = (int)n;
	return fcntl(*fd, F_SETFD, FD_CLOEXEC);
}

/* One "name:fd" of the table; *end is left behind it. */
static int
entry_take(struct role *r, const char *text, char **end)
{
	for (size_t i = 0; i < TABLE_N; i++) {
		size_t n = strlen(table[i].name);

		if (strncmp(text, table[i].name, n) == 0 && text[n] == ':')
			return fd_take(text + n + 1, end, table_fd(r, i));
	}
	return -1;
}

static int
fds_read(struct role *r, const char *text, char *why, size_t why_len)
{
	char *end;

	while (*text != '\0') {
		if (entry_take(r, text, &end) == -1)
			return why_set(why, why_len, "GODWIT_FDS is broken at "
			    "\"%.32s\"; only godwit sets it", text);
		text = end + strspn(end, " ");
	}
	if (r->start.control_fd == -1 || (r->kind == ROLE_WORKER &&
	    (r->start.arena_fd == -1 || r->start.row_fd == -1)))
		return why_set(why, why_len, "GODWIT_FDS lacks a descriptor; "
		    "only godwit sets it");
	return 0;
}

int
role_take(struct role *r, char *why, size_t why_len)
{
	const char *role = getenv("GODWIT_ROLE"), *fds = getenv("GODWIT_FDS");
	unsigned slot = 0;
	int rc, used = 0;

	role_init(r, ROLE_NONE, 0);
	if (role == NULL)
		return 0;
	if (sscanf(role, "worker %3u%n", &slot, &used) == 1 &&
	    role[used] == '\0' && slot < CONTROL_WORKERS_MAX)
		role_init(r, ROLE_WORKER, slot);
	else if (strncmp(role, "master", 6) == 0 && (role[6] == '\0' ||
	    strcmp(role + 6, of_root) == 0)) {
		role_init(r, ROLE_MASTER, 0);
		r->as_root = role[6] != '\0';
	} else
		return why_set(why, why_len, "GODWIT_ROLE=%s is no role; only "
		    "godwit sets it", role);
	rc = fds_read(r, fds == NULL ? "" : fds, why, why_len);
	unsetenv("GODWIT_ROLE");
	unsetenv("GODWIT_FDS");
	return rc;
}
