/*
 * t/conformance/state.c - see state.h.
 *
 *   SetState{ version, Any ... }   ──> catalog: those, byte by byte, no others
 *   ClearState{}                   ──> none
 *   UpdateResource{ url, name, version } ──> as it was, and a mark
 *   AddResource{ the same }        ──> a name and a mark
 *   RemoveResource{ the same }     ──> none of that name
 *
 * A mark is the version as a text in some field of the resource: what the
 * suite calls another version has another content.
 * Source: the suite's api/adapter/adapter.proto, docs/design-doc.md.
 */
#include "t/conformance/state.h"

#include <stdio.h>
#include <string.h>

#include "xds/wire.h"

enum { MARK_DEPTH = 3 };

struct state_request {
	char		 version[STATE_TEXT_BYTES], url[STATE_TEXT_BYTES];
	char		 name[STATE_TEXT_BYTES];
	enum resource_kind kind;	/* of url */
	const uint8_t	*bytes, *end;
};

static const char no_memory[] = "no memory is left";

/* ---- marks */

static const uint32_t marks[RESOURCE_KINDS][MARK_DEPTH + 1] = {
	[RESOURCE_CLUSTER] = { WIRE_TAG(28) },	/* alt_stat_name */
	/* endpoints.locality.region */
	[RESOURCE_ENDPOINT] = { WIRE_TAG(2), WIRE_TAG(1), WIRE_TAG(1) },
	/* generic_secret.secret.inline_string */
	[RESOURCE_SECRET] = { WIRE_TAG(5), WIRE_TAG(1), WIRE_TAG(3) },
	[RESOURCE_LISTENER] = { WIRE_TAG(28) },	/* stat_prefix */
	[RESOURCE_ROUTE] = { WIRE_TAG(3) },	/* internal_only_headers */
};

static size_t
mark_size(const uint32_t *tags, const char *text)
{
	return *tags == 0 ? strlen(text) :
	    wire_size(*tags, mark_size(tags + 1, text));
}

/* Behind what is there: of a field that is said twice the last one counts, and
 * of a list it is one more. */
static void
mark_put(struct wire_out *w, enum resource_kind kind, const char *text)
{
	const uint32_t *tags = marks[kind];

	for (; tags[1] != 0; tags++)
		wire_put_head(w, *tags, mark_size(tags + 1, text));
	wire_put_text(w, *tags, text);
}

/* In each message field 1 is the name (resource.def). */
static void
resource_write(struct wire_out *w, const struct state_request *q,
    const struct body *before)
{
	if (before == NULL)
		wire_put_text(w, WIRE_TAG(1), q->name);
	else {
		if (w->to != NULL)
			memcpy(w->to, before->bytes, before->len);
		w->n = before->len;
	}
	mark_put(w, q->kind, q->version);
}

static const char *
resource_put(struct catalog *c, const struct state_request *q,
    const struct body *before)
{
	struct wire_out w = { 0 };
	struct body *b;
	bool good;

	resource_write(&w, q, before);
	if ((b = body_new(w.n)) == NULL)
		return no_memory;
	w = (struct wire_out){ .to = b->bytes };
	resource_write(&w, q, before);
	body_hash(b);
	good = catalog_put(c, q->kind, q->name, b);
	body_put(b);
	return good ? NULL : no_memory;
}

/* ---- resources that come whole */

static bool
text_take(const struct wire_field *f, char to[STATE_TEXT_BYTES])
{
	bool fits = f->len < STATE_TEXT_BYTES;

	snprintf(to, STATE_TEXT_BYTES, "%.*s", fits ? (int)f->len : 0,
	    (const char *)f->data);
	return fits;
}

static bool
name_take(const struct wire_field *message, char to[STATE_TEXT_BYTES])
{
	const uint8_t *at = message->data;
	struct wire_field f;

	while (message->len > 0 && wire_take(&at, message->data +
	    message->len, &f))
		if (f.tag == WIRE_TAG(1))
			return text_take(&f, to);
	return false;
}

/* Any{ 1 type_url, 2 value } */
static const char *
any_put(struct catalog *c, const struct wire_field *any)
{
	const uint8_t *at = any->data, *end = at + any->len;
	struct wire_field f, value = { 0 };
	char url[STATE_TEXT_BYTES] = "", name[STATE_TEXT_BYTES];
	struct body *b;
	int kind;
	bool good;

	while (wire_take(&at, end, &f))
		if (f.tag == WIRE_TAG(2))
			value = f;
		else if (f.tag == WIRE_TAG(1) && !text_take(&f, url))
			return "a type_url is too long";
	if ((kind = resource_kind_find(url)) == -1)
		return "a resource is of no kind of ours";
	if (!name_take(&value, name))
		return "a resource has no name, or a very long one";
	if ((b = body_copy(value.data, value.len)) == NULL)
		return no_memory;
	good = catalog_put(c, (enum resource_kind)kind, name, b);
	body_put(b);
	return good ? NULL : no_memory;
}

/* ---- deeds */

static const char *
clear_state(struct catalog *c, const struct state_request *q)
{
	(void)q;
	for (enum resource_kind kind = 0; kind < RESOURCE_KINDS; kind++)
		for (uint32_t i = 0; i < c->kinds[kind]->at_n; i++)
			if (c->kinds[kind]->at[i] != NULL)
				catalog_remove(c, kind,
				    c->kinds[kind]->at[i]->name);
	return NULL;
}

static const char *
set_state(struct catalog *c, const struct state_request *q)
{
	const uint8_t *at = q->bytes;
	const char *why = clear_state(c, q);
	struct wire_field f;

	while (why == NULL && wire_take(&at, q->end, &f))
		if (f.tag == WIRE_TAG(3))
			why = any_put(c, &f);
	return why;
}

static const char *
update_resource(struct catalog *c, const struct state_request *q)
{
	const struct catalog_entry *e = catalog_find(c, q->kind, q->name);

	return e == NULL || e->body == NULL ? "there is no such resource" :
	    resource_put(c, q, e->body);
}

static const char *
add_resource(struct catalog *c, const struct state_request *q)
{
	return resource_put(c, q, NULL);
}

static const char *
remove_resource(struct catalog *c, const struct state_request *q)
{
	catalog_remove(c, q->kind, q->name);
	return NULL;
}

const struct state_deed state_deeds[STATE_DEEDS] = {
	{ "/adapter.Adapter/SetState", set_state, false },
	{ "/adapter.Adapter/ClearState", clear_state, false },
	{ "/adapter.Adapter/UpdateResource", update_resource, true },
	{ "/adapter.Adapter/AddResource", add_resource, true },
	{ "/adapter.Adapter/RemoveResource", remove_resource, true },
};

/* ---- requests */

static const char *
request_read(const struct state_deed *d, struct state_request *q)
{
	const uint8_t *at = q->bytes;
	struct wire_field f;
	int kind = 0;
	bool good = true;

	while (good && wire_take(&at, q->end, &f))
		if (f.tag == WIRE_TAG(2))
			good = text_take(&f, d->of_one ? q->url : q->version);
		else if (f.tag == WIRE_TAG(3) && d->of_one)
			good = text_take(&f, q->name);
		else if (f.tag == WIRE_TAG(4) && d->of_one)
			good = text_take(&f, q->version);
	if (!good || at != q->end)
		return "the request has a text that is too long, or is no "
		    "message";
	if (d->of_one && (kind = resource_kind_find(q->url)) == -1)
		return "typeUrl is of no kind of ours";
	q->kind = (enum resource_kind)kind;
	return NULL;
}

const char *
state_change(struct state *s, const struct state_deed *d,
    const uint8_t *request, size_t n)
{
	struct catalog *c = s->catalog;
	struct state_request q = { .bytes = request, .end = request + n };
	const char *why = request_read(d, &q);

	if (why != NULL)
		return why;
	catalog_begin(c);
	why = d->act(c, &q);
	if (catalog_end(c))
		for (int i = 0; i < RESOURCE_KINDS; i++)
			if (c->kinds[i]->changed == c->sequence)
				snprintf(s->versions[i], STATE_TEXT_BYTES,
				    "%s", q.version);
	return why;
}
