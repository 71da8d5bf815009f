/*
 * worker/io/h2_session.h - how an nghttp2 session of ours begins: its memory,
 * its options, the SETTINGS it announces. For h2*.c only.
 *
 * Source: dependencies.md section 1. Test: t/unit/h2.c.
 */
#ifndef WORKER_IO_H2_SESSION_H
#define WORKER_IO_H2_SESSION_H

#include <nghttp2/nghttp2.h>

#include "worker/io/h2.h"

/* Every allocation of a session out of m. */
nghttp2_mem	h2_session_mem(struct mem *m);
/* NULL: no memory. */
nghttp2_option	*h2_session_options(const struct h2_settings *s);
/* SETTINGS and the connection's window. 0, or nghttp2's error. */
int		h2_session_settings(nghttp2_session *session,
		    const struct h2_settings *s);

#endif
