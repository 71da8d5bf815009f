/*
 * xds/ems/catalog.h - what all proxies of one kind get: resources by kind and
 * name, in the order in which they changed.
 *
 *   kind CLUSTER   a(3) ── c(5) ── d(removed, 8) ── b(9)      newest last
 *                                  ^ a stream at 5 walks from the end to here
 *
 * A stream remembers one number, the sequence up to which it was told, and for
 * each name which content it has (a cell, by the entry's index). So what a
 * proxy lacks is found in as many steps as there are changes, however many
 * there were between two of its acknowledgements: each resource is sent once,
 * as it is now.
 *
 * Invariants
 *   C1  Between catalog_begin and catalog_end all changes have one sequence;
 *       content that is the same is no change.
 *   C2  An entry is there as long as it has content or a holder; its index is
 *       no other's until then.
 *   C3  A body is counted, and never written after it was made: what waits for
 *       a slow proxy is a reference.
 *   C4  A kind may be another catalog's, which alone changes it and outlives
 *       this one: then its holders are those of both, and so is what was made
 *       for one of their streams.
 *
 * Test: t/unit/push.c, push_random.c.
 */
#ifndef XDS_EMS_CATALOG_H
#define XDS_EMS_CATALOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "xds/resource.h"

struct body {				/* bytes that many hold */
	unsigned	 refs;
	size_t		 len;
	char		 version[17];	/* of a resource: a hash of it */
	uint8_t		 bytes[];
};

/* len bytes to be filled, and then, of a resource, body_hash; NULL: no
 * memory. */
struct body *body_new(size_t len);
/* Its version, by what it holds. */
void	body_hash(struct body *b);
struct body *body_copy(const uint8_t *bytes, size_t len);
struct body *body_get(struct body *b);
void	body_put(struct body *b);		/* may be NULL */

struct catalog_entry {
	struct catalog_entry *next_by_hash;
	TAILQ_ENTRY(catalog_entry) change;
	struct body	*body;		/* NULL: there is none */
	struct body	*before;	/* none now: the last it had, or NULL */
	uint64_t	 changed;	/* the sequence; 0: never */
	uint64_t	 hash;
	uint32_t	 index, number;	/* of the content: another, another
					 * number; 0: never any */
	uint32_t	 holders;	/* streams that have it, or ask for it */
	enum resource_kind kind;
	char		 name[];
};
TAILQ_HEAD(catalog_entries, catalog_entry);

struct catalog_kind {
	struct catalog_entries entries;	/* by changed */
	struct catalog_entry **buckets;
	size_t		 buckets_n, entries_n, live_n;
	struct catalog_entry **at;	/* by index; NULL: free */
	uint32_t	*free;		/* indices to be used again */
	uint32_t	 at_n, at_size, free_n;
	uint64_t	 changed;	/* of its newest */
	/* The answer that was made last, for those who need the same. */
	struct body	*answer;
	uint64_t	 answer_from, answer_to;
	bool		 answer_is_delta;
};

struct catalog {
	struct catalog_kind *kinds[RESOURCE_KINDS];	/* own, or C4 */
	struct catalog_kind own[RESOURCE_KINDS];
	uint64_t	 sequence;	/* of the newest change */
	bool		 open, changed;
};

bool	catalog_init(struct catalog *c);
/* No holders are left. */
void	catalog_fini(struct catalog *c);

/* C4; nothing was put into that of c yet, nor held of it. */
void	catalog_share(struct catalog *c, const struct catalog *from,
	    enum resource_kind kind);
static inline bool
catalog_owns(const struct catalog *c, enum resource_kind kind)
{
	return c->kinds[kind] == &c->own[kind];
}

void	catalog_begin(struct catalog *c);
/* body: one reference stays the caller's. False: no memory. */
bool	catalog_put(struct catalog *c, enum resource_kind kind,
	    const char *name, struct body *body);
void	catalog_remove(struct catalog *c, enum resource_kind kind,
	    const char *name);
/* Whether anything is another than before. */
bool	catalog_end(struct catalog *c);

struct catalog_entry *catalog_find(const struct catalog *c,
	    enum resource_kind kind, const char *name);
/* Found, or made without content; a holder more. NULL: no memory. */
struct catalog_entry *catalog_hold(struct catalog *c,
	    enum resource_kind kind, const char *name);
void	catalog_hold_more(struct catalog_entry *e);
/* It may be gone with it (C2). */
void	catalog_drop(struct catalog *c, struct catalog_entry *e);

#endif
