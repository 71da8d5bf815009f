/*
 * xds/ems/difference.h - what two texts differ in, as diff -u shows it.
 *
 *   --- service/a v3
 *   +++ service/a v4
 *   @@ -1,3 +1,3 @@
 *    service: a
 *   -owner: x
 *   +owner: y
 *    grpc: [b]
 *
 * The fewest lines, found by Myers' greedy search; where more than
 * DIFFERENCE_MAX lines differ, what is between the first and the last of them
 * is shown as replaced, so that a hostile text costs no more than a large one.
 *
 * Source: Myers, "An O(ND) difference algorithm and its variations", 1986.
 * Test: t/unit/difference.c.
 */
#ifndef XDS_EMS_DIFFERENCE_H
#define XDS_EMS_DIFFERENCE_H

#include <stdbool.h>
#include <stdio.h>

enum { DIFFERENCE_MAX = 800, DIFFERENCE_AROUND = 3 };

/* Nothing is printed for texts that are the same. NULL is an empty text.
 * False: no memory. */
bool	difference_print(FILE *out, const char *before_title,
	    const char *before, const char *after_title, const char *after);

#endif
