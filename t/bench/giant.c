/*
 * t/bench/giant.c - what one changed endpoint of a giant assignment costs the
 * master: from the last byte of a response by delta until it is published.
 *
 *   bytes ─framing─> message ─ads_feed─> update ─put─> set ─end─> published
 *                                                             └─> journal
 *
 * The code is the master's own; only the stream is the bench's: messages come
 * in pieces of 16 KiB, as from HTTP/2. Each change is of chance: an endpoint
 * gets another health or weight, is added, or leaves.
 *
 *   giant [-n CHANGES] [ENDPOINTS...]
 *
 * CPU us of the thread, medians; all: of their sums. Every change is checked: a
 * worker would see as many endpoints as there are. Exit code 1: it would not.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "master/generations.h"
#include "master/names.h"
#include "shm/log.h"
#include "t/bench/timing.h"
#include "t/lib/chance.h"
#include "xds/ads.h"
#include "xds/framing.h"
#include "xds/proto/envoy/config/cluster.pb-c.h"
#include "xds/proto/envoy/service/discovery.pb-c.h"

typedef Envoy__Config__Endpoint__V3__ClusterLoadAssignment Assignment;
typedef Envoy__Config__Endpoint__V3__LocalityLbEndpoints Locality;
typedef Envoy__Service__Discovery__V3__DeltaDiscoveryResponse Response;
typedef Envoy__Service__Discovery__V3__Resource Resource;

enum {
	CHANGES = 200, CHANGES_MAX = 100000, PIECE_BYTES = 16 << 10,
	MESSAGE_BYTES_MAX = 64 << 20, ENDPOINTS_MOST = ENDPOINTS_MAX / 4,
};

enum phase { FRAME, READ, PUT, END, RENEW, PHASES };
static const char *const phases[] = { "framing", "read", "put", "end",
	"journal" };

struct endpoint {
	uint32_t	 ip, weight;
	int		 health;
};

struct bench {
	struct generations generations;
	struct options	 options;
	char		 file[64];
	struct ads	*ads;
	struct framing	 framing;
	struct endpoint	*endpoints;
	uint32_t	 n, ip_last, version;
	struct chance	 chance;
	int64_t		 us_from;	/* of the phase under way */
	double		 us[PHASES];
	size_t		 bytes_n;
};

static char why[1024];

static void
die(const char *what)
{
	fprintf(stderr, "giant: %s\n", what);
	exit(1);
}

static void
phase_end(struct bench *b, enum phase phase)
{
	int64_t now = timing_ns(CLOCK_THREAD_CPUTIME_ID);

	b->us[phase] += (double)(now - b->us_from) / 1e3;
	b->us_from = now;
}

/* ---- what the control plane says */

static uint8_t *
pack(const void *message, size_t *n)
{
	uint8_t *bytes;

	*n = protobuf_c_message_get_packed_size(message);
	if ((bytes = malloc(*n + 1)) == NULL)
		die("no memory");
	protobuf_c_message_pack(message, bytes);
	return bytes;
}

/* One endpoint's message and all in it. */
struct parts {
	Envoy__Config__Endpoint__V3__LbEndpoint lb;
	Envoy__Config__Endpoint__V3__Endpoint endpoint;
	Envoy__Config__Core__V3__Address address;
	Envoy__Config__Core__V3__SocketAddress socket;
	Google__Protobuf__UInt32Value weight;
	char		 ip[INET_ADDRSTRLEN];
};

static void
parts_fill(struct parts *p, const struct endpoint *e)
{
	const uint32_t ip = htonl(e->ip);

	envoy__config__endpoint__v3__lb_endpoint__init(&p->lb);
	envoy__config__endpoint__v3__endpoint__init(&p->endpoint);
	envoy__config__core__v3__address__init(&p->address);
	envoy__config__core__v3__socket_address__init(&p->socket);
	google__protobuf__uint32_value__init(&p->weight);
	inet_ntop(AF_INET, &ip, p->ip, sizeof(p->ip));
	p->socket.address = p->ip;
	p->socket.port_specifier_case =
	    ENVOY__CONFIG__CORE__V3__SOCKET_ADDRESS__PORT_SPECIFIER_PORT_VALUE;
	p->socket.port_value = 8080;
	p->address.address_case =
	    ENVOY__CONFIG__CORE__V3__ADDRESS__ADDRESS_SOCKET_ADDRESS;
	p->address.socket_address = &p->socket;
	p->endpoint.address = &p->address;
	p->lb.host_identifier_case =
	    ENVOY__CONFIG__ENDPOINT__V3__LB_ENDPOINT__HOST_IDENTIFIER_ENDPOINT;
	p->lb.endpoint = &p->endpoint;
	p->lb.health_status = e->health;
	p->weight.value = e->weight;
	p->lb.load_balancing_weight = &p->weight;
}

static uint8_t *
assignment_pack(const struct bench *b, size_t *n)
{
	struct parts *parts = calloc(b->n, sizeof(*parts));
	char name[] = "giant";
	Assignment m;
	Locality l, *all = &l;
	uint8_t *bytes;

	envoy__config__endpoint__v3__cluster_load_assignment__init(&m);
	envoy__config__endpoint__v3__locality_lb_endpoints__init(&l);
	l.lb_endpoints = calloc(b->n, sizeof(l.lb_endpoints[0]));
	if (parts == NULL || l.lb_endpoints == NULL)
		die("no memory");
	for (uint32_t i = 0; i < b->n; i++) {
		parts_fill(&parts[i], &b->endpoints[i]);
		l.lb_endpoints[i] = &parts[i].lb;
	}
	l.n_lb_endpoints = b->n;
	m.cluster_name = name;
	m.endpoints = &all;
	m.n_endpoints = 1;
	bytes = pack(&m, n);
	free(l.lb_endpoints);
	free(parts);
	return bytes;
}

/* A whole gRPC message, the caller's. */
static uint8_t *
response_pack(enum resource_kind kind, const char *name, uint32_t version,
    uint8_t *bytes, size_t len, size_t *n)
{
	Google__Protobuf__Any any;
	Response m;
	Resource r, *all = &r;
	char url[128], nonce[16], name_copy[32];
	uint8_t *packed, *framed;
	size_t packed_n;

	envoy__service__discovery__v3__delta_discovery_response__init(&m);
	envoy__service__discovery__v3__resource__init(&r);
	google__protobuf__any__init(&any);
	snprintf(url, sizeof(url), "type.googleapis.com/%s",
	    resource_about(kind)->message);
	snprintf(nonce, sizeof(nonce), "%u", version);
	snprintf(name_copy, sizeof(name_copy), "%s", name);
	any.type_url = m.type_url = url;
	any.value = (ProtobufCBinaryData){ len, bytes };
	r.name = name_copy;
	r.version = m.nonce = m.system_version_info = nonce;
	r.resource = &any;
	m.resources = &all;
	m.n_resources = 1;
	packed = pack(&m, &packed_n);
	*n = packed_n + FRAMING_PREFIX_BYTES;
	if ((framed = malloc(*n)) == NULL)
		die("no memory");
	framing_prefix(framed, (uint32_t)packed_n);
	memcpy(framed + FRAMING_PREFIX_BYTES, packed, packed_n);
	free(packed);
	return framed;
}

/* ---- the master */

static bool
updated(void *arg, struct ads *a, struct ads_update *u)
{
	struct bench *b = arg;
	struct generations *g = &b->generations;

	(void)a;
	phase_end(b, READ);
	if (generations_change_begin(g, 1000, why, sizeof(why)) == -1)
		die(why);
	for (size_t i = 0; i < u->items_n; i++)
		if (resources_put(g->resources, u->kind, u->items[i].name,
		    u->items[i].version, u->items[i].bytes, u->items[i].len,
		    FROM_PLANE, why, sizeof(why)) == -1)
			die(why);
	phase_end(b, PUT);
	switch (generations_change_end(g, why, sizeof(why))) {
	case 0:
		generations_publish(g);
		break;
	case -1:
		die(why);
	}
	phase_end(b, END);
	(void)generations_journal_renew(g);
	generations_reclaim(g, UINT64_MAX);
	phase_end(b, RENEW);
	return true;
}

static void
missing(void *arg, enum resource_kind kind, const char *name)
{
	(void)arg;
	(void)kind;
	die(name);
}

static void
wake(void *arg)
{
	(void)arg;
}

static void
want(void *arg, enum resource_kind kind, const char *name, bool on)
{
	struct bench *b = arg;

	if (on && kind == RESOURCE_ENDPOINT)
		(void)ads_subscribe(b->ads, kind, name);
}

static void
requests_take(struct bench *b)
{
	uint8_t *bytes;
	size_t n;

	while (ads_take(b->ads, 1000, &bytes, &n))
		free(bytes);
}

static void
feed(struct bench *b, const uint8_t *bytes, size_t n)
{
	memset(b->us, 0, sizeof(b->us));
	b->us_from = timing_ns(CLOCK_THREAD_CPUTIME_ID);
	for (size_t i = 0; i < n; i += PIECE_BYTES) {
		const uint8_t *at = bytes + i;
		const uint8_t *end = i + PIECE_BYTES < n ? at + PIECE_BYTES :
		    bytes + n;

		switch (framing_take(&b->framing, &at, end, why,
		    sizeof(why))) {
		case -1:
			die(why);
			break;
		case 1:
			phase_end(b, FRAME);
			if (ads_feed(b->ads, b->framing.bytes, b->framing.n,
			    1000, why, sizeof(why)) == -1)
				die(why);
			framing_reset(&b->framing);
		}
	}
	phase_end(b, FRAME);
	requests_take(b);
}

/* ---- changes */

static void
endpoint_new(struct bench *b, struct endpoint *e)
{
	*e = (struct endpoint){ .ip = 10u << 24 | ++b->ip_last, .weight = 100,
	    .health = ENVOY__CONFIG__CORE__V3__HEALTH_STATUS__HEALTHY };
}

static void
change(struct bench *b)
{
	struct endpoint *e = &b->endpoints[chance_below(&b->chance, b->n)];

	switch (chance_below(&b->chance, 4)) {
	case 0:
		e->health = e->health ==
		    ENVOY__CONFIG__CORE__V3__HEALTH_STATUS__HEALTHY ?
		    ENVOY__CONFIG__CORE__V3__HEALTH_STATUS__UNHEALTHY :
		    ENVOY__CONFIG__CORE__V3__HEALTH_STATUS__HEALTHY;
		break;
	case 1:
		e->weight = 1 + chance_below(&b->chance, 200);
		break;
	case 2:
		b->n--;
		memmove(e, e + 1, (size_t)(b->endpoints + b->n - e) *
		    sizeof(*e));
		break;
	default:
		endpoint_new(b, &b->endpoints[b->n++]);
	}
}

/* That a worker would see as many as there are. */
static void
check(const struct bench *b)
{
	const struct arena *a = &b->generations.image.arena;
	const struct block_cluster *c;
	struct name_id id;

	if (names_known(b->generations.names, NAMES_CLUSTER, "giant", 5,
	    &id) < 0)
		die("the cluster is not there");
	c = block_cluster_find(a, generations_root(&b->generations), id.id);
	if (((const struct block_balance *)arena_at(a,
	    c->balance))->endpoints_all != b->n)
		die("a change is lost");
}

static void
assignment_feed(struct bench *b)
{
	size_t len, n;
	uint8_t *bytes = assignment_pack(b, &len);
	uint8_t *framed = response_pack(RESOURCE_ENDPOINT, "giant",
	    ++b->version, bytes, len, &n);

	feed(b, framed, n);
	b->bytes_n = n;
	check(b);
	free(bytes);
	free(framed);
}

static void
cluster_feed(struct bench *b)
{
	static const char text[] = "name: giant\ntype: EDS\nconnect_timeout: "
	    "1s\nhttp2_protocol_options: {}\neds_cluster_config: {eds_config: "
	    "{ads: {}}}\n";
	struct load_arena *m = load_arena_new(1 << 20);
	struct yaml *y = yaml_read(text, sizeof(text) - 1, "cluster", why,
	    sizeof(why));
	const ProtobufCMessage *message = y == NULL ? NULL : load_message(m,
	    &envoy__config__cluster__v3__cluster__descriptor, y, yaml_root(y),
	    "", why, sizeof(why));
	size_t len, n;
	uint8_t *bytes, *framed;

	if (message == NULL)
		die(why);
	bytes = pack(message, &len);
	framed = response_pack(RESOURCE_CLUSTER, "giant", ++b->version, bytes,
	    len, &n);
	feed(b, framed, n);
	free(bytes);
	free(framed);
	yaml_close(y);
	load_arena_free(m);
}

static void
open_all(struct bench *b)
{
	static const struct ads_events events = { updated, missing, wake };
	static const struct ads_settings settings = { .delta = true };
	int fd;

	strcpy(b->file, "/tmp/godwit-bench-XXXXXX");
	if ((fd = mkstemp(b->file)) == -1 || write(fd, "{}", 2) != 2)
		die("no temporary file");
	close(fd);
	b->options = (struct options){ .file = b->file, .file_given = true };
	if (generations_open(&b->generations, &b->options, why,
	    sizeof(why)) == -1)
		die(why);
	b->generations.dynamic_always = true;
	if (generations_next(&b->generations, why, sizeof(why)) == -1)
		die(why);
	unlink(b->file);
	framing_init(&b->framing, MESSAGE_BYTES_MAX);
	if ((b->ads = ads_new(&settings, &events, b)) == NULL)
		die("no memory");
	resources_want(b->generations.resources, want, b);
	ads_wildcard(b->ads, RESOURCE_CLUSTER, true);
	ads_begin(b->ads, 1000);
	requests_take(b);
}

static void
measure(int changes_n, uint32_t n)
{
	struct bench *b = calloc(1, sizeof(*b));
	double *us[PHASES + 1];
	double all;

	if (b == NULL)
		die("no memory");
	b->n = n;
	b->endpoints = calloc(n + (size_t)changes_n + 1,
	    sizeof(*b->endpoints));
	for (int i = 0; i <= PHASES; i++)
		us[i] = calloc((size_t)changes_n, sizeof(double));
	for (uint32_t i = 0; i < n; i++)
		endpoint_new(b, &b->endpoints[i]);
	open_all(b);
	cluster_feed(b);
	assignment_feed(b);
	for (int i = 0; i < changes_n; i++) {
		change(b);
		assignment_feed(b);
		all = 0;
		for (int j = 0; j < PHASES; j++) {
			us[j][i] = b->us[j];
			all += b->us[j];
		}
		us[PHASES][i] = all;
	}
	printf("%9u %9zu", n, b->bytes_n);
	for (int j = 0; j <= PHASES; j++)
		printf(" %8.0f", timing_quantile(us[j], (size_t)changes_n,
		    0.5));
	printf(" %8.0f %8.0f\n", timing_quantile(us[PHASES],
	    (size_t)changes_n, 0), timing_quantile(us[PHASES],
	    (size_t)changes_n, 0.99));
	fflush(stdout);
	for (int i = 0; i <= PHASES; i++)
		free(us[i]);
	framing_fini(&b->framing);
	resources_want(b->generations.resources, NULL, NULL);
	ads_free(b->ads);
	generations_close(&b->generations);
	free(b->endpoints);
	free(b);
}

static int
number(const char *text, int most)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (*text == '\0' || *end != '\0' || n < 1 || n > most) {
		fprintf(stderr, "giant: %s: expected 1 to %d\n", text, most);
		exit(1);
	}
	return (int)n;
}

int
main(int argc, char **argv)
{
	int o, changes_n = CHANGES;

	while ((o = getopt(argc, argv, "n:")) != -1) {
		if (o != 'n')
			return 1;
		changes_n = number(optarg, CHANGES_MAX);
	}
	log_open("giant", LOG_WARN);
	printf("%9s %9s", "endpoints", "bytes");
	for (int j = 0; j < PHASES; j++)
		printf(" %8s", phases[j]);
	printf(" %8s %8s %8s\n", "all", "least", "99 %");
	for (int i = optind; i < argc; i++)
		measure(changes_n, (uint32_t)number(argv[i],
		    ENDPOINTS_MOST));
	for (uint32_t n = 1000; optind == argc && n <= 100000; n *= 10)
		measure(changes_n, n);
	return 0;
}
