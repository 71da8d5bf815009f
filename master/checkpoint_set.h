/*
 * master/checkpoint_set.h - the set of resources as a checkpoint's records, and
 * records put back into a set.
 *
 *   source     of a record        put back as
 *   live       what is served     a control plane's word, by kind
 *   missing    named, not there   known not to exist: nobody waits for it anew
 *   gone       lingers still      removed, after its live version was put
 *   next       waits for others   a control plane's word, when the rest is live
 *
 * In that order, so that what was served is served again at once. Secrets are
 * records of their own, whole, with the key that the set keeps elsewhere.
 *
 * Invariants
 *   K1  What is refused now is left out, and said; its good siblings are put,
 *       as of a control plane's response. What waits for it waits.
 *   K2  Keys are wiped from memory after use.
 *
 * Test: t/unit/resources.c.
 */
#ifndef MASTER_CHECKPOINT_SET_H
#define MASTER_CHECKPOINT_SET_H

#include "master/checkpoint.h"
#include "master/control.h"
#include "master/resources.h"

struct checkpoint_records {
	struct checkpoint_record *all;
	size_t		 n, size;
	uint64_t	 hash;		/* of all that they say */
};

struct checkpoint_set {
	struct checkpoint_records plain, secrets;
	/* Of making it. */
	const struct arena *keys;
	bool		 failed;
};

/* What a control plane sent, as it is: bytes are the set's, secrets' are ours.
 * keys: the arena of secrets. -1: no memory, and there is nothing to free. */
int	checkpoint_set_make(struct checkpoint_set *s,
	    const struct resources *r, const struct arena *keys);
void	checkpoint_set_free(struct checkpoint_set *s);

/* Listeners that are not put, since they can't be bound. Long names are
 * known by their beginning, as the keeper knows them. */
enum { CHECKPOINT_LISTENER_BYTES =
	sizeof(((struct control_listener *)0)->name) };

struct checkpoint_left_out {
	const char	*names[LISTENERS_MAX];
	size_t		 n;
};

bool	checkpoint_left_out(const struct checkpoint_left_out *o,
	    const char *listener);

struct checkpoint_put {
	size_t		 accepted, refused;
};

/* Into the open stage of r, and tried; either may be NULL. */
struct checkpoint_put checkpoint_set_put(struct resources *r,
	    const struct checkpoint *plain, const struct checkpoint *secrets,
	    const struct checkpoint_left_out *out);

#endif
