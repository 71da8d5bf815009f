/*
 * xds/guard.c - see guard.h.
 *
 *   stack   Bootstrap | StaticResources | Cluster | ...     64 at most
 *   end        n            end1            end2      each <= the one below
 *   at      ------------------------------------->
 *
 * Invariants
 *   I1  at <= top of stack's end <= every end below it <= the bytes' end.
 *   I2  Every turn of the loop moves at or pops the stack: it ends.
 *
 * Source: protobuf.dev, "Encoding"; reference/dependencies.md 3.1.
 */
#include "xds/guard.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "xds/fields.h"

enum wire {
	WIRE_VARINT = 0, WIRE_64 = 1, WIRE_LENGTH = 2, WIRE_32 = 5,
	WIRE_BITS = 3, WIRE_MASK = 7,
};

enum { VARINT_BYTES = 10, SHORT_BYTES = 5, FIELDS_MAX = 256 };

struct level {
	const ProtobufCMessageDescriptor *d;
	const uint8_t	*end;
	uint64_t	 seen[FIELDS_MAX / 64];	/* its messages so far */
};

struct guard {
	const uint8_t	*at;
	struct level	 stack[GUARD_DEPTH_MAX];
	size_t		 depth;		/* levels in use, 1.. */
	size_t		 fields;
	enum guard_policy policy;
	uint32_t	 number;	/* of the field at hand, 0: none yet */
	const ProtobufCFieldDescriptor *field;	/* NULL: unknown */
	char		*why;
	size_t		 why_len;
};

static struct level *
top(struct guard *g)
{
	return &g->stack[g->depth - 1];
}

static int
fail(struct guard *g, const char *what)
{
	const char *message = top(g)->d->name;

	if (g->number == 0)
		snprintf(g->why, g->why_len, "%s: %s", message, what);
	else
		snprintf(g->why, g->why_len, "%s field %u%s%s%s: %s", message,
		    (unsigned)g->number, g->field != NULL ? " (" : "",
		    g->field != NULL ? g->field->name : "",
		    g->field != NULL ? ")" : "", what);
	return -1;
}

/* At most limit bytes before end. */
static int
take_varint(struct guard *g, const uint8_t *end, int limit, uint64_t *value)
{
	int i;

	*value = 0;
	for (i = 0; i < limit; i++) {
		if (g->at == end)
			return fail(g, "ends within a number");
		*value |= (uint64_t)(*g->at & 0x7f) << (7 * i);
		if (i == VARINT_BYTES - 1 && *g->at > 1)
			return fail(g, "a number of more than 64 bits");
		if (*g->at++ < 0x80)
			return 0;
	}
	return fail(g, "a number that does not end");
}

static int
count_field(struct guard *g)
{
	if (++g->fields > GUARD_FIELDS_MAX)
		return fail(g, "more fields than a message may have");
	return 0;
}

bool
guard_text(const uint8_t *text, size_t n)
{
	/* By the first byte: how many follow, and the second's range, which
	 * keeps out long forms, surrogates and what is over U+10FFFF. */
	static const struct {
		uint8_t	from, to, more, second_from, second_to;
	} forms[] = {
		{ 0x01, 0x7f, 0, 0, 0 },
		{ 0xc2, 0xdf, 1, 0x80, 0xbf },
		{ 0xe0, 0xe0, 2, 0xa0, 0xbf },
		{ 0xe1, 0xec, 2, 0x80, 0xbf },
		{ 0xed, 0xed, 2, 0x80, 0x9f },
		{ 0xee, 0xef, 2, 0x80, 0xbf },
		{ 0xf0, 0xf0, 3, 0x90, 0xbf },
		{ 0xf1, 0xf3, 3, 0x80, 0xbf },
		{ 0xf4, 0xf4, 3, 0x80, 0x8f },
	};
	size_t i, f, more;

	for (i = 0; i < n; i++) {
		for (f = 0; f < sizeof(forms) / sizeof(forms[0]); f++)
			if (text[i] >= forms[f].from && text[i] <= forms[f].to)
				break;
		if (f == sizeof(forms) / sizeof(forms[0]))
			return false;
		more = forms[f].more;
		if (more > n - i - 1)
			return false;
		if (more > 0 && (text[i + 1] < forms[f].second_from ||
		    text[i + 1] > forms[f].second_to))
			return false;
		for (; more > 0; more--)
			if ((text[++i] & 0xc0) != 0x80)
				return false;
	}
	return true;
}

static enum wire
wire_of(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_SFIXED32:
	case PROTOBUF_C_TYPE_FIXED32:
	case PROTOBUF_C_TYPE_FLOAT:
		return WIRE_32;
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return WIRE_64;
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_BYTES:
	case PROTOBUF_C_TYPE_MESSAGE:
		return WIRE_LENGTH;
	default:
		return WIRE_VARINT;
	}
}

static int
check_enum(struct guard *g, uint64_t value)
{
	if (g->field == NULL || g->field->type != PROTOBUF_C_TYPE_ENUM ||
	    g->policy != GUARD_UNKNOWN)
		return 0;
	if (protobuf_c_enum_descriptor_get_value(g->field->descriptor,
	    (int)(uint32_t)value) == NULL)
		return fail(g, "an unknown enum value");
	return 0;
}

/* One number before end, alone or in a packed list. */
static int
take_number(struct guard *g, enum wire wire, const uint8_t *end)
{
	ptrdiff_t n = wire == WIRE_64 ? 8 : 4;
	uint64_t value;

	if (wire == WIRE_VARINT) {
		if (take_varint(g, end, VARINT_BYTES, &value) == -1)
			return -1;
		return check_enum(g, value);
	}
	if (end - g->at < n)
		return fail(g, "ends within a number");
	g->at += n;
	return 0;
}

static int
take_packed(struct guard *g, enum wire wire, const uint8_t *end)
{
	while (g->at < end)
		if (count_field(g) == -1 || take_number(g, wire, end) == -1)
			return -1;
	return 0;
}

/* Goes into the message that begins at at. Twice the same is legal and means
 * "merge", but protobuf-c fails at it when there is a oneof inside, and takes
 * the last where the field itself is in a oneof; nobody sends it. */
static int
enter(struct guard *g, const uint8_t *end)
{
	size_t i = (size_t)(g->field - top(g)->d->fields);
	uint64_t bit = (uint64_t)1 << i % 64;

	assert(i < FIELDS_MAX);
	if (g->field->label != PROTOBUF_C_LABEL_REPEATED &&
	    top(g)->seen[i / 64] & bit)
		return fail(g, "a message given twice");
	top(g)->seen[i / 64] |= bit;
	if (g->depth == GUARD_DEPTH_MAX)
		return fail(g, "nested too deep");
	g->stack[g->depth++] = (struct level){ .d = g->field->descriptor,
	    .end = end };
	return 0;
}

/* What a length leads; by the field's type, if there is a field. */
static int
take_length(struct guard *g)
{
	const ProtobufCFieldDescriptor *f = g->field;
	const uint8_t *end = top(g)->end;
	uint64_t n;

	if (take_varint(g, end, SHORT_BYTES, &n) == -1)
		return -1;
	if (n > (uint64_t)(end - g->at))
		return fail(g, "longer than what holds it");
	end = g->at + n;
	if (f != NULL && wire_of(f->type) != WIRE_LENGTH)
		return take_packed(g, wire_of(f->type), end);
	if (f != NULL && f->type == PROTOBUF_C_TYPE_STRING &&
	    !guard_text(g->at, (size_t)n))
		return fail(g, "a string that has a NUL or is not UTF-8");
	if (f != NULL && f->type == PROTOBUF_C_TYPE_MESSAGE)
		return enter(g, end);
	g->at = end;
	return 0;
}

static int
check_unknown(struct guard *g)
{
	const struct field_row *row;
	char what[256];

	if (g->policy != GUARD_UNKNOWN)
		return 0;
	row = field_row_find(top(g)->d->name, NULL, g->number);
	if (row == NULL)
		return fail(g, "unknown field");
	if (row->rule == FIELD_ACCEPT)
		return 0;
	snprintf(what, sizeof(what), "%s: %s: %s", row->name,
	    row->rule == FIELD_LATER ? "not built yet" :
	    "can't be ignored and is not supported", row->why);
	return fail(g, what);
}

static int
take_field(struct guard *g)
{
	enum wire wire;
	uint64_t tag;

	g->number = 0;
	g->field = NULL;
	if (take_varint(g, top(g)->end, SHORT_BYTES, &tag) == -1)
		return -1;
	if (tag > UINT32_MAX || tag >> WIRE_BITS == 0)
		return fail(g, "a field number that can't be");
	wire = (enum wire)(tag & WIRE_MASK);
	g->number = (uint32_t)tag >> WIRE_BITS;
	g->field = protobuf_c_message_descriptor_get_field(top(g)->d,
	    g->number);
	if (wire != WIRE_VARINT && wire != WIRE_64 && wire != WIRE_LENGTH &&
	    wire != WIRE_32)
		return fail(g, "a wire type that can't be");
	if (g->field == NULL && check_unknown(g) == -1)
		return -1;
	if (g->field != NULL && wire != wire_of(g->field->type) &&
	    !(wire == WIRE_LENGTH &&
	    g->field->label == PROTOBUF_C_LABEL_REPEATED))
		return fail(g, "not of the type it should have");
	if (count_field(g) == -1)
		return -1;
	return wire == WIRE_LENGTH ? take_length(g) :
	    take_number(g, wire, top(g)->end);
}

int
guard_check(const ProtobufCMessageDescriptor *d, const uint8_t *bytes,
    size_t n, enum guard_policy policy, char *why, size_t why_len)
{
	static const uint8_t none[1];
	struct guard g = { .at = n > 0 ? bytes : none, .policy = policy,
	    .depth = 1, .why = why, .why_len = why_len };

	g.stack[0] = (struct level){ .d = d, .end = g.at + n };
	if (n > GUARD_BYTES_MAX)
		return fail(&g, "longer than a message may be");
	while (g.depth > 0) {
		assert(g.at <= top(&g)->end);		/* I1 */
		if (g.at == top(&g)->end)
			g.depth--;
		else if (take_field(&g) == -1)
			return -1;
	}
	return 0;
}
