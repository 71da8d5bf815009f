/*
 * t/bench/route.c - what a route decision costs: nanoseconds per route_find()
 * with 10 to 10,000 routes in a virtual host, with their index and without.
 *
 *   YAML ─> compile ─> arena ─> one request of gRPC, its path any of them's
 *
 *   /company.team7.AccService123/Method4    every other route, whole
 *   /company.team7.AccService123/           the rest; "/" stands at the end
 *
 * together   one decision after another, paths at random: CPU time
 * cold       alone after so much other memory was read, as in a worker that
 *            has a call's other work to do in between: median of the clock's
 *
 *   route [ROUTES...]     build/t/bench/route 8 9 shows where an index pays
 *
 * Each answer is checked. A median over repeats, ns. Exit code 1: a wrong
 * answer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/compile.h"
#include "t/bench/timing.h"
#include "t/lib/chance.h"
#include "worker/route.h"
#include "xds/proto/envoy/config/bootstrap.pb-c.h"

enum {
	REPEATS = 9, WORK = 2000000,	/* route comparisons per repeat */
	CALLS_MAX = 100000, CALLS_COLD = 1001,
	COLD_BYTES = 256 << 10, COLDER_BYTES = 4 << 20,
};

struct call {
	const char	*path;
	uint32_t	 len, want;
};

struct bench {
	struct image	 image;
	struct names	*names;
	struct compiled	 out;
	const struct block_route_config *config;
	struct block_host *host;	/* its only one */
	uint32_t	 routes_n;
	struct call	*calls;
	char		*paths;		/* in the order of the calls */
	uint32_t	 calls_n;
	struct mem	 mem;
	struct headers	*headers;
	struct header	*path;
	struct chance	 chance;
};

static void
die(const char *why)
{
	fprintf(stderr, "route: %s\n", why);
	exit(1);
}

/* ---- a generation of n routes */

static const char head[] =
    "static_resources:\n"
    "  clusters:\n"
    "  - {name: c, type: STATIC, http2_protocol_options: {}, "
    "connect_timeout: 1s, load_assignment: {cluster_name: c}}\n"
    "  listeners:\n"
    "  - name: l\n"
    "    address: {socket_address: {address: 127.0.0.1, port_value: 1}}\n"
    "    filter_chains:\n"
    "    - filters:\n"
    "      - name: http\n"
    "        typed_config:\n"
    "          \"@type\": type.googleapis.com/envoy.extensions.filters."
    "network.http_connection_manager.v3.HttpConnectionManager\n"
    "          stat_prefix: l\n"
    "          codec_type: HTTP2\n"
    "          http_filters: [{name: router, typed_config: {\"@type\": "
    "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]\n"
    "          route_config:\n"
    "            name: r\n"
    "            virtual_hosts:\n"
    "            - name: h\n"
    "              domains: [\"*\"]\n"
    "              routes:\n";

/* Names of many lengths: the search for a prefix is one over lengths. */
static int
service_write(char *to, size_t n, uint32_t route)
{
	uint32_t service = route / 2;

	return snprintf(to, n, "/company.team%u.%.*sService%u/",
	    service % 97, (int)(service * 7 % 31),
	    "AccountingInventoryNotification", service);
}

static char *
yaml_write(uint32_t n)
{
	char *text = NULL, service[100];
	size_t len;
	FILE *f = open_memstream(&text, &len);

	fputs(head, f);
	for (uint32_t i = 0; i + 1 < n; i++) {
		service_write(service, sizeof(service), i);
		fprintf(f, "              - {match: {%s: %s%s}, "
		    "route: {cluster: c}}\n", i % 2 == 0 ? "path" : "prefix",
		    service, i % 2 == 0 ? "Method4" : "");
	}
	fprintf(f, "              - {match: {prefix: /}, "
	    "route: {cluster: c}}\n");
	fclose(f);
	return text;
}

static void
generation_make(struct bench *b, uint32_t n)
{
	struct load_arena *m = load_arena_new(512 << 20);
	char why[512], *text = yaml_write(n);
	const ProtobufCMessage *bootstrap;
	struct conf conf;
	struct yaml *y;

	conf_init(&conf);
	b->names = names_new();
	if (b->names == NULL || image_open_sized(&b->image, 256 << 20, why,
	    sizeof(why)) < 0 || (y = yaml_read(text, strlen(text), "routes",
	    why, sizeof(why))) == NULL)
		die(why);
	bootstrap = load_message(m,
	    &envoy__config__bootstrap__v3__bootstrap__descriptor, y,
	    yaml_root(y), "", why, sizeof(why));
	image_settle(&b->image);
	if (bootstrap == NULL || compile(&b->out, &b->image, b->names, NULL,
	    1, &conf, y, bootstrap, 0, why, sizeof(why)) < 0)
		die(why);
	compile_commit(&b->out, &b->image, b->names);
	yaml_close(y);
	load_arena_free(m);
	free(text);
}

static const struct block_listener *
listener_first(const struct arena *a, const struct block_root *root)
{
	return arena_at(a, ((const struct block_list *)arena_at(a,
	    root->listeners))->at[0]);
}

static void
config_find(struct bench *b)
{
	const struct arena *a = &b->image.arena;
	const struct block_root *root = arena_at(a, b->out.generation.root);
	const struct block_hcm *hcm = arena_at(a, block_chain_of(a,
	    listener_first(a, root))->hcm);
	const struct block_list *hosts;

	b->config = arena_at(a, hcm->route_config);
	hosts = arena_at(a, b->config->hosts);
	b->host = (struct block_host *)(void *)(b->image.arena.base +
	    (size_t)hosts->at[0] * ARENA_UNIT_BYTES);
}

/* ---- requests */

static void *
bench_alloc(void *ctx, size_t n)
{
	(void)ctx;
	return calloc(1, n);
}

static void
bench_free(void *ctx, void *p)
{
	(void)ctx;
	free(p);
}

static struct sys memory = { .alloc = bench_alloc, .free = bench_free };

static void
request_make(struct bench *b)
{
	static const char *const all[][2] = {
		{ ":method", "POST" }, { ":scheme", "http" }, { ":path", "/" },
		{ ":authority", "service.mesh" }, { "te", "trailers" },
		{ "content-type", "application/grpc" },
		{ "user-agent", "grpc-c/1.0" }, { "grpc-timeout", "1S" },
	};

	mem_init(&b->mem, &memory);
	b->headers = headers_new(&b->mem);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		headers_add_text(b->headers, all[i][0], all[i][1]);
	b->path = &b->headers->at[2];
}

/* For any of the routes: its own path, or one below its prefix. */
static void
calls_make(struct bench *b)
{
	enum { PATH_BYTES = 120 };
	char *to;

	b->calls_n = CALLS_MAX;
	b->calls = calloc(b->calls_n, sizeof(*b->calls));
	b->paths = to = calloc(b->calls_n, PATH_BYTES);
	if (b->calls == NULL || b->paths == NULL)
		die("no memory");
	for (uint32_t i = 0; i < b->calls_n; i++) {
		struct call *c = &b->calls[i];

		c->path = to;
		c->want = chance_below(&b->chance, b->routes_n);
		c->len = c->want + 1 == b->routes_n ?
		    (uint32_t)sprintf(to, "/other.Service/Method") :
		    (uint32_t)service_write(to, PATH_BYTES, c->want);
		if (c->want + 1 < b->routes_n)
			c->len += (uint32_t)sprintf(to + c->len, "Method%u",
			    c->want % 2 == 0 ? 4 : 5 + chance_below(&b->chance, 20));
		to += c->len + 1;
	}
}

static inline void
decide(struct bench *b, const struct call *c)
{
	const struct block_route *r;

	b->path->value = (uint8_t *)(uintptr_t)c->path;
	b->path->value_len = c->len;
	r = route_find(&b->image.arena, b->config, b->headers);
	if (r != &b->host->routes[c->want])
		die(c->path);
}

/* ---- measuring */

static double
together(struct bench *b, uint32_t calls_n)
{
	double ns[REPEATS];

	for (int i = 0; i < REPEATS; i++) {
		int64_t from = timing_ns(CLOCK_PROCESS_CPUTIME_ID);

		for (uint32_t j = 0; j < calls_n; j++)
			decide(b, &b->calls[j]);
		ns[i] = (double)(timing_ns(CLOCK_PROCESS_CPUTIME_ID) - from) /
		    calls_n;
	}
	return timing_quantile(ns, REPEATS, 0.5);
}

/* Without what reading the clock costs. bytes: read before each. */
static double
cold(struct bench *b, size_t bytes)
{
	double ns[CALLS_COLD], none[CALLS_COLD];
	volatile uint8_t *other = calloc(1, bytes);

	if (other == NULL)
		die("no memory");
	for (uint32_t i = 0; i < CALLS_COLD; i++) {
		const struct call *c = &b->calls[b->calls_n - 1 - i];
		int64_t from;

		for (size_t j = 0; j < bytes; j += 64)
			other[j]++;
		/* what came off the wire just now is near */
		for (uint32_t j = 0; j < c->len; j++)
			other[0] += (uint8_t)c->path[j];
		from = timing_ns(CLOCK_MONOTONIC);
		none[i] = (double)(timing_ns(CLOCK_MONOTONIC) - from);
		from = timing_ns(CLOCK_MONOTONIC);
		decide(b, c);
		ns[i] = (double)(timing_ns(CLOCK_MONOTONIC) - from);
	}
	free((void *)(uintptr_t)other);
	return timing_quantile(ns, CALLS_COLD, 0.5) -
	    timing_quantile(none, CALLS_COLD, 0.5);
}

static void
measure(uint32_t n)
{
	struct bench *b = calloc(1, sizeof(*b));
	double with = 0, near = 0, far = 0, without;
	uint32_t bytes = 0;

	if (b == NULL)
		die("no memory");
	b->routes_n = n;
	b->chance.state = n;
	generation_make(b, n);
	config_find(b);
	request_make(b);
	calls_make(b);
	if (b->host->index != 0) {
		bytes = ((const struct block_route_index *)arena_at(&b->image.arena,
		    b->host->index))->bytes;
		with = together(b, CALLS_MAX);
		near = cold(b, COLD_BYTES);
		far = cold(b, COLDER_BYTES);
	}
	b->host->index = 0;
	without = together(b, WORK / n < CALLS_MAX ? WORK / n : CALLS_MAX);
	printf("%7u %10.0f %12.0f %12.0f %14.0f %10u\n", n, with, near, far,
	    without, bytes / n);
	headers_put(b->headers);
	mem_fini(&b->mem);
	image_close(&b->image);
	names_free(b->names);
	free(b->calls);
	free(b->paths);
	free(b);
}

int
main(int argc, char **argv)
{
	printf("%7s %10s %12s %12s %14s %10s\n", "routes", "with index",
	    "cold 256 KB", "cold 4 MB", "one by one", "bytes each");
	for (int i = 1; i < argc; i++)
		measure((uint32_t)atoi(argv[i]));
	for (uint32_t n = 10; argc == 1 && n <= 10000; n *= 10)
		measure(n);
	return 0;
}
