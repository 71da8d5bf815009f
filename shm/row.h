/*
 * shm/row.h - a worker's row: its own memfd, written by it alone, read by
 * everyone else as a hint.
 *
 *   | head | WORKER counts | causes | [slot] LISTENER, HTTP | [slot] CLUSTER |
 *   | WORKER times | [slot] HTTP times              | [slot] CLUSTER times   |
 *   | shares of common words, sparse: shm/word.h |
 *
 *   keeper  row_birth: announced 0, alive | fence | fork
 *   worker     turn: observe the newest generation | row_announce | read it
 *   master  publish | fence | row_oldest: no living row announces less
 *   keeper  reaps it | row_death: not alive
 *
 * Invariants
 *   I1  One writer, the worker; while none lives the keeper, which marks
 *       births and deaths. So plain relaxed stores count; nothing is locked.
 *   I2  announced says which generation the worker uses, stored once a turn
 *       with release: what an older generation reached is not read any more.
 *       0 from before its birth until its first turn.
 *   I3  Readers never use a number from here as an index.
 *   I4  A worker that could read generation g is seen by row_oldest, or will
 *       see a newer generation: either its row was alive before the master
 *       looked, or it looks for the newest one after that was published. The
 *       two fences forbid that each misses the other's store.
 *   I5  Times stand behind all counts, 2 KB each in a sparse file: a look at
 *       one that was never written costs a page. So nobody looks before its
 *       counter says that there is something (histogram.def), and a birth
 *       does not touch them.
 *
 * Clusters beyond ROW_CLUSTERS share the last slot, so that a row's size does
 * not depend on the configuration. Test: t/unit/row.c.
 */
#ifndef SHM_ROW_H
#define SHM_ROW_H

#include <stdatomic.h>
#include <stdint.h>

#include "shm/block.h"
#include "shm/clock.h"
#include "shm/count.h"
#include "shm/histogram.h"
#include "shm/last.h"
#include "shm/word.h"

enum count_worker {
#define COUNT_WORKER(id) COUNT_WORKER_##id,
#define COUNT_LISTENER(id)
#define COUNT_HTTP(id)
#define COUNT_CLUSTER(id)
#define COUNT(scope, id, kind, name, help) COUNT_##scope(id)
#include "shm/count.def"
#undef COUNT_WORKER
#undef COUNT_LISTENER
	COUNT_WORKER_N
};
enum count_listener {
#define COUNT_WORKER(id)
#define COUNT_LISTENER(id) COUNT_LISTENER_##id,
#include "shm/count.def"
#undef COUNT_LISTENER
#undef COUNT_HTTP
	COUNT_LISTENER_N
};
enum count_http {
#define COUNT_LISTENER(id)
#define COUNT_HTTP(id) COUNT_HTTP_##id,
#include "shm/count.def"
#undef COUNT_HTTP
#undef COUNT_CLUSTER
	COUNT_HTTP_N
};
enum count_cluster {
#define COUNT_HTTP(id)
#define COUNT_CLUSTER(id) COUNT_CLUSTER_##id,
#include "shm/count.def"
#undef COUNT_WORKER
#undef COUNT_LISTENER
#undef COUNT_HTTP
#undef COUNT_CLUSTER
#undef COUNT
	COUNT_CLUSTER_N
};

enum histogram_worker {
#define HISTOGRAM_WORKER(id) HISTOGRAM_WORKER_##id,
#define HISTOGRAM_HTTP(id)
#define HISTOGRAM_CLUSTER(id)
#define HISTOGRAM(scope, id, counter, name, help) HISTOGRAM_##scope(id)
#include "shm/histogram.def"
#undef HISTOGRAM_WORKER
#undef HISTOGRAM_HTTP
	HISTOGRAM_WORKER_N
};
enum histogram_http {
#define HISTOGRAM_WORKER(id)
#define HISTOGRAM_HTTP(id) HISTOGRAM_HTTP_##id,
#include "shm/histogram.def"
#undef HISTOGRAM_HTTP
#undef HISTOGRAM_CLUSTER
	HISTOGRAM_HTTP_N
};
enum histogram_cluster {
#define HISTOGRAM_HTTP(id)
#define HISTOGRAM_CLUSTER(id) HISTOGRAM_CLUSTER_##id,
#include "shm/histogram.def"
#undef HISTOGRAM_WORKER
#undef HISTOGRAM_HTTP
#undef HISTOGRAM_CLUSTER
#undef HISTOGRAM
	HISTOGRAM_CLUSTER_N
};

/* Where a scope's rows begin in a table of all of count.def or histogram.def,
 * which are grouped by scope (row.c asserts it). */
enum {
	COUNT_WORKER_FIRST = 0,
	COUNT_LISTENER_FIRST = COUNT_WORKER_FIRST + COUNT_WORKER_N,
	COUNT_HTTP_FIRST = COUNT_LISTENER_FIRST + COUNT_LISTENER_N,
	COUNT_CLUSTER_FIRST = COUNT_HTTP_FIRST + COUNT_HTTP_N,

	HISTOGRAM_WORKER_FIRST = 0,
	HISTOGRAM_HTTP_FIRST = HISTOGRAM_WORKER_FIRST + HISTOGRAM_WORKER_N,
	HISTOGRAM_CLUSTER_FIRST = HISTOGRAM_HTTP_FIRST + HISTOGRAM_HTTP_N,
};

enum { ROW_CLUSTERS = 1024, ROW_CAUSES = 64 };

struct row {
	uint64_t	layout;		/* a hash of both tables and more */
	uint32_t	slot;		/* of the worker */
	_Atomic uint32_t alive;		/* 1: from before the fork until it is
					   reaped (I4) */
	_Atomic uint32_t pid;		/* the worker's own word; 0: none yet */
	count		incarnation;	/* 1, 2, ...: how often it was born */
	_Alignas(64) count announced;	/* I2 */
	count		heartbeat_ns;	/* struct mono of the last turn */
	struct last	last;
	_Alignas(64) count worker[COUNT_WORKER_N];
	count		cause[ROW_CAUSES];	/* worker/cause.def */
	struct row_listener {
		count	listener[COUNT_LISTENER_N];
		count	http[COUNT_HTTP_N];
	}		listeners[LISTENERS_MAX];
	struct row_cluster {
		count	cluster[COUNT_CLUSTER_N];
	}		clusters[ROW_CLUSTERS];
	/* I5 */
	struct histogram worker_times[HISTOGRAM_WORKER_N];
	struct histogram http_times[LISTENERS_MAX][HISTOGRAM_HTTP_N];
	struct histogram cluster_times[ROW_CLUSTERS][HISTOGRAM_CLUSTER_N];
	struct word_shares shares;
};

/* Makes a row's memfd, zeroed, its head filled; the descriptor, or -1. */
int	row_new(uint32_t slot, char *why, size_t why_len);

/* Maps a row of this layout: the worker writable, others not. NULL: why. fd
 * may be closed afterwards. */
struct row *row_open(int fd, int writable, char *why, size_t why_len);
void	row_close(struct row *r);

/* Before the fork of the next worker. */
void	row_birth(struct row *r);
/* When it is reaped, or could not be forked: gauges end with their worker,
 * counters go on, and shares stay until word_shares_take has them. */
void	row_death(struct row *r);

/* What the living rows announce at least: older generations are not read any
 * more. UINT64_MAX: none lives. Rows may be NULL. */
uint64_t row_oldest(struct row *const *rows, int rows_n);

static inline uint32_t
row_cluster_place(uint32_t slot)
{
	return slot < ROW_CLUSTERS ? slot : ROW_CLUSTERS - 1;
}

static inline struct row_cluster *
row_cluster(struct row *r, uint32_t slot)
{
	return &r->clusters[row_cluster_place(slot)];
}

static inline struct histogram *
row_cluster_times(struct row *r, uint32_t slot)
{
	return r->cluster_times[row_cluster_place(slot)];
}

/* The worker's word of each turn (I2). */
static inline void
row_announce(struct row *r, uint64_t generation, struct mono now)
{
	atomic_store_explicit(&r->announced, generation,
	    memory_order_release);
	count_set(&r->heartbeat_ns, (uint64_t)now.ns);
}

#endif
