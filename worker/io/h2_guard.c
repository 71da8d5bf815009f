/* worker/io/h2_guard.c - see h2_guard.h. */
#include "worker/io/h2_guard.h"

/*
 * What no field says. Each is far above what gRPC's libraries do, and so low
 * that what it lets through costs less than the calls that the same bytes
 * could have been.
 */
enum {
	/* A caller gone within this time, unanswered: a cheap request. One that
	 * waits longer holds its place among max_concurrent_streams, which
	 * then is the limit. */
	PREMATURE_MS = 100,
	/* gRPC's hedging begins at most 5 attempts for a call and resets 4. */
	RESETS_PER_ANSWER = 4,
	BLOCK_MS = 30000,		/* a header block, whole */
	FILL_MS_MAX = 1000000000,
	CONTINUATIONS = 16, CONTINUATION_BYTES = 1024,
	/* Envoy's, whose windows open with 2 for a stream and 5 otherwise. */
	/* A stream's window full of frames with 16 bytes: a small message. */
	CLOSED = 1000, CLOSED_PER_RESET = 16384,
	WINDOW_UPDATES = 5, WINDOW_UPDATES_PER_STREAM = 2,
};

static const struct fill {
	uint32_t	burst, a_second;
} tiny = { 1000, 100 }, control = { 100, 10 };

static const char *const sentences[] = {
	"",
#define GUARD(side, id, sentence) sentence,
#include "worker/io/h2_guard.def"
#undef GUARD
};

const char *
guard_sentence(enum h2_guard guard)
{
	return sentences[guard];
}

bool
guard_break(struct guards *g, enum h2_guard guard)
{
	if (g->broken == H2_GUARD_NONE)
		g->broken = guard;
	return false;
}

/* ---- buckets ---- */

static struct fill
reset_fill(const struct guards *g)
{
	return (struct fill){ g->limits.reset_burst, g->limits.reset_rate };
}

static void
bucket_give(struct guard_bucket *b, struct fill f, uint64_t n)
{
	b->left = n < f.burst - b->left ? b->left + (uint32_t)n : f.burst;
}

/* By the time since the last filling, so that nothing is to do until it is
 * empty; less than one token waits. */
static void
bucket_fill(const struct guards *g, struct guard_bucket *b, struct fill f)
{
	int64_t ms = (g->now->ns - b->filled_ns) / 1000000;
	uint64_t n = (uint64_t)(ms < FILL_MS_MAX ? ms : FILL_MS_MAX) *
	    f.a_second / 1000;

	if (n == 0)
		return;
	b->filled_ns = g->now->ns;
	bucket_give(b, f, n);
}

/* good: deeds so far, of which each pays for one more. Old ones are no
 * credit: those since the last filling count, up to a full bucket. */
static bool
bucket_take(const struct guards *g, struct guard_bucket *b, struct fill f,
    uint64_t good)
{
	if (b->left == 0) {
		bucket_fill(g, b, f);
		bucket_give(b, f, good - b->paid);
		b->paid = good;
	}
	if (b->left == 0)
		return false;
	b->left--;
	return true;
}

static void
bucket_init(const struct guards *g, struct guard_bucket *b, struct fill f)
{
	*b = (struct guard_bucket){ .left = f.burst, .filled_ns = g->now->ns };
}

uint32_t
guard_continuations_max(uint32_t header_bytes_max)
{
	return CONTINUATIONS + header_bytes_max / CONTINUATION_BYTES;
}

void
guards_init(struct guards *g, const struct h2_limits *limits, bool server,
    uint32_t header_bytes_max, const struct mono *now)
{
	*g = (struct guards){ .now = now, .limits = *limits, .server = server,
	    .continuations_max = guard_continuations_max(header_bytes_max) };
	bucket_init(g, &g->tiny_frames, tiny);
	bucket_init(g, &g->tiny_windows, tiny);
	bucket_init(g, &g->settings, control);
	bucket_init(g, &g->pings, control);
	bucket_init(g, &g->unknown_frames, control);
	bucket_init(g, &g->resets, reset_fill(g));
}

/* ---- frames that came ---- */

/* DATA, HEADERS, CONTINUATION: one with content sets the count to 0. */
static bool
content(struct guards *g, uint32_t bytes, bool end)
{
	if (bytes > 0 || end)
		g->empty_frames = 0;
	else if (++g->empty_frames > g->limits.empty_frames)
		return guard_break(g, H2_GUARD_empty_frames);
	return true;
}

/* A larger frame pays for a tiny one. */
static bool
small_data(struct guards *g, uint32_t bytes, bool end)
{
	return content(g, bytes, end) && (end ||
	    bucket_take(g, &g->tiny_frames, tiny, g->usual) ||
	    guard_break(g, H2_GUARD_tiny_frames));
}

static bool
continuation(struct guards *g, uint32_t bytes)
{
	if (++g->continuations > g->continuations_max)
		return guard_break(g, H2_GUARD_continuations);
	return content(g, bytes, false);
}

static bool
headers(struct guards *g, uint32_t bytes, bool end)
{
	g->continuations = 0;
	return content(g, bytes, end);
}

static bool
priority(struct guards *g)
{
	return ++g->priority_frames <=
	    (1 + g->opened) * g->limits.priority_frames ||
	    guard_break(g, H2_GUARD_priority_frames);
}

static bool
window_update(struct guards *g)
{
	return ++g->window_updates <= WINDOW_UPDATES +
	    WINDOW_UPDATES_PER_STREAM * (g->opened +
	    g->data_sent * g->limits.window_updates) ||
	    guard_break(g, H2_GUARD_window_updates);
}

static bool
ping(struct guards *g)
{
	return bucket_take(g, &g->pings, control, g->data_sent) ||
	    guard_break(g, H2_GUARD_pings);
}

bool
guard_other_frame(struct guards *g, uint8_t type, uint32_t bytes, bool end)
{
	switch (type) {
	case GUARD_DATA:
		return small_data(g, bytes, end);
	case GUARD_HEADERS:
		return headers(g, bytes, end);
	case GUARD_CONTINUATION:
		return continuation(g, bytes);
	case GUARD_WINDOW_UPDATE:
		return window_update(g);
	case GUARD_PRIORITY:
		return priority(g);
	case GUARD_PING:
		return ping(g);
	case GUARD_SETTINGS:
	case GUARD_GOAWAY:
		return bucket_take(g, &g->settings, control, 0) ||
		    guard_break(g, H2_GUARD_settings);
	case GUARD_RST_STREAM:
	case GUARD_PUSH_PROMISE:
		return true;		/* guard_reset; an error anyway */
	default:
		return bucket_take(g, &g->unknown_frames, control, 0) ||
		    guard_break(g, H2_GUARD_unknown_frames);
	}
}

bool
guard_block(struct guards *g, struct mono begun, int64_t *left_ms)
{
	*left_ms = BLOCK_MS - mono_between_ms(begun, *g->now);
	return *left_ms > 0 || guard_break(g, H2_GUARD_slow_headers);
}

/* ---- requests that come to nothing ---- */

/* Only callers open streams, so that a service's resets end calls of ours
 * and no more. */
bool
guard_reset(struct guards *g)
{
	return !g->server ||
	    bucket_take(g, &g->resets, reset_fill(g),
	    g->answered * RESETS_PER_ANSWER) ||
	    guard_break(g, H2_GUARD_resets);
}

bool
guard_reset_by_peer(struct guards *g, struct mono begun)
{
	return mono_between_ms(begun, *g->now) >= PREMATURE_MS ||
	    guard_reset(g);
}

bool
guard_closed(struct guards *g, uint64_t frames)
{
	return frames <= CLOSED + CLOSED_PER_RESET * g->resets_sent ||
	    guard_break(g, H2_GUARD_closed_streams);
}

/* ---- what goes ---- */

bool
guard_window(struct guards *g, size_t bytes)
{
	if (bytes >= GUARD_TINY_BYTES)
		return true;
	if (!bucket_take(g, &g->tiny_windows, tiny,
	    g->data_sent - g->tiny_sent))
		return guard_break(g, H2_GUARD_tiny_windows);
	g->tiny_sent++;			/* and soon one of data_sent */
	return true;
}

/* Requests that wait are ours; who else limits them is max_requests. */
bool
guard_outbound(struct guards *g, uint64_t frames, uint64_t control_frames)
{
	if (control_frames > g->limits.outbound_control_frames)
		return guard_break(g, H2_GUARD_outbound_control_frames);
	if (g->server && frames > g->limits.outbound_frames)
		return guard_break(g, H2_GUARD_outbound_frames);
	return true;
}
