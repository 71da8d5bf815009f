/*
 * t/unit/register.c - master/registration.c, probe.c and register.c: an app
 * that is well or not, a control plane that answers or not. The app is
 * servers[0] (TCP: it accepts and says nothing) or servers[1] (gRPC), the
 * control plane servers[2].
 */
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

static struct registration_status
status(void)
{
	struct registration_status t;

	registration_status(own.r, &t);
	return t;
}

static struct server *
app(void)
{
	return &servers[own.settings.grpc ? 1 : 0];
}

static struct server *
plane(void)
{
	return &servers[2];
}

static bool
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

static void
gone(void *arg, struct registration *r)
{
	(void)arg;
	cr_assert_eq(r, own.r);
	own.gone_n++;
}

static void
left(void *arg, struct registration *r)
{
	(void)arg;
	cr_assert_eq(r, own.r);
	own.left_n++;
}

static void
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

static void
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

static void
tear_down(void)
{
	registration_close(own.r);
	turns(2);
	servers_close();
}

static void
app_dies(void)
{
	loop_forget(&ours.loop, &app()->source);
	close(app()->fd);
	app()->fd = -1;
}

static void
until_state(enum registration_state state)
{
	UNTIL(status().state == state);
}

/* One more thing is heard in the call: this. */
static void
hears(const char *bytes, size_t n)
{
	UNTIL(plane()->call != NULL && plane()->call->got_n >= own.heard + n);
	cr_assert_arr_eq(plane()->call->got + own.heard, bytes, n);
	own.heard += n;
}
#define HEARS(bytes)	hears(bytes, sizeof(bytes) - 1)
#define SAYS(bytes)	server_send(plane(), bytes, sizeof(bytes) - 1)

/* The endpoint was said, in a call that is new. */
static void
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

static void
answer(void)
{
	server_answer(plane());
	SAYS(registered);
}

static void
until_held(void)
{
	hears_endpoint();
	answer();
	until_state(REGISTRATION_HELD);
}

static void
begin_held(void)
{
	set_up(false, true);
	until_held();
	cr_assert_eq(status().epoch, 7);
	cr_assert_str_eq(status().why, "");
}

/* ---- the app */

Test(register, waits_for_the_app)
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

Test(register, who_begins_later_is_found)
{
	set_up(false, false);
	found_after(100);
	tear_down();
}

Test(register, one_failure_is_none)
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
Test(register, ill_while_it_asks)
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

static void
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

Test(register, health_by_grpc)
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

Test(register, who_dies_is_noticed)
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

Test(register, who_dies_is_noticed_by_grpc)
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

Test(register, who_begins_anew_is_found)
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
Test(register, who_ends_connections_stays)
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
Test(register, who_ended_connections_is_believed_again)
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
Test(register, who_greets_is_well)
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
