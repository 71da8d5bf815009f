/* master/resources.c - see resources.h: the set, and questions about it. */
#include "master/resources.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "master/resources_inside.h"

/* ---- versions */

struct resource_version *
version_new(const char *text, const uint8_t *bytes, size_t len,
    enum resource_from from, int64_t now_ms)
{
	struct resource_version *v = calloc(1, sizeof(*v));

	if (v == NULL)
		return NULL;
	*v = (struct resource_version){ .text = strdup(text),
	    .bytes = malloc(len + 1), .len = len, .from = from,
	    .since_ms = now_ms, .refs = 1 };
	if (v->text == NULL || v->bytes == NULL) {
		version_put(v);
		return NULL;
	}
	if (len > 0)
		memcpy(v->bytes, bytes, len);
	return v;
}

void
version_put(struct resource_version *v)
{
	if (v == NULL || --v->refs > 0)
		return;
	if (v->key.ref != 0)
		heap_let_go(v->keys, v->key.ref);
	compile_known_free(v->known);
	free(v->text);
	free(v->bytes);
	free(v);
}

void
version_set(struct resource *at, enum which which, struct resource_version *v)
{
	struct resource_version *before = at->version[which];

	if (v != NULL)
		v->refs++;
	at->version[which] = v;
	version_put(before);
}

/* ---- the table */

static uint64_t
hash_of(enum resource_kind kind, const char *name)
{
	return XXH64(name, strlen(name), kind);
}

struct resource *
resource_find(const struct resources *r, enum resource_kind kind,
    const char *name)
{
	uint64_t hash = hash_of(kind, name);
	struct resource *at;

	if (r->buckets_n == 0)
		return NULL;
	at = r->buckets[hash & (r->buckets_n - 1)];
	while (at != NULL && (at->hash != hash || at->kind != kind ||
	    strcmp(at->name, name) != 0))
		at = at->next_by_hash;
	return at;
}

static bool
grow(struct resources *r)
{
	size_t n = r->buckets_n == 0 ? 64 : r->buckets_n * 2;
	struct resource **to, *at, *next;

	if (r->resources_n < r->buckets_n)
		return true;
	if ((to = calloc(n, sizeof(struct resource *))) == NULL)
		return false;
	for (size_t i = 0; i < r->buckets_n; i++)
		for (at = r->buckets[i]; at != NULL; at = next) {
			next = at->next_by_hash;
			at->next_by_hash = to[at->hash & (n - 1)];
			to[at->hash & (n - 1)] = at;
		}
	free(r->buckets);
	r->buckets = to;
	r->buckets_n = n;
	return true;
}

struct resource *
resource_get(struct resources *r, enum resource_kind kind, const char *name)
{
	struct resource *at = resource_find(r, kind, name);
	size_t n = strlen(name);
	struct resource **head;

	if (at != NULL)
		return at;
	if (!grow(r) || (at = calloc(1, sizeof(*at) + n + 1)) == NULL) {
		r->no_memory = true;
		return NULL;
	}
	memcpy(at->name, name, n + 1);
	at->kind = kind;
	at->hash = hash_of(kind, name);
	at->owner = ++r->owner_last;
	head = &r->buckets[at->hash & (r->buckets_n - 1)];
	at->next_by_hash = *head;
	*head = at;
	r->resources_n++;
	return at;
}

static void
resource_free(struct resources *r, struct resource *at)
{
	struct resource **head = &r->buckets[at->hash & (r->buckets_n - 1)];

	while (*head != at)
		head = &(*head)->next_by_hash;
	*head = at->next_by_hash;
	r->resources_n--;
	resource_due(r, at, 0);
	version_put(at->refused);
	free(at->why);
	free(at);
}

/* What was refused alone is kept to be shown, while somebody names it. */
void
resource_tidy(struct resources *r, struct resource *at)
{
	if (at->edges_n == 0 && at->undo == NULL && !at->dirty &&
	    at->version[LIVE] == NULL && at->version[NEXT] == NULL &&
	    (at->refused == NULL || at->gone))
		resource_free(r, at);
}

/* ---- queues */

void
resource_due(struct resources *r, struct resource *at, int64_t ms)
{
	struct resource *before;

	if (at->due_ms != 0)
		TAILQ_REMOVE(&r->due, at, due_link);
	at->due_ms = ms;
	if (ms == 0)
		return;
	TAILQ_FOREACH_REVERSE(before, &r->due, due, due_link)
		if (before->due_ms <= ms)
			break;
	if (before != NULL)
		TAILQ_INSERT_AFTER(&r->due, before, at, due_link);
	else
		TAILQ_INSERT_HEAD(&r->due, at, due_link);
}

void
resource_dirty(struct resources *r, struct resource *at, bool again)
{
	at->again |= again;
	if (at->dirty)
		return;
	at->dirty = true;
	TAILQ_INSERT_TAIL(&r->dirty, at, dirty_link);
}

int64_t
resources_due(const struct resources *r, int64_t now_ms)
{
	const struct resource *at = TAILQ_FIRST(&r->due);

	if (!TAILQ_EMPTY(&r->dirty))
		return 0;
	return at == NULL ? -1 : at->due_ms <= now_ms ? 0 :
	    at->due_ms - now_ms;
}

/* ---- life */

struct resources *
resources_new(const struct resources_settings *s)
{
	struct resources *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->settings = *s;
	r->clusters_ms = s->missing_ms;
	for (enum resource_kind kind = 0; kind < RESOURCE_KINDS_ALL; kind++)
		r->named[kind] = !resource_about(kind)->whole;
	TAILQ_INIT(&r->dirty);
	TAILQ_INIT(&r->due);
	SLIST_INIT(&r->undos);
	LIST_INIT(&r->found);
	return r;
}

void
resources_want(struct resources *r, void (*fn)(void *arg,
    enum resource_kind kind, const char *name, bool on), void *arg)
{
	r->settings.want = fn;
	r->settings.arg = arg;
}

static void
out_free(struct resource *at)
{
	struct edge *e;

	for (int which = 0; which < WHICHES; which++)
		while ((e = LIST_FIRST(&at->out[which])) != NULL) {
			LIST_REMOVE(e, out);
			free(e);
		}
}

void
resources_free(struct resources *r)
{
	struct resource *at, *next;

	if (r == NULL)
		return;
	if (resources_is_open(r))
		resources_abort(r);
	for (size_t i = 0; i < r->buckets_n; i++)
		for (at = r->buckets[i]; at != NULL; at = next) {
			next = at->next_by_hash;
			out_free(at);
			version_put(at->version[LIVE]);
			version_put(at->version[NEXT]);
			version_put(at->refused);
			free(at->why);
			free(at);
		}
	free(r->buckets);
	free(r);
}

/* ---- questions */

static void
view(const struct resource *at, struct resource_view *v)
{
	*v = (struct resource_view){ .kind = at->kind, .name = at->name,
	    .live = at->version[LIVE], .next = at->version[NEXT],
	    .refused = at->refused, .why = at->why,
	    .wanted = !LIST_EMPTY(&at->in), .missing = at->missing,
	    .lingers = at->gone && at->version[LIVE] != NULL,
	    .waits_since_ms = at->waits_since_ms };
}

void
resources_each(const struct resources *r,
    void (*each)(void *arg, const struct resource_view *v), void *arg)
{
	const struct resource *at;
	struct resource_view v;

	EACH_RESOURCE(r, i, at) {
		if (at->kind == RESOURCE_NAME)
			continue;
		view(at, &v);
		each(arg, &v);
	}
}

bool
resources_find(const struct resources *r, enum resource_kind kind,
    const char *name, struct resource_view *v)
{
	const struct resource *at = resource_find(r, kind, name);

	if (at == NULL)
		return false;
	view(at, v);
	return true;
}

/* Const to who looks at it. */
static struct resource_version *
own(const struct resource_version *v)
{
	return (struct resource_version *)(uintptr_t)v;
}

bool
resources_view_hold(struct resource_view *v)
{
	const struct resource_version *const versions[] = { v->live, v->next,
	    v->refused };
	char *name = strdup(v->name);
	char *why = v->why == NULL ? NULL : strdup(v->why);

	if (name == NULL || (v->why != NULL && why == NULL)) {
		free(name);
		free(why);
		return false;
	}
	v->name = name;
	v->why = why;
	for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++)
		if (versions[i] != NULL)
			own(versions[i])->refs++;
	return true;
}

void
resources_view_let_go(struct resource_view *v)
{
	version_put(own(v->live));
	version_put(own(v->next));
	version_put(own(v->refused));
	free((char *)(uintptr_t)v->name);
	free((char *)(uintptr_t)v->why);
}

void
resources_waits_print(const struct resources *r, enum resource_kind kind,
    const char *name, FILE *out)
{
	const struct resource *at = resource_find(r, kind, name);
	const struct edge *e;
	const char *comma = "";

	if (at == NULL)
		return;
	LIST_FOREACH(e, &at->out[NEXT], out) {
		if (!e->waits || e->to->version[LIVE] != NULL)
			continue;
		/* Behind a host name stands how it is asked for. */
		fprintf(out, "%s%s \"%.*s\"", comma,
		    resource_about(e->to->kind)->word, e->to->kind ==
		    RESOURCE_NAME ? (int)strcspn(e->to->name, " ") : INT_MAX,
		    origin_plain(e->to->name));
		comma = ", ";
	}
}
