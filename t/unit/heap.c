/*
 * t/unit/heap.c - the writer's book of blocks: what master/heap.h promises,
 * H1 to H4, case by case; heap_random.c does it at random.
 */
#include "master/heap.h"

#include <criterion/criterion.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shm/verify.h"
#include "t/lib/sample.h"
#include "t/lib/unit_heap.h"

enum { SIZE_BYTES = 4 << 20, POISON_BYTE = 0xdb };

static struct unit_heap u;
static struct heap *h;

static void
begin(enum heap_dead dead)
{
	unit_heap_open(&u, SIZE_BYTES, dead);
	h = u.heap;
}

static void
end(void)
{
	unit_heap_close(&u);
}

static struct heap_bytes
measured(void)
{
	struct heap_bytes b;

	heap_measure(h, &b);
	cr_assert_eq(b.live + b.pinned, heap_allocated(h));
	cr_assert_eq(b.live + b.pinned + b.dead + ARENA_CONTROL_BYTES, b.used);
	cr_assert_eq(b.used, u.arena.used_bytes);
	return b;
}

static const char *
text_at(block_ref ref)
{
	return block_text(&u.arena, ref);
}

/* A generation that is a list of texts, "" ending them. */
static block_ref
texts_commit(uint64_t number, const char *const *texts)
{
	block_ref refs[8], root;
	uint32_t n = 0;

	heap_begin(h);
	for (; *texts[n] != '\0'; n++)
		refs[n] = unit_put_text(h, texts[n]);
	root = unit_put_list(h, BLOCK_SECRETS, n, refs);
	cr_assert_neq(root, 0);
	heap_commit(h, BLOCK_SECRETS, root, number);
	return root;
}
#define TEXTS(...) (const char *const[]){ __VA_ARGS__, "" }

static block_ref
child(block_ref list, uint32_t i)
{
	return ((const struct block_list *)arena_at(&u.arena, list))->at[i];
}

/* ---- H1: what is equal is shared */

Test(heap, equal_bytes_are_one_block)
{
	block_ref first, again, a;

	begin(HEAP_POISON);
	heap_begin(h);
	a = unit_put_text(h, "a");
	cr_assert_eq(unit_put_text(h, "a"), a);
	cr_assert_neq(unit_put_text(h, "b"), a);
	cr_assert_neq(unit_put_text(h, "aa"), a);
	cr_assert_neq(unit_put_list(h, BLOCK_CHAINS, 0, &a),
	    unit_put_list(h, BLOCK_HOSTS, 0, &a),
	    "the same bytes, of another kind");
	cr_assert_eq(measured().blocks_n, 5);
	heap_abort(h);

	first = texts_commit(1, TEXTS("a", "b", "a"));
	cr_assert_eq(child(first, 0), child(first, 2));
	cr_assert_eq(measured().blocks_n, 3);
	again = texts_commit(2, TEXTS("c", "b", "a"));
	cr_assert_eq(child(again, 1), child(first, 1));
	cr_assert_eq(child(again, 2), child(first, 0));
	cr_assert_eq(measured().blocks_n, 5, "a list and c are new");
	cr_assert_eq(texts_commit(3, TEXTS("a", "b", "a")), first);
	cr_assert_eq(measured().blocks_n, 5);
	end();
}

/* Two pages of two clusters; the first one has that many endpoints. */
static block_ref
clusters_commit(uint64_t number, uint32_t first_n)
{
	block_ref clusters[4], pages[2], root;
	char name[2] = "a";

	heap_begin(h);
	for (uint32_t i = 0; i < 4; i++, name[0]++)
		clusters[i] = unit_put_cluster(h, unit_put_text(h, name),
		    unit_put_balance(h, i == 0 ? first_n : i, 1));
	pages[0] = unit_put_list(h, BLOCK_PAGE, 2, clusters);
	pages[1] = unit_put_list(h, BLOCK_PAGE, 2, clusters + 2);
	root = unit_put_root(h, number, unit_put_list(h, BLOCK_PAGES, 2,
	    pages));
	cr_assert_neq(root, 0);
	heap_commit(h, BLOCK_ROOT, root, number);
	return ((const struct block_root *)arena_at(&u.arena,
	    root))->clusters;
}

Test(heap, a_change_writes_the_path_to_it)
{
	struct heap_bytes before, after;
	block_ref old, new;

	begin(HEAP_POISON);
	old = clusters_commit(1, 7);
	before = measured();
	cr_assert_eq(before.blocks_n, 4 * 3 + 2 + 1 + 1);
	new = clusters_commit(2, 8);
	after = measured();
	cr_assert_eq(after.blocks_n - before.blocks_n, 5,
	    "endpoints, cluster, page, pages, root");
	cr_assert_eq(child(new, 1), child(old, 1), "the other page");
	cr_assert_eq(child(child(new, 0), 1), child(child(old, 0), 1),
	    "the page's other cluster");
	cr_assert_neq(child(child(new, 0), 0), child(child(old, 0), 0));
	cr_assert_gt(after.pinned, 0);

	heap_reclaim(h, 2);
	after = measured();
	cr_assert_eq(after.blocks_n, before.blocks_n);
	cr_assert_eq(after.pinned, 0);
	cr_assert_eq(after.dead, after.used - ARENA_CONTROL_BYTES -
	    after.live);
	end();
}

/* ---- H2, H3: who is named lives */

Test(heap, reclaim_frees_what_no_held_generation_names)
{
	block_ref one, two, nine;

	begin(HEAP_POISON);
	cr_assert_eq(heap_oldest(h), 0);
	cr_assert_eq(heap_generations_n(h), 0);
	cr_assert_eq(measured().live, 0);
	heap_reclaim(h, 5);
	one = texts_commit(1, TEXTS("only 1", "1 and 2", "1 and 9"));
	two = texts_commit(2, TEXTS("1 and 2", "only 2"));
	nine = texts_commit(9, TEXTS("1 and 9", "only 9"));
	cr_assert_eq(heap_generations_n(h), 3);

	heap_reclaim(h, 1);
	cr_assert_eq(heap_oldest(h), 1, "who uses 1 may go on");
	cr_assert_str_eq(text_at(child(one, 0)), "only 1");
	heap_reclaim(h, 2);
	cr_assert_eq(heap_oldest(h), 2);
	cr_assert_eq(measured().blocks_n, 2 + 4, "two lists, four texts");
	cr_assert_str_eq(text_at(child(two, 0)), "1 and 2");
	cr_assert_str_eq(text_at(child(nine, 0)), "1 and 9");
	heap_reclaim(h, 5);
	cr_assert_eq(heap_oldest(h), 9, "2 is before 5, too");
	cr_assert_eq(heap_generations_n(h), 1);
	heap_reclaim(h, UINT64_MAX);
	cr_assert_eq(heap_oldest(h), 9, "never the newest");
	cr_assert_eq(measured().blocks_n, 3);
	cr_assert_str_eq(text_at(child(nine, 0)), "1 and 9");
	cr_assert_str_eq(text_at(child(nine, 1)), "only 9");
	end();
}

/* The list of secrets does not change with each generation. */
Test(heap, one_root_of_many_generations)
{
	block_ref root;

	begin(HEAP_WIPE);
	root = texts_commit(1, TEXTS("key", "key"));
	cr_assert_eq(texts_commit(2, TEXTS("key", "key")), root);
	texts_commit(3, TEXTS("other"));
	cr_assert_eq(texts_commit(4, TEXTS("key", "key")), root);
	for (uint64_t oldest = 2; oldest <= 4; oldest++) {
		heap_reclaim(h, oldest);
		cr_assert_str_eq(text_at(child(root, 1)), "key");
	}
	cr_assert_eq(measured().blocks_n, 2);
	texts_commit(5, TEXTS("other"));
	heap_reclaim(h, 5);
	cr_assert_eq(measured().blocks_n, 2);
	cr_assert_str_neq(text_at(child(root, 1)), "key");
	end();
}

/* The master reclaims also while the keeper binds what is staged. */
Test(heap, reclaim_in_a_stage)
{
	static const char *const texts[] = { "old", "new" };

	for (int commit = 0; commit < 2; commit++) {
		block_ref refs[2], root;

		begin(HEAP_POISON);
		texts_commit(1, TEXTS("old"));
		texts_commit(2, TEXTS("not it"));
		heap_begin(h);
		for (int i = 0; i < 2; i++)
			refs[i] = unit_put_text(h, texts[i]);
		root = unit_put_list(h, BLOCK_SECRETS, 2, refs);
		heap_reclaim(h, 2);
		cr_assert_str_eq(text_at(refs[0]), "old");
		if (commit)
			heap_commit(h, BLOCK_SECRETS, root, 3);
		else
			heap_abort(h);
		cr_assert_eq(measured().blocks_n, commit ? 5 : 2);
		cr_assert_eq(strcmp(text_at(refs[0]), "old") == 0, commit);
		end();
	}
}

/* ---- stages */

Test(heap, what_the_root_does_not_reach_is_freed)
{
	block_ref a, kept;

	begin(HEAP_POISON);
	heap_begin(h);
	a = unit_put_text(h, "unused");
	unit_put_list(h, BLOCK_SECRETS, 1, &a);
	a = unit_put_text(h, "used");
	unit_put_list(h, BLOCK_SECRETS, 3, (block_ref[]){ a, a, a });
	kept = unit_put_list(h, BLOCK_SECRETS, 1, &a);
	cr_assert_eq(measured().blocks_n, 5);
	heap_commit(h, BLOCK_SECRETS, kept, 1);
	cr_assert_eq(measured().blocks_n, 2);
	cr_assert_eq(measured().pinned, 0);
	cr_assert_str_eq(text_at(a), "used");
	end();
}

Test(heap, an_abort_is_as_if_nothing_was)
{
	struct heap_bytes before, after;
	uint64_t used = 0;
	block_ref one;
	char text[16];

	begin(HEAP_POISON);
	one = texts_commit(1, TEXTS("a", "b"));
	before = measured();
	for (int round = 0; round < 100; round++) {
		heap_begin(h);
		for (int i = 0; i < 500; i++) {
			block_ref refs[2] = { unit_put_text(h, "a") };

			snprintf(text, sizeof(text), "%d", i);
			refs[1] = unit_put_text(h, text);
			unit_put_list(h, BLOCK_SECRETS, 2, refs);
		}
		cr_assert_gt(heap_allocated(h), before.live);
		heap_abort(h);
		after = measured();
		cr_assert_eq(after.live, before.live);
		cr_assert_eq(after.pinned, 0);
		cr_assert_eq(after.blocks_n, before.blocks_n);
		cr_assert_eq(heap_generations_n(h), 1);
		if (round == 0)
			used = after.used;
		cr_assert_eq(after.used, used, "round %d", round);
	}
	cr_assert_str_eq(text_at(child(one, 0)), "a");
	cr_assert_eq(texts_commit(2, TEXTS("a", "b")), one);
	end();
}

/* ---- the bytes of the dead */

Test(heap, dead_bytes)
{
	static const struct {
		enum heap_dead	dead;
		int		byte;	/* -1: what was there */
	} cases[] = {
		{ HEAP_KEEP, -1 }, { HEAP_POISON, POISON_BYTE },
		{ HEAP_WIPE, 0 },
	};
	static const char secret[] = "the quick brown fox jumps over it";

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const uint8_t *p;
		block_ref one;

		begin(cases[i].dead);
		one = texts_commit(1, TEXTS(secret, "stays"));
		p = arena_at(&u.arena, child(one, 0));
		texts_commit(2, TEXTS("stays"));
		cr_assert_not_null(memmem(u.arena.base, u.arena.used_bytes,
		    secret, sizeof(secret)));
		heap_reclaim(h, 2);
		cr_assert_eq(memmem(u.arena.base, u.arena.used_bytes, secret,
		    sizeof(secret)) != NULL, cases[i].byte == -1, "%zu", i);
		for (size_t j = 0; cases[i].byte != -1 && j < sizeof(secret) +
		    sizeof(struct block_text); j++)
			cr_assert_eq(p[j], cases[i].byte, "case %zu: %zu", i,
			    j);

		/* What is put there has nothing of them behind it. */
		heap_begin(h);
		one = unit_put_text(h, "one two three four five six 32.");
		cr_assert_eq((const uint8_t *)arena_at(&u.arena, one), p);
		for (size_t j = 4 + 32; j < 48; j++)
			cr_assert_eq(p[j], 0);
		heap_abort(h);
		end();
	}
}

/* ---- room */

/* The least waste that the classes promise, and no room inside another's. */
Test(heap, rooms_fit_and_are_apart)
{
	enum { N = 600 };
	static block_ref refs[N];
	static char text[64 << 10];
	size_t len = 1;

	begin(HEAP_POISON);
	heap_begin(h);
	for (int i = 0; i < N; i++) {
		uint64_t before = heap_allocated(h), room, needed;

		len = i < 400 ? (size_t)i + 3 : len * 102 / 100;
		snprintf(text, sizeof(text), "%d ", i);
		memset(text + strlen(text), 'a' + i % 26, len);
		text[len] = '\0';
		refs[i] = unit_put_text(h, text);
		cr_assert_neq(refs[i], 0);
		room = heap_allocated(h) - before;
		needed = (sizeof(struct block_text) + strlen(text) + 1 + 15) /
		    16 * 16;
		cr_assert(room >= needed && room - needed <= room / 5,
		    "%zu bytes in %llu", strlen(text),
		    (unsigned long long)room);
		cr_assert(needed > 128 || room == needed);
	}
	for (int i = 0; i < N; i++) {
		snprintf(text, sizeof(text), "%d ", i);
		cr_assert_eq(strncmp(text_at(refs[i]), text, strlen(text)), 0);
		cr_assert_eq(strlen(text_at(refs[i])), ((const struct
		    block_text *)arena_at(&u.arena, refs[i]))->len);
	}
	heap_abort(h);
	cr_assert_eq(heap_allocated(h), 0);
	end();
}

/* Two generations are held at a time, as while workers move on. */
Test(heap, ten_thousand_changes_in_the_room_of_a_few)
{
	enum { SIZES = 10 };
	struct heap_bytes first = { 0 }, b;

	begin(HEAP_POISON);
	for (uint64_t i = 1; i <= 10000; i++) {
		clusters_commit(i, (uint32_t)(i % SIZES) + 1);
		heap_reclaim(h, i - 1);
		if (i == 3 * SIZES)
			first = measured();
	}
	b = measured();
	cr_assert_eq(b.used, first.used, "%llu, it was %llu",
	    (unsigned long long)b.used, (unsigned long long)first.used);
	cr_assert_eq(b.blocks_n, first.blocks_n);
	cr_assert_eq(heap_oldest(h), 9999);
	end();
}

Test(heap, a_full_arena_refuses_and_goes_on)
{
	enum { PAGE_BYTES = 4096, PAGES_N = 16 };
	struct heap_bytes before;
	block_ref one, ref;
	char text[1024];
	int n[2] = { 0, 0 };

	unit_heap_open(&u, (PAGES_N + 1) * PAGE_BYTES, HEAP_POISON);
	h = u.heap;
	one = texts_commit(1, TEXTS("a"));
	before = measured();
	memset(text, 'x', sizeof(text));
	for (int round = 0; round < 2; round++) {
		heap_begin(h);
		do {
			snprintf(text, 512, "%d", n[round]++);
			text[strlen(text)] = 'x';
			text[1000] = '\0';
			ref = unit_put_text(h, text);
		} while (ref != 0);
		cr_assert_eq(unit_put_text(h, "b") != 0,
		    u.arena.size_bytes - u.arena.used_bytes >= 16 ||
		    round == 1, "what fits still does");
		cr_assert_eq(unit_put_text(h, "a"), child(one, 0));
		heap_abort(h);
		cr_assert_eq(measured().live, before.live);
		cr_assert_eq(measured().blocks_n, before.blocks_n);
	}
	cr_assert_geq(n[0], PAGES_N * PAGE_BYTES / 1040);
	cr_assert_eq(n[1], n[0], "the same room again");
	cr_assert_str_eq(text_at(child(one, 0)), "a");
	texts_commit(2, TEXTS("a", "after all"));
	heap_reclaim(h, 2);
	end();
}

/* ---- many, moved and copied */

Test(heap, many_blocks_are_found_again)
{
	enum { N = 20000 };
	static block_ref refs[N];
	struct arena elsewhere;
	block_ref root;
	char text[16];

	begin(HEAP_POISON);
	heap_begin(h);
	for (int i = 0; i < N; i++) {
		snprintf(text, sizeof(text), "%d", i);
		refs[i] = unit_put_text(h, text);
	}
	root = unit_put_list(h, BLOCK_SECRETS, N, refs);
	heap_commit(h, BLOCK_SECRETS, root, 1);
	cr_assert_eq(measured().blocks_n, N + 1);

	/* The same book, by the struct in its new place. */
	elsewhere = u.arena;
	memset(&u.arena, 0, sizeof(u.arena));
	heap_move(h, &elsewhere);
	heap_begin(h);
	for (int i = 0; i < N; i++) {
		snprintf(text, sizeof(text), "%d", i);
		cr_assert_eq(unit_put_text(h, text), refs[i]);
	}
	cr_assert_neq(unit_put_text(h, "new"), 0);
	heap_abort(h);
	u.arena = elsewhere;
	heap_move(h, &u.arena);
	cr_assert_eq(measured().blocks_n, N + 1);
	end();
}

/* A generation with a block of each kind, as number 3; its root. */
static block_ref
sample_commit(void)
{
	struct unit_heap by_hand;
	struct unit_move move = { &by_hand.arena, h };
	struct sample s;
	block_ref root;

	unit_heap_open(&by_hand, SIZE_BYTES, HEAP_KEEP);
	sample_put(&s, &by_hand.arena);
	heap_begin(h);
	root = unit_put_tree(&move, BLOCK_ROOT, s.root_ref);
	heap_commit(h, BLOCK_ROOT, root, 3);
	cr_assert(unit_trees_equal(&u.arena, root, &by_hand.arena, s.root_ref,
	    BLOCK_ROOT));
	unit_heap_close(&by_hand);
	return root;
}

Test(heap, a_copy_is_the_newest_generation)
{
	struct unit_heap to;
	struct heap_bytes from_bytes, to_bytes;
	block_ref root, copied;
	char why[512];

	begin(HEAP_POISON);
	clusters_commit(1, 5);
	root = sample_commit();
	from_bytes = measured();
	cr_assert_gt(from_bytes.pinned, 0);
	unit_heap_open(&to, SIZE_BYTES, HEAP_POISON);
	/* Twice: a walk leaves nothing for the next. */
	for (uint64_t number = 3; number < 5; number++) {
		heap_begin(to.heap);
		copied = heap_copy(h, to.heap);
		cr_assert_neq(copied, 0);
		heap_commit(to.heap, BLOCK_ROOT, copied, number);
	}
	heap_measure(to.heap, &to_bytes);
	cr_assert_eq(to_bytes.live, from_bytes.live);
	cr_assert_eq(to_bytes.pinned + to_bytes.dead, 0);
	cr_assert(unit_trees_equal(&u.arena, root, &to.arena, copied,
	    BLOCK_ROOT));
	cr_assert_null(sample_read(&to.arena, copied));
	cr_assert_eq(verify(&to.arena, NULL, copied, to_bytes.live, why,
	    sizeof(why)), 0, "%s", why);
	unit_heap_close(&to);
	cr_assert_eq(measured().blocks_n, from_bytes.blocks_n);
	end();
}

/* Wherever the room ends, both heaps can go on. */
Test(heap, a_copy_without_room)
{
	struct heap_bytes from_bytes, b;
	bool fits = false;

	begin(HEAP_POISON);
	sample_commit();
	from_bytes = measured();
	for (uint64_t size = ARENA_CONTROL_BYTES; !fits; size += 1024) {
		struct unit_heap to;
		block_ref root;

		cr_assert_lt(size, SIZE_BYTES);
		unit_heap_open(&to, size, HEAP_POISON);
		heap_begin(to.heap);
		root = heap_copy(h, to.heap);
		fits = root != 0;
		cr_assert_eq(fits, size >= ARENA_CONTROL_BYTES +
		    from_bytes.live, "%llu", (unsigned long long)size);
		if (fits)
			heap_commit(to.heap, BLOCK_ROOT, root, 3);
		else
			heap_abort(to.heap);
		heap_measure(to.heap, &b);
		cr_assert_eq(b.live + b.pinned, fits ? from_bytes.live : 0);
		unit_heap_close(&to);
		cr_assert_eq(measured().live, from_bytes.live);
	}
	end();
}
