/* master/notify.c - see notify.h. */
#include "master/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "shm/log.h"

static int
connect_to(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	size_t n = strlen(path);
	int fd;

	if ((path[0] != '/' && path[0] != '@') || n >= sizeof(a.sun_path)) {
		log_warn("NOTIFY_SOCKET=%s is neither a path nor an abstract "
		    "name: the service manager is told nothing", path);
		return -1;
	}
	memcpy(a.sun_path, path, n);
	if (path[0] == '@')
		a.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd != -1 && connect(fd, (struct sockaddr *)&a,
	    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) == 0)
		return fd;
	log_warn("NOTIFY_SOCKET=%s: %s: the service manager is told nothing",
	    path, strerror(errno));
	if (fd != -1)
		close(fd);
	return -1;
}

void
notify_open(struct notify *n, struct mono now)
{
	const char *path = getenv("NOTIFY_SOCKET");
	const char *usec = getenv("WATCHDOG_USEC");
	const char *pid = getenv("WATCHDOG_PID");

	n->fd = path == NULL ? -1 : connect_to(path);
	n->watchdog_ms = 0;
	if (n->fd != -1 && usec != NULL &&
	    (pid == NULL || atoll(pid) == (long long)getpid()))
		n->watchdog_ms = atoll(usec) / 2000;
	n->watchdog_due = now;
}

void
notify_close(struct notify *n)
{
	if (n->fd != -1)
		close(n->fd);
	n->fd = -1;
}

/* Never waits: a manager that does not read is its own trouble. */
static void
notify_send(struct notify *n, const char *text)
{
	if (n->fd != -1)
		(void)send(n->fd, text, strlen(text), MSG_NOSIGNAL);
}

void
notify_ready(struct notify *n, const char *status)
{
	char text[2048];

	snprintf(text, sizeof(text), "READY=1\nSTATUS=%s", status);
	notify_send(n, text);
}

void
notify_reloading(struct notify *n, struct mono now)
{
	char text[128];

	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%lld",
	    (long long)(now.ns / 1000));
	notify_send(n, text);
}

void
notify_stopping(struct notify *n, int64_t extend_ms)
{
	char text[128];

	snprintf(text, sizeof(text), "STOPPING=1\nEXTEND_TIMEOUT_USEC=%lld",
	    (long long)extend_ms * 1000);
	notify_send(n, text);
}

int64_t
notify_step(struct notify *n, struct mono now)
{
	if (n->watchdog_ms == 0)
		return -1;
	if (mono_between_ms(now, n->watchdog_due) <= 0) {
		notify_send(n, "WATCHDOG=1");
		n->watchdog_due = mono_after_ms(now, n->watchdog_ms);
	}
	return mono_between_ms(now, n->watchdog_due) + 1;
}
