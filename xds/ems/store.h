/*
 * xds/ems/store.h - what godwit-ems keeps: intent, with every version it had,
 * and the endpoints that are registered.
 *
 *   owner's loop                               the store's thread
 *   store_write ──copy──> waiting ──all of it──> one transaction
 *   store_ask             (bounded)              | a savepoint per write
 *   lease_put                                    | COMMIT: fsync
 *        watch, done <── answered <──eventfd─────┘
 *
 * Intent is items, each {noun, name} with a text. A write is one or more
 * changes, all or nothing, and takes the next revision, one count for the
 * whole store. An item's version is a count of its own:
 *
 *   change                 expect_version   from   to
 *   create                        0           0     1
 *   replace                       1           1     2
 *   the same body again           2           -     2   nothing is recorded
 *   delete                        2           2     3
 *   create                        0           0     4
 *
 * Invariants
 *   S1  An answer OK to a write is on disk (fsync) before it is given.
 *   S2  A write is there whole or not at all, after kill -9 too.
 *   S3  Revisions are 1, 2, 3... without a gap; no version of an item is ever
 *       used for two bodies, a deletion takes one too.
 *   S4  Each submission is answered exactly once, never from inside the call
 *       that submits. What was taken is answered in order and sees what was
 *       submitted before it; a refusal may overtake.
 *   S5  The watch hears each revision once, in order, before its answer.
 *   S6  Leases take no revision, and heartbeats are not stored: a lease is
 *       what an endpoint registered as, whether it lives is the owner's.
 *   S7  A store that can't write says why and goes on answering questions,
 *       where it can.
 *
 * Fit for etcd: revision and version are its words (mod_revision, version),
 * expect_version is a compare in a Txn, the watch is its Watch from the
 * revision of a first list, where it would tell the writes of others too, and
 * nothing here waits. History is kept whole: nothing is compacted.
 *
 * The functions of one store are called by one thread, its owner's. Test:
 * t/unit/store.c, t/unit/store_fault.c; kill -9: t/stress/store.c.
 */
#ifndef XDS_EMS_STORE_H
#define XDS_EMS_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "worker/io/loop.h"

/* Bytes, if nothing else is said; what is beyond is answered STORE_INVALID. */
enum {
	STORE_NOUN_MAX = 31,		/* a-z and _ */
	STORE_NAME_MAX = 255,		/* UTF-8, no controls; who too */
	STORE_BODY_MAX = 1 << 20,	/* UTF-8, no NUL; as all that follow */
	STORE_WHY_MAX = 4096,
	STORE_CHANGES_MAX = 1024,	/* of a write: so many */
	STORE_WRITE_MAX = 16 << 20,	/* all its bodies */
	STORE_LEASE_TEXT_MAX = 255,	/* id, service, region, ... */
	STORE_CHECKS_MAX = 64 << 10,
	STORE_PAGE_MAX = 1000,		/* changes in an answer: history */
	STORE_WAITING_N = 10000,	/* submissions not answered yet, ... */
	STORE_WAITING_BYTES = 64 << 20,	/* ... and what they hold */
};

/* In answers there is a NUL behind it. p NULL: there is none. */
struct store_text {
	const char	*p;
	size_t		 n;
};

static inline struct store_text
store_text(const char *p)
{
	return (struct store_text){ p, p == NULL ? 0 : strlen(p) };
}

struct store_change {
	struct store_text noun, name;
	uint64_t	 expect_version;	/* 0: creates */
	struct store_text body;			/* p NULL: deletes */
};

struct store_write {
	const struct store_change *changes;	/* of an item one at most */
	size_t		 changes_n;
	struct store_text who, why;
	int64_t		 when_ms;		/* UTC, since 1970 */
};

/* A change that was made. */
struct store_past {
	uint64_t	 revision;
	int64_t		 when_ms;
	struct store_text who, why, noun, name;
	uint64_t	 from, to;		/* versions; from 0: created */
	bool		 deleted;
	struct store_text body;			/* also NULL: not asked for */
};

struct store_item {
	struct store_text noun, name;
	uint64_t	 version;
	uint64_t	 revision;		/* of its last change */
	struct store_text body;
};

/*
 * A registered endpoint. The epoch fences: a put or a removal with one that is
 * lower than the lease's changes nothing. Whoever registers anew gets a higher
 * one than epoch_max of the STORE_LEASES answer, which never goes back.
 */
struct store_lease {
	struct store_text id;
	uint64_t	 epoch;
	struct store_text service, region, zone, address;
	uint32_t	 port, weight;
	struct store_text label;		/* of its version: "r42" */
	uint32_t	 ttl_ms;
	struct store_text checks;		/* its health checks; opaque */
};

enum store_kind {
	STORE_REVISION,		/* the newest; no more */
	STORE_ITEM,		/* one item, as of a revision */
	STORE_ITEMS,		/* all, or all of a noun; by noun and name */
	STORE_HISTORY,		/* newest first, each write in its order */
	STORE_LEASES,		/* by id; and epoch_max */
};

struct store_question {
	enum store_kind	 kind;
	struct store_text noun, name;	/* ITEM; ITEMS: noun or none; HISTORY:
					   both or none */
	uint64_t	 revision;	/* as of; 0: now. HISTORY: before this
					   one; 0: from the newest */
	uint32_t	 limit;		/* HISTORY: so many changes, 0: 100; a
					   write is never cut, so some more */
	bool		 no_bodies;	/* HISTORY */
};

enum store_result {
	STORE_OK,
	STORE_CONFLICT,		/* versions are not as expected */
	STORE_INVALID,		/* no such thing can be stored or asked */
	STORE_BUSY,		/* too much waits; later */
	STORE_FAILED,		/* the disk, the file, no memory */
};

struct store_answer {
	enum store_result result;
	const char	*why;		/* "", or one sentence */
	uint64_t	 revision;	/* a write's, or the newest */

	const uint64_t	*versions;	/* a write's: one per change */
	size_t		 versions_n;

	size_t		 conflict_at;	/* which change, from 0 */
	uint64_t	 current_version;	/* 0: not there; of a lease the
						   epoch */
	struct store_text current_body;

	const struct store_item *items;
	size_t		 items_n;	/* ITEM: 0 when it was not there */
	const struct store_past *past;
	size_t		 past_n;
	bool		 more;		/* there is older history */
	const struct store_lease *leases;
	size_t		 leases_n;
	uint64_t	 epoch_max;
};

/* The answer, and all it names, is the store's until this returns. */
typedef void store_done(void *arg, const struct store_answer *a);

struct store_settings {
	const char	*path;		/* the file; beside it -wal, -shm,
					   .lock */
	/* A revision: its changes, past[0..n). May be NULL. */
	void	(*watch)(void *arg, const struct store_past *past, size_t n);
	void	*watch_arg;
	size_t	 waiting_n, waiting_bytes;	/* 0: as above */
};

struct store;

/*
 * Opens or makes the file; blocks while it does. NULL: why. With why[0] != 0
 * the store only answers questions, and why says why. The loop's turns give
 * the answers.
 */
struct store	*store_open(struct loop *l, const struct store_settings *set,
		    char *why, size_t why_len);

/* Waits until all that was submitted is answered, then closes. Not from a
 * callback of the store's. */
void	store_close(struct store *s);

/* Each copies what it is given. -1: no memory, and no answer will come. */
int	store_write(struct store *s, const struct store_write *w,
	    store_done *done, void *arg);
int	store_ask(struct store *s, const struct store_question *q,
	    store_done *done, void *arg);
int	store_lease_put(struct store *s, const struct store_lease *l,
	    store_done *done, void *arg);
/* One that is not there is OK. */
int	store_lease_remove(struct store *s, struct store_text id,
	    uint64_t epoch, store_done *done, void *arg);

#endif
