/* t/unit/rest_plan.c - xds/ems/rest_plan: a plan is found for an hour, until it
 * is forgotten, and only while there is room; who holds one keeps it. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xds/ems/rest_plan.h"

static uint64_t drawn;
static struct sys sys;
static struct loop loop;
static struct rest rest;

static uint64_t
draw(void *ctx)
{
	(void)ctx;
	return ++drawn;
}

static void
begin(void)
{
	sys.random = draw;
	loop.sys = &sys;
	rest.loop = &loop;
	TAILQ_INIT(&rest.plans);
}

static void
end(void)
{
	plans_free(&rest);
	cr_expect(TAILQ_EMPTY(&rest.plans));
	cr_expect_eq(rest.plans_n, 0);
	cr_expect_eq(rest.plans_bytes, 0);
}

TestSuite(rest_plan, .init = begin, .fini = end);

/* As a request makes one, and lets it go with its answer. */
static void
make(char id[PLAN_ID_BYTES], size_t bytes)
{
	struct edits e = { .at = calloc(1, sizeof(*e.at)), .n = 1,
	    .bytes = bytes };
	struct plan *p;

	e.at->wanted.text = strdup("a text");
	p = plan_new(&rest, &e, "because");
	cr_assert_not_null(p);
	cr_expect_null(e.at, "the edits are the plan's now");
	cr_expect_str_eq(p->why, "because");
	strcpy(id, p->id);
	plan_put(p);
}

static bool
is_there(const char *id)
{
	struct plan *p = plan_hold(&rest, id);

	plan_put(p);
	return p != NULL;
}

Test(rest_plan, for_an_hour)
{
	char a[PLAN_ID_BYTES], b[PLAN_ID_BYTES];

	loop.now.ns = 5000000000;
	make(a, 10);
	loop.now.ns += 1000000;
	make(b, 10);
	cr_expect_str_neq(a, b);
	cr_expect(is_there(a) && is_there(b) && !is_there("p0") &&
	    !is_there(""));
	loop.now.ns += (int64_t)REST_PLAN_MS * 1000000 - 2000000;
	cr_expect(is_there(a) && is_there(b));
	loop.now.ns += 1000000;
	cr_expect(!is_there(a) && is_there(b));
	cr_expect_eq(rest.plans_n, 1);
	cr_expect_eq(rest.plans_bytes, 10);
}

Test(rest_plan, held_while_it_is_applied)
{
	char a[PLAN_ID_BYTES];
	struct plan *p;

	make(a, 10);
	p = plan_hold(&rest, a);
	cr_assert_not_null(p);
	plan_forget(&rest, p);
	cr_expect(!is_there(a));
	cr_expect_eq(rest.plans_bytes, 0);
	plan_forget(&rest, p);		/* by another who holds it */
	cr_expect_eq(rest.plans_n, 0);
	cr_expect_str_eq(p->edits.at->wanted.text, "a text");
	plan_put(p);
}

Test(rest_plan, so_many_the_newest)
{
	char ids[REST_PLANS_MAX + 1][PLAN_ID_BYTES];

	for (int i = 0; i <= REST_PLANS_MAX; i++)
		make(ids[i], 0);
	cr_expect_eq(rest.plans_n, REST_PLANS_MAX);
	cr_expect(!is_there(ids[0]));
	cr_expect(is_there(ids[1]) && is_there(ids[REST_PLANS_MAX]));
}

Test(rest_plan, so_many_bytes)
{
	struct edits e = { .bytes = (size_t)REST_HELD_BYTES + 1 };
	char a[PLAN_ID_BYTES], b[PLAN_ID_BYTES], c[PLAN_ID_BYTES];

	make(a, REST_HELD_BYTES / 2);
	make(b, REST_HELD_BYTES / 2);
	cr_expect(is_there(a) && is_there(b));
	make(c, 1);
	cr_expect(!is_there(a) && is_there(b) && is_there(c));
	cr_expect_null(plan_new(&rest, &e, ""), "larger than all room");
	cr_expect(is_there(b) && is_there(c));
	make(a, REST_HELD_BYTES);
	cr_expect(is_there(a) && !is_there(b) && !is_there(c));
}
