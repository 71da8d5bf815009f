/* t/sim/peers.c - see peers.h. */
#include "t/sim/peers.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "t/lib/h2_nothing.h"
#include "worker/io/conn.h"

/* The largest messages are longer than a stream's window. */
enum { CONNS_MAX = 3, CALLS_MAX = 8, BYTES_MAX = 150000 };

/* What the backend does, but for CANCEL: there the client thinks better of
 * it, at once or when the echo begins. REFUSE: it refuses the call once, then
 * echoes; FLAKY: it fails it once to thrice in some way, which the route's
 * policy bears. CLOSE ends others' calls as well. */
enum kind { ECHO, ERROR, RESET, CANCEL, REFUSE, FLAKY, CLOSE, KINDS };

static const char *const paths[KINDS] = { "/sim.S/Echo", "/sim.S/Error",
	"/sim.S/Reset", "/sim.S/Cancel", "/sim.S/Refuse", "/sim.Flaky/Echo",
	"/sim.S/Close" };

/* How many streams a backend takes at once, by chance. */
static const uint32_t limits[] = { 100, 100, 5, 2, 1 };

static const struct h2_settings usual = {
	.max_concurrent_streams = 100, .stream_window_bytes = 65535,
	.connection_window_bytes = 65535, .hpack_table_bytes = 4096,
	.header_bytes_max = 65536, .header_count_max = 100,
	.limits = H2_LIMITS_DEFAULT,
};

/* What the n-th byte of a message is. */
static uint8_t
byte_at(uint32_t call, size_t n)
{
	return (uint8_t)(call * 31 + n * 7 + n / 256);
}

/* ---- the client ---- */

struct call {
	struct h2_stream h2;		/* first */
	struct client	*client;
	struct caller	*caller;
	uint32_t	 number;
	enum kind	 kind;
	size_t		 bytes, sent_bytes, got_bytes;
	size_t		 owed_bytes;	/* credit not given back yet */
	struct timer	 timer;		/* the next piece, or credit */
	int		 status;	/* grpc-status; -1: none came */
	bool		 started, ended, torn;
	int		 closed_n;
	enum h2_close	 why;
};

struct caller {				/* a connection */
	struct conn	 conn;		/* first */
	struct client	*client;
	struct call	 calls[CALLS_MAX];
	int		 calls_n, next;
	bool		 gone;
};

struct client {
	struct net_actor *actor;
	struct loop	 loop;
	struct io	 io;
	struct caller	 callers[CONNS_MAX];
	int		 callers_n;
	uint16_t	 port;
	bool		 lossless;
};

static void	call_start(struct caller *c);
static void	call_go_on(struct timer *t);

static int
status_of(const struct headers *h)
{
	const struct header *status = headers_find(h, HEADER_grpc_status);

	if (status == NULL)
		return -1;
	return status->value_len == 2 ?
	    (status->value[0] - '0') * 10 + status->value[1] - '0' :
	    status->value[0] - '0';
}

/* Reads and writes go on after a while, or in this turn. */
static void
call_later(struct call *c)
{
	struct net *n = c->client->actor->net;

	if (timer_started(&c->timer))
		return;
	if (net_random(n) % 4 == 0)
		timer_start(&c->client->loop.timers, &c->timer,
		    c->client->loop.now, (int64_t)(net_random(n) % 20));
	else
		call_go_on(&c->timer);
}

static void
call_headers(struct h2_stream *s, struct headers *h, bool end)
{
	struct call *c = (struct call *)(void *)s;

	c->ended = end;
	if (h == NULL)
		return;
	if (end)
		c->status = status_of(h);
	headers_put(h);
}

static void
call_data(struct h2_stream *s, const uint8_t *p, size_t n)
{
	struct call *c = (struct call *)(void *)s;

	for (size_t i = 0; i < n; i++)
		if (p[i] != byte_at(c->number, c->got_bytes + i))
			c->torn = true;
	c->got_bytes += n;
	c->owed_bytes += n;
	call_later(c);
	if (c->kind == CANCEL)
		h2_reset(s, H2_CANCEL);
}

static void
call_end(struct h2_stream *s, struct headers *trailers)
{
	struct call *c = (struct call *)(void *)s;

	c->ended = true;
	if (trailers == NULL)
		return;
	c->status = status_of(trailers);
	headers_put(trailers);
}

static void
call_closed(struct h2_stream *s, enum h2_close why)
{
	struct call *c = (struct call *)(void *)s;

	c->why = why;
	c->closed_n++;
	timer_stop(&c->client->loop.timers, &c->timer);
	if (c->caller->conn.end == CONN_END_NONE)
		call_start(c->caller);
}

static void
no_sent(struct h2_stream *s, size_t n)
{
	(void)s;
	(void)n;
}

static const struct h2_events call_events = { h2_nothing_open,
	call_headers, call_data, call_end, no_sent, call_closed,
	h2_nothing_owner, h2_nothing_owner, conn_wake };

static void
caller_opened(struct conn *c)
{
	(void)c;
}

static void
caller_closed(struct conn *c)
{
	struct caller *caller = (struct caller *)(void *)c;

	caller->gone = true;
}

static const struct conn_events caller_events = { caller_opened,
	caller_closed };

/* The next piece: now and then all that is left. */
static void
message_send(struct call *c)
{
	static uint8_t message[BYTES_MAX];
	struct net *net = c->client->actor->net;
	size_t n = c->bytes - c->sent_bytes;

	if (n > 0 && net_random(net) % 2 == 0)
		n = 1 + net_random(net) % n;
	for (size_t i = 0; i < n; i++)
		message[i] = byte_at(c->number, c->sent_bytes + i);
	if (n > 0)
		h2_data(&c->h2, message, n);
	c->sent_bytes += n;
	if (c->sent_bytes == c->bytes)
		h2_end(&c->h2, NULL);
	else
		timer_start(&c->client->loop.timers, &c->timer,
		    c->client->loop.now, (int64_t)(net_random(net) % 20));
}

static void
call_go_on(struct timer *t)
{
	struct call *c = CONTAINER(t, struct call, timer);

	if (c->closed_n > 0 || c->h2.dead)
		return;
	h2_consume(&c->h2, c->owed_bytes);
	c->owed_bytes = 0;
	if (c->sent_bytes < c->bytes && !c->h2.out_ended)
		message_send(c);
}

/* The connection's next call. */
static void
call_start(struct caller *caller)
{
	struct headers *h;
	struct call *c;
	char number[16];

	if (caller->next == caller->calls_n || caller->gone)
		return;
	c = &caller->calls[caller->next++];
	h = headers_new(&caller->client->io.mem);
	snprintf(number, sizeof(number), "%u", c->number);
	headers_add_text(h, ":method", "POST");
	headers_add_text(h, ":scheme", "http");
	headers_add_text(h, ":path", paths[c->kind]);
	headers_add_text(h, ":authority", "sim");
	headers_add_text(h, "content-type", "application/grpc");
	headers_add_text(h, "te", "trailers");
	headers_add_text(h, "x-number", number);
	c->started = h2_request(caller->conn.h2, &c->h2, h, false);
	headers_put(h);
	if (c->started)
		message_send(c);
	if (c->started && c->kind == CANCEL && c->number % 2 == 0)
		h2_reset(&c->h2, H2_CANCEL);
}

struct client *
client_open(struct net_actor *a, uint16_t port, bool lossless)
{
	struct client *c = calloc(1, sizeof(*c));
	struct net *n = a->net;
	uint32_t number = 0;

	c->actor = a;
	c->port = port;
	c->lossless = lossless;
	loop_init(&c->loop, &a->sys);
	io_init(&c->io, &c->loop);
	c->callers_n = 1 + (int)(net_random(n) % CONNS_MAX);
	for (int i = 0; i < c->callers_n; i++) {
		struct caller *caller = &c->callers[i];

		caller->client = c;
		caller->calls_n = 1 + (int)(net_random(n) % CALLS_MAX);
		for (int j = 0; j < caller->calls_n; j++) {
			struct call *call = &caller->calls[j];

			call->client = c;
			call->caller = caller;
			call->number = number++;
			call->status = -1;
			call->timer.fire = call_go_on;
			call->kind = (enum kind)(net_random(n) % 10);
			if (call->kind >= (lossless ? CLOSE : KINDS))
				call->kind = ECHO;
			call->bytes = net_random(n) % 4 == 0 ?
			    net_random(n) % BYTES_MAX : net_random(n) % 300;
		}
	}
	return c;
}

void
client_start(struct client *c)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
	    .sin_port = htons(c->port) };
	struct conn_settings s = { .h2 = usual, .h2_events = &call_events,
	    .events = &caller_events };

	for (int i = 0; i < c->callers_n; i++) {
		struct caller *caller = &c->callers[i];
		int at_once = 1 + (int)(net_random(c->actor->net) %
		    CALLS_MAX);

		if (!conn_connect(&caller->conn, &c->io,
		    (struct sockaddr *)(void *)&to, sizeof(to), &s)) {
			caller->gone = true;
			continue;
		}
		for (int j = 0; j < at_once; j++)
			call_start(caller);
	}
}

bool
client_done(const struct client *c)
{
	for (int i = 0; i < c->callers_n; i++) {
		const struct caller *caller = &c->callers[i];

		for (int j = 0; j < caller->calls_n && !caller->gone; j++)
			if (caller->calls[j].closed_n == 0)
				return false;
	}
	return true;
}

/* It is to end well, whatever happens to single tries: what is longer is not
 * kept for another one. */
static bool
must_be_good(const struct call *c, bool few)
{
	if (c->bytes > 65536 && (few || c->kind != ECHO))
		return false;
	return c->kind == ECHO || c->kind == REFUSE || c->kind == FLAKY;
}

/* Whether the caller may send it elsewhere without a thought. */
static bool
not_begun(const struct call *c)
{
	return !c->started || c->why == H2_CLOSE_REFUSED;
}

static const char *
call_verdict(const struct call *c, bool lossless, bool drained, bool few)
{
	bool good = c->ended && c->status == 0;

	if (c->closed_n > 1)
		return "a call ended twice";
	if (c->started && c->closed_n == 0)
		return "a call never ended";
	if (c->torn)
		return "an answer is not the echo of its request";
	if (good && (c->kind == ERROR || c->kind == RESET ||
	    c->kind == CLOSE || c->got_bytes != c->bytes))
		return "a call was called good and is not";
	if (!lossless || (drained && not_begun(c)))
		return NULL;
	if (must_be_good(c, few) && !good)
		return "a call failed without a fault";
	if (c->kind == ERROR && c->status != 5)
		return "the service's own status did not arrive";
	if (c->kind == RESET && c->status != 14)
		return "a reset is not UNAVAILABLE";
	return NULL;
}

const char *
client_verdict(const struct client *c, bool drained, bool few)
{
	for (int i = 0; i < c->callers_n; i++)
		for (int j = 0; j < c->callers[i].calls_n; j++) {
			const char *wrong = call_verdict(
			    &c->callers[i].calls[j], c->lossless, drained,
			    few);

			if (wrong != NULL)
				return wrong;
		}
	return NULL;
}

void
client_close(struct client *c)
{
	for (int i = 0; i < c->callers_n; i++)
		if (!c->callers[i].gone)
			conn_close(&c->callers[i].conn);
	io_fini(&c->io);
	free(c);
}

struct loop *
client_loop(struct client *c)
{
	return &c->loop;
}

/* ---- the backend ---- */

struct service {			/* a connection */
	struct conn	 conn;		/* first */
	struct backend	*backend;
	struct service	*next, **prev;
};

struct served {				/* a call */
	struct h2_stream h2;		/* first */
	struct backend	*backend;
	enum kind	 kind;
	uint32_t	 number;
};

struct backend {
	struct source	 source;
	struct net_actor *actor;
	struct loop	 loop;
	struct io	 io;
	struct service	*services;
	int		 listen_fd;
	int32_t		 id_max;
	uint32_t	 streams_max;
	uint32_t	 tries[CONNS_MAX * CALLS_MAX];	/* by call */
};

static struct h2_stream *
served_open(void *owner)
{
	struct service *s = owner;
	struct served *v = calloc(1, sizeof(*v));

	v->backend = s->backend;
	return &v->h2;
}

static bool
echoes(const struct served *v)
{
	return v->kind == ECHO || v->kind == CANCEL || v->kind == REFUSE ||
	    v->kind == FLAKY;
}

static uint32_t
number_of(const struct header *h)
{
	uint32_t n = 0;

	for (size_t i = 0; i < h->value_len; i++)
		n = n * 10 + (uint32_t)(h->value[i] - '0');
	return n;
}

/* Whether this try of it shall: once, or one to three times. */
static bool
fails(struct served *v)
{
	uint32_t most = v->kind == REFUSE ? 1 : v->kind == FLAKY ?
	    1 + v->number % 3 : 0;

	return v->backend->tries[v->number]++ < most;
}

static void
fail(struct served *v)
{
	struct headers *h;

	if (v->kind == REFUSE || v->number % 4 == 0) {
		h2_reset(&v->h2, H2_REFUSED_STREAM);
		return;
	}
	if (v->number % 4 == 1) {
		h2_reset(&v->h2, H2_INTERNAL_ERROR);
		return;
	}
	h = headers_new(&v->backend->io.mem);
	headers_add_text(h, ":status", "200");
	headers_add_text(h, "content-type", "application/grpc");
	headers_add_text(h, "grpc-status", "14");
	h2_answer(&v->h2, h, true);
	headers_put(h);
}

static void
served_answer(struct served *v)
{
	struct headers *h = headers_new(&v->backend->io.mem);

	headers_add_text(h, ":status", "200");
	headers_add_text(h, "content-type", "application/grpc");
	if (v->kind == ERROR)
		headers_add_text(h, "grpc-status", "5");
	h2_answer(&v->h2, h, v->kind == ERROR);
	headers_put(h);
}

static void
served_end(struct h2_stream *s, struct headers *trailers)
{
	struct served *v = (struct served *)(void *)s;
	struct headers *h;

	if (trailers != NULL)
		headers_put(trailers);
	if (!echoes(v) || s->dead || s->out_ended)
		return;
	h = headers_new(&v->backend->io.mem);
	headers_add_text(h, "grpc-status", "0");
	h2_end(s, h);
	headers_put(h);
}

static void
served_headers(struct h2_stream *s, struct headers *h, bool end)
{
	struct served *v = (struct served *)(void *)s;
	const struct header *path = headers_find(h, HEADER_path);

	if (s->id > v->backend->id_max)
		v->backend->id_max = s->id;
	for (int i = 0; i < KINDS; i++)
		if (path->value_len == strlen(paths[i]) &&
		    memcmp(path->value, paths[i], path->value_len) == 0)
			v->kind = (enum kind)i;
	v->number = number_of(headers_find_name(h, "x-number", 8));
	headers_put(h);
	if (v->kind == RESET)
		h2_reset(s, H2_INTERNAL_ERROR);
	else if (fails(v))
		fail(v);
	else if (v->kind == CLOSE)
		conn_end(h2_owner(s), CONN_END_LOCAL, NULL);
	else
		served_answer(v);
	if (end)
		served_end(s, NULL);
}

static void
served_data(struct h2_stream *s, const uint8_t *p, size_t n)
{
	struct served *v = (struct served *)(void *)s;

	if (echoes(v) && !s->dead && !s->out_ended)
		h2_data(s, p, n);
	else
		h2_consume(s, n);
}

static void
served_sent(struct h2_stream *s, size_t n)
{
	h2_consume(s, n);		/* an echo reads as it is read */
}

static void
served_closed(struct h2_stream *s, enum h2_close why)
{
	(void)why;
	free(s);
}

static const struct h2_events served_events = { served_open, served_headers,
	served_data, served_end, served_sent, served_closed, h2_nothing_owner,
	h2_nothing_owner, conn_wake };

static void
service_closed(struct conn *c)
{
	struct service *s = (struct service *)(void *)c;

	*s->prev = s->next;
	if (s->next != NULL)
		s->next->prev = s->prev;
	free(s);
}

static const struct conn_events service_events = { caller_opened,
	service_closed };

static void
backend_ready(struct source *source, uint32_t events)
{
	struct backend *b = CONTAINER(source, struct backend, source);
	struct conn_settings c = { .h2 = usual, .h2_events = &served_events,
	    .events = &service_events };
	struct service *s;
	int fd;

	(void)events;
	c.h2.server = true;
	c.h2.max_concurrent_streams = b->streams_max;
	while ((fd = b->actor->sys.accept(b->actor->sys.ctx,
	    b->listen_fd)) >= 0) {
		s = calloc(1, sizeof(*s));
		s->backend = b;
		s->next = b->services;
		s->prev = &b->services;
		if (s->next != NULL)
			s->next->prev = &s->next;
		b->services = s;
		conn_accept(&s->conn, &b->io, fd, &c);
	}
}

struct backend *
backend_open(struct net_actor *a, int listen_fd)
{
	struct backend *b = calloc(1, sizeof(*b));

	b->actor = a;
	b->listen_fd = listen_fd;
	b->streams_max = limits[net_random(a->net) %
	    (sizeof(limits) / sizeof(limits[0]))];
	b->source.ready = backend_ready;
	loop_init(&b->loop, &a->sys);
	io_init(&b->io, &b->loop);
	loop_watch(&b->loop, listen_fd, &b->source);
	return b;
}

void
backend_close(struct backend *b)
{
	while (b->services != NULL)
		conn_close(&b->services->conn);
	b->actor->sys.close(b->actor->sys.ctx, b->listen_fd);
	io_fini(&b->io);
	free(b);
}

struct loop *
backend_loop(struct backend *b)
{
	return &b->loop;
}

bool
backend_takes_few(const struct backend *b)
{
	return b->streams_max < usual.max_concurrent_streams;
}

int32_t
backend_id_max(const struct backend *b)
{
	return b->id_max;
}
