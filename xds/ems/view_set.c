/* xds/ems/view_set.c - see view_set.h. */
#include "xds/ems/view_set.h"

#include <assert.h>

#include "shm/log.h"

static bool
is_whole(const struct view *v)
{
	return view_owns(v, RESOURCE_CLUSTER);
}

bool
view_set_has_parts(const struct view *v)
{
	return view_owns(v, RESOURCE_ROUTE) && v->base == NULL;
}

/* ---- numbers */

uint32_t
view_set_number(struct view_set *s)
{
	uint32_t n = 0;

	while (s->numbers[n])
		n++;
	assert(n < VIEW_SET_NUMBERS);
	s->numbers[n] = true;
	return n;
}

void
view_set_number_put(struct view_set *s, uint32_t number)
{
	assert(s->numbers[number]);
	model_parts_drop(s->model, number);
	s->numbers[number] = false;
}

/* ---- the end of one */

static void
end(struct view_set *s, struct view *v)
{
	struct view *of[RESOURCE_KINDS], *base = v->base;

	TAILQ_REMOVE(&s->all, v, link);
	s->all_n--;
	s->whole_n -= is_whole(v);
	if (view_set_has_parts(v))
		view_set_number_put(s, v->number);
	for (int i = 0; i < RESOURCE_KINDS; i++)
		of[i] = v->of[i] == v ? NULL : v->of[i];
	view_free(v);
	for (int i = 0; i < RESOURCE_KINDS; i++)
		if (of[i] != NULL)
			view_set_put(s, of[i]);
	if (base != NULL)
		view_set_put(s, base);
}

static void
idle_end(struct view_set *s)
{
	struct view *v = TAILQ_FIRST(&s->idle);

	TAILQ_REMOVE(&s->idle, v, idle);
	s->idle_n--;
	end(s, v);
}

void
view_set_put(struct view_set *s, struct view *v)
{
	assert(v->users > 0);
	if (--v->users > 0)
		return;
	if (!is_whole(v)) {
		end(s, v);
		return;
	}
	TAILQ_INSERT_TAIL(&s->idle, v, idle);
	if (++s->idle_n > VIEW_SET_IDLE_MAX)
		idle_end(s);
}

/* ---- one more */

static struct view *
find(const struct view_set *s, const struct view_key *k)
{
	uint64_t hash = view_hash(k);
	struct view *v;

	TAILQ_FOREACH(v, &s->all, link)
		if (v->hash == hash && view_is(v, k))
			break;
	return v;
}

/* What nobody uses is idle, for it is whole (V3). */
static void
wake(struct view_set *s, struct view *v)
{
	if (v->users > 0)
		return;
	TAILQ_REMOVE(&s->idle, v, idle);
	s->idle_n--;
}

/* Whose it shall have; NULL: its own. */
static struct view *
owner_find(const struct view_set *s, const struct view_key *k,
    enum resource_kind kind)
{
	struct view *v;

	if (kind == RESOURCE_LISTENER || kind == RESOURCE_SECRET)
		return NULL;
	TAILQ_FOREACH(v, &s->all, link)
		if (view_owns(v, kind) && view_shares(v, k, kind))
			break;
	return v;
}

static void
share(struct view_set *s, struct view *v)
{
	for (enum resource_kind kind = 0; kind < RESOURCE_KINDS; kind++) {
		struct view *from = owner_find(s, &v->key, kind);

		if (from == NULL)
			continue;
		wake(s, from);
		view_share(v, from, kind);
	}
}

/* Place for a whole one. */
static bool
make_room(struct view_set *s)
{
	while (s->whole_n >= VIEW_SET_WHOLE_MAX && s->idle_n > 0)
		idle_end(s);
	return s->whole_n < VIEW_SET_WHOLE_MAX;
}

static struct view *
make(struct view_set *s, const struct view_key *k, struct view *base,
    char *why, size_t why_len)
{
	struct view *v;

	if (owner_find(s, k, RESOURCE_CLUSTER) == NULL && !make_room(s)) {
		why_set(why, why_len, "proxies that are connected are of %d "
		    "kinds (by role, region, tls and caller), expected no "
		    "more",
		    VIEW_SET_WHOLE_MAX);
		return NULL;
	}
	if ((v = view_new(s->settings, k, 0)) == NULL) {
		why_set(why, why_len, "no memory is left");
		return NULL;
	}
	share(s, v);
	v->base = base;
	if (view_set_has_parts(v))
		v->number = view_set_number(s);
	TAILQ_INSERT_TAIL(&s->all, v, link);
	s->all_n++;
	s->whole_n += is_whole(v);
	v->users = 1;
	if (base != NULL)
		base->users++;		/* end() puts it */
	if (view_compile(v, s->model, why, why_len) != -1)
		return v;
	end(s, v);
	return NULL;
}

/* Of all that its caller could be told of: whoever has those clusters, or one
 * that listens nowhere. */
static struct view *
base_get(struct view_set *s, const struct view_key *k, char *why,
    size_t why_len)
{
	const struct view_key all = { k->role, k->region, "", "", k->tls, "" };
	struct view *v = owner_find(s, &all, RESOURCE_CLUSTER);

	if (v == NULL)
		return make(s, &all, NULL, why, why_len);
	wake(s, v);
	v->users++;
	return v;
}

struct view *
view_set_get(struct view_set *s, const struct view_key *k, char *why,
    size_t why_len)
{
	struct view *v = find(s, k), *base = NULL;

	if (v != NULL) {
		wake(s, v);
		v->users++;
		return v;
	}
	if (*k->caller != '\0' && (base = base_get(s, k, why, why_len)) ==
	    NULL)
		return NULL;
	v = make(s, k, base, why, why_len);
	if (base != NULL)
		view_set_put(s, base);
	return v;
}

/* ---- life */

void
view_set_init(struct view_set *s, const struct view_settings *settings,
    struct model *m)
{
	*s = (struct view_set){ .settings = settings, .model = m };
	TAILQ_INIT(&s->all);
	TAILQ_INIT(&s->idle);
}

void
view_set_fini(struct view_set *s)
{
	while (s->idle_n > 0)
		idle_end(s);
	assert(TAILQ_EMPTY(&s->all));
}
