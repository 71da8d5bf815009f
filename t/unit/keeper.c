/* t/unit/keeper.c - the parts of the keeper: backoff, roles, sockets, folder,
 * the service manager; see master/keeper*.h */
#include "master/keeper_state.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static char why[512];

static struct control_listener
wanted(int family, uint16_t port)
{
	struct control_listener l = { .slot = 5, .backlog = 64 };
	struct sockaddr_in *v4 = (void *)&l.address;
	struct sockaddr_in6 *v6 = (void *)&l.address;

	strcpy(l.name, "local");
	if (family == AF_INET) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		l.address_len = sizeof(*v4);
	} else {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
		v6->sin6_addr = in6addr_loopback;
		l.address_len = sizeof(*v6);
	}
	return l;
}

static uint16_t
port_of(const struct keeper_listen *l)
{
	return ntohs(((const struct sockaddr_in *)(const void *)
	    &l->listener.address)->sin_port);
}

Test(keeper, backoff)
{
	static const int64_t ms[] = { 0, 0, 0, 0, 1000, 2000, 4000, 8000,
		16000, 30000, 30000 };

	for (unsigned i = 0; i < sizeof(ms) / sizeof(ms[0]); i++)
		cr_assert_eq(keeper_backoff_ms(i), ms[i], "%u", i);
	cr_assert_eq(keeper_backoff_ms(4000000000u), 30000);
}

Test(keeper, listens)
{
	struct control_listener l = wanted(AF_INET, 0);
	struct keeper_listen a, b;
	char text[LISTEN_ADDRESS_BYTES], want[LISTEN_ADDRESS_BYTES];
	struct sockaddr_in at;
	socklen_t n;

	cr_assert_eq(keeper_listen_open(&a, &l, 16, why, sizeof(why)), 0,
	    "%s", why);
	cr_assert_eq(a.fds_n, 16);
	cr_assert_neq(port_of(&a), 0);
	for (int i = 0; i < 16; i++) {
		n = sizeof(at);
		cr_assert_eq(getsockname(a.fds[i], (struct sockaddr *)&at,
		    &n), 0);
		cr_assert_eq(ntohs(at.sin_port), port_of(&a));
		cr_assert_eq(fcntl(a.fds[i], F_GETFL) & O_NONBLOCK,
		    O_NONBLOCK);
		cr_assert_eq(fcntl(a.fds[i], F_GETFD), FD_CLOEXEC);
	}
	snprintf(want, sizeof(want), "127.0.0.1:%u", port_of(&a));
	keeper_listen_text(&a.listener, text);
	cr_assert_str_eq(text, want);

	/* The second godwit on the port is told. */
	l = wanted(AF_INET, port_of(&a));
	cr_assert_eq(keeper_listen_open(&b, &l, 16, why, sizeof(why)), -1);
	snprintf(text, sizeof(text), "%.40s is in use", want);
	cr_assert_not_null(strstr(why, "listener local: "), "%s", why);
	cr_assert_not_null(strstr(why, text), "%s", why);
	keeper_listen_close(&a);
	cr_assert_eq(keeper_listen_open(&b, &l, 1, why, sizeof(why)), 0,
	    "what was closed is free: %s", why);
	keeper_listen_close(&b);

	((struct sockaddr_in *)(void *)&l.address)->sin_addr.s_addr =
	    htonl(0xcb007101);	/* 203.0.113.1: nobody's (RFC 5737) */
	cr_assert_eq(keeper_listen_open(&b, &l, 1, why, sizeof(why)), -1);
	cr_assert_not_null(strstr(why, "no address 203.0.113.1:"), "%s", why);
}

Test(keeper, listens_v6)
{
	struct control_listener l = wanted(AF_INET6, 0);
	struct keeper_listen a;
	char text[LISTEN_ADDRESS_BYTES];

	if (keeper_listen_open(&a, &l, 2, why, sizeof(why)) == -1) {
		cr_assert_not_null(strstr(why, "[::1]"), "%s", why);
		return;		/* a machine without IPv6 */
	}
	keeper_listen_text(&a.listener, text);
	cr_assert_eq(strncmp(text, "[::1]:", 6), 0, "%s", text);
	keeper_listen_close(&a);
}

/* More workers than sockets: what is there stays. */
Test(keeper, grows)
{
	struct control_listener l = wanted(AF_INET, 0);
	static struct keeper_listen a;
	int first;

	cr_assert_eq(keeper_listen_slots(1), LISTEN_SLOTS);
	cr_assert_eq(keeper_listen_slots(17), 17);
	cr_assert_eq(keeper_listen_open(&a, &l, 2, why, sizeof(why)), 0, "%s",
	    why);
	first = a.fds[0];
	cr_assert_eq(keeper_listen_grow(&a, 5, why, sizeof(why)), 0);
	cr_assert_eq(a.fds_n, 5);
	cr_assert_eq(a.fds[0], first);
	for (int i = 0; i < 5; i++)
		cr_assert_eq(a.owners[i], -1);
	cr_assert_eq(keeper_listen_grow(&a, 3, why, sizeof(why)), 0);
	cr_assert_eq(a.fds_n, 5);
	keeper_listen_close(&a);
}

/* ---- run_dir */

static char *
folder(char *path)
{
	strcpy(path, "/tmp/godwit-unit-XXXXXX");
	cr_assert_not_null(mkdtemp(path));
	strcat(path, "/run");
	return path;
}

static bool
there(const char *dir, const char *name)
{
	char path[512];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return lstat(path, &st) == 0;
}

static unsigned
mode_of(const char *dir, const char *name)
{
	char path[512];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	cr_assert_eq(stat(path, &st), 0, "%s", path);
	return st.st_mode & 07777;
}

Test(keeper, dir)
{
	struct control_settings s = { .workers_n = 1 };
	struct keeper_dir d, second;
	char path[64], mine[64];
	int control, admin, worker, fd;
	pid_t pid;

	folder(path);
	cr_assert_eq(keeper_dir_connect(path, &pid, why, sizeof(why)), -1);
	cr_assert_not_null(strstr(why, "no godwit runs in"), "%s", why);
	cr_assert_eq(keeper_dir_open(&d, path, why, sizeof(why)), 0, "%s",
	    why);
	cr_assert_eq(mode_of(path, "."), 0755);

	/* Held, but nobody answers yet. */
	cr_assert_eq(keeper_dir_open(&second, path, why, sizeof(why)), -1);
	cr_assert_not_null(strstr(why, "another godwit holds"), "%s", why);

	control = keeper_dir_bind_control(&d, why, sizeof(why));
	admin = keeper_dir_bind_admin(&d, &s, why, sizeof(why));
	worker = keeper_dir_bind_worker(&d, 0, &s, why, sizeof(why));
	cr_assert(control != -1 && admin != -1 && worker != -1, "%s", why);
	cr_assert_eq(mode_of(path, "control.sock"), 0600);
	cr_assert_eq(mode_of(path, "admin.sock"), 0660);
	cr_assert_eq(mode_of(path, "worker-0.sock"), 0660);
	fd = keeper_dir_connect(path, &pid, why, sizeof(why));
	cr_assert_neq(fd, -1, "%s", why);
	cr_assert_eq(pid, getpid());
	close(fd);
	cr_assert_eq(keeper_dir_open(&second, path, why, sizeof(why)), -1);
	snprintf(mine, sizeof(mine), "another godwit, pid %d, runs in",
	    (int)getpid());
	cr_assert_not_null(strstr(why, mine), "%s", why);

	/* A crash: the lock goes, the files stay, the next one takes over. */
	close(d.lock_fd);
	close(control);
	close(admin);
	close(worker);
	cr_assert(there(path, "control.sock"));
	cr_assert_eq(keeper_dir_connect(path, &pid, why, sizeof(why)), -1);
	cr_assert_eq(keeper_dir_open(&d, path, why, sizeof(why)), 0, "%s",
	    why);
	control = keeper_dir_bind_control(&d, why, sizeof(why));
	worker = keeper_dir_bind_worker(&d, 0, &s, why, sizeof(why));
	cr_assert(control != -1 && worker != -1, "%s", why);

	keeper_dir_close(&d);
	cr_assert(!there(path, "control.sock"));
	cr_assert(!there(path, "admin.sock"));
	cr_assert(!there(path, "worker-0.sock"));
	close(control);
	close(worker);
	cr_assert_eq(rmdir(path), 0, "nothing else is left");
}

Test(keeper, dir_refused)
{
	struct keeper_dir d;
	char path[300], file[400], dir[64];
	int fd;

	/* A file in the way is not ours to remove. */
	folder(dir);
	cr_assert_eq(keeper_dir_open(&d, dir, why, sizeof(why)), 0);
	snprintf(file, sizeof(file), "%s/control.sock", dir);
	fd = open(file, O_CREAT | O_WRONLY, 0600);
	cr_assert_neq(fd, -1);
	close(fd);
	cr_assert_eq(keeper_dir_bind_control(&d, why, sizeof(why)), -1);
	cr_assert_not_null(strstr(why, "is in the way"), "%s", why);
	keeper_dir_close(&d);
	cr_assert(there(dir, "control.sock"));
	unlink(file);

	snprintf(path, sizeof(path), "%s/%0120d", dir, 0);
	cr_assert_eq(keeper_dir_open(&d, path, why, sizeof(why)), 0);
	cr_assert_eq(keeper_dir_bind_control(&d, why, sizeof(why)), -1);
	cr_assert_not_null(strstr(why, "is too long"), "%s", why);
	keeper_dir_close(&d);
	rmdir(path);

	cr_assert_eq(keeper_dir_open(&d, "/dev/null", why, sizeof(why)), -1);
	cr_assert_eq(keeper_dir_open(&d, "/nowhere/at/all", why,
	    sizeof(why)), -1);
	cr_assert_not_null(strstr(why, "can't be made"), "%s", why);
	rmdir(dir);
}

/* ---- roles */

/* A child is this test again, so only what is read back can be tried. */
Test(keeper, role_read)
{
	static struct role r;
	char fds[256];
	int a = open("/dev/null", O_RDONLY), b = dup(a), c = dup(a);

	unsetenv("GODWIT_ROLE");
	cr_assert_eq(role_take(&r, why, sizeof(why)), 0);
	cr_assert_eq(r.kind, ROLE_NONE);

	snprintf(fds, sizeof(fds), "control:%d arena:%d row:%d wake:%d "
	    "secrets:%d kept:%d ", a, b, c, a, b, c);
	setenv("GODWIT_ROLE", "worker 12", 1);
	setenv("GODWIT_FDS", fds, 1);
	cr_assert_eq(role_take(&r, why, sizeof(why)), 0, "%s", why);
	cr_assert_eq(r.kind, ROLE_WORKER);
	cr_assert_eq(r.start.slot, 12);
	cr_assert_eq(r.start.control_fd, a);
	cr_assert_eq(r.start.arena_fd, b);
	cr_assert_eq(r.start.row_fd, c);
	cr_assert_eq(r.start.wake_fd, a);
	cr_assert_eq(r.start.stats_fd, -1);
	cr_assert_eq(r.start.secrets_fd, b);
	cr_assert_eq(r.kept_fd, c);
	cr_assert_eq(fcntl(b, F_GETFD), FD_CLOEXEC);
	cr_assert_null(getenv("GODWIT_ROLE"));
	cr_assert_null(getenv("GODWIT_FDS"));
	for (int i = 0; i < 2; i++) {
		setenv("GODWIT_ROLE", i == 0 ? "master" : "master of root", 1);
		setenv("GODWIT_FDS", fds, 1);
		cr_assert_eq(role_take(&r, why, sizeof(why)), 0, "%s", why);
		cr_assert_eq(r.kind, ROLE_MASTER);
		cr_assert_eq(r.as_root, i == 1);
	}
}

Test(keeper, role_refused)
{
	static const struct {
		const char	*role, *fds;
	} cases[] = {
		{ "master", NULL }, { "master", "" },
		{ "master of", "control:FD" }, { "masters", "control:FD" },
		{ "master", "control:9999" }, { "master", "control:0" },
		{ "master", "control:" }, { "master", "control" },
		{ "worker", "control:FD arena:FD row:FD" },
		{ "worker 256", "control:FD arena:FD row:FD" },
		{ "worker 1x", "control:FD arena:FD row:FD" },
		{ "worker -1", "control:FD arena:FD row:FD" },
		{ "worker 1", "control:FD arena:FD" },
		{ "worker 1", "control:FD arena:FD row:FD listen0:FD" },
		{ "worker 1", "control:FD arena:FD row:FD other:FD" },
		{ "prober", "control:FD" },
	};
	static struct role r;
	char fds[256], *at;
	int fd = open("/dev/null", O_RDONLY);

	cr_assert(fd >= 3 && fd < 100);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		setenv("GODWIT_ROLE", cases[i].role, 1);
		unsetenv("GODWIT_FDS");
		if (cases[i].fds != NULL) {
			strcpy(fds, cases[i].fds);
			while ((at = strstr(fds, "FD")) != NULL) {
				at[0] = (char)('0' + fd / 10);
				at[1] = (char)('0' + fd % 10);
			}
			setenv("GODWIT_FDS", fds, 1);
		}
		cr_assert_eq(role_take(&r, why, sizeof(why)), -1, "case %zu",
		    i);
		cr_assert_not_null(strstr(why, "only godwit sets it"), "%s",
		    why);
	}
}

/* ---- the service manager */

static int
manager(struct sockaddr_un *a, socklen_t *len)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	cr_assert_eq(bind(fd, (struct sockaddr *)a, sizeof(sa_family_t)), 0);
	*len = sizeof(*a);
	cr_assert_eq(getsockname(fd, (struct sockaddr *)a, len), 0);
	return fd;
}

static const char *
heard(int fd)
{
	static char text[4096];
	ssize_t n = recv(fd, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

Test(keeper, notify)
{
	struct mono now = { 5000000000 };
	struct sockaddr_un a;
	struct notify n;
	char name[128];
	socklen_t len;
	int fd = manager(&a, &len);

	snprintf(name, sizeof(name), "@%s", a.sun_path + 1);
	setenv("NOTIFY_SOCKET", name, 1);
	setenv("WATCHDOG_USEC", "3000000", 1);
	unsetenv("WATCHDOG_PID");
	notify_open(&n, now);
	notify_ready(&n, "all is well");
	cr_assert_str_eq(heard(fd), "READY=1\nSTATUS=all is well");
	notify_reloading(&n, now);
	cr_assert_str_eq(heard(fd), "RELOADING=1\nMONOTONIC_USEC=5000000");
	notify_stopping(&n, 25000);
	cr_assert_str_eq(heard(fd),
	    "STOPPING=1\nEXTEND_TIMEOUT_USEC=25000000");

	cr_assert_eq(notify_step(&n, now), 1501);
	cr_assert_str_eq(heard(fd), "WATCHDOG=1");
	now = mono_after_ms(now, 1499);
	cr_assert_eq(notify_step(&n, now), 2);
	cr_assert_str_eq(heard(fd), "", "not before it is due");
	now = mono_after_ms(now, 1);
	notify_step(&n, now);
	cr_assert_str_eq(heard(fd), "WATCHDOG=1");
	notify_close(&n);

	/* Nobody to tell, or not for us: nothing is sent, nothing fails. */
	setenv("WATCHDOG_PID", "1", 1);
	notify_open(&n, now);
	cr_assert_eq(notify_step(&n, now), -1);
	notify_close(&n);
	unsetenv("NOTIFY_SOCKET");
	notify_open(&n, now);
	notify_ready(&n, "x");
	cr_assert_eq(notify_step(&n, now), -1);
	cr_assert_str_eq(heard(fd), "");
	close(fd);
}
