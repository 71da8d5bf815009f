/*
 * t/unit/word.c - shm/word.c: whose cell it is, what is taken back, what is
 * healed; in one process. With several, and with deaths: word_deaths.c.
 */
#include "shm/word.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "master/names.h"
#include "t/lib/unit_word.h"


TestSuite(word, .init = unit_words_open, .fini = unit_words_close);

/* ---- whose cell it is */

static const struct {
	const char *what;
	uint64_t was;
	uint32_t tag;
	uint64_t added, subtracted;
} rules[] = {
#define CELL(tag, n) ((uint64_t)(tag) << 32 | (n))
	{ "nobody's yet", CELL(0, 0), 5, CELL(5, 1), CELL(0, 0) },
	{ "ours", CELL(5, 1), 5, CELL(5, 2), CELL(5, 0) },
	{ "ours, empty", CELL(5, 0), 5, CELL(5, 1), CELL(5, 0) },
	{ "ours, full", CELL(5, UINT32_MAX), 5, CELL(5, UINT32_MAX),
	    CELL(5, UINT32_MAX - 1) },
	{ "of the owner before", CELL(4, 7), 5, CELL(5, 1), CELL(4, 7) },
	{ "of an owner long ago", CELL(1, 7), 0x80000000, CELL(0x80000000, 1),
	    CELL(1, 7) },
	{ "of the next owner", CELL(6, 7), 5, CELL(6, 7), CELL(6, 7) },
	{ "of the next owner, empty", CELL(6, 0), 5, CELL(6, 0), CELL(6, 0) },
	{ "of the one before the wrap", CELL(UINT32_MAX, 7), 1, CELL(1, 1),
	    CELL(UINT32_MAX, 7) },
	{ "of the one after the wrap", CELL(1, 7), UINT32_MAX, CELL(1, 7),
	    CELL(1, 7) },
	{ "half way round", CELL(1, 7), 0x80000001, CELL(1, 7), CELL(1, 7) },
	{ "a tag that nobody has", CELL(0, 0), 0, CELL(0, 0), CELL(0, 0) },
	{ "that, scribbled", CELL(0, 9), 0, CELL(0, 9), CELL(0, 9) },
	{ "scribbled, then ours", CELL(0, 9), 5, CELL(5, 1), CELL(0, 9) },
};

Test(word, tag_rules)
{
	word_cell *c = &words->cells[word_at(K, 3)];

	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		*c = rules[i].was;
		cr_assert_eq(word_get(words, K, 3, rules[i].tag),
		    rules[i].was >> 32 == rules[i].tag ?
		    (uint32_t)rules[i].was : 0, "%s: get", rules[i].what);
		word_add(words, K, 3, rules[i].tag);
		cr_assert_eq(*c, rules[i].added, "%s: add", rules[i].what);
		*c = rules[i].was;
		word_sub(words, K, 3, rules[i].tag);
		cr_assert_eq(*c, rules[i].subtracted, "%s: sub",
		    rules[i].what);
	}
	cr_assert_eq(words->cells[word_at(K, 2)] | words->cells[word_at(K, 4)], 0);
}

Test(word, a_share_follows_the_same_rules)
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		word_cell *s = &rows[0]->shares.cells[word_at(K, 3)];
		word_cell *c = &words->cells[word_at(K, 3)];

		*s = *c = rules[i].was;
		word_share_add(words, rows[0], K, 3, rules[i].tag);
		cr_assert_eq(*s, rules[i].added, "%s", rules[i].what);
		cr_assert_eq(*c, rules[i].added, "%s", rules[i].what);
		*s = *c = rules[i].was;
		word_share_sub(words, rows[0], K, 3, rules[i].tag);
		cr_assert_eq(*s, rules[i].subtracted, "%s", rules[i].what);
		cr_assert_eq(*c, rules[i].subtracted, "%s", rules[i].what);
	}
	cr_assert_eq(rows[0]->shares.n[WORD_ENDPOINT], 4);
}

/* W3: what the share does not count the word does not either. */
Test(word, no_share_no_word)
{
	words->cells[word_at(K, 3)] = cell(5, 7);
	word_share_sub(words, rows[0], K, 3, 5);
	cr_assert_eq(words->cells[word_at(K, 3)], cell(5, 7), "subtracted another's");
	rows[0]->shares.cells[word_at(K, 3)] = cell(6, 1);
	word_share_add(words, rows[0], K, 3, 5);
	cr_assert_eq(words->cells[word_at(K, 3)], cell(5, 7));
}

Test(word, ids_out_of_range_are_ignored)
{
	static const uint32_t ids[] = { ENDPOINTS_MAX, ENDPOINTS_MAX + 1, INT32_MAX,
	    UINT32_MAX };

	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		word_add(words, K, ids[i], 5);
		word_sub(words, K, ids[i], 5);
		word_share_add(words, rows[0], K, ids[i], 5);
		word_share_sub(words, rows[0], K, ids[i], 5);
		cr_assert_eq(word_get(words, K, ids[i], 5), 0);
	}
	cr_assert_eq(rows[0]->shares.n[WORD_ENDPOINT], 0);
	word_share_add(words, rows[0], K, ENDPOINTS_MAX - 1, 5);
	cr_assert_eq(word_get(words, K, ENDPOINTS_MAX - 1, 5), 1);
	cr_assert_eq(rows[0]->shares.n[WORD_ENDPOINT], ENDPOINTS_MAX);
	rows[0]->shares.n[WORD_ENDPOINT] = UINT32_MAX;		/* scribbled (W4) */
	cr_assert_eq(heal(), 0);
	word_shares_take(words, rows[0]);
	cr_assert_eq(word_get(words, K, ENDPOINTS_MAX - 1, 5), 0);
}

/* ---- the memory */

Test(word, is_new_sealed_and_shared)
{
	int fd = word_new(why, sizeof(why));
	struct words *a, *b;
	struct stat st;

	a = word_open(fd, why, sizeof(why));
	b = word_open(fd, why, sizeof(why));
	cr_assert(a != NULL && b != NULL && a != b, "%s", why);
	cr_assert_eq(fstat(fd, &st), 0);
	cr_assert_leq(st.st_blocks * 512, 4096, "it is not sparse");
	cr_assert_eq(ftruncate(fd, 0), -1, "it can be shrunk");
	cr_assert_eq(ftruncate(fd, st.st_size * 2), -1, "or grown");
	cr_assert_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1,
	    "or sealed against the workers");
	close(fd);
	word_add(a, K, 9, 1);
	cr_assert_eq(word_get(b, K, 9, 1), 1);
	word_close(a);
	word_close(b);
}

Test(word, open_refuses_what_is_not_words)
{
	int fd = memfd_create("loose", MFD_ALLOW_SEALING);
	struct words *w;

	cr_assert_null(word_open(-1, why, sizeof(why)));
	cr_assert_null(word_open(fd, why, sizeof(why)));
	cr_assert_eq(ftruncate(fd, (sizeof(*w) + 4095) / 4096 * 4096), 0);
	cr_assert_null(word_open(fd, why, sizeof(why)), "it could shrink");
	cr_assert_str_eq(why,
	    "the common words' descriptor is not that of words");
	close(fd);
	fd = word_new(why, sizeof(why));
	w = word_open(fd, why, sizeof(why));
	w->layout++;
	cr_assert_null(word_open(fd, why, sizeof(why)));
	cr_assert(strstr(why, "another version"), "%s", why);
	word_close(w);
	close(fd);
}

/* ---- after a death */

/* One row's share of a word, as its worker left it. */
static void
share_set(int row, uint32_t id, uint64_t share)
{
	rows[row]->shares.cells[word_at(K, id)] = share;
	if (rows[row]->shares.n[WORD_ENDPOINT] <= id)
		rows[row]->shares.n[WORD_ENDPOINT] = id + 1;
}

Test(word, take_leaves_what_is_not_the_dead_ones)
{
	static const struct {
		const char *what;
		uint64_t word, share, left;
	} cases[] = {
		{ "nothing", CELL(5, 3), CELL(0, 0), CELL(5, 3) },
		{ "none open", CELL(5, 3), CELL(5, 0), CELL(5, 3) },
		{ "some", CELL(5, 3), CELL(5, 2), CELL(5, 1) },
		{ "all", CELL(5, 3), CELL(5, 3), CELL(5, 0) },
		{ "too many", CELL(5, 3), CELL(5, 4), CELL(5, 0) },
		{ "scribbled", CELL(5, 3), CELL(5, UINT32_MAX), CELL(5, 0) },
		{ "of the owner before", CELL(5, 3), CELL(4, 2), CELL(5, 3) },
		{ "of the next owner", CELL(5, 3), CELL(6, 2), CELL(5, 3) },
		{ "without a tag", CELL(0, 3), CELL(0, 2), CELL(0, 3) },
	};
	enum { N = sizeof(cases) / sizeof(cases[0]) };

	for (uint32_t i = 0; i < N; i++) {
		words->cells[word_at(K, i)] = cases[i].word;
		share_set(1, i, cases[i].share);
	}
	for (int again = 0; again < 2; again++) {
		word_shares_take(words, rows[1]);
		for (uint32_t i = 0; i < N; i++) {
			cr_assert_eq(words->cells[word_at(K, i)], cases[i].left, "%s",
			    cases[i].what);
			cr_assert_eq(rows[1]->shares.cells[word_at(K, i)], 0, "%s",
			    cases[i].what);
		}
		cr_assert_eq(rows[1]->shares.n[WORD_ENDPOINT], N, "W5");
	}
}

/* ---- healing */

Test(word, heal_wants_the_same_three_times)
{
	struct word_doubts fresh = { 0 };

	word_share_add(words, rows[0], K, 3, 5);
	word_share_add(words, rows[1], K, 3, 5);
	for (int i = 0; i < 5; i++)
		cr_assert_eq(heal(), 0, "all is in order");
	word_add(words, K, 3, 5);		/* one over */
	cr_assert_eq(heal() + heal(), 0);
	word_add(words, K, 3, 5);		/* another difference */
	cr_assert_eq(heal() + heal(), 0);
	word_share_add(words, rows[0], K, 3, 5);	/* traffic is none */
	cr_assert_eq(heal(), 1);
	cr_assert_eq(words->cells[word_at(K, 3)], cell(5, 3));
	cr_assert_eq(heal() + heal() + heal(), 0);

	word_sub(words, K, 3, 5);		/* one short */
	cr_assert_eq(heal() + heal(), 0);
	word_add(words, K, 3, 5);		/* it was only late */
	cr_assert_eq(heal(), 0);
	word_sub(words, K, 3, 5);
	cr_assert_eq(heal() + heal(), 0, "it does not count on");
	doubts = fresh;				/* another master */
	cr_assert_eq(heal() + heal(), 0);
	cr_assert_eq(heal(), 1);
	cr_assert_eq(words->cells[word_at(K, 3)], cell(5, 3));
}

Test(word, heal_compares_with_the_owners_shares)
{
	share_set(0, 3, cell(4, 2));		/* of the owner before */
	share_set(1, 3, cell(5, 1));
	words->cells[word_at(K, 3)] = cell(5, 1);
	for (int i = 0; i < 4; i++)
		cr_assert_eq(heal(), 0);
	words->cells[word_at(K, 3)] = cell(4, 3);	/* 1 over; 5 did not come */
	cr_assert_eq(heal() + heal(), 0);
	words->cells[word_at(K, 3)] = cell(5, 2);	/* now it did: 1 over too */
	cr_assert_eq(heal(), 0, "another owner's difference is not the same");
	cr_assert_eq(heal(), 0);
	cr_assert_eq(heal(), 1);
	cr_assert_eq(words->cells[word_at(K, 3)], cell(5, 1));
}

/* Every id, some in order and some not, over the limit of doubts. */
Test(word, heal_works_through_many)
{
	enum { MANY = 3 * WORD_DOUBTS_MAX };
	struct row *const missing[] = { rows[1], NULL };
	int calls = 0, healed = 0;

	for (uint32_t id = 0; id < MANY; id++) {
		share_set(1, id, cell(id + 1, 7));
		words->cells[word_at(K, id)] = cell(id + 1, 7 + id % 3 - 1);
	}
	while (healed < MANY / 3 * 2 && calls++ < 20)
		healed += word_heal(words, missing, 2, &doubts);
	for (uint32_t id = 0; id < MANY; id++)
		cr_assert_eq(words->cells[word_at(K, id)], cell(id + 1, 7), "id %u",
		    id);
	cr_assert_leq(calls, 6);
}
