/*
 * t/unit/h2_guard.c - worker/io/h2_guard.c through a session: raw frames in,
 * frame by frame, as an attacker and as a heavy but legal peer sends them.
 */
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
	struct call	 calls[CALLS_MAX], *idle;
	bool		 server, over, deaf;	/* deaf: nothing is answered */
	size_t		 body_bytes;	/* of an answer */
	uint32_t	 said[TYPES], data_bytes, goaway_code;
	uint32_t	 id;		/* the next request's */
} ours;

/* ---- the owner of the streams ---- */

static void
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
	memset(c, 0, sizeof(*c));
	return &c->h2;
}

static void
on_headers(struct h2_stream *s, struct headers *h, bool end)
{
	if (h != NULL)
		headers_put(h);
	if (ours.server && end && !ours.deaf)
		answer(s);
}

static void
on_data(struct h2_stream *s, const uint8_t *p, size_t n)
{
	(void)p;
	h2_consume(s, n);
}

static void
on_end(struct h2_stream *s, struct headers *trailers)
{
	if (trailers != NULL)
		headers_put(trailers);
	if (ours.server && !ours.deaf)
		answer(s);
}

static void
on_sent(struct h2_stream *s, size_t n)
{
	(void)s;
	(void)n;
}

static void
on_closed(struct h2_stream *s, enum h2_close why)
{
	struct call *c = (struct call *)s;

	(void)why;
	c->next = ours.idle;
	ours.idle = c;
}

static void
on_owner(void *owner)
{
	(void)owner;
}

static const struct h2_events events = { on_open, on_headers, on_data,
	on_end, on_sent, on_closed, on_owner, on_owner, on_owner };

/* ---- the wire ---- */

static void
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
static void
feed(const uint8_t *p, size_t n)
{
	if (!ours.over && !h2_feed(ours.h2, p, n))
		ours.over = true;
}

static void
frame(int type, int flags, uint32_t id, const void *payload, size_t n)
{
	uint8_t f[9 + 16384] = { (uint8_t)(n >> 16), (uint8_t)(n >> 8),
	    (uint8_t)n, (uint8_t)type, (uint8_t)flags, (uint8_t)(id >> 24),
	    (uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id };

	if (n > 0)
		memcpy(f + 9, payload, n);
	feed(f, 9 + n);
}

static void
word_frame(int type, uint32_t id, uint32_t word)
{
	const uint8_t p[] = { (uint8_t)(word >> 24), (uint8_t)(word >> 16),
	    (uint8_t)(word >> 8), (uint8_t)word };

	frame(type, 0, id, p, 4);
}

static void
data(uint32_t id, size_t n, bool end)
{
	static const uint8_t zeros[16384];

	frame(GUARD_DATA, end ? END_STREAM : 0, id, zeros, n);
}

/* POST http /a.B/C at b, by the static table. */
static const uint8_t fields[] = { 0x83, 0x86, 0x04, 6, '/', 'a', '.', 'B',
	'/', 'C', 0x01, 1, 'b' };

static uint32_t
request(bool end)
{
	uint32_t id = ours.id;

	ours.id += 2;
	frame(GUARD_HEADERS, END_HEADERS | (end ? END_STREAM : 0), id, fields,
	    sizeof(fields));
	return id;
}

static void
later_ms(int64_t ms)
{
	ours.now.ns += ms * 1000000;
}

static void
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

static void
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

static void
meet(bool server)
{
	static const struct h2_limits usual = H2_LIMITS_DEFAULT;

	meet_with(server, WINDOW_BYTES, usual);
}

static void
part(void)
{
	h2_close(ours.h2, H2_CLOSE_CONNECTION);
	buf_fini(&ours.out);
	mem_fini(&ours.mem);
	cr_assert_eq(unit_blocks, 0, "%d blocks leaked", unit_blocks);
}

/* ---- attacks: what is said again and again ---- */

static void
say_nothing(void)
{
	data(1, 0, false);
}

/* Its one byte is the length of the padding, none. */
static void
say_padding(void)
{
	frame(GUARD_DATA, PADDED, 1, "\3\0\0\0", 4);
}

static void
say_byte(void)
{
	data(1, 1, false);
}

static void
say_padded_byte(void)
{
	frame(GUARD_DATA, PADDED, 1, "\3x\0\0\0", 5);
}

static void
say_priority(void)
{
	frame(GUARD_PRIORITY, 0, 1, "\0\0\0\0\20", 5);
}

static void
say_window(void)
{
	word_frame(GUARD_WINDOW_UPDATE, 0, 1);
}

static void
say_settings(void)
{
	frame(GUARD_SETTINGS, 0, 0, NULL, 0);
}

static void
say_goaway(void)
{
	frame(GUARD_GOAWAY, 0, 0, ours.server ? "\0\0\0\0\0\0\0\0" :
	    "\x7f\xff\xff\xff\0\0\0\0", 8);
}

static void
say_ping(void)
{
	frame(GUARD_PING, 0, 0, "12345678", 8);
}

static void
say_ping_ack(void)
{
	frame(GUARD_PING, ACK, 0, "12345678", 8);
}

static void
say_unknown(void)
{
	frame(200, 0, 0, NULL, 0);
}

/* CVE-2023-44487 */
static void
say_and_take_back(void)
{
	word_frame(GUARD_RST_STREAM, request(true), 8);
}

/* Of a stream that is closed, from the second on. */
static void
say_reset_again(void)
{
	word_frame(GUARD_RST_STREAM, 1, 8);
}

/* CVE-2025-8671: we are made to reset it. */
static void
say_too_wide_a_window(void)
{
	word_frame(GUARD_WINDOW_UPDATE, request(false), INT32_MAX);
}

static void
say_upper_case(void)
{
	uint8_t p[sizeof(fields) + 4] = { 0 };

	memcpy(p, fields, sizeof(fields));
	memcpy(p + sizeof(fields), "\0\1X\0", 4);
	frame(GUARD_HEADERS, END_HEADERS, ours.id, p, sizeof(p));
	ours.id += 2;
}

/* A request that never ends its header block. */
static void
say_continuation(void)
{
	if (ours.id == 3)
		frame(GUARD_HEADERS, 0, ours.id, fields, sizeof(fields));
	ours.id = 5;
	frame(GUARD_CONTINUATION, 0, 3, "\0\1b\1c", 5);
}

/* The same of a block that is invalid from its first CONTINUATION on. */
static void
say_skipped_continuation(void)
{
	if (ours.id == 3)
		frame(GUARD_HEADERS, 0, ours.id, fields, sizeof(fields));
	ours.id = 5;
	frame(GUARD_CONTINUATION, 0, 3, "\x83", 1);
}

static void
say_empty_continuation(void)
{
	if (ours.id == 3)
		frame(GUARD_HEADERS, 0, ours.id, fields, sizeof(fields));
	ours.id = 5;
	frame(GUARD_CONTINUATION, 0, 3, NULL, 0);
}

/* A field into the dynamic table, then references to it; 147 KB of such
 * became 551 MB once. */
static void
say_bomb(void)
{
	uint8_t p[8000] = { 0 };
	size_t n = sizeof(fields);

	memcpy(p, fields, n);
	memcpy(p + n, "\x40\1a\x7f\xb9\x16", 6);	/* 127 + 57 + 22 * 128 */
	memset(p + n + 6, 'x', 3000);
	n += 6 + 3000;
	memset(p + n, 0xbe, sizeof(p) - n);
	frame(GUARD_HEADERS, END_HEADERS, ours.id, p, sizeof(p));
	ours.id += 2;
}

/* nghttp2 drops fields of such a name without a word. */
static void
say_dropped_fields(void)
{
	uint8_t p[8000] = { 0 };
	size_t n = sizeof(fields);

	memcpy(p, fields, n);
	memcpy(p + n, "\x40\3a b\1x", 7);
	n += 7;
	memset(p + n, 0xbe, sizeof(p) - n);
	frame(GUARD_HEADERS, END_HEADERS, ours.id, p, sizeof(p));
	ours.id += 2;
}

enum side { CALLER, SERVICE, BOTH };

static const struct {
	const char	*name;
	void		(*say)(void);
	enum side	 side;		/* who attacks */
	enum h2_guard	 guard;
	int		 most;		/* times that it is let through */
} attacks[] = {
	{ "empty DATA", say_nothing, BOTH, H2_GUARD_empty_frames, 1 },
	{ "DATA of padding", say_padding, BOTH, H2_GUARD_empty_frames, 1 },
	{ "DATA of 1 byte", say_byte, BOTH, H2_GUARD_tiny_frames, 1001 },
	{ "padded DATA of 1 byte", say_padded_byte, BOTH,
	    H2_GUARD_tiny_frames, 1001 },
	{ "PRIORITY", say_priority, BOTH, H2_GUARD_priority_frames, 200 },
	{ "WINDOW_UPDATE", say_window, BOTH, H2_GUARD_window_updates, 7 },
	{ "SETTINGS", say_settings, BOTH, H2_GUARD_settings, 100 },
	{ "GOAWAY", say_goaway, BOTH, H2_GUARD_settings, 100 },
	{ "PING", say_ping, BOTH, H2_GUARD_pings, 100 },
	{ "PING ACK", say_ping_ack, BOTH, H2_GUARD_pings, 100 },
	{ "unknown type", say_unknown, BOTH, H2_GUARD_unknown_frames, 100 },
	{ "rapid reset", say_and_take_back, CALLER, H2_GUARD_resets, 1000 },
	{ "reset of a closed stream", say_reset_again, CALLER,
	    H2_GUARD_resets, 1000 },
	{ "window overflow", say_too_wide_a_window, CALLER, H2_GUARD_resets,
	    1000 },
	{ "bad header", say_upper_case, CALLER, H2_GUARD_resets, 1000 },
	{ "CONTINUATION", say_continuation, CALLER, H2_GUARD_continuations,
	    24 },
	{ "skipped CONTINUATION", say_skipped_continuation, CALLER,
	    H2_GUARD_continuations, 240 },
	{ "empty CONTINUATION", say_empty_continuation, CALLER,
	    H2_GUARD_empty_frames, 1 },
	{ "HPACK bomb", say_bomb, CALLER, H2_GUARD_header_overflow, 0 },
	{ "dropped fields", say_dropped_fields, CALLER,
	    H2_GUARD_header_overflow, 0 },
};
enum { ATTACKS = sizeof(attacks) / sizeof(attacks[0]) };

static void
attack(int i, bool server)
{
	int times = 0;

	meet(server);
	ours.deaf = true;
	if (server)
		request(false);
	else
		frame(GUARD_HEADERS, END_HEADERS, 1, "\x88", 1);
	while (!ours.over && times <= attacks[i].most * 2 + 10) {
		attacks[i].say();
		take();
		times++;
	}
	cr_assert(ours.over, "%s: goes on", attacks[i].name);
	cr_assert_eq(h2_broken(ours.h2), attacks[i].guard, "%s: %s",
	    attacks[i].name, h2_why(ours.h2));
	cr_assert(times > attacks[i].most * 9 / 10 &&
	    times <= attacks[i].most + 1, "%s: %d times", attacks[i].name,
	    times);
	cr_assert_eq(ours.goaway_code, CALM, "%s", attacks[i].name);
	cr_assert(strstr(h2_why(ours.h2),
	    guard_sentence(attacks[i].guard)) != NULL);
	part();
}

Test(h2_guard, each_attack_is_cut_by_its_guard)
{
	for (int i = 0; i < ATTACKS; i++) {
		if (attacks[i].side != SERVICE)
			attack(i, true);
		if (attacks[i].side != CALLER)
			attack(i, false);
	}
}

/* ---- who takes nothing ---- */

Test(h2_guard, what_waits_for_who_takes_nothing)
{
	static const struct {
		const char	*name;
		struct h2_limits limits;
		bool		 pings;
		enum h2_guard	 guard;
		int		 most;
	} rows[] = {
		{ "requests", { 500, 1000, 1, 100, 10, 1000, 33 }, false,
		    H2_GUARD_outbound_frames, 500 },
		{ "pings", { 10000, 50, 1, 100, 10, 1000, 33 }, true,
		    H2_GUARD_outbound_control_frames, 50 },
	};

	for (int i = 0; i < 2; i++) {
		int times = 0;

		meet_with(true, WINDOW_BYTES, rows[i].limits);
		while (!ours.over && times < 2000) {
			if (rows[i].pings)
				say_ping();
			else
				request(true);
			ours.over = ours.over || !h2_stuck(ours.h2);
			times++;
		}
		cr_assert_eq(h2_broken(ours.h2), rows[i].guard, "%s: %s",
		    rows[i].name, h2_why(ours.h2));
		cr_assert_eq(times, rows[i].most + 1, "%s: %d",
		    rows[i].name, times);
		part();
	}
}

/* Requests of ours wait for a service that takes nothing for a while. */
Test(h2_guard, what_waits_because_of_us_is_no_flood)
{
	static const struct h2_limits low = { 100, 100, 1, 100, 10, 1000, 33 };

	meet_with(false, WINDOW_BYTES, low);
	for (int i = 0; i < 300; i++)
		call_service();
	cr_assert(h2_stuck(ours.h2), "%s", h2_why(ours.h2));
	part();
}

Test(h2_guard, a_window_of_a_few_bytes_at_a_time)
{
	static const struct h2_limits usual = H2_LIMITS_DEFAULT;
	int times = 0;

	meet_with(true, 0, usual);
	ours.body_bytes = WINDOW_BYTES;
	request(true);
	take();
	while (!ours.over && times < 5000) {
		word_frame(GUARD_WINDOW_UPDATE, 1, 1);
		take();
		times++;
	}
	cr_assert_eq(h2_broken(ours.h2), H2_GUARD_tiny_windows, "%s",
	    h2_why(ours.h2));
	cr_assert_eq(times, 1001);
	part();
}

Test(h2_guard, a_header_block_has_its_time)
{
	meet(true);
	cr_assert_eq(h2_block_left_ms(ours.h2), -1);
	frame(GUARD_HEADERS, 0, 1, fields, sizeof(fields));
	cr_assert_eq(h2_block_left_ms(ours.h2), 30000);
	later_ms(20000);
	cr_assert_eq(h2_block_left_ms(ours.h2), 10000);
	frame(GUARD_CONTINUATION, END_HEADERS, 1, "\x0f\x0d\1\x30", 4);
	cr_assert_eq(h2_block_left_ms(ours.h2), -1, "it is whole");
	frame(GUARD_HEADERS, 0, 3, fields, sizeof(fields));
	later_ms(30000);
	cr_assert_eq(h2_block_left_ms(ours.h2), 0);
	take();
	cr_assert(ours.over && ours.goaway_code == CALM);
	cr_assert_eq(h2_broken(ours.h2), H2_GUARD_slow_headers);
	part();
}

/* ---- heavy, and legal ---- */

/* Each waits for its answer and gives the connection's window back, as
 * libraries do, at half. */
Test(h2_guard, a_hundred_thousand_small_calls)
{
	uint32_t taken = 0;

	meet(true);
	ours.body_bytes = 105;
	for (int i = 0; i < 100000; i++) {
		data(request(false), 105, true);
		take();
		if (ours.data_bytes - taken >= WINDOW_BYTES / 2) {
			word_frame(GUARD_WINDOW_UPDATE, 0,
			    ours.data_bytes - taken);
			taken = ours.data_bytes;
		}
	}
	cr_assert_not(ours.over, "%s", h2_why(ours.h2));
	cr_assert_eq(ours.data_bytes, 105u * 100000);
	part();
}

/* Each stream's window is opened when it begins, and for each half of it
 * that came. */
Test(h2_guard, a_thousand_streams_with_windows)
{
	meet(true);
	ours.body_bytes = WINDOW_BYTES;
	for (uint32_t i = 0; i < 1000; i++) {
		uint32_t id = request(true);

		word_frame(GUARD_WINDOW_UPDATE, id, 16384);
	}
	for (int round = 0; round < 4000; round++) {
		uint32_t before = ours.data_bytes;

		take();
		if (ours.data_bytes != before)
			word_frame(GUARD_WINDOW_UPDATE, 0,
			    ours.data_bytes - before);
	}
	cr_assert_not(ours.over, "%s", h2_why(ours.h2));
	cr_assert_eq(ours.data_bytes, 1000u * WINDOW_BYTES);
	part();
}

/* grpc-go asks for a round trip's time as soon as data came, the last answer
 * being there: on one machine thousands a second. */
Test(h2_guard, pings_that_measure_bandwidth)
{
	uint32_t taken = 0;

	meet(true);
	ours.body_bytes = 1000;
	for (int i = 0; i < 10000; i++) {
		request(true);
		take();
		say_ping();
		if (ours.data_bytes - taken >= WINDOW_BYTES / 2) {
			word_frame(GUARD_WINDOW_UPDATE, 0,
			    ours.data_bytes - taken);
			taken = ours.data_bytes;
		}
	}
	take();
	cr_assert_not(ours.over, "%s", h2_why(ours.h2));
	part();
}

/* The most that gRPC's libraries let be asked for is one in 10 s; a mesh's
 * health checks ask once a second. */
Test(h2_guard, pings_that_keep_alive)
{
	meet(true);
	for (int i = 0; i < 100000; i++) {
		say_ping();
		take();
		later_ms(1000);
	}
	cr_assert_not(ours.over, "%s", h2_why(ours.h2));
	part();
}

/* What was good long ago pays for no attack now: twice a bucketful at most,
 * what was left and one filling. */
Test(h2_guard, old_calls_are_no_credit)
{
	int times = 0;

	meet(true);
	for (int i = 0; i < 100000; i++) {
		request(true);
		take();
	}
	ours.deaf = true;
	while (!ours.over && times < 10000) {
		say_and_take_back();
		take();
		times++;
	}
	cr_assert_eq(h2_broken(ours.h2), H2_GUARD_resets);
	cr_assert(times <= 2001, "%d", times);
	part();
}

/* An idle while does not fill the bucket beyond its burst. */
Test(h2_guard, a_bucket_is_never_fuller_than_full)
{
	int times = 0;

	meet(true);
	later_ms(86400 * 1000);
	while (!ours.over && times < 1000) {
		say_settings();
		take();
		times++;
	}
	cr_assert_eq(h2_broken(ours.h2), H2_GUARD_settings);
	cr_assert(times <= 201, "%d", times);
	part();
}

/* Calls given up: of a caller in trouble, of a hedging one. */
Test(h2_guard, resets_that_are_no_attack)
{
	/* given up by their deadline */
	meet(true);
	ours.deaf = true;
	for (int i = 0; i < 50; i++) {
		uint32_t first = ours.id;

		for (int j = 0; j < 1000; j++)
			request(true);
		later_ms(100);
		for (uint32_t id = first; id < ours.id; id += 2)
			word_frame(GUARD_RST_STREAM, id, 8);
		take();
	}
	cr_assert_not(ours.over, "deadlines: %s", h2_why(ours.h2));
	part();
	/* one of five attempts is answered */
	meet(true);
	for (int i = 0; i < 10000; i++) {
		uint32_t ids[4];

		ours.deaf = true;
		for (int j = 0; j < 4; j++)
			ids[j] = request(true);
		ours.deaf = false;
		request(true);
		take();
		for (int j = 0; j < 4; j++)
			word_frame(GUARD_RST_STREAM, ids[j], 8);
		take();
	}
	cr_assert_not(ours.over, "hedging: %s", h2_why(ours.h2));
	part();
	/* ends streams of answers that began */
	meet(true);
	ours.body_bytes = 1000;
	for (int i = 0; i < 10000; i++) {
		uint32_t id = request(false);

		(void)id;
		take();
		data(id, 5, true);
		word_frame(GUARD_RST_STREAM, id, 8);
		take();
	}
	cr_assert_not(ours.over, "half read: %s", h2_why(ours.h2));
	part();
}

/* A library that sends a message's head and its 2 bytes in two frames. */
Test(h2_guard, small_messages_in_two_frames)
{
	meet(true);
	ours.deaf = true;
	request(false);
	for (int i = 0; i < 100000; i++) {
		data(1, 5, false);
		data(1, 2, false);
		take();
	}
	cr_assert_not(ours.over, "%s", h2_why(ours.h2));
	part();
}

/* A block in as many frames as it has KiB, byte by byte: nghttp2 1.52 counts
 * each read as a frame and gives up. */
Test(h2_guard, a_header_block_in_pieces_and_slow)
{
	uint8_t f[9 + 4] = { 0, 0, 4, GUARD_CONTINUATION, 0, 0, 0, 0, 1,
	    0x0f, 0x0d, 1, '0' };

	meet(true);
	frame(GUARD_HEADERS, END_STREAM, 1, fields, sizeof(fields));
	for (int i = 0; i < 8; i++) {
		f[4] = i == 7 ? END_HEADERS : 0;
		f[9] = 0x00;		/* literals: name "b", value "c" */
		f[9 + 1] = 1;
		memcpy(f, (const uint8_t [3]){ 0, 0, 5 }, 3);
		for (size_t j = 0; j < 9; j++)
			feed(&f[j], 1);
		for (size_t j = 0; j < 5; j++)
			feed(&((const uint8_t []){ 0, 1, 'b', 1, 'c' })[j],
			    1);
	}
	take();
	cr_assert_not(ours.over, "%s", h2_why(ours.h2));
	cr_assert_eq(ours.said[GUARD_HEADERS], 1);
	part();
}
