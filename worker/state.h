/*
 * worker/state.h - what the files of worker/ share: the worker, and the
 * objects that a request goes through.
 *
 *   downstream (a caller's connection)            host (an endpoint)
 *      └ stream ───── stream->attempt ──────> attempt ┤ waits here
 *               <───── attempt->stream ──────         └ upstream (a connection)
 *
 * Invariants
 *   I1  A stream and its attempt point to each other or not at all.
 *   I2  Nothing here keeps an address into the arena, but worker->root, which
 *       is renewed at the top of each turn. What is needed later is a plan, a
 *       slot or an id.
 *   I3  held_bytes of both directions of all streams, and what they keep,
 *       sum up to worker->held_bytes.
 *   I4  Times are read off loop.now: what begins and ends in one turn took 0,
 *       and what the last turn takes to send is not in them. A turn is so
 *       short beside what a caller feels that a clock for each call says no
 *       more; where it is not, loop_turn_time says so.
 */
#ifndef WORKER_STATE_H
#define WORKER_STATE_H

#include "shm/publish.h"
#include "shm/row.h"
#include "worker/balance.h"
#include "worker/cause.h"
#include "worker/deadline.h"
#include "worker/io/conn.h"
#include "worker/plan.h"

enum {
	POOL_BUCKETS = 1024,
	/* A merged connection at 100,000 calls a second is out of stream ids
	 * in three hours; some are left for what is under way. */
	STREAM_ID_MAX = INT32_MAX - 65536,
};

struct worker;

enum { TRIED_MAX = 4 };

/* A stream's tries: retry.h. */
struct retry {
	struct timer	 timer;		/* the next one */
	struct chunks	 kept;		/* the request, from its beginning */
	struct headers	*trailers;	/* its end, while kept */
	size_t		 credited_bytes;	/* given back to the caller */
	uint16_t	 done_n;	/* retries so far, by the policy */
	bool		 keeps;		/* kept is all of it so far */
	bool		 ended;		/* the request has its end */
	uint8_t		 moves_n;	/* tries of which nothing was seen */
	bool		 moved;		/* once, to where it is processed */
	bool		 counted;	/* the next one is a retry */
	/* The last endpoints that it was sent to, while its plan asks. */
	uint8_t		 tried_n;
	struct balance_tried tried[TRIED_MAX];
};

/* A listening socket. */
struct listening {
	struct source	 source;
	struct task	 again;		/* more to accept */
	struct timer	 pause;		/* out of descriptors */
	struct worker	*worker;
	LIST_ENTRY(listening) link;	/* of the worker */
	uint32_t	 group, index;	/* the keeper's names for it */
	uint32_t	 listener, tag;	/* slot */
	int		 fd;
};

/* A caller's connection. */
struct downstream {
	struct conn	 conn;		/* first: h2_owner is the conn */
	struct worker	*worker;
	LIST_ENTRY(downstream) link;	/* of the worker */
	struct tls_plan	*tls;		/* NULL: clear text */
	struct row_listener *counts;
	struct histogram *times;	/* HTTP */
	uint32_t	 listener, tag;	/* slot */
	char		 address[46];	/* INET6_ADDRSTRLEN; "": not asked */
};

/* A caller's request. */
struct stream {
	struct h2_stream h2;		/* first */
	struct downstream *down;
	LIST_ENTRY(stream) link;	/* of the worker */
	struct attempt	*attempt;	/* NULL: none now */
	struct headers	*request;
	struct plan	*plan;		/* NULL until it is routed */
	struct deadline	 deadline;
	struct mono	 begun;		/* I4 */
	int64_t		 moved_ns;	/* when the caller last took bytes */
	size_t		 held_bytes;	/* of the answer, in h2.out */
	struct retry	 retry;
	uint32_t	 cluster, cluster_tag;	/* slot, once routed */
	enum cause	 cause;		/* CAUSE_none: the service's answer */
	uint8_t		 filters[FILTERS_MAX];	/* enum filter_kind */
	uint8_t		 filters_n;
	bool		 grpc;
	bool		 request_ended, answer_started, answer_ended;
	bool		 changes_answer;	/* change.h has to */
	bool		 request_id_back;
	bool		 originals;	/* HCM_ORIGINALS */
};

/* One try of a request at one endpoint. */
struct attempt {
	struct h2_stream h2;		/* first */
	struct stream	*stream;	/* NULL: nobody waits any more */
	struct host	*host;
	struct upstream	*upstream;	/* NULL: it waits for one */
	TAILQ_ENTRY(attempt) link;	/* of the host, while it waits */
	struct timer	 timer;		/* per_try_timeout */
	struct mono	 begun;		/* I4; sent */
	size_t		 held_bytes;	/* of the request, in h2.out */
	size_t		 sent_bytes;	/* that its socket took */
	enum cause	 cause;		/* of its end; CAUSE_none: as it came */
	bool		 early;		/* sent before the peer's SETTINGS */
};

/* An endpoint, as one worker uses it with certain TLS settings: pool.h. */
struct host {
	struct worker	*worker;
	struct host	*bucket_next;	/* of the pool */
	LIST_HEAD(, upstream) upstreams;	/* not retired */
	TAILQ_HEAD(, attempt) waiting;
	struct row_cluster *counts;
	struct histogram *times;	/* CLUSTER */
	uint64_t	 tls;		/* hash of the settings; 0 = none */
	uint32_t	 cluster, cluster_tag;
	uint32_t	 endpoint, endpoint_tag;
	uint32_t	 waiting_n;
	uint32_t	 refs;		/* attempts and upstreams, retired too */
	uint32_t	 streams_seen;	/* a connection's limit; 0 = unknown */
	uint32_t	 fails;		/* in a row, to connect */
	struct mono	 again;		/* not before; 0 = at once */
	enum cause	 fail;		/* why */
};

/* A connection to an endpoint. */
struct upstream {
	struct conn	 conn;		/* first */
	struct host	*host;
	LIST_ENTRY(upstream) host_link;	/* of the host, while not retired */
	LIST_ENTRY(upstream) link;	/* of the worker */
	struct tls_plan	*tls;		/* NULL: clear text */
	bool		 retired;	/* takes no new attempts */
};

struct worker {
	struct sys	*sys;
	struct loop	 loop;
	struct io	 io;
	struct arena	 arena, secrets;
	uint64_t	 turn;		/* of publish_observe */
	struct generation generation;
	const struct block_root *root;	/* NULL until the first (I2) */
	struct row	*row;
	struct words	*words;		/* with the other workers */
	struct plans	 plans;
	struct host	*pool[POOL_BUCKETS];	/* by endpoint id */
	LIST_HEAD(, upstream) upstreams;
	LIST_HEAD(, downstream) downstreams;
	LIST_HEAD(, stream) streams;
	uint32_t	*turns;		/* round robin, by cluster slot */
	uint32_t	 turns_n;
	uint64_t	 held_bytes;	/* I3 */
	uint32_t	 slot;
	int32_t		 stream_id_max;	/* then an upstream is retired */
	int		 log_left;	/* lines about peers, this second */
	int64_t		 log_second;
	bool		 draining;
	unsigned	 title_n;	/* 1 + the streams it tells of */
	struct timer	 drain_timer;
	LIST_HEAD(, listening) listening;
	struct source	 control, wake;
	int		 control_fd, wake_fd;
	struct arena	 next, next_secrets;	/* to move to; fd -1: no */
	struct responder *responder;
	void		(*top)(void *);
	void		*top_arg;
};

/* Lines about what peers did: at most so many a second (worker.c). */
bool	worker_may_log(struct worker *w);

static inline count *
http_counts(const struct downstream *d)
{
	return d->counts->http;
}

/* A session's settings by the blocks that say them. */
static inline struct h2_settings
h2_settings_of(bool server, const struct block_h2 *h2,
    const struct block_header_limits *limits)
{
	return (struct h2_settings){
	    .server = server,
	    .max_concurrent_streams = h2->max_concurrent_streams,
	    .stream_window_bytes = h2->stream_window_bytes,
	    .connection_window_bytes = h2->connection_window_bytes,
	    .hpack_table_bytes = h2->hpack_table_bytes,
	    .header_bytes_max = limits->bytes_max,
	    .header_count_max = limits->count_max,
	    .limits = {
		.outbound_frames = h2->outbound_frames_max,
		.outbound_control_frames = h2->outbound_control_frames_max,
		.empty_frames = h2->empty_frames_max,
		.priority_frames = h2->priority_frames_per_stream_max,
		.window_updates = h2->window_updates_per_data_frame_max,
		.reset_burst = h2->reset_burst,
		.reset_rate = h2->reset_rate,
	    },
	};
}

/* What a host's cluster has open, over all workers. The sum after it. */
static inline uint32_t
host_word_add(const struct host *h, enum word_kind kind)
{
	return word_share_add(h->worker->words, h->worker->row, kind,
	    h->cluster, h->cluster_tag);
}

static inline void
host_word_sub(const struct host *h, enum word_kind kind)
{
	word_share_sub(h->worker->words, h->worker->row, kind, h->cluster,
	    h->cluster_tag);
}

static inline void
count_one(count *counts, int id)
{
	count_add(&counts[id], 1);
}

static inline void
time_observe(struct histogram *times, int id, struct mono begun,
    struct mono now)
{
	histogram_observe(&times[id], (uint64_t)mono_between_us(begun, now));
}

static inline void
count_less(count *counts, int id)
{
	count_add(&counts[id], (uint64_t)-1);
}

#endif
