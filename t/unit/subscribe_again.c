/*
 * t/unit/subscribe_again.c - when master/subscribe.c tries again, at which
 * address of which server.
 */
#include "master/subscribe.h"

#include <criterion/criterion.h>
#include <string.h>

#include "t/lib/unit_subscribe.h"

/* ---- tests: when it tries again ---- */

/* Exactly so long, at either end of chance. */
static void
back_off(bool most)
{
	static const uint32_t steps_ms[] = { 500, 1000, 2000, 4000, 8000,
	    15000, 15000, 15000, 15000 };
	uint64_t attempts;

	set_up(1);
	ours.chance = most ? steps_ms[0] : 0;
	begin();
	for (size_t i = 0; i < 8; i++) {
		until_state(SUBSCRIBE_WAITING);
		attempts = status().attempts;
		ours.chance = most ? steps_ms[i + 1] : 0;
		pass_ms((most ? 2 : 1) * steps_ms[i] - 1);
		cr_assert_eq(status().attempts, attempts, "too soon: %zu", i);
		pass_ms(1);
		UNTIL(status().attempts == attempts + 1);
	}
	cr_assert_str_eq(status().why, "could not connect: Connection "
	    "refused");
	cr_assert_eq(talk.begun_n, 0);
	tear_down();
}

Test(subscribe, a_pause_doubles_to_its_most)
{
	back_off(false);
}

Test(subscribe, and_is_at_most_twice_that)
{
	back_off(true);
}

/* A stream that had a response and ended is no failure (A57). */
Test(subscribe, after_a_response_the_first_pause_again)
{
	set_up(1);
	begin();
	for (int i = 0; i < 5; i++) {
		until_state(SUBSCRIBE_WAITING);
		pass_ms(MAX_MS);
	}
	until_state(SUBSCRIBE_WAITING);
	server_listen(&servers[0]);
	for (uint32_t i = 1; i <= 3; i++) {
		pass_ms(i == 1 ? MAX_MS : BASE_MS);
		UNTIL(servers[0].streams_n == i);
		server_answer(&servers[0]);
		server_say(&servers[0], "one");
		until_state(SUBSCRIBE_SETTLED);
		say_close();
		until_state(SUBSCRIBE_WAITING);
		pass_ms(BASE_MS - 1);
		cr_assert_eq(status().state, SUBSCRIBE_WAITING);
		pass_ms(-BASE_MS + 1);
	}
	tear_down();
}

/* Nor a reason to go elsewhere, or to come at once. */
Test(subscribe, after_a_response_the_same_server_again)
{
	set_up(2);
	server_listen(&servers[0]);
	server_listen(&servers[1]);
	begin();
	UNTIL(servers[0].streams_n == 1);
	server_answer(&servers[0]);
	server_say(&servers[0], "one");
	until_state(SUBSCRIBE_SETTLED);
	say_close();
	until_state(SUBSCRIBE_WAITING);
	pass_ms(BASE_MS);
	UNTIL(servers[0].streams_n == 2);
	cr_assert_eq(servers[1].streams_n, 0);
	tear_down();
}

/* One that accepts a stream and ends it is one that fails. */
Test(subscribe, a_stream_without_a_response_is_a_failure)
{
	set_up(1);
	server_listen(&servers[0]);
	begin();
	for (uint32_t i = 1; i <= 3; i++) {
		UNTIL(servers[0].streams_n == i);
		say_trailers_only();
		until_state(SUBSCRIBE_WAITING);
		pass_ms((BASE_MS << (i - 1)) - 1);
		cr_assert_eq(status().state, SUBSCRIBE_WAITING, "%u", i);
		pass_ms(1);
	}
	tear_down();
}

Test(subscribe, nobody_knows_where_until_somebody_does)
{
	set_up(1);
	sub.addresses_n[0] = 0;
	server_listen(&servers[0]);
	begin();
	until_state(SUBSCRIBE_WAITING);
	cr_assert_str_eq(status().why, "nobody knows where it is");
	cr_assert_eq(status().attempts, 0);
	sub.addresses_n[0] = 1;
	subscribe_retry(sub.s);
	until_state(SUBSCRIBE_STREAMING);
	tear_down();
}

/* ---- tests: addresses and servers ---- */

/* Whichever it begins with. */
Test(subscribe, every_address_is_tried_without_a_pause)
{
	for (uint64_t first = 0; first < 3; first++) {
		memset(&talk, 0, sizeof(talk));
		memset(&sub, 0, sizeof(sub));
		memset(servers, 0, sizeof(servers));
		memset(calls, 0, sizeof(calls));
		calls_n = 0;
		set_up(1);
		for (int i = 1; i < 3; i++)
			sub.addresses[0][i] = servers[i].address;
		sub.addresses_n[0] = 3;
		ours.chance = first;
		server_listen(&servers[2]);
		begin();
		until_state(SUBSCRIBE_STREAMING);
		cr_assert_eq(status().attempts, 3 - first);
		tear_down();
	}
}

Test(subscribe, the_next_server_until_the_first_is_back)
{
	set_up(3);
	server_listen(&servers[2]);
	begin();
	UNTIL(servers[2].streams_n == 1);
	server_answer(&servers[2]);
	server_say(&servers[2], "third");
	until_state(SUBSCRIBE_SETTLED);
	cr_assert_str_eq(status().server, "third");
	cr_assert_eq(status().attempts, 3);
	pass_ms(MAX_MS);
	UNTIL(status().attempts == 5);
	turns(8);
	cr_assert_eq(status().state, SUBSCRIBE_SETTLED, "it left a server "
	    "that is well");
	server_listen(&servers[0]);
	turns(8);
	pass_ms(MAX_MS - 1);
	cr_assert_eq(status().attempts, 5);
	pass_ms(1);
	UNTIL(servers[0].streams_n == 1);
	UNTIL(servers[2].call == NULL);
	server_answer(&servers[0]);
	server_say(&servers[0], "first");
	until_state(SUBSCRIBE_SETTLED);
	cr_assert_str_eq(status().server, "first");
	cr_assert_str_eq(talk.fed, "third,first,");
	cr_assert_eq(talk.begun_n, 2);
	pass_ms(10 * MAX_MS);
	cr_assert_eq(status().attempts, 6, "it looks for a better one");
	tear_down();
}

/* One that takes connections and ends streams is no server to stay with. */
Test(subscribe, a_better_one_that_fails_leads_to_the_next_again)
{
	set_up(2);
	server_listen(&servers[1]);
	begin();
	UNTIL(servers[1].streams_n == 1);
	server_listen(&servers[0]);
	subscribe_retry(sub.s);
	UNTIL(servers[0].streams_n == 1);
	say_trailers_only();
	UNTIL(servers[1].streams_n == 2);
	cr_assert_str_eq(status().server, "second");
	cr_assert_eq(talk.begun_n, 3);
	tear_down();
}

Test(subscribe, closed_while_a_better_one_is_called)
{
	set_up(2);
	servers[0].deaf = true;
	server_listen(&servers[1]);
	begin();
	UNTIL(servers[1].streams_n == 1);
	server_listen(&servers[0]);
	subscribe_retry(sub.s);
	UNTIL(servers[0].accepted_n == 1);
	tear_down();
}
