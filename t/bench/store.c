/*
 * t/bench/store.c - what the store of godwit-ems costs: writes a second, one
 * at a time and many at once, and how long an EMS waits for it at its start.
 *
 *   store [-n WRITES] [-f FLIGHT] [FOLDER]      FOLDER: /tmp if none is given
 *
 *   one, many  writes a second of one change of 2 KB, with 1 and with FLIGHT
 *              not answered yet; each is on the disk when it is answered
 *   sync       what the disk of the folder takes for a write of 4 KB and fsync
 *   start      store_open until 1,000 services and 20,000 leases are there
 *
 * The disk is what is measured in the first: compare with sync.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shm/clock.h"
#include "worker/io/loop.h"
#include "xds/ems/store.h"

enum {
	WRITES = 20000, FLIGHT = 1000, ONE_SHARE = 10, SERVICES = 1000,
	LEASES = 20000, BODY_BYTES = 2000, SYNCS = 200,
};

struct bench {
	struct loop	 loop;
	struct store	*store;
	struct store_settings set;
	char		 body[BODY_BYTES];
	uint64_t	 versions[SERVICES];
	int		 asked, answered;
	size_t		 items_n, leases_n;
};

static double
seconds_since(struct mono began)
{
	return (double)(clock_now().ns - began.ns) / 1e9;
}

static void
fail(const char *what)
{
	fprintf(stderr, "store: %s\n", what);
	exit(1);
}

static void
on_answer(void *arg, const struct store_answer *a)
{
	struct bench *b = arg;

	if (a->result != STORE_OK)
		fail(a->why);
	b->answered++;
	b->items_n += a->items_n;
	b->leases_n += a->leases_n;
}

static void
begin(struct bench *b)
{
	char why[512];

	b->store = store_open(&b->loop, &b->set, why, sizeof(why));
	if (b->store == NULL || why[0] != '\0')
		fail(why);
	b->asked = b->answered = 0;
}

static void
until(struct bench *b, int left)
{
	while (b->asked - b->answered > left)
		loop_turn(&b->loop, -1);
}

/* The n-th changes the service after the one before. */
static void
change(struct bench *b, int n)
{
	int service = n % SERVICES;
	char name[32];
	struct store_change c = { .noun = store_text("service"),
		.expect_version = b->versions[service]++,
		.body = { b->body, BODY_BYTES } };
	const struct store_write w = { .changes = &c, .changes_n = 1,
		.who = store_text("bench"), .when_ms = n };

	snprintf(name, sizeof(name), "tasks.Store%d", service);
	c.name = store_text(name);
	memcpy(b->body, name, strlen(name));
	b->body[20 + n % 1000] ^= 1;	/* another body each time */
	b->asked++;
	if (store_write(b->store, &w, on_answer, b) != 0)
		fail("no memory");
}

static void
measure(struct bench *b, int writes_n, int flight)
{
	struct mono began = clock_now();
	double s;

	for (int i = 0; i < writes_n; i++) {
		change(b, i);
		until(b, flight - 1);
	}
	until(b, 0);
	s = seconds_since(began);
	printf("%5d at once: %8.0f writes a second (%d in %.2f s)\n", flight,
	    writes_n / s, writes_n, s);
}

static void
sync_measure(const char *folder)
{
	char path[256], page[4096] = "";
	struct mono began;
	int fd;

	snprintf(path, sizeof(path), "%s/page", folder);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	began = clock_now();
	for (int i = 0; i < SYNCS; i++)
		if (pwrite(fd, page, sizeof(page), i * 4096) != 4096 ||
		    fdatasync(fd) != 0)
			fail(strerror(errno));
	printf("   sync alone: %8.0f a second\n", SYNCS /
	    seconds_since(began));
	close(fd);
	unlink(path);
}

static void
lease_put(struct bench *b, int n)
{
	char id[32], address[32];
	struct store_lease l = { .epoch = (uint64_t)n + 1,
		.service = store_text("tasks.Store"),
		.region = store_text("eu-central-1"),
		.zone = store_text("eu-central-1a"), .port = 50051,
		.weight = 1, .label = store_text("r42"), .ttl_ms = 15000,
		.checks = store_text("{\"grpc\": {\"every\": \"5s\"}}") };

	snprintf(id, sizeof(id), "endpoint-%d", n);
	snprintf(address, sizeof(address), "10.%d.%d.%d", n >> 16,
	    n >> 8 & 255, n & 255);
	l.id = store_text(id);
	l.address = store_text(address);
	b->asked++;
	if (store_lease_put(b->store, &l, on_answer, b) != 0)
		fail("no memory");
}

static void
start_measure(struct bench *b)
{
	const struct store_question items = { .kind = STORE_ITEMS };
	const struct store_question leases = { .kind = STORE_LEASES };
	struct mono began = clock_now();
	double opened;

	begin(b);
	opened = seconds_since(began);
	b->items_n = b->leases_n = 0;
	b->asked += 2;
	if (store_ask(b->store, &items, on_answer, b) != 0 ||
	    store_ask(b->store, &leases, on_answer, b) != 0)
		fail("no memory");
	until(b, 0);
	printf("        start: %8.1f ms until %zu services and %zu leases "
	    "are there; %.1f ms of it in store_open\n",
	    seconds_since(began) * 1e3, b->items_n, b->leases_n,
	    opened * 1e3);
	if (b->items_n != SERVICES || b->leases_n != LEASES)
		fail("that is not all");
}

static void
run(struct bench *b, const char *folder, int writes_n, int flight)
{
	struct mono began;

	sync_measure(folder);
	begin(b);
	for (int i = 0; i < SERVICES; i++)
		change(b, i);
	until(b, 0);
	measure(b, writes_n / ONE_SHARE, 1);
	measure(b, writes_n, flight);
	began = clock_now();
	for (int i = 0; i < LEASES; i++) {
		lease_put(b, i);
		until(b, flight - 1);
	}
	until(b, 0);
	printf("%5d at once: %8.0f leases a second\n", flight, LEASES /
	    seconds_since(began));
	store_close(b->store);
	start_measure(b);
	store_close(b->store);
}

int
main(int argc, char **argv)
{
	static struct bench b;
	char folder[200], path[256];
	int writes_n = WRITES, flight = FLIGHT, option;

	while ((option = getopt(argc, argv, "n:f:")) != -1)
		if (option == 'n')
			writes_n = atoi(optarg);
		else if (option == 'f')
			flight = atoi(optarg);
		else
			return 2;
	snprintf(folder, sizeof(folder), "%s/godwit-bench-XXXXXX",
	    optind < argc ? argv[optind] : "/tmp");
	if (mkdtemp(folder) == NULL)
		fail(strerror(errno));
	snprintf(path, sizeof(path), "%s/store", folder);
	memset(b.body, '.', sizeof(b.body));
	b.set.path = path;
	loop_init(&b.loop, sys_kernel_new());
	run(&b, folder, writes_n, flight);
	unlink(path);
	strcat(path, ".lock");
	unlink(path);
	rmdir(folder);
	sys_kernel_free(b.loop.sys);
	return 0;
}
