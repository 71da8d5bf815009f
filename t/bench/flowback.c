/*
 * t/bench/flowback.c - the service of the flow bench: answers each request
 * with as many bytes as its path asks for, however slowly they are taken.
 *
 *   flowback PORT           0 = any; prints "port N", then serves
 *
 *   HEADERS(:path /any.Service/800000) .. END_STREAM
 *       ─> HEADERS  DATA 800000 bytes  HEADERS(grpc-status 0)
 *
 * Streams of a connection take turns as nghttp2 lets them. What it is sent it
 * takes at once. Source: RFC 9113. Test: t/bench/flow.py.
 */
#include "t/bench/talk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { EVENTS = 256, WINDOW = 1 << 30 };

struct answer {
	size_t		 left;		/* talk_zeros looks here */
};

static int
on_begin_headers(nghttp2_session *s, const nghttp2_frame *frame, void *arg)
{
	struct answer *a = calloc(1, sizeof *a);

	(void)arg;
	if (a == NULL)
		talk_die("out of memory");
	nghttp2_session_set_stream_user_data(s, frame->hd.stream_id, a);
	return 0;
}

static int
on_header(nghttp2_session *s, const nghttp2_frame *frame, const uint8_t *name,
    size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
    void *arg)
{
	struct answer *a = nghttp2_session_get_stream_user_data(s,
	    frame->hd.stream_id);
	const char *last;

	(void)flags;
	(void)arg;
	if (a == NULL || name_len != 5 || memcmp(name, ":path", 5) != 0)
		return 0;
	last = memrchr(value, '/', value_len);	/* nghttp2 ends it with a 0 */
	if (last != NULL)
		a->left = strtoul(last + 1, NULL, 10);
	return 0;
}

/* The bytes, and trailers after them. */
static ssize_t
body(nghttp2_session *session, int32_t id, uint8_t *to, size_t room,
    uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	static const nghttp2_nv good[] = { TALK_HEADER("grpc-status", "0") };
	ssize_t n = talk_zeros(session, id, to, room, flags, source, arg);

	if (*flags & NGHTTP2_DATA_FLAG_EOF) {
		*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
		nghttp2_submit_trailer(session, id, good, 1);
	}
	return n;
}

static int
on_frame_recv(nghttp2_session *s, const nghttp2_frame *frame, void *arg)
{
	static const nghttp2_nv head[] = {
		TALK_HEADER(":status", "200"),
		TALK_HEADER("content-type", "application/grpc"),
	};
	nghttp2_data_provider from = { .read_callback = body };

	(void)arg;
	if ((frame->hd.type != NGHTTP2_DATA &&
	    frame->hd.type != NGHTTP2_HEADERS) ||
	    !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
		return 0;
	from.source.ptr = nghttp2_session_get_stream_user_data(s,
	    frame->hd.stream_id);
	return nghttp2_submit_response(s, frame->hd.stream_id, head, 2, &from);
}

static int
on_close(nghttp2_session *s, int32_t id, uint32_t code, void *arg)
{
	(void)code;
	(void)arg;
	free(nghttp2_session_get_stream_user_data(s, id));
	return 0;
}

static nghttp2_session_callbacks *
callbacks(void)
{
	nghttp2_session_callbacks *c;

	if (nghttp2_session_callbacks_new(&c) != 0)
		talk_die("out of memory");
	nghttp2_session_callbacks_set_on_begin_headers_callback(c,
	    on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(c, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame_recv);
	nghttp2_session_callbacks_set_on_stream_close_callback(c, on_close);
	return c;
}

static void
welcome(int epoll_fd, int listen_fd, nghttp2_session_callbacks *c)
{
	nghttp2_session *session;
	int fd;

	while ((fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		if (nghttp2_session_server_new(&session, c, NULL) != 0)
			talk_die("out of memory");
		talk_new(epoll_fd, fd, session, WINDOW);
	}
}

int
main(int argc, char **argv)
{
	nghttp2_session_callbacks *c = callbacks();
	struct epoll_event at[EVENTS], e = { .events = EPOLLIN };
	int epoll_fd = epoll_create1(EPOLL_CLOEXEC), listen_fd, n;
	uint16_t port;

	if (argc != 2)
		talk_die("usage: flowback PORT");
	listen_fd = talk_listen((uint16_t)atoi(argv[1]), &port);
	epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listen_fd, &e);
	printf("port %u\n", port);
	fflush(stdout);
	while ((n = epoll_wait(epoll_fd, at, EVENTS, -1)) >= 0 ||
	    errno == EINTR)
		for (int i = 0; i < n; i++)
			if (at[i].data.ptr == NULL)
				welcome(epoll_fd, listen_fd, c);
			else if (!talk_step(at[i].data.ptr))
				talk_free(at[i].data.ptr);
	return 1;
}
