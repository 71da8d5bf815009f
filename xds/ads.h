/*
 * xds/ads.h - one stream's side of the xDS protocol: what is asked for, what
 * came, what of it was refused; no sockets, no clock.
 *
 *   stream up ──ads_begin──┐
 *   a message ──ads_feed───┤                    ┌─> update(what came)
 *   a message <──ads_take──┤  [per kind: nonce, ├─> missing(what does not)
 *   time      ──ads_step───┤   version, names]  └─> wake: there is one to take
 *   stream down ──ads_end──┘
 *   owner ──ads_subscribe, ads_unsubscribe, ads_wildcard, ads_hold
 *         ──ads_refuse(item), then ads_answer     (within update, or later)
 *
 * Invariants
 *   A1  Every response is answered exactly once, ACK or NACK, with its nonce
 *       (SotW: the newest, for those before it); nothing is fed between an
 *       update and its answer. What turns out bad after its ACK is a NACK more
 *       (ads_retract), of the newest response.
 *   A2  What we acknowledged is what we hold. What was refused is named in the
 *       NACK, each item with its reason; its good siblings are held.
 *   A3  A request is made when it is taken, not when it is due: it says what
 *       is wanted then, and two changes are one request.
 *   A4  An unchanged response that was refused is refused again only after a
 *       pause (1 s, doubling to 30 s): no server can make us spin. (SotW: or
 *       with the next change of what is wanted, which can't go without it.)
 *
 * Source: xDS protocol document, gRFC A27 A40 A46 A57 A88,
 * reference/envoy-xds.md section 2. Test: t/unit/ads.c, ads_delta.c,
 * ads_random.c.
 */
#ifndef XDS_ADS_H
#define XDS_ADS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "xds/resource.h"

struct ads;

struct ads_item {			/* one resource of a response */
	const char	*name;
	const char	*version;	/* its own, or the response's */
	const uint8_t	*bytes;		/* the resource message */
	size_t		 len;
	char		*why;		/* refused: ads_refuse */
};

/* Good until it is answered. Of a kind that is `whole` it may be empty: that is
 * news too. A TTL's end is an update of removed names only, with no response
 * behind it. Items that were refused before (no name, another type, given
 * twice) are not shown. */
struct ads_update {
	enum resource_kind kind;
	const char	*version;	/* of the response; may be "" */
	struct ads_item	*items;
	size_t		 items_n;
	const char	*const *removed;	/* held before, now gone */
	size_t		 removed_n;
	/* Delta: all that the server says is gone, held or not. */
	char		*const *gone;
	size_t		 gone_n;
};

struct ads_events {
	/* Look at every item, ads_refuse what is bad. True: answered with the
	 * return; false: ads_answer comes later, and nothing is fed until. */
	bool	(*update)(void *arg, struct ads *a, struct ads_update *u);
	/* Asked for, on a stream that was up all the time, and it did not come
	 * within missing_ms: it does not exist, for now. */
	void	(*missing)(void *arg, enum resource_kind kind,
		    const char *name);
	/* ads_take has something. */
	void	(*wake)(void *arg);
};

struct ads_settings {
	bool		 delta;
	bool		 node_once;	/* set_node_on_first_message_only */
	const uint8_t	*node;		/* a packed Node; copied */
	size_t		 node_len;
	uint32_t	 missing_ms;	/* initial_fetch_timeout; 0: never */
	bool		 empty_meant;	/* a first response that removes all is
					   no server that has just begun */
};

/* NULL: no memory. */
struct ads *ads_new(const struct ads_settings *s, const struct ads_events *e,
	    void *arg);
void	ads_free(struct ads *a);

/* ---- what is wanted; names may be given twice. False: no memory, or a name
 * that can't be asked for ("", "*", xdstp://..., more than 4096 bytes) */
bool	ads_subscribe(struct ads *a, enum resource_kind kind,
	    const char *name);
void	ads_unsubscribe(struct ads *a, enum resource_kind kind,
	    const char *name);
/* All of them, whatever they are called: LDS and CDS. Not while an update of
 * this kind waits for its answer. */
void	ads_wildcard(struct ads *a, enum resource_kind kind, bool on);
/* What we hold already, of a checkpoint: said to the server at reconnect
 * (version_info, initial_resource_versions). */
bool	ads_hold(struct ads *a, enum resource_kind kind, const char *name,
	    const char *version);

/* ---- the stream */
void	ads_begin(struct ads *a, int64_t now_ms);
/* One message of the server. -1: the stream is to be ended; why. */
int	ads_feed(struct ads *a, const uint8_t *message, size_t n,
	    int64_t now_ms, char *why, size_t why_len);
/* An update waits for its answer: nothing is fed now (A1). */
bool	ads_is_pending(const struct ads *a);
/* The next request, malloced into *bytes, or false: there is none now. */
bool	ads_take(struct ads *a, int64_t now_ms, uint8_t **bytes, size_t *n);
void	ads_end(struct ads *a);
/* What is due (TTLs, what is missing, NACKs held back). Milliseconds until the
 * next call, -1: nothing waits. */
int64_t	ads_step(struct ads *a, int64_t now_ms);

/* ---- answering an update */
void	ads_refuse(struct ads *a, struct ads_item *item, const char *why);
/* Of an update that returned false. */
void	ads_answer(struct ads *a, int64_t now_ms);

/* What was acknowledged can't be used after all: it is not held any more, and
 * the server is told why. Nothing, if it is not held or an update of this kind
 * waits for its answer. */
void	ads_retract(struct ads *a, enum resource_kind kind, const char *name,
	    const char *why, int64_t now_ms);

/* ---- for status */
struct ads_status {
	const char	*version;	/* the last accepted, "" */
	const char	*control_plane;	/* its identifier, "" */
	uint64_t	 accepted_n, rejected_n;	/* responses */
	uint64_t	 unknown_n;	/* of types not ours, of all kinds */
	const char	*why;		/* the last NACK's text, "" */
	bool		 refused;	/* the last response was */
	int64_t		 since_ms;	/* the last response, 0: none yet */
	size_t		 wanted_n, held_n, waiting_n;	/* names */
	bool		 wildcard;
};
void	ads_status(const struct ads *a, enum resource_kind kind,
	    struct ads_status *s);

#endif
