/* master/names.c - see names.h. Chained hash tables, one per kind, and a map
 * of free ids; the stage in which a name was last taken says what commit and
 * abort have to do. */
#include "master/names.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "shm/block.h"

struct name {
	struct name	*next;
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

static struct name *
table_add(struct table *t, uint64_t hash, const void *key, size_t key_len)
{
	struct name *name, **at;

	if (!table_grow(t) ||
	    (name = calloc(1, sizeof(*name) + key_len)) == NULL)
		return NULL;
	if (!id_get(t, &name->id.id)) {
		free(name);
		return NULL;
	}
	name->hash = hash;
	name->key_len = key_len;
	memcpy(name->key, key, key_len);
	at = &t->buckets[hash & (t->buckets_n - 1)];
	name->next = *at;
	*at = name;
	t->names_n++;
	return name;
}

/* Frees the names whose last stage is another one than this (commit), or
 * that this stage made (abort). */
static void
table_sweep(struct table *t, uint64_t stage, bool commit)
{
	struct name **at, *name;
	size_t i;

	for (i = 0; i < t->buckets_n; i++)
		for (at = &t->buckets[i]; (name = *at) != NULL;) {
			if (commit ? name->stage == stage :
			    name->since != stage) {
				at = &name->next;
				continue;
			}
			*at = name->next;
			id_put(t, name->id.id);
			free(name);
			t->names_n--;
		}
}

void
names_begin(struct names *n)
{
	assert(!n->open);
	n->open = true;
	n->stage++;
	n->tag_before = n->tag;
}

int
names_take(struct names *n, enum names_kind kind, const void *key,
    size_t key_len, struct name_id *id)
{
	struct table *t = &n->tables[kind];
	uint64_t hash = XXH64(key, key_len, 0);
	struct name *name = table_find(t, hash, key, key_len);
	bool again = name != NULL && name->stage == n->stage;

	assert(n->open);
	if (name == NULL) {
		if ((name = table_add(t, hash, key, key_len)) == NULL)
			return -1;
		name->since = n->stage;
		if (++n->tag == 0)
			n->tag = 1;
		name->id.tag = n->tag;
	}
	name->stage = n->stage;
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

static void
sweep(struct names *n, bool commit)
{
	int kind;

	assert(n->open);
	n->open = false;
	for (kind = 0; kind < NAMES_KINDS; kind++)
		table_sweep(&n->tables[kind], n->stage, commit);
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
