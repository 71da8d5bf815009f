/*
 * master/feeds.c - which feeds there are: who wants what of whom. See
 * subscription_inside.h.
 *
 *   ADS, LDS, CDS     as long as the file says so
 *   of a ConfigSource from the first resource that names it to the last
 */
#include "master/subscription_inside.h"

#include "shm/log.h"

/* ---- finding */

/* Of plain names: ADS's, or those of the one source that LDS or CDS has. */
static bool
brings_plain(const struct feed *f, enum resource_kind kind)
{
	const struct dynamic *d = &f->owner->dynamic;
	const struct origin *of = dynamic_origin(d, kind);

	if (f->key != 0 || of == NULL)
		return false;
	return f->kind == -1 ? of == d->ads : of != d->ads &&
	    f->kind == (int)kind;
}

struct feed *
feeds_find(const struct subscription *s, enum resource_kind kind,
    const char *name)
{
	uint64_t key = origin_key(name);
	struct feed *f;

	TAILQ_FOREACH(f, &s->feeds, link)
		if (key == 0 ? brings_plain(f, kind) : f->key == key &&
		    f->kind == (int)kind)
			break;
	return f;
}

/* One that a resource names, made when it is the first. NULL: nobody brings
 * it. */
static struct feed *
find_or_open(struct subscription *s, enum resource_kind kind,
    const char *name)
{
	uint64_t key = origin_key(name);
	struct feed *f = feeds_find(s, kind, name);
	struct origin *o;

	if (f != NULL || key == 0)
		return f;
	o = origins_find(s->generations->origins, key);
	if (o != NULL && (f = feed_open(s, o, (int)kind, key)) == NULL)
		log_error("no memory to follow a source of %s",
		    resource_about(kind)->word);
	return f;
}

/* ---- wanting */

static void
want_on(struct subscription *s, enum resource_kind kind, const char *name)
{
	struct feed *f = find_or_open(s, kind, name);

	if (f == NULL || !feed_is_named(f, kind))
		return;
	f->wanted_n++;
	if (!ads_subscribe(f->ads, kind, origin_plain(name)))
		log_error("no memory to ask for %s \"%s\"",
		    resource_about(kind)->acronym, origin_plain(name));
	if (f->file != NULL)
		feed_file_wanted(f);
}

/* It may be said in the middle of a change: who is not wanted goes later. */
static void
want_off(struct subscription *s, enum resource_kind kind, const char *name)
{
	struct feed *f = feeds_find(s, kind, name);

	if (f == NULL || !feed_is_named(f, kind))
		return;
	ads_unsubscribe(f->ads, kind, origin_plain(name));
	f->wanted_n -= f->wanted_n > 0;
	if (f->wanted_n > 0 || f->key == 0)
		return;
	s->sweep = true;
	subscription_timer(s, true);
}

void
feeds_want(void *arg, enum resource_kind kind, const char *name, bool on)
{
	struct subscription *s = arg;

	if (kind == RESOURCE_NAME)
		resolve_want(s->resolve, name, on);
	else if (!s->follows)
		return;			/* feeds_start finds it */
	else if (on)
		want_on(s, kind, name);
	else
		want_off(s, kind, name);
}

void
feeds_sweep(struct subscription *s)
{
	struct feed *f, *next;

	if (!s->follows)
		return;
	for (f = TAILQ_FIRST(&s->feeds); s->sweep && f != NULL; f = next) {
		next = TAILQ_NEXT(f, link);
		if (f->key != 0 && f->wanted_n == 0)
			feed_close(f);
	}
	s->sweep = false;
	/* Of what was refused too. */
	origins_sweep(s->generations->origins);
}

/* ---- all of them */

/* What a checkpoint had may be days old, and a server's numbers may have begun
 * anew: it is not told one that would keep it silent. Delta's are told, for
 * only what is named there can be removed. */
static const char *
version_held(const struct feed *f, const struct resource_version *v)
{
	return v->from == FROM_CHECKPOINT && !f->origin->delta ? "" : v->text;
}

/* What we have and want already. */
static void
take_over(void *arg, const struct resource_view *v)
{
	struct subscription *s = arg;
	const struct resource_version *newest = v->next != NULL ? v->next :
	    v->live;
	struct feed *f = v->wanted ? find_or_open(s, v->kind, v->name) :
	    feeds_find(s, v->kind, v->name);

	if (f != NULL && newest != NULL && newest->from != FROM_FILE &&
	    !v->lingers)
		(void)ads_hold(f->ads, v->kind, origin_plain(v->name),
		    version_held(f, newest));
	if (v->wanted)
		want_on(s, v->kind, v->name);
}

static bool
whole_open(struct subscription *s, const struct dynamic_whole *w,
    enum resource_kind kind)
{
	return !w->on || w->origin == NULL ||
	    feed_open(s, w->origin, (int)kind, 0) != NULL;
}

static void
whole_begin(struct subscription *s, const struct dynamic_whole *w,
    enum resource_kind kind)
{
	struct feed *f = w->on ? feeds_find(s, kind, "") : NULL;

	if (f != NULL)
		ads_wildcard(f->ads, kind, true);
}

/* All that is held is told before something is asked for. */
bool
feeds_start(struct subscription *s)
{
	const struct dynamic *d = &s->dynamic;

	s->follows = true;
	if ((d->ads != NULL && feed_open(s, d->ads, -1, 0) == NULL) ||
	    !whole_open(s, &d->listeners, RESOURCE_LISTENER) ||
	    !whole_open(s, &d->clusters, RESOURCE_CLUSTER))
		return false;
	resources_each(s->generations->resources, take_over, s);
	whole_begin(s, &d->clusters, RESOURCE_CLUSTER);
	whole_begin(s, &d->listeners, RESOURCE_LISTENER);
	return true;
}

void
feeds_stop(struct subscription *s)
{
	struct feed *f;

	while ((f = TAILQ_FIRST(&s->feeds)) != NULL)
		feed_close(f);
	s->follows = false;
	dynamic_fini(&s->dynamic);
}

void
feeds_retry(struct subscription *s)
{
	struct feed *f;

	TAILQ_FOREACH(f, &s->feeds, link)
		if (f->subscribe != NULL)
			subscribe_retry(f->subscribe);
		else
			feed_file_retry(f);
}
