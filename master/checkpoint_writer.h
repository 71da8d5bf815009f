/*
 * master/checkpoint_writer.h - a child that writes checkpoints, so that the
 * master's loop waits for no disk.
 *
 *   master    begin ──fork──> goes on ─────────────────> done(ok, why)
 *                      v                                   ^  pidfd: it ended
 *   child     "godwit: checkpoint": each part ─> "+" ──────┘  pipe: how
 *                                             or "-", why
 *
 * The fork is the snapshot: records may change as soon as begin returned.
 *
 * Invariants
 *   W1  One child at a time. What changed meanwhile the owner writes
 *       afterwards; done may begin again.
 *   W2  done is called once for each begin that returned 0: ended, killed by
 *       whomever, or hanging for limit_ms and killed by us.
 *   W3  The child outlives the master by nothing, so that it does not write
 *       beside a successor's; and holds nothing of the master's open, so that
 *       nobody waits for the end of a connection that the master closed.
 *
 * Test: t/unit/checkpoint_writer.c.
 */
#ifndef MASTER_CHECKPOINT_WRITER_H
#define MASTER_CHECKPOINT_WRITER_H

#include <sys/types.h>

#include "master/checkpoint.h"
#include "worker/io/loop.h"

enum { CHECKPOINT_WRITER_LIMIT_MS = 30000 };

struct checkpoint_writer {
	struct loop	*loop;
	void		(*done)(void *arg, bool ok, const char *why);
	void		*arg;
	int64_t		 limit_ms;
	pid_t		 pid;		/* 0: none */
	int		 pid_fd, why_fd;
	bool		 late;		/* killed by us */
	struct source	 ended;
	struct timer	 limit;
};

void	checkpoint_writer_init(struct checkpoint_writer *w, struct loop *l,
	    void (*done)(void *arg, bool ok, const char *why), void *arg);
/* Kills a child that is at it; done is not called. */
void	checkpoint_writer_fini(struct checkpoint_writer *w);

/* Writes the parts one after the other, to the first that fails. -1: why, none
 * was begun. */
int	checkpoint_writer_begin(struct checkpoint_writer *w, const char *dir,
	    const char *identity, const struct checkpoint_part *parts,
	    size_t parts_n, char *why, size_t why_len);

static inline bool
checkpoint_writer_busy(const struct checkpoint_writer *w)
{
	return w->pid != 0;
}

#endif
