/*
 * xds/framing.h - gRPC's messages in a flow of bytes, cut as the network likes.
 *
 *   | 0 | length, 4 bytes, big endian | message | 0 | length | ...
 *     compressed? (1: refused, we ask for no compression)
 *
 * Memory grows with what has come, not with what a length says.
 * Source: gRPC over HTTP2, "Length-Prefixed-Message".
 * Test: t/unit/framing.c.
 */
#ifndef XDS_FRAMING_H
#define XDS_FRAMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FRAMING_PREFIX_BYTES = 5 };

struct framing {
	uint8_t		 prefix[FRAMING_PREFIX_BYTES];
	size_t		 prefix_n;
	uint8_t		*bytes;		/* of the message at hand */
	size_t		 n, len, size;	/* come, announced, allocated */
	size_t		 bytes_max;
	bool		 whole;		/* it was handed out */
};

void	framing_init(struct framing *f, size_t bytes_max);
void	framing_fini(struct framing *f);
/* The next stream: what was begun is forgotten. */
void	framing_reset(struct framing *f);

/* Moves *at on towards end. 1: a message is whole, f->bytes and f->len, good
 * until the next call; there may be more. 0: all was taken. -1: why. */
int	framing_take(struct framing *f, const uint8_t **at, const uint8_t *end,
	    char *why, size_t why_len);
/* Whether a message was begun: a stream that ends now broke off. */
bool	framing_is_inside(const struct framing *f);

/* What goes before a message of n bytes. */
void	framing_prefix(uint8_t to[FRAMING_PREFIX_BYTES], uint32_t n);

#endif
