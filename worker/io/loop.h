/*
 * worker/io/loop.h - the event loop: one turn after another, each with the
 * same parts.
 *
 *   wait ──> top ──────> edges ──> ready tasks ──> timers due ──> end of turn
 *            newest      <= 256    those queued                   flush once,
 *            generation            by now                         bottom
 *
 * top runs after the wait, so that what woke us meets the newest generation;
 * bottom after everything, so that it sees how long the turn was.
 *
 * Invariants
 *   I1  A source is told of each edge once; who stops before EAGAIN puts its
 *       task on the ready list.
 *   I2  The clock is read once a turn, after the wait: loop->now, which stands
 *       until the next. So a timer may be late by the length of a turn, and is
 *       never early.
 *   I3  Tasks put on the end list run once at the end of this turn, in order,
 *       those that an end task puts there too; that is where sessions write,
 *       so that a turn costs one send each.
 *   I4  A source that is closed in a turn is not called again in it, even
 *       when its event was already fetched (loop_forget).
 *   I5  A ready task that queues itself runs again in the next turn, which
 *       does not wait; so no task keeps a turn from ending. One that a source
 *       queues runs in this turn: who needs a top after it asks for one by
 *       loop_again.
 *
 * Why our own: the turn is the performance design (reference/nghttp2-floor.md,
 * section 6). Test: t/unit/loop.c.
 */
#ifndef WORKER_IO_LOOP_H
#define WORKER_IO_LOOP_H

#include <stdbool.h>

#include "worker/io/sys.h"
#include "worker/io/timer.h"

enum { LOOP_EVENTS_MAX = 256 };

/* The object that a source, task or timer is a member of. */
#define CONTAINER(p, type, member) \
	((type *)(void *)((uint8_t *)(p) - offsetof(type, member)))

struct source {				/* something with a descriptor */
	void	(*ready)(struct source *s, uint32_t events);
};

struct task {				/* something to do later */
	struct task	*next;
	void		(*run)(struct task *t);
	bool		 queued;
};

struct task_queue {
	struct task	*first, **last;
};

struct loop {
	struct sys	*sys;
	struct mono	 now;
	struct timers	 timers;
	struct task_queue ready;	/* I5 */
	struct task	 mark;		/* where this turn's part of it ends */
	struct task_queue end;		/* I3 */
	struct sys_event events[LOOP_EVENTS_MAX];
	int		 events_n;	/* of this turn */
	bool		 again;		/* the next turn does not wait */
	bool		 stop;		/* loop_run returns */
	void		(*top)(void *arg);	/* top of each turn, or NULL */
	void		(*bottom)(void *arg);	/* end of each, or NULL */
	void		*turn_arg;		/* of both */
};

void	loop_init(struct loop *l, struct sys *sys);

/* One turn. Waits at most max_wait_ms (-1: for ever), less when a timer is
 * due, not at all when a task is ready. */
void	loop_turn(struct loop *l, int max_wait_ms);

/* Turns until l->stop. */
void	loop_run(struct loop *l);

int	loop_watch(struct loop *l, int fd, struct source *s);
/* Drops the events of this turn that still point to s (I4). */
void	loop_forget(struct loop *l, struct source *s);

/* Nothing happens to a task that is queued already, on either list. */
void	loop_soon(struct loop *l, struct task *t);
/* Another turn follows this one at once. */
static inline void
loop_again(struct loop *l)
{
	l->again = true;
}

/* A task must not put itself on the end list from its own run. */
void	loop_at_end(struct loop *l, struct task *t);
/* Takes a queued task off its list, whichever it is; O(length). */
void	loop_cancel(struct loop *l, struct task *t);

#endif
