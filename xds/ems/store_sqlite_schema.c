/*
 * xds/ems/store_sqlite_schema.c - the tables of the store, and how those of
 * an older version become these.
 *
 *   meta.schema        version of the tables in the file
 *   meta.readable_by   the least version of a program that reads them right
 *
 *   file's schema      this program
 *   none, file empty   makes the tables, by the steps from the first
 *   older              the steps from there on, in one transaction
 *   the same           -
 *   newer              reads if it may, writes nothing
 *
 * A change of the tables is one more of steps[], which only ever grows.
 */
#include "xds/ems/store_sqlite_inside.h"

#include <inttypes.h>
#include <stdio.h>

#include "shm/log.h"

/* "gdwt", so that we touch no other program's file. */
enum { APPLICATION_ID = 0x67647774 };

/*
 * steps[n]: from version n to n + 1. Bodies stand only in change: an item
 * leads to its newest. Noun, name and revision are unique together, since a
 * write has an item once.
 */
static const char *const steps[] = {
	"PRAGMA application_id = 0x67647774;"
	"CREATE TABLE meta ("
	" key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
	"INSERT INTO meta VALUES ('schema', 0), ('readable_by', 1),"
	" ('epoch_max', 0);"
	"CREATE TABLE write_ ("
	" revision INTEGER PRIMARY KEY, when_ms INTEGER NOT NULL,"
	" who TEXT NOT NULL, why TEXT);"
	"CREATE TABLE change ("
	" id INTEGER PRIMARY KEY, revision INTEGER NOT NULL,"
	" noun TEXT NOT NULL, name TEXT NOT NULL,"
	" from_ INTEGER NOT NULL, to_ INTEGER NOT NULL, body TEXT);"
	"CREATE UNIQUE INDEX change_item ON change (noun, name, revision);"
	"CREATE INDEX change_revision ON change (revision);"
	"CREATE TABLE item ("
	" noun TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL,"
	" live INTEGER NOT NULL, change INTEGER NOT NULL,"
	" PRIMARY KEY (noun, name)) WITHOUT ROWID;"
	"CREATE TABLE lease ("
	" id TEXT PRIMARY KEY, epoch INTEGER NOT NULL, service TEXT NOT NULL,"
	" region TEXT, zone TEXT, address TEXT NOT NULL,"
	" port INTEGER NOT NULL, weight INTEGER NOT NULL, label TEXT,"
	" ttl_ms INTEGER NOT NULL, checks TEXT) WITHOUT ROWID;",
};

enum { SCHEMA = sizeof(steps) / sizeof(steps[0]) };

/* One number; 0: none, or an error, for which the next question fails. */
static int64_t
number(struct store_sqlite *f, const char *text, int *rc)
{
	sqlite3_stmt *q = NULL;
	int64_t n = 0;

	*rc = sqlite3_prepare_v2(f->db, text, -1, &q, NULL);
	if (*rc == SQLITE_OK)
		*rc = sqlite3_step(q);
	if (*rc == SQLITE_ROW)
		n = sqlite3_column_int64(q, 0);
	*rc = *rc == SQLITE_ROW || *rc == SQLITE_DONE ? 0 :
	    file_failed(f);
	sqlite3_finalize(q);
	return n;
}

static int
execute(struct store_sqlite *f, const char *text)
{
	if (sqlite3_exec(f->db, text, NULL, NULL, NULL) == SQLITE_OK)
		return 0;
	return file_failed(f);
}

static int
climb(struct store_sqlite *f, int64_t from)
{
	char text[80];

	for (int64_t n = from; n < SCHEMA; n++)
		if (execute(f, steps[n]) == -1)
			return -1;
	snprintf(text, sizeof(text),
	    "UPDATE meta SET value = %d WHERE key = 'schema'", SCHEMA);
	return execute(f, text);
}

/* From that version to ours, or nothing. */
static int
migrate(struct store_sqlite *f, int64_t from)
{
	if (execute(f, "BEGIN IMMEDIATE") == -1)
		return -1;
	if (climb(f, from) == 0 && execute(f, "COMMIT") == 0)
		return 0;
	sqlite3_exec(f->db, "ROLLBACK", NULL, NULL, NULL);
	return -1;
}

static int
newer(struct store_sqlite *f, int64_t schema, char *why, size_t why_len)
{
	int rc;
	int64_t least = number(f,
	    "SELECT value FROM meta WHERE key = 'readable_by'", &rc);

	if (rc == -1)
		return why_set(why, why_len, "%s", f->why);
	if (least > SCHEMA)
		return why_set(why, why_len, "%s has tables of version %"
		    PRId64 ", this godwit-ems knows %d: use a newer one",
		    f->path, schema, SCHEMA);
	why_set(f->refusing, sizeof(f->refusing), "%s has tables of version %"
	    PRId64 ", this godwit-ems knows %d and writes no other: use a "
	    "newer one", f->path, schema, SCHEMA);
	return 0;
}

static int
known(struct store_sqlite *f, int64_t id, char *why, size_t why_len)
{
	int rc = 0;
	int64_t schema = id != APPLICATION_ID ? 0 : number(f,
	    "SELECT value FROM meta WHERE key = 'schema'", &rc);

	if (id != APPLICATION_ID)
		return why_set(why, why_len, "%s is an SQLite file, but not "
		    "one of godwit-ems", f->path);
	if (rc == -1)
		return why_set(why, why_len, "%s", f->why);
	if (schema > SCHEMA)
		return newer(f, schema, why, why_len);
	if (schema < 1)
		return why_set(why, why_len, "%s says that its tables are of "
		    "version %" PRId64 ", the first is 1", f->path, schema);
	if (schema == SCHEMA || f->refusing[0] != '\0' ||
	    migrate(f, schema) == 0)
		return 0;
	return why_set(why, why_len, "%s", f->why);
}

int
store_schema_open(struct store_sqlite *f, char *why, size_t why_len)
{
	int rc, rc2 = 0;
	int64_t tables = number(f, "SELECT count(*) FROM sqlite_master", &rc);
	int64_t id = rc == -1 ? 0 : number(f, "PRAGMA application_id", &rc2);

	if (rc == -1 || rc2 == -1)
		return why_set(why, why_len, "%s", f->why);
	if (tables > 0 || id != 0)
		return known(f, id, why, why_len);
	if (f->refusing[0] != '\0')
		return why_set(why, why_len, "%s", f->refusing);
	return migrate(f, 0) == 0 ? 0 :
	    why_set(why, why_len, "%s", f->why);
}
