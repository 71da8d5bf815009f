/* worker/rbac.c - see rbac.h. The program is drawn in shm/block.h. */
#include "worker/rbac.h"

#include <assert.h>
#include <string.h>

#include "worker/route.h"
#include "worker/route_text.h"

enum answer { NO, YES, UNKNOWN };

/* One of the caller's names. */
static bool
name_matches(const struct arena *a, const struct block_header_match *m,
    const char *names)
{
	if (names == NULL)
		return false;
	if (m->kind == HEADER_PRESENT)
		return true;
	while (*names != '\0') {
		struct text name = { names, strlen(names) };

		if (route_value_matches(a, m, name))
			return true;
		names += name.len + 1;
	}
	return false;
}

/* A header whose values are too long to be looked at whole could be anything:
 * neither a rule that allows nor one that denies may miss it. */
static enum answer
header_ask(const struct arena *a, const struct block_header_match *m,
    const struct headers *h)
{
	if (!route_header_fits(a, m, h))
		return UNKNOWN;
	return route_header_matches(a, m, h) ? YES : NO;
}

static enum answer
node_ask(const struct arena *a, const struct block_rbac_node *n,
    const struct rbac_call *call)
{
	const struct text path = { call->path, call->path_len };

	switch ((enum rbac_what)n->what) {
	case RBAC_PATH:
		return route_value_matches(a, &n->match, path) ? YES : NO;
	case RBAC_NAME:
		return name_matches(a, &n->match, call->names) ? YES : NO;
	case RBAC_HEADER:
		return header_ask(a, &n->match, call->headers);
	}
	return UNKNOWN;
}

bool
rbac_allows(const struct arena *a, const struct block_rbac_rules *r,
    const struct rbac_call *call)
{
	uint32_t at = r->entry;

	while (at < r->nodes_n) {
		const struct block_rbac_node *n = &r->nodes[at];
		enum answer answer = node_ask(a, n, call);

		if (answer == UNKNOWN)
			return false;
		assert(n->yes > at && n->no > at);
		at = answer == YES ? n->yes : n->no;
	}
	return (at == RBAC_MATCHES) == (r->action == RBAC_ALLOW);
}

/* ---- paths ---- */

/* RFC 3986's pchar, without escapes and without what begins parameters. */
static bool
means_itself(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') ||
	    (c != '\0' && strchr("-._~!$&'()*+,=:@", c) != NULL);
}

static bool
segment_is_canonical(const char *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!means_itself(p[i]))
			return false;
	return len > 2 || (len == 2 && (p[0] != '.' || p[1] != '.')) ||
	    (len == 1 && p[0] != '.');
}

bool
rbac_path_is_canonical(const char *path, size_t len)
{
	const char *at = path, *end = path + len, *slash;

	if (len == 0 || *at != '/')
		return false;
	if (len == 1)
		return true;
	for (; at < end; at = slash) {
		slash = memchr(at + 1, '/', (size_t)(end - at - 1));
		if (slash == NULL)
			slash = end;
		if (!segment_is_canonical(at + 1, (size_t)(slash - at - 1)))
			return false;
	}
	return true;
}
