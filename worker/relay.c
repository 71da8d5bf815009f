/* worker/relay.c - see relay.h. */
#include "worker/relay.h"

#include <assert.h>
#include <string.h>

#include "worker/attempt.h"
#include "worker/change.h"
#include "worker/filter.h"
#include "worker/reply.h"
#include "worker/request_id.h"
#include "worker/retry.h"
#include "worker/route.h"

static struct stream *
stream_of(struct h2_stream *h2)
{
	return (struct stream *)(void *)h2;
}

static struct worker *
worker_of(const struct stream *s)
{
	return s->down->worker;
}

/* Bytes came, from either side. */
static void
moved(struct stream *s)
{
	s->deadline.active = worker_of(s)->loop.now;
}

/* ---- the byte budget (I2) ---- */

static struct stream *
longest_stalled(struct worker *w)
{
	struct stream *s, *worst = NULL;

	LIST_FOREACH(s, &w->streams, link) {
		size_t held = s->held_bytes + s->retry.kept.bytes +
		    (s->attempt == NULL ? 0 : s->attempt->held_bytes);

		if (held > 0 && !s->h2.dead &&
		    (worst == NULL || s->moved_ns < worst->moved_ns))
			worst = s;
	}
	return worst;
}

void
relay_reset(struct stream *s, enum h2_error code)
{
	h2_reset(&s->h2, code);
	worker_of(s)->held_bytes -= s->held_bytes;
	s->held_bytes = 0;
}

/* Each turn of the loop leaves one stream less that counts: it is dead then. */
static void
budget_check(struct worker *w)
{
	struct stream *s;

	while (w->held_bytes > w->root->settings.buffer_budget_bytes &&
	    (s = longest_stalled(w)) != NULL) {
		count_one(w->row->worker, COUNT_WORKER_over_budget);
		relay_fail(s, CAUSE_over_budget);
		relay_reset(s, H2_ENHANCE_YOUR_CALM);
	}
}

/* ---- the request ---- */

static struct h2_stream *
down_open(void *owner)
{
	struct downstream *d = owner;
	struct worker *w = d->worker;
	struct stream *s;

	if (w->root == NULL)
		return NULL;
	s = mem_alloc(&w->io.mem, sizeof(*s));
	if (s == NULL)
		return NULL;
	memset(s, 0, sizeof(*s));
	s->down = d;
	s->begun = w->loop.now;
	s->moved_ns = w->loop.now.ns;
	LIST_INSERT_HEAD(&w->streams, s, link);
	count_one(http_counts(d), COUNT_HTTP_downstream_rq_total);
	count_one(http_counts(d), COUNT_HTTP_downstream_rq_active);
	return &s->h2;
}

/* The connection's settings of the generation in use, or NULL: its listener
 * is gone. */
static const struct block_hcm *
hcm_find(const struct worker *w, const struct downstream *d)
{
	const struct block_listener *l = block_listener_find(&w->arena,
	    w->root, d->listener, d->tag);

	return l == NULL ? NULL : arena_at(&w->arena,
	    block_chain_of(&w->arena, l)->hcm);
}

/* A host beside the authority could say something else to whoever comes
 * next; the authority is what was routed. Who a caller is, its certificate
 * says and no header of its own (Envoy's SANITIZE, the default); what a proxy
 * of ours would say to the next one, a caller doesn't. */
static void
claims_drop(struct headers *h)
{
	bool routed = headers_find(h, HEADER_authority) != NULL;

	for (uint32_t i = h->n - 1; i > 0; i--)
		if (header_is_claim(&h->at[i]) ||
		    (routed && h->at[i].id == HEADER_host))
			headers_remove(h, i);
}

/* Why it goes no further than this, or CAUSE_none. */
static enum cause
request_begin(struct stream *s, const struct block_hcm *hcm)
{
	const struct header *path = headers_find(s->request, HEADER_path);

	if (path != NULL)
		last_request(worker_of(s)->row, path->value, path->value_len);
	claims_drop(s->request);
	if (hcm == NULL)
		return CAUSE_listener_removed;
	deadline_begin(s, hcm);
	if (path != NULL && memchr(path->value, '#', path->value_len) != NULL)
		return CAUSE_path_with_fragment;
	return request_id_begin(s, hcm) ? CAUSE_none : CAUSE_no_memory;
}

/* The request's headers, or trailers after them. */
static void
too_large(struct stream *s)
{
	if (s->request == NULL) {
		s->request = headers_get(s->h2.in);
		s->grpc = route_is_grpc(s->request);
	}
	count_one(http_counts(s->down), COUNT_HTTP_downstream_rq_too_large);
	relay_fail(s, CAUSE_headers_too_large);
}

static void
down_headers(struct h2_stream *h2, struct headers *h, bool end)
{
	struct stream *s = stream_of(h2);
	const struct block_hcm *hcm = hcm_find(worker_of(s), s->down);
	enum cause cause;

	s->request_ended = end;
	if (h == NULL) {
		too_large(s);
		return;
	}
	s->request = h;
	s->grpc = route_is_grpc(h);
	cause = request_begin(s, hcm);
	if (cause == CAUSE_none)
		filter_headers(s, hcm);
	else
		relay_fail(s, cause);
}

static void
down_data(struct h2_stream *h2, const uint8_t *p, size_t n)
{
	struct stream *s = stream_of(h2);

	if (s->answer_ended)
		return;			/* the caller is told to stop */
	moved(s);
	filter_data(s, p, n);
	budget_check(worker_of(s));
}

static void
down_end(struct h2_stream *h2, struct headers *trailers)
{
	struct stream *s = stream_of(h2);

	s->request_ended = true;
	moved(s);
	if (!s->answer_ended)
		filter_end(s, trailers);
	if (trailers != NULL)
		headers_put(trailers);
}

void
relay_request_sent(struct stream *s, size_t n)
{
	s->moved_ns = worker_of(s)->loop.now.ns;
	h2_consume(&s->h2, n);
}

/* ---- the answer ---- */

static void
answer_done(struct stream *s)
{
	s->answer_ended = true;
	deadline_answer_end(s);
	retry_commit(s);
	if (s->attempt != NULL && !s->request_ended)
		attempt_drop(s->attempt, H2_CANCEL);
}

void
relay_answer(struct stream *s, struct headers *h, bool end)
{
	assert(!s->answer_started);
	s->answer_started = true;
	moved(s);
	retry_commit(s);
	if (!change_answer(s, h) || !h2_answer(&s->h2, h, end))
		relay_reset(s, H2_INTERNAL_ERROR);
	headers_put(h);
	if (end)
		answer_done(s);
}

void
relay_answer_data(struct stream *s, const uint8_t *p, size_t n)
{
	struct worker *w = worker_of(s);

	if (s->h2.dead)
		return;
	s->held_bytes += n;
	w->held_bytes += n;
	moved(s);
	if (!h2_data(&s->h2, p, n))
		relay_fail(s, CAUSE_no_memory);
	budget_check(w);
}

void
relay_answer_end(struct stream *s, struct headers *trailers)
{
	if (!s->h2.dead)
		h2_end(&s->h2, trailers);
	if (trailers != NULL)
		headers_put(trailers);
	answer_done(s);
}

static void
down_sent(struct h2_stream *h2, size_t n)
{
	struct stream *s = stream_of(h2);

	s->held_bytes -= n;
	worker_of(s)->held_bytes -= n;
	s->moved_ns = worker_of(s)->loop.now.ns;
	if (s->attempt != NULL)
		h2_consume(&s->attempt->h2, n);
}

/* ---- ends ---- */

void
relay_fail(struct stream *s, enum cause cause)
{
	struct worker *w = worker_of(s);

	if (s->answer_ended || s->h2.dead)
		return;
	s->cause = cause;
	count_one(w->row->cause, cause);
	if (s->attempt != NULL)
		attempt_drop(s->attempt, H2_CANCEL);
	if (!s->answer_started)
		reply_whole(s);
	else if (s->grpc)
		reply_trailers(s);
	else
		relay_reset(s, H2_INTERNAL_ERROR);
	s->answer_started = true;
	answer_done(s);
}

static void
close_count(struct stream *s, enum h2_close why)
{
	count *http = http_counts(s->down);
	count *causes = worker_of(s)->row->cause;

	count_less(http, COUNT_HTTP_downstream_rq_active);
	switch (why) {
	case H2_CLOSE_DONE:
		count_one(http, COUNT_HTTP_downstream_rq_completed);
		break;
	case H2_CLOSE_RESET:
	case H2_CLOSE_REFUSED:
		count_one(http, COUNT_HTTP_downstream_rq_rx_reset);
		count_one(causes, CAUSE_caller_reset);
		break;
	case H2_CLOSE_CONNECTION:
		count_one(causes, CAUSE_caller_gone);
		break;
	case H2_CLOSE_PROTOCOL:
	case H2_CLOSE_LOCAL:
		count_one(http, COUNT_HTTP_downstream_rq_tx_reset);
		break;
	}
}

static void
down_closed(struct h2_stream *h2, enum h2_close why)
{
	struct stream *s = stream_of(h2);
	struct worker *w = worker_of(s);

	close_count(s, why);
	/* Whatever the end: who timed out or gave up waited longest. */
	time_observe(s->down->times, HISTOGRAM_HTTP_downstream_rq_time, s->begun,
	    w->loop.now);
	deadline_end(s);
	if (s->attempt != NULL)
		attempt_drop(s->attempt, H2_CANCEL);		/* I3 */
	retry_commit(s);
	if (s->request != NULL)
		headers_put(s->request);
	if (s->plan != NULL)
		plan_put(s->plan);
	w->held_bytes -= s->held_bytes;
	LIST_REMOVE(s, link);
	mem_free(&w->io.mem, s);
}

static void
down_ignored(void *owner)
{
	(void)owner;		/* callers need not say so; their end will */
}

const struct h2_events relay_events = {
	.open = down_open,
	.headers = down_headers,
	.data = down_data,
	.end = down_end,
	.sent = down_sent,
	.closed = down_closed,
	.goaway = down_ignored,
	.room = down_ignored,
	.wake = conn_wake,
};
