/*
 * worker/worker.h - the process that carries requests: one thread, one loop,
 * listening sockets and a read-only arena given to it, a row to write and
 * words that it counts in together with the others.
 *
 * Its life, as the keeper sees it:
 *
 *   exec ──> worker_open ──> worker_run ... ──> returns ──> exit 0
 *                │                │
 *                └ READY          ├ WORKER_DRAIN  no new connections; GOAWAY;
 *                  on control     │               returns at the last stream
 *                                 ├ WORKER_STOP   returns at once
 *                                 └ end of file   the keeper died: drain
 *
 * Test: t/mesh/, t/sim/.
 */
#ifndef WORKER_WORKER_H
#define WORKER_WORKER_H

#include <stddef.h>
#include <stdint.h>

#include "worker/io/sys.h"

/* One byte each on the control socket. */
enum worker_command {
	WORKER_READY = 'r',	/* worker -> keeper: serving */
	WORKER_DRAIN = 'd', WORKER_STOP = 's',	/* keeper -> worker */
};

enum { WORKER_SOCKETS_MAX = 1024 };

struct worker_socket {
	uint32_t	listener;	/* slot */
	int		fd;		/* listening, non-blocking */
};

struct worker_start {
	uint32_t	 slot;		/* of the worker */
	int		 arena_fd;	/* read-only */
	int		 row_fd;	/* its own row */
	int		 common_fd;	/* shm/word.h; -1 = words of its own.
					   So is 0, which is never words:
					   nobody passes any yet */
	int		 control_fd;	/* to the keeper; -1 = none */
	int		 wake_fd;	/* eventfd: a generation came; or -1 */
	int		 stats_fd;	/* listening unix socket; -1 = none */
	int		 sockets_n;
	struct worker_socket sockets[WORKER_SOCKETS_MAX];
};

struct worker;

/* NULL: why. The first generation is used when it is published; until then
 * connections wait in the sockets. */
struct worker	*worker_open(struct sys *sys, const struct worker_start *s,
		    char *why, size_t why_len);
/* top, if not NULL, is called at the top of each turn (godwit -1). */
void	worker_run(struct worker *w, void (*top)(void *), void *arg);
void	worker_close(struct worker *w);

/* What the commands do, for a caller in the same process. */
void	worker_drain(struct worker *w);
void	worker_stop(struct worker *w);

/* The words of worker/cause.def by number, for statistics. */
extern const char *const worker_causes[];
extern const int worker_causes_n;

#endif
