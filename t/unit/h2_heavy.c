/*
 * t/unit/h2_heavy.c - worker/io/h2_guard.c: peers that are heavy, and legal,
 * go on. Who does not: t/unit/h2_guard.c.
 */
#include "t/lib/unit_guard.h"

static void
say_ping(void)
{
	frame(GUARD_PING, 0, 0, "12345678", 8);
}

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

/* What fills a window when we reset its stream: small messages. */
Test(h2_guard, small_messages_that_cross_a_reset)
{
	meet(true);
	ours.deaf = true;
	request(false);
	h2_reset(&ours.last->h2, H2_CANCEL);
	take();
	for (int i = 0; i < WINDOW_BYTES / 16; i++)
		data(1, 16, false);
	take();
	cr_assert_not(ours.over, "%s", h2_why(ours.h2));
	part();
}

/* A second HEADERS frame that opens no stream and is none too many. */
Test(h2_guard, calls_with_trailers)
{
	meet(true);
	for (int i = 0; i < 10000; i++) {
		uint32_t id = request(false);

		frame(GUARD_HEADERS, END_HEADERS | END_STREAM, id,
		    "\0\1a\1b", 5);
		take();
	}
	cr_assert_not(ours.over, "%s", h2_why(ours.h2));
	cr_assert_eq(ours.said[GUARD_HEADERS], 10000);
	part();
}
