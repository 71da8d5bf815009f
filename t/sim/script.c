/* t/sim/script.c - see script.h. */
#include "t/sim/script.h"

#include <string.h>

const char *const route_paths[ROUTES] = {
	"/sim.Plain/Call", "/sim.Flaky/Call", "/sim.Deep/Call",
	"/sim.Tight/Call", "/sim.Timed/Call", "/sim.Idle/Call",
	"/sim.Try/Call", "/sim.Going/Call", "/sim.Limited/Call",
};

/* ---- bytes ---- */

/* A prime, so that no two bodies are alike for long. */
enum { PATTERN_BYTES = 65521, PATTERN_RUN = 16384 };

static uint8_t pattern[PATTERN_BYTES + PATTERN_RUN];

static const uint8_t *
pattern_at(const struct call *c, enum direction d, uint32_t at)
{
	struct chance chance = { 7 };

	if (pattern[0] == 0 && pattern[1] == 0)
		for (size_t i = 0; i < sizeof(pattern); i++)
			pattern[i] = i < PATTERN_BYTES ?
			    (uint8_t)chance_next(&chance) :
			    pattern[i - PATTERN_BYTES];
	return pattern + ((uint64_t)c->number * 7919 + (uint64_t)d * 32749 +
	    at) % PATTERN_BYTES;
}

void
script_write(const struct call *c, enum direction d, uint32_t at, uint8_t *to,
    size_t n)
{
	for (size_t now; n > 0; n -= now, to += now, at += (uint32_t)now) {
		now = n < PATTERN_RUN ? n : PATTERN_RUN;
		memcpy(to, pattern_at(c, d, at), now);
	}
}

bool
script_same(const struct call *c, enum direction d, uint32_t at,
    const uint8_t *p, size_t n)
{
	for (size_t now; n > 0; n -= now, p += now, at += (uint32_t)now) {
		now = n < PATTERN_RUN ? n : PATTERN_RUN;
		if (memcmp(p, pattern_at(c, d, at), now) != 0)
			return false;
	}
	return true;
}

void
script_active(struct call *c, int64_t now_ns)
{
	if (now_ns - c->active_ns > c->gap_ns)
		c->gap_ns = now_ns - c->active_ns;
	c->active_ns = now_ns;
}

uint32_t
script_share(uint32_t to_bytes, uint32_t from_bytes, uint32_t came_bytes)
{
	if (from_bytes == 0 || came_bytes >= from_bytes)
		return to_bytes;
	return (uint32_t)((uint64_t)to_bytes * came_bytes / from_bytes);
}

/* ---- what is drawn ---- */

enum { SENDS_MAX = 40, CREDITS_MAX = 6 };

/* Most are small; some do not fit into any window. */
static uint32_t
bytes_draw(struct net *n, uint32_t most)
{
	switch (net_below(n, 8)) {
	case 0:
		return 0;
	case 1:
		return net_below(n, most);
	case 2:
		return net_below(n, most < 70000 ? most : 70000);
	default:
		return net_below(n, 600);
	}
}

/* Not too many pieces: a peer that sends, or allows, a byte at a time is a
 * flood. */
static struct pace
pace_draw(struct net *n, uint32_t bytes, uint32_t pieces_max)
{
	struct pace p = { .piece_bytes = bytes };

	if (bytes > 0 && net_below(n, 2) == 0)
		p.piece_bytes = bytes / pieces_max + 1 + net_below(n, bytes);
	if (net_below(n, 2) == 0)
		p.pause_ms = net_below(n, 30);
	if (net_below(n, 6) == 0) {
		p.stall_at_bytes = bytes == 0 ? 0 : net_below(n, bytes);
		p.stall_ms = 1 + net_below(n, 3000);
	}
	return p;
}

static void
finish_draw(struct call *c, struct net *n, const struct script_terms *t)
{
	static const enum finish kinds[] = { FINISH_OK, FINISH_OK, FINISH_OK,
	    FINISH_OK, FINISH_OK, FINISH_OK, FINISH_STATUS, FINISH_BARE,
	    FINISH_RESET, FINISH_CLOSE };
	static const uint32_t codes[] = { 2, 8, 11, 0 };

	c->finish = kinds[net_below(n, sizeof(kinds) / sizeof(kinds[0]))];
	if (c->finish == FINISH_CLOSE && !t->closes)
		c->finish = FINISH_OK;
	if (c->finish == FINISH_STATUS || c->finish == FINISH_BARE)
		c->status = 1 + (int)net_below(n, 16);
	if (c->finish == FINISH_BARE)
		c->answer_bytes = 0;
	c->reset_code = codes[net_below(n, 4)];
}

static void
cancel_draw(struct call *c, struct net *n)
{
	if (net_below(n, 8) != 0)
		return;
	c->cancel = (enum cancel)(1 + net_below(n, 3));
	if (c->cancel == CANCEL_SENT)
		c->cancel_at = net_below(n, c->request_bytes + 1);
	else if (c->cancel == CANCEL_GOT)
		c->cancel_at = net_below(n, c->answer_bytes + 1);
	else
		c->cancel_at = net_below(n, 200);
}

/* Routes that limit time see calls that take too long. */
static void
route_draw(struct call *c, struct net *n, const struct script_terms *t)
{
	c->route = (enum route)net_below(n, ROUTES + 3);
	if (c->route >= ROUTES)
		c->route = ROUTE_PLAIN;
	if (t->tight && net_below(n, 4) != 0)
		c->route = ROUTE_TIGHT;
	if (c->route == ROUTE_LIMITED)
		c->deadline_ms = 1 + net_below(n, 500);
	if ((c->route == ROUTE_LIMITED || c->route == ROUTE_TIMED ||
	    c->route == ROUTE_IDLE) && net_below(n, 3) == 0)
		c->finish = FINISH_NEVER;
}

/* Where the first tries fail, what comes after them is simple: a policy needs
 * a request that is kept. */
static void
fails_draw(struct call *c, struct net *n)
{
	if (c->route == ROUTE_FLAKY) {
		c->fails_n = net_below(n, 4);
		c->fail = (enum fail)net_below(n, 3);
	} else if (c->route == ROUTE_TRY) {
		c->fails_n = net_below(n, 3);
		c->fail = net_below(n, 2) == 0 ? FAIL_SILENT : FAIL_RESET;
	} else if (c->route == ROUTE_TIGHT) {
		c->fails_n = net_below(n, 2);
		c->fail = FAIL_RESET;
	} else if (net_below(n, 10) == 0) {
		c->fails_n = 1;
		c->fail = FAIL_REFUSE;
	}
}

/* Wide windows and callers that do not read: the byte budget. */
static void
bulk_draw(struct call *c, struct net *n, uint32_t most)
{
	c->route = ROUTE_DEEP;
	c->finish = FINISH_OK;
	c->answer_bytes = most / 2 + net_below(n, most / 2);
	c->gate = net_below(n, 2) == 0 ? GATE_NONE : GATE_END;
	c->lockstep = false;
}

void
script_draw(struct call *c, uint32_t number, struct net *n,
    const struct script_terms *t)
{
	*c = (struct call){ .number = number, .got_status = -1 };
	c->request_bytes = bytes_draw(n, t->bytes_max);
	c->answer_bytes = bytes_draw(n, t->bytes_max);
	c->gate = (enum gate)net_below(n, 3);
	c->lockstep = c->gate == GATE_SHARE && net_below(n, 2) == 0;
	c->head_early = net_below(n, 2) == 0;
	finish_draw(c, n, t);
	cancel_draw(c, n);
	route_draw(c, n, t);
	if (t->bulk)
		bulk_draw(c, n, t->bytes_max);
	fails_draw(c, n);
	/* Who waits for an answer that never comes does not end its request,
	 * and then no timeout begins. */
	if (c->finish == FINISH_NEVER || (c->fails_n > 0 &&
	    c->fail == FAIL_SILENT))
		c->lockstep = false;
	if (net_below(n, 5) == 0)
		c->end_ms = net_below(n, 100);
	c->trailers = net_below(n, 10) == 0;
	c->send = pace_draw(n, c->request_bytes, SENDS_MAX);
	c->take = pace_draw(n, c->answer_bytes, CREDITS_MAX);
	if (t->bulk) {
		c->take.stall_at_bytes = 0;
		c->take.stall_ms = 100 + net_below(n, 3000);
	}
	c->serve_take = pace_draw(n, c->request_bytes, CREDITS_MAX);
	c->serve_send = pace_draw(n, c->answer_bytes, SENDS_MAX);
}
