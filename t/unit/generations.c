/* t/unit/generations.c - from the file to published generations, and what a
 * refusal leaves; see master/generations.h */
#include "master/generations.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "t/lib/unit_listener.h"
#include "t/lib/unit_process.h"

static char file[64], why[1024];
static struct options options;

/* Listeners are named by letters: each at port 10000 + the letter's place,
 * moved by port. godwit is what stands under that key. */
static void
file_write(const char *godwit, const char *listeners, int port,
    const char *cluster)
{
	char routes[256];
	FILE *f = fopen(file, "w");

	cr_assert_not_null(f);
	fprintf(f, "godwit: {%s}\nstatic_resources:\n  listeners:\n", godwit);
	snprintf(routes, sizeof(routes), UNIT_ROUTES_TO("%s"), cluster);
	for (; *listeners != '\0'; listeners++)
		unit_listener_print(f, (char[]){ *listeners, '\0' }, 10000 +
		    *listeners - 'a' + port, routes);
	fprintf(f, "  clusters:\n  - {name: c, type: STATIC, connect_timeout: "
	    "1s, typed_extension_protocol_options: {\n"
	    "    envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {\n"
	    "      \"@type\": type.googleapis.com/envoy.extensions.upstreams."
	    "http.v3.HttpProtocolOptions,\n"
	    "      explicit_http_config: {http2_protocol_options: {}}}},\n"
	    "    load_assignment: {cluster_name: c}}\n");
	fclose(f);
}

static void
begin(struct generations *g)
{
	int fd;

	strcpy(file, "/tmp/godwit-unit-XXXXXX");
	fd = mkstemp(file);
	cr_assert_neq(fd, -1);
	close(fd);
	options.file = file;
	options.file_given = true;
	file_write("workers: 2", "ab", 0, "c");
	cr_assert_eq(generations_open(g, &options, why, sizeof(why)), 0, "%s",
	    why);
	cr_assert_eq(generations_next(g, why, sizeof(why)), 0, "%s", why);
}

static void
end(struct generations *g)
{
	generations_close(g);
	unlink(file);
}

/* What a worker sees. */
static uint64_t
published(const struct generations *g, uint32_t slots[2])
{
	struct generation n = { 0 };
	struct control_listener l;
	uint64_t turn = 0;

	cr_assert(publish_observe(&g->image.arena, &turn, &n));
	cr_assert_eq(generations_root(g)->number, n.number);
	cr_assert_eq(g->newest.listeners_n, 2);
	for (int i = 0; i < 2; i++) {
		generations_listener(g, i, &l);
		slots[i] = l.slot;
		cr_assert_not_null(block_listener_find(&g->image.arena,
		    generations_root(g), l.slot, l.tag));
	}
	return n.number;
}

Test(generations, refused)
{
	static const struct {
		const char	*godwit, *listeners;
		int		 port;
		const char	*cluster, *why;
	} cases[] = {
		{ "workers: 2, run_dir: /tmp/x", "ab", 0, "c",
		    "the setting run_dir was " },
		{ "workers: x", "ab", 0, "c", "godwit.workers" },
		{ "workers: 2", "ab", 0, "nope", "nope" },
		{ "workers: [", "ab", 0, "c", "" },
	};
	uint32_t first[2], slots[2];
	uint64_t used;
	struct generations g;

	begin(&g);
	cr_assert_eq(published(&g, first), 1);
	used = g.image.arena.used_bytes;
	/* Often: what is refused leaves nothing that could run out. */
	for (int round = 0; round < 50; round++)
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]);
		    i++) {
			file_write(cases[i].godwit, cases[i].listeners,
			    cases[i].port, cases[i].cluster);
			cr_assert_eq(generations_next(&g, why, sizeof(why)),
			    -1, "case %zu", i);
			cr_assert_not_null(strstr(why, cases[i].why),
			    "case %zu: %s", i, why);
			cr_assert_eq(published(&g, slots), 1);
			cr_assert_eq(g.image.arena.used_bytes, used);
			cr_assert_eq(g.conf.workers, 2);
		}
	/* The next good one has its listeners where the sockets are. */
	file_write("workers: 2, drain_time_ms: 7", "ba", 0, "c");
	cr_assert_eq(generations_next(&g, why, sizeof(why)), 0, "%s", why);
	cr_assert_eq(published(&g, slots), 2);
	cr_assert_eq(slots[0], first[0]);
	cr_assert_eq(slots[1], first[1]);
	cr_assert_eq(generations_root(&g)->settings.drain_time_ms, 7);
	end(&g);
}

Test(generations, settings)
{
	struct control_settings s;
	struct control_listener l;
	struct generations g;
	char text[256];
	const struct sockaddr_in *a = (void *)&l.address;

	begin(&g);
	cr_assert_eq(generations_settings(&g, &s, why, sizeof(why)), 0);
	cr_assert_eq(s.workers_n, 2);
	cr_assert_eq(s.drain_time_ms, 25000);
	cr_assert_neq(s.run_dir[0], '\0', "resolved");
	cr_assert_eq(s.user_set, 0);
	generations_listener(&g, 1, &l);
	cr_assert_str_eq(l.name, "b");
	cr_assert_eq(a->sin_port, htons(10001));
	generations_text(&g, text, sizeof(text));
	cr_assert_str_eq(text, "generation 1: 2 listeners, 1 cluster, "
	    "0 endpoints");
	end(&g);
}

/* Nothing that it opened stays, and nothing else is closed. */
Test(generations, descriptors)
{
	int n = unit_descriptors_n(), kept_fd;
	struct generations g, next;

	cr_assert_neq(fcntl(STDIN_FILENO, F_GETFD), -1);
	begin(&g);
	cr_assert_eq(generations_stage(&g, &kept_fd, why, sizeof(why)), 0,
	    "%s", why);
	cr_assert_eq(generations_open_kept(&next, &options, (int[]){ kept_fd,
	    g.image.arena.fd, g.image.secrets.fd, -1 }, why, sizeof(why)), 0,
	    "%s", why);
	cr_assert_eq(generations_next(&next, why, sizeof(why)), 0, "%s", why);
	cr_assert_eq(generations_root(&next)->number, 2);
	generations_close(&next);
	close(kept_fd);
	end(&g);
	cr_assert_eq(unit_descriptors_n(), n);
}

/* -o wins over the file, and godwit -s reads no more than it must. */
Test(generations, conf)
{
	struct generations g;
	struct conf c;

	begin(&g);
	end(&g);
	cr_assert_eq(generations_conf(&c, &options, why, sizeof(why)), -1);
	cr_assert_not_null(strstr(why, "can't be read"), "%s", why);
	options.file_given = false;
	cr_assert_eq(generations_conf(&c, &options, why, sizeof(why)), 0,
	    "the installed file need not be there");

	begin(&g);
	file_write("workers: 2, drain_time_ms: 1", "a", 0, "no such cluster");
	options.settings[0] = "workers=9";
	options.settings_n = 1;
	cr_assert_eq(generations_conf(&c, &options, why, sizeof(why)), 0, "%s",
	    why);
	cr_assert_eq(c.workers, 9);
	cr_assert_eq(c.drain_time_ms, 1);
	options.settings_n = 0;
	end(&g);
}
