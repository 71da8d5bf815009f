/*
 * master/names.c - see names.h. Chained hash tables, one per kind, and a map
 * of free ids.
 *
 * Rounds count names_begin and names_retake. When a name was last taken says
 * what commit does with it; what a part changed, oldest first, is in undo[].
 */
#include "master/names.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <xxhash.h>

#include "shm/block.h"

struct name {
	struct name	*next;
	LIST_ENTRY(name) sibling;	/* of an endpoint: in its cluster */
	LIST_HEAD(, name) endpoints;	/* of a cluster */
	uint64_t	 hash;
	uint64_t	 taken;		/* last, in this round */
	uint64_t	 since;		/* the stage that made it */
	uint64_t	 retaken;	/* the endpoints of a cluster, last */
	uint64_t	 set;		/* names_set */
	bool		 touched;	/* by this part: dropped, left, retaken */
	bool		 dropped;
	struct name_id	 id;
	size_t		 key_len;
	uint8_t		 key[];
};

struct table {
	struct name	**buckets;	/* buckets_n: 0 or a power of two */
	size_t		 buckets_n, names_n;
	uint64_t	*used;		/* a bit per id */
	uint32_t	 ids_max, lowest;	/* no id below lowest is free */
};

/* What a part did, and how it was before. */
struct undo {
	struct name	*name;
	enum names_kind	 kind;
	bool		 made;		/* it was not there */
	bool		 touched, dropped;
	uint64_t	 taken, retaken, set;
	uint32_t	 tag;		/* the last one given */
};

struct names {
	struct table	 tables[NAMES_KINDS];
	uint64_t	 round, stage;	/* stage: the round of its begin */
	uint32_t	 tag, tag_before;	/* the last one given */
	bool		 open;		/* between begin and commit or abort */
	bool		 part;		/* what is not taken stays */
	struct undo	*undo;
	size_t		 undo_n, undo_cap;
	struct name	**clusters;	/* by id; NULL: nobody's */
};

/* An endpoint's key. */
struct endpoint_key {
	uint32_t	cluster_tag;
	struct block_address address;
};

static const uint32_t ids_max[NAMES_KINDS] = {
	[NAMES_LISTENER] = LISTENERS_MAX,
	[NAMES_CLUSTER] = CLUSTERS_MAX,
	[NAMES_ENDPOINT] = ENDPOINTS_MAX,
};

struct names *
names_new(void)
{
	struct names *n = calloc(1, sizeof(*n));
	struct table *t;
	int kind;

	if (n == NULL)
		return NULL;
	n->clusters = calloc(CLUSTERS_MAX, sizeof(struct name *));
	if (n->clusters == NULL) {
		names_free(n);
		return NULL;
	}
	for (kind = 0; kind < NAMES_KINDS; kind++) {
		t = &n->tables[kind];
		t->ids_max = ids_max[kind];
		t->used = calloc(t->ids_max / 64, sizeof(*t->used));
		if (t->used == NULL) {
			names_free(n);
			return NULL;
		}
	}
	return n;
}

static void
table_fini(struct table *t)
{
	struct name *name, *next;
	size_t i;

	for (i = 0; i < t->buckets_n; i++)
		for (name = t->buckets[i]; name != NULL; name = next) {
			next = name->next;
			free(name);
		}
	free(t->buckets);
	free(t->used);
}

void
names_free(struct names *n)
{
	int kind;

	if (n == NULL)
		return;
	for (kind = 0; kind < NAMES_KINDS; kind++)
		table_fini(&n->tables[kind]);
	free(n->clusters);
	free(n->undo);
	free(n);
}

/* The lowest free id becomes used; false: there is none. */
static bool
id_get(struct table *t, uint32_t *id)
{
	uint32_t word = t->lowest / 64, bit;

	while (word < t->ids_max / 64 && t->used[word] == UINT64_MAX)
		word++;
	if (word == t->ids_max / 64) {
		t->lowest = t->ids_max;
		return false;
	}
	bit = (uint32_t)__builtin_ctzll(~t->used[word]);
	t->used[word] |= 1ull << bit;
	*id = word * 64 + bit;
	t->lowest = *id + 1;
	return true;
}

/* This id becomes used; false: it is, or there is none. */
static bool
id_set(struct table *t, uint32_t id)
{
	if (id >= t->ids_max || (t->used[id / 64] >> (id % 64) & 1) == 1)
		return false;
	t->used[id / 64] |= 1ull << (id % 64);
	return true;
}

static void
id_put(struct table *t, uint32_t id)
{
	assert((t->used[id / 64] >> (id % 64) & 1) == 1);
	t->used[id / 64] &= ~(1ull << (id % 64));
	if (id < t->lowest)
		t->lowest = id;
}

/* Doubles the buckets when there is a name in each. */
static bool
table_grow(struct table *t)
{
	size_t i, n = t->buckets_n == 0 ? 64 : t->buckets_n * 2;
	struct name **to, *name, *next;

	if (t->names_n < t->buckets_n)
		return true;
	if ((to = calloc(n, sizeof(struct name *))) == NULL)
		return false;
	for (i = 0; i < t->buckets_n; i++)
		for (name = t->buckets[i]; name != NULL; name = next) {
			next = name->next;
			name->next = to[name->hash & (n - 1)];
			to[name->hash & (n - 1)] = name;
		}
	free(t->buckets);
	t->buckets = to;
	t->buckets_n = n;
	return true;
}

static struct name *
table_find(const struct table *t, uint64_t hash, const void *key,
    size_t key_len)
{
	struct name *name;

	if (t->buckets_n == 0)
		return NULL;
	name = t->buckets[hash & (t->buckets_n - 1)];
	for (; name != NULL; name = name->next)
		if (name->hash == hash && name->key_len == key_len &&
		    memcmp(name->key, key, key_len) == 0)
			return name;
	return NULL;
}

/* With an id that is the lowest free one, or the one that *want says. */
static struct name *
table_add(struct table *t, uint64_t hash, const void *key, size_t key_len,
    const struct name_id *want)
{
	struct name *name, **at;

	if (!table_grow(t) ||
	    (name = calloc(1, sizeof(*name) + key_len)) == NULL)
		return NULL;
	if (want != NULL ? !id_set(t, want->id) : !id_get(t, &name->id.id)) {
		free(name);
		return NULL;
	}
	if (want != NULL)
		name->id = *want;
	name->hash = hash;
	name->key_len = key_len;
	memcpy(name->key, key, key_len);
	at = &t->buckets[hash & (t->buckets_n - 1)];
	name->next = *at;
	*at = name;
	t->names_n++;
	return name;
}

/* ---- freeing */

static void
name_end(struct names *n, enum names_kind kind, struct name *name)
{
	struct table *t = &n->tables[kind];
	struct name **at = &t->buckets[name->hash & (t->buckets_n - 1)];

	while (*at != name)
		at = &(*at)->next;
	*at = name->next;
	if (kind == NAMES_ENDPOINT)
		LIST_REMOVE(name, sibling);
	if (kind == NAMES_CLUSTER) {
		assert(LIST_EMPTY(&name->endpoints));
		n->clusters[name->id.id] = NULL;
	}
	id_put(t, name->id.id);
	t->names_n--;
	free(name);
}

/* Frees a name that this stage did not take (commit), or that it made
 * (abort). */
static void
name_sweep(struct names *n, enum names_kind kind, struct name *name,
    bool commit)
{
	if (commit ? name->taken < n->stage : name->since == n->stage)
		name_end(n, kind, name);
}

static void
table_sweep(struct names *n, enum names_kind kind, bool commit)
{
	struct table *t = &n->tables[kind];
	struct name *name, *next;
	size_t i;

	for (i = 0; i < t->buckets_n; i++)
		for (name = t->buckets[i]; name != NULL; name = next) {
			next = name->next;
			name_sweep(n, kind, name, commit);
		}
}

/* Those of a cluster that were last taken before round. */
static void
endpoints_sweep(struct names *n, struct name *cluster, uint64_t round)
{
	struct name *name, *next;

	for (name = LIST_FIRST(&cluster->endpoints); name != NULL;
	    name = next) {
		next = LIST_NEXT(name, sibling);
		if (name->taken < round)
			name_end(n, NAMES_ENDPOINT, name);
	}
}

/* Each touched name once, however often it is among the undos (made, retaken
 * and dropped in one part): endpoints that left, those that were not taken
 * anew, then names that go. */
static void
part_commit(struct names *n)
{
	const struct undo *u;
	size_t kept = 0;

	for (size_t i = 0; i < n->undo_n; i++)
		if (n->undo[i].name->touched) {
			n->undo[i].name->touched = false;
			n->undo[kept++] = n->undo[i];
		}
	for (u = n->undo; u < n->undo + kept; u++)
		if (u->kind == NAMES_ENDPOINT && u->name->dropped)
			name_end(n, u->kind, u->name);
	for (u = n->undo; u < n->undo + kept; u++)
		if (u->kind == NAMES_CLUSTER)
			endpoints_sweep(n, u->name, u->name->dropped ?
			    UINT64_MAX : u->name->retaken);
	for (u = n->undo; u < n->undo + kept; u++)
		if (u->kind != NAMES_ENDPOINT && u->name->dropped)
			name_end(n, u->kind, u->name);
	n->undo_n = 0;
}

/* Endpoints first: they are in their cluster's list. */
static void
sweep(struct names *n, bool commit)
{
	int kind;

	for (kind = NAMES_KINDS - 1; kind >= 0; kind--)
		table_sweep(n, (enum names_kind)kind, commit);
}

/* ---- a stage */

void
names_begin(struct names *n)
{
	assert(!n->open);
	n->open = true;
	n->part = false;
	n->stage = ++n->round;
	n->tag_before = n->tag;
}

void
names_begin_part(struct names *n)
{
	names_begin(n);
	n->part = true;
	n->undo_n = 0;
}

/* How the name was, before it changes. False: no memory, which refuses all
 * that follows. */
static bool
undo_put(struct names *n, enum names_kind kind, struct name *name, bool made)
{
	size_t cap = n->undo_cap == 0 ? 64 : n->undo_cap * 2;
	struct undo *to;

	if (!n->part)
		return true;
	if (n->undo_n == n->undo_cap) {
		to = realloc(n->undo, cap * sizeof(*to));
		if (to == NULL)
			return false;
		n->undo = to;
		n->undo_cap = cap;
	}
	n->undo[n->undo_n++] = (struct undo){ name, kind, made,
	    name->touched, name->dropped, name->taken, name->retaken,
	    name->set, n->tag };
	return true;
}

size_t
names_mark(const struct names *n)
{
	assert(n->open && n->part);
	return n->undo_n;
}

void
names_rollback(struct names *n, size_t mark)
{
	const struct undo *u;

	assert(n->open && n->part && mark <= n->undo_n);
	while (n->undo_n > mark) {
		u = &n->undo[--n->undo_n];
		u->name->touched = u->touched;
		u->name->dropped = u->dropped;
		u->name->taken = u->taken;
		u->name->retaken = u->retaken;
		u->name->set = u->set;
		n->tag = u->tag;
		if (u->made)
			name_end(n, u->kind, u->name);
	}
}

/* A new name, in this stage; want NULL: of the next id and tag. NULL: no id
 * is left, or no memory. */
static struct name *
name_new(struct names *n, enum names_kind kind, uint64_t hash,
    const void *key, size_t key_len, const struct name_id *want)
{
	struct name *name = table_add(&n->tables[kind], hash, key, key_len,
	    want);

	if (name == NULL)
		return NULL;
	name->since = name->taken = n->stage;
	if (want == NULL) {
		if (++n->tag == 0)
			n->tag = 1;
		name->id.tag = n->tag;
	}
	if (kind == NAMES_CLUSTER)
		n->clusters[name->id.id] = name;
	return name;
}

/* Takes what is not there yet; owner: of an endpoint. */
static struct name *
take_new(struct names *n, enum names_kind kind, uint64_t hash,
    const void *key, size_t key_len, struct name *owner)
{
	uint32_t tag = n->tag;
	struct name *name = name_new(n, kind, hash, key, key_len, NULL);

	if (name == NULL)
		return NULL;
	if (owner != NULL)
		LIST_INSERT_HEAD(&owner->endpoints, name, sibling);
	if (undo_put(n, kind, name, true)) {
		if (n->part)
			n->undo[n->undo_n - 1].tag = tag;
		return name;
	}
	name_end(n, kind, name);
	n->tag = tag;
	return NULL;
}

/* Found or made, and taken; *again: it was taken already since `round`. */
static struct name *
take(struct names *n, enum names_kind kind, const void *key, size_t key_len,
    struct name *owner, bool *again)
{
	uint64_t hash = XXH64(key, key_len, 0);
	uint64_t since = n->part && owner != NULL ? owner->retaken : n->stage;
	struct name *name = table_find(&n->tables[kind], hash, key, key_len);

	assert(n->open);
	*again = name != NULL && !name->dropped && name->taken >= since;
	if (name == NULL)
		name = take_new(n, kind, hash, key, key_len, owner);
	else if (!undo_put(n, kind, name, false))
		return NULL;
	if (name != NULL) {
		name->taken = n->round;
		name->dropped = false;
	}
	return name;
}

int
names_take(struct names *n, enum names_kind kind, const void *key,
    size_t key_len, struct name_id *id)
{
	struct name *name;
	bool again;

	assert(kind != NAMES_ENDPOINT);
	if ((name = take(n, kind, key, key_len, NULL, &again)) == NULL)
		return -1;
	*id = name->id;
	return again ? 1 : 0;
}

int
names_take_endpoint(struct names *n, struct name_id cluster,
    const struct block_address *address, struct name_id *id)
{
	const struct endpoint_key key = { cluster.tag, *address };
	struct name *owner = n->clusters[cluster.id], *name;
	bool again;

	assert(owner != NULL && owner->id.tag == cluster.tag);
	assert(!n->part || owner->set >= n->stage);
	name = take(n, NAMES_ENDPOINT, &key, sizeof(key), owner, &again);
	if (name == NULL)
		return -1;
	*id = name->id;
	return again ? 1 : 0;
}

static struct name *
name_of(const struct names *n, enum names_kind kind, struct name_id id)
{
	const struct table *t = &n->tables[kind];
	struct name *name;

	if (kind == NAMES_CLUSTER)
		return n->clusters[id.id];
	for (size_t i = 0; i < t->buckets_n; i++)
		for (name = t->buckets[i]; name != NULL; name = name->next)
			if (name->id.id == id.id)
				return name;
	return NULL;
}

bool
names_drop(struct names *n, enum names_kind kind, struct name_id id)
{
	struct name *name = name_of(n, kind, id);

	assert(n->open && n->part && kind != NAMES_ENDPOINT);
	assert(name != NULL && name->id.tag == id.tag);
	if (!undo_put(n, kind, name, false))
		return false;
	name->dropped = name->touched = true;
	return true;
}

bool
names_retake(struct names *n, struct name_id cluster)
{
	struct name *name = n->clusters[cluster.id];

	assert(n->open && n->part);
	assert(name != NULL && name->id.tag == cluster.tag);
	if (!undo_put(n, NAMES_CLUSTER, name, false))
		return false;
	name->retaken = name->set = ++n->round;
	name->touched = true;
	return true;
}

bool
names_amend(struct names *n, struct name_id cluster)
{
	struct name *name = n->clusters[cluster.id];

	assert(n->open && n->part);
	assert(name != NULL && name->id.tag == cluster.tag);
	if (!undo_put(n, NAMES_CLUSTER, name, false))
		return false;
	name->set = ++n->round;
	return true;
}

bool
names_leave(struct names *n, struct name_id cluster,
    const struct block_address *address)
{
	const struct endpoint_key key = { cluster.tag, *address };
	struct name *name = table_find(&n->tables[NAMES_ENDPOINT],
	    XXH64(&key, sizeof(key), 0), &key, sizeof(key));

	assert(n->open && n->part);
	assert(name != NULL && !name->dropped);
	if (!undo_put(n, NAMES_ENDPOINT, name, false))
		return false;
	name->dropped = name->touched = true;
	return true;
}

uint64_t
names_set(const struct names *n, struct name_id cluster)
{
	return n->clusters[cluster.id]->set;
}

int
names_find(const struct names *n, enum names_kind kind, const void *key,
    size_t key_len, struct name_id *id)
{
	const struct name *name = table_find(&n->tables[kind],
	    XXH64(key, key_len, 0), key, key_len);

	if (name == NULL || (n->part ? name->dropped : name->taken < n->stage))
		return -1;
	*id = name->id;
	return 0;
}

void
names_commit(struct names *n)
{
	assert(n->open);
	n->open = false;
	if (n->part)
		part_commit(n);
	else
		sweep(n, true);
}

/* The tags go back as well: a refused file leaves no trace in the next. */
void
names_abort(struct names *n)
{
	assert(n->open);
	if (n->part)
		names_rollback(n, 0);
	else
		sweep(n, false);
	n->open = false;
	n->tag = n->tag_before;
}

size_t
names_count(const struct names *n, enum names_kind kind)
{
	return n->tables[kind].names_n;
}

int
names_known(const struct names *n, enum names_kind kind, const void *key,
    size_t key_len, struct name_id *id)
{
	const struct name *name = table_find(&n->tables[kind],
	    XXH64(key, key_len, 0), key, key_len);

	assert(!n->open);
	if (name == NULL)
		return -1;
	*id = name->id;
	return 0;
}

/* ---- what a master before us gave */

uint32_t
names_tag(const struct names *n)
{
	return n->tag;
}

void
names_tag_set(struct names *n, uint32_t tag)
{
	n->tag = tag;
}

int
names_seed(struct names *n, enum names_kind kind, const void *key,
    size_t key_len, struct name_id id)
{
	uint64_t hash = XXH64(key, key_len, 0);

	assert(n->open && !n->part && kind != NAMES_ENDPOINT);
	return table_find(&n->tables[kind], hash, key, key_len) == NULL &&
	    name_new(n, kind, hash, key, key_len, &id) != NULL ? 0 : -1;
}

int
names_seed_endpoint(struct names *n, struct name_id cluster,
    const struct block_address *address, struct name_id id)
{
	const struct endpoint_key key = { cluster.tag, *address };
	uint64_t hash = XXH64(&key, sizeof(key), 0);
	struct name *owner = cluster.id < CLUSTERS_MAX ?
	    n->clusters[cluster.id] : NULL;
	struct name *name;

	assert(n->open && !n->part);
	if (owner == NULL || owner->id.tag != cluster.tag ||
	    table_find(&n->tables[NAMES_ENDPOINT], hash, &key,
	    sizeof(key)) != NULL || (name = name_new(n, NAMES_ENDPOINT, hash,
	    &key, sizeof(key), &id)) == NULL)
		return -1;
	LIST_INSERT_HEAD(&owner->endpoints, name, sibling);
	return 0;
}
