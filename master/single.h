/*
 * master/single.h - godwit -1: master and one worker in one process, without
 * keeper, fork or exec, for valgrind and debuggers, which can't follow them.
 *
 * The same file, arena and worker as always. What is missing: control.sock
 * (signals do), admin.sock (worker-0.sock has the same numbers), and the user
 * is not changed. HUP reloads, TERM and QUIT drain, INT or a second TERM stop.
 */
#ifndef MASTER_SINGLE_H
#define MASTER_SINGLE_H

#include "master/options.h"

/* Runs until the end; the exit code. */
int	single_run(const struct options *o);

#endif
