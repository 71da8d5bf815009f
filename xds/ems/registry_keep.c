/*
 * xds/ems/registry_keep.c - see registry.h: Keep, a call that is a lease.
 *
 *              endpoint           registered          leave             removed
 *   KEEP_NEW ──────────> ASKED ─────────────> KEPT ──────────> LEAVING ──> ends
 *                          │ leave: as soon as  │  ^
 *                          │ it is KEPT         └──┘ heartbeat
 *                          v refused            v lost (another epoch, gone)
 *                        ends                 ends
 *
 * Invariants
 *   I1  The end of a call does nothing to its lease: it lapses, or somebody
 *       keeps it on.
 *       So it is when the door drains (call.h D5); what the store is asked
 *       for is answered first.
 *   I2  An answer of the store may come after the call's end: a keep is freed
 *       by the later of the two.
 */
#include "xds/ems/registry_inside.h"

#include <stdio.h>
#include <stdlib.h>

#include "xds/proto/godwit/ems/registry.pb-c.h"

typedef Godwit__Ems__V1__KeepRequest KeepRequest;
typedef Godwit__Ems__V1__KeepResponse KeepResponse;

enum keep_state { KEEP_NEW, KEEP_ASKED, KEEP_KEPT, KEEP_LEAVING };

struct keep {
	const struct registry *registry;
	struct call	*call;		/* NULL: its caller is gone */
	enum keep_state	 state;
	bool		 waits;		/* for the store */
	bool		 leave;		/* wanted, as soon as it is KEPT */
	bool		 said_all;	/* the caller half-closed */
	bool		 drains;	/* the door, while the store is asked */
	char		 id[INTENT_NAME_MAX + 1];
	uint64_t	 epoch;
	uint32_t	 ttl_ms;
};

static void
keep_put(struct keep *k)
{
	if (k->call == NULL && !k->waits)
		free(k);
}

static void
finish(const struct keep *k, enum call_status status, const char *why)
{
	if (k->call != NULL)
		call_finish(k->call, status, why);
}

static bool
say(struct keep *k, bool left)
{
	KeepResponse m;

	godwit__ems__v1__keep_response__init(&m);
	m.id = k->id;
	m.epoch = k->epoch;
	m.ttl_ms = k->ttl_ms;
	m.left = left;
	return k->call != NULL && registry_send(k->call, &m.base);
}

/* ---- leaving */

static void
on_left(void *arg, const struct lease_answer *a)
{
	struct keep *k = arg;

	k->waits = false;
	if (a->result != STORE_OK)
		finish(k, registry_status(a), a->why);
	else if (say(k, true))
		finish(k, CALL_OK, "");
	keep_put(k);
}

static void
leave(struct keep *k)
{
	k->state = KEEP_LEAVING;
	k->waits = true;
	if (lease_deregister(k->registry->leases, k->id, k->epoch, on_left, k) == 0)
		return;
	k->waits = false;
	finish(k, CALL_RESOURCE_EXHAUSTED, "no memory is left");
}

/* ---- registering */

static void
on_registered(void *arg, const struct lease_answer *a)
{
	struct keep *k = arg;

	k->waits = false;
	if (a->result != STORE_OK) {
		finish(k, registry_status(a), a->why);
		keep_put(k);
		return;
	}
	k->state = KEEP_KEPT;
	snprintf(k->id, sizeof(k->id), "%s", a->id);
	k->epoch = a->epoch;
	k->ttl_ms = a->ttl_ms;
	(void)say(k, false);
	if (k->leave)
		leave(k);
	else if (k->said_all)
		finish(k, CALL_OK, "");
	else if (k->drains && k->call != NULL)
		call_leave(k, k->call);
	keep_put(k);
}

static void
begin(struct keep *k, const KeepRequest *m)
{
	const Godwit__Ems__V1__RegisterRequest *e = m->endpoint;
	const struct who who = { k->registry->rules, call_names(k->call) };
	struct lease_request q;

	if (e == NULL || m->leave) {
		finish(k, CALL_INVALID_ARGUMENT, "the first message has no "
		    "endpoint to register, or leave, expected an endpoint");
		return;
	}
	q = (struct lease_request){ e->id, e->service, e->region, e->zone,
	    e->address, e->port, e->weight, e->version, e->ttl_ms, &who };
	k->state = KEEP_ASKED;
	k->waits = true;
	if (lease_register(k->registry->leases, &q, on_registered, k) == 0)
		return;
	k->waits = false;
	finish(k, CALL_RESOURCE_EXHAUSTED, "no memory is left");
}

/* ---- words after the first */

static void
heartbeat(struct keep *k)
{
	switch (lease_heartbeat(k->registry->leases, k->id, k->epoch)) {
	case STORE_OK:
		(void)say(k, false);
		break;
	case STORE_CONFLICT:
		finish(k, CALL_ABORTED, "another has registered by this id "
		    "since");
		break;
	default:
		finish(k, CALL_NOT_FOUND, "there is no such lease any more: "
		    "register anew");
	}
}

static void
word(struct keep *k, const KeepRequest *m)
{
	if (m->endpoint != NULL)
		finish(k, CALL_INVALID_ARGUMENT, "an endpoint is there "
		    "already, expected one call for each");
	else if (k->state == KEEP_ASKED)
		k->leave = k->leave || m->leave;
	else if (k->state == KEEP_KEPT && m->leave)
		leave(k);
	else if (k->state == KEEP_KEPT)
		heartbeat(k);
}

/* ---- the call */

static void *
on_begin(void *arg, struct call *c)
{
	struct keep *k = calloc(1, sizeof(*k));

	if (k == NULL) {
		call_finish(c, CALL_RESOURCE_EXHAUSTED, "no memory is left");
		return NULL;
	}
	k->registry = arg;
	k->call = c;
	return k;
}

static void
on_message(void *state, struct call *c, const uint8_t *bytes, size_t n)
{
	struct keep *k = state;
	struct load_arena *a = load_arena_new(REGISTRY_ARENA_BYTES);
	const KeepRequest *m = registry_read(c, a,
	    &godwit__ems__v1__keep_request__descriptor, bytes, n);

	if (m != NULL && k->state == KEEP_NEW)
		begin(k, m);
	else if (m != NULL)
		word(k, m);
	load_arena_free(a);
}

static void
on_half_closed(void *state, struct call *c)
{
	struct keep *k = state;

	k->said_all = true;
	if (k->state == KEEP_NEW)
		call_finish(c, CALL_INVALID_ARGUMENT, "there was no message, "
		    "expected an endpoint to register");
	else if (k->state == KEEP_KEPT)
		call_finish(c, CALL_OK, "");
}

static void
on_closed(void *state, struct call *c)
{
	struct keep *k = state;

	(void)c;
	k->call = NULL;
	keep_put(k);
}

static void
on_leave(void *state, struct call *c)
{
	struct keep *k = state;

	k->drains = true;
	if (!k->waits)
		call_leave(k, c);
}

const struct call_handler registry_keep = { on_begin, on_message,
	on_half_closed, registry_no_room, on_closed, on_leave };
