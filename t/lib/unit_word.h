/*
 * t/lib/unit_word.h - common words and the rows of two workers, for tests.
 */
#ifndef T_LIB_UNIT_WORD_H
#define T_LIB_UNIT_WORD_H

#include <criterion/criterion.h>
#include <unistd.h>

#include "shm/row.h"
#include "shm/word.h"

static const enum word_kind K = WORD_active;

static char why[256];
static struct words *words;
static struct row *rows[2];
static struct word_doubts doubts;

static inline void
unit_words_open(void)
{
	int fd = word_new(why, sizeof(why));

	words = word_open(fd, why, sizeof(why));
	cr_assert_not_null(words, "%s", why);
	close(fd);
	for (uint32_t i = 0; i < 2; i++) {
		fd = row_new(i, why, sizeof(why));
		rows[i] = row_open(fd, 1, why, sizeof(why));
		cr_assert_not_null(rows[i], "%s", why);
		close(fd);
	}
}

static inline void
unit_words_close(void)
{
	word_close(words);
	row_close(rows[0]);
	row_close(rows[1]);
}

static inline uint64_t
cell(uint32_t tag, uint32_t n)
{
	return (uint64_t)tag << 32 | n;
}

static inline int
heal(void)
{
	return word_heal(words, rows, 2, &doubts);
}

#endif
