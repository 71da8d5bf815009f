/*
 * shm/word.h - the common segment: the one memory that every worker may
 * write, a cell for each row of word.def and each endpoint or cluster.
 *
 *   common, one memfd  | layout | id 0: {tag, count} | id 1: {tag, count} | ...
 *                                     ^ CAS, by all
 *   row of worker w    | ... | n | id 0: {tag, share} | id 1: {tag, share} | ..
 *                                     ^ plain stores, by w alone
 *
 *   a request opens    share + 1, then word + 1      word_share_add
 *             closes   share - 1, then word - 1      word_share_sub
 *   a worker died      word - share, share = 0       word_shares_take
 *   once a second      word != sum of shares, thrice the same: word_heal
 *
 * Invariants
 *   W1  A cell is one atomic word, so count and owner are never apart. Who
 *       has a newer tag takes it over and starts at 1; who has an older one
 *       changes nothing: a stream that outlives its endpoint can't touch the
 *       next owner of the id. Newer: (int32_t)(a - b) > 0. Tag 0: nobody.
 *   W2  A count stays within 0..UINT32_MAX whatever anybody does.
 *   W3  A worker changes a word only together with its own share, so that
 *       without deaths word = sum of the shares that have the word's tag.
 *   W4  Nothing from common or from a row is an address or an index; n is
 *       cut to the scope's ids. Whoever scribbles here misleads, and crashes nobody.
 *   W5  n only grows, also over births: no leak lies beyond every row's n.
 *
 * Why not one fetch_add and no shares: what a killed worker had open would
 * stay for ever. Why share first, in both directions: the share decides
 * whether the word changes at all (W3). A kill -9 between the two leaves one
 * cell off by one, -1 when opening and +1 when closing; both orders of either
 * direction do, since two memories can't change at once. The opposite order
 * of opening would leave +1 always, which nothing but word_heal takes back; a
 * -1 also ends by itself when the endpoint gets idle (W2).
 *
 * Why word_heal does not just set the word to the sum: workers go on
 * meanwhile. Between reading the shares and writing the word they open and
 * close requests, and a word set to an old sum is off by those, each second
 * anew. A difference that a CAS adds keeps what happens meanwhile, so being
 * late does no harm; being wrong would. A worker that is between share and
 * word shows a difference that is no leak. For the few nanoseconds that this
 * takes, a second look at once differs; a worker that was stopped just there
 * shows the same for longer, but hardly at the same id with the same sign in
 * three calls a second apart. If it does (SIGSTOP, a debugger), the word is
 * off once it goes on, and the next three calls take that back.
 *
 * A cleaner that dies in word_shares_take: each share is exchanged for 0
 * before it is subtracted, so no share is subtracted twice, by the next
 * cleaner or one beside it. At most the one in its hand stays in the word: a
 * leak for word_heal, which keeps too much, not too little, until then.
 *
 * Memory order: relaxed. A count guards no other memory. A kill stops a
 * thread between two instructions and the cleaner runs after wait(2), so what
 * "share first" needs is what a signal handler needs: the compiler's order
 * (atomic_signal_fence). word_heal sees the stores in any order, and doubts.
 *
 * Cells of neighbours share a cache line. Test: t/unit/word.c,
 * t/unit/word_deaths.c, t/sim/.
 */
#ifndef SHM_WORD_H
#define SHM_WORD_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/block.h"

enum word_scope { WORD_ENDPOINT, WORD_CLUSTER, WORD_SCOPES };

enum word_kind {
#define WORD(scope, id, help) WORD_##id,
#include "shm/word.def"
#undef WORD
	WORD_KINDS
};

enum {
#define WORD(scope, id, help) + (WORD_##scope == WORD_ENDPOINT)
	WORD_ENDPOINT_KINDS = 0
#include "shm/word.def"
#undef WORD
	,
	WORD_CLUSTER_KINDS = WORD_KINDS - WORD_ENDPOINT_KINDS,
	WORD_CLUSTERS_AT = ENDPOINTS_MAX * WORD_ENDPOINT_KINDS,
	WORD_CELLS = WORD_CLUSTERS_AT + CLUSTERS_MAX * WORD_CLUSTER_KINDS,
	WORD_DOUBTS_MAX = 1024, WORD_DOUBTS_SEEN = 3,
};

typedef _Atomic uint64_t word_cell;	/* tag << 32 | count */

/* The endpoints' cells, kind by kind, id by id; then the clusters'. */
struct words {
	uint64_t	layout;
	_Alignas(64) word_cell cells[WORD_CELLS];
};

/* At the end of a row, which is sparse: touched only by id. */
struct word_shares {
	_Atomic uint32_t n[WORD_SCOPES];	/* 1 + the highest id ever
						   used (W5) */
	_Alignas(64) word_cell cells[WORD_CELLS];
};

enum { WORD_NOWHERE = WORD_CELLS };

/* The scope of a kind, and how many ids it has. */
static inline enum word_scope
word_scope_of(enum word_kind kind)
{
	return (int)kind < WORD_ENDPOINT_KINDS ? WORD_ENDPOINT : WORD_CLUSTER;
}

static inline uint32_t
word_ids(enum word_scope scope)
{
	return scope == WORD_ENDPOINT ? ENDPOINTS_MAX : CLUSTERS_MAX;
}

/* Which cell; WORD_NOWHERE: there is no such id. */
static inline uint32_t
word_at(enum word_kind kind, uint32_t id)
{
	if (id >= word_ids(word_scope_of(kind)))
		return WORD_NOWHERE;
	return word_scope_of(kind) == WORD_ENDPOINT ?
	    id * WORD_ENDPOINT_KINDS + kind : WORD_CLUSTERS_AT +
	    id * WORD_CLUSTER_KINDS + (kind - WORD_ENDPOINT_KINDS);
}

struct row;

/* Makes the memfd, zeroed; the descriptor, or -1. */
int	word_new(char *why, size_t why_len);
/* Maps it to write. NULL: why. fd may be closed afterwards. */
struct words *word_open(int fd, char *why, size_t why_len);
void	word_close(struct words *w);

/* How many of the owner with this tag; 0 when it is another's. */
uint32_t word_get(const struct words *w, enum word_kind kind, uint32_t id,
	    uint32_t tag);
/* One more, one less (W1, W2). A worker uses those with a share (W3). */
void	word_add(struct words *w, enum word_kind kind, uint32_t id,
	    uint32_t tag);
void	word_sub(struct words *w, enum word_kind kind, uint32_t id,
	    uint32_t tag);

/* The same, with the share in the worker's own row (W3). The sum after it;
 * 0 where nothing changed. */
uint32_t word_share_add(struct words *w, struct row *r, enum word_kind kind,
	    uint32_t id, uint32_t tag);
void	word_share_sub(struct words *w, struct row *r, enum word_kind kind,
	    uint32_t id, uint32_t tag);

/* Takes back what a worker had open. Only when it is dead and reaped. */
void	word_shares_take(struct words *w, struct row *r);

/* What word_heal remembers from call to call: the caller's, zeroed at first.
 * Differences beyond WORD_DOUBTS_MAX wait until the ones before are healed. */
struct word_doubts {
	int	n;
	struct word_doubt {
		uint32_t cell, tag, seen;
		int64_t	 off;		/* word - sum of the shares */
	}	at[WORD_DOUBTS_MAX];	/* ordered by cell */
};

/* Corrects what was off by the same in three calls, to be made once a second
 * over all rows (read-only ones do, NULL: none); how many words it changed.
 * Reads every cell of a row below n, which makes its pages exist. */
int	word_heal(struct words *w, struct row *const *rows, int rows_n,
	    struct word_doubts *doubts);

#endif
