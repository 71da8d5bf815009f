/* t/unit/row.c - shm/row.c: rows, what a birth clears, who may open what. */
#include "shm/row.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char why[256];

static struct row *
open_new(uint32_t slot, int *fd)
{
	struct row *r;

	*fd = row_new(slot, why, sizeof(why));
	cr_assert_geq(*fd, 0, "%s", why);
	r = row_open(*fd, 1, why, sizeof(why));
	cr_assert_not_null(r, "%s", why);
	return r;
}

Test(row, is_new_and_shared)
{
	const struct row *seen;
	struct row *r;
	struct stat st;
	int fd;

	r = open_new(3, &fd);
	cr_assert_eq(r->slot, 3);
	cr_assert_eq(r->pid, 0);
	cr_assert_eq(r->incarnation, 0);
	cr_assert_eq(fstat(fd, &st), 0);
	cr_assert_geq(st.st_size, (off_t)sizeof(*r));
	cr_assert_eq(st.st_size % 4096, 0, "not whole pages");
	cr_assert_eq(ftruncate(fd, 0), -1, "a row can be shrunk");
	cr_assert_eq(ftruncate(fd, st.st_size * 2), -1, "or grown");
	cr_assert_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1,
	    "or sealed against its worker");

	seen = row_open(fd, 0, why, sizeof(why));
	cr_assert_not_null(seen, "%s", why);
	close(fd);
	count_add(&r->worker[COUNT_WORKER_worker_turns], 2);
	count_add(&r->worker[COUNT_WORKER_worker_turns], 3);
	row_announce(r, 7, (struct mono){ 99 });
	cr_assert_eq(count_get(&seen->worker[COUNT_WORKER_worker_turns]), 5);
	cr_assert_eq(count_get(&seen->announced), 7);
	cr_assert_eq(count_get(&seen->heartbeat_ns), 99);
	row_close((struct row *)(uintptr_t)seen);
	row_close(r);
}

/* Every count of a scope, gauge or not, and what it is after a birth. */
static void
scope_check(const count *counts, int n, const int *gauge, const char *scope)
{
	for (int i = 0; i < n; i++)
		cr_assert_eq(count_get(&counts[i]), gauge[i] ? 0 : 5,
		    "%s %d is %llu", scope, i,
		    (unsigned long long)count_get(&counts[i]));
}

/* Times go on over a birth, as counters do. */
static void
times_check(const struct histogram *times, int n)
{
	for (int i = 0; i < n; i++) {
		cr_assert_eq(histogram_n(&times[i]), 5 * HISTOGRAM_BUCKETS);
		cr_assert_eq(count_get(&times[i].sum_us), 5);
		cr_assert_eq(count_get(&times[i].max_us), 5);
	}
}

/* Found by an expansion of its own, so that row.c's is not its own judge. */
static int worker_gauge[COUNT_WORKER_N];
static int listener_gauge[COUNT_LISTENER_N];
static int http_gauge[COUNT_HTTP_N];
static int cluster_gauge[COUNT_CLUSTER_N];

static void
gauges_find(void)
{
	enum { COUNTER, GAUGE };
	int *const WORKER = worker_gauge, *const LISTENER = listener_gauge;
	int *const HTTP = http_gauge, *const CLUSTER = cluster_gauge;

#define COUNT(scope, id, kind, name, help) scope[COUNT_##scope##_##id] = kind;
#include "shm/count.def"
#undef COUNT
}

Test(row, a_birth_clears_gauges_and_keeps_counters)
{
	static const int clusters[] = { 0, 1, ROW_CLUSTERS - 1 };
	static const int listeners[] = { 0, 1, LISTENERS_MAX - 1 };
	struct row *r;
	int fd;

	gauges_find();
	cr_assert(worker_gauge[COUNT_WORKER_buffered_bytes]);
	cr_assert(cluster_gauge[COUNT_CLUSTER_upstream_rq_active]);
	cr_assert_not(cluster_gauge[COUNT_CLUSTER_upstream_rq_total]);
	r = open_new(0, &fd);
	close(fd);
	row_announce(r, 7, (struct mono){ 99 });
	for (count *c = r->worker; c < (count *)(void *)&r->shares; c++)
		count_set(c, 5);

	for (int birth = 1; birth <= 2; birth++) {
		row_death(r);
		cr_assert_eq(r->pid, 0);
		cr_assert_eq(row_oldest(&r, 1), UINT64_MAX, "the dead read "
		    "nothing");
		row_birth(r);
		cr_assert_eq(row_oldest(&r, 1), 0, "the newborn may");
		cr_assert_eq(r->incarnation, birth);
		cr_assert_eq(count_get(&r->announced), 0);
		cr_assert_eq(count_get(&r->heartbeat_ns), 0);
		scope_check(r->worker, COUNT_WORKER_N, worker_gauge, "worker");
		for (int i = 0; i < ROW_CAUSES; i++)
			cr_assert_eq(count_get(&r->cause[i]), 5);
		for (int i = 0; i < 3; i++) {
			struct row_listener *l = &r->listeners[listeners[i]];

			scope_check(l->listener, COUNT_LISTENER_N,
			    listener_gauge, "listener");
			scope_check(l->http, COUNT_HTTP_N, http_gauge, "http");
			scope_check(r->clusters[clusters[i]].cluster,
			    COUNT_CLUSTER_N, cluster_gauge, "cluster");
			times_check(r->http_times[listeners[i]],
			    HISTOGRAM_HTTP_N);
			times_check(r->cluster_times[clusters[i]],
			    HISTOGRAM_CLUSTER_N);
		}
		times_check(r->worker_times, HISTOGRAM_WORKER_N);
	}
	row_close(r);
}

/* What the kernel gave to it so far. */
static off_t
pages_bytes(int fd)
{
	struct stat st;

	cr_assert_eq(fstat(fd, &st), 0);
	return st.st_blocks * 512;
}

/* I5: 2 MB of times are there when they are observed, and not before. */
Test(row, a_birth_leaves_times_untouched)
{
	off_t counts_bytes, before;
	struct row *r;
	int fd;

	r = open_new(0, &fd);
	row_birth(r);
	row_death(r);
	counts_bytes = (off_t)offsetof(struct row, worker_times);
	cr_assert_leq(pages_bytes(fd), counts_bytes + 4096);
	cr_assert_gt((off_t)sizeof(*r), 8 * counts_bytes, "nothing is shown");

	before = pages_bytes(fd);
	histogram_observe(&row_cluster_times(r, 500)[
	    HISTOGRAM_CLUSTER_upstream_rq_time], 1);
	cr_assert_gt(pages_bytes(fd), before, "pages are not seen here");
	row_close(r);
	close(fd);
}

Test(row, clusters_beyond_share_the_last)
{
	struct row *r;
	int fd;

	r = open_new(0, &fd);
	close(fd);
	cr_assert_eq(row_cluster_times(r, 0), r->cluster_times[0]);
	cr_assert_eq(row_cluster_times(r, ROW_CLUSTERS - 2),
	    r->cluster_times[ROW_CLUSTERS - 2]);
	cr_assert_eq(row_cluster_times(r, UINT32_MAX),
	    r->cluster_times[ROW_CLUSTERS - 1]);
	cr_assert_eq(row_cluster(r, 0), &r->clusters[0]);
	cr_assert_eq(row_cluster(r, ROW_CLUSTERS - 2),
	    &r->clusters[ROW_CLUSTERS - 2]);
	cr_assert_eq(row_cluster(r, ROW_CLUSTERS - 1),
	    &r->clusters[ROW_CLUSTERS - 1]);
	cr_assert_eq(row_cluster(r, CLUSTERS_MAX - 1),
	    &r->clusters[ROW_CLUSTERS - 1]);
	cr_assert_eq(row_cluster(r, UINT32_MAX),
	    &r->clusters[ROW_CLUSTERS - 1]);
	row_close(r);
}

/* Whoever opens it to read gets memory that can't be written by mistake. */
Test(row, a_reader_does_not_write_by_mistake)
{
	struct row *r, *seen;
	int fd, status;
	pid_t pid;

	r = open_new(0, &fd);
	seen = row_open(fd, 0, why, sizeof(why));
	pid = fork();
	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL);	/* no sanitizer's report */
		count_set(&seen->announced, 1);
		_exit(0);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV,
	    "the store went through");
	cr_assert_eq(count_get(&r->announced), 0);
	row_close(seen);
	row_close(r);
	close(fd);
}

Test(row, open_refuses_what_is_no_row)
{
	int fd = memfd_create("small", 0), pipes[2];
	struct row *r;

	cr_assert_null(row_open(fd, 1, why, sizeof(why)));
	cr_assert_str_eq(why, "the row's descriptor is not a row");
	cr_assert_eq(ftruncate(fd, sizeof(*r)), 0);
	if (sizeof(*r) % 4096 != 0)
		cr_assert_null(row_open(fd, 1, why, sizeof(why)));
	close(fd);
	cr_assert_eq(pipe(pipes), 0);
	cr_assert_null(row_open(pipes[0], 0, why, sizeof(why)));
	cr_assert_null(row_open(-1, 0, why, sizeof(why)));
	close(pipes[0]);
	close(pipes[1]);

	r = open_new(0, &fd);
	r->layout++;
	cr_assert_null(row_open(fd, 0, why, sizeof(why)));
	cr_assert(strstr(why, "another version"), "%s", why);
	r->layout--;
	row_close(r);
	r = row_open(fd, 0, why, sizeof(why));
	cr_assert_not_null(r);
	row_close(r);
	close(fd);
}
