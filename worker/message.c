/* worker/message.c - see message.h. */
#include "worker/message.h"

#include <errno.h>
#include <stdbool.h>
#include <unistd.h>

int
message_send(int fd, const struct message *m, const int *fds, int fds_n)
{
	return pass_send(fd, m, sizeof(*m), fds, fds_n);
}

int
message_say(int fd, enum message_kind kind)
{
	const struct message m = { .kind = kind };

	return message_send(fd, &m, NULL, 0);
}

/* A renaming brings no sockets. */
static bool
good(const struct message *m, int fds_n)
{
	if (m->sockets_n > PASS_FDS_MAX)
		return false;
	switch ((enum message_kind)m->kind) {
	case MESSAGE_LISTEN:
		return fds_n == 0 || fds_n == (int)m->sockets_n;
	case MESSAGE_REHOME:
		return fds_n == 2;
	case MESSAGE_REOPEN:
		return fds_n == 1;
	case MESSAGE_READY:
	case MESSAGE_UNLISTEN:
	case MESSAGE_DRAIN:
	case MESSAGE_STOP:
		return fds_n == 0;
	}
	return false;
}

int
message_receive(int fd, struct message *m, int fds[PASS_FDS_MAX])
{
	int n, got;

	for (int i = 0; i < PASS_FDS_MAX; i++)
		fds[i] = -1;
	got = pass_receive(fd, m, sizeof(*m), fds, &n);
	if (got < 1 || good(m, n))
		return got;
	while (n > 0)
		close(fds[--n]);
	errno = EPROTO;
	return -1;
}
