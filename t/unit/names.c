/* t/unit/names.c - slots by name: what master/names.h promises, N1 to N4. */
#include "master/names.h"

#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdbool.h>
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

/* ---- endpoints, and stages of one cluster's */

static struct block_address
address(uint8_t last)
{
	return (struct block_address){ { 10, 0, 0, last }, AF_INET, 8080 };
}

static struct name_id
take_endpoint(struct names *n, struct name_id cluster, uint8_t last)
{
	const struct block_address a = address(last);
	struct name_id id = { 0, 0 };

	cr_assert_eq(names_take_endpoint(n, cluster, &a, &id), 0, "%u", last);
	return id;
}

static bool
same(struct name_id a, struct name_id b)
{
	return a.id == b.id && a.tag == b.tag;
}

/* Two clusters of PART endpoints with the same addresses, 0 to PART - 1. */
enum { PART = 4 };

struct two {
	struct name_id	a, b, of_a[PART], of_b[PART];
};

static struct names *
two_open(struct two *t)
{
	struct names *n = names_new();

	names_begin(n);
	t->a = take(n, "a");
	t->b = take(n, "b");
	for (uint8_t i = 0; i < PART; i++) {
		t->of_a[i] = take_endpoint(n, t->a, i);
		t->of_b[i] = take_endpoint(n, t->b, i);
	}
	names_commit(n);
	return n;
}

/* All of b is as it was, in a stage that takes all of it again. */
static void
b_stayed(struct names *n, const struct two *t)
{
	cr_assert(same(take(n, "b"), t->b));
	for (uint8_t i = 0; i < PART; i++)
		cr_assert(same(take_endpoint(n, t->b, i), t->of_b[i]), "%u",
		    i);
}

Test(names, a_stage_of_one_cluster_frees_only_there)
{
	const struct block_address two = address(2);
	struct name_id added, id;
	struct two t;
	struct names *n = two_open(&t);

	names_begin_part(n);
	names_retake(n, t.a);
	for (uint8_t i = 1; i < PART; i++)
		cr_assert(same(take_endpoint(n, t.a, i), t.of_a[i]), "%u", i);
	cr_assert_eq(names_take_endpoint(n, t.a, &two, &id), 1);
	cr_assert(same(id, t.of_a[2]));
	added = take_endpoint(n, t.a, 9);
	cr_assert_eq(added.id, 2 * PART, "not the id that this stage frees");
	cr_assert_gt(added.tag, t.of_b[PART - 1].tag);
	names_commit(n);
	cr_assert_eq(names_count(n, NAMES_ENDPOINT), 2 * PART);
	cr_assert_eq(names_count(n, NAMES_CLUSTER), 2);
	cr_assert_eq(names_known(n, NAMES_CLUSTER, "b", 1, &id), 0);
	cr_assert(same(id, t.b));

	/* What it freed is there for the next stage, of whichever cluster. */
	names_begin_part(n);
	names_retake(n, t.b);
	for (uint8_t i = 0; i < PART; i++)
		cr_assert(same(take_endpoint(n, t.b, i), t.of_b[i]), "%u", i);
	id = take_endpoint(n, t.b, 9);
	cr_assert_eq(id.id, t.of_a[0].id);
	cr_assert_eq(id.tag, added.tag + 1);
	names_abort(n);

	/* A whole stage without a: its endpoints go with it. */
	names_begin(n);
	b_stayed(n, &t);
	names_commit(n);
	cr_assert_eq(names_count(n, NAMES_CLUSTER), 1);
	cr_assert_eq(names_count(n, NAMES_ENDPOINT), PART);
	cr_assert_eq(names_known(n, NAMES_CLUSTER, "a", 1, &id), -1);
	names_free(n);
}

Test(names, an_aborted_stage_of_one_cluster_leaves_no_trace)
{
	struct name_id a, want;
	struct two t, never_t;
	struct names *n = two_open(&t), *never = two_open(&never_t);

	for (uint8_t round = 0; round < 20; round++) {
		names_begin_part(n);
	names_retake(n, t.a);
		take_endpoint(n, t.a, 1);
		take_endpoint(n, t.a, (uint8_t)(100 + round));
		take_endpoint(n, t.a, (uint8_t)(200 + round));
		names_abort(n);
		cr_assert_eq(names_count(n, NAMES_ENDPOINT), 2 * PART);
		cr_assert_eq(names_tag(n), names_tag(never));
	}
	names_begin(n);
	names_begin(never);
	b_stayed(n, &t);
	b_stayed(never, &never_t);
	a = take(n, "a");
	cr_assert(same(a, take(never, "a")));
	for (uint8_t i = 0; i < 2 * PART; i++) {
		want = take_endpoint(never, a, i);
		cr_assert(same(take_endpoint(n, a, i), want), "%u", i);
	}
	names_commit(n);
	names_commit(never);
	names_free(n);
	names_free(never);
}

/* Endpoints come and go in stages of their clusters: ids stay dense, those
 * that stay keep theirs, and no tag comes twice. */
Test(names, churn_in_one_cluster_after_another)
{
	enum { STAGES = 400, EACH = 50 };
	static uint32_t tag_of[4 * EACH];
	struct name_id of[2], id;
	struct names *n = names_new();
	uint32_t newest = 0;

	names_begin(n);
	of[0] = take(n, "a");
	of[1] = take(n, "b");
	names_commit(n);
	for (uint8_t stage = 0; stage < STAGES / 2; stage++)
		for (int c = 0; c < 2; c++) {
			names_begin_part(n);
	names_retake(n, of[c]);
			newest = names_tag(n);
			for (uint8_t i = 0; i < EACH; i++) {
				id = take_endpoint(n, of[c],
				    (uint8_t)(stage + i));
				cr_assert_lt(id.id, 4 * EACH);
				if (stage > 0 && i < EACH - 1)
					cr_assert_eq(id.tag,
					    tag_of[id.id]);
				else
					cr_assert_gt(id.tag, newest);
				tag_of[id.id] = id.tag;
			}
			names_commit(n);
		}
	cr_assert_eq(names_count(n, NAMES_ENDPOINT), 2 * EACH);
	names_free(n);
}

/* ---- what a master before us gave */

static int
seed(struct names *n, enum names_kind kind, const char *key, uint32_t id,
    uint32_t tag)
{
	return names_seed(n, kind, key, strlen(key),
	    (struct name_id){ id, tag });
}

static int
seed_endpoint(struct names *n, struct name_id cluster, uint8_t last,
    uint32_t id, uint32_t tag)
{
	const struct block_address a = address(last);

	return names_seed_endpoint(n, cluster, &a,
	    (struct name_id){ id, tag });
}

Test(names, seeds_keep_their_ids)
{
	const struct name_id far = { 300, 70 }, low = { 1, 71 };
	struct names *n = names_new();
	struct name_id id;

	names_begin(n);
	cr_assert_eq(seed(n, NAMES_CLUSTER, "far", far.id, far.tag), 0);
	cr_assert_eq(seed(n, NAMES_CLUSTER, "low", low.id, low.tag), 0);
	cr_assert_eq(seed(n, NAMES_CLUSTER, "last", CLUSTERS_MAX - 1, 73), 0);
	cr_assert_eq(seed(n, NAMES_LISTENER, "far", 63, 72), 0,
	    "of another kind");
	cr_assert_eq(seed_endpoint(n, far, 1, 5, 80), 0);
	cr_assert_eq(seed_endpoint(n, low, 1, ENDPOINTS_MAX - 1, 81), 0,
	    "of another cluster");
	names_commit(n);
	names_tag_set(n, 99);
	cr_assert_eq(names_known(n, NAMES_LISTENER, "far", 3, &id), 0);
	cr_assert(id.id == 63 && id.tag == 72);

	/* The first file that the successor reads. */
	names_begin(n);
	cr_assert(same(take(n, "low"), low));
	cr_assert(same(take(n, "new"), (struct name_id){ 0, 100 }));
	cr_assert(same(take(n, "far"), far));
	cr_assert(same(take(n, "next"), (struct name_id){ 2, 101 }));
	cr_assert(same(take_endpoint(n, far, 1), (struct name_id){ 5, 80 }));
	cr_assert(same(take_endpoint(n, far, 2),
	    (struct name_id){ 0, 102 }));
	names_commit(n);
	cr_assert_eq(names_count(n, NAMES_CLUSTER), 4, "\"last\" is gone");
	cr_assert_eq(names_count(n, NAMES_ENDPOINT), 2, "and low's endpoint");
	cr_assert_eq(names_tag(n), 102);
	names_free(n);
}

Test(names, seeds_that_can_not_be)
{
	static const struct {
		const char	*what, *key;
		uint32_t	 id;
		enum names_kind	 kind;
	} names[] = {
		{ "its id is another's", "b", 7, NAMES_CLUSTER },
		{ "it has an id", "a", 8, NAMES_CLUSTER },
		{ "it has this id", "a", 7, NAMES_CLUSTER },
		{ "no such cluster slot", "b", CLUSTERS_MAX, NAMES_CLUSTER },
		{ "the last of all", "b", UINT32_MAX, NAMES_CLUSTER },
		{ "no such listener", "b", LISTENERS_MAX, NAMES_LISTENER },
	};
	static const struct {
		const char	*what;
		struct name_id	 cluster;
		uint32_t	 id;
		uint8_t		 last;
	} endpoints[] = {
		{ "its id is another's", { 7, 1 }, 3, 2 },
		{ "it has an id", { 7, 1 }, 4, 1 },
		{ "no such id", { 7, 1 }, ENDPOINTS_MAX, 2 },
		{ "nobody's cluster", { 6, 1 }, 4, 2 },
		{ "another owner's", { 7, 2 }, 4, 2 },
		{ "no such cluster", { CLUSTERS_MAX, 1 }, 4, 2 },
		{ "the last of all", { UINT32_MAX, 1 }, 4, 2 },
	};
	struct names *n = names_new();
	struct name_id a = { 7, 1 };

	names_begin(n);
	cr_assert_eq(seed(n, NAMES_CLUSTER, "a", a.id, a.tag), 0);
	cr_assert_eq(seed_endpoint(n, a, 1, 3, 2), 0);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		cr_assert_eq(seed(n, names[i].kind, names[i].key, names[i].id,
		    9), -1, "%s", names[i].what);
	for (size_t i = 0; i < sizeof(endpoints) / sizeof(endpoints[0]); i++)
		cr_assert_eq(seed_endpoint(n, endpoints[i].cluster,
		    endpoints[i].last, endpoints[i].id, 9), -1, "%s",
		    endpoints[i].what);
	cr_assert_eq(names_count(n, NAMES_LISTENER), 0);
	cr_assert_eq(names_count(n, NAMES_CLUSTER), 1);
	cr_assert_eq(names_count(n, NAMES_ENDPOINT), 1);

	/* An heir that gives up has an empty book. */
	names_abort(n);
	cr_assert_eq(names_count(n, NAMES_CLUSTER), 0);
	cr_assert_eq(names_count(n, NAMES_ENDPOINT), 0);
	names_begin(n);
	cr_assert(same(take(n, "a"), (struct name_id){ 0, 1 }));
	names_commit(n);
	names_free(n);
}

/* 0 is nobody's tag, and an abort gives back what it gave. */
Test(names, tags_go_on_from_where_they_are_set)
{
	struct names *n = names_new();

	cr_assert_eq(names_tag(n), 0);
	names_tag_set(n, UINT32_MAX - 1);
	names_begin(n);
	cr_assert_eq(take(n, "a").tag, UINT32_MAX);
	cr_assert_eq(take(n, "b").tag, 1);
	cr_assert_eq(names_tag(n), 1);
	names_abort(n);
	cr_assert_eq(names_tag(n), UINT32_MAX - 1);
	names_begin(n);
	cr_assert_eq(take(n, "b").tag, UINT32_MAX);
	names_commit(n);
	cr_assert_eq(names_tag(n), UINT32_MAX);
	names_free(n);
}

/* ---- parts: several clusters, and a resource that is refused */

/* Everything that can be told of t's names, by a whole stage that takes none
 * but in the end stays as it was. */
static void
as_before(struct names *n, const struct two *t, uint32_t tag)
{
	cr_assert_eq(names_tag(n), tag);
	cr_assert_eq(names_count(n, NAMES_CLUSTER), 2);
	cr_assert_eq(names_count(n, NAMES_ENDPOINT), 2 * PART);
	names_begin(n);
	cr_assert(same(take(n, "a"), t->a));
	for (uint8_t i = 0; i < PART; i++)
		cr_assert(same(take_endpoint(n, t->a, i), t->of_a[i]), "%u",
		    i);
	b_stayed(n, t);
	names_abort(n);
}

/* A part that makes a cluster, drops one, and retakes one. */
static void
change(struct names *n, const struct two *t)
{
	struct name_id c = take(n, "c");

	names_retake(n, c);
	take_endpoint(n, c, 1);
	names_drop(n, NAMES_CLUSTER, t->a);
	names_retake(n, t->b);
	take_endpoint(n, t->b, 3);
	take_endpoint(n, t->b, 9);
}

Test(names, a_part_keeps_what_it_does_not_name)
{
	struct name_id id;
	struct two t;
	struct names *n = two_open(&t);

	names_begin_part(n);
	change(n, &t);
	cr_assert_eq(names_find(n, NAMES_CLUSTER, "a", 1, &id), -1);
	cr_assert_eq(names_find(n, NAMES_CLUSTER, "b", 1, &id), 0);
	cr_assert_eq(names_find(n, NAMES_CLUSTER, "c", 1, &id), 0);
	cr_assert_eq(id.id, 2, "a's id is free in the next stage");
	names_commit(n);
	cr_assert_eq(names_count(n, NAMES_CLUSTER), 2);
	cr_assert_eq(names_count(n, NAMES_ENDPOINT), 3);
	cr_assert_eq(names_known(n, NAMES_CLUSTER, "a", 1, &id), -1);
	names_begin_part(n);
	cr_assert_eq(take(n, "d").id, t.a.id);
	names_retake(n, t.b);
	cr_assert(same(take_endpoint(n, t.b, 3), t.of_b[3]));
	names_commit(n);
	names_free(n);
}

Test(names, a_rollback_leaves_no_trace_and_the_rest_is_committed)
{
	struct name_id id;
	struct two t;
	struct names *n = two_open(&t);
	uint32_t tag = names_tag(n);
	size_t mark;

	for (int round = 0; round < 20; round++) {
		names_begin_part(n);
		mark = names_mark(n);
		change(n, &t);
		names_rollback(n, mark);
		cr_assert_eq(names_find(n, NAMES_CLUSTER, "a", 1, &id), 0);
		cr_assert_eq(names_find(n, NAMES_CLUSTER, "c", 1, &id), -1);
		if (round % 2 == 0)
			names_commit(n);
		else
			names_abort(n);
		as_before(n, &t, tag);
	}
	/* What was retaken well stays so when the next try is refused. */
	names_begin_part(n);
	names_retake(n, t.b);
	take_endpoint(n, t.b, 2);
	mark = names_mark(n);
	names_retake(n, t.b);
	take_endpoint(n, t.b, 0);
	take_endpoint(n, t.b, 7);
	names_rollback(n, mark);
	names_commit(n);
	cr_assert_eq(names_count(n, NAMES_ENDPOINT), PART + 1);
	names_begin_part(n);
	names_retake(n, t.b);
	cr_assert(same(take_endpoint(n, t.b, 2), t.of_b[2]));
	names_abort(n);
	names_free(n);
}

Test(names, what_is_dropped_and_taken_again_stays)
{
	struct two t;
	struct names *n = two_open(&t);
	uint32_t tag = names_tag(n);

	names_begin_part(n);
	names_drop(n, NAMES_CLUSTER, t.a);
	cr_assert(same(take(n, "a"), t.a));
	names_commit(n);
	as_before(n, &t, tag);
	names_begin_part(n);
	change(n, &t);
	names_abort(n);
	as_before(n, &t, tag);
	names_free(n);
}

/* Twice among what the part did, it is freed once. */
Test(names, a_cluster_made_and_dropped_in_one_part)
{
	struct name_id c, id;
	struct two t;
	struct names *n = two_open(&t);

	names_begin_part(n);
	c = take(n, "c");
	names_retake(n, c);
	take_endpoint(n, c, 1);
	names_drop(n, NAMES_CLUSTER, c);
	names_commit(n);
	cr_assert_eq(names_count(n, NAMES_CLUSTER), 2);
	cr_assert_eq(names_count(n, NAMES_ENDPOINT), 2 * PART);
	cr_assert_eq(names_known(n, NAMES_CLUSTER, "c", 1, &id), -1);
	names_free(n);
}

/* ---- parts: a cluster that is amended */

static void
leave(struct names *n, struct name_id cluster, uint8_t last)
{
	const struct block_address a = address(last);

	cr_assert(names_leave(n, cluster, &a));
}

static int
take_again(struct names *n, struct name_id cluster, uint8_t last,
    struct name_id *id)
{
	const struct block_address a = address(last);

	return names_take_endpoint(n, cluster, &a, id);
}

Test(names, who_is_amended_keeps_all_but_those_that_left)
{
	struct name_id id, nine;
	struct two t;
	struct names *n = two_open(&t);
	uint64_t set = names_set(n, t.a);

	names_begin_part(n);
	cr_assert(names_amend(n, t.a));
	cr_assert_neq(names_set(n, t.a), set);
	leave(n, t.a, 1);
	leave(n, t.a, 2);
	nine = take_endpoint(n, t.a, 9);
	cr_assert_neq(nine.id, t.of_a[1].id, "it is another's in this stage");
	cr_assert_eq(take_again(n, t.a, 0, &id), 1, "it is there");
	cr_assert_eq(take_again(n, t.a, 9, &id), 1, "it is there now");
	cr_assert_eq(take_again(n, t.a, 2, &id), 0, "it comes back");
	cr_assert(same(id, t.of_a[2]));
	cr_assert_eq(take_again(n, t.a, 2, &id), 1);
	names_commit(n);
	cr_assert_eq(names_count(n, NAMES_ENDPOINT), 2 * PART);
	names_begin(n);
	cr_assert(same(take(n, "a"), t.a));
	cr_assert(same(take_endpoint(n, t.a, 0), t.of_a[0]));
	cr_assert(same(take_endpoint(n, t.a, 2), t.of_a[2]));
	cr_assert(same(take_endpoint(n, t.a, 9), nine));
	cr_assert(!same(take_endpoint(n, t.a, 1), t.of_a[1]), "it left");
	b_stayed(n, &t);
	names_abort(n);
	names_free(n);
}

/* Amended, retaken, dropped: each name is freed once, or not at all. */
Test(names, an_amendment_among_other_things)
{
	struct name_id id;
	struct two t;
	struct names *n = two_open(&t);
	uint32_t tag = names_tag(n);
	uint64_t set = names_set(n, t.a);
	size_t mark;

	/* Rolled back, aborted: the set is the one before. */
	names_begin_part(n);
	mark = names_mark(n);
	cr_assert(names_amend(n, t.a));
	leave(n, t.a, 0);
	take_endpoint(n, t.a, 9);
	names_rollback(n, mark);
	cr_assert_eq(names_set(n, t.a), set);
	names_commit(n);
	as_before(n, &t, tag);
	names_begin_part(n);
	cr_assert(names_amend(n, t.a));
	leave(n, t.a, 0);
	names_abort(n);
	cr_assert_eq(names_set(n, t.a), set);
	as_before(n, &t, tag);
	/* One that left is among those that are taken anew, one is not; one
	 * came and left. */
	names_begin_part(n);
	cr_assert(names_amend(n, t.a));
	leave(n, t.a, 0);
	leave(n, t.a, 1);
	take_endpoint(n, t.a, 9);
	leave(n, t.a, 9);
	cr_assert(names_retake(n, t.a));
	cr_assert_eq(take_again(n, t.a, 0, &id), 0);
	cr_assert(same(id, t.of_a[0]));
	names_commit(n);
	cr_assert_eq(names_count(n, NAMES_ENDPOINT), PART + 1);
	/* Its cluster goes too. */
	names_begin_part(n);
	cr_assert(names_amend(n, t.b));
	leave(n, t.b, 1);
	take_endpoint(n, t.b, 8);
	names_drop(n, NAMES_CLUSTER, t.b);
	names_commit(n);
	cr_assert_eq(names_count(n, NAMES_ENDPOINT), 1);
	cr_assert_eq(names_count(n, NAMES_CLUSTER), 1);
	names_free(n);
}
