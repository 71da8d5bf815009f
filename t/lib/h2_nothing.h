/*
 * t/lib/h2_nothing.h - the up-calls of a session (worker/io/h2.h) whose owner
 * has nothing to do when they come.
 */
#ifndef T_LIB_H2_NOTHING_H
#define T_LIB_H2_NOTHING_H

#include "worker/io/conn.h"

/* .open: no streams here. */
static inline struct h2_stream *
h2_nothing_open(void *owner)
{
	(void)owner;
	return NULL;
}

/* .goaway, .room */
static inline void
h2_nothing_owner(void *owner)
{
	(void)owner;
}

/* For a conn that is only opened and closed. */
static const struct h2_events h2_nothing __attribute__((unused)) = {
	.open = h2_nothing_open, .goaway = h2_nothing_owner,
	.room = h2_nothing_owner, .wake = conn_wake,
};

#endif
