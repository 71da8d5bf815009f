/*
 * xds/load_scalar.c - one scalar of the file to one value of a message.
 *
 * JSON has types where YAML has plain text, so we read plain text as JSON
 * would: true, false and JSON's numbers are that, all other plain text is a
 * string. Thus
 *
 *   a bool      true or false, without quotes ("yes" and "on" are strings)
 *   a number    5, 5.0, 5e0 and, because JSON's mapping says so, "5"
 *   a string    abc, on, 1.2.3.4, "5", but not 5: put it in quotes
 *
 * Envoy refuses 5 for a string as well. It takes on and yes for bools, which
 * we don't: YAML 1.1's guesses have no place in a file that decides routing.
 *
 * Source: RFC 8259 section 6; protobuf.dev, "ProtoJSON format".
 * Test: t/unit/load.c.
 */
#include "xds/load_inside.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xds/guard.h"

enum { EXPONENT_MAX = 1000000000, NANOS_DIGITS = 9 };
#define SECONDS_MAX	INT64_C(315576000000)	/* ten thousand years */

/* ---- what a text is */

static const char *
skip_digits(const char *s)
{
	while (*s >= '0' && *s <= '9')
		s++;
	return s;
}

bool
load_is_number(const char *s)
{
	const char *from;

	s += *s == '-';
	from = s;
	s = skip_digits(s);
	if (s == from || (*from == '0' && s - from > 1))
		return false;
	if (*s == '.') {
		from = ++s;
		if ((s = skip_digits(s)) == from)
			return false;
	}
	if (*s == 'e' || *s == 'E') {
		s++;
		s += *s == '+' || *s == '-';
		from = s;
		if ((s = skip_digits(s)) == from)
			return false;
	}
	return *s == '\0';
}

bool
load_is_string(const struct yaml_node *n)
{
	if (n->kind != YAML_SCALAR)
		return false;
	return n->quoted || (strcmp(n->text, "true") != 0 &&
	    strcmp(n->text, "false") != 0 && !load_is_number(n->text));
}

/* ---- whole numbers */

enum whole { WHOLE, NOT_A_NUMBER, NOT_WHOLE, TOO_LARGE };

/* The power of ten of a number's last digit that counts: 3 of 12e3 and 1 of
 * 120, -1 of 1.50. *last is that digit. */
static int64_t
last_digit(const char *s, const char **last)
{
	const char *end = s + strcspn(s, "eE"), *point = NULL, *at;
	int64_t power = 0, exponent = 0;

	if (*end != '\0') {
		exponent = strtoll(end + 1, NULL, 10);	/* saturates */
		if (exponent > EXPONENT_MAX)
			exponent = EXPONENT_MAX;
		if (exponent < -EXPONENT_MAX)
			exponent = -EXPONENT_MAX;
	}
	*last = NULL;
	for (at = s; at < end; at++) {
		if (*at == '.')
			point = at;
		else if (*at >= '1' && *at <= '9')
			*last = at;
	}
	if (*last != NULL && point != NULL)
		power = *last < point ? point - *last - 1 : point - *last;
	else if (*last != NULL)
		power = end - *last - 1;
	return power + exponent;
}

/* Exact, without passing through a double. */
static enum whole
read_whole(const char *s, bool *negative, uint64_t *value)
{
	const char *last;
	int64_t power;

	*value = 0;
	if (!load_is_number(s))
		return NOT_A_NUMBER;
	*negative = *s == '-';
	power = last_digit(s, &last);
	if (last == NULL)
		return WHOLE;			/* some kind of zero */
	if (power < 0)
		return NOT_WHOLE;
	for (s += *negative; s <= last; s++)
		if (*s != '.' && (__builtin_mul_overflow(*value, 10, value) ||
		    __builtin_add_overflow(*value, (uint64_t)(*s - '0'),
		    value)))
			return TOO_LARGE;
	for (; power > 0; power--)
		if (__builtin_mul_overflow(*value, 10, value))
			return TOO_LARGE;
	return WHOLE;
}

static int
load_signed(const struct load *l, const struct place *p,
    const struct yaml_node *n, int64_t min, int64_t max, int64_t *out)
{
	bool negative = false;
	uint64_t value = 0;
	enum whole is = NOT_A_NUMBER;

	if (n->kind == YAML_SCALAR)
		is = read_whole(n->text, &negative, &value);
	if (is == WHOLE && value > (negative ? (uint64_t)-(min + 1) + 1 :
	    (uint64_t)max))
		is = TOO_LARGE;
	if (is != WHOLE)
		return load_fail(l, p, n, "%s is %s; expected %" PRId64 " to %"
		    PRId64, load_shown(n).text, is == TOO_LARGE ?
		    "out of range" : is == NOT_WHOLE ? "not a whole number" :
		    "not a number", min, max);
	*out = negative ? (int64_t)(0 - value) : (int64_t)value;
	return 0;
}

static int
load_unsigned(const struct load *l, const struct place *p,
    const struct yaml_node *n, uint64_t max, uint64_t *out)
{
	bool negative = false;
	uint64_t value = 0;
	enum whole is = NOT_A_NUMBER;

	if (n->kind == YAML_SCALAR)
		is = read_whole(n->text, &negative, &value);
	if (is == WHOLE && (value > max || (negative && value > 0)))
		is = TOO_LARGE;
	if (is != WHOLE)
		return load_fail(l, p, n, "%s is %s; expected 0 to %" PRIu64,
		    load_shown(n).text, is == TOO_LARGE ? "out of range" :
		    is == NOT_WHOLE ? "not a whole number" : "not a number",
		    max);
	*out = value;
	return 0;
}

/* ---- the other scalars */

static int
load_real(const struct load *l, const struct place *p,
    const struct yaml_node *n, double max, double *out)
{
	const char *text = n->kind == YAML_SCALAR ? n->text : "";

	if (strcmp(text, "NaN") == 0)
		*out = NAN;
	else if (strcmp(text, "Infinity") == 0)
		*out = INFINITY;
	else if (strcmp(text, "-Infinity") == 0)
		*out = -INFINITY;
	else if (!load_is_number(text))
		return load_fail(l, p, n, "%s is not a number; expected one, "
		    "or NaN, Infinity, -Infinity", load_shown(n).text);
	else if ((*out = strtod(text, NULL)) > max || *out < -max)
		return load_fail(l, p, n, "%s is out of range; expected %g "
		    "to %g", load_shown(n).text, -max, max);
	return 0;
}

static int
load_bool(const struct load *l, const struct place *p,
    const struct yaml_node *n, protobuf_c_boolean *out)
{
	const char *text = n->kind == YAML_SCALAR ? n->text : "";

	*out = strcmp(text, "true") == 0;
	if (!*out && strcmp(text, "false") != 0)
		return load_fail(l, p, n, "%s is not true or false",
		    load_shown(n).text);
	if (n->quoted)
		return load_fail(l, p, n, "%s is a string; expected true or "
		    "false without quotes", load_shown(n).text);
	return 0;
}

static int
check_string(const struct load *l, const struct place *p,
    const struct yaml_node *n)
{
	if (!load_is_string(n))
		return load_fail(l, p, n, "%s is not a string%s",
		    load_shown(n).text,
		    n->kind == YAML_SCALAR ? "; put it in quotes" : "");
	if (!guard_text((const uint8_t *)n->text, n->text_len))
		return load_fail(l, p, n,
		    "a text that has a NUL character or is not UTF-8");
	return 0;
}

static int
load_string(const struct load *l, const struct place *p,
    const struct yaml_node *n, char **out)
{
	if (check_string(l, p, n) == -1)
		return -1;
	if ((*out = load_alloc(l->m, n->text_len + 1)) == NULL)
		return load_fail_memory(l, p, n);
	memcpy(*out, n->text, n->text_len);
	return 0;
}

static int
base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+' || c == '-')
		return 62;
	return c == '/' || c == '_' ? 63 : -1;
}

/* Both alphabets, padded or not, as JSON's mapping asks. What stands there may
 * be a key: no refusal shows it. */
static int
load_bytes(const struct load *l, const struct place *p,
    const struct yaml_node *n, ProtobufCBinaryData *out)
{
	size_t len, i;
	uint32_t bits = 0;

	if (check_string(l, p, n) == -1)
		return -1;
	for (len = n->text_len; len > 0 && n->text_len - len < 2 &&
	    n->text[len - 1] == '='; )
		len--;
	if (len % 4 == 1 || (len < n->text_len && n->text_len % 4 != 0))
		return load_fail(l, p, n, "not base64 (its length)");
	out->len = 0;
	if ((out->data = load_alloc(l->m, len)) == NULL)
		return load_fail_memory(l, p, n);
	for (i = 0; i < len; i++) {
		if (base64_digit(n->text[i]) == -1)
			return load_fail(l, p, n, "not base64 (its "
			    "character %zu)", i + 1);
		bits = bits << 6 | (uint32_t)base64_digit(n->text[i]);
		if (i % 4 > 0)
			out->data[out->len++] = (uint8_t)(bits >>
			    (6 - 2 * (i % 4)));
	}
	return 0;
}

static int
fail_enum(const struct load *l, const struct place *p,
    const ProtobufCEnumDescriptor *d, const struct yaml_node *n)
{
	struct choices c = { 0 };
	unsigned i;

	for (i = 0; i < d->n_values; i++)
		load_choice(&c, n->kind == YAML_SCALAR ? n->text : "",
		    d->values[i].name);
	return load_fail(l, p, n, "%s is not a %s; %s", load_shown(n).text,
	    d->short_name, load_choices_text(&c));
}

static int
load_enum(const struct load *l, const struct place *p,
    const ProtobufCEnumDescriptor *d, const struct yaml_node *n, int *out)
{
	const ProtobufCEnumValue *v = NULL;
	bool negative = false;
	uint64_t value;

	if (n->kind == YAML_SCALAR && read_whole(n->text, &negative, &value)
	    == WHOLE && value <= INT32_MAX)
		v = protobuf_c_enum_descriptor_get_value(d, negative ?
		    -(int)value : (int)value);
	else if (n->kind == YAML_SCALAR)
		v = protobuf_c_enum_descriptor_get_value_by_name(d, n->text);
	if (v == NULL)
		return fail_enum(l, p, d, n);
	*out = v->value;
	return 0;
}

/* "-1.5s": up to nine digits after the point, both parts of one sign. */
int
load_duration(const struct load *l, const struct place *p,
    const struct yaml_node *n, int64_t *seconds, int32_t *nanos)
{
	const char *text = n->kind == YAML_SCALAR ? n->text : "";
	const char *at = text + (*text == '-'), *point, *digits, *end;
	int i, sign = *text == '-' ? -1 : 1;

	point = skip_digits(at);
	digits = *point == '.' ? point + 1 : point;
	end = skip_digits(digits);
	if (point == at || (*point == '.' && end == digits) ||
	    end - digits > NANOS_DIGITS || strcmp(end, "s") != 0)
		return load_fail(l, p, n, "%s is not a duration; expected "
		    "seconds like \"1.5s\"", load_shown(n).text);
	*seconds = sign * strtoll(at, NULL, 10);	/* saturates */
	if (*seconds > SECONDS_MAX || *seconds < -SECONDS_MAX)
		return load_fail(l, p, n, "%s is out of range; expected "
		    "-%" PRId64 "s to %" PRId64 "s", load_shown(n).text,
		    SECONDS_MAX, SECONDS_MAX);
	*nanos = 0;
	for (i = 0; i < NANOS_DIGITS; i++)
		*nanos = *nanos * 10 + (digits + i < end ?
		    sign * (digits[i] - '0') : 0);
	return 0;
}

/* ---- by type */

static int
load_32(const struct load *l, const struct place *p, bool is_signed,
    const struct yaml_node *n, void *out)
{
	uint64_t big = 0;
	int64_t wide = 0;
	uint32_t value;

	if (is_signed ?
	    load_signed(l, p, n, INT32_MIN, INT32_MAX, &wide) == -1 :
	    load_unsigned(l, p, n, UINT32_MAX, &big) == -1)
		return -1;
	value = (uint32_t)(is_signed ? (uint64_t)wide : big);
	memcpy(out, &value, sizeof(value));
	return 0;
}

static int
load_float(const struct load *l, const struct place *p,
    const struct yaml_node *n, float *out)
{
	double value = 0;

	if (load_real(l, p, n, (double)FLT_MAX, &value) == -1)
		return -1;
	*out = (float)value;
	return 0;
}

int
load_scalar(const struct load *l, const struct place *p,
    const ProtobufCFieldDescriptor *f, const struct yaml_node *n, void *out)
{
	const ProtobufCMessageDescriptor *of;

	switch (f->type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
		return load_32(l, p, true, n, out);
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		return load_32(l, p, false, n, out);
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
		return load_signed(l, p, n, INT64_MIN, INT64_MAX, out);
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		return load_unsigned(l, p, n, UINT64_MAX, out);
	case PROTOBUF_C_TYPE_FLOAT:
		return load_float(l, p, n, out);
	case PROTOBUF_C_TYPE_DOUBLE:
		return load_real(l, p, n, DBL_MAX, out);
	case PROTOBUF_C_TYPE_BOOL:
		return load_bool(l, p, n, out);
	case PROTOBUF_C_TYPE_ENUM:
		return load_enum(l, p, f->descriptor, n, out);
	case PROTOBUF_C_TYPE_STRING:
		return load_string(l, p, n, out);
	case PROTOBUF_C_TYPE_BYTES:
		return load_bytes(l, p, n, out);
	default:
		of = f->descriptor;
		return load_fail(l, p, n, "no scalar, but a %s", of->name);
	}
}
