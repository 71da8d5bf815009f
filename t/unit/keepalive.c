/*
 * t/unit/keepalive.c - a connection that asks whether its peer is there (I10
 * of worker/io/conn.h), in both roles. The peer is the other end of a
 * socketpair, the kernel Linux's, the clock the test's.
 */
#include "worker/io/conn.h"

#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

#include "t/lib/h2_nothing.h"

enum { INTERVAL_MS = 30000, TIMEOUT_MS = 20000, FRAME_PING = 6 };

static int64_t now_ns = 1000000000;
static int pair[2];			/* ours, theirs */

static struct mono
clock_of_test(void *ctx)
{
	(void)ctx;
	return (struct mono){ now_ns };
}

static int
connect_pair(void *ctx, const struct sockaddr *to, socklen_t len)
{
	(void)ctx;
	(void)to;
	(void)len;
	return pair[0];
}

static struct {
	struct sys	*kernel, sys;
	struct loop	 loop;
	struct io	 io;
	struct conn	 conn;
	bool		 accepts, closed;
} ours;

static uint8_t got[65536];
static size_t got_n;

static void
on_opened(struct conn *c)
{
	(void)c;
}

static void
on_closed(struct conn *c)
{
	(void)c;
	ours.closed = true;
}

static const struct conn_events conn_events = { on_opened, on_closed };

static void
send_all(const void *p, size_t n)
{
	cr_assert_eq(send(pair[1], p, n, MSG_NOSIGNAL), (ssize_t)n);
}

static void
send_preface(void)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	    "\0\0\0\4\0\0\0\0\0";
	size_t skip = ours.accepts ? 0 : 24;	/* a client says that */

	send_all(preface + skip, sizeof(preface) - 1 - skip);
}

/* One of the peer's own, which is a sign of life. */
static void
send_ping(void)
{
	static const uint8_t ping[17] = { 0, 0, 8, FRAME_PING };

	send_all(ping, sizeof(ping));
}

static void
turns(void)
{
	ssize_t n;

	for (int i = 0; i < 4; i++)
		loop_turn(&ours.loop, 0);
	n = recv(pair[1], got + got_n, sizeof(got) - got_n, MSG_DONTWAIT);
	if (n > 0)
		got_n += (size_t)n;
}

static void
pass_ms(int64_t ms)
{
	now_ns += ms * 1000000;
	turns();
}

/* The PINGs that came, without answers to theirs; the last one's bytes. */
static int
pings(uint8_t last[8])
{
	const uint8_t *p = got + (ours.accepts ? 0 : 24), *end = got + got_n;
	int n = 0;

	for (; p + 9 <= end; p += 9 + (p[0] << 16 | p[1] << 8 | p[2]))
		if (p[3] == FRAME_PING && p[4] == 0) {
			memcpy(last, p + 9, 8);
			n++;
		}
	return n;
}

static int
pings_n(void)
{
	uint8_t last[8];

	return pings(last);
}

static void
answer_ping(void)
{
	uint8_t ack[17] = { 0, 0, 8, FRAME_PING, 1 };

	cr_assert_gt(pings(ack + 9), 0);
	send_all(ack, sizeof(ack));
}

static void
meet(bool accepts, uint32_t interval_ms)
{
	struct conn_settings s = { .h2 = { .server = accepts,
	    .max_concurrent_streams = 100, .stream_window_bytes = 65535,
	    .connection_window_bytes = 65535, .hpack_table_bytes = 4096,
	    .header_bytes_max = 8192, .header_count_max = 50,
	    .limits = H2_LIMITS_DEFAULT },
	    .h2_events = &h2_nothing, .events = &conn_events,
	    .keepalive_ms = interval_ms, .keepalive_timeout_ms = TIMEOUT_MS };

	memset(&ours, 0, sizeof(ours));
	got_n = 0;
	ours.accepts = accepts;
	ours.kernel = sys_kernel_new();
	ours.sys = *ours.kernel;
	ours.sys.now = clock_of_test;
	ours.sys.connect = connect_pair;
	loop_init(&ours.loop, &ours.sys);
	cr_assert_eq(io_init(&ours.io, &ours.loop), 0);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
	    pair), 0);
	cr_assert(accepts ? conn_accept(&ours.conn, &ours.io, pair[0], &s) :
	    conn_connect(&ours.conn, &ours.io, NULL, 0, &s));
	turns();
}

static void
part(void)
{
	if (!ours.closed)
		conn_close(&ours.conn);
	close(pair[1]);
	io_fini(&ours.io);
	sys_kernel_free(ours.kernel);
}

static void
silent(bool accepts)
{
	meet(accepts, INTERVAL_MS);
	send_preface();
	turns();
	pass_ms(INTERVAL_MS - 1);
	cr_assert_eq(pings_n(), 0, "too early");
	pass_ms(1);
	cr_assert_eq(pings_n(), 1, "accepts %d", accepts);
	pass_ms(TIMEOUT_MS - 1);
	cr_assert_not(ours.closed, "before its time");
	pass_ms(1);
	cr_assert(ours.closed, "it stays with a dead peer");
	cr_assert_eq(ours.conn.end, CONN_END_PEER);
	cr_assert_str_eq(ours.conn.why, "the peer did not answer our PING "
	    "within 20000 ms");
	cr_assert_eq(pings_n(), 1);
	part();
}

Test(keepalive, a_silent_peer_is_gone)
{
	silent(true);
	silent(false);
}

static void
answers(bool accepts)
{
	meet(accepts, INTERVAL_MS);
	send_preface();
	turns();
	for (int i = 1; i <= 5; i++) {
		pass_ms(INTERVAL_MS);
		cr_assert_eq(pings_n(), i);
		answer_ping();
		turns();
		pass_ms(TIMEOUT_MS);
		cr_assert_not(ours.closed, "%s", ours.conn.why);
		cr_assert_eq(pings_n(), i, "sooner than asked for");
		pass_ms(INTERVAL_MS - TIMEOUT_MS - 1);
	}
	part();
}

Test(keepalive, one_that_answers_is_asked_again)
{
	answers(true);
	answers(false);
}

/* A PING for a peer whose bytes come would tell nothing. */
Test(keepalive, one_that_talks_is_not_asked)
{
	meet(false, INTERVAL_MS);
	send_preface();
	for (int i = 0; i < 10; i++) {
		send_ping();
		turns();
		pass_ms(INTERVAL_MS / 2);
	}
	cr_assert_eq(pings_n(), 0);
	pass_ms(INTERVAL_MS / 2);
	cr_assert_eq(pings_n(), 1);
	send_ping();				/* instead of the answer */
	turns();
	pass_ms(TIMEOUT_MS);
	cr_assert_not(ours.closed);
	part();
}

Test(keepalive, none)
{
	meet(true, 0);
	send_preface();
	turns();
	pass_ms(10 * INTERVAL_MS);
	cr_assert_eq(pings_n(), 0);
	cr_assert_not(ours.closed);
	part();
}

/* A caller that said nothing yet hears nothing of HTTP/2 (I9). */
Test(keepalive, not_before_the_preface)
{
	meet(true, INTERVAL_MS);
	pass_ms(INTERVAL_MS);
	pass_ms(TIMEOUT_MS);
	cr_assert_not(ours.closed);
	cr_assert_eq(got_n, 0);
	send_preface();
	turns();
	pass_ms(INTERVAL_MS);
	cr_assert_eq(pings_n(), 1);
	part();
}

/* Its ACK was sent before the notice came: the drain waits for its own. */
Test(keepalive, an_answer_is_not_that_of_a_drain)
{
	static const uint8_t drained[17] = { 0, 0, 8, FRAME_PING, 1 };
	uint8_t ack[17] = { 0, 0, 8, FRAME_PING, 1 };

	meet(true, INTERVAL_MS);
	send_preface();
	turns();
	pass_ms(INTERVAL_MS);
	cr_assert_eq(pings(ack + 9), 1);
	conn_drain(&ours.conn);
	turns();
	send_all(ack, sizeof(ack));
	turns();
	cr_assert_eq(ours.conn.state, CONN_OPEN, "calls under way are lost");
	send_all(drained, sizeof(drained));
	turns();
	cr_assert_eq(ours.conn.state, CONN_LINGER);
	part();
}
