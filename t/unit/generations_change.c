/*
 * t/unit/generations_change.c - what moves a generation on: a stage that is
 * dropped, the endpoints of one cluster, a fresh arena, a master's successor.
 * generations.c has the file and its refusals.
 */
#include "master/generations.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "master/names.h"
#include "t/lib/unit_generations.h"
#include "t/lib/unit_process.h"

/* Two pages of clusters; the one that changes has neighbours in both. */
enum { CLUSTERS_N = PAGE_SLOTS + 8, CHANGED = 5 };

#define ONE UNIT_ENDPOINT("10.0.0.1", "")
#define TWO UNIT_ENDPOINT("10.0.0.2", ", load_balancing_weight: 3")
#define THREE UNIT_ENDPOINT("10.0.0.3", "")

static struct generations g;
static int descriptors_n;		/* before anything was opened */

static void
begin(void)
{
	descriptors_n = unit_descriptors_n();
	unit_folder_open();
	unit_key_write("the first key");
	unit_file_write("workers: 2", 10000, CLUSTERS_N, ONE ", " TWO);
	cr_assert_eq(generations_open(&g, &unit_options, why, sizeof(why)), 0,
	    "%s", why);
	cr_assert_eq(generations_next(&g, why, sizeof(why)), 0, "%s", why);
}

static void
end(void)
{
	generations_close(&g);
	unit_folder_close();
	cr_assert_eq(unit_descriptors_n(), descriptors_n);
}

/* All that a change that does not come about must leave. */
struct before {
	char		*text;
	uint64_t	 number, allocated;
	uint32_t	 tag, blocks_n;
	size_t		 names_n[NAMES_KINDS];
	int64_t		 drain_time_ms;
	int		 descriptors;
};

static void
look(struct before *b)
{
	struct heap_bytes bytes;

	heap_measure(g.image.blocks, &bytes);
	b->text = unit_dumped(&g);
	b->number = unit_published(&g.image.arena);
	b->allocated = heap_allocated(g.image.blocks);
	b->blocks_n = bytes.blocks_n;
	b->tag = names_tag(g.names);
	for (int kind = 0; kind < NAMES_KINDS; kind++)
		b->names_n[kind] = names_count(g.names,
		    (enum names_kind)kind);
	b->drain_time_ms = g.conf.drain_time_ms;
	b->descriptors = unit_descriptors_n();
}

/* NULL, or what is not as it was. */
static const char *
changed(const struct before *b)
{
	struct before now;
	bool same;

	look(&now);
	same = strcmp(now.text, b->text) == 0;
	free(now.text);
	if (!same || now.number != b->number ||
	    generations_root(&g)->number != b->number)
		return "the published generation";
	if (now.allocated != b->allocated || now.blocks_n != b->blocks_n)
		return "what the arena holds";
	if (now.tag != b->tag || memcmp(now.names_n, b->names_n,
	    sizeof(now.names_n)) != 0)
		return "the names";
	if (now.drain_time_ms != b->drain_time_ms)
		return "the settings";
	return now.descriptors != b->descriptors ? "the descriptors" : NULL;
}

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

static const struct block_cluster *
cluster_named(const char *name)
{
	struct name_id id;

	cr_assert_eq(names_known(g.names, NAMES_CLUSTER, name, strlen(name),
	    &id), 0);
	return block_cluster_find(&g.image.arena, generations_root(&g),
	    id.id);
}

static int
assign(const char *endpoints)
{
	char text[2048];

	snprintf(text, sizeof(text), "name: c%d\nload_assignment: "
	    "{cluster_name: x, endpoints: [{lb_endpoints: [%s]}]}", CHANGED,
	    endpoints);
	return unit_assign(&g, text);
}

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
		cr_assert_eq(generations_root(&g)->tag_last,
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

/* ---- I2, I3: a fresh arena */

/* Changes until half of the arena is dead, and more than 1 MiB is used. */
static void
wear(void)
{
	static char endpoints[128 << 10];
	static int weight;

	while (g.image.arena.used_bytes < (5 << 18)) {
		FILE *f = fmemopen(endpoints, sizeof(endpoints), "w");
		char *text;

		weight++;
		for (int i = 0; i < 500; i++)
			fprintf(f, "%s{endpoint: {address: {socket_address: "
			    "{address: 10.1.%d.%d, port_value: 80}}}, "
			    "load_balancing_weight: %d}", i == 0 ? "" : ", ",
			    i / 250, i % 250, weight);
		fclose(f);
		cr_assert_gt(asprintf(&text, "name: c7\nload_assignment: "
		    "{cluster_name: c7, endpoints: [{lb_endpoints: [%s]}]}",
		    endpoints), 0);
		cr_assert_eq(unit_assign(&g, text), 0, "%s", why);
		free(text);
	}
}

Test(generations_change, compaction)
{
	struct arena worker;
	uint64_t number;
	int old_fd, secrets_fd;
	char *text, *after;

	begin();
	cr_assert_eq(generations_compact(&g, why, sizeof(why)), 0);
	wear();
	cr_assert_eq(generations_compact(&g, why, sizeof(why)), 0,
	    "older generations are in use");
	generations_reclaim(&g, UINT64_MAX);
	cr_assert_eq(generations_stage(&g, NULL, why, sizeof(why)), 0, "%s",
	    why);
	cr_assert_eq(generations_compact(&g, why, sizeof(why)), 0,
	    "in a stage");
	generations_drop(&g);

	number = unit_published(&g.image.arena);
	old_fd = g.image.arena.fd;
	secrets_fd = g.image.secrets.fd;
	text = unit_dumped(&g);
	cr_assert_eq(arena_open(&worker, dup(old_fd), why, sizeof(why)), 0);
	cr_assert_eq(generations_compact(&g, why, sizeof(why)), 1, "%s", why);
	cr_assert_eq(unit_published(&g.image.arena), number + 1);
	cr_assert_eq(generations_root(&g)->number, number + 1);
	cr_assert_eq(g.moved, number + 1);
	cr_assert_eq(g.compactions, 1);
	cr_assert_neq(g.image.arena.fd, old_fd);
	cr_assert_eq(g.before.arena.fd, old_fd);
	cr_assert_eq(g.image.secrets.fd, secrets_fd);
	cr_assert_lt(g.image.arena.used_bytes, 1 << 20);
	cr_assert_eq(unit_published(&worker), number, "until it is told");
	after = unit_dumped(&g);
	cr_assert_str_eq(text, after);
	free(after);
	free(text);

	/* It goes on, and keeps the old one for as long as it is used. */
	wear();
	generations_reclaim(&g, number);
	cr_assert_eq(g.before.arena.fd, old_fd, "somebody is at number");
	cr_assert_eq(fcntl(old_fd, F_GETFD), FD_CLOEXEC);
	cr_assert_eq(unit_published(&g.before.arena), number);
	cr_assert_eq(generations_compact(&g, why, sizeof(why)), 0,
	    "not while one is left behind");
	generations_reclaim(&g, number + 1);
	cr_assert_eq(g.before.arena.fd, -1);
	cr_assert_eq(fcntl(old_fd, F_GETFD), -1);
	generations_reclaim(&g, UINT64_MAX);
	number = unit_published(&g.image.arena);
	cr_assert_eq(generations_compact(&g, why, sizeof(why)), 1, "%s", why);
	cr_assert_eq(unit_published(&g.image.arena), number + 1);
	cr_assert_eq(g.compactions, 2);
	cr_assert_eq(generations_next(&g, why, sizeof(why)), 0, "%s", why);
	cr_assert_eq(unit_published(&g.image.arena), number + 2);
	arena_close(&worker);
	end();
}

Test(generations_change, compaction_without_descriptors)
{
	struct rlimit all, few;
	struct before before;

	begin();
	wear();
	generations_reclaim(&g, UINT64_MAX);
	look(&before);
	getrlimit(RLIMIT_NOFILE, &all);
	few = all;
	few.rlim_cur = 3;
	setrlimit(RLIMIT_NOFILE, &few);
	cr_assert_eq(generations_compact(&g, why, sizeof(why)), -1);
	setrlimit(RLIMIT_NOFILE, &all);
	cr_assert_null(changed(&before), "%s", changed(&before));
	cr_assert_eq(g.before.arena.fd, -1);
	cr_assert_eq(assign(THREE), 0, "%s", why);
	free(before.text);
	end();
}

/* ---- I2: a master's successor */

Test(generations_change, a_successor_goes_on_from_what_was_kept)
{
	struct generations next;
	char *text, *after;
	uint32_t tag;
	int kept;

	begin();
	unit_key_write("the second key");
	unit_file_write("workers: 2, drain_time_ms: 7", 10002, 3,
	    TWO ", " THREE);
	cr_assert_eq(generations_stage(&g, &kept, why, sizeof(why)), 0, "%s",
	    why);
	generations_publish(&g);
	text = unit_dumped(&g);
	tag = names_tag(g.names);

	/* Somebody edits meanwhile; one more file is the next one's. */
	unit_write(unit_key, "rubbish");
	unit_write(unit_file, "rubbish: [");
	cr_assert_eq(generations_open_kept(&next, &unit_options, kept,
	    g.image.arena.fd, g.image.secrets.fd, why, sizeof(why)), 0, "%s",
	    why);
	close(kept);
	cr_assert_eq(names_tag(next.names), tag);
	cr_assert_eq(generations_stage(&next, &kept, why, sizeof(why)), 0,
	    "%s", why);
	generations_drop(&next);
	close(kept);
	/* What was dropped was no look at the disk. */
	cr_assert_eq(generations_stage(&next, &kept, why, sizeof(why)), 0,
	    "%s", why);
	close(kept);
	generations_publish(&next);
	cr_assert_eq(unit_published(&next.image.arena), 3);
	cr_assert_eq(next.conf.drain_time_ms, 7);
	after = unit_dumped(&next);
	cr_assert_str_eq(text, after, "ids, tags and the key's hash too");
	cr_assert_eq(names_tag(next.names), tag);
	cr_assert_eq(generations_root(&next)->tag_last, tag);
	free(after);
	free(text);
	generations_close(&g);
	g = next;
	image_settle(&g.image);

	/* From now on the disk, and no tag comes twice. */
	cr_assert_eq(generations_next(&g, why, sizeof(why)), -1);
	unit_key_write("the third key");
	unit_file_write("workers: 2", 10002, 9, ONE);
	cr_assert_eq(generations_next(&g, why, sizeof(why)), 0, "%s", why);
	cr_assert_eq(unit_published(&g.image.arena), 4);
	cr_assert_gt(cluster_named("c8")->tag, tag);
	end();
}

static int
rubbish(const char *bytes)
{
	int fd = memfd_create("rubbish", MFD_CLOEXEC);

	cr_assert_eq(write(fd, bytes, strlen(bytes)), (ssize_t)strlen(bytes));
	return fd;
}

/* The keeper holds what it was given: a sentence, no crash, and nothing open
 * that was not before. */
Test(generations_change, a_successor_of_rubbish)
{
	enum { KEPT, ARENA, SECRETS, KINDS };
	static const char *const whys[KINDS] = {
		[KEPT] = "the configuration that was kept can't be read",
		[ARENA] = "arena", [SECRETS] = "arena",
	};
	int good[KINDS], bad[4], before;
	struct generations next;

	begin();
	cr_assert_eq(generations_stage(&g, &good[KEPT], why, sizeof(why)), 0);
	generations_publish(&g);
	good[ARENA] = g.image.arena.fd;
	good[SECRETS] = g.image.secrets.fd;
	bad[0] = rubbish("");
	bad[1] = rubbish("a few bytes that are no head, nor anything else");
	bad[2] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	bad[3] = good[KEPT];
	before = unit_descriptors_n();
	for (int kind = 0; kind < KINDS; kind++)
		for (int i = 0; i < 4; i++) {
			int fds[KINDS] = { good[0], good[1], good[2] };

			fds[kind] = kind == KEPT && i == 3 ? good[ARENA] :
			    bad[i];
			why[0] = '\0';
			cr_assert_eq(generations_open_kept(&next,
			    &unit_options, fds[KEPT], fds[ARENA],
			    fds[SECRETS], why, sizeof(why)), -1, "%d %d",
			    kind, i);
			cr_assert_not_null(strstr(why, whys[kind]),
			    "%d %d: %s", kind, i, why);
			generations_close(&next);
			cr_assert_eq(unit_descriptors_n(), before, "%d %d",
			    kind, i);
		}
	cr_assert_eq(generations_open_kept(&next, &unit_options, good[KEPT],
	    good[ARENA], good[SECRETS], why, sizeof(why)), 0, "%s", why);
	generations_close(&next);
	for (int i = 0; i < 4; i++)
		close(bad[i]);
	end();
}
