/*
 * xds/ems/push.c - see push.h: a stream's life, its responses' order.
 *
 *   push_take: each kind in the order of resource.def; once more when
 *   removals were held, for the routes may have gone meanwhile
 */
#include "xds/ems/push.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xds/ems/push_inside.h"

struct push *
push_new(const struct push_settings *settings,
    const struct push_events *e, void *arg)
{
	struct push *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->settings = *settings;
	s->events = e;
	s->arg = arg;
	snprintf(s->identifier, sizeof(s->identifier), "%s",
	    settings->identifier);
	for (int i = 0; i < RESOURCE_KINDS; i++)
		s->kinds[i].first = true;
	return s;
}

void
push_free(struct push *s)
{
	if (s == NULL)
		return;
	push_names_fini(s);
	free(s);
}

struct catalog *
push_catalog(const struct push *s)
{
	return s->catalog;
}

/* ---- what was refused (E2) */

static bool
refused_again(struct push *s, struct push_kind *k)
{
	for (size_t i = 0; i < k->refused.n; i++) {
		struct catalog_entry *e = k->refused.at[i];
		push_cell cell = push_cell_of(k, e);
		bool is_gone = e->body == NULL;

		if (!k->wildcard && (cell & CELL_NAMED) == 0)
			continue;
		if (is_gone ? !push_gone_anew(s, e) : !push_anew(s, e))
			return false;
	}
	return true;
}

static bool
again(struct push *s, enum resource_kind kind, int64_t now_ms)
{
	struct push_kind *k = &s->kinds[kind];
	bool good = true;

	if (k->again_ms == 0 || now_ms < k->again_ms || k->outstanding)
		return true;
	k->again_ms = 0;
	if (k->refused.n == 0 || (!s->settings.delta &&
	    resource_about(kind)->whole))
		k->first = true;
	else
		good = refused_again(s, k);
	push_list_drop(s, &k->refused);
	return good;
}

/* ---- responses */

/* nonce: field 5 of both responses. */
static void
tail_put(struct push *s, struct push_message *m)
{
	char nonce[24];
	int n = snprintf(nonce, sizeof(nonce), "%llu",
	    (unsigned long long)++s->nonce);

	m->tail[0] = 5 << 3 | 2;
	m->tail[1] = (uint8_t)n;
	memcpy(m->tail + 2, nonce, (size_t)n);
	m->tail_len = 2 + (size_t)n;
}

static void
told(struct push *s, struct push_kind *k, const struct push_owed *o,
    int64_t now_ms)
{
	k->position = k->sent = o->position;
	k->first = false;
	k->outstanding = true;
	k->nonce = s->nonce;
	k->since_ms = now_ms;
	k->in_step = k->wildcard && k->names_n == 0 && !o->more && !o->held;
}

/* As push_take, of one kind. */
static int
kind_take(struct push *s, enum resource_kind kind, int64_t now_ms,
    struct push_message *m)
{
	struct push_kind *k = &s->kinds[kind];
	struct push_owed o;
	int rc;

	if (!again(s, kind, now_ms))
		return -1;
	k->in_step = k->in_step && k->anew_n == 0;
	if ((rc = push_owed(s, kind, now_ms, &o)) != 1)
		return rc;
	m->body = push_answer(s, kind, &o);
	push_list_drop(s, &k->last);
	if (m->body != NULL && (!push_list_move(&k->last, &o.entries) ||
	    !push_list_move(&k->last, &o.gone))) {
		body_put(m->body);
		m->body = NULL;
	}
	if (m->body != NULL) {
		tail_put(s, m);
		told(s, k, &o, now_ms);
	}
	push_owed_fini(s, &o);
	return m->body == NULL ? -1 : 1;
}

int
push_take(struct push *s, int64_t now_ms, struct push_message *m)
{
	bool again = false;
	int rc = 0;

	if (s->catalog == NULL)
		return 0;
	for (int pass = 0; pass == 0 || (pass == 1 && again); pass++)
		for (enum resource_kind kind = 0; kind < RESOURCE_KINDS;
		    kind++) {
			rc = kind_take(s, kind, now_ms, m);
			if (rc != 0)
				return rc;
			again = again || s->kinds[kind].held;
		}
	return 0;
}

int64_t
push_due(const struct push *s, int64_t now_ms)
{
	int64_t due = s->kinds[RESOURCE_ENDPOINT].awaited_n == 0 ||
	    s->awaited_ms + PUSH_AWAIT_MS < now_ms ? INT64_MAX :
	    s->awaited_ms + PUSH_AWAIT_MS;

	for (enum resource_kind kind = 0; kind < RESOURCE_KINDS; kind++)
		if (s->kinds[kind].again_ms != 0 &&
		    s->kinds[kind].again_ms < due)
			due = s->kinds[kind].again_ms;
	if (due == INT64_MAX)
		return -1;
	return due > now_ms ? due - now_ms : 0;
}

/* ---- questions */

void
push_status(const struct push *s, enum resource_kind kind,
    struct push_status *to)
{
	const struct push_kind *k = &s->kinds[kind];

	*to = (struct push_status){ .asked = k->asked,
	    .wildcard = k->wildcard, .outstanding = k->outstanding,
	    .names_n = k->names_n, .newest = s->catalog == NULL ? 0 :
	    s->catalog->kinds[kind]->changed, .sent = k->sent,
	    .answered = k->answered, .accepted_n = k->accepted_n,
	    .refused_n = k->refused_n, .since_ms = k->since_ms,
	    .why = k->why };
}
