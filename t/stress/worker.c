/*
 * t/stress/worker.c - the real worker, without callers: in each turn it reads
 * all of the generation that it was given, and now and then holds on to it.
 *
 *   wait | top: home, observe, announce | read, hold, read again | messages
 *          └──────── measured ────────┘                            └─ too ─┘
 *
 * What must hold
 *   - all that it reads is what was published under that number, at the top
 *     of a turn and still at its end
 *   - numbers and reloads never go back, nor do they from one incarnation of
 *     a slot to the next; a cluster keeps its slot and tag over all masters
 *   - no turn spends STALL_MS on being up to date
 *
 * A stall is time that the worker itself spent, by computing or by waiting
 * for anything but a CPU: the clock's time less what the kernel says it stood
 * in the run queue. So other processes don't make one, but a spin or a lock
 * does, also one on who is stopped or dead. A turn in which it was stopped, or
 * dawdled to give the master time, is not measured. A hypervisor's theft looks
 * like computing: whoever measured one too long must see a second.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shm/control.h"
#include "t/stress/stress.h"
#include "worker/state.h"
#include "worker/worker.h"

enum {
	HOLD_GENERATIONS_MAX = 150, HOLD_MS_MAX = 50,
	DAWDLE_GENERATIONS_MAX = 100, DAWDLE_MS_MAX = 100,
	ONE_IN_HOLDS = 40, ONE_IN_DAWDLES = 50, ONE_IN_LOOKS = 16,
	WAIT_MS_MAX = 70,
	STALLS = 2,
};

struct moment {
	int64_t		ns, queued_ns;
};

struct reader {
	struct seat	*seat;
	struct slot	*slot;
	struct worker	*worker;
	struct task	 again;		/* one turn more */
	void		(*top)(void *);		/* the worker's own */
	void		(*bottom)(void *);
	struct moment	 before;
	int64_t		 spent_ns, passed_ns;	/* in this turn */
	bool		 measured;	/* nothing disturbs this turn */
	struct arena	 old_arena;	/* MUTANT_KEEP_ADDRESS */
	struct generation old;
};

static struct reader *me;	/* for hooks; NULL: not a worker */
static volatile sig_atomic_t continued;
static int schedstat_fd = -1;

/* ---- how long */

static void
on_continue(int number)
{
	(void)number;
	continued = 1;
}

/* Time in the run queue so far: the second number. 0 where the kernel does
 * not say. */
static int64_t
queued_ns(void)
{
	char text[96];
	ssize_t n = pread(schedstat_fd, text, sizeof(text) - 1, 0);
	long long queued = 0;

	if (n <= 0)
		return 0;
	text[n] = '\0';
	return sscanf(text, "%*u %lld", &queued) == 1 ? queued : 0;
}

static void
measure_begin(struct reader *r)
{
	r->before = (struct moment){ .queued_ns = queued_ns() };
	r->before.ns = clock_now().ns;
}

static void
measure_end(struct reader *r)
{
	int64_t ns = clock_now().ns - r->before.ns, spent = ns;

	if (ns > 1000000)
		spent -= queued_ns() - r->before.queued_ns;
	r->passed_ns += ns;
	r->spent_ns += spent;
}

static void
turn_judge(struct reader *r)
{
	struct slot *s = r->slot;

	if (continued || !r->measured)
		return;
	if (r->passed_ns > s->wall_ns)
		s->wall_ns = r->passed_ns;
	if (r->spent_ns > s->stall_ns)
		s->stall_ns = r->spent_ns;
	if (r->spent_ns > STALL_MS * 1000000ll &&
	    atomic_fetch_add(&r->seat->shared->stalls, 1) + 1 == STALLS)
		found(r->seat->shared, FOUND_STALL, "worker %d spent %lld ms "
		    "of a turn on being up to date", r->seat->slot,
		    (long long)r->spent_ns / 1000000);
}

/* ---- hooks into the worker's top */

bool	__real_publish_observe(const struct arena *a, uint64_t *turn,
	    struct generation *g);
bool	__wrap_publish_observe(const struct arena *a, uint64_t *turn,
	    struct generation *g);

static int64_t
cpu_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* A seqlock of one copy would do this, and never end. */
static void
wait_even(const struct arena *a)
{
	const struct control *c = (const struct control *)(const void *)
	    a->base;
	int64_t until_ms = cpu_ms() + WAIT_MS_MAX;

	while (latch_turn(&c->latch) % 2 != 0 && cpu_ms() < until_ms)
		;
}

/* Who dawdles between the look and the announcement gives the master time to
 * publish and to reclaim in between. */
bool
__wrap_publish_observe(const struct arena *a, uint64_t *turn,
    struct generation *g)
{
	bool first = g->number == 0, news;

	if (me != NULL && me->seat->scenario->mutant == MUTANT_WAIT)
		wait_even(a);
	news = __real_publish_observe(a, turn, g);
	if (me != NULL && news && chance_below(&me->seat->chance,
	    first ? 1 : ONE_IN_DAWDLES) == 0) {
		me->measured = false;
		await_published(me->seat->shared, chance_below(&me->seat->
		    chance, DAWDLE_GENERATIONS_MAX), DAWDLE_MS_MAX);
	}
	return news;
}

/* ---- what must hold */

static void
torn(struct reader *r, const char *when, uint64_t number)
{
	found(r->seat->shared, FOUND_TORN, "worker %d reads generation %llu, "
	    "%s, and it is not what was published", r->seat->slot,
	    (unsigned long long)number, when);
}

/* What lies there is what was published as generation g. */
static void
whole_check(struct reader *r, const struct arena *a,
    const struct generation *g, const char *when)
{
	struct shared *s = r->seat->shared;
	uint64_t is = 0, want;
	bool whole = walk(a, g->root, 4 * g->live_bytes, &is);

	want = atomic_load(&s->ring[g->number % RING].hash);
	r->slot->walks++;
	if (atomic_load(&s->ring[g->number % RING].number) != g->number)
		r->slot->unknown++;	/* it was stopped for so long */
	else if (!whole || is != want)
		torn(r, when, g->number);
}

static void
forward_check(struct reader *r)
{
	const struct worker *w = r->worker;
	uint64_t number = w->generation.number;
	uint64_t serial = w->root->settings.drain_time_ms;

	if (number < atomic_load(&r->slot->number) ||
	    serial < atomic_load(&r->slot->serial))
		found(r->seat->shared, FOUND_BACK, "worker %d went from "
		    "generation %llu, reload %llu, to %llu, %llu",
		    r->seat->slot,
		    (unsigned long long)atomic_load(&r->slot->number),
		    (unsigned long long)atomic_load(&r->slot->serial),
		    (unsigned long long)number, (unsigned long long)serial);
	atomic_store(&r->slot->number, number);
	atomic_store(&r->slot->serial, serial);
}

static void
id_check(struct reader *r, const struct block_cluster *c)
{
	const char *name = block_text(&r->worker->arena, c->name);
	uint64_t id = (uint64_t)c->slot << 32 | c->tag, was = 0;
	int n = atoi(name + 1);

	if (name[0] != 'c' || n >= CLUSTERS)
		return;			/* one that comes and goes */
	if (!atomic_compare_exchange_strong(&r->seat->shared->ids[n], &was,
	    id) && was != id)
		found(r->seat->shared, FOUND_BACK, "cluster %s has slot and "
		    "tag %llx, it had %llx", name, (unsigned long long)id,
		    (unsigned long long)was);
}

static void
ids_check(struct reader *r)
{
	const struct worker *w = r->worker;
	const struct block_cluster *c;

	for (uint32_t slot = 0; slot < 2 * CLUSTERS; slot++) {
		c = block_cluster_find(&w->arena, w->root, slot);
		if (c != NULL)
			id_check(r, c);
	}
}

/* ---- a turn */

/* Broken on purpose, from here on in this turn. */
static void
sabotage(struct reader *r)
{
	struct shared *s = r->seat->shared;
	enum mutant m = r->seat->scenario->mutant;
	struct worker *w = r->worker;
	struct generation g = { 0 };
	uint64_t turn = UINT64_MAX;

	if (m != MUTANT_ANNOUNCE_NEWEST && m != MUTANT_KEEP_ADDRESS)
		return;
	await_published(s, chance_below(&r->seat->chance, 4), 10);
	if (m == MUTANT_ANNOUNCE_NEWEST) {
		if (__real_publish_observe(&w->arena, &turn, &g))
			row_announce(w->row, g.number, w->loop.now);
		await_published(s, chance_below(&r->seat->chance, 4), 10);
		return;
	}
	if (r->old.number != 0 && r->old_arena.base == w->arena.base)
		whole_check(r, &r->old_arena, &r->old, "a turn later");
	r->old_arena = w->arena;
	r->old = w->generation;
}

static void
read_all(struct reader *r)
{
	struct worker *w = r->worker;
	struct chance *c = &r->seat->chance;

	sabotage(r);
	forward_check(r);
	whole_check(r, &w->arena, &w->generation, "at the top of a turn");
	if (chance_below(c, ONE_IN_LOOKS) == 0)
		ids_check(r);
	if (atomic_load(&r->seat->shared->quiet))
		sleep_us(chance_below(c, 200));	/* a wake falls in here */
	else if (chance_below(c, ONE_IN_HOLDS) == 0) {
		await_published(r->seat->shared, chance_below(c,
		    HOLD_GENERATIONS_MAX), HOLD_MS_MAX);
		whole_check(r, &w->arena, &w->generation, "held for a while");
	}
	r->slot->turns++;
	if (chance_below(c, 2) == 0)	/* else when it is woken */
		loop_soon(&w->loop, &r->again);
}

static void
again(struct task *t)
{
	(void)t;
}

static void
top(void *arg)
{
	struct reader *r = me;
	const uint8_t *base = r->worker->arena.base;

	(void)arg;
	continued = 0;
	r->measured = true;
	r->spent_ns = r->passed_ns = 0;
	measure_begin(r);
	r->top(r->worker);
	measure_end(r);
	r->slot->moves += base != r->worker->arena.base;
	if (r->worker->root != NULL)
		read_all(r);
	measure_begin(r);
}

static void
bottom(void *arg)
{
	(void)arg;
	me->bottom(me->worker);
	measure_end(me);
	turn_judge(me);
	if (atomic_load(&me->seat->shared->finding) != FOUND_NOTHING)
		worker_stop(me->worker);
}

/* ---- life */

static int
fds_n(void)
{
	int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) != -1;
	return n;
}

int
stress_worker(struct seat *seat)
{
	struct worker_start start = { .slot = (uint32_t)seat->slot,
	    .arena_fd = seat->arena_fd, .secrets_fd = seat->secrets_fd,
	    .row_fd = seat->row_fds[seat->slot], .common_fd = -1,
	    .control_fd = seat->control_fd,
	    .wake_fd = seat->wake_fds[seat->slot], .stats_fd = -1 };
	struct reader r = { .seat = seat,
	    .slot = &seat->shared->slots[seat->slot], .again.run = again };
	struct sys *sys = sys_kernel_new();
	char why[256];
	int fds;

	signal(SIGCONT, on_continue);
	schedstat_fd = open("/proc/thread-self/schedstat",
	    O_RDONLY | O_CLOEXEC);
	me = &r;
	r.worker = worker_open(sys, &start, why, sizeof(why));
	if (r.worker == NULL) {
		fprintf(stderr, "worker %d: %s\n", seat->slot, why);
		return 1;
	}
	if (seat->scenario->mutant != MUTANT_NONE)
		signal(SIGSEGV, SIG_DFL);	/* no words about it */
	r.top = r.worker->loop.top;
	r.bottom = r.worker->loop.bottom;
	r.worker->loop.top = top;
	r.worker->loop.bottom = bottom;
	fds = fds_n();
	worker_run(r.worker, NULL, NULL);
	if (fds_n() != fds)
		found(seat->shared, FOUND_ROOM, "worker %d began with %d "
		    "descriptors and ends with %d", seat->slot, fds, fds_n());
	worker_close(r.worker);
	sys_kernel_free(sys);
	close(schedstat_fd);
	return 0;
}
