/* worker/retry.c - see retry.h. */
#include "worker/retry.h"

#include <string.h>

#include "worker/attempt.h"
#include "worker/relay.h"
#include "worker/router.h"

/* Where each connection refuses, or each endpoint goes. */
enum { MOVES_MAX = 8 };

static struct worker *
worker_of(const struct stream *s)
{
	return s->down->worker;
}

static const struct block_plan *
policy_of(const struct stream *s)
{
	return &s->plan->block;
}

static struct row_cluster *
counts_of(const struct stream *s)
{
	return row_cluster(worker_of(s)->row, s->cluster);
}

/* ---- what is kept ---- */

static void
kept_drop(struct stream *s)
{
	struct retry *r = &s->retry;

	worker_of(s)->held_bytes -= r->kept.bytes;
	chunks_drop(&r->kept, &worker_of(s)->io.mem);
	r->keeps = false;
}

static bool
is_sent(const struct stream *s)
{
	return s->attempt != NULL && s->attempt->upstream != NULL &&
	    !s->attempt->h2.dead;
}

/* R1: it is sent, and to a peer whose limits we know. */
static bool
is_bounded(const struct stream *s)
{
	return is_sent(s) && h2_settled(s->attempt->upstream->conn.h2);
}

bool
retry_keeps(const struct stream *s)
{
	return s->retry.keeps && (!is_bounded(s) ||
	    s->retry.kept.bytes <= REPLAY_BYTES_MAX);
}

static bool
keep(struct stream *s, const uint8_t *p, size_t n)
{
	struct retry *r = &s->retry;
	size_t before = r->kept.bytes;
	bool done = chunks_put(&r->kept, &worker_of(s)->io.mem, p, n);

	worker_of(s)->held_bytes += r->kept.bytes - before;
	return done;
}

bool
retry_data(struct stream *s, const uint8_t *p, size_t n)
{
	struct retry *r = &s->retry;

	if (r->keeps && is_bounded(s) &&
	    r->kept.bytes + n > REPLAY_BYTES_MAX)
		kept_drop(s);
	if (r->keeps && !keep(s, p, n)) {
		if (!is_sent(s))
			return false;
		kept_drop(s);
	}
	if (!is_sent(s))
		return true;
	s->attempt->held_bytes += n;
	worker_of(s)->held_bytes += n;
	return h2_data(&s->attempt->h2, p, n);
}

void
retry_request_end(struct stream *s, struct headers *trailers)
{
	struct retry *r = &s->retry;

	r->ended = true;
	if (trailers != NULL && r->keeps)
		r->trailers = headers_get(trailers);
	if (!is_sent(s))
		return;
	h2_end(&s->attempt->h2, trailers);
	attempt_request_end(s->attempt);
}

void
retry_sent(struct stream *s, size_t bytes)
{
	struct retry *r = &s->retry;

	if (bytes <= r->credited_bytes)			/* R2 */
		return;
	relay_request_sent(s, bytes - r->credited_bytes);
	r->credited_bytes = bytes;
}

/* ---- the breaker ---- */

static uint32_t
retries_max(const struct stream *s, const struct block_cluster *c)
{
	struct worker *w = worker_of(s);
	uint64_t open;

	if (c->breaker.retry_budget == BLOCK_NONE)
		return c->breaker.retries_max;
	open = (uint64_t)word_get(w->words, WORD_requests, c->slot, c->tag) +
	    word_get(w->words, WORD_pending, c->slot, c->tag);
	open = open * c->breaker.retry_budget / 10000;
	return open > c->breaker.retry_budget_min ? (uint32_t)open :
	    c->breaker.retry_budget_min;
}

static void
count_end(struct stream *s)
{
	struct worker *w = worker_of(s);

	if (!s->retry.counted)
		return;
	s->retry.counted = false;
	word_share_sub(w->words, w->row, WORD_retries, s->cluster,
	    s->cluster_tag);
}

/* False: the cluster has enough of them. */
static bool
count_begin(struct stream *s)
{
	struct worker *w = worker_of(s);
	const struct block_cluster *c = block_cluster_find(&w->arena, w->root,
	    s->cluster);

	if (c == NULL || c->tag != s->cluster_tag)
		return false;
	s->retry.counted = true;
	if (word_share_add(w->words, w->row, WORD_retries, c->slot, c->tag) <=
	    retries_max(s, c))
		return true;
	count_end(s);
	count_one(counts_of(s)->cluster,
	    COUNT_CLUSTER_upstream_rq_retry_overflow);
	return false;
}

/* ---- another try ---- */

static void
retry_fire(struct timer *t)
{
	struct stream *s = CONTAINER(t, struct stream, retry.timer);
	enum cause cause = router_start(s);

	if (cause != CAUSE_none)
		retry_failed(s, cause);
}

static void
again_after(struct stream *s, int64_t ms)
{
	struct loop *l = &worker_of(s)->loop;

	s->retry.timer.fire = retry_fire;
	timer_start(&l->timers, &s->retry.timer, l->now, ms);
}

/* R3. */
static int64_t
back_off_ms(const struct stream *s)
{
	const struct block_plan *p = policy_of(s);
	struct sys *sys = worker_of(s)->sys;
	uint64_t ms = p->retry_base_ms;

	for (int n = s->retry.done_n; n > 0 && ms < p->retry_max_ms; n--)
		ms *= 2;
	if (ms > p->retry_max_ms)
		ms = p->retry_max_ms;
	return (int64_t)(sys->random(sys->ctx) % ms);
}

/* The policy wants one more, if there may be one. */
static bool
again(struct stream *s)
{
	struct retry *r = &s->retry;

	count_end(s);
	if (!r->keeps)
		return false;
	if (r->done_n >= policy_of(s)->retries_max) {
		if (policy_of(s)->retries_max > 0)
			count_one(counts_of(s)->cluster,
			    COUNT_CLUSTER_upstream_rq_retry_limit_exceeded);
		return false;
	}
	if (!count_begin(s))
		return false;
	count_one(counts_of(s)->cluster, COUNT_CLUSTER_upstream_rq_retry);
	again_after(s, back_off_ms(s));
	r->done_n++;
	return true;
}

/* Of what retry_on would have to have one. */
static uint16_t
reasons_of(enum cause cause)
{
	const uint16_t reset = RETRY_RESET | RETRY_5XX | RETRY_GATEWAY_ERROR;

	switch (cause) {
	case CAUSE_connect_failure:
	case CAUSE_connect_timeout:
	case CAUSE_tls_failure:
		return reset | RETRY_CONNECT_FAILURE |
		    RETRY_RESET_BEFORE_REQUEST;
	case CAUSE_service_refused:
		return reset | RETRY_REFUSED_STREAM;
	case CAUSE_connection_lost:
	case CAUSE_service_reset:
	case CAUSE_service_protocol_error:
	case CAUSE_try_timeout:
		return reset;
	default:
		return 0;
	}
}

/* What was not processed goes elsewhere, once. */
static bool
unprocessed(struct stream *s, enum cause cause)
{
	if (cause != CAUSE_service_refused || s->retry.moved ||
	    !retry_move(s))
		return false;
	s->retry.moved = true;
	return true;
}

void
retry_failed(struct stream *s, enum cause cause)
{
	if (s->answer_started || s->answer_ended || s->h2.dead) {
		relay_fail(s, cause);
		return;
	}
	if (policy_of(s)->retry_on & reasons_of(cause) ?
	    !again(s) : !unprocessed(s, cause))
		relay_fail(s, cause);
}

bool
retry_move(struct stream *s)
{
	if (!s->retry.keeps || s->answer_started || s->h2.dead ||
	    s->retry.moves_n >= MOVES_MAX)
		return false;
	s->retry.moves_n++;
	again_after(s, 0);
	return true;
}

/* ---- answers ---- */

static uint16_t
reasons_of_status(const struct block_plan *p, int status)
{
	uint16_t reasons = 0;

	if (status >= 500)
		reasons |= RETRY_5XX;
	if (status >= 502 && status <= 504)
		reasons |= RETRY_GATEWAY_ERROR;
	if (status == 409)
		reasons |= RETRY_4XX;
	for (int i = 0; i < RETRIABLE_CODES_MAX; i++)
		if (p->retriable_codes[i] == status)
			reasons |= RETRY_STATUS_CODES;
	return reasons;
}

static uint16_t
reasons_of_grpc(int status)
{
	switch (status) {
	case 1:
		return RETRY_CANCELLED;
	case 4:
		return RETRY_DEADLINE_EXCEEDED;
	case 8:
		return RETRY_RESOURCE_EXHAUSTED;
	case 13:
		return RETRY_INTERNAL;
	case 14:
		return RETRY_UNAVAILABLE;
	default:
		return 0;
	}
}

/* -1: it is not there, or no number. */
static int
number_of(const struct headers *h, enum header_id id)
{
	const struct header *at = headers_find(h, id);
	int n = 0;

	if (at == NULL || at->value_len == 0 || at->value_len > 3)
		return -1;
	for (size_t i = 0; i < at->value_len; i++) {
		if (at->value[i] < '0' || at->value[i] > '9')
			return -1;
		n = n * 10 + (at->value[i] - '0');
	}
	return n;
}

bool
retry_answer(struct stream *s, const struct headers *h, bool end)
{
	static const char limited[] = "x-envoy-ratelimited";
	const struct block_plan *p = policy_of(s);
	uint16_t reasons;

	if (p->retry_on == 0)
		return false;
	reasons = reasons_of_status(p, number_of(h, HEADER_status));
	if (end)
		reasons |= reasons_of_grpc(number_of(h, HEADER_grpc_status));
	if ((p->retry_on & reasons) == 0 ||
	    headers_find_name(h, limited, sizeof(limited) - 1) != NULL) {
		if (s->retry.done_n > 0)
			count_one(counts_of(s)->cluster,
			    COUNT_CLUSTER_upstream_rq_retry_success);
		return false;
	}
	if (!again(s))
		return false;
	attempt_drop(s->attempt, H2_CANCEL);
	return true;
}

/* ---- life ---- */

void
retry_begin(struct stream *s)
{
	s->retry.keeps = true;
	s->retry.ended = s->request_ended;
}

void
retry_commit(struct stream *s)
{
	struct retry *r = &s->retry;

	timer_stop(&worker_of(s)->loop.timers, &r->timer);
	kept_drop(s);
	if (r->trailers != NULL)
		headers_put(r->trailers);
	r->trailers = NULL;
	count_end(s);
}
