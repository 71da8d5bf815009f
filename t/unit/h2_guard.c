/*
 * t/unit/h2_guard.c - worker/io/h2_guard.c through a session: raw frames in,
 * as attackers send them. Who may go on: t/unit/h2_heavy.c.
 */
#include "t/lib/unit_guard.h"

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

/* Behind an invalid field nobody counts any more; it ends the stream. */
static void
say_skipped_bomb(void)
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
	{ "skipped bomb", say_skipped_bomb, CALLER, H2_GUARD_resets, 1000 },
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

/* Once it fell out of h2_ended's memory; and the same after a reset of ours,
 * which stands for a window full of small messages. */
Test(h2_guard, frames_for_a_stream_that_is_over)
{
	for (int resets = 0; resets < 2; resets++) {
		int times = 0;

		meet(true);
		for (int i = 0; i < 100; i++) {
			request(true);
			take();
		}
		if (resets > 0)
			say_too_wide_a_window();
		take();
		while (!ours.over && times < 50000) {
			data(1, 1, false);
			take();
			times++;
		}
		cr_assert_eq(h2_broken(ours.h2), H2_GUARD_closed_streams,
		    "%s", h2_why(ours.h2));
		cr_assert_eq(ours.goaway_code, CALM);
		cr_assert_eq(times, 1001 + resets * 16384, "%d", times);
		part();
	}
}
