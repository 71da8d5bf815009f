/*
 * shm/block_kind.h - what each kind of block is made of: how long it is,
 * which blocks it names, what its numbers may be.
 *
 *   block_kind_bytes   the length, out of the block's own counts
 *   block_kind_refs    each block_ref in it, with the kind that it names, to
 *                      be changed; block_kind_look the same, to be read
 *   block_kind_check   that what is no ref makes sense
 *
 * One description for three readers: the heap counts references by it, the
 * verifier walks by it, compaction rewrites by it. The struct in block.h is
 * what the fields mean, this table is where they lie: a new ref is one line
 * here, and t/unit/block_kind.c fails when the two differ.
 *
 * Invariants
 *   K1  Kinds are ordered: a block names only blocks of a later kind, so that
 *       no walk goes in circles.
 *   K2  block_kind_bytes looks at no byte beyond max, and answers 0 rather
 *       than more than max.
 *   K3  All others are for a block that is as long as block_kind_bytes says.
 *
 * Test: t/unit/block_kind.c, t/unit/verify.c.
 */
#ifndef SHM_BLOCK_KIND_H
#define SHM_BLOCK_KIND_H

#include <stddef.h>

#include "shm/block.h"

/* In the order of K1. */
enum block_kind {
	BLOCK_ROOT, BLOCK_LISTENERS, BLOCK_LISTENER, BLOCK_CHAINS,
	BLOCK_CHAIN, BLOCK_HCM, BLOCK_ROUTE_CONFIG, BLOCK_HOSTS, BLOCK_HOST,
	BLOCK_ROUTE_INDEX, BLOCK_HEADER_MATCHES, BLOCK_OVERRIDES, BLOCK_RBAC,
	BLOCK_RBAC_RULES, BLOCK_SPLIT, BLOCK_PAGES, BLOCK_PAGE, BLOCK_CLUSTER,
	BLOCK_BALANCE, BLOCK_TLS, BLOCK_PLAN, BLOCK_SECRETS, BLOCK_TEXT,
	BLOCK_KINDS
};

/* "listener". */
const char *block_kind_name(enum block_kind kind);

/* The length of the block at p, of which max bytes may be looked at. 0: it
 * would be longer than max. */
size_t	block_kind_bytes(enum block_kind kind, const void *p, size_t max);

/* Called for each ref that is not 0; may change it. */
typedef void block_ref_see(void *arg, enum block_kind names, block_ref *ref);

/* Every ref of the block at p, in the order of its fields. */
void	block_kind_refs(enum block_kind kind, void *p, block_ref_see *see,
	    void *arg);

/* The same for who must not write: ends at the first answer that is not 0,
 * and returns it. */
typedef int block_ref_look(void *arg, enum block_kind names, block_ref ref);
int	block_kind_look(enum block_kind kind, const void *p,
	    block_ref_look *look, void *arg);

/* What follows the fixed part of the block at p: *n items of *bytes each,
 * both 0 in a kind without. */
const void *block_kind_items(enum block_kind kind, const void *p, uint32_t *n,
	    size_t *bytes);

/* The same for an index, and for whether it is one of this host's routes:
 * block_check_index.c. */
const char *block_index_check(const void *p);
const char *block_index_fits(const void *index, const struct block_host *h);
/* Of a plan: block_check_plan.c. */
const char *block_plan_check(const void *p);

/* NULL, or what is wrong with the block at p: "its text does not end". That
 * is all a block can tell of itself; verify.h knows its neighbours. In
 * block_check.c. */
const char *block_kind_check(enum block_kind kind, const void *p);

#endif
