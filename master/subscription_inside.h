/*
 * master/subscription_inside.h - what the files of the subscription share, and
 * nobody else.
 *
 *   subscription.c   changes, one at a time; time; host names; the keeper
 *   feeds.c          which feeds there are: who wants what of whom
 *   feed.c           what one brings, into the set of resources
 *   feed_stream.c    one that is a stream: where its servers are
 *   feed_file.c      one that is a file
 *
 * A feed is one source that is followed: ADS, the source of LDS or CDS, or one
 * that a resource names, of one kind of resources.
 */
#ifndef MASTER_SUBSCRIPTION_INSIDE_H
#define MASTER_SUBSCRIPTION_INSIDE_H

#include <sys/queue.h>

#include "master/resolve.h"
#include "master/subscription.h"
#include "master/watch.h"
#include "worker/plan.h"

enum { ADDRESSES_MAX = 64, WHY_BYTES = 1024 };

struct feed {
	TAILQ_ENTRY(feed) link;
	struct subscription *owner;
	struct origin	*origin;	/* ours */
	int		 kind;		/* of what it brings; -1: all of ADS's */
	uint64_t	 key;		/* of its names; 0: they are plain */
	size_t		 wanted_n;	/* names; of a key: with none it goes */
	struct ads	*ads;
	struct ads_update *update;	/* not answered yet */
	struct subscribe *subscribe;	/* of a stream */
	struct feed_file *file;		/* of a file */
};
TAILQ_HEAD(feeds, feed);

struct subscription {
	struct io	*io;
	struct generations *generations;
	struct subscription_owner owner;
	bool		 follows;	/* dynamic is followed */
	struct dynamic	 dynamic;
	struct feeds	 feeds;
	struct watch	*watch;		/* of their files */
	struct plans	 plans;		/* TLS towards control planes */
	struct sockaddr_storage addresses[ADDRESSES_MAX];
	struct timer	 timer;
	bool		 soon;		/* it is set to fire at once */
	bool		 staged;	/* a change is with the keeper, */
	struct feed	*staging;	/* of this feed, or NULL */
	bool		 sweep;		/* some feeds may not be wanted */
	struct resolve	*resolve;	/* host names of clusters */
	bool		 resolved;	/* some have other addresses */
};

/* ---- subscription.c */
bool	subscription_busy(const struct subscription *s);
/* A stage, for a feed or NULL. begin: false, why. */
bool	subscription_begin(struct subscription *s, char *why, size_t why_len);
enum subscription_end subscription_end(struct subscription *s,
	    struct feed *f, char *why, size_t why_len);
/* The timer is set anew; soon: it fires with the next turn. */
void	subscription_timer(struct subscription *s, bool soon);

/* ---- feeds.c */
/* The feed that brings this resource, NULL: none. */
struct feed *feeds_find(const struct subscription *s,
	    enum resource_kind kind, const char *name);
/* For resources_want. */
void	feeds_want(void *s, enum resource_kind kind, const char *name,
	    bool on);
/* All that s->dynamic says and the set wants; and the end of all. False: no
 * memory. */
bool	feeds_start(struct subscription *s);
void	feeds_stop(struct subscription *s);
/* Those that nobody wants go. Outside of all up-calls. */
void	feeds_sweep(struct subscription *s);
/* Files are read again, connections tried. */
void	feeds_retry(struct subscription *s);

/* ---- feed.c */
/* origin: a reference of its own is taken. NULL: no memory. */
struct feed *feed_open(struct subscription *s, struct origin *origin,
	    int kind, uint64_t key);
void	feed_close(struct feed *f);
/* Whether it brings resources of this kind by name only. */
bool	feed_is_named(const struct feed *f, enum resource_kind kind);
/* Puts its update. True: it can be answered. */
bool	feed_apply(struct feed *f);
/* Answers an update that waited. */
void	feed_answer(struct feed *f);
/* The keeper can't bind this listener: its item is refused. False: it is none
 * of its update. */
bool	feed_bar(struct feed *f, const char *listener, const char *why);
/* There may be something to send. */
void	feed_wake(struct feed *f);

/* ---- feed_stream.c, feed_file.c. -1: no memory */
int	feed_stream_open(struct feed *f);
/* Where server i of this stream is. False: why. */
bool	feed_stream_target(struct subscription *s, const struct origin *o,
	    uint32_t i, struct subscribe_target *t, char *why,
	    size_t why_len);
int	feed_file_open(struct feed *f);
void	feed_file_close(struct feed *f);
/* Its bytes may be others. */
void	feed_file_look(struct feed *f);
/* The same bytes too, if something of them was refused: an address that was
 * taken may be free by now. */
void	feed_file_retry(struct feed *f);
/* One name more is wanted. */
void	feed_file_wanted(struct feed *f);
/* ads.h has something to say, or an update was answered. */
void	feed_file_wake(struct feed *f);
/* why, with its place in the file. */
void	feed_file_place(const struct feed *f, enum resource_kind kind,
	    const char *name, const char *why, char *out, size_t out_len);
void	feed_file_status(const struct feed *f, struct feed_status *to);

#endif
