/*
 * t/lib/unit_guard.h - for t/unit/h2_guard.c and h2_heavy.c: one session whose
 * peer is the test, frame by frame; its owner answers each request at once,
 * unless it is deaf.
 */
#ifndef T_LIB_UNIT_GUARD_H
#define T_LIB_UNIT_GUARD_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "t/lib/unit_sys.h"
#include "worker/io/h2.h"

enum {
	CALLS_MAX = 2048, STREAMS_MAX = 1024, HEADERS_MAX = 50,
	TYPES = 256, WINDOW_BYTES = 65535, GOAWAY = 7, CALM = 11,
	END_STREAM = 1, ACK = 1, END_HEADERS = 4, PADDED = 8,
};

struct call {
	struct h2_stream h2;		/* first */
	struct call	*next;
};

/* The session under test; its peer is the test. */
static struct {
	struct mem	 mem;
	struct buf	 out;
	struct h2	*h2;
	struct mono	 now;
	struct call	 calls[CALLS_MAX], *idle, *last;
	bool		 server, over, deaf;	/* deaf: nothing is answered */
	size_t		 body_bytes;	/* of an answer */
	uint32_t	 said[TYPES], data_bytes, goaway_code;
	uint32_t	 id;		/* the next request's */
} ours;

/* ---- the owner of the streams ---- */

static inline void
answer(struct h2_stream *s)
{
	static const uint8_t body[WINDOW_BYTES];
	struct headers *h = headers_new(&ours.mem);

	headers_add_text(h, ":status", "200");
	cr_assert(h2_answer(s, h, ours.body_bytes == 0));
	headers_put(h);
	if (ours.body_bytes > 0)
		cr_assert(h2_data(s, body, ours.body_bytes) &&
		    h2_end(s, NULL));
}

static struct h2_stream *
on_open(void *owner)
{
	struct call *c = ours.idle;

	(void)owner;
	if (c == NULL)
		return NULL;
	ours.idle = c->next;
	ours.last = c;
	memset(c, 0, sizeof(*c));
	return &c->h2;
}

static inline void
on_headers(struct h2_stream *s, struct headers *h, bool end)
{
	if (h != NULL)
		headers_put(h);
	if (ours.server && end && !ours.deaf)
		answer(s);
}

static inline void
on_data(struct h2_stream *s, const uint8_t *p, size_t n)
{
	(void)p;
	h2_consume(s, n);
}

static inline void
on_end(struct h2_stream *s, struct headers *trailers)
{
	if (trailers != NULL)
		headers_put(trailers);
	if (ours.server && !ours.deaf)
		answer(s);
}

static inline void
on_sent(struct h2_stream *s, size_t n)
{
	(void)s;
	(void)n;
}

static inline void
on_closed(struct h2_stream *s, enum h2_close why)
{
	struct call *c = (struct call *)s;

	(void)why;
	c->next = ours.idle;
	ours.idle = c;
}

static inline void
on_owner(void *owner)
{
	(void)owner;
}

static const struct h2_events events = { on_open, on_headers, on_data,
	on_end, on_sent, on_closed, on_owner, on_owner, on_owner };

/* ---- the wire ---- */

static inline void
take(void)
{
	const uint8_t *p;
	size_t n;

	h2_take(ours.h2, &ours.out, 1 << 20);
	while (buf_len(&ours.out) > 0) {
		p = ours.out.data + ours.out.pos;
		if (p[0] == 'P') {
			buf_take(&ours.out, 24);
			continue;
		}
		n = (size_t)(p[0] << 16 | p[1] << 8 | p[2]);
		ours.said[p[3]]++;
		if (p[3] == 0)
			ours.data_bytes += (uint32_t)n;
		if (p[3] == GOAWAY)
			ours.goaway_code = p[16];
		buf_take(&ours.out, 9 + n);
	}
	ours.over = ours.over || h2_over(ours.h2);
}

/* What the peer says arrives, unless it was sent away before. */
static inline void
feed(const uint8_t *p, size_t n)
{
	if (!ours.over && !h2_feed(ours.h2, p, n))
		ours.over = true;
}

static inline void
frame(int type, int flags, uint32_t id, const void *payload, size_t n)
{
	uint8_t f[9 + 16384] = { (uint8_t)(n >> 16), (uint8_t)(n >> 8),
	    (uint8_t)n, (uint8_t)type, (uint8_t)flags, (uint8_t)(id >> 24),
	    (uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id };

	if (n > 0)
		memcpy(f + 9, payload, n);
	feed(f, 9 + n);
}

static inline void
word_frame(int type, uint32_t id, uint32_t word)
{
	const uint8_t p[] = { (uint8_t)(word >> 24), (uint8_t)(word >> 16),
	    (uint8_t)(word >> 8), (uint8_t)word };

	frame(type, 0, id, p, 4);
}

static inline void
data(uint32_t id, size_t n, bool end)
{
	static const uint8_t zeros[16384];

	frame(GUARD_DATA, end ? END_STREAM : 0, id, zeros, n);
}

/* POST http /a.B/C at b, by the static table. */
static const uint8_t fields[] = { 0x83, 0x86, 0x04, 6, '/', 'a', '.', 'B',
	'/', 'C', 0x01, 1, 'b' };

static inline uint32_t
request(bool end)
{
	uint32_t id = ours.id;

	ours.id += 2;
	frame(GUARD_HEADERS, END_HEADERS | (end ? END_STREAM : 0), id, fields,
	    sizeof(fields));
	return id;
}

static inline void
later_ms(int64_t ms)
{
	ours.now.ns += ms * 1000000;
}

static inline void
call_service(void)
{
	struct headers *h = headers_new(&ours.mem);

	headers_add_text(h, ":method", "POST");
	headers_add_text(h, ":scheme", "http");
	headers_add_text(h, ":path", "/a.B/C");
	headers_add_text(h, ":authority", "b");
	cr_assert(h2_request(ours.h2, on_open(NULL), h, false));
	headers_put(h);
	ours.id += 2;
}

static inline void
meet_with(bool server, uint32_t window_bytes, struct h2_limits limits)
{
	struct h2_settings s = { .server = server,
	    .max_concurrent_streams = STREAMS_MAX,
	    .stream_window_bytes = WINDOW_BYTES,
	    .connection_window_bytes = 1 << 20, .hpack_table_bytes = 4096,
	    .header_bytes_max = 8192, .header_count_max = HEADERS_MAX,
	    .limits = limits };
	uint8_t settings[] = { 0, 4, (uint8_t)(window_bytes >> 24),
	    (uint8_t)(window_bytes >> 16), (uint8_t)(window_bytes >> 8),
	    (uint8_t)window_bytes };

	memset(&ours, 0, sizeof(ours));
	ours.server = server;
	ours.now.ns = 1000000000;
	ours.id = 1;
	for (int i = 0; i < CALLS_MAX; i++)
		on_closed(&ours.calls[i].h2, H2_CLOSE_DONE);
	mem_init(&ours.mem, &unit_sys);
	buf_init(&ours.out, &unit_sys);
	ours.h2 = h2_open(&ours.mem, &s, &events, NULL, &ours.now);
	cr_assert_not_null(ours.h2);
	take();
	if (server)
		feed((const uint8_t *)"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
	frame(GUARD_SETTINGS, 0, 0, settings, sizeof(settings));
	frame(GUARD_SETTINGS, ACK, 0, NULL, 0);
	take();
	if (!server)
		call_service();
	take();
}

static inline void
meet(bool server)
{
	static const struct h2_limits usual = H2_LIMITS_DEFAULT;

	meet_with(server, WINDOW_BYTES, usual);
}

static inline void
part(void)
{
	h2_close(ours.h2, H2_CLOSE_CONNECTION);
	buf_fini(&ours.out);
	mem_fini(&ours.mem);
	cr_assert_eq(unit_blocks, 0, "%d blocks leaked", unit_blocks);
}

#endif
