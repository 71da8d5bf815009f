/*
 * master/feed.c - a feed: what it brings, into the set of resources and back.
 * See subscription_inside.h.
 */
#include "master/subscription_inside.h"

#include <stdlib.h>
#include <string.h>

#include "shm/log.h"

static struct resources *
set_of(const struct feed *f)
{
	return f->owner->generations->resources;
}

/* ---- names */

/* What the set calls it. */
static const char *
qualified(const struct feed *f, const char *name, char room[ORIGIN_NAME_BYTES])
{
	if (f->key == 0)
		return name;
	return origin_name(room, ORIGIN_NAME_BYTES, f->key, name) ? room :
	    name;
}

bool
feed_is_named(const struct feed *f, enum resource_kind kind)
{
	if (kind == RESOURCE_CLUSTER)
		return f->kind == -1 && !f->owner->dynamic.clusters.on;
	return !resource_about(kind)->whole;
}

/* ---- putting an update */

static void
item_refuse(struct feed *f, enum resource_kind kind, const char *name,
    struct ads_item *item, const char *why)
{
	char placed[WHY_BYTES + 256];

	if (f->file != NULL) {
		feed_file_place(f, kind, item->name, why, placed,
		    sizeof(placed));
		resources_refused(set_of(f), kind, name, placed);
		why = placed;
	}
	log_warn("%s: \"%s\" is refused: %s", resource_about(kind)->acronym,
	    item->name, why);
	ads_refuse(f->ads, item, why);
}

static void
item_put(struct feed *f, enum resource_kind kind, struct ads_item *item)
{
	char why[WHY_BYTES], room[ORIGIN_NAME_BYTES];
	const char *name = qualified(f, item->name, room);

	if (item->why == NULL && resources_put(set_of(f), kind, name,
	    item->version, item->bytes, item->len, FROM_PLANE, why,
	    sizeof(why)) == -1)
		item_refuse(f, kind, name, item, why);
}

static void
update_fail(struct feed *f, const char *why)
{
	for (size_t i = 0; i < f->update->items_n; i++)
		if (f->update->items[i].why == NULL)
			ads_refuse(f->ads, &f->update->items[i], why);
}

/* State of the world: all that is sent of a kind is in each update of it. */
static bool
is_sent(void *arg, const char *name)
{
	const struct feed *f = arg;
	const struct ads_update *u = f->update;

	if (origin_key(name) != f->key)
		return true;		/* by somebody else */
	for (size_t i = 0; i < u->items_n; i++)
		if (strcmp(u->items[i].name, origin_plain(name)) == 0)
			return true;
	return false;
}

static bool
is_not_gone(void *arg, const char *name)
{
	const struct feed *f = arg;
	const struct ads_update *u = f->update;

	for (size_t i = 0; origin_key(name) == f->key && i < u->gone_n; i++)
		if (strcmp(u->gone[i], origin_plain(name)) == 0)
			return false;
	return true;
}

/* A file has all that there is of it; a server's response only of LDS, CDS. */
static bool
is_whole(const struct feed *f)
{
	return f->file != NULL || resource_about(f->update->kind)->whole;
}

/* What was refused was not held, so that its end is no removal. Removals alone
 * may be a TTL's end, with no word of the rest. */
static void
refused_forget(struct feed *f)
{
	const struct ads_update *u = f->update;

	if (f->origin->delta && u->gone_n > 0)
		resources_forget(set_of(f), u->kind, is_not_gone, f);
	else if (!f->origin->delta && is_whole(f) &&
	    (u->items_n > 0 || u->removed_n == 0))
		resources_forget(set_of(f), u->kind, is_sent, f);
}

bool
feed_apply(struct feed *f)
{
	struct ads_update *u = f->update;
	enum subscription_end how;
	char why[WHY_BYTES], room[ORIGIN_NAME_BYTES];

	if (!subscription_begin(f->owner, why, sizeof(why))) {
		update_fail(f, why);
		return true;
	}
	for (size_t i = 0; i < u->items_n; i++)
		item_put(f, u->kind, &u->items[i]);
	for (size_t i = 0; i < u->removed_n; i++)
		resources_remove(set_of(f), u->kind, qualified(f,
		    u->removed[i], room));
	refused_forget(f);
	how = subscription_end(f->owner, f, why, sizeof(why));
	if (how == SUBSCRIPTION_FAILED)
		update_fail(f, why);
	return how != SUBSCRIPTION_STAGED;
}

void
feed_answer(struct feed *f)
{
	f->update = NULL;
	ads_answer(f->ads, subscription_now_ms(f->owner));
	feed_wake(f);
}

bool
feed_bar(struct feed *f, const char *listener, const char *why)
{
	struct ads_update *u = f->update;

	for (size_t i = 0; u != NULL && u->kind == RESOURCE_LISTENER &&
	    i < u->items_n; i++)
		if (strcmp(u->items[i].name, listener) == 0) {
			ads_refuse(f->ads, &u->items[i], why);
			return true;
		}
	return false;
}

/* ---- what ads.h says */

static bool
updated(void *arg, struct ads *a, struct ads_update *u)
{
	struct feed *f = arg;

	(void)a;
	f->update = u;
	if (subscription_busy(f->owner) || !feed_apply(f))
		return false;
	f->update = NULL;
	subscription_timer(f->owner, false);
	return true;
}

/* The set has a clock of its own for what is said while we are busy. */
static void
missing(void *arg, enum resource_kind kind, const char *name)
{
	char why[WHY_BYTES], room[ORIGIN_NAME_BYTES];
	struct feed *f = arg;

	if (subscription_busy(f->owner) ||
	    !subscription_begin(f->owner, why, sizeof(why)))
		return;
	resources_missing(set_of(f), kind, qualified(f, name, room));
	(void)subscription_end(f->owner, NULL, why, sizeof(why));
}

void
feed_wake(struct feed *f)
{
	if (f->subscribe != NULL)
		subscribe_wake(f->subscribe);
	if (f->file != NULL)
		feed_file_wake(f);
}

static void
woken(void *arg)
{
	feed_wake(arg);
}

/* ---- life */

/* How long is waited for what does not come the set knows. */
static struct ads *
ads_of(struct feed *f)
{
	static const struct ads_events events = { updated, missing, woken };
	const struct dynamic *d = &f->owner->dynamic;
	const struct ads_settings own = { .delta = f->origin->delta,
	    .node_once = f->origin->node_once, .node = d->node,
	    .node_len = d->node_len,
	    .empty_meant = f->origin->path != NULL };

	return ads_new(&own, &events, f);
}

struct feed *
feed_open(struct subscription *s, struct origin *origin, int kind,
    uint64_t key)
{
	struct feed *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return NULL;
	f->owner = s;
	f->origin = origin_get(origin);
	f->kind = kind;
	f->key = key;
	if (kind == -1)
		TAILQ_INSERT_HEAD(&s->feeds, f, link);
	else
		TAILQ_INSERT_TAIL(&s->feeds, f, link);
	if ((f->ads = ads_of(f)) != NULL && (origin->path != NULL ?
	    feed_file_open(f) : feed_stream_open(f)) == 0)
		return f;
	feed_close(f);
	return NULL;
}

void
feed_close(struct feed *f)
{
	if (f->owner->staging == f)
		f->owner->staging = NULL;
	TAILQ_REMOVE(&f->owner->feeds, f, link);
	if (f->subscribe != NULL)
		subscribe_close(f->subscribe);
	if (f->file != NULL)
		feed_file_close(f);
	ads_free(f->ads);
	origin_put(f->origin);
	free(f);
}
