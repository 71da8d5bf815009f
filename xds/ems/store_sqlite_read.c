/*
 * xds/ems/store_sqlite_read.c - questions: items as of a revision, history,
 * leases. Test: t/unit/store.c.
 */
#include "xds/ems/store_sqlite_inside.h"

#include <inttypes.h>

/* A page of history ends with the write that reaches it. */
enum { PAGE_DEFAULT = 100, PAGE_BYTES = STORE_WRITE_MAX, ROWS_FIRST = 64 };

/* An array of the answer that grows; rows stay where they are read to last. */
struct rows {
	void		*at;
	size_t		 n, size, bytes;	/* of one */
};

/* The next, zeroed. NULL: no memory. */
static void *
rows_add(struct store_sqlite *f, struct store_request *r, struct rows *rows)
{
	size_t size = rows->size == 0 ? ROWS_FIRST : 2 * rows->size;
	void *at;

	if (rows->n == rows->size) {
		at = store_request_alloc(r, size * rows->bytes);
		if (at == NULL) {
			file_no_memory(f);
			return NULL;
		}
		if (rows->n > 0)
			memcpy(at, rows->at, rows->n * rows->bytes);
		rows->at = at;
		rows->size = size;
	}
	at = (char *)rows->at + rows->n++ * rows->bytes;
	return memset(at, 0, rows->bytes);
}

/* ---- items */

static int
item_read(struct store_sqlite *f, struct store_request *r, sqlite3_stmt *q,
    struct rows *rows)
{
	struct store_item *i = rows_add(f, r, rows);

	if (i == NULL || sql_keep(f, r, q, 0, &i->noun) == -1 ||
	    sql_keep(f, r, q, 1, &i->name) == -1 ||
	    sql_keep(f, r, q, 4, &i->body) == -1)
		return -1;
	i->version = sql_number(q, 2);
	i->revision = sql_number(q, 3);
	return 0;
}

static sqlite3_stmt *
items_statement(struct store_sqlite *f, const struct store_question *q)
{
	uint64_t to = q->revision == 0 ? INT64_MAX : q->revision;

	if (q->kind == STORE_ITEM)
		return sql(f, SQL_ITEMS_ONE, "itt", to, q->noun, q->name);
	if (q->noun.p != NULL)
		return sql(f, SQL_ITEMS_OF_NOUN, "it", to, q->noun);
	return sql(f, SQL_ITEMS, "i", to);
}

static int
ask_items(struct store_sqlite *f, struct store_request *r)
{
	struct rows rows = { .bytes = sizeof(struct store_item) };
	sqlite3_stmt *q = items_statement(f, &r->question);
	int rc;

	while ((rc = sql_row(f, q)) == 1)
		if (item_read(f, r, q, &rows) == -1) {
			sql_end(q);
			return -1;
		}
	r->answer.items = rows.at;
	r->answer.items_n = rows.n;
	return rc;
}

/* ---- history */

static int
past_read(struct store_sqlite *f, struct store_request *r, sqlite3_stmt *q,
    struct rows *rows)
{
	struct store_past *p = rows_add(f, r, rows);

	if (p == NULL || sql_keep(f, r, q, 2, &p->who) == -1 ||
	    sql_keep(f, r, q, 3, &p->why) == -1 ||
	    sql_keep(f, r, q, 4, &p->noun) == -1 ||
	    sql_keep(f, r, q, 5, &p->name) == -1 ||
	    sql_keep(f, r, q, 9, &p->body) == -1)
		return -1;
	p->revision = sql_number(q, 0);
	p->when_ms = (int64_t)sql_number(q, 1);
	p->from = sql_number(q, 6);
	p->to = sql_number(q, 7);
	p->deleted = sql_number(q, 8) != 0;
	return 0;
}

static sqlite3_stmt *
history_statement(struct store_sqlite *f, const struct store_question *q)
{
	uint64_t before = q->revision == 0 ? INT64_MAX : q->revision;
	uint64_t bodies = !q->no_bodies;

	if (q->noun.p == NULL)
		return sql(f, SQL_HISTORY_ALL, "ii", before, bodies);
	return sql(f, SQL_HISTORY_ONE, "iitt", before, bodies, q->noun,
	    q->name);
}

/* Whether the page is full and q's row begins another revision. */
static bool
page_ends(const struct rows *rows, size_t bytes, uint32_t limit,
    sqlite3_stmt *q)
{
	const struct store_past *past = rows->at;

	return rows->n > 0 && (rows->n >= limit || bytes >= PAGE_BYTES) &&
	    past[rows->n - 1].revision != sql_number(q, 0);
}

static int
ask_history(struct store_sqlite *f, struct store_request *r)
{
	uint32_t limit = r->question.limit == 0 ? PAGE_DEFAULT :
	    r->question.limit;
	struct rows rows = { .bytes = sizeof(struct store_past) };
	sqlite3_stmt *q = history_statement(f, &r->question);
	size_t bytes = 0;
	int rc;

	while ((rc = sql_row(f, q)) == 1) {
		r->answer.more = page_ends(&rows, bytes, limit, q);
		if (r->answer.more || past_read(f, r, q, &rows) == -1) {
			sql_end(q);
			break;
		}
		bytes += ((struct store_past *)rows.at)[rows.n - 1].body.n;
	}
	r->answer.past = rows.at;
	r->answer.past_n = rows.n;
	return rc == 0 || r->answer.more ? 0 : -1;
}

/* ---- leases */

static int
lease_read(struct store_sqlite *f, struct store_request *r, sqlite3_stmt *q,
    struct rows *rows)
{
	struct store_lease *l = rows_add(f, r, rows);

	if (l == NULL || sql_keep(f, r, q, 0, &l->id) == -1 ||
	    sql_keep(f, r, q, 2, &l->service) == -1 ||
	    sql_keep(f, r, q, 3, &l->region) == -1 ||
	    sql_keep(f, r, q, 4, &l->zone) == -1 ||
	    sql_keep(f, r, q, 5, &l->address) == -1 ||
	    sql_keep(f, r, q, 8, &l->label) == -1 ||
	    sql_keep(f, r, q, 10, &l->checks) == -1)
		return -1;
	l->epoch = sql_number(q, 1);
	l->port = (uint32_t)sql_number(q, 6);
	l->weight = (uint32_t)sql_number(q, 7);
	l->ttl_ms = (uint32_t)sql_number(q, 9);
	return 0;
}

static int
epoch_max(struct store_sqlite *f, uint64_t *to)
{
	sqlite3_stmt *q = sql(f, SQL_EPOCH_MAX, "");
	int rc = sql_row(f, q);

	if (rc != 1)
		return rc;
	*to = sql_number(q, 0);
	sql_end(q);
	return 0;
}

static int
ask_leases(struct store_sqlite *f, struct store_request *r)
{
	struct rows rows = { .bytes = sizeof(struct store_lease) };
	sqlite3_stmt *q = sql(f, SQL_LEASES, "");
	int rc;

	while ((rc = sql_row(f, q)) == 1)
		if (lease_read(f, r, q, &rows) == -1) {
			sql_end(q);
			return -1;
		}
	r->answer.leases = rows.at;
	r->answer.leases_n = rows.n;
	return rc == -1 ? -1 : epoch_max(f, &r->answer.epoch_max);
}

int
store_sqlite_ask(struct store_sqlite *f, struct store_request *r)
{
	const struct store_question *q = &r->question;

	if (q->kind != STORE_HISTORY && q->revision > f->revision) {
		store_request_say(r, STORE_INVALID, "there is no revision %"
		    PRIu64 " yet, the newest is %" PRIu64, q->revision,
		    f->revision);
		r->answer.revision = f->revision;
		return 0;
	}
	r->answer.revision = f->revision;
	switch (q->kind) {
	case STORE_ITEM:
	case STORE_ITEMS:
		return ask_items(f, r);
	case STORE_HISTORY:
		return ask_history(f, r);
	case STORE_LEASES:
		return ask_leases(f, r);
	case STORE_REVISION:
		break;
	}
	return 0;
}
