/* shm/block.c - see block.h. */
#include "shm/block.h"

#include <stddef.h>

const struct block_cluster *
block_cluster_find(const struct arena *a, const struct block_root *root,
    uint32_t slot)
{
	const struct block_list *pages, *page;

	if (root->clusters == 0)
		return NULL;
	pages = arena_at(a, root->clusters);
	if (slot / PAGE_SLOTS >= pages->n || pages->at[slot / PAGE_SLOTS] == 0)
		return NULL;
	page = arena_at(a, pages->at[slot / PAGE_SLOTS]);
	if (page->at[slot % PAGE_SLOTS] == 0)
		return NULL;
	return arena_at(a, page->at[slot % PAGE_SLOTS]);
}

const struct block_listener *
block_listener_find(const struct arena *a, const struct block_root *root,
    uint32_t slot, uint32_t tag)
{
	const struct block_list *l;

	if (root->listeners == 0)
		return NULL;
	l = arena_at(a, root->listeners);
	for (uint32_t i = 0; i < l->n; i++) {
		const struct block_listener *at = arena_at(a, l->at[i]);

		if (at->slot == slot && at->tag == tag)
			return at;
	}
	return NULL;
}
