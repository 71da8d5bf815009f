/*
 * master/admin.h - admin.sock: what the whole of godwit answers, over the
 * responder of worker/io.
 *
 *   /stats          the sum of all workers' rows
 *   /generations    which one is published, and which each worker uses; bytes
 *                   of the arena: live (of the newest), pinned (only older
 *                   ones reach them), dead (to be used again), used (ever)
 *
 * Test: t/mesh/.
 */
#ifndef MASTER_ADMIN_H
#define MASTER_ADMIN_H

#include <stdio.h>

#include "master/generations.h"
#include "shm/row.h"

struct admin {
	const struct generations *generations;
	struct row *const *rows;	/* by worker */
	const int	*rows_n;
};

/* For responder_open; arg is a struct admin. */
int	admin_answer(void *arg, const char *path, const char *query,
	    FILE *out);

#endif
