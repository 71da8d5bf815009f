/*
 * t/unit/store_fault.c - the store of godwit-ems on disks that fail and files
 * that are not as they should be: each is one sentence, and what can be read
 * is still answered (S7). Also that an answer to a write comes after its fsync
 * (S1): kill -9 would not show that, only a loss of power.
 *
 *   SQLite ──> its Linux VFS ──> file, whose methods are ours: count, fail, or
 *                                call Linux's
 *
 * What is in wal is atomic, since a test sets a fault while the thread waits.
 *
 * Why so: SQLite takes its files through a table of methods. Each file that is
 * opened gets a copy of its table with three entries of ours, the original
 * behind it.
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "t/lib/unit_store.h"
#include "xds/ems/store.h"

/* ---- the VFS */

enum fault { FAULT_NONE, FAULT_FULL, FAULT_SYNC, FAULT_WRITE };

/* Of the WAL. */
static struct {
	_Atomic int	 fault;		/* enum fault */
	_Atomic bool	 dirty;		/* written after the last sync */
	_Atomic int	 syncs;
} wal;

struct hooked {
	sqlite3_io_methods mine;	/* first: a file's pMethods is this */
	const sqlite3_io_methods *linux;
};

static struct hooked hooked_wal;
static sqlite3_vfs vfs, *linux_vfs;

static int
wal_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
	if (wal.fault == FAULT_FULL)
		return SQLITE_FULL;
	if (wal.fault == FAULT_WRITE)
		return SQLITE_IOERR_WRITE;
	wal.dirty = true;
	return hooked_wal.linux->xWrite(f, p, n, at);
}

static int
wal_sync(sqlite3_file *f, int flags)
{
	if (wal.fault == FAULT_SYNC)
		return SQLITE_IOERR_FSYNC;
	wal.dirty = false;
	wal.syncs++;
	return hooked_wal.linux->xSync(f, flags);
}

static int
vfs_open(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags,
    int *out_flags)
{
	int rc = linux_vfs->xOpen(linux_vfs, name, f, flags, out_flags);

	(void)v;
	if (rc != SQLITE_OK || (flags & SQLITE_OPEN_WAL) == 0)
		return rc;
	hooked_wal.linux = f->pMethods;
	hooked_wal.mine = *f->pMethods;
	hooked_wal.mine.xWrite = wal_write;
	hooked_wal.mine.xSync = wal_sync;
	f->pMethods = &hooked_wal.mine;
	return rc;
}

static void
vfs_begin(void)
{
	linux_vfs = sqlite3_vfs_find(NULL);
	vfs = *linux_vfs;
	vfs.zName = "fault";
	vfs.xOpen = vfs_open;
	cr_assert_eq(sqlite3_vfs_register(&vfs, 1), SQLITE_OK);
}

static void
start_faulty(void)
{
	vfs_begin();
	start();
}

/* "FAILED r1: FILE" and the rest. */
static const char *
sentence(const char *before, const char *after)
{
	static char text[512];

	snprintf(text, sizeof(text), "%s%s%s\n", before, file, after);
	return text;
}

/* ---- fsync */

Test(store_fault, answers_after_the_sync, .init = start_faulty, .fini = end)
{
	int syncs;

	/* The first one syncs the head of the WAL too. */
	write_("service first 0 =x");
	syncs = wal.syncs;
	for (int i = 0; i < 20; i++) {
		char text[32];

		snprintf(text, sizeof(text), "service n%d 0 =x", i);
		cr_assert(memcmp(write_(text), "OK", 2) == 0);
		cr_assert(!wal.dirty, "answered before it is on disk");
		cr_assert_eq(wal.syncs, ++syncs);
	}
	/* A question syncs nothing. */
	items(0);
	cr_assert_eq(wal.syncs, syncs);
}

/* What waits is one transaction: one sync, not a hundred. */
Test(store_fault, syncs_once_for_what_waits, .init = start_faulty,
    .fini = end)
{
	sqlite3 *db;
	int syncs;

	write_("service first 0 =x");
	db = hold();
	syncs = wal.syncs;
	for (int i = 0; i < 100; i++) {
		char text[32];

		snprintf(text, sizeof(text), "service n%d 0 =x", i);
		submit(text);
	}
	let_go(db);
	until(101);
	cr_assert_str_eq(heard.answer, "OK r101 v1\n");
	/* The first may have been taken alone. */
	cr_assert(wal.syncs - syncs <= 2, "%d syncs", wal.syncs - syncs);
}

/* ---- a disk that fails */

Test(store_fault, full_disk, .init = start_faulty, .fini = end)
{
	write_("service a 0 =x");
	wal.fault = FAULT_FULL;
	heard.watch[0] = '\0';
	cr_assert_str_eq(write_("service a 1 =y"), sentence("FAILED r1: ",
	    ": the disk is full; nothing was written"));
	cr_assert_str_eq(heard.watch, "");
	cr_assert_str_eq(items(0), "OK r1\nservice a v1 r1 'x'\n");
	cr_assert_str_eq(put((struct store_lease){ .id = store_text("a"),
	    .epoch = 1, .service = store_text("s"),
	    .address = store_text("::1"), .port = 1 }),
	    sentence("FAILED r1: ",
	    ": the disk is full; nothing was written"));
	/* There is room again. */
	wal.fault = FAULT_NONE;
	cr_assert_str_eq(write_("service a 1 =y"), "OK r2 v2\n");
	store_again();
	cr_assert_str_eq(items(0), "OK r2\nservice a v2 r2 'y'\n");
}

/* A batch that fails: its writes did not happen, its questions are answered
 * as if they had not been asked of it. */
Test(store_fault, a_batch_is_undone_whole, .init = start_faulty, .fini = end)
{
	const struct store_question q = { .kind = STORE_ITEMS };
	sqlite3 *db;

	write_("service a 0 =x");
	db = hold();
	submit("service a 1 =y");
	submit("service b 0 =y");
	cr_assert_eq(store_ask(store, &q, on_answer, &heard), 0);
	wal.fault = FAULT_FULL;
	let_go(db);
	until(4);
	cr_assert_str_eq(heard.answer, "OK r1\nservice a v1 r1 'x'\n");
	wal.fault = FAULT_NONE;
	cr_assert_str_eq(write_("service b 0 =y"), "OK r2 v1\n");
}

/* After an fsync that failed no later one proves anything: the kernel says so
 * once, and may have dropped the bytes. */
Test(store_fault, failed_sync, .init = start_faulty, .fini = end)
{
	write_("service a 0 =x");
	wal.fault = FAULT_SYNC;
	cr_assert_str_eq(write_("service a 1 =y"), sentence("FAILED r1: ",
	    ": disk I/O error; nothing was written"));
	wal.fault = FAULT_NONE;
	cr_assert_str_eq(write_("service a 1 =y"), sentence("FAILED r1: ",
	    ": disk I/O error; nothing is written"));
	cr_assert_str_eq(items(0), "OK r1\nservice a v1 r1 'x'\n");
	store_again();
	cr_assert_str_eq(write_("service a 1 =y"), "OK r2 v2\n");
}

Test(store_fault, failed_write, .init = start_faulty, .fini = end)
{
	write_("service a 0 =x");
	wal.fault = FAULT_WRITE;
	cr_assert_str_eq(write_("service a 1 =y"), sentence("FAILED r1: ",
	    ": disk I/O error; nothing was written"));
	wal.fault = FAULT_NONE;
	cr_assert_str_eq(write_("service a 1 =y"), "OK r2 v2\n");
}

/* ---- a file that is not as it should be */

static void
sql(const char *text)
{
	sqlite3 *db = NULL;

	cr_assert_eq(sqlite3_open(file, &db), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK,
	    "%s", sqlite3_errmsg(db));
	cr_assert_eq(sqlite3_close(db), SQLITE_OK);
}

/* One with some items, closed, changed by text. */
static void
made_and(const char *text)
{
	store_begin();
	write_("service a 0 =x");
	write_("service a 1 =y");
	write_("service b 0 =x");
	store_close(store);
	if (text != NULL)
		sql(text);
}

static void
opens_not(const char *before, const char *after)
{
	char want[512];

	snprintf(want, sizeof(want), "%s%s%s", before, file, after);
	cr_assert_null(store_open(&loop, &set, why, sizeof(why)));
	cr_assert_str_eq(why, want, "%s", why);
}

static void
reads_only(const char *after)
{
	char want[sizeof(why) + 64];

	store = store_open(&loop, &set, why, sizeof(why));
	cr_assert_not_null(store, "%s", why);
	snprintf(want, sizeof(want), "%s%s", file, after);
	cr_assert_str_eq(why, want, "%s", why);
	snprintf(want, sizeof(want), "FAILED r3: %s; nothing is written\n",
	    why);
	cr_assert_str_eq(write_("service c 0 =x"), want, "%s", heard.answer);
	cr_assert_str_eq(items(0), "OK r3\nservice a v2 r2 'y'\n"
	    "service b v1 r3 'x'\n");
	store_close(store);
}

Test(store_fault, newer_tables, .init = folder_open, .fini = folder_close)
{
	made_and("UPDATE meta SET value = 9 WHERE key = 'schema'");
	reads_only(" has tables of version 9, this godwit-ems knows 1 and "
	    "writes no other: use a newer one");
	sql("UPDATE meta SET value = 2 WHERE key = 'readable_by'");
	opens_not("", " has tables of version 9, this godwit-ems knows 1: use "
	    "a newer one");
	sql("UPDATE meta SET value = 0 WHERE key = 'schema'");
	opens_not("", " says that its tables are of version 0, the first is "
	    "1");
	sql("UPDATE meta SET value = 1 WHERE key = 'schema'");
	store_begin();
	store_close(store);
}

Test(store_fault, of_another_program, .init = folder_open,
    .fini = folder_close)
{
	sql("CREATE TABLE t (a)");
	opens_not("", " is an SQLite file, but not one of godwit-ems");
	sql("INSERT INTO t VALUES (1)");	/* and it is as it was */
}

/* Overwrites the file from there on. */
static void
scratch(off_t from, size_t n)
{
	char junk[8192];
	int fd = open(file, O_WRONLY);

	memset(junk, 0xa5, sizeof(junk));
	cr_assert(n <= sizeof(junk));
	cr_assert_eq(pwrite(fd, junk, n, from), (ssize_t)n);
	close(fd);
}

Test(store_fault, no_file_of_sqlite, .init = folder_open,
    .fini = folder_close)
{
	made_and(NULL);
	scratch(0, 100);
	opens_not("", " is damaged (file is not a database): put a copy in "
	    "its place, or make one of what is left by sqlite3's .recover");
}

/* The page of one table: the others are still answered. */
static off_t
page_of(const char *table)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *q;
	off_t at;

	cr_assert_eq(sqlite3_open(file, &db), SQLITE_OK);
	cr_assert_eq(sqlite3_prepare_v2(db, "SELECT rootpage FROM "
	    "sqlite_master WHERE name = ?", -1, &q, NULL), SQLITE_OK);
	sqlite3_bind_text(q, 1, table, -1, SQLITE_STATIC);
	cr_assert_eq(sqlite3_step(q), SQLITE_ROW);
	at = (sqlite3_column_int64(q, 0) - 1) * 4096;
	sqlite3_finalize(q);
	sqlite3_close(db);
	return at;
}

#define DAMAGED " is damaged (database disk image is malformed): put a copy " \
	"in its place, or make one of what is left by sqlite3's .recover"

Test(store_fault, damaged_within, .init = folder_open, .fini = folder_close)
{
	made_and(NULL);
	scratch(page_of("item"), 4096);
	store_begin();
	cr_assert_str_eq(items(0), sentence("FAILED r3: ", DAMAGED));
	cr_assert_str_eq(write_("service c 0 =x"), sentence("FAILED r3: ",
	    DAMAGED "; nothing is written"));
	cr_assert_str_eq(leases(), "OK r3\n");
	cr_assert_str_eq(ask((struct store_question){ .kind = STORE_HISTORY,
	    .limit = 1 }), "OK r3 more\nr3 1003 me 'because' service b 0>1 "
	    "'x'\n");
	store_close(store);
}

/* Root may write everything: who is root is nobody here. */
static void
be_nobody(void)
{
	if (getuid() == 0) {
		cr_assert_eq(chown(folder, 65534, 65534), 0);
		cr_assert_eq(chown(file, 65534, 65534), 0);
		cr_assert_eq(setreuid(65534, 65534), 0);
	}
}

Test(store_fault, read_only_file, .init = folder_open, .fini = folder_close)
{
	made_and(NULL);
	snprintf(why, sizeof(why), "%s.lock", file);
	unlink(why);
	be_nobody();
	cr_assert_eq(chmod(file, 0400), 0);
	reads_only(" can't be written: it is read-only");
}

Test(store_fault, read_only_folder, .init = folder_open,
    .fini = folder_close)
{
	made_and(NULL);
	snprintf(why, sizeof(why), "%s.lock", file);
	unlink(why);
	be_nobody();
	cr_assert_eq(chmod(folder, 0500), 0);
	reads_only(".lock can't be made, and without it the store is not "
	    "written: Permission denied");
	cr_assert_eq(chmod(folder, 0700), 0);
}

Test(store_fault, no_folder, .init = folder_open, .fini = folder_close)
{
	strcpy(file, "/tmp/godwit-store-nowhere/store");
	opens_not("", ": unable to open database file: No such file or "
	    "directory");
	snprintf(file, sizeof(file), "%s/store", folder);
}

/* A write that fails midway takes its own first change along, and nothing of
 * those beside it in the transaction. */
Test(store_fault, one_write_of_a_batch, .init = folder_open,
    .fini = folder_close)
{
	sqlite3 *db;

	made_and("CREATE TRIGGER t BEFORE INSERT ON change WHEN new.name = "
	    "'bad' BEGIN SELECT RAISE(ABORT, 'it is bad'); END");
	store_begin();
	db = hold();
	heard.n = 0;
	heard.answers[0] = '\0';
	submit("service c 0 =1");
	submit("service d 0 =2;service bad 0 =2");
	submit("service e 0 =3");
	let_go(db);
	until(3);
	cr_assert_str_eq(heard.answers, sentence("OK r4 v1\nFAILED r4: ",
	    ": it is bad; nothing was written\nOK r5 v1"));
	cr_assert_str_eq(items(0), "OK r5\n"
	    "service a v2 r2 'y'\nservice b v1 r3 'x'\n"
	    "service c v1 r4 '1'\nservice e v1 r5 '3'\n");
	store_close(store);
}
