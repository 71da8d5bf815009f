/*
 * master/keeper.h - the process that was started: it owns what must outlive
 * the others, starts them, and waits.
 *
 *   keeper ──fork, exec──> master     reads the file, says what to bind
 *     │                               publishes, answers on admin.sock
 *     └──────fork, exec──> worker 0..N
 *
 *   STARTING ──master said START──> WARMING ──all workers READY──> SERVING
 *      │                               │                              │
 *      └ master ends: exit 1           └ a worker ends: exit 1        │
 *                                                    TERM, QUIT, -s drain
 *                                                                     v
 *   over <──nobody is left── STOPPING <──INT, 2nd TERM, time── DRAINING
 *
 * Invariants
 *   I1  It reads no YAML, no protobuf, no TLS, and calls libc and shm/ only:
 *       there is nothing in it that input could break.
 *   I2  One poll loop, no callbacks out of signals: what happened is looked
 *       at in one place (keeper.c, turn).
 *   I3  Listening sockets, rows and the arena's descriptor stay here while
 *       children come and go.
 *
 * Signals: HUP reloads; TERM and QUIT drain and end; INT or a second TERM end
 * at once; USR1 reopens logs. Test: t/unit/keeper.c, t/mesh/.
 */
#ifndef MASTER_KEEPER_H
#define MASTER_KEEPER_H

#include "master/options.h"

/* Runs until the end; the exit code. */
int	keeper_run(const struct options *o, char *const *argv);

#endif
