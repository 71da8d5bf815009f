/*
 * t/bench/flow.c - what small calls wait while somebody else's answers stand
 * still or come in bulk.
 *
 *   flow [-c C] [-s S] [-n CALLS] [-k K -m M [-w]] [-b] [-u] [-r MB_S] PORT
 *
 *   -c -s -n   C connections with S small calls open on each, CALLS in all
 *   -k -m      K connections more, with M calls each for 800,000 bytes,
 *              whose reader stops: it leaves the socket alone (windows wide
 *              open), or with -w reads on and never opens a window of 65,535
 *   -b -u -r   a call without end on the first connection of the small ones:
 *              its answer (-b), its request (-u) is the bulk; as fast as it
 *              goes, or MB_S megabytes a second, which leaves CPU to spare
 *
 *   connect ─> stalled: until no byte comes or goes ─> "ready", a line
 *           ─> bulk: until 4 MB went ─> small calls, each timed ─> JSON
 *
 * A call is right when its answer has all its bytes and ends with grpc-status
 * 0. Source: RFC 9113 section 5.2. Test: t/bench/flow.py, by the bytes.
 */
#include "t/bench/talk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "t/bench/timing.h"

#define SMALL	"100"
#define STALLED	"800000"
#define ENDLESS	"1000000000000"

enum { EVENTS = 256, SETTLED_MS = 300, PATIENCE_MS = 10000, TICK_MS = 1,
	SMALL_BYTES = 100, WIDE = 0x7fffffff, PACED = 1 << 20, NARROW = 65535,
	BULK_BEGUN_BYTES = 4 << 20 };

struct flow {
	int		 epoll_fd;
	nghttp2_session_callbacks *callbacks;
	uint32_t	 connections, streams, stalled, stalled_calls;
	bool		 by_windows;		/* -w */
	bool		 bulk_down, bulk_up;
	double		 bulk_rate;		/* bytes per ns, or 0 */
	struct call	*bulk;			/* the one that is under way */
	int64_t		 bulk_begun_ns;
	uint16_t	 port;
	uint64_t	 total, left, ended;	/* small calls */
	uint64_t	 errors;
	uint64_t	 bulk_bytes, stalled_bytes, stalled_ended;
	double		*took_us;		/* [ended] */
};

enum call_kind { CALL_SMALL, CALL_BULK, CALL_STALLED };

struct call {
	struct flow	*flow;
	enum call_kind	 kind;
	int64_t		 begun_ns;
	struct talk	*talk;
	int32_t		 id;
	uint64_t	 bytes;		/* of the answer */
	uint64_t	 taken;		/* of the bulk, by its pace */
	size_t		 left;		/* of the request */
	bool		 good;		/* grpc-status 0 */
};

/* How much of the bulk may go by now, beyond what has. */
static uint64_t
bulk_allowed(const struct flow *f)
{
	double all = (double)(timing_ns(CLOCK_MONOTONIC) - f->bulk_begun_ns) *
	    f->bulk_rate;

	return all > (double)f->bulk->taken ?
	    (uint64_t)all - f->bulk->taken : 0;
}

/* The request in bulk: no more than its pace allows. */
static ssize_t
bulk_read(nghttp2_session *session, int32_t id, uint8_t *to, size_t room,
    uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	struct call *c = nghttp2_session_get_stream_user_data(session, id);
	ssize_t n;

	if (c->flow->bulk_rate > 0 && bulk_allowed(c->flow) < room)
		return NGHTTP2_ERR_DEFERRED;
	n = talk_zeros(session, id, to, room, flags, source, arg);
	c->taken += (uint64_t)n;
	c->flow->bulk_bytes += (uint64_t)n;
	return n;
}

/* Once a tick: the bulk goes on as far as its pace allows. */
static void
bulk_tick(struct flow *f)
{
	struct call *c = f->bulk;
	uint64_t n, owed;

	if (c == NULL || f->bulk_rate <= 0)
		return;
	if (f->bulk_up)
		nghttp2_session_resume_data(c->talk->session, c->id);
	else {
		owed = c->bytes - c->taken;
		n = bulk_allowed(f);
		n = n < owed ? n : owed;
		c->taken += n;
		if (n > 0)
			nghttp2_submit_window_update(c->talk->session, 0,
			    c->id, (int32_t)n);
	}
	if (!talk_step(c->talk))
		talk_die("the connection of the bulk was closed");
}

static struct call *
call_begin(struct talk *t, struct flow *f, enum call_kind kind,
    const char *path, size_t request_bytes)
{
	const nghttp2_nv head[] = {
		TALK_HEADER(":method", "POST"), TALK_HEADER(":scheme", "http"),
		{ (uint8_t *)":path", (uint8_t *)(uintptr_t)path, 5,
		    strlen(path), 0 },
		TALK_HEADER(":authority", "flow"), TALK_HEADER("te", "trailers"),
		TALK_HEADER("content-type", "application/grpc"),
	};
	struct call *c = calloc(1, sizeof *c);
	nghttp2_data_provider from = { .read_callback =
	    kind == CALL_BULK && f->bulk_up ? bulk_read : talk_zeros };

	if (c == NULL)
		talk_die("out of memory");
	*c = (struct call){ .flow = f, .kind = kind, .talk = t,
	    .left = request_bytes, .begun_ns = timing_ns(CLOCK_MONOTONIC) };
	from.source.ptr = &c->left;
	c->id = nghttp2_submit_request(t->session, NULL, head, 6, &from, c);
	if (c->id < 0)
		talk_die("no stream is left");
	return c;
}

static void
small_begin(struct talk *t, struct flow *f)
{
	if (f->left == 0)
		return;
	f->left--;
	call_begin(t, f, CALL_SMALL, TALK_PATH SMALL, SMALL_BYTES);
}

static int
on_header(nghttp2_session *s, const nghttp2_frame *frame, const uint8_t *name,
    size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
    void *arg)
{
	struct call *c = nghttp2_session_get_stream_user_data(s,
	    frame->hd.stream_id);

	(void)flags;
	(void)arg;
	if (c != NULL && name_len == 11 && memcmp(name, "grpc-status", 11) == 0)
		c->good = value_len == 1 && value[0] == '0';
	return 0;
}

static int
on_data(nghttp2_session *s, uint8_t flags, int32_t id, const uint8_t *p,
    size_t n, void *arg)
{
	struct call *c = nghttp2_session_get_stream_user_data(s, id);

	(void)flags;
	(void)p;
	(void)arg;
	if (c == NULL)
		return 0;
	c->bytes += n;
	if (c->kind == CALL_STALLED) {
		c->flow->stalled_bytes += n;
		return 0;			/* the window stays shut */
	}
	if (c->kind == CALL_BULK)
		c->flow->bulk_bytes += n;
	if (c->kind == CALL_BULK && c->flow->bulk_rate > 0)
		nghttp2_session_consume_connection(s, n);
	else
		nghttp2_session_consume(s, id, n);
	return 0;
}

static int
on_close(nghttp2_session *s, int32_t id, uint32_t code, void *arg)
{
	struct call *c = nghttp2_session_get_stream_user_data(s, id);
	struct talk *t = arg;
	struct flow *f = c->flow;

	if (c->kind == CALL_SMALL) {
		f->errors += code != 0 || !c->good || c->bytes != SMALL_BYTES;
		f->took_us[f->ended++] = (double)(timing_ns(CLOCK_MONOTONIC) -
		    c->begun_ns) / 1000;
		small_begin(t, f);
	} else if (c->kind == CALL_STALLED)
		f->stalled_ended++;	/* the proxy had enough of it */
	else
		f->errors++;		/* bulk never ends */
	free(c);
	return 0;
}

static void
callbacks_init(struct flow *f)
{
	nghttp2_session_callbacks *c;

	if (nghttp2_session_callbacks_new(&c) != 0)
		talk_die("out of memory");
	nghttp2_session_callbacks_set_on_header_callback(c, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(c, on_close);
	f->callbacks = c;
}

/* The session's argument is its talk, which is there only afterwards. */
static struct talk *
connection_open(struct flow *f, uint32_t window)
{
	nghttp2_session *session;
	nghttp2_option *o;
	struct talk *t;

	if (nghttp2_option_new(&o) != 0)
		talk_die("out of memory");
	nghttp2_option_set_no_auto_window_update(o, 1);
	if (nghttp2_session_client_new2(&session, f->callbacks, NULL, o) != 0)
		talk_die("out of memory");
	nghttp2_option_del(o);
	t = talk_new(f->epoll_fd, talk_connect(f->port), session, window);
	nghttp2_session_set_user_data(session, t);
	return t;
}

/* One round of events. False: for ms nothing happened. */
static bool
turn(struct flow *f, int ms)
{
	struct epoll_event at[EVENTS];
	bool paced = f->bulk != NULL && f->bulk_rate > 0;
	int64_t begun = timing_ns(CLOCK_MONOTONIC);
	uint64_t bulk = f->bulk_bytes;
	int n;

	do {
		n = epoll_wait(f->epoll_fd, at, EVENTS, paced ? TICK_MS : ms);
		if (n < 0 && errno != EINTR)
			talk_die("can't wait");
		for (int i = 0; i < n; i++)
			if (!talk_step(at[i].data.ptr))
				talk_die("a connection was closed");
		bulk_tick(f);
	} while (n <= 0 && paced && bulk == f->bulk_bytes &&
	    timing_ns(CLOCK_MONOTONIC) - begun < ms * 1000000ll);
	return n > 0 || bulk != f->bulk_bytes;
}

static void
stalled_begin(struct flow *f)
{
	for (uint32_t k = 0; k < f->stalled; k++) {
		struct talk *t = connection_open(f,
		    f->by_windows ? NARROW : WIDE);

		talk_step(t);
		for (uint32_t m = 0; m < f->stalled_calls; m++)
			call_begin(t, f, CALL_STALLED, TALK_PATH STALLED, 5);
		t->deaf = !f->by_windows;
		talk_step(t);
	}
	while (turn(f, SETTLED_MS))
		continue;
}

/* The bulk runs before the first small call is timed. */
static void
bulk_begin(struct flow *f, struct talk *t)
{
	if (!f->bulk_down && !f->bulk_up)
		return;
	f->bulk_begun_ns = timing_ns(CLOCK_MONOTONIC);
	f->bulk = call_begin(t, f, CALL_BULK, f->bulk_down ?
	    TALK_PATH ENDLESS : TALK_PATH SMALL, f->bulk_up ?
	    strtoull(ENDLESS, NULL, 10) : SMALL_BYTES);
	talk_step(t);
	while (f->bulk_bytes < BULK_BEGUN_BYTES)
		if (!turn(f, PATIENCE_MS))
			talk_die("the bulk does not move");
}

static void
run(struct flow *f, struct talk **good)
{
	bulk_begin(f, good[0]);
	for (uint32_t c = 0; c < f->connections; c++) {
		for (uint32_t s = 0; s < f->streams; s++)
			small_begin(good[c], f);
		talk_step(good[c]);
	}
	while (f->ended < f->total)
		if (!turn(f, PATIENCE_MS))
			talk_die("no small call ended in 10 seconds");
}

static void
report(struct flow *f, int64_t took_ns)
{
	double *t = f->took_us;
	size_t n = f->ended;

	printf("{\"calls\": %zu, \"errors\": %llu, \"seconds\": %.6f, "
	    "\"p50_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f, "
	    "\"bulk_bytes\": %llu, \"stalled_bytes\": %llu, "
	    "\"stalled_ended\": %llu}\n", n,
	    (unsigned long long)f->errors, (double)took_ns / 1e9,
	    timing_quantile(t, n, 0.5), timing_quantile(t, n, 0.99),
	    timing_quantile(t, n, 1), (unsigned long long)f->bulk_bytes,
	    (unsigned long long)f->stalled_bytes,
	    (unsigned long long)f->stalled_ended);
	fflush(stdout);
}

static void
options(struct flow *f, int argc, char **argv)
{
	int o;

	while ((o = getopt(argc, argv, "c:s:n:k:m:wbur:")) != -1)
		switch (o) {
		case 'c': f->connections = (uint32_t)atoi(optarg); break;
		case 's': f->streams = (uint32_t)atoi(optarg); break;
		case 'n': f->total = (uint64_t)atoll(optarg); break;
		case 'k': f->stalled = (uint32_t)atoi(optarg); break;
		case 'm': f->stalled_calls = (uint32_t)atoi(optarg); break;
		case 'w': f->by_windows = true; break;
		case 'b': f->bulk_down = true; break;
		case 'u': f->bulk_up = true; break;
		case 'r': f->bulk_rate = atof(optarg) / 1000; break;
		default: talk_die("see the head of flow.c");
		}
	if (optind + 1 != argc || f->connections == 0 || f->total == 0)
		talk_die("a port is expected, connections and calls");
	f->port = (uint16_t)atoi(argv[optind]);
}

int
main(int argc, char **argv)
{
	struct flow f = { .connections = 1, .streams = 1, .total = 1000 };
	struct talk **good;
	char line[16];
	int64_t begun;

	options(&f, argc, argv);
	f.left = f.total;
	f.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	f.took_us = calloc(f.total, sizeof *f.took_us);
	good = calloc(f.connections, sizeof(struct talk *));
	if (f.epoll_fd < 0 || f.took_us == NULL || good == NULL)
		talk_die("out of memory");
	callbacks_init(&f);
	for (uint32_t c = 0; c < f.connections; c++)
		talk_step(good[c] = connection_open(&f,
		    f.bulk_rate > 0 ? PACED : WIDE));
	stalled_begin(&f);
	printf("ready\n");
	fflush(stdout);
	if (fgets(line, sizeof line, stdin) == NULL)
		return 1;
	begun = timing_ns(CLOCK_MONOTONIC);
	run(&f, good);
	report(&f, timing_ns(CLOCK_MONOTONIC) - begun);
	return f.errors > 0 ? 2 : 0;
}
