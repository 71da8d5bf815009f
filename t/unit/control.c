/* t/unit/control.c - messages between the processes; see master/control.h */
#include "master/control.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shm/block.h"
#include "worker/io/pass.h"

static int pair[2];

static void
open_pair(void)
{
	cr_assert_eq(pass_pair(pair), 0);
}

static void
close_pair(void)
{
	close(pair[0]);
	close(pair[1]);
}

static int
descriptors_open(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) != -1;
	return n;
}

/* Sends bytes as they are, with fds_n times standard input. */
static void
send_raw(const void *p, size_t n, int fds_n)
{
	_Alignas(struct cmsghdr) char room[CMSG_SPACE(sizeof(int) * 8)];
	struct iovec iov = { .iov_len = n };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };
	int fds[8] = { 0 };

	memcpy(&iov.iov_base, &p, sizeof(p));
	memset(room, 0, sizeof(room));
	if (fds_n > 0) {
		h.msg_control = room;
		h.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)fds_n);
		CMSG_FIRSTHDR(&h)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&h)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&h)->cmsg_len =
		    CMSG_LEN(sizeof(int) * (size_t)fds_n);
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&h)), fds,
		    sizeof(int) * (size_t)fds_n);
	}
	cr_assert_eq(sendmsg(pair[1], &h, 0), (ssize_t)n);
}

static bool
same_file(int a, int b)
{
	struct stat x, y;

	cr_assert_eq(fstat(a, &x), 0);
	cr_assert_eq(fstat(b, &y), 0);
	return x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

Test(control, carries)
{
	static const struct {
		enum control_kind kind;
		int		fds_n;
	} cases[] = {
		{ CONTROL_LISTENER, 0 }, { CONTROL_STAGE, 1 },
		{ CONTROL_WORDS, 1 }, { CONTROL_ROW, 2 },
		{ CONTROL_BOUND, 0 },
		{ CONTROL_REFUSED, 0 }, { CONTROL_MOVED, 2 },
		{ CONTROL_JOURNAL, 1 },
		{ CONTROL_PUBLISHED, 0 }, { CONTROL_SETTLED, 0 },
		{ CONTROL_LEAVE, 0 }, { CONTROL_LEFT, 0 },
		{ CONTROL_WITHDRAW, 0 }, { CONTROL_WITHDRAWN, 0 },
		{ CONTROL_SERVE, 1 }, { CONTROL_RELOAD, 0 },
		{ CONTROL_REOPEN, 1 },
		{ CONTROL_FAIL, 0 }, { CONTROL_COMMAND, 0 },
		{ CONTROL_TEXT, 0 }, { CONTROL_OK, 0 },
	};
	struct control m, got;
	int fds[2], took[CONTROL_FDS_MAX], before;

	open_pair();
	fds[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	fds[1] = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	before = descriptors_open();
	cr_assert_eq(sizeof(cases) / sizeof(cases[0]), CONTROL_KINDS);
	for (size_t i = 0; i < CONTROL_KINDS; i++) {
		memset(&m, 0, sizeof(m));
		m.kind = cases[i].kind;
		m.generation = 77;
		m.asker = 7;
		if (m.kind == CONTROL_LISTENER) {
			m.listener.slot = LISTENERS_MAX - 1;
			m.listener.address_len = sizeof(sa_family_t) + 14;
			strcpy(m.listener.name, "local");
		} else if (m.kind == CONTROL_STAGE) {
			m.settings.workers_n = CONTROL_WORKERS_MAX;
			m.settings.groups_n = CONTROL_GROUPS_MAX;
		}
		cr_assert_eq(control_send(pair[1], &m,
		    cases[i].fds_n > 0 ? fds : NULL), 0);
		cr_assert_eq(control_receive(pair[0], &got, took), 1,
		    "kind %zu", i);
		cr_assert_eq(memcmp(&m, &got, sizeof(m)), 0);
		for (int f = 0; f < CONTROL_FDS_MAX; f++) {
			cr_assert_eq(took[f] != -1, f < cases[i].fds_n);
			if (took[f] == -1)
				continue;
			cr_assert(same_file(took[f], fds[f]));
			cr_assert_eq(fcntl(took[f], F_GETFD), FD_CLOEXEC);
			close(took[f]);
		}
	}
	cr_assert_eq(descriptors_open(), before);
	close_pair();
}

Test(control, text)
{
	char longer[CONTROL_TEXT_BYTES + 100];
	struct control got;
	int took[CONTROL_FDS_MAX];

	open_pair();
	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	cr_assert_eq(control_say(pair[1], CONTROL_COMMAND, "reload"), 0);
	cr_assert_eq(control_say(pair[1], CONTROL_FAIL, longer), 0);
	cr_assert_eq(control_receive(pair[0], &got, took), 1);
	cr_assert_eq(got.kind, CONTROL_COMMAND);
	cr_assert_str_eq(got.text, "reload");
	cr_assert_eq(control_receive(pair[0], &got, took), 1);
	cr_assert_eq(strlen(got.text), CONTROL_TEXT_BYTES - 1);
	close_pair();
}

/* What is wrong with a message, and nothing of it stays. */
enum wrong {
	SHORT, LONG, LAYOUT, KIND, FD_MISSING, FD_EXTRA, FD_UNASKED, FD_MANY,
	NO_END, SLOT, NAME, ADDRESS_SHORT, ADDRESS_LONG, NO_WORKERS,
	MANY_WORKERS, LEVEL, GROUPS, DIR, LOG, WORKER_SLOT, WRONGS
};

static void
send_wrong(enum wrong w)
{
	struct { struct control m; char more[16]; } s = { 0 };
	struct control *m = &s.m;
	size_t n = sizeof(*m);
	int fds_n = 0;

	m->layout = CONTROL_LAYOUT;
	m->kind = CONTROL_COMMAND;
	if (w >= SLOT && w <= ADDRESS_LONG) {
		m->kind = CONTROL_LISTENER;
		m->listener.address_len = 16;
	}
	if (w >= NO_WORKERS && w <= LOG) {
		m->kind = CONTROL_STAGE;
		m->settings.workers_n = 1;
		fds_n = 1;
	}
	switch (w) {
	case SHORT: n--; break;
	case LONG: n++; break;
	case LAYOUT: m->layout++; break;
	case KIND: m->kind = CONTROL_KINDS; break;
	case FD_MISSING: m->kind = CONTROL_ROW; fds_n = 1; break;
	case FD_EXTRA: m->kind = CONTROL_SERVE; fds_n = 2; break;
	case FD_UNASKED: fds_n = 1; break;
	case FD_MANY: m->kind = CONTROL_ROW; fds_n = 8; break;
	case NO_END: memset(m->text, 'x', sizeof(m->text)); break;
	case SLOT: m->listener.slot = LISTENERS_MAX; break;
	case NAME: memset(m->listener.name, 'x', 128); break;
	case ADDRESS_SHORT: m->listener.address_len = 1; break;
	case ADDRESS_LONG: m->listener.address_len = 129; break;
	case NO_WORKERS: m->settings.workers_n = 0; break;
	case MANY_WORKERS: m->settings.workers_n = 257; break;
	case LEVEL: m->settings.log_level = 4; break;
	case GROUPS: m->settings.groups_n = 65; break;
	case DIR: memset(m->settings.run_dir, 'x', 256); break;
	case LOG: memset(m->settings.log_file, 'x', 256); break;
	case WORKER_SLOT:
		m->kind = CONTROL_ROW;
		m->slot = CONTROL_WORKERS_MAX;
		fds_n = 2;
		break;
	case WRONGS: break;
	}
	send_raw(&s, n, fds_n);
}

Test(control, refuses)
{
	struct control got;
	int took[CONTROL_FDS_MAX], before;

	open_pair();
	before = descriptors_open();
	for (int w = 0; w < WRONGS; w++) {
		send_wrong((enum wrong)w);
		errno = 0;
		cr_assert_eq(control_receive(pair[0], &got, took), -1,
		    "wrong %d", w);
		cr_assert_eq(errno, EPROTO, "wrong %d", w);
		cr_assert_eq(took[0], -1);
		cr_assert_eq(descriptors_open(), before, "wrong %d", w);
	}
	/* The same sender's good message is taken. */
	send_wrong(WRONGS);
	cr_assert_eq(control_receive(pair[0], &got, took), 1);
	close_pair();
}

Test(control, ends)
{
	struct control got, m = { .kind = CONTROL_RELOAD };
	int took[CONTROL_FDS_MAX];

	open_pair();
	cr_assert_eq(control_receive(pair[0], &got, took), -1);
	cr_assert_eq(errno, EAGAIN, "the keeper's end never waits");
	cr_assert_eq(control_send(pair[1], &m, NULL), 0);
	close(pair[1]);
	cr_assert_eq(control_receive(pair[0], &got, took), 1);
	cr_assert_eq(control_receive(pair[0], &got, took), 0);
	cr_assert_eq(control_send(pair[0], &m, NULL), -1);
	cr_assert_eq(errno, EPIPE);
	close(pair[0]);
}
