/*
 * shm/block_check_plan.c - whether a plan holds together: its parts one behind
 * the other, every text inside and ended, every number one that is meant.
 *
 *   | fixed | request_n + answer_n mutations | parts_n parts | texts |
 *   0                                                        from    bytes
 */
#include "shm/block_kind.h"

#include <stdbool.h>

enum {
	MUTATION_FLAGS = MUTATION_LEVEL | MUTATION_KEEP_EMPTY | MUTATION_JOIN,
};

/* Where the texts begin; 64 bits hold it whatever the counts are. */
static uint64_t
texts_from(const struct block_plan *b)
{
	return sizeof(*b) +
	    ((uint64_t)b->request_n + b->answer_n) * sizeof(b->mutations[0]) +
	    (uint64_t)b->parts_n * sizeof(struct block_part);
}

static bool
holds(const struct block_plan *b, struct block_span s)
{
	if (s.off == 0)
		return s.len == 0;
	return s.off >= texts_from(b) && (uint64_t)s.off + s.len < b->bytes &&
	    ((const char *)b)[s.off + s.len] == '\0';
}

static const char *
mutation_check(const struct block_plan *b, const struct block_mutation *m)
{
	if (m->kind > MUTATION_OVERWRITE)
		return "a header is changed in no known way";
	if (m->flags & ~MUTATION_FLAGS)
		return "a change has an unknown flag";
	if (m->name.len == 0 || !holds(b, m->name))
		return "the name of a change is not inside";
	if ((uint64_t)m->part + m->parts_n > b->parts_n)
		return "a value's parts are not inside";
	return NULL;
}

static const char *
part_check(const struct block_plan *b, const struct block_part *p)
{
	if (p->kind > PART_ADDRESS)
		return "a value is made of no known part";
	if (!holds(b, p->text) || !holds(b, p->other))
		return "a text of it is not inside";
	return (p->text.off == 0) != (p->kind == PART_ADDRESS) ?
	    "a part's text is missing" : NULL;
}

/* Who reads the mutations begins a level with each first one. */
static const char *
levels_check(const struct block_plan *b)
{
	if ((b->request_n > 0 && !(b->mutations[0].flags & MUTATION_LEVEL)) ||
	    (b->answer_n > 0 &&
	    !(b->mutations[b->request_n].flags & MUTATION_LEVEL)))
		return "its first change begins no level";
	return NULL;
}

static const char *
changes_check(const struct block_plan *b)
{
	const struct block_part *parts;
	const char *wrong = NULL;

	if (texts_from(b) > b->bytes)
		return "its changes are longer than itself";
	parts = block_parts(b);
	for (uint32_t i = 0; i < b->request_n + b->answer_n; i++)
		if ((wrong = mutation_check(b, &b->mutations[i])) != NULL)
			return wrong;
	for (uint32_t i = 0; i < b->parts_n; i++)
		if ((wrong = part_check(b, &parts[i])) != NULL)
			return wrong;
	return levels_check(b);
}

const char *
block_plan_check(const void *p)
{
	const struct block_plan *b = p;
	const char *wrong;

	if (b->hash == 0)
		return "its hash is missing";
	if (b->flags & ~PLAN_FLAGS)
		return "it has an unknown flag";
	if (b->direct_status != 0 &&
	    (b->direct_status < 200 || b->direct_status > 599))
		return "its own answer's status is none";
	if ((wrong = changes_check(b)) != NULL)
		return wrong;
	return holds(b, b->direct_body) && holds(b, b->host) &&
	    holds(b, b->path) ? NULL : "a text of it is not inside";
}
