/*
 * master/resources_put.c - what becomes of a version that is put, and of a
 * resource that is removed. See resources.h.
 *
 *   put ─> compile ─> LIVE ──> those that waited for it are dirty
 *                │           └─> those that did without it, again
 *                ├─> WAITS ─> next
 *                └─> REFUSED
 *
 * A route configuration is compiled as part of the listeners that have it, a
 * secret as part of listeners and clusters: its next version is live when all
 * of them are whole with it, and refused when one can't use it.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "master/resources_inside.h"
#include "shm/log.h"

/* ---- what a compilation asks for */

static bool
nobody_can(const struct resources *r, const struct resource *at)
{
	return !r->dynamic[at->kind] && origin_key(at->name) == 0 &&
	    at->version[LIVE] == NULL && at->version[NEXT] == NULL;
}

/* For the compiler. */
static struct compile_answer
answer_of(const struct resource *at, struct resource_version *v)
{
	const struct resource_version *live = at->version[LIVE];

	return (struct compile_answer){ v->bytes, v->len, v->key, &v->known,
	    live == NULL ? NULL : live->known };
}

enum compile_found
resource_ask(void *arg, enum resource_kind kind, const char *name,
    uint32_t missing_ms, struct compile_answer *answer)
{
	struct resources *r = arg;
	struct resource *at = resource_get(r, kind, name);
	struct resource_version *v;
	bool without;

	if (at == NULL)
		return COMPILE_WAITING;
	v = at == r->trying ? r->trying_version : at->version[LIVE];
	/* Nothing is served without its certificate. */
	without = at->missing && kind != RESOURCE_SECRET;
	edges_find(r, at, v == NULL && !without, missing_ms);
	if (v == NULL && nobody_can(r, at))
		return kind == RESOURCE_NAME ? COMPILE_NOTHING :
		    COMPILE_UNKNOWN;
	if (v == NULL)
		return without ? COMPILE_NOTHING : COMPILE_WAITING;
	*answer = answer_of(at, v);
	return COMPILE_FOUND;
}

/* ---- what becomes of a version */

/* It is live: who waits for it is tried, and who did without it. */
static void
went_live(struct resources *r, struct resource *at, bool was_live)
{
	struct edge *e;

	r->changed = true;
	at->missing = at->gone = false;
	at->waits_since_ms = 0;
	resource_due(r, at, 0);
	LIST_FOREACH(e, &at->in, in)
		if (e->which == NEXT && e->waits)
			resource_dirty(r, e->from, false);
		else if (e->which == LIVE && !was_live)
			resource_dirty(r, e->from, true);
}

void
resource_accepted(struct resource *at)
{
	version_put(at->refused);
	free(at->why);
	at->refused = NULL;
	at->why = NULL;
}

static void
live(struct resources *r, struct resource *at, struct resource_version *v)
{
	bool was_live = at->version[LIVE] != NULL;

	version_set(at, LIVE, v);
	edges_set(r, at, LIVE);
	if (at->version[NEXT] != NULL) {
		version_set(at, NEXT, NULL);
		edges_clear(r, at, NEXT);
	}
	went_live(r, at, was_live);
}

static void
wait_for(struct resources *r, struct resource *at, struct resource_version *v)
{
	version_set(at, NEXT, v);
	/* Found by the listener that it was tried in: its own name would keep
	 * it for ever. */
	edges_lose(r, at);
	edges_set(r, at, NEXT);
}

static void
refused(struct resources *r, struct resource *at, struct resource_version *v,
    const char *why)
{
	edges_drop(r);
	resource_accepted(at);
	v->refs++;
	v->since_ms = r->now_ms;
	at->refused = v;
	at->why = strdup(why);
	edges_refused(r, at);
}

/* ---- clusters and listeners: one compilation each */

struct compile_resource
resource_compile(const struct resource *at, const struct resource_version *v)
{
	return (struct compile_resource){ .kind = at->kind,
	    .bytes = v->bytes, .len = v->len, .owner = at->owner };
}

static int
put_whole(struct resources *r, struct resource *at,
    struct resource_version *v, const struct compile_resource *from,
    char *why, size_t why_len)
{
	edges_begin(r);
	switch (compile_put(r->compiler, from, why, why_len)) {
	case COMPILE_LIVE:
		live(r, at, v);
		break;
	case COMPILE_WAITS:
		wait_for(r, at, v);
		break;
	case COMPILE_REFUSED:
		refused(r, at, v, why);
		return -1;
	}
	return 0;
}

/* The live version as it is now, for what it names has come or gone. */
void
resource_again(struct resources *r, struct resource *at)
{
	const struct compile_resource from = resource_compile(at,
	    at->version[LIVE]);
	char why[512] = "it waits";

	edges_begin(r);
	if (compile_put(r->compiler, &from, why, sizeof(why)) ==
	    COMPILE_LIVE) {
		edges_set(r, at, LIVE);
		r->changed = true;
		return;
	}
	edges_drop(r);
	snprintf(r->why, sizeof(r->why), "%s \"%s\" is live and can't be "
	    "compiled again: %s", resource_about(at->kind)->word,
	    origin_plain(at->name), why);
	r->no_memory = true;		/* the stage ends here */
}

/* A packed message has the texts in it as they are, those of an Any too. */
static bool
names_file(const struct resource *at, enum which which, const char *file)
{
	const struct resource_version *v = at->version[which];

	return v != NULL && v->from != FROM_FILE &&
	    memmem(v->bytes, v->len, file, strlen(file)) != NULL;
}

bool
resources_name(const struct resources *r, const char *file)
{
	const struct resource *at;

	EACH_RESOURCE(r, i, at)
		if (names_file(at, LIVE, file) || names_file(at, NEXT, file))
			return true;
	return false;
}

void
resources_again(struct resources *r, const char *file)
{
	struct resource *at;
	struct edge *e;

	assert(r->compiler != NULL);
	EACH_RESOURCE(r, i, at) {
		if (!names_file(at, LIVE, file))
			continue;
		if (at->kind == RESOURCE_CLUSTER ||
		    at->kind == RESOURCE_LISTENER)
			resource_dirty(r, at, true);
		else if (at->kind == RESOURCE_SECRET)
			LIST_FOREACH(e, &at->in, in)
				if (e->which == LIVE)
					resource_dirty(r, e->from, true);
	}
}

/* ---- those who have it: routes and secrets */

/* Whose live, or next, version names it; the caller's. NULL: no memory. */
static struct resource **
users(struct resources *r, const struct resource *at, enum which which,
    size_t *n)
{
	struct resource **all;
	const struct edge *e;

	*n = 0;
	LIST_FOREACH(e, &at->in, in)
		*n += e->which == which;
	all = malloc((*n + 1) * sizeof(all[0]));
	if (all == NULL) {
		r->no_memory = true;
		return NULL;
	}
	*n = 0;
	LIST_FOREACH(e, &at->in, in)
		if (e->which == which)
			all[(*n)++] = e->from;
	return all;
}

/* With r->trying_version in the place of what it has of r->trying. */
static enum compile_result
user_put(struct resources *r, struct resource *user, enum which which,
    char *why, size_t why_len)
{
	const struct compile_resource from = resource_compile(user,
	    user->version[which]);

	edges_begin(r);
	return compile_put(r->compiler, &from, why, why_len);
}

/* Those that have it live: either all are LIVE, or the first that is not
 * decides. done: how many are, and have to be put again then. */
static enum compile_result
live_put(struct resources *r, struct resource *const all[], size_t n,
    size_t *done, char *why, size_t why_len)
{
	enum compile_result result = COMPILE_LIVE;

	for (*done = 0; *done < n; ++*done) {
		result = user_put(r, all[*done], LIVE, why, why_len);
		if (result != COMPILE_LIVE)
			return result;
		if (!resource_touch(r, all[*done])) {
			why_set(why, why_len, "no memory");
			return COMPILE_REFUSED;
		}
		edges_set(r, all[*done], LIVE);
		r->changed = true;
	}
	return result;
}

/* One of those that wait for it is enough: the others are put, all of them,
 * when it is there. */
static enum compile_result
next_put(struct resources *r, struct resource *at, char *why, size_t why_len)
{
	size_t n;
	struct resource **all = users(r, at, NEXT, &n);
	enum compile_result result = COMPILE_LIVE;

	if (all != NULL && n > 0) {
		result = user_put(r, all[0], NEXT, why, why_len);
		if (result != COMPILE_REFUSED)
			edges_drop(r);
	}
	free(all);
	return result == COMPILE_REFUSED ? result : COMPILE_LIVE;
}

/* As they were before live_put. */
static void
users_again(struct resources *r, struct resource *const all[], size_t n)
{
	while (n > 0)
		resource_again(r, all[--n]);
}

/* Of LIVE: v is in the place of the live version, and those that wait are to
 * be tried. */
static void
live_with_users(struct resources *r, struct resource *at,
    struct resource_version *v)
{
	struct edge *e;

	edges_begin(r);
	live(r, at, v);
	LIST_FOREACH(e, &at->in, in)
		if (e->which == NEXT)
			resource_dirty(r, e->from, false);
}

/* All that have it live are compiled with v: all or, refused or waiting, none.
 * Nobody serves it: it is held to be good by who waits for it. */
static int
put_with_users(struct resources *r, struct resource *at,
    struct resource_version *v, char *why, size_t why_len)
{
	size_t n, done = 0;
	struct resource **all = users(r, at, LIVE, &n);
	enum compile_result result;

	if (all == NULL)
		return why_set(why, why_len, "no memory");
	r->trying = at;
	r->trying_version = v;
	result = n > 0 ? live_put(r, all, n, &done, why, why_len) :
	    next_put(r, at, why, why_len);
	r->trying = NULL;
	if (result == COMPILE_LIVE)
		live_with_users(r, at, v);
	else if (result == COMPILE_WAITS)
		wait_for(r, at, v);
	else
		refused(r, at, v, why);
	if (result != COMPILE_LIVE)
		users_again(r, all, done);
	free(all);
	return result == COMPILE_REFUSED ? -1 : 0;
}

/* ---- secrets */

/* The version without the key. NULL: refused. */
struct resource_version *
resource_secret_new(struct resources *r, const char *text, const uint8_t *bytes,
    size_t len, enum resource_from from, char *why, size_t why_len)
{
	struct resource_version *v;
	struct compile_key key;
	uint8_t *rest;
	size_t rest_len;

	if (compile_secret(r->compiler, bytes, len, &rest, &rest_len, &key,
	    why, why_len) == -1)
		return NULL;
	v = version_new(text, rest, rest_len, from, r->now_ms);
	free(rest);
	if (v == NULL) {
		if (key.ref != 0)
			heap_let_go(r->image->keys, key.ref);
		why_set(why, why_len, "no memory");
		return NULL;
	}
	v->key = key;
	v->keys = r->image->keys;
	return v;
}

/* ---- endpoints, and addresses of a host name */

/* Every live cluster that has them: all of them or, refused, none. */
static int
assign(struct resources *r, struct resource *at, struct resource_version *v,
    char *why, size_t why_len)
{
	const struct compile_answer a = answer_of(at, v);
	struct compile_resource from;
	struct edge *e;
	bool any = false;

	LIST_FOREACH(e, &at->in, in) {
		if (e->which != LIVE)
			continue;
		from = resource_compile(e->from, e->from->version[LIVE]);
		if (compile_assign(r->compiler, &from, at->kind ==
		    RESOURCE_NAME ? NULL : &a, why, why_len) ==
		    COMPILE_REFUSED) {
			/* One took them and another did not: no room. */
			r->no_memory |= any;
			return -1;
		}
		any = true;
	}
	if (any)
		r->changed = true;
	return any || at->kind == RESOURCE_NAME ||
	    compile_try_endpoints(r->compiler, &a, why, why_len) ==
	    COMPILE_LIVE ? 0 : -1;
}

static int
put_endpoints(struct resources *r, struct resource *at,
    struct resource_version *v, char *why, size_t why_len)
{
	bool changed = r->changed;
	int rc;

	/* A cluster asks for its names again, this among them; its edges are
	 * as they were. */
	r->trying = at;
	r->trying_version = v;
	edges_begin(r);
	rc = assign(r, at, v, why, why_len);
	edges_drop(r);
	r->trying = NULL;
	edges_begin(r);
	if (rc == -1) {
		refused(r, at, v, why);
		return -1;
	}
	changed |= r->changed;
	live(r, at, v);
	r->changed = changed;
	return 0;
}

int
resources_reassign(struct resources *r, const ProtobufCMessage *cluster,
    char *why, size_t why_len)
{
	const struct compile_resource own = { .kind = RESOURCE_CLUSTER,
	    .message = cluster };

	if (compile_assign(r->compiler, &own, NULL, why, why_len) !=
	    COMPILE_LIVE)
		return -1;
	r->changed = true;
	return 0;
}

/* ---- put */

int
resource_put(struct resources *r, struct resource *at, struct resource_version *v,
    const struct compile_resource *from, char *why, size_t why_len)
{
	switch (at->kind) {
	case RESOURCE_CLUSTER:
	case RESOURCE_LISTENER:
		return put_whole(r, at, v, from, why, why_len);
	case RESOURCE_ROUTE:
	case RESOURCE_SECRET:
		return put_with_users(r, at, v, why, why_len);
	case RESOURCE_ENDPOINT:
	case RESOURCE_NAME:
		return put_endpoints(r, at, v, why, why_len);
	default:
		return why_set(why, why_len, "is of no kind");
	}
}

/* The newest accepted version says the same: nothing but its name changes. */
static bool
unchanged(struct resource *at, struct resource_version *v)
{
	enum which which = at->version[NEXT] != NULL ? NEXT : LIVE;
	struct resource_version *is = at->version[which];

	if (is == NULL || at->gone || is->from == FROM_FILE ||
	    is->len != v->len || memcmp(is->bytes, v->bytes, v->len) != 0 ||
	    is->key.hash != v->key.hash)
		return false;
	compile_known_move(&v->known, v->bytes, &is->known);
	version_set(at, which, v);
	return true;
}

bool
resource_of_file(const struct resource *at)
{
	return (at->version[LIVE] != NULL &&
	    at->version[LIVE]->from == FROM_FILE) ||
	    (at->version[NEXT] != NULL &&
	    at->version[NEXT]->from == FROM_FILE);
}

/* Nothing of the bytes is kept: the key is among them. */
static int
secret_refused(struct resources *r, struct resource *at, const char *version,
    const char *why)
{
	struct resource_version *v = version_new(version, NULL, 0, FROM_PLANE,
	    r->now_ms);

	edges_begin(r);
	if (v != NULL)
		refused(r, at, v, why);
	version_put(v);
	return -1;
}

int
resources_put(struct resources *r, enum resource_kind kind, const char *name,
    const char *version, const uint8_t *bytes, size_t len,
    enum resource_from from, char *why, size_t why_len)
{
	struct resource *at = kind == RESOURCE_NAME ? resource_find(r, kind,
	    name) : resource_get(r, kind, name);
	struct compile_resource own;
	struct resource_version *v;
	int rc = -1;

	assert(r->compiler != NULL);
	if (kind == RESOURCE_NAME && (at == NULL || LIST_EMPTY(&at->in)))
		return 0;
	if (at == NULL || !resource_touch(r, at))
		return why_set(why, why_len, "no memory");
	v = kind == RESOURCE_SECRET ? resource_secret_new(r, version, bytes, len, from,
	    why, why_len) : version_new(version, bytes, len, from, r->now_ms);
	if (v == NULL && kind == RESOURCE_SECRET)
		return secret_refused(r, at, version, why);
	if (v == NULL)
		return why_set(why, why_len, "no memory");
	own = resource_compile(at, v);
	if (resource_of_file(at)) {
		why_set(why, why_len, "stands in our own file under this "
		    "name, expected another name");
		edges_begin(r);
		refused(r, at, v, why);
	} else if (unchanged(at, v) ||
	    resource_put(r, at, v, &own, why, why_len) == 0) {
		resource_accepted(at);
		resource_journal_put(r, at, v);
		rc = 0;
	}
	version_put(v);
	return rc;
}

void
resources_refused(struct resources *r, enum resource_kind kind,
    const char *name, const char *why)
{
	struct resource *at = resource_find(r, kind, name);
	char *copy = strdup(why);

	if (at == NULL || at->refused == NULL || copy == NULL) {
		free(copy);
		return;
	}
	free(at->why);
	at->why = copy;
}

void
resources_bar(struct resources *r, const char *listener, const char *why)
{
	struct resource *at = resource_find(r, RESOURCE_LISTENER, listener);
	struct resource_version *v = at == NULL ? NULL : at->version[NEXT];

	assert(r->compiler != NULL);
	if (v == NULL || !resource_touch(r, at))
		return;
	edges_begin(r);
	refused(r, at, v, why);
	version_set(at, NEXT, NULL);
	edges_clear(r, at, NEXT);
}

/* ---- remove */

/* A cluster that nobody names live, or that lingered enough. */
void
resource_drop_cluster(struct resources *r, struct resource *at)
{
	struct edge *e;

	if (!compile_drop_cluster(r->compiler, at->name))
		r->no_memory = true;
	version_set(at, LIVE, NULL);
	edges_clear(r, at, LIVE);
	resource_due(r, at, 0);
	at->gone = false;
	at->missing = true;
	resource_journal_missing(r, at);
	r->changed = true;
	LIST_FOREACH(e, &at->in, in)
		if (e->which == LIVE)
			resource_dirty(r, e->from, true);
}

static void
remove_cluster(struct resources *r, struct resource *at)
{
	version_set(at, NEXT, NULL);
	edges_clear(r, at, NEXT);
	if (at->version[LIVE] == NULL)
		return;
	if (!edges_live(at)) {
		resource_drop_cluster(r, at);
		return;
	}
	at->gone = true;
	resource_due(r, at, r->now_ms + r->settings.linger_ms);
}

static void
remove_listener(struct resources *r, struct resource *at)
{
	if (at->version[LIVE] != NULL)
		r->changed = true;
	if (!compile_drop_listener(r->compiler, at->owner))
		r->no_memory = true;
	for (enum which which = LIVE; which < WHICHES; which++) {
		version_set(at, which, NULL);
		edges_clear(r, at, which);
	}
}

void
resource_remove(struct resources *r, struct resource *at)
{
	if (!resource_touch(r, at))
		return;
	resource_accepted(at);
	if (at->kind == RESOURCE_CLUSTER)
		remove_cluster(r, at);
	else if (at->kind == RESOURCE_LISTENER)
		remove_listener(r, at);
	/* Routes and endpoints go with those that name them, as in Envoy. */
}

void
resources_remove(struct resources *r, enum resource_kind kind,
    const char *name)
{
	struct resource *at = resource_find(r, kind, name);

	assert(r->compiler != NULL);
	if (at == NULL || resource_of_file(at))
		return;
	resource_remove(r, at);
	resource_journal_remove(r, at);
}

void
resources_forget(struct resources *r, enum resource_kind kind,
    bool (*is_sent)(void *arg, const char *name), void *arg)
{
	struct resource *at;

	assert(r->compiler != NULL);
	EACH_RESOURCE(r, i, at)
		if (at->kind == kind && at->refused != NULL &&
		    at->refused->from == FROM_PLANE &&
		    !is_sent(arg, at->name) && resource_touch(r, at))
			resource_accepted(at);
}

void
resource_missing(struct resources *r, struct resource *at)
{
	struct edge *e;
	char why[512];

	resource_due(r, at, 0);
	if (at->version[LIVE] != NULL || at->missing || !resource_touch(r, at))
		return;
	/* So that it is in the journal. */
	if (at->kind == RESOURCE_NAME) {
		(void)resources_put(r, at->kind, at->name, "", NULL, 0,
		    FROM_DNS, why, sizeof(why));
		return;
	}
	at->missing = true;
	resource_journal_missing(r, at);
	LIST_FOREACH(e, &at->in, in)
		if (e->which == NEXT)
			resource_dirty(r, e->from, false);
}

void
resources_missing(struct resources *r, enum resource_kind kind,
    const char *name)
{
	struct resource *at = resource_find(r, kind, name);

	assert(r->compiler != NULL);
	if (at != NULL)
		resource_missing(r, at);
}

