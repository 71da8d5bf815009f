/*
 * t/sim/world.h - one schedule: a client, the real worker and a backend over
 * one network, with what happens to all of them.
 *
 *   caller ── listeners 1, 4 ──> worker ──> ports 2, 3 ── service
 *
 *   draw ─> play: whoever has something to do, in any order ─> settle: the
 *   network behaves ─> audit: a call on each connection that lives ─> the
 *   callers go ─> the backend goes ─> the worker ends
 *
 * What is drawn is a few kinds of trouble for each schedule, not all of them
 * at once: where everything breaks, little is reached (swarm testing, Groce et
 * al., 2012).
 */
#ifndef T_SIM_WORLD_H
#define T_SIM_WORLD_H

#include "master/generations.h"
#include "shm/row.h"
#include "shm/word.h"
#include "t/sim/caller.h"
#include "t/sim/service.h"
#include "worker/state.h"
#include "worker/worker.h"

/* The generations that a schedule goes through, in this order. */
enum { WORLD_ALL, WORLD_FEWER, WORLD_FEWEST, WORLD_GENERATIONS };
enum { BUDGET_BYTES = 1048576 };
enum { LISTENERS_N = 2, CLUSTERS_N = 4, PROBES_MAX = CONNS_MAX };

/* Compiled once: each process has its own. */
struct generations_made {
	struct generations g;
	struct compiled	 made[WORLD_GENERATIONS];
	uint64_t	 number;	/* the newest put */
};

/* What may have happened to calls, without their doing. */
struct troubles {
	bool	losses;		/* the network resets, or ends are closed */
	bool	goaways;	/* of services */
	bool	limits;		/* services take fewer streams, or few */
	bool	published, drained, stopped, starves;
	bool	bulk;		/* more than the byte budget is on its way */
	bool	tight;		/* more than a breaker lets through */
};

struct world {
	struct net	 net;
	struct net_actor caller_actor, worker_actor, service_actor;
	struct generations_made *made;
	struct worker	*worker;	/* NULL: it ended */
	struct row	*row;
	struct words	*words;
	struct caller	 caller;
	struct service	 service;
	struct call	 calls[CALLS_MAX];	/* the last are probes */
	int		 calls_n, probes_n;
	int		 turn, publish_turn, drain_turn, stop_turn;	/* or -1 */
	int		 generation;
	struct troubles	 troubles;
	int32_t		 stream_id_max;
	uint64_t	 held_bytes_max;	/* by the worker, after a turn */
	char		 wrong[256];	/* the first; "" = as it must be */
};

/* verbose: workers log what peers did. */
void	generations_make(struct generations_made *m, bool verbose);

void	world_open(struct world *w, struct generations_made *m, uint64_t seed,
	    bool verbose);
/* All of it. w->wrong says what was not as it must be. */
void	world_play(struct world *w);
void	world_close(struct world *w);

void	world_wrong(struct world *w, const char *format, ...)
	    __attribute__((format(printf, 2, 3)));
/* "rough, drained": what kind of schedule a seed is. */
const char *world_kind(const struct world *w);

#endif
