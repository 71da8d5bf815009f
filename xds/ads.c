/* xds/ads.c - see ads.h: what is wanted, the stream, and time. */
#include "xds/ads.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xds/ads_inside.h"

static const char host[] = "type.googleapis.com/";

/* ---- life */

static bool
kind_init(struct ads_kind *k, enum resource_kind kind)
{
	const char *message = resource_about(kind)->message;

	TAILQ_INIT(&k->names);
	TAILQ_INIT(&k->changes);
	TAILQ_INIT(&k->replies);
	k->version = strdup("");
	k->why = strdup("");
	k->type_url = malloc(sizeof(host) + strlen(message));
	if (k->type_url == NULL)
		return false;
	sprintf(k->type_url, "%s%s", host, message);
	return k->version != NULL && k->why != NULL;
}

struct ads *
ads_new(const struct ads_settings *s, const struct ads_events *e, void *arg)
{
	struct ads *a = calloc(1, sizeof(*a));
	bool ok = true;

	if (a == NULL)
		return NULL;
	for (int i = 0; i < RESOURCE_KINDS; i++)
		ok &= kind_init(&a->kinds[i], (enum resource_kind)i);
	a->settings = *s;
	a->events = *e;
	a->arg = arg;
	a->control_plane = strdup("");
	a->node = malloc(s->node_len + 1);
	if (!ok || a->control_plane == NULL || a->node == NULL) {
		ads_free(a);
		return NULL;
	}
	if (s->node_len > 0)
		memcpy(a->node, s->node, s->node_len);
	a->settings.node = a->node;
	return a;
}

void
ads_free(struct ads *a)
{
	if (a == NULL)
		return;
	if (a->is_pending) {
		free(a->response.reply);
		ads_response_free(&a->response);
	}
	for (int i = 0; i < RESOURCE_KINDS; i++) {
		struct ads_kind *k = &a->kinds[i];

		while (k->replies_n > 0)
			ads_reply_free(k, TAILQ_FIRST(&k->replies));
		free(k->version);
		free(k->why);
		free(k->type_url);
		free(k->nonce);
	}
	ads_names_free(a);
	free(a->control_plane);
	free(a->node);
	free(a);
}

/* ---- what is wanted */

void
ads_wake(struct ads *a)
{
	if (a->is_up)
		a->events.wake(a->arg);
}

static void
news(struct ads *a, struct ads_kind *k)
{
	if (k->news)
		return;
	k->news = true;
	ads_wake(a);
}

bool
ads_subscribe(struct ads *a, enum resource_kind kind, const char *name)
{
	struct ads_name *n;

	if (!ads_name_fits(name))
		return false;
	n = ads_name_get(a, kind, name);
	if (n == NULL)
		return false;
	if (!n->wanted) {
		ads_name_want(a, n, true);
		news(a, &a->kinds[kind]);
	}
	return true;
}

void
ads_unsubscribe(struct ads *a, enum resource_kind kind, const char *name)
{
	struct ads_kind *k = &a->kinds[kind];
	struct ads_name *n = ads_name_find(k, name);

	if (n == NULL || !n->wanted)
		return;
	ads_name_want(a, n, false);
	if (!k->wildcard)
		ads_name_drop(a, n);
	ads_name_tidy(a, n);
	news(a, k);
}

void
ads_wildcard(struct ads *a, enum resource_kind kind, bool on)
{
	struct ads_kind *k = &a->kinds[kind];
	struct ads_name *n, *next;

	if (k->wildcard == on)
		return;
	k->wildcard = on;
	k->wildcard_again = on && k->wildcard_told != ADS_NO_WILDCARD;
	k->widened |= on && a->stream > 0 && k->version[0] != '\0';
	for (n = TAILQ_FIRST(&k->names); !on && n != NULL; n = next) {
		next = TAILQ_NEXT(n, all);
		if (!n->wanted) {
			ads_name_drop(a, n);
			ads_name_tidy(a, n);
		}
	}
	news(a, k);
}

/* What is held at different versions is of no version: a server that was told
 * one would not send what is older. */
static bool
hold_version(struct ads_kind *k, const char *version)
{
	bool is_first = k->held_n == 0;
	char *copy;

	if (strcmp(k->version, version) == 0)
		return true;
	copy = strdup(is_first ? version : "");
	if (copy == NULL)
		return false;
	free(k->version);
	k->version = copy;
	return true;
}

bool
ads_hold(struct ads *a, enum resource_kind kind, const char *name,
    const char *version)
{
	struct ads_kind *k = &a->kinds[kind];
	struct ads_name *n;

	if (!ads_name_fits(name) || strlen(version) > ADS_TEXT_BYTES_MAX)
		return false;
	n = ads_name_get(a, kind, name);
	if (n == NULL)
		return false;
	if (!hold_version(k, version) || !ads_name_hold(a, n, version)) {
		ads_name_tidy(a, n);
		return false;
	}
	return true;
}

/* ---- the stream */

static void
kind_begin(struct ads_kind *k)
{
	struct ads_name *n;

	TAILQ_FOREACH(n, &k->names, all)
		n->settled = false;
	k->responses_n = 0;
	k->news = ads_wants(k);
}

void
ads_begin(struct ads *a, int64_t now_ms)
{
	bool any = false;

	(void)now_ms;
	assert(!a->is_up);
	a->is_up = true;
	a->node_told = false;
	a->stream++;
	for (int i = 0; i < RESOURCE_KINDS; i++) {
		kind_begin(&a->kinds[i]);
		any |= a->kinds[i].news;
	}
	if (any)
		ads_wake(a);
}

static void
kind_end(struct ads *a, struct ads_kind *k)
{
	struct ads_name *n, *next;

	while (k->replies_n > 0)
		ads_reply_free(k, TAILQ_FIRST(&k->replies));
	free(k->nonce);
	k->nonce = NULL;
	k->asked = k->named = k->wildcard_again = false;
	k->wildcard_told = ADS_NO_WILDCARD;
	for (n = TAILQ_FIRST(&k->names); n != NULL; n = next) {
		next = TAILQ_NEXT(n, all);
		if (n->version == NULL)
			ads_due_clear(a, n);
		n->told = n->again = false;
		ads_name_tidy(a, n);
	}
}

void
ads_end(struct ads *a)
{
	assert(a->is_up);
	a->is_up = false;
	for (int i = 0; i < RESOURCE_KINDS; i++)
		kind_end(a, &a->kinds[i]);
}

int
ads_feed(struct ads *a, const uint8_t *message, size_t n, int64_t now_ms,
    char *why, size_t why_len)
{
	struct ads_response r = { .at_ms = now_ms };
	int rc;

	assert(a->is_up && !a->is_pending);
	r.arena = load_arena_new(ADS_RESPONSE_BYTES_MAX);
	if (r.arena == NULL) {
		snprintf(why, why_len, "no memory for a response");
		return -1;
	}
	rc = ads_read(a, &r, message, n, why, why_len);
	if (rc == 0) {
		rc = ads_response_take(a, &r, why, why_len);
		if (rc == 0)
			return 0;	/* the arena went with it */
	}
	load_arena_wipe(r.arena);	/* its kind may not be known */
	load_arena_free(r.arena);
	return rc == -1 ? -1 : 0;
}

/* The first answer that may be given now. What is wanted changed: in SotW
 * that can't be said without answering too. */
static struct ads_reply *
reply_ready(const struct ads *a, const struct ads_kind *k, int64_t now_ms)
{
	struct ads_reply *reply;

	TAILQ_FOREACH(reply, &k->replies, entry)
		if (reply->at_ms <= now_ms ||
		    (k->news && !a->settings.delta))
			return reply;
	return NULL;
}

/* Whether there is news to be sent. A name that came and went in between, or
 * a kind that nobody wants or wanted, is none. */
static bool
has_news(const struct ads *a, struct ads_kind *k)
{
	if (!k->asked)
		k->news = k->news && ads_wants(k);
	else if (a->settings.delta)
		k->news = k->news && (!TAILQ_EMPTY(&k->changes) ||
		    k->wildcard_again ||
		    k->wildcard != (k->wildcard_told != ADS_NO_WILDCARD));
	return k->news;
}

static bool
kind_take(struct ads *a, enum resource_kind kind, int64_t now_ms,
    uint8_t **bytes, size_t *n)
{
	struct ads_kind *k = &a->kinds[kind];
	bool is_news = has_news(a, k);
	struct ads_reply *reply = reply_ready(a, k, now_ms);

	if (a->is_pending && a->response.kind == kind)
		return false;
	if (!is_news && reply == NULL)
		return false;
	if (!(a->settings.delta ? ads_delta_request : ads_sotw_request)(a,
	    kind, reply, now_ms, bytes, n))
		return false;
	if (reply != NULL)
		ads_reply_free(k, reply);
	a->node_told = true;
	return true;
}

bool
ads_take(struct ads *a, int64_t now_ms, uint8_t **bytes, size_t *n)
{
	for (int i = 0; a->is_up && i < RESOURCE_KINDS; i++)
		if (kind_take(a, (enum resource_kind)i, now_ms, bytes, n))
			return true;
	return false;
}

/* ---- answering */

bool
ads_is_pending(const struct ads *a)
{
	return a->is_pending;
}

void
ads_refuse(struct ads *a, struct ads_item *item, const char *why)
{
	static char no_memory[] = "no memory";
	size_t n = strlen(why);

	assert(a->is_pending);
	item->why = load_alloc(a->response.arena, n + 1);
	if (item->why != NULL)
		memcpy(item->why, why, n + 1);
	else
		item->why = no_memory;
}

void
ads_answer(struct ads *a, int64_t now_ms)
{
	enum resource_kind kind = a->response.kind;

	assert(a->is_pending);
	ads_response_end(a, now_ms);
	/* What was wanted meanwhile could not be taken. */
	if (a->kinds[kind].news)
		ads_wake(a);
}

/* ---- time */

/* The soonest of the answers held back; wakes for those that are due. */
static int64_t
replies_step(struct ads *a, int64_t now_ms)
{
	struct ads_reply *reply;
	int64_t next = INT64_MAX;
	bool is_due = false;

	for (int i = 0; i < RESOURCE_KINDS; i++)
		TAILQ_FOREACH(reply, &a->kinds[i].replies, entry) {
			if (reply->at_ms <= now_ms)
				is_due = true;
			else if (reply->at_ms < next)
				next = reply->at_ms;
		}
	if (is_due)
		ads_wake(a);
	return next;
}

int64_t
ads_step(struct ads *a, int64_t now_ms)
{
	int64_t next;

	while (!a->is_pending && a->due_n > 0 && a->due[1]->due_ms <= now_ms) {
		if (a->due[1]->version != NULL)
			ads_expire(a, now_ms);
		else
			ads_miss(a, a->due[1]);
	}
	next = replies_step(a, now_ms);
	if (!a->is_pending && a->due_n > 0 && a->due[1]->due_ms < next)
		next = a->due[1]->due_ms;
	return next == INT64_MAX ? -1 : next - now_ms;
}

/* ---- for status */

void
ads_status(const struct ads *a, enum resource_kind kind, struct ads_status *s)
{
	const struct ads_kind *k = &a->kinds[kind];

	*s = (struct ads_status){
		.version = k->version, .control_plane = a->control_plane,
		.accepted_n = k->accepted_n, .rejected_n = k->rejected_n,
		.unknown_n = a->unknown_n, .why = k->why,
		.refused = k->refused,
		.since_ms = k->since_ms, .wanted_n = k->wanted_n,
		.held_n = k->held_n, .waiting_n = k->wanted_n - k->both_n,
		.wildcard = k->wildcard,
	};
}
