/*
 * conf/cpu.c - see cpu.h.
 *
 *   /proc/self/cgroup    0::/a/b                   version 2
 *                        4:cpu,cpuacct:/a/b        version 1
 *
 *   version 2   ROOT/a/b/cpu.max                 "200000 100000" or "max ..."
 *   version 1   ROOT/cpu/a/b/cpu.cfs_quota_us    200000 or -1
 *                           /cpu.cfs_period_us   100000
 *   ... and the same in ROOT/a and in ROOT: each group above limits as well
 *
 * In a container the path may name groups that are not mounted there; those
 * are skipped, and ROOT itself is the container's group.
 *
 * Source: Linux Documentation/admin-guide/cgroup-v2.rst, scheduler/sched-bwc.
 */
#include "conf/cpu.h"

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

/* The first two words of a file; false: there is none. */
static bool
read_words(const char *folder, const char *name, char words[2][32])
{
	char path[2 * PATH_BYTES + 64];
	FILE *f;
	int n;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	if ((f = fopen(path, "re")) == NULL)
		return false;
	words[1][0] = '\0';
	n = fscanf(f, "%31s %31s", words[0], words[1]);
	fclose(f);
	return n >= 1;
}

/* Whole CPUs of one group, 0: no quota. */
static int64_t
group_quota(const char *folder)
{
	char quota[2][32], period[2][32];
	long long per, of;

	if (read_words(folder, "cpu.max", quota)) {
		of = atoll(quota[0]);		/* 0 of "max" */
		per = atoll(quota[1]);
	} else if (read_words(folder, "cpu.cfs_quota_us", quota) &&
	    read_words(folder, "cpu.cfs_period_us", period)) {
		of = atoll(quota[0]);
		per = atoll(period[0]);
	} else
		return 0;
	if (of <= 0 || per <= 0)
		return 0;
	return of / per > 0 ? of / per : 1;
}

/* The smallest quota from root/path up to root. */
static int64_t
path_quota(const char *root, const char *path)
{
	char folder[2 * PATH_BYTES + 16];
	int64_t least = 0, quota;
	char *slash;

	snprintf(folder, sizeof(folder), "%s%s", root, path);
	for (;;) {
		quota = group_quota(folder);
		if (quota > 0 && (least == 0 || quota < least))
			least = quota;
		slash = strrchr(folder, '/');
		if (slash == NULL || strlen(folder) <= strlen(root))
			return least;
		*slash = '\0';
	}
}

/* Whether a version 1 line's list of controllers has "cpu". */
static bool
has_cpu(const char *list)
{
	const char *at;
	size_t n;

	for (at = list; ; at += n + 1) {
		n = strcspn(at, ",");
		if (n == 3 && strncmp(at, "cpu", 3) == 0)
			return true;
		if (at[n] == '\0')
			return false;
	}
}

int64_t
cpu_quota(const char *self, const char *root)
{
	char line[PATH_BYTES], sub[PATH_BYTES + 8];
	int64_t least = 0, quota;
	char *list, *path;
	FILE *f = fopen(self, "re");

	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if ((list = strchr(line, ':')) == NULL ||
		    (path = strchr(++list, ':')) == NULL)
			continue;
		*path++ = '\0';
		if (*list != '\0' && !has_cpu(list))
			continue;
		snprintf(sub, sizeof(sub), "%s%s", root,
		    *list != '\0' ? "/cpu" : "");
		quota = path_quota(sub, strcmp(path, "/") != 0 ? path : "");
		if (quota > 0 && (least == 0 || quota < least))
			least = quota;
	}
	if (f != NULL)
		fclose(f);
	return least;
}

static int64_t
allowed(void)
{
	cpu_set_t set;
	long online;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		return CPU_COUNT(&set);
	online = sysconf(_SC_NPROCESSORS_ONLN);	/* over 1,024 CPUs */
	return online > 0 ? online : 1;
}

int64_t
cpu_count(void)
{
	int64_t quota = cpu_quota("/proc/self/cgroup", "/sys/fs/cgroup");
	int64_t n = allowed();

	return quota > 0 && quota < n ? quota : n;
}
