/*
 * shm/clock.h - the one clock: monotonic time as a type of its own, so that
 * nanoseconds are never added to milliseconds by accident.
 *
 * Time stamps in the segment must compare between processes, which is why the
 * clock lives here. Linux: CLOCK_MONOTONIC is the same in every process.
 */
#ifndef SHM_CLOCK_H
#define SHM_CLOCK_H

#include <stdint.h>

struct mono {
	int64_t	ns;	/* since an unspecified start; 0 = "not yet" */
};

/* Reads the kernel's clock. A loop does so twice a turn, never per event. */
struct mono	clock_now(void);

static inline struct mono
mono_after_ms(struct mono t, int64_t ms)
{
	return (struct mono){ t.ns + ms * 1000000 };
}

/* Milliseconds from a to b, rounded down; negative when b is earlier. */
static inline int64_t
mono_between_ms(struct mono a, struct mono b)
{
	return (b.ns - a.ns) / 1000000;
}

/* The same in microseconds. */
static inline int64_t
mono_between_us(struct mono a, struct mono b)
{
	return (b.ns - a.ns) / 1000;
}

#endif
