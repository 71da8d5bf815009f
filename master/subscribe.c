/* master/subscribe.c - see subscribe.h. */
#include "master/subscribe.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WHY_BYTES = 512, KEEPALIVE_MS_MAX = 3600 * 1000 };

struct subscribe {
	struct io	*io;
	struct ads	*ads;
	struct subscribe_settings settings;	/* texts: ours */
	enum subscribe_state state;
	int64_t		 since_ms, lost_ms, why_ms, next_ms;	/* for status */
	uint32_t	 server;	/* of call, or that comes next */
	uint32_t	 tried;		/* of its addresses, in this round */
	uint32_t	 next[SUBSCRIBE_SERVERS_MAX];	/* its next address */
	uint32_t	 back_off_ms;
	struct grpc	*call;		/* NULL: WAITING */
	struct grpc	*better;	/* to a server before that one */
	uint32_t	 better_server;
	struct timer	 timer;		/* WAITING: the pause; else: better */
	struct timer	 step_timer;	/* ads_step */
	struct task	 pump;
	bool		 now;		/* no pause */
	uint64_t	 attempts, streams;
	char		 why[WHY_BYTES];
};

static void	connect_next(struct subscribe *s);
static void	better_begin(struct subscribe *s, uint32_t first);
static void	try_now(struct subscribe *s);

static int64_t
now_ms(const struct subscribe *s)
{
	return s->io->loop->now.ns / 1000000;
}

static void
timer_set(struct subscribe *s, struct timer *t, int64_t ms)
{
	timer_start(&s->io->loop->timers, t, s->io->loop->now, ms);
}

static void
state_set(struct subscribe *s, enum subscribe_state state)
{
	s->state = state;
	s->since_ms = now_ms(s);
	s->settings.changed(s->settings.arg);
}

/* It failed: the sentence is in s->why. */
static void
failed(struct subscribe *s)
{
	s->why_ms = now_ms(s);
}

static bool
is_up(const struct subscribe *s)
{
	return s->state == SUBSCRIBE_STREAMING ||
	    s->state == SUBSCRIBE_SETTLED;
}

/* Something between ms and twice that (S1). */
static int64_t
jittered(const struct subscribe *s, uint32_t ms)
{
	struct sys *sys = s->io->sys;

	return ms + (int64_t)(sys->random(sys->ctx) % ((uint64_t)ms + 1));
}

/* ---- the stream ---- */

void
subscribe_wake(struct subscribe *s)
{
	loop_soon(s->io->loop, &s->pump);
}

static void
step(struct subscribe *s)
{
	int64_t ms = ads_step(s->ads, now_ms(s));

	if (ms >= 0)
		timer_set(s, &s->step_timer, ms);
	else
		timer_stop(&s->io->loop->timers, &s->step_timer);
}

/* A request is made when there is room for it (A3). */
static void
requests_send(struct subscribe *s)
{
	uint8_t *bytes;
	size_t n;

	while (grpc_has_room(s->call) &&
	    ads_take(s->ads, now_ms(s), &bytes, &n)) {
		if (!grpc_send(s->call, bytes, n))
			grpc_end(s->call, "no memory");
		free(bytes);
	}
}

/* Whatever can be moved on, in all directions. */
static void
pump_run(struct task *t)
{
	struct subscribe *s = CONTAINER(t, struct subscribe, pump);

	if (is_up(s)) {
		grpc_resume(s->call);
		requests_send(s);
	}
	if (s->now) {
		s->now = false;
		try_now(s);
	}
	step(s);
}

static void
step_fire(struct timer *t)
{
	subscribe_wake(CONTAINER(t, struct subscribe, step_timer));
}

static bool
on_ready(void *arg, struct grpc *g)
{
	struct subscribe *s = arg;

	return g == s->call && is_up(s) && !ads_is_pending(s->ads);
}

static void
on_message(void *arg, struct grpc *g, const uint8_t *bytes, size_t n)
{
	struct subscribe *s = arg;
	char why[WHY_BYTES];

	if (s->state == SUBSCRIBE_STREAMING) {
		s->back_off_ms = s->settings.back_off_base_ms;
		state_set(s, SUBSCRIBE_SETTLED);
	}
	if (ads_feed(s->ads, bytes, n, now_ms(s), why, sizeof(why)) == -1)
		grpc_end(g, why);
	subscribe_wake(s);
}

static void
on_sent(void *arg, struct grpc *g)
{
	(void)g;
	subscribe_wake(arg);
}

/* ---- beginning and ending ---- */

static void	on_opened(void *arg, struct grpc *g);
static void	on_ended(void *arg, struct grpc *g, const char *why);

static const struct grpc_events call_events = {
	.opened = on_opened, .ready = on_ready, .message = on_message,
	.sent = on_sent, .ended = on_ended,
};

/* Where server i is: false, and why in s->why. */
static bool
target_of(struct subscribe *s, uint32_t i, struct subscribe_target *t)
{
	*t = (struct subscribe_target){ 0 };
	if (!s->settings.target(s->settings.arg, i, t, s->why,
	    sizeof(s->why)))
		return false;
	if (t->addresses_n == 0)
		snprintf(s->why, sizeof(s->why), "no address of %s is known",
		    s->settings.servers[i].name);
	return t->addresses_n > 0;
}

/* Dials the next address of server i. NULL: s->why. */
static struct grpc *
dial(struct subscribe *s, uint32_t i, const struct subscribe_target *t)
{
	struct grpc_settings g = {
	    .address = &t->addresses[s->next[i]++ % t->addresses_n],
	    .tls = t->tls, .connect_timeout_ms = t->connect_timeout_ms,
	    .keepalive_ms = s->settings.keepalive_ms,
	    .keepalive_timeout_ms = s->settings.keepalive_timeout_ms,
	    .message_bytes_max = s->settings.message_bytes_max };

	s->attempts++;
	return grpc_open(s->io, &g, &call_events, s, s->why, sizeof(s->why));
}

static bool
connect_server(struct subscribe *s)
{
	struct subscribe_target t;

	while (target_of(s, s->server, &t) && s->tried < t.addresses_n) {
		s->tried++;
		if ((s->call = dial(s, s->server, &t)) != NULL)
			return true;
	}
	return false;
}

static void
wait_begin(struct subscribe *s)
{
	uint32_t half_ms = s->settings.back_off_max_ms / 2;
	uint32_t ms = s->back_off_ms < half_ms ? s->back_off_ms : half_ms;
	int64_t pause_ms = jittered(s, ms);

	s->server = s->tried = 0;
	s->back_off_ms = ms < half_ms / 2 ? 2 * ms : half_ms;
	timer_set(s, &s->timer, pause_ms);
	s->next_ms = now_ms(s) + pause_ms;
	state_set(s, SUBSCRIBE_WAITING);
}

/* Goes on with the round. */
static void
connect_next(struct subscribe *s)
{
	for (; s->server < s->settings.servers_n; s->server++, s->tried = 0)
		if (connect_server(s)) {
			state_set(s, SUBSCRIBE_CONNECTING);
			return;
		} else
			failed(s);
	wait_begin(s);
}

static void
round_begin(struct subscribe *s)
{
	s->server = s->tried = 0;
	connect_next(s);
}

/* Its connection is up: the call itself. */
static void
stream_begin(struct subscribe *s)
{
	const struct subscribe_server *server =
	    &s->settings.servers[s->server];
	struct subscribe_target t;

	if (s->server > 0)
		timer_set(s, &s->timer, s->settings.back_off_max_ms);
	if (!target_of(s, s->server, &t)) {
		grpc_end(s->call, s->why);
		return;
	}
	if (!grpc_begin(s->call, t.authority, s->settings.path,
	    server->metadata, server->metadata_n)) {
		grpc_end(s->call, "no memory");
		return;
	}
	s->streams++;
	ads_begin(s->ads, now_ms(s));
	state_set(s, SUBSCRIBE_STREAMING);
	subscribe_wake(s);
}

static void
better_drop(struct subscribe *s)
{
	if (s->better != NULL)
		grpc_drop(s->better);
	s->better = NULL;
}

static void
on_call_ended(struct subscribe *s, const char *why)
{
	bool was_settled = s->state == SUBSCRIBE_SETTLED;

	s->call = NULL;
	snprintf(s->why, sizeof(s->why), "%s", why);
	failed(s);
	if (is_up(s)) {
		ads_end(s->ads);
		s->lost_ms = now_ms(s);
	}
	timer_stop(&s->io->loop->timers, &s->timer);
	better_drop(s);
	if (was_settled)
		wait_begin(s);
	else
		connect_next(s);
}

/* ---- several servers ---- */

/* Calls the servers from first to the one before that in use, one at a time;
 * after them there is a pause. */
static void
better_begin(struct subscribe *s, uint32_t first)
{
	struct subscribe_target t;

	for (uint32_t i = first; i < s->server; i++)
		if (target_of(s, i, &t) &&
		    (s->better = dial(s, i, &t)) != NULL) {
			s->better_server = i;
			return;
		}
	timer_set(s, &s->timer, s->settings.back_off_max_ms);
}

/* It is up: the one in use from now on. */
static void
better_take(struct subscribe *s)
{
	if (is_up(s))
		ads_end(s->ads);
	grpc_drop(s->call);
	s->call = s->better;
	s->better = NULL;
	s->server = s->better_server;
	s->tried = 1;
	timer_stop(&s->io->loop->timers, &s->timer);
	state_set(s, SUBSCRIBE_CONNECTING);
	stream_begin(s);
}

static void
on_opened(void *arg, struct grpc *g)
{
	struct subscribe *s = arg;

	if (g == s->better)
		better_take(s);
	else
		stream_begin(s);
}

static void
on_ended(void *arg, struct grpc *g, const char *why)
{
	struct subscribe *s = arg;

	if (grpc_was_asked_for_calm(g) &&
	    s->settings.keepalive_ms < KEEPALIVE_MS_MAX)
		s->settings.keepalive_ms *= 2;
	if (g != s->better) {
		on_call_ended(s, why);
		return;
	}
	s->better = NULL;
	snprintf(s->why, sizeof(s->why), "%s", why);
	failed(s);
	better_begin(s, s->better_server + 1);
}

static void
try_now(struct subscribe *s)
{
	timer_stop(&s->io->loop->timers, &s->timer);
	if (s->state == SUBSCRIBE_WAITING)
		round_begin(s);
	else if (is_up(s) && s->server > 0 && s->better == NULL)
		better_begin(s, 0);
}

static void
timer_fire(struct timer *t)
{
	try_now(CONTAINER(t, struct subscribe, timer));
}

void
subscribe_retry(struct subscribe *s)
{
	s->now = true;
	subscribe_wake(s);
}

/* ---- itself ---- */

static const char *
text_copy(char **room, const char *from, bool is_name)
{
	char *to = *room;
	size_t n = strlen(from) + 1;

	memcpy(to, from, n);
	for (char *p = to; is_name && *p != '\0'; p++)
		*p = (char)tolower((unsigned char)*p);
	*room += n;
	return to;
}

/* Of all texts of f. */
static size_t
texts_size(const struct subscribe_settings *f)
{
	size_t n = strlen(f->path) + 1;

	for (uint32_t i = 0; i < f->servers_n; i++) {
		n += strlen(f->servers[i].name) + 1;
		for (uint32_t m = 0; m < f->servers[i].metadata_n; m++)
			n += strlen(f->servers[i].metadata[m].name) +
			    strlen(f->servers[i].metadata[m].value) + 2;
	}
	return n;
}

static void
texts_copy(struct subscribe_settings *f, char *room)
{
	f->path = text_copy(&room, f->path, false);
	for (uint32_t i = 0; i < f->servers_n; i++) {
		struct subscribe_server *server = &f->servers[i];

		server->name = text_copy(&room, server->name, false);
		for (uint32_t m = 0; m < server->metadata_n; m++) {
			struct grpc_pair *p = &server->metadata[m];

			p->name = text_copy(&room, p->name, true);
			p->value = text_copy(&room, p->value, false);
		}
	}
}

struct subscribe *
subscribe_open(struct io *io, struct ads *a,
    const struct subscribe_settings *settings)
{
	struct subscribe *s = calloc(1, sizeof(*s) + texts_size(settings));

	assert(settings->servers_n > 0 &&
	    settings->servers_n <= SUBSCRIBE_SERVERS_MAX);
	if (s == NULL)
		return NULL;
	s->io = io;
	s->ads = a;
	s->settings = *settings;
	texts_copy(&s->settings, (char *)(s + 1));
	s->back_off_ms = settings->back_off_base_ms;
	s->timer.fire = timer_fire;
	s->step_timer.fire = step_fire;
	s->pump.run = pump_run;
	for (uint32_t i = 0; i < settings->servers_n; i++)
		s->next[i] = (uint32_t)io->sys->random(io->sys->ctx);
	s->since_ms = s->lost_ms = now_ms(s);
	subscribe_retry(s);
	return s;
}

void
subscribe_close(struct subscribe *s)
{
	struct timers *timers = &s->io->loop->timers;

	timer_stop(timers, &s->timer);
	timer_stop(timers, &s->step_timer);
	loop_cancel(s->io->loop, &s->pump);
	if (is_up(s))
		ads_end(s->ads);
	if (s->call != NULL)
		grpc_close(s->call);
	if (s->better != NULL)
		grpc_close(s->better);
	free(s);
}

void
subscribe_status(const struct subscribe *s, struct subscribe_status *to)
{
	*to = (struct subscribe_status){ .state = s->state,
	    .since_ms = s->since_ms, .lost_ms = s->lost_ms, .why = s->why,
	    .why_ms = s->why_ms, .next_ms = s->next_ms,
	    .server = s->settings.servers[s->server].name,
	    .attempts = s->attempts, .streams = s->streams };
	snprintf(to->address, sizeof(to->address), "%s",
	    s->call == NULL ? "" : grpc_address(s->call));
}
