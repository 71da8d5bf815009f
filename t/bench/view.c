/*
 * t/bench/view.c - what one more kind of proxies costs a godwit-ems that has so
 * many services and endpoints (xds/ems/view_set.h), for t/bench/emsbench.py.
 *
 *   view SERVICES ENDPOINTS
 *       of each kind, the time and memory to make it when those above it are
 *       there; then what a change costs for all of them, before proxies get it
 *
 * Time is CPU of this process, memory what malloc gave.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "xds/ems/view_set.h"

enum {
	LISTENS = 5000, FOLDERS = 250, CALLERS = 500, TOLD = 10, CHANGES = 100,
	KEY_BYTES = 64,
};

static const struct view_settings settings = { "mesh", "x-region" };
static struct model model;
static struct view_set views;

static void __attribute__((noreturn))
die(const char *why)
{
	fprintf(stderr, "view: %s\n", why);
	exit(1);
}

static double
cpu_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static double
memory_kb(void)
{
	struct mallinfo2 m = mallinfo2();

	return (double)(m.uordblks + m.hblkhd) / 1e3;
}

/* ---- the mesh */

static void
intent(const char *text)
{
	char why[512] = "no memory is left";
	struct intent *i = intent_read(text, strlen(text), "bench", why,
	    sizeof(why)), *before;

	if (i == NULL || !model_swap(&model, i->noun, i->name, i, &before))
		die(why);
	intent_free(before);
}

static void
endpoint(int service, int i, unsigned port)
{
	struct model_endpoint e = { .weight = 1, .port = port };
	char name[KEY_BYTES];

	snprintf(name, sizeof(name), "s%d", service);
	snprintf(e.id, sizeof(e.id), "s%d-%d", service, i);
	snprintf(e.region, sizeof(e.region), "us");
	snprintf(e.address, sizeof(e.address), "10.%d.%d.%d", i & 255,
	    service >> 8, service & 255);
	if (!model_endpoint_put(&model, name, &e))
		die("no memory is left");
}

static void
mesh(int services, int endpoints)
{
	model_init(&model);
	view_set_init(&views, &settings, &model);
	intent("region: us");
	intent("region: eu");
	intent("gateway: g\nregion: eu\naddresses: ['10.0.0.1:1']");
	for (int i = 0; i < services * endpoints; i++)
		endpoint(i % services, i / services, 80);
}

/* As ems_publish. */
static void
publish(void)
{
	char why[512];
	struct view *v;

	if (model.unchecked && model_check(&model, why, sizeof(why)) == -1)
		die(why);
	TAILQ_FOREACH(v, &views.all, link)
		if (view_compile(v, &model, why, sizeof(why)) == -1)
			die(why);
	model_clean(&model);
}

/* ---- kinds */

static void
come(enum view_role role, const char *listen, const char *tls,
    const char *caller)
{
	const struct view_key k = { role, "us", role == VIEW_GATEWAY ? "g" :
	    "", listen, tls, caller };
	char why[512];

	if (view_set_get(&views, &k, why, sizeof(why)) == NULL)
		die(why);
}

static void
one(const char *what, enum view_role role, const char *listen,
    const char *tls)
{
	double ms = cpu_ms(), kb = memory_kb();

	come(role, listen, tls, "");
	printf("  %-32s %8.2f ms %8.1f KB\n", what, cpu_ms() - ms,
	    memory_kb() - kb);
}

static void
many(const char *what, int n, bool is_listen)
{
	double ms = cpu_ms(), kb = memory_kb();
	char text[KEY_BYTES];

	for (int i = 0; i < n; i++) {
		snprintf(text, sizeof(text), is_listen ? "127.0.0.1:%d" :
		    "/tls%d", 1000 + i);
		come(VIEW_SIDECAR, is_listen ? text : "127.0.0.1:1",
		    is_listen ? "/tls" : text, "");
	}
	printf("  %-32s %8.2f ms %8.1f KB each\n", what, (cpu_ms() - ms) / n,
	    (memory_kb() - kb) / n);
}

/* Each is told of some of all services. */
static void
callers(int services)
{
	double ms, kb;
	char text[512], name[KEY_BYTES];

	for (int i = 0; i < CALLERS; i++) {
		int n = snprintf(text, sizeof(text), "caller: k%d\nonly: true\n"
		    "may: [", i);

		for (int j = 0; j < TOLD; j++)
			n += snprintf(text + n, sizeof(text) - (size_t)n,
			    "%ss%d", j == 0 ? "" : ", ", (i * 7 + j * 31) %
			    services);
		snprintf(text + n, sizeof(text) - (size_t)n, "]");
		intent(text);
	}
	publish();
	ms = cpu_ms();
	kb = memory_kb();
	for (int i = 0; i < CALLERS; i++) {
		snprintf(name, sizeof(name), "k%d", i);
		come(VIEW_SIDECAR, "127.0.0.1:1", "/tls", name);
	}
	printf("  %-32s %8.2f ms %8.1f KB each\n", "500 callers told of 10 "
	    "services", (cpu_ms() - ms) / CALLERS, (memory_kb() - kb) /
	    CALLERS);
}

/* ---- changes */

static void
change_endpoint(int i)
{
	endpoint(5, 0, 1000 + (unsigned)i);
}

static void
change_service(int i)
{
	char text[KEY_BYTES];

	snprintf(text, sizeof(text), "service: s7\ndefaults: {deadline: %ds}",
	    1 + i);
	intent(text);
}

static void
change_caller(int i)
{
	char text[KEY_BYTES];

	snprintf(text, sizeof(text), "caller: c\nmay: [s%d]", i);
	intent(text);
}

static void
change_gateway(int i)
{
	char text[KEY_BYTES * 2];

	snprintf(text, sizeof(text), "gateway: g\nregion: eu\naddresses: "
	    "['10.0.0.1:%d']", 1 + i);
	intent(text);
}

static void
changes(void)
{
	static void (*const change[])(int i) = { change_endpoint,
	    change_service, change_caller, change_gateway };
	static const char *const words[] = { "endpoint", "service", "caller",
	    "gateway" };
	static int number;

	printf("  a change, for these %zu kinds: ", views.all_n);
	for (int w = 0; w < 4; w++) {
		int n = w == 3 ? CHANGES / 10 : CHANGES;
		double ms = cpu_ms();

		for (int i = 0; i < n; i++) {
			change[w](number++);
			publish();
		}
		printf("%s %s %.2f", w == 0 ? "" : ",", words[w], (cpu_ms() -
		    ms) / n);
	}
	printf(" ms\n");
}

int
main(int argc, char **argv)
{
	if (argc != 3)
		die("view SERVICES ENDPOINTS");
	mesh(atoi(argv[1]), atoi(argv[2]));
	publish();
	printf("one more kind of proxies, CPU and memory:\n");
	one("a sidecar", VIEW_SIDECAR, "127.0.0.1:1", "/tls");
	one("a gateway", VIEW_GATEWAY, "127.0.0.1:3", "/tls");
	one("a gRPC client", VIEW_GRPC, "", "");
	changes();
	many("5,000 sidecars' listens", LISTENS, true);
	changes();
	many("250 sidecars' tls", FOLDERS, false);
	changes();
	callers(atoi(argv[1]));
	changes();
	return 0;
}
