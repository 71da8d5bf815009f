/* master/grpc.c - see grpc.h. */
#include "master/grpc.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "worker/io/address.h"
#include "worker/io/percent.h"
#include "xds/framing.h"

enum { WHY_BYTES = 512, MESSAGE_BYTES = 256, STREAM_HEADER_BYTES = 65536 };

struct grpc {
	struct h2_stream stream;	/* first: stream_grpc */
	struct conn	 conn;
	struct io	*io;
	const struct grpc_events *events;
	void		*arg;
	struct timer	 timer;		/* until opened */
	struct framing	 framing;
	struct buf	 held;		/* G2 */
	bool		 opened, begun, stream_open, ended, dropped, calm;
	bool		 connection_held;
	const char	*peer;		/* what it is called in sentences */
	char		 address[64], why[WHY_BYTES];
};

/* Of a stream's end, by its number. */
static const char *const statuses[] = {
	"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED",
	"NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
	"RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED",
	"OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE",
	"DATA_LOSS", "UNAUTHENTICATED",
};

static struct grpc *
stream_grpc(struct h2_stream *s)
{
	return (struct grpc *)(void *)s;
}

static struct grpc *
conn_grpc(struct conn *c)
{
	return CONTAINER(c, struct grpc, conn);
}

/* ---- the end ---- */

static void	peer_end(struct grpc *g, const char *fmt, ...)
		    __attribute__((format(printf, 2, 3)));

/* The sentence is about the peer, and begins with its name. */
static void
peer_end(struct grpc *g, const char *fmt, ...)
{
	char text[WHY_BYTES], why[WHY_BYTES];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	snprintf(why, sizeof(why), "%.99s%.400s", g->peer, text);
	grpc_end(g, why);
}

void
grpc_end(struct grpc *g, const char *why)
{
	if (g->ended)
		return;
	g->ended = true;
	snprintf(g->why, sizeof(g->why), "%s", why);
	if (g->stream_open)
		h2_reset(&g->stream, H2_CANCEL);
	conn_end(&g->conn, CONN_END_LOCAL, NULL);
}

void
grpc_drop(struct grpc *g)
{
	g->dropped = true;
	grpc_end(g, "");
}

void
grpc_close(struct grpc *g)
{
	g->dropped = g->ended = true;
	conn_close(&g->conn);
}

static void
grpc_free(struct grpc *g)
{
	timer_stop(&g->io->loop->timers, &g->timer);
	framing_fini(&g->framing);
	buf_fini(&g->held);
	free(g);
}

static void
on_closed(struct conn *c)
{
	struct grpc *g = conn_grpc(c);

	if (!g->ended)
		snprintf(g->why, sizeof(g->why), "%s%s", c->end ==
		    CONN_END_CONNECT ? "could not connect: " : c->end ==
		    CONN_END_TLS || c->end == CONN_END_CONNECT_TIMEOUT ? "" :
		    "the connection ended: ", c->why);
	g->ended = true;
	if (!g->dropped)
		g->events->ended(g->arg, g, g->why);
	grpc_free(g);
}

/* ---- what comes ---- */

static bool
may_hand_over(struct grpc *g)
{
	return !g->ended && g->events->ready(g->arg, g);
}

/* Hands over what it can; returns how many of n bytes were taken. */
static size_t
take_in(struct grpc *g, const uint8_t *p, size_t n)
{
	const uint8_t *at = p, *end = p + n;
	char why[WHY_BYTES];

	while (at < end && may_hand_over(g)) {
		switch (framing_take(&g->framing, &at, end, why,
		    sizeof(why))) {
		case 1:
			g->events->message(g->arg, g, g->framing.bytes,
			    g->framing.len);
			framing_reset(&g->framing);
			break;
		case -1:
			grpc_end(g, why);
			break;
		}
	}
	return (size_t)(at - p);
}

static void
on_data(struct h2_stream *s, const uint8_t *p, size_t n)
{
	struct grpc *g = stream_grpc(s);
	size_t taken = buf_len(&g->held) > 0 ? 0 : take_in(g, p, n);

	if (g->ended)
		return;
	if (taken < n && !buf_put(&g->held, p + taken, n - taken))
		grpc_end(g, "no memory");
	else
		h2_consume(s, taken);
}

void
grpc_resume(struct grpc *g)
{
	size_t n = buf_len(&g->held), taken;

	if (g->ended || n == 0)
		return;
	taken = take_in(g, g->held.data + g->held.pos, n);
	if (taken > 0)
		buf_take(&g->held, taken);
	if (taken == n)
		buf_fini(&g->held);
	if (!g->ended && g->stream_open)
		h2_consume(&g->stream, taken);
}

/* ---- how the server ends it ---- */

static void
status_end(struct grpc *g, const struct header *status,
    const struct headers *h)
{
	const struct header *message = headers_find(h, HEADER_grpc_message);
	char text[MESSAGE_BYTES] = "", number[16];
	unsigned long code;
	const char *name = number;

	snprintf(number, sizeof(number), "%.*s", (int)(status->value_len < 9 ?
	    status->value_len : 9), (const char *)status->value);
	code = strtoul(number, NULL, 10);
	if (number[0] >= '0' && number[0] <= '9' &&
	    code < sizeof(statuses) / sizeof(statuses[0]))
		name = statuses[code];
	if (g->connection_held && name == statuses[0])
		return;
	if (message != NULL)
		percent_decode(message->value, message->value_len, text,
		    sizeof(text));
	peer_end(g, " ended the stream: %s%s%s", name, text[0] == '\0' ? "" :
	    ": ", text);
}

/* The last block: its status, or that it has none. */
static void
block_end(struct grpc *g, const struct headers *h)
{
	const struct header *status = h == NULL ? NULL :
	    headers_find(h, HEADER_grpc_status);

	if (status != NULL)
		status_end(g, status, h);
	else
		peer_end(g, " ended the stream without a grpc-status");
}

static void
answer_check(struct grpc *g, const struct headers *h)
{
	static const char grpc[] = "application/grpc";
	const struct header *status = headers_find(h, HEADER_status);
	const struct header *type = headers_find(h, HEADER_content_type);
	char why[WHY_BYTES];

	if (status->value_len != 3 || memcmp(status->value, "200", 3) != 0)
		snprintf(why, sizeof(why), "%s answered with HTTP status "
		    "%.*s", g->peer, (int)status->value_len,
		    (const char *)status->value);
	else if (type == NULL || type->value_len < sizeof(grpc) - 1 ||
	    memcmp(type->value, grpc, sizeof(grpc) - 1) != 0)
		snprintf(why, sizeof(why), "what answered is no gRPC server: "
		    "content-type %.*s", type == NULL ? 4 :
		    (int)(type->value_len < 100 ? type->value_len : 100),
		    type == NULL ? "none" : (const char *)type->value);
	else
		return;
	grpc_end(g, why);
}

static void
on_headers(struct h2_stream *s, struct headers *h, bool end)
{
	struct grpc *g = stream_grpc(s);

	if (h == NULL) {
		peer_end(g, "'s headers are too large");
		return;
	}
	if (headers_find(h, HEADER_grpc_status) == NULL)
		answer_check(g, h);
	if (end)
		block_end(g, h);
	headers_put(h);
}

static void
on_end(struct h2_stream *s, struct headers *trailers)
{
	block_end(stream_grpc(s), trailers);
	if (trailers != NULL)
		headers_put(trailers);
}

static void
on_stream_closed(struct h2_stream *s, enum h2_close why)
{
	struct grpc *g = stream_grpc(s);

	g->stream_open = false;
	switch (why) {
	case H2_CLOSE_RESET:
		peer_end(g, " reset the stream (error code %u)",
		    s->peer_code);
		break;
	case H2_CLOSE_REFUSED:
		peer_end(g, " refused the stream");
		break;
	case H2_CLOSE_PROTOCOL:
		peer_end(g, " broke HTTP/2 on the stream");
		break;
	case H2_CLOSE_CONNECTION:	/* on_closed knows more */
	case H2_CLOSE_LOCAL:
	case H2_CLOSE_DONE:		/* after on_end */
		break;
	}
}

static void
on_goaway(void *owner)
{
	struct grpc *g = conn_grpc(owner);

	g->calm = h2_goaway_code(g->conn.h2) == H2_ENHANCE_YOUR_CALM;
	peer_end(g, g->calm ? " sends us away (GOAWAY, ENHANCE_YOUR_CALM): we "
	    "ask too often whether it is there" : " is leaving (GOAWAY)");
}

bool
grpc_was_asked_for_calm(const struct grpc *g)
{
	return g->calm;
}

/* ---- beginning ---- */

static void
on_connected(struct conn *c)
{
	(void)c;			/* its SETTINGS are still to come */
}

static void
on_settings(void *owner)
{
	struct grpc *g = conn_grpc(owner);

	if (g->opened || g->ended)
		return;
	g->opened = true;
	timer_stop(&g->io->loop->timers, &g->timer);
	g->events->opened(g->arg, g);
}

static void
on_late(struct timer *t)
{
	struct grpc *g = CONTAINER(t, struct grpc, timer);

	switch (g->conn.state) {
	case CONN_CONNECTING:
		grpc_end(g, "the connection was not made in time");
		break;
	case CONN_HANDSHAKE:
		grpc_end(g, "the TLS handshake took too long");
		break;
	case CONN_OPEN:
	case CONN_LINGER:
		grpc_end(g, "the server did not speak HTTP/2 in time");
		break;
	}
}

static void
on_sent(struct h2_stream *s, size_t n)
{
	struct grpc *g = stream_grpc(s);

	(void)n;
	if (!g->ended && g->events->sent != NULL)
		g->events->sent(g->arg, g);
}

static struct h2_stream *
on_push(void *owner)
{
	(void)owner;
	return NULL;
}

static const struct h2_events session_events = {
	.open = on_push, .headers = on_headers, .data = on_data,
	.end = on_end, .sent = on_sent, .closed = on_stream_closed,
	.goaway = on_goaway, .room = on_settings, .wake = conn_wake,
};
static const struct conn_events connection_events = {
	.opened = on_connected, .closed = on_closed,
};

static bool
connect_to(struct grpc *g, const struct grpc_settings *s)
{
	struct conn_settings c = {
	    .h2 = { .max_concurrent_streams = 1,
		.stream_window_bytes = GRPC_WINDOW_BYTES,
		.connection_window_bytes = GRPC_WINDOW_BYTES,
		.hpack_table_bytes = 4096,
		.header_bytes_max = STREAM_HEADER_BYTES,
		.header_count_max = 100, .limits = H2_LIMITS_DEFAULT },
	    .h2_events = &session_events, .events = &connection_events,
	    .tls = s->tls, .secret = true, .keepalive_ms = s->keepalive_ms,
	    .keepalive_timeout_ms = s->keepalive_timeout_ms };

	errno = 0;
	return conn_connect(&g->conn, g->io,
	    (const struct sockaddr *)s->address, s->address->ss_family ==
	    AF_INET6 ? sizeof(struct sockaddr_in6) :
	    sizeof(struct sockaddr_in), &c);
}

struct grpc *
grpc_open(struct io *io, const struct grpc_settings *s,
    const struct grpc_events *e, void *arg, char *why, size_t why_len)
{
	struct grpc *g = calloc(1, sizeof(*g));

	if (g == NULL) {
		snprintf(why, why_len, "no memory");
		return NULL;
	}
	g->io = io;
	g->events = e;
	g->arg = arg;
	g->connection_held = s->held;
	g->peer = s->peer == NULL ? "the control plane" : s->peer;
	g->timer.fire = on_late;
	framing_init(&g->framing, s->message_bytes_max);
	buf_init(&g->held, io->sys);
	g->held.secret = true;		/* a control plane sends keys */
	address_print(s->address, g->address, sizeof(g->address));
	if (!connect_to(g, s)) {
		snprintf(why, why_len, "could not connect: %s",
		    errno == 0 ? "no memory" : strerror(errno));
		grpc_free(g);
		return NULL;
	}
	if (s->connect_timeout_ms > 0)
		timer_start(&io->loop->timers, &g->timer, io->loop->now,
		    s->connect_timeout_ms);
	return g;
}

/* ---- what goes ---- */

static struct headers *
head_new(struct grpc *g, const char *authority, const char *path,
    const struct grpc_pair *metadata, size_t metadata_n)
{
	struct headers *h = headers_new(&g->io->mem);
	bool ok = h != NULL &&
	    headers_add_text(h, ":method", "POST") &&
	    headers_add_text(h, ":scheme",
	    g->conn.tls == NULL ? "http" : "https") &&
	    headers_add_text(h, ":path", path) &&
	    headers_add_text(h, ":authority", authority) &&
	    headers_add_text(h, "content-type", "application/grpc") &&
	    headers_add_text(h, "te", "trailers") &&
	    headers_add_text(h, "user-agent", "godwit/" GODWIT_VERSION);

	for (size_t i = 0; ok && i < metadata_n; i++)
		ok = headers_add_text(h, metadata[i].name, metadata[i].value);
	if (ok || h == NULL)
		return h;
	headers_put(h);
	return NULL;
}

bool
grpc_begin(struct grpc *g, const char *authority, const char *path,
    const struct grpc_pair *metadata, size_t metadata_n)
{
	struct headers *h = head_new(g, authority, path, metadata,
	    metadata_n);

	if (h == NULL)
		return false;
	g->begun = g->stream_open = h2_request(g->conn.h2, &g->stream, h,
	    false);
	headers_put(h);
	return g->begun;
}

bool
grpc_has_room(const struct grpc *g)
{
	return !g->ended && g->stream_open &&
	    g->stream.out.bytes < GRPC_OUT_BYTES;
}

bool
grpc_send(struct grpc *g, const uint8_t *bytes, size_t n)
{
	uint8_t prefix[FRAMING_PREFIX_BYTES];

	framing_prefix(prefix, (uint32_t)n);
	return h2_data(&g->stream, prefix, sizeof(prefix)) &&
	    (n == 0 || h2_data(&g->stream, bytes, n));
}

void
grpc_half_close(struct grpc *g)
{
	if (!g->ended && g->stream_open)
		(void)h2_end(&g->stream, NULL);
}

const char *
grpc_address(const struct grpc *g)
{
	return g->address;
}
