/*
 * master/compile_index.c - the index of a virtual host's routes: which of
 * them a path can match, found by hash (block.h, worker/route_index.h).
 *
 *   routes ─> texts, sorted ─> nodes, and marks on the way to them ─> slots
 *
 *   ""  "/a.B/"  "/a.B/C" whole  "/x"          a text before all that begin
 *    ^____|  ^______|             |            with it: the nodes above are
 *    ^____________________________|            a stack, held by their links
 *
 * Invariants
 *   I1  Equal texts of one kind are one node; its routes ascend.
 *   I2  A text that begins others has its node before theirs.
 *   I3  Where a worker's binary search for a text must turn to the longer
 *       half there is a node, a mark if no route has that text.
 *   I4  The same matches give the same bytes; where a route leads is not in
 *       them.
 *
 * A node none of whose routes could win, because a longer text's takes every
 * request before them, is left out of its chain: the usual "/" at the end
 * costs nothing.
 *
 * Test: t/unit/route_index.c.
 */
#include "master/compile_parts.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "shm/path_hash.h"

/* With fewer, going through them is as fast: t/bench/route.c. */
enum { ROUTES_MIN = 8 };

struct text {
	const char	*bytes;
	uint32_t	 len, route;
	bool		 whole;
};

struct draft {
	const struct block_route *routes;
	struct text	*texts;
	uint32_t	 texts_n;
	struct block_route_node *nodes;
	size_t		 nodes_max;
	uint32_t	*next;		/* of the block's parts */
	uint32_t	*lengths;
	uint32_t	*up;		/* [node]: the text that it begins
					   with, left out or not */
	uint32_t	*always;	/* [node]: its first route that takes
					   every request */
	uint32_t	*last_at;	/* [length]: the newest node of it */
	struct block_route_index head;	/* its counts and firsts */
};

/* ---- texts and lengths */

static int
text_compare(const void *a, const void *b)
{
	const struct text *x = a, *y = b;
	int diff = memcmp(x->bytes, y->bytes,
	    x->len < y->len ? x->len : y->len);

	if (diff != 0)
		return diff;
	if (x->len != y->len)
		return x->len < y->len ? -1 : 1;
	if (x->whole != y->whole)
		return x->whole ? 1 : -1;
	return x->route < y->route ? -1 : x->route > y->route;
}

static int
number_compare(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* The texts, sorted; routes for any case go into their own list. */
static void
texts_read(struct draft *d, const struct arena *a)
{
	uint32_t i, *others = &d->head.others;

	for (i = 0; i < d->head.routes_n; i++) {
		const struct block_route *r = &d->routes[i];

		d->next[i] = BLOCK_NONE;
		if (r->flags & MATCH_ANY_CASE) {
			*others = i;
			others = &d->next[i];
			continue;
		}
		d->texts[d->texts_n++] = (struct text){ block_text(a,
		    r->path), r->path_len, i, r->kind == MATCH_PATH };
	}
	if (d->texts_n > 1)
		qsort(d->texts, d->texts_n, sizeof(d->texts[0]),
		    text_compare);
}

static void
lengths_read(struct draft *d)
{
	uint32_t i, n = 0, unique = 0;

	for (i = 0; i < d->texts_n; i++)
		if (!d->texts[i].whole && d->texts[i].len > 0)
			d->lengths[n++] = d->texts[i].len;
	if (n > 1)
		qsort(d->lengths, n, sizeof(d->lengths[0]), number_compare);
	for (i = 0; i < n; i++)
		if (i == 0 || d->lengths[i] != d->lengths[i - 1])
			d->lengths[unique++] = d->lengths[i];
	d->head.lengths_n = unique;
}

/* ---- nodes */

static const char *
node_bytes(const struct draft *d, const struct arena *a, uint32_t node)
{
	return block_text(a, d->routes[d->nodes[node].text].path);
}

static bool
text_begins(const struct draft *d, const struct arena *a, uint32_t node,
    const struct text *t)
{
	return d->nodes[node].len <= t->len && memcmp(node_bytes(d, a, node),
	    t->bytes, d->nodes[node].len) == 0;
}

static uint32_t
node_new(struct draft *d, const struct text *t, uint32_t len, uint32_t up)
{
	uint32_t node = d->head.nodes_n++;

	assert(node < d->nodes_max);
	d->nodes[node] = (struct block_route_node){ .len = len, .whole =
	    t->whole, .text = t->route, .route = BLOCK_NONE, .link = up };
	d->up[node] = up;
	d->always[node] = BLOCK_NONE;
	return node;
}

/* Those nodes on the way of the search to t that are not there yet (I3); top
 * is the node of the longest text that t begins with. */
static void
marks_add(struct draft *d, const struct arena *a, const struct text *t,
    uint32_t top)
{
	uint32_t mid, from = 0, to = d->head.lengths_n;

	while (mid = from + (to - from) / 2, d->lengths[mid] != t->len) {
		if (d->lengths[mid] > t->len) {
			to = mid;
			continue;
		}
		from = mid + 1;
		/* sorted: who shares these bytes is next to who has them */
		if (d->last_at[mid] != BLOCK_NONE &&
		    text_begins(d, a, d->last_at[mid], t))
			continue;
		/* up to top's length the two had one way */
		assert(top == BLOCK_NONE ||
		    d->nodes[top].len < d->lengths[mid]);
		d->last_at[mid] = node_new(d, t, d->lengths[mid], top);
	}
	d->last_at[mid] = d->head.nodes_n;	/* which t's own will be */
}

static bool
takes_all(const struct block_route *r)
{
	return r->kind != MATCH_SEPARATED_PREFIX && r->headers == 0 &&
	    !(r->flags & MATCH_GRPC);
}

/* Appends the routes of texts[i] and those equal to it; returns where the
 * next text is. */
static uint32_t
routes_add(struct draft *d, uint32_t i, uint32_t node)
{
	const struct text *t = &d->texts[i];
	uint32_t *to = &d->nodes[node].route;

	for (; i < d->texts_n && d->texts[i].len == t->len &&
	    d->texts[i].whole == t->whole &&
	    memcmp(d->texts[i].bytes, t->bytes, t->len) == 0; i++) {
		*to = d->texts[i].route;
		if (takes_all(&d->routes[*to]) && *to < d->always[node])
			d->always[node] = *to;
		to = &d->next[*to];
	}
	return i;
}

/* Past the nodes whose first route comes after one that takes all. */
static void
link_cut(struct draft *d, uint32_t node)
{
	uint32_t *link = &d->nodes[node].link;

	while (*link != BLOCK_NONE &&
	    d->nodes[*link].route > d->always[node])
		*link = d->nodes[*link].link;
}

static void
nodes_build(struct draft *d, const struct arena *a)
{
	uint32_t i, node, top = BLOCK_NONE;

	for (i = 0; i < d->head.lengths_n; i++)
		d->last_at[i] = BLOCK_NONE;
	for (i = 0; i < d->texts_n; ) {
		const struct text *t = &d->texts[i];

		while (top != BLOCK_NONE && !text_begins(d, a, top, t))
			top = d->up[top];
		if (!t->whole && t->len > 0)
			marks_add(d, a, t, top);
		node = node_new(d, t, t->len, top);
		i = routes_add(d, i, node);
		link_cut(d, node);
		if (!t->whole) {
			d->nodes[node].last = 1;
			if (top != BLOCK_NONE)
				d->nodes[top].last = 0;
			top = node;
		}
		if (!t->whole && t->len == 0)
			d->head.root = node;
	}
}

/* ---- the block */

static void
slots_fill(const struct draft *d, const struct arena *a,
    struct block_route_slot *slots)
{
	uint32_t i, at, mask = d->head.slots_n - 1;
	uint64_t hash;

	for (i = 0; i < d->head.nodes_n; i++) {
		hash = path_hash(node_bytes(d, a, i), d->nodes[i].len,
		    d->nodes[i].whole);
		at = (uint32_t)(hash >> 32) & mask;
		while (slots[at].node != 0)
			at = (at + 1) & mask;
		slots[at] = (struct block_route_slot){ (uint32_t)hash, i + 1 };
	}
}

static void *
part_add(uint8_t **to, const void *part, size_t bytes)
{
	void *at = *to;

	if (part != NULL)
		memcpy(at, part, bytes);
	*to += bytes;
	return at;
}

/* The lengths are padded to whole nodes. */
static size_t
index_bytes(const struct block_route_index *x)
{
	return sizeof(*x) + (x->lengths_n + 3) / 4 * 4 * sizeof(uint32_t) +
	    x->nodes_n * sizeof(struct block_route_node) +
	    x->slots_n * sizeof(struct block_route_slot) +
	    x->routes_n * sizeof(uint32_t);
}

static int
index_put(struct compiler *c, struct draft *d, block_ref *ref)
{
	size_t bytes;
	uint8_t *block, *to;
	void *slots;

	for (d->head.slots_n = 2; d->head.slots_n < 2 * d->head.nodes_n; )
		d->head.slots_n *= 2;
	bytes = index_bytes(&d->head);
	d->head.bytes = (uint32_t)bytes;
	if ((to = block = scratch(c, bytes)) == NULL)
		return -1;
	part_add(&to, &d->head, sizeof(d->head));
	part_add(&to, d->lengths, d->head.lengths_n * sizeof(d->lengths[0]));
	to += -(size_t)d->head.lengths_n % 4 * sizeof(d->lengths[0]);
	part_add(&to, d->nodes, d->head.nodes_n * sizeof(d->nodes[0]));
	slots = part_add(&to, NULL, d->head.slots_n *
	    sizeof(struct block_route_slot));
	slots_fill(d, c->arena, slots);
	part_add(&to, d->next, d->head.routes_n * sizeof(d->next[0]));
	assert(to == block + bytes);
	return put_block(c, BLOCK_ROUTE_INDEX, block, bytes, ref);
}

/* Room for nodes: each text's own and its marks, fewer than the steps of a
 * binary search over the lengths. */
static int
nodes_room(struct compiler *c, struct draft *d)
{
	size_t steps = 1, n;

	while (d->head.lengths_n >> steps != 0)
		steps++;
	d->nodes_max = n = d->texts_n * (steps + 1);
	if ((d->nodes = scratch(c, n * sizeof(d->nodes[0]))) == NULL ||
	    (d->up = scratch(c, n * sizeof(d->up[0]))) == NULL ||
	    (d->always = scratch(c, n * sizeof(d->always[0]))) == NULL)
		return -1;
	return 0;
}

int
compile_index(struct compiler *c, const struct block_route *routes,
    uint32_t n, block_ref *ref)
{
	struct draft d = { .routes = routes, .head = { .routes_n = n,
	    .root = BLOCK_NONE, .others = BLOCK_NONE } };

	*ref = 0;
	if (n < ROUTES_MIN)
		return 0;
	if ((d.texts = scratch(c, n * sizeof(d.texts[0]))) == NULL ||
	    (d.next = scratch(c, n * sizeof(d.next[0]))) == NULL ||
	    (d.lengths = scratch(c, n * sizeof(d.lengths[0]))) == NULL ||
	    (d.last_at = scratch(c, n * sizeof(d.last_at[0]))) == NULL)
		return -1;
	texts_read(&d, c->arena);
	lengths_read(&d);
	if (nodes_room(c, &d) < 0)
		return -1;
	nodes_build(&d, c->arena);
	return index_put(c, &d, ref);
}
