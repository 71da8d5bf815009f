/*
 * xds/ems/store_sqlite.c - see store_sqlite.h.
 *
 *   BEGIN IMMEDIATE ─> each: SAVEPOINT, look, put ─> COMMIT ──> all answered
 *                                                      │ failed
 *        ROLLBACK, writes: STORE_FAILED, questions: asked again <┘
 */
#include "xds/ems/store_sqlite.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shm/log.h"
#include "xds/ems/store_sqlite_inside.h"

/* How long another program, say sqlite3, may hold the file up. */
enum { BUSY_MS = 5000 };

/* ---- a batch */

static int
answer(struct store_sqlite *f, struct store_request *r)
{
	switch (r->verb) {
	case STORE_WRITE:
		return store_sqlite_write(f, r);
	case STORE_LEASE_PUT:
		return store_sqlite_lease_put(f, r);
	case STORE_LEASE_REMOVE:
		return store_sqlite_lease_remove(f, r);
	case STORE_ASK:
		break;
	}
	return store_sqlite_ask(f, r);
}

static void
answer_failed(struct store_sqlite *f, struct store_request *r)
{
	store_request_say(r, STORE_FAILED, "%s%s", f->why,
	    store_request_writes(r) ? "; nothing was written" : "");
	r->answer.revision = f->revision;
}

static void
answer_refused(struct store_sqlite *f, struct store_request *r)
{
	store_request_say(r, STORE_FAILED, "%s; nothing is written",
	    f->refusing);
	r->answer.revision = f->revision;
}

/* 0, or -1: the transaction is gone, f->why says why. */
static int
answer_all(struct store_sqlite *f, struct store_request *first)
{
	for (struct store_request *r = first; r != NULL; r = r->next) {
		if (store_request_writes(r) && f->refusing[0] != '\0')
			answer_refused(f, r);
		else if (answer(f, r) == -1)
			answer_failed(f, r);
		if (sqlite3_get_autocommit(f->db))
			return -1;
	}
	return 0;
}

static bool
has_writes(const struct store_request *first)
{
	for (const struct store_request *r = first; r != NULL; r = r->next)
		if (store_request_writes(r))
			return true;
	return false;
}

static void
rollback(struct store_sqlite *f)
{
	if (!sqlite3_get_autocommit(f->db))
		sql_do(f, sql(f, SQL_ROLLBACK, ""));
	assert(sqlite3_get_autocommit(f->db));
}

/* As if no write of it had been; refused ones keep their answer. */
static void
without_writes(struct store_sqlite *f, struct store_request *first)
{
	bool begun = sql_do(f, sql(f, SQL_BEGIN_READ, "")) == 0;

	for (struct store_request *r = first; r != NULL; r = r->next) {
		if (store_request_writes(r))
			continue;
		store_request_again(r);
		if (!begun || answer(f, r) == -1)
			answer_failed(f, r);
	}
	rollback(f);
}

static int
try(struct store_sqlite *f, struct store_request *first)
{
	enum statement begin = f->refusing[0] == '\0' && has_writes(first) ?
	    SQL_BEGIN_WRITE : SQL_BEGIN_READ;

	if (sql_do(f, sql(f, begin, "")) == -1 || answer_all(f, first) == -1)
		return -1;
	return sql_do(f, sql(f, SQL_COMMIT, ""));
}

void
store_sqlite_run(struct store_sqlite *f, struct store_request *first)
{
	uint64_t revision = f->revision;
	char why[STORE_SENTENCE_MAX];

	if (try(f, first) == 0)
		return;
	memcpy(why, f->why, sizeof(why));
	rollback(f);
	f->revision = revision;
	memcpy(f->why, why, sizeof(why));
	for (struct store_request *r = first; r != NULL; r = r->next)
		if (store_request_writes(r))
			answer_failed(f, r);
	without_writes(f, first);
}

/* ---- opening */

/* The entry of a new file in its folder. */
static int
folder_sync(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *folder = slash == NULL ? strdup(".") :
	    strndup(path, (size_t)(slash - path) + 1);
	int fd = folder == NULL ? -1 :
	    open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = fd == -1 ? -1 : fsync(fd);

	if (fd != -1)
		close(fd);
	free(folder);
	return rc;
}

/* Made by us, so that nobody else may read it. */
static int
make(const char *path, char *why, size_t why_len)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd == -1 && errno == EEXIST)
		return 0;
	if (fd != -1)
		close(fd);
	if (fd == -1 || folder_sync(path) == -1)
		return why_set(why, why_len, "%s can't be made: %s", path,
		    strerror(errno));
	return 0;
}

/* -1: somebody has it. Without a lock nothing is written. */
static int
lock(struct store_sqlite *f, char *why, size_t why_len)
{
	char *name;

	if (asprintf(&name, "%s.lock", f->path) == -1)
		return why_set(why, why_len, "no memory for the store");
	f->lock_fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (f->lock_fd == -1)
		why_set(f->refusing, sizeof(f->refusing), "%s can't be made, "
		    "and without it the store is not written: %s", name,
		    strerror(errno));
	free(name);
	if (f->lock_fd == -1 || flock(f->lock_fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno == EWOULDBLOCK)
		return why_set(why, why_len, "another godwit-ems uses %s",
		    f->path);
	return why_set(why, why_len, "%s.lock: %s", f->path, strerror(errno));
}

/* Looks at the file for the first time; the WAL's tail is replayed here. */
static int
look(struct store_sqlite *f)
{
	return sqlite3_exec(f->db, "PRAGMA synchronous = FULL;"
	    "SELECT count(*) FROM sqlite_master", NULL, NULL, NULL) ==
	    SQLITE_OK ? 0 : -1;
}

static bool
wal_empty(const char *path)
{
	char name[4096];
	struct stat st;

	snprintf(name, sizeof(name), "%s-wal", path);
	return stat(name, &st) == -1 || st.st_size == 0;
}

/* A URI of the path: what is no plain character as %xx. */
static char *
uri_of(const char *path, const char *options)
{
	size_t n = strlen(path) * 3 + strlen(options) + 6;
	char *uri = malloc(n), *to = uri;

	if (uri == NULL)
		return NULL;
	to += sprintf(to, "file:");
	for (; *path != '\0'; path++)
		if (strchr("/._-", *path) != NULL ||
		    (*path >= '0' && *path <= '9') ||
		    (*path >= 'A' && *path <= 'Z') ||
		    (*path >= 'a' && *path <= 'z'))
			*to++ = *path;
		else
			to += sprintf(to, "%%%02x", (unsigned char)*path);
	sprintf(to, "%s", options);
	return uri;
}

static int
database_open(struct store_sqlite *f, const char *name, int flags)
{
	int rc = sqlite3_open_v2(name, &f->db, flags | SQLITE_OPEN_NOMUTEX |
	    SQLITE_OPEN_EXRESCODE, NULL);

	if (rc != SQLITE_OK) {
		file_failed(f);
		return -1;
	}
	sqlite3_busy_timeout(f->db, BUSY_MS);
	return 0;
}

/* A file that can't be written has no -shm beside it, in a folder that can't:
 * SQLite takes it when told that nobody writes it, if no WAL is left. */
static int
database_immutable(struct store_sqlite *f)
{
	char *uri = uri_of(f->path, "?immutable=1");
	int rc;

	sqlite3_close(f->db);
	f->db = NULL;
	if (uri == NULL)
		return file_no_memory(f);
	rc = database_open(f, uri, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI);
	free(uri);
	return rc == -1 || look(f) == 0 ? rc : file_failed(f);
}

static int
database(struct store_sqlite *f)
{
	int flags = f->refusing[0] == '\0' ? SQLITE_OPEN_READWRITE :
	    SQLITE_OPEN_READONLY;

	if (database_open(f, f->path, flags) == -1)
		return -1;
	if (sqlite3_db_readonly(f->db, "main") == 1 && f->refusing[0] == '\0')
		why_set(f->refusing, sizeof(f->refusing),
		    "%s can't be written: it is read-only", f->path);
	if (look(f) == 0)
		return 0;
	if (f->refusing[0] != '\0' && wal_empty(f->path))
		return database_immutable(f);
	return file_failed(f);
}

/* SQLite answers with the mode that the file is in then. */
static int
wal_begin(struct store_sqlite *f)
{
	sqlite3_stmt *q = NULL;
	bool wal = false;

	if (sqlite3_prepare_v2(f->db, "PRAGMA journal_mode = WAL", -1, &q,
	    NULL) != SQLITE_OK || sqlite3_step(q) != SQLITE_ROW)
		file_failed(f);
	else
		wal = strcmp((const char *)sqlite3_column_text(q, 0),
		    "wal") == 0;
	sqlite3_finalize(q);
	if (!wal && f->why[0] == '\0')
		why_set(f->why, sizeof(f->why), "%s: SQLite can't keep a WAL "
		    "there (a file system of the network?)", f->path);
	return wal ? 0 : -1;
}

static int
settle(struct store_sqlite *f)
{
	if (f->refusing[0] != '\0')
		return 0;
	if (wal_begin(f) == -1)
		return -1;
	return sqlite3_exec(f->db, "PRAGMA journal_size_limit = 67108864;"
	    "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON",
	    NULL, NULL, NULL) == SQLITE_OK ? 0 : file_failed(f);
}

static int
prepare(struct store_sqlite *f)
{
	static const char *const texts[] = {
#define STATEMENT(id, sql) [SQL_##id] = sql,
#include "xds/ems/store_sqlite.def"
#undef STATEMENT
	};

	for (int i = 0; i < STATEMENTS; i++)
		if (sqlite3_prepare_v3(f->db, texts[i], -1,
		    SQLITE_PREPARE_PERSISTENT, &f->statements[i], NULL) !=
		    SQLITE_OK)
			return file_failed(f);
	return 0;
}

static int
revision_read(struct store_sqlite *f)
{
	sqlite3_stmt *q = sql(f, SQL_REVISION, "");

	if (sql_row(f, q) != 1)
		return -1;
	f->revision = sql_number(q, 0);
	sql_end(q);
	return 0;
}

static int
open_all(struct store_sqlite *f, char *why, size_t why_len)
{
	if (lock(f, why, why_len) == -1)
		return -1;
	if (f->refusing[0] == '\0' && make(f->path, why, why_len) == -1)
		return -1;
	if (database(f) == -1)
		return why_set(why, why_len, "%s", f->why);
	/* Tables that are not ours stay as they are: first the schema. */
	if (store_schema_open(f, why, why_len) == -1)
		return -1;
	if (settle(f) == -1 || prepare(f) == -1 || revision_read(f) == -1)
		return why_set(why, why_len, "%s", f->why);
	return why_set(why, why_len, "%s", f->refusing), 0;
}

struct store_sqlite *
store_sqlite_open(const char *path, char *why, size_t why_len)
{
	struct store_sqlite *f = calloc(1, sizeof(*f));

	if (f != NULL) {
		f->lock_fd = -1;
		f->path = strdup(path);
	}
	if (f == NULL || f->path == NULL)
		why_set(why, why_len, "no memory for the store");
	else if (open_all(f, why, why_len) == 0)
		return f;
	if (f != NULL)
		store_sqlite_close(f);
	return NULL;
}

void
store_sqlite_close(struct store_sqlite *f)
{
	for (int i = 0; i < STATEMENTS; i++)
		sqlite3_finalize(f->statements[i]);
	sqlite3_close(f->db);
	if (f->lock_fd != -1)
		close(f->lock_fd);
	free(f->path);
	free(f);
}
