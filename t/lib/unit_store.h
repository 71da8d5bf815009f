/*
 * t/lib/unit_store.h - for t/unit/store*.c: a store in a folder of its own,
 * and its answers as text.
 *
 *   ask        write("service a 0 =x; region b 2 -")    NOUN NAME EXPECT =BODY
 *                                                       or - to delete
 *   answer     "OK r3 v1 v3"
 *              "CONFLICT r3 at 1 v2 'x': SENTENCE"
 *   items      "service a v1 r3 'x'", a line each
 *   history    "r3 1003 me 'because' service a 0>1 'x'", - when deleted
 *   watch      the same lines, all of them in heard.watch
 */
#ifndef T_LIB_UNIT_STORE_H
#define T_LIB_UNIT_STORE_H

#include <criterion/criterion.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "worker/io/loop.h"
#include "xds/ems/store.h"

enum { TEXT_MAX = 64 << 10, TURNS_MAX = 2000, TURN_MS = 50, CHANGES = 16 };

static struct loop loop;
static struct store *store;
static struct store_settings set;
static char folder[64], file[96], why[1024];

static struct {
	int	n;		/* answers */
	bool	inside;		/* a submission is being called */
	char	answer[TEXT_MAX], watch[TEXT_MAX];
	char	answers[TEXT_MAX];	/* each after the other */
} heard;

static inline void __attribute__((format(printf, 2, 3)))
add(char *to, const char *fmt, ...)
{
	size_t n = strlen(to);
	va_list args;

	va_start(args, fmt);
	vsnprintf(to + n, TEXT_MAX - n, fmt, args);
	va_end(args);
}

static inline const char *
or_none(struct store_text t)
{
	return t.p == NULL ? "-" : t.p;
}

static inline void
past_print(char *to, const struct store_past *p)
{
	add(to, "r%" PRIu64 " %" PRId64 " %s '%s' %s %s %" PRIu64 ">%" PRIu64,
	    p->revision, p->when_ms, p->who.p, or_none(p->why), p->noun.p,
	    p->name.p, p->from, p->to);
	if (p->body.p != NULL)
		add(to, " '%s'\n", p->body.p);
	else
		add(to, p->deleted ? " -\n" : "\n");
}

static inline void
lease_print(char *to, const struct store_lease *l)
{
	add(to, "%s e%" PRIu64 " %s %s %s %s:%u w%u %s %u ms '%s'\n", l->id.p,
	    l->epoch, l->service.p, or_none(l->region), or_none(l->zone),
	    l->address.p, l->port, l->weight, or_none(l->label), l->ttl_ms,
	    or_none(l->checks));
}

static inline void
answer_print(char *to, const struct store_answer *a)
{
	static const char *const names[] = { "OK", "CONFLICT", "INVALID",
		"BUSY", "FAILED" };

	add(to, "%s", names[a->result]);
	if (a->revision != 0)
		add(to, " r%" PRIu64, a->revision);
	for (size_t i = 0; i < a->versions_n; i++)
		add(to, " v%" PRIu64, a->versions[i]);
	if (a->result == STORE_CONFLICT)
		add(to, " at %zu v%" PRIu64 " '%s'", a->conflict_at,
		    a->current_version, or_none(a->current_body));
	if (a->why[0] != '\0')
		add(to, ": %s", a->why);
	if (a->epoch_max != 0)
		add(to, " e%" PRIu64, a->epoch_max);
	add(to, a->more ? " more\n" : "\n");
	for (size_t i = 0; i < a->items_n; i++)
		add(to, "%s %s v%" PRIu64 " r%" PRIu64 " '%s'\n",
		    a->items[i].noun.p, a->items[i].name.p,
		    a->items[i].version, a->items[i].revision,
		    a->items[i].body.p);
	for (size_t i = 0; i < a->past_n; i++)
		past_print(to, &a->past[i]);
	for (size_t i = 0; i < a->leases_n; i++)
		lease_print(to, &a->leases[i]);
}

static inline void
on_answer(void *arg, const struct store_answer *a)
{
	cr_assert_eq(arg, &heard);
	cr_assert(!heard.inside, "answered from inside the call");
	heard.n++;
	heard.answer[0] = '\0';
	answer_print(heard.answer, a);
	answer_print(heard.answers, a);
}

static inline void
on_watch(void *arg, const struct store_past *past, size_t n)
{
	cr_assert_eq(arg, &heard);
	for (size_t i = 0; i < n; i++)
		past_print(heard.watch, &past[i]);
}

/* ---- a folder, a store */

static inline void
folder_open(void)
{
	strcpy(folder, "/tmp/godwit-store-XXXXXX");
	cr_assert_not_null(mkdtemp(folder));
	snprintf(file, sizeof(file), "%s/store", folder);
	loop_init(&loop, sys_kernel_new());
	set = (struct store_settings){ .path = file, .watch = on_watch,
		.watch_arg = &heard };
}

static inline void
folder_close(void)
{
	static const char *const ends[] = { "", "-wal", "-shm", ".lock",
		"-journal" };
	char name[128];

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		snprintf(name, sizeof(name), "%s%s", file, ends[i]);
		unlink(name);
	}
	cr_assert_eq(rmdir(folder), 0);
	sys_kernel_free(loop.sys);
}

static inline void
store_begin(void)
{
	store = store_open(&loop, &set, why, sizeof(why));
	cr_assert_not_null(store, "%s", why);
	cr_assert_str_eq(why, "");
}

static inline void
store_again(void)
{
	store_close(store);
	store_begin();
}

static inline void
start(void)
{
	folder_open();
	store_begin();
}

static inline void
end(void)
{
	store_close(store);
	folder_close();
}

/* Turns until so many answers were heard. */
static inline void
until(int n)
{
	for (int i = 0; i < TURNS_MAX && heard.n < n; i++)
		loop_turn(&loop, TURN_MS);
	cr_assert_eq(heard.n, n);
}

/* Another program, which holds the store up until it is let go; by the VFS of
 * Linux, whatever the test has put in front. */
static inline sqlite3 *
hold(void)
{
	sqlite3 *db = NULL;

	cr_assert_eq(sqlite3_open_v2(file, &db, SQLITE_OPEN_READWRITE, "unix"),
	    SQLITE_OK);
	cr_assert_eq(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL),
	    SQLITE_OK);
	return db;
}

static inline void
let_go(sqlite3 *db)
{
	cr_assert_eq(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
	cr_assert_eq(sqlite3_close(db), SQLITE_OK);
}

/* ---- what is asked; each waits, and is the answer */

/* The changes in text, which is written to. */
static inline size_t
changes_of(char *text, struct store_change *c)
{
	char *row, *rest = text, *word;
	size_t n = 0;

	while ((row = strsep(&rest, ";")) != NULL) {
		cr_assert(n < CHANGES);
		c[n].noun = store_text(strtok_r(row, " ", &word));
		c[n].name = store_text(strtok_r(NULL, " ", &word));
		c[n].expect_version = strtoull(strtok_r(NULL, " ", &word),
		    NULL, 10);
		row = strtok_r(NULL, "", &word);
		c[n].body = store_text(row[0] == '=' ? row + 1 : NULL);
		n++;
	}
	return n;
}

static inline void
submit(const char *text)
{
	static int64_t when_ms = 1000;
	struct store_change changes[CHANGES];
	char copy[1024];
	struct store_write w = { .changes = changes,
		.who = store_text("me"), .why = store_text("because"),
		.when_ms = ++when_ms };

	snprintf(copy, sizeof(copy), "%s", text);
	w.changes_n = changes_of(copy, changes);
	heard.inside = true;
	cr_assert_eq(store_write(store, &w, on_answer, &heard), 0);
	heard.inside = false;
	memset(copy, 'x', sizeof(copy));	/* it has its own */
}

static inline const char *
write_(const char *text)
{
	submit(text);
	until(heard.n + 1);
	return heard.answer;
}

static inline const char *
ask(struct store_question q)
{
	heard.inside = true;
	cr_assert_eq(store_ask(store, &q, on_answer, &heard), 0);
	heard.inside = false;
	until(heard.n + 1);
	return heard.answer;
}

static inline const char *
items(uint64_t revision)
{
	return ask((struct store_question){ .kind = STORE_ITEMS,
	    .revision = revision });
}

static inline const char *
put(struct store_lease l)
{
	heard.inside = true;
	cr_assert_eq(store_lease_put(store, &l, on_answer, &heard), 0);
	heard.inside = false;
	until(heard.n + 1);
	return heard.answer;
}

static inline const char *
remove_(const char *id, uint64_t epoch)
{
	heard.inside = true;
	cr_assert_eq(store_lease_remove(store, store_text(id), epoch,
	    on_answer, &heard), 0);
	heard.inside = false;
	until(heard.n + 1);
	return heard.answer;
}

static inline const char *
leases(void)
{
	return ask((struct store_question){ .kind = STORE_LEASES });
}

#endif
