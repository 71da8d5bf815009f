/*
 * t/unit/rest_tls.c - xds/ems/rest_tls: callers with TLS over real sockets, and
 * this test as who serves, by a clock of its own.
 *
 *   caller ──TLS──> rest_tls ──plain──> served.fd
 */
#include "xds/ems/rest_tls.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "t/lib/identity.h"

enum { TURNS = 400, PATIENCE_S = 30, MAX = 2, SOME = 64 << 10 };

static struct {
	struct sys	*sys;
	struct loop	 loop;
	struct rest_tls	*door;
	struct sockaddr_in at;
	int64_t		 now_ms;
	int		 room;		/* of callers' sockets; 0: as ever */
	bool		 may;		/* come */
	char		 asked[64];	/* who may */
} unit;

static struct {
	int		 fd;		/* of the last that arrived */
	int		 n;
	struct sockaddr_in from;
} served;

static struct identity *ca, *own, *other, *app;

static struct mono
unit_now(void *ctx)
{
	(void)ctx;
	return (struct mono){ unit.now_ms * 1000000 };
}

/* ---- who comes */

struct caller {
	int		 fd;
	struct tls_context *context;
	struct tls	*tls;
	struct buf	 out;
	size_t		 got_n;		/* bytes read, which are thrown away */
	char		 first[64];	/* of them */
	bool		 ended;		/* the socket */
};

static struct tls_context *
context_new(bool server, const struct identity *i)
{
	const struct tls_settings s = { .server = server, .http1 = true,
	    .version_min = 0x0303, .version_max = 0x0304,
	    .certificate_chain = i == NULL ? NULL : i->pem,
	    .certificate_chain_len = i == NULL ? 0 : strlen(i->pem),
	    .private_key = i == NULL ? NULL : i->key_pem,
	    .private_key_len = i == NULL ? 0 : strlen(i->key_pem),
	    .trusted_ca = ca->pem, .trusted_ca_len = strlen(ca->pem) };
	char why[512] = "";
	struct tls_context *c = tls_context_new(&s, why, sizeof(why));

	cr_assert_not_null(c, "%s", why);
	return c;
}

static void
connects(struct caller *c)
{
	*c = (struct caller){ .fd = socket(AF_INET, SOCK_STREAM, 0) };
	if (unit.room != 0)
		setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &unit.room,
		    sizeof(unit.room));
	cr_assert_eq(connect(c->fd, (struct sockaddr *)&unit.at,
	    sizeof(unit.at)), 0);
	fcntl(c->fd, F_SETFL, O_NONBLOCK);
	buf_init(&c->out, unit.sys);
}

static void
begins(struct caller *c, const struct identity *i)
{
	connects(c);
	c->context = context_new(false, i);
	c->tls = tls_new(c->context);
	(void)tls_read(c->tls, NULL, 0, &c->out);
}

static void
leaves(struct caller *c)
{
	close(c->fd);
	tls_free(c->tls);
	if (c->context != NULL)
		tls_context_put(c->context);
	buf_fini(&c->out);
}

static void
sends(struct caller *c)
{
	ssize_t n;

	while (buf_len(&c->out) > 0 && (n = send(c->fd, c->out.data +
	    c->out.pos, buf_len(&c->out), MSG_NOSIGNAL)) > 0)
		buf_take(&c->out, (size_t)n);
}

static void
takes(struct caller *c)
{
	uint8_t in[SOME], plain[SOME];
	ssize_t n = recv(c->fd, in, sizeof(in), 0);
	size_t got;

	c->ended = c->ended || n == 0 || (n == -1 && errno != EAGAIN);
	if (n <= 0 || c->tls == NULL)
		return;
	tls_feed(c->tls, in, (size_t)n);
	while ((got = tls_read(c->tls, plain, sizeof(plain), &c->out)) > 0) {
		if (c->got_n == 0)
			memcpy(c->first, plain, got < sizeof(c->first) ? got :
			    sizeof(c->first));
		c->got_n += got;
	}
}

/* Turns, in which these callers do what they can. */
static void
turns(int n, struct caller *a, struct caller *b)
{
	while (n-- > 0) {
		for (int i = 0; i < 2; i++) {
			struct caller *c = i == 0 ? a : b;

			if (c != NULL) {
				sends(c);
				takes(c);
				sends(c);
			}
		}
		loop_turn(&unit.loop, 0);
	}
}

static int64_t
real_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* A kernel under load brings even what is for here a while later. */
#define UNTIL(fact, a, b) do {						\
	int64_t end_ = real_ms() + PATIENCE_S * 1000;			\
									\
	while (!(fact)) {						\
		cr_assert_lt(real_ms(), end_, "never: " #fact);		\
		turns(1, a, b);						\
		loop_turn(&unit.loop, 1);				\
	}								\
} while (0)

static bool
is_established(const struct caller *c)
{
	return tls_state(c->tls) == TLS_ESTABLISHED;
}

static void
arrives(struct caller *c, const struct identity *i)
{
	int before = served.n;

	begins(c, i);
	UNTIL(served.n > before, c, NULL);
	cr_assert(is_established(c));
}

static void
passes(int64_t ms)
{
	for (; ms > 0; ms -= 100) {
		unit.now_ms += 100;
		loop_turn(&unit.loop, 0);
	}
}

/* ---- who serves */

static bool
may_come(void *arg, const char *address)
{
	(void)arg;
	snprintf(unit.asked, sizeof(unit.asked), "%s", address);
	return unit.may;
}

static void
arrived(void *arg, int fd, const struct sockaddr *from, socklen_t len)
{
	(void)arg;
	cr_assert_eq(len, sizeof(served.from));
	memcpy(&served.from, from, len);
	served.fd = fd;
	served.n++;
}

static void
setup(void)
{
	struct rest_tls_settings s = { .connections_max = MAX,
	    .may_come = may_come, .arrived = arrived };
	socklen_t len = sizeof(unit.at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	ca = mint("ca", (struct wanted){ .ca = true });
	own = mint("own", (struct wanted){ .by = ca, .san = "URI:own" });
	other = mint("other", (struct wanted){ .by = ca, .san = "URI:other" });
	app = mint("app", (struct wanted){ .by = ca,
	    .san = "DNS:x,URI:spiffe://mesh/a,URI:spiffe://mesh/b" });
	signal(SIGPIPE, SIG_IGN);
	unit.sys = sys_kernel_new();
	unit.sys->now = unit_now;
	unit.now_ms = 1000;
	unit.may = true;
	served.n = 0;
	loop_init(&unit.loop, unit.sys);
	unit.at = (struct sockaddr_in){ .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	cr_assert_eq(bind(fd, (struct sockaddr *)&unit.at, len), 0);
	cr_assert_eq(listen(fd, 10), 0);
	cr_assert_eq(getsockname(fd, (struct sockaddr *)&unit.at, &len), 0);
	s.tls = context_new(true, own);
	unit.door = rest_tls_open(&unit.loop, fd, &s);
	tls_context_put(s.tls);
	cr_assert_not_null(unit.door);
}

static void
teardown(void)
{
	rest_tls_close(unit.door);
	sys_kernel_free(unit.sys);
	drop(app);
	drop(other);
	drop(own);
	drop(ca);
}

TestSuite(rest_tls, .init = setup, .fini = teardown);

/* ---- T1 */

Test(rest_tls, both_ways_and_who_it_is)
{
	static const char names[] = "spiffe://mesh/a\0spiffe://mesh/b\0x\0";
	struct caller c, d;
	char text[16] = "", *said;
	int fd;

	begins(&c, app);
	cr_assert_eq(served.n, 0);
	leaves(&c);
	arrives(&c, app);
	cr_expect_str_eq(unit.asked, "127.0.0.1");
	cr_expect_eq(served.from.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	fd = served.fd;
	said = rest_tls_names(unit.door, fd);
	cr_assert_not_null(said);
	cr_expect_eq(memcmp(said, names, sizeof(names)), 0);
	free(said);
	cr_expect_null(rest_tls_names(unit.door, fd), "it is taken once");
	cr_assert(tls_write(c.tls, (const uint8_t *)"question", 8, &c.out));
	UNTIL(read(fd, text, sizeof(text)) == 8, &c, NULL);
	cr_expect_str_eq(text, "question");
	cr_assert_eq(write(fd, "answer", 6), 6);
	UNTIL(c.got_n == 6, &c, NULL);
	cr_expect_str_eq(c.first, "answer");
	/* Another, who has no certificate. */
	arrives(&d, NULL);
	cr_expect_null(rest_tls_names(unit.door, served.fd));
	leaves(&c);
	UNTIL(read(fd, text, sizeof(text)) == 0, &d, NULL);
	close(fd);
	close(served.fd);
	leaves(&d);
}

/* A number is another's as soon as who serves has closed it. */
Test(rest_tls, names_are_of_who_has_the_number_now)
{
	struct caller c, d;
	char byte;
	int fd;

	arrives(&c, app);
	fd = served.fd;
	unit.asked[0] = '\0';
	begins(&d, NULL);
	UNTIL(*unit.asked != '\0', NULL, NULL);
	close(fd);
	UNTIL(tls_state(c.tls) == TLS_CLOSED, &c, NULL);
	UNTIL(served.n == 2, &d, NULL);
	cr_assert_eq(served.fd, fd, "a pair takes the lowest numbers");
	leaves(&d);
	UNTIL(read(fd, &byte, 1) == 0, NULL, NULL);
	cr_expect_null(rest_tls_names(unit.door, fd));
	close(served.fd);
	leaves(&c);
}

/* ---- T2 */

/* A connection that says nothing, accepted. */
static void
silent(struct caller *c)
{
	unit.asked[0] = '\0';
	connects(c);
	UNTIL(*unit.asked != '\0', NULL, NULL);
}

Test(rest_tls, a_handshake_has_ten_seconds)
{
	struct caller c;

	silent(&c);
	passes(9900);
	turns(TURNS, &c, NULL);
	cr_expect_not(c.ended);
	passes(200);
	UNTIL(c.ended, &c, NULL);
	leaves(&c);
	/* Not who has made his. */
	arrives(&c, NULL);
	passes(600000);
	turns(TURNS, &c, NULL);
	cr_expect_not(c.ended);
	close(served.fd);
	leaves(&c);
}

Test(rest_tls, the_oldest_handshake_makes_room)
{
	struct caller a, b, c, d;
	int fd;

	silent(&a);
	silent(&b);
	turns(TURNS, &a, &b);
	cr_assert(!a.ended && !b.ended);
	arrives(&c, NULL);
	fd = served.fd;
	UNTIL(a.ended, &a, &b);
	cr_expect_not(b.ended);
	arrives(&d, NULL);
	UNTIL(b.ended, &b, &c);
	cr_expect_not(c.ended, "who is served does not make room");
	leaves(&a);
	connects(&a);
	UNTIL(a.ended, &a, &c);
	cr_expect(!c.ended && !d.ended);
	close(fd);
	close(served.fd);
	leaves(&a);
	leaves(&b);
	leaves(&c);
	leaves(&d);
}

Test(rest_tls, who_may_not_come)
{
	struct caller c;

	unit.may = false;
	connects(&c);
	UNTIL(c.ended, &c, NULL);
	leaves(&c);
}

/* As much as fd takes. */
static size_t
serves(int fd, size_t n)
{
	static const uint8_t bytes[SOME];
	size_t all = 0;
	ssize_t now = 1;

	for (; n > 0 && now > 0; n -= (size_t)now, all += (size_t)now)
		if ((now = write(fd, bytes, n < SOME ? n : SOME)) == -1)
			break;
	return all;
}

/* Until fd takes no more; returns how much it took. */
static size_t
fill(int fd)
{
	size_t all = 0;

	for (int full = 0; full < 50;) {
		size_t more = serves(fd, SOME);

		all += more;
		full = more == 0 ? full + 1 : 0;
		cr_assert_lt(all, 64 << 20, "what waits is bounded");
		loop_turn(&unit.loop, 1);
	}
	return all;
}

Test(rest_tls, who_takes_nothing_is_cut)
{
	struct caller c;

	arrives(&c, NULL);
	(void)fill(served.fd);
	passes(50000);
	cr_expect_eq(write(served.fd, "", 1), -1);
	cr_expect_eq(errno, EAGAIN);
	passes(61000);
	cr_expect_eq(write(served.fd, "", 1), -1);
	cr_expect_eq(errno, EPIPE);
	close(served.fd);
	leaves(&c);
}

/* Slow, but not at an end: some of it is taken each ten seconds. */
Test(rest_tls, who_takes_some_is_not)
{
	struct caller c;
	size_t sent, want;

	arrives(&c, NULL);
	sent = fill(served.fd);
	for (int i = 0; i < 12; i++) {
		want = c.got_n + (sent - c.got_n) / 2;
		UNTIL((sent += serves(served.fd, 4 * SOME)) > 0 &&
		    c.got_n >= want, &c, NULL);
		sent += fill(served.fd);
		passes(10000);
	}
	UNTIL(c.got_n == sent, &c, NULL);
	cr_expect_eq(tls_state(c.tls), TLS_ESTABLISHED);
	close(served.fd);
	leaves(&c);
}

/* What comes is not read while who serves does not take it. */
Test(rest_tls, who_serves_may_be_slow)
{
	static const uint8_t bytes[SOME];
	static char to[SOME];
	size_t put = 0, got = 0;
	struct caller c;
	ssize_t n;

	arrives(&c, NULL);
	while (buf_len(&c.out) == 0 && put < 64 << 20) {
		cr_assert(tls_write(c.tls, bytes, sizeof(bytes), &c.out));
		put += sizeof(bytes);
		for (int i = 0; i < 50 && buf_len(&c.out) > 0; i++) {
			turns(1, &c, NULL);
			loop_turn(&unit.loop, 1);
		}
	}
	cr_assert_lt(put, 64 << 20, "what waits is bounded");
	while (got < put) {
		UNTIL((n = read(served.fd, to, sizeof(to))) > 0, &c, NULL);
		got += (size_t)n;
	}
	cr_expect_eq(got, put);
	close(served.fd);
	leaves(&c);
}

/* ---- T3 */

Test(rest_tls, all_of_it_then_the_end)
{
	struct caller c;
	size_t sent;
	char byte;

	arrives(&c, NULL);
	sent = serves(served.fd, SOME * 2);
	cr_assert_gt(sent, 0);
	close(served.fd);
	UNTIL(tls_state(c.tls) == TLS_CLOSED, &c, NULL);
	cr_expect_eq(c.got_n, sent);
	leaves(&c);
	/* With a question that nobody read. */
	arrives(&c, NULL);
	cr_assert(tls_write(c.tls, (const uint8_t *)"more", 4, &c.out));
	UNTIL(recv(served.fd, &byte, 1, MSG_PEEK) == 1, &c, NULL);
	sent = serves(served.fd, SOME);
	close(served.fd);
	UNTIL(tls_state(c.tls) == TLS_CLOSED, &c, NULL);
	cr_expect_eq(c.got_n, sent);
	leaves(&c);
}

/* Who is still sending has all of it too: a socket that is closed before would
 * destroy what he has not read. */
Test(rest_tls, who_still_sends)
{
	struct caller c;
	size_t sent;

	unit.room = 4096;
	arrives(&c, NULL);
	sent = fill(served.fd);
	close(served.fd);
	/* The rest is in the kernel, and no room for it at the caller's. */
	UNTIL(c.got_n + 4 * SOME > sent, &c, NULL);
	for (int i = 0; i < 4; i++) {
		for (int n = 0; n < 50; n++)
			loop_turn(&unit.loop, 1);
		cr_assert(tls_write(c.tls, (const uint8_t *)"more", 4,
		    &c.out));
		sends(&c);
	}
	UNTIL(c.ended, &c, NULL);
	cr_expect_eq(tls_state(c.tls), TLS_CLOSED);
	cr_expect_eq(c.got_n, sent);
	leaves(&c);
}

Test(rest_tls, last_words)
{
	struct caller c;
	size_t sent;

	arrives(&c, NULL);
	sent = serves(served.fd, SOME);
	close(served.fd);
	rest_tls_close(unit.door);
	unit.door = NULL;
	fcntl(c.fd, F_SETFL, 0);	/* it waits */
	while (!c.ended)
		takes(&c);
	cr_expect_eq(c.got_n, sent);
	cr_expect_eq(tls_state(c.tls), TLS_CLOSED);
	leaves(&c);
}

/* ---- others' protocols, other certificates */

Test(rest_tls, clear_text_is_told)
{
	static const char request[] = "GET / HTTP/1.1\r\n\r\n";
	char text[512] = "";
	struct caller c;

	connects(&c);
	cr_assert_gt(send(c.fd, request, sizeof(request) - 1, 0), 0);
	UNTIL(recv(c.fd, text, sizeof(text) - 1, 0) > 0, NULL, NULL);
	cr_expect_eq(strncmp(text, "HTTP/1.1 400 ", 13), 0, "%s", text);
	cr_expect_not_null(strstr(text, "Content-Length: 49\r\n"), "%s", text);
	cr_expect_eq(strlen(strstr(text, "\r\n\r\n") + 4), 49, "%s", text);
	UNTIL(c.ended, &c, NULL);
	cr_expect_eq(served.n, 0);
	leaves(&c);
}

Test(rest_tls, another_certificate_for_who_comes)
{
	struct tls_context *next = context_new(true, other);
	struct caller c, d;
	int fd;

	arrives(&c, NULL);
	fd = served.fd;
	rest_tls_replace(unit.door, next);
	tls_context_put(next);
	arrives(&d, NULL);
	cr_expect_str_eq(tls_peer_uri(c.tls), "own");
	cr_expect_str_eq(tls_peer_uri(d.tls), "other");
	cr_assert_eq(write(fd, "still", 5), 5);
	UNTIL(c.got_n == 5, &c, &d);
	cr_expect_eq(strncmp(c.first, "still", 5), 0);
	close(fd);
	close(served.fd);
	leaves(&c);
	leaves(&d);
}
