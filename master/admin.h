/*
 * master/admin.h - admin.sock: what the whole of godwit answers, over the
 * responder of worker/io.
 *
 *   /status         what is wrong; the control plane, and each kind of
 *                   resource (status.h)
 *   /config         each resource: whose, version, since when; ?kind=, ?name=
 *                   one of them whole (status.h)
 *   /config_dump    the same as Envoy answers it (config_dump.h)
 *   /ready          whether callers can come (ready.h)
 *   /stats          the sum of all workers' rows
 *   /certs          certificates in use, as Envoy answers it (certificates.h)
 *   /generations    which one is published, and which each worker uses; bytes
 *                   of the arena: live (of the newest), pinned (only older
 *                   ones reach them), dead (to be used again), used (ever)
 *
 * godwitctl (master/ctl/) asks here. Test: t/mesh/840-operator.py.
 */
#ifndef MASTER_ADMIN_H
#define MASTER_ADMIN_H

#include <stdio.h>

#include "master/certificates.h"
#include "master/generations.h"
#include "master/register.h"
#include "master/rotate.h"
#include "master/subscription.h"
#include "shm/row.h"
#include "worker/io/responder.h"

struct admin {
	struct certificates *certificates;
	const struct rotate *rotate;
	const struct generations *generations;
	struct row *const *rows;	/* by worker */
	const int	*rows_n;
	const struct subscription *subscription;
	const struct registers *registers;
	bool		 was_ready;	/* it said so (ready.h) */
};

/* For responder_open; arg is a struct admin. */
int	admin_answer(void *arg, const char *path, const char *query,
	    FILE *out, struct responder_rest *rest);

#endif
