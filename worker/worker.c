/* worker/worker.c - see worker.h. */
#include "worker/worker.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "shm/log.h"
#include "shm/stat.h"
#include "shm/title.h"
#include "worker/io/responder.h"
#include "worker/listen.h"
#include "worker/message.h"
#include "worker/pool.h"

enum { LOG_LINES_A_SECOND = 20 };

/* No turn of a latch is this: the first look at one always sees it. */
#define TURN_NONE UINT64_MAX

static void	worker_top(void *arg);
static void	worker_bottom(void *arg);

bool
worker_may_log(struct worker *w)
{
	int64_t second = w->loop.now.ns / 1000000000;

	if (second != w->log_second) {
		w->log_second = second;
		w->log_left = LOG_LINES_A_SECOND;
	}
	return w->log_left > 0 && w->log_left-- > 0;
}

/* ---- arenas ---- */

static void
next_close(struct worker *w)
{
	arena_close(&w->next);
	arena_close(&w->next_secrets);
}

/* Both, or neither; the descriptors are ours in any case. */
static int
arenas_open(struct arena *a, int arena_fd, struct arena *secrets,
    int secrets_fd, char *why, size_t why_len)
{
	int rc = arena_open(a, arena_fd, why, why_len);

	if (rc != 0)
		close(arena_fd);
	if (secrets_fd < 0)
		return rc;
	if (rc == 0 && arena_open(secrets, secrets_fd, why, why_len) == 0 &&
	    arena_hide(secrets, why, why_len) == 0)
		return 0;
	if (secrets->fd < 0)
		close(secrets_fd);
	arena_close(secrets);
	arena_close(a);
	return -1;
}

static void
arenas_change(struct worker *w)
{
	arena_close(&w->arena);
	arena_close(&w->secrets);
	w->arena = w->next;
	w->secrets = w->next_secrets;
	w->next.fd = w->next_secrets.fd = -1;
	w->next.base = w->next_secrets.base = NULL;
}

/* ---- generations ---- */

/* Takes `next` of w->next, when there is one, or else of the arena in use.
 * What the present generation reaches is there until the end of this. */
static void
generation_take(struct worker *w, const struct generation *next)
{
	bool moves = w->next.fd >= 0, first = w->root == NULL, same;
	const struct arena *arena = moves ? &w->next : &w->arena;
	const struct block_root *root = arena_at(arena, next->root);

	same = !first && !moves && root->listeners == w->root->listeners;
	if (!same)
		listen_leave(w, arena, root);
	if (moves)
		arenas_change(w);
	w->generation = *next;
	w->root = root;
	count_one(w->row->worker, COUNT_WORKER_worker_generations);
	log_level_set((enum log_level)root->settings.log_level);
	pool_sweep(w);
	plans_sweep(&w->plans);
	if (!same)
		listen_follow(w);
}

/* The first turn of a new home: its newest generation, which was published
 * before we were sent here, is a newer one. */
static void
home_look(struct worker *w)
{
	struct generation next = { 0 };
	uint64_t turn = TURN_NONE;

	if (publish_observe(&w->next, &turn, &next) &&
	    next.number > w->generation.number) {
		generation_take(w, &next);
		w->turn = turn;
	} else if (next.number != 0) {
		log_error("the arena to move to has generation %llu, expected "
		    "a newer one than %llu: it is ignored",
		    (unsigned long long)next.number,
		    (unsigned long long)w->generation.number);
		next_close(w);
	}
}

/* Who waits for our end sees what it waits for. */
static void
title_tell(struct worker *w)
{
	char who[32], doing[64];
	struct stream *s;
	unsigned n = 0;

	LIST_FOREACH(s, &w->streams, link)
		n++;
	if (n + 1 == w->title_n)
		return;
	w->title_n = n + 1;
	snprintf(who, sizeof(who), "worker %u", w->slot);
	snprintf(doing, sizeof(doing), "draining, %u stream%s", n,
	    n == 1 ? "" : "s");
	title_set(who, doing);
}

/* The top of a turn: the newest generation, and word that we use it. What an
 * older one reached is not touched any more from here on. */
static void
worker_top(void *arg)
{
	struct worker *w = arg;
	struct generation next = w->generation;

	if (w->next.fd >= 0)
		home_look(w);
	else if (publish_observe(&w->arena, &w->turn, &next))
		generation_take(w, &next);
	row_announce(w->row, w->generation.number, w->loop.now);
	count_one(w->row->worker, COUNT_WORKER_worker_turns);
	count_set(&w->row->worker[COUNT_WORKER_buffered_bytes],
	    w->held_bytes);
	if (w->draining)
		title_tell(w);
	if (w->top != NULL)
		w->top(w->top_arg);
}

/* The second reading of the clock in a turn, and the last. It shows stalls:
 * whatever comes meanwhile waits for the next wait. */
static void
worker_bottom(void *arg)
{
	struct worker *w = arg;

	time_observe(w->row->worker_times, HISTOGRAM_WORKER_loop_turn_time,
	    w->loop.now, w->sys->now(w->sys->ctx));
}

/* ---- the keeper's words ---- */

int
worker_listen(struct worker *w, const struct worker_socket *s, char *why,
    size_t why_len)
{
	if (!w->draining)
		return listen_add(w, s, why, why_len);
	if (s->fd >= 0)
		w->sys->close(w->sys->ctx, s->fd);
	return 0;
}

void
worker_unlisten(struct worker *w, uint32_t group, uint32_t index)
{
	listen_remove(w, group, index);
}

int
worker_rehome(struct worker *w, int arena_fd, int secrets_fd, char *why,
    size_t why_len)
{
	next_close(w);			/* another one came before our turn */
	if (arenas_open(&w->next, arena_fd, &w->next_secrets, secrets_fd, why,
	    why_len) == 0) {
		loop_again(&w->loop);	/* this turn's top is over */
		return 0;
	}
	return -1;
}

static void
listen_said(struct worker *w, const struct message *m, const int *fds,
    int fds_n)
{
	struct worker_socket s = { .group = m->group,
	    .listener = m->listener, .tag = m->tag };
	char why[128];

	for (uint32_t i = 0; i < m->sockets_n; i++) {
		s.index = m->sockets[i];
		s.fd = fds_n == 0 ? -1 : fds[i];
		if (worker_listen(w, &s, why, sizeof(why)) == -1)
			log_error("listener in slot %u: %s", m->listener, why);
	}
}

static void
control_said(struct worker *w, const struct message *m, const int *fds,
    int fds_n)
{
	char why[256];

	switch ((enum message_kind)m->kind) {
	case MESSAGE_LISTEN:
		listen_said(w, m, fds, fds_n);
		break;
	case MESSAGE_UNLISTEN:
		for (uint32_t i = 0; i < m->sockets_n; i++)
			worker_unlisten(w, m->group, m->sockets[i]);
		break;
	case MESSAGE_REHOME:
		if (worker_rehome(w, fds[0], fds[1], why, sizeof(why)) == -1)
			log_error("can't move to another arena: %s", why);
		break;
	case MESSAGE_REOPEN:
		log_reopen(fds[0]);
		break;
	case MESSAGE_DRAIN:
		worker_drain(w);
		break;
	case MESSAGE_STOP:
		worker_stop(w);
		break;
	case MESSAGE_READY:
		break;
	}
}

static void
control_ready(struct source *s, uint32_t events)
{
	struct worker *w = CONTAINER(s, struct worker, control);
	int fds[PASS_FDS_MAX], got;
	struct message m;

	(void)events;
	while ((got = message_receive(w->control_fd, &m, fds)) == 1)
		control_said(w, &m, fds, m.kind == MESSAGE_LISTEN &&
		    fds[0] != -1 ? (int)m.sockets_n : 0);
	if (got == 0) {
		log_warn("the keeper is gone: draining");
		worker_drain(w);
	} else if (errno != EAGAIN)
		log_error("the keeper's words: %s", strerror(errno));
}

static void
wake_ready(struct source *s, uint32_t events)
{
	struct worker *w = CONTAINER(s, struct worker, wake);
	uint64_t n;

	(void)events;
	/* This turn's top may have looked before what we are woken for was
	 * published; and that write is taken here: the next top looks again. */
	while (read(w->wake_fd, &n, sizeof(n)) == sizeof(n))
		;
	loop_again(&w->loop);
}

static void
drain_over(struct timer *t)
{
	struct worker *w = CONTAINER(t, struct worker, drain_timer);

	log_warn("the drain time is over: what is still open is cut");
	w->loop.stop = true;
}

void
worker_drain(struct worker *w)
{
	uint32_t ms = w->root == NULL ? 0 : w->root->settings.drain_time_ms;

	if (w->draining)
		return;
	w->draining = true;
	listen_drain(w);
	if (LIST_EMPTY(&w->downstreams))
		w->loop.stop = true;
	timer_start(&w->loop.timers, &w->drain_timer, w->loop.now, ms);
}

void
worker_stop(struct worker *w)
{
	w->loop.stop = true;
}

/* ---- statistics ---- */

static int
stats_answer(void *arg, const char *path, const char *query, FILE *out,
    struct responder_rest *rest)
{
	struct worker *w = arg;

	(void)query;
	(void)rest;
	if (strcmp(path, "/stats") != 0) {
		fprintf(out, "a worker answers: /stats\n");
		return 404;
	}
	if (w->root == NULL)
		return 503;
	stat_print(out, &w->arena, w->root, &w->row, 1, worker_causes,
	    worker_causes_n);
	return 200;
}

/* ---- life ---- */

/* The keeper's words, or ones that nobody else knows. */
static struct words *
words_open(const struct worker_start *s, char *why, size_t why_len)
{
	int fd = s->common_fd;
	struct words *words;

	if (fd >= 0)
		return word_open(fd, why, why_len);
	fd = word_new(why, why_len);
	if (fd == -1)
		return NULL;
	words = word_open(fd, why, why_len);
	close(fd);
	return words;
}

static int
shared_open(struct worker *w, const struct worker_start *s, char *why,
    size_t why_len)
{
	if (arenas_open(&w->arena, s->arena_fd, &w->secrets, s->secrets_fd,
	    why, why_len) != 0)
		return -1;
	w->row = row_open(s->row_fd, 1, why, why_len);
	if (w->row == NULL)
		return -1;
	atomic_store_explicit(&w->row->pid, (uint32_t)getpid(),
	    memory_order_relaxed);
	last_open(w->row);
	w->words = words_open(s, why, why_len);
	return w->words == NULL ? -1 : 0;
}

static int
keeper_open(struct worker *w, const struct worker_start *s, char *why,
    size_t why_len)
{
	w->control.ready = control_ready;
	w->wake.ready = wake_ready;
	w->control_fd = s->control_fd;
	w->wake_fd = s->wake_fd;
	if (s->control_fd >= 0 &&
	    loop_watch(&w->loop, s->control_fd, &w->control) != 0)
		return why_set(why, why_len, "the control socket can't be "
		    "watched: %s", strerror(errno));
	if (s->wake_fd >= 0 && loop_watch(&w->loop, s->wake_fd, &w->wake) != 0)
		return why_set(why, why_len, "the wake descriptor can't be "
		    "watched: %s", strerror(errno));
	if (s->stats_fd < 0)
		return 0;
	w->responder = responder_open(&w->loop, s->stats_fd, stats_answer, w);
	if (w->responder == NULL)
		return why_set(why, why_len, "the statistics socket can't be "
		    "served: %s", strerror(errno));
	return 0;
}

static int
ready_tell(const struct worker *w, char *why, size_t why_len)
{
	if (w->control_fd < 0 ||
	    message_say(w->control_fd, MESSAGE_READY) == 0)
		return 0;
	return why_set(why, why_len, "the keeper can't be told: %s",
	    strerror(errno));
}

struct worker *
worker_open(struct sys *sys, const struct worker_start *s, char *why,
    size_t why_len)
{
	struct worker *w = sys->alloc(sys->ctx, sizeof(*w));

	if (w == NULL) {
		why_set(why, why_len, "no memory for a worker");
		return NULL;
	}
	w->sys = sys;
	w->slot = s->slot;
	w->arena.fd = w->secrets.fd = -1;
	w->next.fd = w->next_secrets.fd = -1;
	w->turn = TURN_NONE;
	w->stream_id_max = STREAM_ID_MAX;
	w->drain_timer.fire = drain_over;
	loop_init(&w->loop, sys);
	if (io_init(&w->io, &w->loop) != 0) {
		why_set(why, why_len, "no memory for a worker's buffers");
		sys->free(sys->ctx, w);
		return NULL;
	}
	plans_init(&w->plans, &w->io.mem, &w->secrets);
	w->loop.top = worker_top;
	w->loop.bottom = worker_bottom;
	w->loop.turn_arg = w;
	if (shared_open(w, s, why, why_len) == 0 &&
	    keeper_open(w, s, why, why_len) == 0 &&
	    ready_tell(w, why, why_len) == 0)
		return w;
	worker_close(w);
	return NULL;
}

void
worker_run(struct worker *w, void (*top)(void *), void *arg)
{
	w->top = top;
	w->top_arg = arg;
	loop_run(&w->loop);
}

void
worker_close(struct worker *w)
{
	struct sys *sys = w->sys;

	listen_fini(w);
	pool_fini(w);
	plans_fini(&w->plans);
	timer_stop(&w->loop.timers, &w->drain_timer);
	if (w->responder != NULL)
		responder_close(w->responder);
	if (w->row != NULL)
		row_close(w->row);
	if (w->words != NULL)
		word_close(w->words);
	arena_close(&w->arena);
	arena_close(&w->secrets);
	next_close(w);
	mem_free(&w->io.mem, w->turns);
	io_fini(&w->io);
	sys->free(sys->ctx, w);
}
