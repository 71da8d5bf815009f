/*
 * t/lib/unit_process.h - what a unit test asks of its own process: the lines
 * that the log writes, how many descriptors are open, and numbers that look
 * random and are the same in every run.
 */
#ifndef T_LIB_UNIT_PROCESS_H
#define T_LIB_UNIT_PROCESS_H

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

struct unit_tap {			/* stderr, led here */
	int	fd;			/* to recv from; does not block */
	int	stderr_was;
};

/* Datagrams: a line that took two writes would come as two. */
static inline void
unit_tap_open(struct unit_tap *t)
{
	int fds[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, fds),
	    0);
	t->stderr_was = dup(2);
	dup2(fds[1], 2);
	close(fds[1]);
	t->fd = fds[0];
}

static inline void
unit_tap_close(struct unit_tap *t)
{
	dup2(t->stderr_was, 2);
	close(t->stderr_was);
	close(t->fd);
}

static inline int
unit_descriptors_n(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) != -1;
	return n;
}

static inline uint64_t
unit_random(void)
{
	static uint64_t state = 7;

	state = state * 6364136223846793005u + 1442695040888963407u;
	return state >> 33;
}

#endif
