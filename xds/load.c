/*
 * xds/load.c - see load.h. This file walks messages; what stands in a scalar
 * is load_scalar.c's, "@type" is load_any.c's.
 *
 *   load_fields  each key -> a field by descriptor, or a row of fields.def
 *     set_field  null? a oneof's second member? a list, a map, one value?
 *       load_value  a scalar, or a message: load_any_message
 *         load_any_message  by kind: Any, Duration, wrapper, or load_fields
 *
 * Invariants
 *   I1  No message is known here by name.
 *   I2  Recursion ends: each level goes one deeper into a tree of at most 64.
 *   I3  Nothing of the tree is kept: what a message points to is copied.
 *
 * What JSON's mapping leaves open and we decided: a field given under both
 * spellings is refused, and so is null inside a list.
 *
 * Source: protobuf.dev, "ProtoJSON format". Test: t/unit/load.c, t/data/load/.
 */
#include "xds/load.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "xds/fields.h"
#include "xds/load_inside.h"

enum { FIELDS_MAX = 256 };	/* of a message; for the set of those seen */

/* ---- refusals */

static size_t
put_place(char *to, size_t len, const struct load *l, const struct place *p)
{
	size_t n;
	int more;

	if (p->up == NULL)
		more = snprintf(to, len, "%s", l->path), n = 0;
	else if ((n = put_place(to, len, l, p->up)) >= len)
		return n;
	else if (p->name != NULL)
		more = snprintf(to + n, len - n, "%s%s", n > 0 ? "." : "",
		    p->name);
	else if (p->key != NULL)
		more = snprintf(to + n, len - n, "[\"%s\"]",
		    load_shown_text(p->key).text);
	else
		more = snprintf(to + n, len - n, "[%zu]", p->index);
	return n + (size_t)(more > 0 ? more : 0);
}

static int
fail_at(const struct load *l, const struct place *p, uint32_t line,
    uint32_t col, const char *fmt, va_list ap)
{
	char path[512];
	int n;

	put_place(path, sizeof(path), l, p);
	n = snprintf(l->why, l->why_len, "%s:%u:%u: %s%s", yaml_file(l->y),
	    (unsigned)line, (unsigned)col, path, path[0] != '\0' ? ": " : "");
	if (n >= 0 && (size_t)n < l->why_len)
		vsnprintf(l->why + n, l->why_len - (size_t)n, fmt, ap);
	return -1;
}

int
load_fail(const struct load *l, const struct place *p,
    const struct yaml_node *at, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fail_at(l, p, at->line, at->col, fmt, ap);
	va_end(ap);
	return -1;
}

int
load_fail_key(const struct load *l, const struct place *p,
    const struct yaml_key *at, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fail_at(l, p, at->line, at->col, fmt, ap);
	va_end(ap);
	return -1;
}

int
load_fail_memory(const struct load *l, const struct place *p,
    const struct yaml_node *at)
{
	return load_fail(l, p, at, "more memory than these messages may take");
}

struct shown
load_shown_text(const char *text)
{
	struct shown s;
	size_t i = 0;

	for (; text[i] != '\0' && i < sizeof(s.text) - 8; i++)
		s.text[i] = (unsigned char)text[i] < ' ' ||
		    text[i] == 0x7f ? '?' : text[i];
	while (text[i] != '\0' && i > 0 && (text[i] & 0xc0) == 0x80)
		i--;			/* not inside a character */
	strcpy(s.text + i, text[i] != '\0' ? "..." : "");
	return s;
}

struct shown
load_shown(const struct yaml_node *n)
{
	struct shown s = { "null" };

	if (n->kind == YAML_SEQUENCE)
		strcpy(s.text, "a list");
	if (n->kind == YAML_MAPPING)
		strcpy(s.text, "a mapping");
	if (n->kind == YAML_SCALAR)
		snprintf(s.text, sizeof(s.text), "\"%.*s\"",
		    (int)sizeof(s.text) - 3, load_shown_text(n->text).text);
	return s;
}

/* ---- names */

static const ProtobufCFieldDescriptor *
field_find(const ProtobufCMessageDescriptor *d, const char *given)
{
	const ProtobufCFieldDescriptor *f;
	unsigned i;

	f = protobuf_c_message_descriptor_get_field_by_name(d, given);
	for (i = 0; f == NULL && i < d->n_fields; i++)
		if (yaml_same_name(d->fields[i].name, given))
			f = &d->fields[i];
	return f;
}

void
load_choice(struct choices *c, const char *given, const char *name)
{
	int more;

	yaml_nearer(given, name, &c->best);
	if (c->used >= sizeof(c->names))
		return;
	more = snprintf(c->names + c->used, sizeof(c->names) - c->used,
	    "%s%s", c->used > 0 ? ", " : "", name);
	c->used += (size_t)(more > 0 ? more : 0);
	if (c->used >= sizeof(c->names))
		strcpy(c->names + sizeof(c->names) - 4, "...");
}

const char *
load_choices_text(struct choices *c)
{
	if (c->used == 0)
		return "expected none";
	snprintf(c->text, sizeof(c->text), "%s%s%sexpected one of %s",
	    c->best != NULL ? "did you mean " : "",
	    c->best != NULL ? c->best : "", c->best != NULL ? "? " : "",
	    c->names);
	return c->text;
}

static int
fail_unknown(const struct load *l, const struct place *p,
    const ProtobufCMessageDescriptor *d, const struct yaml_key *key)
{
	struct choices c = { 0 };
	unsigned i;

	for (i = 0; i < d->n_fields; i++)
		load_choice(&c, key->text, d->fields[i].name);
	return load_fail_key(l, p, key, "unknown field; %s",
	    load_choices_text(&c));
}

/* Whether a value says no more than leaving its field out would. */
static bool
says_nothing(const struct field_row *row, const struct yaml_node *n)
{
	const char *text = n->kind == YAML_SCALAR ? n->text : "[]";
	const char *at, *end;

	if (n->kind == YAML_NULL)
		return true;
	if (n->kind != YAML_SCALAR && n->n > 0)
		return false;
	if (n->kind == YAML_MAPPING)
		text = "{}";
	if (n->kind == YAML_SCALAR && n->text_len == 0)
		text = "''";
	for (at = row->same; *at != '\0'; at = *end != '\0' ? end + 1 : end) {
		end = at + strcspn(at, "|");
		if (strlen(text) == (size_t)(end - at) &&
		    strncmp(text, at, strlen(text)) == 0)
			return true;
	}
	return false;
}

/* A field that the descriptor lacks. 0: go on without it. */
static int
take_row(const struct load *l, const struct place *p,
    const struct field_row *row, const struct yaml_key *key,
    const struct yaml_node *n)
{
	if (row->rule == FIELD_ACCEPT || says_nothing(row, n))
		return 0;
	return load_fail_key(l, p, key, "%s: %s", row->rule == FIELD_LATER ?
	    "not built yet" : "can't be ignored and is not supported",
	    row->why);
}

/* ---- values */

/* Bytes of one value of a field, as an item of a list. */
size_t
load_value_size(const ProtobufCFieldDescriptor *f)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return 8;
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return sizeof(void *);
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	default:
		return 4;	/* bool and enum are an int to protobuf-c */
	}
}

static int
load_value(const struct load *l, const struct place *p,
    const ProtobufCMessageDescriptor *d, const ProtobufCFieldDescriptor *f,
    const struct yaml_node *n, void *out)
{
	ProtobufCMessage *message;

	if (f->type == PROTOBUF_C_TYPE_BYTES && load_struct_is(d->name,
	    f->name))
		return load_struct(l, p, n, out);
	if (f->type != PROTOBUF_C_TYPE_MESSAGE)
		return load_scalar(l, p, f, n, out);
	message = load_any_message(l, p, f->descriptor, n);
	memcpy(out, &message, sizeof(message));
	return message == NULL ? -1 : 0;
}

/* protobuf-c has no mark for maps: a repeated message with a key and a value
 * whose name ends in Entry is what a map compiles to. */
bool
load_is_map(const ProtobufCFieldDescriptor *f)
{
	const ProtobufCMessageDescriptor *d = f->descriptor;
	size_t n;

	if (f->label != PROTOBUF_C_LABEL_REPEATED ||
	    f->type != PROTOBUF_C_TYPE_MESSAGE || d->n_fields != 2)
		return false;
	n = strlen(d->name);
	return n > 5 && strcmp(d->name + n - 5, "Entry") == 0 &&
	    d->fields[0].id == 1 && d->fields[1].id == 2 &&
	    strcmp(d->fields[0].name, "key") == 0 &&
	    strcmp(d->fields[1].name, "value") == 0;
}

/* The key's text as if it were a quoted value: JSON's keys are strings. */
static int
load_key(const struct load *l, const struct place *p,
    const ProtobufCFieldDescriptor *f, const struct yaml_key *key, void *out)
{
	struct yaml_node n = { .kind = YAML_SCALAR, .line = key->line,
	    .col = key->col, .text = key->text,
	    .text_len = strlen(key->text) };

	n.quoted = f->type == PROTOBUF_C_TYPE_STRING;
	return load_scalar(l, p, f, &n, out);
}

static ProtobufCMessage *
load_entry(const struct load *l, const struct place *p,
    const ProtobufCMessageDescriptor *d, const struct yaml_key *key,
    const struct yaml_node *n)
{
	ProtobufCMessage *entry = load_alloc(l->m, d->sizeof_message);
	char *base = (char *)entry;

	if (entry == NULL) {
		load_fail_memory(l, p, n);
		return NULL;
	}
	protobuf_c_message_init(d, entry);
	if (n->kind == YAML_NULL) {
		load_fail(l, p, n, "null is not a value of a map");
		return NULL;
	}
	if (load_key(l, p, &d->fields[0], key, base + d->fields[0].offset)
	    == -1 ||
	    load_value(l, p, d, &d->fields[1], n, base + d->fields[1].offset)
	    == -1)
		return NULL;
	return entry;
}

/* A list, or a map, which is a list of entries. */
static int
load_repeated(const struct load *l, const struct place *p,
    const ProtobufCMessageDescriptor *d, const ProtobufCFieldDescriptor *f,
    const struct yaml_node *n, char *base)
{
	bool map = load_is_map(f);
	size_t size = load_value_size(f), i;
	char *items;

	if (n->kind != (map ? YAML_MAPPING : YAML_SEQUENCE))
		return load_fail(l, p, n, "%s is not a %s",
		    load_shown(n).text, map ? "mapping" : "list");
	if ((items = load_alloc(l->m, n->n * size)) == NULL)
		return load_fail_memory(l, p, n);
	for (i = 0; i < n->n; i++) {
		struct place at = { .up = p, .index = i,
		    .key = map ? n->keys[i].text : NULL };
		ProtobufCMessage *entry;

		if (map) {
			entry = load_entry(l, &at, f->descriptor, &n->keys[i],
			    &n->items[i]);
			if (entry == NULL)
				return -1;
			memcpy(items + i * size, &entry, sizeof(entry));
		} else if (n->items[i].kind == YAML_NULL)
			return load_fail(l, &at, &n->items[i],
			    "null is not an item of a list");
		else if (load_value(l, &at, d, f, &n->items[i],
		    items + i * size) == -1)
			return -1;
	}
	memcpy(base + f->offset, &items, sizeof(items));
	memcpy(base + f->quantifier_offset, &n->n, sizeof(n->n));
	return 0;
}

/* ---- messages */

static int
set_field(const struct load *l, const struct place *p,
    const ProtobufCMessageDescriptor *d, const ProtobufCFieldDescriptor *f,
    const struct yaml_key *key, const struct yaml_node *n,
    ProtobufCMessage *message)
{
	char *base = (char *)message;
	uint32_t set;

	if (n->kind == YAML_NULL)
		return 0;
	if (f->label == PROTOBUF_C_LABEL_REPEATED)
		return load_repeated(l, p, d, f, n, base);
	if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
		memcpy(&set, base + f->quantifier_offset, sizeof(set));
		if (set != 0)
			return load_fail_key(l, p, key,
			    "only one of \"%s\" and \"%s\" can be set",
			    protobuf_c_message_descriptor_get_field(d, set)
			    ->name, f->name);
		memcpy(base + f->quantifier_offset, &f->id, sizeof(f->id));
	}
	return load_value(l, p, d, f, n, base + f->offset);
}

/* One key of a mapping; seen has a bit per field. */
static int
load_pair(const struct load *l, const struct place *up,
    const ProtobufCMessageDescriptor *d, const struct yaml_key *key,
    const struct yaml_node *n, ProtobufCMessage *message, uint64_t *seen)
{
	const ProtobufCFieldDescriptor *f = field_find(d, key->text);
	const struct field_row *row = NULL;
	struct shown given = load_shown_text(key->text);
	struct place p = { .up = up };
	size_t i;

	if (f == NULL)
		row = field_row_find(d->name, key->text, 0);
	p.name = f != NULL ? f->name : row != NULL ? row->name :
	    given.text;
	if (row != NULL)
		return take_row(l, &p, row, key, n);
	if (f == NULL)
		return fail_unknown(l, &p, d, key);
	i = (size_t)(f - d->fields);
	assert(i < FIELDS_MAX);
	if (seen[i / 64] >> i % 64 & 1)
		return load_fail_key(l, &p, key,
		    "given twice, in snake_case and in camelCase");
	seen[i / 64] |= (uint64_t)1 << i % 64;
	return set_field(l, &p, d, f, key, n, message);
}

ProtobufCMessage *
load_fields(const struct load *l, const struct place *p,
    const ProtobufCMessageDescriptor *d, const struct yaml_node *n, bool typed)
{
	uint64_t seen[FIELDS_MAX / 64] = { 0 };
	ProtobufCMessage *message;
	size_t i;

	if (n->kind != YAML_MAPPING) {
		load_fail(l, p, n, "%s is not a mapping (%s)",
		    load_shown(n).text, d->name);
		return NULL;
	}
	if ((message = load_alloc(l->m, d->sizeof_message)) == NULL) {
		load_fail_memory(l, p, n);
		return NULL;
	}
	protobuf_c_message_init(d, message);
	for (i = 0; i < n->n; i++)
		if (!(typed && strcmp(n->keys[i].text, "@type") == 0) &&
		    load_pair(l, p, d, &n->keys[i], &n->items[i], message,
		    seen) == -1)
			return NULL;
	return message;
}

static int
fill_special(const struct load *l, const struct place *p,
    ProtobufCMessage *message, const struct yaml_node *n)
{
	const ProtobufCFieldDescriptor *f = message->descriptor->fields;
	char *base = (char *)message;
	int64_t seconds;
	int32_t nanos;

	switch (load_kind(message->descriptor)) {
	case LOAD_ANY:
		return load_any_fill(l, p, message, n);
	case LOAD_DURATION:
		if (load_duration(l, p, n, &seconds, &nanos) == -1)
			return -1;
		memcpy(base + f[0].offset, &seconds, sizeof(seconds));
		memcpy(base + f[1].offset, &nanos, sizeof(nanos));
		return 0;
	default:
		return load_scalar(l, p, f, n, base + f[0].offset);
	}
}

ProtobufCMessage *
load_any_message(const struct load *l, const struct place *p,
    const ProtobufCMessageDescriptor *d, const struct yaml_node *n)
{
	ProtobufCMessage *message;

	if (load_kind(d) == LOAD_ORDINARY)
		return load_fields(l, p, d, n, false);
	if ((message = load_alloc(l->m, d->sizeof_message)) == NULL) {
		load_fail_memory(l, p, n);
		return NULL;
	}
	protobuf_c_message_init(d, message);
	return fill_special(l, p, message, n) == -1 ? NULL : message;
}

ProtobufCMessage *
load_message(struct load_arena *m, const ProtobufCMessageDescriptor *d,
    const struct yaml *y, const struct yaml_node *node, const char *path,
    char *why, size_t why_len)
{
	static const struct yaml_node empty = { .kind = YAML_MAPPING };
	const struct load l = { m, y, path, why, why_len };
	const struct place root = { .up = NULL };

	if (node->kind == YAML_NULL && load_kind(d) == LOAD_ORDINARY)
		node = &empty;
	return load_any_message(&l, &root, d, node);
}

const char *
load_library(void)
{
	static char text[32];

	snprintf(text, sizeof(text), "protobuf-c %s", protobuf_c_version());
	return text;
}
