/*
 * t/unit/resources.c - the set of resources: what is live when, what waits for
 * what, and what a refusal or an aborted stage leaves, as stories
 * (t/lib/unit_resources.h); and that a checkpoint of it is it.
 */
#include "master/resources.h"

#include <criterion/criterion.h>

#include "master/checkpoint_set.h"
#include "t/lib/unit_resources.h"

/* ---- stories */

static const char *const stories[] = {
	/* In the best order. */
	"+ c a\n= a/1 |\n+ r R a\n= a/1 |\n+ l edge 1 R\n= a/1 | edge: a\n~",
	/* In the worst: nothing is seen before all is there. */
	"+ l edge 1 R\n= |\n~ edge waits for routes \"R\"\n"
	"+ r R a\n= |\n~ edge waits for cluster \"a\"\n"
	"+ c a eds\n= |\n~ a waits for endpoints \"a\"; edge waits for "
	"cluster \"a\"\n"
	"+ e a 2\n= a/2 | edge: a\n~",
	/* One snapshot that adds a cluster and switches the route to it, and
	 * drops the old one at once. */
	"+ c a\n+ r R a\n+ l edge 1 R\n= a/1 | edge: a\n"
	"+ c b eds\n- c a\n= a/1 | edge: a\n"
	"+ r R b\n= a/1 | edge: a\n+ e b 3\n= b/3 | edge: b\n~",
	/* The same, and the routes before the cluster. */
	"+ c a\n+ r R a\n+ l edge 1 R\n+ r R b\n= a/1 | edge: a\n"
	"~ R waits for cluster \"b\"\n- c a\n= a/1 | edge: a\n+ c b\n"
	"= b/1 | edge: b\n~",
	/* A cluster that changes needs its endpoints no second time. */
	"+ c a eds\n+ e a 2\n= a/2 |\n+ c a eds a2\n= a/2 |\n"
	"~ a waits for endpoints \"a2\"\n+ e a2 4\n= a/4 |\n+ c a eds\n"
	"~ a waits for endpoints \"a\"",
	"+ c a eds s\n+ c b eds s\n+ e s 2\n= a/2 b/2 |\n+ e s 5\n"
	"= a/5 b/5 |\n+ c a\n= a/1 b/5 |\n+ e s 1\n= a/1 b/1 |",
	/* What does not come is done without, and used when it comes. */
	"+ l edge 1 R\n? r R\n= | edge:\n+ r R a\n= | edge:\n@ 14999\n"
	"= | edge:\n@ 1\n= | edge: -\n+ c a\n= a/1 | edge: a\n~",
	"+ c a eds\n@ 15000\n= a/0 |\n+ e a 1\n= a/1 |",
	/* A removed cluster lingers while routes name it, but not for ever. */
	"+ c a\n+ r R a\n+ l edge 1 R\n- c a\n@ 14999\n= a/1 | edge: a\n@ 1\n"
	"= | edge: -\n+ c b\n= b/1 | edge: -\n+ c a\n= a/1 b/1 | edge: a",
	"+ c a\n+ r R a\n+ l edge 1 R\n- c a\n+ c a\n@ 60000\n"
	"= a/1 | edge: a",
	"+ c a\n+ r R a\n+ l edge 1 R\n- c a\n- l edge\n= |",
	/* Refused: named, and what was there stays. */
	"+ c a\n+ c a bad\n! load_assignment: is missing\n= a/1 |",
	"+ c a eds\n+ e a 1\n+ e a bad\n! endpoints[0].lb_endpoints[0]\n"
	"= a/1 |\n+ e a 2\n= a/2 |",
	"+ c a\n+ r R a\n+ l edge 1 R\n+ r R bad\n"
	"! virtual_hosts[0].routes[0].route: is missing\n= a/1 | edge: a\n~\n"
	"+ c b\n+ r R a b\n= a/1 b/1 | edge: a b",
	"+ l edge 1 R\n+ r R bad\n! virtual_hosts[0]\n= |\n"
	"~ edge waits for routes \"R\"",
	"+ c a\n+ r R a\n+ l edge 1 R\n+ l two 1 R\n! address \"127.0.0.1_1\" "
	"is there twice\n= a/1 | edge: a\n+ l two 2 R\n"
	"= a/1 | edge: a two: a",
	/* A cluster that is refused is not waited for by who has nothing, and is
	 * used when it comes; who has something waits. */
	"+ c a bad\n! load_assignment: is missing\n+ c b\n+ r R a b\n= b/1 |\n"
	"+ l edge 1 R\n= b/1 | edge: - b\n+ c a\n= a/1 b/1 | edge: a b",
	"+ c b\n+ r R a b\n+ l edge 1 R\n= b/1 |\n~ edge waits for cluster "
	"\"a\"\n+ c a bad\n! load_assignment: is missing\n= b/1 | edge: - b\n~",
	"+ c b\n+ r R b\n+ l edge 1 R\n= b/1 | edge: b\n+ c a bad\n"
	"! load_assignment: is missing\n+ r R a\n@ 14999\n= b/1 | edge: b\n"
	"~ R waits for cluster \"a\"\n@ 1\n= b/1 | edge: -",
	"+ c b\n+ r R b\n+ l edge 1 R\n+ c a bad\n! load_assignment: is missing\n"
	"+ r R a\n+ l two 2 R\n@ 14999\n= b/1 | edge: b two: b\n@ 1\n"
	"= b/1 | edge: - two: -",
	/* Nothing is served without its certificate, however long. */
	"+ c a key\n! a private key belongs in a file of its own\n= |",
	"+ c a tls S\n= |\n~ a waits for secret \"S\"\n@ 15000\n= |\n"
	"~ a waits for secret \"S\"\n+ s S 1\n= a/0(1) |\n~\n"
	"+ s S 2\n= a/0(2) |\n+ s S bad\n! tls_certificate.private_key: is "
	"missing\n= a/0(2) |\n+ c b tls S\n= a/0(2) b/0(2) |",
	/* A newer version takes the place of one that waits. */
	"+ l edge 1 R\n+ c a\n+ r R b\n~ edge waits for cluster \"b\"\n"
	"+ r R a\n= a/1 | edge: a\n~",
	"+ c a\n+ r R a\n+ l edge 1 R\n+ r R b\n+ l edge 2 S\n"
	"= a/1 | edge: a\n+ r S a\n= a/1 | edge: a\n~",

	"+ c a\n+ r R a\n+ l edge 1 R\n+ l two 2 R\n+ r R b\n+ c b\n"
	"= a/1 b/1 | edge: b two: b\n- l two\n= a/1 b/1 | edge: b",
};

#define ADS(timeout) "{ads: {}, initial_fetch_timeout: " timeout "}"
#define FILE_X "{path_config_source: {path: /x}}"
#define FILE_Y "{path_config_source: {path: /y}}"

/* initial_fetch_timeout: the longest of those who wait; 0 is for ever. */
static const char *const timeouts[] = {
	"+ c a from " ADS("2s") "\n@ 1999\n= |\n@ 1\n= a/0 |",
	"+ c a eds\n@ 14999\n= |\n@ 1\n= a/0 |",
	"+ c a from " ADS("0s") "\n@ 86400000\n= |",
	/* Whoever comes first. */
	"+ l edge 1 R " ADS("2s") "\n+ l two 2 R " ADS("5s") "\n@ 2000\n= |\n"
	"@ 3000\n= | edge: two:",
	"+ l edge 1 R " ADS("5s") "\n+ l two 2 R " ADS("2s") "\n@ 2000\n= |\n"
	"@ 3000\n= | edge: two:",
	"+ l edge 1 R " ADS("2s") "\n+ l two 2 R " ADS("0s") "\n@ 99000\n= |",
	/* The one with the most patience goes. */
	"+ l edge 1 R " ADS("2s") "\n+ l two 2 R " ADS("0s") "\n- l two\n"
	"@ 1999\n= |\n@ 1\n= | edge:",
	"+ l edge 1 R " ADS("2s") "\n+ l two 2 R " ADS("9s") "\n@ 1000\n"
	"+ l two 2 S " ADS("0s") "\n@ 1000\n= | edge:",
};

/* The same name from two sources is two resources. */
static const char *const sources[] = {
	"+ c a\n+ c b\n+ l edge 1 R " FILE_X "\n+ l two 2 R " FILE_Y "\n"
	"+ l three 3 R\n= a/1 b/1 |\n+ r /x:R a\n= a/1 b/1 | edge: a\n"
	"+ r /y:R b\n= a/1 b/1 | edge: a two: b\n+ r R a b\n"
	"= a/1 b/1 | edge: a three: a b two: b\n+ r /x:R bad\n"
	"! virtual_hosts[0].routes[0]",
	/* Another source is make before break. */
	"+ c a\n+ c b\n+ l edge 1 R\n+ r R a\n= a/1 b/1 | edge: a\n"
	"+ l edge 1 R " FILE_X "\n= a/1 b/1 | edge: a\n"
	"~ edge waits for routes \"R\"\n+ r /x:R b\n= a/1 b/1 | edge: b\n~",
	"+ c a from " FILE_X "\n= |\n~ a waits for endpoints \"a\"\n+ e a 1\n"
	"= |\n+ e /x:a 2\n= a/2 |\n+ e /x:a 3\n= a/3 |\n+ e a 5\n= a/3 |",
};

static void
stories_tell(const char *const *all, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char *text = strdup(all[i]), *at = text, *line;

		world_open("godwit: {}\n");
		while ((line = strsep(&at, "\n")) != NULL)
			tell(line);
		free(text);
		world_close();
	}
}

Test(resources, stories)
{
	stories_tell(stories, sizeof(stories) / sizeof(stories[0]));
}

Test(resources, timeouts)
{
	stories_tell(timeouts, sizeof(timeouts) / sizeof(timeouts[0]));
}

Test(resources, sources)
{
	stories_tell(sources, sizeof(sources) / sizeof(sources[0]));
}

/* Those that can't be followed. */
Test(resources, sources_refused)
{
	static const char *const lines[] = {
		"+ c a from {self: {}}\n! eds_cluster_config.eds_config.self: is "
		    "not built yet beside a lds_config",
		"+ c a from {path_config_source: {path: x}}\n! eds_cluster_config."
		    "eds_config.path_config_source.path: is no whole path",
		"+ c a from {api_config_source: {grpc_services: [{envoy_grpc: "
		    "{cluster_name: q}}]}}\n! eds_cluster_config.eds_config."
		    "api_config_source.grpc_services[0].envoy_grpc."
		    "cluster_name: there is no cluster \"q\"",
		/* Nobody sends those. */
		"+ c a eds\n! there is no endpoints \"a\"",
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		char *text = strdup(lines[i]), *at = text;

		world_open("static_resources: {clusters: [{name: p, "
		    "http2_protocol_options: {}, load_assignment: "
		    "{cluster_name: p}}]}\ndynamic_resources: {lds_config: "
		    "{path_config_source: {path: /x}}}\n");
		now.dynamic_always = false;
		resources_dynamic(now.resources, RESOURCE_ENDPOINT, false);
		tell(strsep(&at, "\n"));
		tell(at);
		free(text);
		world_close();
	}
}

/* What clusters are waited for is cds_config's. */
Test(resources, timeout_of_clusters)
{
	world_open("godwit: {}\n");
	resources_timeout(now.resources, 2000);
	tell("+ r R a");
	tell("+ l edge 1 R");
	tell("@ 1999");
	tell("= |");
	tell("@ 1");
	tell("= | edge: -");
	resources_timeout(now.resources, 0);
	tell("+ r S b");
	tell("+ l two 2 S");
	cr_assert_eq(resources_due(now.resources, INT64_MAX), -1);
	world_close();
}

/* ---- a checkpoint of it */

/* junk: the name of a resource whose bytes are none, or NULL. */
static void
checkpoint_make(const char *junk)
{
	struct checkpoint_set set;

	cr_assert_eq(checkpoint_set_make(&set, now.resources,
	    &now.image.secrets), 0);
	for (size_t i = 0; junk != NULL && i < set.plain.n; i++)
		if (strcmp(set.plain.all[i].name, junk) == 0) {
			set.plain.all[i].bytes = (const uint8_t *)"\xff";
			set.plain.all[i].len = 1;
		}
	const struct checkpoint_part parts[] = {
		{ "plain", false, set.plain.all, set.plain.n },
		{ "secrets", true, set.secrets.all, set.secrets.n },
	};
	for (size_t i = 0; i < 2; i++)
		cr_assert_eq(checkpoint_write(unit_folder, "us", &parts[i],
		    why, sizeof(why)), 0, "%s", why);
	checkpoint_set_free(&set);
}

static struct checkpoint *
checkpoint_take(const char *base, bool secret)
{
	struct checkpoint *c = checkpoint_read(unit_folder, "us", base,
	    secret, why, sizeof(why));
	char name[128];

	cr_assert_not_null(c, "%s", why);
	snprintf(name, sizeof(name), "%s/%s.a", unit_folder, base);
	unlink(name);
	return c;
}

/* Into another set, that of a process started anew. */
static struct checkpoint_put
checkpoint_put_anew(const struct checkpoint_left_out *out)
{
	struct checkpoint *plain = checkpoint_take("plain", false);
	struct checkpoint *secrets = checkpoint_take("secrets", true);
	struct checkpoint_put how;

	world_close();
	world_open("godwit: {}\n");
	stage_begin();
	how = checkpoint_set_put(now.resources, plain, secrets, out);
	stage_end("the checkpoint");
	checkpoint_free(plain);
	checkpoint_free(secrets);
	return how;
}

static void
other_source(void *arg, const struct resource_view *v)
{
	bool *all = arg;

	*all &= (v->live == NULL || v->live->from == FROM_CHECKPOINT) &&
	    (v->next == NULL || v->next->from == FROM_CHECKPOINT);
}

static void
picture(char live[1024], char waiting[1024], struct checkpoint_set *set)
{
	memset(live, 0, 1024);
	memset(waiting, 0, 1024);
	live_text(live, 1024);
	waiting_text(waiting, 1024);
	cr_assert_eq(checkpoint_set_make(set, now.resources,
	    &now.image.secrets), 0);
}

static void
by_checkpoint(const char *story)
{
	const struct checkpoint_left_out none = { .n = 0 };
	bool all = true;

	checkpoint_make(NULL);
	cr_assert_eq(checkpoint_put_anew(&none).refused, 0, "%s", story);
	resources_each(now.resources, other_source, &all);
	cr_assert(all, "%s", story);
}

static void
replay(void *arg, const struct journal_entry *e)
{
	(void)arg;
	resources_replay(now.resources, e, NULL, 0);
}

static void
by_entries(int fd, const char *story)
{
	world_close();
	world_open("godwit: {}\n");
	stage_begin();
	cr_assert_eq(journal_read(fd, replay, NULL, why, sizeof(why)), 0,
	    "%s: %s", story, why);
	resources_prune(now.resources);
	stage_end(story);
}

static void
by_fresh_journal(const char *story)
{
	struct journal j;

	cr_assert_eq(journal_open(&j, why, sizeof(why)), 0, "%s", why);
	resources_journal_write(now.resources, &j);
	by_entries(j.fd, story);
	journal_close(&j);
}

static void
by_journal(const char *story)
{
	int fd = dup(now.journal.fd);

	by_entries(fd, story);
	close(fd);
}

/* The world as it is, and one that began with what is kept of it. */
static void
compare(const char *story, void (*anew)(const char *story), bool secrets)
{
	char live[2][1024], waiting[2][1024];
	struct checkpoint_set set;
	size_t plain_n, secrets_n;

	/* Nobody sends what was not asked for, as stories do. */
	stage_begin();
	resources_prune(now.resources);
	stage_end(story);
	picture(live[0], waiting[0], &set);
	plain_n = set.plain.n;
	secrets_n = set.secrets.n;
	checkpoint_set_free(&set);
	if (secrets_n > 0 && !secrets)
		return;
	anew(story);
	picture(live[1], waiting[1], &set);
	cr_assert_str_eq(live[1], live[0], "%s\n%s\n%s", story, live[1],
	    live[0]);
	cr_assert_str_eq(waiting[1], waiting[0], "%s\n%s\n%s", story,
	    waiting[1], waiting[0]);
	cr_assert_eq(set.plain.n, plain_n, "%s", story);
	cr_assert_eq(set.secrets.n, secrets_n, "%s", story);
	checkpoint_set_free(&set);
}

/* Wherever a story stands. */
static void
compare_all(void (*anew)(const char *story), bool secrets)
{
	for (size_t i = 0; i < sizeof(stories) / sizeof(stories[0]); i++)
		for (const char *end = strstr(stories[i], "\n="); end != NULL;
		    end = strstr(end + 1, "\n=")) {
			char *text = strndup(stories[i],
			    (size_t)(end - stories[i])), *at = text, *line;

			world_open("godwit: {}\n");
			while ((line = strsep(&at, "\n")) != NULL)
				tell(line);
			free(text);
			compare(stories[i], anew, secrets);
			world_close();
		}
}

/* What is served is served again, what waits waits, and a checkpoint of that
 * says the same. */
Test(resources, checkpoint)
{
	compare_all(by_checkpoint, true);
}

/* The same for a master's successor. (Keys are in the arena of the dead.) */
Test(resources, journal)
{
	compare_all(by_journal, false);
	compare_all(by_fresh_journal, false);
}

/* What is refused now, or left out, is not there; all else is as if it had
 * never been put, and what only that named is gone. */
Test(resources, checkpoint_in_part)
{
	static const struct {
		const char	*name, *junk, *out;
		size_t		 accepted, refused;
		const char	*live, *waits;
	} rows[] = {
		{ "all", NULL, NULL, 6, 0, "a/1 b/1 | edge: a two: a b", "" },
		{ "a cluster", "b", NULL, 5, 1, "a/1 | edge: a two: a -", "" },
		{ "a listener", "two", NULL, 5, 1, "a/1 b/1 | edge: a", "" },
		{ "routes", "S", NULL, 5, 1, "a/1 b/1 | edge: a",
		  "two waits for routes \"S\"; " },
		{ "left out", NULL, "two", 5, 0, "a/1 b/1 | edge: a", "" },
	};
	struct checkpoint_left_out out = { .n = 0 };
	struct resource_view v;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char live[1024] = "", waiting[1024] = "";
		struct checkpoint_put how;
		bool named;

		world_open("godwit: {}\n");
		tell("+ c a");
		tell("+ c b");
		tell("+ l edge 1 R");
		tell("+ r R a");
		tell("+ l two 2 S");
		tell("+ r S a b");
		checkpoint_make(rows[i].junk);
		out.n = rows[i].out != NULL;
		out.names[0] = rows[i].out;
		how = checkpoint_put_anew(&out);
		live_text(live, sizeof(live));
		waiting_text(waiting, sizeof(waiting));
		cr_expect_str_eq(live, rows[i].live, "%s: %s", rows[i].name,
		    live);
		cr_expect_eq(strncmp(waiting, rows[i].waits, strlen(waiting)),
		    0, "%s: %s", rows[i].name, waiting);
		cr_expect_eq(how.refused, rows[i].refused, "%s",
		    rows[i].name);
		cr_expect_eq(how.accepted, rows[i].accepted, "%s: %zu",
		    rows[i].name, how.accepted);
		named = strstr(rows[i].live, "two") != NULL ||
		    strstr(rows[i].waits, "two") != NULL;
		cr_expect_eq(resources_find(now.resources, RESOURCE_ROUTE,
		    "S", &v) && v.live != NULL, named && rows[i].junk !=
		    NULL ? strcmp(rows[i].junk, "S") != 0 : named, "%s",
		    rows[i].name);
		world_close();
	}
}
