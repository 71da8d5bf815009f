/* t/unit/message.c - what a worker takes for the keeper's words; see
 * worker/message.h */
#include "worker/message.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "t/lib/unit_process.h"

static int pair[2];

/* Sends it as it is, cut to so many bytes. */
static void
send_cut(const struct message *m, size_t bytes, int fds_n)
{
	int fds[PASS_FDS_MAX];

	for (int i = 0; i < fds_n; i++)
		fds[i] = pair[1];
	cr_assert_eq(pass_send(pair[1], m, bytes, fds, fds_n), 0);
}

Test(message, what_is_taken)
{
	enum { WHOLE = sizeof(struct message) };
	static const struct {
		const char	*name;
		uint32_t	 kind, sockets_n;
		int		 fds_n;
		size_t		 bytes;
		int		 got;
	} cases[] = {
		{ "ready", MESSAGE_READY, 0, 0, WHOLE, 1 },
		{ "ready and a descriptor", MESSAGE_READY, 0, 1, WHOLE, -1 },
		{ "a socket", MESSAGE_LISTEN, 1, 1, WHOLE, 1 },
		{ "all sockets", MESSAGE_LISTEN, 16, 16, WHOLE, 1 },
		{ "a name for three", MESSAGE_LISTEN, 3, 0, WHOLE, 1 },
		{ "one is missing", MESSAGE_LISTEN, 3, 2, WHOLE, -1 },
		{ "one too many", MESSAGE_LISTEN, 3, 4, WHOLE, -1 },
		{ "a socket of none", MESSAGE_LISTEN, 0, 1, WHOLE, -1 },
		{ "17 sockets", MESSAGE_LISTEN, 17, 16, WHOLE, -1 },
		{ "a name for 17", MESSAGE_LISTEN, 17, 0, WHOLE, -1 },
		{ "a name for 2^32 - 1", MESSAGE_LISTEN, UINT32_MAX, 0, WHOLE,
		    -1 },
		{ "2^31 sockets", MESSAGE_LISTEN, 1u << 31, 1, WHOLE, -1 },
		{ "away with 16", MESSAGE_UNLISTEN, 16, 0, WHOLE, 1 },
		{ "away with 17", MESSAGE_UNLISTEN, 17, 0, WHOLE, -1 },
		{ "away, and one", MESSAGE_UNLISTEN, 1, 1, WHOLE, -1 },
		{ "a new home", MESSAGE_REHOME, 0, 2, WHOLE, 1 },
		{ "no home", MESSAGE_REHOME, 0, 0, WHOLE, -1 },
		{ "half a home", MESSAGE_REHOME, 0, 1, WHOLE, -1 },
		{ "too many homes", MESSAGE_REHOME, 0, 3, WHOLE, -1 },
		{ "a log", MESSAGE_REOPEN, 0, 1, WHOLE, 1 },
		{ "no log", MESSAGE_REOPEN, 0, 0, WHOLE, -1 },
		{ "two logs", MESSAGE_REOPEN, 0, 2, WHOLE, -1 },
		{ "drain", MESSAGE_DRAIN, 0, 0, WHOLE, 1 },
		{ "drain and one", MESSAGE_DRAIN, 0, 1, WHOLE, -1 },
		{ "stop", MESSAGE_STOP, 0, 0, WHOLE, 1 },
		{ "stop and all", MESSAGE_STOP, 0, 16, WHOLE, -1 },
		{ "nothing", 0, 0, 0, WHOLE, -1 },
		{ "the next kind", MESSAGE_STOP + 1, 0, 0, WHOLE, -1 },
		{ "the last kind", UINT32_MAX, 0, 2, WHOLE, -1 },
		{ "short", MESSAGE_DRAIN, 0, 0, WHOLE - 1, -1 },
		{ "short with two", MESSAGE_REHOME, 0, 2, 4, -1 },
	};
	int fds[PASS_FDS_MAX], open_n, n;
	struct message m, sent;

	cr_assert_eq(pass_pair(pair), 0);
	open_n = unit_descriptors_n();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *name = cases[i].name;

		sent = (struct message){ .kind = cases[i].kind, .group = 127,
		    .listener = 63, .tag = UINT32_MAX, .sockets_n =
		    cases[i].sockets_n, .sockets = { 7, [15] = 255 } };
		send_cut(&sent, cases[i].bytes, cases[i].fds_n);
		errno = 0;
		cr_assert_eq(message_receive(pair[0], &m, fds), cases[i].got,
		    "%s", name);
		if (cases[i].got == -1) {
			cr_assert_eq(errno, EPROTO, "%s", name);
			cr_assert_eq(unit_descriptors_n(), open_n, "%s: "
			    "descriptors are left", name);
			continue;
		}
		cr_assert_eq(memcmp(&m, &sent, sizeof(m)), 0, "%s", name);
		for (n = 0; n < PASS_FDS_MAX && fds[n] != -1; n++)
			close(fds[n]);
		cr_assert_eq(n, cases[i].fds_n, "%s", name);
		cr_assert_eq(unit_descriptors_n(), open_n, "%s", name);
	}
	close(pair[0]);
	close(pair[1]);
}

Test(message, an_end_and_silence)
{
	int fds[PASS_FDS_MAX];
	struct message m;

	cr_assert_eq(pass_pair(pair), 0);
	cr_assert_eq(message_receive(pair[0], &m, fds), -1);
	cr_assert_eq(errno, EAGAIN);
	cr_assert_eq(message_say(pair[1], MESSAGE_DRAIN), 0);
	close(pair[1]);
	cr_assert_eq(message_receive(pair[0], &m, fds), 1);
	cr_assert_eq(m.kind, MESSAGE_DRAIN);
	cr_assert_eq(message_receive(pair[0], &m, fds), 0, "the keeper died");
	cr_assert_eq(message_say(pair[0], MESSAGE_READY), -1);
	close(pair[0]);
}
