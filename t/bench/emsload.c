/*
 * t/bench/emsload.c - a thousand proxies and their services, for t/bench/emsbench.py.
 *
 *   emsload prepare FOLDER SERVICES ENDPOINTS
 *       writes FOLDER/ems.db: region us, services, and leases of an hour, so
 *       that nobody need speak for them
 *   emsload load PORT PROXIES SERVICES ENDPOINTS CHANGES RATE DELTA ACKS
 *       (goes on from "synced" when a line comes on standard input)
 *       that many proxies, as godwit's side of the protocol (xds/ads.h), all of
 *       which ask for all clusters and their endpoints; then CHANGES times an
 *       endpoint registers anew on another port, RATE a second, or (0) one when
 *       the one before is everywhere; then ACKS more, one for each line on
 *       standard input, of which "has NS" is said, when it was sent: whoever
 *       asks godwit-ems knows when all have acknowledged it
 *
 *   a change    RegisterEndpoint is sent ──> EMS stores, pushes ──> each proxy
 *               has it, and its ACK is on the way
 *
 * Each change has a port of its own, by which it is known where it arrives. One
 * that is overtaken by the next of its service has arrived with that.
 * Prints "synced MS", then the delays' p50, p99 and max, of the last proxy and
 * of all, and how many changes did not come (0).
 */
#include <arpa/inet.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "master/subscribe.h"
#include "shm/log.h"
#include "xds/ems/store.h"
#include "xds/proto/envoy/config/core.pb-c.h"
#include "xds/proto/godwit/ems/registry.pb-c.h"
#include "xds/wire.h"

enum { PATIENCE_MS = 120000, PORT_FIRST = 20000, PORTS = 40000,
	TTL_MS = 600000, NOTHING = INT_MIN };

static void __attribute__((noreturn))
die(const char *what)
{
	fprintf(stderr, "emsload: %s\n", what);
	exit(1);
}

/* ---- prepare */

static int answers;

static void
on_stored(void *arg, const struct store_answer *a)
{
	(void)arg;
	if (a->result != STORE_OK)
		die(a->why);
	answers++;
}

static void
until(struct loop *l, int n)
{
	while (answers < n)
		loop_turn(l, -1);
}

static int
prepare(const char *folder, int services, int endpoints)
{
	char path[512], why[512] = "", name[32], id[48], address[32];
	struct store_settings set = { .path = path };
	struct store_change c = { store_text("region"), store_text("us"), 0,
	    store_text("region: us") };
	const struct store_write w = { &c, 1, store_text("bench"),
	    store_text(""), 1 };
	struct loop loop;
	struct store *s;
	int asked = 1;

	snprintf(path, sizeof(path), "%s/ems.db", folder);
	loop_init(&loop, sys_kernel_new());
	if ((s = store_open(&loop, &set, why, sizeof(why))) == NULL)
		die(why);
	store_write(s, &w, on_stored, NULL);
	for (int i = 0; i < services * endpoints; i++) {
		struct store_lease l = { .id = store_text(id), .epoch =
		    (uint64_t)i + 1, .service = store_text(name),
		    .region = store_text("us"), .zone = store_text(""),
		    .address = store_text(address), .port = 80, .weight = 1,
		    .label = store_text(""), .ttl_ms = TTL_MS,
		    .checks = store_text("") };

		snprintf(name, sizeof(name), "s%d", i % services);
		snprintf(id, sizeof(id), "s%d-%d", i % services, i / services);
		snprintf(address, sizeof(address), "10.%d.%d.%d", i >> 16,
		    i >> 8 & 255, i & 255);
		l.id = store_text(id);
		l.service = store_text(name);
		l.address = store_text(address);
		store_lease_put(s, &l, on_stored, NULL);
		if (++asked - answers > 1000)
			until(&loop, asked - 500);
	}
	until(&loop, asked);
	store_close(s);
	return 0;
}

/* ---- proxies */

struct load;

struct proxy_client {
	struct load	*load;
	struct ads	*ads;
	struct subscribe *subscribe;
	int		 have;		/* assignments, the first time */
	int		*newest;	/* change of each service that it has */
	bool		 is_broken;	/* its stream, which begins again */
};

struct load {
	struct loop	 loop;
	struct io	 io;
	struct sockaddr_storage to;
	struct proxy_client *proxies;
	int		 proxies_n, services, endpoints, changes, rate, acks;
	bool		 delta;
	int		 synced;	/* proxies that have all */
	int		 broken;	/* streams that were */
	/* Of each change. */
	struct mono	*sent;
	int		*arrived;
	double		*first_ms, *last_ms;	/* of its proxies */
	int		 done, asked;
	struct timer	 timer;
	struct mono	 began;		/* its changes */
	struct source	 input;
	int		 lines;		/* of standard input */
	double		 delay_sum_ms;
};

/* The port of an endpoint of an assignment, 0: none of ours. */
static int
port_find(const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i + 3 < n; i++)	/* port_value: field 3 */
		if (bytes[i] == (3 << 3) && bytes[i + 1] >= 0x80 &&
		    bytes[i + 2] >= 0x80 && bytes[i + 3] < 4) {
			int port = (bytes[i + 1] & 0x7f) |
			    (bytes[i + 2] & 0x7f) << 7 | bytes[i + 3] << 14;

			if (port >= PORT_FIRST)
				return port;
		}
	return 0;
}

static void
arrived(struct load *l, int change)
{
	double ms = (double)(clock_now().ns - l->sent[change].ns) / 1e6;

	if (l->sent[change].ns == 0 || l->arrived[change] == l->proxies_n)
		return;
	l->delay_sum_ms += ms;
	if (l->arrived[change]++ == 0)
		l->first_ms[change] = ms;
	l->last_ms[change] = ms;
	if (l->arrived[change] == l->proxies_n) {
		l->done++;
		if (l->done > l->changes)
			printf("has %lld\n", (long long)l->sent[change].ns);
		else if (l->rate == 0)
			timer_start(&l->loop.timers, &l->timer, l->loop.now,
			    0);
	}
}

static void
assignment(struct proxy_client *p, const struct ads_item *item)
{
	struct load *l = p->load;
	int service = atoi(item->name + 1), port, *newest;

	newest = &p->newest[service];
	if (*newest == NOTHING) {
		*newest = service - l->services;
		if (++p->have == l->services)
			l->synced++;
		return;
	}
	/* Only the newest change of it is in there. */
	port = port_find(item->bytes, item->len);
	while (port != 0 && *newest < port - PORT_FIRST)
		arrived(l, *newest += l->services);
}

static bool
on_update(void *arg, struct ads *a, struct ads_update *u)
{
	struct proxy_client *p = arg;

	for (size_t i = 0; i < u->items_n; i++) {
		if (u->kind == RESOURCE_CLUSTER)
			(void)ads_subscribe(a, RESOURCE_ENDPOINT,
			    u->items[i].name);
		else if (u->kind == RESOURCE_ENDPOINT)
			assignment(p, &u->items[i]);
	}
	return true;
}

static void
on_missing(void *arg, enum resource_kind kind, const char *name)
{
	(void)arg;
	(void)kind;
	(void)name;
}

static void
on_wake(void *arg)
{
	struct proxy_client *p = arg;

	if (p->subscribe != NULL)
		subscribe_wake(p->subscribe);
}

static bool
on_target(void *arg, uint32_t i, struct subscribe_target *t, char *why,
    size_t why_len)
{
	const struct proxy_client *p = arg;

	(void)i;
	(void)why;
	(void)why_len;
	*t = (struct subscribe_target){ &p->load->to, 1, NULL, 60000, "ems" };
	return true;
}

static void
on_changed(void *arg)
{
	struct proxy_client *p = arg;
	struct subscribe_status s;

	subscribe_status(p->subscribe, &s);
	if (s.why[0] != '\0' && !p->is_broken) {
		fprintf(stderr, "emsload: %s\n", s.why);
		p->load->broken++;
	}
	p->is_broken = s.why[0] != '\0';
}

static void
proxy_begin(struct load *l, int i)
{
	static const struct ads_events events = { on_update, on_missing,
	    on_wake };
	struct proxy_client *p = &l->proxies[i];
	Envoy__Config__Core__V3__Node node;
	Envoy__Config__Core__V3__Locality where;
	char id[16], us[] = "us", agent[] = "godwit";
	uint8_t bytes[128];
	struct ads_settings s = { .delta = l->delta, .node_once = true,
	    .node = bytes };
	struct subscribe_settings to = { .path = l->delta ?
	    "/envoy.service.discovery.v3.AggregatedDiscoveryService/"
	    "DeltaAggregatedResources" : "/envoy.service.discovery.v3."
	    "AggregatedDiscoveryService/StreamAggregatedResources",
	    .servers = { { .name = "ems" } }, .servers_n = 1,
	    .back_off_base_ms = 500, .back_off_max_ms = 30000,
	    .message_bytes_max = 64 << 20, .target = on_target,
	    .changed = on_changed, .arg = p };

	envoy__config__core__v3__node__init(&node);
	envoy__config__core__v3__locality__init(&where);
	snprintf(id, sizeof(id), "p%d", i);
	node.id = id;
	node.user_agent_name = agent;
	node.locality = &where;
	where.region = us;
	s.node_len = envoy__config__core__v3__node__pack(&node, bytes);
	p->load = l;
	p->newest = calloc((size_t)l->services, sizeof(*p->newest));
	for (int at = 0; p->newest != NULL && at < l->services; at++)
		p->newest[at] = NOTHING;
	p->ads = ads_new(&s, &events, p);
	ads_wildcard(p->ads, RESOURCE_CLUSTER, true);
	p->subscribe = subscribe_open(&l->io, p->ads, &to);
	if (p->newest == NULL || p->subscribe == NULL)
		die("no memory");
}

/* ---- changes: a call each */

struct change {
	struct load	*load;
	int		 number;
};

static void
on_opened(void *arg, struct grpc *g)
{
	struct change *c = arg;
	struct load *l = c->load;
	Godwit__Ems__V1__RegisterRequest m;
	char id[48], service[32], us[] = "us", address[] = "10.9.9.9";
	uint8_t bytes[256];

	godwit__ems__v1__register_request__init(&m);
	snprintf(service, sizeof(service), "s%d", c->number % l->services);
	snprintf(id, sizeof(id), "s%d-0", c->number % l->services);
	m.id = id;
	m.service = service;
	m.region = us;
	m.address = address;
	m.port = (uint32_t)(PORT_FIRST + c->number);
	m.ttl_ms = TTL_MS;
	if (!grpc_begin(g, "ems", "/godwit.ems.v1.Registry/RegisterEndpoint",
	    NULL, 0))
		die("no memory");
	l->sent[c->number] = clock_now();
	if (!grpc_send(g, bytes, godwit__ems__v1__register_request__pack(&m,
	    bytes)))
		die("no memory");
}

static bool
on_ready(void *arg, struct grpc *g)
{
	(void)arg;
	(void)g;
	return true;
}

static void
on_message(void *arg, struct grpc *g, const uint8_t *bytes, size_t n)
{
	(void)arg;
	(void)bytes;
	(void)n;
	grpc_drop(g);			/* it was answered */
}

static void
on_sent(void *arg, struct grpc *g)
{
	(void)arg;
	(void)g;
}

static void
on_ended(void *arg, struct grpc *g, const char *why)
{
	(void)arg;
	(void)g;
	die(why);
}

static void
change(struct load *l)
{
	static const struct grpc_events events = { on_opened, on_ready,
	    on_message, on_sent, on_ended };
	const struct grpc_settings s = { .address = &l->to,
	    .connect_timeout_ms = 60000, .message_bytes_max = 65536 };
	struct change *c = malloc(sizeof(*c));	/* to the end */
	char why[256];

	*c = (struct change){ l, l->asked++ };
	if (grpc_open(&l->io, &s, &events, c, why, sizeof(why)) == NULL)
		die(why);
}

static void
tick(struct timer *t)
{
	struct load *l = CONTAINER(t, struct load, timer);

	if (l->rate == 0 && l->asked < l->changes)
		change(l);
	/* As many as are due, late or not. */
	while (l->rate > 0 && l->asked < l->changes && l->asked <=
	    mono_between_ms(l->began, l->loop.now) * l->rate / 1000)
		change(l);
	if (l->rate > 0 && l->asked < l->changes)
		timer_start(&l->loop.timers, t, l->loop.now, 1000 / l->rate);
}

/* ---- the whole of it */

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void
report(struct load *l)
{
	int n = l->done, missing = 0;

	for (int i = 0; i < l->asked; i++)
		missing += l->arrived[i] < l->proxies_n;
	qsort(l->last_ms, (size_t)l->changes, sizeof(double), compare);
	qsort(l->first_ms, (size_t)l->changes, sizeof(double), compare);
	printf("changes all %d missing %d broken %d\n", l->asked, missing,
	    l->broken);
	printf("last_ms p50 %.1f p99 %.1f max %.1f\n", l->last_ms[n / 2],
	    l->last_ms[n * 99 / 100], l->last_ms[n - 1]);
	printf("first_ms p50 %.1f p99 %.1f\n", l->first_ms[n / 2],
	    l->first_ms[n * 99 / 100]);
	printf("all_ms mean %.1f\n", l->delay_sum_ms / ((double)n *
	    l->proxies_n));
}

static void
wait_for(struct load *l, const int *what, int n, const char *name)
{
	struct mono began = clock_now();
	int was = *what;

	while (*what < n) {
		loop_turn(&l->loop, 1000);
		if (*what > was) {
			was = *what;
			began = clock_now();
		}
		if (mono_between_ms(began, clock_now()) > PATIENCE_MS) {
			fprintf(stderr, "emsload: %d of %d %s\n", *what, n,
			    name);
			report(l);
			exit(1);
		}
	}
}

static void
on_input(struct source *s, uint32_t events)
{
	struct load *l = CONTAINER(s, struct load, input);
	char text[64];
	ssize_t n = read(STDIN_FILENO, text, sizeof(text));

	(void)events;
	if (n == 0)
		die("standard input ended");
	for (ssize_t i = 0; i < n; i++)
		l->lines += text[i] == '\n';
}

static int
load(struct load *l, int port)
{
	struct sockaddr_in *in = (void *)&l->to;
	struct mono began;
	size_t n = (size_t)(l->changes + l->acks) + 1;

	in->sin_family = AF_INET;
	in->sin_port = htons((uint16_t)port);
	in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	loop_init(&l->loop, sys_kernel_new());
	if (io_init(&l->io, &l->loop) != 0)
		die("no memory");
	l->proxies = calloc((size_t)l->proxies_n, sizeof(*l->proxies));
	l->sent = calloc(n, sizeof(*l->sent));
	l->arrived = calloc(n, sizeof(*l->arrived));
	l->first_ms = calloc(n, sizeof(double));
	l->last_ms = calloc(n, sizeof(double));
	l->timer.fire = tick;
	l->input.ready = on_input;
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (loop_watch(&l->loop, STDIN_FILENO, &l->input) != 0)
		die("standard input is no pipe");
	loop_turn(&l->loop, 0);
	began = clock_now();
	for (int i = 0; i < l->proxies_n; i++)
		proxy_begin(l, i);
	wait_for(l, &l->synced, l->proxies_n, "proxies have all");
	printf("synced %lld ms\n", (long long)mono_between_ms(began,
	    clock_now()));
	wait_for(l, &l->lines, 1, "lines: go on");	/* emsbench.py looks */
	l->began = l->loop.now;
	timer_start(&l->loop.timers, &l->timer, l->loop.now, 0);
	wait_for(l, &l->done, l->changes, "changes are everywhere");
	report(l);
	for (int i = 1; i <= l->acks; i++) {
		wait_for(l, &l->lines, 1 + i, "lines");
		change(l);
		wait_for(l, &l->done, l->changes + i, "changes are "
		    "everywhere");
	}
	wait_for(l, &l->lines, 2 + l->acks, "lines: end");
	return 0;
}

int
main(int argc, char **argv)
{
	struct load *l = calloc(1, sizeof(*l));

	log_open("emsload", LOG_ERROR);
	if (argc == 5 && strcmp(argv[1], "prepare") == 0)
		return prepare(argv[2], atoi(argv[3]), atoi(argv[4]));
	if (argc != 10 || strcmp(argv[1], "load") != 0)
		die("prepare FOLDER SERVICES ENDPOINTS | load PORT PROXIES "
		    "SERVICES ENDPOINTS CHANGES RATE DELTA ACKS");
	l->proxies_n = atoi(argv[3]);
	l->services = atoi(argv[4]);
	l->endpoints = atoi(argv[5]);
	l->changes = atoi(argv[6]) < PORTS ? atoi(argv[6]) : PORTS;
	l->rate = atoi(argv[7]);
	l->delta = atoi(argv[8]) != 0;
	l->acks = atoi(argv[9]);
	return load(l, atoi(argv[2]));
}
