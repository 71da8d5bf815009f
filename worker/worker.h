/*
 * worker/worker.h - the process that carries requests: one thread, one loop,
 * listening sockets and a read-only arena given to it, a row to write and
 * words that it counts in together with the others.
 *
 * Its life, as the keeper sees it:
 *
 *   exec ──> worker_open ──> worker_run ... ──> returns ──> exit 0
 *                │                └ messages of the keeper (message.h)
 *                └ READY
 *
 * Test: t/mesh/, t/sim/.
 */
#ifndef WORKER_WORKER_H
#define WORKER_WORKER_H

#include <stddef.h>
#include <stdint.h>

#include "worker/io/sys.h"

struct worker_socket {
	uint32_t	group, index;	/* the keeper's names for it */
	uint32_t	listener, tag;	/* slot */
	int		fd;		/* listening, non-blocking; -1: only
					   its name changed */
};

struct worker_start {
	uint32_t	 slot;		/* of the worker */
	int		 arena_fd;	/* read-only; becomes the worker's */
	int		 secrets_fd;	/* the same, of keys; -1 = none */
	int		 row_fd;	/* its own row */
	int		 common_fd;	/* shm/word.h; -1 = words of its own */
	int		 control_fd;	/* to the keeper; -1 = none */
	int		 wake_fd;	/* eventfd: a generation came; or -1 */
	int		 stats_fd;	/* listening unix socket; -1 = none */
};

struct worker;

/* NULL: why. The first generation is used when it is published; until then
 * connections wait in the sockets. */
struct worker	*worker_open(struct sys *sys, const struct worker_start *s,
		    char *why, size_t why_len);
/* top, if not NULL, is called at the top of each turn (godwit -1). */
void	worker_run(struct worker *w, void (*top)(void *), void *arg);
void	worker_close(struct worker *w);

/* What the messages do, for a caller in the same process. A socket becomes
 * the worker's, also when it can't be taken: -1, why. */
int	worker_listen(struct worker *w, const struct worker_socket *s,
	    char *why, size_t why_len);
void	worker_unlisten(struct worker *w, uint32_t group, uint32_t index);
/* Moves to another arena at the top of the next turn; the descriptors become
 * the worker's. -1: why, it stays where it is. */
int	worker_rehome(struct worker *w, int arena_fd, int secrets_fd,
	    char *why, size_t why_len);
void	worker_drain(struct worker *w);
void	worker_stop(struct worker *w);

/* The words of worker/cause.def by number, for statistics. */
extern const char *const worker_causes[];
extern const int worker_causes_n;

#endif
