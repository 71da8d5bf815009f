/* shm/block.c - see block.h. */
#include "shm/block.h"

#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

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

socklen_t
block_socket_address(const struct block_address *a, uint16_t port,
    struct sockaddr_storage *to)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)to;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)to;

	memset(to, 0, sizeof(*to));
	to->ss_family = a->family;
	if (a->family == AF_INET) {
		memcpy(&v4->sin_addr, a->bytes, 4);
		v4->sin_port = htons(port);
		return sizeof(*v4);
	}
	memcpy(&v6->sin6_addr, a->bytes, 16);
	v6->sin6_port = htons(port);
	return sizeof(*v6);
}
