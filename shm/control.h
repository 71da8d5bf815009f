/*
 * shm/control.h - the arena's first page: what it is, and the latch. Between
 * arena.c and publish.c only.
 */
#ifndef SHM_CONTROL_H
#define SHM_CONTROL_H

#include "shm/arena.h"
#include "shm/latch.h"

struct control {
	uint64_t	layout;		/* BLOCK_LAYOUT */
	uint64_t	size_bytes;	/* of the arena */
	uint64_t	pad[6];
	struct latch	latch;		/* publish.c */
};

_Static_assert(sizeof(struct control) <= ARENA_CONTROL_BYTES, "control page");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2,
    "64-bit atomics must be lock-free to be shared by processes");

#endif
