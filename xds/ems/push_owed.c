/*
 * xds/ems/push_owed.c - what a stream is owed of a kind, and whether now
 * (push.h E3, E4, E5).
 *
 *   anew, then the changes since position, oldest first
 *                            │ what it has (cell) against what there is (entry)
 *                            └──> entries, gone, held
 */
#include "xds/ems/push_inside.h"

enum look { LOOK_NOTHING, LOOK_ADD, LOOK_GONE, LOOK_HELD };

/* ---- order (E4) */

/* Whether an answer says more than that it was read, which what comes behind
 * it on the stream knows by itself: a cluster's ACK comes when it is warm, and
 * what listeners and routes left may go when they answered. */
static bool
answer_counts(enum resource_kind kind)
{
	return kind != RESOURCE_ENDPOINT && kind != RESOURCE_SECRET;
}

/* All that it may have now is with it, and was answered where that counts. */
static bool
is_settled(const struct push *s, enum resource_kind kind)
{
	const struct push_kind *k = &s->kinds[kind];

	return !k->asked || (!(k->outstanding && answer_counts(kind)) &&
	    k->anew_n == 0 && (k->held ||
	    k->position >= s->catalog->kinds[kind]->changed));
}

static bool
is_awaiting(const struct push *s, int64_t now_ms)
{
	return s->kinds[RESOURCE_ENDPOINT].awaited_n > 0 &&
	    now_ms - s->awaited_ms < PUSH_AWAIT_MS;
}

static bool
may_go(const struct push *s, enum resource_kind kind, int64_t now_ms)
{
	/* Envoy acknowledges clusters once it has what they name: to wait for
	 * that here were to wait for its initial_fetch_timeout. */
	if (!s->ordered || kind == RESOURCE_CLUSTER ||
	    kind == RESOURCE_ENDPOINT || kind == RESOURCE_SECRET)
		return true;
	for (enum resource_kind before = 0; before < kind; before++)
		if (!is_settled(s, before))
			return false;
	return !is_awaiting(s, now_ms);
}

/* What is left by the routes goes after them. */
static bool
holds_removals(const struct push *s, enum resource_kind kind)
{
	return s->ordered && kind < RESOURCE_LISTENER &&
	    !(is_settled(s, RESOURCE_LISTENER) &&
	    is_settled(s, RESOURCE_ROUTE));
}

/* ---- one entry */

static enum look
look(const struct push *s, const struct catalog_entry *e, bool holds)
{
	const struct push_kind *k = &s->kinds[e->kind];
	push_cell cell = push_cell_of(k, e), flags = cell & CELL_FLAGS;

	if (!k->wildcard && (flags & CELL_NAMED) == 0)
		return LOOK_NOTHING;
	if (e->body != NULL)
		return (flags & CELL_ANEW) == 0 && cell - flags ==
		    push_cell_number(e) ? LOOK_NOTHING : LOOK_ADD;
	/* Asked for by name, delta says at once that it does not exist. */
	if (cell == flags && (!s->settings.delta || (flags & CELL_ANEW) == 0
	    || (flags & CELL_NAMED) == 0))
		return LOOK_NOTHING;
	return holds && cell != flags ? LOOK_HELD : LOOK_GONE;
}

/* E5, and E4 for those of a new one, which are not asked for yet. */
static bool
endpoints_follow(struct push *s, const struct catalog_entry *cluster,
    bool is_new, int64_t now_ms)
{
	struct push_kind *k = &s->kinds[RESOURCE_ENDPOINT];
	struct catalog_entry *e = catalog_find(s->catalog, RESOURCE_ENDPOINT,
	    cluster->name);
	push_cell cell;

	if (!s->ordered || e == NULL || e->body == NULL)
		return true;
	cell = push_cell_of(k, e);
	if ((cell & CELL_NAMED) != 0)
		return push_anew(s, e);
	if (!is_new)
		return true;
	s->awaited_ms = now_ms;
	return push_cell_set(s, e, cell | CELL_AWAITED);
}

/* e goes into the answer, and the cell says so. */
static bool
owe(struct push *s, struct push_owed *o, struct catalog_entry *e,
    enum look what, int64_t now_ms)
{
	push_cell cell = push_cell_of(&s->kinds[e->kind], e);
	push_cell flags = cell & (CELL_NAMED | CELL_AWAITED);
	bool is_new = cell < CELL_NUMBER || (cell & CELL_ANEW) != 0;

	if (what == LOOK_GONE) {
		o->bytes += 16;
		return push_list_add(&o->gone, e) &&
		    push_cell_set(s, e, flags);
	}
	o->bytes += e->body->len;
	return push_list_add(&o->entries, e) &&
	    push_cell_set(s, e, flags | push_cell_number(e)) &&
	    (e->kind != RESOURCE_CLUSTER || endpoints_follow(s, e,
	    is_new, now_ms));
}

/* ---- all of a kind */

static bool
is_parted(const struct push *s, enum resource_kind kind)
{
	return s->settings.delta || !resource_about(kind)->whole;
}

static bool
is_full(const struct push *s, enum resource_kind kind,
    const struct push_owed *o)
{
	return is_parted(s, kind) && o->bytes >= PUSH_RESPONSE_BYTES;
}

static bool
gather_anew(struct push *s, enum resource_kind kind, struct push_owed *o,
    int64_t now_ms)
{
	struct push_kind *k = &s->kinds[kind];
	uint32_t n = k->anew_n, i;

	for (i = 0; i < n && !is_full(s, kind, o); i++) {
		struct catalog_entry *e = s->catalog->kinds[kind]->at[
		    k->anew[i]];
		push_cell cell = push_cell_of(k, e);
		enum look what;

		if ((cell & CELL_ANEW) == 0)
			continue;	/* it has it, as it turned out */
		what = look(s, e, false);
		if (what != LOOK_NOTHING ? !owe(s, o, e, what, now_ms) :
		    !push_cell_set(s, e, k->wildcard || (cell &
		    CELL_NAMED) != 0 ? cell & ~(push_cell)CELL_ANEW : 0))
			return false;
	}
	for (uint32_t j = i; j < n; j++)
		k->anew[j - i] = k->anew[j];
	k->anew_n = n - i;
	o->more = k->anew_n > 0;
	return true;
}

/* The oldest that changed after position. */
static struct catalog_entry *
first_since(const struct catalog_kind *k, uint64_t position)
{
	struct catalog_entry *e = TAILQ_LAST(&k->entries, catalog_entries);
	struct catalog_entry *first = NULL;

	for (; e != NULL && e->changed > position;
	    e = TAILQ_PREV(e, catalog_entries, change))
		first = e;
	return first;
}

static bool
gather_changed(struct push *s, enum resource_kind kind,
    struct push_owed *o, int64_t now_ms)
{
	const struct catalog_kind *ck = s->catalog->kinds[kind];
	bool holds = holds_removals(s, kind);
	struct catalog_entry *e = first_since(ck, s->kinds[kind].position);
	struct catalog_entry *next;
	uint64_t first_held = UINT64_MAX;

	o->position = ck->changed;
	for (; e != NULL; e = next) {
		enum look what = look(s, e, holds);

		next = TAILQ_NEXT(e, change);
		if (what == LOOK_HELD && first_held == UINT64_MAX)
			first_held = e->changed;
		if (what == LOOK_NOTHING || what == LOOK_HELD)
			continue;
		if (is_full(s, kind, o)) {
			o->more = true;
			o->position = e->changed - 1;
			break;
		}
		if (!owe(s, o, e, what, now_ms))
			return false;
	}
	o->held = first_held != UINT64_MAX;
	if (o->held && first_held - 1 < o->position)
		o->position = first_held - 1;
	return true;
}

/* State of the world: not what changed, but all; what is held, too. */
static bool
gather_whole(struct push *s, enum resource_kind kind, struct push_owed *o)
{
	const struct push_kind *k = &s->kinds[kind];
	bool holds = holds_removals(s, kind);
	struct catalog_entry *e;

	push_list_drop(s, &o->entries);
	TAILQ_FOREACH(e, &s->catalog->kinds[kind]->entries, change) {
		bool wanted = k->wildcard ||
		    (push_cell_of(k, e) & CELL_NAMED) != 0;

		if (wanted && (e->body != NULL || (e->before != NULL &&
		    look(s, e, holds) == LOOK_HELD)) &&
		    !push_list_add(&o->entries, e))
			return false;
	}
	return true;
}

static bool
gather(struct push *s, enum resource_kind kind, int64_t now_ms,
    struct push_owed *o, bool *any)
{
	const struct push_kind *k = &s->kinds[kind];

	if (!gather_anew(s, kind, o, now_ms) || (!o->more &&
	    !gather_changed(s, kind, o, now_ms)))
		return false;
	*any = o->entries.n > 0 || (o->gone.n > 0 && s->settings.delta);
	if (is_parted(s, kind)) {
		*any = *any || (k->first && k->wildcard);
		return true;
	}
	*any = *any || o->gone.n > 0 || k->first;
	return !*any || gather_whole(s, kind, o);
}

int
push_owed(struct push *s, enum resource_kind kind, int64_t now_ms,
    struct push_owed *o)
{
	struct push_kind *k = &s->kinds[kind];
	bool any = false;

	*o = (struct push_owed){ .position = k->position };
	if (!k->asked || k->outstanding || !may_go(s, kind, now_ms))
		return 0;
	if (!k->first && k->anew_n == 0 && !k->held &&
	    k->position >= s->catalog->kinds[kind]->changed)
		return 0;
	if (!gather(s, kind, now_ms, o, &any)) {
		push_owed_fini(s, o);
		return -1;
	}
	k->held = o->held;
	if (any)
		return 1;
	/* None of what changed is for it, or it had it when it came: it is
	 * where we are. */
	k->position = k->sent = k->answered = o->position;
	push_owed_fini(s, o);
	return 0;
}

void
push_owed_fini(struct push *s, struct push_owed *o)
{
	push_list_drop(s, &o->entries);
	push_list_drop(s, &o->gone);
}
