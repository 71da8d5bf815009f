/* xds/ems/catalog.c - see catalog.h. */
#include "xds/ems/catalog.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { BUCKETS = 64 };

/* ---- bodies */

struct body *
body_new(size_t len)
{
	struct body *b = malloc(sizeof(*b) + len);

	if (b == NULL)
		return NULL;
	b->refs = 1;
	b->len = len;
	b->version[0] = '\0';
	return b;
}

void
body_hash(struct body *b)
{
	snprintf(b->version, sizeof(b->version), "%016llx",
	    (unsigned long long)XXH3_64bits(b->bytes, b->len));
}

struct body *
body_copy(const uint8_t *bytes, size_t len)
{
	struct body *b = body_new(len);

	if (b == NULL)
		return NULL;
	if (len > 0)
		memcpy(b->bytes, bytes, len);
	body_hash(b);
	return b;
}

struct body *
body_get(struct body *b)
{
	b->refs++;
	return b;
}

void
body_put(struct body *b)
{
	if (b != NULL && --b->refs == 0)
		free(b);
}

static bool
body_same(const struct body *a, const struct body *b)
{
	return a == b || (a->len == b->len &&
	    memcmp(a->bytes, b->bytes, a->len) == 0);
}

/* ---- entries by name and by index */

static uint64_t
name_hash(const char *name)
{
	return XXH3_64bits(name, strlen(name));
}

static struct catalog_entry *
find(const struct catalog_kind *k, uint64_t hash, const char *name)
{
	struct catalog_entry *e = k->buckets[hash & (k->buckets_n - 1)];

	while (e != NULL && (e->hash != hash || strcmp(e->name, name) != 0))
		e = e->next_by_hash;
	return e;
}

struct catalog_entry *
catalog_find(const struct catalog *c, enum resource_kind kind,
    const char *name)
{
	return find(c->kinds[kind], name_hash(name), name);
}

/* Twice the buckets; without memory the lists just grow longer. */
static void
grow(struct catalog_kind *k)
{
	size_t n = k->buckets_n * 2;
	struct catalog_entry **to = calloc(n, sizeof(*to)), *e, *next;

	if (to == NULL)
		return;
	for (size_t i = 0; i < k->buckets_n; i++)
		for (e = k->buckets[i]; e != NULL; e = next) {
			next = e->next_by_hash;
			e->next_by_hash = to[e->hash & (n - 1)];
			to[e->hash & (n - 1)] = e;
		}
	free(k->buckets);
	k->buckets = to;
	k->buckets_n = n;
}

/* Both have room for as many: an index is in one of them. */
static bool
index_room(struct catalog_kind *k)
{
	uint32_t n = k->at_size == 0 ? 64 : k->at_size * 2, *free_to;
	struct catalog_entry **to;

	if (k->free_n > 0 || k->at_n < k->at_size)
		return true;
	if ((to = realloc(k->at, n * sizeof(*to))) == NULL)
		return false;
	k->at = to;
	if ((free_to = realloc(k->free, n * sizeof(*free_to))) == NULL)
		return false;
	k->free = free_to;
	k->at_size = n;
	return true;
}

static struct catalog_entry *
get(struct catalog *c, enum resource_kind kind, const char *name)
{
	struct catalog_kind *k = c->kinds[kind];
	uint64_t hash = name_hash(name);
	struct catalog_entry *e = find(k, hash, name), **bucket;
	size_t len = strlen(name) + 1;

	if (e != NULL)
		return e;
	if (!index_room(k) || (e = calloc(1, sizeof(*e) + len)) == NULL)
		return NULL;
	memcpy(e->name, name, len);
	e->hash = hash;
	e->kind = kind;
	e->index = k->free_n > 0 ? k->free[--k->free_n] : k->at_n++;
	k->at[e->index] = e;
	if (k->entries_n++ >= k->buckets_n)
		grow(k);
	bucket = &k->buckets[hash & (k->buckets_n - 1)];
	e->next_by_hash = *bucket;
	*bucket = e;
	TAILQ_INSERT_HEAD(&k->entries, e, change);
	return e;
}

static void
entry_free(struct catalog_kind *k, struct catalog_entry *e)
{
	struct catalog_entry **at = &k->buckets[e->hash & (k->buckets_n - 1)];

	while (*at != e)
		at = &(*at)->next_by_hash;
	*at = e->next_by_hash;
	TAILQ_REMOVE(&k->entries, e, change);
	k->at[e->index] = NULL;
	k->free[k->free_n++] = e->index;
	k->entries_n--;
	body_put(e->body);
	body_put(e->before);
	free(e);
}

/* C2 */
static void
tidy(struct catalog *c, struct catalog_entry *e)
{
	if (e->body == NULL && e->holders == 0)
		entry_free(c->kinds[e->kind], e);
}

struct catalog_entry *
catalog_hold(struct catalog *c, enum resource_kind kind, const char *name)
{
	struct catalog_entry *e = get(c, kind, name);

	if (e != NULL)
		e->holders++;
	return e;
}

void
catalog_hold_more(struct catalog_entry *e)
{
	e->holders++;
}

void
catalog_drop(struct catalog *c, struct catalog_entry *e)
{
	assert(e->holders > 0);
	e->holders--;
	tidy(c, e);
}

/* ---- changes */

void
catalog_begin(struct catalog *c)
{
	assert(!c->open);
	c->open = true;
	c->changed = false;
	c->sequence++;
}

static void
touch(struct catalog *c, struct catalog_entry *e)
{
	struct catalog_kind *k = c->kinds[e->kind];

	TAILQ_REMOVE(&k->entries, e, change);
	TAILQ_INSERT_TAIL(&k->entries, e, change);
	e->changed = k->changed = c->sequence;
	c->changed = true;
}

bool
catalog_put(struct catalog *c, enum resource_kind kind, const char *name,
    struct body *body)
{
	struct catalog_entry *e = get(c, kind, name);

	assert(c->open && catalog_owns(c, kind));
	if (e == NULL)
		return false;
	if (e->body != NULL && body_same(e->body, body))
		return true;
	c->kinds[kind]->live_n += e->body == NULL;
	body_put(e->body);
	body_put(e->before);
	e->before = NULL;
	e->body = body_get(body);
	e->number++;
	touch(c, e);
	return true;
}

void
catalog_remove(struct catalog *c, enum resource_kind kind, const char *name)
{
	struct catalog_entry *e = catalog_find(c, kind, name);

	assert(c->open && catalog_owns(c, kind));
	if (e == NULL || e->body == NULL)
		return;
	e->before = e->body;
	e->body = NULL;
	e->number++;
	c->kinds[kind]->live_n--;
	touch(c, e);
	tidy(c, e);
}

bool
catalog_end(struct catalog *c)
{
	assert(c->open);
	c->open = false;
	if (!c->changed)
		c->sequence--;
	return c->changed;
}

/* ---- life */

void
catalog_share(struct catalog *c, const struct catalog *from,
    enum resource_kind kind)
{
	struct catalog_kind *k = &c->own[kind];

	assert(catalog_owns(c, kind) && k->entries_n == 0);
	free(k->buckets);
	k->buckets = NULL;
	c->kinds[kind] = from->kinds[kind];
}

bool
catalog_init(struct catalog *c)
{
	*c = (struct catalog){ 0 };
	for (int i = 0; i < RESOURCE_KINDS; i++) {
		struct catalog_kind *k = &c->own[i];

		c->kinds[i] = k;
		TAILQ_INIT(&k->entries);
		k->buckets_n = BUCKETS;
		k->buckets = calloc(BUCKETS, sizeof(*k->buckets));
		if (k->buckets == NULL) {
			catalog_fini(c);
			return false;
		}
	}
	return true;
}

void
catalog_fini(struct catalog *c)
{
	for (int i = 0; i < RESOURCE_KINDS; i++) {
		struct catalog_kind *k = &c->own[i];

		while (k->buckets != NULL && !TAILQ_EMPTY(&k->entries))
			entry_free(k, TAILQ_FIRST(&k->entries));
		free(k->buckets);
		free(k->at);
		free(k->free);
		body_put(k->answer);
		*k = (struct catalog_kind){ 0 };
	}
}
