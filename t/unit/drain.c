/*
 * t/unit/drain.c - how a caller's connection ends, over real TCP: our last
 * words arrive and no RST overtakes them (I7 and I8 of worker/io/conn.h, I6 of
 * worker/io/h2.h). The kernel is Linux's, the clock is the test's.
 */
#include "worker/io/conn.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <string.h>
#include <unistd.h>

#include "t/lib/h2_nothing.h"
#include "t/lib/identity.h"

/* WAIT_MS: of a turn that waits for what the kernel has on its way. */
enum { TURNS_MAX = 1000, WAIT_MS = 20, IDLE_MS = 60000, STREAM_MAX =
    INT32_MAX };

static int64_t now_ns;

static struct mono
clock_of_test(void *ctx)
{
	(void)ctx;
	return (struct mono){ now_ns };
}

static void
pass_ms(int64_t ms)
{
	now_ns += ms * 1000000;
}

/* ---- ours */

static struct {
	struct sys	*kernel, sys;
	struct loop	 loop;
	struct io	 io;
	struct conn	 conn;
	struct tls_context *context;
	struct identity	*ca, *own;
	bool		 opened, closed;
} ours;

static void
on_opened(struct conn *c)
{
	(void)c;
	ours.opened = true;
}

static void
on_closed(struct conn *c)
{
	(void)c;
	ours.closed = true;
}

static const struct conn_events conn_events = { on_opened, on_closed };

static struct tls_context *
context_new(void)
{
	struct tls_settings t = { .server = true, .version_min = 0x0304,
	    .version_max = 0x0304 };
	char why[256];

	ours.ca = mint("ca", (struct wanted){ .ca = true });
	ours.own = mint("own", (struct wanted){ .by = ours.ca });
	t.certificate_chain = ours.own->pem;
	t.certificate_chain_len = strlen(ours.own->pem);
	t.private_key = ours.own->key_pem;
	t.private_key_len = strlen(ours.own->key_pem);
	ours.context = tls_context_new(&t, why, sizeof(why));
	cr_assert_not_null(ours.context, "%s", why);
	return ours.context;
}

static void
turn(void)
{
	loop_turn(&ours.loop, WAIT_MS);
}

/* ---- theirs */

static struct {
	int		 fd;
	SSL_CTX		*context;
	SSL		*tls;		/* NULL: clear text */
	uint8_t		 got[65536];
	size_t		 got_n;
	bool		 ended;		/* end of file */
	int		 error;		/* errno of the end, if it was none */
	bool		 told;		/* by close_notify */
} theirs;

/* Connects them to us. */
static int
connect_pair(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd, listen_fd = socket(AF_INET, SOCK_STREAM, 0);

	cr_assert_eq(bind(listen_fd, (struct sockaddr *)&a, len), 0);
	cr_assert_eq(listen(listen_fd, 1), 0);
	cr_assert_eq(getsockname(listen_fd, (struct sockaddr *)&a, &len), 0);
	theirs.fd = socket(AF_INET, SOCK_STREAM, 0);
	cr_assert_eq(connect(theirs.fd, (struct sockaddr *)&a, len), 0);
	fd = ours.sys.accept(ours.sys.ctx, listen_fd);
	cr_assert_geq(fd, 0);
	close(listen_fd);
	return fd;
}

static void
meet(bool tls, uint32_t idle_timeout_ms)
{
	struct conn_settings s = { .h2 = { .server = true,
	    .max_concurrent_streams = 100, .stream_window_bytes = 65535,
	    .connection_window_bytes = 65535, .hpack_table_bytes = 4096,
	    .header_bytes_max = 8192, .header_count_max = 50,
	    .limits = H2_LIMITS_DEFAULT },
	    .h2_events = &h2_nothing, .events = &conn_events,
	    .idle_timeout_ms = idle_timeout_ms };

	pass_ms(1000);
	ours.kernel = sys_kernel_new();
	ours.sys = *ours.kernel;
	ours.sys.now = clock_of_test;
	loop_init(&ours.loop, &ours.sys);
	cr_assert_eq(io_init(&ours.io, &ours.loop), 0);
	s.tls = tls ? context_new() : NULL;
	cr_assert(conn_accept(&ours.conn, &ours.io, connect_pair(), &s));
	if (!tls)
		return;
	theirs.context = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_alpn_protos(theirs.context, (const unsigned char *)"\2h2",
	    3);
	theirs.tls = SSL_new(theirs.context);
	fcntl(theirs.fd, F_SETFL, O_NONBLOCK);
	SSL_set_fd(theirs.tls, theirs.fd);
	SSL_set_connect_state(theirs.tls);
}

static void
part(void)
{
	cr_assert(ours.closed);
	SSL_free(theirs.tls);
	SSL_CTX_free(theirs.context);
	close(theirs.fd);
	io_fini(&ours.io);
	sys_kernel_free(ours.kernel);
	if (ours.context == NULL)
		return;
	tls_context_put(ours.context);
	drop(ours.own);
	drop(ours.ca);
}

static void
send_all(const void *p, size_t n)
{
	if (theirs.tls != NULL)
		cr_assert_eq(SSL_write(theirs.tls, p, (int)n), (int)n);
	else
		cr_assert_eq(send(theirs.fd, p, n, MSG_NOSIGNAL), (ssize_t)n,
		    "%s", strerror(errno));
}

static void
send_preface(void)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	    "\0\0\0\4\0\0\0\0\0";

	send_all(preface, sizeof(preface) - 1);
}

static void
send_ping_ack(void)
{
	static const uint8_t ack[17] = { 0, 0, 8, 6, 1 };

	send_all(ack, sizeof(ack));
}

/* What is there, without waiting. */
static ssize_t
read_some(void *p, size_t n)
{
	int got;

	if (theirs.tls == NULL)
		return recv(theirs.fd, p, n, MSG_DONTWAIT);
	got = SSL_read(theirs.tls, p, (int)n);
	theirs.told = SSL_get_shutdown(theirs.tls) & SSL_RECEIVED_SHUTDOWN;
	if (got > 0)
		return got;
	return theirs.told ? recv(theirs.fd, p, n, MSG_DONTWAIT) : -1;
}

static void
read_all(void)
{
	ssize_t n = 1;

	while (n > 0 && !theirs.ended && theirs.error == 0) {
		n = read_some(theirs.got + theirs.got_n,
		    sizeof(theirs.got) - theirs.got_n);
		if (n > 0)
			theirs.got_n += (size_t)n;
		theirs.ended = n == 0;
		if (n < 0 && errno != EAGAIN)
			theirs.error = errno;
	}
}

/* The last stream that the n-th GOAWAY names, from 0; -1: none came. */
static int64_t
goaway(int n)
{
	const uint8_t *p = theirs.got;
	size_t left = theirs.got_n, len;
	uint32_t last;

	for (; left >= 9; p += 9 + len, left -= 9 + len) {
		len = (size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2];
		if (left < 9 + len)
			break;
		if (p[3] != 7 || n-- > 0)
			continue;
		memcpy(&last, p + 9, sizeof(last));
		return ntohl(last);
	}
	return -1;
}

/* Turns until they have read n GOAWAYs. */
static void
until_goaways(int n)
{
	for (int i = 0; i < TURNS_MAX && goaway(n - 1) == -1; i++) {
		turn();
		read_all();
	}
	cr_assert_neq(goaway(n - 1), -1, "GOAWAY %d does not come", n);
	cr_assert_eq(goaway(n), -1, "more than %d", n);
}

static void
until_ended(void)
{
	for (int i = 0; i < TURNS_MAX && !theirs.ended && theirs.error == 0;
	    i++) {
		turn();
		read_all();
	}
	cr_assert_eq(theirs.error, 0, "cut: %s", strerror(theirs.error));
	cr_assert(theirs.ended, "it does not end");
}

static void
until_state(enum conn_state state)
{
	for (int i = 0; i < TURNS_MAX && ours.conn.state != state; i++)
		turn();
	cr_assert_eq(ours.conn.state, state);
}

static void
until_closed(void)
{
	for (int i = 0; i < TURNS_MAX && !ours.closed; i++)
		turn();
	cr_assert(ours.closed, "it stays");
}

/* Drained, in clear text, and with all said; they have read nothing. */
static void
linger(void)
{
	meet(false, 0);
	send_preface();
	turn();
	conn_drain(&ours.conn);
	turn();
	send_ping_ack();
	until_state(CONN_LINGER);
}

/* ---- tests */

Test(drain, who_still_sends_reads_our_last_words)
{
	static const uint8_t noise[65536];

	linger();
	for (int i = 0; i < 32; i++) {
		send_all(noise, sizeof(noise));
		turn();
	}
	cr_assert_not(ours.closed, "it answers with RST");
	until_ended();
	cr_assert_eq(goaway(0), STREAM_MAX, "the notice");
	cr_assert_eq(goaway(1), 0, "no stream was begun");
	cr_assert_eq(goaway(2), -1);
	shutdown(theirs.fd, SHUT_WR);
	until_closed();
	cr_assert_eq(ours.conn.end, CONN_END_LOCAL);
	cr_assert_eq(ours.conn.linger_bytes, 32 * sizeof(noise));
	part();
}

Test(drain, who_never_stops_is_cut)
{
	static const uint8_t noise[65536];
	uint64_t sent = 0;
	ssize_t n;

	linger();
	while (sent < 4ull * CONN_LINGER_BYTES && !ours.closed) {
		n = send(theirs.fd, noise, sizeof(noise), MSG_NOSIGNAL |
		    MSG_DONTWAIT);
		if (n > 0)
			sent += (uint64_t)n;
		turn();
	}
	cr_assert(ours.closed, "%llu bytes went in",
	    (unsigned long long)sent);
	cr_assert_gt(ours.conn.linger_bytes, CONN_LINGER_BYTES);
	cr_assert_leq(ours.conn.linger_bytes, CONN_LINGER_BYTES +
	    CONN_READ_BYTES);
	part();
}

Test(drain, who_neither_sends_nor_ends_is_cut)
{
	linger();
	pass_ms(CONN_LINGER_MS - 1);
	turn();
	cr_assert_not(ours.closed);
	pass_ms(1);
	until_closed();
	part();
}

Test(drain, during_the_handshake)
{
	meet(true, 0);
	cr_assert_eq(SSL_do_handshake(theirs.tls), -1);
	turn();
	cr_assert_eq(ours.conn.state, CONN_HANDSHAKE);
	conn_drain(&ours.conn);
	for (int i = 0; i < TURNS_MAX && SSL_do_handshake(theirs.tls) != 1;
	    i++)
		turn();
	cr_assert(SSL_is_init_finished(theirs.tls), "the caller would see an "
	    "error");
	send_preface();
	until_goaways(1);
	cr_assert(ours.opened);
	cr_assert_eq(goaway(0), STREAM_MAX);
	send_ping_ack();
	until_ended();
	cr_assert(theirs.told, "by close_notify, before the end of file");
	cr_assert_eq(goaway(1), 0);
	shutdown(theirs.fd, SHUT_WR);
	until_closed();
	part();
}

/* A byte is life, and the idle end is a drain. */
Test(drain, idle)
{
	static const uint8_t ping[17] = { 0, 0, 8, 6 };

	meet(false, IDLE_MS);
	send_preface();
	turn();
	pass_ms(IDLE_MS / 2);
	send_all(ping, sizeof(ping));
	turn();
	pass_ms(IDLE_MS / 2 + 1);
	turn();
	turn();
	read_all();
	cr_assert_eq(goaway(0), -1, "it was not idle for so long");
	pass_ms(IDLE_MS / 2);
	until_goaways(1);
	cr_assert_eq(goaway(0), STREAM_MAX, "a call on its way would be lost");
	cr_assert_not(theirs.ended);
	cr_assert_eq(ours.conn.state, CONN_OPEN);
	send_ping_ack();
	until_ended();
	cr_assert_eq(goaway(1), 0);
	shutdown(theirs.fd, SHUT_WR);
	until_closed();
	part();
}

/* No answer to our PING: the second GOAWAY comes all the same, in time. */
Test(drain, a_peer_that_does_not_answer)
{
	meet(false, IDLE_MS);
	send_preface();
	turn();
	conn_drain(&ours.conn);
	until_goaways(1);
	pass_ms(CONN_DRAIN_MS - 1);
	turn();
	read_all();
	cr_assert_eq(goaway(1), -1, "it waits for the answer");
	pass_ms(1);
	until_ended();
	cr_assert_eq(goaway(1), 0);
	shutdown(theirs.fd, SHUT_WR);
	until_closed();
	part();
}
