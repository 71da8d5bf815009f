/* shm/clock.c - the only clock_gettime of the house. */
#include "shm/clock.h"

#include <time.h>

struct mono
clock_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (struct mono){ (int64_t)t.tv_sec * 1000000000 + t.tv_nsec };
}
