/*
 * xds/print.c - see print.h. This file walks messages, as xds/load.c does the
 * other way round; no message is known here by name.
 *
 *   fields_of   each field that is set
 *     field        a list, a map, one value
 *       value      a scalar, or a message: message_value
 *         message_value  by load_kind: Any, Duration, wrapper, or its fields
 *
 * Recursion ends: bytes are held to 64 levels by the guard, and an Any is
 * opened at PRINT_DEPTH_MAX at the deepest.
 *
 * Test: t/unit/print.c.
 */
#include "xds/print.h"

#include <inttypes.h>
#include <string.h>

#include "xds/guard.h"
#include "xds/load_inside.h"
#include "xds/print_inside.h"
#include "xds/proto/google/protobuf/any.pb-c.h"
#include "xds/proto/google/protobuf/duration.pb-c.h"

union value {
	int32_t		 i32;
	int64_t		 i64;
	uint32_t	 u32;
	uint64_t	 u64;
	float		 f;
	double		 d;
	char		*text;
	ProtobufCBinaryData raw;
	ProtobufCMessage *message;
};

static void	fields_of(struct print *p, const ProtobufCMessage *m);
static void	message_value(struct print *p, const ProtobufCMessage *m);

static union value
value_at(const ProtobufCFieldDescriptor *f, const char *at)
{
	union value v;

	memset(&v, 0, sizeof(v));
	memcpy(&v, at, load_value_size(f));
	return v;
}

/* ---- scalars */

static void
enum_value(struct print *p, const ProtobufCEnumDescriptor *of, int value)
{
	const ProtobufCEnumValue *v =
	    protobuf_c_enum_descriptor_get_value(of, value);

	if (v != NULL)
		print_quoted(p, v->name, strlen(v->name));
	else
		fprintf(p->out, "%d", value);
}

static void
text_value(struct print *p, const char *text)
{
	if (p->redacts)
		text = "[redacted]";
	print_quoted(p, text, strlen(text));
}

static void
raw_value(struct print *p, const ProtobufCBinaryData *raw)
{
	if (p->redacts)
		print_base64(p, (const uint8_t *)"[redacted]", 10);
	else
		print_base64(p, raw->data, raw->len);
}

static void
value(struct print *p, const ProtobufCFieldDescriptor *f,
    const union value *v)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		fprintf(p->out, "%" PRIu32, v->u32);
		break;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
		fprintf(p->out, "\"%" PRId64 "\"", v->i64);
		break;
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		fprintf(p->out, "\"%" PRIu64 "\"", v->u64);
		break;
	case PROTOBUF_C_TYPE_FLOAT:
		print_real(p, (double)v->f, 9);
		break;
	case PROTOBUF_C_TYPE_DOUBLE:
		print_real(p, v->d, 17);
		break;
	case PROTOBUF_C_TYPE_BOOL:
		fputs_unlocked(v->i32 ? "true" : "false", p->out);
		break;
	case PROTOBUF_C_TYPE_ENUM:
		enum_value(p, f->descriptor, v->i32);
		break;
	case PROTOBUF_C_TYPE_STRING:
		text_value(p, v->text == NULL ? "" : v->text);
		break;
	case PROTOBUF_C_TYPE_BYTES:
		raw_value(p, &v->raw);
		break;
	case PROTOBUF_C_TYPE_MESSAGE:
		message_value(p, v->message);
		break;
	default:
		fprintf(p->out, "%" PRId32, v->i32);
	}
}

/* ---- fields */

/* A value of field f of a message of type d, behind its key. */
static void
field_value(struct print *p, const ProtobufCMessageDescriptor *d,
    const ProtobufCFieldDescriptor *f, const union value *v)
{
	bool redacted = p->redacts;

	/* Where a key lies is no secret. */
	p->redacts = (redacted && strcmp(f->name, "filename") != 0) ||
	    (!p->whole && load_redact_is(d->name, f->name));
	if (f->type != PROTOBUF_C_TYPE_BYTES ||
	    !load_struct_is(d->name, f->name) ||
	    !print_struct(p, v->raw.data, v->raw.len))
		value(p, f, v);
	p->redacts = redacted;
}

static bool
is_set(const ProtobufCFieldDescriptor *f, const char *base,
    const union value *v)
{
	static const union value zero;
	uint32_t set;

	if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
		memcpy(&set, base + f->quantifier_offset, sizeof(set));
		return set == f->id;
	}
	if (f->type == PROTOBUF_C_TYPE_STRING)
		return v->text != NULL && v->text[0] != '\0';
	if (f->type == PROTOBUF_C_TYPE_BYTES)
		return v->raw.len > 0;
	return memcmp(v, &zero, load_value_size(f)) != 0;
}

/* A map's entry; a key is a text in JSON, whatever it is. */
static void
entry(struct print *p, const ProtobufCMessage *m)
{
	const ProtobufCFieldDescriptor *f = m->descriptor->fields;
	union value key = value_at(&f[0], (const char *)m + f[0].offset);
	union value v = value_at(&f[1], (const char *)m + f[1].offset);
	bool bare = f[0].type != PROTOBUF_C_TYPE_STRING &&
	    load_value_size(&f[0]) == 4;

	print_key(p, NULL);
	if (bare)
		putc_unlocked('"', p->out);
	value(p, &f[0], &key);
	fputs_unlocked(bare ? "\": " : ": ", p->out);
	if (f[1].type == PROTOBUF_C_TYPE_MESSAGE && v.message == NULL)
		fputs_unlocked("{}", p->out);
	else
		field_value(p, m->descriptor, &f[1], &v);
}

static void
list(struct print *p, const ProtobufCMessageDescriptor *d,
    const ProtobufCFieldDescriptor *f, const char *items, size_t n)
{
	char bracket = load_is_map(f) ? '{' : '[';
	union value v;

	print_open(p, f->name, bracket);
	for (size_t i = 0; i < n; i++) {
		v = value_at(f, items + i * load_value_size(f));
		if (bracket == '{') {
			entry(p, v.message);
			continue;
		}
		print_key(p, NULL);
		field_value(p, d, f, &v);
	}
	print_close(p, bracket);
}

static void
field(struct print *p, const ProtobufCMessageDescriptor *d,
    const ProtobufCFieldDescriptor *f, const char *base)
{
	const char *items;
	union value v;
	size_t n;

	if (f->label == PROTOBUF_C_LABEL_REPEATED) {
		memcpy(&items, base + f->offset, sizeof(items));
		memcpy(&n, base + f->quantifier_offset, sizeof(n));
		if (n > 0)
			list(p, d, f, items, n);
		return;
	}
	v = value_at(f, base + f->offset);
	if (!is_set(f, base, &v))
		return;
	print_key(p, f->name);
	field_value(p, d, f, &v);
}

static void
fields_of(struct print *p, const ProtobufCMessage *m)
{
	for (unsigned i = 0; i < m->descriptor->n_fields; i++)
		field(p, m->descriptor, &m->descriptor->fields[i],
		    (const char *)m);
}

/* ---- messages */

/* Without its key: what is in front of it was printed. */
static void
open_here(struct print *p)
{
	putc_unlocked('{', p->out);
	p->depth++;
	p->first = true;
}

/* Of a type that is not known, or that does not hold what it should: there may
 * be a key in it. */
static void
unknown(struct print *p, const char *url, const uint8_t *bytes, size_t n)
{
	char said[64];

	print_text(p, "@type", url);
	if (!p->whole) {
		snprintf(said, sizeof(said), "[not shown: %zu bytes]", n);
		print_text(p, "value", said);
		return;
	}
	print_key(p, "value");
	print_base64(p, bytes, n);
}

/* Within its brackets. */
static void
typed(struct print *p, const char *url, const ProtobufCMessage *m)
{
	print_text(p, "@type", url);
	if (load_kind(m->descriptor) == LOAD_ORDINARY) {
		fields_of(p, m);
		return;
	}
	print_key(p, "value");
	message_value(p, m);
}

static const ProtobufCMessage *
unpack(struct print *p, const char *url, const uint8_t *bytes, size_t n)
{
	const ProtobufCMessageDescriptor *d = load_type_find(url);
	char why[256];

	return d == NULL || p->depth > PRINT_DEPTH_MAX ? NULL :
	    load_unpack(p->memory, d, GUARD_LENIENT, bytes, n, why,
	    sizeof(why));
}

static void
any_value(struct print *p, const Google__Protobuf__Any *any)
{
	const ProtobufCMessage *m = unpack(p, any->type_url, any->value.data,
	    any->value.len);

	open_here(p);
	if (m != NULL)
		typed(p, any->type_url, m);
	else if (*any->type_url != '\0' || any->value.len > 0)
		unknown(p, any->type_url, any->value.data, any->value.len);
	print_close(p, '{');
}

/* Three, six or nine digits behind the point, as many as are needed. */
static void
duration_value(struct print *p, const Google__Protobuf__Duration *d)
{
	bool minus = d->seconds < 0 || d->nanos < 0;
	uint64_t seconds = minus ? 0 - (uint64_t)d->seconds :
	    (uint64_t)d->seconds;
	uint32_t nanos = minus ? 0 - (uint32_t)d->nanos : (uint32_t)d->nanos;

	fprintf(p->out, "\"%s%" PRIu64, minus ? "-" : "", seconds);
	if (nanos % 1000 != 0)
		fprintf(p->out, ".%09" PRIu32, nanos);
	else if (nanos % 1000000 != 0)
		fprintf(p->out, ".%06" PRIu32, nanos / 1000);
	else if (nanos != 0)
		fprintf(p->out, ".%03" PRIu32, nanos / 1000000);
	fputs_unlocked("s\"", p->out);
}

static void
wrapper_value(struct print *p, const ProtobufCMessage *m)
{
	const ProtobufCFieldDescriptor *f = m->descriptor->fields;
	union value v = value_at(f, (const char *)m + f->offset);

	value(p, f, &v);
}

static void
message_value(struct print *p, const ProtobufCMessage *m)
{
	switch (load_kind(m->descriptor)) {
	case LOAD_ANY:
		any_value(p, (const Google__Protobuf__Any *)(const void *)m);
		break;
	case LOAD_DURATION:
		duration_value(p,
		    (const Google__Protobuf__Duration *)(const void *)m);
		break;
	case LOAD_WRAPPER:
		wrapper_value(p, m);
		break;
	default:
		open_here(p);
		fields_of(p, m);
		print_close(p, '{');
	}
}

void
print_message(struct print *p, const char *key, const ProtobufCMessage *m,
    const char *url)
{
	print_key(p, key);
	if (url == NULL) {
		message_value(p, m);
		return;
	}
	open_here(p);
	typed(p, url, m);
	print_close(p, '{');
}

void
print_bytes(struct print *p, const char *key, const char *url,
    const uint8_t *bytes, size_t len)
{
	const ProtobufCMessage *m = unpack(p, url, bytes, len);
	char full[512];

	snprintf(full, sizeof(full), "%s%s", strchr(url, '/') == NULL ?
	    "type.googleapis.com/" : "", url);
	print_open(p, key, '{');
	if (m != NULL)
		typed(p, full, m);
	else
		unknown(p, full, bytes, len);
	print_close(p, '{');
}

void
print_fields(struct print *p, const char *url, const uint8_t *bytes,
    size_t len)
{
	const ProtobufCMessage *m = unpack(p, url, bytes, len);

	if (m != NULL)
		fields_of(p, m);
}
