/* xds/wire.c - see wire.h. */
#include "xds/wire.h"

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
