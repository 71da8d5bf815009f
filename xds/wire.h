/*
 * xds/wire.h - the fields of a packed message, one after the other, for those
 * who look at bytes, or write them, and need no message.
 *
 *   | tag | value | tag | length | data ... | tag ...
 *     ^from         ^from          ^data       ^at, after wire_take
 *
 * It takes no more than guard.c does: tags and lengths of five bytes at most,
 * no groups. Source: protobuf.dev, "Encoding". Test: t/unit/ads.c, known.c, push.c.
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

/* ---- the other way. The same calls twice: without a place to write to they
 * count, so that a message says how long it is before it begins. */
struct wire_out {
	uint8_t		*to;		/* or NULL */
	size_t		 n;
};

/* Of a field with a length, tag and length and all. */
size_t	wire_size(uint32_t tag, size_t len);
void	wire_put_head(struct wire_out *w, uint32_t tag, size_t len);
void	wire_put(struct wire_out *w, uint32_t tag, const void *p, size_t len);
void	wire_put_text(struct wire_out *w, uint32_t tag, const char *text);
/* A google.protobuf.Any: what is in it, and all of it as a field. */
size_t	wire_any_size(const char *url, size_t len);
void	wire_put_any(struct wire_out *w, uint32_t tag, const char *url,
	    const void *p, size_t len);

#endif
