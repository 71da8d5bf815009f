/*
 * shm/arena.h - the memory that the master writes and every worker reads: one
 * sparse memfd of immutable blocks, named by offset.
 *
 *   0        4096                        used               size (8 GiB)
 *   | control | block | block | block ... | untouched pages ... |
 *
 * Invariants
 *   I1  No addresses: a block names another by block_ref, its offset in units
 *       of 16 bytes; 0 is "none" (the control page lies there).
 *   I2  Only the master maps it writable. The descriptor that leaves the
 *       master is a read-only reopening of a memfd of mode 0400, sealed
 *       FUTURE_WRITE, GROW, SHRINK and SEAL: no worker can ever write.
 *   I3  A block is written before the generation that reaches it is
 *       published, and never after.
 *
 * Why a memfd: /dev/shm is 64 MB in containers and its names outlive a crash.
 * Test: t/unit/arena.c.
 */
#ifndef SHM_ARENA_H
#define SHM_ARENA_H

#include <stddef.h>
#include <stdint.h>

typedef uint32_t block_ref;	/* offset / 16; 0 = none */

enum { ARENA_UNIT_BYTES = 16, ARENA_CONTROL_BYTES = 4096 };
#define ARENA_SIZE_BYTES ((uint64_t)8 << 30)
#define ARENA_SIZE_BYTES_MAX ((uint64_t)64 << 30)	/* what a ref reaches */

struct arena {
	uint8_t		*base;		/* the mapping */
	uint64_t	 size_bytes;
	uint64_t	 used_bytes;	/* writer only: next free offset */
	int		 fd;		/* read-only; -1 when closed */
};

/* The writer: makes, maps and seals. a->fd is what may be handed on.
 * -1: why says what the kernel refused. */
int	arena_new(struct arena *a, uint64_t size_bytes, char *why,
	    size_t why_len);

/* The reader: maps fd read-only after a look at its seals, layout and size.
 * fd becomes a->fd; on -1 it stays the caller's. */
int	arena_open(struct arena *a, int fd, char *why, size_t why_len);

void	arena_close(struct arena *a);

/* A memfd of a few bytes for others to read, and its end: nobody can write,
 * grow or shrink it any more, and only its owner opens it. -1: errno. */
int	arena_file(const char *name);
int	arena_file_seal(int fd);

/* For secrets: leaves the mapping out of core dumps. -1: why. */
int	arena_hide(struct arena *a, char *why, size_t why_len);

/* Reserves zeroed room for a block and sets *ref. NULL: the arena is full. */
void	*arena_put(struct arena *a, size_t bytes, block_ref *ref);

/* The block at ref, which must not be 0. Good until the end of the turn. */
static inline const void *
arena_at(const struct arena *a, block_ref ref)
{
	return a->base + (uint64_t)ref * ARENA_UNIT_BYTES;
}

#endif
