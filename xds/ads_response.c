/*
 * xds/ads_response.c - a response's life: from its parts to an update, from
 * the owner's verdict to an answer (ads.h).
 *
 *   parts ─┬─ ignored: nobody asked        ┌─> held, with version and TTL
 *          ├─ heartbeats ──────────────────┤
 *          ├─ items ── update ── verdict ──┤
 *          └─ refused ─────────────────────┴─> the NACK's text
 *   absent (SotW, whole kinds) or removed (delta) ── update ──> dropped
 *
 * Nothing points to a name while the owner has the update: it may unsubscribe
 * meanwhile, so each name is looked up again at the end.
 *
 * Source: xDS protocol document; gRFC A46, A88; reference/envoy-xds.md 2.2.
 * Test: t/unit/ads.c, t/unit/ads_delta.c.
 */
#include "xds/ads_inside.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXPIRE_AT_ONCE = 256, RETRY_MS = 1000 };

static bool
replace(char **text, const char *with)
{
	char *copy;

	if (strcmp(*text, with) == 0)
		return true;
	if ((copy = strdup(with)) == NULL)
		return false;
	free(*text);
	*text = copy;
	return true;
}

void
ads_response_free(struct ads_response *r)
{
	/* Keys are among them. */
	if (r->arena != NULL && r->kind == RESOURCE_SECRET)
		load_arena_wipe(r->arena);
	load_arena_free(r->arena);
}

/* ---- the end: what was decided becomes what we hold */

static void
set_ttl(struct ads *a, struct ads_name *n, int64_t from_ms, int64_t ttl_ms)
{
	if (ttl_ms > 0)
		ads_due_set(a, n, from_ms + ttl_ms);
	else
		ads_due_clear(a, n);
}

/* False: no memory. */
static bool
accept(struct ads *a, const struct ads_response *r, const struct ads_part *p)
{
	struct ads_kind *k = &a->kinds[r->kind];
	struct ads_name *n = ads_name_find(k, p->name);

	if (!ads_is_covered(a, k) &&
	    (n == NULL || !n->wanted || n->anew == a->serial))
		return true;		/* no longer wanted, or sent again */
	if (p->is_heartbeat) {
		if (n != NULL && n->version != NULL)
			set_ttl(a, n, r->at_ms, p->ttl_ms);
		return true;
	}
	if (n == NULL)
		n = ads_name_get(a, r->kind, p->name);
	if (n == NULL)
		return false;
	if (!ads_name_hold(a, n, p->version)) {
		ads_name_tidy(a, n);
		return false;
	}
	n->settled = true;
	set_ttl(a, n, r->at_ms, p->ttl_ms);
	return true;
}

/* The owner saw it and did not like it: it exists. */
static void
settle(struct ads *a, const struct ads_response *r, const struct ads_part *p)
{
	struct ads_name *n = ads_name_find(&a->kinds[r->kind], p->name);

	if (n == NULL || n->version != NULL || n->anew == a->serial)
		return;
	n->settled = true;
	ads_due_clear(a, n);
}

static void
end_parts(struct ads *a, struct ads_response *r)
{
	static char no_memory[] = "no memory";

	for (size_t i = 0; i < r->parts_n; i++) {
		struct ads_part *p = &r->parts[i];

		if (p->is_ignored || p->why != NULL)
			continue;
		if (p->item != NULL && p->item->why != NULL)
			settle(a, r, p);
		else if (!accept(a, r, p))
			p->why = no_memory;
	}
}

static void
end_removed(struct ads *a, const struct ads_response *r)
{
	struct ads_name *n;

	for (size_t i = 0; i < r->removed_n; i++) {
		n = ads_name_find(&a->kinds[r->kind], r->removed[i]);
		if (n == NULL || n->version == NULL)
			continue;
		ads_name_drop(a, n);
		n->settled = true;
		ads_name_tidy(a, n);
	}
}

void
ads_miss(struct ads *a, struct ads_name *n)
{
	char name[ADS_TEXT_BYTES_MAX + 1];

	ads_due_clear(a, n);
	n->settled = true;
	strcpy(name, n->text);		/* the owner may unsubscribe */
	a->events.missing(a->arg, n->kind, name);
}

/* The server says so itself. */
static void
end_missing(struct ads *a, const struct ads_response *r)
{
	struct ads_name *n;

	for (size_t i = 0; i < r->named_n; i++) {
		n = ads_name_find(&a->kinds[r->kind], r->named[i]);
		if (n != NULL && n->wanted && n->version == NULL &&
		    n->told && !n->again && !n->settled)
			ads_miss(a, n);
	}
}

static void
end_version(struct ads *a, const struct ads_response *r, const char *why)
{
	struct ads_kind *k = &a->kinds[r->kind];

	k->refused = why != NULL;
	if (why == NULL) {
		k->accepted_n++;
		replace(&k->version, r->version);
		k->widened &= k->news;	/* not told yet */
		return;
	}
	k->rejected_n++;
	replace(&k->why, why);
}

void
ads_response_end(struct ads *a, int64_t now_ms)
{
	struct ads_response r = a->response;
	char text[ADS_WHY_BYTES_MAX + 1];
	const char *why;

	a->is_pending = false;
	memset(&a->response, 0, sizeof(a->response));
	end_removed(a, &r);
	end_parts(a, &r);
	if (r.is_local) {
		/* Not all of that version is held any more: a server that is
		 * told so would not send it again. */
		replace(&a->kinds[r.kind].version, "");
	} else {
		why = ads_refusal(&r, text);
		end_version(a, &r, why);
		ads_reply(a, &r, why, now_ms);
		if (r.stream == a->stream && r.why == NULL)
			end_missing(a, &r);
	}
	ads_response_free(&r);
}

/* ---- later than the end */

static bool
retract_say(struct ads *a, struct ads_response *r, int64_t now_ms)
{
	struct ads_kind *k = &a->kinds[r->kind];
	char text[ADS_WHY_BYTES_MAX + 1];
	const char *why = ads_refusal(r, text);

	k->refused = true;
	k->rejected_n++;
	if (!replace(&k->why, why) || !replace(&k->version, ""))
		return false;
	if (!a->is_up || k->nonce == NULL)
		return true;		/* the next stream says what is held */
	r->reply = calloc(1, sizeof(*r->reply) + strlen(k->nonce) + 1);
	if (r->reply == NULL)
		return false;
	strcpy(r->reply->nonce, k->nonce);
	ads_reply(a, r, why, now_ms);
	return true;
}

void
ads_retract(struct ads *a, enum resource_kind kind, const char *name,
    const char *why, int64_t now_ms)
{
	struct ads_name *n = ads_name_find(&a->kinds[kind], name);
	struct ads_part part = { .name = name, .why = why };
	struct ads_response r = { .kind = kind, .parts = &part, .parts_n = 1,
	    .stream = a->stream };

	if (n == NULL || n->version == NULL || (a->is_pending &&
	    a->response.kind == kind))
		return;
	r.hash = n->hash;
	ads_name_drop(a, n);
	n->settled = true;
	ads_name_tidy(a, n);
	(void)retract_say(a, &r, now_ms);	/* no memory: as unsaid */
}

/* ---- the beginning */

static int
make_items(struct ads_response *r)
{
	struct ads_update *u = &r->update;

	u->items = load_alloc(r->arena, (r->parts_n + 1) * sizeof(*u->items));
	if (u->items == NULL)
		return -1;
	for (size_t i = 0; i < r->parts_n; i++) {
		struct ads_part *p = &r->parts[i];

		if (p->is_ignored || p->why != NULL || p->is_heartbeat)
			continue;
		p->item = &u->items[u->items_n++];
		*p->item = (struct ads_item){ p->name, p->version, p->bytes,
		    p->len, NULL };
	}
	u->kind = r->kind;
	u->version = r->version;
	u->removed = r->removed;
	u->removed_n = r->removed_n;
	u->gone = r->named;
	u->gone_n = r->named_n;
	return 0;
}

static int
prepare(struct ads *a, struct ads_response *r)
{
	struct ads_kind *k = &a->kinds[r->kind];
	char *nonce = strdup(r->nonce);

	r->reply = calloc(1, sizeof(*r->reply) + strlen(r->nonce) + 1);
	if (nonce == NULL || r->reply == NULL) {
		free(nonce);
		return -1;
	}
	strcpy(r->reply->nonce, r->nonce);
	free(k->nonce);
	k->nonce = nonce;
	k->since_ms = r->at_ms;
	if (r->control_plane[0] != '\0' &&
	    strlen(r->control_plane) <= ADS_TEXT_BYTES_MAX)
		replace(&a->control_plane, r->control_plane);
	return 0;
}

static void
show(struct ads *a, struct ads_response *r)
{
	int64_t now_ms = r->at_ms;

	a->response = *r;
	a->is_pending = true;
	/* Heartbeats alone are no news. */
	if (r->why != NULL || (ads_is_heartbeats(r) && r->removed_n == 0) ||
	    a->events.update(a->arg, a, &a->response.update))
		ads_response_end(a, now_ms);
}

int
ads_response_take(struct ads *a, struct ads_response *r, char *why,
    size_t why_len)
{
	struct ads_kind *k = &a->kinds[r->kind];

	if (k->replies_n >= ADS_REPLIES_MAX) {
		snprintf(why, why_len, "%d responses wait for their answers",
		    ADS_REPLIES_MAX);
		return -1;
	}
	a->serial++;
	r->stream = a->stream;
	if (prepare(a, r) == -1)
		goto no_memory;
	if (!ads_wants(k)) {
		ads_reply(a, r, NULL, r->at_ms);
		ads_response_free(r);
		return 0;
	}
	k->responses_n++;
	if (ads_judge(a, r) == -1 || make_items(r) == -1)
		goto no_memory;
	show(a, r);
	return 0;
no_memory:
	free(r->reply);
	snprintf(why, why_len, "no memory for a response");
	return -1;
}

/* ---- TTLs */

static bool
is_expired(const struct ads *a, enum resource_kind kind, int64_t now_ms)
{
	return a->due_n > 0 && a->due[1]->due_ms <= now_ms &&
	    a->due[1]->kind == kind && a->due[1]->version != NULL;
}

void
ads_expire(struct ads *a, int64_t now_ms)
{
	struct ads_response r = { .kind = a->due[1]->kind, .is_local = true,
	    .at_ms = now_ms, .stream = a->stream,
	    .arena = load_arena_new(ADS_RESPONSE_BYTES_MAX) };

	if (r.arena != NULL) {
		r.version = ads_copy(r.arena, a->kinds[r.kind].version);
		r.removed = load_alloc(r.arena, EXPIRE_AT_ONCE *
		    sizeof(*r.removed));
	}
	if (r.version != NULL && r.removed != NULL && make_items(&r) == 0)
		while (r.removed_n < EXPIRE_AT_ONCE &&
		    is_expired(a, r.kind, now_ms) &&
		    ads_add_removed(&r, a->due[1]) == 0)
			ads_due_clear(a, a->due[1]);
	if (r.removed_n == 0) {
		ads_due_set(a, a->due[1], now_ms + RETRY_MS);
		ads_response_free(&r);
		return;
	}
	r.update.removed_n = r.removed_n;
	show(a, &r);
}
