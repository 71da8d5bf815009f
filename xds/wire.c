/* xds/wire.c - see wire.h. */
#include "xds/wire.h"

#include <string.h>

enum { NUMBER_BYTES = 10, SHORT_BYTES = 5 };

static bool
take_number(const uint8_t **at, const uint8_t *end, int limit,
    uint64_t *value)
{
	*value = 0;
	for (int i = 0; i < limit && *at < end; i++) {
		*value |= (uint64_t)(**at & 0x7f) << 7 * i;
		if (*(*at)++ < 0x80)
			return true;
	}
	return false;
}

bool
wire_take(const uint8_t **at, const uint8_t *end, struct wire_field *f)
{
	uint64_t n;

	f->from = *at;
	if (!take_number(at, end, SHORT_BYTES, &f->tag) ||
	    f->tag > UINT32_MAX || f->tag >> WIRE_FIELD_BITS == 0)
		return false;
	f->data = *at;
	switch (f->tag & WIRE_FIELD_MASK) {
	case 0:
		if (!take_number(at, end, NUMBER_BYTES, &n))
			return false;
		f->len = (size_t)(*at - f->data);
		return true;
	case 1:
		n = 8;
		break;
	case WIRE_FIELD_LENGTH:
		if (!take_number(at, end, SHORT_BYTES, &n))
			return false;
		break;
	case 5:
		n = 4;
		break;
	default:
		return false;
	}
	if (n > (uint64_t)(end - *at))
		return false;
	f->data = *at;
	f->len = (size_t)n;
	*at += n;
	return true;
}

/* ---- writing */

static size_t
number_size(uint64_t v)
{
	size_t n = 1;

	for (; v >= 0x80; v >>= 7)
		n++;
	return n;
}

static void
put_number(struct wire_out *w, uint64_t v)
{
	if (w->to == NULL) {
		w->n += number_size(v);
		return;
	}
	for (; v >= 0x80; v >>= 7)
		w->to[w->n++] = (uint8_t)(v | 0x80);
	w->to[w->n++] = (uint8_t)v;
}

size_t
wire_size(uint32_t tag, size_t len)
{
	return number_size(tag) + number_size(len) + len;
}

void
wire_put_head(struct wire_out *w, uint32_t tag, size_t len)
{
	put_number(w, tag);
	put_number(w, len);
}

void
wire_put(struct wire_out *w, uint32_t tag, const void *p, size_t len)
{
	wire_put_head(w, tag, len);
	if (w->to != NULL && len > 0)
		memcpy(w->to + w->n, p, len);
	w->n += len;
}

void
wire_put_text(struct wire_out *w, uint32_t tag, const char *text)
{
	wire_put(w, tag, text, strlen(text));
}

/* Any{1 type_url, 2 value} */
size_t
wire_any_size(const char *url, size_t len)
{
	return wire_size(WIRE_TAG(1), strlen(url)) + wire_size(WIRE_TAG(2),
	    len);
}

void
wire_put_any(struct wire_out *w, uint32_t tag, const char *url,
    const void *p, size_t len)
{
	wire_put_head(w, tag, wire_any_size(url, len));
	wire_put_text(w, WIRE_TAG(1), url);
	wire_put(w, WIRE_TAG(2), p, len);
}
