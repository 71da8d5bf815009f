/* xds/framing.c - see framing.h. */
#include "xds/framing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_BYTES = 4096 };

void
framing_init(struct framing *f, size_t bytes_max)
{
	*f = (struct framing){ .bytes_max = bytes_max };
}

/* There may be private keys in it. */
static void
bytes_free(struct framing *f)
{
	if (f->n > 0)
		explicit_bzero(f->bytes, f->n);
	free(f->bytes);
}

void
framing_fini(struct framing *f)
{
	bytes_free(f);
	*f = (struct framing){ .bytes_max = f->bytes_max };
}

void
framing_reset(struct framing *f)
{
	framing_fini(f);
}

static size_t
least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static int
take_prefix(struct framing *f, const uint8_t **at, const uint8_t *end,
    char *why, size_t why_len)
{
	size_t n = least(FRAMING_PREFIX_BYTES - f->prefix_n,
	    (size_t)(end - *at));

	memcpy(f->prefix + f->prefix_n, *at, n);
	*at += n;
	f->prefix_n += n;
	if (f->prefix_n > 0 && f->prefix[0] != 0) {
		snprintf(why, why_len, f->prefix[0] == 1 ?
		    "a compressed message; we did not ask for compression" :
		    "no gRPC message: it begins with byte 0x%02x",
		    f->prefix[0]);
		return -1;
	}
	if (f->prefix_n < FRAMING_PREFIX_BYTES)
		return 0;
	f->len = (size_t)f->prefix[1] << 24 | (size_t)f->prefix[2] << 16 |
	    (size_t)f->prefix[3] << 8 | f->prefix[4];
	if (f->len > f->bytes_max) {
		snprintf(why, why_len, "a message of %zu bytes; %zu at most",
		    f->len, f->bytes_max);
		return -1;
	}
	return 0;
}

/* Room for n bytes more: twice what there was, never more than announced. */
static int
grow(struct framing *f, size_t n)
{
	size_t size = f->size > 0 ? f->size : FIRST_BYTES;
	uint8_t *bytes;

	if (f->n + n <= f->size)
		return 0;
	while (size < f->n + n)
		size *= 2;
	size = least(size, f->len);
	if ((bytes = malloc(size)) == NULL)
		return -1;
	if (f->n > 0)
		memcpy(bytes, f->bytes, f->n);
	bytes_free(f);
	f->bytes = bytes;
	f->size = size;
	return 0;
}

int
framing_take(struct framing *f, const uint8_t **at, const uint8_t *end,
    char *why, size_t why_len)
{
	size_t n;

	if (f->whole)
		framing_reset(f);
	if (*at < end && f->prefix_n < FRAMING_PREFIX_BYTES &&
	    take_prefix(f, at, end, why, why_len) == -1)
		return -1;
	if (f->prefix_n < FRAMING_PREFIX_BYTES)
		return 0;
	n = least(f->len - f->n, (size_t)(end - *at));
	if (n > 0) {
		if (grow(f, n) == -1) {
			snprintf(why, why_len, "no memory for a message of "
			    "%zu bytes", f->len);
			return -1;
		}
		memcpy(f->bytes + f->n, *at, n);
		*at += n;
		f->n += n;
	}
	f->whole = f->n == f->len;
	return f->whole;
}

bool
framing_is_inside(const struct framing *f)
{
	return f->prefix_n > 0 && !f->whole;
}

void
framing_prefix(uint8_t to[FRAMING_PREFIX_BYTES], uint32_t n)
{
	to[0] = 0;
	to[1] = (uint8_t)(n >> 24);
	to[2] = (uint8_t)(n >> 16);
	to[3] = (uint8_t)(n >> 8);
	to[4] = (uint8_t)n;
}
