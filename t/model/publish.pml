/*
 * t/model/publish.pml - one arena and one master: latch, announcement,
 * reclaim, birth and death of workers. Run by t/model/run.
 *
 *   master  write free blocks | latch_put | wake all
 *           for each row: alive? announced? | poison what is older than all
 *   worker  latch_get | announce | read root, read leaf | idle
 *   keeper  row: announced 0, alive 1 | fork ... kill | wait | row: 0, 0
 *
 * A generation is a root and a leaf. The root is always new, the leaf is new
 * or the one of the generation before. A block holds the generation that wrote
 * it, 0 when it was reclaimed (debug builds poison it). A root holds its leaf
 * and what the leaf must hold.
 *
 * Invariants, as assertions
 *   P1  What a worker takes is whole: its root holds its number.
 *   P2  What a worker reads is what was published: neither reclaimed nor
 *       written again.
 *   P3  A worker's generations do not go back.
 *   P4  With a dead master the latch is never lost: who begins a turn gets the
 *       generation that was visible, wherever the master died.
 *   P5  When nothing is left to do, every living worker has announced the
 *       newest generation, with no turn but those that it was woken for. So
 *       nothing that was published is missed, and everything retired can go.
 *
 * A kill -9 is a process that takes no more steps, so every prefix of the
 * master's stores is explored without saying so; CRASHES=1 says so, for P4.
 * rehome.pml has the successor. A worker is killed by the keeper here, at any
 * of its steps: that the death comes first and is seen later adds nothing.
 *
 * Left out: how many words and tries there are, the content of blocks, time
 * (back-off, the killing of who is stuck), refused generations (a publish with
 * no free block waits). Spin is sequentially consistent: memory order is
 * argued in shm/latch.h and shm/README.md. Where a full fence is needed (a
 * store, then a load of what another stores) a mutant does what the machine
 * may do without it: 9 and 10.
 *
 * Sizes: WORKERS, PUBLISHES, DEATHS (of workers), CRASHES, BLOCKS, TRIES.
 * Mutants: `#if MUTANT == n`; t/model/run has the list and what each breaks.
 */
#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef PUBLISHES
#define PUBLISHES 2
#endif
#ifndef DEATHS
#define DEATHS 0
#endif
#ifndef CRASHES
#define CRASHES 0
#endif
#ifndef LIVE
#define LIVE 0
#endif
#ifndef BLOCKS
#define BLOCKS 4
#endif
#ifndef MUTANT
#define MUTANT 0
#endif
#define NONE 255

#include "latch.pml"

typedef block {
	byte content;		/* the generation that wrote it; 0: free */
	byte leaf;		/* a root's: where its leaf is */
	byte want		/* and what that holds */
}
typedef row {
	bit alive;
	byte announced
}
mtype = { UNBORN, RUNS, KILLED };

latch control;
block blocks[BLOCKS];
row rows[WORKERS];
mtype life[WORKERS] = UNBORN;
bit wake[WORKERS];		/* the eventfd */
bit idle[WORKERS];
bit crashed, master_busy, keeper_busy;
byte newest;			/* what turn even has made visible */

/* ---- the worker: its own words are t, n, r, got, try (latch.pml) */

#if MUTANT == 12		/* looks first, empties the eventfd later */
#define EVENTFD_TOP
#define EVENTFD_END(w)	wake[w] = 0;
#else
#define EVENTFD_TOP	wake[w] = 0;
#define EVENTFD_END(w)
#endif

#if MUTANT == 6			/* an address is kept over the turn */
#define ROOT_READ	kept
#define ROOT_KEEP	kept = (kept == NONE -> root : kept); \
			kept_number = (kept_number == 0 -> number : kept_number);
#define NUMBER_READ	kept_number
#else
#define ROOT_READ	root
#define ROOT_KEEP
#define NUMBER_READ	number
#endif

proctype worker(byte w)
{
	byte t, n, r, try, seen, number, root, leaf, want;
	bit got, after;
#if MUTANT == 6
	byte kept = NONE, kept_number;
#endif

newborn:
	life[w] != UNBORN;
	{
		do
		:: atomic {
			idle[w] = 0;
			EVENTFD_TOP
			after = crashed
		   };
#if MUTANT == 4			/* announces, then looks */
		   rows[w].announced = number;
#endif
#if MUTANT == 5			/* announces what it does not have yet */
		   rows[w].announced = control.number[control.turn & 1];
#endif
		   latch_get(control, seen);
		   atomic {
			if
			:: got && n != 0 && n != number ->
				assert(n > number);			/* P3 */
				assert(blocks[r].content == n);		/* P1 */
				number = n;
				root = r
			:: else
			fi;
			seen = (got -> t : seen);
			assert(!(after && crashed) || number == newest); /* P4 */
			t = 0; n = 0; r = 0; got = 0; try = 0; after = 0
		   };
#if MUTANT != 4 && MUTANT != 5
		   rows[w].announced = number;
#endif
#if MUTANT == 8			/* the child says itself that it lives */
		   rows[w].alive = 1;
#endif
		   if
		   :: number != 0 ->
			atomic {
				ROOT_KEEP
				assert(blocks[ROOT_READ].content ==
				    NUMBER_READ);			/* P2 */
				leaf = blocks[ROOT_READ].leaf;
				want = blocks[ROOT_READ].want
			};
			atomic {
				assert(blocks[leaf].content == want);	/* P2 */
				leaf = 0; want = 0
			}
		   :: else
		   fi;
		   /* It blocks, until it is woken or a caller comes. */
		   atomic { EVENTFD_END(w) idle[w] = 1 };
		   wake[w] || true
		od
	} unless {
		atomic {
			life[w] == KILLED ->
			life[w] = UNBORN;
			t = 0; n = 0; r = 0; got = 0; try = 0; after = 0;
			seen = 0; number = 0; root = 0; leaf = 0; want = 0;
			idle[w] = 0
		}
	};
	goto newborn
}

/* ---- the keeper */

#if MUTANT == 8
#define ALIVE(w)
#define ALIVE_LATE(w)
#elif MUTANT == 9		/* no fence: fork overtakes the store */
#define ALIVE(w)
#define ALIVE_LATE(w)	rows[w].alive = 1;
#else
#define ALIVE(w)	rows[w].alive = 1;
#define ALIVE_LATE(w)
#endif

proctype keeper()
{
	byte w, deaths;

	do
	:: atomic { w < WORKERS && life[w] == UNBORN -> keeper_busy = 1 };
	   rows[w].announced = 0;
	   ALIVE(w)
	   life[w] = RUNS;
	   ALIVE_LATE(w)
	   atomic { keeper_busy = 0; w = 0;
		do
		:: w < WORKERS && life[w] != UNBORN -> w++
		:: else -> break
		od
	   }
	:: atomic { w == WORKERS && deaths < DEATHS ->
		deaths++; keeper_busy = 1;
		if
		:: w = 0
#if WORKERS > 1
		:: w = 1
#endif
#if WORKERS > 2
		:: w = 2
#endif
		fi };
#if MUTANT == 14		/* cleared while it still runs */
	   rows[w].announced = 0;
	   rows[w].alive = 0;
	   life[w] = KILLED;
	   life[w] == UNBORN;
#else
	   life[w] = KILLED;
	   life[w] == UNBORN;	/* waitpid */
#if MUTANT != 100		/* the row is not cleared: allowed, see run */
	   rows[w].announced = 0;
#endif
	   rows[w].alive = 0;
#endif
	   keeper_busy = 0
	od
}

/* ---- the master */

#if BLOCKS == 3
#define A_BLOCK_IS_FREE (blocks[0].content == 0 || blocks[1].content == 0 || \
	blocks[2].content == 0)
#define A_BLOCK_IS_RETIRED (last[0] != 0 || last[1] != 0 || last[2] != 0)
#else
#define A_BLOCK_IS_FREE (blocks[0].content == 0 || blocks[1].content == 0 || \
	blocks[2].content == 0 || blocks[3].content == 0)
#define A_BLOCK_IS_RETIRED (last[0] != 0 || last[1] != 0 || last[2] != 0 || \
	last[3] != 0)
#endif

inline block_find(b, not)	/* the first that is free, or BLOCKS */
{
	b = 0;
	do
	:: b < BLOCKS && (blocks[b].content != 0 || b == not) -> b++
	:: else -> break
	od
}

#if MUTANT == 11		/* a row that says 0 is taken to use nothing */
#define COUNTS(i)	rows[i].announced != 0 &&
#else
#define COUNTS(i)
#endif

inline rows_scan()		/* the oldest that a living row announces */
{
	atomic { least = NONE; i = 0 };
	do
	:: atomic { i < WORKERS && !rows[i].alive -> i++ }
	:: atomic { i < WORKERS && rows[i].alive -> skip };
	   atomic {
		if
		:: COUNTS(i) rows[i].announced < least ->
			least = rows[i].announced
		:: else
		fi;
		i++
	   }
	:: atomic { i == WORKERS -> i = 0; break }
	od
}

#if MUTANT == 7			/* >= instead of > */
#define FREE(b)		last[b] <= least
#else
#define FREE(b)		last[b] < least
#endif

inline blocks_free()
{
	do
	:: atomic { i < BLOCKS && last[i] != 0 && FREE(i) ->
		blocks[i].content = 0; last[i] = 0; i++ }
	:: atomic { i < BLOCKS && !(last[i] != 0 && FREE(i)) -> i++ }
	:: atomic { i == BLOCKS -> i = 0; least = 0; break }
	od
}

inline retire()			/* what generation number reached alone */
{
	last[root] = number;
#if MUTANT == 15		/* by who wrote it, not by who reached it last */
	last[leaf] = blocks[leaf].content;
#else
	if
	:: leaf2 != leaf -> last[leaf] = number
	:: else
	fi;
#endif
}

inline wake_all()
{
	do
	:: atomic { i < WORKERS -> wake[i] = 1; i++ }
	:: atomic { i == WORKERS -> i = 0; break }
	od
}

proctype master()
{
	byte number, root = NONE, leaf = NONE, root2 = NONE, leaf2 = NONE;
	byte least, i;
	byte last[BLOCKS];	/* of a retired block: who reached it last */

live:	{
		do
		:: number < PUBLISHES && A_BLOCK_IS_FREE ->
		   atomic {
			master_busy = 1;
			block_find(root2, NONE);
			block_find(leaf2, root2);
			if
			:: leaf2 < BLOCKS
			:: leaf != NONE -> leaf2 = leaf		/* shared */
#if MUTANT == 13		/* the leaf is changed where it lies */
			:: leaf != NONE -> blocks[leaf].content = 0;
				leaf2 = leaf
#endif
			fi
		   };
		   if
		   :: blocks[leaf2].content == 0 ->
			blocks[leaf2].content = number + 1
		   :: else
		   fi;
		   atomic {
			blocks[root2].leaf = leaf2;
			blocks[root2].want = blocks[leaf2].content
		   };
		   blocks[root2].content = number + 1;
#if MUTANT == 10		/* no fence: rows are loaded before the put */
		   rows_scan();
#endif
#if MUTANT == 16		/* wakes, then publishes */
		   wake_all();
#endif
		   latch_put(control, number + 1, root2, newest = number + 1,
		    if :: number != 0 -> retire() :: else fi;
		    number++; root = root2; leaf = leaf2; root2 = NONE;
		    leaf2 = NONE);
#if MUTANT == 10
		   blocks_free();
#endif
#if MUTANT != 16
		   wake_all();
#endif
		   master_busy = 0
		:: A_BLOCK_IS_RETIRED ->
		   rows_scan();
		   blocks_free()
		od
	} unless {
		atomic { crashed ->
#if MUTANT == 17		/* a successor goes on with the latch */
			crashed = 0;
			number = control.number[control.turn & 1];
			root = control.root[control.turn & 1];
			leaf = (number == 0 -> NONE : blocks[root].leaf);
			root2 = NONE; leaf2 = NONE; least = 0; i = 0;
			goto live
#endif
		}
	}
}

/* ---- who watches, and who kills */

#define QUIET(w)	(life[w] == UNBORN || \
	(life[w] == RUNS && idle[w] && !wake[w]))
#define UP_TO_DATE(w)	(life[w] == UNBORN || rows[w].announced == newest)
#if WORKERS == 1
#define ALL(p)		(p(0))
#elif WORKERS == 2
#define ALL(p)		(p(0) && p(1))
#else
#define ALL(p)		(p(0) && p(1) && p(2))
#endif

proctype monitor()
{
end:	do
	:: d_step { !crashed && !master_busy && !keeper_busy && ALL(QUIET) ->
		assert(ALL(UP_TO_DATE)) }				/* P5 */
	od
}

#if CRASHES
proctype killer()
{
	crashed = 1
}
#endif

#if LIVE
ltl settles { <> [] (crashed || ALL(UP_TO_DATE)) }			/* P6 */
#endif

init {
	atomic {
		run master();
		run keeper();
		run worker(0);
#if WORKERS > 1
		run worker(1);
#endif
#if WORKERS > 2
		run worker(2);
#endif
		run monitor();
#if CRASHES
		run killer()
#endif
	}
}
