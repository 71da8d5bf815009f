/*
 * master/subscription.h - the sources that the master follows: what they send
 * goes into the set of resources, and from there into generations.
 *
 *   control plane <──subscribe──> ads ──update──┐
 *   control plane <──subscribe──> ads ──update──┼─> resources ──> generations
 *   file ──watch──> bytes ──────> ads ──update──┘    │ want        │
 *                                  ^                 │             v
 *                                  ├─────── names ───┘   published at once, or
 *                                  └── ACK, NACK <────── bound by the keeper
 *
 * One of these rows is a feed: ADS; the source of LDS, of CDS; and one for
 * each other ConfigSource and kind of resources (master/origin.h), from the
 * first resource that names it to the last. A file speaks as a server that
 * says one thing: so that names, refusals and versions are as those of a
 * stream.
 *
 * Invariants
 *   U1  An update is answered when what it brings is published, or waits for
 *       other resources, or is refused; so a listener whose address can't be
 *       bound is in the NACK. One that waited for its routes is so in one more
 *       (ads_retract).
 *   U2  While a change is with the keeper, or a reload is under way, nothing
 *       is applied; it waits, and the server with it. Of several feeds' one
 *       is applied after the other.
 *   U3  Each change is of one feed, or of time or host names: what a feed
 *       brings is only removed by itself.
 *
 * Test: t/mesh/810-subscription.py, 880-sources.py.
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

/* Where server i of ADS is, for others who call it: target of
 * subscribe_settings. */
bool	subscription_target(void *subscription, uint32_t i,
	    struct subscribe_target *t, char *why, size_t why_len);

struct feed_status {
	const struct origin *origin;
	int		 kind;		/* -1: ADS, of all kinds */
	int64_t		 now_ms;	/* by the clock of their times */
	bool		 held_up;	/* U2: an update waits */
	struct ads_status kinds[RESOURCE_KINDS];
	struct subscribe_status stream;	/* of a stream */
	int64_t		 read_ms;	/* of a file: when it was taken, 0: never */
	const char	*why;		/* why not, "" */
	int64_t		 why_ms;
};
int64_t	subscription_now_ms(const struct subscription *s);
/* Each feed, ADS first. */
void	subscription_each(const struct subscription *s,
	    void (*each)(void *arg, const struct feed_status *f), void *arg);
/* Where resources of this kind and name in the set come from, into text; NULL:
 * ADS, or nobody follows it any more. */
const char *subscription_origin(const struct subscription *s,
	    enum resource_kind kind, const char *name, char *text,
	    size_t text_len);
/* The host names that clusters have, a line each. */
void	subscription_names_print(const struct subscription *s, FILE *out);
#endif
