/*
 * master/whole.h - all bytes of a file, or the reason why not: for what the
 * master keeps (sources.h, journal.h, checkpoint.h), where half is nothing.
 *
 * read(2) and write(2) may do less than they were asked, and a signal may come
 * between. Test: t/unit/sources.c, journal.c, checkpoint.c.
 */
#ifndef MASTER_WHOLE_H
#define MASTER_WHOLE_H

#include <stddef.h>

/* From the file's beginning, wherever its offset is; *n becomes less where the
 * file is shorter. -1: errno. */
int	whole_read(int fd, void *to, size_t *n);
/* -1: errno; some may be written. */
int	whole_write(int fd, const void *from, size_t n);

#endif
