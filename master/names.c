/* master/names.c - see names.h. Chained hash tables, one per kind, and a map
 * of free ids; the stage in which a name was last taken says what commit and
 * abort have to do. */
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
	uint64_t	 stage;		/* in which it was last taken */
	uint64_t	 since;		/* the stage that made it */
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

struct names {
	struct table	 tables[NAMES_KINDS];
	uint64_t	 stage;		/* counts names_begin */
	uint32_t	 tag, tag_before;	/* the last one given */
	bool		 open;		/* between begin and commit or abort */
	struct name	*part;		/* the stage is of this cluster only */
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

/* Frees a name whose last stage is another one than this (commit), or that
 * this stage made (abort). */
static void
name_sweep(struct names *n, enum names_kind kind, struct name *name,
    bool commit)
{
	if (commit ? name->stage != n->stage : name->since == n->stage)
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

static void
part_sweep(struct names *n, bool commit)
{
	struct name *name, *next;

	for (name = LIST_FIRST(&n->part->endpoints); name != NULL;
	    name = next) {
		next = LIST_NEXT(name, sibling);
		name_sweep(n, NAMES_ENDPOINT, name, commit);
	}
}

/* Endpoints first: they are in their cluster's list. */
static void
sweep(struct names *n, bool commit)
{
	int kind;

	assert(n->open);
	n->open = false;
	if (n->part != NULL)
		part_sweep(n, commit);
	else
		for (kind = NAMES_KINDS - 1; kind >= 0; kind--)
			table_sweep(n, (enum names_kind)kind, commit);
}

/* ---- a stage */

void
names_begin(struct names *n)
{
	assert(!n->open);
	n->open = true;
	n->part = NULL;
	n->stage++;
	n->tag_before = n->tag;
}

void
names_begin_cluster(struct names *n, struct name_id cluster)
{
	names_begin(n);
	n->part = n->clusters[cluster.id];
	assert(n->part != NULL && n->part->id.tag == cluster.tag);
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
	name->since = name->stage = n->stage;
	if (want == NULL) {
		if (++n->tag == 0)
			n->tag = 1;
		name->id.tag = n->tag;
	}
	if (kind == NAMES_CLUSTER)
		n->clusters[name->id.id] = name;
	return name;
}

/* Found or made, and taken; *again: it was taken already. */
static struct name *
take(struct names *n, enum names_kind kind, const void *key, size_t key_len,
    bool *again, bool *made)
{
	uint64_t hash = XXH64(key, key_len, 0);
	struct name *name = table_find(&n->tables[kind], hash, key, key_len);

	assert(n->open);
	*again = name != NULL && name->stage == n->stage;
	*made = name == NULL;
	if (name == NULL)
		name = name_new(n, kind, hash, key, key_len, NULL);
	if (name != NULL)
		name->stage = n->stage;
	return name;
}

int
names_take(struct names *n, enum names_kind kind, const void *key,
    size_t key_len, struct name_id *id)
{
	bool again, made;
	struct name *name;

	assert(kind != NAMES_ENDPOINT && n->part == NULL);
	if ((name = take(n, kind, key, key_len, &again, &made)) == NULL)
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
	bool again, made;

	assert(owner != NULL && owner->id.tag == cluster.tag);
	assert(n->part == NULL || n->part == owner);
	name = take(n, NAMES_ENDPOINT, &key, sizeof(key), &again, &made);
	if (name == NULL)
		return -1;
	if (made)
		LIST_INSERT_HEAD(&owner->endpoints, name, sibling);
	*id = name->id;
	return again ? 1 : 0;
}

int
names_find(const struct names *n, enum names_kind kind, const void *key,
    size_t key_len, struct name_id *id)
{
	const struct name *name = table_find(&n->tables[kind],
	    XXH64(key, key_len, 0), key, key_len);

	if (name == NULL || name->stage != n->stage)
		return -1;
	*id = name->id;
	return 0;
}

void
names_commit(struct names *n)
{
	sweep(n, true);
}

/* The tags go back as well: a refused file leaves no trace in the next. */
void
names_abort(struct names *n)
{
	sweep(n, false);
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

	assert(n->open && kind != NAMES_ENDPOINT);
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

	assert(n->open);
	if (owner == NULL || owner->id.tag != cluster.tag ||
	    table_find(&n->tables[NAMES_ENDPOINT], hash, &key,
	    sizeof(key)) != NULL || (name = name_new(n, NAMES_ENDPOINT, hash,
	    &key, sizeof(key), &id)) == NULL)
		return -1;
	LIST_INSERT_HEAD(&owner->endpoints, name, sibling);
	return 0;
}
