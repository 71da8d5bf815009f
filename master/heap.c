/* master/heap.c - see heap.h. Blocks are entries of one array, found by the
 * hash of their bytes and by ref through two tables of chains. */
#include "master/heap.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* Classes: exact up to EXACT_UNITS, then STEPS per doubling, so that at most
 * a fifth of a block's room is waste. */
enum { EXACT_UNITS = 8, STEPS_BITS = 2, STEPS = 1 << STEPS_BITS,
    CLASSES = EXACT_UNITS + 1 + (33 - 3) * STEPS, POISON_BYTE = 0xdb };

#define NONE UINT32_MAX

struct entry {
	uint64_t	hash;
	block_ref	ref;
	uint32_t	bytes;		/* as put */
	uint32_t	refs;		/* H2 */
	uint32_t	next_by_hash, next_by_ref;	/* or NONE */
	uint32_t	mark;		/* the last walk that saw it */
	block_ref	copied;		/* in the other heap, by that walk */
	uint8_t		kind;		/* enum block_kind */
	uint8_t		size_class;
};

struct held {				/* a generation */
	uint64_t	number;
	uint32_t	root;		/* entry */
};

struct heap {
	struct arena	*arena;
	enum heap_dead	 dead;
	struct entry	*entries;
	uint32_t	 entries_n, entries_cap;
	uint32_t	*by_hash, *by_ref;	/* buckets_n each */
	uint32_t	 buckets_n;	/* a power of two */
	uint32_t	 free_blocks[CLASSES];	/* chain by next_by_ref */
	uint32_t	*made;		/* in this stage, oldest first */
	uint32_t	 made_n, made_cap;
	struct held	*held;		/* oldest first */
	uint32_t	 held_n, held_cap;
	uint32_t	 blocks_n, walk;
	uint64_t	 allocated;
	bool		 open;		/* between begin and commit or abort */
	bool		 full;		/* no memory for this stage */
};

/* ---- classes */

static uint32_t
units_of(size_t bytes)
{
	size_t n = (bytes + ARENA_UNIT_BYTES - 1) / ARENA_UNIT_BYTES;

	return n == 0 ? 1 : (uint32_t)n;
}

static uint32_t
class_of(uint32_t units)
{
	uint32_t top, step;

	if (units <= EXACT_UNITS)
		return units;
	/* units - 1 >= 8: its highest bit and the two after it. */
	top = 31 - (uint32_t)__builtin_clz(units - 1);
	step = (units - 1) >> (top - STEPS_BITS) & (STEPS - 1);
	return EXACT_UNITS + 1 + (top - 3) * STEPS + step;
}

static uint64_t
class_bytes(uint32_t c)
{
	uint32_t top, step;

	if (c <= EXACT_UNITS)
		return (uint64_t)c * ARENA_UNIT_BYTES;
	top = (c - EXACT_UNITS - 1) / STEPS + 3;
	step = (c - EXACT_UNITS - 1) % STEPS;
	return ((uint64_t)(STEPS + step + 1) << (top - STEPS_BITS)) *
	    ARENA_UNIT_BYTES;
}

/* ---- the tables */

static uint32_t
bucket_of_ref(const struct heap *h, block_ref ref)
{
	return (ref * 0x9e3779b1u) & (h->buckets_n - 1);
}

static void
link_in(struct heap *h, uint32_t i)
{
	struct entry *e = &h->entries[i];
	uint32_t *head = &h->by_hash[e->hash & (h->buckets_n - 1)];

	e->next_by_hash = *head;
	*head = i;
	head = &h->by_ref[bucket_of_ref(h, e->ref)];
	e->next_by_ref = *head;
	*head = i;
}

static void
link_out(struct heap *h, uint32_t i)
{
	const struct entry *e = &h->entries[i];
	uint32_t *at = &h->by_hash[e->hash & (h->buckets_n - 1)];

	while (*at != i)
		at = &h->entries[*at].next_by_hash;
	*at = e->next_by_hash;
	at = &h->by_ref[bucket_of_ref(h, e->ref)];
	while (*at != i)
		at = &h->entries[*at].next_by_ref;
	*at = e->next_by_ref;
}

static uint32_t
find_by_ref(const struct heap *h, block_ref ref)
{
	uint32_t i = h->by_ref[bucket_of_ref(h, ref)];

	while (h->entries[i].ref != ref)
		i = h->entries[i].next_by_ref;
	return i;
}

/* Twice the buckets when each has a block. */
static bool
buckets_grow(struct heap *h)
{
	uint32_t n = h->buckets_n * 2;
	uint32_t *by_hash, *by_ref;

	if (h->blocks_n < h->buckets_n || n == 0)
		return true;
	by_hash = malloc(n * sizeof(*by_hash));
	by_ref = malloc(n * sizeof(*by_ref));
	if (by_hash == NULL || by_ref == NULL) {
		free(by_hash);
		free(by_ref);
		return false;
	}
	memset(by_hash, 0xff, n * sizeof(*by_hash));
	memset(by_ref, 0xff, n * sizeof(*by_ref));
	free(h->by_hash);
	free(h->by_ref);
	h->by_hash = by_hash;
	h->by_ref = by_ref;
	h->buckets_n = n;
	for (uint32_t i = 0; i < h->entries_n; i++)
		if (h->entries[i].refs != NONE)
			link_in(h, i);
	return true;
}

/* Room for one item more in an array that doubles. */
static bool
array_grow(void **array, uint32_t n, uint32_t *cap, size_t item)
{
	uint32_t to = *cap == 0 ? 64 : *cap * 2;
	void *p;

	if (n < *cap)
		return true;
	if (to == 0 || (p = realloc(*array, to * item)) == NULL)
		return false;
	*array = p;
	*cap = to;
	return true;
}

/* ---- blocks. An entry with refs NONE is a free block's, or nobody's. */

/* An entry with room in the arena for that many bytes. NONE: no room. */
static uint32_t
block_take(struct heap *h, size_t bytes)
{
	uint32_t c = class_of(units_of(bytes)), i = h->free_blocks[c];
	block_ref ref;

	if (i != NONE) {
		h->free_blocks[c] = h->entries[i].next_by_ref;
		return i;
	}
	if (!array_grow((void **)&h->entries, h->entries_n, &h->entries_cap,
	    sizeof(*h->entries)) ||
	    arena_put(h->arena, class_bytes(c), &ref) == NULL)
		return NONE;
	i = h->entries_n++;
	h->entries[i] = (struct entry){ .ref = ref, .refs = NONE,
	    .size_class = (uint8_t)c };
	return i;
}

static void	release(struct heap *h, uint32_t i);

static void
release_seen(void *arg, enum block_kind names, block_ref *ref)
{
	struct heap *h = arg;

	(void)names;
	release(h, find_by_ref(h, *ref));
}

static void
block_end(struct heap *h, uint32_t i)
{
	struct entry *e = &h->entries[i];
	uint8_t *p = h->arena->base + (uint64_t)e->ref * ARENA_UNIT_BYTES;

	link_out(h, i);
	h->blocks_n--;
	h->allocated -= class_bytes(e->size_class);
	block_kind_refs(e->kind, p, release_seen, h);
	if (h->dead != HEAP_KEEP)
		memset(p, h->dead == HEAP_WIPE ? 0 : POISON_BYTE,
		    class_bytes(e->size_class));
	e->refs = NONE;
	e->next_by_ref = h->free_blocks[e->size_class];
	h->free_blocks[e->size_class] = i;
}

static void
release(struct heap *h, uint32_t i)
{
	assert(h->entries[i].refs > 0 && h->entries[i].refs != NONE);
	if (--h->entries[i].refs == 0)
		block_end(h, i);
}

static void
hold_seen(void *arg, enum block_kind names, block_ref *ref)
{
	struct heap *h = arg;
	struct entry *e = &h->entries[find_by_ref(h, *ref)];

	assert(e->kind == names);		/* H4 */
	e->refs++;
}

/* ---- a stage */

void
heap_begin(struct heap *h)
{
	assert(!h->open);
	h->open = true;
	h->made_n = 0;
	/* Here, so that heap_commit can't fail. */
	h->full = !array_grow((void **)&h->held, h->held_n, &h->held_cap,
	    sizeof(*h->held));
}

static block_ref
find(const struct heap *h, enum block_kind kind, const void *bytes, size_t n,
    uint64_t hash)
{
	uint32_t i = h->by_hash[hash & (h->buckets_n - 1)];

	for (; i != NONE; i = h->entries[i].next_by_hash) {
		const struct entry *e = &h->entries[i];

		if (e->hash == hash && e->kind == kind && e->bytes == n &&
		    memcmp(arena_at(h->arena, e->ref), bytes, n) == 0)
			return e->ref;
	}
	return 0;
}

block_ref
heap_put(struct heap *h, enum block_kind kind, const void *bytes, size_t n)
{
	uint64_t hash = XXH64(bytes, n, kind);
	block_ref ref;
	struct entry *e;
	uint8_t *p;
	uint32_t i;

	assert(h->open && n <= UINT32_MAX);
	if (h->full)
		return 0;
	if ((ref = find(h, kind, bytes, n, hash)) != 0)
		return ref;
	if (!array_grow((void **)&h->made, h->made_n, &h->made_cap,
	    sizeof(*h->made)) || !buckets_grow(h) ||
	    (i = block_take(h, n)) == NONE)
		return 0;
	e = &h->entries[i];
	p = h->arena->base + (uint64_t)e->ref * ARENA_UNIT_BYTES;
	memcpy(p, bytes, n);
	memset(p + n, 0, class_bytes(e->size_class) - n);
	e->hash = hash;
	e->bytes = (uint32_t)n;
	e->kind = (uint8_t)kind;
	e->refs = 0;
	e->mark = 0;
	h->made[h->made_n++] = i;
	h->blocks_n++;
	h->allocated += class_bytes(e->size_class);
	link_in(h, i);
	block_kind_refs(kind, p, hold_seen, h);
	return e->ref;
}

void
heap_hold(struct heap *h, block_ref ref)
{
	h->entries[find_by_ref(h, ref)].refs++;
}

/* In a stage that made it, it is in made[] still: heap_rollback sees that it
 * is nobody's any more. */
void
heap_let_go(struct heap *h, block_ref ref)
{
	release(h, find_by_ref(h, ref));
}

uint32_t
heap_mark(const struct heap *h)
{
	assert(h->open);
	return h->made_n;
}

/* Parents were put after their children, so from the last to the first. */
void
heap_rollback(struct heap *h, uint32_t mark)
{
	assert(h->open && mark <= h->made_n);
	while (h->made_n > mark) {
		uint32_t i = h->made[--h->made_n];

		if (h->entries[i].refs == 0)
			block_end(h, i);
	}
}

static void
made_drop(struct heap *h)
{
	heap_rollback(h, 0);
	h->open = false;
}

void
heap_commit(struct heap *h, enum block_kind kind, block_ref root,
    uint64_t number)
{
	uint32_t i = find_by_ref(h, root);

	assert(h->entries[i].kind == kind && h->held_n < h->held_cap);
	assert(h->held_n == 0 || h->held[h->held_n - 1].number < number);
	h->entries[i].refs++;
	h->held[h->held_n++] = (struct held){ number, i };
	made_drop(h);
}

void
heap_abort(struct heap *h)
{
	made_drop(h);
}

/* ---- letting go */

void
heap_reclaim(struct heap *h, uint64_t oldest)
{
	uint32_t n = 0;

	while (n + 1 < h->held_n && h->held[n].number < oldest)
		release(h, h->held[n++].root);
	if (n == 0)
		return;
	h->held_n -= n;
	memmove(h->held, h->held + n, h->held_n * sizeof(*h->held));
}

uint64_t
heap_oldest(const struct heap *h)
{
	return h->held_n == 0 ? 0 : h->held[0].number;
}

uint32_t
heap_generations_n(const struct heap *h)
{
	return h->held_n;
}

uint64_t
heap_allocated(const struct heap *h)
{
	return h->allocated;
}

void
heap_move(struct heap *h, struct arena *a)
{
	h->arena = a;
}

/* ---- walks over the newest generation */

struct walk {
	struct heap	*heap, *to;
	uint64_t	 bytes;
	bool		 full;
};

static void
measure(struct walk *w, uint32_t i);

static void
measure_seen(void *arg, enum block_kind names, block_ref *ref)
{
	struct walk *w = arg;

	(void)names;
	measure(w, find_by_ref(w->heap, *ref));
}

static void
measure(struct walk *w, uint32_t i)
{
	struct heap *h = w->heap;
	struct entry *e = &h->entries[i];

	if (e->mark == h->walk)
		return;
	e->mark = h->walk;
	w->bytes += class_bytes(e->size_class);
	block_kind_refs(e->kind, h->arena->base + (uint64_t)e->ref *
	    ARENA_UNIT_BYTES, measure_seen, w);
}

/* A mark that no entry has. */
static void
walk_begin(struct heap *h)
{
	if (++h->walk != 0)
		return;
	for (uint32_t i = 0; i < h->entries_n; i++)
		h->entries[i].mark = 0;
	h->walk = 1;
}

void
heap_measure(struct heap *h, struct heap_bytes *b)
{
	struct walk w = { .heap = h };

	walk_begin(h);
	if (h->held_n > 0)
		measure(&w, h->held[h->held_n - 1].root);
	*b = (struct heap_bytes){ .live = w.bytes,
	    .pinned = h->allocated - w.bytes, .used = h->arena->used_bytes,
	    .dead = h->arena->used_bytes - ARENA_CONTROL_BYTES -
	    h->allocated, .blocks_n = h->blocks_n };
}

static void
copy_seen(void *arg, enum block_kind names, block_ref *ref);

/* Children first (H4): the refs of a copy on the heap are rewritten to where
 * their blocks are in the other arena, and then it is put there. */
static block_ref
copy(struct walk *w, uint32_t i)
{
	struct heap *h = w->heap;
	struct entry *e = &h->entries[i];
	void *bytes;

	if (e->mark == h->walk)
		return e->copied;
	bytes = malloc(e->bytes);
	if (bytes == NULL)
		return 0;
	memcpy(bytes, arena_at(h->arena, e->ref), e->bytes);
	block_kind_refs(e->kind, bytes, copy_seen, w);
	e->copied = w->full ? 0 : heap_put(w->to, e->kind, bytes, e->bytes);
	e->mark = h->walk;
	if (h->dead == HEAP_WIPE)
		explicit_bzero(bytes, e->bytes);
	free(bytes);
	return e->copied;
}

static void
copy_seen(void *arg, enum block_kind names, block_ref *ref)
{
	struct walk *w = arg;

	(void)names;
	*ref = copy(w, find_by_ref(w->heap, *ref));
	if (*ref == 0)
		w->full = true;
}

block_ref
heap_copy(struct heap *from, struct heap *to)
{
	struct walk w = { .heap = from, .to = to };
	block_ref root;

	assert(from->held_n > 0);
	walk_begin(from);
	root = copy(&w, from->held[from->held_n - 1].root);
	return w.full ? 0 : root;
}

/* ---- life */

struct heap *
heap_new(struct arena *a, enum heap_dead dead)
{
	struct heap *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return NULL;
	h->arena = a;
	h->dead = dead;
	h->buckets_n = 256;
	memset(h->free_blocks, 0xff, sizeof(h->free_blocks));
	h->by_hash = malloc(h->buckets_n * sizeof(*h->by_hash));
	h->by_ref = malloc(h->buckets_n * sizeof(*h->by_ref));
	if (h->by_hash == NULL || h->by_ref == NULL) {
		heap_free(h);
		return NULL;
	}
	memset(h->by_hash, 0xff, h->buckets_n * sizeof(*h->by_hash));
	memset(h->by_ref, 0xff, h->buckets_n * sizeof(*h->by_ref));
	return h;
}

void
heap_free(struct heap *h)
{
	if (h == NULL)
		return;
	free(h->entries);
	free(h->by_hash);
	free(h->by_ref);
	free(h->made);
	free(h->held);
	free(h);
}
