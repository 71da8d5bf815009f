/*
 * t/unit/generations_change.c - what a stage that is dropped leaves, and the
 * endpoints of one cluster that change; generations.c has the file and its
 * refusals, generations_move.c the next arena and the next master.
 */
#include "master/generations.h"

#include <criterion/criterion.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/resource.h>

#include "t/lib/unit_generations.h"

/* ---- I1 */

Test(generations_change, a_dropped_stage_leaves_all)
{
	struct before before;
	struct control_settings s;
	struct control_listener l;
	uint64_t used = 0;
	char *text;
	int fd;

	begin();
	look(&before);
	for (int round = 0; round < 5; round++) {
		unit_key_write("another key");
		unit_file_write("workers: 3, drain_time_ms: 7", 10001,
		    CLUSTERS_N + 300, TWO ", " THREE);
		cr_assert_eq(generations_stage(&g, round % 2 == 0 ? &fd :
		    NULL, why, sizeof(why)), 0, "%s", why);
		cr_assert_eq(generations_settings(&g, &s, why, sizeof(why)),
		    0);
		cr_assert_eq(s.workers_n, 3, "what the keeper must know");
		generations_listener(&g, 0, &l);
		cr_assert_eq(((const struct sockaddr_in *)(const void *)
		    &l.address)->sin_port, htons(10001));
		cr_assert_eq(unit_published(&g.image.arena), before.number);
		cr_assert_eq(g.conf.drain_time_ms, before.drain_time_ms);
		if (round % 2 == 0)
			close(fd);
		generations_drop(&g);
		cr_assert_null(changed(&before), "%s", changed(&before));
		if (round == 0)
			used = g.image.arena.used_bytes;
		cr_assert_eq(g.image.arena.used_bytes, used);
		cr_assert_eq(generations_settings(&g, &s, why, sizeof(why)),
		    0);
		cr_assert_eq(s.workers_n, 2);
	}
	/* Nor does the next one know: the same file, the same ids. */
	unit_key_write("the first key");
	unit_file_write("workers: 2", 10000, CLUSTERS_N, ONE ", " TWO);
	cr_assert_eq(generations_next(&g, why, sizeof(why)), 0, "%s", why);
	cr_assert_eq(unit_published(&g.image.arena), before.number + 1);
	text = unit_dumped(&g);
	cr_assert_str_eq(text, before.text);
	free(text);
	free(before.text);
	end();
}

/* What the keeper would need after our death can't be kept: a refusal. */
Test(generations_change, a_stage_that_can_not_be_kept_leaves_all)
{
	const struct rlimit none = { 0, RLIM_INFINITY };
	struct before before;
	struct rlimit all;
	int fd = -1, rc;

	begin();
	look(&before);
	unit_file_write("workers: 2, drain_time_ms: 7", 10001, 3, THREE);
	getrlimit(RLIMIT_FSIZE, &all);
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &none);
	rc = generations_stage(&g, &fd, why, sizeof(why));
	setrlimit(RLIMIT_FSIZE, &all);
	cr_assert_eq(rc, -1);
	cr_assert_eq(fd, -1);
	cr_assert_not_null(strstr(why, "can't keep the configuration"), "%s",
	    why);
	cr_assert_not(g.is_staged);
	cr_assert_null(changed(&before), "%s", changed(&before));
	free(before.text);
	end();
}

/* ---- the endpoints of one cluster */

static const struct block_list *
pages_of(const struct block_root *root)
{
	return arena_at(&g.image.arena, root->clusters);
}

/* NULL, or which block is another that has no part in the change. */
static const char *
others_moved(const struct block_root *old, uint32_t slot)
{
	const struct block_root *new = generations_root(&g);
	const struct block_list *from = pages_of(old), *to = pages_of(new);

	if (old->listeners != new->listeners)
		return "the listeners";
	if (from->n != 2 || to->n != 2)
		return "the number of pages";
	for (uint32_t i = 0; i < CLUSTERS_N + 1; i++) {
		const struct block_list *a = arena_at(&g.image.arena,
		    from->at[i / PAGE_SLOTS]);
		const struct block_list *b = arena_at(&g.image.arena,
		    to->at[i / PAGE_SLOTS]);

		if (i / PAGE_SLOTS != slot / PAGE_SLOTS && a != b)
			return "the other page";
		if (i != slot && a->at[i % PAGE_SLOTS] !=
		    b->at[i % PAGE_SLOTS])
			return "another cluster";
	}
	return NULL;
}

/* The endpoint 10.0.0.last, or NULL. */
static const struct block_endpoint *
endpoint(const struct block_cluster *c, uint8_t last)
{
	const struct block_balance *b = arena_at(&g.image.arena, c->balance);

	for (uint32_t i = 0; i < b->endpoints_n; i++)
		if (b->endpoints[i].address.bytes[3] == last)
			return &b->endpoints[i];
	return NULL;
}

Test(generations_change, an_assignment_costs_its_path)
{
	static const struct {
		const char	*what, *endpoints;
		uint32_t	 blocks_n;	/* that are new */
		uint32_t	 weights[4];	/* of 10.0.0.n; 0: gone */
		int		 more;		/* endpoints of all */
	} cases[] = {
		{ "added", ONE ", " TWO ", " THREE, 5, { 0, 1, 3, 1 }, 1 },
		{ "removed", TWO, 5, { 0, 0, 3 }, -1 },
		{ "all removed", "", 5, { 0 }, -2 },
		{ "weight", ONE ", " UNIT_ENDPOINT("10.0.0.2",
		    ", load_balancing_weight: 9"), 5, { 0, 1, 9 }, 0 },
		{ "one for another", THREE ", " TWO, 5, { 0, 0, 3, 1 }, 0 },
		{ "ill", UNIT_ENDPOINT("10.0.0.1", ", health_status: "
		    "UNHEALTHY") ", " TWO, 5, { 0, 0, 3 }, 0 },
		{ "in another order", TWO ", " ONE, 1, { 0, 1, 3 }, 0 },
		{ "the same", ONE ", " TWO, 1, { 0, 1, 3 }, 0 },
	};
	uint32_t endpoints_n;

	begin();
	endpoints_n = g.newest.generation.endpoints_n;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *what = cases[i].what, *moved;
		const struct block_root *old;
		struct block_cluster was;
		struct heap_bytes before, after;
		uint64_t number;
		uint32_t tag, ids[4] = { 0 };

		cr_assert_eq(assign(ONE ", " TWO), 0, "%s", why);
		generations_reclaim(&g, UINT64_MAX);
		number = unit_published(&g.image.arena);
		old = generations_root(&g);
		was = *cluster_named("c5");
		for (uint8_t j = 1; j < 3; j++)
			ids[j] = endpoint(&was, j)->id;
		tag = names_tag(g.names);
		heap_measure(g.image.blocks, &before);

		cr_assert_eq(assign(cases[i].endpoints), 0, "%s: %s", what,
		    why);
		heap_measure(g.image.blocks, &after);
		cr_assert_eq(unit_published(&g.image.arena), number + 1);
		cr_assert_eq(generations_root(&g)->number, number + 1);
		cr_assert_eq(after.blocks_n - before.blocks_n,
		    cases[i].blocks_n, "%s", what);
		moved = others_moved(old, was.slot);
		cr_assert_null(moved, "%s: %s", what, moved);
		cr_assert_eq(g.newest.generation.endpoints_n,
		    (uint32_t)((int)endpoints_n + cases[i].more), "%s", what);

		const struct block_cluster *is = cluster_named("c5");

		cr_assert(is->name == was.name && is->tag == was.tag &&
		    is->slot == was.slot && is->tls == was.tls, "%s", what);
		for (uint8_t j = 1; j < 4; j++) {
			const struct block_endpoint *e = endpoint(is, j);

			cr_assert_eq(e == NULL ? 0 : e->weight,
			    cases[i].weights[j], "%s: %u", what, j);
			if (e != NULL && j < 3)
				cr_assert_eq(e->id, ids[j], "%s", what);
			if (e != NULL && j == 3)
				cr_assert_gt(e->tag, tag, "%s", what);
		}
		cr_assert_eq(g.newest.generation.tag_last,
		    names_tag(g.names));
		generations_reclaim(&g, number + 1);
		heap_measure(g.image.blocks, &after);
		cr_assert_eq(after.blocks_n, before.blocks_n, "%s", what);
	}
	end();
}

/* Who left and came back is another one, in another id than the one that is
 * on its way out. */
Test(generations_change, an_endpoint_that_comes_back)
{
	struct block_endpoint first, again;

	begin();
	first = *endpoint(cluster_named("c5"), 1);
	cr_assert_eq(assign(TWO), 0, "%s", why);
	cr_assert_eq(assign(ONE ", " TWO), 0, "%s", why);
	again = *endpoint(cluster_named("c5"), 1);
	cr_assert_eq(again.id, first.id, "the lowest that is free");
	cr_assert_gt(again.tag, first.tag);
	cr_assert_eq(assign(TWO ", " THREE), 0, "%s", why);
	cr_assert_neq(endpoint(cluster_named("c5"), 3)->id, again.id);
	end();
}

Test(generations_change, a_refused_assignment_leaves_all)
{
	static const struct { const char *cluster, *why; } cases[] = {
		{ "name: nobody\nload_assignment: {cluster_name: x}",
		    "there is no cluster \"nobody\"" },
		{ "name: c5", "load_assignment: is missing" },
		{ "name: c5\nload_assignment: {}",
		    "load_assignment.cluster_name" },
		{ "name: c5\nload_assignment: {cluster_name: c5, endpoints: "
		    "[{lb_endpoints: [" THREE ", " UNIT_ENDPOINT("host.name",
		    "") "]}]}", "lb_endpoints[1].endpoint.address."
		    "socket_address.address: \"host.name\" is no IP address" },
		{ "name: c5\nload_assignment: {cluster_name: c5, endpoints: "
		    "[{lb_endpoints: [" THREE "]}, {lb_endpoints: [" ONE ", "
		    THREE "]}]}", "endpoints[1].lb_endpoints[1]: endpoint "
		    "\"10.0.0.3_80\" is there twice, first at "
		    "load_assignment.endpoints[0].lb_endpoints[0]" },
		{ "name: c5\nload_assignment: {cluster_name: c5, endpoints: "
		    "[{priority: 1, lb_endpoints: [" THREE "]}]}",
		    "priority" },
		{ "name: c5\ncommon_lb_config: {healthy_panic_threshold: "
		    "{value: 101}}\nload_assignment: {cluster_name: c5, "
		    "endpoints: [{lb_endpoints: [" THREE "]}]}",
		    "healthy_panic_threshold" },
	};
	struct before before;
	uint64_t used = 0;

	begin();
	cr_assert_eq(assign(TWO), 0, "%s", why);
	generations_reclaim(&g, UINT64_MAX);
	look(&before);
	for (int round = 0; round < 20; round++) {
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]);
		    i++) {
			cr_assert_eq(unit_assign(&g, cases[i].cluster), -1,
			    "case %zu", i);
			cr_assert_not_null(strstr(why, cases[i].why),
			    "case %zu: %s", i, why);
			cr_assert_null(changed(&before), "case %zu: %s", i,
			    changed(&before));
		}
		if (round == 0)
			used = g.image.arena.used_bytes;
		cr_assert_eq(g.image.arena.used_bytes, used);
	}
	free(before.text);
	end();
}
