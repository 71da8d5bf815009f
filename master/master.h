/*
 * master/master.h - the process that knows the configuration: it reads the
 * file, compiles it into the arena, publishes, and answers on admin.sock.
 *
 *   exec ──> file, arena, generation 1 ──START──> keeper binds, starts workers
 *                                      <─WORKER × n, SERVE─
 *            loop: RELOAD ──> generation n + 1 ──> wake all ──> RELOADED
 *                                                     └ when each uses it
 *
 * With the setting user it drops to it before it reads what the file names
 * (keys, certificates), so that what it accepts the workers can read too.
 * Test: t/mesh/.
 */
#ifndef MASTER_MASTER_H
#define MASTER_MASTER_H

#include "master/options.h"

/* Runs until the keeper closes control_fd; the exit code. */
int	master_run(const struct options *o, int control_fd);

#endif
