/* t/bench/talk.c - see talk.h. */
#include "t/bench/talk.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_BYTES = 65536, STREAMS_MAX = 100000 };

void
talk_die(const char *why)
{
	fprintf(stderr, "%s: %s\n", program_invocation_short_name, why);
	exit(1);
}

static struct sockaddr_in
loopback(uint16_t port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
	    .sin_port = htons(port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

int
talk_connect(uint16_t port)
{
	struct sockaddr_in to = loopback(port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
		talk_die("can't connect to the port given");
	return fd;
}

int
talk_listen(uint16_t port, uint16_t *bound)
{
	struct sockaddr_in at = loopback(port);
	socklen_t len = sizeof at;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, len) != 0 ||
	    listen(fd, 128) != 0 ||
	    getsockname(fd, (struct sockaddr *)&at, &len) != 0)
		talk_die("can't listen at the port given");
	*bound = ntohs(at.sin_port);
	return fd;
}

struct talk *
talk_new(int epoll_fd, int fd, nghttp2_session *session, uint32_t window)
{
	nghttp2_settings_entry say[] = {
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, STREAMS_MAX },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window },
	};
	struct talk *t = calloc(1, sizeof *t);
	struct epoll_event e = { .events = EPOLLIN | EPOLLOUT | EPOLLET,
	    .data.ptr = t };
	int yes = 1;

	if (t == NULL)
		talk_die("out of memory");
	*t = (struct talk){ .fd = fd, .epoll_fd = epoll_fd,
	    .session = session };
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e) != 0 ||
	    nghttp2_submit_settings(session, 0, say, 2) != 0 ||
	    nghttp2_session_set_local_window_size(session, 0, 0,
	    (int32_t)window) != 0)
		talk_die("can't begin a connection");
	return t;
}

void
talk_free(struct talk *t)
{
	nghttp2_session_del(t->session);
	close(t->fd);
	free(t);
}

static bool
take_in(struct talk *t)
{
	static uint8_t bytes[READ_BYTES];
	ssize_t n;

	while (!t->deaf && (n = recv(t->fd, bytes, sizeof bytes, 0)) != 0) {
		if (n < 0)
			return errno == EAGAIN;
		if (nghttp2_session_mem_recv(t->session, bytes,
		    (size_t)n) != n)
			return false;
	}
	return t->deaf;
}

static bool
give_out(struct talk *t)
{
	ssize_t n;

	for (;;) {
		if (t->rest_len == 0) {
			n = nghttp2_session_mem_send(t->session, &t->rest);
			if (n <= 0)
				return n == 0;
			t->rest_len = (size_t)n;
		}
		n = send(t->fd, t->rest, t->rest_len, MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN;
		t->rest += n;
		t->rest_len -= (size_t)n;
	}
}

bool
talk_step(struct talk *t)
{
	return take_in(t) && give_out(t);
}

ssize_t
talk_zeros(nghttp2_session *session, int32_t id, uint8_t *to, size_t room,
    uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	size_t *left = source->ptr, n = *left < room ? *left : room;

	(void)session;
	(void)id;
	(void)to;
	(void)arg;
	*left -= n;
	if (*left == 0)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}
