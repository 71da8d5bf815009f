/*
 * t/unit/checkpoint_store.c - a disk that is full, and a checkpoint with which
 * no start is possible; all else of master/checkpoint_store.h is in
 * t/mesh/830-checkpoint.py.
 *
 * The disk is full by RLIMIT_FSIZE: what is written of a file stays, and the
 * rest is refused, as on a disk without room.
 */
#include "master/checkpoint_store.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

#include "master/resources_inside.h"
#include "shm/log.h"
#include "t/lib/unit_resources.h"

enum { ROOM_BYTES = 2048, CLUSTERS = 60, TURNS_MAX = 600, TEXT_BYTES = 16384 };

static const char file[] = "node: {id: us}\n"
    "dynamic_resources: {ads_config: {api_type: GRPC, transport_api_version: "
    "V3, grpc_services: [{envoy_grpc: {cluster_name: plane}}]}, cds_config: "
    "{ads: {}, resource_api_version: V3}}\n"
    "static_resources: {clusters: [{name: plane, connect_timeout: 1s, "
    "http2_protocol_options: {}, load_assignment: {cluster_name: plane, "
    "endpoints: [{lb_endpoints: [" UNIT_ENDPOINT("127.0.0.1", "")
    "]}]}}]}\n";

static struct sys *kernel, table;
static struct loop loop;
static struct checkpoint_store store;
static int64_t skipped_ms;
static char log_file[96], dir[80];

static struct mono
mono_now(void *ctx)
{
	(void)ctx;
	return mono_after_ms(clock_now(), skipped_ms);
}

static void
begin_all(void)
{
	const struct control_settings user = { 0 };
	struct conf conf;

	unit_folder_open();
	unit_write(unit_file, file);
	snprintf(log_file, sizeof(log_file), "%s/log", unit_folder);
	snprintf(dir, sizeof(dir), "%s/state", unit_folder);
	log_open("test", LOG_INFO);
	log_reopen(open(log_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
	    0600));
	cr_assert_eq(generations_open(&now, &unit_options, why, sizeof(why)),
	    0, "%s", why);
	clock_ms = 1000;
	kernel = sys_kernel_new();
	table = *kernel;
	table.now = mono_now;
	loop_init(&loop, &table);
	checkpoint_store_init(&store, &loop);
	conf_init(&conf);
	snprintf(conf.state_dir, sizeof(conf.state_dir), "%s", dir);
	cr_assert_eq(checkpoint_store_find(&store, false, &conf, &user,
	    why, sizeof(why)), 0, "%s", why);
}

static void
end_all(void)
{
	static const char *const names[] = { "resources.a", "resources.b",
	    "secrets.a", "secrets.b" };
	char path[160];

	checkpoint_store_fini(&store);
	sys_kernel_free(kernel);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	cr_expect_eq(access(dir, F_OK) == 0 && rmdir(dir) != 0, 0,
	    "something is left in the folder");
	unlink(log_file);
	world_close();
}

/* How often it is said. */
static int
said(const char *words)
{
	static char text[TEXT_BYTES];
	const char *at = text;
	ssize_t n;
	int times = 0, fd = open(log_file, O_RDONLY);

	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	cr_assert_geq(n, 0);
	text[n] = '\0';
	while ((at = strstr(at, words)) != NULL) {
		at++;
		times++;
	}
	return times;
}

/* That much later: what is due is written, or fails. */
static void
later(int64_t ms)
{
	skipped_ms += ms;
	loop_turn(&loop, 0);
	checkpoint_store_step(&store, &now);
	for (int i = 0; store.writing && i < TURNS_MAX; i++)
		loop_turn(&loop, 100);
	cr_assert(!store.writing);
}

/* How many clusters the newest whole file has; 0: none is there. */
static int
kept(void)
{
	struct checkpoint *c = checkpoint_read(dir, "us", "resources", false,
	    why, sizeof(why));
	struct checkpoint_record r;
	size_t at = 0;
	int n = 0;

	cr_assert_str_eq(why, "");
	while (c != NULL && checkpoint_next(c, &at, &r))
		n++;
	checkpoint_free(c);
	return n;
}

static const char *
path_new(void)
{
	static char path[160];

	snprintf(path, sizeof(path), "%s/resources.new", dir);
	return path;
}

static void
room(rlim_t bytes)
{
	struct rlimit limit;

	signal(SIGXFSZ, SIG_IGN);	/* as the keeper does */
	getrlimit(RLIMIT_FSIZE, &limit);
	limit.rlim_cur = bytes == 0 ? limit.rlim_max : bytes;
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void
clusters_put(int from, int n)
{
	char line[32];

	for (int i = from; i < from + n; i++) {
		snprintf(line, sizeof(line), "c cluster-%d", i);
		put(line);
		cr_assert_str_eq(refusal, "");
	}
}

Test(checkpoint_store, a_full_disk, .timeout = 60)
{
	begin_all();
	cr_assert_eq(generations_next(&now, why, sizeof(why)), 0, "%s", why);
	clusters_put(0, CLUSTERS);
	later(1000);
	cr_assert_eq(kept(), CLUSTERS);

	/* It is said once, however often it is tried. */
	clusters_put(CLUSTERS, 1);
	room(ROOM_BYTES);
	for (int i = 0; i < 4; i++) {
		later(10000);
		cr_expect_eq(said("error: the checkpoint is not written: can't "
		    "write"), 1);
		cr_expect_eq(said("/state/resources: File too large; it is "
		    "tried again\n"), 1);
		cr_assert_eq(kept(), CLUSTERS);
		cr_expect_eq(access(path_new(), F_OK), -1);
	}
	/* Not more often than every 10 s. */
	room(0);
	later(9000);
	cr_expect_eq(kept(), CLUSTERS);
	later(1500);
	cr_expect_eq(kept(), CLUSTERS + 1);
	cr_expect_eq(said("the checkpoint is written again\n"), 1);

	/* The next time it is said anew. */
	clusters_put(CLUSTERS + 1, 1);
	room(ROOM_BYTES);
	later(10000);
	cr_expect_eq(said("the checkpoint is not written"), 2);
	cr_expect_eq(kept(), CLUSTERS + 1);
	room(0);
	end_all();
}

/* What a successor begins with: the old one, while no new one can be made. */
Test(checkpoint_store, a_full_journal)
{
	uint64_t bytes;
	int fd;

	begin_all();
	cr_assert_eq(generations_next(&now, why, sizeof(why)), 0, "%s", why);
	clusters_put(0, CLUSTERS);
	fd = now.journal.fd;
	room(ROOM_BYTES);
	clusters_put(CLUSTERS, 1);
	cr_assert(now.journal.failed);
	for (int i = 0; i < 3; i++)
		cr_expect_not(generations_journal_renew(&now));
	cr_expect_eq(now.journal.fd, fd);
	cr_expect_eq(said("can't be kept for a master's successor"), 1);
	cr_expect_eq(said("File too large; it is tried again\n"), 1);
	room(0);
	cr_expect(generations_journal_renew(&now));
	cr_expect_not(now.journal.failed);
	bytes = now.journal.bytes;
	clusters_put(CLUSTERS + 1, 1);
	cr_expect_gt(now.journal.bytes, bytes);
	end_all();
}

static bool
is_live(const char *name)
{
	struct resource_view v;

	return resources_find(now.resources, RESOURCE_CLUSTER, name, &v) &&
	    v.live != NULL;
}

/* ---- a start that a checkpoint would prevent goes on without it */

static int restored_n;

static void
restore_badly(void *arg, struct resources *r, const struct dynamic *d)
{
	(void)arg;
	cr_assert_str_eq(d->node_id, "us");
	restored_n++;
	cr_assert_eq(resources_put(r, RESOURCE_ENDPOINT, "lost", "1",
	    (const uint8_t *)"\x0a\x04lost", 6, FROM_CHECKPOINT, why,
	    sizeof(why)), 0, "%s", why);
	r->no_memory = true;
}

Test(checkpoint_store, a_start_without_it)
{
	struct resource_view v;

	begin_all();
	now.restore = restore_badly;
	cr_assert_eq(generations_next(&now, why, sizeof(why)), 0, "%s", why);
	cr_expect_eq(restored_n, 1);
	cr_expect_eq(said("error: the checkpoint can't be used: no memory is "
	    "left for this change; the start goes on without it\n"), 1);
	cr_expect(is_live("plane"));
	cr_expect_not(resources_find(now.resources, RESOURCE_ENDPOINT,
	    "lost", &v));
	/* Nothing of it is in the way of what comes. */
	clusters_put(0, 1);
	cr_expect(is_live("cluster-0"));
	end_all();
}
