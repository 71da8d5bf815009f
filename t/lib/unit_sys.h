/*
 * t/lib/unit_sys.h - a struct sys for unit tests: memory only, and it counts.
 */
#ifndef T_LIB_UNIT_SYS_H
#define T_LIB_UNIT_SYS_H

#include <stdlib.h>

#include "worker/io/sys.h"

static int unit_blocks;		/* allocated and not freed */
static int unit_fail_at;	/* the n-th allocation from now fails; 0: none */

static void *
unit_alloc(void *ctx, size_t n)
{
	(void)ctx;
	if (unit_fail_at > 0 && --unit_fail_at == 0)
		return NULL;
	unit_blocks++;
	return calloc(1, n);
}

static void
unit_free(void *ctx, void *p)
{
	(void)ctx;
	if (p != NULL)
		unit_blocks--;
	free(p);
}

static struct sys unit_sys = { .alloc = unit_alloc, .free = unit_free };

#endif
