/*
 * master/compile_change.c - one cluster's endpoints change: what is written
 * is the path to them.
 *
 *   root' ──> pages' ──> page' ──> cluster' ──> endpoints'
 *     │         └──> all other pages  └──> name, TLS: as they were
 *     └──> listeners: as they were
 *
 * Test: t/unit/generations_change.c.
 */
#include "master/compile_parts.h"

#include <assert.h>
#include <string.h>

#define CLUSTER &envoy__config__cluster__v3__cluster__descriptor

enum { CHANGE_BYTES_MAX = 256 << 20 };

static const struct at top = AT(NULL, "load_assignment");

/* A copy of the list with another ref at one place. */
static int
list_change(struct compiler *c, enum block_kind kind, block_ref list,
    uint32_t place, block_ref to, block_ref *ref)
{
	const struct block_list *from = arena_at(c->arena, list);
	struct block_list *copy = list_new(c, from->n);

	if (copy == NULL)
		return -1;
	memcpy(copy->at, from->at, from->n * sizeof(from->at[0]));
	copy->at[place] = to;
	return put_list(c, kind, copy, ref);
}

/* The root's other fields are those of the newest generation. */
static int
root_change(struct compiler *c, const struct block_root *from, uint32_t slot,
    block_ref cluster)
{
	const struct block_list *pages = arena_at(c->arena, from->clusters);
	struct block_root root = *from;
	block_ref page;

	root.number = c->out->generation.number;
	if (list_change(c, BLOCK_PAGE, pages->at[slot / PAGE_SLOTS],
	    slot % PAGE_SLOTS, cluster, &page) < 0 ||
	    list_change(c, BLOCK_PAGES, from->clusters, slot / PAGE_SLOTS,
	    page, &root.clusters) < 0)
		return -1;
	return put_block(c, BLOCK_ROOT, &root, sizeof(root),
	    &c->out->generation.root);
}

static uint32_t
endpoints_all(const struct compiler *c, const struct block_cluster *b)
{
	return ((const struct block_balance *)arena_at(c->arena,
	    b->balance))->endpoints_all;
}

static int
cluster_change(struct compiler *c, const Cluster *m, struct name_id id)
{
	const struct block_root *root = arena_at(c->arena,
	    c->out->generation.root);
	const struct block_cluster *from = block_cluster_find(c->arena, root,
	    id.id);
	struct block_cluster b = *from;
	block_ref ref;

	c->out->generation.endpoints_n -= endpoints_all(c, from);
	if (compile_endpoints(c, NULL, m, id, &b.balance) < 0 ||
	    put_block(c, BLOCK_CLUSTER, &b, sizeof(b), &ref) < 0)
		return -1;
	return root_change(c, root, id.id, ref);
}

int
compile_change(struct compiled *out, struct image *image, struct names *n,
    const ProtobufCMessage *message, char *why, size_t why_len)
{
	const Cluster *m = (const Cluster *)message;
	struct compiler c = { .image = image, .arena = &image->arena,
	    .names = n, .out = out, .why = why, .why_len = why_len };
	struct name_id id;
	int rc = -1;

	assert(message->descriptor == CLUSTER);
	if (names_known(n, NAMES_CLUSTER, m->name, strlen(m->name), &id) < 0)
		return refuse(&c, &top, "there is no cluster \"%s\"", m->name);
	if ((c.memory = load_arena_new(CHANGE_BYTES_MAX)) == NULL)
		return refuse(&c, &top, "no memory is left");
	names_begin_cluster(n, id);
	image_begin(image);
	out->generation.number++;
	out->keys = image->keys_root;
	if (m->load_assignment == NULL)
		refuse(&c, &top, "is missing, expected endpoints");
	else
		rc = cluster_change(&c, m, id);
	if (rc < 0)
		compile_abort(image, n);
	out->generation.live_bytes = heap_allocated(image->blocks);
	out->generation.tag_last = names_tag(n);
	load_arena_free(c.memory);
	return rc;
}
