/*
 * worker/route_text.h - texts as routing compares them, shared by the
 * worker/route*.c and worker/rbac*.c.
 */
#ifndef WORKER_ROUTE_TEXT_H
#define WORKER_ROUTE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "worker/io/header.h"

struct text {				/* not NUL-terminated */
	const char	*p;
	size_t		 len;
};

static inline char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/* want is already lower case when any_case. */
static inline bool
same(const char *p, const char *want, size_t len, bool any_case)
{
	if (!any_case)
		return memcmp(p, want, len) == 0;
	for (size_t i = 0; i < len; i++)
		if (lower(p[i]) != want[i])
			return false;
	return true;
}

static inline struct text
text_of(const struct header *h)
{
	if (h == NULL)
		return (struct text){ "", 0 };
	return (struct text){ (const char *)h->value, h->value_len };
}

/* The path without its query: what is routed and authorised by. */
static inline struct text
path_of(const struct headers *h)
{
	struct text path = text_of(headers_find(h, HEADER_path));
	const char *query = memchr(path.p, '?', path.len);

	if (query != NULL)
		path.len = (size_t)(query - path.p);
	return path;
}

#endif
