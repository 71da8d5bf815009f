/*
 * t/unit/subscribe.c - a stream of master/subscribe.c and master/grpc.c: what
 * goes and comes, how it ends, silence, back-pressure, TLS. When it tries
 * again, and where, is t/unit/subscribe_again.c.
 */
#include "master/subscribe.h"

#include <criterion/criterion.h>
#include <string.h>

#include "config.h"
#include "t/lib/identity.h"
#include "t/lib/unit_subscribe.h"

/* ---- tests: a stream ---- */

static void
begin_settled(void)
{
	server_listen(&servers[0]);
	begin();
	until_state(SUBSCRIBE_STREAMING);
	UNTIL(servers[0].call != NULL);
	server_answer(servers[0].call->server);
	server_say(&servers[0], "one");
	until_state(SUBSCRIBE_SETTLED);
}

Test(subscribe, says_who_it_is_and_carries_messages)
{
	static const uint8_t asked[] = "\0\0\0\0\005hello\0\0\0\0\0";

	set_up(1);
	server_listen(&servers[0]);
	talk.to_take[0] = "hello";
	talk.to_take[1] = "";
	talk.to_take_n = 2;
	begin();
	until_state(SUBSCRIBE_STREAMING);
	UNTIL(servers[0].call != NULL &&
	    servers[0].call->got_n == sizeof(asked) - 1);
	cr_assert_arr_eq(servers[0].call->got, asked, sizeof(asked) - 1);
	cr_assert_str_eq(servers[0].call->head, ":method=POST\n:scheme=http\n"
	    ":path=/a.B/C\n:authority=ems.test\n"
	    "content-type=application/grpc\nte=trailers\n"
	    "user-agent=godwit/" GODWIT_VERSION "\nx-token=secret\n");
	server_answer(&servers[0]);
	turns(4);
	cr_assert_eq(status().state, SUBSCRIBE_STREAMING, "by headers alone");
	server_say(&servers[0], "one");
	until_state(SUBSCRIBE_SETTLED);
	cr_assert_str_eq(talk.fed, "one,");
	cr_assert_str_eq(status().server, "first");
	cr_assert_eq(strncmp(status().address, "127.0.0.1:", 10), 0);
	talk.to_take[2] = "more";
	talk.to_take_n = 3;
	subscribe_wake(sub.s);
	UNTIL(servers[0].call->got_n == sizeof(asked) - 1 + 9);
	tear_down();
}

/* Byte by byte, each in a frame and a turn of its own. */
Test(subscribe, messages_cut_anywhere)
{
	static const uint8_t bytes[] = "\0\0\0\0\003two\0\0\0\0\0"
	    "\0\0\0\0\005three\0\0\0\0\004four";

	set_up(1);
	begin_settled();
	for (size_t i = 0; i < sizeof(bytes) - 1; i++) {
		server_send(&servers[0], bytes + i, 1);
		turn();
	}
	UNTIL(strcmp(talk.fed, "one,two,,three,four,") == 0);
	tear_down();
}

static void
say_trailers(void)
{
	server_answer(&servers[0]);
	server_block(&servers[0], NULL, NULL, "14", "too%20b%75sy%2", true);
}


static void
say_no_status(void)
{
	server_answer(&servers[0]);
	cr_assert(h2_end(&servers[0].call->stream, NULL));
}

static void
say_unknown_status(void)
{
	server_block(&servers[0], "200", "application/grpc", "99", "?", true);
}

static void
say_404(void)
{
	server_block(&servers[0], "404", "text/html", NULL, NULL, true);
}

static void
say_html(void)
{
	server_block(&servers[0], "200", "text/html", NULL, NULL, false);
}

static void
say_reset(void)
{
	h2_reset(&servers[0].call->stream, H2_INTERNAL_ERROR);
}

static void
say_refused(void)
{
	h2_reset(&servers[0].call->stream, H2_REFUSED_STREAM);
}

static void
say_goaway(void)
{
	conn_drain(&servers[0].call->conn);
}


static void
say_compressed(void)
{
	server_answer(&servers[0]);
	server_send(&servers[0], "\1\0\0\0\1x", 6);
}

static void
say_long(void)
{
	server_answer(&servers[0]);
	server_send(&servers[0], "\0\1\0\0\1x", 6);
}

static void
say_bad(void)
{
	server_answer(&servers[0]);
	server_say(&servers[0], "bad");
}

Test(subscribe, how_a_stream_ends)
{
	static const struct {
		void	(*say)(void);
		const char *why;
	} rows[] = {
		{ say_trailers, "the control plane ended the stream: "
		    "UNAVAILABLE: too busy%2" },
		{ say_trailers_only, "the control plane ended the stream: "
		    "UNIMPLEMENTED" },
		{ say_unknown_status, "the control plane ended the stream: "
		    "99: ?" },
		{ say_no_status, "the control plane ended the stream without "
		    "a grpc-status" },
		{ say_404, "the control plane answered with HTTP status 404" },
		{ say_html, "what answered is no gRPC server: content-type "
		    "text/html" },
		{ say_reset, "the control plane reset the stream (error code "
		    "2)" },
		{ say_refused, "the control plane refused the stream" },
		{ say_goaway, "the control plane is leaving (GOAWAY)" },
		{ say_close, "the connection ended: the peer closed" },
		{ say_compressed, "a compressed message; we did not ask for "
		    "compression" },
		{ say_long, "a message of 16777217 bytes; 16777216 at most" },
		{ say_bad, "that is no response" },
	};

	set_up(1);
	server_listen(&servers[0]);
	begin();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		UNTIL(servers[0].streams_n == i + 1);
		rows[i].say();
		UNTIL(status().state == SUBSCRIBE_WAITING);
		cr_assert_str_eq(status().why, rows[i].why);
		cr_assert_str_eq(status().address, "");
		cr_assert_eq(talk.ended_n, (int)i + 1, "row %zu", i);
		pass_ms(MAX_MS);
	}
	tear_down();
}

/* ---- tests: silence ---- */

static void
nothing_ready(struct source *source, uint32_t events)
{
	(void)source;
	(void)events;
}

/* Its process stands still; its kernel does not. */
static void
freeze(struct server *s)
{
	turns(4);
	s->call->conn.source.ready = nothing_ready;
}

Test(subscribe, silence_is_found_out)
{
	set_up(1);
	begin_settled();
	freeze(&servers[0]);
	pass_ms(KEEPALIVE_MS);
	pass_ms(TIMEOUT_MS - 1);
	cr_assert_eq(status().state, SUBSCRIBE_SETTLED);
	pass_ms(1);
	until_state(SUBSCRIBE_WAITING);
	cr_assert_str_eq(status().why, "the connection ended: the peer did "
	    "not answer our PING within 20000 ms");
	tear_down();
}

Test(subscribe, one_that_sends_us_away_for_pings_is_asked_half_as_often)
{
	set_up(1);
	begin_settled();
	h2_terminate(servers[0].call->conn.h2, H2_ENHANCE_YOUR_CALM);
	until_state(SUBSCRIBE_WAITING);
	cr_assert_not_null(strstr(status().why, "ENHANCE_YOUR_CALM"));
	pass_ms(2 * BASE_MS);
	UNTIL(servers[0].streams_n == 2);
	freeze(&servers[0]);
	pass_ms(KEEPALIVE_MS);
	pass_ms(TIMEOUT_MS);
	cr_assert_eq(status().state, SUBSCRIBE_STREAMING, "%s", status().why);
	pass_ms(KEEPALIVE_MS);
	pass_ms(TIMEOUT_MS);
	until_state(SUBSCRIBE_WAITING);
	tear_down();
}

Test(subscribe, who_accepts_and_says_nothing_is_left)
{
	set_up(1);
	servers[0].deaf = true;
	server_listen(&servers[0]);
	begin();
	UNTIL(servers[0].accepted_n == 1);
	pass_ms(CONNECT_MS - 1);
	cr_assert_eq(status().state, SUBSCRIBE_CONNECTING);
	pass_ms(1);
	until_state(SUBSCRIBE_WAITING);
	cr_assert_str_eq(status().why, "the server did not speak HTTP/2 in "
	    "time");
	tear_down();
}

/* ---- tests: back-pressure ---- */

Test(subscribe, nothing_is_fed_while_an_update_waits)
{
	static uint8_t flood[4 << 20] = { 0, 0, 0x3f, 0xff, 0xfb };

	set_up(1);
	begin_settled();
	server_say(&servers[0], "later");
	server_say(&servers[0], "after");
	server_send(&servers[0], flood, sizeof(flood));
	UNTIL(talk.pending);
	for (int i = 0; i < 100; i++)
		turn();
	cr_assert_str_eq(talk.fed, "one,later,");
	cr_assert_leq(servers[0].call->sent_bytes, GRPC_WINDOW_BYTES + 100,
	    "it is not held");
	cr_assert_geq(servers[0].call->sent_bytes, GRPC_WINDOW_BYTES);
	talk.pending = false;
	subscribe_wake(sub.s);
	UNTIL(talk.fed_bytes == 13 + sizeof(flood) - 5);
	cr_assert_str_eq(talk.fed, "one,later,after,");
	tear_down();
}

/* Also when it comes between the answer and our hearing of it. */
Test(subscribe, what_waited_goes_first)
{
	set_up(1);
	begin_settled();
	server_say(&servers[0], "later");
	server_say(&servers[0], "after");
	UNTIL(talk.pending);
	turns(4);
	talk.pending = false;
	server_say(&servers[0], "newest");
	for (int i = 0; i < 10; i++)
		turn();
	subscribe_wake(sub.s);
	UNTIL(strcmp(talk.fed, "one,later,after,newest,") == 0);
	tear_down();
}

/* As long as is allowed, which is many times the window. */
Test(subscribe, a_giant_message)
{
	static uint8_t giant[5 + MESSAGE_MAX] = { 0, 1, 0, 0, 0 };

	set_up(1);
	begin_settled();
	server_send(&servers[0], giant, sizeof(giant));
	UNTIL(talk.fed_bytes == 3 + MESSAGE_MAX);
	tear_down();
}

/* What is due is asked for also while there is no stream. */
Test(subscribe, time_is_told)
{
	int steps_n;

	set_up(1);
	talk.step_ms = 100;
	begin();
	until_state(SUBSCRIBE_WAITING);
	turns(4);
	steps_n = talk.steps_n;
	pass_ms(99);
	cr_assert_eq(talk.steps_n, steps_n);
	pass_ms(1);
	cr_assert_eq(talk.steps_n, steps_n + 1);
	tear_down();
}

/* ---- tests: TLS ---- */

static struct tls_context *
context(bool server, const struct identity *own, const struct identity *ca)
{
	struct tls_settings t = { .server = server, .version_min = 0x0304,
	    .version_max = 0x0304, .require_peer_certificate = server };
	struct tls_context *c;
	char why[256];

	if (own != NULL) {
		t.certificate_chain = own->pem;
		t.certificate_chain_len = strlen(own->pem);
		t.private_key = own->key_pem;
		t.private_key_len = strlen(own->key_pem);
	}
	t.trusted_ca = ca->pem;
	t.trusted_ca_len = strlen(ca->pem);
	c = tls_context_new(&t, why, sizeof(why));
	cr_assert_not_null(c, "%s", why);
	return c;
}

Test(subscribe, over_mutual_tls)
{
	struct identity *ca = mint("ca", (struct wanted){ .ca = true });
	struct identity *other = mint("other", (struct wanted){ .ca = true });
	struct identity *ems = mint("ems", (struct wanted){ .by = ca });
	struct identity *own = mint("own", (struct wanted){ .by = ca });
	struct {
		struct tls_context *tls;
		const char *why;
	} rows[] = {
		{ context(false, own, ca), "ended the stream" },
		{ context(false, NULL, ca), "certificate" },
		{ context(false, own, other), "certificate" },
	};

	set_up(1);
	servers[0].tls = context(true, ems, ca);
	server_listen(&servers[0]);
	sub.tls = rows[0].tls;
	begin();
	for (size_t i = 0; i < 3; i++) {
		if (i == 0) {
			UNTIL(servers[0].streams_n == 1);
			cr_assert_not_null(strstr(servers[0].call->head,
			    ":scheme=https"));
			say_trailers_only();
		}
		until_state(SUBSCRIBE_WAITING);
		cr_assert_not_null(strstr(status().why, rows[i].why),
		    "row %zu: %s", i, status().why);
		sub.tls = rows[i < 2 ? i + 1 : i].tls;
		pass_ms(i < 2 ? MAX_MS : 0);
		tls_context_put(rows[i].tls);
	}
	cr_assert_eq(servers[0].streams_n, 1);
	tls_context_put(servers[0].tls);
	tear_down();
	drop(own);
	drop(ems);
	drop(other);
	drop(ca);
}
