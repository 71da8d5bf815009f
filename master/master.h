/*
 * master/master.h - the process that knows the configuration: it reads the
 * file, compiles it into the arena, publishes, and answers on admin.sock.
 *
 *   exec ──> the file, or what a dead master kept of it
 *        ──> compiled, staged ──> the keeper binds ──> published ──> settled
 *                 ^                    └ can't: dropped                 │
 *                 └────────────── RELOAD ───────────────────────────────┘
 *
 *   once a second: room that no worker reads any more is taken back, and an
 *   arena that is half dead is left for a new one
 *
 * With the setting user it drops to it before it reads what the file names
 * (keys, certificates), so that what it accepts the workers can read too.
 * Test: t/mesh/.
 */
#ifndef MASTER_MASTER_H
#define MASTER_MASTER_H

#include "master/options.h"
#include "master/role.h"

/* Runs until the keeper closes the control socket; the exit code. */
int	master_run(const struct options *o, const struct role *r);

#endif
