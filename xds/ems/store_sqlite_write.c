/*
 * xds/ems/store_sqlite_write.c - writes and leases. A write is looked at whole
 * before anything of it is stored, so that a conflict leaves nothing to undo.
 *
 * Test: t/unit/store.c.
 */
#include "xds/ems/store_sqlite_inside.h"

#include <inttypes.h>

/* What a change finds and becomes. */
struct step {
	uint64_t	 from, to;
	bool		 same;		/* the body is what it was */
};

static bool
text_same(struct store_text a, struct store_text b)
{
	return (a.p == NULL) == (b.p == NULL) && a.n == b.n &&
	    (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* 1: found in q, which then is to be ended; 0: never was there. */
static int
item_find(struct store_sqlite *f, const struct store_change *c,
    sqlite3_stmt **q)
{
	*q = sql(f, SQL_ITEM_FIND, "tt", c->noun, c->name);
	return sql_row(f, *q);
}

static int
conflict(struct store_sqlite *f, struct store_request *r, size_t at,
    uint64_t version, sqlite3_stmt *q)
{
	const struct store_change *c = &r->write.changes[at];
	struct store_text body = { NULL, 0 };
	int n = (int)c->name.n;

	if (version != 0 && sql_keep(f, r, q, 2, &body) == -1)
		return -1;
	if (version == 0)
		store_request_say(r, STORE_CONFLICT, "%s %.*s is not there, "
		    "version %" PRIu64 " was expected", c->noun.p, n,
		    c->name.p, c->expect_version);
	else if (c->expect_version == 0)
		store_request_say(r, STORE_CONFLICT, "%s %.*s is there, in "
		    "version %" PRIu64 ", and was to be created", c->noun.p,
		    n, c->name.p, version);
	else
		store_request_say(r, STORE_CONFLICT, "%s %.*s is in version %"
		    PRIu64 ", %" PRIu64 " was expected", c->noun.p, n,
		    c->name.p, version, c->expect_version);
	r->answer.revision = f->revision;
	r->answer.conflict_at = at;
	r->answer.current_version = version;
	r->answer.current_body = body;
	return 0;
}

/* 1: as expected; 0: a conflict, answered; -1. */
static int
look(struct store_sqlite *f, struct store_request *r, size_t at,
    struct step *step)
{
	const struct store_change *c = &r->write.changes[at];
	sqlite3_stmt *q;
	int found = item_find(f, c, &q);
	uint64_t last = found == 1 ? sql_number(q, 0) : 0;
	bool live = found == 1 && sql_number(q, 1) != 0;
	int rc = 1;

	if (found == -1)
		return -1;
	*step = (struct step){
		.from = live ? last : 0, .to = last + 1,
		.same = live && text_same(sql_text(q, 2), c->body),
	};
	if (step->same)
		step->to = last;
	if (step->from != c->expect_version)
		rc = conflict(f, r, at, step->from, q);
	if (found == 1)
		sql_end(q);
	return rc;
}

/* 1: all as expected; 0: a conflict, answered; -1. */
static int
look_all(struct store_sqlite *f, struct store_request *r, struct step *steps)
{
	for (size_t i = 0; i < r->write.changes_n; i++) {
		int rc = look(f, r, i, &steps[i]);

		if (rc != 1)
			return rc;
	}
	return 1;
}

/* ---- storing */

static int
change_put(struct store_sqlite *f, const struct store_change *c,
    const struct step *s, uint64_t revision)
{
	uint64_t live = c->body.p != NULL;

	if (sql_do(f, sql(f, SQL_CHANGE_PUT, "ittiit", revision, c->noun,
	    c->name, s->from, s->to, c->body)) == -1)
		return -1;
	return sql_do(f, sql(f, SQL_ITEM_PUT, "ttii", c->noun, c->name, s->to,
	    live));
}

static int
put_all(struct store_sqlite *f, const struct store_write *w,
    const struct step *steps, uint64_t revision)
{
	if (sql_do(f, sql(f, SQL_WRITE_PUT, "iitt", revision,
	    (uint64_t)w->when_ms, w->who, w->why)) == -1)
		return -1;
	for (size_t i = 0; i < w->changes_n; i++)
		if (!steps[i].same &&
		    change_put(f, &w->changes[i], &steps[i], revision) == -1)
			return -1;
	return 0;
}

/* All or nothing of this write; the others of the batch stay. */
static int
put_saved(struct store_sqlite *f, const struct store_write *w,
    const struct step *steps)
{
	char why[STORE_SENTENCE_MAX];

	if (sql_do(f, sql(f, SQL_SAVE, "")) == -1)
		return -1;
	if (put_all(f, w, steps, f->revision + 1) == 0)
		return sql_do(f, sql(f, SQL_SAVE_DONE, ""));
	memcpy(why, f->why, sizeof(why));
	if (!sqlite3_get_autocommit(f->db)) {
		sql_do(f, sql(f, SQL_SAVE_UNDO, ""));
		sql_do(f, sql(f, SQL_SAVE_DONE, ""));
	}
	memcpy(f->why, why, sizeof(why));
	return -1;
}

/* ---- the answer */

static void
made(struct store_request *r, const struct step *steps, uint64_t revision)
{
	const struct store_write *w = &r->write;

	for (size_t i = 0; i < w->changes_n; i++) {
		const struct store_change *c = &w->changes[i];

		if (steps[i].same)
			continue;
		r->made[r->made_n++] = (struct store_past){
			.revision = revision, .when_ms = w->when_ms,
			.who = w->who, .why = w->why, .noun = c->noun,
			.name = c->name, .from = steps[i].from,
			.to = steps[i].to, .deleted = c->body.p == NULL,
			.body = c->body,
		};
	}
}

static size_t
changed_n(const struct step *steps, size_t n)
{
	size_t changed = 0;

	for (size_t i = 0; i < n; i++)
		changed += !steps[i].same;
	return changed;
}

int
store_sqlite_write(struct store_sqlite *f, struct store_request *r)
{
	size_t n = r->write.changes_n;
	struct step *steps = store_request_alloc(r, n * sizeof(*steps));
	uint64_t *versions = store_request_alloc(r, n * sizeof(*versions));
	int rc;

	r->made = store_request_alloc(r, n * sizeof(*r->made));
	if (steps == NULL || versions == NULL || r->made == NULL)
		return file_no_memory(f);
	rc = look_all(f, r, steps);
	if (rc != 1)
		return rc;
	if (changed_n(steps, n) > 0) {
		if (put_saved(f, &r->write, steps) == -1)
			return -1;
		f->revision++;
		made(r, steps, f->revision);
	}
	for (size_t i = 0; i < n; i++)
		versions[i] = steps[i].to;
	r->answer.revision = f->revision;
	r->answer.versions = versions;
	r->answer.versions_n = n;
	return 0;
}

/* ---- leases */

/* 1: ours is not behind; 0: it is, answered; -1. */
static int
fence(struct store_sqlite *f, struct store_request *r)
{
	const struct store_lease *l = &r->lease;
	sqlite3_stmt *q = sql(f, SQL_LEASE_EPOCH, "t", l->id);
	int rc = sql_row(f, q);
	uint64_t epoch = rc == 1 ? sql_number(q, 0) : 0;

	if (rc == -1)
		return -1;
	if (rc == 1)
		sql_end(q);
	r->answer.revision = f->revision;
	if (epoch <= l->epoch)
		return 1;
	store_request_say(r, STORE_CONFLICT, "%s is registered anew, in epoch "
	    "%" PRIu64 "; %" PRIu64 " is over", l->id.p, epoch, l->epoch);
	r->answer.revision = f->revision;
	r->answer.current_version = epoch;
	return 0;
}

int
store_sqlite_lease_put(struct store_sqlite *f, struct store_request *r)
{
	const struct store_lease *l = &r->lease;
	int rc = fence(f, r);

	if (rc != 1)
		return rc;
	if (sql_do(f, sql(f, SQL_LEASE_PUT, "titttt" "iitit", l->id, l->epoch,
	    l->service, l->region, l->zone, l->address, (uint64_t)l->port,
	    (uint64_t)l->weight, l->label, (uint64_t)l->ttl_ms,
	    l->checks)) == -1)
		return -1;
	return sql_do(f, sql(f, SQL_EPOCH_MAX_PUT, "i", l->epoch));
}

int
store_sqlite_lease_remove(struct store_sqlite *f, struct store_request *r)
{
	int rc = fence(f, r);

	if (rc != 1)
		return rc;
	return sql_do(f, sql(f, SQL_LEASE_REMOVE, "t", r->lease.id));
}
