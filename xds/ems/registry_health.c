/*
 * xds/ems/registry_health.c - see registry.h: grpc.health.v1.Health. We serve
 * as long as the door is open, so that Watch has one thing to say, and its
 * call's end is the other.
 *
 * Source: gRPC's doc/health-checking.md.
 */
#include "xds/ems/registry_inside.h"

#include <string.h>

#include "xds/proto/grpc/health/v1/health.pb-c.h"

typedef Grpc__Health__V1__HealthCheckRequest Request;
typedef Grpc__Health__V1__HealthCheckResponse Response;

#define STATUS(word) \
	GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__##word

static bool
is_ours(const char *service)
{
	static const char *const services[] = { "", "godwit.ems.v1.Registry",
		"grpc.health.v1.Health",
		"envoy.service.discovery.v3.AggregatedDiscoveryService" };

	for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++)
		if (strcmp(services[i], service) == 0)
			return true;
	return false;
}

/* Whether there was a request that could be read, and what it asks for. */
static bool
ask(struct call *c, const uint8_t *bytes, size_t n, bool *ours)
{
	struct load_arena *a = load_arena_new(REGISTRY_ARENA_BYTES);
	const Request *m = registry_read(c, a,
	    &grpc__health__v1__health_check_request__descriptor, bytes, n);

	*ours = m != NULL && is_ours(m->service);
	load_arena_free(a);
	return m != NULL;
}

static bool
say(struct call *c, bool ours)
{
	Response m;

	grpc__health__v1__health_check_response__init(&m);
	m.status = ours ? STATUS(SERVING) : STATUS(SERVICE_UNKNOWN);
	return registry_send(c, &m.base);
}

static void
on_check(void *state, struct call *c, const uint8_t *bytes, size_t n)
{
	bool ours;

	(void)state;
	if (!ask(c, bytes, n, &ours))
		return;
	if (!ours)
		call_finish(c, CALL_NOT_FOUND, "there is no such service");
	else if (say(c, ours))
		call_finish(c, CALL_OK, "");
}

static void
on_watch(void *state, struct call *c, const uint8_t *bytes, size_t n)
{
	bool ours;

	(void)state;
	if (ask(c, bytes, n, &ours))
		(void)say(c, ours);
}

/* The state of a call is only that there is one. */
static void *
on_begin(void *arg, struct call *c)
{
	(void)arg;
	return c;
}

static void
on_no_message(void *state, struct call *c)
{
	(void)state;
	call_finish(c, CALL_INVALID_ARGUMENT, "there was no message, expected "
	    "one");
}

static void
on_nothing(void *state, struct call *c)
{
	(void)state;
	(void)c;
}

const struct call_handler registry_check = { on_begin, on_check, on_no_message,
	registry_no_room, on_nothing, NULL };
const struct call_handler registry_watch = { on_begin, on_watch, on_nothing,
	registry_no_room, on_nothing, call_leave };
