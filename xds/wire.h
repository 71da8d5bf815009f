/*
 * xds/wire.h - the fields of a packed message, one after the other, for those
 * who look at bytes and need no message.
 *
 *   | tag | value | tag | length | data ... | tag ...
 *     ^from         ^from          ^data       ^at, after wire_take
 *
 * It takes no more than guard.c does: tags and lengths of five bytes at most,
 * no groups. Source: protobuf.dev, "Encoding". Test: t/unit/ads.c, known.c.
 */
#ifndef XDS_WIRE_H
#define XDS_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WIRE_FIELD_BITS = 3, WIRE_FIELD_MASK = 7, WIRE_FIELD_LENGTH = 2 };

/* The tag of a field that has a length. */
#define WIRE_TAG(number) ((number) << WIRE_FIELD_BITS | WIRE_FIELD_LENGTH)

struct wire_field {
	uint64_t	 tag;
	const uint8_t	*from;		/* where its tag begins */
	const uint8_t	*data;		/* of a field with a length, or 32 or
					   64 bits; a number's first byte */
	size_t		 len;
};

/* The field at *at, which moves behind it. False: it is none. */
bool	wire_take(const uint8_t **at, const uint8_t *end,
	    struct wire_field *f);

#endif
