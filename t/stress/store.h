/*
 * t/stress/store.h - what the files of the store's stress share: who writes
 * and dies (store.c), and who looks at what is left (store_check.c).
 *
 * A write is known by its number: its reason says "NUMBER CHANGES", each body
 * "NUMBER ITEM". Numbers rise in the order of submission, which is that of the
 * revisions.
 */
#ifndef T_STRESS_STORE_H
#define T_STRESS_STORE_H

#include "xds/ems/store.h"

enum { ITEMS = 64, LEASES = 16, PARTS_MAX = 4, ACKS_MAX = 1 << 20 };

/* An item as the last look at the file had it, or as the writer expects it. */
struct state {
	uint64_t	 live;		/* version; 0: not there */
	uint64_t	 last;		/* version, also of a deletion */
	uint64_t	 number;	/* of the write that left it so */
};

/* What the writer heard, as it goes over the pipe. */
struct ack {
	uint64_t	 number, revision;
	uint32_t	 result;	/* enum store_result */
	uint32_t	 parts_n;	/* 0: a lease */
	uint32_t	 items[PARTS_MAX];	/* [0]: which lease */
	uint64_t	 versions[PARTS_MAX];
	uint32_t	 wanted;	/* the result that was due */
};

struct ground {
	char		 path[96];
	/* As of the last look. */
	struct state	 items[ITEMS];
	uint64_t	 epochs[LEASES];
	uint64_t	 revision, hash;
	uint64_t	 number;	/* the highest that was submitted */
	/* Since then. */
	struct ack	*acks;
	size_t		 acks_n;
	/* Over all. */
	uint64_t	 acked, unheard, conflicts, parts, deletions, leases;
	double		 open_ms_max;
	char		 found[512];	/* "": nothing */
};

/* Opens what a death left, compares it with what was acknowledged and with
 * the last look, and takes it as the new look. False: g->found. */
bool	store_check_look(struct ground *g);

#endif
