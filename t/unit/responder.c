/* t/unit/responder.c - the GET-only responder; see worker/io/responder.h */
#include "worker/io/responder.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { BIG_BYTES = 4 << 20 };

static int64_t skipped_ms;
static struct sys *kernel, table;
static struct loop *loop;
static struct responder *responder;
static int listen_fd;
static struct sockaddr_un at;
static socklen_t at_len;

/* The kernel's clock, and what the test skips. */
static struct mono
now(void *ctx)
{
	(void)ctx;
	return mono_after_ms(clock_now(), skipped_ms);
}

/* What /pieces says: "piece 0\n", nothing, "piece 2\n" ... */
enum { PIECES = 7, PIECE_BYTES = 300000 };
static int pieces_n, ended_n;
static bool pieces_big;

static bool
piece(void *arg, FILE *out)
{
	int *n = arg;

	if (*n % 2 == 0)
		fprintf(out, "%*d\n", pieces_big ? PIECE_BYTES : 1, *n);
	return ++*n < PIECES;
}

static void
pieces_end(void *arg)
{
	(void)arg;
	ended_n++;
}

static int
answer(void *arg, const char *path, const char *query, FILE *out,
    struct responder_rest *rest)
{
	(*(int *)arg)++;
	if (strcmp(path, "/pieces") == 0) {
		pieces_n = 0;
		if (strcmp(query, "late") != 0)
			(void)piece(&pieces_n, out);
		*rest = (struct responder_rest){ piece, pieces_end,
		    &pieces_n };
		return 200;
	}
	if (strcmp(path, "/hello") == 0) {
		fprintf(out, "hello %s\n", query);
		return 200;
	}
	if (strcmp(path, "/big") == 0) {
		for (int i = 0; i < BIG_BYTES / 8; i++)
			fprintf(out, "%07d\n", i);
		return 200;
	}
	if (strcmp(path, "/later") == 0)
		return 503;
	return 404;
}

static void
open_all(int *asked)
{
	struct sockaddr *a = (void *)&at;

	*asked = 0;
	kernel = sys_kernel_new();
	cr_assert_not_null(kernel);
	table = *kernel;
	table.now = now;
	loop = malloc(sizeof(*loop));
	loop_init(loop, &table);
	listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	at.sun_family = AF_UNIX;
	cr_assert_eq(bind(listen_fd, a, sizeof(sa_family_t)), 0);
	cr_assert_eq(listen(listen_fd, 64), 0);
	at_len = sizeof(at);
	cr_assert_eq(getsockname(listen_fd, a, &at_len), 0);
	responder = responder_open(loop, listen_fd, answer, asked);
	cr_assert_not_null(responder);
}

static void
close_all(void)
{
	responder_close(responder);
	close(listen_fd);
	free(loop);
	sys_kernel_free(kernel);
}

static void
turns(int n)
{
	while (n-- > 0)
		loop_turn(loop, 0);
}

static int
caller(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	cr_assert_eq(connect(fd, (struct sockaddr *)&at, at_len), 0, "%s",
	    strerror(errno));
	return fd;
}

static void
say(int fd, const char *text, size_t n)
{
	cr_assert_eq(send(fd, text, n, MSG_NOSIGNAL), (ssize_t)n);
}

/* What arrives within a few turns; *closed: the other side is done. */
static size_t
hear(int fd, char *to, size_t cap, bool *closed)
{
	size_t n = 0;
	ssize_t got;

	*closed = false;
	for (int idle = 0; idle < 4 && n < cap && !*closed;) {
		turns(1);
		got = recv(fd, to + n, cap - n, 0);
		idle = got > 0 ? 0 : idle + 1;
		if (got > 0)
			n += (size_t)got;
		else if (got == 0 || errno != EAGAIN)
			*closed = true;
	}
	to[n] = '\0';
	return n;
}

static int
count_of(const char *text, const char *word)
{
	int n = 0;

	for (; (text = strstr(text, word)) != NULL; text++)
		n++;
	return n;
}

/* What a caller hears who says that and leaves; *closed: it was sent away. */
static void
ask(const char *request, char *got, size_t cap, bool *closed)
{
	int fd = caller();

	say(fd, request, strlen(request));
	hear(fd, got, cap, closed);
	close(fd);
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n"

Test(responder, requests)
{
	static const struct {
		const char	*request;
		const char	*status, *body;	/* NULL: nothing yet */
		bool		 closes;
	} cases[] = {
		{ GET("/hello"), "200 OK", "hello \n", false },
		{ GET("/hello?a=b"), "200 OK", "hello a=b\n", false },
		{ GET("http://x/hello?q"), "200 OK", "hello q\n", false },
		{ GET("/later"), "503 Service Unavailable",
		    "Service Unavailable\n", false },
		{ GET("/nothing"), "404 Not Found", "Not Found\n", false },
		{ "GET /hello HTTP/1.1\nhost:x\n\n", "200 OK", "hello \n",
		    false },
		{ "GET /hello HTTP/1.0\r\n\r\n", "200 OK", "hello \n", true },
		{ "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
		    "200 OK", "hello \n", false },
		{ "GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
		    "\r\n", "200 OK", "hello \n", true },
		{ "GET /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n"
		    "\r\n", "200 OK", "hello \n", false },
		{ "POST /hello HTTP/1.1\r\nHost: x\r\n\r\n",
		    "405 Method Not Allowed", "Method Not Allowed\n", true },
		{ "HEAD /hello HTTP/1.1\r\nHost: x\r\n\r\n",
		    "405 Method Not Allowed", "Method Not Allowed\n", true },
		{ "get /hello HTTP/1.1\r\nHost: x\r\n\r\n",
		    "405 Method Not Allowed", "Method Not Allowed\n", true },
		{ "GET /hello HTTP/1.1\r\n\r\n", "400 Bad Request",
		    "Bad Request\n", true },
		{ "GET hello HTTP/1.1\r\nHost: x\r\n\r\n", "400 Bad Request",
		    "Bad Request\n", true },
		{ "GET /a\tb HTTP/1.1\r\nHost: x\r\n\r\n", "400 Bad Request",
		    "Bad Request\n", true },
		{ "GET /hello\r\nHost: x\r\n\r\n", "400 Bad Request",
		    "Bad Request\n", true },
		{ "GET /hello HTTP/2.0\r\nHost: x\r\n\r\n",
		    "505 HTTP Version Not Supported",
		    "HTTP Version Not Supported\n", true },
		{ "GET /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
		    "\r\nGET /", "400 Bad Request", "Bad Request\n", true },
		{ "GET /hello HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
		    "chunked\r\n\r\n0\r\n\r\n", "400 Bad Request",
		    "Bad Request\n", true },
		{ "GET /hello HTTP/1.1\r\nHost x\r\n\r\n", "400 Bad Request",
		    "Bad Request\n", true },
		{ "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		    "505 HTTP Version Not Supported",
		    "HTTP Version Not Supported\n", true },
		{ "\x16\x03\x01 a b\r\n\r\n", "505 HTTP Version Not Supported",
		    "HTTP Version Not Supported\n", true },
		{ "GET /hello HTTP/1.1\r\nHost: x\r\n", NULL, NULL, false },
	};
	char got[4096], *body;
	bool closed;
	int asked;

	open_all(&asked);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ask(cases[i].request, got, sizeof(got) - 1, &closed);
		cr_assert_eq(closed, cases[i].closes, "case %zu", i);
		if (cases[i].status == NULL) {
			cr_assert_str_eq(got, "");
			continue;
		}
		cr_assert_eq(strncmp(got, "HTTP/1.1 ", 9), 0);
		cr_assert_eq(strncmp(got + 9, cases[i].status,
		    strlen(cases[i].status)), 0, "case %zu: %s", i, got);
		body = strstr(got, "\r\n\r\n");
		cr_assert_not_null(body);
		cr_assert_str_eq(body + 4, cases[i].body);
		cr_assert_eq(strstr(got, "Connection: close") != NULL,
		    cases[i].closes);
		cr_assert_eq(strstr(got, "Allow: GET") != NULL,
		    strncmp(cases[i].status, "405", 3) == 0);
	}
	close_all();
}

Test(responder, many)
{
	static char got[65536];
	char burst[4096] = "";
	bool closed;
	int asked, fd;

	open_all(&asked);
	fd = caller();
	for (int i = 0; i < 300; i++) {		/* one after another */
		say(fd, GET("/hello?1"), strlen(GET("/hello?1")));
		hear(fd, got, sizeof(got) - 1, &closed);
		cr_assert_eq(count_of(got, "hello 1\n"), 1);
		cr_assert(!closed);
	}
	for (int round = 0; round < 3; round++) {	/* in one go */
		burst[0] = '\0';
		for (int i = 0; i < 80; i++)
			strcat(burst, i % 2 ? GET("/hello?b") :
			    GET("/hello?a"));
		say(fd, burst, strlen(burst));
		hear(fd, got, sizeof(got) - 1, &closed);
		cr_assert_eq(count_of(got, "hello a\n"), 40);
		cr_assert_eq(count_of(got, "hello b\n"), 40);
		cr_assert_lt(strstr(got, "hello a"), strstr(got, "hello b"));
		cr_assert(!closed);
	}
	cr_assert_eq(asked, 300 + 3 * 80);
	close(fd);
	turns(2);
	close_all();
}

Test(responder, slow_and_oversized)
{
	static char got[65536], huge[5000];
	const char *text = GET("/hello?slow") GET("/hello?slow");
	bool closed;
	int asked, fd;

	open_all(&asked);
	fd = caller();
	for (const char *p = text; *p != '\0'; p++) {
		say(fd, p, 1);
		turns(1);
	}
	hear(fd, got, sizeof(got) - 1, &closed);
	cr_assert_eq(count_of(got, "hello slow\n"), 2);
	close(fd);

	/* 4096 bytes are taken, when they are a whole request. */
	fd = caller();
	memset(huge, 'x', sizeof(huge));
	memcpy(huge, "GET /hello HTTP/1.1\r\nHost: ", 27);
	memcpy(huge + 4092, "\r\n\r\n", 4);
	say(fd, huge, 4096);
	hear(fd, got, sizeof(got) - 1, &closed);
	cr_assert_not_null(strstr(got, "200 OK"));
	cr_assert(!closed);
	close(fd);

	fd = caller();
	memset(huge + 4092, 'x', 4);
	say(fd, huge, sizeof(huge));
	hear(fd, got, sizeof(got) - 1, &closed);
	cr_assert_not_null(strstr(got, "431 Request Header Fields Too"));
	cr_assert(closed);
	close(fd);

	/* Many short lines, a NUL. */
	fd = caller();
	strcpy(huge, "GET /hello HTTP/1.1\r\nHost: x\r\n");
	for (int i = 0; i < 64; i++)
		strcat(huge, "a: b\r\n");
	strcat(huge, "\r\n");
	say(fd, huge, strlen(huge));
	hear(fd, got, sizeof(got) - 1, &closed);
	cr_assert_not_null(strstr(got, "400 Bad Request"));
	close(fd);
	fd = caller();
	say(fd, "GET /hello\0 HTTP/1.1\r\nHost: x\r\n\r\n", 34);
	hear(fd, got, sizeof(got) - 1, &closed);
	cr_assert_not_null(strstr(got, "400 Bad Request"));
	close(fd);
	cr_assert_eq(asked, 3);
	close_all();
}

/* Half-closed callers (nc -N) get their answers. */
Test(responder, half_closed)
{
	char got[4096];
	bool closed;
	int asked, fd;

	open_all(&asked);
	fd = caller();
	say(fd, GET("/hello?1") GET("/hello?2") "GET /he",
	    strlen(GET("/hello?1") GET("/hello?2")) + 7);
	shutdown(fd, SHUT_WR);
	hear(fd, got, sizeof(got) - 1, &closed);
	cr_assert_not_null(strstr(got, "hello 1\n"));
	cr_assert_not_null(strstr(got, "hello 2\n"));
	cr_assert(closed);
	close(fd);
	close_all();
}

/* A body that no socket takes at once, to one who reads at leisure. */
Test(responder, big)
{
	static char got[BIG_BYTES + 4096];
	char line[16], *body;
	size_t n = 0;
	bool closed = false;
	int asked, fd;

	open_all(&asked);
	fd = caller();
	say(fd, GET("/big") GET("/hello?after"),
	    strlen(GET("/big") GET("/hello?after")));
	turns(20);
	cr_assert_eq(asked, 1, "nothing else while it is being written");
	while (n < BIG_BYTES && !closed)
		n += hear(fd, got + n, 100000, &closed);
	n += hear(fd, got + n, sizeof(got) - n - 1, &closed);
	body = strstr(got, "\r\n\r\n") + 4;
	for (int i = 0; i < BIG_BYTES / 8; i++) {
		snprintf(line, sizeof(line), "%07d\n", i);
		cr_assert_eq(memcmp(body + i * 8, line, 8), 0);
	}
	cr_assert_not_null(strstr(body + BIG_BYTES, "hello after\n"));
	cr_assert(!closed);
	close(fd);

	/* Who leaves in the middle costs nothing. */
	fd = caller();
	say(fd, GET("/big"), strlen(GET("/big")));
	turns(3);
	close(fd);
	turns(3);
	close_all();
}

/* ---- an answer in pieces */

#define CHUNKS "2\r\n0\n\r\n2\r\n2\n\r\n2\r\n4\n\r\n2\r\n6\n\r\n0\r\n\r\n"

Test(responder, pieces)
{
	static const struct {
		const char	*request, *body;
		bool		 closes;
	} cases[] = {
		{ GET("/pieces"), CHUNKS, false },
		{ GET("/pieces?late"), CHUNKS, false },
		{ "GET /pieces HTTP/1.0\r\n\r\n", "0\n2\n4\n6\n", true },
		{ "GET /pieces HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
		    "0\n2\n4\n6\n", true },
		{ "GET /pieces HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
		    "\r\n", CHUNKS, true },
		/* The next has its length again, and a refusal too. */
		{ GET("/pieces") GET("/hello"), CHUNKS "HTTP/1.1 200 OK\r\n"
		    "Content-Type: text/plain; charset=utf-8\r\n"
		    "Content-Length: 7\r\nCache-Control: no-store\r\n\r\n"
		    "hello \n", false },
		{ GET("/pieces") "POST / HTTP/1.1\r\nHost: x\r\n\r\n",
		    CHUNKS "HTTP/1.1 405 Method Not Allowed\r\n"
		    "Content-Type: text/plain; charset=utf-8\r\n"
		    "Content-Length: 19\r\nCache-Control: no-store\r\n"
		    "Allow: GET\r\nConnection: close\r\n\r\n"
		    "Method Not Allowed\n", true },
	};
	char got[4096], *body;
	bool closed;
	int asked;

	open_all(&asked);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ask(cases[i].request, got, sizeof(got) - 1, &closed);
		body = strstr(got, "\r\n\r\n");
		cr_assert_not_null(body, "case %zu", i);
		cr_expect_str_eq(body + 4, cases[i].body, "case %zu", i);
		cr_expect_eq(closed, cases[i].closes, "case %zu", i);
		*body = '\0';
		cr_expect_null(strstr(got, "Content-Length"), "case %zu", i);
		cr_expect_eq(strstr(got, "chunked") != NULL,
		    cases[i].body[1] == '\r', "case %zu", i);
		cr_expect_eq(ended_n, (int)i + 1, "case %zu", i);
	}
	close_all();
}

Test(responder, pieces_take_turns)
{
	int asked, fd;

	open_all(&asked);
	fd = caller();
	say(fd, GET("/pieces"), strlen(GET("/pieces")));
	for (int i = 0; i < 2 * PIECES; i++) {
		turns(1);
		cr_assert_leq(pieces_n, 2 + i);
	}
	cr_assert_eq(ended_n, 1);
	close(fd);
	close_all();
}

/* Others are served between two pieces, and no piece is made before the one
 * before it is gone. */
Test(responder, pieces_wait)
{
	static char got[PIECES * PIECE_BYTES];
	bool closed = false;
	int asked, reader, other;
	size_t n = 0;

	pieces_big = true;
	open_all(&asked);
	reader = caller();
	other = caller();
	say(reader, GET("/pieces"), strlen(GET("/pieces")));
	turns(50);
	cr_assert_lt(pieces_n, 3, "%d, and nobody reads", pieces_n);
	say(other, GET("/hello"), strlen(GET("/hello")));
	hear(other, got, sizeof(got) - 1, &closed);
	cr_assert_not_null(strstr(got, "hello"));
	while (ended_n == 0 && !closed)
		n += hear(reader, got, 50000, &closed);
	n += hear(reader, got, sizeof(got) - 1, &closed);
	cr_assert_gt(n, 4 * PIECE_BYTES);
	cr_assert_not_null(strstr(got, "\r\n0\r\n\r\n"));
	cr_assert(!closed);

	/* Who leaves, or does not read for 10 s, ends it, and so does our
	 * own end. */
	say(reader, GET("/pieces"), strlen(GET("/pieces")));
	turns(3);
	close(reader);
	turns(3);
	cr_assert_eq(ended_n, 2);
	say(other, GET("/pieces"), strlen(GET("/pieces")));
	turns(3);
	skipped_ms += 11000;
	turns(3);
	cr_assert_eq(ended_n, 3);
	close(other);
	other = caller();
	say(other, GET("/pieces"), strlen(GET("/pieces")));
	turns(3);
	close_all();
	cr_assert_eq(ended_n, 4);
	close(other);
}

Test(responder, seats)
{
	char got[4096];
	int fds[20], asked;
	bool closed;

	open_all(&asked);
	for (int i = 0; i < 20; i++) {
		fds[i] = caller();
		say(fds[i], GET("/hello"), strlen(GET("/hello")));
	}
	turns(5);
	cr_assert_eq(asked, 16);
	for (int i = 0; i < 4; i++) {
		close(fds[i]);
		turns(2);
	}
	cr_assert_eq(asked, 20, "those who waited got the free seats");
	for (int i = 4; i < 20; i++) {
		hear(fds[i], got, sizeof(got) - 1, &closed);
		cr_assert_not_null(strstr(got, "hello"), "%d", i);
		close(fds[i]);
	}
	turns(3);
	close_all();
}

Test(responder, deadlines)
{
	static char got[BIG_BYTES + 4096];
	int idle, begun, busy, deaf, asked;
	bool closed;

	open_all(&asked);
	idle = caller();
	begun = caller();
	say(begun, "GET /hel", 8);
	deaf = caller();
	say(deaf, GET("/big"), strlen(GET("/big")));
	busy = caller();
	turns(3);
	skipped_ms += 9000;
	say(busy, GET("/hello"), strlen(GET("/hello")));
	turns(3);
	hear(idle, got, sizeof(got) - 1, &closed);
	cr_assert(!closed, "not before its time");
	skipped_ms += 1500;
	turns(3);
	hear(idle, got, sizeof(got) - 1, &closed);
	cr_assert(closed);
	cr_assert_str_eq(got, "");
	hear(begun, got, sizeof(got) - 1, &closed);
	cr_assert(closed);
	cr_assert_not_null(strstr(got, "408 Request Timeout"));
	hear(deaf, got, sizeof(got) - 1, &closed);
	cr_assert(closed);
	cr_assert_lt(strlen(got), BIG_BYTES);
	hear(busy, got, sizeof(got) - 1, &closed);
	cr_assert(!closed, "its answer gave it another 10 s");
	cr_assert_not_null(strstr(got, "hello"));
	close(idle);
	close(begun);
	close(deaf);
	close(busy);
	turns(2);
	close_all();
}
