/* t/sim/body.c - see body.h. */
#include "t/sim/body.h"

static struct net *
net_of(const struct end *e)
{
	return e->peer->actor->net;
}

/* ---- what goes ---- */

static void
resume(struct pour *p)
{
	if (!p->deferred)
		return;
	p->deferred = false;
	nghttp2_session_resume_data(p->end->session, p->stream);
}

/* The next piece, or the end. */
static void
pour_ring(struct alarm *a)
{
	struct pour *p = ALARM_OF(a, struct pour, alarm);
	uint32_t left = p->bytes - p->released_bytes, n = p->pace->piece_bytes;
	uint32_t before = p->released_bytes;

	if (left == 0)
		p->waited = true;
	p->released_bytes += n > 0 && n < left ? n : left;
	resume(p);
	if (left == 0)
		return;
	if (p->released_bytes == p->bytes)
		alarm_set(p->end->peer, a, p->end_ms);
	else if (before <= p->pace->stall_at_bytes &&
	    p->released_bytes > p->pace->stall_at_bytes)
		alarm_set(p->end->peer, a, p->pace->stall_ms);
	else
		alarm_set(p->end->peer, a, p->pace->pause_ms == 0 ? 0 :
		    net_below(net_of(p->end), p->pace->pause_ms));
}

static ssize_t
pour_read(nghttp2_session *session, int32_t id, uint8_t *to, size_t room,
    uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	struct pour *p = source->ptr;
	uint32_t most = p->released_bytes < p->gate_bytes ?
	    p->released_bytes : p->gate_bytes;
	uint32_t n = most > p->sent_bytes ? most - p->sent_bytes : 0;
	bool ends;

	(void)arg;
	if (n > room)
		n = (uint32_t)room;
	ends = p->sent_bytes + n == p->bytes && p->may_end && p->waited;
	if (n == 0 && !ends) {
		p->deferred = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	script_active(p->call, net_of(p->end)->now_ns);
	script_write(p->call, p->direction, p->sent_bytes, to, n);
	p->sent_bytes += n;
	if (!ends)
		return (ssize_t)n;
	p->ended = true;
	*flags |= NGHTTP2_DATA_FLAG_EOF;
	if (p->trailers_n > 0) {
		*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
		nghttp2_submit_trailer(session, id, p->trailers,
		    p->trailers_n);
	}
	return (ssize_t)n;
}

nghttp2_data_provider
pour_provider(struct pour *p)
{
	return (nghttp2_data_provider){ .source.ptr = p,
	    .read_callback = pour_read };
}

void
pour_init(struct pour *p, struct end *e, struct call *c,
    enum direction d, const struct pace *pace, uint32_t bytes)
{
	*p = (struct pour){ .end = e, .call = c, .direction = d,
	    .pace = pace, .bytes = bytes,
	    .end_ms = d == REQUEST ? c->end_ms : 0 };
	p->alarm.ring = pour_ring;
	alarm_set(e->peer, &p->alarm, bytes == 0 ? p->end_ms : 0);
}

void
pour_let(struct pour *p, uint32_t bytes)
{
	if (bytes <= p->gate_bytes)
		return;
	p->gate_bytes = bytes;
	resume(p);
}

void
pour_end(struct pour *p)
{
	p->may_end = true;
	resume(p);
}

void
pour_fini(struct pour *p)
{
	alarm_stop(&p->alarm);
}

/* ---- what comes ---- */

static void
credit_give(struct alarm *a)
{
	struct intake *i = ALARM_OF(a, struct intake, alarm);
	uint32_t n = i->owed_bytes, piece = i->pace->piece_bytes;

	if (piece > 0 && piece < n)
		n = piece;
	if (n > 0)
		nghttp2_submit_window_update(i->end->session, 0, i->stream,
		    (int32_t)n);
	i->owed_bytes -= n;
	if (i->owed_bytes > 0)
		alarm_set(i->end->peer, a, CREDIT_MS + i->pace->pause_ms);
}

void
intake_init(struct intake *i, struct end *e, const struct call *c,
    enum direction d, const struct pace *pace, struct taken *taken)
{
	*i = (struct intake){ .end = e, .call = c, .direction = d,
	    .pace = pace, .taken = taken };
	i->alarm.ring = credit_give;
}

void
intake_data(struct intake *i, const uint8_t *p, size_t n)
{
	struct taken *t = i->taken;
	uint32_t ms = CREDIT_MS;

	if (!script_same(i->call, i->direction, t->bytes, p, n))
		t->torn = true;
	t->bytes += (uint32_t)n;
	i->owed_bytes += (uint32_t)n;
	if (i->alarm.at_ns != 0)
		return;
	if (i->pace->pause_ms > 0)
		ms += net_below(net_of(i->end), i->pace->pause_ms);
	if (i->pace->stall_ms > 0 && !i->stalled &&
	    t->bytes > i->pace->stall_at_bytes) {
		i->stalled = true;
		ms = i->pace->stall_ms;
	}
	alarm_set(i->end->peer, &i->alarm, ms);
}

void
intake_fini(struct intake *i)
{
	alarm_stop(&i->alarm);
}
