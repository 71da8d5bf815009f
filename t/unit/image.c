/*
 * t/unit/image.c - the two arenas of a master and their books: secrets that
 * leave nothing behind, when compaction is wanted, and what it gives.
 */
#include "master/image.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "master/dump.h"
#include "shm/verify.h"
#include "t/lib/sample.h"
#include "t/lib/unit_heap.h"
#include "t/lib/unit_process.h"

enum { SIZE_BYTES = 16 << 20, KEY_BYTES = 200 };

static char why[512];
static struct image image;

static void
begin(void)
{
	cr_assert_eq(image_open_sized(&image, SIZE_BYTES, why, sizeof(why)),
	    0, "%s", why);
}

/* ---- keys: text that looks random, another one for each number */

static const char *
key(unsigned number)
{
	static char text[KEY_BYTES + 1];

	for (int i = 0; i < KEY_BYTES; i++) {
		number = number * 1103515245 + 12345;
		text[i] = (char)('0' + (number >> 16) % 64);
	}
	return text;
}

/* Whether any 16 bytes of the key lie in what was ever written there. */
static bool
is_anywhere(const struct arena *a, unsigned number)
{
	off_t from = 0, to;

	while ((from = lseek(a->fd, from, SEEK_DATA)) != -1) {
		to = lseek(a->fd, from, SEEK_HOLE);
		for (int i = 0; i + 16 <= KEY_BYTES; i++)
			if (memmem(a->base + from, (size_t)(to - from),
			    key(number) + i, 16) != NULL)
				return true;
		from = to;
	}
	return false;
}

/* Stages a generation whose text says the number, with n keys from `first`
 * on. */
static void
stage(uint64_t number, unsigned first, unsigned n, block_ref *root,
    block_ref *secrets)
{
	block_ref refs[8], page[1], pages[1];
	char name[32];

	image_begin(&image);
	snprintf(name, sizeof(name), "of %llu", (unsigned long long)number);
	page[0] = unit_put_cluster(image.blocks, unit_put_text(image.blocks,
	    name), unit_put_balance(image.blocks, 3, 1));
	pages[0] = unit_put_list(image.blocks, BLOCK_PAGE, 1, page);
	*root = unit_put_root(image.blocks, number, unit_put_list(
	    image.blocks, BLOCK_PAGES, 1, pages));
	for (unsigned i = 0; i < n; i++)
		refs[i] = unit_put_text(image.keys, key(first + i));
	*secrets = unit_put_list(image.keys, BLOCK_SECRETS, n, refs);
	cr_assert(*root != 0 && *secrets != 0);
}

static block_ref
commit(uint64_t number, unsigned first, unsigned n)
{
	block_ref root, secrets;

	stage(number, first, n, &root, &secrets);
	image_commit(&image, root, secrets, number);
	return root;
}

/* ---- life */

Test(image, open_and_close)
{
	int before = unit_descriptors_n();

	for (int i = 0; i < 3; i++) {
		cr_assert_eq(image_open(&image, why, sizeof(why)), 0, "%s",
		    why);
		cr_assert_eq(image.arena.size_bytes, ARENA_SIZE_BYTES);
		cr_assert_eq(image.secrets.size_bytes, SECRETS_SIZE_BYTES);
		cr_assert_eq(image.keys_root, 0);
		cr_assert_eq(unit_descriptors_n(), before + 2);
		commit(1, 1, 1);
		image_close(&image);
		cr_assert_eq(unit_descriptors_n(), before);
		image_close(&image);
	}
}

/* Neither one arena nor two without a third descriptor. */
Test(image, open_without_descriptors)
{
	struct rlimit all, few;
	int before = unit_descriptors_n(), opened = 0;

	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &all), 0);
	few = all;
	for (few.rlim_cur = 3; few.rlim_cur < (rlim_t)before + 8 && !opened;
	    few.rlim_cur++) {
		setrlimit(RLIMIT_NOFILE, &few);
		why[0] = '\0';
		opened = image_open_sized(&image, SIZE_BYTES, why,
		    sizeof(why)) == 0;
		setrlimit(RLIMIT_NOFILE, &all);
		cr_assert_eq(opened, why[0] == '\0');
		cr_assert_eq(unit_descriptors_n(), before + 2 * opened);
		cr_assert(opened || (image.arena.base == NULL &&
		    image.blocks == NULL && image.secrets.base == NULL));
	}
	cr_assert_eq(opened, 1);
	image_close(&image);
}

/* A struct that was copied, as generations does, and the first one is gone. */
Test(image, settle)
{
	struct image first;
	block_ref root, secrets;

	cr_assert_eq(image_open_sized(&first, SIZE_BYTES, why, sizeof(why)),
	    0, "%s", why);
	image = first;
	memset(&first, 0, sizeof(first));
	image_settle(&image);
	commit(1, 1, 1);
	stage(2, 1, 2, &root, &secrets);
	image_abort(&image);
	cr_assert_gt(image.arena.used_bytes, ARENA_CONTROL_BYTES);
	cr_assert_gt(image.secrets.used_bytes, ARENA_CONTROL_BYTES);
	image_close(&image);
}

/* ---- secrets */

Test(image, a_key_that_was_let_go_is_nowhere)
{
	block_ref root, secrets;

	begin();
	commit(1, 1, 2);
	cr_assert_neq(image.keys_root, 0);
	commit(2, 2, 2);
	for (unsigned i = 1; i <= 3; i++) {
		cr_assert(is_anywhere(&image.secrets, i), "%u", i);
		cr_assert_not(is_anywhere(&image.arena, i), "%u", i);
	}
	image_reclaim(&image, 1);
	cr_assert(is_anywhere(&image.secrets, 1), "1 is still in use");
	image_reclaim(&image, 2);
	cr_assert_not(is_anywhere(&image.secrets, 1));
	cr_assert(is_anywhere(&image.secrets, 2));
	cr_assert(is_anywhere(&image.secrets, 3));

	/* Refused: the new ones go, those in use stay. */
	stage(3, 3, 4, &root, &secrets);
	cr_assert(is_anywhere(&image.secrets, 6));
	image_abort(&image);
	for (unsigned i = 1; i <= 6; i++)
		cr_assert_eq(is_anywhere(&image.secrets, i), i == 2 || i == 3,
		    "%u", i);

	/* Staged beside what the list names. */
	image_begin(&image);
	unit_put_text(image.keys, key(7));
	image_abort(&image);
	commit(3, 8, 1);
	image_reclaim(&image, 3);
	for (unsigned i = 1; i <= 8; i++)
		cr_assert_eq(is_anywhere(&image.secrets, i), i == 8, "%u", i);
	image_close(&image);
}

/* The kernel's own word: "dd" is what madvise(MADV_DONTDUMP) leaves. */
static bool
is_dumped(const void *at)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	unsigned long from, to, want = (unsigned long)at;
	bool here = false, dumped = true;
	char line[512];

	cr_assert_not_null(f);
	while (fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			here = from <= want && want < to;
		else if (here && strncmp(line, "VmFlags:", 8) == 0)
			dumped = strstr(line, " dd") == NULL;
	}
	fclose(f);
	return dumped;
}

Test(image, secrets_are_in_no_core_dump)
{
	begin();
	cr_assert(is_dumped(image.arena.base));
	cr_assert_not(is_dumped(image.secrets.base));
	image_close(&image);
}

/* ---- compaction */

/* used_bytes is moved by hand to where the answer changes. */
Test(image, wants_compaction)
{
	enum { MIN = 1 << 20 };
	static char big[600 << 10];
	uint64_t small, large, kept;
	block_ref root;

	begin();
	cr_assert_not(image_wants_compaction(&image), "nothing is there");
	commit(1, 1, 1);
	small = heap_allocated(image.blocks);
	cr_assert_lt(small, MIN / 2);
	kept = image.arena.used_bytes;
	for (int less = 0; less < 2; less++) {
		image.arena.used_bytes = ARENA_CONTROL_BYTES + MIN -
		    (uint64_t)less;
		cr_assert_eq(image_wants_compaction(&image), !less);
	}
	image.arena.used_bytes = kept;

	/* Large enough: from the moment when half of it is dead. */
	memset(big, 'x', sizeof(big) - 1);
	image_begin(&image);
	root = unit_put_text(image.blocks, big);
	root = unit_put_cluster(image.blocks, root, unit_put_balance(
	    image.blocks, 1, 1));
	root = unit_put_list(image.blocks, BLOCK_PAGE, 1, &root);
	root = unit_put_list(image.blocks, BLOCK_PAGES, 1, &root);
	root = unit_put_root(image.blocks, 2, root);
	image_commit(&image, root, unit_put_list(image.keys, BLOCK_SECRETS, 0,
	    &root), 2);
	for (int alone = 0; alone < 2; alone++) {
		large = heap_allocated(image.blocks);
		cr_assert_gt(2 * large, MIN);
		kept = image.arena.used_bytes;
		for (int less = 0; less < 2; less++) {
			image.arena.used_bytes = ARENA_CONTROL_BYTES +
			    2 * large - (uint64_t)less;
			cr_assert_eq(image_wants_compaction(&image),
			    alone && !less, "%d %d", alone, less);
		}
		image.arena.used_bytes = kept;
		image_reclaim(&image, 2);
	}

	/* And without a hand: the big one goes. */
	cr_assert_not(image_wants_compaction(&image));
	image.arena.used_bytes += MIN;		/* dead from the start */
	commit(3, 1, 1);
	cr_assert_not(image_wants_compaction(&image));
	image_reclaim(&image, 3);
	cr_assert(image_wants_compaction(&image));
	image_close(&image);
}

/* The generation as text, with 0 for its number. */
static char *
dumped(const struct arena *a, block_ref root)
{
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	dump(f, a, root);
	fclose(f);
	cr_assert_eq(strncmp(text, "generation ", 11), 0);
	text[11] = '0';			/* all have one digit */
	return text;
}

static bool
bytes_same(const struct heap_bytes *a, const struct heap_bytes *b)
{
	return a->live == b->live && a->pinned == b->pinned &&
	    a->dead == b->dead && a->used == b->used &&
	    a->blocks_n == b->blocks_n;
}

/* A generation with a block of each kind, number 3, with two keys. */
static block_ref
sample_commit(void)
{
	struct unit_heap by_hand;
	struct unit_move move = { &by_hand.arena, image.blocks };
	block_ref keys[2], root;
	struct sample s;

	unit_heap_open(&by_hand, SIZE_BYTES, HEAP_KEEP);
	sample_put(&s, &by_hand.arena);
	image_begin(&image);
	root = unit_put_tree(&move, BLOCK_ROOT, s.root_ref);
	for (unsigned i = 0; i < 2; i++)
		keys[i] = unit_put_text(image.keys, key(i + 1));
	image_commit(&image, root, unit_put_list(image.keys, BLOCK_SECRETS, 2,
	    keys), 3);
	unit_heap_close(&by_hand);
	return root;
}

Test(image, a_compacted_generation_is_the_same)
{
	const struct block_list *keys;
	struct block_root before;
	const struct block_root *after;
	struct image to;
	struct heap_bytes b;
	block_ref old, root;
	int descriptors = unit_descriptors_n();
	char *text[2];

	begin();
	commit(2, 1, 1);
	old = sample_commit();
	image_reclaim(&image, 3);
	memcpy(&before, arena_at(&image.arena, old), sizeof(before));
	text[0] = dumped(&image.arena, old);

	cr_assert_eq(image_compact(&image, &to, 7, &root, why, sizeof(why)),
	    0, "%s", why);
	after = arena_at(&to.arena, root);
	cr_assert_eq(after->number, 7);
	cr_assert_eq(memcmp(&after->settings, &before.settings,
	    sizeof(before.settings)), 0);
	cr_assert(unit_trees_equal(&image.arena, before.listeners, &to.arena,
	    after->listeners, BLOCK_LISTENERS));
	cr_assert(unit_trees_equal(&image.arena, before.clusters, &to.arena,
	    after->clusters, BLOCK_PAGES));
	text[1] = dumped(&to.arena, root);
	cr_assert_str_eq(text[0], text[1]);
	heap_measure(to.blocks, &b);
	cr_assert_eq(verify(&to.arena, NULL, root, b.live, why, sizeof(why)),
	    0, "%s", why);
	cr_assert_eq(b.pinned, 0);
	cr_assert_leq(b.dead, 2 * sizeof(struct block_root), "one root more");
	cr_assert_eq(heap_oldest(to.blocks), 7);

	/* Whoever still reads the old one reads what it was. */
	cr_assert_eq(memcmp(arena_at(&image.arena, old), &before,
	    sizeof(before)), 0);
	free(text[1]);
	text[1] = dumped(&image.arena, old);
	cr_assert_str_eq(text[0], text[1]);

	/* The secrets are in the hands of the new one, where they were. */
	cr_assert(image.keys == NULL && image.secrets.fd == -1 &&
	    image.secrets.base == NULL);
	keys = arena_at(&to.secrets, to.keys_root);
	cr_assert_eq(keys->n, 2);
	cr_assert_str_eq(block_text(&to.secrets, keys->at[1]), key(2));
	image_close(&image);
	image = to;
	image_settle(&image);
	commit(8, 2, 2);
	image_reclaim(&image, 7);
	cr_assert(is_anywhere(&image.secrets, 1), "7 has it");
	image_reclaim(&image, 8);
	cr_assert_not(is_anywhere(&image.secrets, 1));
	cr_assert(is_anywhere(&image.secrets, 2));
	image_close(&image);
	cr_assert_eq(unit_descriptors_n(), descriptors);
	free(text[0]);
	free(text[1]);
}

Test(image, a_compaction_that_fails_leaves_all)
{
	enum { DESCRIPTORS, ROOM, NOTHING };
	struct image to;
	struct rlimit all, few;
	struct heap_bytes was, is;
	block_ref old, root;
	int descriptors;
	char *text[2];

	begin();
	old = sample_commit();
	text[0] = dumped(&image.arena, old);
	heap_measure(image.blocks, &was);
	getrlimit(RLIMIT_NOFILE, &all);
	few = all;
	few.rlim_cur = 3;
	descriptors = unit_descriptors_n();
	for (int lack = DESCRIPTORS; lack < NOTHING; lack++) {
		why[0] = '\0';
		if (lack == DESCRIPTORS)
			setrlimit(RLIMIT_NOFILE, &few);
		else		/* the fresh one is as large as this */
			image.arena.size_bytes = 2 * ARENA_CONTROL_BYTES;
		cr_assert_eq(image_compact(&image, &to, 4, &root, why,
		    sizeof(why)), -1, "%d", lack);
		setrlimit(RLIMIT_NOFILE, &all);
		image.arena.size_bytes = SIZE_BYTES;
		cr_assert_neq(why[0], '\0');
		cr_assert_eq(unit_descriptors_n(), descriptors);
		cr_assert(to.arena.base == NULL && to.blocks == NULL &&
		    to.keys == NULL);

		text[1] = dumped(&image.arena, old);
		cr_assert_str_eq(text[0], text[1]);
		free(text[1]);
		heap_measure(image.blocks, &is);
		cr_assert(bytes_same(&was, &is));
		cr_assert_eq(heap_oldest(image.blocks), 3);
		cr_assert_eq(heap_generations_n(image.keys), 1);
		cr_assert(is_anywhere(&image.secrets, 1));
	}
	/* And it can go on: a stage, and the compaction after all. */
	commit(4, 2, 1);
	image_reclaim(&image, 4);
	cr_assert_not(is_anywhere(&image.secrets, 1));
	cr_assert_eq(image_compact(&image, &to, 5, &root, why, sizeof(why)),
	    0, "%s", why);
	image_close(&image);
	image_close(&to);
	free(text[0]);
}
