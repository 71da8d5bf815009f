/*
 * master/signal_client.h - godwit -s WORD: tells the godwit that runs, over
 * run_dir/control.sock, waits, and prints the result or the reason.
 *
 * run_dir is found as the daemon finds it: -o run_dir=DIR, else the file of
 * -c, else the default. Test: t/mesh/.
 */
#ifndef MASTER_SIGNAL_CLIENT_H
#define MASTER_SIGNAL_CLIENT_H

#include "master/options.h"

/* The exit code. */
int	signal_client_run(const struct options *o);

#endif
