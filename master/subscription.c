/*
 * master/subscription.c - changes one at a time, whoever brings them: see
 * subscription.h.
 */
#include "master/subscription.h"

#include <stdlib.h>
#include <string.h>

#include "master/subscription_inside.h"
#include "shm/log.h"

int64_t
subscription_now_ms(const struct subscription *s)
{
	return s->io->loop->now.ns / 1000000;
}

bool
subscription_busy(const struct subscription *s)
{
	return s->staged || !s->owner.idle(s->owner.arg);
}

/* ---- stages */

bool
subscription_begin(struct subscription *s, char *why, size_t why_len)
{
	return generations_change_begin(s->generations,
	    subscription_now_ms(s), why, why_len) == 0;
}

enum subscription_end
subscription_end(struct subscription *s, struct feed *f, char *why,
    size_t why_len)
{
	enum subscription_end how;

	switch (generations_change_end(s->generations, why, why_len)) {
	case 0:
		how = s->owner.staged(s->owner.arg, why, why_len);
		break;
	case 1:
		return SUBSCRIPTION_DONE;
	default:
		how = SUBSCRIPTION_FAILED;
	}
	s->staged = how == SUBSCRIPTION_STAGED;
	s->staging = s->staged ? f : NULL;
	if (how == SUBSCRIPTION_FAILED)
		log_error("a change of %s is lost: %s", f != NULL &&
		    f->file != NULL ? "a file" : "the control plane", why);
	return how;
}

/* ---- host names */

/* Control planes' may be among them. */
static void
resolved_tell(struct subscription *s)
{
	struct feed *f;

	TAILQ_FOREACH(f, &s->feeds, link)
		if (s->resolved && f->subscribe != NULL)
			subscribe_retry(f->subscribe);
	s->resolved = false;
}

static void
resolved_apply(struct subscription *s)
{
	char why[WHY_BYTES];

	if (!subscription_begin(s, why, sizeof(why)))
		return;
	resolve_put(s->resolve);
	s->resolved = true;
	switch (subscription_end(s, NULL, why, sizeof(why))) {
	case SUBSCRIPTION_DONE:
		resolved_tell(s);
		break;
	case SUBSCRIPTION_STAGED:
		break;
	case SUBSCRIPTION_FAILED:
		resolve_again(s->resolve);
		break;
	}
}

/* Soon, so that those that are answered together are one change. */
static void
resolve_ready(void *arg)
{
	subscription_timer(arg, true);
}

/* ---- time */

void
subscription_timer(struct subscription *s, bool soon)
{
	int64_t due;

	s->soon |= soon;
	due = s->soon ? 0 : resources_due(s->generations->resources,
	    subscription_now_ms(s));
	timer_stop(&s->io->loop->timers, &s->timer);
	if (due != -1)
		timer_start(&s->io->loop->timers, &s->timer, s->io->loop->now,
		    due);
}

/* Each that waits, until one is with the keeper. */
static void
updates_apply(struct subscription *s)
{
	struct feed *f;

	TAILQ_FOREACH(f, &s->feeds, link)
		if (f->update != NULL && !subscription_busy(s) &&
		    feed_apply(f))
			feed_answer(f);
}

/* All that waits for us to be idle, and for time to pass. */
static void
tick(struct subscription *s)
{
	char why[WHY_BYTES];

	s->soon = false;
	updates_apply(s);
	if (!subscription_busy(s) && resolve_pending(s->resolve))
		resolved_apply(s);
	if (!subscription_busy(s) && resources_due(s->generations->resources,
	    subscription_now_ms(s)) == 0 &&
	    subscription_begin(s, why, sizeof(why)))
		(void)subscription_end(s, NULL, why, sizeof(why));
	if (subscription_busy(s))
		return;			/* subscription_go comes */
	feeds_sweep(s);
	subscription_timer(s, false);
}

static void
timer_fire(struct timer *t)
{
	tick(CONTAINER(t, struct subscription, timer));
}

void
subscription_go(struct subscription *s)
{
	tick(s);
}

/* ---- the keeper's answer */

/* Its item is refused, so that it is not put again; what is not in this
 * update waited for its routes since it was acknowledged, and is refused in the
 * set and to its server. */
static void
bar(struct subscription *s, const char *listener, const char *why)
{
	char words[WHY_BYTES];
	struct feed *f;

	TAILQ_FOREACH(f, &s->feeds, link)
		if (feed_bar(f, listener, why))
			return;
	if (!subscription_begin(s, words, sizeof(words)))
		return;
	resources_bar(s->generations->resources, listener, why);
	(void)subscription_end(s, NULL, words, sizeof(words));
	f = feeds_find(s, RESOURCE_LISTENER, listener);
	if (f != NULL && f->subscribe != NULL)
		ads_retract(f->ads, RESOURCE_LISTENER, listener, why,
		    subscription_now_ms(s));
}

void
subscription_bound(struct subscription *s, const char *listener,
    const char *why)
{
	struct feed *f = s->staging;

	s->staged = false;
	s->staging = NULL;
	if (why != NULL) {
		log_error("LDS: \"%s\" is refused: %s", listener, why);
		resolve_again(s->resolve);
		bar(s, listener, why);
	} else {
		if (f != NULL)
			feed_answer(f);
		resolved_tell(s);
	}
	tick(s);
}

/* ---- for others who call the control plane */

bool
subscription_target(void *arg, uint32_t i, struct subscribe_target *t,
    char *why, size_t why_len)
{
	struct subscription *s = arg;

	if (s->dynamic.ads == NULL)
		return why_set(why, why_len, "there is no control plane") == 0;
	return feed_stream_target(s, s->dynamic.ads, i, t, why, why_len);
}

/* ---- beginning */

void
subscription_follow(struct subscription *s)
{
	struct generations *g = s->generations;

	if (s->follows && dynamic_same(&s->dynamic, &g->dynamic)) {
		feeds_retry(s);
		tick(s);
		return;
	}
	feeds_stop(s);
	if (!dynamic_copy(&s->dynamic, &g->dynamic) || !feeds_start(s)) {
		log_error("no memory to follow a control plane");
		feeds_stop(s);
	}
	tick(s);
}

static void
file_changed(void *arg, const char *path)
{
	struct subscription *s = arg;
	struct feed *f;

	TAILQ_FOREACH(f, &s->feeds, link)
		if (f->file != NULL && strcmp(f->origin->path, path) == 0)
			feed_file_look(f);
}

/* ---- life */

struct subscription *
subscription_new(struct io *io, struct generations *g,
    const struct subscription_owner *o)
{
	struct subscription *s = calloc(1, sizeof(*s));
	const struct resolve_settings names = { .loop = io->loop,
	    .resources = g->resources,
	    .servers = g->staged_conf.dns_servers, .ready = resolve_ready,
	    .arg = s };

	if (s == NULL || (s->resolve = resolve_new(&names)) == NULL) {
		free(s);
		return NULL;
	}
	s->io = io;
	s->generations = g;
	s->owner = *o;
	s->timer.fire = timer_fire;
	TAILQ_INIT(&s->feeds);
	if ((s->watch = watch_open(io->loop, file_changed, s)) == NULL) {
		resolve_free(s->resolve);
		free(s);
		return NULL;
	}
	plans_init(&s->plans, &io->mem, &g->image.secrets);
	resources_want(g->resources, feeds_want, s);
	resources_dynamic(g->resources, RESOURCE_NAME, true);
	return s;
}

void
subscription_free(struct subscription *s)
{
	if (s == NULL)
		return;
	resources_want(s->generations->resources, NULL, NULL);
	timer_stop(&s->io->loop->timers, &s->timer);
	feeds_stop(s);
	watch_close(s->watch);
	resolve_free(s->resolve);
	plans_fini(&s->plans);
	free(s);
}

/* ---- questions */

void
subscription_names_print(const struct subscription *s, FILE *out)
{
	resolve_print(s->resolve, out);
}

static void
status_fill(const struct feed *f, struct feed_status *to)
{
	*to = (struct feed_status){ .origin = f->origin, .kind = f->kind,
	    .now_ms = subscription_now_ms(f->owner),
	    .held_up = f->update != NULL, .why = "" };
	for (enum resource_kind kind = 0; kind < RESOURCE_KINDS; kind++)
		ads_status(f->ads, kind, &to->kinds[kind]);
	if (f->subscribe != NULL)
		subscribe_status(f->subscribe, &to->stream);
	else
		feed_file_status(f, to);
}

void
subscription_each(const struct subscription *s,
    void (*each)(void *arg, const struct feed_status *f), void *arg)
{
	struct feed_status status;
	struct feed *f;

	TAILQ_FOREACH(f, &s->feeds, link) {
		status_fill(f, &status);
		each(arg, &status);
	}
}

const char *
subscription_origin(const struct subscription *s, enum resource_kind kind,
    const char *name, char *text, size_t text_len)
{
	const struct feed *f = feeds_find(s, kind, name);

	return f == NULL || f->kind == -1 ? NULL : origin_text(f->origin,
	    (enum resource_kind)f->kind, text, text_len);
}
