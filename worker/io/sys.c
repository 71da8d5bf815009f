/*
 * worker/io/sys.c - struct sys on Linux: epoll, edge-triggered, registered
 * once.
 */
#include "worker/io/sys.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <unistd.h>

enum { EVENTS_MAX = 256 };

struct kernel {
	struct sys	sys;
	int		epoll_fd;
	uint64_t	random;		/* splitmix64's state */
	struct epoll_event events[EVENTS_MAX];
};

/* Nagle off; a unix socket has none. */
static void
no_delay(int fd, sa_family_t family)
{
	int on = 1;

	if (family == AF_INET || family == AF_INET6)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static int
kernel_accept(void *ctx, int listen_fd)
{
	struct sockaddr_storage from = { .ss_family = AF_UNSPEC };
	socklen_t len = sizeof(from);
	int fd = accept4(listen_fd, (struct sockaddr *)&from, &len,
	    SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)ctx;
	if (fd >= 0)
		no_delay(fd, from.ss_family);
	return fd;
}

static int
kernel_peer(void *ctx, int fd, struct sockaddr_storage *to)
{
	socklen_t len = sizeof(*to);

	(void)ctx;
	return getpeername(fd, (struct sockaddr *)to, &len);
}

static int
kernel_connect(void *ctx, const struct sockaddr *to, socklen_t to_len)
{
	int fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK |
	    SOCK_CLOEXEC, 0);
	int error;

	(void)ctx;
	if (fd < 0)
		return -1;
	no_delay(fd, to->sa_family);
	if (connect(fd, to, to_len) == 0 || errno == EINPROGRESS)
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

static int
kernel_connected(void *ctx, int fd)
{
	int error = 0;
	socklen_t len = sizeof(error);

	(void)ctx;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
		return errno;
	return error;
}

static ssize_t
kernel_recv(void *ctx, int fd, void *p, size_t n)
{
	(void)ctx;
	return recv(fd, p, n, 0);
}

static ssize_t
kernel_send(void *ctx, int fd, const void *p, size_t n)
{
	(void)ctx;
	return send(fd, p, n, MSG_NOSIGNAL);
}

static void
kernel_shutdown(void *ctx, int fd)
{
	(void)ctx;
	shutdown(fd, SHUT_WR);
}

/* A watch is the open file's, not the descriptor's: where the keeper or
 * another worker has that file too (a listening socket), to close ours alone
 * would leave it, and later edges would name a source that is gone. */
static void
kernel_close(void *ctx, int fd)
{
	struct kernel *k = ctx;

	(void)epoll_ctl(k->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
	close(fd);
}

static int
kernel_watch(void *ctx, int fd, void *source)
{
	struct kernel *k = ctx;
	struct epoll_event e = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP |
	    EPOLLET, .data.ptr = source };

	return epoll_ctl(k->epoll_fd, EPOLL_CTL_ADD, fd, &e);
}

static int
kernel_wait(void *ctx, struct sys_event *events, int events_max,
    int timeout_ms)
{
	struct kernel *k = ctx;
	int n = epoll_wait(k->epoll_fd, k->events,
	    events_max < EVENTS_MAX ? events_max : EVENTS_MAX, timeout_ms);

	for (int i = 0; i < n; i++) {
		uint32_t e = k->events[i].events;

		events[i].source = k->events[i].data.ptr;
		events[i].events = (e & EPOLLIN ? SYS_READ : 0) |
		    (e & EPOLLOUT ? SYS_WRITE : 0) |
		    (e & (EPOLLRDHUP | EPOLLHUP | EPOLLERR) ? SYS_HANGUP : 0);
	}
	return n;
}

static struct mono
kernel_now(void *ctx)
{
	(void)ctx;
	return clock_now();
}

/* splitmix64: no system call, and never a secret. */
static uint64_t
kernel_random(void *ctx)
{
	struct kernel *k = ctx;
	uint64_t z = k->random += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static void *
kernel_alloc(void *ctx, size_t n)
{
	(void)ctx;
	return calloc(1, n);
}

static void
kernel_free(void *ctx, void *p)
{
	(void)ctx;
	free(p);
}

struct sys *
sys_kernel_new(void)
{
	struct kernel *k = calloc(1, sizeof(*k));

	if (k == NULL)
		return NULL;
	k->sys = (struct sys){ k, kernel_accept, kernel_peer,
	    kernel_connect, kernel_connected, kernel_recv, kernel_send, kernel_shutdown,
	    kernel_close, kernel_watch, kernel_wait, kernel_now,
	    kernel_random, kernel_alloc, kernel_free };
	k->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (k->epoll_fd < 0 || getrandom(&k->random, sizeof(k->random), 0) !=
	    sizeof(k->random)) {
		sys_kernel_free(&k->sys);
		return NULL;
	}
	return &k->sys;
}

void
sys_kernel_free(struct sys *s)
{
	struct kernel *k = s->ctx;

	if (k->epoll_fd >= 0)
		close(k->epoll_fd);
	free(k);
}
