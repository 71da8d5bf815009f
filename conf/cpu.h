/*
 * conf/cpu.h - how many CPUs this process may really use; private to conf/.
 *
 * The smallest of what the affinity mask allows and what the quotas of our
 * control group and of all groups above it leave, rounded down, at least 1:
 * a worker more than that only waits for the others' turn.
 * Test: t/unit/conf.c.
 */
#ifndef CONF_CPU_H
#define CONF_CPU_H

#include <stdint.h>

int64_t	cpu_count(void);

/* The quota part alone: 0 is no quota. self stands for /proc/self/cgroup and
 * root for /sys/fs/cgroup. */
int64_t	cpu_quota(const char *self, const char *root);

#endif
