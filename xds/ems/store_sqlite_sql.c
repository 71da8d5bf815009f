/* xds/ems/store_sqlite_sql.c - see store_sqlite_inside.h. */
#include "xds/ems/store_sqlite_inside.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "shm/log.h"

int
file_no_memory(struct store_sqlite *f)
{
	return why_set(f->why, sizeof(f->why), "%s: no memory", f->path);
}

/*
 * What no later try may get over. After a failed fsync the kernel may have
 * thrown the bytes away and say so only once, so that a second one that
 * succeeds proves nothing.
 */
static bool
is_for_good(int code)
{
	switch (code & 0xff) {
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_READONLY:
	case SQLITE_SCHEMA:
		return true;
	default:
		return code == SQLITE_IOERR_FSYNC ||
		    code == SQLITE_IOERR_DIR_FSYNC;
	}
}

static void
say(struct store_sqlite *f, int code)
{
	const char *text = sqlite3_errmsg(f->db);
	int os = sqlite3_system_errno(f->db);

	switch (code & 0xff) {
	case SQLITE_FULL:
		why_set(f->why, sizeof(f->why), "%s: the disk is full",
		    f->path);
		break;
	case SQLITE_READONLY:
		why_set(f->why, sizeof(f->why), "%s can't be written: %s",
		    f->path, text);
		break;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		why_set(f->why, sizeof(f->why), "%s is damaged (%s): put a "
		    "copy in its place, or make one of what is left by "
		    "sqlite3's .recover", f->path, text);
		break;
	case SQLITE_BUSY:
		why_set(f->why, sizeof(f->why), "%s is locked by another "
		    "program", f->path);
		break;
	case SQLITE_CANTOPEN:
	case SQLITE_IOERR:
		why_set(f->why, sizeof(f->why), "%s: %s%s%s", f->path, text,
		    os != 0 ? ": " : "", os != 0 ? strerror(os) : "");
		break;
	default:
		why_set(f->why, sizeof(f->why), "%s: %s", f->path, text);
	}
}

int
file_failed(struct store_sqlite *f)
{
	int code = sqlite3_extended_errcode(f->db);

	say(f, code);
	if (is_for_good(code) && f->refusing[0] == '\0') {
		memcpy(f->refusing, f->why, sizeof(f->refusing));
		log_error("%s; nothing is written any more", f->why);
	}
	return -1;
}

/* ---- statements */

static int
bind_text(sqlite3_stmt *q, int at, struct store_text t)
{
	if (t.p == NULL)
		return sqlite3_bind_null(q, at);
	return sqlite3_bind_text64(q, at, t.p, t.n, SQLITE_STATIC,
	    SQLITE_UTF8);
}

/* What is bound is the request's and outlives the statement's use. */
sqlite3_stmt *
sql(struct store_sqlite *f, enum statement id, const char *kinds, ...)
{
	sqlite3_stmt *q = f->statements[id];
	va_list args;
	int rc = SQLITE_OK;

	assert(!sqlite3_stmt_busy(q));
	va_start(args, kinds);
	for (int i = 0; kinds[i] != '\0' && rc == SQLITE_OK; i++)
		rc = kinds[i] == 'i' ?
		    sqlite3_bind_int64(q, i + 1,
			(sqlite3_int64)va_arg(args, uint64_t)) :
		    bind_text(q, i + 1, va_arg(args, struct store_text));
	va_end(args);
	/* No memory, then; an unbound text would be NULL: a deletion. */
	if (rc != SQLITE_OK) {
		file_no_memory(f);
		return NULL;
	}
	return q;
}

int
sql_row(struct store_sqlite *f, sqlite3_stmt *q)
{
	int rc = q == NULL ? SQLITE_NOMEM : sqlite3_step(q);

	if (rc == SQLITE_ROW)
		return 1;
	if (q == NULL)
		return -1;
	if (rc != SQLITE_DONE)
		file_failed(f);
	sqlite3_reset(q);
	return rc == SQLITE_DONE ? 0 : -1;
}

void
sql_end(sqlite3_stmt *q)
{
	sqlite3_reset(q);
}

int
sql_do(struct store_sqlite *f, sqlite3_stmt *q)
{
	int rc = sql_row(f, q);

	assert(rc != 1);
	return rc;
}

uint64_t
sql_number(sqlite3_stmt *q, int column)
{
	return (uint64_t)sqlite3_column_int64(q, column);
}

struct store_text
sql_text(sqlite3_stmt *q, int column)
{
	const char *p = (const char *)sqlite3_column_text(q, column);

	if (p == NULL)
		return (struct store_text){ NULL, 0 };
	return (struct store_text){ p,
		(size_t)sqlite3_column_bytes(q, column) };
}

int
sql_keep(struct store_sqlite *f, struct store_request *r, sqlite3_stmt *q,
    int column, struct store_text *to)
{
	struct store_text t = sql_text(q, column);

	/* No text where there is one: SQLite had no memory for it. */
	if (t.p == NULL && sqlite3_column_type(q, column) != SQLITE_NULL)
		return file_no_memory(f);
	if (store_request_text(r, to, t) == -1)
		return file_no_memory(f);
	return 0;
}
