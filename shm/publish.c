/* shm/publish.c - see publish.h. */
#include "shm/publish.h"

#include <string.h>

#include "shm/control.h"

_Static_assert(sizeof(struct generation) <= LATCH_WORDS * sizeof(uint64_t),
    "a generation is what the latch holds");

void
publish_put(struct arena *a, const struct generation *g)
{
	struct control *control = (struct control *)(void *)a->base;
	uint64_t words[LATCH_WORDS] = { 0 };

	memcpy(words, g, sizeof(*g));
	latch_put(&control->latch, words);
}

bool
publish_observe(const struct arena *a, uint64_t *turn, struct generation *g)
{
	const struct control *control =
	    (const struct control *)(const void *)a->base;
	uint64_t words[LATCH_WORDS];
	struct generation newest;

	if (latch_turn(&control->latch) == *turn)
		return false;
	if (!latch_get(&control->latch, words, turn))
		return false;
	memcpy(&newest, words, sizeof(newest));
	/* None yet: a fresh arena, seen while its first is being put. */
	if (newest.number == 0 || newest.number == g->number)
		return false;
	*g = newest;
	return true;
}
