/*
 * t/unit/register.c - master/registration.c and register.c: what the control
 * plane is told, and what becomes of what it answers (t/lib/unit_register.h).
 */
#include "t/lib/unit_register.h"

/* ---- the control plane */

Test(register, says_that_it_is_there)
{
	begin_held();
	for (int i = 0; i < 3; i++) {
		pass_ms(BEAT_MS);
		HEARS(beat);
		SAYS(registered);
		turns(10);
	}
	cr_assert_eq(status().state, REGISTRATION_HELD);
	cr_assert_eq(plane()->streams_n, 1);
	tear_down();
}

Test(register, a_silent_one_is_called_anew)
{
	begin_held();
	pass_ms(BEAT_MS);
	HEARS(beat);
	pass_ms(BEAT_MS);
	HEARS(beat);
	cr_assert_eq(status().state, REGISTRATION_HELD);
	pass_ms(BEAT_MS);
	until_state(REGISTRATION_PAUSED);
	cr_assert_str_eq(status().why, "the control plane is silent");
	pass_ms(1000);
	until_held();
	tear_down();
}

Test(register, one_that_dies_is_called_anew)
{
	begin_held();
	conn_end(&plane()->call->conn, CONN_END_PEER, NULL);
	until_state(REGISTRATION_PAUSED);
	cr_assert_not_null(strstr(status().why, "the connection ended"));
	pass_ms(1000);
	until_held();
	cr_assert_eq(plane()->streams_n, 2);
	tear_down();
}

/* Longer and longer, but never longer than a third of the ttl. */
Test(register, what_is_refused_is_tried_again)
{
	int64_t pause_ms;

	set_up(false, true);
	for (int64_t ms = 250; ms <= 4000; ms *= 2) {
		until_state(REGISTRATION_ASKING);
		UNTIL(plane()->call != NULL);
		server_block(plane(), "200", "application/grpc", "3", "mars",
		    true);
		until_state(REGISTRATION_PAUSED);
		cr_assert_str_eq(status().why, "the control plane ended the "
		    "stream: INVALID_ARGUMENT: mars");
		UNTIL(plane()->call == NULL);
		pause_ms = status().next_ms - status().now_ms;
		cr_assert_eq(pause_ms, ms < BEAT_MS / 2 ? ms : BEAT_MS / 2);
		pass_ms(pause_ms - 1);
		cr_assert_eq(status().state, REGISTRATION_PAUSED);
		pass_ms(1);
	}
	until_held();
	tear_down();
}

Test(register, no_answer_and_nowhere)
{
	set_up(false, true);
	hears_endpoint();
	pass_ms(ANSWER_MS);
	until_state(REGISTRATION_PAUSED);
	cr_assert_not_null(strstr(status().why, "did not answer in time"));
	own.nowhere = true;
	pass_ms(1000);
	until_state(REGISTRATION_PAUSED);
	cr_assert_str_eq(status().why, "nobody knows where it is");
	app_dies();
	for (int i = 0; i < 3; i++) {
		pass_ms(INTERVAL_MS);
		turns(20);
	}
	until_state(REGISTRATION_WAITING);
	tear_down();
}

/* ---- leaving */

/* The control plane is told, and answers: n counts then. */
static void
leaves_answered(enum registration_state then, const int *n)
{
	cr_assert_eq(status().state, REGISTRATION_LEAVING);
	HEARS(leave);
	cr_assert_eq(*n, 0);
	SAYS(left_word);
	until_state(then);
	cr_assert_eq(*n, 1);
}

Test(register, leaves_what_it_has)
{
	begin_held();
	registration_leave(own.r);
	leaves_answered(REGISTRATION_GONE, &own.gone_n);
	registration_leave(own.r);
	cr_assert_eq(own.gone_n, 1);
	tear_down();
}

/* The control plane hears it, and says nothing: n counts when that is over. */
static void
leaves_unanswered(const int *n)
{
	HEARS(leave);
	pass_ms(LEAVE_MS - 1);
	cr_assert_eq(*n, 0);
	pass_ms(1);
	cr_assert_eq(*n, 1);
}

Test(register, leaves_one_that_does_not_answer)
{
	begin_held();
	registration_leave(own.r);
	leaves_unanswered(&own.gone_n);
	tear_down();
}

Test(register, leaves_one_that_dies)
{
	begin_held();
	registration_leave(own.r);
	HEARS(leave);
	conn_end(&plane()->call->conn, CONN_END_PEER, NULL);
	UNTIL(own.gone_n == 1);
	tear_down();
}

/* It was ill and leaves; then it is told to leave for good. */
Test(register, leaves_while_it_leaves)
{
	begin_held();
	app_dies();
	pass_ms(INTERVAL_MS);
	turns(20);
	pass_ms(INTERVAL_MS);
	until_state(REGISTRATION_LEAVING);
	registration_leave(own.r);
	cr_assert_eq(own.gone_n, 0);
	HEARS(beat);
	HEARS(leave);
	SAYS(left_word);
	UNTIL(own.gone_n == 1);
	tear_down();
}

Test(register, has_nothing_to_leave)
{
	set_up(false, false);
	registration_leave(own.r);
	cr_assert_eq(own.gone_n, 1);
	pass_ms(INTERVAL_MS);
	cr_assert_eq(status().state, REGISTRATION_GONE);
	tear_down();
}

/* ---- withdrawn */

static const char withdrawn_why[] = "it was withdrawn, and comes back once "
    "its app was gone and is well again";

static void
health_again(bool serves)
{
	uint32_t n = app()->streams_n;

	turns(4);
	pass_ms(INTERVAL_MS);
	UNTIL(app()->streams_n > n);
	if (serves)
		HEALTH_SAYS("\0\0\0\0\002\010\001");
	else
		HEALTH_SAYS("\0\0\0\0\002\010\002");
	turns(20);
}

/* Out for as long as its app goes on; the one that comes after it is in. */
Test(register, withdrawn_until_its_app_was_gone)
{
	set_up(true, true);
	HEALTH_SAYS("\0\0\0\0\002\010\001");
	until_held();
	registration_withdraw(own.r);
	registration_withdraw(own.r);
	leaves_answered(REGISTRATION_WAITING, &own.left_n);
	cr_assert_not(status().lapses);
	for (int i = 0; i < 3; i++)
		health_again(true);
	health_again(false);
	cr_assert_eq(status().state, REGISTRATION_WAITING);
	cr_assert_str_eq(status().why, withdrawn_why);
	cr_assert_eq(plane()->streams_n, 1);
	health_again(false);
	cr_assert_not_null(strstr(status().why, "does not serve"));
	health_again(true);
	until_held();
	cr_assert_eq(own.gone_n, 0);
	tear_down();
}

/* What can't be said is said to lapse, until there is a lease again. */
Test(register, withdrawn_unheard)
{
	begin_held();
	registration_withdraw(own.r);
	leaves_unanswered(&own.left_n);
	cr_assert_eq(status().state, REGISTRATION_WAITING);
	cr_assert(status().lapses);
	tear_down();
}

Test(register, withdrawn_while_nobody_hears)
{
	begin_held();
	conn_end(&plane()->call->conn, CONN_END_PEER, NULL);
	until_state(REGISTRATION_PAUSED);
	registration_withdraw(own.r);
	cr_assert_eq(status().state, REGISTRATION_WAITING);
	cr_assert_eq(own.left_n, 1);
	cr_assert(status().lapses);
	pass_ms(1000);
	turns(20);
	cr_assert_eq(plane()->streams_n, 1, "it does not call again");
	tear_down();
}

Test(register, withdrawn_before_it_has_anything)
{
	set_up(false, false);
	pass_ms(1);
	registration_withdraw(own.r);
	server_listen(app());
	pass_ms(INTERVAL_MS);
	until_held();			/* another app than the one meant */
	tear_down();
	set_up(false, true);
	own.nowhere = true;
	until_state(REGISTRATION_PAUSED);
	registration_withdraw(own.r);
	cr_assert_eq(status().state, REGISTRATION_WAITING);
	cr_assert_not(status().lapses, "it never had a lease");
	tear_down();
}

/* ---- all of them */

static struct register_list list;

static void
list_is(const char *ids)
{
	memset(&list, 0, sizeof(list));
	for (; ids[list.n] != '\0'; list.n++)
		settings_fill(&list.at[list.n], (char[]){ ids[list.n], 0 });
}

static void
set_done(void *arg)
{
	(*(int *)arg)++;
}

static void
count_wrong(void *arg, const char *sentence)
{
	cr_assert_not_null(strstr(sentence, "tasks.TaskStore at "
	    "10.0.0.5:50051: waits for the app for "));
	(*(int *)arg)++;
}

static int
wrong(const struct registers *r)
{
	int n = 0;

	registers_wrong(r, count_wrong, &n);
	return n;
}

/* The app is never there: who leaves is gone at once. */
Test(register, follows_a_list)
{
	struct registers *r;
	int done = 0;

	servers_open();
	r = registers_new(&ours.io, target, NULL);
	cr_assert_not_null(r);
	list_is("ab");
	registers_follow(r, &list);
	cr_assert_eq(wrong(r), 2);
	list_is("bc");
	list.at[0].weight = 2;
	registers_follow(r, &list);
	loop_turn(&ours.loop, 0);
	cr_assert_eq(wrong(r), 2);
	registers_follow(r, &list);
	cr_assert_eq(wrong(r), 2);
	registers_leave(r, set_done, &done);
	registers_follow(r, &list);
	loop_turn(&ours.loop, 0);
	cr_assert_eq(wrong(r), 0);
	cr_assert_eq(done, 0, "without a grace");
	pass_ms(300);
	cr_assert_eq(done, 1);
	registers_free(r);
	r = registers_new(&ours.io, target, NULL);
	registers_leave(r, set_done, &done);
	cr_assert_eq(done, 2, "there was nobody to wait for");
	registers_free(r);
	servers_close();
}

static struct {
	uint32_t	 number;
	bool		 bad;
	char		 why[128];
	int		 n;
} told;

static void
withdrawn(void *arg, uint32_t number, bool bad, const char *why)
{
	(void)arg;
	told.number = number;
	told.bad = bad;
	told.n++;
	snprintf(told.why, sizeof(told.why), "%s", why);
}

/* By service or id, or all; who asks is told once proxies know. */
Test(register, withdraws_by_name)
{
	static const struct registers_withdrawn to = { withdrawn, NULL };
	static const struct {
		const char	*name, *why;
		bool		 bad;
	} s[] = {
		{ "", "withdrawn: 2" }, { "tasks.TaskStore", "withdrawn: 2" },
		{ "b", "withdrawn: 1" },
		{ "c", "no app of this service or id is registered here",
		  true },
	};
	struct registers *r;

	servers_open();
	r = registers_new(&ours.io, target, NULL);
	registers_withdraw(r, "", 1, &to);
	cr_assert_str_eq(told.why, "no app is registered here");
	cr_assert_not(told.bad);
	list_is("ab");
	registers_follow(r, &list);
	for (uint32_t i = 0; i < sizeof(s) / sizeof(s[0]); i++) {
		told.n = 0;
		registers_withdraw(r, s[i].name, 7 + i, &to);
		loop_turn(&ours.loop, 0);
		if (!s[i].bad) {
			cr_assert_eq(told.n, 0, "without a grace");
			pass_ms(300);
		}
		cr_assert_eq(told.n, 1);
		cr_assert_eq(told.number, 7 + i);
		cr_assert_str_eq(told.why, s[i].why);
		cr_assert_eq(told.bad, s[i].bad);
	}
	registers_withdraw(r, "", 1, &to);
	registers_free(r);
	cr_assert_eq(told.n, 1, "who asks is not told after the end");
	servers_close();
}
