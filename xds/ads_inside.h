/*
 * xds/ads_inside.h - what the files of xds/ads share.
 *
 *   ads.c            what is wanted; the stream; time
 *   ads_names.c      names by hash, and when something of one is due
 *   ads_read.c       a response's bytes to parts
 *   ads_judge.c      what they mean for what is wanted and held
 *   ads_response.c   a response's life: parts to an update to what we hold
 *   ads_reply.c      the answer: a NACK's text, and when
 *   ads_sotw.c       state of the world: a request
 *   ads_delta.c      incremental: a request
 *
 * A name's life
 *
 *   wanted ──told──> (timer) ──came──> held ──ttl, removed──> wanted, settled
 *     │                 └─ missing_ms ──> settled
 *     └── not wanted, not held, not told: forgotten
 */
#ifndef XDS_ADS_INSIDE_H
#define XDS_ADS_INSIDE_H

#include <string.h>
#include <sys/queue.h>

#include "xds/ads.h"
#include "xds/load.h"

enum {
	ADS_TEXT_BYTES_MAX = 4096,	/* of a name, a version, a nonce */
	ADS_WHY_BYTES_MAX = 4096,	/* of an error_detail */
	ADS_REPLIES_MAX = 1000,		/* of a kind, not yet taken */
	ADS_RESPONSE_BYTES_MAX = 256 << 20,	/* unpacked */
	ADS_PAUSE_MS = 1000, ADS_PAUSE_MAX_MS = 30000,
	ADS_PAUSES = 8,			/* refused responses we remember */
};

struct ads_name {
	struct ads_name	*next;		/* in its bucket */
	TAILQ_ENTRY(ads_name) all, change;
	uint64_t	 hash;
	enum resource_kind kind;
	char		*version;	/* of what we hold; NULL: nothing */
	int64_t		 due_ms;	/* held: its TTL; else: missing */
	size_t		 due_at;	/* place in the heap, 0: none */
	uint64_t	 seen, gone;	/* the last response that has it, that
					 * removes it */
	uint64_t	 anew;		/* wanted since this one was shown */
	bool		 wanted;	/* subscribed by name */
	bool		 told;		/* the server knows that */
	bool		 again;		/* told, left, wanted anew */
	bool		 changed;	/* delta: in changes */
	bool		 settled;	/* it came, or is known to be missing */
	char		 text[];
};

TAILQ_HEAD(ads_names, ads_name);

/* The answer to a response. */
struct ads_reply {
	TAILQ_ENTRY(ads_reply) entry;
	int64_t		 at_ms;		/* not before (A4) */
	bool		 is_refusal;
	char		*why;		/* NULL: no memory for it */
	char		 nonce[];
};

/* A response that was refused, and how long it waits when it comes again. */
struct ads_pause {
	uint64_t	 hash;
	int64_t		 pause_ms, refused_ms;	/* 0: not in use */
};

enum ads_wildcard { ADS_NO_WILDCARD, ADS_LEGACY, ADS_EXPLICIT };

struct ads_kind {
	struct ads_names names;		/* in the order they came */
	struct ads_names changes;	/* delta: what the server must hear */
	char		*type_url;	/* "type.googleapis.com/..." */
	struct ads_name	**buckets;
	size_t		 buckets_n;	/* 0 or a power of two */
	size_t		 names_n, wanted_n, held_n, both_n;
	bool		 wildcard;	/* wanted */
	char		*version;	/* accepted; never NULL */
	bool		 emptied;	/* an empty start was refused */
	bool		 widened;	/* wildcard since that version */
	TAILQ_HEAD(, ads_reply) replies;
	size_t		 replies_n;
	struct ads_pause pauses[ADS_PAUSES];
	/* Of this stream. */
	char		*nonce;		/* the last one, NULL: none yet */
	bool		 asked;		/* a request was taken */
	bool		 news;		/* what is wanted changed */
	bool		 named;		/* SotW: names were sent */
	enum ads_wildcard wildcard_told;
	bool		 wildcard_again;	/* told, left, wanted anew */
	uint64_t	 responses_n;
	/* For status. */
	uint64_t	 accepted_n, rejected_n;
	bool		 refused;	/* the last response */
	char		*why;
	int64_t		 since_ms;
};

/* One resource of a response, as it came. */
struct ads_part {
	const char	*name;		/* NULL: none could be read */
	const char	*version;
	const uint8_t	*bytes;		/* NULL: no body */
	size_t		 len, number;	/* 1.. */
	int64_t		 ttl_ms;	/* 0: none */
	bool		 is_heartbeat, is_ignored;
	const char	*why;		/* refused here */
	struct ads_item	*item;		/* shown to the owner */
};

/* From ads_feed, or a TTL's end, to its answer. */
struct ads_response {
	struct load_arena *arena;	/* of all below */
	enum resource_kind kind;
	bool		 is_local;	/* no response: TTLs ended */
	uint64_t	 stream;
	int64_t		 at_ms;
	const char	*version, *nonce, *control_plane;
	struct ads_part	*parts;
	size_t		 parts_n;
	char		**named;	/* delta: removed_resources */
	size_t		 named_n;
	const char	**removed;	/* of those, or absent, what we held */
	size_t		 removed_n;
	uint64_t	 hash;
	const char	*why;		/* refused as a whole */
	struct ads_reply *reply;
	struct ads_update update;
};

struct ads {
	struct ads_settings settings;
	struct ads_events events;
	void		*arg;
	uint8_t		*node;
	struct ads_kind	 kinds[RESOURCE_KINDS];
	struct ads_name	**due;		/* a heap, 1..due_n; soonest first */
	size_t		 due_n, due_size, names_n;
	char		*control_plane;	/* never NULL */
	uint64_t	 unknown_n;	/* responses of no type of ours */
	uint64_t	 serial;	/* of responses */
	bool		 is_up, node_told;
	uint64_t	 stream;
	bool		 is_pending;	/* response waits for its answer */
	struct ads_response response;
};

/* ---- ads_names.c */
bool	ads_name_fits(const char *name);
struct ads_name *ads_name_find(const struct ads_kind *k, const char *name);
/* Made if it is new. NULL: no memory. */
struct ads_name *ads_name_get(struct ads *a, enum resource_kind kind,
	    const char *name);
/* Holds this version of it. False: no memory, all is as before. */
bool	ads_name_hold(struct ads *a, struct ads_name *n, const char *version);
void	ads_name_drop(struct ads *a, struct ads_name *n);
void	ads_name_want(struct ads *a, struct ads_name *n, bool wanted);
/* Forgets it when nobody needs it. */
void	ads_name_tidy(struct ads *a, struct ads_name *n);
/* The server knows now whether we want it. */
void	ads_name_told(struct ads *a, struct ads_name *n, int64_t now_ms);
void	ads_names_free(struct ads *a);
void	ads_due_set(struct ads *a, struct ads_name *n, int64_t at_ms);
void	ads_due_clear(struct ads *a, struct ads_name *n);

/* ---- ads_read.c */
/* 0: *r is filled. 1: nothing of ours. -1: no response at all, why. */
int	ads_read(struct ads *a, struct ads_response *r, const uint8_t *bytes,
	    size_t n, char *why, size_t why_len);
/* A sentence in m, or "no memory". */
const char *ads_say(struct load_arena *m, const char *format, ...)
	    __attribute__((format(printf, 2, 3)));

/* ---- ads_judge.c */
/* Which parts are shown, ignored, refused; what is removed; whether all of it
 * is refused. -1: no memory. */
int	ads_judge(struct ads *a, struct ads_response *r);
int	ads_add_removed(struct ads_response *r, const struct ads_name *n);
/* Nothing in it but refreshed TTLs. */
bool	ads_is_heartbeats(const struct ads_response *r);

/* ---- ads_reply.c */
/* What was refused and why, a line each; NULL: nothing. */
const char *ads_refusal(const struct ads_response *r,
	    char to[ADS_WHY_BYTES_MAX + 1]);
/* Answers: why is NULL or the NACK's text. */
void	ads_reply(struct ads *a, struct ads_response *r, const char *why,
	    int64_t now_ms);
void	ads_reply_free(struct ads_kind *k, struct ads_reply *reply);

/* ---- ads_response.c */
/* What it is made of, wiped where it may be keys. */
void	ads_response_free(struct ads_response *r);
int	ads_response_take(struct ads *a, struct ads_response *r, char *why,
	    size_t why_len);
void	ads_response_end(struct ads *a, int64_t now_ms);
/* TTLs have ended: the soonest of the heap, and those of its kind. */
void	ads_expire(struct ads *a, int64_t now_ms);
/* It does not exist, for now. */
void	ads_miss(struct ads *a, struct ads_name *n);

/* ---- ads_sotw.c, ads_delta.c: the request as it is now; reply may be NULL.
 * False: no memory, nothing was changed. */
bool	ads_sotw_request(struct ads *a, enum resource_kind kind,
	    struct ads_reply *reply, int64_t now_ms, uint8_t **bytes,
	    size_t *n);
bool	ads_delta_request(struct ads *a, enum resource_kind kind,
	    struct ads_reply *reply, int64_t now_ms, uint8_t **bytes,
	    size_t *n);

/* ---- ads.c */
/* There is something to be taken. */
void	ads_wake(struct ads *a);
/* In the arena; NULL: no memory. */
static inline char *
ads_copy(struct load_arena *m, const char *text)
{
	char *copy = load_alloc(m, strlen(text) + 1);

	return copy != NULL ? strcpy(copy, text) : NULL;
}

static inline bool
ads_wants(const struct ads_kind *k)
{
	return k->wildcard || k->wanted_n > 0;
}

/* Whether the server sends all of this kind. In delta only what it was told
 * counts: of a name that it believes to be left it won't say when it goes. */
static inline bool
ads_is_covered(const struct ads *a, const struct ads_kind *k)
{
	return k->wildcard && (!a->settings.delta || !k->asked ||
	    (k->wildcard_told != ADS_NO_WILDCARD && !k->wildcard_again));
}

#endif
