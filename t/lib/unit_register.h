/*
 * t/lib/unit_register.h - for t/unit/register.c and probe.c: an app that is well
 * or not, a control plane that answers or not, and what is registered. The app
 * is servers[0] (TCP: it accepts and says nothing) or servers[1] (gRPC), the
 * control plane servers[2].
 */
#ifndef T_LIB_UNIT_REGISTER_H
#define T_LIB_UNIT_REGISTER_H

#include "master/register.h"

#include <criterion/criterion.h>
#include <string.h>

#include "t/lib/unit_server.h"

enum {
	TTL_MS = 9000, INTERVAL_MS = 2000, TIMEOUT_MS = 1000, BEAT_MS = 3000,
	LEAVE_MS = 2000, ANSWER_MS = 5000, PREFIX = 5,
};

/* What the control plane says: registered, epoch 7; left. */
static const char registered[] = "\0\0\0\0\010" "\012\001i" "\020\007"
    "\030\250\106";
static const char left_word[] = "\0\0\0\0\012" "\012\001i" "\020\007"
    "\030\250\106" "\040\001";
/* What it hears. */
static const char beat[] = "\0\0\0\0\0";
static const char leave[] = "\0\0\0\0\002" "\020\001";

static struct {
	struct registration *r;
	struct register_settings settings;
	int		 gone_n, left_n;
	bool		 nowhere;	/* nobody knows where it is */
	size_t		 heard;		/* bytes of the call looked at */
} own;

static inline struct registration_status
status(void)
{
	struct registration_status t;

	registration_status(own.r, &t);
	return t;
}

static inline struct server *
app(void)
{
	return &servers[own.settings.grpc ? 1 : 0];
}

static inline struct server *
plane(void)
{
	return &servers[2];
}

static inline bool
target(void *arg, uint32_t i, struct subscribe_target *t, char *why,
    size_t why_len)
{
	(void)arg;
	cr_assert_eq(i, 0);
	if (own.nowhere) {
		snprintf(why, why_len, "nobody knows where it is");
		return false;
	}
	*t = (struct subscribe_target){ .addresses = &plane()->address,
	    .addresses_n = 1, .connect_timeout_ms = 5000,
	    .authority = "ems.test" };
	return true;
}

static inline void
gone(void *arg, struct registration *r)
{
	(void)arg;
	cr_assert_eq(r, own.r);
	own.gone_n++;
}

static inline void
left(void *arg, struct registration *r)
{
	(void)arg;
	cr_assert_eq(r, own.r);
	own.left_n++;
}

static inline void
settings_fill(struct register_settings *s, const char *id)
{
	memset(s, 0, sizeof(*s));
	snprintf(s->id, sizeof(s->id), "%s", id);
	snprintf(s->service, sizeof(s->service), "tasks.TaskStore");
	snprintf(s->region, sizeof(s->region), "us");
	snprintf(s->host, sizeof(s->host), "10.0.0.5");
	snprintf(s->address_text, sizeof(s->address_text), "app.test");
	s->port = 50051;
	s->weight = 1;
	s->ttl_ms = TTL_MS;
	s->address = servers[0].address;
	s->interval_ms = INTERVAL_MS;
	s->timeout_ms = TIMEOUT_MS;
	s->healthy_n = 1;
	s->unhealthy_n = 2;
}

static inline void
set_up(bool grpc, bool listens)
{
	const struct registration_owner o = { .target = target,
	    .left = left, .gone = gone };

	servers_open();
	servers[0].deaf = true;
	settings_fill(&own.settings, "i");
	own.settings.grpc = grpc;
	own.settings.address = app()->address;
	server_listen(plane());
	if (listens)
		server_listen(app());
	own.r = registration_open(&ours.io, &own.settings, &o);
	cr_assert_not_null(own.r);
	pass_ms(1);
}

static inline void
tear_down(void)
{
	registration_close(own.r);
	turns(2);
	servers_close();
}

static inline void
app_dies(void)
{
	loop_forget(&ours.loop, &app()->source);
	close(app()->fd);
	app()->fd = -1;
}

static inline void
until_state(enum registration_state state)
{
	UNTIL(status().state == state);
}

/* One more thing is heard in the call: this. */
static inline void
hears(const char *bytes, size_t n)
{
	UNTIL(plane()->call != NULL && plane()->call->got_n >= own.heard + n);
	cr_assert_arr_eq(plane()->call->got + own.heard, bytes, n);
	own.heard += n;
}
#define HEARS(bytes)	hears(bytes, sizeof(bytes) - 1)
#define SAYS(bytes)	server_send(plane(), bytes, sizeof(bytes) - 1)

/* The endpoint was said, in a call that is new. */
static inline void
hears_endpoint(void)
{
	const char *got;

	until_state(REGISTRATION_ASKING);
	UNTIL(plane()->call != NULL && plane()->call->got_n > PREFIX);
	got = plane()->call->got;
	own.heard = PREFIX + (uint8_t)got[PREFIX - 1];
	cr_assert_eq(plane()->call->got_n, own.heard);
	cr_assert_not_null(memmem(got, own.heard, "tasks.TaskStore", 15));
	cr_assert_not_null(memmem(got, own.heard, "10.0.0.5", 8));
	cr_assert_not_null(memmem(got, own.heard, "\012\001i", 3));
	cr_assert_not_null(strstr(plane()->call->head,
	    ":path=/godwit.ems.v1.Registry/Keep\n:authority=ems.test\n"));
}

static inline void
answer(void)
{
	server_answer(plane());
	SAYS(registered);
}

static inline void
until_held(void)
{
	hears_endpoint();
	answer();
	until_state(REGISTRATION_HELD);
}

static inline void
begin_held(void)
{
	set_up(false, true);
	until_held();
	cr_assert_eq(status().epoch, 7);
	cr_assert_str_eq(status().why, "");
}

static inline void
health_says(const char *bytes, size_t n)
{
	UNTIL(app()->call != NULL && app()->call->got_n == PREFIX);
	cr_assert_not_null(strstr(app()->call->head,
	    ":path=/grpc.health.v1.Health/Check\n:authority=app.test\n"));
	server_answer(app());
	server_send(app(), bytes, n);
	server_block(app(), NULL, NULL, "0", NULL, true);
}
#define HEALTH_SAYS(bytes) health_says(bytes, sizeof(bytes) - 1)

#endif
