/*
 * t/lib/unit_subscribe.h - for unit tests: a subscription of master/subscribe.h
 * and the three servers of unit_server.h.
 *
 * What is said on the stream is a fake's, texts in place of xds/ads.c, whose
 * functions are defined here, so that it is not linked: what is tested is who
 * carries it.
 */
#ifndef T_LIB_UNIT_SUBSCRIBE_H
#define T_LIB_UNIT_SUBSCRIBE_H

#include "master/subscribe.h"

#include "t/lib/unit_server.h"

enum {
	BASE_MS = 500, MAX_MS = 30000, CONNECT_MS = 5000,
	KEEPALIVE_MS = 30000, TIMEOUT_MS = 20000, MESSAGE_MAX = 16 << 20,
};

/* ---- what is said on the stream ---- */

static struct {
	char		 fed[TEXT_BYTES];	/* messages, each and "," */
	size_t		 fed_bytes;
	const char	*to_take[8];
	size_t		 taken_n, to_take_n;
	int		 begun_n, ended_n, steps_n;
	bool		 pending;	/* of "later" */
	int64_t		 step_ms;
} talk;

void
ads_begin(struct ads *a, int64_t now_ms)
{
	(void)a;
	(void)now_ms;
	cr_assert_eq(talk.begun_n, talk.ended_n, "two streams at once");
	talk.begun_n++;
	talk.taken_n = 0;
}

void
ads_end(struct ads *a)
{
	(void)a;
	talk.ended_n++;
	cr_assert_eq(talk.begun_n, talk.ended_n);
}

int
ads_feed(struct ads *a, const uint8_t *message, size_t n, int64_t now_ms,
    char *why, size_t why_len)
{
	size_t len = strlen(talk.fed);

	(void)a;
	(void)now_ms;
	cr_assert_not(talk.pending, "A1");
	cr_assert_gt(talk.begun_n, talk.ended_n);
	talk.fed_bytes += n;
	if (n < 100)
		snprintf(talk.fed + len, sizeof(talk.fed) - len, "%.*s,",
		    (int)n, (const char *)message);
	talk.pending = n == 5 && memcmp(message, "later", n) == 0;
	if (n != 3 || memcmp(message, "bad", n) != 0)
		return 0;
	snprintf(why, why_len, "that is no response");
	return -1;
}

bool
ads_is_pending(const struct ads *a)
{
	(void)a;
	return talk.pending;
}

bool
ads_take(struct ads *a, int64_t now_ms, uint8_t **bytes, size_t *n)
{
	(void)a;
	(void)now_ms;
	cr_assert_gt(talk.begun_n, talk.ended_n);
	if (talk.taken_n == talk.to_take_n)
		return false;
	*bytes = (uint8_t *)strdup(talk.to_take[talk.taken_n]);
	*n = strlen(talk.to_take[talk.taken_n++]);
	return true;
}

int64_t
ads_step(struct ads *a, int64_t now_ms)
{
	(void)a;
	(void)now_ms;
	talk.steps_n++;
	return talk.step_ms;
}

/* With its prefix. */
static void
server_say(struct server *s, const char *text)
{
	uint8_t prefix[5] = { 0, 0, 0, 0, (uint8_t)strlen(text) };

	server_send(s, prefix, sizeof(prefix));
	server_send(s, text, strlen(text));
}

/* ---- the subscription ---- */

static struct {
	struct subscribe *s;
	struct subscribe_settings settings;
	struct sockaddr_storage addresses[3][3];
	size_t		 addresses_n[3];
	struct tls_context *tls;
	int		 changed_n;
} sub;

static bool
target(void *arg, uint32_t i, struct subscribe_target *t, char *why,
    size_t why_len)
{
	(void)arg;
	if (sub.addresses_n[i] == 0) {
		snprintf(why, why_len, "nobody knows where it is");
		return false;
	}
	*t = (struct subscribe_target){ .addresses = sub.addresses[i],
	    .addresses_n = sub.addresses_n[i], .tls = sub.tls,
	    .connect_timeout_ms = CONNECT_MS, .authority = "ems.test" };
	return true;
}

static void
changed(void *arg)
{
	(void)arg;
	sub.changed_n++;
}

static struct subscribe_status
status(void)
{
	struct subscribe_status st;

	subscribe_status(sub.s, &st);
	return st;
}

static void
until_state(enum subscribe_state state)
{
	UNTIL(status().state == state);
}

/* Servers are named; who listens is the test's. */
static void
set_up(uint32_t servers_n)
{
	servers_open();
	talk.step_ms = -1;
	for (uint32_t i = 0; i < 3; i++) {
		sub.addresses[i][0] = servers[i].address;
		sub.addresses_n[i] = 1;
	}
	sub.settings = (struct subscribe_settings){ .path = "/a.B/C",
	    .servers = { { .name = "first", .metadata = { { "X-Token",
	    "secret" } }, .metadata_n = 1 }, { .name = "second" },
	    { .name = "third" } },
	    .servers_n = servers_n, .back_off_base_ms = BASE_MS,
	    .back_off_max_ms = MAX_MS, .keepalive_ms = KEEPALIVE_MS,
	    .keepalive_timeout_ms = TIMEOUT_MS,
	    .message_bytes_max = MESSAGE_MAX, .target = target,
	    .changed = changed };
}

static void
begin(void)
{
	sub.s = subscribe_open(&ours.io, NULL, &sub.settings);
	cr_assert_not_null(sub.s);
	turn();
}

static void
tear_down(void)
{
	subscribe_close(sub.s);
	cr_assert_eq(talk.begun_n, talk.ended_n, "a stream was not ended");
	servers_close();
}

/* ---- ends ---- */

static void
say_trailers_only(void)
{
	server_block(&servers[0], "200", "application/grpc", "12", NULL, true);
}
static void
say_close(void)
{
	conn_end(&servers[0].call->conn, CONN_END_PEER, NULL);
}
#endif
