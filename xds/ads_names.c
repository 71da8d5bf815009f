/*
 * xds/ads_names.c - the names of a stream's resources (ads.h): a chained hash
 * table per kind, and over all of them a heap of what is due when.
 *
 * A name that is held can only be due to expire, one that is not held only to
 * be missing: so one time per name, and one heap. It has room for every name
 * before the name is there, so that setting a time can't fail.
 *
 * Test: t/unit/ads.c.
 */
#include "xds/ads_inside.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { BUCKETS_MIN = 16, DUE_MIN = 16 };

bool
ads_name_fits(const char *name)
{
	return name[0] != '\0' && strlen(name) <= ADS_TEXT_BYTES_MAX &&
	    strcmp(name, "*") != 0 && strncmp(name, "xdstp:", 6) != 0;
}

static uint64_t
hash_of(const char *name)
{
	return XXH64(name, strlen(name), 0);
}

struct ads_name *
ads_name_find(const struct ads_kind *k, const char *name)
{
	uint64_t hash = hash_of(name);
	struct ads_name *n;

	if (k->buckets_n == 0)
		return NULL;
	for (n = k->buckets[hash & (k->buckets_n - 1)]; n != NULL; n = n->next)
		if (n->hash == hash && strcmp(n->text, name) == 0)
			return n;
	return NULL;
}

/* ---- room for one name more */

static bool
buckets_grow(struct ads_kind *k)
{
	size_t size = k->buckets_n > 0 ? k->buckets_n * 2 : BUCKETS_MIN;
	struct ads_name **buckets, *n;

	if (k->names_n < k->buckets_n)
		return true;
	if ((buckets = calloc(size, sizeof(struct ads_name *))) == NULL)
		return false;
	TAILQ_FOREACH(n, &k->names, all) {
		n->next = buckets[n->hash & (size - 1)];
		buckets[n->hash & (size - 1)] = n;
	}
	free(k->buckets);
	k->buckets = buckets;
	k->buckets_n = size;
	return true;
}

static bool
due_grow(struct ads *a)
{
	size_t size = a->due_size > 0 ? a->due_size * 2 : DUE_MIN;
	struct ads_name **due;

	if (a->names_n + 2 <= a->due_size)	/* place 0 is not used */
		return true;
	if ((due = realloc(a->due, size * sizeof(struct ads_name *))) == NULL)
		return false;
	a->due = due;
	a->due_size = size;
	return true;
}

struct ads_name *
ads_name_get(struct ads *a, enum resource_kind kind, const char *name)
{
	struct ads_kind *k = &a->kinds[kind];
	struct ads_name *n = ads_name_find(k, name), **bucket;

	if (n != NULL)
		return n;
	if (!buckets_grow(k) || !due_grow(a))
		return NULL;
	if ((n = calloc(1, sizeof(*n) + strlen(name) + 1)) == NULL)
		return NULL;
	strcpy(n->text, name);
	n->hash = hash_of(name);
	n->kind = kind;
	bucket = &k->buckets[n->hash & (k->buckets_n - 1)];
	n->next = *bucket;
	*bucket = n;
	TAILQ_INSERT_TAIL(&k->names, n, all);
	k->names_n++;
	a->names_n++;
	return n;
}

static void
forget(struct ads *a, struct ads_name *n)
{
	struct ads_kind *k = &a->kinds[n->kind];
	struct ads_name **at = &k->buckets[n->hash & (k->buckets_n - 1)];

	while (*at != n)
		at = &(*at)->next;
	*at = n->next;
	TAILQ_REMOVE(&k->names, n, all);
	if (n->changed)
		TAILQ_REMOVE(&k->changes, n, change);
	ads_due_clear(a, n);
	k->names_n--;
	a->names_n--;
	free(n->version);
	free(n);
}

void
ads_name_tidy(struct ads *a, struct ads_name *n)
{
	if (!n->wanted && !n->told && n->version == NULL)
		forget(a, n);
}

void
ads_names_free(struct ads *a)
{
	struct ads_name *n;

	for (int i = 0; i < RESOURCE_KINDS; i++) {
		while ((n = TAILQ_FIRST(&a->kinds[i].names)) != NULL)
			forget(a, n);
		free(a->kinds[i].buckets);
	}
	free(a->due);
}

/* ---- a name's states */

bool
ads_name_hold(struct ads *a, struct ads_name *n, const char *version)
{
	struct ads_kind *k = &a->kinds[n->kind];
	char *copy = strdup(version);

	if (copy == NULL)
		return false;
	if (n->version == NULL) {
		k->held_n++;
		k->both_n += n->wanted;
		ads_due_clear(a, n);		/* it is not missing */
	}
	free(n->version);
	n->version = copy;
	return true;
}

void
ads_name_drop(struct ads *a, struct ads_name *n)
{
	struct ads_kind *k = &a->kinds[n->kind];

	if (n->version == NULL)
		return;
	ads_due_clear(a, n);
	free(n->version);
	n->version = NULL;
	k->held_n--;
	k->both_n -= n->wanted;
}

void
ads_name_want(struct ads *a, struct ads_name *n, bool wanted)
{
	struct ads_kind *k = &a->kinds[n->kind];

	assert(n->wanted != wanted);
	n->wanted = wanted;
	n->again = wanted && n->told;
	n->settled = false;
	/* The owner dropped what it is being shown, or never had it. */
	if (wanted && a->is_pending && !k->wildcard)
		n->anew = a->serial;
	k->wanted_n += wanted ? 1 : (size_t)-1;
	if (n->version != NULL)
		k->both_n += wanted ? 1 : (size_t)-1;
	else
		ads_due_clear(a, n);
	if (a->settings.delta && !n->changed) {
		TAILQ_INSERT_TAIL(&k->changes, n, change);
		n->changed = true;
	}
}

void
ads_name_told(struct ads *a, struct ads_name *n, int64_t now_ms)
{
	struct ads_kind *k = &a->kinds[n->kind];

	if (n->changed)
		TAILQ_REMOVE(&k->changes, n, change);
	n->changed = false;
	if (n->wanted && n->version == NULL && !n->settled &&
	    n->due_at == 0 && a->settings.missing_ms > 0)
		ads_due_set(a, n, now_ms + a->settings.missing_ms);
	n->told = n->wanted;
	n->again = false;
	ads_name_tidy(a, n);
}

/* ---- the heap: no name is due before the one at half its place */

static void
due_put(struct ads *a, struct ads_name *n, size_t at)
{
	a->due[at] = n;
	n->due_at = at;
}

static void
due_up(struct ads *a, size_t at)
{
	struct ads_name *n = a->due[at];

	for (; at > 1 && n->due_ms < a->due[at / 2]->due_ms; at /= 2)
		due_put(a, a->due[at / 2], at);
	due_put(a, n, at);
}

static void
due_down(struct ads *a, size_t at)
{
	struct ads_name *n = a->due[at];
	size_t child;

	while ((child = 2 * at) <= a->due_n) {
		if (child < a->due_n &&
		    a->due[child + 1]->due_ms < a->due[child]->due_ms)
			child++;
		if (n->due_ms <= a->due[child]->due_ms)
			break;
		due_put(a, a->due[child], at);
		at = child;
	}
	due_put(a, n, at);
}

void
ads_due_set(struct ads *a, struct ads_name *n, int64_t at_ms)
{
	ads_due_clear(a, n);
	n->due_ms = at_ms;
	assert(a->due_n + 1 < a->due_size);
	due_put(a, n, ++a->due_n);
	due_up(a, a->due_n);
}

void
ads_due_clear(struct ads *a, struct ads_name *n)
{
	size_t at = n->due_at;
	struct ads_name *last;

	if (at == 0)
		return;
	n->due_at = 0;
	last = a->due[a->due_n--];
	if (last == n)
		return;
	due_put(a, last, at);
	due_up(a, at);
	due_down(a, last->due_at);
}
