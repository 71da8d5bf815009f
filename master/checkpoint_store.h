/*
 * master/checkpoint_store.h - the checkpoint of a master: where it is, when it
 * is written, and what of it a fresh master begins with.
 *
 *   start     file ── names a control plane ──> state_dir/resources.a, .b ─┐
 *                                               state_dir/secrets.a, .b  ──┤
 *             one stage: the file's resources and the checkpoint's <───────┘
 *   running   resources changed ── at most once a second ──> child writes,
 *             secrets first; what says the same is not written again
 *
 * Invariants
 *   P1  No start fails for a checkpoint: what is broken or refused is said, and
 *       left out.
 *   P2  A writing takes at most a tenth of the time, however large the set is.
 *   P3  One godwit uses a folder at a time: it holds a lock there.
 *
 * A master's successor has the journal, which is newer, and reads no
 * checkpoint; nor do godwit -t and -1. Test: t/mesh/830-checkpoint.py,
 * t/unit/checkpoint_store.c (a full disk).
 */
#ifndef MASTER_CHECKPOINT_STORE_H
#define MASTER_CHECKPOINT_STORE_H

#include "master/checkpoint_set.h"
#include "master/checkpoint_writer.h"
#include "master/control.h"
#include "master/dynamic.h"
#include "master/generations.h"

struct checkpoint_store {
	struct loop	*loop;
	char		 dir[256];	/* "": none is kept */
	const char	*none_why;
	bool		 found, none_said, failing, writing;
	int		 lock_fd;	/* P3; -1: not held */
	struct checkpoint_writer writer;
	struct mono	 began, next;
	uint64_t	 changes;	/* as of resources_changes */
	struct {
		uint64_t plain, secrets;
	}		 begun, done;	/* what they say, as hashes */
	/* Until the first generation is published. */
	struct checkpoint *plain, *secrets;
	bool		 read;
	struct checkpoint_left_out out;
};

void	checkpoint_store_init(struct checkpoint_store *s, struct loop *l);
void	checkpoint_store_fini(struct checkpoint_store *s);

/* Where it is, by the settings, before the user is given up: a folder that we
 * make is theirs. -1: the setting is wrong, why. */
int	checkpoint_store_find(struct checkpoint_store *s,
	    bool as_root, const struct conf *conf,
	    const struct control_settings *user, char *why, size_t why_len);
/* struct generations' restore; arg is the store. */
void	checkpoint_store_restore(void *arg, struct resources *r,
	    const struct dynamic *d);
/* Whether it has a listener that can be left out. */
bool	checkpoint_store_has_listeners(const struct checkpoint_store *s);
/* The next restore leaves it out. False: it is not the checkpoint's, or was
 * left out. */
bool	checkpoint_store_leave_out(struct checkpoint_store *s,
	    const char *listener);
/* The first generation is there. */
void	checkpoint_store_forget(struct checkpoint_store *s);
/* About once a second: writes it if it is due. */
void	checkpoint_store_step(struct checkpoint_store *s,
	    const struct generations *g);

#endif
