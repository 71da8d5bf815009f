/* master/registration.c - see registration.h. */
#include "master/registration.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/probe.h"
#include "shm/log.h"
#include "xds/keep.h"

enum {
	WHY_BYTES = 512, MESSAGE_BYTES_MAX = 65536, CONNECT_MS = 5000,
	PAUSE_MS = 500, PAUSE_MS_MAX = 30000,
	ANSWER_MS = 5000,		/* to the endpoint */
	LEAVE_MS = 2000,		/* to leave */
	BEATS_PER_TTL = 3, SILENT_BEATS = 2,
	KEEPALIVE_MS = 30000, KEEPALIVE_TIMEOUT_MS = 20000,
};

enum event {
	WELL, ILL, WITHDRAW, OPENED, ANSWERED, LEFT, ENDED, TIME, LEAVE,
	EVENTS
};

struct registration {
	struct io	*io;
	struct register_settings settings;
	struct registration_owner owner;
	struct probe	*probe;		/* NULL: it leaves for good */
	struct grpc	*call;		/* NULL: none */
	struct timer	 timer;
	enum registration_state state;
	bool		 well, final;	/* its app; its leave was said */
	bool		 withdrawn;	/* T3 */
	bool		 lapses;	/* its lease could not be left */
	uint32_t	 pause_ms, unanswered_n, next;	/* next address */
	int64_t		 since_ms, next_ms;
	struct keep_answer lease;	/* of HELD */
	char		 why[WHY_BYTES], said[WHY_BYTES];
};

static void	step(struct registration *r, enum event event);

/* ---- words for humans */

#define ABOUT		"%s at %s:%u: "
#define ABOUT_OF(r)	(r)->settings.service, (r)->settings.host,	\
			(r)->settings.port

/* Once, as long as it is the same. */
static void
failed_say(struct registration *r)
{
	if (strcmp(r->why, r->said) == 0)
		return;
	log_warn(ABOUT "not registered: %s; it is tried again", ABOUT_OF(r),
	    r->why);
	snprintf(r->said, sizeof(r->said), "%s", r->why);
}

/* ---- time */

static int64_t
now_ms(const struct registration *r)
{
	return r->io->loop->now.ns / 1000000;
}

static void
timer_set(struct registration *r, int64_t ms)
{
	timer_stop(&r->io->loop->timers, &r->timer);
	timer_start(&r->io->loop->timers, &r->timer, r->io->loop->now, ms);
}

static void
state_set(struct registration *r, enum registration_state state)
{
	timer_stop(&r->io->loop->timers, &r->timer);
	r->state = state;
	r->since_ms = now_ms(r);
}

static void
timer_fire(struct timer *t)
{
	step(CONTAINER(t, struct registration, timer), TIME);
}

static uint32_t
third_of_ttl(const struct registration *r)
{
	return r->settings.ttl_ms / BEATS_PER_TTL;
}

/* ---- the call */

static void
on_opened(void *arg, struct grpc *g)
{
	(void)g;
	step(arg, OPENED);
}

static bool
on_ready(void *arg, struct grpc *g)
{
	const struct registration *r = arg;

	return g == r->call;
}

static void
on_message(void *arg, struct grpc *g, const uint8_t *bytes, size_t n)
{
	struct registration *r = arg;
	struct keep_answer a;
	char why[WHY_BYTES];

	if (keep_answer_read(bytes, n, &a, why, sizeof(why)) == -1) {
		grpc_end(g, why);
		return;
	}
	if (!a.left)
		r->lease = a;
	step(r, a.left ? LEFT : ANSWERED);
}

static void
on_ended(void *arg, struct grpc *g, const char *why)
{
	struct registration *r = arg;

	(void)g;
	r->call = NULL;
	snprintf(r->why, sizeof(r->why), "%s", why);
	step(r, ENDED);
}

static const struct grpc_events call_events = { .opened = on_opened,
	.ready = on_ready, .message = on_message, .ended = on_ended };

static void
hang_up(struct registration *r)
{
	if (r->call != NULL)
		grpc_drop(r->call);
	r->call = NULL;
}

/* False: it can't be said. */
static bool
say(struct registration *r, const uint8_t *bytes, size_t n)
{
	return r->call != NULL && grpc_has_room(r->call) &&
	    grpc_send(r->call, bytes, n);
}

/* Where the control plane is. False: r->why. */
static bool
target_find(struct registration *r, struct subscribe_target *t)
{
	*t = (struct subscribe_target){ 0 };
	if (!r->owner.target(r->owner.target_arg, 0, t, r->why, sizeof(r->why)))
		return false;
	if (t->addresses_n == 0)
		why_set(r->why, sizeof(r->why), "no address of the control "
		    "plane is known");
	return t->addresses_n > 0;
}

/* ---- steps */

static void
pause_begin(struct registration *r)
{
	struct sys *sys = r->io->sys;
	uint32_t max_ms = third_of_ttl(r) < PAUSE_MS_MAX ? third_of_ttl(r) :
	    PAUSE_MS_MAX;
	uint32_t ms = r->pause_ms < max_ms ? r->pause_ms : max_ms;
	int64_t pause_ms = ms / 2 + (int64_t)(sys->random(sys->ctx) %
	    (ms / 2 + 1));

	failed_say(r);
	r->pause_ms = 2 * ms;
	state_set(r, REGISTRATION_PAUSED);
	r->next_ms = now_ms(r) + pause_ms;
	timer_set(r, pause_ms);
}

static void
connect_begin(struct registration *r)
{
	struct subscribe_target t;
	struct grpc_settings g = { .keepalive_ms = KEEPALIVE_MS,
	    .keepalive_timeout_ms = KEEPALIVE_TIMEOUT_MS,
	    .message_bytes_max = MESSAGE_BYTES_MAX };

	state_set(r, REGISTRATION_CONNECTING);
	if (target_find(r, &t)) {
		g.address = &t.addresses[r->next++ % t.addresses_n];
		g.tls = t.tls;
		g.connect_timeout_ms = t.connect_timeout_ms == 0 ? CONNECT_MS :
		    t.connect_timeout_ms;
		r->call = grpc_open(r->io, &g, &call_events, r, r->why,
		    sizeof(r->why));
	}
	if (r->call == NULL)
		pause_begin(r);
}

static bool
endpoint_say(struct registration *r)
{
	const struct register_settings *s = &r->settings;
	const struct keep_endpoint e = { s->id, s->service, s->region,
	    s->zone, s->host, s->version, s->port, s->weight, s->ttl_ms };
	size_t n;
	uint8_t *bytes = keep_endpoint_pack(&e, &n);
	bool said = bytes != NULL && say(r, bytes, n);

	free(bytes);
	return said;
}

static void
ask(struct registration *r)
{
	struct subscribe_target t;

	state_set(r, REGISTRATION_ASKING);
	timer_set(r, ANSWER_MS);
	r->unanswered_n = 0;
	if (!target_find(r, &t))
		grpc_end(r->call, r->why);
	else if (!grpc_begin(r->call, t.authority, KEEP_PATH, NULL, 0) ||
	    !endpoint_say(r))
		grpc_end(r->call, "no memory");
}

static void
ask_late(struct registration *r)
{
	grpc_end(r->call, "the control plane did not answer in time");
}

static void
hold(struct registration *r)
{
	state_set(r, REGISTRATION_HELD);
	timer_set(r, third_of_ttl(r));
	r->why[0] = r->said[0] = '\0';
	r->lapses = false;
	log_info(ABOUT "registered, epoch %llu", ABOUT_OF(r),
	    (unsigned long long)r->lease.epoch);
}

/* A lease that lasted: what comes next is no failure to get one. */
static void
heard(struct registration *r)
{
	r->unanswered_n = 0;
	r->pause_ms = PAUSE_MS;
}

static void
beat(struct registration *r)
{
	timer_set(r, third_of_ttl(r));
	if (r->unanswered_n == SILENT_BEATS)
		grpc_end(r->call, "the control plane is silent");
	r->unanswered_n++;
	(void)say(r, NULL, 0);
}

static void
wait_begin(struct registration *r)
{
	hang_up(r);
	state_set(r, REGISTRATION_WAITING);
}

/* Its call broke off, and what the control plane has of it is not known. */
static void
withdraw_unsaid(struct registration *r)
{
	r->lapses = r->lease.epoch != 0;
	wait_begin(r);
	r->owner.left(r->owner.arg, r);
}

static void
gone(struct registration *r)
{
	hang_up(r);
	state_set(r, REGISTRATION_GONE);
	r->owner.gone(r->owner.arg, r);
}

/* Its lease is no more, or it can't be said that it shall be no more. */
static void
left(struct registration *r)
{
	hang_up(r);
	if (r->final) {
		gone(r);
		return;
	}
	if (r->well && !r->withdrawn)
		connect_begin(r);
	else
		wait_begin(r);
	r->owner.left(r->owner.arg, r);
}

static void
left_well(struct registration *r)
{
	log_info(ABOUT "deregistered", ABOUT_OF(r));
	r->lease = (struct keep_answer){ 0 };
	left(r);
}

static void
left_badly(struct registration *r)
{
	log_warn(ABOUT "it could not be deregistered, and its lease lapses: "
	    "%s", ABOUT_OF(r), r->call == NULL ? r->why : "the control plane "
	    "did not answer in time");
	r->lapses = true;
	left(r);
}

static void
leave(struct registration *r)
{
	state_set(r, REGISTRATION_LEAVING);
	if (r->withdrawn)
		log_info(ABOUT "withdrawn, it is deregistered", ABOUT_OF(r));
	else if (!r->final)
		log_warn(ABOUT "the app is not well, it is deregistered: %s",
		    ABOUT_OF(r), probe_why(r->probe));
	timer_set(r, say(r, keep_leave, sizeof(keep_leave)) ? LEAVE_MS : 0);
}

/* What is not here changes nothing. */
static void (*const steps[REGISTRATION_STATES][EVENTS])(
    struct registration *r) = {
	[REGISTRATION_WAITING] = { [WELL] = connect_begin, [LEAVE] = gone },
	[REGISTRATION_CONNECTING] = { [ILL] = wait_begin,
	    [WITHDRAW] = withdraw_unsaid, [OPENED] = ask,
	    [ENDED] = pause_begin, [LEAVE] = gone },
	[REGISTRATION_ASKING] = { [ILL] = leave, [WITHDRAW] = leave,
	    [ANSWERED] = hold, [ENDED] = pause_begin, [TIME] = ask_late,
	    [LEAVE] = leave },
	[REGISTRATION_HELD] = { [ILL] = leave, [WITHDRAW] = leave,
	    [ANSWERED] = heard, [ENDED] = pause_begin, [TIME] = beat,
	    [LEAVE] = leave },
	[REGISTRATION_PAUSED] = { [ILL] = wait_begin,
	    [WITHDRAW] = withdraw_unsaid, [TIME] = connect_begin,
	    [LEAVE] = gone },
	[REGISTRATION_LEAVING] = { [LEFT] = left_well, [ENDED] = left_badly,
	    [TIME] = left_badly },
};

static void
step(struct registration *r, enum event event)
{
	if (steps[r->state][event] != NULL)
		steps[r->state][event](r);
}

/* ---- life */

static void
on_probe(void *arg, bool well)
{
	struct registration *r = arg;

	r->well = well;
	r->withdrawn = r->withdrawn && well;
	step(r, well ? WELL : ILL);
}

struct registration *
registration_open(struct io *io, const struct register_settings *s,
    const struct registration_owner *o)
{
	struct registration *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->io = io;
	memcpy(&r->settings, s, sizeof(*s));	/* its padding too */
	r->owner = *o;
	r->timer.fire = timer_fire;
	r->pause_ms = PAUSE_MS;
	r->since_ms = now_ms(r);
	r->probe = probe_open(io, &r->settings, on_probe, r);
	if (r->probe != NULL)
		return r;
	free(r);
	return NULL;
}

static void
probe_end(struct registration *r)
{
	if (r->probe != NULL)
		probe_close(r->probe);
	r->probe = NULL;
}

void
registration_withdraw(struct registration *r)
{
	if (r->final || !r->well || r->withdrawn)
		return;
	r->withdrawn = true;
	step(r, WITHDRAW);
}

void
registration_leave(struct registration *r)
{
	if (r->final)
		return;
	r->final = true;
	probe_end(r);
	step(r, LEAVE);
}

void
registration_close(struct registration *r)
{
	probe_end(r);
	timer_stop(&r->io->loop->timers, &r->timer);
	if (r->call != NULL)
		grpc_close(r->call);
	free(r);
}

/* ---- questions */

const struct register_settings *
registration_settings(const struct registration *r)
{
	return &r->settings;
}

void
registration_status(const struct registration *r,
    struct registration_status *to)
{
	*to = (struct registration_status){ .state = r->state,
	    .now_ms = now_ms(r), .since_ms = r->since_ms,
	    .next_ms = r->next_ms, .epoch = r->lease.epoch,
	    .lapses = r->lapses, .why = r->why };
	if (r->withdrawn)
		to->why = "it was withdrawn, and comes back once its app was "
		    "gone and is well again";
	else if (r->state == REGISTRATION_WAITING && r->probe != NULL)
		to->why = probe_why(r->probe);
}
