/*
 * master/image.h - what one master writes for the workers to read: the arena
 * of generations, the arena of secrets, and the book of each.
 *
 *   image_begin ─> compile puts blocks ─> image_commit ─> publish_put
 *                                     \─> image_abort
 *
 *   blocks    names, routes, endpoints, certificates     dumped, poisoned
 *   secrets   private keys                               not dumped, wiped
 *
 * A TLS block names its key by a ref into the arena of secrets. What a
 * generation needs of secrets is one list there, so that both live as long
 * as the same workers use the same generation.
 *
 * Test: t/unit/image.c.
 */
#ifndef MASTER_IMAGE_H
#define MASTER_IMAGE_H

#include "master/heap.h"

enum { SECRETS_SIZE_BYTES = 64 << 20 };

struct image {
	struct arena	 arena, secrets;
	struct heap	*blocks, *keys;
	block_ref	 keys_root;	/* of the newest generation */
};

/* Makes both arenas. -1: why. */
int	image_open(struct image *m, char *why, size_t why_len);
/* The same with an arena of size_bytes, for tests of a full one. */
int	image_open_sized(struct image *m, uint64_t size_bytes, char *why,
	    size_t why_len);
void	image_close(struct image *m);

void	image_begin(struct image *m);
/* root reaches everything of generation `number`, secrets its keys. */
void	image_commit(struct image *m, block_ref root, block_ref secrets,
	    uint64_t number);
void	image_abort(struct image *m);
/* Within a stage: frees what was put since the mark. */
struct image_mark { uint32_t blocks, keys; };
struct image_mark image_mark(const struct image *m);
void	image_rollback(struct image *m, struct image_mark mark);

/* The struct was copied to where it stays: its books follow. */
void	image_settle(struct image *m);

/* Every worker uses `oldest` or a newer generation. */
void	image_reclaim(struct image *m, uint64_t oldest);

/* Half of the arena or more is dead, and it is worth moving out of. */
bool	image_wants_compaction(const struct image *m);
/* The newest generation of `from` as generation `number` of a fresh arena in
 * *to; the secrets stay where they are, in the hands of *to. On -1 (why)
 * *from is as before. *root is where it is. */
int	image_compact(struct image *from, struct image *to, uint64_t number,
	    block_ref *root, char *why, size_t why_len);

#endif
