/*
 * master/sources.h - the files that a configuration is read from: from disk,
 * or from what a master before us kept of them.
 *
 *   disk ──sources_disk──> bytes ──> yaml, certificates, keys
 *                            │
 *                       sources_keep ──> a sealed memfd ──> the keeper
 *                                                             │ the master dies
 *   bytes, keys <──sources_kept── its successor <─────────────┘
 *
 * Why: the successor of a dead master starts from what was accepted, never
 * from a file that somebody edited meanwhile.
 *
 * Invariants
 *   S1  A name is read once: who asks again gets the same bytes.
 *   S2  Keys are not in the memfd: it says where they lie in the arena of
 *       secrets, which the keeper keeps as well. Here they are wiped.
 *
 * Test: t/unit/sources.c.
 */
#ifndef MASTER_SOURCES_H
#define MASTER_SOURCES_H

#include <stdbool.h>

#include "shm/arena.h"

struct sources;

/* Reads from disk. NULL: no memory. */
struct sources	*sources_disk(void);
/* Reads what fd kept (it stays the caller's), keys from that master's arena
 * of secrets, which must live as long. NULL: why. */
struct sources	*sources_kept(int fd, const struct arena *secrets, char *why,
		    size_t why_len);
void		 sources_free(struct sources *s);

/* The bytes of a file of 1..max bytes, and a NUL after them that len does not
 * count; until sources_free. NULL: why, which names the file. */
const char	*sources_file(struct sources *s, const char *name, size_t max,
		    size_t *len, char *why, size_t why_len);
/* The same for a private key. */
const char	*sources_key(struct sources *s, const char *name, size_t max,
		    size_t *len, char *why, size_t why_len);
/* Where the key of that name was put. */
void		 sources_key_put(struct sources *s, const char *name,
		    block_ref text);

/* A sealed memfd with all that was read. -1: why. */
int		 sources_keep(const struct sources *s, char *why,
		    size_t why_len);

#endif
