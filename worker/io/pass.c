/* worker/io/pass.c - see pass.h. */
#include "worker/io/pass.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int
pass_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags == -1 ? -1 : fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

int
pass_pair(int fds[2])
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == -1)
		return -1;
	return pass_nonblocking(fds[0]);
}

int
pass_send(int fd, const void *p, size_t n, const int *fds, int fds_n)
{
	_Alignas(struct cmsghdr) char room[CMSG_SPACE(sizeof(int) *
	    PASS_FDS_MAX)] = { 0 };
	struct iovec iov = { .iov_len = n };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c;

	assert(fds_n >= 0 && fds_n <= PASS_FDS_MAX);
	memcpy(&iov.iov_base, &p, sizeof(p));	/* it is only read */
	if (fds_n > 0) {
		h.msg_control = room;
		h.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)fds_n);
		c = CMSG_FIRSTHDR(&h);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)fds_n);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * (size_t)fds_n);
	}
	return sendmsg(fd, &h, MSG_NOSIGNAL) == (ssize_t)n ? 0 : -1;
}

/* Moves what came beside a message into fds; more than fit are closed. The
 * number that came. */
static int
descriptors(struct msghdr *h, int fds[PASS_FDS_MAX])
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
			if (all < PASS_FDS_MAX)
				fds[all] = fd;
			else
				close(fd);
		}
	}
	return all;
}

int
pass_receive(int fd, void *p, size_t n, int fds[PASS_FDS_MAX], int *fds_n)
{
	/* Room for more than we take, so that an extra one is seen. */
	_Alignas(struct cmsghdr) char room[CMSG_SPACE(sizeof(int) *
	    (PASS_FDS_MAX + 1))];
	struct iovec iov = { p, n };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = room, .msg_controllen = sizeof(room) };
	ssize_t got;
	int came;

	*fds_n = 0;
	do
		got = recvmsg(fd, &h, MSG_CMSG_CLOEXEC);
	while (got == -1 && errno == EINTR);
	if (got == -1)
		return -1;
	came = descriptors(&h, fds);
	if (got == 0 && came == 0)
		return 0;
	*fds_n = came;
	if (got == (ssize_t)n && came <= PASS_FDS_MAX &&
	    (h.msg_flags & (MSG_CTRUNC | MSG_TRUNC)) == 0)
		return 1;
	for (int i = 0; i < came && i < PASS_FDS_MAX; i++)
		close(fds[i]);
	*fds_n = 0;
	errno = EPROTO;
	return -1;
}
