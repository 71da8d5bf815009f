/*
 * master/role.h - what a child is: its role, and which of its
 * descriptors is what; written by the keeper before the exec, read by main
 * after it.
 *
 *   GODWIT_ROLE="worker 2"      "master", "master of root"
 *   GODWIT_FDS="control:4 arena:7 secrets:8 common:9 row:12 wake:13 stats:14"
 *
 * Listening sockets come over the control socket (worker/message.h).
 *
 * Invariants
 *   I1  Only the descriptors of the table survive the exec, and the role
 *       makes them close-on-exec again.
 *   I2  A worker's environment is what keep[] in role.c names, the master's
 *       all but what drop[] names, since a configuration may take certificates
 *       from there; and these two, which are gone once they are read.
 *
 * Test: t/unit/keeper.c.
 */
#ifndef MASTER_ROLE_H
#define MASTER_ROLE_H

#include <stdbool.h>
#include <sys/types.h>

#include "master/control.h"
#include "worker/worker.h"

enum role_kind { ROLE_NONE, ROLE_MASTER, ROLE_WORKER };

struct role {
	enum role_kind	kind;
	/* The first master has control_fd only, its successors arena_fd,
	 * secrets_fd, kept_fd and journal_fd too: what is left of the one before. */
	struct worker_start start;
	int		kept_fd;	/* see sources.h */
	int		journal_fd;	/* see journal.h */
	bool		as_root;	/* a master: the keeper is, and so was
					   godwit started */
};

/* All descriptors -1, no sockets. */
void	role_init(struct role *r, enum role_kind kind, uint32_t slot);

/* The role of this process, out of its environment; ROLE_NONE: none is set.
 * -1: why. */
int	role_take(struct role *r, char *why, size_t why_len);

/*
 * Becomes the role: after the fork, in the child. Drops to the user when s
 * says so (NULL: no settings yet), marks everything but the table
 * close-on-exec, and executes this same binary with args after the title.
 * Returns only when that failed: errno, and *what failed.
 */
void	role_exec(const struct role *r, const struct control_settings *s,
	    char *const *args, const char **what);

/* "master", "worker 2". */
void	role_name(const struct role *r, char *name, size_t name_len);

/* setgroups, setresgid, setresuid as s says; nothing when it names no user.
 * -1: errno. */
int	role_drop(const struct control_settings *s);

#endif
