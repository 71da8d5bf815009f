/*
 * t/bench/rawback.c - a gRPC backend that costs next to nothing: it answers
 * each whole request with the message it came with, all answers of one read
 * in one send.
 *
 *   rawback [-m BYTES] PORT        0 = any; prints "port N", then serves
 *
 *   HEADERS  DATA..END_STREAM  ─>  HEADERS  DATA  HEADERS(grpc-status 0)
 *
 * A request whose method, path, content-type, te or bytes are not what gload
 * sent is answered by grpc-status 13, which gload counts as an error: so a
 * proxy that breaks requests is seen.
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

enum { EVENTS = 256, SEEN_ALL = 0xf };

static const struct expected request[EXPECTED_MAX] = {
	{ ":method", "POST" }, { ":path", WIRE_PATH },
	{ "content-type", "application/grpc" }, { "te", "trailers" },
};

struct back {
	int		 epoll_fd;
	int		 listen_fd;
	uint32_t	 message_len;
	uint8_t		 message[PREFIX_BYTES + MESSAGE_BYTES_MAX];
};

struct waiting {			/* an answer without credit */
	uint32_t	 stream;
	bool		 right;
};

struct server {
	struct back	*back;
	struct wire	*wire;
	uint64_t	 answered;
	struct waiting	*waiting;	/* [first, n) wait for credit */
	size_t		 waiting_first, waiting_n, waiting_size;
};

/* The first answer puts three headers into the table: content-type is 64,
 * grpc-status 0 is 63, grpc-message is 62 from then on. */
static size_t
put_block(uint8_t *p, const struct wire *w, bool first, const char *status)
{
	bool indexed = !w->no_table;
	size_t at = 0;

	if (status == NULL) {
		if (first && w->no_table)
			p[at++] = 0x20;
		p[at++] = 0x88;			/* :status 200 */
		if (!first && indexed) {
			p[at++] = 0x80 | 64;
			return at;
		}
		return at + block_put_literal(p + at, indexed,
		    indexed ? 31 : 0, "content-type", "application/grpc");
	}
	if (status[0] != '0' || (!indexed && !first))
		return block_put_literal(p, false, 0, "grpc-status", status);
	if (!first) {
		p[0] = 0x80 | 63;
		p[1] = 0x80 | 62;
		return 2;
	}
	at = block_put_literal(p, indexed, 0, "grpc-status", "0");
	return at + block_put_literal(p + at, indexed, 0, "grpc-message", "");
}

static void
answer(struct server *s, uint32_t stream, bool right)
{
	uint8_t head[BLOCK_BYTES_MAX], tail[BLOCK_BYTES_MAX], *p;
	uint32_t len = s->back->message_len;
	bool first = s->answered == 0;
	size_t head_len, tail_len;

	head_len = put_block(head, s->wire, first, NULL);
	tail_len = put_block(tail, s->wire, first, right ? "0" : "13");
	p = wire_room(s->wire, 3 * HEAD_BYTES + head_len + len + tail_len);
	wire_put_head(p, (uint32_t)head_len, FRAME_HEADERS, FLAG_END_HEADERS,
	    stream);
	memcpy(p + HEAD_BYTES, head, head_len);
	p += HEAD_BYTES + head_len;
	wire_put_head(p, len, FRAME_DATA, 0, stream);
	memcpy(p + HEAD_BYTES, s->back->message, len);
	p += HEAD_BYTES + len;
	wire_put_head(p, (uint32_t)tail_len, FRAME_HEADERS,
	    FLAG_END_HEADERS | FLAG_END_STREAM, stream);
	memcpy(p + HEAD_BYTES, tail, tail_len);
	s->wire->window -= len;
	/* A wrong first answer put nothing into the table that counts. */
	s->answered += right;
}

static void
wait_for_credit(struct server *s, uint32_t stream, bool right)
{
	if (s->waiting_n == s->waiting_size) {
		s->waiting_size = s->waiting_size ? 2 * s->waiting_size : 64;
		s->waiting = realloc(s->waiting,
		    s->waiting_size * sizeof *s->waiting);
		if (s->waiting == NULL)
			wire_die("out of memory");
	}
	s->waiting[s->waiting_n++] = (struct waiting){ stream, right };
}

static void
answer_waiting(struct server *s)
{
	struct waiting *q;

	while (s->waiting_first < s->waiting_n &&
	    s->wire->window >= s->back->message_len) {
		q = &s->waiting[s->waiting_first++];
		answer(s, q->stream, q->right);
	}
	if (s->waiting_first == s->waiting_n)
		s->waiting_first = s->waiting_n = 0;
}

static void
end_request(struct server *s, struct stream *t)
{
	bool right = !t->bad && t->seen == SEEN_ALL &&
	    t->got == s->back->message_len;

	if (s->wire->stream_window < s->back->message_len)
		wire_die("the peer's stream window is smaller than a message");
	if (s->waiting_n > 0 || s->wire->window < s->back->message_len)
		wait_for_credit(s, t->id, right);
	else
		answer(s, t->id, right);
	stream_free(&s->wire->streams, t);
}

static int
take_frame(void *user, const struct frame *f)
{
	struct server *s = user;
	struct stream *t = stream_find(&s->wire->streams, f->stream);
	int seen = 0;

	if (f->type == FRAME_WINDOW)
		answer_waiting(s);
	if (f->type == FRAME_HEADERS) {
		seen = wire_judge(s->wire, f, request);
		if (seen == -1)
			return -1;
		if (t == NULL)
			t = stream_new(&s->wire->streams, f->stream);
		t->seen |= (uint32_t)seen;
	}
	if (t == NULL)
		return 0;
	if (f->type == FRAME_DATA)
		stream_data(t, f->body, f->len, s->back->message,
		    s->back->message_len);
	if (f->type == FRAME_RESET)
		stream_free(&s->wire->streams, t);
	else if ((f->type == FRAME_DATA || f->type == FRAME_HEADERS) &&
	    f->flags & FLAG_END_STREAM)
		end_request(s, t);
	return 0;
}

static void
server_close(struct server *s)
{
	wire_free(s->wire);
	free(s->waiting);
	free(s);
}

static void
server_turn(struct server *s, uint32_t events)
{
	const char *why;

	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR) &&
	    wire_read(s->wire, take_frame, s, &why) == -1) {
		server_close(s);
		return;
	}
	if (wire_flush(s->wire, &why) == -1)
		server_close(s);
}

static void
server_accept(struct back *b)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLOUT | EPOLLET };
	struct server *s;
	int fd, on = 1;

	while ((fd = accept4(b->listen_fd, NULL, NULL, SOCK_NONBLOCK)) != -1) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
		s = calloc(1, sizeof *s);
		if (s == NULL)
			wire_die("out of memory");
		s->back = b;
		s->wire = wire_new(fd, false);
		e.data.ptr = s;
		if (epoll_ctl(b->epoll_fd, EPOLL_CTL_ADD, fd, &e) == -1)
			wire_die("epoll_ctl: %s", strerror(errno));
	}
}

static void
listen_on(struct back *b, uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
	    .sin_port = htons(port) };
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = NULL };
	socklen_t a_len = sizeof a;
	int on = 1;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	b->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	setsockopt(b->listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(b->listen_fd, (struct sockaddr *)&a, sizeof a) == -1 ||
	    listen(b->listen_fd, 1024) == -1 ||
	    getsockname(b->listen_fd, (struct sockaddr *)&a, &a_len) == -1)
		wire_die("port %u: %s", port, strerror(errno));
	b->epoll_fd = epoll_create1(0);
	if (b->epoll_fd == -1 ||
	    epoll_ctl(b->epoll_fd, EPOLL_CTL_ADD, b->listen_fd, &e) == -1)
		wire_die("epoll: %s", strerror(errno));
	printf("port %u\n", ntohs(a.sin_port));
	fflush(stdout);
}

int
main(int argc, char **argv)
{
	static struct back b;
	struct epoll_event events[EVENTS];
	uint32_t message_bytes = 100;
	int i, n, option;

	while ((option = getopt(argc, argv, "m:")) != -1)
		if (option == 'm')
			message_bytes = (uint32_t)atoi(optarg);
	if (optind + 1 != argc || message_bytes > MESSAGE_BYTES_MAX)
		wire_die("usage: rawback [-m BYTES] PORT");
	b.message_len = PREFIX_BYTES + message_bytes;
	wire_put_message(b.message, message_bytes);
	listen_on(&b, (uint16_t)atoi(argv[optind]));
	for (;;) {
		n = epoll_wait(b.epoll_fd, events, EVENTS, -1);
		for (i = 0; i < n; i++)
			if (events[i].data.ptr == NULL)
				server_accept(&b);
			else
				server_turn(events[i].data.ptr,
				    events[i].events);
	}
}
