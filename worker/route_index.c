/* worker/route_index.c - see route_index.h. */
#include "worker/route_index.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "shm/path_hash.h"

struct search {
	const struct arena *arena;
	const struct block_route *routes;
	const struct block_route_index *index;
	const struct block_route_node *nodes;
	const struct block_route_slot *slots;
	const char	*path;
	size_t		 len;
};

/* Whether a node is that of the path's first len bytes. */
static bool
node_is(const struct search *s, uint32_t node, size_t len, bool whole)
{
	const struct block_route_node *n = &s->nodes[node];

	assert(node < s->index->nodes_n && n->text < s->index->routes_n);
	return n->len == len && n->whole == whole && memcmp(s->path,
	    block_text(s->arena, s->routes[n->text].path), len) == 0;
}

/* By the hash alone, or compared. */
static uint32_t
node_find(const struct search *s, size_t len, bool whole, bool compared)
{
	uint64_t hash = path_hash(s->path, len, whole);
	uint32_t mask = s->index->slots_n - 1;
	uint32_t at = (uint32_t)(hash >> 32) & mask;

	for (; s->slots[at].node != 0; at = (at + 1) & mask)
		if (s->slots[at].tag == (uint32_t)hash && (!compared ||
		    node_is(s, s->slots[at].node - 1, len, whole)))
			return s->slots[at].node - 1;
	return BLOCK_NONE;
}

/* The node of the longest text that the path begins with, its way there
 * believed or compared. */
static uint32_t
longest_find(const struct search *s, bool compared)
{
	const uint32_t *lengths = s->index->lengths;
	uint32_t node, best = s->index->root;
	uint32_t mid, from = 0, to = s->index->lengths_n;

	while (from < to) {
		mid = from + (to - from) / 2;
		node = lengths[mid] > s->len ? BLOCK_NONE :
		    node_find(s, lengths[mid], false, compared);
		if (node == BLOCK_NONE) {
			to = mid;
		} else {
			best = node;
			from = mid + 1;
		}
	}
	/* from counts up past hits only: lengths[from - 1] is the last's */
	if (from > 0 && !compared &&
	    !node_is(s, best, lengths[from - 1], false))
		return longest_find(s, true);
	return best;
}

/* A service's prefix ends where its method begins: found at once when no
 * longer text begins with it. */
static uint32_t
service_find(const struct search *s)
{
	const char *slash = memrchr(s->path, '/', s->len);
	size_t len = slash == NULL ? 0 : (size_t)(slash - s->path) + 1;
	uint32_t node = len == 0 ? BLOCK_NONE :
	    node_find(s, len, false, true);

	return node != BLOCK_NONE && s->nodes[node].last ? node : BLOCK_NONE;
}

uint32_t
route_index_find(const struct arena *a, const struct block_host *host,
    const char *path, size_t len)
{
	const struct block_route_index *x = arena_at(a, host->index);
	const struct search s = { a, host->routes, x, block_route_nodes(x),
	    block_route_slots(x), path, len };
	uint32_t node = node_find(&s, len, true, true);

	assert(x->routes_n == host->routes_n);
	if (node == BLOCK_NONE)
		node = service_find(&s);
	return node != BLOCK_NONE ? node : longest_find(&s, false);
}
