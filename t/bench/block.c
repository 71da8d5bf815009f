/* t/bench/block.c - see block.h. */
#include "t/bench/block.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "t/bench/wire.h"

void
block_reader_init(struct block_reader *r)
{
	memset(r, 0, sizeof *r);
	if (nghttp2_hd_inflate_new(&r->inflater) != 0)
		wire_die("out of memory");
}

void
block_reader_fini(struct block_reader *r)
{
	nghttp2_hd_inflate_del(r->inflater);
}

size_t
block_put_literal(uint8_t *p, bool indexed, uint8_t name_index,
    const char *name, const char *value)
{
	size_t name_len = strlen(name), value_len = strlen(value), at = 0;

	if (name_index >= (indexed ? 63 : 15) || name_len > 126 ||
	    value_len > 126)
		wire_die("a header that needs a longer integer: %s", name);
	p[at++] = (uint8_t)((indexed ? 0x40 : 0x00) | name_index);
	if (name_index == 0) {
		p[at++] = (uint8_t)name_len;
		memcpy(p + at, name, name_len);
		at += name_len;
	}
	p[at++] = (uint8_t)value_len;
	memcpy(p + at, value, value_len);
	return at + value_len;
}

/* Past an HPACK integer with an n-bit prefix; *value is it. NULL: cut off. */
static const uint8_t *
skip_integer(const uint8_t *p, const uint8_t *end, int bits, uint32_t *value)
{
	uint32_t mask = (1u << bits) - 1;
	int shift;

	*value = *p++ & mask;
	if (*value < mask)
		return p;
	for (shift = 0; p < end && shift <= 21; shift += 7) {
		*value += (uint32_t)(*p & 0x7f) << shift;
		if ((*p++ & 0x80) == 0)
			return p;
	}
	return NULL;
}

static const uint8_t *
skip_string(const uint8_t *p, const uint8_t *end)
{
	uint32_t len;

	if (p == end || (p = skip_integer(p, end, 7, &len)) == NULL ||
	    (size_t)(end - p) < len)
		return NULL;
	return p + len;
}

/* Whether the block leaves the dynamic table as it is (RFC 7541 section 6:
 * only indexed fields and literals without indexing). */
static bool
leaves_table(const uint8_t *p, const uint8_t *end)
{
	uint32_t index;
	bool indexed;

	while (p != NULL && p < end) {
		indexed = (*p & 0x80) != 0;
		if (!indexed && (*p & 0x60) != 0)
			return false;
		p = skip_integer(p, end, indexed ? 7 : 4, &index);
		if (p == NULL || indexed)
			continue;
		if (index == 0)
			p = skip_string(p, end);
		if (p != NULL)
			p = skip_string(p, end);
	}
	return p != NULL;
}

static int
inflate(struct block_reader *r, const uint8_t *p, size_t n,
    const struct expected *expected)
{
	nghttp2_nv nv;
	uint32_t seen = 0;
	ssize_t used;
	int flags, i;

	for (;;) {
		flags = 0;
		used = nghttp2_hd_inflate_hd2(r->inflater, &nv, &flags, p, n,
		    1);
		if (used < 0)
			return -1;
		p += used;
		n -= (size_t)used;
		for (i = 0; flags & NGHTTP2_HD_INFLATE_EMIT &&
		    expected[i].name != NULL; i++)
			if (nv.namelen == strlen(expected[i].name) &&
			    nv.valuelen == strlen(expected[i].value) &&
			    memcmp(nv.name, expected[i].name, nv.namelen) == 0
			    && memcmp(nv.value, expected[i].value,
			    nv.valuelen) == 0)
				seen |= 1u << i;
		if (flags & NGHTTP2_HD_INFLATE_FINAL)
			break;
	}
	nghttp2_hd_inflate_end_headers(r->inflater);
	return (int)seen;
}

int
block_judge(struct block_reader *r, const uint8_t *p, size_t n,
    const struct expected *expected)
{
	struct known *k;
	int i, seen;

	for (i = 0; i < BLOCKS_KNOWN; i++) {
		k = &r->known[i];
		if (k->len == n && n > 0 && memcmp(k->bytes, p, n) == 0)
			return (int)k->seen;
	}
	seen = inflate(r, p, n, expected);
	if (seen == -1)
		return -1;
	if (!leaves_table(p, p + n))
		memset(r->known, 0, sizeof r->known);
	else if (n <= sizeof k->bytes) {
		k = &r->known[r->known_next++ % BLOCKS_KNOWN];
		k->len = (uint32_t)n;
		k->seen = (uint32_t)seen;
		memcpy(k->bytes, p, n);
	}
	return seen;
}
