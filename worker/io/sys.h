/*
 * worker/io/sys.h - the small table of functions through which everything in
 * worker/ reaches the world: sockets, readiness, clock, randomness, memory.
 * sys_kernel_new() makes Linux's; t/sim/ has another, in which a whole
 * conversation of client, worker and backend runs in one process by one seed.
 *
 * Conventions: fds are small ints >= 0. -1 with errno as the kernel would.
 * Test: t/unit/loop.c.
 */
#ifndef WORKER_IO_SYS_H
#define WORKER_IO_SYS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "shm/clock.h"

struct sys_event {
	void		*source;	/* as given to watch */
	uint32_t	 events;	/* SYS_READ | SYS_WRITE | SYS_HANGUP */
};

enum { SYS_READ = 1, SYS_WRITE = 2, SYS_HANGUP = 4 };

struct sys {
	void	*ctx;		/* first argument of every function */

	/* Non-blocking, close-on-exec; Nagle off. EAGAIN: none waiting. */
	int	(*accept)(void *ctx, int listen_fd);
	/* The address of the other side; -1: it is gone. */
	int	(*peer)(void *ctx, int fd, struct sockaddr_storage *to);
	/* Starts to connect; the fd, writable when the answer is there. */
	int	(*connect)(void *ctx, const struct sockaddr *to,
		    socklen_t to_len);
	/* 0 when the connection is made, else the errno of its failure. */
	int	(*connected)(void *ctx, int fd);
	ssize_t	(*recv)(void *ctx, int fd, void *p, size_t n);
	ssize_t	(*send)(void *ctx, int fd, const void *p, size_t n);
	/* Our side has said all; the peer may go on. */
	void	(*shutdown)(void *ctx, int fd);
	void	(*close)(void *ctx, int fd);

	/* Reports fd's edges (reading and writing both) with source, once and
	 * for ever; close ends it, whoever else has the fd's file. */
	int	(*watch)(void *ctx, int fd, void *source);
	/* Waits for at most timeout_ms (-1 for ever); events, or -1 EINTR. */
	int	(*wait)(void *ctx, struct sys_event *events, int events_max,
		    int timeout_ms);

	struct mono (*now)(void *ctx);
	uint64_t (*random)(void *ctx);	/* to balance by, no secret */

	/* Zeroed or not at all; free takes NULL. */
	void	*(*alloc)(void *ctx, size_t n);
	void	(*free)(void *ctx, void *p);
};

/* Linux with an epoll instance of its own. NULL: errno says why. */
struct sys	*sys_kernel_new(void);
void	sys_kernel_free(struct sys *s);

#endif
