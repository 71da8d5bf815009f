/*
 * worker/io/header.h - a block of headers: copied once off the wire, read by
 * routing, handed on to the other side's frame without another copy.
 *
 *   | struct headers | at[0] at[1] ... | owner* name value name value ... |
 *                                        ^ I2
 * Invariants
 *   I1  Names are lower case and values free of NUL, CR and LF: nghttp2 checks
 *       what comes from a peer, headers_add's callers what comes from us.
 *   I2  The first header's name has the block's address in front of its bytes,
 *       so that a sent frame (which outlives its stream) finds the block to
 *       let go of. The first is a pseudo header or, in trailers, whatever came
 *       first; it is never removed.
 *   I3  A block is counted: the stream that reads it and each frame that was
 *       made of it hold one.
 *   I4  struct header is laid out as nghttp2_nv (asserted in h2.c).
 *
 * Test: t/unit/header.c.
 */
#ifndef WORKER_IO_HEADER_H
#define WORKER_IO_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "worker/io/mem.h"

enum header_id {
	HEADER_OTHER,
#define LENGTH(n) HEADER_AT_##n, HEADER_BEFORE_##n = HEADER_AT_##n - 1,
#define HEADER(id, name, flags) HEADER_##id,
#include "worker/io/header.def"
#undef LENGTH
#undef HEADER
	HEADER_IDS
};

struct header {
	uint8_t		*name, *value;	/* not NUL-terminated */
	size_t		 name_len, value_len;
	uint8_t		 wire_flags;	/* of nghttp2_nv */
	uint8_t		 id;		/* enum header_id */
	uint16_t	 pad;
};

enum { HEADERS_INLINE = 20, HEADERS_TEXT_BYTES = 1024 };

struct headers {
	struct mem	*mem;
	LIST_ENTRY(headers) sending;	/* of a session; le_prev NULL: none */
	struct header	*at;		/* [0, n) */
	uint32_t	 n, cap;
	uint32_t	 refs;
	uint32_t	 bytes;		/* sum of name + value + 32 */
	uint8_t		*text, *text_end;	/* free room */
	struct headers_more *more;	/* further rooms */
	struct header	 inline_at[HEADERS_INLINE];
	uint8_t		 inline_text[HEADERS_TEXT_BYTES];
};

enum header_id	header_id_find(const uint8_t *name, size_t len);
/* header.def: no request keeps it. */
bool		header_is_claim(const struct header *h);

/* One reference, the caller's. NULL: no memory. */
struct headers	*headers_new(struct mem *m);
struct headers	*headers_copy(const struct headers *h);
struct headers	*headers_get(struct headers *h);
void		 headers_put(struct headers *h);

/* Copies name and value. False: no memory; the block is as before. */
bool	headers_add(struct headers *h, const void *name, size_t name_len,
	    const void *value, size_t value_len, uint8_t wire_flags);
/* The same for our own texts. */
bool	headers_add_text(struct headers *h, const char *name,
	    const char *value);

/* The first of an id (not HEADER_OTHER) or of a name, or NULL. */
const struct header *headers_find(const struct headers *h, enum header_id id);
const struct header *headers_find_name(const struct headers *h,
	    const char *name, size_t len);

/* The i-th has another value. False: no memory; it is as before. */
bool	headers_set(struct headers *h, uint32_t i, const void *value,
	    size_t value_len);
/* Drops the i-th; i > 0 (I2). */
void	headers_remove(struct headers *h, uint32_t i);
/* Drops all of a name, which is not the first header's. */
void	headers_remove_name(struct headers *h, const char *name, size_t len);
/* Makes it the only one of its name, where the first of them was. False: no
 * memory; it is as before. */
bool	headers_replace(struct headers *h, const char *name, size_t name_len,
	    const void *value, size_t value_len);
/* n bytes that live as long as the block, or NULL: no memory. */
uint8_t	*headers_room(struct headers *h, size_t n);

/* The block whose first name is at name (I2). */
struct headers *headers_of(const uint8_t *name);

#endif
