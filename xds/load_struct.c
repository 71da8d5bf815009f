/*
 * xds/load_struct.c - free mappings (node metadata, filter metadata), packed
 * by hand as a google.protobuf.Struct, which our subset keeps as bytes.
 *
 *   Struct     1: Entry*             Value  1: null   2: double  3: string
 *   Entry      1: key, 2: Value             4: bool   5: Struct  6: ListValue
 *   ListValue  1: Value*
 *
 * Written from the end to the front, so that each length is known when its
 * prefix is due: one pass to learn the size, one to write, both linear.
 *
 * A level of YAML is up to three messages on the wire, and protobuf readers
 * elsewhere give up at 100: hence our own, lower limit of levels.
 *
 * Plain text is what JSON would call it, as in load_scalar.c. Envoy 1.40 reads
 * a plain 1.5 in a Struct as a string when it comes from YAML (seen in its
 * config_dump), as a number when from JSON; here it is a number in both.
 *
 * Source: google/protobuf/struct.proto. Test: t/unit/load.c.
 */
#include "xds/load_inside.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "xds/guard.h"

enum { LEVELS_MAX = 30 };

/* Tags: number << 3 | wire type. */
enum {
	ENTRY = 1 << 3 | 2, ENTRY_KEY = 1 << 3 | 2, ENTRY_VALUE = 2 << 3 | 2,
	VALUE_NULL = 1 << 3, VALUE_NUMBER = 2 << 3 | 1,
	VALUE_STRING = 3 << 3 | 2, VALUE_BOOL = 4 << 3,
	VALUE_STRUCT = 5 << 3 | 2, VALUE_LIST = 6 << 3 | 2,
	LIST_VALUE = 1 << 3 | 2,
};

/* Without a buffer (end NULL) only n counts. */
struct back {
	uint8_t		*end;
	size_t		 n;		/* written so far, before end */
};

static void
back_byte(struct back *b, uint8_t byte)
{
	b->n++;
	if (b->end != NULL)
		b->end[-(ptrdiff_t)b->n] = byte;
}

static void
back_bytes(struct back *b, const void *bytes, size_t n)
{
	b->n += n;
	if (b->end != NULL)
		memcpy(b->end - b->n, bytes, n);
}

/* The length of what was written since n stood at from, and a tag. */
static void
back_length(struct back *b, size_t from, uint8_t tag)
{
	uint8_t bytes[10];
	uint64_t left = b->n - from;
	size_t n = 0;

	do {
		bytes[n] = (uint8_t)((left & 0x7f) | (left > 0x7f ? 0x80 : 0));
		left >>= 7;
		n++;
	} while (left > 0);
	back_bytes(b, bytes, n);
	back_byte(b, tag);
}

static void	back_collection(struct back *b, const struct yaml_node *n);

static void
back_scalar(struct back *b, const struct yaml_node *n)
{
	size_t from = b->n;
	double number;

	if (load_is_string(n)) {
		back_bytes(b, n->text, n->text_len);
		back_length(b, from, VALUE_STRING);
	} else if (load_is_number(n->text)) {
		number = strtod(n->text, NULL);
		back_bytes(b, &number, sizeof(number));	/* little-endian */
		back_byte(b, VALUE_NUMBER);
	} else {
		back_byte(b, strcmp(n->text, "true") == 0);
		back_byte(b, VALUE_BOOL);
	}
}

static void
back_value(struct back *b, const struct yaml_node *n)
{
	size_t from = b->n;

	if (n->kind == YAML_NULL) {
		back_byte(b, 0);
		back_byte(b, VALUE_NULL);
	} else if (n->kind == YAML_SCALAR)
		back_scalar(b, n);
	else {
		back_collection(b, n);
		back_length(b, from, n->kind == YAML_MAPPING ? VALUE_STRUCT :
		    VALUE_LIST);
	}
}

/* The inside of a Struct or ListValue; ends, for check_levels has been. */
static void
back_collection(struct back *b, const struct yaml_node *n)
{
	size_t i, entry, from;

	for (i = n->n; i-- > 0; ) {
		entry = from = b->n;
		back_value(b, &n->items[i]);
		if (n->kind == YAML_SEQUENCE) {
			back_length(b, entry, LIST_VALUE);
			continue;
		}
		back_length(b, from, ENTRY_VALUE);
		from = b->n;
		back_bytes(b, n->keys[i].text, strlen(n->keys[i].text));
		back_length(b, from, ENTRY_KEY);
		back_length(b, entry, ENTRY);
	}
}

static int
check_levels(const struct load *l, const struct place *p,
    const struct yaml_node *n, int levels)
{
	size_t i;

	if (n->kind == YAML_SCALAR &&
	    !guard_text((const uint8_t *)n->text, n->text_len))
		return load_fail(l, p, n,
		    "a text that has a NUL character or is not UTF-8");
	if (n->kind != YAML_SEQUENCE && n->kind != YAML_MAPPING)
		return 0;
	if (levels == LEVELS_MAX)
		return load_fail(l, p, n, "nested deeper than %d levels",
		    LEVELS_MAX);
	for (i = 0; i < n->n; i++) {
		struct place at = { .up = p, .index = i,
		    .key = n->kind == YAML_MAPPING ? n->keys[i].text : NULL };

		if (check_levels(l, &at, &n->items[i], levels + 1) == -1)
			return -1;
	}
	return 0;
}

int
load_struct(const struct load *l, const struct place *p,
    const struct yaml_node *n, ProtobufCBinaryData *out)
{
	struct back size = { NULL, 0 }, b = { NULL, 0 };

	if (n->kind != YAML_MAPPING)
		return load_fail(l, p, n, "%s is not a mapping",
		    load_shown(n).text);
	if (check_levels(l, p, n, 0) == -1)
		return -1;
	back_collection(&size, n);
	out->len = size.n;
	if ((out->data = load_alloc(l->m, size.n)) == NULL)
		return load_fail_memory(l, p, n);
	b.end = out->data + size.n;
	back_collection(&b, n);
	assert(b.n == size.n);
	return 0;
}

/* ---- fields of types.def */

static const struct row {
	const char	*message, *field;
	bool		 is_struct;
} rows[] = {
#define TYPE(package, message)
#define WRAPPER(package, message)
#define STRUCT(message, field) { message, field, true },
#define REDACT(message, field) { message, field, false },
#include "xds/types.def"
#undef TYPE
#undef WRAPPER
#undef STRUCT
#undef REDACT
};

static bool
row_is(const char *message, const char *field, bool is_struct)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].is_struct == is_struct &&
		    strcmp(rows[i].field, field) == 0 &&
		    strcmp(rows[i].message, message) == 0)
			return true;
	return false;
}

bool
load_struct_is(const char *message, const char *field)
{
	return row_is(message, field, true);
}

bool
load_redact_is(const char *message, const char *field)
{
	return row_is(message, field, false);
}
