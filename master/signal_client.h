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

/* The settings of the godwit to tell, run_dir at least. With -o run_dir the
 * file is not read, so that a broken one hinders no stop. -1: why. */
int	signal_client_conf(struct conf *c, const struct options *o, char *why,
	    size_t why_len);
/* The exit code. */
int	signal_client_run(const struct options *o);

#endif
