/*
 * t/lib/unit_ems.h - for t/unit/lease.c and admission.c: a control plane without
 * doors, over a real store in a folder of its own, by a clock of the test.
 */
#ifndef T_LIB_UNIT_EMS_H
#define T_LIB_UNIT_EMS_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "xds/ems/admission.h"
#include "xds/ems/lease.h"

enum { UNIT_TURNS_MAX = 2000, UNIT_TURN_MS = 20 };

static struct unit_ems {
	struct sys	*sys;
	struct loop	 loop;
	struct ems	 ems;
	struct store	*store;
	struct admission *admission;
	struct leases	*leases;
	int64_t		 now_ms;
	int		 loaded;
	char		 folder[64];
} unit;

static struct mono
unit_now(void *ctx)
{
	(void)ctx;
	return (struct mono){ unit.now_ms * 1000000 };
}

/* Turns until *flag is at least n. */
static void
unit_until(const int *flag, int n)
{
	for (int i = 0; *flag < n; i++) {
		cr_assert_lt(i, UNIT_TURNS_MAX, "no answer came");
		loop_turn(&unit.loop, UNIT_TURN_MS);
	}
}

/* Time passes, in steps in which every timer that is due runs. */
static inline void
unit_pass(int64_t ms)
{
	for (; ms > 0; ms -= 100) {
		unit.now_ms += ms < 100 ? ms : 100;
		loop_turn(&unit.loop, 0);
	}
	loop_turn(&unit.loop, 0);
}

static void
unit_items(void *arg, const struct store_answer *a)
{
	char why[512] = "";

	(void)arg;
	cr_assert_eq(a->result, STORE_OK);
	cr_assert_eq(admission_load(unit.admission, unit.store, a, why,
	    sizeof(why)), 0, "%s", why);
	unit.loaded++;
}

static void
unit_leases(void *arg, const struct store_answer *a)
{
	char why[512] = "";

	(void)arg;
	cr_assert_eq(leases_load(unit.leases, unit.store, a, why,
	    sizeof(why)), 0, "%s", why);
	unit.loaded++;
}

/* On what the folder has. */
static void
unit_begin(void)
{
	static const struct store_question items = { .kind = STORE_ITEMS },
	    leases = { .kind = STORE_LEASES };
	static const struct ems_settings s = { .view = { "mesh", "x-region" },
	    .listen = "127.0.0.1:1", .tls = "/tls", .identifier = "ems",
	    .who = { "mesh", true } };
	char path[128], why[512] = "";
	struct store_settings set = { .path = path,
	    .watch = admission_watch };

	snprintf(path, sizeof(path), "%s/ems.db", unit.folder);
	unit.loaded = 0;
	unit.sys = sys_kernel_new();
	unit.sys->now = unit_now;
	loop_init(&unit.loop, unit.sys);
	loop_turn(&unit.loop, 0);
	ems_init(&unit.ems, &unit.loop, &s);
	unit.admission = admission_new(&unit.ems);
	unit.leases = leases_new(&unit.ems);
	set.watch_arg = unit.admission;
	unit.store = store_open(&unit.loop, &set, why, sizeof(why));
	cr_assert_not_null(unit.store, "%s", why);
	store_ask(unit.store, &items, unit_items, NULL);
	store_ask(unit.store, &leases, unit_leases, NULL);
	unit_until(&unit.loaded, 2);
}

static void
unit_end(void)
{
	store_close(unit.store);
	admission_free(unit.admission);
	leases_free(unit.leases);
	ems_fini(&unit.ems);
	sys_kernel_free(unit.sys);
}

static void
unit_open(void)
{
	strcpy(unit.folder, "/tmp/godwit-unit-XXXXXX");
	cr_assert_not_null(mkdtemp(unit.folder));
	unit.now_ms = 1000000;
	unit_begin();
}

static void
unit_close(void)
{
	char command[128];

	unit_end();
	snprintf(command, sizeof(command), "rm -r %s", unit.folder);
	cr_assert_eq(system(command), 0);
}

/* ---- writes: "service a 0" or "region us 0", and a body; NULL deletes */

static struct {
	int		 n;
	enum store_result result;
	uint64_t	 revision, current;
	char		 why[1024];
} unit_wrote;

static void
unit_written(void *arg, const struct store_answer *a)
{
	(void)arg;
	unit_wrote.n++;
	unit_wrote.result = a->result;
	unit_wrote.revision = a->revision;
	unit_wrote.current = a->current_version;
	snprintf(unit_wrote.why, sizeof(unit_wrote.why), "%s", a->why);
}

static inline enum store_result
unit_write(const char *noun, const char *name, uint64_t expect,
    const char *body)
{
	const struct store_change c = { store_text(noun), store_text(name),
	    expect, store_text(body) };
	const struct store_write w = { &c, 1, store_text("me"),
	    store_text("test"), 1 };
	int before = unit_wrote.n;

	cr_assert_eq(admission_write(unit.admission, &w, false, unit_written,
	    NULL), 0);
	unit_until(&unit_wrote.n, before + 1);
	return unit_wrote.result;
}

#endif
