/*
 * t/stress/stress.h - what the files of t/stress/ share; publish.c says what
 * all of it is for.
 *
 *   publish.c   the cases, and what came of them
 *   keeper.c    births and deaths; leads workers to another arena
 *   master.c    publishes as fast as it can; dies between two stores, too
 *   config.c    what it publishes
 *   worker.c    the real worker without callers: reads what it is given
 *   walk.c      one number for all that a generation reaches
 */
#ifndef T_STRESS_STRESS_H
#define T_STRESS_STRESS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "shm/arena.h"
#include "t/lib/chance.h"	/* repeats what is planned, not what comes
				   of it */

enum {
	WORKERS = 4,
	CLUSTERS = 16,			/* whose endpoints change */
	RING = 1 << 16,			/* generations looked back on */
	STALL_MS = 50,
};

/* What a run can find. */
enum finding {
	FOUND_NOTHING,
	FOUND_TORN,			/* a generation is not what it was */
	FOUND_BACK,			/* an older one, or another id */
	FOUND_DEATH,			/* of who was not killed */
	FOUND_ROOM,			/* the arena grows */
	FOUND_STALL,			/* reading took a worker too long */
	FOUND_LOST,			/* the end is never reached */
};

/* What is broken on purpose: publish.c has the table. */
enum mutant {
	MUTANT_NONE,
	MUTANT_ONE_TOO_MANY,		/* master.c */
	MUTANT_NEWBORN,
	MUTANT_HOME_AT_ONCE,
	MUTANT_NEVER,
	MUTANT_WAKE_FIRST,
	MUTANT_ANNOUNCE_NEWEST,		/* worker.c */
	MUTANT_KEEP_ADDRESS,
	MUTANT_WAIT,
	MUTANT_ROW_AFTER_FORK,		/* keeper.c */
	MUTANTS
};

struct scenario {
	uint64_t	seed;
	uint64_t	generations;	/* until so many are published */
	int		seconds;	/* or so long, then it is good too */
	enum mutant	mutant;
};

/* Plain numbers have one writer at a time: a slot's worker, the master that
 * lives, the keeper. */
struct slot {
	_Atomic uint64_t number, serial;	/* the newest it has used */
	uint64_t	turns, walks, unknown, moves;
	int64_t		stall_ns, wall_ns;	/* the longest */
};

struct shared {
	_Atomic int	finding;	/* enum finding: the first one */
	char		why[512];
	_Atomic bool	quiet;		/* nothing more is published */
	_Atomic bool	settled;	/* and every worker uses the last */
	_Atomic uint64_t published;
	_Atomic int	stalls;

	/* What the generation of that number is. */
	struct {
		_Atomic uint64_t number, hash;
	}		ring[RING];
	/* Slot and tag of the cluster of that name, once seen. */
	_Atomic uint64_t ids[CLUSTERS];

	struct slot	slots[WORKERS];

	/* The masters' figures. */
	uint64_t	reloads, compactions, cuts;
	uint64_t	used_bytes, pinned_bytes, live_bytes;	/* the most */
	double		room;		/* used / allowed, the most */

	/* The keeper's figures. */
	uint64_t	masters_killed, masters_cut, workers_killed, stops;
	int64_t		ns;		/* how long it took */
};

/* The first finding counts; the caller goes on or ends as it likes. */
void	found(struct shared *s, enum finding finding, const char *fmt, ...)
	    __attribute__((format(printf, 3, 4)));

/* ---- waiting */

void	sleep_us(uint32_t us);
/* Until n more generations are published, or for ms_max: how long anything
 * takes is the machine's affair. */
void	await_published(struct shared *s, uint32_t n, int ms_max);

/* ---- what a process is given; the descriptors are its own */

struct seat {
	struct shared	*shared;
	const struct scenario *scenario;
	const char	*file;		/* the configuration */
	struct chance	 chance;
	int		 slot;		/* of a worker */
	int		 arena_fd, secrets_fd;	/* -1: the first master */
	int		 kept_fd;
	int		 control_fd;	/* to the keeper */
	int		 row_fds[WORKERS], wake_fds[WORKERS];
};

/* The life of a child; returns its exit code. */
int	stress_master(struct seat *seat);
int	stress_worker(struct seat *seat);

/* Runs it, findings in *s. */
void	stress_run(const struct scenario *scenario, struct shared *s);

/* A hash over every block that the generation reaches; false: it is not
 * whole, or reaches more than bytes_max. */
bool	walk(const struct arena *a, block_ref root, uint64_t bytes_max,
	    uint64_t *hash);

#endif
