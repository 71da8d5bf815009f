/*
 * master/inherit.h - what the successor of a dead master reads out of the
 * arena that it can't write: the number of the newest generation, and which
 * slot or id every name has, so that for the workers nothing changes owner.
 *
 *   arena ──publish_observe──> root ──verify──> listeners, clusters, endpoints
 *                                                  └──names_seed──> names
 *
 * The dead one may have died of its own bad blocks: nothing is followed before
 * verify looked at it. An arena that does not pass gives its number and its
 * newest tag, which are in the control page and in no block: every name gets a
 * newer tag, as W1 of shm/word.h asks for, and its clusters' pools begin anew.
 *
 * Test: t/unit/inherit.c.
 */
#ifndef MASTER_INHERIT_H
#define MASTER_INHERIT_H

#include "master/names.h"

/* Fills n, which is empty, and *number. -1: why (not an arena of ours). */
int	inherit(struct names *n, int arena_fd, uint64_t *number, char *why,
	    size_t why_len);

#endif
