/* worker/attempt.c - see attempt.h. */
#include "worker/attempt.h"

#include <assert.h>
#include <string.h>

#include "worker/pool.h"
#include "worker/relay.h"
#include "worker/retry.h"
#include "worker/upstream.h"

enum { DEADLINE_RACE_MS = 2 };	/* two clocks, each rounded up */

static void	attempt_fire(struct timer *t);

static struct attempt *
attempt_of(struct h2_stream *h2)
{
	return (struct attempt *)(void *)h2;
}

static struct worker *
worker_of(const struct attempt *a)
{
	return a->host->worker;
}

/* ---- before it is sent ---- */

struct attempt *
attempt_new(struct stream *s, struct host *h)
{
	struct attempt *a = mem_alloc(&h->worker->io.mem, sizeof(*a));

	assert(s->attempt == NULL);
	if (a == NULL)
		return NULL;
	memset(a, 0, sizeof(*a));
	a->host = h;
	a->stream = s;
	a->timer.fire = attempt_fire;
	s->attempt = a;
	return a;
}

/* Its stream has none. */
static struct stream *
part(struct attempt *a)
{
	struct stream *s = a->stream;

	if (s != NULL)
		s->attempt = NULL;
	a->stream = NULL;
	timer_stop(&worker_of(a)->loop.timers, &a->timer);
	return s;
}

void
attempt_free(struct attempt *a)
{
	struct host *h = a->host;

	part(a);
	mem_free(&h->worker->io.mem, a);
	host_put(h);
}

void
attempt_fail(struct attempt *a, enum cause cause)
{
	struct stream *s = part(a);

	attempt_free(a);
	if (cause != CAUSE_none)
		retry_failed(s, cause);
	else if (!retry_move(s))
		retry_failed(s, CAUSE_connection_lost);
}

/* ---- sending ---- */

/* Every attempt that is sent is counted here once and, in up_closed, back. */
static void
sent_count(const struct attempt *a)
{
	const struct host *h = a->host;

	count_one(h->counts->cluster, COUNT_CLUSTER_upstream_rq_total);
	count_one(h->counts->cluster, COUNT_CLUSTER_upstream_rq_active);
	word_share_add(h->worker->words, h->worker->row, WORD_active,
	    h->endpoint, h->endpoint_tag);
}

static void
sent_uncount(const struct attempt *a)
{
	const struct host *h = a->host;

	count_less(h->counts->cluster, COUNT_CLUSTER_upstream_rq_active);
	word_share_sub(h->worker->words, h->worker->row, WORD_active,
	    h->endpoint, h->endpoint_tag);
	host_word_sub(h, WORD_requests);
	h->worker->held_bytes -= a->held_bytes;
}

/* What the service did not take is dropped. */
static void
reset(struct attempt *a, enum h2_error code)
{
	h2_reset(&a->h2, code);
	worker_of(a)->held_bytes -= a->held_bytes;
	a->held_bytes = 0;
}

/* What came of the request so far. */
static bool
body_send(struct attempt *a, bool ended)
{
	struct retry *r = &a->stream->retry;
	size_t n = r->kept.bytes;

	r->keeps = retry_keeps(a->stream);
	if (n > 0) {
		if (!h2_data_chunks(&a->h2, &r->kept, r->keeps))
			return false;
		a->held_bytes += n;
		if (r->keeps)
			worker_of(a)->held_bytes += n;
	}
	return ended || !r->ended || h2_end(&a->h2, r->trailers);
}

enum cause
attempt_submit(struct attempt *a, struct upstream *u,
    const struct block_cluster *c)
{
	struct stream *s = a->stream;
	struct host *h = a->host;
	bool ended = s->retry.ended && s->retry.kept.bytes == 0 &&
	    s->retry.trailers == NULL;

	if (host_word_add(h, WORD_requests) > c->breaker.requests_max) {
		host_word_sub(h, WORD_requests);
		count_one(h->counts->cluster,
		    COUNT_CLUSTER_upstream_rq_pending_overflow);
		return CAUSE_overflow;
	}
	if (!h2_request(u->conn.h2, &a->h2, s->request, ended)) {
		host_word_sub(h, WORD_requests);
		return CAUSE_no_memory;
	}
	a->upstream = u;
	a->early = !h2_settled(u->conn.h2);
	a->begun = h->worker->loop.now;
	sent_count(a);
	if (!body_send(a, ended)) {
		a->cause = CAUSE_no_memory;
		reset(a, H2_CANCEL);
	}
	if (s->retry.ended)
		attempt_request_end(a);
	if (a->h2.id >= h->worker->stream_id_max)
		upstream_retire(u);
	return CAUSE_none;
}

void
attempt_send(struct attempt *a, struct upstream *u)
{
	struct host *h = a->host;
	const struct block_cluster *c = block_cluster_find(&h->worker->arena,
	    h->worker->root, h->cluster);
	enum cause cause;

	if (c == NULL || c->tag != h->cluster_tag) {
		attempt_fail(a, CAUSE_none);
		return;
	}
	cause = attempt_submit(a, u, c);
	if (cause != CAUSE_none)
		attempt_fail(a, cause);
}

/* ---- one try's time ---- */

static void
attempt_fire(struct timer *t)
{
	struct attempt *a = CONTAINER(t, struct attempt, timer);
	struct stream *s = a->stream;

	count_one(a->host->counts->cluster,
	    COUNT_CLUSTER_upstream_rq_per_try_timeout);
	attempt_drop(a, H2_CANCEL);
	retry_failed(s, CAUSE_try_timeout);
}

void
attempt_request_end(struct attempt *a)
{
	struct loop *l = &worker_of(a)->loop;
	uint32_t ms = a->stream->plan->block.per_try_timeout_ms;

	/* Which it limits only until its answer begins. */
	if (ms != 0 && a->upstream != NULL && !a->stream->answer_started)
		timer_start(&l->timers, &a->timer, l->now, ms);
}

void
attempt_answered(struct attempt *a)
{
	timer_stop(&worker_of(a)->loop.timers, &a->timer);
}

void
attempt_drop(struct attempt *a, enum h2_error code)
{
	part(a);
	if (a->upstream == NULL) {
		pool_leave(a);
		attempt_free(a);
		return;
	}
	if (a->h2.in_ended && a->h2.out_ended && a->h2.out.bytes == 0)
		return;			/* it closes by itself */
	count_one(a->host->counts->cluster,
	    COUNT_CLUSTER_upstream_rq_tx_reset);
	reset(a, code);
}

/* ---- from the service ---- */

static void
up_headers(struct h2_stream *h2, struct headers *h, bool end)
{
	struct attempt *a = attempt_of(h2);
	struct stream *s = a->stream;

	if (s == NULL) {
		if (h != NULL)
			headers_put(h);
		return;
	}
	if (h == NULL) {
		relay_fail(s, CAUSE_answer_too_large);
		return;
	}
	if (retry_answer(s, h, end)) {
		headers_put(h);
		return;
	}
	attempt_answered(a);
	relay_answer(s, h, end);
}

static void
up_data(struct h2_stream *h2, const uint8_t *p, size_t n)
{
	struct attempt *a = attempt_of(h2);

	if (a->stream != NULL)
		relay_answer_data(a->stream, p, n);
}

static void
up_end(struct h2_stream *h2, struct headers *trailers)
{
	struct attempt *a = attempt_of(h2);

	if (a->stream != NULL)
		relay_answer_end(a->stream, trailers);
	else if (trailers != NULL)
		headers_put(trailers);
}

static void
up_sent(struct h2_stream *h2, size_t n)
{
	struct attempt *a = attempt_of(h2);

	a->held_bytes -= n;
	a->sent_bytes += n;
	worker_of(a)->held_bytes -= n;
	if (a->stream != NULL)
		retry_sent(a->stream, a->sent_bytes);
}

enum cause
attempt_cause_of(enum conn_end end)
{
	switch (end) {
	case CONN_END_CONNECT:
		return CAUSE_connect_failure;
	case CONN_END_CONNECT_TIMEOUT:
		return CAUSE_connect_timeout;
	case CONN_END_TLS:
		return CAUSE_tls_failure;
	case CONN_END_PROTOCOL:
		return CAUSE_service_protocol_error;
	case CONN_END_NONE:
	case CONN_END_PEER:
	case CONN_END_LOCAL:
		break;
	}
	return CAUSE_connection_lost;
}

/* The service knows the deadline too: where its reset comes with ours, the
 * deadline is why. */
static enum cause
cause_of_reset(const struct attempt *a)
{
	enum cause over = a->stream == NULL ? CAUSE_none :
	    deadline_over(a->stream, DEADLINE_RACE_MS);

	if (a->h2.peer_code == H2_PROTOCOL_ERROR)
		return CAUSE_service_protocol_error;
	return over != CAUSE_none ? over : CAUSE_service_reset;
}

static enum cause
cause_of(const struct attempt *a, enum h2_close why)
{
	if (a->cause != CAUSE_none)
		return a->cause;
	switch (why) {
	case H2_CLOSE_REFUSED:
		return CAUSE_service_refused;
	case H2_CLOSE_PROTOCOL:
		return CAUSE_service_protocol_error;
	case H2_CLOSE_CONNECTION:
		return attempt_cause_of(a->upstream->conn.end);
	case H2_CLOSE_RESET:
		return cause_of_reset(a);
	case H2_CLOSE_DONE:
	case H2_CLOSE_LOCAL:
		break;
	}
	return CAUSE_service_reset;
}

static void
close_count(const struct attempt *a, enum h2_close why)
{
	const struct host *h = a->host;
	count *counts = h->counts->cluster;

	sent_uncount(a);
	if (why == H2_CLOSE_DONE) {
		count_one(counts, COUNT_CLUSTER_upstream_rq_completed);
		time_observe(h->times, HISTOGRAM_CLUSTER_upstream_rq_time,
		    a->begun, h->worker->loop.now);
	}
	if (why == H2_CLOSE_RESET || why == H2_CLOSE_REFUSED)
		count_one(counts, COUNT_CLUSTER_upstream_rq_rx_reset);
}

static void
up_closed(struct h2_stream *h2, enum h2_close why)
{
	struct attempt *a = attempt_of(h2);
	struct upstream *u = a->upstream;
	struct host *h = a->host;
	enum cause cause = cause_of(a, why);
	bool early = a->early && why == H2_CLOSE_REFUSED &&
	    a->h2.peer_code == H2_REFUSED_STREAM;
	struct stream *s = part(a);

	h->refs++;			/* the pump below needs it */
	close_count(a, why);
	attempt_free(a);
	/* Of more than its limit, which we could not know, nothing was lost. */
	if (s != NULL && !(early && retry_move(s)))
		retry_failed(s, cause);
	upstream_idle(u);
	pool_pump(h);
	host_put(h);
}

static struct h2_stream *
up_open(void *owner)
{
	(void)owner;		/* push is switched off */
	return NULL;
}

static void
up_goaway(void *owner)
{
	upstream_retire(owner);
}

static void
up_room(void *owner)
{
	struct upstream *u = owner;

	u->host->streams_seen = h2_streams_max(u->conn.h2);
	pool_pump(u->host);
}

const struct h2_events attempt_events = {
	.open = up_open,
	.headers = up_headers,
	.data = up_data,
	.end = up_end,
	.sent = up_sent,
	.closed = up_closed,
	.goaway = up_goaway,
	.room = up_room,
	.wake = conn_wake,
};
