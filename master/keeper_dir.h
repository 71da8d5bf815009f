/*
 * master/keeper_dir.h - run_dir: the folder of the unix sockets, and who
 * lives there.
 *
 *   control.sock    godwit -s             the keeper's user only
 *   admin.sock      curl --unix-socket    owner and group
 *   worker-N.sock   the same, one worker
 *
 * Invariants
 *   I1  Who holds the lock on the folder is the one godwit that lives there.
 *       The lock ends with its process, however that ends, so that sockets
 *       found under the lock are leftovers.
 *   I2  Nothing but a socket is ever removed.
 *
 * Test: t/unit/keeper.c.
 */
#ifndef MASTER_KEEPER_DIR_H
#define MASTER_KEEPER_DIR_H

#include <stddef.h>
#include <sys/types.h>

#include "master/control.h"

struct keeper_dir {
	char	path[256];
	int	lock_fd;		/* -1: not open */
	int	workers_n;		/* sockets to remove at the end */
};

/* Makes the folder if it is not there, and locks it. -1: why, which names
 * the godwit that lives there already. */
int	keeper_dir_open(struct keeper_dir *d, const char *path, char *why,
	    size_t why_len);
/* Removes the sockets and lets go of the lock. */
void	keeper_dir_close(struct keeper_dir *d);

/* A listening, non-blocking socket in it. -1: why. */
int	keeper_dir_bind_control(struct keeper_dir *d, char *why,
	    size_t why_len);
int	keeper_dir_bind_admin(struct keeper_dir *d,
	    const struct control_settings *s, char *why, size_t why_len);
int	keeper_dir_bind_worker(struct keeper_dir *d, int slot,
	    const struct control_settings *s, char *why, size_t why_len);
/* Nobody answers there any more. */
void	keeper_dir_unbind_admin(struct keeper_dir *d);

/* A connection to the godwit that lives in path, and its pid. -1: why. */
int	keeper_dir_connect(const char *path, pid_t *pid, char *why,
	    size_t why_len);

#endif
