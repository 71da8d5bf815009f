/*
 * xds/ems/push_answer.c - what is owed as a response, all but its nonce; made
 * once for all streams that are owed the same.
 *
 *   SotW   Any{ url, resource } ...  version_info  type_url  control_plane
 *   delta  Resource{ name, version, Any } ...  removed ...   the same
 *
 * Written by hand since protobuf-c would want a message for each of a thousand
 * resources first. Source: discovery.proto; reference/envoy-xds.md 2.1.
 */
#include "xds/ems/push_inside.h"

#include <stdio.h>
#include <string.h>

#include "xds/wire.h"

enum {
	SOTW_VERSION = WIRE_TAG(1), SOTW_RESOURCE = WIRE_TAG(2),
	DELTA_VERSION = WIRE_TAG(1), DELTA_RESOURCE = WIRE_TAG(2),
	TYPE_URL = WIRE_TAG(4), DELTA_REMOVED = WIRE_TAG(6),
	SOTW_PLANE = WIRE_TAG(6), DELTA_PLANE = WIRE_TAG(7),
	PLANE_IDENTIFIER = WIRE_TAG(1),
	RESOURCE_VERSION = WIRE_TAG(1), RESOURCE_ANY = WIRE_TAG(2),
	RESOURCE_NAME_TAG = WIRE_TAG(3),
};

static void
put_resource(struct wire_out *w, const char *url,
    const struct catalog_entry *e)
{
	const struct body *b = e->body;

	wire_put_head(w, DELTA_RESOURCE,
	    wire_size(RESOURCE_NAME_TAG, strlen(e->name)) +
	    wire_size(RESOURCE_VERSION, strlen(b->version)) +
	    wire_size(RESOURCE_ANY, wire_any_size(url, b->len)));
	wire_put_text(w, RESOURCE_NAME_TAG, e->name);
	wire_put_text(w, RESOURCE_VERSION, b->version);
	wire_put_any(w, RESOURCE_ANY, url, b->bytes, b->len);
}

static void
put_all(struct wire_out *w, const struct push *s, enum resource_kind kind,
    const struct push_owed *o)
{
	char url[128], version[24];
	size_t plane = wire_size(PLANE_IDENTIFIER, strlen(s->identifier));

	snprintf(url, sizeof(url), "type.googleapis.com/%s",
	    resource_about(kind)->message);
	snprintf(version, sizeof(version), "%llu", (unsigned long long)
	    s->catalog->kinds[kind]->changed);
	wire_put_text(w, s->settings.delta ? DELTA_VERSION : SOTW_VERSION, version);
	for (size_t i = 0; i < o->entries.n; i++) {
		const struct catalog_entry *e = o->entries.at[i];
		const struct body *b = e->body != NULL ? e->body : e->before;

		if (s->settings.delta)
			put_resource(w, url, e);
		else
			wire_put_any(w, SOTW_RESOURCE, url, b->bytes, b->len);
	}
	wire_put_text(w, TYPE_URL, url);
	for (size_t i = 0; s->settings.delta && i < o->gone.n; i++)
		wire_put_text(w, DELTA_REMOVED, o->gone.at[i]->name);
	wire_put_head(w, s->settings.delta ? DELTA_PLANE : SOTW_PLANE, plane);
	wire_put_text(w, PLANE_IDENTIFIER, s->identifier);
}

/* Who has all up to position by wildcard alone is owed what the others of the
 * kind are. */
static bool
is_common(const struct push_kind *k, const struct push_owed *o)
{
	return k->in_step && k->names_n == 0 && !o->held && !o->more;
}

struct body *
push_answer(struct push *s, enum resource_kind kind,
    const struct push_owed *o)
{
	struct catalog_kind *ck = s->catalog->kinds[kind];
	const struct push_kind *k = &s->kinds[kind];
	bool is_whole = !s->settings.delta && resource_about(kind)->whole;
	uint64_t from = is_whole ? 0 : k->position;
	struct wire_out w = { 0 };
	struct body *b;

	if (is_common(k, o) && ck->answer != NULL && ck->answer_from == from &&
	    ck->answer_to == o->position &&
	    ck->answer_is_delta == s->settings.delta)
		return body_get(ck->answer);
	put_all(&w, s, kind, o);
	if ((b = body_new(w.n)) == NULL)
		return NULL;
	w = (struct wire_out){ .to = b->bytes };
	put_all(&w, s, kind, o);
	if (is_common(k, o)) {
		body_put(ck->answer);
		ck->answer = body_get(b);
		ck->answer_from = from;
		ck->answer_to = o->position;
		ck->answer_is_delta = s->settings.delta;
	}
	return b;
}
