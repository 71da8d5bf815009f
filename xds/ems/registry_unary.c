/*
 * xds/ems/registry_unary.c - see registry.h: the methods with one message each
 * way. An answer may come when its caller is gone already, so what waits for
 * it is not the call:
 *
 *   unary ──call──> call        closed: unary->call = NULL
 *     └── freed by the later of answer and closed
 */
#include "xds/ems/registry_inside.h"

#include <stdlib.h>
#include <string.h>

#include "xds/proto/godwit/ems/registry.pb-c.h"

typedef Godwit__Ems__V1__RegisterRequest RegisterRequest;
typedef Godwit__Ems__V1__RegisterResponse RegisterResponse;
typedef Godwit__Ems__V1__HeartbeatRequest HeartbeatRequest;
typedef Godwit__Ems__V1__DeregisterRequest DeregisterRequest;

/* One call with one message each way. */
struct unary {
	const struct registry *registry;
	struct call	*call;		/* NULL: its caller is gone */
	bool		 asked, waits;	/* for the answer */
};

/* ---- both ways */

static void
reply(const struct unary *u, const ProtobufCMessage *m)
{
	if (u->call != NULL && registry_send(u->call, m))
		call_finish(u->call, CALL_OK, "");
}

static void
unary_put(struct unary *u)
{
	if (u->call == NULL && !u->waits)
		free(u);
}

/* What was waited for; m: the message if it is well. */
static void
answer(struct unary *u, const struct lease_answer *a,
    const ProtobufCMessage *m)
{
	u->waits = false;
	if (a->result == STORE_OK)
		reply(u, m);
	else if (u->call != NULL)
		call_finish(u->call, registry_status(a), a->why);
	unary_put(u);
}

/* No answer will come. */
static void
no_memory(struct unary *u)
{
	u->waits = false;
	call_finish(u->call, CALL_RESOURCE_EXHAUSTED, "no memory is left");
}

/* ---- Register */

static void
registered(void *arg, const struct lease_answer *a)
{
	RegisterResponse m;

	godwit__ems__v1__register_response__init(&m);
	m.id = (char *)(uintptr_t)a->id;
	m.epoch = a->epoch;
	m.ttl_ms = a->ttl_ms;
	answer(arg, a, &m.base);
}

static void
on_register(void *state, struct call *c, const uint8_t *bytes, size_t n)
{
	struct unary *u = state;
	struct load_arena *a = load_arena_new(REGISTRY_ARENA_BYTES);
	const RegisterRequest *m = registry_read(c, a,
	    &godwit__ems__v1__register_request__descriptor, bytes, n);
	const struct who who = { u->registry->rules, call_names(c) };
	struct lease_request q;

	if (m != NULL && !u->asked) {
		q = (struct lease_request){ m->id, m->service, m->region,
		    m->zone, m->address, m->port, m->weight, m->version,
		    m->ttl_ms, &who };
		u->asked = u->waits = true;
		if (lease_register(u->registry->leases, &q, registered, u) == -1)
			no_memory(u);
	}
	load_arena_free(a);
}

/* ---- words of a lease */

/* False: the call was finished. */
static bool
may(const struct unary *u, const char *id)
{
	const struct who w = { u->registry->rules, call_names(u->call) };
	char why[1024];

	if (lease_may(u->registry->leases, &w, id, why, sizeof(why)))
		return true;
	call_finish(u->call, CALL_PERMISSION_DENIED, why);
	return false;
}


static void
on_heartbeat(void *state, struct call *c, const uint8_t *bytes, size_t n)
{
	struct unary *u = state;
	struct load_arena *a = load_arena_new(REGISTRY_ARENA_BYTES);
	const HeartbeatRequest *m = registry_read(c, a,
	    &godwit__ems__v1__heartbeat_request__descriptor, bytes, n);

	if (m != NULL && !u->asked && may(u, m->id)) {
		u->asked = true;
		switch (lease_heartbeat(u->registry->leases, m->id, m->epoch)) {
		case STORE_OK:
			reply(u, NULL);
			break;
		case STORE_CONFLICT:
			call_finish(c, CALL_ABORTED, "another has registered "
			    "by this id since");
			break;
		default:
			call_finish(c, CALL_NOT_FOUND, "there is no such "
			    "lease: register anew");
		}
	}
	load_arena_free(a);
}

static void
deregistered(void *arg, const struct lease_answer *a)
{
	answer(arg, a, NULL);
}

static void
on_deregister(void *state, struct call *c, const uint8_t *bytes, size_t n)
{
	struct unary *u = state;
	struct load_arena *a = load_arena_new(REGISTRY_ARENA_BYTES);
	const DeregisterRequest *m = registry_read(c, a,
	    &godwit__ems__v1__deregister_request__descriptor, bytes, n);

	if (m != NULL && !u->asked && may(u, m->id)) {
		u->asked = u->waits = true;
		if (lease_deregister(u->registry->leases, m->id, m->epoch, deregistered,
		    u) == -1)
			no_memory(u);
	}
	load_arena_free(a);
}

/* ---- a call */

static void *
on_begin(void *arg, struct call *c)
{
	struct unary *u = calloc(1, sizeof(*u));

	if (u == NULL) {
		call_finish(c, CALL_RESOURCE_EXHAUSTED, "no memory is left");
		return NULL;
	}
	u->registry = arg;
	u->call = c;
	return u;
}

static void
on_half_closed(void *state, struct call *c)
{
	const struct unary *u = state;

	if (!u->asked)
		call_finish(c, CALL_INVALID_ARGUMENT, "there was no message, "
		    "expected one");
}

static void
on_closed(void *state, struct call *c)
{
	struct unary *u = state;

	(void)c;
	u->call = NULL;
	unary_put(u);
}

#define HANDLER(message)						\
	{ on_begin, message, on_half_closed, registry_no_room, on_closed, NULL }
const struct call_handler registry_register = HANDLER(on_register);
const struct call_handler registry_heartbeat = HANDLER(on_heartbeat);
const struct call_handler registry_deregister = HANDLER(on_deregister);
