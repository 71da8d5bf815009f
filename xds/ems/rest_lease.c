/*
 * xds/ems/rest_lease.c - what services, or who speaks for them, say: the same
 * messages as by gRPC (xds/proto/godwit/ems/registry.proto), as YAML or JSON.
 *
 *   {"service": "a", "region": "us", "address": "10.0.0.1", "port": 80}
 *       ──register──> {"id": ..., "epoch": ..., "ttl_ms": ...}
 */
#include "xds/ems/rest_inside.h"

#include <string.h>

#include "conf/yaml.h"
#include "xds/load.h"
#include "xds/proto/godwit/ems/registry.pb-c.h"

typedef Godwit__Ems__V1__RegisterRequest RegisterRequest;
typedef Godwit__Ems__V1__HeartbeatRequest HeartbeatRequest;
typedef Godwit__Ems__V1__DeregisterRequest DeregisterRequest;

enum { ARENA_BYTES = 1 << 20 };

static void
arena_free(void *state)
{
	load_arena_free(state);
}

/* NULL: it is answered. The message lives as long as the request. */
static const void *
message_take(struct request *q, const ProtobufCMessageDescriptor *d)
{
	struct load_arena *arena = load_arena_new(ARENA_BYTES);
	char why[REST_WHY_BYTES] = "no memory is left";
	struct yaml *y = arena == NULL ? NULL : yaml_read(q->body, q->body_n,
	    "body", why, sizeof(why));
	const void *m = y == NULL ? NULL : load_message(arena, d, y,
	    yaml_root(y), "", why, sizeof(why));

	q->state = arena;
	q->state_free = arena == NULL ? NULL : arena_free;
	yaml_close(y);
	if (m == NULL)
		answer_refuse(q, 400, "%s", why);
	return m;
}

static void
epoch_print(struct print *p, const struct lease_answer *a)
{
	print_text(p, "id", a->id);
	print_number(p, "epoch", a->epoch);
	print_number(p, "ttl_ms", a->ttl_ms);
}

static void
registered(void *arg, const struct lease_answer *a)
{
	struct request *q = arg;
	struct print *p;

	if (!answer_waited(q))
		return;
	if (a->denied)
		answer_refuse(q, 403, "%s", a->why);
	else if (a->result != STORE_OK)
		answer_store(q, a->result, a->why);
	else if ((p = answer_begin(q, 200)) != NULL) {
		epoch_print(p, a);
		answer_end(q);
	}
}

static void
deregistered(void *arg, const struct lease_answer *a)
{
	struct request *q = arg;

	if (!answer_waited(q))
		return;
	if (a->result != STORE_OK)
		answer_store(q, a->result, a->why);
	else if (answer_begin(q, 200) != NULL)
		answer_end(q);
}

void
rest_register(struct request *q)
{
	const RegisterRequest *m = message_take(q,
	    &godwit__ems__v1__register_request__descriptor);
	const struct who who = rest_who_is(q);
	struct lease_request r;

	if (m == NULL)
		return;
	r = (struct lease_request){ .id = m->id, .service = m->service,
	    .region = m->region, .zone = m->zone, .address = m->address,
	    .port = m->port, .weight = m->weight, .version = m->version,
	    .ttl_ms = m->ttl_ms,
	    .who = &who };
	answer_wait(q);
	if (lease_register(q->rest->leases, &r, registered, q) == 0)
		return;
	q->waiting = false;
	answer_refuse(q, 503, "no memory is left");
}

void
rest_heartbeat(struct request *q)
{
	const HeartbeatRequest *m = message_take(q,
	    &godwit__ems__v1__heartbeat_request__descriptor);

	if (m == NULL || !rest_who_may(q, m->id))
		return;
	switch (lease_heartbeat(q->rest->leases, m->id, m->epoch)) {
	case STORE_OK:
		if (answer_begin(q, 200) != NULL)
			answer_end(q);
		break;
	case STORE_CONFLICT:
		answer_refuse(q, 409, "another has registered as \"%.*s\" "
		    "since: leave it, or register anew", STORE_LEASE_TEXT_MAX,
		    m->id);
		break;
	default:
		answer_refuse(q, 404, "there is no lease \"%.*s\": register "
		    "anew", STORE_LEASE_TEXT_MAX, m->id);
	}
}

void
rest_deregister(struct request *q)
{
	const DeregisterRequest *m = message_take(q,
	    &godwit__ems__v1__deregister_request__descriptor);

	if (m == NULL || !rest_who_may(q, m->id))
		return;
	answer_wait(q);
	if (lease_deregister(q->rest->leases, m->id, m->epoch, deregistered,
	    q) == 0)
		return;
	q->waiting = false;
	answer_refuse(q, 503, "no memory is left");
}
