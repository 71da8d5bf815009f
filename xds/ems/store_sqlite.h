/*
 * xds/ems/store_sqlite.h - the store's file: SQLite in WAL mode, and what a
 * batch of submissions becomes in it.
 *
 *   write_   revision, when_ms, who, why             one row a revision
 *   change   id, revision, noun, name, from, to, body      history, all of it
 *   item     noun, name -> version, live, its newest change
 *   lease    id -> what is registered
 *   meta     schema, readable_by, epoch_max
 *
 * A batch is one transaction (group commit): what is in it is answered only
 * when COMMIT has returned, and that returns when the WAL is on disk: with
 * synchronous=FULL SQLite syncs it at every commit (sqlite.org/wal.html), and
 * the folder when the WAL is new. If it fails, no write of the batch happened,
 * and its questions are asked again.
 *
 * One thread at a time uses it. FILE.lock is held while it is open, so that
 * one godwit-ems has a file; other programs may look: `sqlite3 FILE` and its
 * .backup work while we run. Test: t/unit/store.c, store_fault.c.
 */
#ifndef XDS_EMS_STORE_SQLITE_H
#define XDS_EMS_STORE_SQLITE_H

#include "xds/ems/store_request.h"

struct store_sqlite;

/* As store_open: NULL, or why[0] != 0 and no writing. */
struct store_sqlite *store_sqlite_open(const char *path, char *why,
	    size_t why_len);
void	store_sqlite_close(struct store_sqlite *f);

/* Answers each, in order. */
void	store_sqlite_run(struct store_sqlite *f, struct store_request *first);

#endif
