/*
 * master/resources_stage.c - a stage of the set: trying what may be whole now,
 * and in the end committing or undoing. See resources.h.
 *
 *   put, remove, missing ─> dirty ─> try ─> dirty ─> ... until nothing is
 *
 * What a stage touches is remembered as it was; an aborted one puts it back,
 * edges and all.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "master/resources_inside.h"
#include "shm/log.h"

/* ---- undoing */

bool
resource_touch(struct resources *r, struct resource *at)
{
	struct undo *u;

	if (at->undo != NULL)
		return true;
	if ((u = calloc(1, sizeof(*u))) == NULL) {
		r->no_memory = true;
		return false;
	}
	*u = (struct undo){ .resource = at,
	    .version = { at->version[LIVE], at->version[NEXT] },
	    .refused = at->refused, .why = at->why,
	    .missing = at->missing, .gone = at->gone, .due_ms = at->due_ms,
	    .waits_since_ms = at->waits_since_ms,
	    .patience_ms = at->patience_ms };
	for (int which = 0; which < WHICHES; which++) {
		LIST_INIT(&u->out[which]);
		if (at->version[which] != NULL)
			at->version[which]->refs++;
	}
	if (at->refused != NULL)
		at->refused->refs++;
	at->why = u->why == NULL ? NULL : strdup(u->why);
	at->undo = u;
	SLIST_INSERT_HEAD(&r->undos, u, link);
	return true;
}

static void
undo_free(struct resources *r, struct undo *u)
{
	struct resource *at = u->resource;

	version_put(u->version[LIVE]);
	version_put(u->version[NEXT]);
	version_put(u->refused);
	free(u->why);
	free(u);
	at->undo = NULL;
	resource_tidy(r, at);
}

void
resources_commit(struct resources *r)
{
	struct undo *u;

	assert(r->compiler == NULL);
	r->open = false;
	if (r->journal != NULL)
		journal_commit(r->journal);
	if (!SLIST_EMPTY(&r->undos))
		r->changes++;
	while ((u = SLIST_FIRST(&r->undos)) != NULL) {
		SLIST_REMOVE_HEAD(&r->undos, link);
		edges_commit(r, u);
		undo_free(r, u);
	}
}

static void
undo(struct resources *r, struct undo *u)
{
	struct resource *at = u->resource;

	version_set(at, LIVE, u->version[LIVE]);
	version_set(at, NEXT, u->version[NEXT]);
	version_put(at->refused);
	free(at->why);
	at->refused = u->refused;
	at->why = u->why;
	u->refused = NULL;
	u->why = NULL;
	at->missing = u->missing;
	at->gone = u->gone;
	at->waits_since_ms = u->waits_since_ms;
	at->patience_ms = u->patience_ms;
	resource_due(r, at, u->due_ms);
	undo_free(r, u);
}

void
resources_abort(struct resources *r)
{
	struct resource *at;
	struct undo *u;

	if (r->compiler != NULL)
		compile_cancel(r->compiler);
	r->compiler = NULL;
	r->open = false;
	if (r->journal != NULL)
		journal_abort(r->journal);
	edges_drop(r);
	SLIST_FOREACH(u, &r->undos, link)
		edges_abort(r, u);
	while ((u = SLIST_FIRST(&r->undos)) != NULL) {
		SLIST_REMOVE_HEAD(&r->undos, link);
		undo(r, u);
	}
	while ((at = TAILQ_FIRST(&r->dirty)) != NULL) {
		TAILQ_REMOVE(&r->dirty, at, dirty_link);
		at->dirty = at->again = false;
		resource_tidy(r, at);
	}
}

/* ---- the stage */

int
resources_begin(struct resources *r, const struct compile_stage *s,
    int64_t now_ms)
{
	struct compile_stage own = *s;

	assert(!r->open);
	r->ask = (struct compile_ask){ resource_ask, r };
	own.ask = &r->ask;
	r->compiler = compile_begin(&own);
	r->now_ms = now_ms;
	r->image = s->image;
	r->changed = r->no_memory = false;
	r->why[0] = '\0';
	r->open = r->compiler != NULL;
	return r->open ? 0 : -1;
}

bool
resources_is_open(const struct resources *r)
{
	return r->open;
}

/* What is sent by name only, and nobody names any more, is not heard of any
 * more either. */
static bool
forget(struct resources *r, struct resource *at)
{
	if (!LIST_EMPTY(&at->in) || !r->named[at->kind] ||
	    resource_of_file(at))
		return false;
	if (at->kind == RESOURCE_CLUSTER && at->version[LIVE] != NULL)
		resource_drop_cluster(r, at);
	at->missing = false;
	version_set(at, LIVE, NULL);
	version_set(at, NEXT, NULL);
	edges_clear(r, at, NEXT);
	return true;
}

/* One of the queue. */
static void
try(struct resources *r, struct resource *at)
{
	struct resource_version *next = at->version[NEXT];
	struct compile_resource from;
	bool anew = at->again;
	char why[1024];

	TAILQ_REMOVE(&r->dirty, at, dirty_link);
	at->dirty = at->again = false;
	if (!resource_touch(r, at) || forget(r, at))
		return;
	if (at->gone && !edges_live(at)) {
		resource_drop_cluster(r, at);
		return;
	}
	if (anew && at->version[LIVE] != NULL)
		resource_again(r, at);
	if (next == NULL)
		return;
	next->refs++;
	from = resource_compile(at, next);
	if (resource_put(r, at, next, &from, why, sizeof(why)) == -1) {
		log_error("%s \"%s\" was accepted and can't be used: %s",
		    resource_about(at->kind)->acronym,
		    origin_plain(at->name), why);
		version_set(at, NEXT, NULL);
		edges_clear(r, at, NEXT);
	}
	version_put(next);
}

void
resources_settle(struct resources *r)
{
	while (!TAILQ_EMPTY(&r->dirty) && !r->no_memory)
		try(r, TAILQ_FIRST(&r->dirty));
}

void
resources_prune(struct resources *r)
{
	struct resource *at;

	EACH_RESOURCE(r, i, at)
		if (LIST_EMPTY(&at->in) &&
		    !resource_about(at->kind)->whole)
			resource_dirty(r, at, false);
	resources_settle(r);
}

static void
try_due(struct resources *r)
{
	struct resource *at;

	while ((at = TAILQ_FIRST(&r->due)) != NULL &&
	    at->due_ms <= r->now_ms) {
		resource_due(r, at, 0);
		if (at->gone && at->version[LIVE] != NULL) {
			if (resource_touch(r, at))
				resource_drop_cluster(r, at);
		} else
			resource_missing(r, at);
	}
}

static int
failed(struct resources *r, char *why, size_t why_len)
{
	resources_abort(r);
	return why_set(why, why_len, "%s", r->why[0] != '\0' ? r->why :
	    "no memory is left for this change");
}

int
resources_end(struct resources *r, const struct conf *conf,
    struct compiled *out, char *why, size_t why_len)
{
	struct compiler *c = r->compiler;

	try_due(r);
	resources_settle(r);
	if (r->no_memory)
		return failed(r, why, why_len);
	r->compiler = NULL;
	if (!r->changed) {
		compile_cancel(c);
		resources_commit(r);
		return 1;
	}
	if (compile_end(c, out, conf, why, why_len) == 0)
		return 0;
	resources_abort(r);
	return -1;
}

void
resources_timeout(struct resources *r, uint32_t ms)
{
	r->clusters_ms = ms;
}

void
resources_named(struct resources *r, enum resource_kind kind, bool on)
{
	r->named[kind] = on;
}

void
resources_dynamic(struct resources *r, enum resource_kind kind, bool on)
{
	r->dynamic[kind] = on;
}

uint64_t
resources_changes(const struct resources *r)
{
	return r->changes;
}
