/*
 * master/dump.h - a generation as text, as it lies in the arena: for tests
 * that compare, and for people who ask what was made of their file.
 * Test: t/unit/compile.c, t/data/compile/.
 */
#ifndef MASTER_DUMP_H
#define MASTER_DUMP_H

#include "shm/arena.h"

struct _IO_FILE;
void	dump(struct _IO_FILE *out, const struct arena *a, block_ref root);

#endif
