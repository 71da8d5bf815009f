/*
 * t/fuzz/h2.c - what a peer may send on a connection, against our session over
 * it (worker/io/h2.h): a server's, whose requests are answered in any way, and a
 * client's, which has asked.
 *
 *   | flags | records |     flags: 1 we are the client; 2 credit is kept back
 *   FEED bytes              of the peer
 *   ANSWER, DATA n, END, RESET, DRAIN, PING, TAKE, WAIT n    what we do
 *
 * Held: a stream is closed once, and heard of no more then (I1, I2); what is
 * taken is at most what was asked for and a frame; no block of memory is left.
 * The seeds are what our own sessions say to each other.
 */
#include "t/fuzz/fuzz.h"
#include "worker/io/h2.h"

enum { FEED, ANSWER, DATA, END, RESET, DRAIN, PING, TAKE, WAIT, WHATS };
enum { CALLS_MAX = 64, TAKE_BYTES = 16384, FRAME_BYTES_MAX = 1 << 20 };

struct call {
	struct h2_stream stream;	/* first */
	bool		 closed, reset, started, ended;
};

struct side {
	struct mem	 mem;
	struct h2	*h2;
	struct buf	 out;
	struct call	 calls[CALLS_MAX];
	int		 calls_n;
	bool		 client, keeps;	/* credit */
};

static struct mono now;
static int blocks_n;

static void *
block_alloc(void *ctx, size_t n)
{
	(void)ctx;
	blocks_n++;
	return calloc(1, n);
}

static void
block_free(void *ctx, void *p)
{
	(void)ctx;
	blocks_n -= p != NULL;
	free(p);
}

static struct sys sys = { .alloc = block_alloc, .free = block_free };

/* ---- up-calls */

static struct call *
call_of(struct h2_stream *s)
{
	struct call *c = (struct call *)(void *)s;

	if (c->closed)
		fuzz_fail("stream %d is heard of after it was closed", s->id);
	return c;
}

/* Nor between a reset and that. */
static struct call *
open_of(struct h2_stream *s)
{
	struct call *c = call_of(s);

	if (c->reset)
		fuzz_fail("stream %d is heard of after its reset", s->id);
	return c;
}

static struct h2_stream *
on_open(void *owner)
{
	struct side *w = owner;

	return w->calls_n == CALLS_MAX ? NULL :
	    &w->calls[w->calls_n++].stream;
}

static void
on_headers(struct h2_stream *s, struct headers *h, bool end)
{
	(void)open_of(s);
	(void)end;
	if (h != NULL)
		headers_put(h);
}

static void
on_data(struct h2_stream *s, const uint8_t *p, size_t n)
{
	struct side *w = h2_owner(s);
	static volatile uint8_t sum;

	(void)open_of(s);
	for (size_t i = 0; i < n; i++)	/* all of it is there */
		sum = (uint8_t)(sum + p[i]);
	if (!w->keeps)
		h2_consume(s, n);
}

static void
on_end(struct h2_stream *s, struct headers *trailers)
{
	(void)open_of(s);
	if (trailers != NULL)
		headers_put(trailers);
}

static void
on_sent(struct h2_stream *s, size_t n)
{
	(void)open_of(s);
	(void)n;
}

static void
on_closed(struct h2_stream *s, enum h2_close why)
{
	call_of(s)->closed = true;
	(void)why;
}

static void
on_nothing(void *owner)
{
	(void)owner;
}

static const struct h2_events events = { on_open, on_headers, on_data,
	on_end, on_sent, on_closed, on_nothing, on_nothing, on_nothing };

/* ---- a side */

static void
side_open(struct side *w, uint8_t flags)
{
	const struct h2_settings s = { .server = !(flags & 1),
	    .max_concurrent_streams = 8, .stream_window_bytes = 65535,
	    .connection_window_bytes = 65535, .hpack_table_bytes = 4096,
	    .header_bytes_max = 4096, .header_count_max = 50,
	    .limits = H2_LIMITS_DEFAULT };

	memset(w, 0, sizeof(*w));
	now.ns = 1000000000;
	w->client = flags & 1;
	w->keeps = flags & 2;
	mem_init(&w->mem, &sys);
	buf_init(&w->out, &sys);
	w->h2 = h2_open(&w->mem, &s, &events, w, &now);
	if (w->h2 == NULL)
		abort();
}

static void
side_close(struct side *w)
{
	h2_close(w->h2, H2_CLOSE_CONNECTION);
	for (int i = 0; i < w->calls_n; i++)
		if (!w->calls[i].closed)
			fuzz_fail("call %d of %d was never closed", i,
			    w->calls_n);
	buf_fini(&w->out);
	if (w->mem.out_n != 0)
		fuzz_fail("%u blocks are left",
		    (unsigned)w->mem.out_n);
	mem_fini(&w->mem);
}

static void
out_take(struct side *w)
{
	(void)h2_take(w->h2, &w->out, TAKE_BYTES);
	if (buf_len(&w->out) > TAKE_BYTES + FRAME_BYTES_MAX)
		fuzz_fail("%zu bytes were taken", buf_len(&w->out));
}

static struct headers *
head_new(struct side *w, bool request)
{
	struct headers *h = headers_new(&w->mem);

	if (h == NULL || !(request ? headers_add_text(h, ":method", "POST") &&
	    headers_add_text(h, ":scheme", "http") &&
	    headers_add_text(h, ":path", "/a.B/M") &&
	    headers_add_text(h, ":authority", "a") &&
	    headers_add_text(h, "te", "trailers") : headers_add_text(h,
	    ":status", "200")) || !headers_add_text(h, "content-type",
	    "application/grpc"))
		abort();
	return h;
}

static void
call_begin(struct side *w)
{
	struct headers *h = head_new(w, true);
	struct call *c = &w->calls[w->calls_n];

	if (w->calls_n < CALLS_MAX && h2_request(w->h2, &c->stream, h,
	    false)) {
		w->calls_n++;
		c->started = true;
	}
	headers_put(h);
}

static void
call_answer(struct side *w, struct call *c)
{
	struct headers *h = head_new(w, false);

	c->started = h2_answer(&c->stream, h, false);
	headers_put(h);
}

static void
call_end(struct side *w, struct call *c, bool trailers)
{
	struct headers *h = trailers ? headers_new(&w->mem) : NULL;

	if (h != NULL)
		headers_add_text(h, "grpc-status", "0");
	c->ended = h2_end(&c->stream, h);
	if (h != NULL)
		headers_put(h);
}

/* What we do to a call, as far as its owner may. */
static void
call_do(struct side *w, struct call *c, const struct record *r)
{
	if (c->closed || c->reset || c->stream.h2 == NULL)
		return;
	switch (r->what % WHATS) {
	case ANSWER:
		if (!w->client && !c->started)
			call_answer(w, c);
		break;
	case DATA:
		if (c->started && !c->ended)
			(void)h2_data(&c->stream, r->bytes, r->n);
		break;
	case END:
		if (c->started && !c->ended)
			call_end(w, c, r->n % 2 == 1 && !w->client);
		break;
	default:
		c->reset = true;
		h2_reset(&c->stream, H2_CANCEL);
	}
}

/* False: the session is over. */
static bool
record_do(void *arg, const struct record *r)
{
	struct side *w = arg;

	switch (r->what % WHATS) {
	case FEED:
		return h2_feed(w->h2, r->bytes, r->n);
	case DRAIN:
		if (!w->client)
			h2_drain(w->h2);
		break;
	case PING:
		h2_ping(w->h2);
		break;
	case TAKE:
		out_take(w);
		buf_take(&w->out, buf_len(&w->out));
		break;
	case WAIT:
		now.ns += 1000000 * (int64_t)(r->n * r->n);
		(void)h2_block_left_ms(w->h2);
		(void)h2_stuck(w->h2);
		break;
	default:
		if (w->client && r->what % WHATS == ANSWER)
			call_begin(w);
		else if (w->calls_n > 0)
			call_do(w, &w->calls[r->what / WHATS %
			    (uint32_t)w->calls_n], r);
	}
	return !h2_over(w->h2);
}

/* ---- seeds: both sides, joined */

static void
seed_pass(struct side *from, struct side *to, FILE *f)
{
	out_take(from);
	if (f != NULL) {
		record_print(f, TAKE, "", 0);
		record_print(f, FEED, from->out.data + from->out.pos,
		    buf_len(&from->out));
	}
	(void)h2_feed(to->h2, from->out.data + from->out.pos,
	    buf_len(&from->out));
	buf_take(&from->out, buf_len(&from->out));
}

static void
seed_do(struct side *w, FILE *f, uint8_t what, const char *text)
{
	const struct record r = { what, (uint8_t *)(uintptr_t)text,
	    strlen(text) };

	if (f != NULL)
		record_print(f, what, text, r.n);
	(void)record_do(w, &r);
}

/* mine: the side that the seed is of. */
static void
seed_write(const char *dir, const char *name, bool mine)
{
	struct side client, server;
	char *text;
	size_t n;
	FILE *f = open_memstream(&text, &n), *c = mine ? f : NULL,
	    *s = mine ? NULL : f;

	fputc(mine, f);
	side_open(&client, 1);
	side_open(&server, 0);
	for (int i = 0; i < 3; i++) {
		seed_do(&client, c, ANSWER, "");
		seed_do(&client, c, (uint8_t)(DATA + i * WHATS), "hello");
		seed_pass(&client, &server, s);
		seed_do(&server, s, (uint8_t)(ANSWER + i * WHATS), "");
		seed_do(&server, s, (uint8_t)(DATA + i * WHATS), "answer");
		seed_pass(&server, &client, c);
		seed_do(&client, c, (uint8_t)((i == 2 ? RESET : END) +
		    i * WHATS), "");
		seed_do(&server, s, (uint8_t)(END + i * WHATS), "t");
		seed_pass(&client, &server, s);
		seed_pass(&server, &client, c);
	}
	seed_do(&server, s, DRAIN, "");
	seed_pass(&server, &client, c);
	seed_pass(&client, &server, s);
	fclose(f);
	fuzz_seed(dir, name, text, n);
	free(text);
	side_close(&client);
	side_close(&server);
}

static void
seeds_write(const char *dir)
{
	seed_write(dir, "server", false);
	seed_write(dir, "client", true);
}

/* ---- one input */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct side w;

	if (size == 0)
		return 0;
	side_open(&w, data[0]);
	if (w.client)
		call_begin(&w);
	records_do(data + 1, size - 1, record_do, &w);
	fuzz_say("%s", h2_why(w.h2));
	out_take(&w);
	side_close(&w);
	if (blocks_n != 0)
		fuzz_fail("%d blocks of the system are left", blocks_n);
	return 0;
}
