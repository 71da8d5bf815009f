/*
 * t/bench/gload.c - a load generator that costs a quarter of h2load, so that
 * the proxy is what is full: C connections with S unary gRPC calls open on
 * each, a message of 100 bytes both ways, each answer checked.
 *
 *   gload [-c C] [-s S] [-t SECONDS | -n CALLS] [-w WARM] [-m BYTES] [-x] PORT
 *
 *   connect ─> warm up ─> idle: "ready", waits for a line ─> run ─> idle: JSON
 *
 * Whoever reads the proxy's CPU does so twice while nothing is under way:
 * after "ready" and after the JSON line. No call is half counted.
 *
 * Headers are what a gRPC client sends: in the table from the second call on,
 * one byte each. -x adds three that change with every call (grpc-timeout,
 * x-request-id, traceparent). An answer is right when :status is 200, the
 * message has all its bytes and grpc-status is 0; one wrong answer and the
 * exit code is 2.
 *
 * Source: RFC 9113, gRPC over HTTP2. Test: t/bench/selftest.py.
 */
#include "t/bench/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 256, STALL_MS = 10000, SEEN_STATUS = 1, SEEN_GRPC = 2 };

static const struct expected answer[EXPECTED_MAX] = {
	{ ":status", "200" }, { "grpc-status", "0" },
};

struct load {
	int		 epoll_fd;
	int		 connections;
	uint32_t	 streams;
	uint32_t	 message_bytes;
	uint32_t	 message_len;		/* with its prefix */
	bool		 changing;		/* -x */
	uint16_t	 port;
	uint8_t		 message[PREFIX_BYTES + MESSAGE_BYTES_MAX];

	bool		 started;		/* calls may be begun */
	uint64_t	 left;			/* calls that may be begun */
	uint64_t	 open;			/* begun, not ended */
	uint64_t	 calls;			/* ended, right or wrong */
	uint64_t	 errors;
	char		 error[160];		/* of the first */
};

struct client {
	struct load	*load;
	struct wire	*wire;
	uint32_t	 next;			/* stream */
	uint64_t	 begun;
	uint8_t		 block[BLOCK_BYTES_MAX];/* from the second call on */
	size_t		 block_len;
};

static void
fail(struct load *l, uint32_t stream, const char *what)
{
	if (l->errors++ == 0)
		snprintf(l->error, sizeof l->error, "stream %u: %s", stream,
		    what);
}

/* The static headers of a call; the first call puts them into the table, then
 * entry 62 is the last that was put. Returns the bytes. */
static size_t
put_headers(uint8_t *p, bool first, bool no_table)
{
	static const struct {
		uint8_t	name_index;
		const char *name, *value;
	} rows[] = {
		{ 4, ":path", WIRE_PATH }, { 1, ":authority", "bench.local" },
		{ 31, "content-type", "application/grpc" },
		{ 58, "user-agent", "grpc-bench/1.0" },
		{ 0, "te", "trailers" },
		{ 0, "grpc-accept-encoding", "identity,deflate,gzip" },
	};
	const int n = sizeof rows / sizeof rows[0];
	size_t at = 0;
	int i;

	if (first && no_table)
		p[at++] = 0x20;		/* RFC 7541 6.3: size 0 from here */
	p[at++] = 0x83;			/* :method POST */
	p[at++] = 0x86;			/* :scheme http */
	for (i = 0; i < n; i++) {
		if (!first && !no_table)
			p[at++] = (uint8_t)(0x80 | (62 + n - 1 - i));
		else
			at += block_put_literal(p + at, !no_table,
			    no_table && rows[i].name_index > 14 ? 0 :
			    rows[i].name_index, rows[i].name, rows[i].value);
	}
	return at;
}

/* Three headers that differ in every call. */
static size_t
put_changing(uint8_t *p, const struct client *c)
{
	char id[40], parent[64], timeout[16];
	unsigned long long n = c->begun;
	size_t at = 0;

	snprintf(id, sizeof id, "%08x-bench-%016llx", c->next, n * 2654435761u);
	snprintf(parent, sizeof parent, "00-%016llx%016llx-%016llx-01", n + 1,
	    n * 40503, n + 7);
	snprintf(timeout, sizeof timeout, "%uu",
	    9000000 + (unsigned)(n % 999983));
	at += block_put_literal(p + at, false, 0, "grpc-timeout", timeout);
	at += block_put_literal(p + at, false, 0, "x-request-id", id);
	at += block_put_literal(p + at, false, 0, "traceparent", parent);
	return at;
}

static void
begin_call(struct client *c)
{
	struct load *l = c->load;
	uint8_t block[2 * BLOCK_BYTES_MAX], *p;
	size_t len = c->block_len;

	if (c->begun == 0)
		len = put_headers(block, true, c->wire->no_table);
	else
		memcpy(block, c->block, len);
	if (l->changing)
		len += put_changing(block + len, c);
	p = wire_room(c->wire, 2 * HEAD_BYTES + len + l->message_len);
	wire_put_head(p, (uint32_t)len, FRAME_HEADERS, FLAG_END_HEADERS,
	    c->next);
	memcpy(p + HEAD_BYTES, block, len);
	p += HEAD_BYTES + len;
	wire_put_head(p, l->message_len, FRAME_DATA, FLAG_END_STREAM, c->next);
	memcpy(p + HEAD_BYTES, l->message, l->message_len);
	stream_new(&c->wire->streams, c->next);
	c->wire->window -= l->message_len;
	c->next += 2;
	c->begun++;
	l->open++;
	l->left--;
}

/* As many calls as the limits let us have open. */
static void
begin_calls(struct client *c)
{
	struct wire *w = c->wire;
	struct load *l = c->load;

	if (!l->started || !w->settled)
		return;
	if (w->stream_window < l->message_len)
		wire_die("the peer's stream window is smaller than a message");
	while (l->left > 0 && w->streams.n < l->streams &&
	    w->streams.n < w->streams_max && w->window >= l->message_len)
		begin_call(c);
}

static void
end_call(struct client *c, struct stream *s)
{
	if (s->bad || s->got != c->load->message_len)
		fail(c->load, s->id, "the message is not the one awaited");
	else if ((s->seen & SEEN_STATUS) == 0)
		fail(c->load, s->id, ":status is not 200");
	else if ((s->seen & SEEN_GRPC) == 0)
		fail(c->load, s->id, "grpc-status is not 0");
	c->load->calls++;
	c->load->open--;
	stream_free(&c->wire->streams, s);
}

static int
take_headers(struct client *c, struct stream *s, const struct frame *f)
{
	int seen = wire_judge(c->wire, f, answer);

	if (seen == -1)
		return -1;
	if (s != NULL)
		s->seen |= (uint32_t)seen;
	return 0;
}

static int
take_frame(void *user, const struct frame *f)
{
	struct client *c = user;
	struct stream *s = stream_find(&c->wire->streams, f->stream);

	if (f->type == FRAME_HEADERS && take_headers(c, s, f) == -1)
		return -1;
	if (s == NULL)
		return 0;
	if (f->type == FRAME_RESET) {
		fail(c->load, f->stream, "reset");
		s->bad = true;
		c->load->calls++;
		c->load->open--;
		stream_free(&c->wire->streams, s);
	} else if (f->type == FRAME_DATA || f->type == FRAME_HEADERS) {
		if (f->type == FRAME_DATA)
			stream_data(s, f->body, f->len, c->load->message,
			    c->load->message_len);
		if (f->flags & FLAG_END_STREAM)
			end_call(c, s);
	}
	return 0;
}

static void
client_open(struct load *l, struct client *c)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
	    .sin_port = htons(l->port) };
	struct epoll_event e = { .events = EPOLLIN | EPOLLOUT | EPOLLET,
	    .data.ptr = c };
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd == -1 || connect(fd, (struct sockaddr *)&a, sizeof a) == -1)
		wire_die("connect to port %u: %s", l->port, strerror(errno));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	c->load = l;
	c->next = 1;
	c->wire = wire_new(fd, true);
	if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &e) == -1)
		wire_die("epoll_ctl: %s", strerror(errno));
}

static void
client_flush(struct client *c)
{
	const char *why;

	if (c->wire->out_pos < c->wire->out_end &&
	    wire_flush(c->wire, &why) == -1)
		wire_die("%s", why);
}

static void
client_turn(struct client *c, uint32_t events)
{
	const char *why = NULL;

	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR) &&
	    wire_read(c->wire, take_frame, c, &why) == -1)
		wire_die("%s, with %u calls open on the connection", why,
		    c->wire->streams.n);
	if (c->begun == 0 && c->wire->settled)
		c->block_len = put_headers(c->block, false,
		    c->wire->no_table);
	begin_calls(c);
	client_flush(c);
}

static void
turn(struct load *l)
{
	struct epoll_event events[EVENTS];
	int i, n;

	n = epoll_wait(l->epoll_fd, events, EVENTS, STALL_MS);
	if (n == 0)
		wire_die("nothing came for %d s, %llu calls are open",
		    STALL_MS / 1000, (unsigned long long)l->open);
	for (i = 0; i < n; i++)
		client_turn(events[i].data.ptr, events[i].events);
}

/* Begins calls for so long or so many, and returns when the last has ended. */
static void
run(struct load *l, struct client *clients, double seconds, uint64_t calls)
{
	double end = wire_now() + seconds;
	int i;

	l->left = calls > 0 ? calls : UINT64_MAX;
	l->started = true;
	l->calls = 0;
	for (i = 0; i < l->connections; i++) {
		begin_calls(&clients[i]);
		client_flush(&clients[i]);
	}
	while (l->open > 0 || l->left > 0) {
		turn(l);
		if (calls == 0 && wire_now() >= end)
			l->left = 0;
	}
	l->started = false;
}

static void
settle(struct load *l, struct client *clients)
{
	int i;

	for (i = 0; i < l->connections; i++) {
		client_open(l, &clients[i]);
		client_flush(&clients[i]);
	}
	for (i = 0; i < l->connections; i++)
		while (!clients[i].wire->settled)
			turn(l);
}

static void
measure(struct load *l, struct client *clients, double seconds,
    uint64_t calls)
{
	double begun, cpu, took;
	char line[16];

	puts("ready");
	fflush(stdout);
	if (fgets(line, sizeof line, stdin) == NULL)
		wire_die("no line came on standard input");
	begun = wire_now();
	cpu = wire_cpu();
	run(l, clients, seconds, calls);
	took = wire_now() - begun;
	printf("{\"calls\": %llu, \"errors\": %llu, \"seconds\": %.6f, "
	    "\"cpu_seconds\": %.6f, \"first_error\": \"%s\"}\n",
	    (unsigned long long)l->calls, (unsigned long long)l->errors, took,
	    wire_cpu() - cpu, l->error);
	fflush(stdout);
}

int
main(int argc, char **argv)
{
	static struct load l = { .connections = 10, .streams = 10,
	    .message_bytes = 100 };
	double seconds = 1, warm = 0.2;
	struct client *clients;
	uint64_t calls = 0;
	int option;

	while ((option = getopt(argc, argv, "c:s:t:n:w:m:x")) != -1)
		switch (option) {
		case 'c': l.connections = atoi(optarg); break;
		case 's': l.streams = (uint32_t)atoi(optarg); break;
		case 't': seconds = atof(optarg); break;
		case 'n': calls = strtoull(optarg, NULL, 10); break;
		case 'w': warm = atof(optarg); break;
		case 'm': l.message_bytes = (uint32_t)atoi(optarg); break;
		case 'x': l.changing = true; break;
		default: wire_die("usage: gload [-c CONNECTIONS] "
		    "[-s STREAMS] [-t SECONDS | -n CALLS] [-w WARM_SECONDS] "
		    "[-m BYTES] [-x] PORT");
		}
	if (optind + 1 != argc || l.connections < 1 || l.streams < 1 ||
	    l.message_bytes > MESSAGE_BYTES_MAX)
		wire_die("gload: a port is missing or a number is wrong");
	l.port = (uint16_t)atoi(argv[optind]);
	l.message_len = PREFIX_BYTES + l.message_bytes;
	wire_put_message(l.message, l.message_bytes);
	l.epoll_fd = epoll_create1(0);
	clients = calloc((size_t)l.connections, sizeof *clients);
	if (l.epoll_fd == -1 || clients == NULL)
		wire_die("no memory or no epoll");
	settle(&l, clients);
	if (warm > 0)
		run(&l, clients, warm, 0);
	measure(&l, clients, seconds, calls);
	for (int i = 0; i < l.connections; i++)
		wire_free(clients[i].wire);
	free(clients);
	return l.errors > 0 ? 2 : 0;
}
