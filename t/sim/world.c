/* t/sim/world.c - see world.h. */
#include "t/sim/world.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "shm/publish.h"
#include "t/sim/oracle.h"

enum { TURNS_MAX = 400000, TROUBLE_TURNS = 400, FEW_IDS = 9,
	QUIET_MS = 5000, WAIT_MS = 2000, LONGEST_MS = 600000 };

static const uint16_t ports_in[LISTENERS_N] = { 1, 4 };
static const uint16_t ports_back[SERVICES_MAX] = { 2, 3 };

static const struct net_kind {
	const char	*name;
	struct net_faults faults;
} kinds[] = {
	{ "calm", { 0 } },
	{ "rough", { .short_recv = 300, .short_send = 200, .one_byte = 20,
	    .no_send = 100, .late = 300, .refuse = 50, .unanswered = 30,
	    .reset = 2 } },
	{ "slow", { .short_recv = 500, .short_send = 500, .one_byte = 200,
	    .no_send = 300, .late = 500 } },
	{ "poor", { .short_recv = 100, .late = 100, .no_memory = 8 } },
};

void
world_wrong(struct world *w, const char *format, ...)
{
	va_list args;

	if (w->wrong[0] != '\0')
		return;
	va_start(args, format);
	vsnprintf(w->wrong, sizeof(w->wrong), format, args);
	va_end(args);
}

/* ---- what is drawn ---- */

static uint32_t
window_draw(struct net *n, uint32_t bytes_max)
{
	switch (net_below(n, 6)) {
	case 0:
		return 0;
	case 1:
		return bytes_max / 50 + 1 + net_below(n, 1000);
	case 2:
		return bytes_max / 50 + 1 + net_below(n, 65535);
	case 3:
		return 200000;
	default:
		return 65535;
	}
}

static struct end_settings
settings_draw(struct net *n, uint32_t bytes_max)
{
	static const uint32_t streams[] = { 100, 100, 100, 5, 2, 1 };
	static const uint32_t credit_ms[] = { 0, 0, 0, 20, 300 };

	return (struct end_settings){ window_draw(n, bytes_max),
	    streams[net_below(n, 6)], credit_ms[net_below(n, 5)] };
}

/* Deeds that hurt nobody, and those that do where they may. */
static struct deed
deed_draw(struct world *w, bool service, uint32_t bytes_max)
{
	struct net *n = &w->net;
	struct deed d = { .kind = (enum deed_kind)net_below(n,
	    w->troubles.losses ? DEEDS : DEED_CLOSE) };

	d.at_bytes = net_below(n, net_below(n, 2) == 0 ? 3000 : 200000);
	if (d.kind == DEED_STREAMS && !service)
		d.kind = DEED_PING;
	if (d.kind == DEED_GOAWAY && service)
		w->troubles.goaways = true;
	if (d.kind == DEED_STREAMS)
		w->troubles.limits = true;
	d.value = d.kind == DEED_WINDOW ? window_draw(n, bytes_max) :
	    d.kind == DEED_STREAMS ? 1 + net_below(n, 100) :
	    d.kind == DEED_STALL ? 1 + net_below(n, 4000) :
	    d.kind == DEED_GOAWAY && w->troubles.losses ? net_below(n, 3) : 0;
	return d;
}

static void
service_draw(struct world *w, uint32_t bytes_max)
{
	struct end_settings s = settings_draw(&w->net, bytes_max);

	service_open(&w->service, &w->service_actor, ports_back,
	    SERVICES_MAX, &s);
	w->service.calls = w->calls;
	w->troubles.limits = s.streams_max < 100;
	while (w->service.deeds_n < 3 && net_below(&w->net, 2) == 0)
		w->service.deeds[w->service.deeds_n++] =
		    deed_draw(w, true, bytes_max);
}

static void
caller_draw(struct world *w, uint32_t bytes_max)
{
	struct net *n = &w->net;
	int conns_n = 1 + (int)net_below(n, CONNS_MAX);
	struct script_terms terms = { bytes_max, w->troubles.losses,
	    w->troubles.bulk, w->troubles.tight };

	w->calls_n = 1 + (int)net_below(n, CALLS_MAX - PROBES_MAX);
	for (int i = 0; i < w->calls_n; i++) {
		script_draw(&w->calls[i], (uint32_t)i, n, &terms);
		w->calls[i].conn = (int)net_below(n, (uint32_t)conns_n);
	}
	w->service.calls_n = w->calls_n;
	caller_open(&w->caller, &w->caller_actor, w->calls, w->calls_n);
	for (int i = 0; i < conns_n; i++) {
		struct end_settings s = settings_draw(n, bytes_max);
		struct end *e = caller_connect(&w->caller,
		    ports_in[w->troubles.bulk || net_below(n, 3) == 0], &s);

		while (e != NULL && net_below(n, 3) == 0) {
			struct deed d = deed_draw(w, false, bytes_max);

			end_deed(e, d.kind, d.at_bytes, d.value);
		}
	}
}

/* One schedule in so many has it: in a turn soon, or never. */
static int
turn_draw(struct net *n, uint32_t one_in)
{
	return net_below(n, one_in) != 0 ? -1 :
	    (int)net_below(n, TROUBLE_TURNS);
}

static void
troubles_draw(struct world *w, uint64_t seed)
{
	static const size_t pipes[] = { NET_PIPE_BYTES, NET_PIPE_BYTES, 16384,
	    4096, 1500 };
	struct net *n = &w->net;

	n->pipe_bytes = pipes[net_below(n, 5)];
	w->troubles.losses = n->faults.reset > 0 || net_below(n, 3) == 0;
	w->troubles.starves = n->faults.no_memory > 0;
	if (w->troubles.starves)
		n->faults.no_memory = 1 + net_below(n, 16);
	/* Buffers grow, or do not, where much is sent. */
	w->troubles.bulk = net_below(n, w->troubles.starves ? 4 : 16) == 0;
	w->troubles.tight = net_below(n, 16) == 0;
	w->publish_turn = turn_draw(n, 4);
	w->drain_turn = turn_draw(n, 5);
	w->stop_turn = turn_draw(n, 8);
	w->stream_id_max = seed % 8 < 4 ? FEW_IDS : 0;
}

/* ---- the worker ---- */

static void
publish(struct world *w, int generation)
{
	struct generation g = w->made->made[generation].generation;

	g.number = ++w->made->number;
	publish_put(&w->made->g.image.arena, &g);
	w->generation = generation;
}

static void
listener_give(struct world *w, const struct compile_listener *l, int fd)
{
	struct worker_socket s = { .group = l->slot, .listener = l->slot,
	    .tag = l->tag, .fd = fd };
	char why[256];

	if (worker_listen(w->worker, &s, why, sizeof(why)) != 0)
		world_wrong(w, "%s", why);
}

static void
worker_start_in(struct world *w)
{
	const struct compiled *all = &w->made->made[WORLD_ALL];
	struct worker_start s = { .control_fd = -1, .wake_fd = -1,
	    .stats_fd = -1, .secrets_fd = -1 };
	char why[256];

	publish(w, WORLD_ALL);
	s.arena_fd = dup(w->made->g.image.arena.fd);
	s.row_fd = row_new(0, why, sizeof(why));
	s.common_fd = word_new(why, sizeof(why));
	w->row = row_open(s.row_fd, 1, why, sizeof(why));
	w->words = word_open(s.common_fd, why, sizeof(why));
	w->worker = worker_open(&w->worker_actor.sys, &s, why, sizeof(why));
	close(s.row_fd);
	close(s.common_fd);
	for (int i = 0; i < LISTENERS_N; i++)
		listener_give(w, &all->listeners[i], net_listen(&w->net,
		    ports_in[i]));
	w->worker_actor.starves = true;		/* it began whole */
	w->worker_actor.gives_up = true;
	if (w->stream_id_max != 0)
		w->worker->stream_id_max = w->stream_id_max;
	else
		w->stream_id_max = w->worker->stream_id_max;
}

static void
worker_end(struct world *w)
{
	worker_close(w->worker);
	w->worker = NULL;
	oracle_closed(w);
}

/* ---- turns ---- */

static int64_t
worker_next_ns(const struct world *w)
{
	const struct loop *l = &w->worker->loop;
	int64_t next = net_next_ns(&w->net, &w->worker_actor), at;
	int ms;

	if (l->again || l->ready.first != NULL)
		return w->net.now_ns;
	ms = timers_wait_ms(&l->timers, (struct mono){ w->net.now_ns });
	at = w->net.now_ns + (int64_t)ms * 1000000;
	return ms >= 0 && (next < 0 || at < next) ? at : next;
}

enum { WORKER, CALLER, SERVICE, ACTORS };

static int64_t
actor_next_ns(const struct world *w, int actor)
{
	switch (actor) {
	case WORKER:
		return w->worker == NULL ? -1 : worker_next_ns(w);
	case CALLER:
		return peer_next_ns(&w->caller.peer);
	default:
		return peer_next_ns(&w->service.peer);
	}
}

static void
actor_turn(struct world *w, int actor)
{
	if (actor == CALLER)
		peer_turn(&w->caller.peer);
	else if (actor == SERVICE)
		peer_turn(&w->service.peer);
	else {
		loop_turn(&w->worker->loop, 0);
		if (w->worker->held_bytes > w->held_bytes_max)
			w->held_bytes_max = w->worker->held_bytes;
	}
	if (w->worker == NULL || !w->worker->loop.stop)
		return;
	w->troubles.stopped = true;	/* it drained */
	worker_end(w);
}

/* Somebody who has something to do does it, now or as soon as anybody has.
 * False: nobody will within the time. */
static bool
world_turn(struct world *w, int64_t within_ms)
{
	int64_t at[ACTORS], first = -1;
	int due[ACTORS], due_n = 0;

	for (int i = 0; i < ACTORS; i++) {
		at[i] = actor_next_ns(w, i);
		if (at[i] >= 0 && (first < 0 || at[i] < first))
			first = at[i];
	}
	if (first < 0 || first > w->net.now_ns + within_ms * 1000000)
		return false;
	if (first > w->net.now_ns)
		w->net.now_ns = first;
	for (int i = 0; i < ACTORS; i++)
		if (at[i] >= 0 && at[i] <= w->net.now_ns)
			due[due_n++] = i;
	actor_turn(w, due[net_below(&w->net, (uint32_t)due_n)]);
	w->turn++;
	return true;
}

static void
trouble_make(struct world *w)
{
	struct worker *k = w->worker;

	if (k == NULL || k->root == NULL)
		return;			/* it can't serve who waits */
	if (w->turn == w->publish_turn && w->generation < WORLD_FEWEST) {
		net_say(&w->net, "generation %d is published",
		    w->generation + 1);
		w->troubles.published = true;
		publish(w, w->generation + 1);
		loop_again(&k->loop);
		w->publish_turn += 1 + (int)net_below(&w->net, TROUBLE_TURNS);
	}
	if (w->turn == w->drain_turn) {
		net_say(&w->net, "the worker drains");
		w->troubles.drained = true;
		worker_drain(k);
		loop_again(&k->loop);
	}
	if (w->turn == w->stop_turn) {
		net_say(&w->net, "the worker ends");
		w->troubles.stopped = true;
		worker_end(w);
	}
}

static void
calls_play(struct world *w)
{
	int64_t until = w->net.now_ns + (int64_t)LONGEST_MS * 1000000;

	while (caller_waits(&w->caller) != NULL && w->turn < TURNS_MAX &&
	    w->net.now_ns < until && world_turn(w, LONGEST_MS))
		trouble_make(w);
	if (caller_waits(&w->caller) != NULL)
		world_wrong(w, "call %u never ends (turn %d)",
		    caller_waits(&w->caller)->number, w->turn);
}

/* Until nobody has anything to do for a while. */
static void
quiet(struct world *w)
{
	int most = w->turn + TURNS_MAX;

	while (w->turn < most && world_turn(w, QUIET_MS))
		;
	if (w->turn >= most)
		world_wrong(w, "there is no end of it");
}

static void
ends_settle(struct peer *p)
{
	struct end *e;

	LIST_FOREACH(e, &p->ends, link)
		e->deeds_n = 0;
}

/* From here on the network and the peers behave. */
static void
settle(struct world *w)
{
	w->net.faults = (struct net_faults){ 0 };
	ends_settle(&w->caller.peer);
	ends_settle(&w->service.peer);
	w->service.deeds_n = 0;
	quiet(w);
	w->net.now_ns += (int64_t)WAIT_MS * 1000000;	/* pool.h P4 */
	quiet(w);
}

/* ---- the audit ---- */

/* As much as half a window, a frame at a time. */
static void
probe_start(struct world *w, int conn)
{
	struct call *c = &w->calls[w->calls_n + w->probes_n];
	uint32_t step = (uint32_t)w->net.pipe_bytes / 2 - 100;

	*c = (struct call){ .number = (uint32_t)(w->calls_n + w->probes_n),
	    .conn = conn, .got_status = -1, .gate = GATE_SHARE,
	    .lockstep = true };
	step = step < 8000 ? step : 8000;
	c->send.piece_bytes = c->serve_send.piece_bytes = step;
	c->request_bytes = c->answer_bytes = (nghttp2_session_get_remote_settings
	    (w->caller.conns[conn]->session,
	    NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE) == WIDE_STREAM_BYTES ?
	    WIDE_BYTES / 2 : 32768) + 3 * step;
	w->probes_n++;
	w->service.calls_n = w->calls_n + w->probes_n;
	w->caller.conns[conn]->audited = true;
	caller_call(&w->caller, c);
}

static void
audit(struct world *w)
{
	if (w->worker == NULL || w->worker->draining)
		return;
	service_audit(&w->service);
	for (int i = 0; i < w->caller.conns_n; i++) {
		const struct end *e = w->caller.conns[i];

		if (e == NULL || !e->open || e->leaving)
			continue;
		probe_start(w, i);
		quiet(w);
	}
	oracle_probes(w);
}

/* ---- one schedule ---- */

void
world_open(struct world *w, struct generations_made *m, uint64_t seed,
    bool verbose)
{
	uint32_t bytes_max;

	memset(w, 0, sizeof(*w));
	w->made = m;
	net_init(&w->net, seed, kinds[seed % 4].faults);
	w->net.verbose = verbose;
	net_actor_init(&w->caller_actor, &w->net, "caller");
	net_actor_init(&w->worker_actor, &w->net, "worker");
	net_actor_init(&w->service_actor, &w->net, "service");
	troubles_draw(w, seed);
	bytes_max = !w->troubles.bulk && net_below(&w->net, 4) != 0 ? 30000 :
	    BODY_BYTES_MAX;
	service_draw(w, bytes_max);
	worker_start_in(w);
	caller_draw(w, bytes_max);
	caller_start(&w->caller);
}

static void
ends_close(struct peer *p)
{
	while (!LIST_EMPTY(&p->ends))
		end_close(LIST_FIRST(&p->ends), false);
}

void
world_play(struct world *w)
{
	calls_play(w);
	settle(w);
	oracle_calls(w);
	oracle_quiet(w);
	audit(w);
	oracle_quiet(w);
	ends_close(&w->caller.peer);
	quiet(w);
	if (w->troubles.drained && w->worker != NULL)
		world_wrong(w, "the drained worker goes on");
	ends_close(&w->service.peer);
	quiet(w);
	oracle_alone(w);
	if (w->worker != NULL)
		worker_end(w);
}

void
world_close(struct world *w)
{
	if (w->worker != NULL)
		worker_close(w->worker);
	caller_close(&w->caller);
	service_close(&w->service);
	row_close(w->row);
	word_close(w->words);
}

const char *
world_kind(const struct world *w)
{
	static char text[128];
	const struct troubles *t = &w->troubles;

	snprintf(text, sizeof(text), "%s%s%s%s%s", kinds[w->net.seed %
	    4].name, t->losses ? ", losses" : "", t->published ?
	    ", published" : "", t->drained ? ", drained" : "",
	    t->stopped ? ", stopped" : "");
	return text;
}
