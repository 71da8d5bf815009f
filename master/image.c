/* master/image.c - see image.h. */
#include "master/image.h"

#include <errno.h>
#include <string.h>

#include "shm/log.h"

/* Below this it is not worth the workers' while. */
enum { COMPACT_BYTES_MIN = 1 << 20 };

#if defined(__SANITIZE_ADDRESS__) || defined(GODWIT_POISON)
static const enum heap_dead blocks_dead = HEAP_POISON;
#else
static const enum heap_dead blocks_dead = HEAP_KEEP;
#endif

/* ---- life */

static int
blocks_open(struct image *m, uint64_t size_bytes, char *why, size_t why_len)
{
	if (arena_new(&m->arena, size_bytes, why, why_len) == -1)
		return -1;
	m->blocks = heap_new(&m->arena, blocks_dead);
	return m->blocks == NULL ? why_set(why, why_len, "no memory") : 0;
}

static int
keys_open(struct image *m, char *why, size_t why_len)
{
	if (arena_new(&m->secrets, SECRETS_SIZE_BYTES, why, why_len) == -1 ||
	    arena_hide(&m->secrets, why, why_len) == -1)
		return -1;
	m->keys = heap_new(&m->secrets, HEAP_WIPE);
	return m->keys == NULL ? why_set(why, why_len, "no memory") : 0;
}

int
image_open_sized(struct image *m, uint64_t size_bytes, char *why,
    size_t why_len)
{
	*m = (struct image){ .arena.fd = -1, .secrets.fd = -1 };
	if (blocks_open(m, size_bytes, why, why_len) == 0 &&
	    keys_open(m, why, why_len) == 0)
		return 0;
	image_close(m);
	return -1;
}

int
image_open(struct image *m, char *why, size_t why_len)
{
	return image_open_sized(m, ARENA_SIZE_BYTES, why, why_len);
}

/* What is in the arena of secrets is wiped by the kernel with its last
 * descriptor: a worker may need it for as long as it reads the image. */
void
image_close(struct image *m)
{
	heap_free(m->blocks);
	heap_free(m->keys);
	arena_close(&m->arena);
	arena_close(&m->secrets);
	m->blocks = m->keys = NULL;
}

void
image_settle(struct image *m)
{
	heap_move(m->blocks, &m->arena);
	heap_move(m->keys, &m->secrets);
}

/* ---- a stage */

void
image_begin(struct image *m)
{
	heap_begin(m->blocks);
	heap_begin(m->keys);
}

void
image_commit(struct image *m, block_ref root, block_ref secrets,
    uint64_t number)
{
	heap_commit(m->blocks, BLOCK_ROOT, root, number);
	heap_commit(m->keys, BLOCK_SECRETS, secrets, number);
	m->keys_root = secrets;
}

void
image_abort(struct image *m)
{
	heap_abort(m->blocks);
	heap_abort(m->keys);
}

struct image_mark
image_mark(const struct image *m)
{
	return (struct image_mark){ heap_mark(m->blocks), heap_mark(m->keys) };
}

void
image_rollback(struct image *m, struct image_mark mark)
{
	heap_rollback(m->blocks, mark.blocks);
	heap_rollback(m->keys, mark.keys);
}

void
image_reclaim(struct image *m, uint64_t oldest)
{
	heap_reclaim(m->blocks, oldest);
	heap_reclaim(m->keys, oldest);
}

/* ---- compaction */

bool
image_wants_compaction(const struct image *m)
{
	uint64_t used = m->arena.used_bytes - ARENA_CONTROL_BYTES;

	return heap_generations_n(m->blocks) == 1 &&
	    used >= COMPACT_BYTES_MIN && used >= 2 * heap_allocated(m->blocks);
}

/* The newest generation's blocks, under a root with another number. 0: no
 * room. */
static block_ref
copy(struct image *from, struct image *to, uint64_t number)
{
	block_ref ref = heap_copy(from->blocks, to->blocks);
	struct block_root root;

	if (ref == 0)
		return 0;
	memcpy(&root, arena_at(&to->arena, ref), sizeof(root));
	root.number = number;
	return heap_put(to->blocks, BLOCK_ROOT, &root, sizeof(root));
}

int
image_compact(struct image *from, struct image *to, uint64_t number,
    block_ref *root, char *why, size_t why_len)
{
	*to = (struct image){ .arena.fd = -1, .secrets.fd = -1 };
	if (blocks_open(to, from->arena.size_bytes, why, why_len) == -1) {
		image_close(to);
		return -1;
	}
	heap_begin(to->blocks);
	heap_begin(from->keys);
	*root = copy(from, to, number);
	if (*root == 0) {
		heap_abort(from->keys);
		image_close(to);
		return why_set(why, why_len, "no memory");
	}
	to->secrets = from->secrets;
	to->keys = from->keys;
	image_settle(to);
	from->secrets = (struct arena){ .fd = -1 };
	from->keys = NULL;
	image_commit(to, *root, from->keys_root, number);
	return 0;
}
