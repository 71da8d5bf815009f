/*
 * xds/ems/push_request.c - what a request says: who it is, what it asks for,
 * and what it thinks of the response before.
 *
 *   nonce          none        the last       an older one
 *   says           asks        ACK or NACK    was under way: only delta's
 *                              (or both, one  names count
 *                              after another)
 *                              and asks
 *
 *   SotW names     none, never any    none, some before    "*"    others
 *   LDS, CDS       all (legacy)       nothing              all    those
 *   other kinds    nothing            nothing              all    those
 *
 * An ACK of SotW says all names again. They are looked at as bytes, and read
 * only when they are others than the last time.
 *
 * Source: xDS protocol document; reference/envoy-xds.md 2.2 to 2.5.
 * Test: t/unit/push.c.
 */
#include "xds/ems/push_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "shm/log.h"
#include "xds/load_inside.h"
#include "xds/proto/envoy/config/core.pb-c.h"
#include "xds/proto/envoy/service/discovery.pb-c.h"
#include "xds/wire.h"

typedef Envoy__Service__Discovery__V3__DiscoveryRequest SotwRequest;
typedef Envoy__Service__Discovery__V3__DeltaDiscoveryRequest DeltaRequest;
typedef Envoy__Service__Discovery__V3__DeltaDiscoveryRequest__InitialResourceVersionsEntry
    Held;
typedef Envoy__Config__Core__V3__Node Node;
typedef Google__Rpc__Status Status;

#define SOTW envoy__service__discovery__v3__discovery_request__descriptor
#define DELTA								\
	envoy__service__discovery__v3__delta_discovery_request__descriptor
#define NODE envoy__config__core__v3__node__descriptor

enum { REQUEST_BYTES_MAX = 64 << 20, NAME_BYTES_MAX = 4096 };

/* What both kinds of requests have. */
struct request {
	struct push	*push;
	struct load_arena *arena;
	const ProtobufCBinaryData *node;
	const char	*type_url, *nonce;
	const Status	*error;		/* or NULL */
	char		*why;
	size_t		 why_len;
	int64_t		 now_ms;
	enum resource_kind kind;
};

/* ---- who it is */

static int
no_memory(const struct request *r)
{
	return why_set(r->why, r->why_len, "no memory is left");
}

/* gRPC clients and Envoy use each kind as it comes (E4). */
static bool
is_ordered(const struct push *s, const Node *m)
{
	return s->settings.kind == -1 && strcmp(m->user_agent_name,
	    "godwit") != 0;
}

static int
node_read(struct request *r)
{
	struct push *s = r->push;
	const Node *m;
	struct push_node n;

	if (s->catalog != NULL)
		return 0;
	m = (const Node *)load_unpack(r->arena, &NODE, GUARD_LENIENT,
	    r->node->data, r->node->len, r->why, r->why_len);
	if (m == NULL)
		return -1;
	if (*m->id == '\0')
		return why_set(r->why, r->why_len, "the first request has no "
		    "node.id, expected the proxy's name");
	n = (struct push_node){ .id = m->id, .cluster = m->cluster,
	    .region = m->locality == NULL ? "" : m->locality->region,
	    .zone = m->locality == NULL ? "" : m->locality->zone,
	    .agent = m->user_agent_name, .metadata = m->metadata.data,
	    .metadata_len = m->metadata.len };
	s->ordered = is_ordered(s, m);
	s->catalog = s->events->node(s->arg, &n, r->why, r->why_len);
	return s->catalog == NULL ? -1 : 0;
}

/* 1: a type that we don't have: nothing to be said of it. */
static int
kind_read(struct request *r)
{
	int only = r->push->settings.kind, kind;

	if (*r->type_url == '\0' && only == -1)
		return why_set(r->why, r->why_len, "a request on a stream of "
		    "all kinds has no type_url");
	kind = *r->type_url == '\0' ? only : resource_kind_find(r->type_url);
	if (only != -1 && kind != only)
		return why_set(r->why, r->why_len, "\"%s\" is asked for on a "
		    "stream of %s alone", r->type_url,
		    resource_about((enum resource_kind)only)->acronym);
	r->kind = kind == -1 ? 0 : (enum resource_kind)kind;
	return kind == -1;
}

/* ---- ACK and NACK */

static void
refused(struct request *r, struct push_kind *k)
{
	const char *text = *r->error->message == '\0' ? "no reason given" :
	    r->error->message;

	k->refused_n++;
	(void)push_list_move(&k->refused, &k->last);
	k->pause_ms = k->pause_ms == 0 ? PUSH_AGAIN_MS : k->pause_ms * 2 >
	    PUSH_AGAIN_MAX_MS ? PUSH_AGAIN_MAX_MS : k->pause_ms * 2;
	k->again_ms = r->now_ms + k->pause_ms;
	free(k->why);
	k->why = strndup(text, 4096);
	r->push->events->refused(r->push->arg, r->kind, text);
}

/* True: it is of the last response, or the first of this kind. */
static bool
answer_read(struct request *r)
{
	struct push_kind *k = &r->push->kinds[r->kind];
	char nonce[24];

	/* Before the first response a nonce is of a stream before. */
	if (*r->nonce == '\0' || k->nonce == 0)
		return true;
	snprintf(nonce, sizeof(nonce), "%llu", (unsigned long long)k->nonce);
	if (strcmp(nonce, r->nonce) != 0)
		return false;
	if (!k->outstanding && r->error == NULL)
		return true;		/* another subscription */
	k->outstanding = false;
	k->answered = k->sent;
	if (r->error != NULL) {
		refused(r, k);
		return true;
	}
	k->accepted_n++;
	/* A listener may yet be refused: when its routes are there its address
	 * is bound. */
	if (r->kind != RESOURCE_LISTENER)
		push_list_drop(r->push, &k->last);
	if (!r->push->settings.delta && resource_about(r->kind)->whole)
		push_list_drop(r->push, &k->refused);
	if (k->refused.n == 0)
		k->pause_ms = k->again_ms = 0;
	free(k->why);
	k->why = NULL;
	return true;
}

/* ---- names */

static int
name_check(const struct request *r, const char *name)
{
	const struct push_kind *k = &r->push->kinds[r->kind];

	/* An empty one is a name that nothing has: no reason to end a stream
	 * with all its other kinds. */
	if (strlen(name) > NAME_BYTES_MAX)
		return why_set(r->why, r->why_len, "%s: a name of %zu bytes is "
		    "asked for, expected at most %d", resource_about(r->kind)->
		    acronym, strlen(name), NAME_BYTES_MAX);
	return k->names_n < PUSH_NAMES_MAX ? 0 : why_set(r->why, r->why_len,
	    "%s: more than %d names are asked for",
	    resource_about(r->kind)->acronym, PUSH_NAMES_MAX);
}

static void
wildcard_begin(struct push_kind *k)
{
	if (k->wildcard)
		return;
	k->wildcard = true;
	k->in_step = k->first && k->names_n == 0 && k->anew_n == 0;
	k->position = 0;		/* all of it is news */
}

/* A SotW request's bytes: its names (field 3), and the others; a message
 * each. */
struct bytes {
	uint8_t		*p;
	size_t		 n;
};
struct parts {
	struct bytes	 of[2];		/* [1]: names */
};

static void
append(struct bytes *to, const uint8_t *from, const uint8_t *end)
{
	memcpy(to->p + to->n, from, (size_t)(end - from));
	to->n += (size_t)(end - from);
}

static int
split(const struct request *r, const uint8_t *from, size_t n,
    struct parts *to)
{
	const uint8_t *at = from, *end = at + n, *run = at;
	bool is_name = false;
	struct wire_field f;

	for (int i = 0; i < 2; i++) {
		to->of[i] = (struct bytes){ load_alloc(r->arena, n + 1), 0 };
		if (to->of[i].p == NULL)
			return no_memory(r);
	}
	while (at < end) {
		if (!wire_take(&at, end, &f))
			return why_set(r->why, r->why_len, "byte %zu of a "
			    "request begins no field", (size_t)(f.from - from));
		if (is_name == (f.tag == WIRE_TAG(3)))
			continue;
		append(&to->of[is_name], run, f.from);
		run = f.from;
		is_name = !is_name;
	}
	append(&to->of[is_name], run, end);
	return 0;
}

static int
compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool
is_asked(const SotwRequest *m, const char *name)
{
	return m->n_resource_names > 0 && bsearch(&name, m->resource_names,
	    m->n_resource_names, sizeof(*m->resource_names), compare) != NULL;
}

/* Named before, and not any more. */
static void
names_leave(struct request *r, const SotwRequest *m)
{
	struct push_kind *k = &r->push->kinds[r->kind];
	struct catalog_entry **at = r->push->catalog->kinds[r->kind]->at;

	if (m->n_resource_names > 0)
		qsort(m->resource_names, m->n_resource_names,
		    sizeof(*m->resource_names), compare);
	for (uint32_t i = 0; i < k->cells_n; i++) {
		const char *name = (k->cells[i] & CELL_NAMED) != 0 ?
		    at[i]->name : NULL;

		if (name != NULL && !is_asked(m, name))
			push_unsubscribe(r->push, r->kind, name);
	}
}

static int
name_take(struct request *r, const char *name)
{
	struct push *s = r->push;
	const struct catalog_entry *e = catalog_find(s->catalog, r->kind,
	    name);

	if (e != NULL && (push_cell_of(&s->kinds[r->kind], e) &
	    CELL_NAMED) != 0)
		return 0;		/* as before */
	if (name_check(r, name) < 0)
		return -1;
	return push_subscribe(s, r->kind, name) ? 0 : no_memory(r);
}

static int
sotw_names(struct request *r, const struct bytes *names)
{
	struct push_kind *k = &r->push->kinds[r->kind];
	uint64_t hash = XXH3_64bits(names->p, names->n);
	const SotwRequest *m;
	bool star;

	if (k->asked && hash == k->names_hash)
		return 0;
	m = (const SotwRequest *)load_unpack(r->arena, &SOTW, GUARD_LENIENT,
	    names->p, names->n, r->why, r->why_len);
	if (m == NULL)
		return -1;
	k->names_hash = hash;
	star = m->n_resource_names == 0 && !k->named &&
	    resource_about(r->kind)->whole;
	k->named = k->named || m->n_resource_names > 0;
	names_leave(r, m);
	for (size_t i = 0; i < m->n_resource_names; i++) {
		if (strcmp(m->resource_names[i], "*") == 0)
			star = true;
		else if (name_take(r, m->resource_names[i]) < 0)
			return -1;
	}
	if (star)
		wildcard_begin(k);
	else if (k->wildcard)
		push_narrow(r->push, r->kind);
	return 0;
}

/* ---- delta */

/* What it has of a stream before this one. */
static bool
held(struct push *s, enum resource_kind kind, const Held *h)
{
	struct catalog_entry *e = catalog_hold(s->catalog, kind, h->key);
	struct push_kind *k = &s->kinds[kind];
	push_cell cell;
	bool good = true;

	if (e == NULL)
		return false;
	cell = push_cell_of(k, e);
	if (!k->wildcard && (cell & CELL_NAMED) == 0)
		;			/* it is not asked for */
	else if (e->body == NULL)
		good = push_gone_anew(s, e);
	else if (strcmp(e->body->version, h->value) == 0)
		good = push_cell_has(s, e);
	else				/* another one: it may yet go */
		good = push_cell_set(s, e, (cell & CELL_FLAGS) |
		    (push_cell_number(e) == CELL_NUMBER ? 2 * CELL_NUMBER :
		    CELL_NUMBER));
	catalog_drop(s->catalog, e);
	return good;
}

static int
delta_names(struct request *r, const DeltaRequest *m)
{
	struct push *s = r->push;
	struct push_kind *k = &s->kinds[r->kind];

	if (!k->asked && m->n_resource_names_subscribe == 0 &&
	    resource_about(r->kind)->whole)
		wildcard_begin(k);
	for (size_t i = 0; i < m->n_resource_names_subscribe; i++) {
		const char *name = m->resource_names_subscribe[i];

		if (strcmp(name, "*") == 0)
			wildcard_begin(k);
		else if (name_check(r, name) < 0)
			return -1;
		else if (!push_subscribe(s, r->kind, name))
			return no_memory(r);
	}
	for (size_t i = 0; i < m->n_resource_names_unsubscribe; i++) {
		const char *name = m->resource_names_unsubscribe[i];

		if (strcmp(name, "*") != 0)
			push_unsubscribe(s, r->kind, name);
		else if (k->wildcard)
			push_narrow(s, r->kind);
	}
	if (!k->asked && m->n_initial_resource_versions > 0)
		k->in_step = false;
	for (size_t i = 0; !k->asked && i < m->n_initial_resource_versions;
	    i++)
		if (!held(s, r->kind, m->initial_resource_versions[i]))
			return no_memory(r);
	return 0;
}

/* ---- both */

/* 1: nothing is asked for. */
static int
head_read(struct request *r)
{
	return node_read(r) < 0 ? -1 : kind_read(r);
}

static int
sotw_feed(struct request *r, const uint8_t *bytes, size_t n)
{
	const SotwRequest *m;
	struct parts parts;
	int rc;

	if (split(r, bytes, n, &parts) < 0)
		return -1;
	m = (const SotwRequest *)load_unpack(r->arena, &SOTW, GUARD_LENIENT,
	    parts.of[0].p, parts.of[0].n, r->why, r->why_len);
	if (m == NULL)
		return -1;
	r->node = &m->node;
	r->type_url = m->type_url;
	r->nonce = m->response_nonce;
	r->error = m->error_detail;
	if ((rc = head_read(r)) != 0)
		return rc;
	return answer_read(r) ? sotw_names(r, &parts.of[1]) : 0;
}

static int
delta_feed(struct request *r, const uint8_t *bytes, size_t n)
{
	const DeltaRequest *m = (const DeltaRequest *)load_unpack(r->arena,
	    &DELTA, GUARD_LENIENT, bytes, n, r->why, r->why_len);
	int rc;

	if (m == NULL)
		return -1;
	r->node = &m->node;
	r->type_url = m->type_url;
	r->nonce = m->response_nonce;
	r->error = m->error_detail;
	if ((rc = head_read(r)) != 0)
		return rc;
	(void)answer_read(r);
	return delta_names(r, m);
}

int
push_feed(struct push *s, const uint8_t *request, size_t n,
    int64_t now_ms, char *why, size_t why_len)
{
	struct request r = { .push = s, .why = why, .why_len = why_len,
	    .now_ms = now_ms, .arena = load_arena_new(REQUEST_BYTES_MAX) };
	int rc;

	if (r.arena == NULL)
		return no_memory(&r);
	rc = s->settings.delta ? delta_feed(&r, request, n) :
	    sotw_feed(&r, request, n);
	if (rc == 0)
		s->kinds[r.kind].asked = true;
	load_arena_free(r.arena);
	return rc < 0 ? -1 : 0;
}
