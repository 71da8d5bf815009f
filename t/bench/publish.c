/*
 * t/bench/publish.c - what one changed endpoint costs: from the Cluster
 * message in the master's memory until every worker says that it uses it.
 *
 *   first    file ─> bytes ─> tree ─> messages ─> compile ─> published
 *
 *   change   generations_assign ─> wake ─> each worker: look, announce ─┐
 *            generations_reclaim <── all use it <───────────────────────┘
 *
 * The code is the master's and the worker's own (worker_run in children that
 * have no sockets); only how they find each other is the bench's. The file is
 * JSON. An endpoint changes its port: it is another endpoint, with another id,
 * in a cluster that chance picks, so that what it touches is not in a cache.
 *
 *   publish [-n CHANGES] [-w WORKERS] [-c ENDPOINTS-OF-A-CLUSTER] [ENDPOINTS...]
 *
 *   read      CPU seconds for the first generation, all of it
 *   live      of the arena, by the newest generation alone
 *   written   bytes of new blocks per change
 *   decode    CPU from the bytes of its JSON to the Cluster message, which a
 *             subscription will not pay: it gets protobuf
 *   CPU       of the thread that publishes, in user space and kernel
 *   in use    from the beginning of the change until the last worker's
 *             announcement, by the clock
 *
 * Every change is checked: the block that a worker would balance over has the
 * new port. Exit code 1: something was not so.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "master/generations.h"
#include "shm/log.h"
#include "t/bench/timing.h"
#include "t/bench/workers.h"
#include "t/lib/chance.h"
#include "xds/proto/envoy/config/cluster.pb-c.h"

#define CLUSTER &envoy__config__cluster__v3__cluster__descriptor

enum {
	CHANGES = 500, CHANGES_MAX = 100000, WORKERS = 2,
	PORT = 1024, PORTS_N = 60000, MESSAGE_BYTES_MAX = 64 << 20,
	ENDPOINTS_MOST = ENDPOINTS_MAX / 2,	/* some are new, some leave */
};

static const int cluster_sizes[] = { 10, 100, 1000 };

struct wish {				/* of the command line */
	int	changes_n, workers_n;
	int	cluster_size;		/* 0: each of cluster_sizes */
};

struct bench {
	struct generations generations;
	struct options	 options;
	char		 file[64];
	uint32_t	 endpoints_n, cluster_size, clusters_n;
	uint16_t	*ports;		/* by endpoint */
	struct workers	 workers;
	struct chance	 chance;
	int		 changes_n;
	double		*decode_us, *publish_us, *reclaim_us, *in_use_us,
			*written;
	double		 read_s;
};

static char why[1024];

static void
die(const char *what)
{
	fprintf(stderr, "publish: %s\n", what);
	exit(1);
}

/* ---- the configuration */

static void
cluster_write(FILE *f, const struct bench *b, uint32_t cluster)
{
	uint32_t first = cluster * b->cluster_size;
	uint32_t end = first + b->cluster_size;

	if (end > b->endpoints_n)
		end = b->endpoints_n;
	fprintf(f, "{\"name\": \"cluster-%u\", \"type\": \"STATIC\", "
	    "\"connect_timeout\": \"1s\", \"http2_protocol_options\": {}, "
	    "\"load_assignment\": {\"cluster_name\": \"cluster-%u\", "
	    "\"endpoints\": [{\"lb_endpoints\": [", cluster, cluster);
	for (uint32_t i = first; i < end; i++)
		fprintf(f, "%s{\"endpoint\": {\"address\": {"
		    "\"socket_address\": {\"address\": \"10.%u.%u.%u\", "
		    "\"port_value\": %u}}}}", i == first ? "" : ",\n",
		    i >> 16, i >> 8 & 255, i & 255, b->ports[i]);
	fprintf(f, "]}]}}\n");
}

static void
file_write(struct bench *b)
{
	int fd;
	FILE *f;

	strcpy(b->file, "/tmp/godwit-bench-XXXXXX");
	fd = mkstemp(b->file);
	if (fd == -1 || (f = fdopen(fd, "w")) == NULL)
		die("no temporary file");
	fprintf(f, "{\"static_resources\": {\"clusters\": [\n");
	for (uint32_t i = 0; i < b->clusters_n; i++) {
		if (i > 0)
			fputs(", ", f);
		cluster_write(f, b, i);
	}
	fprintf(f, "]}}\n");
	fclose(f);
}

/* What a subscription would hand over: the whole Cluster, decoded. */
static const ProtobufCMessage *
message_make(const struct bench *b, uint32_t cluster, struct load_arena *m,
    double *decode_us)
{
	const ProtobufCMessage *message = NULL;
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	struct yaml *y;
	int64_t from;

	cluster_write(f, b, cluster);
	fclose(f);
	from = timing_ns(CLOCK_THREAD_CPUTIME_ID);
	if ((y = yaml_read(text, len, "cluster", why, sizeof(why))) != NULL)
		message = load_message(m, CLUSTER, y, yaml_root(y), "", why,
		    sizeof(why));
	if (message == NULL)
		die(why);
	*decode_us = (double)(timing_ns(CLOCK_THREAD_CPUTIME_ID) - from) /
	    1e3;
	yaml_close(y);
	free(text);
	return message;
}

static void
generation_first(struct bench *b)
{
	int64_t from;

	b->options = (struct options){ .file = b->file, .file_given = true };
	if (generations_open(&b->generations, &b->options, why,
	    sizeof(why)) == -1)
		die(why);
	from = timing_ns(CLOCK_PROCESS_CPUTIME_ID);
	if (generations_next(&b->generations, why, sizeof(why)) == -1)
		die(why);
	b->read_s = (double)(timing_ns(CLOCK_PROCESS_CPUTIME_ID) - from) /
	    1e9;
}

/* ---- changes */

/* That the newest generation has this endpoint at its new port. */
static void
change_check(const struct bench *b, uint32_t endpoint)
{
	const struct arena *a = &b->generations.image.arena;
	const struct block_root *root = generations_root(&b->generations);
	uint32_t ip = htonl(10u << 24 | endpoint);

	/* Slots are given in the order of the file. */
	const struct block_cluster *c = block_cluster_find(a, root,
	    endpoint / b->cluster_size);
	const struct block_balance *all = arena_at(a, c->balance);

	for (uint32_t i = 0; i < all->endpoints_n; i++)
		if (memcmp(all->endpoints[i].address.bytes, &ip,
		    sizeof(ip)) == 0) {
			if (all->endpoints[i].address.port !=
			    b->ports[endpoint])
				die("an endpoint is as it was before");
			return;
		}
	die("an endpoint is gone");
}

static void
change(struct bench *b, int i)
{
	struct generations *g = &b->generations;
	struct load_arena *m = load_arena_new(MESSAGE_BYTES_MAX);
	uint32_t endpoint = chance_below(&b->chance, b->endpoints_n);
	const ProtobufCMessage *message;
	uint64_t bytes = heap_allocated(g->image.blocks), number;
	int64_t from, cpu, clock, in_use;

	b->ports[endpoint] = (uint16_t)(PORT + (b->ports[endpoint] - PORT +
	    1) % PORTS_N);
	message = message_make(b, endpoint / b->cluster_size, m,
	    &b->decode_us[i]);
	clock = timing_ns(CLOCK_MONOTONIC);
	from = timing_ns(CLOCK_THREAD_CPUTIME_ID);
	if (generations_assign(g, message, why, sizeof(why)) == -1)
		die(why);
	cpu = timing_ns(CLOCK_THREAD_CPUTIME_ID) - from;
	workers_wake(&b->workers);
	number = g->newest.generation.number;
	in_use = workers_wait(&b->workers, number, why, sizeof(why));
	if (in_use == -1)
		die(why);
	b->in_use_us[i] = (double)(in_use - clock) / 1e3;
	b->publish_us[i] = (double)cpu / 1e3;
	b->written[i] = (double)(heap_allocated(g->image.blocks) - bytes);
	change_check(b, endpoint);
	from = timing_ns(CLOCK_THREAD_CPUTIME_ID);
	generations_reclaim(g, number);
	b->reclaim_us[i] = (double)(timing_ns(CLOCK_THREAD_CPUTIME_ID) -
	    from) / 1e3;
	load_arena_free(m);
}

/* ---- one row of the table */

static void
row_print(struct bench *b)
{
	size_t n = (size_t)b->changes_n;
	struct heap_bytes bytes;

	heap_measure(b->generations.image.blocks, &bytes);
	printf("%9u %8u %9.2f %8.2f %8.2f %8.0f %8.0f %8.0f %8.0f %8.0f",
	    b->endpoints_n, b->cluster_size, b->read_s,
	    (double)bytes.live / 1e6, (double)bytes.used / 1e6,
	    timing_quantile(b->written, n, 0.5),
	    timing_quantile(b->decode_us, n, 0.5),
	    timing_quantile(b->publish_us, n, 0.5),
	    timing_quantile(b->publish_us, n, 0.99),
	    timing_quantile(b->reclaim_us, n, 0.5));
	if (b->workers.n > 0)
		printf(" %8.0f %8.0f %8.0f", timing_quantile(b->in_use_us, n,
		    0), timing_quantile(b->in_use_us, n, 0.5),
		    timing_quantile(b->in_use_us, n, 0.99));
	printf("\n");
	fflush(stdout);
}

static double *
doubles(int n)
{
	double *all = calloc((size_t)n, sizeof(*all));

	if (all == NULL)
		die("no memory");
	return all;
}

static void
bench_free(struct bench *b)
{
	workers_end(&b->workers);
	generations_close(&b->generations);
	free(b->ports);
	free(b->decode_us);
	free(b->publish_us);
	free(b->reclaim_us);
	free(b->in_use_us);
	free(b->written);
	free(b);
}

static void
measure(const struct wish *wish, uint32_t endpoints_n, uint32_t cluster_size)
{
	struct bench *b = calloc(1, sizeof(*b));

	if (b == NULL || (b->ports = calloc(endpoints_n,
	    sizeof(*b->ports))) == NULL)
		die("no memory");
	b->endpoints_n = endpoints_n;
	b->cluster_size = cluster_size;
	b->clusters_n = (endpoints_n - 1) / cluster_size + 1;
	b->changes_n = wish->changes_n;
	b->decode_us = doubles(b->changes_n);
	b->publish_us = doubles(b->changes_n);
	b->reclaim_us = doubles(b->changes_n);
	b->in_use_us = doubles(b->changes_n);
	b->written = doubles(b->changes_n);
	for (uint32_t i = 0; i < endpoints_n; i++)
		b->ports[i] = PORT;
	file_write(b);
	generation_first(b);
	unlink(b->file);
	if (workers_start(&b->workers, wish->workers_n,
	    &b->generations.image, why, sizeof(why)) == -1 ||
	    workers_wait(&b->workers, 1, why, sizeof(why)) == -1)
		die(why);
	for (int i = 0; i < b->changes_n; i++)
		change(b, i);
	row_print(b);
	bench_free(b);
}

static void
measure_all(const struct wish *wish, int n)
{
	size_t sizes_n = sizeof(cluster_sizes) / sizeof(cluster_sizes[0]);

	if (wish->cluster_size > 0) {
		measure(wish, (uint32_t)n, (uint32_t)wish->cluster_size);
		return;
	}
	for (size_t i = 0; i < sizes_n; i++)
		if (cluster_sizes[i] <= n)
			measure(wish, (uint32_t)n, (uint32_t)cluster_sizes[i]);
}

static int
number(const char *text, int least, int most)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (*text == '\0' || *end != '\0' || n < least || n > most) {
		fprintf(stderr, "publish: %s: expected %d to %d\n", text,
		    least, most);
		exit(1);
	}
	return (int)n;
}

static void
head_print(const struct wish *wish)
{
	printf("%9s %8s %9s %8s %8s %8s %8s %8s %8s %8s", "", "in", "", "",
	    "", "written", "decode", "publish", "CPU us", "reclaim");
	printf("%s\n", wish->workers_n > 0 ? "   in use       us" : "");
	printf("%9s %8s %9s %8s %8s %8s %8s %8s %8s %8s", "endpoints", "each",
	    "read s", "live MB", "used MB", "bytes", "CPU us", "CPU us",
	    "99 %", "CPU us");
	printf("%s\n", wish->workers_n > 0 ? "    least   median     99 %" :
	    "");
}

int
main(int argc, char **argv)
{
	struct wish wish = { CHANGES, WORKERS, 0 };
	int o;

	while ((o = getopt(argc, argv, "n:w:c:")) != -1) {
		if (o == 'n')
			wish.changes_n = number(optarg, 1, CHANGES_MAX);
		else if (o == 'w')
			wish.workers_n = number(optarg, 0, WORKERS_MAX);
		else if (o == 'c')
			wish.cluster_size = number(optarg, 1, ENDPOINTS_MOST);
		else
			return 1;
	}
	log_open("publish", LOG_WARN);
	head_print(&wish);
	for (int i = optind; i < argc; i++)
		measure_all(&wish, number(argv[i], 1, ENDPOINTS_MOST));
	for (int n = 1000; optind == argc && n <= 100000; n *= 10)
		measure_all(&wish, n);
	return 0;
}
