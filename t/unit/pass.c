/* t/unit/pass.c - messages with descriptors: P1 of worker/io/pass.h. */
#include "worker/io/pass.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "t/lib/unit_process.h"

enum { BYTES = 8, FDS = 200 };

static int pair[2];

static void
pair_open(void)
{
	cr_assert_eq(pass_pair(pair), 0);
}

static void
pair_close(void)
{
	close(pair[0]);
	close(pair[1]);
}

/* What pass_send does not do: any length, and more than PASS_FDS_MAX. */
static void
send_any(size_t bytes, int fds_n)
{
	static char text[64], room[CMSG_SPACE(sizeof(int) * FDS)];
	struct iovec iov = { text, bytes };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c = (void *)room;
	int fds[FDS];

	for (int i = 0; i < fds_n; i++)
		fds[i] = pair[1];
	if (fds_n > 0) {
		h.msg_control = room;
		h.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)fds_n);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)fds_n);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * (size_t)fds_n);
	}
	cr_assert_eq(sendmsg(pair[1], &h, 0), (ssize_t)bytes);
}

/* No descriptor stays open but those that were handed out, and the next
 * message is whole again. */
Test(pass, what_is_handed_out)
{
	static const struct {
		const char	*name;
		size_t		 bytes;
		int		 fds_n, got;
	} cases[] = {
		{ "as asked", BYTES, 0, 1 },
		{ "with one", BYTES, 1, 1 },
		{ "with as many as fit", BYTES, PASS_FDS_MAX, 1 },
		{ "one too many", BYTES, PASS_FDS_MAX + 1, -1 },
		{ "two too many", BYTES, PASS_FDS_MAX + 2, -1 },
		{ "far too many", BYTES, FDS, -1 },
		{ "a byte short", BYTES - 1, 0, -1 },
		{ "a byte short, with some", BYTES - 1, 3, -1 },
		{ "a byte long", BYTES + 1, 0, -1 },
		{ "a byte long, with some", BYTES + 1, 3, -1 },
		{ "one byte with many", 1, FDS, -1 },
		{ "long with all", 64, PASS_FDS_MAX, -1 },
	};
	int fds[PASS_FDS_MAX], fds_n, got, open_n;
	char bytes[BYTES];

	pair_open();
	open_n = unit_descriptors_n();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *name = cases[i].name;

		send_any(cases[i].bytes, cases[i].fds_n);
		errno = 0;
		got = pass_receive(pair[0], bytes, BYTES, fds, &fds_n);
		cr_assert_eq(got, cases[i].got, "%s: %d", name, got);
		cr_assert_eq(errno, got == -1 ? EPROTO : 0, "%s: %s", name,
		    strerror(errno));
		cr_assert_eq(fds_n, got == -1 ? 0 : cases[i].fds_n, "%s",
		    name);
		cr_assert_eq(unit_descriptors_n(), open_n + fds_n, "%s", name);
		while (fds_n > 0)
			close(fds[--fds_n]);
		cr_assert_eq(pass_send(pair[1], "as ever", BYTES, NULL, 0), 0);
		cr_assert_eq(pass_receive(pair[0], bytes, BYTES, fds, &fds_n),
		    1, "after %s", name);
		cr_assert_str_eq(bytes, "as ever", "after %s", name);
	}
	pair_close();
}

static ino_t
inode(int fd)
{
	struct stat st;

	cr_assert_eq(fstat(fd, &st), 0);
	return st.st_ino;
}

Test(pass, descriptors_are_the_same_in_order_and_not_for_children)
{
	int sent[PASS_FDS_MAX], fds[PASS_FDS_MAX], fds_n;
	char bytes[BYTES] = "x";

	pair_open();
	for (int i = 0; i < PASS_FDS_MAX; i++)
		sent[i] = socket(AF_UNIX, SOCK_STREAM, 0);
	cr_assert_eq(pass_send(pair[0], bytes, BYTES, sent, PASS_FDS_MAX), 0);
	cr_assert_eq(pass_receive(pair[1], bytes, BYTES, fds, &fds_n), 1);
	cr_assert_eq(fds_n, PASS_FDS_MAX);
	for (int i = 0; i < PASS_FDS_MAX; i++) {
		cr_assert_eq(inode(fds[i]), inode(sent[i]), "%d", i);
		cr_assert_eq(fcntl(fds[i], F_GETFD), FD_CLOEXEC);
		close(fds[i]);
		close(sent[i]);
	}
	pair_close();
}

Test(pass, a_pair_and_its_ends)
{
	int fds[PASS_FDS_MAX], fds_n, sent = 0;
	char bytes[BYTES] = "x";

	pair_open();
	for (int i = 0; i < 2; i++)
		cr_assert_eq(fcntl(pair[i], F_GETFD), FD_CLOEXEC);
	cr_assert(fcntl(pair[0], F_GETFL) & O_NONBLOCK);
	cr_assert_not(fcntl(pair[1], F_GETFL) & O_NONBLOCK);
	cr_assert_eq(pass_nonblocking(-1), -1);
	cr_assert_eq(pass_receive(pair[0], bytes, BYTES, fds, &fds_n), -1);
	cr_assert_eq(errno, EAGAIN);

	while (pass_send(pair[0], bytes, BYTES, NULL, 0) == 0)
		sent++;
	cr_assert_eq(errno, EAGAIN, "full: %s", strerror(errno));
	cr_assert_gt(sent, 16);

	/* What was said before the end is heard before it. */
	close(pair[0]);
	for (int i = 0; i < sent; i++)
		cr_assert_eq(pass_receive(pair[1], bytes, BYTES, fds, &fds_n),
		    1, "%d of %d", i, sent);
	cr_assert_eq(pass_receive(pair[1], bytes, BYTES, fds, &fds_n), 0);
	cr_assert_eq(fds_n, 0);
	cr_assert_eq(pass_send(pair[1], bytes, BYTES, NULL, 0), -1);
	cr_assert_eq(errno, EPIPE, "%s", strerror(errno));
	close(pair[1]);
}
