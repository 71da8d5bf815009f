/* worker/io/loop.c - see loop.h. */
#include "worker/io/loop.h"

#include <string.h>

static void
queue_init(struct task_queue *q)
{
	q->first = NULL;
	q->last = &q->first;
}

static void
queue_put(struct task_queue *q, struct task *t)
{
	if (t->queued)
		return;
	t->queued = true;
	t->next = NULL;
	*q->last = t;
	q->last = &t->next;
}

static struct task *
queue_take(struct task_queue *q)
{
	struct task *t = q->first;

	if (t == NULL)
		return NULL;
	q->first = t->next;
	if (q->first == NULL)
		q->last = &q->first;
	t->queued = false;
	return t;
}

static bool
queue_drop(struct task_queue *q, struct task *t)
{
	for (struct task **at = &q->first; *at != NULL; at = &(*at)->next) {
		if (*at != t)
			continue;
		*at = t->next;
		if (q->last == &t->next)
			q->last = at;
		t->queued = false;
		return true;
	}
	return false;
}

void
loop_init(struct loop *l, struct sys *sys)
{
	memset(l, 0, sizeof(*l));
	l->sys = sys;
	l->now = sys->now(sys->ctx);
	timers_init(&l->timers, l->now);
	queue_init(&l->ready);
	queue_init(&l->end);
}

int
loop_watch(struct loop *l, int fd, struct source *s)
{
	return l->sys->watch(l->sys->ctx, fd, s);
}

void
loop_forget(struct loop *l, struct source *s)
{
	for (int i = 0; i < l->events_n; i++)
		if (l->events[i].source == s)
			l->events[i].source = NULL;
}

void
loop_soon(struct loop *l, struct task *t)
{
	queue_put(&l->ready, t);
}

void
loop_at_end(struct loop *l, struct task *t)
{
	queue_put(&l->end, t);
}

void
loop_cancel(struct loop *l, struct task *t)
{
	if (t->queued && !queue_drop(&l->ready, t))
		queue_drop(&l->end, t);
}

static int
wait_ms(const struct loop *l, int max_wait_ms)
{
	int ms = timers_wait_ms(&l->timers, l->now);

	if (l->again || l->ready.first != NULL)
		return 0;
	if (ms < 0 || (max_wait_ms >= 0 && max_wait_ms < ms))
		return max_wait_ms;
	return ms;
}

/* Those that are queued now; what they queue runs in the next turn (I5). */
static void
ready_run(struct loop *l)
{
	struct task *t;

	if (l->ready.first == NULL)
		return;
	queue_put(&l->ready, &l->mark);
	while ((t = queue_take(&l->ready)) != &l->mark)
		t->run(t);
}

void
loop_turn(struct loop *l, int max_wait_ms)
{
	int ms = wait_ms(l, max_wait_ms);
	struct task *t;

	l->again = false;
	/* A signal makes it -1, which is no events. */
	l->events_n = l->sys->wait(l->sys->ctx, l->events, LOOP_EVENTS_MAX,
	    ms);
	l->now = l->sys->now(l->sys->ctx);
	if (l->top != NULL)
		l->top(l->turn_arg);
	for (int i = 0; i < l->events_n; i++) {
		struct source *s = l->events[i].source;

		if (s != NULL)
			s->ready(s, l->events[i].events);
	}
	l->events_n = 0;
	ready_run(l);
	timers_step(&l->timers, l->now);
	while ((t = queue_take(&l->end)) != NULL)
		t->run(t);
	if (l->bottom != NULL)
		l->bottom(l->turn_arg);
}

void
loop_run(struct loop *l)
{
	while (!l->stop)
		loop_turn(l, -1);
}
