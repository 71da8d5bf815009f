/*
 * t/unit/generations_move.c - generations that go on in another arena, and in
 * the hands of another master: I2 and I3 of master/generations.h.
 */
#include "master/generations.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "t/lib/unit_generations.h"

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

Test(generations_move, compaction)
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
	cr_assert_eq(g.newest.generation.tag_last, names_tag(g.names));
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

Test(generations_move, compaction_without_descriptors)
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

Test(generations_move, a_successor_goes_on_from_what_was_kept)
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
	cr_assert_eq(generations_open_kept(&next, &unit_options, (int[]){
	    kept, g.image.arena.fd, g.image.secrets.fd, g.journal.fd }, why,
	    sizeof(why)), 0, "%s", why);
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
	cr_assert_eq(next.newest.generation.tag_last, tag);
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
Test(generations_move, a_successor_of_rubbish)
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
			    &unit_options, (int[]){ fds[KEPT], fds[ARENA],
			    fds[SECRETS], -1 }, why, sizeof(why)), -1,
			    "%d %d", kind, i);
			cr_assert_not_null(strstr(why, whys[kind]),
			    "%d %d: %s", kind, i, why);
			generations_close(&next);
			cr_assert_eq(unit_descriptors_n(), before, "%d %d",
			    kind, i);
		}
	cr_assert_eq(generations_open_kept(&next, &unit_options, (int[]){
	    good[KEPT], good[ARENA], good[SECRETS], -1 }, why, sizeof(why)),
	    0, "%s", why);
	generations_close(&next);
	for (int i = 0; i < 4; i++)
		close(bad[i]);
	end();
}
