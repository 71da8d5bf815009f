/*
 * master/compile_rule.c - limits of single fields, checked by tables that
 * stand beside the functions that compile the messages.
 *
 *   { "connect_timeout", RULE_RANGE, 1, INT64_MAX, "more than 0s" }
 *   { "stream_idle_timeout", RULE_LATER, .text = "300s|0s" }
 *
 * A field is read by its descriptor as a number and as a text, whatever its
 * type: wrappers by what they hold, a Duration as microseconds and "1.5s", an
 * enum by its name, any other message as "{...}". A number becomes a text only
 * where one is asked for: most are unset, and there are several per endpoint.
 *
 * RULE_LATER is the promise that nothing is dropped in silence: a field that
 * we know and don't do yet may only be unset, or say what we do anyway.
 *
 * Source: the limits that Envoy checks (PGV), reference/envoy-xds.md.
 * Test: t/unit/compile.c.
 */
#include "master/compile_parts.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct value {
	bool		 set;
	size_t		 items;		/* of a list */
	int64_t		 number;
	char		 buf[48];
	const char	*text;		/* NULL: as the number, value_text */
};

static const void *
field_at(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
	return (const uint8_t *)m + f->offset;
}

static uint32_t
quantifier(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
	uint32_t n;

	memcpy(&n, (const uint8_t *)m + f->quantifier_offset, sizeof(n));
	return n;
}

static bool
is_oneof(const ProtobufCFieldDescriptor *f)
{
	return (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
}

static void
value_number(struct value *v, int64_t number)
{
	v->number = number;
	v->text = NULL;
}

static const char *
value_text(struct value *v)
{
	if (v->text == NULL) {
		snprintf(v->buf, sizeof(v->buf), "%" PRId64, v->number);
		v->text = v->buf;
	}
	return v->text;
}

/* "300s", "0.25s" */
static void
value_duration(struct value *v, const Duration *d)
{
	size_t n;

	v->number = d->seconds > INT64_MAX / 1000000 - 1 ? INT64_MAX :
	    d->seconds < INT64_MIN / 1000000 + 1 ? INT64_MIN :
	    d->seconds * 1000000 + (d->nanos + (d->nanos > 0 ? 999 : 0)) / 1000;
	snprintf(v->buf, sizeof(v->buf), "%s%" PRId64 ".%09d",
	    d->nanos < 0 && d->seconds == 0 ? "-" : "", d->seconds,
	    d->nanos < 0 ? -d->nanos : d->nanos);
	for (n = strlen(v->buf); v->buf[n - 1] == '0'; n--)
		;
	n -= v->buf[n - 1] == '.' ? 1 : 0;
	v->buf[n] = 's';
	v->buf[n + 1] = '\0';
	v->text = v->buf;
}

static void
value_enum(struct value *v, const ProtobufCFieldDescriptor *f, int number)
{
	const ProtobufCEnumValue *e = protobuf_c_enum_descriptor_get_value(
	    f->descriptor, number);

	value_number(v, number);
	if (e != NULL)
		v->text = e->name;
}

static void value_of(struct value *v, const ProtobufCMessage *m,
    const ProtobufCFieldDescriptor *f);

static void
value_message(struct value *v, const ProtobufCMessage *m)
{
	const ProtobufCMessageDescriptor *d = m->descriptor;
	const char *google = "google.protobuf.";

	if (d == &google__protobuf__duration__descriptor) {
		value_duration(v, (const Duration *)m);
	} else if (strncmp(d->name, google, strlen(google)) == 0 &&
	    d->n_fields == 1) {
		value_of(v, m, &d->fields[0]);
		v->set = true;		/* a wrapper of 0 is not unset */
	} else {
		v->text = "{...}";
	}
}

/* Of a scalar; an unset one has the zero value in proto3. */
static void
value_scalar(struct value *v, const void *p, const ProtobufCFieldDescriptor *f)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_BOOL:
		value_number(v, *(const protobuf_c_boolean *)p);
		v->text = v->number != 0 ? "true" : "false";
		break;
	case PROTOBUF_C_TYPE_ENUM:
		value_enum(v, f, *(const int *)p);
		break;
	case PROTOBUF_C_TYPE_UINT32:
		value_number(v, *(const uint32_t *)p);
		break;
	case PROTOBUF_C_TYPE_UINT64:
		v->number = *(const uint64_t *)p > INT64_MAX ? INT64_MAX :
		    (int64_t)*(const uint64_t *)p;
		snprintf(v->buf, sizeof(v->buf), "%" PRIu64,
		    *(const uint64_t *)p);
		v->text = v->buf;
		break;
	case PROTOBUF_C_TYPE_INT64:
		value_number(v, *(const int64_t *)p);
		break;
	case PROTOBUF_C_TYPE_DOUBLE:
		/* Rules on a double look at whole numbers only. */
		v->number = !(*(const double *)p >= 0) ? -1 :	/* NaN too */
		    *(const double *)p > 1e9 ? 1000000000 :
		    (int64_t)(*(const double *)p + 0.999999);
		snprintf(v->buf, sizeof(v->buf), "%g", *(const double *)p);
		v->text = v->buf;
		break;
	case PROTOBUF_C_TYPE_BYTES:
		v->number = (int64_t)((const ProtobufCBinaryData *)p)->len;
		v->text = "{...}";
		break;
	default:
		break;
	}
}

static void
value_of(struct value *v, const ProtobufCMessage *m,
    const ProtobufCFieldDescriptor *f)
{
	const void *p = field_at(m, f), *to;

	v->text = "";
	if (f->label == PROTOBUF_C_LABEL_REPEATED) {
		memcpy(&v->items, (const uint8_t *)m + f->quantifier_offset,
		    sizeof(v->items));
		v->set = v->items > 0;
		v->text = "[...]";
	} else if (is_oneof(f) && quantifier(m, f) != f->id) {
		v->set = false;
	} else if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
		memcpy(&to, p, sizeof(to));
		if ((v->set = to != NULL))
			value_message(v, to);
	} else if (f->type == PROTOBUF_C_TYPE_STRING) {
		memcpy(&to, p, sizeof(to));
		v->text = to == NULL ? "" : to;
		v->number = (int64_t)strlen(v->text);
		v->set = is_oneof(f) || v->number > 0;
	} else {
		value_scalar(v, p, f);
		v->set = is_oneof(f) || v->number != 0;
	}
}

/* Is text one of those between the bars? */
static bool
one_of(const char *bars, const char *text)
{
	size_t n = strlen(text), m;

	for (; bars != NULL; bars = bars[m] == '|' ? bars + m + 1 : NULL) {
		m = strcspn(bars, "|");
		if (m == n && memcmp(bars, text, n) == 0)
			return true;
	}
	return false;
}

static int
rule_one(struct compiler *c, const struct at *up, const struct rule *r,
    struct value *v)
{
	const struct at at = AT(up, r->field);

	switch (r->kind) {
	case RULE_SET:
		return v->set && *value_text(v) != '\0' ? 0 :
		    refuse(c, &at, "is missing, expected %s", r->text);
	case RULE_RANGE:
	case RULE_LENGTH:
		if (!v->set || (v->number >= r->min && v->number <= r->max))
			return 0;
		if (r->kind == RULE_LENGTH)
			return refuse(c, &at, "has %lld bytes, expected %s",
			    (long long)v->number, r->text);
		return refuse(c, &at, "%s, expected %s", value_text(v),
		    r->text);
	case RULE_ITEMS:
		if ((int64_t)v->items >= r->min &&
		    (int64_t)v->items <= r->max)
			return 0;
		return refuse(c, &at, "has %zu items, expected %s", v->items,
		    r->text);
	case RULE_LATER:
		if (!v->set || one_of(r->text, value_text(v)))
			return 0;
		return refuse(c, &at, "%s is not built yet, expected %s%s",
		    value_text(v), r->text == NULL ? "" : r->text,
		    r->text == NULL ? "nothing" : " or nothing");
	}
	return 0;
}

/* A number of an enum that has no name here can only come from the wire. */
static int
check_enums(struct compiler *c, const struct at *up, const ProtobufCMessage *m)
{
	const ProtobufCFieldDescriptor *f;
	struct value v = { 0 };
	unsigned i;

	for (i = 0; i < m->descriptor->n_fields; i++) {
		f = &m->descriptor->fields[i];
		if (f->type != PROTOBUF_C_TYPE_ENUM ||
		    f->label == PROTOBUF_C_LABEL_REPEATED)
			continue;
		value_of(&v, m, f);
		if (v.set && v.text == NULL) {
			const struct at at = AT(up, f->name);

			return refuse(c, &at, "%s is none of its values",
			    value_text(&v));
		}
	}
	return 0;
}

int
rule_check(struct compiler *c, const struct at *at, const ProtobufCMessage *m,
    const struct rule *rules)
{
	const ProtobufCFieldDescriptor *f;
	const struct rule *r;
	struct value v;

	for (r = rules; r->field != NULL; r++) {
		f = protobuf_c_message_descriptor_get_field_by_name(
		    m->descriptor, r->field);
		assert(f != NULL);
		memset(&v, 0, sizeof(v));
		value_of(&v, m, f);
		if (rule_one(c, at, r, &v) < 0)
			return -1;
	}
	return check_enums(c, at, m);
}
