/*
 * t/model/rehome.pml - many arenas: a master dies and has a successor, a
 * living one compacts, and workers move. Run by t/model/run; publish.pml has
 * one arena in more detail.
 *
 *   master  number of the newest generation out of the arena that the keeper
 *           knows | new arena: publish number + 1 | HOME(arena) to the keeper
 *           reload: FILE(file) to the keeper | publish | wake all
 *           reclaim, as in publish.pml
 *           compaction: new arena: publish number + 1 | HOME(arena) ... let
 *           the old one go when the keeper has answered and every living row
 *           announces what was published first in the new one
 *   keeper  FILE: keeps it | HOME: for newborns from now on; to every living
 *           worker's queue; then answers
 *           death of the master: reads all it said | starts a successor
 *   worker  top of a turn: takes HOME | looks there; with a generation from
 *           there it moves, without it stays | announces | reads
 *
 * A generation is one block: its number and the file that it was made from.
 * An arena that was let go is poisoned, which the kernel does not do while it
 * is mapped: the rule is checked, not what happens to save us.
 *
 * Invariants, as assertions
 *   P1  What a worker takes is whole: its root holds its number.
 *   P2  What a worker reads is what was published, in an arena not let go.
 *   P3  Numbers and files never go back: not in a worker, not from one
 *       incarnation of a slot to the next.
 *   P5  When nothing is left to do, every living worker is in the master's
 *       arena and has announced the newest generation, and the keeper keeps
 *       the file which that was made from.
 *   P6  A successor's file is not older than any that was published: no
 *       reload that a worker may have seen is undone.
 *   P7  (LIVE=1) That state is reached in the end, and stays.
 *
 * The master dies at any of its steps, between any two stores too, and so
 * does its successor: before the new arena, between that and HOME, after.
 * What it said is still in the socket then. The dead one's arena stays as it
 * was: mapped by whoever is there, written by nobody.
 *
 * Left out, besides what publish.pml leaves out: sharing of blocks; a worker
 * that never takes its turn (watched and killed after a while); that a memfd's
 * memory goes with its last mapping.
 *
 * Sizes: WORKERS, PUBLISHES (reloads), CRASHES (of masters), COMPACTIONS,
 * DEATHS (of workers), LATCH (1: store by store), TRIES.
 * Mutants: `#if MUTANT == n`; t/model/run has the list and what each breaks.
 */
#ifndef WORKERS
#define WORKERS 1
#endif
#ifndef PUBLISHES
#define PUBLISHES 1
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef COMPACTIONS
#define COMPACTIONS 0
#endif
#ifndef DEATHS
#define DEATHS 0
#endif
#ifndef LIVE
#define LIVE 0
#endif
#ifndef LATCH
#define LATCH 0
#endif
#ifndef MUTANT
#define MUTANT 0
#endif
#define NONE	255
#define BLOCKS	2
#define ARENAS	(1 + CRASHES + COMPACTIONS)

#include "latch.pml"

#if LATCH
#define LATCH_NUMBER(l)	l.number[l.turn & 1]
#else
#define LATCH_NUMBER(l)	l.number[0]
#endif

typedef block {
	byte content;		/* the generation; 0: free */
	byte file		/* what it was made from */
}
typedef memory {
	latch control;
	block blocks[BLOCKS];
	bit gone
}
typedef row {
	bit alive;
	byte announced
}
mtype = { UNBORN, RUNS, KILLED, FILE, HOME };

memory arenas[ARENAS];
byte arenas_n;
chan said = [2] of { mtype, byte };		/* master to keeper */
chan home[WORKERS] = [ARENAS] of { byte };	/* keeper to worker */
byte homed = NONE;		/* the keeper's answer to HOME */

row rows[WORKERS];
mtype life[WORKERS] = UNBORN;
byte given[WORKERS];		/* the arena's descriptor, over the fork */
byte at[WORKERS];		/* the arena where it is */
bit wake[WORKERS];		/* the eventfd */
bit idle[WORKERS];

mtype master_life = UNBORN;
bit master_busy, keeper_busy;
byte compactions;
byte master_arena = NONE, master_number;
byte keeper_arena = NONE, keeper_file = 1;
byte files = 1;			/* as often was a file edited */
byte file_shown;		/* the newest that was published */

/* ---- the worker: its own words are t, n, r, got, try (latch.pml) */

proctype worker(byte w)
{
	byte t, n, r, try, seen, known, number, root, target;
	byte to = NONE;		/* where it has been told to move */
	byte was_number, was_file;	/* the slot's, over deaths (P3) */
	bit got;

newborn:
	life[w] != UNBORN;
	{
#if MUTANT == 32		/* the child says itself that it lives */
		rows[w].alive = 1;
#endif
		at[w] = given[w];
		do
		:: atomic {
			idle[w] = 0;
			wake[w] = 0;
			if
			:: home[w]?to
			:: empty(home[w])
			fi;
#if MUTANT == 25		/* moves, and still knows the old turn */
			if
			:: to != NONE -> at[w] = to; to = NONE
			:: else
			fi;
#endif
#if MUTANT == 26		/* moves before it has a generation there */
			if
			:: to != NONE -> at[w] = to; to = NONE; seen = 0
			:: else
			fi;
#endif
			target = (to == NONE -> at[w] : to);
			known = (to == NONE -> seen : 0);
			assert(!arenas[target].gone)			/* P2 */
		   };
		   latch_get(arenas[target].control, known);
		   atomic {
			if
			:: got && n != 0 && (to != NONE || n != number) ->
				assert(!arenas[target].gone &&
				    arenas[target].blocks[r].content == n);
									/* P1 */
				assert(n > number && n >= was_number); /* P3 */
				assert(arenas[target].blocks[r].file >=
				    was_file);				/* P3 */
				number = n;
				root = r;
				was_number = n;
				was_file = arenas[target].blocks[r].file;
				at[w] = target;
				to = NONE
			:: else
			fi;
			seen = (got && at[w] == target -> t : seen);
			t = 0; n = 0; r = 0; got = 0; try = 0; target = 0;
			known = 0
		   };
		   rows[w].announced = number;
		   atomic {
			assert(number == 0 || (!arenas[at[w]].gone &&
			    arenas[at[w]].blocks[root].content == number));
			idle[w] = 1					/* P2 */
		   };
		   /* It blocks, until it is woken or a caller comes. */
		   wake[w] || nempty(home[w]) || true
		od
	} unless {
		atomic {
			life[w] == KILLED ->
#if MUTANT != 33		/* a newborn inherits what was not read */
			do
			:: home[w]?_
			:: empty(home[w]) -> break
			od;
#endif
			life[w] = UNBORN;
			t = 0; n = 0; r = 0; got = 0; try = 0; target = 0;
			known = 0; seen = 0; number = 0; root = 0; to = NONE;
			idle[w] = 0
		}
	};
	goto newborn
}

/* ---- the keeper */

#if MUTANT == 22		/* newborns get the arena of the start */
#define GIVEN		0
#else
#define GIVEN		keeper_arena
#endif
#if MUTANT == 27		/* a successor before all was read */
#define SAID_ALL	true
#else
#define SAID_ALL	empty(said)
#endif

inline worker_birth()
{
	rows[w].announced = 0;
#if MUTANT != 32
	rows[w].alive = 1;
#endif
	atomic { given[w] = GIVEN; life[w] = RUNS; keeper_busy = 0 }
}

inline worker_death()
{
	life[w] = KILLED;
	life[w] == UNBORN;	/* waitpid */
#if MUTANT != 100		/* the row is not cleared: allowed, see run */
	rows[w].announced = 0;
#endif
	atomic { rows[w].alive = 0; keeper_busy = 0 }
}

inline workers_home()
{
#if MUTANT == 101		/* answers before they were told: allowed */
	homed = keeper_arena;
#endif
	w = 0;
	do
	:: atomic { w < WORKERS ->
		if
		:: life[w] == RUNS -> home[w]!keeper_arena
		:: else
		fi;
		w++
	   }
	:: atomic { w == WORKERS -> w = 0; break }
	od;
	atomic { homed = keeper_arena; keeper_busy = 0 }
}

proctype keeper()
{
	byte w, deaths, crashes;

	do
	:: atomic { said?FILE(keeper_file) -> skip }
	:: atomic { said?HOME(keeper_arena) -> keeper_busy = 1 };
	   workers_home()
	:: atomic { master_life == UNBORN && SAID_ALL ->
		master_life = RUNS; master_busy = 1 }
	:: atomic { master_life == RUNS && crashes < CRASHES ->
		crashes++;
		master_life = KILLED };
	   master_life == UNBORN	/* waitpid */
	:: atomic { keeper_arena != NONE && life[0] == UNBORN ->
		w = 0; keeper_busy = 1 };
	   worker_birth()
	:: atomic { deaths < DEATHS && life[0] == RUNS ->
		w = 0; deaths++; keeper_busy = 1 };
	   worker_death()
#if WORKERS > 1
	:: atomic { keeper_arena != NONE && life[1] == UNBORN ->
		w = 1; keeper_busy = 1 };
	   worker_birth(); w = 0
	:: atomic { deaths < DEATHS && life[1] == RUNS ->
		w = 1; deaths++; keeper_busy = 1 };
	   worker_death(); w = 0
#endif
	od
}

/* ---- the master */

#define BLOCK(i)	arenas[arena].blocks[i]
#define A_BLOCK_IS_FREE	(BLOCK(0).content == 0 || BLOCK(1).content == 0)
#define A_BLOCK_IS_RETIRED (BLOCK(1 - root).content != 0)

inline publish(a, n, f)		/* into the first free block of a */
{
	b = (arenas[a].blocks[0].content == 0 -> 0 : 1);
	atomic { arenas[a].blocks[b].content = n;
	    arenas[a].blocks[b].file = f };
	latch_put(arenas[a].control, n, b,
	    file_shown = (f > file_shown -> f : file_shown),
	    master_number = n; root = (a == arena -> b : root); b = 0)
}

inline rows_scan()		/* the oldest that a living row announces */
{
	atomic { least = NONE; most = 0; i = 0 };
	do
	:: atomic { i < WORKERS && !rows[i].alive -> i++ }
	:: atomic { i < WORKERS && rows[i].alive -> skip };
	   atomic {
		if
		:: rows[i].announced < least -> least = rows[i].announced
		:: else
		fi;
#if MUTANT == 23
		most = (rows[i].announced > most -> rows[i].announced : most);
#endif
		i++
	   }
	:: atomic { i == WORKERS -> i = 0; break }
	od
}

inline arena_new()		/* and the first generation in it */
{
	atomic { assert(arenas_n < ARENAS); arena = arenas_n; arenas_n++ };
#if MUTANT == 30		/* HOME before there is a generation */
	said!HOME(arena);
#endif
	publish(arena, number + 1, file);
	atomic { number++; first = number };
#if MUTANT != 30
	said!HOME(arena);
#endif
	master_arena = arena
}

inline wake_all()
{
	do
	:: atomic { i < WORKERS -> wake[i] = 1; i++ }
	:: atomic { i == WORKERS -> i = 0; break }
	od
}

#if MUTANT == 23		/* when some have announced, not all */
#define ALL_MOVED	most >= first
#else
#define ALL_MOVED	least >= first
#endif
#if MUTANT == 24		/* does not wait for the keeper's answer */
#define HOMED		true
#else
#define HOMED		homed == arena
#endif
#if MUTANT == 29		/* a reload while they move goes to the old */
#define INTO		(old != NONE && (arenas[old].blocks[0].content == 0 || \
	arenas[old].blocks[1].content == 0) -> old : arena)
#else
#define INTO		arena
#endif

proctype master()
{
	byte arena, old = NONE, number, file, root, first;
	byte least, most, i, b, into;

unborn:
	master_life != UNBORN;
	{
		atomic {
			file = keeper_file;
			assert(file >= file_shown);			/* P6 */
			if
			:: keeper_arena == NONE
			:: else -> number =
				LATCH_NUMBER(arenas[keeper_arena].control)
			fi
		};
#if MUTANT == 21		/* a successor numbers from 1 */
		number = 0;
#endif
#if MUTANT == 31 && LATCH	/* copy 1, whatever the turn */
		number = (keeper_arena == NONE -> 0 :
		    arenas[keeper_arena].control.number[1]);
#endif
		arena_new();
		master_busy = 0;
		do
		:: atomic { files <= PUBLISHES && A_BLOCK_IS_FREE ->
			master_busy = 1; files++; file = files; into = INTO };
#if MUTANT != 28
		   said!FILE(file);
#endif
		   publish(into, number + 1, file);
		   number++;
#if MUTANT == 28		/* the keeper gets the file afterwards */
		   said!FILE(file);
#endif
		   wake_all();
		   atomic { into = 0; master_busy = 0 }
		:: A_BLOCK_IS_RETIRED ->
		   rows_scan();
		   atomic {
			if
			:: BLOCK(1 - root).content < least ->
				BLOCK(1 - root).content = 0;
				BLOCK(1 - root).file = 0
			:: else
			fi;
			least = 0; most = 0
		   }
#if COMPACTIONS
		:: atomic { old == NONE && compactions < COMPACTIONS ->
			compactions++; master_busy = 1; old = arena };
		   arena_new();
		   master_busy = 0
		:: old != NONE && HOMED ->
		   rows_scan();
		   atomic {
			if
			:: ALL_MOVED ->
				arenas[old].gone = 1;
				old = NONE
			:: else
			fi;
			least = 0; most = 0
		   }
#endif
		od
	} unless {
		atomic {
			master_life == KILLED ->
			master_life = UNBORN;
			arena = 0; old = NONE; number = 0; file = 0; root = 0;
			first = 0; least = 0; most = 0; i = 0; b = 0;
			into = 0
		}
	};
	goto unborn
}

/* ---- who watches */

#define QUIET(w)	(life[w] == UNBORN || \
	(life[w] == RUNS && idle[w] && !wake[w] && empty(home[w])))
#define UP_TO_DATE(w)	(life[w] == UNBORN || \
	(rows[w].announced == master_number && at[w] == master_arena))
#if WORKERS == 1
#define ALL(p)		(p(0))
#else
#define ALL(p)		(p(0) && p(1))
#endif
#define SETTLED		(ALL(UP_TO_DATE) && keeper_arena == master_arena && \
	keeper_file == file_shown)

proctype monitor()
{
end:	do
	:: d_step { master_life == RUNS && !master_busy && !keeper_busy &&
	    empty(said) && ALL(QUIET) -> assert(SETTLED) }		/* P5 */
	od
}

init {
	atomic {
		run master();
		run keeper();
		run worker(0);
#if WORKERS > 1
		run worker(1);
#endif
		run monitor()
	}
}

#if LIVE
ltl settles { <> [] (master_life == RUNS && SETTLED) }			/* P7 */
#endif
