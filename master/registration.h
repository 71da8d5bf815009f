/*
 * master/registration.h - one app of this machine, registered at the control
 * plane for as long as it is well: a Keep call (xds/proto/godwit/ems).
 *
 *             well              opened            answered
 *   WAITING ───────> CONNECTING ──────> ASKING ─────────────> HELD ─┐ each third
 *    ^  ^  ^              │ ended         │ ended, late        │ ^──┘ of the ttl:
 *    │  │  └── ill ──┐    v               v                    │      heartbeat
 *    │  │           PAUSED <───────────────── ended, silent ───┤
 *    │  │             └── time ──> CONNECTING                  │ ill, leave
 *    │  └─────────── left, ended, late ── LEAVING <────────────┘  withdraw
 *    └─ ill (CONNECTING)                     │ leave was said
 *                                            v
 *                                          GONE   (leave: from any other state)
 *
 * Invariants
 *   T1  What happens comes to one step(registration, event); the table of what
 *       it does is in registration.c.
 *   T2  Only a lease that is held, or asked for, is left; one whose call broke
 *       off lapses, unless the next call, by the same id, comes in time: a
 *       pause is at most a third of the ttl.
 *   T3  Withdrawn, it leaves as if its app were ill, and asks for no lease
 *       until the app was ill indeed, and is well again.
 *   T4  gone is the last up-call, once, after registration_leave.
 *
 * Test: t/unit/register.c, t/mesh/920-register.py.
 */
#ifndef MASTER_REGISTRATION_H
#define MASTER_REGISTRATION_H

#include "master/register_settings.h"
#include "master/subscribe.h"

enum registration_state {
	REGISTRATION_WAITING, REGISTRATION_CONNECTING, REGISTRATION_ASKING,
	REGISTRATION_HELD, REGISTRATION_PAUSED, REGISTRATION_LEAVING,
	REGISTRATION_GONE,
	REGISTRATION_STATES
};

struct registration;

struct registration_owner {
	/* Where the control plane is: of subscribe_settings, server 0. */
	bool	(*target)(void *arg, uint32_t i, struct subscribe_target *t,
		    char *why, size_t why_len);
	void	*target_arg;
	/* Not to close it there. Its lease is no more, but it stays: */
	void	(*left)(void *arg, struct registration *r);
	/* Or not. */
	void	(*gone)(void *arg, struct registration *r);
	void	*arg;
};

struct registration_status {
	enum registration_state state;
	int64_t		 now_ms, since_ms;	/* by the loop's clock */
	int64_t		 next_ms;	/* PAUSED: it tries again then */
	uint64_t	 epoch;		/* HELD */
	bool		 lapses;	/* a lease that could not be left */
	const char	*why;		/* not HELD: the last failure, "" */
};

/* The settings are copied. NULL: no memory. */
struct registration *registration_open(struct io *io,
	    const struct register_settings *s,
	    const struct registration_owner *o);
/* Deregisters it before its app stops. Nothing, while the app is not well. */
void	registration_withdraw(struct registration *r);
/* Deregisters it, for good. Outside of all up-calls, as the next. */
void	registration_leave(struct registration *r);
/* Here and now: its lease lapses, or is another's. */
void	registration_close(struct registration *r);
const struct register_settings *registration_settings(
	    const struct registration *r);
void	registration_status(const struct registration *r,
	    struct registration_status *to);

#endif
