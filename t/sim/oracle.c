/* t/sim/oracle.c - see oracle.h. */
#include "t/sim/oracle.h"

#include <string.h>

/* ---- each call ---- */

/* The one that sent this status: the last, but where a service that did not
 * read came to an earlier one later. */
static const struct try *
answering_try(const struct call *c)
{
	for (int i = c->tries_n - 1; i >= 0; i--)
		if (c->tries[i].finished &&
		    c->tries[i].status == c->got_status)
			return &c->tries[i];
	return NULL;
}

static bool
any_try(const struct call *c, bool reset, bool refused, bool lost)
{
	for (int i = 0; i < c->tries_n; i++) {
		const struct try *t = &c->tries[i];

		if ((reset && t->reset) || (refused && t->refused) ||
		    (lost && t->lost))
			return true;
	}
	return false;
}

static int64_t
took_ms(const struct call *c)
{
	return (c->over_ns - c->begun_ns + 999999) / 1000000;
}

/* ---- causes: whether this schedule can have one ---- */

/* LATE_MS: how much later than sent a slow network may bring bytes. RACE_MS:
 * a reset so close before the deadline is taken for it (attempt.c). */
enum { LATE_MS = 50, RACE_MS = 2 };

static bool
may_time_out(const struct call *c, enum route route, uint32_t ms)
{
	return c->route == route && ms != 0 && took_ms(c) >= ms;
}

static bool
may_be_late(const struct call *c)
{
	return may_time_out(c, ROUTE_LIMITED, c->deadline_ms) ||
	    (any_try(c, true, false, false) &&
	    took_ms(c) + RACE_MS >= c->deadline_ms && c->deadline_ms != 0);
}

/* What was refused goes elsewhere once, if it is kept. */
static bool
may_be_refused(const struct world *w, const struct call *c)
{
	const struct troubles *t = &w->troubles;
	bool refused = any_try(c, false, true, false);

	if (t->losses || t->limits)
		return true;
	return t->goaways ? refused || c->tries_n == 0 ||
	    c->request_bytes > 65536 : refused && (c->request_bytes > 65536 ||
	    c->tries_n > 1 || c->fails_n > 1 || c->route == ROUTE_TIGHT);
}

static bool
may_be_lost(const struct world *w, const struct call *c)
{
	return w->troubles.losses || w->troubles.published ||
	    any_try(c, false, false, true);
}

/* 400 ms without a byte, less what the network takes. */
static bool
may_be_idle(const struct call *c)
{
	return may_time_out(c, ROUTE_IDLE, ROUTE_IDLE_MS) &&
	    c->gap_ns / 1000000 >= ROUTE_IDLE_MS - LATE_MS;
}

/* NULL: this cause, with this status, at this time. */
static const char *
cause_verdict(const struct world *w, const struct call *c)
{
	const struct troubles *t = &w->troubles;
	const struct {
		const char *word;
		int	 status;
		bool	 may;
		bool	 begun;		/* also when an answer has */
	} rows[] = {
		{ "deadline", 4, may_be_late(c), true },
		{ "route_timeout", 14, may_time_out(c, ROUTE_TIMED,
		    ROUTE_TIMED_MS), true },
		{ "stream_idle", 14, may_be_idle(c), true },
		{ "request_idle", 2, may_be_idle(c), true },
		{ "try_timeout", 14, may_time_out(c, ROUTE_TRY,
		    ROUTE_TRY_MS), false },
		{ "connect_failure", 14, w->worker_actor.refused_n > 0,
		    false },
		{ "connect_timeout", 14, w->worker_actor.unanswered_n > 0,
		    false },
		{ "connection_lost", 14, may_be_lost(w, c), true },
		{ "service_reset", 14, any_try(c, true, false, false), true },
		{ "service_refused", 14, may_be_refused(w, c), true },
		{ "over_budget", 8, count_get(&w->row->worker
		    [COUNT_WORKER_over_budget]) > 0, true },
		{ "overflow", 14, c->route == ROUTE_TIGHT, false },
		{ "no_memory", 14, t->starves, true },
		{ "service_protocol_error", 14, t->starves, true },
		{ "no_route", 12, t->published, false },
		{ "no_cluster", 14, t->published, false },
		{ "no_endpoint", 14, t->published, false },
		{ "listener_removed", 14, t->published, false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strcmp(rows[i].word, c->cause) != 0)
			continue;
		if (c->got_status != rows[i].status)
			return "godwit ended it, with another status";
		if (c->headed && !rows[i].begun)
			return "godwit ended it, and its answer had begun";
		return rows[i].may || t->starves ? NULL :
		    "godwit ended it, for a cause that there was not";
	}
	return "godwit ended it, for a cause that nobody expects";
}

/* ---- ends ---- */

/* It ended without a status: reset, or turned away. */
static const char *
bare_verdict(const struct world *w, const struct call *c)
{
	const struct troubles *t = &w->troubles;

	if (c->cancelled || t->starves)
		return NULL;
	if (!c->started || c->gone) {
		if (c->cut && !w->troubles.losses && !t->stopped &&
		    !t->drained && !t->published)
			return "a connection ended and nobody ended it";
		return NULL;
	}
	switch (c->close_code) {
	case NGHTTP2_REFUSED_STREAM:
		return t->drained || t->published ? NULL :
		    "refused, and nobody drains";
	case NGHTTP2_ENHANCE_YOUR_CALM:
		return count_get(&w->row->worker[COUNT_WORKER_over_budget]) >
		    0 ? NULL : "reset, over no budget";
	case NGHTTP2_CANCEL:
		return c->route == ROUTE_IDLE ? NULL : "cancelled by nobody";
	default:
		return "reset without a status";
	}
}

static const char *
service_verdict(const struct call *c)
{
	const struct try *t = answering_try(c);

	if (t == NULL)
		return "a status that no service sent";
	if (c->answer.bytes != (t->failed || c->finish == FINISH_BARE ? 0 :
	    c->answer_bytes))
		return "the end of the answer is missing";
	return NULL;
}

/* ---- tries ---- */

static bool
has_policy(enum route r)
{
	return r == ROUTE_FLAKY || r == ROUTE_TRY || r == ROUTE_TIGHT;
}

/* What a service may have begun with is not sent again unasked. */
static const char *
tries_verdict(const struct world *w, const struct call *c)
{
	for (int i = 0; i < c->tries_n; i++) {
		const struct try *t = &c->tries[i];

		if (t->request.torn)
			return "a request is not what was sent";
		if (t->request.bytes > c->request_bytes ||
		    (t->request.ended && t->request.bytes !=
		    c->request_bytes))
			return "a request ended too early or too late";
		if (i + 1 < c->tries_n && !has_policy(c->route) &&
		    !t->refused && !w->troubles.losses)
			return "a request was sent twice";
	}
	return NULL;
}

static const char *
call_verdict(const struct world *w, const struct call *c)
{
	if (c->closed_n > 1)
		return "it ended twice";
	if (c->statuses_n > 1 || c->heads_n > 1)
		return "it has two answers";
	if (c->answer.torn)
		return "its answer is not what the service sent";
	if (c->answer.bytes > c->answer_bytes)
		return "its answer is too long";
	if (c->answer.ended && c->got_status < 0)
		return "it ended without a status";
	if (!c->answer.ended)
		return bare_verdict(w, c);
	if (c->cause[0] != '\0')
		return cause_verdict(w, c);
	return service_verdict(c);
}

static void
verdict(struct world *w, const struct call *c)
{
	const char *wrong = call_verdict(w, c);

	if (wrong == NULL)
		wrong = tries_verdict(w, c);
	if (wrong != NULL)
		world_wrong(w, "call %u: %s (status %d, cause %s, %u of %u "
		    "bytes, %d tries)", c->number, wrong, c->got_status,
		    c->cause[0] == '\0' ? "none" : c->cause, c->answer.bytes,
		    c->answer_bytes, c->tries_n);
}

void
oracle_calls(struct world *w)
{
	for (int i = 0; i < w->calls_n; i++)
		verdict(w, &w->calls[i]);
	if (w->caller.peer.wrong != NULL && !w->troubles.starves)
		world_wrong(w, "caller: %s", w->caller.peer.wrong);
	if (w->service.peer.wrong != NULL && !w->troubles.starves)
		world_wrong(w, "service: %s", w->service.peer.wrong);
}

/* All is well by now: a call on a connection that lives ends well, and all
 * credit comes back. */
void
oracle_probes(struct world *w)
{
	for (int i = 0; i < w->probes_n; i++) {
		const struct call *c = &w->calls[w->calls_n + i];
		const struct end *e = w->caller.conns[c->conn];

		verdict(w, c);
		if (c->got_status != 0)
			world_wrong(w, "a call of a calm time: status %d, %s",
			    c->got_status, c->cause);
		if (e != NULL && e->audits_n == 0)
			world_wrong(w, "no credit came back");
	}
	oracle_calls(w);
}

/* ---- counts ---- */

static const char *
gauges_verdict(const struct row *r)
{
	for (int i = 0; i < LISTENERS_N; i++)
		if (count_get(&r->listeners[i].http
		    [COUNT_HTTP_downstream_rq_active]) != 0)
			return "downstream_rq_active is not 0";
	for (int i = 0; i < CLUSTERS_N; i++) {
		const count *c = r->clusters[i].cluster;

		if (count_get(&c[COUNT_CLUSTER_upstream_rq_active]) != 0)
			return "upstream_rq_active is not 0";
		if (count_get(&c[COUNT_CLUSTER_upstream_rq_pending_active]) !=
		    0)
			return "upstream_rq_pending_active is not 0";
	}
	return NULL;
}

/* Each connection in a word is one in the gauges; all else is over. */
static const char *
words_verdict(const struct world *w)
{
	const struct word_shares *s = &w->row->shares;
	int64_t connections = 0;

	for (int i = 0; i < CLUSTERS_N; i++)
		connections += (int64_t)count_get(&w->row->clusters[i].cluster
		    [COUNT_CLUSTER_upstream_cx_active]);
	for (int k = 0; k < WORD_KINDS; k++)
		for (uint32_t id = 0; id <
		    s->n[word_scope_of((enum word_kind)k)]; id++) {
			uint32_t at = word_at((enum word_kind)k, id);
			uint32_t n = (uint32_t)w->words->cells[at];

			if (n != (uint32_t)s->cells[at])
				return "a word is not its share";
			if (k == WORD_connections)
				connections -= n;
			else if (n != 0)
				return "a shared word is not 0";
		}
	return connections != 0 ? "connections are not counted in the words" :
	    NULL;
}

/* Every request and every whole answer took some time. */
static const char *
times_verdict(const struct row *r)
{
	for (int i = 0; i < LISTENERS_N; i++)
		if (histogram_n(&r->http_times[i]
		    [HISTOGRAM_HTTP_downstream_rq_time]) != count_get(
		    &r->listeners[i].http[COUNT_HTTP_downstream_rq_total]))
			return "a request has no time, or two";
	for (int i = 0; i < CLUSTERS_N; i++)
		if (histogram_n(&r->cluster_times[i]
		    [HISTOGRAM_CLUSTER_upstream_rq_time]) != count_get(
		    &r->clusters[i].cluster
		    [COUNT_CLUSTER_upstream_rq_completed]))
			return "an answer has no time, or two";
	return NULL;
}

/* Peers here do nothing that a guard is for. */
static void
guards_check(struct world *w, const count *counts, int first, int n,
    const char *whose)
{
	for (int i = first; i < n; i++)
		if (count_get(&counts[i]) != 0)
			world_wrong(w, "guard %d ended a %s's connection",
			    i - first + 1, whose);
}

static void
noticed_check(struct world *w)
{
	uint64_t failed = 0;

	for (int i = 0; i < CLUSTERS_N; i++)
		failed += count_get(&w->row->clusters[i].cluster
		    [COUNT_CLUSTER_upstream_cx_connect_fail]);
	if (!w->troubles.starves && w->worker != NULL &&
	    (failed < w->worker_actor.refused_n ||
	    failed > w->worker_actor.refused_n +
	    w->worker_actor.unanswered_n))
		world_wrong(w, "%llu refused and %llu unanswered connections "
		    "are counted as %llu that failed",
		    (unsigned long long)w->worker_actor.refused_n,
		    (unsigned long long)w->worker_actor.unanswered_n,
		    (unsigned long long)failed);
	if (w->service.id_max > w->stream_id_max)
		world_wrong(w, "a connection went past its stream ids");
}

static void
counts_check(struct world *w)
{
	const char *wrong = gauges_verdict(w->row);

	if (wrong == NULL)
		wrong = words_verdict(w);
	if (wrong == NULL)
		wrong = times_verdict(w->row);
	if (wrong != NULL)
		world_wrong(w, "%s", wrong);
	for (int i = 0; i < LISTENERS_N; i++)
		guards_check(w, w->row->listeners[i].http,
		    COUNT_HTTP_guard_header_overflow, COUNT_HTTP_N, "caller");
	for (int i = 0; i < CLUSTERS_N; i++)
		guards_check(w, w->row->clusters[i].cluster,
		    COUNT_CLUSTER_guard_header_overflow, COUNT_CLUSTER_N,
		    "service");
	noticed_check(w);
}

/* ---- what is left ---- */

/* What may be held over the budget for a moment: requests that are kept are
 * copied whole when their tries are sent, at most a window of each, and the
 * next bytes that come end one stream. */
enum { OVER_BYTES = 4 * WIDE_STREAM_BYTES };

static int
timers_n(const struct timers *ts)
{
	int n = 0;

	for (int i = 0; i < TIMER_SLOTS; i++)
		for (const struct timer *t = ts->slots[i]; t != NULL;
		    t = t->next)
			n++;
	return n;
}

/* Those of connections and of the drain; a call has none any more. */
static int
timers_wanted(struct worker *k)
{
	const struct downstream *d;
	const struct upstream *u;
	int n = timer_started(&k->drain_timer);

	LIST_FOREACH(d, &k->downstreams, link)
		n += timer_started(&d->conn.timer) +
		    timer_started(&d->conn.block_timer);
	LIST_FOREACH(u, &k->upstreams, link)
		n += timer_started(&u->conn.timer) +
		    timer_started(&u->conn.block_timer);
	return n;
}

void
oracle_quiet(struct world *w)
{
	struct worker *k = w->worker;
	const struct upstream *u;

	counts_check(w);
	if (w->held_bytes_max > BUDGET_BYTES + OVER_BYTES)
		world_wrong(w, "%llu body bytes were held",
		    (unsigned long long)w->held_bytes_max);
	if (k == NULL)
		return;
	if (k->held_bytes != 0)
		world_wrong(w, "%llu body bytes are still held",
		    (unsigned long long)k->held_bytes);
	if (!LIST_EMPTY(&k->streams))
		world_wrong(w, "a stream is left");
	if (timers_n(&k->loop.timers) != timers_wanted(k))
		world_wrong(w, "a timer is left");
	LIST_FOREACH(u, &k->upstreams, link)
		if (u->retired)
			world_wrong(w, "a retired connection is left");
}

/* Until the next generation: plan.h. */
static uint64_t
plans_unused_n(const struct plans *p)
{
	uint64_t n = 0;

	for (int i = 0; i < PLAN_BUCKETS; i++)
		for (const struct plan *plan = p->plans[i]; plan != NULL;
		    plan = plan->next)
			n += plan->refs == 0;
	return n;
}

/* What may stay: the counters of round robin, plans, and hosts that could not
 * be connected to; left: there are others. */
static uint64_t
blocks_wanted(const struct worker *k, bool *left)
{
	uint64_t n = (k->turns != NULL) + plans_unused_n(&k->plans);

	for (int i = 0; i < POOL_BUCKETS; i++)
		for (const struct host *h = k->pool[i]; h != NULL;
		    h = h->bucket_next) {
			n++;
			*left = *left || h->fails == 0 || h->refs != 0;
		}
	return n;
}

void
oracle_alone(struct world *w)
{
	const struct worker *k = w->worker;
	bool host_left = false;
	uint64_t wanted;

	oracle_quiet(w);
	for (int i = 0; i < LISTENERS_N; i++)
		if (count_get(&w->row->listeners[i].listener
		    [COUNT_LISTENER_downstream_cx_active]) != 0)
			world_wrong(w, "downstream_cx_active is not 0");
	if (k == NULL)
		return;
	if (!LIST_EMPTY(&k->downstreams) || !LIST_EMPTY(&k->upstreams))
		world_wrong(w, "a connection is left");
	wanted = blocks_wanted(k, &host_left);
	if (host_left)
		world_wrong(w, "a host that nobody uses is left");
	if (k->io.mem.out_n != wanted)
		world_wrong(w, "%llu blocks of memory are not back",
		    (unsigned long long)(k->io.mem.out_n - wanted));
}

void
oracle_closed(struct world *w)
{
	if (w->worker_actor.blocks_n != 0)
		world_wrong(w, "the closed worker's memory is not back");
	counts_check(w);
}
