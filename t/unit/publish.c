/*
 * t/unit/publish.c - shm/publish.c: a worker gets a whole generation or keeps
 * the old one, by the writer's mapping, a reader's, and after the writer was
 * killed in the middle.
 */
#include "shm/publish.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/clock.h"
#include "shm/control.h"

static char why[256];

static void
open_pair(struct arena *a, struct arena *r, uint64_t bytes)
{
	cr_assert_eq(arena_new(a, bytes, why, sizeof(why)), 0, "%s", why);
	cr_assert_eq(arena_open(r, dup(a->fd), why, sizeof(why)), 0, "%s",
	    why);
}

static void
put(struct arena *a, uint64_t number)
{
	publish_put(a, &(struct generation){ .number = number,
	    .published_ns = number * 2, .live_bytes = number * 3,
	    .listeners_n = 4, .clusters_n = 5, .routes_n = 6,
	    .endpoints_n = 7, .root = (block_ref)number * 8 });
}

static void
is(const struct generation *g, uint64_t number)
{
	cr_assert_eq(g->number, number);
	cr_assert_eq(g->published_ns, number * 2);
	cr_assert_eq(g->live_bytes, number * 3);
	cr_assert_eq(g->listeners_n, 4);
	cr_assert_eq(g->clusters_n, 5);
	cr_assert_eq(g->routes_n, 6);
	cr_assert_eq(g->endpoints_n, 7);
	cr_assert_eq(g->root, number * 8);
}

Test(publish, only_what_is_new_is_observed)
{
	struct generation g = { 0 };
	struct arena a, r;
	uint64_t turn = 0;

	open_pair(&a, &r, 1 << 20);
	cr_assert_not(publish_observe(&r, &turn, &g), "nothing is there yet");
	cr_assert_eq(g.number, 0);
	for (uint64_t n = 1; n < 6; n++) {
		put(&a, n);
		cr_assert(publish_observe(&r, &turn, &g), "%d", (int)n);
		is(&g, n);
		cr_assert_not(publish_observe(&r, &turn, &g));
		is(&g, n);
	}
	put(&a, 6);
	put(&a, 7);
	cr_assert(publish_observe(&r, &turn, &g), "one may be skipped");
	is(&g, 7);
	put(&a, 7);
	cr_assert_not(publish_observe(&r, &turn, &g), "the same is not news");
	put(&a, 3);
	cr_assert(publish_observe(&r, &turn, &g), "an older one is, pinned");
	is(&g, 3);
	arena_close(&r);
	arena_close(&a);
}

/* Who comes late, and who is handed another arena: turn is per arena. */
Test(publish, late_and_rehomed)
{
	struct generation g = { 0 };
	struct arena a, r, a2, r2;
	uint64_t turn = 0;

	open_pair(&a, &r, 1 << 20);
	open_pair(&a2, &r2, 1 << 20);
	put(&a, 1);
	put(&a, 2);
	cr_assert(publish_observe(&r, &turn, &g));
	is(&g, 2);
	turn = 0;
	cr_assert_not(publish_observe(&r2, &turn, &g), "it is empty yet");
	is(&g, 2);

	/* Its first put has begun, which shows the other copy: nothing. */
	atomic_store(&((struct control *)(void *)a2.base)->latch.turn, 1);
	cr_assert_not(publish_observe(&r2, &turn, &g));
	is(&g, 2);
	atomic_store(&((struct control *)(void *)a2.base)->latch.turn, 0);
	put(&a2, 3);
	cr_assert(publish_observe(&r2, &turn, &g));
	is(&g, 3);
	arena_close(&r);
	arena_close(&a);
	arena_close(&r2);
	arena_close(&a2);
}

/* ---- kill -9 */

enum { ROUNDS = 200, BLOCKS = 256, BLOCK_WORDS = 8, REST = 20, ROUND_MS = 4 };

struct block {
	_Atomic uint64_t words[BLOCK_WORDS];
};

/* The writer, until it is killed: a generation is a block full of its number.
 * Blocks are reused much too early, always by higher numbers. */
static void
publish_for_ever(struct arena *a, int ready)
{
	block_ref first;
	struct block *blocks = arena_put(a, BLOCKS * sizeof(*blocks), &first);

	for (uint64_t n = 1;; n++) {
		struct block *b = &blocks[n % BLOCKS];

		for (int i = 0; i < BLOCK_WORDS; i++)
			atomic_store_explicit(&b->words[i], n,
			    memory_order_relaxed);
		publish_put(a, &(struct generation){ .number = n,
		    .published_ns = ~n, .root = first + n % BLOCKS *
		    sizeof(*b) / ARENA_UNIT_BYTES });
		if (n == 1 && write(ready, "", 1) != 1)
			_exit(1);
		for (volatile int i = 0; i < REST; i++)
			;		/* readers come to their end */
	}
}

static void
block_check(const struct arena *r, const struct generation *g)
{
	const struct block *b = arena_at(r, g->root);

	cr_assert_eq(g->published_ns, ~g->number, "a torn generation");
	for (int i = 0; i < BLOCK_WORDS; i++)
		cr_assert_geq(atomic_load_explicit(&b->words[i],
		    memory_order_relaxed), g->number,
		    "published before it was written");
}

/* Its arena's descriptor number is what the parent has at this place. */
static pid_t
writer_start(int *arena_fd)
{
	char path[64], byte;
	int ready[2];
	pid_t pid;

	cr_assert_eq(pipe(ready), 0);
	*arena_fd = dup(0);		/* the child's will be this one */
	pid = fork();
	cr_assert_neq(pid, -1);
	if (pid == 0) {
		struct arena a;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (arena_new(&a, 1 << 20, why, sizeof(why)) != 0 ||
		    dup2(a.fd, *arena_fd) == -1)
			_exit(1);
		publish_for_ever(&a, ready[1]);
	}
	close(ready[1]);
	cr_assert_eq(read(ready[0], &byte, 1), 1, "the writer did not begin");
	close(ready[0]);
	close(*arena_fd);
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, *arena_fd);
	*arena_fd = open(path, O_RDONLY);
	cr_assert_geq(*arena_fd, 0);
	return pid;
}

static uint64_t observed, killed_within;

static bool
was_within_a_put(const struct arena *r)
{
	const struct latch *l = &((const struct control *)
	    (const void *)r->base)->latch;

	return l->turn % 2 == 1 || memcmp(l->words[0], l->words[1],
	    sizeof(l->words[0])) != 0;
}

/* Observes while the writer lives, and once more when it is dead. */
static void
round_run(int observations, int spin_us)
{
	struct generation g = { 0 }, last = { 0 };
	struct arena r;
	uint64_t turn = 0, fresh = 0;
	struct mono until;
	int arena_fd, status;
	pid_t pid = writer_start(&arena_fd);

	cr_assert_eq(arena_open(&r, arena_fd, why, sizeof(why)), 0, "%s",
	    why);
	until = mono_after_ms(clock_now(), ROUND_MS);
	while (observations > 0 && clock_now().ns < until.ns)
		if (publish_observe(&r, &turn, &g)) {
			cr_assert_gt(g.number, last.number);
			block_check(&r, &g);
			last = g;
			observed++;
			observations--;
		}
	/* Not at once: what was just observed lies before a rest. */
	until = (struct mono){ clock_now().ns + spin_us * 1000 };
	while (clock_now().ns < until.ns)
		;
	kill(pid, SIGKILL);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	publish_observe(&r, &turn, &g);
	cr_assert_geq(g.number, last.number);
	block_check(&r, &g);
	/* A worker that starts now gets the very same. */
	cr_assert(publish_observe(&r, &fresh, &(struct generation){ 0 }));
	cr_assert_eq(fresh, turn);
	killed_within += was_within_a_put(&r);
	arena_close(&r);
}

Test(publish, a_writer_killed_anywhere_leaves_a_generation)
{
	for (int i = 0; i < ROUNDS; i++)
		round_run(1 + i, i * 37 % 1000);
	cr_log_info("%llu generations observed, %llu of %d writers killed "
	    "within a put", (unsigned long long)observed,
	    (unsigned long long)killed_within, ROUNDS);
}
