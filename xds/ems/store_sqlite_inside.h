/*
 * xds/ems/store_sqlite_inside.h - what the files of the SQLite store share:
 *
 *   store_sqlite.c         open, lock, close; a batch as a transaction
 *   store_sqlite_schema.c  the tables, and older ones into newer ones
 *   store_sqlite_sql.c     statements: bind, step, and what went wrong
 *   store_sqlite_write.c   writes, leases
 *   store_sqlite_read.c    questions
 *
 * Functions that can fail return -1 after file_failed, which keeps why.
 */
#ifndef XDS_EMS_STORE_SQLITE_INSIDE_H
#define XDS_EMS_STORE_SQLITE_INSIDE_H

#include <sqlite3.h>

#include "xds/ems/store_sqlite.h"

enum statement {
#define STATEMENT(id, sql) SQL_##id,
#include "xds/ems/store_sqlite.def"
#undef STATEMENT
	STATEMENTS
};

struct store_sqlite {
	sqlite3		*db;
	char		*path;
	int		 lock_fd;
	sqlite3_stmt	*statements[STATEMENTS];
	uint64_t	 revision;	/* the newest; of the transaction */
	char		 why[STORE_SENTENCE_MAX];	/* the last failure */
	char		 refusing[STORE_SENTENCE_MAX];	/* S7; "": it writes */
};

/* ---- store_sqlite_sql.c */

/* Keeps a sentence on the newest error of SQLite; one that writing does not
 * get over makes the file refusing. -1. */
int	file_failed(struct store_sqlite *f);
/* The same with a sentence of our own: no memory. */
int	file_no_memory(struct store_sqlite *f);

/* The statement, with these for ?1...: i a number, t a text (none: NULL). */
sqlite3_stmt *sql(struct store_sqlite *f, enum statement id,
	    const char *kinds, ...);
/* 1: there is a row; 0: no more, and the statement is done; -1. */
int	sql_row(struct store_sqlite *f, sqlite3_stmt *q);
/* Ends it before its last row. */
void	sql_end(sqlite3_stmt *q);
/* One that has no rows: 0, or -1. */
int	sql_do(struct store_sqlite *f, sqlite3_stmt *q);

/* A column. The text is SQLite's until the next step. */
uint64_t sql_number(sqlite3_stmt *q, int column);
struct store_text sql_text(sqlite3_stmt *q, int column);
/* The same, copied into r. 0, or -1. */
int	sql_keep(struct store_sqlite *f, struct store_request *r,
	    sqlite3_stmt *q, int column, struct store_text *to);

/* ---- store_sqlite_schema.c */

/* 0: the tables are those of this program, or may be read by it and
 * f->refusing says so; -1: why. */
int	store_schema_open(struct store_sqlite *f, char *why, size_t why_len);

/* ---- store_sqlite_write.c, store_sqlite_read.c: answer r, in the open
 * transaction. -1: SQLite failed, and f->why is why. */

int	store_sqlite_write(struct store_sqlite *f, struct store_request *r);
int	store_sqlite_lease_put(struct store_sqlite *f,
	    struct store_request *r);
int	store_sqlite_lease_remove(struct store_sqlite *f,
	    struct store_request *r);
int	store_sqlite_ask(struct store_sqlite *f, struct store_request *r);

#endif
