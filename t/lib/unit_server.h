/*
 * t/lib/unit_server.h - for unit tests: three HTTP/2 servers in the loop of who
 * calls them, over loopback. The kernel is Linux's; clock and chance are the
 * test's, which has a status() with the reason that UNTIL shows.
 */
#ifndef T_LIB_UNIT_SERVER_H
#define T_LIB_UNIT_SERVER_H

#include "worker/io/conn.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	TURNS_MAX = 2000, WAIT_MS = 5, CONNS_MAX = 64, TEXT_BYTES = 4096,
};

static struct {
	struct sys	*kernel, sys;
	struct loop	 loop;
	struct io	 io;
	int64_t		 now_ns;
	uint64_t	 chance;
} ours;

static struct mono
clock_of_test(void *ctx)
{
	(void)ctx;
	return (struct mono){ ours.now_ns };
}

static uint64_t
chance_of_test(void *ctx)
{
	(void)ctx;
	return ours.chance;
}

/* ---- servers ---- */

struct server {
	struct source	 source;
	int		 fd;		/* -1: nobody listens */
	struct sockaddr_storage address;
	struct tls_context *tls;
	bool		 deaf;		/* accepts and says nothing */
	int		 deaf_fds[CONNS_MAX], accepted_n;
	struct call	*call;		/* the last one */
	uint32_t	 streams_n;
};

struct call {
	struct h2_stream stream;	/* first */
	struct conn	 conn;
	struct server	*server;
	char		 head[TEXT_BYTES], got[TEXT_BYTES];
	size_t		 got_n, sent_bytes;
	bool		 open, answered, closed;
};

static struct server servers[3];
static struct call calls[CONNS_MAX];
static int calls_n;

static struct call *
call_of(struct h2_stream *s)
{
	return (struct call *)(void *)s;
}

static struct h2_stream *
call_begins(void *owner)
{
	struct call *c = CONTAINER((struct conn *)owner, struct call, conn);

	c->open = true;
	c->server->call = c;
	c->server->streams_n++;
	return &c->stream;
}

static void
call_headers(struct h2_stream *s, struct headers *h, bool end)
{
	struct call *c = call_of(s);
	size_t n = 0;

	(void)end;
	for (uint32_t i = 0; i < h->n; i++)
		n += (size_t)snprintf(c->head + n, sizeof(c->head) - n,
		    "%.*s=%.*s\n", (int)h->at[i].name_len,
		    (const char *)h->at[i].name, (int)h->at[i].value_len,
		    (const char *)h->at[i].value);
	headers_put(h);
}

static void
call_data(struct h2_stream *s, const uint8_t *p, size_t n)
{
	struct call *c = call_of(s);

	cr_assert_leq(c->got_n + n, sizeof(c->got));
	memcpy(c->got + c->got_n, p, n);
	c->got_n += n;
	h2_consume(s, n);
}

static void
call_end(struct h2_stream *s, struct headers *trailers)
{
	(void)s;
	if (trailers != NULL)
		headers_put(trailers);
}

static void
call_sent(struct h2_stream *s, size_t n)
{
	call_of(s)->sent_bytes += n;
}

static void
call_closed(struct h2_stream *s, enum h2_close why)
{
	(void)why;
	call_of(s)->open = false;
}

static void
owner_nothing(void *owner)
{
	(void)owner;
}

static const struct h2_events call_events = {
	.open = call_begins, .headers = call_headers, .data = call_data,
	.end = call_end, .sent = call_sent, .closed = call_closed,
	.goaway = owner_nothing, .room = owner_nothing, .wake = conn_wake,
};

static void
conn_opens(struct conn *c)
{
	(void)c;
}

static void
conn_closes(struct conn *c)
{
	struct call *call = CONTAINER(c, struct call, conn);

	call->closed = true;
	if (call->server->call == call)
		call->server->call = NULL;
}

static const struct conn_events conn_events = { conn_opens, conn_closes };

static void
call_accept(struct server *s, int fd)
{
	struct conn_settings c = { .h2 = { .server = true,
	    .max_concurrent_streams = 100, .stream_window_bytes = 65535,
	    .connection_window_bytes = 65535, .hpack_table_bytes = 4096,
	    .header_bytes_max = 8192, .header_count_max = 50,
	    .limits = H2_LIMITS_DEFAULT },
	    .h2_events = &call_events, .events = &conn_events,
	    .tls = s->tls };

	cr_assert_lt(calls_n, CONNS_MAX);
	calls[calls_n].server = s;
	conn_accept(&calls[calls_n++].conn, &ours.io, fd, &c);
}

static void
server_ready(struct source *source, uint32_t events)
{
	struct server *s = CONTAINER(source, struct server, source);
	int fd;

	(void)events;
	while ((fd = ours.sys.accept(ours.sys.ctx, s->fd)) >= 0)
		if (s->deaf)
			s->deaf_fds[s->accepted_n++] = fd;
		else
			call_accept(s, fd);
}

/* A port that is nobody's until server_listen; the same again, if it had one. */
static void
server_name(struct server *s)
{
	struct sockaddr_in *in = (void *)&s->address;
	socklen_t len = sizeof(*in);
	const int on = 1;

	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	cr_assert_eq(setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &on,
	    sizeof(on)), 0);
	in->sin_family = AF_INET;
	in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	cr_assert_eq(bind(s->fd, (void *)in, len), 0);
	cr_assert_eq(getsockname(s->fd, (void *)in, &len), 0);
}

static void
server_listen(struct server *s)
{
	cr_assert_eq(listen(s->fd, 16), 0);
	s->source.ready = server_ready;
	cr_assert_eq(loop_watch(&ours.loop, s->fd, &s->source), 0);
}

static void
server_send(struct server *s, const void *p, size_t n)
{
	cr_assert(h2_data(&s->call->stream, p, n));
}

static void
server_block(struct server *s, const char *status, const char *type,
    const char *grpc_status, const char *message, bool end)
{
	struct headers *h = headers_new(&ours.io.mem);

	if (status != NULL)
		headers_add_text(h, ":status", status);
	if (type != NULL)
		headers_add_text(h, "content-type", type);
	if (grpc_status != NULL)
		headers_add_text(h, "grpc-status", grpc_status);
	if (message != NULL)
		headers_add_text(h, "grpc-message", message);
	if (status != NULL)
		cr_assert(h2_answer(&s->call->stream, h, end));
	else
		cr_assert(h2_end(&s->call->stream, h));
	headers_put(h);
}

static void
server_answer(struct server *s)
{
	server_block(s, "200", "application/grpc", NULL, NULL, false);
}

/* ---- turns ---- */

static void
turn(void)
{
	loop_turn(&ours.loop, WAIT_MS);
}

static void
turns(int n)
{
	for (int i = 0; i < n; i++)
		loop_turn(&ours.loop, 0);
}

static void
pass_ms(int64_t ms)
{
	ours.now_ns += ms * 1000000;
	turns(4);
}

#define UNTIL(fact) do { \
	for (int i_ = 0; i_ < TURNS_MAX && !(fact); i_++) \
		turn(); \
	cr_assert(fact, "never: %s (%s)", #fact, status().why); \
} while (0)

/* ---- life ---- */

/* Servers have their ports; who listens is the test's. */
static void
servers_open(void)
{
	ours.now_ns = 1000000000;
	ours.kernel = sys_kernel_new();
	ours.sys = *ours.kernel;
	ours.sys.now = clock_of_test;
	ours.sys.random = chance_of_test;
	loop_init(&ours.loop, &ours.sys);
	cr_assert_eq(io_init(&ours.io, &ours.loop), 0);
	for (int i = 0; i < 3; i++)
		server_name(&servers[i]);
}

static void
servers_close(void)
{
	for (int i = 0; i < calls_n; i++)
		if (!calls[i].closed)
			conn_close(&calls[i].conn);
	for (int i = 0; i < 3; i++) {
		loop_forget(&ours.loop, &servers[i].source);
		close(servers[i].fd);
		for (int j = 0; j < servers[i].accepted_n; j++)
			close(servers[i].deaf_fds[j]);
	}
	cr_assert_eq(ours.io.mem.out_n, 0, "it leaks");
	io_fini(&ours.io);
	sys_kernel_free(ours.kernel);
}

#endif
