/* master/keeper_dir.c - see keeper_dir.h. */
#include "master/keeper_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "shm/log.h"

/* The address of DIR/NAME. -1: why. */
static int
address(struct sockaddr_un *a, const char *dir, const char *name, char *why,
    size_t why_len)
{
	int n;

	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	n = snprintf(a->sun_path, sizeof(a->sun_path), "%s/%s", dir, name);
	if ((size_t)n < sizeof(a->sun_path))
		return 0;
	return why_set(why, why_len, "run_dir %s is too long: a socket's path "
	    "may have %zu bytes, %s/%s has %d", dir, sizeof(a->sun_path) - 1,
	    dir, name, n);
}

int
keeper_dir_connect(const char *path, pid_t *pid, char *why, size_t why_len)
{
	struct sockaddr_un a;
	struct ucred peer;
	socklen_t peer_len = sizeof(peer);
	int error, fd;

	if (address(&a, path, "control.sock", why, why_len) == -1)
		return -1;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd != -1 && connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0 &&
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &peer_len) == 0) {
		*pid = peer.pid;
		return fd;
	}
	error = errno;
	if (fd != -1)
		close(fd);
	if (error == ENOENT || error == ECONNREFUSED)
		return why_set(why, why_len, "no godwit runs in %s", path);
	return why_set(why, why_len, "%s: %s", a.sun_path, strerror(error));
}

static int
taken(const char *path, char *why, size_t why_len)
{
	char ignored[256];
	pid_t pid;
	int fd = keeper_dir_connect(path, &pid, ignored, sizeof(ignored));

	if (fd == -1)
		return why_set(why, why_len, "another godwit holds %s; give "
		    "this one another run_dir", path);
	close(fd);
	return why_set(why, why_len, "another godwit, pid %d, runs in %s; "
	    "give this one another run_dir", (int)pid, path);
}

int
keeper_dir_open(struct keeper_dir *d, const char *path, char *why,
    size_t why_len)
{
	int error;

	memset(d, 0, sizeof(*d));
	d->lock_fd = -1;
	snprintf(d->path, sizeof(d->path), "%s", path);
	if (mkdir(path, 0755) == 0)
		(void)chmod(path, 0755);	/* whatever the umask */
	else if (errno != EEXIST)
		return why_set(why, why_len, "run_dir %s can't be made: %s",
		    path, strerror(errno));
	d->lock_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d->lock_fd != -1 && flock(d->lock_fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	error = errno;
	if (d->lock_fd != -1)
		close(d->lock_fd);
	d->lock_fd = -1;
	if (error == EWOULDBLOCK)
		return taken(path, why, why_len);
	return why_set(why, why_len, "run_dir %s: %s", path, strerror(error));
}

/* I2. 0 too when nothing was there. */
static int
leftover_remove(const char *path)
{
	struct stat st;

	if (lstat(path, &st) == -1)
		return errno == ENOENT ? 0 : -1;
	if (!S_ISSOCK(st.st_mode)) {
		errno = EEXIST;
		return -1;
	}
	return unlink(path);
}

static int
bind_as(struct keeper_dir *d, const char *name, int type, mode_t mode,
    const struct control_settings *s, char *why, size_t why_len)
{
	struct sockaddr_un a;
	mode_t before;
	int fd, rc;

	if (address(&a, d->path, name, why, why_len) == -1)
		return -1;
	if (leftover_remove(a.sun_path) == -1)
		return why_set(why, why_len, "%s is in the way: %s",
		    a.sun_path, strerror(errno));
	fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return why_set(why, why_len, "%s: %s", a.sun_path,
		    strerror(errno));
	before = umask(0777 & ~mode);	/* no moment of wider rights */
	rc = bind(fd, (struct sockaddr *)&a, sizeof(a));
	umask(before);
	if (rc == 0 && s != NULL && s->user_set)
		rc = chown(a.sun_path, (uid_t)-1, s->gid);
	if (rc == 0 && listen(fd, 64) == 0)
		return fd;
	why_set(why, why_len, "%s: %s", a.sun_path, strerror(errno));
	close(fd);
	return -1;
}

int
keeper_dir_bind_control(struct keeper_dir *d, char *why, size_t why_len)
{
	return bind_as(d, "control.sock", SOCK_SEQPACKET, 0600, NULL, why,
	    why_len);
}

int
keeper_dir_bind_admin(struct keeper_dir *d, const struct control_settings *s,
    char *why, size_t why_len)
{
	return bind_as(d, "admin.sock", SOCK_STREAM, 0660, s, why, why_len);
}

int
keeper_dir_bind_worker(struct keeper_dir *d, int slot,
    const struct control_settings *s, char *why, size_t why_len)
{
	char name[32];

	snprintf(name, sizeof(name), "worker-%d.sock", slot);
	if (slot >= d->workers_n)
		d->workers_n = slot + 1;
	return bind_as(d, name, SOCK_STREAM, 0660, s, why, why_len);
}

static void
unbind(struct keeper_dir *d, const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", d->path, name);
	(void)leftover_remove(path);
}

void
keeper_dir_unbind_admin(struct keeper_dir *d)
{
	unbind(d, "admin.sock");
}

void
keeper_dir_close(struct keeper_dir *d)
{
	char name[32];

	if (d->lock_fd == -1)
		return;
	unbind(d, "control.sock");
	unbind(d, "admin.sock");
	for (int i = 0; i < d->workers_n; i++) {
		snprintf(name, sizeof(name), "worker-%d.sock", i);
		unbind(d, name);
	}
	close(d->lock_fd);
	d->lock_fd = -1;
}
