/*
 * t/unit/store.c - the store of godwit-ems (xds/ems/store.h): versions and
 * revisions, all or nothing, history, leases, the watch, what is refused, and
 * its queue. What disks do to it is in store_fault.c, kill -9 in
 * t/stress/store.c.
 */
#include "xds/ems/store.h"

#include "t/lib/unit_store.h"

#define AS_OF(n) ((struct store_question){ .kind = STORE_ITEM, \
	.noun = store_text("service"), .name = store_text("a"), \
	.revision = n })
#define HISTORY(...) ((struct store_question){ .kind = STORE_HISTORY, \
	__VA_ARGS__ })
#define OF(n, m) .noun = store_text(n), .name = store_text(m)

/* ---- writes, one after the other in one store */

static const struct {
	const char	*text, *answer, *watch;
} steps[] = {
	{ "service a 0 =x", "OK r1 v1\n",
	    "r1 T me 'because' service a 0>1 'x'\n" },
	{ "service a 0 =y", "CONFLICT r1 at 0 v1 'x': service a is there, in "
	    "version 1, and was to be created\n" },
	{ "service a 7 =y", "CONFLICT r1 at 0 v1 'x': service a is in version "
	    "1, 7 was expected\n" },
	{ "service b 1 =y", "CONFLICT r1 at 0 v0 '-': service b is not there, "
	    "version 1 was expected\n" },
	{ "service a 1 =y", "OK r2 v2\n",
	    "r2 T me 'because' service a 1>2 'y'\n" },
	/* Nothing changes: no revision, but the version counts. */
	{ "service a 2 =y", "OK r2 v2\n" },
	{ "service a 1 =y", "CONFLICT r2 at 0 v2 'y': service a is in version "
	    "2, 1 was expected\n" },
	/* Several: all or none, also of what stands before the conflict. */
	{ "service b 0 =1;region b 0 =2;service a 1 =z", "CONFLICT r2 at 2 v2 "
	    "'y': service a is in version 2, 1 was expected\n" },
	{ "service b 0 =1;region b 0 =2;service a 2 =z", "OK r3 v1 v1 v3\n",
	    "r3 T me 'because' service b 0>1 '1'\n"
	    "r3 T me 'because' region b 0>1 '2'\n"
	    "r3 T me 'because' service a 2>3 'z'\n" },
	/* Only what changes is recorded. */
	{ "service b 1 =1;region b 1 =3", "OK r4 v1 v2\n",
	    "r4 T me 'because' region b 1>2 '3'\n" },
	/* A version is never used again. */
	{ "service a 3 -", "OK r5 v4\n",
	    "r5 T me 'because' service a 3>4 -\n" },
	{ "service a 4 -", "CONFLICT r5 at 0 v0 '-': service a is not there, "
	    "version 4 was expected\n" },
	{ "service a 0 =z", "OK r6 v5\n",
	    "r6 T me 'because' service a 0>5 'z'\n" },
	{ "service a 5 =", "OK r7 v6\n",
	    "r7 T me 'because' service a 5>6 ''\n" },
};

/* The time stands as T in the table: each write takes the next. */
static const char *
with_time(const char *watch, int64_t when_ms)
{
	static char text[1024];
	size_t n = 0;

	for (; *watch != '\0'; watch++)
		n += *watch != 'T' ? (size_t)snprintf(text + n, 2, "%c",
		    *watch) : (size_t)snprintf(text + n, 16, "%d",
		    (int)when_ms);
	text[n] = '\0';
	return text;
}

static void
steps_run(void)
{
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		heard.watch[0] = '\0';
		cr_assert_str_eq(write_(steps[i].text), steps[i].answer,
		    "step %zu: %s", i, heard.answer);
		cr_assert_str_eq(heard.watch, steps[i].watch == NULL ? "" :
		    with_time(steps[i].watch, 1001 + (int64_t)i),
		    "step %zu: %s", i, heard.watch);
	}
}

Test(store, versions_and_revisions, .init = start, .fini = end)
{
	steps_run();
}

Test(store, all_items_now_and_then, .init = start, .fini = end)
{
	steps_run();
	cr_assert_str_eq(items(0), "OK r7\n"
	    "region b v2 r4 '3'\n"
	    "service a v6 r7 ''\n"
	    "service b v1 r3 '1'\n");
	cr_assert_str_eq(items(5), "OK r7\n"
	    "region b v2 r4 '3'\n"
	    "service b v1 r3 '1'\n");
	cr_assert_str_eq(items(3), "OK r7\n"
	    "region b v1 r3 '2'\n"
	    "service a v3 r3 'z'\n"
	    "service b v1 r3 '1'\n");
	cr_assert_str_eq(items(8),
	    "INVALID r7: there is no revision 8 yet, the newest is 7\n");
	cr_assert_str_eq(ask((struct store_question){ .kind = STORE_ITEMS,
	    .noun = store_text("region"), .revision = 3 }),
	    "OK r7\nregion b v1 r3 '2'\n");
	cr_assert_str_eq(ask((struct store_question){
	    .kind = STORE_REVISION }), "OK r7\n");
}

Test(store, one_item_now_and_then, .init = start, .fini = end)
{
	steps_run();
	cr_assert_str_eq(ask(AS_OF(1)), "OK r7\nservice a v1 r1 'x'\n");
	cr_assert_str_eq(ask(AS_OF(2)), "OK r7\nservice a v2 r2 'y'\n");
	cr_assert_str_eq(ask(AS_OF(4)), "OK r7\nservice a v3 r3 'z'\n");
	cr_assert_str_eq(ask(AS_OF(5)), "OK r7\n");
	cr_assert_str_eq(ask(AS_OF(6)), "OK r7\nservice a v5 r6 'z'\n");
	cr_assert_str_eq(ask(AS_OF(0)), "OK r7\nservice a v6 r7 ''\n");
}

Test(store, history, .init = start, .fini = end)
{
	steps_run();
	cr_assert_str_eq(ask(HISTORY(OF("region", "b"))), "OK r7\n"
	    "r4 1010 me 'because' region b 1>2 '3'\n"
	    "r3 1009 me 'because' region b 0>1 '2'\n");
	cr_assert_str_eq(ask(HISTORY(.limit = 2)), "OK r7 more\n"
	    "r7 1014 me 'because' service a 5>6 ''\n"
	    "r6 1013 me 'because' service a 0>5 'z'\n");
	/* A write is never cut. */
	cr_assert_str_eq(ask(HISTORY(.limit = 2, .revision = 5)),
	    "OK r7 more\n"
	    "r4 1010 me 'because' region b 1>2 '3'\n"
	    "r3 1009 me 'because' service b 0>1 '1'\n"
	    "r3 1009 me 'because' region b 0>1 '2'\n"
	    "r3 1009 me 'because' service a 2>3 'z'\n");
	cr_assert_str_eq(ask(HISTORY(OF("service", "a"), .limit = 100,
	    .revision = 7, .no_bodies = true)), "OK r7\n"
	    "r6 1013 me 'because' service a 0>5\n"
	    "r5 1011 me 'because' service a 3>4 -\n"
	    "r3 1009 me 'because' service a 2>3\n"
	    "r2 1005 me 'because' service a 1>2\n"
	    "r1 1001 me 'because' service a 0>1\n");
	cr_assert_str_eq(ask(HISTORY(OF("service", "nobody"))), "OK r7\n");
}

Test(store, is_the_same_when_opened_again, .init = start, .fini = end)
{
	static char before[TEXT_MAX];

	steps_run();
	strcpy(before, ask(HISTORY(.limit = 0)));
	store_again();
	cr_assert_str_eq(ask(HISTORY(.limit = 0)), before);
	cr_assert_str_eq(write_("service a 6 -"), "OK r8 v7\n");
	store_again();
	cr_assert_str_eq(write_("service a 0 =n"), "OK r9 v8\n");
}

/* ---- what can't be stored or asked */

static void
invalid_write(struct store_change *c, size_t n, struct store_text who,
    const char *answer)
{
	const struct store_write w = { .changes = c, .changes_n = n,
		.who = who };
	int was = heard.n;

	heard.inside = true;
	cr_assert_eq(store_write(store, &w, on_answer, &heard), 0);
	heard.inside = false;
	until(was + 1);
	cr_assert_str_eq(heard.answer, answer, "%s", heard.answer);
}

#define TEXT(s) { s, sizeof(s) - 1 }
#define LONG_40 "aaaaaaaaaabbbbbbbbbbccccccccccdddddddddd"
#define LONG_280 LONG_40 LONG_40 LONG_40 LONG_40 LONG_40 LONG_40 LONG_40

static const struct {
	struct store_change change;
	const char	*answer;
} invalid_changes[] = {
	{ { { NULL }, TEXT("a"), 0, TEXT("x") },
	    "INVALID: change 1: it has no noun\n" },
	{ { TEXT(LONG_40), TEXT("a"), 0, TEXT("x") },
	    "INVALID: change 1: the noun has 40 bytes, 31 at most\n" },
	{ { TEXT("Service"), TEXT("a"), 0, TEXT("x") },
	    "INVALID: change 1: the noun has something that is neither a-z "
	    "nor _ at byte 0\n" },
	{ { TEXT("service"), TEXT(""), 0, TEXT("x") },
	    "INVALID: change 1: it has no name\n" },
	{ { TEXT("service"), TEXT(LONG_280), 0, TEXT("x") },
	    "INVALID: change 1: the name has 280 bytes, 255 at most\n" },
	{ { TEXT("service"), TEXT("a\0b"), 0, TEXT("x") },
	    "INVALID: change 1: the name has a NUL or is not UTF-8\n" },
	{ { TEXT("service"), TEXT("a\xff"), 0, TEXT("x") },
	    "INVALID: change 1: the name has a NUL or is not UTF-8\n" },
	{ { TEXT("service"), TEXT("a\x1b[2J"), 0, TEXT("x") },
	    "INVALID: change 1: the name has a control character at byte "
	    "1\n" },
	{ { TEXT("service"), TEXT("a"), 0, TEXT("x\0") },
	    "INVALID: change 1: the body has a NUL or is not UTF-8\n" },
	{ { TEXT("service"), TEXT("a"), 0, TEXT("\xc0\x80") },
	    "INVALID: change 1: the body has a NUL or is not UTF-8\n" },
	{ { TEXT("service"), TEXT("a"), 0, { NULL } },
	    "INVALID: change 1: a deletion says the version it expects, 0 "
	    "creates\n" },
};

Test(store, refuses_what_is_no_change, .init = start, .fini = end)
{
	for (size_t i = 0; i < sizeof(invalid_changes) /
	    sizeof(invalid_changes[0]); i++) {
		struct store_change c = invalid_changes[i].change;

		invalid_write(&c, 1, store_text("me"),
		    invalid_changes[i].answer);
	}
	cr_assert_str_eq(items(0), "OK\n");
}

Test(store, refuses_what_is_no_write, .init = start, .fini = end)
{
	static struct store_change c[STORE_CHANGES_MAX + 1];
	char *body = malloc(STORE_BODY_MAX + 1);

	invalid_write(c, 0, store_text("me"),
	    "INVALID: a write of 0 changes, 1 to 1024 are possible\n");
	invalid_write(c, STORE_CHANGES_MAX + 1, store_text("me"),
	    "INVALID: a write of 1025 changes, 1 to 1024 are possible\n");
	memset(body, 'b', STORE_BODY_MAX + 1);
	for (int i = 0; i < 17; i++)
		c[i] = (struct store_change){ .noun = store_text("service"),
			.name = { &"abcdefghijklmnopq"[i], 1 },
			.body = { body, STORE_BODY_MAX } };
	invalid_write(c, 1, store_text(NULL), "INVALID: it has no who\n");
	invalid_write(c, 17, store_text("me"),
	    "INVALID: a write of 17825792 bytes, 16777216 at most\n");
	invalid_write(c, 16, store_text("me"), "OK r1 v1 v1 v1 v1 v1 v1 v1 "
	    "v1 v1 v1 v1 v1 v1 v1 v1 v1\n");
	c[0].body.n++;
	invalid_write(c, 1, store_text("me"), "INVALID: change 1: the body "
	    "has 1048577 bytes, 1048576 at most\n");
	c[0] = c[2];
	invalid_write(c, 3, store_text("me"), "INVALID: service c is in it "
	    "twice\n");
	free(body);
}

Test(store, refuses_what_is_no_question, .init = start, .fini = end)
{
	cr_assert_str_eq(ask((struct store_question){ .kind = STORE_ITEM,
	    .noun = store_text("service") }), "INVALID: it has no name\n");
	cr_assert_str_eq(ask((struct store_question){ .kind = STORE_ITEM,
	    .name = store_text("a") }), "INVALID: it has no noun\n");
	cr_assert_str_eq(ask(HISTORY(.name = store_text("a"))),
	    "INVALID: it has no noun\n");
	cr_assert_str_eq(ask(HISTORY(.noun = store_text("service"))),
	    "INVALID: it has no name\n");
	cr_assert_str_eq(ask(HISTORY(.limit = 1001)),
	    "INVALID: 1001 changes at once, 1000 at most\n");
	cr_assert_str_eq(items(UINT64_MAX),
	    "INVALID: there is no such revision\n");
}

/* ---- leases */

static struct store_lease
lease(const char *id, uint64_t epoch, uint32_t weight)
{
	return (struct store_lease){ .id = store_text(id), .epoch = epoch,
		.service = store_text("tasks.Store"),
		.region = store_text("eu"), .address = store_text("::1"),
		.port = 80, .weight = weight, .label = store_text("r42"),
		.ttl_ms = 15000, .checks = store_text("{\"grpc\": 1}") };
}

#define LINE(id, e, w) id " e" e " tasks.Store eu - ::1:80 w" w \
	" r42 15000 ms '{\"grpc\": 1}'\n"

Test(store, leases, .init = start, .fini = end)
{
	cr_assert_str_eq(leases(), "OK\n");
	cr_assert_str_eq(put(lease("b", 3, 1)), "OK\n");
	cr_assert_str_eq(put(lease("a", 4, 1)), "OK\n");
	cr_assert_str_eq(put(lease("b", 3, 2)), "OK\n");
	cr_assert_str_eq(leases(), "OK e4\n" LINE("a", "4", "1")
	    LINE("b", "3", "2"));
	/* Who comes from an earlier epoch changes nothing. */
	cr_assert_str_eq(put(lease("b", 2, 9)), "CONFLICT at 0 v3 '-': b is "
	    "registered anew, in epoch 3; 2 is over\n");
	cr_assert_str_eq(remove_("b", 2), "CONFLICT at 0 v3 '-': b is "
	    "registered anew, in epoch 3; 2 is over\n");
	cr_assert_str_eq(put(lease("b", 5, 2)), "OK\n");
	cr_assert_str_eq(remove_("b", 5), "OK\n");
	cr_assert_str_eq(remove_("b", 5), "OK\n");
	store_again();
	cr_assert_str_eq(leases(), "OK e5\n" LINE("a", "4", "1"));
	cr_assert_str_eq(heard.watch, "");
}

Test(store, refuses_what_is_no_lease, .init = start, .fini = end)
{
	struct store_lease l = lease("a", 0, 1);

	cr_assert_str_eq(put(l), "INVALID: an epoch is 1 or more, and less "
	    "than 2^63\n");
	l = lease("a", 1, 1);
	l.port = 65536;
	cr_assert_str_eq(put(l), "INVALID: the port 65536 is none, 1 to "
	    "65535 are\n");
	l = lease("a", 1, 1);
	l.service.p = NULL;
	cr_assert_str_eq(put(l), "INVALID: it has no service\n");
	l = lease("a", 1, 1);
	l.zone = (struct store_text)TEXT("\xff");
	cr_assert_str_eq(put(l), "INVALID: the zone has a NUL or is not "
	    "UTF-8\n");
	cr_assert_str_eq(remove_("", 1), "INVALID: it has no id\n");
	cr_assert_str_eq(leases(), "OK\n");
}

/* ---- the queue */

static void
start_small(void)
{
	folder_open();
	set.waiting_n = 3;
	store_begin();
}

Test(store, refuses_what_is_too_much, .init = start_small, .fini = end)
{
	sqlite3 *db = hold();

	submit("service a 0 =x");
	submit("service b 0 =x");
	submit("service c 0 =x");
	cr_assert_str_eq(write_("service d 0 =x"), "BUSY: 3 submissions or "
	    "67108864 bytes wait already: the disk does not keep up, try "
	    "again later\n");
	let_go(db);
	until(4);
	cr_assert_str_eq(heard.answer, "OK r3 v1\n");
	cr_assert_str_eq(write_("service d 0 =x"), "OK r4 v1\n");
}

static void
start_few_bytes(void)
{
	folder_open();
	set.waiting_bytes = 350;
	store_begin();
}

Test(store, refuses_too_many_bytes, .init = start_few_bytes, .fini = end)
{
	sqlite3 *db = hold();

	submit("service a 0 =x");
	submit("service b 0 =x");
	submit("service c 0 =x");
	submit("service d 0 =x");
	submit("service e 0 =x");
	until(1);
	cr_assert_str_eq(heard.answer, "BUSY: 10000 submissions or 350 bytes "
	    "wait already: the disk does not keep up, try again later\n");
	let_go(db);
	until(5);
	cr_assert_str_eq(heard.answer, "OK r4 v1\n");
}

Test(store, says_that_another_program_locks_it, .init = start, .fini = end)
{
	sqlite3 *db = hold();
	char sentence[256];

	snprintf(sentence, sizeof(sentence), "FAILED: %s is locked by another "
	    "program; nothing was written\n", file);
	cr_assert_str_eq(write_("service a 0 =x"), sentence);
	cr_assert_str_eq(items(0), "OK\n");
	let_go(db);
	cr_assert_str_eq(write_("service a 0 =x"), "OK r1 v1\n");
}

enum { MANY = 3000 };

static struct {
	uint64_t	answered, watched;
} order;

static void
on_ordered(void *arg, const struct store_answer *a)
{
	cr_assert_eq(a->result, STORE_OK, "%s", a->why);
	cr_assert_eq(a->revision, (uint64_t)(uintptr_t)arg);
	cr_assert_eq(a->revision, ++order.answered);
	/* The watch comes first. */
	cr_assert_eq(a->revision, order.watched);
}

static void
on_watch_ordered(void *arg, const struct store_past *past, size_t n)
{
	cr_assert_null(arg);
	cr_assert_eq(n, 1);
	cr_assert_eq(past[0].revision, ++order.watched);
}

static void
many_submit(void)
{
	struct store_change c = { .noun = store_text("service") };
	const struct store_write w = { .changes = &c, .changes_n = 1,
		.who = store_text("me") };
	char name[16];

	for (uintptr_t i = 1; i <= MANY; i++) {
		snprintf(name, sizeof(name), "n%d", (int)i);
		c.name = c.body = store_text(name);
		cr_assert_eq(store_write(store, &w, on_ordered, (void *)i),
		    0);
	}
}

static void
start_ordered(void)
{
	folder_open();
	set.watch = on_watch_ordered;
	set.watch_arg = NULL;
	store_begin();
}

Test(store, answers_in_order, .init = start_ordered, .fini = end)
{
	many_submit();
	for (int i = 0; i < TURNS_MAX && order.answered < MANY; i++)
		loop_turn(&loop, TURN_MS);
	cr_assert_eq(order.answered, MANY);
}

Test(store, closes_after_what_was_submitted, .init = folder_open,
    .fini = folder_close)
{
	char revision[32];

	set.watch = on_watch_ordered;
	set.watch_arg = NULL;
	store_begin();
	many_submit();
	store_close(store);
	cr_assert_eq(order.answered, MANY);
	store_begin();
	snprintf(revision, sizeof(revision), "OK r%d\n", MANY);
	cr_assert_str_eq(ask((struct store_question){
	    .kind = STORE_REVISION }), revision);
	store_close(store);
}

/* Who submits while the store closes is told. */
static void
on_closing(void *arg, const struct store_answer *a)
{
	const struct store_question q = { .kind = STORE_REVISION };
	int *n = arg;

	if (++*n == 1)
		cr_assert_eq(store_ask(store, &q, on_closing, arg), 0);
	else
		cr_assert_str_eq(a->why, "the store is being closed");
}

Test(store, refuses_while_it_closes, .init = folder_open,
    .fini = folder_close)
{
	const struct store_question q = { .kind = STORE_REVISION };
	int n = 0;

	store_begin();
	cr_assert_eq(store_ask(store, &q, on_closing, &n), 0);
	store_close(store);
	cr_assert_eq(n, 2);
}

Test(store, one_at_a_time, .init = start, .fini = end)
{
	char sentence[256];

	snprintf(sentence, sizeof(sentence), "another godwit-ems uses %s",
	    file);
	cr_assert_null(store_open(&loop, &set, why, sizeof(why)));
	cr_assert_str_eq(why, sentence);
	cr_assert_str_eq(write_("service a 0 =x"), "OK r1 v1\n");
	store_again();
	cr_assert_str_eq(items(0), "OK r1\nservice a v1 r1 'x'\n");
}
