/*
 * t/unit/conn.c - worker/io/conn.c over a socket of the test's own, with a
 * plain OpenSSL session as the peer: what it is told at the end, and what a
 * peer that reads nothing can make us hold.
 */
#include "worker/io/conn.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <openssl/ssl.h>
#include <string.h>

#include "t/lib/h2_nothing.h"
#include "t/lib/identity.h"
#include "t/lib/unit_sys.h"

enum { FLOOD_ROUNDS = 4000 };

/* ---- the socket ---- */

static struct {
	BIO		*to_us, *to_them;	/* the SSL's out and in */
	bool		 full;		/* it takes nothing more */
	bool		 shut, ended;	/* our side, theirs */
	int		 closed_n;
	int64_t		 now_ns;
} wire;

static ssize_t
wire_recv(void *ctx, int fd, void *p, size_t n)
{
	int got = BIO_read(wire.to_us, p, (int)n);

	(void)ctx;
	(void)fd;
	errno = EAGAIN;
	if (got <= 0)
		return wire.ended ? 0 : -1;
	return got;
}

static ssize_t
wire_send(void *ctx, int fd, const void *p, size_t n)
{
	(void)ctx;
	(void)fd;
	cr_assert_not(wire.shut, "it speaks after its last word");
	errno = EAGAIN;
	return wire.full ? -1 : BIO_write(wire.to_them, p, (int)n);
}

static void
wire_shutdown(void *ctx, int fd)
{
	(void)ctx;
	(void)fd;
	cr_assert_not(wire.shut, "twice");
	wire.shut = true;
}

static void
wire_close(void *ctx, int fd)
{
	(void)ctx;
	(void)fd;
	wire.closed_n++;
}

static int
wire_watch(void *ctx, int fd, void *source)
{
	(void)ctx;
	(void)fd;
	(void)source;
	return 0;
}

static int
wire_wait(void *ctx, struct sys_event *events, int max, int timeout_ms)
{
	(void)ctx;
	(void)events;
	(void)max;
	(void)timeout_ms;
	return 0;
}

static struct mono
wire_now(void *ctx)
{
	(void)ctx;
	return (struct mono){ wire.now_ns += 1000000 };
}

/* ---- ours ---- */

static struct {
	struct sys	 sys;
	struct loop	 loop;
	struct io	 io;
	struct conn	 conn;
	struct tls_context *context;
	struct identity	*ca, *own;
	size_t		 most_out;
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
	cr_assert_not(ours.closed, "closed twice");
	ours.closed = true;
}

static const struct conn_events conn_events = { on_opened, on_closed };

static void
ours_open(void)
{
	struct conn_settings s = { .h2 = { .server = true,
	    .max_concurrent_streams = 100, .stream_window_bytes = 65535,
	    .connection_window_bytes = 65535, .hpack_table_bytes = 4096,
	    .header_bytes_max = 8192, .header_count_max = 50,
	    .limits = { 10000, 1000, 1, UINT32_MAX, 10, 1000, 33 } },
	    .h2_events = &h2_nothing, .events = &conn_events };
	struct tls_settings t = { .server = true, .version_min = 0x0304,
	    .version_max = 0x0304, .certificate_chain = ours.own->pem,
	    .certificate_chain_len = strlen(ours.own->pem),
	    .private_key = ours.own->key_pem,
	    .private_key_len = strlen(ours.own->key_pem) };
	char why[256];

	ours.sys = unit_sys;
	ours.sys.recv = wire_recv;
	ours.sys.send = wire_send;
	ours.sys.shutdown = wire_shutdown;
	ours.sys.close = wire_close;
	ours.sys.watch = wire_watch;
	ours.sys.wait = wire_wait;
	ours.sys.now = wire_now;
	s.tls = ours.context = tls_context_new(&t, why, sizeof(why));
	cr_assert_not_null(s.tls, "%s", why);
	loop_init(&ours.loop, &ours.sys);
	cr_assert_eq(io_init(&ours.io, &ours.loop), 0);
	cr_assert(conn_accept(&ours.conn, &ours.io, 1, &s));
}

/* Whatever came, to its end. */
static void
ours_turn(void)
{
	if (!ours.closed)
		ours.conn.source.ready(&ours.conn.source, SYS_READ);
	loop_turn(&ours.loop, 0);
	if (!ours.closed && buf_len(&ours.conn.out) > ours.most_out)
		ours.most_out = buf_len(&ours.conn.out);
}

/* ---- theirs ---- */

static SSL_CTX *their_context;
static SSL *theirs;

static void
theirs_open(void)
{
	their_context = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_alpn_protos(their_context, (const unsigned char *)"\2h2",
	    3);
	theirs = SSL_new(their_context);
	wire.to_them = BIO_new(BIO_s_mem());
	wire.to_us = BIO_new(BIO_s_mem());
	SSL_set_bio(theirs, wire.to_them, wire.to_us);
	SSL_set_connect_state(theirs);
}

static void
meet(void)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	    "\0\0\0\4\0\0\0\0\0";

	ours.ca = mint("ca", (struct wanted){ .ca = true });
	ours.own = mint("own", (struct wanted){ .by = ours.ca });
	theirs_open();
	ours_open();
	for (int i = 0; i < 4; i++) {
		SSL_do_handshake(theirs);
		ours_turn();
	}
	cr_assert(SSL_is_init_finished(theirs) && ours.opened);
	SSL_write(theirs, preface, sizeof(preface) - 1);
	ours_turn();
}

static void
part(void)
{
	SSL_free(theirs);
	SSL_CTX_free(their_context);
	io_fini(&ours.io);
	tls_context_put(ours.context);
	drop(ours.own);
	drop(ours.ca);
	cr_assert_eq(unit_blocks, 0, "%d blocks leaked", unit_blocks);
}

/* Whether close_notify is among what reached them. */
static bool
told(void)
{
	char byte[4096];

	while (SSL_read(theirs, byte, sizeof(byte)) > 0)
		;
	return SSL_get_shutdown(theirs) & SSL_RECEIVED_SHUTDOWN;
}

/* ---- tests ---- */

static void
ping_ack(void)
{
	static const uint8_t ack[17] = { 0, 0, 8, 6, 1 };

	SSL_write(theirs, ack, sizeof(ack));
	ours_turn();
}

Test(conn, an_end_in_order_is_told)
{
	meet();
	cr_assert_not(told());
	conn_drain(&ours.conn);
	conn_drain(&ours.conn);
	ours_turn();
	cr_assert_not(wire.shut || told(), "before the peer knows");
	ping_ack();
	cr_assert_eq(ours.conn.state, CONN_LINGER);
	cr_assert(told(), "the peer sees a connection that was cut");
	cr_assert(wire.shut && !ours.closed);
	SSL_write(theirs, "thrown away", 11);
	ours_turn();
	cr_assert_not(ours.closed, "it answers with RST");
	wire.ended = true;
	ours_turn();
	cr_assert(ours.closed);
	cr_assert_eq(wire.closed_n, 1);
	cr_assert_eq(ours.conn.end, CONN_END_LOCAL);
	part();
}

Test(conn, neither_silence_nor_a_peer_that_stays_holds_it)
{
	meet();
	conn_drain(&ours.conn);
	ours_turn();
	wire.now_ns += CONN_DRAIN_MS * 1000000ll;
	ours_turn();
	ours_turn();
	cr_assert_eq(ours.conn.state, CONN_LINGER, "it waits for the ACK");
	cr_assert(told());
	wire.now_ns += CONN_LINGER_MS * 1000000ll;
	ours_turn();
	cr_assert(ours.closed, "it waits for the peer's end");
	part();
}

Test(conn, the_workers_own_end_is_told_too)
{
	meet();
	conn_close(&ours.conn);
	cr_assert(ours.closed && told());
	part();
}

Test(conn, a_full_socket_is_closed_without_a_word)
{
	meet();
	wire.full = true;
	conn_drain(&ours.conn);
	ours_turn();
	cr_assert_not(ours.closed, "it waits to send its GOAWAY");
	conn_close(&ours.conn);
	cr_assert(ours.closed);
	part();
}

/* KeyUpdates, and a frame between them that makes them look like life. */
Test(conn, who_makes_us_answer_and_reads_nothing_is_cut)
{
	static const uint8_t priority[] = { 0, 0, 5, 2, 0, 0, 0, 0, 1, 0, 0,
	    0, 0, 16 };
	int round;

	meet();
	wire.full = true;
	for (round = 0; round < FLOOD_ROUNDS && !ours.closed; round++) {
		for (int i = 0; i < 32; i++) {
			SSL_key_update(theirs, SSL_KEY_UPDATE_REQUESTED);
			SSL_do_handshake(theirs);
		}
		SSL_write(theirs, priority, sizeof(priority));
		ours_turn();
	}
	cr_assert(ours.closed, "%zu bytes are held", ours.most_out);
	cr_assert_eq(ours.conn.end, CONN_END_TLS);
	cr_assert(strstr(ours.conn.why, "takes no answer") != NULL, "%s",
	    ours.conn.why);
	cr_assert_leq(ours.most_out, CONN_OUT_BYTES);
	part();
}
