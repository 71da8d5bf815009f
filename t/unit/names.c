/* t/unit/names.c - slots by name: what master/names.h promises, N1 to N4. */
#include "master/names.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "shm/block.h"

static struct name_id
take(struct names *n, const char *key)
{
	struct name_id id = { 0, 0 };

	cr_assert_eq(names_take(n, NAMES_CLUSTER, key, strlen(key), &id), 0,
	    "%s", key);
	return id;
}

static int
find(const struct names *n, const char *key)
{
	struct name_id id;

	return names_find(n, NAMES_CLUSTER, key, strlen(key), &id) == 0 ?
	    (int)id.id : -1;
}

Test(names, stay_and_are_reused_with_another_tag)
{
	struct names *n = names_new();
	struct name_id a, b, c, d, again;

	names_begin(n);
	a = take(n, "a");
	b = take(n, "b");
	cr_assert_eq(a.id, 0);
	cr_assert_eq(b.id, 1);
	cr_assert_neq(a.tag, b.tag);
	cr_assert_neq(a.tag, 0);
	cr_assert_eq(names_take(n, NAMES_CLUSTER, "a", 1, &again), 1);
	cr_assert_eq(again.id, a.id);
	cr_assert_eq(find(n, "a"), 0);
	names_commit(n);

	/* a is gone, but its id is not free before the next stage (N2). */
	names_begin(n);
	cr_assert_eq(find(n, "b"), -1, "taken in an earlier stage only");
	c = take(n, "c");
	cr_assert_eq(c.id, 2);
	again = take(n, "b");
	cr_assert(again.id == b.id && again.tag == b.tag);
	names_commit(n);
	cr_assert_eq(names_count(n, NAMES_CLUSTER), 2);

	names_begin(n);
	d = take(n, "d");
	cr_assert_eq(d.id, a.id);
	cr_assert(d.tag > c.tag);
	again = take(n, "a");
	cr_assert_eq(again.id, 3);
	cr_assert_neq(again.tag, a.tag, "a new owner, though of one name");
	names_commit(n);
	names_free(n);
}

Test(names, an_aborted_stage_leaves_no_trace)
{
	struct names *n = names_new(), *never = names_new();
	struct name_id id, want;

	names_begin(n);
	names_begin(never);
	take(n, "a");
	take(never, "a");
	take(n, "b");
	take(never, "b");
	names_commit(n);
	names_commit(never);

	names_begin(n);
	take(n, "c");
	take(n, "b");
	take(n, "d");
	names_abort(n);
	cr_assert_eq(names_count(n, NAMES_CLUSTER), 2);

	names_begin(n);
	names_begin(never);
	id = take(n, "a");
	want = take(never, "a");
	cr_assert(id.id == want.id && id.tag == want.tag);
	id = take(n, "e");
	want = take(never, "e");
	cr_assert(id.id == want.id && id.tag == want.tag);
	names_commit(n);
	names_commit(never);
	names_free(n);
	names_free(never);
}

Test(names, kinds_are_apart_and_end)
{
	struct names *n = names_new();
	struct name_id id;
	uint32_t i, key[2] = { 0, 7 };

	names_begin(n);
	take(n, "x");
	for (i = 0; i < LISTENERS_MAX; i++) {
		key[0] = i;
		cr_assert_eq(names_take(n, NAMES_LISTENER, key, sizeof(key),
		    &id), 0);
		cr_assert_eq(id.id, i);
	}
	cr_assert_eq(names_take(n, NAMES_LISTENER, "x", 1, &id), -1);
	cr_assert_eq(names_find(n, NAMES_LISTENER, "x", 1, &id), -1);
	names_commit(n);

	/* All of them leave; their ids are free one stage later. */
	names_begin(n);
	cr_assert_eq(names_take(n, NAMES_LISTENER, "x", 1, &id), -1);
	names_commit(n);
	names_begin(n);
	cr_assert_eq(names_take(n, NAMES_LISTENER, "x", 1, &id), 0);
	cr_assert_eq(id.id, 0);
	names_commit(n);
	names_free(n);
}

/* Many names, half of them changing each time: dense ids, tags never twice. */
Test(names, churn)
{
	enum { N = 2000, STAGES = 20 };
	static uint32_t last_tag[4 * N];
	struct names *n = names_new();
	struct name_id id;
	char key[32];
	int i, stage;

	for (stage = 0; stage < STAGES; stage++) {
		names_begin(n);
		for (i = 0; i < N; i++) {
			snprintf(key, sizeof(key), "%d",
			    i % 2 == 0 ? i : i + stage * N);
			id = take(n, key);
			cr_assert_lt(id.id, 2 * N);
			if (i % 2 == 0 && stage > 0)
				cr_assert_eq(last_tag[id.id], id.tag);
			else
				cr_assert_gt(id.tag, last_tag[id.id]);
			last_tag[id.id] = id.tag;
		}
		names_commit(n);
		cr_assert_eq(names_count(n, NAMES_CLUSTER), N);
	}
	names_free(n);
}

/* One hole far below: it is filled first, then what is above all (N4). */
Test(names, the_lowest_free_id_is_taken)
{
	enum { N = 300, HOLE = 5 };
	struct names *n = names_new();
	struct name_id id;
	char key[32];
	int i, stage;

	cr_assert_eq(find(n, "0"), -1, "nothing is there yet");
	for (stage = 0; stage < 3; stage++) {
		names_begin(n);
		for (i = 0; i < N; i++) {
			if (stage > 0 && i == HOLE)
				continue;
			snprintf(key, sizeof(key), "%d", i);
			cr_assert_eq(take(n, key).id, i);
		}
		if (stage == 2) {
			cr_assert_eq(take(n, "fills it").id, HOLE);
			cr_assert_eq(take(n, "the next").id, N);
		}
		names_commit(n);
	}

	/* An abort gives its ids back too, the lowest first. */
	names_begin(n);
	cr_assert_eq(take(n, "x").id, N + 1);
	cr_assert_eq(take(n, "y").id, N + 2);
	names_abort(n);
	names_begin(n);
	id = take(n, "y");
	cr_assert_eq(id.id, N + 1);
	names_commit(n);
	names_free(n);
	names_free(NULL);
}
