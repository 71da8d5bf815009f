/* worker/attempt.c - see attempt.h. */
#include "worker/attempt.h"

#include <string.h>

#include "worker/pool.h"
#include "worker/relay.h"

enum { DEADLINE_RACE_MS = 2 };	/* two clocks, each rounded up */

static struct attempt *
attempt_of(struct h2_stream *h2)
{
	return (struct attempt *)(void *)h2;
}

/* Every attempt is counted here once and, in attempt_free, back once. */
static void
attempt_count(const struct upstream *u)
{
	count_one(u->counts->cluster, COUNT_CLUSTER_upstream_rq_total);
	count_one(u->counts->cluster, COUNT_CLUSTER_upstream_rq_active);
	word_share_add(u->worker->words, u->worker->row, WORD_active,
	    u->endpoint, u->endpoint_tag);
}

static void
attempt_free(struct attempt *a)
{
	struct upstream *u = a->upstream;

	count_less(u->counts->cluster, COUNT_CLUSTER_upstream_rq_active);
	word_share_sub(u->worker->words, u->worker->row, WORD_active,
	    u->endpoint, u->endpoint_tag);
	u->worker->held_bytes -= a->held_bytes;
	mem_free(&u->worker->io.mem, a);
}

bool
attempt_begin(struct stream *s, struct upstream *u)
{
	struct attempt *a = mem_alloc(&u->worker->io.mem, sizeof(*a));

	if (a == NULL)
		return false;
	memset(a, 0, sizeof(*a));
	a->upstream = u;
	attempt_count(u);
	a->begun = u->worker->loop.now;
	if (!h2_request(u->conn.h2, &a->h2, s->request, s->request_ended)) {
		attempt_free(a);
		return false;
	}
	a->stream = s;
	s->attempt = a;
	if (a->h2.id >= u->worker->stream_id_max)
		pool_retire(u);
	return true;
}

void
attempt_drop(struct attempt *a, enum h2_error code)
{
	a->stream->attempt = NULL;
	a->stream = NULL;
	if (a->h2.in_ended && a->h2.out_ended)
		return;			/* it closes by itself */
	count_one(a->upstream->counts->cluster,
	    COUNT_CLUSTER_upstream_rq_tx_reset);
	h2_reset(&a->h2, code);
}

/* ---- from the service ---- */

static void
up_headers(struct h2_stream *h2, struct headers *h, bool end)
{
	struct attempt *a = attempt_of(h2);

	if (a->stream == NULL && h != NULL)
		headers_put(h);
	else if (h == NULL && a->stream != NULL)
		relay_fail(a->stream, CAUSE_service_protocol_error);
	else if (a->stream != NULL)
		relay_answer(a->stream, h, end);
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
	a->upstream->worker->held_bytes -= n;
	if (a->stream != NULL)
		relay_request_sent(a->stream, n);
}

static enum cause
cause_of_conn(enum conn_end end)
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
	switch (why) {
	case H2_CLOSE_REFUSED:
		return CAUSE_service_refused;
	case H2_CLOSE_PROTOCOL:
		return CAUSE_service_protocol_error;
	case H2_CLOSE_CONNECTION:
		return cause_of_conn(a->upstream->conn.end);
	case H2_CLOSE_RESET:
		return cause_of_reset(a);
	case H2_CLOSE_DONE:
	case H2_CLOSE_LOCAL:
		break;
	}
	return CAUSE_service_reset;
}

static void
up_closed(struct h2_stream *h2, enum h2_close why)
{
	struct attempt *a = attempt_of(h2);
	struct upstream *u = a->upstream;
	struct stream *s = a->stream;
	count *counts = u->counts->cluster;
	enum cause cause = cause_of(a, why);

	if (why == H2_CLOSE_DONE) {
		count_one(counts, COUNT_CLUSTER_upstream_rq_completed);
		time_observe(u->times, HISTOGRAM_CLUSTER_upstream_rq_time,
		    a->begun, u->worker->loop.now);
	}
	if (why == H2_CLOSE_RESET || why == H2_CLOSE_REFUSED)
		count_one(counts, COUNT_CLUSTER_upstream_rq_rx_reset);
	if (s != NULL)
		s->attempt = NULL;
	attempt_free(a);
	if (s != NULL)
		relay_fail(s, cause);
	pool_idle(u);
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
	pool_retire(owner);
}

const struct h2_events attempt_events = {
	.open = up_open,
	.headers = up_headers,
	.data = up_data,
	.end = up_end,
	.sent = up_sent,
	.closed = up_closed,
	.goaway = up_goaway,
	.wake = conn_wake,
};
