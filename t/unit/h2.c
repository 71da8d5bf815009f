/*
 * t/unit/h2.c - worker/io/h2.c: a client's and a server's session joined by
 * two buffers.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "t/lib/unit_sys.h"
#include "worker/io/h2.h"

enum { STREAMS_MAX = 64 };

struct peer;

struct call {
	struct h2_stream h2;	/* first */
	struct peer	*peer;
	struct headers	*head, *trailers;
	size_t		 got_bytes, sent_bytes, hold;
	bool		 too_large, ended, closed;
	enum h2_close	 why;
};

struct peer {
	struct mem	 mem;
	struct h2	*h2;
	struct buf	 out;
	struct call	 calls[STREAMS_MAX];
	int		 calls_n, order_n;
	int		 order[4096];	/* which call each piece of data was of */
	int		 rooms;		/* SETTINGS that came */
	bool		 goaway, lazy;	/* lazy: credit is not given back */
	void		(*when_closed)(struct peer *p);
};

struct pair {
	struct peer	 client, server;
};

static struct h2_stream *
on_open(void *owner)
{
	struct peer *p = owner;
	struct call *c;

	if (p->calls_n == STREAMS_MAX)
		return NULL;
	c = &p->calls[p->calls_n++];
	c->peer = p;
	return &c->h2;
}

static void
on_headers(struct h2_stream *s, struct headers *h, bool end)
{
	struct call *c = (struct call *)s;

	c->head = h;
	c->too_large = h == NULL;
	c->ended = end;
}

static void
on_data(struct h2_stream *s, const uint8_t *p, size_t n)
{
	struct call *c = (struct call *)s;

	for (size_t i = 0; i < n; i++)
		cr_assert_eq(p[i], (uint8_t)(c->got_bytes + i), "torn body");
	c->got_bytes += n;
	if (c->peer->order_n < 4096)
		c->peer->order[c->peer->order_n++] =
		    (int)(c - c->peer->calls);
	if (!c->peer->lazy)
		h2_consume(s, n);
}

static void
on_end(struct h2_stream *s, struct headers *trailers)
{
	struct call *c = (struct call *)s;

	cr_assert_not(c->ended, "ended twice");
	c->trailers = trailers;
	c->ended = true;
}

static void
on_sent(struct h2_stream *s, size_t n)
{
	((struct call *)s)->sent_bytes += n;
}

static void
on_closed(struct h2_stream *s, enum h2_close why)
{
	struct call *c = (struct call *)s;

	cr_assert_not(c->closed, "closed twice");
	c->closed = true;
	c->why = why;
	if (c->peer != NULL && c->peer->when_closed != NULL)
		c->peer->when_closed(c->peer);
}

static void
on_room(void *owner)
{
	((struct peer *)owner)->rooms++;
}

static void
on_goaway(void *owner)
{
	((struct peer *)owner)->goaway = true;
}

static void
on_wake(void *owner)
{
	(void)owner;
}

static struct mono unit_now = { 1000000000 };

static const struct h2_events events = { on_open, on_headers, on_data,
	on_end, on_sent, on_closed, on_goaway, on_room, on_wake };

static void
peer_open(struct peer *p, bool server, struct h2_settings s)
{
	s.server = server;
	mem_init(&p->mem, &unit_sys);
	buf_init(&p->out, &unit_sys);
	p->h2 = h2_open(&p->mem, &s, &events, p, &unit_now);
	cr_assert_not_null(p->h2);
	h2_take(p->h2, &p->out, 1 << 20);
}

static const struct h2_settings usual = {
	.max_concurrent_streams = 100, .stream_window_bytes = 65536,
	.connection_window_bytes = 1 << 20, .hpack_table_bytes = 4096,
	.header_bytes_max = 8192, .header_count_max = 50,
	.limits = H2_LIMITS_DEFAULT,
};

static struct pair *
pair_open(struct h2_settings s)
{
	struct pair *p = calloc(1, sizeof(*p));

	peer_open(&p->client, false, s);
	peer_open(&p->server, true, s);
	return p;
}

static void
peer_close(struct peer *p)
{
	if (p->h2 != NULL)
		h2_close(p->h2, H2_CLOSE_CONNECTION);
	for (int i = 0; i < p->calls_n; i++) {
		cr_assert(p->calls[i].closed || p->calls[i].h2.h2 == NULL);
		if (p->calls[i].head != NULL)
			headers_put(p->calls[i].head);
		if (p->calls[i].trailers != NULL)
			headers_put(p->calls[i].trailers);
	}
	buf_fini(&p->out);
	cr_assert_eq(p->mem.out_n, 0, "%d blocks are out",
	    (int)p->mem.out_n);
	mem_fini(&p->mem);
}

static void
pair_close(struct pair *p)
{
	peer_close(&p->client);
	peer_close(&p->server);
	free(p);
	cr_assert_eq(unit_blocks, 0, "%d blocks leaked", unit_blocks);
}

/* Carries bytes of one side to the other, in pieces; false: nothing moved. */
static bool
carry(struct peer *from, struct peer *to, size_t piece)
{
	bool more = h2_take(from->h2, &from->out, 1 << 16);
	size_t n;

	if (buf_len(&from->out) == 0)
		return false;
	while ((n = buf_len(&from->out)) > 0) {
		n = piece != 0 && piece < n ? piece : n;
		h2_feed(to->h2, from->out.data + from->out.pos, n);
		buf_take(&from->out, n);
	}
	(void)more;
	return true;
}

static void
settle_in(struct pair *p, size_t piece)
{
	while (carry(&p->client, &p->server, piece) |
	    carry(&p->server, &p->client, piece))
		;
}

static void
settle(struct pair *p)
{
	settle_in(p, 0);
}

static struct call *
request(struct pair *p, bool end, int more_headers)
{
	struct call *c = &p->client.calls[p->client.calls_n++];
	struct headers *h = headers_new(&p->client.mem);
	char name[32];

	c->peer = &p->client;
	headers_add_text(h, ":method", "POST");
	headers_add_text(h, ":scheme", "http");
	headers_add_text(h, ":path", "/a.B/C");
	headers_add_text(h, ":authority", "b");
	headers_add_text(h, "te", "trailers");
	headers_add_text(h, "grpc-timeout", "1S");
	for (int i = 0; i < more_headers; i++) {
		snprintf(name, sizeof(name), "x-%d", i);
		headers_add_text(h, name, "0123456789");
	}
	cr_assert(h2_request(p->client.h2, &c->h2, h, end));
	headers_put(h);
	return c;
}

static void
answer(struct pair *p, struct call *c, bool end)
{
	struct headers *h = headers_new(&p->server.mem);

	headers_add_text(h, ":status", "200");
	headers_add_text(h, "content-type", "application/grpc");
	cr_assert(h2_answer(&c->h2, h, end));
	headers_put(h);
}

static void
send_bytes(struct call *c, size_t n)
{
	uint8_t *p = malloc(n);

	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(c->hold + i);
	c->hold += n;
	cr_assert(h2_data(&c->h2, p, n));
	free(p);
}

static void
finish(struct pair *p, struct call *c, bool with_trailers)
{
	struct headers *h = headers_new(&p->server.mem);

	headers_add_text(h, "grpc-status", "0");
	cr_assert(h2_end(&c->h2, with_trailers ? h : NULL));
	headers_put(h);
}

Test(h2, a_unary_call_in_any_pieces)
{
	static const size_t pieces[] = { 0, 1, 3, 17 };

	for (size_t i = 0; i < 4; i++) {
		struct pair *p = pair_open(usual);
		struct call *c = request(p, false, 3), *s;

		send_bytes(c, 105);
		h2_end(&c->h2, NULL);
		settle_in(p, pieces[i]);
		s = &p->server.calls[0];
		cr_assert_eq(p->server.calls_n, 1);
		cr_assert_eq(s->head->n, 9);
		cr_assert_eq(s->got_bytes, 105);
		cr_assert(s->ended);
		cr_assert_null(s->trailers);
		answer(p, s, false);
		send_bytes(s, 70000);
		finish(p, s, true);
		settle_in(p, pieces[i]);
		cr_assert_eq(c->got_bytes, 70000);
		cr_assert_not_null(c->trailers);
		cr_assert(c->closed && s->closed);
		cr_assert_eq(c->why, H2_CLOSE_DONE);
		cr_assert_eq(s->why, H2_CLOSE_DONE);
		cr_assert_eq(s->sent_bytes, 70000);
		pair_close(p);
	}
}

Test(h2, trailers_only_and_a_body_without_trailers)
{
	struct pair *p = pair_open(usual);
	struct call *one = request(p, true, 0), *two = request(p, true, 0);

	settle(p);
	cr_assert(p->server.calls[0].ended);
	answer(p, &p->server.calls[0], true);
	answer(p, &p->server.calls[1], false);
	send_bytes(&p->server.calls[1], 5);
	finish(p, &p->server.calls[1], false);
	settle(p);
	cr_assert(one->ended && one->closed && one->got_bytes == 0);
	cr_assert(two->ended && two->closed && two->got_bytes == 5);
	cr_assert_null(two->trailers);
	pair_close(p);
}

Test(h2, an_unread_stream_does_not_stall_its_neighbour)
{
	struct h2_settings s = usual;
	struct pair *p;
	struct call *slow, *good;

	s.connection_window_bytes = 65536;	/* one stream's worth */
	p = pair_open(s);
	p->client.lazy = true;
	slow = request(p, true, 0);
	settle(p);
	answer(p, &p->server.calls[0], false);
	send_bytes(&p->server.calls[0], 200000);
	settle(p);
	cr_assert_eq(slow->got_bytes, 65536, "stream credit was given back");
	p->client.lazy = false;
	good = request(p, true, 0);
	settle(p);
	answer(p, &p->server.calls[1], false);
	send_bytes(&p->server.calls[1], 300000);
	finish(p, &p->server.calls[1], true);
	settle(p);
	cr_assert_eq(good->got_bytes, 300000, "I3");
	h2_consume(&slow->h2, 65536);
	settle(p);
	cr_assert_gt(slow->got_bytes, 65536);
	pair_close(p);
}

Test(h2, credit_goes_back_in_pieces)
{
	static const struct { uint32_t window; size_t before, more; } rows[] = {
		{ 65536, 32767, 1 }, { 262144, 131071, 1 },
		{ 16 << 20, 131071, 1 }, { 65535, 32766, 1 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct h2_settings s = usual;
		struct pair *p;
		struct call *c;

		s.stream_window_bytes = rows[i].window;
		s.connection_window_bytes = 1 << 30;
		p = pair_open(s);
		p->client.lazy = true;
		c = request(p, true, 0);
		settle(p);
		answer(p, &p->server.calls[0], false);
		send_bytes(&p->server.calls[0], rows[i].window + 1000000);
		settle(p);
		cr_assert_eq(c->got_bytes, rows[i].window);
		h2_consume(&c->h2, rows[i].before);
		settle(p);
		cr_assert_eq(c->got_bytes, rows[i].window, "row %zu: too "
		    "early", i);
		h2_consume(&c->h2, rows[i].more);
		settle(p);
		cr_assert_eq(c->got_bytes, rows[i].window + rows[i].before +
		    rows[i].more, "row %zu: too late", i);
		pair_close(p);
	}
}

Test(h2, streams_of_a_session_take_turns)
{
	struct pair *p = pair_open(usual);
	int changes = 0;

	for (int i = 0; i < 3; i++)
		request(p, true, 0);
	settle(p);
	for (int i = 0; i < 3; i++) {
		answer(p, &p->server.calls[i], false);
		send_bytes(&p->server.calls[i], i == 2 ? 100 : 60000);
		finish(p, &p->server.calls[i], true);
	}
	settle(p);
	for (int i = 0; i < p->client.order_n && i < 3; i++)
		for (int j = 0; j < i; j++)
			changes += p->client.order[i] != p->client.order[j];
	cr_assert_eq(changes, 3, "the first three pieces are of %d %d %d",
	    p->client.order[0], p->client.order[1], p->client.order[2]);
	pair_close(p);
}

Test(h2, an_early_answer_tells_the_caller_to_stop)
{
	struct pair *p = pair_open(usual);
	struct call *c = request(p, false, 0);

	send_bytes(c, 10);
	settle(p);
	answer(p, &p->server.calls[0], true);
	settle(p);
	cr_assert(c->ended);
	cr_assert(c->closed, "the request still stands");
	cr_assert_eq(c->why, H2_CLOSE_DONE);
	cr_assert_eq(p->server.calls[0].why, H2_CLOSE_DONE);
	pair_close(p);
}

Test(h2, resets_both_ways)
{
	struct pair *p = pair_open(usual);
	struct call *mine = request(p, false, 0), *theirs = request(p, false,
	    0);

	send_bytes(mine, 10);
	send_bytes(theirs, 10);
	settle(p);
	h2_reset(&mine->h2, H2_CANCEL);
	h2_reset(&p->server.calls[1].h2, H2_REFUSED_STREAM);
	settle(p);
	cr_assert_eq(mine->why, H2_CLOSE_LOCAL);
	cr_assert_eq(p->server.calls[0].why, H2_CLOSE_RESET);
	cr_assert_eq(p->server.calls[0].h2.peer_code, H2_CANCEL);
	cr_assert_eq(theirs->why, H2_CLOSE_REFUSED);
	cr_assert_eq(p->server.calls[1].why, H2_CLOSE_LOCAL);
	pair_close(p);
}

Test(h2, a_request_reset_before_it_was_sent_closes_too)
{
	struct pair *p = pair_open(usual);
	struct call *c = request(p, false, 0);

	send_bytes(c, 10);
	h2_reset(&c->h2, H2_CANCEL);
	settle(p);
	cr_assert(c->closed);
	cr_assert_eq(p->server.calls_n, 0, "it was sent");
	pair_close(p);
}

Test(h2, header_blocks_over_the_limit)
{
	/* more headers than 50 fields: refused; than 200: cut */
	struct pair *p = pair_open(usual);
	struct call *c = request(p, true, 60);

	settle(p);
	cr_assert(p->server.calls[0].too_large);
	cr_assert(p->server.calls[0].ended);
	answer(p, &p->server.calls[0], true);
	settle(p);
	cr_assert(c->closed);
	request(p, true, 300);
	settle(p);
	cr_assert(h2_over(p->server.h2), "the connection goes on");
	cr_assert_neq(strlen(h2_why(p->server.h2)), 0);
	cr_assert(p->client.goaway);
	pair_close(p);
}

/* One frame of what a side has to say: its type; -1: there is none. */
static int
frame_next(struct peer *from, uint32_t *payload)
{
	const uint8_t *p = from->out.data + from->out.pos;
	size_t n;

	if (buf_len(&from->out) == 0)
		return -1;
	n = (size_t)(p[0] << 16 | p[1] << 8 | p[2]);
	*payload = n < 4 ? 0 : (uint32_t)p[9] << 24 | (uint32_t)p[10] << 16 |
	    (uint32_t)p[11] << 8 | p[12];
	buf_take(&from->out, 9 + n);
	return p[3];
}

enum { FRAME_PING = 6, FRAME_GOAWAY = 7 };

Test(h2, a_drain_gives_notice_asks_and_then_leaves)
{
	struct pair *p = pair_open(usual);
	struct call *open = request(p, true, 0), *crossing;
	uint32_t last;

	settle(p);
	h2_drain(p->server.h2);
	h2_drain(p->server.h2);
	crossing = request(p, true, 0);
	carry(&p->client, &p->server, 0);
	cr_assert_eq(p->server.calls_n, 2, "what crosses the notice is lost");
	settle(p);
	cr_assert(p->client.goaway);
	cr_assert_not(open->closed || crossing->closed);
	cr_assert_not(h2_over(p->server.h2), "streams are open");
	answer(p, &p->server.calls[0], true);
	answer(p, &p->server.calls[1], true);
	settle(p);
	cr_assert(open->why == H2_CLOSE_DONE && open->closed);
	cr_assert(crossing->why == H2_CLOSE_DONE && crossing->closed);
	cr_assert(h2_over(p->server.h2));
	h2_leave(p->server.h2);
	h2_take(p->server.h2, &p->server.out, 1 << 16);
	cr_assert_eq(frame_next(&p->server, &last), -1, "it goes on talking");
	pair_close(p);
}

Test(h2, the_notice_comes_before_the_ping)
{
	struct pair *p = pair_open(usual);
	uint32_t last;

	settle(p);
	h2_drain(p->server.h2);
	h2_take(p->server.h2, &p->server.out, 1 << 16);
	cr_assert_eq(frame_next(&p->server, &last), FRAME_GOAWAY);
	cr_assert_eq(last, INT32_MAX);
	cr_assert_eq(frame_next(&p->server, &last), FRAME_PING);
	cr_assert_eq(frame_next(&p->server, &last), -1);
	cr_assert_not(h2_over(p->server.h2), "the peer may not know yet");
	h2_leave(p->server.h2);			/* it does not answer */
	h2_take(p->server.h2, &p->server.out, 1 << 16);
	cr_assert_eq(frame_next(&p->server, &last), FRAME_GOAWAY);
	cr_assert_eq(last, 0);
	cr_assert_eq(frame_next(&p->server, &last), -1);
	cr_assert(h2_over(p->server.h2));
	pair_close(p);
}

/* The peer says that it knows and, against the rules, goes on: before our
 * GOAWAY is out, and behind it. */
Test(h2, what_comes_after_all_is_not_begun)
{
	struct pair *p = pair_open(usual);
	struct call *open = request(p, true, 0), *late, *later;

	settle(p);
	h2_drain(p->server.h2);
	late = request(p, true, 0);
	h2_take(p->client.h2, &p->client.out, 1 << 16);
	h2_leave(p->server.h2);
	carry(&p->client, &p->server, 0);
	later = request(p, true, 0);
	h2_take(p->client.h2, &p->client.out, 1 << 16);
	settle(p);
	cr_assert_eq(p->server.calls_n, 1, "it was begun");
	cr_assert(late->closed && late->why == H2_CLOSE_REFUSED);
	cr_assert(later->closed && later->why == H2_CLOSE_REFUSED);
	cr_assert_not(open->closed);
	answer(p, &p->server.calls[0], true);
	settle(p);
	cr_assert_eq(open->why, H2_CLOSE_DONE);
	cr_assert(h2_over(p->server.h2));
	pair_close(p);
}

Test(h2, garbage_ends_the_session)
{
	struct pair *p = pair_open(usual);

	settle(p);
	h2_feed(p->server.h2,
	    (const uint8_t *)"GET / HTTP/1.1\r\nhost: x\r\n\r\n", 27);
	settle(p);
	cr_assert(h2_over(p->server.h2));
	cr_assert_neq(strlen(h2_why(p->server.h2)), 0);
	cr_assert(p->client.goaway);
	pair_close(p);
}

/* Every allocation fails once: nothing crashes, nothing leaks. */
Test(h2, no_memory_anywhere)
{
	for (int fail = 1; fail < 60; fail++) {
		struct pair *p = calloc(1, sizeof(*p));
		struct h2_settings s = usual;
		struct peer *c = &p->client;
		struct headers *h;

		mem_init(&c->mem, &unit_sys);
		unit_fail_at = fail;
		c->h2 = h2_open(&c->mem, &s, &events, c, &unit_now);
		h = c->h2 == NULL ? NULL : headers_new(&c->mem);
		if (h != NULL && headers_add_text(h, ":method", "POST") &&
		    headers_add_text(h, ":path", "/") &&
		    h2_request(c->h2, &c->calls[0].h2, h, false)) {
			c->calls_n = 1;
			h2_data(&c->calls[0].h2, (const uint8_t *)"x", 1);
			buf_init(&c->out, &unit_sys);
			h2_take(c->h2, &c->out, 1000);
		}
		if (h != NULL)
			headers_put(h);
		peer_close(c);
		unit_fail_at = 0;
		cr_assert_eq(unit_blocks, 0, "%d leaked at %d", unit_blocks,
		    fail);
		free(p);
	}
}

/* ---- one frame buffer */

static struct h2 *second;		/* session, of the same memory */

static void
second_open(struct peer *p)
{
	struct h2_settings s = usual;
	struct buf out;

	s.server = false;
	buf_init(&out, &unit_sys);
	second = h2_open(&p->mem, &s, &events, p, &unit_now);
	cr_assert_not_null(second);
	h2_take(second, &out, 1 << 20);	/* its preface and SETTINGS */
	cr_assert_gt(buf_len(&out), 0);
	buf_fini(&out);
}

/* A reset closes its stream when it is sent, and another session is opened
 * from there: what is sent is the reset, nevertheless. */
Test(h2, a_session_is_opened_while_another_sends)
{
	struct pair *p = pair_open(usual);
	struct call *c = request(p, false, 0), *other = request(p, true, 0);

	settle(p);
	p->client.when_closed = second_open;
	h2_reset(&c->h2, H2_CANCEL);
	settle(p);
	p->client.when_closed = NULL;
	cr_assert_not_null(second, "it closed in the turn that sent it");
	cr_assert_eq(p->server.calls[0].why, H2_CLOSE_RESET);
	cr_assert_eq(p->server.calls[0].h2.peer_code, H2_CANCEL);
	cr_assert_str_eq(h2_why(p->server.h2), "");
	cr_assert_not(p->server.calls[1].closed || other->closed);
	h2_close(second, H2_CLOSE_CONNECTION);
	pair_close(p);
}
