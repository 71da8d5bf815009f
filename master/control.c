/* master/control.c - see control.h. */
#include "master/control.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "shm/block.h"
#include "shm/log.h"

/* What each kind carries; check may be NULL. */
static bool	listener_good(const struct control *m);
static bool	settings_good(const struct control *m);
static bool	slot_good(const struct control *m);
static bool	text_good(const struct control *m);

static const struct {
	int	fds_n;
	bool	(*good)(const struct control *m);
} kinds[CONTROL_KINDS] = {
	[CONTROL_LISTENER] = { 0, listener_good },
	[CONTROL_START] = { 1, settings_good },
	[CONTROL_WORKER] = { 2, slot_good },
	[CONTROL_SERVE] = { 1, text_good },
	[CONTROL_RELOAD] = { 0, text_good },
	[CONTROL_RELOADED] = { 0, settings_good },
	[CONTROL_FAIL] = { 0, text_good },
	[CONTROL_COMMAND] = { 0, text_good },
	[CONTROL_TEXT] = { 0, text_good },
	[CONTROL_OK] = { 0, text_good },
};

static bool
ends(const char *text, size_t bytes)
{
	return memchr(text, '\0', bytes) != NULL;
}

static bool
listener_good(const struct control *m)
{
	const struct control_listener *l = &m->listener;

	return l->slot < LISTENERS_MAX && ends(l->name, sizeof(l->name)) &&
	    l->address_len >= sizeof(sa_family_t) &&
	    l->address_len <= sizeof(l->address);
}

static bool
settings_good(const struct control *m)
{
	const struct control_settings *s = &m->settings;

	return s->workers_n >= 1 && s->workers_n <= CONTROL_WORKERS_MAX &&
	    s->log_level <= LOG_DEBUG &&
	    s->groups_n <= CONTROL_GROUPS_MAX &&
	    ends(s->run_dir, sizeof(s->run_dir));
}

static bool
slot_good(const struct control *m)
{
	return m->slot < CONTROL_WORKERS_MAX;
}

static bool
text_good(const struct control *m)
{
	return ends(m->text, sizeof(m->text));
}

int
control_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags == -1 ? -1 : fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

int
control_pair(int fds[2])
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == -1)
		return -1;
	return control_nonblocking(fds[0]);
}

int
control_send(int fd, struct control *m, const int *fds)
{
	_Alignas(struct cmsghdr) char room[CMSG_SPACE(sizeof(int) *
	    CONTROL_FDS_MAX)] = { 0 };
	struct iovec iov = { m, sizeof(*m) };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c;
	int n;

	assert(m->kind < CONTROL_KINDS);
	n = kinds[m->kind].fds_n;
	assert((n == 0) == (fds == NULL));
	m->layout = CONTROL_LAYOUT;
	if (n > 0) {
		h.msg_control = room;
		h.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)n);
		c = CMSG_FIRSTHDR(&h);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)n);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * (size_t)n);
	}
	return sendmsg(fd, &h, MSG_NOSIGNAL) == sizeof(*m) ? 0 : -1;
}

int
control_say(int fd, enum control_kind kind, const char *text)
{
	struct control m = { .kind = kind };

	snprintf(m.text, sizeof(m.text), "%s", text);
	return control_send(fd, &m, NULL);
}

/* Moves what came beside a message into fds; more than fit are closed. The
 * number that came. */
static int
descriptors(struct msghdr *h, int fds[CONTROL_FDS_MAX])
{
	struct cmsghdr *c;
	size_t i, n;
	int all = 0, fd;

	for (c = CMSG_FIRSTHDR(h); c != NULL; c = CMSG_NXTHDR(h, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < n; i++, all++) {
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int),
			    sizeof(fd));
			if (all < CONTROL_FDS_MAX)
				fds[all] = fd;
			else
				close(fd);
		}
	}
	return all;
}

static bool
whole(const struct control *m, ssize_t got, const struct msghdr *h, int fds_n)
{
	return got == sizeof(*m) && (h->msg_flags & MSG_CTRUNC) == 0 &&
	    (h->msg_flags & MSG_TRUNC) == 0 && m->layout == CONTROL_LAYOUT &&
	    m->kind < CONTROL_KINDS && fds_n == kinds[m->kind].fds_n &&
	    kinds[m->kind].good(m);
}

int
control_receive(int fd, struct control *m, int fds[CONTROL_FDS_MAX])
{
	/* Room for more than we take, so that an extra one is seen. */
	_Alignas(struct cmsghdr) char room[CMSG_SPACE(sizeof(int) * 16)];
	struct iovec iov = { m, sizeof(*m) };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = room, .msg_controllen = sizeof(room) };
	ssize_t got;
	int n;

	for (int i = 0; i < CONTROL_FDS_MAX; i++)
		fds[i] = -1;
	do
		got = recvmsg(fd, &h, MSG_CMSG_CLOEXEC);
	while (got == -1 && errno == EINTR);
	if (got == -1)
		return -1;
	n = descriptors(&h, fds);
	if (got == 0 && n == 0)
		return 0;
	if (whole(m, got, &h, n))
		return 1;
	for (int i = 0; i < CONTROL_FDS_MAX; i++) {
		if (fds[i] != -1)
			close(fds[i]);
		fds[i] = -1;
	}
	errno = EPROTO;
	return -1;
}
