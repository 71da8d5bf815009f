/*
 * t/lib/unit_block.h - a generation laid out by hand in an arena of the
 * test's: what the compiler would write, and what it never would.
 */
#ifndef T_LIB_UNIT_BLOCK_H
#define T_LIB_UNIT_BLOCK_H

#include <criterion/criterion.h>
#include <string.h>

#include "shm/block.h"

static struct arena unit_arena;

static inline void
unit_arena_open(void)
{
	char why[256];

	cr_assert_eq(arena_new(&unit_arena, 64 << 20, why, sizeof(why)), 0,
	    "%s", why);
}

static inline void
unit_arena_close(void)
{
	arena_close(&unit_arena);
}

static inline void *
unit_block(size_t bytes, block_ref *ref)
{
	void *p = arena_put(&unit_arena, bytes, ref);

	cr_assert_not_null(p);
	return p;
}

static inline block_ref
unit_text(const char *s)
{
	block_ref ref;
	struct block_text *t = unit_block(sizeof(*t) + strlen(s) + 1, &ref);

	t->len = (uint32_t)strlen(s);
	strcpy(t->bytes, s);
	return ref;
}

/* at NULL: a list of nothing yet. */
static inline block_ref
unit_list(uint32_t n, const block_ref *at)
{
	block_ref ref;
	struct block_list *l = unit_block(sizeof(*l) + n * sizeof(l->at[0]),
	    &ref);

	l->n = n;
	if (at != NULL)
		memcpy(l->at, at, n * sizeof(l->at[0]));
	return ref;
}

#endif
