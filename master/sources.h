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
 *                    sources_over: what was kept, and the disk besides
 *
 * Why: the successor of a dead master starts from what was accepted, never
 * from a file that somebody edited meanwhile. So does what is compiled again
 * while the master lives: a certificate file that is half replaced disturbs
 * nobody but who reads it anew (rotate.h).
 *
 * Invariants
 *   S1  A name is read once: who asks again gets the same bytes.
 *   S2  Keys are not in the memfd: it says where they lie in the arena of
 *       secrets, which the keeper keeps as well. Here they are wiped.
 *   S3  A key that is there no more, for nobody names it any more, was not
 *       kept: its hash says so.
 *
 * Test: t/unit/sources.c.
 */
#ifndef MASTER_SOURCES_H
#define MASTER_SOURCES_H

#include <stdbool.h>

#include "master/watch.h"
#include "shm/arena.h"

struct sources;

enum sources_first {
	SOURCES_KEPT_FIRST,	/* the disk only for what was not kept */
	SOURCES_DISK_FIRST,	/* what is asked for, from disk; the rest stays */
};

/* Reads from disk. NULL: no memory. */
struct sources	*sources_disk(void);
/* Reads what fd kept (it stays the caller's), keys from that master's arena
 * of secrets, which must live as long. NULL: why. */
struct sources	*sources_kept(int fd, const struct arena *secrets, char *why,
		    size_t why_len);
/* What fd kept, when it is first asked for; both must live as long. fd -1, or
 * what is there can't be read: the disk. NULL: no memory. */
struct sources	*sources_over(int fd, const struct arena *secrets,
		    enum sources_first first);
/* Of sources_kept: what was not kept comes from disk from now on: nobody used
 * it, when it was kept. */
void		 sources_and_disk(struct sources *s);
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

/* This file is to be read from disk, though it was kept. False: no memory. */
bool		 sources_renew(struct sources *s, const char *name);
/* Whether the disk has the bytes that were kept. */
bool		 sources_same(struct sources *s, const char *name);
/* A group of files begins: what belongs together. */
void		 sources_group(struct sources *s);
/* Whether this one, of sources_renew, was asked for in the newest group. */
bool		 sources_in_group(const struct sources *s, const char *name);

/* Something was read from disk. */
bool		 sources_added(const struct sources *s);
/* Forgets what nobody asked for and is not used. */
void		 sources_prune(struct sources *s, bool (*used)(void *arg,
		    const char *name), void *arg);
void		 sources_each(struct sources *s, void (*each)(void *arg,
		    const char *name, const struct watch_stamp *stamp),
		    void *arg);

/* A sealed memfd with all that was read. -1: why. */
int		 sources_keep(const struct sources *s, char *why,
		    size_t why_len);

#endif
