/*
 * xds/print_struct.c - a packed google.protobuf.Struct as a JSON object: the
 * way back of xds/load_struct.c, which draws the bytes.
 *
 * The bytes may be a control plane's, which nobody looked over, for our subset
 * calls them bytes: so they are walked once without printing, and only what is
 * a Struct through and through is printed, in a second walk.
 *
 * Source: google/protobuf/struct.proto. Test: t/unit/print.c.
 */
#include "xds/print_inside.h"

#include <string.h>

#include "xds/guard.h"

enum { LEVELS_MAX = 64 };	/* of Struct and ListValue */

/* Where we read; p NULL: only to see whether it is good. */
struct walk {
	struct print	*p;
	const uint8_t	*at, *end;
	int		 levels;
};

static bool	value(struct walk *w, const uint8_t *at, size_t n,
		    const char *key, size_t key_n);

static bool
varint(struct walk *w, uint64_t *out)
{
	*out = 0;
	for (unsigned shift = 0; shift < 64 && w->at < w->end; shift += 7) {
		*out |= (uint64_t)(*w->at & 0x7f) << shift;
		if (*w->at++ < 0x80)
			return true;
	}
	return false;
}

/* The next length-delimited field, number 1..; false: there is none. */
static bool
part(struct walk *w, uint64_t *tag, const uint8_t **at, size_t *n)
{
	uint64_t len;

	if (!varint(w, tag) || (*tag & 7) != 2 || !varint(w, &len) ||
	    len > (uint64_t)(w->end - w->at))
		return false;
	*at = w->at;
	*n = (size_t)len;
	w->at += len;
	return true;
}

static struct walk
inside(const struct walk *w, const uint8_t *at, size_t n)
{
	return (struct walk){ .p = w->p, .at = at, .end = at + n,
	    .levels = w->levels + 1 };
}

/* What is in front of a value: nothing for the outermost. */
static void
front(struct walk *w, const char *key, size_t key_n)
{
	print_key(w->p, NULL);
	if (key == NULL)
		return;
	print_quoted(w->p, key, key_n);
	fputs(": ", w->p->out);
}

/* ---- collections */

/* An Entry of a Struct: 1: key, 2: Value. */
static bool
entry(struct walk *w, const uint8_t *at, size_t n)
{
	struct walk in = inside(w, at, n);
	const uint8_t *key = NULL, *v = NULL, *it;
	size_t key_n = 0, v_n = 0, it_n;
	uint64_t tag;

	in.levels = w->levels;
	while (in.at < in.end) {
		if (!part(&in, &tag, &it, &it_n))
			return false;
		if (tag >> 3 == 1)
			key = it, key_n = it_n;
		else if (tag >> 3 == 2)
			v = it, v_n = it_n;
		else
			return false;
	}
	if (!guard_text(key == NULL ? (const uint8_t *)"" : key, key_n))
		return false;
	return value(&in, v, v_n, key == NULL ? "" : (const char *)key, key_n);
}

/* The inside of a Struct, or of a ListValue: 1: Value. */
static bool
collection(struct walk *w, const uint8_t *at, size_t n, bool is_list)
{
	struct walk in = inside(w, at, n);
	const uint8_t *it;
	size_t it_n;
	uint64_t tag;

	if (in.levels > LEVELS_MAX)
		return false;
	while (in.at < in.end)
		if (!part(&in, &tag, &it, &it_n) || tag >> 3 != 1 ||
		    !(is_list ? value(&in, it, it_n, NULL, 0) :
		    entry(&in, it, it_n)))
			return false;
	return true;
}

static bool
collection_value(struct walk *w, const uint8_t *at, size_t n, bool is_list)
{
	struct print *p = w->p;
	char bracket = is_list ? '[' : '{';
	bool good;

	if (p == NULL)
		return collection(w, at, n, is_list);
	putc_unlocked(bracket, p->out);
	p->depth++;
	p->first = true;
	good = collection(w, at, n, is_list);
	print_close(p, bracket);
	return good;
}

/* ---- values */

static bool
number_value(struct walk *w)
{
	double number;

	if (w->end - w->at < (ptrdiff_t)sizeof(number))
		return false;
	memcpy(&number, w->at, sizeof(number));		/* little-endian */
	w->at += sizeof(number);
	if (w->p != NULL)
		print_real(w->p, number, 17);
	return true;
}

static bool
word_value(struct walk *w, bool is_null)
{
	uint64_t n;

	if (!varint(w, &n))
		return false;
	if (w->p != NULL)
		fputs(is_null ? "null" : n != 0 ? "true" : "false", w->p->out);
	return true;
}

static bool
text_value(struct walk *w, const uint8_t *at, size_t n)
{
	if (!guard_text(at, n))
		return false;
	if (w->p != NULL)
		print_quoted(w->p, (const char *)at, n);
	return true;
}

static bool
kind_value(struct walk *w)
{
	const uint8_t *from = w->at, *at;
	uint64_t tag;
	size_t n;

	if (!varint(w, &tag))
		return false;
	switch (tag) {
	case 1 << 3:
		return word_value(w, true);
	case 2 << 3 | 1:
		return number_value(w);
	case 4 << 3:
		return word_value(w, false);
	}
	w->at = from;
	if (!part(w, &tag, &at, &n))
		return false;
	switch (tag >> 3) {
	case 3:
		return text_value(w, at, n);
	case 5:
	case 6:
		return collection_value(w, at, n, tag >> 3 == 6);
	default:
		return false;
	}
}

/* A Value, exactly one of its kinds; an empty one is null. */
static bool
value(struct walk *w, const uint8_t *at, size_t n, const char *key,
    size_t key_n)
{
	struct walk in = inside(w, at, n);

	in.levels = w->levels;
	if (w->p != NULL)
		front(w, key, key_n);
	if (n > 0)
		return kind_value(&in) && in.at == in.end;
	if (w->p != NULL)
		fputs("null", w->p->out);
	return true;
}

bool
print_struct(struct print *p, const uint8_t *bytes, size_t n)
{
	struct walk look = { .p = NULL }, w = { .p = p };

	return collection(&look, bytes, n, false) &&
	    collection_value(&w, bytes, n, false);
}
