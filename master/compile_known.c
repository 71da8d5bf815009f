/*
 * master/compile_known.c - an assignment of which most was compiled before:
 * only the endpoints that are new in it are decoded.
 *
 *   before   | name | E1 E2 E3 E4 | E5 |    known of each: address, weight,
 *                      =  =     =    =      whether it can be picked
 *   now      | name | E1 E2 X  E4 | E5 |
 *   decoded  | name |       X     |    |
 *
 * Endpoints are compared as bytes, in their order; one that is not where it is
 * expected is looked for a little further on. The rest of the assignment is
 * decoded and checked as ever. Names are asked only for what leaves and comes,
 * if the cluster's endpoints are still those that were compiled.
 *
 * Invariants
 *   K1  What is known of an endpoint depends on its bytes alone, but for its
 *       id, which is believed only while the cluster has the same set.
 *   K2  What comes of it is what the whole assignment would have come to, a
 *       refusal's words too: whatever is odd, or refused, or mostly new, is
 *       decoded whole.
 *   K3  The endpoints in what was decoded are those that are not known, each
 *       in its locality: wire_take sees what protobuf-c sees.
 *
 * Why: guard, protobuf-c and the rules take 85 % of a change (t/bench/giant).
 * Test: t/unit/known.c.
 */
#include "master/compile_parts.h"

#include <stdlib.h>
#include <string.h>

#include "shm/log.h"
#include "xds/guard.h"
#include "xds/wire.h"

enum {
	BYTES_MIN = 4096,		/* a hundred endpoints: fewer are cheap */
	BYTES_MAX = GUARD_FIELDS_MAX,	/* so that guard's sum can't matter */
	AHEAD = 64, AHEAD_MAX = 512,	/* how far an endpoint is looked for */
	LENGTH_BYTES = 5,
	LOCALITY_TAG = WIRE_TAG(2),	/* ClusterLoadAssignment.endpoints */
	ENDPOINT_TAG = WIRE_TAG(2),	/* LocalityLbEndpoints.lb_endpoints */
};

struct reader {
	const uint8_t	*bytes;
	const struct compile_known *before;	/* NULL: too little is known */
	struct compile_known *now;
	size_t		 cap;		/* of now */
	size_t		 next;		/* of before: the one expected here */
	size_t		 missed;	/* in a row */
	uint32_t	 localities;	/* so far */
	uint8_t		*out;		/* what is to be decoded */
	size_t		 out_n, out_cap;
};

void
compile_known_free(struct compile_known *k)
{
	free(k);
}

void
compile_known_move(struct compile_known **to, const uint8_t *bytes,
    struct compile_known **from)
{
	*to = *from;
	*from = NULL;
	if (*to != NULL)
		(*to)->bytes = bytes;
}

/* ---- what is to be decoded */

/* More than there is room for: mostly new. */
static void
out_put(struct reader *r, const uint8_t *bytes, size_t n)
{
	if (n > r->out_cap - r->out_n)
		r->before = NULL;
	if (r->before == NULL)
		return;
	memcpy(r->out + r->out_n, bytes, n);
	r->out_n += n;
}

/* A length that is not known yet has all the bytes that one may have. */
static void
length_put(uint8_t *to, size_t n)
{
	for (int i = 0; i < LENGTH_BYTES; i++, n >>= 7)
		to[i] = (uint8_t)((n & 0x7f) | (i < LENGTH_BYTES - 1 ? 0x80 :
		    0));
}

/* ---- what is known */

static bool
is_same(const struct reader *r, const struct known_endpoint *e,
    const struct wire_field *f)
{
	return e->len == f->len && memcmp(r->before->bytes + e->at, f->data,
	    f->len) == 0;
}

/* The one with these bytes, in before. */
static const struct known_endpoint *
find(struct reader *r, const struct wire_field *f)
{
	const struct compile_known *k = r->before;
	size_t ahead = r->missed + AHEAD < AHEAD_MAX ? r->missed + AHEAD :
	    AHEAD_MAX;

	for (size_t i = r->next; i < k->n && i - r->next < ahead; i++)
		if (is_same(r, &k->all[i], f)) {
			r->next = i + 1;
			r->missed = 0;
			return &k->all[i];
		}
	r->missed++;
	return NULL;
}

/* ---- reading */

/* For one endpoint more. False: no memory. */
static bool
room(struct reader *r)
{
	size_t cap = r->cap * 2 + 256;
	struct compile_known *to;

	if (r->now != NULL && r->now->n < r->cap)
		return true;
	to = realloc(r->now, sizeof(*to) + cap * sizeof(to->all[0]));
	if (to == NULL)
		return false;
	if (r->now == NULL)
		*to = (struct compile_known){ .bytes = r->bytes };
	r->now = to;
	r->cap = cap;
	return true;
}

static bool
read_endpoint(struct reader *r, const struct wire_field *f)
{
	const struct known_endpoint *e;
	struct known_endpoint *to;

	if (!room(r))
		return false;
	to = &r->now->all[r->now->n++];
	e = r->before == NULL ? NULL : find(r, f);
	*to = e == NULL ? (struct known_endpoint){ 0 } : *e;
	to->at = (uint32_t)(f->data - r->bytes);
	to->len = (uint32_t)f->len;
	to->locality = r->localities;
	to->known = e != NULL;
	return true;
}

static bool
read_locality(struct reader *r, const struct wire_field *locality)
{
	static const uint8_t head[1 + LENGTH_BYTES] = { LOCALITY_TAG };
	const uint8_t *at = locality->data, *end = at + locality->len;
	struct wire_field f;
	size_t from;

	out_put(r, head, sizeof(head));
	from = r->out_n;
	while (at < end) {
		if (!wire_take(&at, end, &f) ||
		    (f.tag == ENDPOINT_TAG && !read_endpoint(r, &f)))
			return false;
		if (f.tag != ENDPOINT_TAG || !r->now->all[r->now->n - 1].known)
			out_put(r, f.from, (size_t)(at - f.from));
	}
	if (r->before != NULL)
		length_put(r->out + from - LENGTH_BYTES, r->out_n - from);
	r->localities++;
	return true;
}

/* False: it is odd, or there is no memory. */
static bool
read_all(struct reader *r, const struct compile_answer *a)
{
	const uint8_t *at = a->bytes, *end = at + a->len;
	struct wire_field f;

	if (a->known == NULL || a->len < BYTES_MIN || a->len > BYTES_MAX)
		return false;
	r->bytes = a->bytes;
	r->before = *a->known != NULL ? *a->known : a->before;
	r->out_cap = a->len / 4;
	if (r->before != NULL && (r->out = malloc(r->out_cap)) == NULL)
		return false;
	while (at < end) {
		if (!wire_take(&at, end, &f) ||
		    (f.tag == LOCALITY_TAG && !read_locality(r, &f)))
			return false;
		if (f.tag != LOCALITY_TAG)
			out_put(r, f.from, (size_t)(at - f.from));
	}
	return r->now != NULL;
}

/* ---- names */

/* Those of before that are not in now leave; ids stand in the same order in
 * both. False: no memory. */
static bool
leave(struct compiler *c, const struct reader *r, struct name_id cluster)
{
	const struct compile_known *k = r->before;
	size_t j = 0;

	for (size_t i = 0; i < k->n; i++) {
		while (j < r->now->n && !r->now->all[j].known)
			j++;
		if (j < r->now->n && r->now->all[j].id.id == k->all[i].id.id)
			j++;
		else if (!names_leave(c->names, cluster, &k->all[i].address))
			return false;
	}
	return true;
}

/* ---- compiling */

static const ProtobufCMessage *
message_open(struct compiler *c, const uint8_t *bytes, size_t len)
{
	const ProtobufCMessage *m;
	char why[512];

	m = load_any(c->memory, resource_about(RESOURCE_ENDPOINT)->message,
	    bytes, len, why, sizeof(why));
	if (m == NULL)
		why_set(c->why, c->why_len, "%s", why);
	return m;
}

/* What is not known, and all that is. */
static int
compile_partly(struct compiler *c, const struct at *at,
    const struct reader *r, struct assignment *from,
    const struct at *cluster_at, const Cluster *m, struct name_id cluster,
    block_ref *ref)
{
	from->m = (const LoadAssignment *)message_open(c, r->out, r->out_n);
	from->amends = r->before->set == names_set(c->names, cluster);
	if (from->m == NULL || (from->amends && (!names_amend(c->names,
	    cluster) || !leave(c, r, cluster))))
		return -1;
	return compile_endpoints(c, at, from, cluster_at, m, cluster, ref);
}

static int
compile_wholly(struct compiler *c, const struct at *at,
    const struct compile_answer *a, struct assignment *from,
    const struct at *cluster_at, const Cluster *m, struct name_id cluster,
    block_ref *ref)
{
	for (size_t i = 0; from->known != NULL && i < from->known->n; i++)
		from->known->all[i].known = false;
	from->partly = from->amends = false;
	from->m = (const LoadAssignment *)message_open(c, a->bytes, a->len);
	return from->m == NULL ? -1 : compile_endpoints(c, at, from,
	    cluster_at, m, cluster, ref);
}

int
compile_assignment(struct compiler *c, const struct at *at,
    const struct compile_answer *a, const struct at *cluster_at,
    const Cluster *m, struct name_id cluster, block_ref *ref)
{
	const struct compiler_mark mark = compiler_mark(c);
	struct reader r = { 0 };
	bool read = read_all(&r, a);
	struct assignment from = { .known = read ? r.now : NULL,
	    .partly = read && r.before != NULL };
	int rc = -1;

	if (from.partly && (rc = compile_partly(c, at, &r, &from, cluster_at,
	    m, cluster, ref)) == -1)
		compiler_rollback(c, &mark);
	if (rc == -1)
		rc = compile_wholly(c, at, a, &from, cluster_at, m, cluster,
		    ref);
	free(r.out);
	if (rc == 0 && read && (*a->known == NULL || from.amends)) {
		r.now->set = names_set(c->names, cluster);
		compile_known_free(*a->known);
		*a->known = r.now;
	} else
		free(r.now);
	return rc;
}
