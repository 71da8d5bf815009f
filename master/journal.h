/*
 * master/journal.h - what a control plane sent and we accepted, in a memfd
 * that the keeper keeps: a master's successor reads it and has it all at once.
 *
 *   resources ──put, remove──> buffer ──commit──> | put | put | mark | put ...
 *                                └─abort: dropped         (appended, write(2))
 *   the master dies; its successor: file, then each entry, in one generation
 *
 * A journal that is twice what lives is written anew, and the keeper gets the
 * new one.
 *
 * Invariants
 *   J1  An entry that journal_read hands out is whole: each has a checksum,
 *       and the first broken one ends the reading (a death while writing).
 *   J2  No private key is in it: where it lies in the arena of secrets is,
 *       which the keeper keeps as well, with a hash of it.
 *
 * Why not the checkpoint on disk: that is late, and workers would go back to
 * what was before for a moment. Test: t/unit/journal.c.
 */
#ifndef MASTER_JOURNAL_H
#define MASTER_JOURNAL_H

#include <stdbool.h>

#include "master/compile.h"

enum resource_from { FROM_FILE, FROM_PLANE, FROM_CHECKPOINT, FROM_DNS };
enum journal_kind {
	JOURNAL_PUT, JOURNAL_REMOVE,
	JOURNAL_MISSING,		/* named, and known not to exist */
	JOURNAL_MARK,
};

struct journal_entry {
	enum journal_kind op;
	enum resource_kind kind;
	enum resource_from from;	/* who said it last */
	const char	*name, *version;
	const uint8_t	*bytes;
	size_t		 len;
	struct compile_key key;
};

struct journal {
	int		 fd;
	uint64_t	 bytes;		/* written */
	uint64_t	 fresh_bytes;	/* when it was new, all alive */
	uint8_t		*buffer;	/* since the last commit */
	size_t		 buffer_n, buffer_cap;
	bool		 failed;	/* it lacks something: to be made anew */
	int		 error;		/* why */
	bool		 said;		/* that it can't be made anew */
};

/* A new, empty one. -1: why. */
int	journal_open(struct journal *j, char *why, size_t why_len);
void	journal_close(struct journal *j);
void	journal_append(struct journal *j, const struct journal_entry *e);
void	journal_commit(struct journal *j);
void	journal_abort(struct journal *j);
/* It holds twice what it began with, or lacks something. */
bool	journal_is_worn(const struct journal *j);
/* All that is in it now is alive. */
void	journal_fresh(struct journal *j);

/* Every whole entry of fd, in their order, each until each returns. -1: why
 * (it can't be read at all). */
int	journal_read(int fd, void (*each)(void *arg,
	    const struct journal_entry *e), void *arg, char *why,
	    size_t why_len);

#endif
