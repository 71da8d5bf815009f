/*
 * master/names.h - which slot or id a name has, and since when.
 *
 *   names_begin -> names_take ... -> names_commit   names not taken are freed
 *                                \-> names_abort    all is as it was before
 *
 *   names_begin_part: the same, but what is not taken stays: names_drop says
 *   what goes, names_retake that a cluster's endpoints are taken anew,
 *   names_amend that they stay but for those that leave. So a change costs
 *   what changes. In it names_rollback undoes all since a mark,
 *   for a resource that is refused while its siblings are good.
 *
 * Endpoints belong to their cluster and go with it. The successor of a dead
 * master begins with names_seed: what the workers know keeps its ids.
 *
 * Invariants
 *   N1  A name that is taken in every stage keeps its id and tag.
 *   N2  What a stage frees can be taken from the next stage on, not in the
 *       same: while workers move from one generation to the next, no id means
 *       one thing in the old and another in the new.
 *   N3  Each new owner gets a tag that no owner had before it.
 *   N4  The lowest free id is taken: ids stay dense, tables by id small.
 *
 * Test: t/unit/names.c.
 */
#ifndef MASTER_NAMES_H
#define MASTER_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#include "shm/block.h"	/* how many of each */

enum names_kind { NAMES_LISTENER, NAMES_CLUSTER, NAMES_ENDPOINT, NAMES_KINDS };

struct name_id {
	uint32_t	id;
	uint32_t	tag;		/* from 1 */
};

struct names;
struct names	*names_new(void);
void	names_free(struct names *n);

void	names_begin(struct names *n);
void	names_begin_part(struct names *n);
/* The id of a key, which may be any bytes. 0: taken; 1: it was taken already
 * since names_begin (an endpoint of a part: since names_retake); -1: no id is left (or no memory). */
int	names_take(struct names *n, enum names_kind kind, const void *key,
	    size_t key_len, struct name_id *id);
/* The same for an endpoint of a cluster that was taken, now or before. */
int	names_take_endpoint(struct names *n, struct name_id cluster,
	    const struct block_address *address, struct name_id *id);
/* Of a part: this name goes, a cluster with its endpoints, unless it is taken
 * after all. False: no memory. */
bool	names_drop(struct names *n, enum names_kind kind,
	    struct name_id id);
/* Of a part: the endpoints of this cluster that are not taken from now on go.
 * False: no memory. */
bool	names_retake(struct names *n, struct name_id cluster);
/* The same, but they stay, unless they leave; those that come are taken, also
 * one that left just now. */
bool	names_amend(struct names *n, struct name_id cluster);
/* It is one of the cluster's. False: no memory. */
bool	names_leave(struct names *n, struct name_id cluster,
	    const struct block_address *address);
/* Another number whenever a cluster is retaken or amended, and never an old
 * one again, but for one that is rolled back to: who knows a cluster's
 * endpoints knows by it whether they are those still. 0: they never were. */
uint64_t names_set(const struct names *n, struct name_id cluster);
size_t	names_mark(const struct names *n);
void	names_rollback(struct names *n, size_t mark);

/* The id of a key that is there when this stage is committed as it is now, or
 * -1. */
int	names_find(const struct names *n, enum names_kind kind,
	    const void *key, size_t key_len, struct name_id *id);
void	names_commit(struct names *n);
void	names_abort(struct names *n);

/* The id of a key in the newest committed stage, or -1. */
int	names_known(const struct names *n, enum names_kind kind,
	    const void *key, size_t key_len, struct name_id *id);

/* The last tag that was given, 0: none was; and where to go on. */
uint32_t names_tag(const struct names *n);
void	names_tag_set(struct names *n, uint32_t tag);
/* In a stage: the key has this id, which no other has. -1: another has, it is
 * out of range, the cluster is nobody's, or no memory. */
int	names_seed(struct names *n, enum names_kind kind, const void *key,
	    size_t key_len, struct name_id id);
int	names_seed_endpoint(struct names *n, struct name_id cluster,
	    const struct block_address *address, struct name_id id);

/* How many names of a kind have an id. */
size_t	names_count(const struct names *n, enum names_kind kind);

#endif
