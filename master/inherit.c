/* master/inherit.c - see inherit.h. */
#include "master/inherit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "shm/log.h"
#include "shm/publish.h"
#include "shm/verify.h"

struct heir {
	struct names	*names;
	struct arena	 arena;
	const struct block_root *root;
	uint32_t	 tag_last;	/* the newest that the dead one gave */
};

/* A newer tag would be given once more, to somebody else. */
static bool
given(const struct heir *h, uint32_t tag)
{
	return (int32_t)(h->tag_last - tag) >= 0;
}

static int
endpoints_take(struct heir *h, const struct block_cluster *c)
{
	const struct block_balance *b = arena_at(&h->arena, c->balance);
	struct name_id cluster = { c->slot, c->tag };

	for (uint32_t i = 0; i < b->endpoints_n; i++) {
		const struct block_endpoint *e = &b->endpoints[i];

		if (!given(h, e->tag) || names_seed_endpoint(h->names, cluster, &e->address,
		    (struct name_id){ e->id, e->tag }) == -1)
			return -1;
	}
	return 0;
}

static int
clusters_take(struct heir *h)
{
	const struct block_list *pages = arena_at(&h->arena,
	    h->root->clusters);
	const struct block_cluster *c;
	const struct block_text *name;

	for (uint32_t slot = 0; slot < pages->n * PAGE_SLOTS; slot++) {
		c = block_cluster_find(&h->arena, h->root, slot);
		if (c == NULL)
			continue;
		name = arena_at(&h->arena, c->name);
		if (!given(h, c->tag) || names_seed(h->names,
		    NAMES_CLUSTER, name->bytes, name->len,
		    (struct name_id){ c->slot, c->tag }) == -1 ||
		    endpoints_take(h, c) == -1)
			return -1;
	}
	return 0;
}

static int
listeners_take(struct heir *h)
{
	const struct block_list *all = arena_at(&h->arena, h->root->listeners);

	for (uint32_t i = 0; i < all->n; i++) {
		const struct block_listener *l = arena_at(&h->arena,
		    all->at[i]);

		if (!given(h, l->tag) || names_seed(h->names,
		    NAMES_LISTENER, &l->address, sizeof(l->address),
		    (struct name_id){ l->slot, l->tag }) == -1)
			return -1;
	}
	return 0;
}

static int
names_fill(struct heir *h)
{
	int rc;

	names_begin(h->names);
	rc = listeners_take(h) == -1 || clusters_take(h) == -1 ? -1 : 0;
	if (rc == -1) {
		names_abort(h->names);
		return -1;
	}
	names_commit(h->names);
	return 0;
}

static void
root_take(struct heir *h, const struct generation *g)
{
	char wrong[256];

	h->root = arena_at(&h->arena, g->root);
	h->tag_last = g->tag_last;
	if (verify(&h->arena, NULL, g->root, g->live_bytes, wrong,
	    sizeof(wrong)) == 0) {
		if (h->root->number == g->number && names_fill(h) == 0)
			return;
		why_set(wrong, sizeof(wrong), "its names contradict it");
	}
	log_warn("the dead master's arena can't be used: %s; clusters and "
	    "endpoints get new ids", wrong);
}

int
inherit(struct names *n, int arena_fd, uint64_t *number, char *why,
    size_t why_len)
{
	struct heir h = { .names = n };
	struct generation g = { 0 };
	uint64_t turn = UINT64_MAX;
	int rc = 0, fd = fcntl(arena_fd, F_DUPFD_CLOEXEC, 3);

	if (fd == -1)
		return why_set(why, why_len, "the dead master's arena: %s",
		    strerror(errno));
	if (arena_open(&h.arena, fd, why, why_len) == -1) {
		close(fd);
		return -1;
	}
	if (publish_observe(&h.arena, &turn, &g)) {
		root_take(&h, &g);
		names_tag_set(n, g.tag_last);
		*number = g.number;
	} else
		rc = why_set(why, why_len, "the dead master's arena holds no "
		    "generation");
	arena_close(&h.arena);
	return rc;
}
