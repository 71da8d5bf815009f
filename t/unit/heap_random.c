/*
 * t/unit/heap_random.c - master/heap.c against a naive oracle: generations
 * drawn at random from a small alphabet, in an arena that is often full.
 *
 *   a step: stage a changed generation ─┬─> commit
 *           (rubbish beside it)         └─> abort
 *           sometimes reclaim, also in the stage; when nothing fits any more,
 *           move to a fresh arena, as compaction does
 *
 * After each, the oracle goes from the roots of the generations that it knows
 * to be held through the bytes in the arena: what it reaches must say what was
 * put, once each, and all the rest must be poison. A failure tells seed and
 * step; the seeds are the same in every run.
 */
#include <criterion/criterion.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "t/lib/chance.h"
#include "t/lib/unit_heap.h"

enum {
	SEEDS = 12, STEPS = 300,
	NAMES_N = 6, BALANCES_N = 7,	/* the alphabet */
	PAGES_N = 3, SLOTS_N = 5,
	HELD_MAX = 12, SIZE_BYTES = 16 << 10, POISON_BYTE = 0xdb,
};

/* What a generation says: per slot 0, or 1 + a letter. */
struct spec {
	uint64_t	 number;
	block_ref	 root;
	uint8_t		 letters[PAGES_N][SLOTS_N];
};

struct world {
	struct unit_heap u;
	struct spec	 held[HELD_MAX];	/* oldest first */
	int		 held_n;
	uint64_t	 number;	/* of the last stage */
	int		 commits, aborts, fulls, moves;
};

static const int name_bytes[NAMES_N] = { 1, 11, 12, 90, 140, 3000 };
static struct chance chance;

/* ---- the alphabet: names by balances */

static const char *
name(int i)
{
	static char text[4096];

	memset(text, 'a' + i, (size_t)name_bytes[i]);
	text[name_bytes[i]] = '\0';
	return text;
}

static block_ref
letter_put(struct heap *h, int letter)
{
	uint32_t n = (uint32_t)(letter % BALANCES_N);

	return unit_put_cluster(h, unit_put_text(h, name(letter /
	    BALANCES_N)), unit_put_balance(h, n, n + 1));
}

static bool
letter_is(const struct arena *a, block_ref ref, int letter)
{
	uint32_t n = (uint32_t)(letter % BALANCES_N);
	const struct block_cluster *c = arena_at(a, ref);
	const struct block_balance *b = arena_at(a, c->balance);

	if (strcmp(block_text(a, c->name), name(letter / BALANCES_N)) != 0 ||
	    b->endpoints_n != n || b->weight_total != (uint64_t)n * (n + 1))
		return false;
	for (uint32_t i = 0; i < n; i++)
		if (b->endpoints[i].id != i ||
		    b->endpoints[i].weight != n + 1)
			return false;
	return true;
}

/* The root, or 0: no room. */
static block_ref
spec_put(struct heap *h, const struct spec *s)
{
	block_ref pages[PAGES_N], page[SLOTS_N];

	for (int p = 0; p < PAGES_N; p++) {
		for (int i = 0; i < SLOTS_N; i++) {
			int letter = s->letters[p][i];

			page[i] = letter == 0 ? 0 : letter_put(h, letter - 1);
			if (letter != 0 && page[i] == 0)
				return 0;
		}
		pages[p] = unit_put_list(h, BLOCK_PAGE, SLOTS_N, page);
		if (pages[p] == 0)
			return 0;
	}
	return unit_put_root(h, s->number, unit_put_list(h, BLOCK_PAGES,
	    PAGES_N, pages));
}

static bool
spec_is(const struct arena *a, const struct spec *s)
{
	const struct block_root *root = arena_at(a, s->root);
	const struct block_list *pages = arena_at(a, root->clusters), *page;

	if (root->number != s->number || pages->n != PAGES_N)
		return false;
	for (int p = 0; p < PAGES_N; p++) {
		page = arena_at(a, pages->at[p]);
		for (int i = 0; i < SLOTS_N; i++)
			if (page->n != SLOTS_N || (s->letters[p][i] == 0 ?
			    page->at[i] != 0 : !letter_is(a, page->at[i],
			    s->letters[p][i] - 1)))
				return false;
	}
	return true;
}

/* ---- the oracle */

static bool
is_once(const struct unit_tree *t)
{
	const struct arena *a = t->arena;

	for (uint32_t i = 0; i < t->n; i++)
		for (uint32_t j = 0; j < i; j++) {
			size_t n = unit_block_bytes(a, t->kinds[i],
			    t->refs[i]);

			if (t->kinds[i] == t->kinds[j] && n ==
			    unit_block_bytes(a, t->kinds[j], t->refs[j]) &&
			    memcmp(arena_at(a, t->refs[i]), arena_at(a,
			    t->refs[j]), n) == 0)
				return false;
		}
	return true;
}

/* Units that are poison from end to end; no letter has such bytes. */
static uint64_t
poison_bytes(const struct arena *a)
{
	uint8_t poison[ARENA_UNIT_BYTES];
	uint64_t bytes = 0;

	memset(poison, POISON_BYTE, sizeof(poison));
	for (uint64_t at = ARENA_CONTROL_BYTES; at < a->used_bytes;
	    at += sizeof(poison))
		if (memcmp(a->base + at, poison, sizeof(poison)) == 0)
			bytes += sizeof(poison);
	return bytes;
}

/* NULL, or what the book has wrong. */
static const char *
wrong(struct world *w)
{
	static struct unit_tree t;
	struct arena *a = &w->u.arena;
	struct heap_bytes b;

	t.arena = a;
	t.n = 0;
	for (int i = 0; i < w->held_n; i++) {
		if (!spec_is(a, &w->held[i]))
			return "a held generation is not what was put";
		unit_tree_add(&t, BLOCK_ROOT, w->held[i].root);
	}
	if (!is_once(&t))
		return "two blocks are equal";
	heap_measure(w->u.heap, &b);
	if (b.blocks_n != t.n)
		return "blocks are held that nobody reaches, or not held";
	if (b.live + b.pinned != heap_allocated(w->u.heap) ||
	    b.live + b.pinned + b.dead + ARENA_CONTROL_BYTES != b.used)
		return "the sums";
	if (b.dead != poison_bytes(a))
		return "the dead are not all the poison";
	if ((w->held_n < 2) != (b.pinned == 0))
		return "a generation alone pins nothing, others their roots";
	if (heap_generations_n(w->u.heap) != (uint32_t)w->held_n ||
	    heap_oldest(w->u.heap) != (w->held_n == 0 ? 0 :
	    w->held[0].number))
		return "which are held";
	return NULL;
}

/* ---- steps */

/* As the workers let: any number up to the newest, or beyond. */
static void
reclaim(struct world *w)
{
	uint64_t oldest = w->number + 2 - chance_below(&chance, HELD_MAX);

	heap_reclaim(w->u.heap, oldest);
	while (w->held_n > 1 && w->held[0].number < oldest)
		memmove(w->held, w->held + 1, (size_t)--w->held_n *
		    sizeof(w->held[0]));
}

/* Blocks that the root will not reach. */
static void
rubbish_put(struct heap *h)
{
	static char text[2048];
	size_t n = chance_below(&chance, sizeof(text) - 1);
	block_ref refs[2];

	memset(text, 'A' + (int)chance_below(&chance, 3), n);
	text[n] = '\0';
	refs[0] = unit_put_text(h, text);
	refs[1] = unit_put_text(h, name((int)chance_below(&chance, NAMES_N)));
	if (refs[0] != 0 && refs[1] != 0)
		unit_put_list(h, BLOCK_SECRETS, 2, refs);
}

static struct spec
spec_next(const struct world *w)
{
	struct spec s = { 0 };

	if (w->held_n > 0)
		s = w->held[w->held_n - 1];
	s.number = w->number;
	for (uint32_t n = chance_below(&chance, 4); n > 0; n--)
		s.letters[chance_below(&chance, PAGES_N)][chance_below(&chance, SLOTS_N)] =
		    (uint8_t)(chance_below(&chance, 3) == 0 ? 0 :
		    1 + chance_below(&chance, NAMES_N * BALANCES_N));
	return s;
}

/* Into a fresh arena, with the newest generation alone. */
static void
move(struct world *w)
{
	struct spec *newest = &w->held[w->held_n - 1];
	struct unit_heap to;
	block_ref root;

	unit_heap_open(&to, SIZE_BYTES, HEAP_POISON);
	heap_begin(to.heap);
	root = heap_copy(w->u.heap, to.heap);
	cr_assert_neq(root, 0);
	cr_assert(unit_trees_equal(&w->u.arena, newest->root, &to.arena, root,
	    BLOCK_ROOT));
	heap_commit(to.heap, BLOCK_ROOT, root, newest->number);
	unit_heap_close(&w->u);
	w->u = to;
	heap_move(w->u.heap, &w->u.arena);
	w->held[0] = *newest;
	w->held[0].root = root;
	w->held_n = 1;
	w->moves++;
}

static void
step(struct world *w)
{
	struct heap *h = w->u.heap;
	struct spec s;

	w->number += 1 + chance_below(&chance, 2);
	s = spec_next(w);
	heap_begin(h);
	if (chance_below(&chance, 2) == 0)
		rubbish_put(h);
	s.root = spec_put(h, &s);
	if (chance_below(&chance, 3) == 0)
		rubbish_put(h);
	if (chance_below(&chance, 4) == 0)
		reclaim(w);
	if (s.root != 0 && chance_below(&chance, 4) > 0 && w->held_n < HELD_MAX) {
		heap_commit(h, BLOCK_ROOT, s.root, s.number);
		w->held[w->held_n++] = s;
		w->commits++;
	} else {
		heap_abort(h);
		w->aborts++;
		w->fulls += s.root == 0;
	}
}

Test(heap_random, as_the_oracle_says)
{
	struct world all = { 0 };

	for (unsigned seed = 1; seed <= SEEDS; seed++) {
		struct world w = { 0 };
		const char *what;

		chance.state = seed;
		unit_heap_open(&w.u, SIZE_BYTES, HEAP_POISON);
		heap_move(w.u.heap, &w.u.arena);
		for (int i = 0; i < STEPS; i++) {
			int fulls = w.fulls;

			step(&w);
			what = wrong(&w);
			cr_assert_null(what, "seed %u step %d: %s", seed, i,
			    what);
			if (chance_below(&chance, 3) == 0)
				reclaim(&w);
			if (w.fulls > fulls && w.held_n > 0)
				move(&w);
			what = wrong(&w);
			cr_assert_null(what, "seed %u step %d, then: %s",
			    seed, i, what);
		}
		all.commits += w.commits;
		all.aborts += w.aborts;
		all.moves += w.moves;
		unit_heap_close(&w.u);
	}
	/* It was not all of one sort. */
	cr_assert_gt(all.commits, SEEDS * STEPS / 2, "%d", all.commits);
	cr_assert_gt(all.aborts, SEEDS * STEPS / 10, "%d", all.aborts);
	cr_assert_gt(all.moves, SEEDS, "%d", all.moves);
}
