/*
 * t/unit/h2_ended.c - worker/io/h2_ended.c: frames of streams that their
 * caller has ended, alone and through a session.
 */
#include "t/lib/unit_guard.h"
#include "worker/io/h2_ended.h"

enum { STREAM_CLOSED = 5, PROTOCOL = 1 };

/* ---- alone ---- */

/* A frame is a letter and its stream: H, D, R, P (PRIORITY), W
 * (WINDOW_UPDATE), C (CONTINUATION); small: without END_STREAM. */
static const struct {
	const char	*name, *frames;
	enum ended_breach breach;	/* of the last */
	uint64_t	 later;
} rows[] = {
	{ "a call", "h1 d1 D1", ENDED_NO_BREACH, 2 },
	{ "trailers", "h1 d1 H1", ENDED_NO_BREACH, 2 },
	{ "streams in turns", "h1 h3 d1 d3 D3 D1 H5", ENDED_NO_BREACH, 4 },
	{ "DATA after END_STREAM", "H1 D1", ENDED_AFTER_END, 1 },
	{ "empty DATA's END_STREAM", "h1 D1 d1", ENDED_AFTER_END, 2 },
	{ "HEADERS after END_STREAM", "H1 H1", ENDED_AFTER_END, 1 },
	{ "HEADERS after trailers", "h1 H1 h1", ENDED_AFTER_END, 2 },
	{ "DATA after RST_STREAM", "h1 R1 D1", ENDED_AFTER_RESET, 1 },
	{ "HEADERS after RST_STREAM", "h1 R1 h1", ENDED_AFTER_RESET, 1 },
	{ "ended, then reset", "H1 R1 d1", ENDED_AFTER_END, 1 },
	{ "again after a breach", "h1 R1 D1 D1", ENDED_AFTER_RESET, 2 },
	{ "what may come always", "H1 R1 P1 W1 R1", ENDED_NO_BREACH, 0 },
	{ "CONTINUATION is nghttp2's", "H1 C1", ENDED_NO_BREACH, 0 },
	{ "another stream", "H1 h3 D3", ENDED_NO_BREACH, 1 },
	{ "smaller than before", "H5 H3", ENDED_NEVER_OPENED, 1 },
	{ "the lowest of a gap", "H9 H1", ENDED_NEVER_OPENED, 1 },
	{ "DATA in a gap", "H9 D7", ENDED_NEVER_OPENED, 1 },
	{ "behind a gap", "h9 D9", ENDED_NO_BREACH, 1 },
	{ "a second gap", "H1 H7 H9 H15 H5", ENDED_NEVER_OPENED, 1 },
	{ "the gap before", "H1 H7 H9 H15 H11", ENDED_NEVER_OPENED, 1 },
	{ "between gaps", "H3 h5 H9 D5", ENDED_NO_BREACH, 1 },
	{ "more gaps than places", "H5 H9 H13 H17 H21 H3", ENDED_NO_BREACH,
	    1 },
	{ "not a caller's", "H1 H2 D2 D0 H0", ENDED_NO_BREACH, 0 },
	{ "far ones", "h2147483645 D2147483645 d2147483645",
	    ENDED_AFTER_END, 2 },
	{ "one that took its place", "H1 H65 d1", ENDED_NO_BREACH, 1 },
	{ "one beside it", "H1 H63 d1", ENDED_AFTER_END, 1 },
};
enum { ROWS = sizeof(rows) / sizeof(rows[0]), PAYLOAD_BYTES = 13 };

static size_t
write_frame(uint8_t *to, char letter, uint32_t id)
{
	static const char letters[] = "DHPR----WC";
	char upper = (char)(letter & ~0x20);

	memset(to, 0xee, 9 + PAYLOAD_BYTES);
	memcpy(to, (const uint8_t [9]){ 0, 0, PAYLOAD_BYTES,
	    (uint8_t)(strchr(letters, upper) - letters),
	    letter == upper && upper < 'I' ? END_STREAM : 0,
	    (uint8_t)(id >> 24 | 0x80), (uint8_t)(id >> 16),
	    (uint8_t)(id >> 8), (uint8_t)id }, 9);
	return 9 + PAYLOAD_BYTES;
}

/* Feeds p in pieces; the last breach, whose frame must begin where the codec
 * was to stop. */
static enum ended_breach
scan(struct ended *e, const uint8_t *p, size_t n, size_t piece,
    const char *name)
{
	enum ended_breach breach, last = ENDED_NO_BREACH;
	int32_t id;
	size_t at = 0;

	while (at < n) {
		size_t give = piece < n - at ? piece : n - at;
		size_t m = ended_scan(e, p + at, give, &breach, &id);

		cr_assert(breach == ENDED_NO_BREACH ? m == give : m < give,
		    "%s", name);
		if (piece >= n && breach != ENDED_NO_BREACH)
			cr_assert_eq((at + m - 24) % (9 + PAYLOAD_BYTES), 0,
			    "%s: at %zu", name, at + m);
		if (breach != ENDED_NO_BREACH)
			last = breach;
		at += m;
	}
	return last;
}

Test(h2_ended, what_may_come_and_what_may_not)
{
	static const size_t pieces[] = { 4096, 1, 2, 9, 10, 25 };

	for (int i = 0; i < ROWS * 6; i++) {
		const char *name = rows[i / 6].name, *s = rows[i / 6].frames;
		uint8_t p[4096] = { 0 };
		size_t n = ENDED_PREFACE_BYTES;
		enum ended_breach breach;
		struct ended e;

		for (; s != NULL; s = strchr(s, ' '), s += s != NULL)
			n += write_frame(p + n, *s,
			    (uint32_t)strtoul(s + 1, NULL, 10));
		ended_init(&e);
		breach = scan(&e, p, n, pieces[i % 6], name);
		cr_assert_eq(breach, rows[i / 6].breach, "%s: %d", name,
		    breach);
		cr_assert_eq(e.later, rows[i / 6].later, "%s: %d later", name,
		    (int)e.later);
		cr_assert_eq(e.skip, 0, "%s", name);
	}
}

/* ---- through a session ---- */

static void
trailers(uint32_t id)
{
	frame(GUARD_HEADERS, END_HEADERS | END_STREAM, id, "\0\1a\1b", 5);
}

Test(h2_ended, a_breach_ends_the_connection)
{
	for (int with_data = 0; with_data < 2; with_data++) {
		uint32_t id;

		meet(true);
		id = request(true);
		take();
		if (with_data)
			data(id, 5, true);
		else
			trailers(id);
		take();
		cr_assert(ours.over);
		cr_assert_eq(ours.goaway_code, STREAM_CLOSED);
		cr_assert_eq(h2_broken(ours.h2), H2_GUARD_NONE);
		part();
	}
	meet(true);
	ours.id = 5;
	request(true);
	take();
	ours.id = 3;
	request(true);
	take();
	cr_assert(ours.over);
	cr_assert_eq(ours.goaway_code, PROTOCOL);
	cr_assert_eq(ours.said[GUARD_HEADERS], 1);
	part();
}

/* The answer is RST_STREAM, and the field block that came counts for the
 * connection's table: the next request refers to it. */
Test(h2_ended, what_follows_a_reset_ends_the_stream)
{
	static const char in_table[] = "\x40\1a\1b";
	uint32_t id;

	meet(true);
	ours.deaf = true;
	id = request(false);
	word_frame(GUARD_RST_STREAM, id, 8);
	data(id, 100, false);
	take();
	cr_assert_eq(ours.said[GUARD_RST_STREAM], 1);
	frame(GUARD_HEADERS, END_HEADERS | END_STREAM, id, in_table, 5);
	take();
	cr_assert_eq(ours.said[GUARD_RST_STREAM], 2);
	ours.deaf = false;
	frame(GUARD_HEADERS, END_HEADERS | END_STREAM, 3,
	    "\x83\x86\x04\6/a.B/C\x01\1b\xbe", sizeof(fields) + 1);
	take();
	cr_assert_not(ours.over, "%s", h2_why(ours.h2));
	cr_assert_eq(ours.said[GUARD_HEADERS], 1, "the next is answered");
	part();
}

/* Its caller does not know yet: thrice the connection's window, which it gets
 * back, and its trailers. */
Test(h2_ended, what_crosses_a_reset_of_ours_is_dropped)
{
	uint32_t id;

	meet(true);
	ours.deaf = true;
	id = request(false);
	h2_reset(&ours.last->h2, H2_CANCEL);
	for (int i = 0; i < 200; i++) {
		data(id, 16384, false);
		if (i >= 20 && i % 10 == 0)
			take();		/* the RST_STREAM goes */
	}
	trailers(id);
	take();
	cr_assert_not(ours.over, "%s", h2_why(ours.h2));
	cr_assert_eq(ours.said[GUARD_RST_STREAM], 1);
	cr_assert_geq(ours.said[GUARD_WINDOW_UPDATE], 2);
	ours.deaf = false;
	request(true);
	take();
	cr_assert_eq(ours.said[GUARD_HEADERS], 1, "the next is answered");
	part();
}
