/* worker/worker.c - see worker.h. */
#include "worker/worker.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "shm/log.h"
#include "shm/stat.h"
#include "worker/io/responder.h"
#include "worker/listen.h"
#include "worker/pool.h"

enum { LOG_LINES_A_SECOND = 20 };

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

/* ---- generations ---- */

static void
generation_take(struct worker *w)
{
	bool first = w->root == NULL;

	w->root = arena_at(&w->arena, w->generation.root);
	count_one(w->row->worker, COUNT_WORKER_worker_generations);
	log_level_set((enum log_level)w->root->settings.log_level);
	pool_sweep(w);
	plans_sweep(&w->plans);
	if (first)
		listen_resume(w);
}

/* The top of a turn: the newest generation, and word that we use it. What an
 * older one reached is not touched any more from here on. */
static void
worker_top(void *arg)
{
	struct worker *w = arg;

	if (publish_observe(&w->arena, &w->turn, &w->generation))
		generation_take(w);
	row_announce(w->row, w->generation.number, w->loop.now);
	count_one(w->row->worker, COUNT_WORKER_worker_turns);
	count_set(&w->row->worker[COUNT_WORKER_buffered_bytes],
	    w->held_bytes);
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

static void
control_ready(struct source *s, uint32_t events)
{
	struct worker *w = CONTAINER(s, struct worker, control);
	char c;
	ssize_t n;

	(void)events;
	while ((n = read(w->control_fd, &c, 1)) == 1) {
		if (c == WORKER_DRAIN)
			worker_drain(w);
		if (c == WORKER_STOP)
			worker_stop(w);
	}
	if (n == 0) {
		log_warn("the keeper is gone: draining");
		worker_drain(w);
	}
}

static void
wake_ready(struct source *s, uint32_t events)
{
	struct worker *w = CONTAINER(s, struct worker, wake);
	uint64_t n;

	(void)events;
	/* Only to be woken: the next turn's top looks for a generation. */
	while (read(w->wake_fd, &n, sizeof(n)) == sizeof(n))
		;
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
stats_answer(void *arg, const char *path, const char *query, FILE *out)
{
	struct worker *w = arg;

	(void)query;
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

	if (fd > 0)
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
	if (arena_open(&w->arena, s->arena_fd, why, why_len) != 0)
		return -1;
	w->row = row_open(s->row_fd, 1, why, why_len);
	if (w->row == NULL)
		return -1;
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
	char ready = WORKER_READY;

	if (w->control_fd < 0 || write(w->control_fd, &ready, 1) == 1)
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
	w->stream_id_max = STREAM_ID_MAX;
	w->drain_timer.fire = drain_over;
	loop_init(&w->loop, sys);
	if (io_init(&w->io, &w->loop) != 0) {
		why_set(why, why_len, "no memory for a worker's buffers");
		sys->free(sys->ctx, w);
		return NULL;
	}
	plans_init(&w->plans, &w->io.mem);
	w->loop.top = worker_top;
	w->loop.bottom = worker_bottom;
	w->loop.turn_arg = w;
	if (shared_open(w, s, why, why_len) == 0 &&
	    keeper_open(w, s, why, why_len) == 0 &&
	    listen_open(w, s, why, why_len) == 0 &&
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
	mem_free(&w->io.mem, w->turns);
	io_fini(&w->io);
	sys->free(sys->ctx, w);
}
