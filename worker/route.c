/* worker/route.c - see route.h. */
#include "worker/route.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "worker/route_host.h"
#include "worker/route_index.h"
#include "worker/route_text.h"

enum { JOINED_BYTES_MAX = 8192 };

/* ---- headers ---- */

/* A host is an authority that came by its older name; a request has one of
 * the two (relay.c). */
static bool
has_name(const struct header *at, const char *name, size_t len)
{
	static const char authority[] = ":authority";

	if (at->id == HEADER_host)
		return len == sizeof(authority) - 1 &&
		    memcmp(name, authority, len) == 0;
	return at->name_len == len && memcmp(at->name, name, len) == 0;
}

/* The value; a repeated header's values joined by commas, in room. */
static bool
value_find(const struct headers *h, const char *name, size_t len,
    char *room, struct text *value)
{
	size_t used = 0;
	int n = 0;

	for (uint32_t i = 0; i < h->n; i++) {
		const struct header *at = &h->at[i];

		if (!has_name(at, name, len))
			continue;
		if (n++ == 0) {
			*value = text_of(at);
			continue;
		}
		if (n == 2) {
			used = value->len < JOINED_BYTES_MAX ? value->len :
			    JOINED_BYTES_MAX;
			memcpy(room, value->p, used);
		}
		if (used + 1 + at->value_len <= JOINED_BYTES_MAX) {
			room[used++] = ',';
			memcpy(room + used, at->value, at->value_len);
			used += at->value_len;
		}
		*value = (struct text){ room, used };
	}
	return n > 0;
}

static bool
contains(struct text v, struct text want, bool any_case)
{
	for (size_t i = 0; i + want.len <= v.len; i++)
		if (same(v.p + i, want.p, want.len, any_case))
			return true;
	return false;
}

/* [from, to) of a decimal number; anything else is no match. */
static bool
in_range(struct text v, const struct block_header_match *m)
{
	char digits[24], *end;
	long long n;

	if (v.len == 0 || v.len >= sizeof(digits))
		return false;
	memcpy(digits, v.p, v.len);
	digits[v.len] = '\0';
	errno = 0;
	n = strtoll(digits, &end, 10);
	return errno == 0 && end == digits + v.len && digits[0] != ' ' &&
	    n >= m->range_from && n < m->range_to;
}

bool
route_value_matches(const struct arena *a, const struct block_header_match *m,
    struct text v)
{
	const struct block_text *t = m->value == 0 ? NULL :
	    arena_at(a, m->value);
	struct text want = { t == NULL ? "" : t->bytes,
	    t == NULL ? 0 : t->len };
	bool any_case = m->flags & HEADER_ANY_CASE;

	switch ((enum header_match_kind)m->kind) {
	case HEADER_PRESENT:
		return true;
	case HEADER_EXACT:
		return v.len == want.len && same(v.p, want.p, v.len, any_case);
	case HEADER_PREFIX:
		return v.len >= want.len &&
		    same(v.p, want.p, want.len, any_case);
	case HEADER_SUFFIX:
		return v.len >= want.len && same(v.p + v.len - want.len,
		    want.p, want.len, any_case);
	case HEADER_CONTAINS:
		return contains(v, want, any_case);
	case HEADER_RANGE:
		return in_range(v, m);
	}
	return false;
}

/* A missing header satisfies "present, inverted" and nothing else, unless it
 * counts as empty (envoy-xds.md 1.4, HeaderMatcher). */
bool
route_header_matches(const struct arena *a, const struct block_header_match *m,
    const struct headers *h)
{
	const struct block_text *name = arena_at(a, m->name);
	bool invert = m->flags & HEADER_INVERT;
	char room[JOINED_BYTES_MAX];
	struct text v = { "", 0 };

	if (!value_find(h, name->bytes, name->len, room, &v) &&
	    !(m->flags & HEADER_MISSING_AS_EMPTY))
		return m->kind == HEADER_PRESENT && invert;
	return route_value_matches(a, m, v) != invert;
}

bool
route_header_fits(const struct arena *a, const struct block_header_match *m,
    const struct headers *h)
{
	const struct block_text *name = arena_at(a, m->name);
	size_t bytes = 0;
	int n = 0;

	for (uint32_t i = 0; i < h->n; i++)
		if (has_name(&h->at[i], name->bytes, name->len)) {
			bytes += h->at[i].value_len + (n > 0);
			n++;
		}
	return n < 2 || bytes <= JOINED_BYTES_MAX;
}

/* ---- routes ---- */

static bool
path_matches(const struct arena *a, const struct block_route *r,
    struct text path)
{
	const char *want = block_text(a, r->path);
	bool any_case = r->flags & MATCH_ANY_CASE;

	if (path.len < r->path_len ||
	    !same(path.p, want, r->path_len, any_case))
		return false;
	switch ((enum match_kind)r->kind) {
	case MATCH_PREFIX:
		return true;
	case MATCH_PATH:
		return path.len == r->path_len;
	case MATCH_SEPARATED_PREFIX:
		return path.len == r->path_len || path.p[r->path_len] == '/';
	}
	return false;
}

static bool
route_matches(const struct arena *a, const struct block_route *r,
    struct text path, const struct headers *h)
{
	const struct block_header_matches *m;

	if (!path_matches(a, r, path))
		return false;
	if (r->flags & MATCH_GRPC && !route_is_grpc(h))
		return false;
	if (r->headers == 0)
		return true;
	m = arena_at(a, r->headers);
	for (uint32_t i = 0; i < m->n; i++)
		if (!route_header_matches(a, &m->at[i], h))
			return false;
	return true;
}

struct request {
	struct text	 path;
	const struct headers *headers;
};

/* The first of a node's routes that matches, if it comes before best. */
static uint32_t
node_match(const struct arena *a, const struct block_host *host,
    const uint32_t *next, uint32_t route, const struct request *r,
    uint32_t best)
{
	for (; route < best; route = next[route])
		if (route_matches(a, &host->routes[route], r->path,
		    r->headers))
			return route;
	return best;
}

static uint32_t
match_by_index(const struct arena *a, const struct block_host *host,
    const struct request *r)
{
	const struct block_route_index *x = arena_at(a, host->index);
	const struct block_route_node *nodes = block_route_nodes(x);
	const uint32_t *next = block_route_next(x);
	uint32_t best = BLOCK_NONE, node = route_index_find(a, host,
	    r->path.p, r->path.len);

	for (; node != BLOCK_NONE; node = nodes[node].link)
		best = node_match(a, host, next, nodes[node].route, r, best);
	return node_match(a, host, next, x->others, r, best);
}

static uint32_t
match_one_by_one(const struct arena *a, const struct block_host *host,
    const struct request *r)
{
	for (uint32_t i = 0; i < host->routes_n; i++)
		if (route_matches(a, &host->routes[i], r->path, r->headers))
			return i;
	return BLOCK_NONE;
}

const struct block_route *
route_find(const struct arena *a, const struct block_route_config *config,
    const struct headers *h)
{
	const struct header *authority = headers_find(h, HEADER_authority);
	const struct request r = { path_of(h), h };
	const struct block_host *host;
	uint32_t route;

	if (authority == NULL)
		authority = headers_find(h, HEADER_host);
	host = route_host_find(a, config, text_of(authority));
	if (host == NULL)
		return NULL;
	route = host->index == 0 ? match_one_by_one(a, host, &r) :
	    match_by_index(a, host, &r);
	return route == BLOCK_NONE ? NULL : &host->routes[route];
}

const struct block_share *
route_share(const struct block_split *b, uint64_t random)
{
	uint32_t i = 0, n = (uint32_t)(random % b->total);

	while (n >= b->shares[i].below)
		i++;
	return &b->shares[i];
}

int
route_is_grpc(const struct headers *h)
{
	static const char grpc[] = "application/grpc";
	struct text v = text_of(headers_find(h, HEADER_content_type));
	size_t len = sizeof(grpc) - 1;

	return v.len >= len && memcmp(v.p, grpc, len) == 0 &&
	    (v.len == len || v.p[len] == '+');
}
