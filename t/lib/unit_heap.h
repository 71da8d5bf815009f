/*
 * t/lib/unit_heap.h - blocks for the tests of the master's book: put one by
 * one, or a whole tree out of another arena; and trees compared.
 */
#ifndef T_LIB_UNIT_HEAP_H
#define T_LIB_UNIT_HEAP_H

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "master/heap.h"

enum { UNIT_TREE_MAX = 4096 };		/* blocks of a tree */

/* An arena and its book. */
struct unit_heap {
	struct arena	 arena;
	struct heap	*heap;
};

static inline void
unit_heap_open(struct unit_heap *u, uint64_t size_bytes, enum heap_dead dead)
{
	char why[256];

	cr_assert_eq(arena_new(&u->arena, size_bytes, why, sizeof(why)), 0,
	    "%s", why);
	u->heap = heap_new(&u->arena, dead);
	cr_assert_not_null(u->heap);
}

static inline void
unit_heap_close(struct unit_heap *u)
{
	heap_free(u->heap);
	arena_close(&u->arena);
}

/* ---- one block; 0: no room */

static inline block_ref
unit_put_text(struct heap *h, const char *s)
{
	size_t n = strlen(s);
	struct block_text *t = calloc(1, sizeof(*t) + n + 1);
	block_ref ref;

	t->len = (uint32_t)n;
	memcpy(t->bytes, s, n);
	ref = heap_put(h, BLOCK_TEXT, t, sizeof(*t) + n + 1);
	free(t);
	return ref;
}

static inline block_ref
unit_put_list(struct heap *h, enum block_kind kind, uint32_t n,
    const block_ref *at)
{
	struct block_list *l = calloc(1, sizeof(*l) + n * sizeof(l->at[0]));
	block_ref ref;

	l->n = n;
	memcpy(l->at, at, n * sizeof(l->at[0]));
	ref = heap_put(h, kind, l, sizeof(*l) + n * sizeof(l->at[0]));
	free(l);
	return ref;
}

/* Of n endpoints; weights tell one from another. */
static inline block_ref
unit_put_balance(struct heap *h, uint32_t n, uint32_t weight)
{
	size_t bytes = sizeof(struct block_balance) +
	    n * sizeof(struct block_endpoint);
	struct block_balance *b = calloc(1, bytes);
	block_ref ref;

	b->endpoints_n = b->endpoints_all = n;
	for (uint32_t i = 0; i < n; i++) {
		b->endpoints[i].id = i;
		b->endpoints[i].weight = weight;
	}
	b->weight_total = (uint64_t)n * weight;
	ref = heap_put(h, BLOCK_BALANCE, b, bytes);
	free(b);
	return ref;
}

static inline block_ref
unit_put_cluster(struct heap *h, block_ref name, block_ref balance)
{
	struct block_cluster c = { .name = name, .balance = balance };

	return name == 0 || balance == 0 ? 0 :
	    heap_put(h, BLOCK_CLUSTER, &c, sizeof(c));
}

static inline block_ref
unit_put_root(struct heap *h, uint64_t number, block_ref pages)
{
	struct block_root r = { .number = number, .clusters = pages };

	return pages == 0 ? 0 : heap_put(h, BLOCK_ROOT, &r, sizeof(r));
}

/* ---- trees */

static inline size_t
unit_block_bytes(const struct arena *a, enum block_kind kind, block_ref ref)
{
	return block_kind_bytes(kind, arena_at(a, ref), a->size_bytes -
	    (uint64_t)ref * ARENA_UNIT_BYTES);
}

struct unit_tree {			/* what lies below some roots */
	const struct arena *arena;
	block_ref	 refs[UNIT_TREE_MAX];
	enum block_kind	 kinds[UNIT_TREE_MAX];
	uint32_t	 n;
};

/* Each block once, however many name it. */
static inline int
unit_tree_add(void *arg, enum block_kind kind, block_ref ref)
{
	struct unit_tree *t = arg;

	for (uint32_t i = 0; i < t->n; i++)
		if (t->refs[i] == ref)
			return 0;
	if (t->n == UNIT_TREE_MAX)
		abort();		/* a test's trees are small */
	t->refs[t->n] = ref;
	t->kinds[t->n++] = kind;
	return block_kind_look(kind, arena_at(t->arena, ref), unit_tree_add,
	    t);
}

struct unit_move {			/* a tree's way into a heap */
	const struct arena *from;
	struct heap	*to;
};

static inline void	unit_put_seen(void *arg, enum block_kind kind,
			    block_ref *ref);

static inline block_ref
unit_put_tree(const struct unit_move *m, enum block_kind kind, block_ref ref)
{
	size_t n = unit_block_bytes(m->from, kind, ref);
	void *bytes = malloc(n);
	struct unit_move copy = *m;

	memcpy(bytes, arena_at(m->from, ref), n);
	block_kind_refs(kind, bytes, unit_put_seen, &copy);
	ref = heap_put(m->to, kind, bytes, n);
	cr_assert_neq(ref, 0);
	free(bytes);
	return ref;
}

static inline void
unit_put_seen(void *arg, enum block_kind kind, block_ref *ref)
{
	*ref = unit_put_tree(arg, kind, *ref);
}

static inline void
unit_ref_clear(void *arg, enum block_kind kind, block_ref *ref)
{
	struct unit_tree *t = arg;

	t->refs[t->n] = *ref;
	t->kinds[t->n++] = kind;
	*ref = 0;
}

/* The bytes of a block without its refs, which are in *children. */
static inline void *
unit_block_bare(const struct arena *a, enum block_kind kind, block_ref ref,
    size_t *n, struct unit_tree *children)
{
	void *bytes;

	*n = unit_block_bytes(a, kind, ref);
	bytes = malloc(*n);
	memcpy(bytes, arena_at(a, ref), *n);
	children->n = 0;
	block_kind_refs(kind, bytes, unit_ref_clear, children);
	return bytes;
}

/* The same but for where their blocks lie. */
static inline bool
unit_trees_equal(const struct arena *a, block_ref ref_a,
    const struct arena *b, block_ref ref_b, enum block_kind kind)
{
	struct unit_tree *of_a = calloc(1, sizeof(*of_a));
	struct unit_tree *of_b = calloc(1, sizeof(*of_b));
	size_t n, n_b;
	void *bytes = unit_block_bare(a, kind, ref_a, &n, of_a);
	void *bytes_b = unit_block_bare(b, kind, ref_b, &n_b, of_b);
	bool same = n == n_b && memcmp(bytes, bytes_b, n) == 0 &&
	    of_a->n == of_b->n;

	for (uint32_t i = 0; same && i < of_a->n; i++)
		same = unit_trees_equal(a, of_a->refs[i], b, of_b->refs[i],
		    of_a->kinds[i]);
	free(bytes);
	free(bytes_b);
	free(of_a);
	free(of_b);
	return same;
}

#endif
