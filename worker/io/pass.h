/*
 * worker/io/pass.h - a message with descriptors beside it, over a
 * SOCK_SEQPACKET socket.
 *
 * Invariants
 *   P1  pass_receive hands out a message that is exactly as long as asked and
 *       no more descriptors than there is room for; those of any other are
 *       closed.
 *
 * Test: t/unit/pass.c, t/unit/control.c.
 */
#ifndef WORKER_IO_PASS_H
#define WORKER_IO_PASS_H

#include <stddef.h>

enum { PASS_FDS_MAX = 16 };

/* A connected pair, close-on-exec; fds[0] does not block. -1: errno. */
int	pass_pair(int fds[2]);
int	pass_nonblocking(int fd);

/* Sends n bytes and fds_n descriptors (at most PASS_FDS_MAX), which stay the
 * caller's. -1: errno; EAGAIN: the other side's queue is full. */
int	pass_send(int fd, const void *p, size_t n, const int *fds, int fds_n);

/* 1: n bytes are in p, *fds_n descriptors in fds, close-on-exec, the
 * caller's; 0: the other side is gone; -1: errno, EPROTO for what breaks P1,
 * EAGAIN. */
int	pass_receive(int fd, void *p, size_t n, int fds[PASS_FDS_MAX],
	    int *fds_n);

#endif
