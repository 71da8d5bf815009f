/* master/origin.c - see origin.h. */
#include "master/origin.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

enum { MARK = 0xff, KEY_LEN = ORIGIN_MARK_BYTES - 1 };

/* ---- one of them */

struct origin *
origin_new(uint32_t servers_n)
{
	struct origin *o = calloc(1, sizeof(*o) +
	    servers_n * sizeof(o->servers[0]));

	if (o != NULL) {
		o->refs = 1;
		o->servers_n = servers_n;
	}
	return o;
}

struct origin *
origin_get(struct origin *o)
{
	if (o != NULL)
		o->refs++;
	return o;
}

void
origin_put(struct origin *o)
{
	if (o == NULL || --o->refs > 0)
		return;
	for (uint32_t i = 0; i < o->servers_n; i++)
		for (uint32_t j = 0; j < o->servers[i].metadata_n; j++) {
			free(o->servers[i].metadata[j].name);
			free(o->servers[i].metadata[j].value);
		}
	free(o->path);
	free(o);
}

bool
origin_same(const struct origin *a, const struct origin *b)
{
	return a == NULL || b == NULL ? a == b : a->key == b->key;
}

const char *
origin_text(const struct origin *o, enum resource_kind kind, char *text,
    size_t text_len)
{
	if (o->path != NULL)
		snprintf(text, text_len, "file %s", o->path);
	else
		snprintf(text, text_len, "cluster %s, %s",
		    o->servers[0].cluster, resource_about(kind)->acronym);
	return text;
}

/* ---- all of them */

struct entry {
	LIST_ENTRY(entry) link;
	struct origin	*origin;
};

struct origins {
	LIST_HEAD(, entry) all;
	const char	*clusters;
	size_t		 clusters_len;
	bool		 self;
};

struct origins *
origins_new(void)
{
	struct origins *s = calloc(1, sizeof(*s));

	if (s != NULL)
		LIST_INIT(&s->all);
	return s;
}

static void
drop(struct entry *e)
{
	LIST_REMOVE(e, link);
	origin_put(e->origin);
	free(e);
}

void
origins_free(struct origins *s)
{
	struct entry *e;

	if (s == NULL)
		return;
	while ((e = LIST_FIRST(&s->all)) != NULL)
		drop(e);
	free(s);
}

struct origin *
origins_find(const struct origins *s, uint64_t key)
{
	struct entry *e;

	LIST_FOREACH(e, &s->all, link)
		if (e->origin->key == key)
			return e->origin;
	return NULL;
}

bool
origins_add(struct origins *s, struct origin *o)
{
	struct entry *e = calloc(1, sizeof(*e));

	if (e == NULL)
		return false;
	e->origin = origin_get(o);
	LIST_INSERT_HEAD(&s->all, e, link);
	return true;
}

bool
origins_any(const struct origins *s)
{
	return !LIST_EMPTY(&s->all);
}

void
origins_sweep(struct origins *s)
{
	struct entry *e, *next;

	for (e = LIST_FIRST(&s->all); e != NULL; e = next) {
		next = LIST_NEXT(e, link);
		if (e->origin->refs == 1)
			drop(e);
	}
}

void
origins_clusters(struct origins *s, const char *names, size_t len)
{
	s->clusters = names;
	s->clusters_len = len;
}

const char *
origins_clusters_get(const struct origins *s, size_t *len)
{
	*len = s->clusters_len;
	return s->clusters;
}

void
origins_self(struct origins *s, bool allowed)
{
	s->self = allowed;
}

bool
origins_self_allowed(const struct origins *s)
{
	return s->self;
}

/* ---- names */

bool
origin_name(char *to, size_t to_len, uint64_t key, const char *name)
{
	int n = key == 0 ? snprintf(to, to_len, "%s", name) : snprintf(to,
	    to_len, "%016" PRIx64 "%c%s", key, MARK, name);

	return n >= 0 && (size_t)n < to_len;
}

const char *
origin_plain(const char *name)
{
	return origin_key(name) == 0 ? name : name + KEY_LEN + 1;
}

uint64_t
origin_key(const char *name)
{
	if (strnlen(name, KEY_LEN + 1) <= KEY_LEN ||
	    (unsigned char)name[KEY_LEN] != MARK)
		return 0;
	return strtoull(name, NULL, 16);
}
