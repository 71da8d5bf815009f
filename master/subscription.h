/*
 * master/subscription.h - the control plane that the master follows: what it
 * sends goes into the set of resources, and from there into generations.
 *
 *   control plane <──subscribe──> ads ──update──> resources ──> generations
 *                                  ^                 │ want        │
 *                                  └── names ────────┘             v
 *                                  ^                     published at once, or
 *                                  └── ACK, NACK <────── bound by the keeper
 *
 * Invariants
 *   U1  An update is answered when what it brings is published, or waits for
 *       other resources, or is refused; so a listener whose address can't be
 *       bound is in the NACK.
 *   U2  While a change is with the keeper, or a reload is under way, nothing
 *       is applied; it waits, and the server with it.
 *
 * Test: t/mesh/810-subscription.py.
 */
#ifndef MASTER_SUBSCRIPTION_H
#define MASTER_SUBSCRIPTION_H

#include <stdio.h>

#include "master/generations.h"
#include "master/subscribe.h"
#include "worker/io/conn.h"

enum subscription_end {
	SUBSCRIPTION_DONE,		/* published, or nothing changed */
	SUBSCRIPTION_STAGED,		/* subscription_bound comes */
	SUBSCRIPTION_FAILED,
};

struct subscription_owner {
	/* Whether a stage may be opened now; if not, subscription_go comes. */
	bool	(*idle)(void *arg);
	/* Publishes what is staged, or gives it to the keeper. */
	enum subscription_end (*staged)(void *arg, char *why, size_t why_len);
	void	*arg;
};

struct subscription;

/* NULL: no memory. All live longer. */
struct subscription *subscription_new(struct io *io, struct generations *g,
	    const struct subscription_owner *o);
void	subscription_free(struct subscription *s);

/* A file was published: its dynamic resources (g->dynamic) are followed from
 * now on. */
void	subscription_follow(struct subscription *s);
/* The owner is idle again. */
void	subscription_go(struct subscription *s);
/* What was staged is published; or (why) the keeper can't bind the listener of
 * slot, and it was dropped. */
void	subscription_bound(struct subscription *s, const char *listener,
	    const char *why);

struct subscription_status {
	struct subscribe_status stream;
	struct ads_status kinds[RESOURCE_KINDS];
	int64_t		 now_ms;	/* by the clock of their times */
	bool		 delta;
	bool		 held_up;	/* U2: an update waits */
};
/* The host names that clusters have, a line each. */
void	subscription_names_print(const struct subscription *s, FILE *out);
/* To whom we are connected, and how each kind stands. False: no control plane
 * is followed. */
bool	subscription_status(const struct subscription *s,
	    struct subscription_status *to);

#endif
