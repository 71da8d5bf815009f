/*
 * t/unit/probe.c - master/probe.c, by what becomes of a registration: is the app
 * there, and when is that found out (t/lib/unit_register.h).
 */
#include "t/lib/unit_register.h"

/* ---- the app */

Test(probe, waits_for_the_app)
{
	set_up(false, false);
	UNTIL(*status().why != '\0');
	cr_assert_eq(status().state, REGISTRATION_WAITING);
	cr_assert_str_eq(status().why, "could not connect: Connection "
	    "refused");
	for (int i = 0; i < 9; i++) {
		pass_ms(INTERVAL_MS);
		turns(20);
	}
	cr_assert_eq(plane()->streams_n, 0);
	server_listen(app());
	pass_ms(INTERVAL_MS - 1);
	turns(20);
	cr_assert_eq(plane()->streams_n, 0, "not more often than that");
	pass_ms(1);
	until_held();
	tear_down();
}

/* One that begins after us, or begins anew, is found when it was away about as
 * long again. */
static void
found_after(int away_ms)
{
	int ms = 0;

	for (; ms < away_ms; ms += 10)
		pass_ms(10);
	server_listen(app());
	for (; status().state == REGISTRATION_WAITING; ms += 10) {
		cr_assert_lt(ms, 3 * away_ms);
		pass_ms(10);
	}
	until_held();
}

Test(probe, who_begins_later_is_found)
{
	set_up(false, false);
	found_after(100);
	tear_down();
}

Test(probe, one_failure_is_none)
{
	begin_held();
	app_dies();
	pass_ms(INTERVAL_MS);
	turns(20);
	cr_assert_eq(status().state, REGISTRATION_HELD);
	pass_ms(INTERVAL_MS);
	until_state(REGISTRATION_LEAVING);
	HEARS(beat);			/* of the time that went by */
	HEARS(leave);
	SAYS(left_word);
	until_state(REGISTRATION_WAITING);
	cr_assert_eq(own.gone_n, 0);
	cr_assert_not_null(strstr(status().why, "refused"));
	tear_down();
}

/* The endpoint's answer comes after leave was said, and holds nothing. */
Test(probe, ill_while_it_asks)
{
	set_up(false, true);
	hears_endpoint();
	app_dies();
	pass_ms(INTERVAL_MS);
	turns(20);
	pass_ms(INTERVAL_MS);
	until_state(REGISTRATION_LEAVING);
	HEARS(leave);
	answer();
	turns(10);
	cr_assert_eq(status().state, REGISTRATION_LEAVING);
	SAYS(left_word);
	until_state(REGISTRATION_WAITING);
	tear_down();
}

Test(probe, health_by_grpc)
{
	set_up(true, true);
	HEALTH_SAYS("\0\0\0\0\002\010\002");
	UNTIL(strstr(status().why, "does not serve") != NULL);
	UNTIL(app()->call == NULL);
	pass_ms(INTERVAL_MS);
	UNTIL(app()->call != NULL);
	server_block(app(), "200", "application/grpc", "12", "what%3F", true);
	UNTIL(strstr(status().why, "the app ended the stream: UNIMPLEMENTED: "
	    "what?") != NULL);
	UNTIL(app()->call == NULL);
	pass_ms(INTERVAL_MS);
	UNTIL(app()->call != NULL);
	pass_ms(TIMEOUT_MS);
	UNTIL(strcmp(status().why, "it did not answer within 1000 ms") == 0);
	UNTIL(app()->call == NULL);
	pass_ms(INTERVAL_MS);
	cr_assert_eq(status().state, REGISTRATION_WAITING);
	HEALTH_SAYS("\0\0\0\0\002\010\001");
	until_held();
	tear_down();
}

/* ---- its connection is held */

static void
connections_end(void)
{
	struct server *s = app();

	for (int i = 0; i < s->accepted_n; i++)
		close(s->deaf_fds[i]);
	s->accepted_n = 0;
	if (s->call != NULL)
		conn_end(&s->call->conn, CONN_END_LOCAL, NULL);
	turns(8);
}

/* Time goes by, and the control plane answers. */
static void
pass_held_ms(int64_t ms)
{
	pass_ms(ms);
	while (plane()->call != NULL && plane()->call->got_n > own.heard) {
		HEARS(beat);
		SAYS(registered);
		turns(4);
	}
}

Test(probe, who_dies_is_noticed)
{
	begin_held();
	app_dies();
	connections_end();
	cr_assert_eq(status().state, REGISTRATION_HELD);
	pass_ms(20);
	until_state(REGISTRATION_LEAVING);
	HEARS(leave);
	SAYS(left_word);
	until_state(REGISTRATION_WAITING);
	cr_assert_not_null(strstr(status().why, "refused"));
	tear_down();
}

Test(probe, who_dies_is_noticed_by_grpc)
{
	set_up(true, true);
	HEALTH_SAYS("\0\0\0\0\002\010\001");
	until_held();
	cr_assert_not_null(app()->call, "it is held");
	app_dies();
	connections_end();
	pass_ms(20);
	until_state(REGISTRATION_LEAVING);
	tear_down();
}

Test(probe, who_begins_anew_is_found)
{
	begin_held();
	app_dies();
	connections_end();
	pass_ms(20);
	until_state(REGISTRATION_LEAVING);
	HEARS(leave);
	SAYS(left_word);
	until_state(REGISTRATION_WAITING);
	server_name(app());
	found_after(300);
	tear_down();
}

/* It has several processes, or sends idle connections away: what is asked then
 * is answered. Asked at 10 ms, 20, 40 ..., and no more often than before. */
Test(probe, who_ends_connections_stays)
{
	int asked_n = 0;

	begin_held();
	for (int64_t ms = 0; ms < 20 * INTERVAL_MS; ms += 10) {
		if (app()->accepted_n > 0) {
			asked_n++;
			connections_end();
		}
		pass_held_ms(10);
	}
	cr_assert_eq(status().state, REGISTRATION_HELD);
	cr_assert_geq(asked_n, 20);
	cr_assert_leq(asked_n, 30);
	tear_down();
}

/* The time between two asks is short again after one that was held. */
Test(probe, who_ended_connections_is_believed_again)
{
	begin_held();
	for (int i = 0; i < 12; i++) {
		connections_end();
		pass_held_ms(INTERVAL_MS);
	}
	UNTIL(app()->accepted_n == 1);
	for (int i = 0; i < 2; i++)
		pass_held_ms(INTERVAL_MS);
	app_dies();
	connections_end();
	pass_ms(10);
	until_state(REGISTRATION_LEAVING);
	tear_down();
}

/* What a TCP server says of itself is no matter. */
Test(probe, who_greets_is_well)
{
	begin_held();
	cr_assert_eq(app()->accepted_n, 1);
	cr_assert_eq(write(app()->deaf_fds[0], "hello", 5), 5);
	turns(8);
	app_dies();
	connections_end();
	pass_ms(20);
	until_state(REGISTRATION_LEAVING);
	tear_down();
}
