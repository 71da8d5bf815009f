/* shm/verify.c - see verify.h. */
#include "shm/verify.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "shm/log.h"

enum { SEEN_FIRST = 1024 };		/* a power of two, as all later */

/* What was looked at: an open hash table at most half full. 0 = free. */
struct seen {
	uint64_t	*at;
	size_t		 n, room;
};

struct verifier {
	const struct arena *arena;
	const struct arena *secrets;	/* NULL: keys are not looked for */
	uint64_t	 bytes_left;
	struct seen	 seen;
	struct {
		enum block_kind	kind;
		block_ref	ref;
	}		 path[BLOCK_KINDS];	/* K1: no deeper than this */
	int		 depth;
	const char	*wrong;
};

/* ---- what was looked at */

static size_t
seen_place(const struct seen *s, uint64_t key)
{
	size_t i = (size_t)((key * 0x9e3779b97f4a7c15ull) >> 20) &
	    (s->room - 1);

	while (s->at[i] != 0 && s->at[i] != key)
		i = (i + 1) & (s->room - 1);
	return i;
}

static bool
seen_grow(struct seen *s)
{
	struct seen more = { .n = s->n,
	    .room = s->room == 0 ? SEEN_FIRST : s->room * 2 };

	more.at = calloc(more.room, sizeof(*more.at));
	if (more.at == NULL)
		return false;
	for (size_t i = 0; i < s->room; i++)
		if (s->at[i] != 0)
			more.at[seen_place(&more, s->at[i])] = s->at[i];
	free(s->at);
	*s = more;
	return true;
}

/* 0: new, and remembered. 1: seen before. -1: no memory. */
static int
seen_add(struct seen *s, enum block_kind kind, block_ref ref)
{
	uint64_t key = ((uint64_t)ref << 8 | kind) + 1;
	size_t i;

	if (s->n * 2 >= s->room && !seen_grow(s))
		return -1;
	i = seen_place(s, key);
	if (s->at[i] != 0)
		return 1;
	s->at[i] = key;
	s->n++;
	return 0;
}

/* ---- what a block can't tell of itself: its neighbours are whole by then */

static const void *
at(const struct verifier *v, block_ref ref)
{
	return arena_at(v->arena, ref);
}

static bool
is_lower(const struct block_text *t)
{
	for (uint32_t i = 0; i < t->len; i++)
		if (t->bytes[i] >= 'A' && t->bytes[i] <= 'Z')
			return false;
	return true;
}

static const char *
listeners_check(const struct verifier *v, const void *p)
{
	const struct block_list *all = p;
	uint64_t taken = 0;

	_Static_assert(LISTENERS_MAX <= 64, "a bit each");
	for (uint32_t i = 0; i < all->n; i++) {
		const struct block_listener *l = at(v, all->at[i]);

		if (taken & (uint64_t)1 << l->slot)
			return "two of them have one slot";
		taken |= (uint64_t)1 << l->slot;
	}
	return NULL;
}

static bool
is_server(const struct verifier *v, block_ref tls)
{
	return ((const struct block_tls *)at(v, tls))->server == 1;
}

static const char *
chain_check(const struct verifier *v, const void *p)
{
	const struct block_chain *c = p;

	return c->tls == 0 || is_server(v, c->tls) ? NULL :
	    "its TLS settings are a client's";
}

static const char *
cluster_check(const struct verifier *v, const void *p)
{
	const struct block_cluster *c = p;

	return c->tls == 0 || !is_server(v, c->tls) ? NULL :
	    "its TLS settings are a server's";
}

static const char *
domains_check(const struct verifier *v, const void *p)
{
	const struct block_route_config *b = p;
	const struct block_list *hosts = at(v, b->hosts);

	for (uint32_t i = 0; i < b->domains_n; i++) {
		const struct block_domain *d = &b->domains[i];
		const struct block_text *t = at(v, d->text);

		if (d->len != t->len)
			return "a domain has not the length of its text";
		if (d->host >= hosts->n)
			return "a domain's virtual host is beyond the last";
		if (!is_lower(t))
			return "a domain is not in lower case";
	}
	return NULL;
}

static const char *
routes_check(const struct verifier *v, const void *p)
{
	const struct block_host *h = p;

	for (uint32_t i = 0; i < h->routes_n; i++) {
		const struct block_route *r = &h->routes[i];
		const struct block_text *path = at(v, r->path);

		if (r->path_len != path->len)
			return "a route has not the length of its path";
		if (r->flags & MATCH_ANY_CASE && !is_lower(path))
			return "a route of any case is not in lower case";
	}
	if (h->index != 0)
		return block_index_fits(at(v, h->index), h);
	return NULL;
}

static const char *
header_check(const struct verifier *v, const struct block_header_match *m)
{
	if (m->name != 0 && !is_lower(at(v, m->name)))
		return "a header's name is not in lower case";
	if (m->flags & HEADER_ANY_CASE && m->value != 0 &&
	    !is_lower(at(v, m->value)))
		return "a value of any case is not in lower case";
	return NULL;
}

static const char *
headers_check(const struct verifier *v, const void *p)
{
	const struct block_header_matches *h = p;
	const char *wrong = NULL;

	for (uint32_t i = 0; i < h->n && wrong == NULL; i++)
		wrong = header_check(v, &h->at[i]);
	return wrong;
}

static const char *
rbac_rules_check(const struct verifier *v, const void *p)
{
	const struct block_rbac_rules *b = p;
	const char *wrong = NULL;

	for (uint32_t i = 0; i < b->nodes_n && wrong == NULL; i++)
		wrong = header_check(v, &b->nodes[i].match);
	return wrong;
}

static const char *
pages_check(const struct verifier *v, const void *p)
{
	const struct block_list *pages = p;

	for (uint32_t slot = 0; slot < pages->n * PAGE_SLOTS; slot++) {
		block_ref ref = pages->at[slot / PAGE_SLOTS];

		if (ref == 0)
			continue;
		ref = ((const struct block_list *)
		    at(v, ref))->at[slot % PAGE_SLOTS];
		if (ref != 0 && ((const struct block_cluster *)
		    at(v, ref))->slot != slot)
			return "a cluster is not at its slot";
	}
	return NULL;
}

static const char *
key_check(const struct verifier *v, const void *p)
{
	const struct block_tls *tls = p;
	uint64_t off = (uint64_t)tls->private_key * ARENA_UNIT_BYTES;
	const void *key;

	if (tls->private_key == 0 || v->secrets == NULL)
		return NULL;
	if (off < ARENA_CONTROL_BYTES || off >= v->secrets->size_bytes)
		return "its key lies outside the arena of secrets";
	key = arena_at(v->secrets, tls->private_key);
	if (block_kind_bytes(BLOCK_TEXT, key, v->secrets->size_bytes - off)
	    == 0)
		return "its key reaches beyond the arena of secrets";
	return block_kind_check(BLOCK_TEXT, key) == NULL ? NULL :
	    "its key does not end";
}

static const char *(*const neighbours[BLOCK_KINDS])(const struct verifier *v,
    const void *p) = {
	[BLOCK_LISTENERS] = listeners_check,
	[BLOCK_CHAIN] = chain_check,
	[BLOCK_ROUTE_CONFIG] = domains_check,
	[BLOCK_HOST] = routes_check,
	[BLOCK_HEADER_MATCHES] = headers_check,
	[BLOCK_RBAC_RULES] = rbac_rules_check,
	[BLOCK_PAGES] = pages_check,
	[BLOCK_CLUSTER] = cluster_check,
	[BLOCK_TLS] = key_check,
};

/* ---- the walk */

/* The block's own bytes: all inside, and within what is left. NULL: v->wrong
 * says why not. */
static const void *
block_find(struct verifier *v, enum block_kind kind, block_ref ref)
{
	uint64_t off = (uint64_t)ref * ARENA_UNIT_BYTES, n;

	v->wrong = "it lies in the control page";
	if (off < ARENA_CONTROL_BYTES)
		return NULL;
	v->wrong = "it lies outside the arena";
	if (off >= v->arena->size_bytes)
		return NULL;
	n = block_kind_bytes(kind, at(v, ref), v->arena->size_bytes - off);
	v->wrong = "it reaches beyond the arena";
	if (n == 0)
		return NULL;
	n = (n + ARENA_UNIT_BYTES - 1) / ARENA_UNIT_BYTES * ARENA_UNIT_BYTES;
	v->wrong = "with it there are more bytes than were written";
	if (n > v->bytes_left)
		return NULL;
	v->bytes_left -= n;
	return at(v, ref);
}

static int	visit(void *arg, enum block_kind kind, block_ref ref);

/* Itself, then what it names, then whether they fit together. */
static int
block_verify(struct verifier *v, enum block_kind kind, block_ref ref)
{
	const void *p = block_find(v, kind, ref);

	if (p == NULL)
		return -1;
	v->wrong = block_kind_check(kind, p);
	if (v->wrong != NULL || block_kind_look(kind, p, visit, v) != 0)
		return -1;
	if (neighbours[kind] != NULL)
		v->wrong = neighbours[kind](v, p);
	return v->wrong == NULL ? 0 : -1;
}

/* On -1 the path stays as it is: it is part of why. */
static int
visit(void *arg, enum block_kind kind, block_ref ref)
{
	struct verifier *v = arg;
	int seen = seen_add(&v->seen, kind, ref);

	assert(v->depth < BLOCK_KINDS);
	v->path[v->depth].kind = kind;
	v->path[v->depth++].ref = ref;
	v->wrong = "no memory is left to look at it";
	if (seen == -1 || (seen == 0 && block_verify(v, kind, ref) == -1))
		return -1;
	v->depth--;
	v->wrong = NULL;
	return 0;
}

static int
explain(const struct verifier *v, char *why, size_t why_len)
{
	char path[512] = "";
	int n = 0;

	for (int i = 0; i < v->depth && n < (int)sizeof(path); i++)
		n += snprintf(path + n, sizeof(path) - (size_t)n, "%s%s",
		    i == 0 ? "" : " > ", block_kind_name(v->path[i].kind));
	return why_set(why, why_len, "%s at 0x%llx: %s", path,
	    (unsigned long long)v->path[v->depth - 1].ref * ARENA_UNIT_BYTES,
	    v->wrong);
}

int
verify(const struct arena *a, const struct arena *secrets, block_ref root,
    uint64_t bytes_max, char *why, size_t why_len)
{
	struct verifier v = { .arena = a, .secrets = secrets,
		.bytes_left = bytes_max };
	int rc = visit(&v, BLOCK_ROOT, root);

	if (rc == -1)
		explain(&v, why, why_len);
	free(v.seen.at);
	return rc;
}
