/*
 * master/register.h - the apps of this machine that a file says are to be
 * registered (godwit.register): one registration each.
 *
 *   file ──follow──> new: opened     changed: closed, and opened anew, whose
 *                    gone: leaves             lease is the same by its id
 *                    the same: stays
 *   the keeper drains ──leave──> all leave ──GRACE_MS──> left
 *   apps will stop ──withdraw──> those of a name leave, GRACE_MS ──> withdrawn
 *
 * Invariants
 *   V1  Two of one id are never there together but while the older leaves.
 *   V2  left comes once after registers_leave, at the latest after what a
 *       control plane has to answer, and a grace in which proxies hear of it.
 *
 * Test: t/unit/register.c, t/mesh/920-register.py.
 */
#ifndef MASTER_REGISTER_H
#define MASTER_REGISTER_H

#include <stdio.h>

#include "master/registration.h"

struct registers;

/* target as in registration_owner. NULL: no memory. */
struct registers *registers_new(struct io *io,
	    bool (*target)(void *arg, uint32_t i, struct subscribe_target *t,
	    char *why, size_t why_len), void *target_arg);
/* All leases lapse, or are a successor's. */
void	registers_free(struct registers *r);

/* A file was published. */
void	registers_follow(struct registers *r, const struct register_list *l);
/* All leave for good; left may come at once. */
void	registers_leave(struct registers *r, void (*left)(void *arg),
	    void *arg);

/*
 * Those of this service or id ("": all) are deregistered, before their apps
 * are told to stop. withdrawn comes for each of these calls, with its number,
 * when proxies had the time to hear of it; bad: why is a sentence of what
 * could not be done.
 */
struct registers_withdrawn {
	void	(*withdrawn)(void *arg, uint32_t number, bool bad,
		    const char *why);
	void	*arg;
};
void	registers_withdraw(struct registers *r, const char *name,
	    uint32_t number, const struct registers_withdrawn *w);

/* What is not as it should be, a sentence each. */
void	registers_wrong(const struct registers *r,
	    void (*say)(void *arg, const char *sentence), void *arg);
/* A line each. */
void	registers_print(const struct registers *r, FILE *out);

#endif
