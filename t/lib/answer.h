/*
 * t/lib/answer.h - a response of the control plane's side (xds/ems/push.h) as it
 * is on the wire: its body, then its tail.
 */
#ifndef T_LIB_ANSWER_H
#define T_LIB_ANSWER_H

#include <stdlib.h>
#include <string.h>

#include "xds/ems/push.h"

/* The caller's; the body is let go. */
static inline uint8_t *
answer_bytes(const struct push_message *m, size_t *n)
{
	uint8_t *bytes = malloc(m->body->len + m->tail_len);

	if (bytes == NULL)
		abort();
	*n = m->body->len + m->tail_len;
	memcpy(bytes, m->body->bytes, m->body->len);
	memcpy(bytes + m->body->len, m->tail, m->tail_len);
	body_put(m->body);
	return bytes;
}

#endif
