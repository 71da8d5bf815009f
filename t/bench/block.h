/*
 * t/bench/block.h - header blocks (HPACK), read and written for the bench.
 *
 * Reading is mostly remembering: as long as a block leaves the dynamic table
 * alone (only indexed fields, and literals without indexing), the same bytes
 * mean the same headers. Only a block that was not seen before goes through
 * nghttp2's inflater, and one that changes the table forgets all others.
 *
 * Source: RFC 7541. Test: t/bench/selftest.py ("moving table").
 */
#ifndef T_BENCH_BLOCK_H
#define T_BENCH_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <nghttp2/nghttp2.h>

enum {
	BLOCK_BYTES_MAX = 512,	/* of those that we write */
	BLOCKS_KNOWN = 8,
	EXPECTED_MAX = 8,
};

/* A header that the user wants to see; its place in the table is its bit in
 * what block_judge answers. */
struct expected {
	const char	*name;
	const char	*value;
};

struct known {				/* a block that was decoded before */
	uint32_t	 len;		/* 0 = free */
	uint32_t	 seen;
	uint8_t		 bytes[240];
};

struct block_reader {
	nghttp2_hd_inflater *inflater;
	struct known	 known[BLOCKS_KNOWN];
	uint32_t	 known_next;
};

void	block_reader_init(struct block_reader *r);
void	block_reader_fini(struct block_reader *r);

/* The bits of the expected headers (closed by a NULL name) that the block
 * holds; a header with the right name and a wrong value has no bit. -1: not
 * HPACK. */
int	block_judge(struct block_reader *r, const uint8_t *p, size_t n,
	    const struct expected *expected);

/* One literal into a block at p; indexed: both sides remember it. Returns the
 * bytes written. name_index is of the static table, 0 = by name. */
size_t	block_put_literal(uint8_t *p, bool indexed, uint8_t name_index,
	    const char *name, const char *value);

#endif
