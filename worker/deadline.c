/* worker/deadline.c - see deadline.h. */
#include "worker/deadline.h"

#include <stdio.h>
#include <string.h>

#include "worker/relay.h"

enum { DIGITS_MAX = 8, VALUE_MAX = 99999999 };

static const int64_t TEN_YEARS_MS = (int64_t)10 * 365 * 86400 * 1000;

/* ---- the header ---- */

int64_t
deadline_read(const uint8_t *value, size_t n)
{
	int64_t v = 0;

	if (n < 2 || n > DIGITS_MAX + 1)
		return DEADLINE_NONE_MS;
	for (size_t i = 0; i < n - 1; i++) {
		if (value[i] < '0' || value[i] > '9')
			return DEADLINE_NONE_MS;
		v = v * 10 + (value[i] - '0');
	}
	switch (value[n - 1]) {
	case 'H':
		return v * 3600000;
	case 'M':
		return v * 60000;
	case 'S':
		return v * 1000;
	case 'm':
		return v;
	case 'u':
		return (v + 999) / 1000;
	case 'n':
		return (v + 999999) / 1000000;
	default:
		return DEADLINE_NONE_MS;
	}
}

void
deadline_write(int64_t ms, char text[DEADLINE_TEXT_BYTES])
{
	static const struct { char unit; int64_t of_the_one_before; } units[] =
	    { { 'm', 1 }, { 'S', 1000 }, { 'M', 60 }, { 'H', 60 } };
	int64_t v = ms;
	int i = 0;

	while (v > VALUE_MAX && units[i].unit != 'H')
		v /= units[++i].of_the_one_before;
	snprintf(text, DEADLINE_TEXT_BYTES, "%d%c",
	    (int)(v > VALUE_MAX ? VALUE_MAX : v), units[i].unit);
}

/* ---- what holds ---- */

/* max_grpc_timeout: of all limits the least, where 0 is no limit, and an
 * offset that would leave nothing is not taken off. */
static void
pick_grpc_timeout(struct deadline_terms *t, const struct block_plan *p,
    int64_t grpc_timeout_ms)
{
	int64_t ms = grpc_timeout_ms == DEADLINE_NONE_MS ? 0 : grpc_timeout_ms;

	if (p->grpc_timeout_offset_ms < ms)
		ms -= p->grpc_timeout_offset_ms;
	if (p->grpc_timeout_max_ms != 0 &&
	    (ms == 0 || ms > p->grpc_timeout_max_ms))
		ms = p->grpc_timeout_max_ms;
	t->timeout_ms = ms;
	if (ms == 0)
		return;
	t->header = DEADLINE_SET;
	t->header_ms = ms;
}

/* Without a grpc-timeout that counts. */
static void
pick_duration(struct deadline_terms *t, const struct block_plan *p,
    uint32_t listener_ms)
{
	uint32_t ms = p->flags & PLAN_DURATION ? p->duration_ms : listener_ms;

	if (ms != 0)
		t->duration_ms = ms;
}

static int64_t
header_duration(const struct block_plan *p, int64_t ms)
{
	if (p->grpc_timeout_max_ms != 0 && ms > p->grpc_timeout_max_ms)
		ms = p->grpc_timeout_max_ms;
	return ms > p->grpc_timeout_offset_ms ?
	    ms - p->grpc_timeout_offset_ms : 0;
}

struct deadline_terms
deadline_pick(const struct block_plan *p, uint32_t listener_ms, bool grpc,
    int64_t grpc_timeout_ms)
{
	struct deadline_terms t = { .duration_ms = DEADLINE_NONE_MS };
	bool is_new = p->deadline == DEADLINE_DURATION;

	if (grpc_timeout_ms != DEADLINE_NONE_MS && is_new &&
	    p->flags & PLAN_GRPC_TIMEOUT_MAX)
		t.duration_ms = header_duration(p, grpc_timeout_ms);
	else
		pick_duration(&t, p, listener_ms);
	if (p->deadline == DEADLINE_GRPC_TIMEOUT && grpc)
		pick_grpc_timeout(&t, p, grpc_timeout_ms);
	else if (!is_new)
		t.timeout_ms = p->timeout_ms;
	if (!is_new || !grpc)
		return t;
	if (t.duration_ms != DEADLINE_NONE_MS) {
		t.header = DEADLINE_SET;
		t.header_ms = t.duration_ms;
	} else if (listener_ms != 0)
		t.header = DEADLINE_REMOVE;
	return t;
}

/* ---- the timer ---- */

static struct loop *
loop_of(const struct stream *s)
{
	return &s->down->worker->loop;
}

/* A grpc-timeout of a million years would not fit. */
static struct mono
due_after(struct mono t, int64_t ms)
{
	return mono_after_ms(t, ms < TEN_YEARS_MS ? ms : TEN_YEARS_MS);
}

static struct mono
idle_due(const struct deadline *d)
{
	return d->idle_ms == 0 ? (struct mono){ 0 } :
	    mono_after_ms(d->active, d->idle_ms);
}

static void
sooner(struct mono *first, struct mono due)
{
	if (due.ns != 0 && (first->ns == 0 || due.ns < first->ns))
		*first = due;
}

static void
arm(struct stream *s)
{
	struct deadline *d = &s->deadline;
	struct loop *l = loop_of(s);
	struct mono first = idle_due(d);

	sooner(&first, d->duration_due);
	sooner(&first, d->timeout_due);
	if (first.ns == 0) {
		timer_stop(&l->timers, &d->timer);
		return;
	}
	if (timer_started(&d->timer) && d->armed.ns <= first.ns)
		return;				/* I1 */
	d->armed = first;
	timer_start(&l->timers, &d->timer, l->now, first.ns <= l->now.ns ? 0 :
	    (first.ns - l->now.ns + 999999) / 1000000);
}

static bool
is_over(struct mono due, struct mono now)
{
	return due.ns != 0 && due.ns <= now.ns;
}

enum cause
deadline_over(const struct stream *s, int64_t slack_ms)
{
	const struct deadline *d = &s->deadline;
	struct mono now = mono_after_ms(loop_of(s)->now, slack_ms);

	if (is_over(d->duration_due, now))
		return CAUSE_deadline;
	if (is_over(d->timeout_due, now))
		return CAUSE_route_timeout;
	if (is_over(idle_due(d), now))
		return s->request_ended ? CAUSE_stream_idle :
		    CAUSE_request_idle;
	return CAUSE_none;
}

static void
over_count(const struct stream *s, enum cause cause)
{
	if (cause == CAUSE_deadline)
		count_one(http_counts(s->down),
		    COUNT_HTTP_downstream_rq_max_duration_reached);
	else if (cause != CAUSE_route_timeout)
		count_one(http_counts(s->down),
		    COUNT_HTTP_downstream_rq_idle_timeout);
	else if (s->attempt != NULL)
		count_one(s->attempt->host->counts->cluster,
		    COUNT_CLUSTER_upstream_rq_timeout);
}

/* The answer is whole and waits for the caller, whose windows may be shut. */
static void
flush_check(struct stream *s)
{
	struct deadline *d = &s->deadline;

	if (s->h2.dead)
		return;			/* all is said, and dropped */
	if (d->active.ns < s->moved_ns)
		d->active.ns = s->moved_ns;
	if (!is_over(idle_due(d), loop_of(s)->now)) {
		arm(s);
		return;
	}
	count_one(http_counts(s->down), COUNT_HTTP_tx_flush_timeout);
	relay_reset(s, H2_CANCEL);
}

static void
deadline_fire(struct timer *t)
{
	struct stream *s = CONTAINER(t, struct stream, deadline.timer);
	enum cause cause;

	if (s->answer_ended) {
		flush_check(s);
		return;
	}
	cause = deadline_over(s, 0);
	if (cause == CAUSE_none) {
		arm(s);
		return;
	}
	over_count(s, cause);
	relay_fail(s, cause);
}

/* ---- the stream's life ---- */

void
deadline_begin(struct stream *s, const struct block_hcm *hcm)
{
	struct deadline *d = &s->deadline;

	d->timer.fire = deadline_fire;
	d->active = loop_of(s)->now;
	d->idle_ms = hcm->stream_idle_timeout_ms;
	if (hcm->max_stream_duration_ms != 0)
		d->duration_due = due_after(s->begun,
		    hcm->max_stream_duration_ms);
}

static bool
header_change(struct stream *s, const struct deadline_terms *t)
{
	const struct header *h = headers_find(s->request, HEADER_grpc_timeout);
	char text[DEADLINE_TEXT_BYTES];

	if (t->header == DEADLINE_REMOVE && h != NULL)
		headers_remove(s->request, (uint32_t)(h - s->request->at));
	if (t->header != DEADLINE_SET)
		return true;
	deadline_write(t->header_ms, text);
	return h == NULL ? headers_add_text(s->request, "grpc-timeout", text) :
	    headers_set(s->request, (uint32_t)(h - s->request->at), text,
	    strlen(text));
}

bool
deadline_route(struct stream *s, const struct block_hcm *hcm)
{
	const struct header *h = headers_find(s->request, HEADER_grpc_timeout);
	const struct block_plan *p = &s->plan->block;
	struct deadline *d = &s->deadline;
	struct deadline_terms t = deadline_pick(p, hcm->max_stream_duration_ms,
	    s->grpc, h == NULL ? DEADLINE_NONE_MS :
	    deadline_read(h->value, h->value_len));

	if (p->flags & PLAN_IDLE_TIMEOUT)
		d->idle_ms = p->idle_timeout_ms;
	d->duration_due = t.duration_ms == DEADLINE_NONE_MS ?
	    (struct mono){ 0 } : due_after(s->begun, t.duration_ms);
	d->timeout_ms = t.timeout_ms;
	if (s->request_ended)
		deadline_request_end(s);
	else
		arm(s);
	return header_change(s, &t);
}

void
deadline_request_end(struct stream *s)
{
	struct deadline *d = &s->deadline;

	if (d->timeout_ms != 0)
		d->timeout_due = due_after(loop_of(s)->now, d->timeout_ms);
	arm(s);
}

void
deadline_answer_end(struct stream *s)
{
	struct deadline *d = &s->deadline;

	d->duration_due = d->timeout_due = (struct mono){ 0 };
	d->active = loop_of(s)->now;
	arm(s);
}

void
deadline_end(struct stream *s)
{
	timer_stop(&loop_of(s)->timers, &s->deadline.timer);
}
