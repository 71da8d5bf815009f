/*
 * t/bench/workers.h - real workers in children, without sockets: they take
 * each generation of an image and say when they announced it.
 *
 *   parent   publish ─> workers_wake ─> workers_wait ─> reclaim
 *   child    worker_run: at the top of a turn look, announce, say so
 *
 * They die with the parent.
 */
#ifndef T_BENCH_WORKERS_H
#define T_BENCH_WORKERS_H

#include <stdint.h>
#include <sys/types.h>

#include "master/image.h"
#include "shm/row.h"

enum { WORKERS_MAX = 8 };

struct workers {
	int		 n;
	int		 common_fd;
	int		 said_fd;	/* a pipe, of all of them */
	struct row	*rows[WORKERS_MAX];
	int		 row_fds[WORKERS_MAX], wake_fds[WORKERS_MAX];
	pid_t		 pids[WORKERS_MAX];
};

/* n of them, when a generation is published. -1: why. */
int	workers_start(struct workers *w, int n, const struct image *image,
	    char *why, size_t why_len);
void	workers_end(struct workers *w);

void	workers_wake(const struct workers *w);
/* Until each said that it uses this generation, the next one that it sees:
 * when the last one announced it, by CLOCK_MONOTONIC. -1: why. */
int64_t	workers_wait(const struct workers *w, uint64_t generation, char *why,
	    size_t why_len);

#endif
