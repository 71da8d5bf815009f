/*
 * t/stress/master.c - the publishing side: master/generations.c as the master
 * uses it, as fast as it can.
 *
 *   begin   empty, or with what the dead one left | stage ─STAGE─> keeper
 *           <─BOUND─ | publish ─MOVED─>
 *   then    one cluster's endpoints | wake all | reclaim, or not yet
 *           every RELOAD_STEPS: the file is written anew and staged, as above
 *           every SETTLE_STEPS: until all use the newest; reclaim; compact
 *
 * It is killed by the keeper anywhere. That hits the few stores of a
 * publication too seldom, so it also dies by itself, after a store of the
 * latch that chance says: shm/latch.c is compiled in here with a hook.
 *
 * What is let go of is overwritten first, an arena too: the kernel would keep
 * it for whoever still has it mapped, and nobody may rely on that.
 */
#include <signal.h>
#include <stdlib.h>

static void	stored(void);
#define LATCH_STORED() stored()
#define LATCH_LOADED()
#include "shm/latch.c"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "master/control.h"
#include "master/generations.h"
#include "shm/row.h"
#include "t/stress/config.h"
#include "t/stress/stress.h"

enum {
	RELOAD_STEPS = 150, SETTLE_STEPS = 450, SETTLE_MS_MAX = 100,
	ONE_IN_CUTS = 1500,
	CALM_ROUNDS = 50,
	PUT_STORES = 2 + 2 * LATCH_WORDS,
	ROOM_BYTES = 512 << 10,
};

struct publisher {
	struct seat	*seat;
	struct generations generations;
	struct options	 options;
	struct row	*rows[WORKERS];
	struct config_clusters *clusters;
	uint64_t	 serial;	/* of reloads */
	uint64_t	 first;		/* generation in this arena */
	uint64_t	 oldest;	/* in use when last reclaimed */
	uint64_t	 written_bytes;	/* in this arena, ever */
	uint64_t	 written_at[RING];	/* after which generation */
};

static struct publisher *me;	/* for hooks; NULL: not a master */
static int stores_left = -1;

static void
die(const char *what, const char *why)
{
	fprintf(stderr, "master: %s: %s\n", what, why);
	exit(1);
}

/* ---- hooks */

static void
stored(void)
{
	if (stores_left > 0 && --stores_left == 0)
		raise(SIGKILL);
}

void	__real_publish_put(struct arena *a, const struct generation *g);
void	__wrap_publish_put(struct arena *a, const struct generation *g);
void	__real_image_close(struct image *m);
void	__wrap_image_close(struct image *m);

/* Says what it is before anybody can see it. */
void
__wrap_publish_put(struct arena *a, const struct generation *g)
{
	struct shared *s = me->seat->shared;
	uint64_t hash, at = g->number % RING;

	if (!walk(a, g->root, 4 * g->live_bytes, &hash))
		found(s, FOUND_TORN, "generation %llu is not whole when it is "
		    "published", (unsigned long long)g->number);
	atomic_store(&s->ring[at].number, 0);
	atomic_store(&s->ring[at].hash, hash);
	atomic_store(&s->ring[at].number, g->number);
	if (!atomic_load(&s->quiet) &&
	    chance_below(&me->seat->chance, ONE_IN_CUTS) == 0)
		stores_left = 1 + (int)chance_below(&me->seat->chance,
		    PUT_STORES);
	__real_publish_put(a, g);
	atomic_fetch_add(&s->published, 1);
}

void
__wrap_image_close(struct image *m)
{
	if (me != NULL && m == &me->generations.before && m->arena.base != NULL)
		memset(m->arena.base, 0xdb, m->arena.used_bytes);
	__real_image_close(m);
}

/* ---- what is published */

static void
reload_write(const struct publisher *p)
{
	if (!config_write(p->seat->file, p->serial))
		die(p->seat->file, strerror(errno));
}

static void
written_note(struct publisher *p, uint64_t before_bytes)
{
	const struct image *m = &p->generations.image;
	uint64_t after = heap_allocated(m->blocks);
	uint64_t number = p->generations.newest.generation.number;

	if (after > before_bytes)
		p->written_bytes += after - before_bytes;
	p->written_at[number % RING] = p->written_bytes;
}

static void
wake_all(const struct publisher *p)
{
	uint64_t one = 1;
	ssize_t n;

	for (int i = 0; i < WORKERS; i++) {
		n = write(p->seat->wake_fds[i], &one, sizeof(one));
		(void)n;
	}
}

/* In the calm: until everybody came for nothing and waits again, or is too
 * busy for it. What a machine makes of it otherwise is by chance. */
static void
wakes_spent(const struct publisher *p)
{
	enum { TRIES = 400, TRY_US = 50, TURN_US = 500 };
	struct pollfd fd = { .events = POLLIN };

	if (!atomic_load(&p->seat->shared->quiet))
		return;
	for (int i = 0, n = 0; i < WORKERS; i++) {
		fd.fd = p->seat->wake_fds[i];
		for (; poll(&fd, 1, 0) == 1 && n < TRIES; n++)
			sleep_us(TRY_US);
	}
	sleep_us(TURN_US);
}

/* One cluster's endpoints; everybody is told. */
static void
assign(struct publisher *p)
{
	bool wake_first = p->seat->scenario->mutant == MUTANT_WAKE_FIRST;
	uint32_t i = chance_below(&p->seat->chance, CLUSTERS);
	uint64_t before = heap_allocated(p->generations.image.blocks);
	const ProtobufCMessage *m;
	char why[256];

	m = config_cluster(p->clusters, i, &p->seat->chance);
	if (wake_first) {
		wake_all(p);
		wakes_spent(p);
	}
	if (generations_assign(&p->generations, m, why, sizeof(why)) == -1)
		die("an assignment", why);
	if (!wake_first)
		wake_all(p);
	written_note(p, before);
}

static void
say(struct publisher *p, enum control_kind kind, const int *fds)
{
	struct control c = { .kind = kind,
	    .generation = p->generations.newest.generation.number };
	char why[256];

	if (kind == CONTROL_STAGE && generations_settings(&p->generations,
	    &c.settings, why, sizeof(why)) == -1)
		die("the settings", why);
	if (control_send(p->seat->control_fd, &c, fds) == -1)
		die("the keeper", strerror(errno));
}

static void
bound_await(struct publisher *p)
{
	int fds[CONTROL_FDS_MAX];
	struct control c;

	if (control_receive(p->seat->control_fd, &c, fds) != 1 ||
	    c.kind != CONTROL_BOUND)
		die("the keeper", "it did not say BOUND");
}

static void
stage_and_publish(struct publisher *p)
{
	uint64_t before = heap_allocated(p->generations.image.blocks);
	char why[512];
	int kept_fd;

	if (generations_stage(&p->generations, &kept_fd, why,
	    sizeof(why)) == -1)
		die("a reload", why);
	say(p, CONTROL_STAGE, &kept_fd);
	close(kept_fd);
	bound_await(p);
	generations_publish(&p->generations);
	written_note(p, before);
	p->serial = generations_root(&p->generations)->settings.drain_time_ms;
}

static void
say_moved(struct publisher *p)
{
	const int fds[] = { p->generations.image.arena.fd,
	    p->generations.image.secrets.fd };

	say(p, CONTROL_MOVED, fds);
}

/* ---- room */

/* The mutants' answers, and the real one. */
static uint64_t
oldest(const struct publisher *p)
{
	uint64_t n = row_oldest(p->rows, WORKERS), announced;

	switch (p->seat->scenario->mutant) {
	case MUTANT_ONE_TOO_MANY:
		return n == UINT64_MAX ? n : n + 1;
	case MUTANT_NEVER:
		return 0;
	case MUTANT_NEWBORN:
		n = UINT64_MAX;
		for (int i = 0; i < WORKERS; i++) {
			announced = count_get(&p->rows[i]->announced);
			if (atomic_load(&p->rows[i]->alive) && announced != 0 &&
			    announced < n)
				n = announced;
		}
		return n;
	default:
		return n;
	}
}

/*
 * What may be in use: the newest generation and one to come, and what was
 * written since the oldest that a worker used at the last reclaim. Half of it
 * again, and a little, since free room is found by its size.
 */
static void
room_check(struct publisher *p)
{
	const struct generations *g = &p->generations;
	struct shared *s = p->seat->shared;
	uint64_t used = g->image.arena.used_bytes - ARENA_CONTROL_BYTES;
	uint64_t pinned = p->written_bytes;
	double room;

	if (p->oldest >= p->first &&
	    p->oldest + RING > g->newest.generation.number)
		pinned -= p->written_at[p->oldest % RING];
	if (used > s->used_bytes)
		s->used_bytes = used;
	if (pinned > s->pinned_bytes)
		s->pinned_bytes = pinned;
	/* The most at once, until now: room that it took is there still. */
	room = (double)used / (1.5 * (double)(2 * s->live_bytes +
	    s->pinned_bytes) + ROOM_BYTES);
	if (room > s->room)
		s->room = room;
	if (room > 1)
		found(s, FOUND_ROOM, "%llu bytes of the arena were used: %llu "
		    "live, at most %llu of generations in use",
		    (unsigned long long)used,
		    (unsigned long long)s->live_bytes,
		    (unsigned long long)s->pinned_bytes);
}

/* As in master.c, where a timer does it. */
static void
compact(struct publisher *p)
{
	struct generations *g = &p->generations;
	char why[256];
	int rc = generations_compact(g, why, sizeof(why));

	if (rc == -1)
		die("compaction", why);
	if (rc == 0)
		return;
	p->first = g->newest.generation.number;
	p->written_bytes = 0;
	written_note(p, 0);
	say_moved(p);
	wake_all(p);
	p->seat->shared->compactions++;
	if (p->seat->scenario->mutant == MUTANT_HOME_AT_ONCE)
		image_close(&g->before);
}

static void
reclaim(struct publisher *p)
{
	uint64_t newest = p->generations.newest.generation.number;
	uint64_t used = row_oldest(p->rows, WORKERS);

	room_check(p);
	if (used > newest)
		used = newest;		/* nobody lives */
	if (used > p->oldest)
		p->oldest = used;	/* what went does not come back */
	generations_reclaim(&p->generations, oldest(p));
}

/* True: every worker uses the newest. */
static bool
settle(struct publisher *p, int ms_max)
{
	struct mono until = mono_after_ms(clock_now(), ms_max);
	uint64_t newest = p->generations.newest.generation.number;

	while (row_oldest(p->rows, WORKERS) < newest) {
		if (clock_now().ns > until.ns)
			return false;
		sleep_us(50);
	}
	return true;
}

/* ---- life */

static void
begin(struct publisher *p)
{
	struct seat *s = p->seat;
	char why[512];
	int rc;

	for (int i = 0; i < WORKERS; i++) {
		p->rows[i] = row_open(s->row_fds[i], 0, why, sizeof(why));
		if (p->rows[i] == NULL)
			die("a row", why);
	}
	p->options.file = s->file;
	p->options.file_given = true;
	if (s->arena_fd == -1)
		reload_write(p);
	rc = s->arena_fd == -1 ? generations_open(&p->generations,
	    &p->options, why, sizeof(why)) : generations_open_kept(
	    &p->generations, &p->options, (int[]){ s->kept_fd, s->arena_fd,
	    s->secrets_fd, -1 }, why, sizeof(why));
	if (rc == -1)
		die("its birth", why);
	stage_and_publish(p);
	p->first = p->generations.newest.generation.number;
	say_moved(p);
	wake_all(p);
	p->clusters = config_clusters_new();
}

static void
live_note(struct publisher *p)
{
	struct shared *s = p->seat->shared;
	struct heap_bytes b;

	heap_measure(p->generations.image.blocks, &b);
	if (b.live > s->live_bytes)
		s->live_bytes = b.live;
}

static void
step(struct publisher *p, uint64_t n)
{
	if (n % RELOAD_STEPS == 0) {
		p->serial++;
		reload_write(p);
		stage_and_publish(p);
		wake_all(p);
		p->seat->shared->reloads++;
	} else
		assign(p);
	if (n / SETTLE_STEPS % 2 == 1 ||	/* else all at once */
	    p->seat->scenario->mutant == MUTANT_NEWBORN)
		reclaim(p);
	if (n % SETTLE_STEPS != 0)
		return;
	(void)settle(p, SETTLE_MS_MAX);
	reclaim(p);
	live_note(p);
	compact(p);
}

/* The keeper says how long that may take. */
static void
settle_all(struct publisher *p)
{
	while (!settle(p, 100) &&
	    atomic_load(&p->seat->shared->finding) == FOUND_NOTHING)
		;
	reclaim(p);
}

/* All come home, by the message alone. Then each publication wakes: the last
 * of a few must not be missed by who is about to sleep after another. */
static void
calm(struct publisher *p)
{
	struct shared *s = p->seat->shared;

	settle_all(p);
	for (int n = 0; n < CALM_ROUNDS &&
	    atomic_load(&s->finding) == FOUND_NOTHING; n++) {
		for (uint32_t i = chance_below(&p->seat->chance, 4);; i--) {
			assign(p);
			if (i == 0)
				break;
		}
		settle_all(p);
	}
	atomic_store(&s->settled, true);
	bound_await(p);			/* the keeper's last word */
}

int
stress_master(struct seat *seat)
{
	struct publisher *p = calloc(1, sizeof(*p));
	struct shared *s = seat->shared;

	p->seat = seat;
	me = p;
	begin(p);
	live_note(p);
	for (uint64_t n = 1; !atomic_load(&s->quiet); n++)
		step(p, n);
	calm(p);
	config_clusters_free(p->clusters);
	for (int i = 0; i < WORKERS; i++)
		row_close(p->rows[i]);
	generations_close(&p->generations);
	me = NULL;
	free(p);
	return 0;
}
