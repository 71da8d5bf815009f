/*
 * t/sim/sim.c - a client, a worker and a backend in one process, over the
 * network of net.h: unary calls through the real worker, by seed.
 *
 *   sim [--seed N] [--schedules N] [--verbose]
 *
 * One schedule: 1..3 connections of 1..8 calls each, messages of 0..150,000
 * bytes, sent in pieces and read late now and then; the backend takes 1..100
 * streams at once; it echoes, answers an error at once, resets, closes, or
 * fails the first tries, and the client cancels. In every other run of a kind a connection is out of
 * stream ids after five; in every third the worker is drained meanwhile. What
 * must hold, whatever the network does:
 *   - each call ends once, with the echo of what it sent or an error
 *   - without faults no call fails that the backend does not fail; a drain
 *     only turns calls away, and says so to the caller
 *   - a drained worker comes to its end
 *   - what was refused is counted, and no connection goes past its ids
 *   - afterwards the worker's memory is back, its gauges are 0, and so are
 *     the words it shares and its shares of them
 *   - the same seed gives the same trace
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "master/generations.h"
#include "shm/log.h"
#include "t/sim/net.h"
#include "t/sim/peers.h"
#include "worker/state.h"
#include "worker/worker.h"

enum { WORKER_PORT = 1, BACKEND_PORT = 2, TURNS_MAX = 1000000,
	FEW_IDS = 9, DRAIN_TURNS = 200 };

static const char CONFIG[] =
    "godwit: {log_level: error}\n"
    "static_resources:\n"
    "  listeners:\n"
    "  - name: in\n"
    "    address: {socket_address: {address: 127.0.0.1, port_value: 1}}\n"
    "    filter_chains:\n"
    "    - filters:\n"
    "      - name: hcm\n"
    "        typed_config:\n"
    "          '@type': type.googleapis.com/envoy.extensions.filters."
    "network.http_connection_manager.v3.HttpConnectionManager\n"
    "          stat_prefix: in\n"
    "          http2_protocol_options: {initial_stream_window_size: 65535, "
    "initial_connection_window_size: 65535}\n"
    "          route_config:\n"
    "            virtual_hosts:\n"
    "            - name: all\n"
    "              domains: ['*']\n"
    "              routes:\n"
    "              - match: {prefix: '/sim.Flaky/'}\n"
    "                route: {cluster: back, timeout: 20s, retry_policy: {"
    "retry_on: 'reset,refused-stream,unavailable', num_retries: 3}}\n"
    "              - match: {prefix: '/'}\n"
    "                route: {weighted_clusters: {clusters: [{name: back, "
    "weight: 1}, {name: back, weight: 2}]}, timeout: 20s}\n"
    "                request_headers_to_remove: [x-none]\n"
    "                request_headers_to_add: [{header: {key: x-from, value: "
    "'%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %REQ(:path)%'}}]\n"
    "                response_headers_to_add: [{header: {key: x-back, value: "
    "'%UPSTREAM_CLUSTER%'}}]\n"
    "          http_filters:\n"
    "          - name: router\n"
    "            typed_config: {'@type': type.googleapis.com/envoy."
    "extensions.filters.http.router.v3.Router}\n"
    "  clusters:\n"
    "  - name: back\n"
    "    connect_timeout: 1s\n"
    "    circuit_breakers: {thresholds: [{max_retries: 100}]}\n"
    "    http2_protocol_options: {initial_stream_window_size: 65535}\n"
    "    load_assignment:\n"
    "      cluster_name: back\n"
    "      endpoints: [{lb_endpoints: [{endpoint: {address: "
    "{socket_address: {address: 127.0.0.1, port_value: 2}}}}]}]\n";

static const struct net_faults calm = { 0 };
static const struct net_faults rough = {
	.short_recv = 300, .short_send = 200, .one_byte = 20, .no_send = 100,
	.late = 300, .refuse = 50, .reset = 2,
};
static const struct net_faults slow = {	/* nothing is lost, all is late */
	.short_recv = 500, .short_send = 500, .one_byte = 200, .no_send = 300,
	.late = 500,
};
static const struct net_faults poor = {
	.short_recv = 100, .late = 100, .no_memory = 8,
};

struct result {
	uint64_t	trace;
	char		why[256];	/* "" = as it must be */
};

struct world {
	struct net	net;
	struct net_actor client_actor, worker_actor, backend_actor;
	struct worker	*worker;
	struct client	*client;
	struct backend	*backend;
	int		 drain_turn;	/* -1: it is not drained */
};

/* ---- the worker's side ---- */

static struct worker *
worker_start_in(struct world *w, const struct generations *g, char *why,
    size_t why_len)
{
	static struct worker_start s;
	struct worker_socket socket = {
	    .listener = g->newest.listeners[0].slot,
	    .tag = g->newest.listeners[0].tag,
	    .fd = net_listen(&w->net, WORKER_PORT) };

	s = (struct worker_start){ .control_fd = -1, .wake_fd = -1,
	    .common_fd = -1, .stats_fd = -1, .secrets_fd = -1 };
	s.arena_fd = dup(g->image.arena.fd);
	s.row_fd = row_new(0, why, why_len);
	w->worker = worker_open(&w->worker_actor.sys, &s, why, why_len);
	close(s.row_fd);
	if (w->worker == NULL || worker_listen(w->worker, &socket, why,
	    why_len) != 0)
		return NULL;
	return w->worker;
}

static const char *
gauges_check(const struct row *r)
{
	if (count_get(&r->listeners[0].listener
	    [COUNT_LISTENER_downstream_cx_active]) != 0)
		return "downstream_cx_active is not 0";
	if (count_get(&r->listeners[0].http
	    [COUNT_HTTP_downstream_rq_active]) != 0)
		return "downstream_rq_active is not 0";
	if (count_get(&r->clusters[0].cluster
	    [COUNT_CLUSTER_upstream_rq_active]) != 0)
		return "upstream_rq_active is not 0";
	if (count_get(&r->clusters[0].cluster
	    [COUNT_CLUSTER_upstream_rq_pending_active]) != 0)
		return "upstream_rq_pending_active is not 0";
	return NULL;
}

/* Every cell has a tag when it was used, and then no count. */
static const char *
words_check(const struct worker *w)
{
	const struct word_shares *s = &w->row->shares;
	uint32_t used = 0, at;

	if (word_get(w->words, WORD_connections, 0, 1) != count_get(
	    &w->row->clusters[0].cluster[COUNT_CLUSTER_upstream_cx_active]))
		return "connections are not counted in the shared words";
	for (int k = 0; k < WORD_KINDS; k++) {
		if (k == WORD_connections)
			continue;
		for (uint32_t id = 0; id < s->n[word_scope_of((enum word_kind)k)]; id++) {
			at = word_at((enum word_kind)k, id);
			if ((uint32_t)w->words->cells[at] != 0)
				return "a shared word is not 0";
			if ((uint32_t)s->cells[at] != 0)
				return "a share of a word is not 0";
			used += k == WORD_active &&
			    w->words->cells[at] != 0;
		}
	}
	if ((used != 0) != (count_get(&w->row->clusters[0].cluster
	    [COUNT_CLUSTER_upstream_rq_total]) != 0))
		return "attempts are not counted in the shared words";
	return NULL;
}

/* Every turn, every request and every whole answer took some time. */
static const char *
times_check(const struct row *r)
{
	if (histogram_n(&r->worker_times[HISTOGRAM_WORKER_loop_turn_time]) !=
	    count_get(&r->worker[COUNT_WORKER_worker_turns]))
		return "a turn has no time, or two";
	if (histogram_n(&r->http_times[0]
	    [HISTOGRAM_HTTP_downstream_rq_time]) != count_get(
	    &r->listeners[0].http[COUNT_HTTP_downstream_rq_total]))
		return "a request has no time, or two";
	if (histogram_n(&r->cluster_times[0]
	    [HISTOGRAM_CLUSTER_upstream_rq_time]) != count_get(
	    &r->clusters[0].cluster[COUNT_CLUSTER_upstream_rq_completed]))
		return "an answer has no time, or two";
	return NULL;
}

/* What the worker must have noticed, by what was done to it. */
static const char *
noticed_check(const struct world *w)
{
	const struct row *r = w->worker->row;

	if (w->net.faults.no_memory == 0 && count_get(&r->clusters[0].cluster
	    [COUNT_CLUSTER_upstream_cx_connect_fail]) !=
	    w->worker_actor.refused_n)
		return "refused connections are not counted as such";
	if (backend_id_max(w->backend) > w->worker->stream_id_max)
		return "a connection went past its stream ids";
	return NULL;
}

/* ---- one schedule ---- */

/* When the next timer of any actor may be due. */
static int64_t
timers_next_ns(const struct world *w, int64_t next)
{
	const struct loop *loops[] = { &w->worker->loop,
	    client_loop(w->client), backend_loop(w->backend) };

	for (int i = 0; i < 3; i++) {
		int ms = timers_wait_ms(&loops[i]->timers,
		    (struct mono){ w->net.now_ns });
		int64_t at = w->net.now_ns + (int64_t)ms * 1000000;

		if (ms >= 0 && (next < 0 || at < next))
			next = at;
		if (loops[i]->again || loops[i]->ready.first != NULL)
			next = w->net.now_ns;
	}
	return next;
}

static bool
world_turns(struct world *w)
{
	struct loop *loops[] = { &w->worker->loop, client_loop(w->client),
	    backend_loop(w->backend) };
	int64_t next;

	for (int turn = 0; turn < TURNS_MAX && !client_done(w->client);
	    turn++) {
		if (w->drain_turn >= 0 && turn >= w->drain_turn &&
		    w->worker->root != NULL)	/* it can serve who waits */
			worker_drain(w->worker);
		loop_turn(loops[net_random(&w->net) % 3], 0);
		next = timers_next_ns(w, net_next_ns(&w->net));
		if (next < 0)
			break;		/* nothing will ever happen */
		if (next > w->net.now_ns)
			w->net.now_ns = next;
	}
	return client_done(w->client);
}

static void
world_end(struct world *w, struct result *r)
{
	const char *wrong = client_verdict(w->client, w->worker->draining,
	    backend_takes_few(w->backend));
	struct row *row = w->worker->row;

	client_close(w->client);
	for (int i = 0; i < 300; i++) {		/* the news reaches all */
		loop_turn(&w->worker->loop, 0);
		loop_turn(backend_loop(w->backend), 0);
		w->net.now_ns += 1000000;
	}
	if (wrong == NULL)
		wrong = gauges_check(row);
	if (wrong == NULL)
		wrong = words_check(w->worker);
	if (wrong == NULL)
		wrong = times_check(row);
	if (wrong == NULL)
		wrong = noticed_check(w);
	if (wrong == NULL && w->worker->draining && !w->worker->loop.stop)
		wrong = "the drained worker goes on";
	if (wrong == NULL && w->worker->held_bytes != 0)
		wrong = "body bytes are still held";
	worker_close(w->worker);
	backend_close(w->backend);
	if (wrong == NULL && w->worker_actor.blocks_n != 0)
		wrong = "the worker's memory is not back";
	if (wrong != NULL)
		snprintf(r->why, sizeof(r->why), "%s", wrong);
}

static struct result
schedule_run(const struct generations *g, uint64_t seed,
    struct net_faults faults)
{
	struct result r = { 0 };
	struct world w;

	net_init(&w.net, seed, faults);
	net_actor_init(&w.client_actor, &w.net);
	net_actor_init(&w.worker_actor, &w.net);
	net_actor_init(&w.backend_actor, &w.net);
	w.backend = backend_open(&w.backend_actor, net_listen(&w.net,
	    BACKEND_PORT));
	w.client = client_open(&w.client_actor, WORKER_PORT,
	    faults.refuse == 0 && faults.reset == 0 && faults.no_memory == 0);
	if (worker_start_in(&w, g, r.why, sizeof(r.why)) == NULL)
		abort();
	w.worker_actor.starves = true;	/* it began whole */
	if (seed % 8 < 4)
		w.worker->stream_id_max = FEW_IDS;
	w.drain_turn = seed % 3 == 0 ?
	    (int)(net_random(&w.net) % DRAIN_TURNS) : -1;
	client_start(w.client);
	if (!world_turns(&w))
		snprintf(r.why, sizeof(r.why), "a call never ends");
	r.trace = w.net.trace;
	if (r.why[0] == '\0')
		world_end(&w, &r);
	net_fini(&w.net);
	return r;
}

static int
seed_run(const struct generations *g, uint64_t seed, bool verbose)
{
	static const struct { const char *name; const struct net_faults *f; }
	    kinds[] = { { "calm", &calm }, { "rough", &rough },
	    { "slow", &slow }, { "poor", &poor } };
	int kind = (int)(seed % 4);
	struct result r = schedule_run(g, seed, *kinds[kind].f);

	if (r.why[0] == '\0' && seed % 16 == 0 &&
	    schedule_run(g, seed, *kinds[kind].f).trace != r.trace)
		snprintf(r.why, sizeof(r.why), "a second run went elsewhere");
	if (verbose || r.why[0] != '\0')
		printf("seed %" PRIu64 " (%s): trace %016" PRIx64 ": %s\n",
		    seed, kinds[kind].name, r.trace,
		    r.why[0] == '\0' ? "good" : r.why);
	return r.why[0] == '\0';
}

/* ---- the configuration, by the real compiler ---- */

static void
generation_make(struct generations *g)
{
	static struct options o;
	char file[] = "/tmp/godwit-sim-XXXXXX", why[512];
	int fd = mkstemp(file);

	if (fd < 0 || write(fd, CONFIG, sizeof(CONFIG) - 1) < 0)
		abort();
	close(fd);
	o.file = file;
	if (generations_open(g, &o, why, sizeof(why)) != 0 ||
	    generations_next(g, why, sizeof(why)) != 0) {
		fprintf(stderr, "%s\n", why);
		exit(1);
	}
	unlink(file);
}

int
main(int argc, char **argv)
{
	uint64_t seed = 1, schedules = 1000, good = 0;
	struct generations g;
	bool verbose = false;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--verbose") == 0)
			verbose = true;
		else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) {
			seed = strtoull(argv[++i], NULL, 0);
			schedules = 1;
		} else if (strcmp(argv[i], "--schedules") == 0 && i + 1 < argc)
			schedules = strtoull(argv[++i], NULL, 0);
	}
	log_open("sim", LOG_ERROR);
	generation_make(&g);
	log_level_set(LOG_ERROR);
	for (uint64_t i = 0; i < schedules; i++)
		good += (uint64_t)seed_run(&g, seed + i, verbose);
	generations_close(&g);
	printf("%" PRIu64 " passed, %" PRIu64 " failed\n", good,
	    schedules - good);
	return good != schedules;
}
