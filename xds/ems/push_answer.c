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
#include <stdlib.h>
#include <string.h>

enum {
	/* Field numbers times 8, plus 2: bytes. */
	ANY_URL = 1 << 3 | 2, ANY_VALUE = 2 << 3 | 2,
	SOTW_VERSION = 1 << 3 | 2, SOTW_RESOURCE = 2 << 3 | 2,
	DELTA_VERSION = 1 << 3 | 2, DELTA_RESOURCE = 2 << 3 | 2,
	TYPE_URL = 4 << 3 | 2, DELTA_REMOVED = 6 << 3 | 2,
	SOTW_PLANE = 6 << 3 | 2, DELTA_PLANE = 7 << 3 | 2,
	PLANE_IDENTIFIER = 1 << 3 | 2,
	RESOURCE_VERSION = 1 << 3 | 2, RESOURCE_ANY = 2 << 3 | 2,
	RESOURCE_NAME_TAG = 3 << 3 | 2,
};

/* Counts when there is no body to write into: the size comes first. */
struct writer {
	uint8_t		*to;		/* or NULL */
	size_t		 n;
};

static size_t
varint_size(uint64_t v)
{
	size_t n = 1;

	for (; v >= 0x80; v >>= 7)
		n++;
	return n;
}

static void
put_varint(struct writer *w, uint64_t v)
{
	if (w->to == NULL) {
		w->n += varint_size(v);
		return;
	}
	for (; v >= 0x80; v >>= 7)
		w->to[w->n++] = (uint8_t)(v | 0x80);
	w->to[w->n++] = (uint8_t)v;
}

static void
put_head(struct writer *w, int tag, size_t len)
{
	put_varint(w, (uint64_t)tag);
	put_varint(w, len);
}

static void
put_bytes(struct writer *w, int tag, const void *p, size_t len)
{
	put_head(w, tag, len);
	if (w->to != NULL && len > 0)
		memcpy(w->to + w->n, p, len);
	w->n += len;
}

static void
put_text(struct writer *w, int tag, const char *text)
{
	put_bytes(w, tag, text, strlen(text));
}

static size_t
field_size(size_t len)
{
	return 1 + varint_size(len) + len;
}

static size_t
any_size(const char *url, const struct body *b)
{
	return field_size(strlen(url)) + field_size(b->len);
}

static void
put_any(struct writer *w, int tag, const char *url, const struct body *b)
{
	put_head(w, tag, any_size(url, b));
	put_text(w, ANY_URL, url);
	put_bytes(w, ANY_VALUE, b->bytes, b->len);
}

static void
put_resource(struct writer *w, const char *url,
    const struct catalog_entry *e)
{
	const struct body *b = e->body;

	put_head(w, DELTA_RESOURCE, field_size(strlen(e->name)) +
	    field_size(strlen(b->version)) + field_size(any_size(url, b)));
	put_text(w, RESOURCE_NAME_TAG, e->name);
	put_text(w, RESOURCE_VERSION, b->version);
	put_any(w, RESOURCE_ANY, url, b);
}

static void
put_all(struct writer *w, const struct push *s, enum resource_kind kind,
    const struct push_owed *o)
{
	char url[128], version[24];
	size_t plane = field_size(strlen(s->identifier));

	snprintf(url, sizeof(url), "type.googleapis.com/%s",
	    resource_about(kind)->message);
	snprintf(version, sizeof(version), "%llu", (unsigned long long)
	    s->catalog->kinds[kind].changed);
	put_text(w, s->settings.delta ? DELTA_VERSION : SOTW_VERSION, version);
	for (size_t i = 0; i < o->entries.n; i++) {
		const struct catalog_entry *e = o->entries.at[i];

		if (s->settings.delta)
			put_resource(w, url, e);
		else
			put_any(w, SOTW_RESOURCE, url, e->body != NULL ?
			    e->body : e->before);
	}
	put_text(w, TYPE_URL, url);
	for (size_t i = 0; s->settings.delta && i < o->gone.n; i++)
		put_text(w, DELTA_REMOVED, o->gone.at[i]->name);
	put_head(w, s->settings.delta ? DELTA_PLANE : SOTW_PLANE, plane);
	put_text(w, PLANE_IDENTIFIER, s->identifier);
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
	struct catalog_kind *ck = &s->catalog->kinds[kind];
	const struct push_kind *k = &s->kinds[kind];
	bool is_whole = !s->settings.delta && resource_about(kind)->whole;
	uint64_t from = is_whole ? 0 : k->position;
	struct writer w = { 0 };
	struct body *b;

	if (is_common(k, o) && ck->answer != NULL && ck->answer_from == from &&
	    ck->answer_to == o->position &&
	    ck->answer_is_delta == s->settings.delta)
		return body_get(ck->answer);
	put_all(&w, s, kind, o);
	if ((b = body_new(w.n)) == NULL)
		return NULL;
	w = (struct writer){ .to = b->bytes };
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
