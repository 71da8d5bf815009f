/* master/inherit.c - see inherit.h. */
#include "master/inherit.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shm/log.h"
#include "shm/publish.h"
#include "shm/verify.h"

struct heir {
	struct names	*names;
	struct arena	 arena;
	const struct block_root *root;
};

static int
endpoints_take(struct heir *h, const struct block_cluster *c)
{
	const struct block_balance *b = arena_at(&h->arena, c->balance);
	struct name_id cluster = { c->slot, c->tag };

	for (uint32_t i = 0; i < b->endpoints_n; i++) {
		const struct block_endpoint *e = &b->endpoints[i];

		if (names_seed_endpoint(h->names, cluster, &e->address,
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
		if (c->slot != slot || names_seed(h->names, NAMES_CLUSTER,
		    name->bytes, name->len,
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

		if (names_seed(h->names, NAMES_LISTENER, &l->address,
		    sizeof(l->address),
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
	names_tag_set(h->names, h->root->tag_last);
	return 0;
}

/* Tags that were hardly ever given: the sooner lost the longer ago. */
static void
begin_anew(struct names *n, const char *reason)
{
	log_warn("the dead master's arena can't be used: %s; clusters and "
	    "endpoints get new ids", reason);
	names_tag_set(n, (uint32_t)time(NULL) << 8);
}

int
inherit(struct names *n, int arena_fd, uint64_t *number, char *why,
    size_t why_len)
{
	struct heir h = { .names = n };
	struct generation g = { 0 };
	uint64_t turn = UINT64_MAX;
	int fd = dup(arena_fd);
	char wrong[256];

	if (fd == -1 || arena_open(&h.arena, fd, why, why_len) == -1) {
		if (fd != -1)
			close(fd);
		return -1;
	}
	if (publish_observe(&h.arena, &turn, &g)) {
		h.root = arena_at(&h.arena, g.root);
		if (verify(&h.arena, NULL, g.root, g.live_bytes, wrong,
		    sizeof(wrong)) == -1)
			begin_anew(n, wrong);
		else if (names_fill(&h) == -1)
			begin_anew(n, "two names have one slot");
	}
	*number = g.number;
	arena_close(&h.arena);
	return 0;
}
