/*
 * shm/block_check_index.c - whether a search of a route index (block.h) ends,
 * and stays inside of it: that its links lead to earlier nodes, its chains to
 * later routes, and its hash table has a free slot. What it finds is compared
 * with the routes' own paths by whoever searches.
 *
 * Test: t/unit/verify.c.
 */
#include "shm/block_kind.h"

static uint64_t
index_bytes(const struct block_route_index *x)
{
	return sizeof(*x) + ((uint64_t)x->lengths_n + 3) / 4 * 4 *
	    sizeof(x->lengths[0]) +
	    (uint64_t)x->nodes_n * sizeof(struct block_route_node) +
	    (uint64_t)x->slots_n * sizeof(struct block_route_slot) +
	    (uint64_t)x->routes_n * sizeof(uint32_t);
}

static const char *
nodes_check(const struct block_route_index *x)
{
	const struct block_route_node *n = block_route_nodes(x);

	for (uint32_t i = 0; i < x->nodes_n; i++) {
		if (n[i].text >= x->routes_n ||
		    (n[i].route != BLOCK_NONE && n[i].route >= x->routes_n))
			return "a node's route is beyond the last";
		if (n[i].link != BLOCK_NONE && n[i].link >= i)
			return "a node's link leads not back";
	}
	return NULL;
}

/* Fewer nodes than slots, each once: a search meets a free one. */
static const char *
slots_check(const struct block_route_index *x)
{
	const struct block_route_slot *s = block_route_slots(x);
	uint32_t used = 0;

	for (uint32_t i = 0; i < x->slots_n; i++) {
		if (s[i].node > x->nodes_n)
			return "a slot's node is beyond the last";
		used += s[i].node != 0;
	}
	return used < x->slots_n ? NULL : "it has no free slot";
}

static const char *
next_check(const struct block_route_index *x)
{
	const uint32_t *next = block_route_next(x);

	for (uint32_t i = 0; i < x->routes_n; i++)
		if (next[i] != BLOCK_NONE &&
		    (next[i] <= i || next[i] >= x->routes_n))
			return "a route's next one comes not later";
	return NULL;
}

const char *
block_index_check(const void *p)
{
	const struct block_route_index *x = p;
	const char *wrong;

	if (index_bytes(x) != x->bytes)
		return "its length is not that of its parts";
	if (x->slots_n == 0 || (x->slots_n & (x->slots_n - 1)) != 0)
		return "its slots are no power of two";
	if ((x->root != BLOCK_NONE && x->root >= x->nodes_n) ||
	    (x->others != BLOCK_NONE && x->others >= x->routes_n))
		return "it begins beyond the last";
	if ((wrong = nodes_check(x)) == NULL &&
	    (wrong = slots_check(x)) == NULL)
		wrong = next_check(x);
	return wrong;
}

const char *
block_index_fits(const void *index, const struct block_host *h)
{
	const struct block_route_index *x = index;
	const struct block_route_node *n = block_route_nodes(x);

	if (x->routes_n != h->routes_n)
		return "its index is of other routes";
	for (uint32_t i = 0; i < x->nodes_n; i++)
		if (n[i].len > h->routes[n[i].text].path_len)
			return "a node of its index is longer than the path";
	return NULL;
}
