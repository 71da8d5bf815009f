/*
 * master/resources_journal.c - what a master's successor needs: written as it
 * is accepted, and read again. See journal.h.
 *
 * What is read goes the way of what a control plane sends, in the same order,
 * and settles where a stage ended: so that what was live is live again, and
 * what waited waits.
 */
#include <string.h>

#include "master/resources_inside.h"
#include "shm/log.h"

static void
append(struct journal *j, const struct resource *at,
    const struct resource_version *v)
{
	const struct journal_entry e = { .op = JOURNAL_PUT,
	    .kind = at->kind, .from = v->from, .name = at->name,
	    .version = v->text,
	    .bytes = v->bytes, .len = v->len, .key = v->key };

	journal_append(j, &e);
}

void
resource_journal_put(struct resources *r, const struct resource *at,
    const struct resource_version *v)
{
	if (r->journal != NULL && v->from != FROM_FILE)
		append(r->journal, at, v);
}

static void
append_name(struct journal *j, enum journal_kind op,
    const struct resource *at)
{
	const struct journal_entry e = { .op = op, .kind = at->kind,
	    .name = at->name, .version = "" };

	if (j != NULL)
		journal_append(j, &e);
}

void
resource_journal_remove(struct resources *r, const struct resource *at)
{
	append_name(r->journal, JOURNAL_REMOVE, at);
}

/* Who did without it does so at once. */
void
resource_journal_missing(struct resources *r, const struct resource *at)
{
	append_name(r->journal, JOURNAL_MISSING, at);
}

void
resources_journal(struct resources *r, struct journal *j)
{
	r->journal = j;
}

/* ---- a new one */

static void
write_kind(const struct resources *r, struct journal *j,
    enum resource_kind kind, enum which which)
{
	const struct resource *at;

	EACH_RESOURCE(r, i, at)
		if (at->kind == kind && at->version[which] != NULL &&
		    at->version[which]->from != FROM_FILE)
			append(j, at, at->version[which]);
}

static void
write_names(const struct resources *r, struct journal *j,
    enum journal_kind op)
{
	const struct resource *at;

	EACH_RESOURCE(r, i, at)
		if (op == JOURNAL_MISSING ? at->missing &&
		    !LIST_EMPTY(&at->in) : at->gone &&
		    at->version[LIVE] != NULL)
			append_name(j, op, at);
}

/* By kind, so that whoever names another comes after it, but for host names,
 * which are put only where somebody names them; what waits comes when what was
 * live is. */
void
resources_journal_write(const struct resources *r, struct journal *j)
{
	for (enum which which = LIVE; which < WHICHES; which++) {
		for (enum resource_kind kind = 0; kind < RESOURCE_KINDS_ALL;
		    kind++)
			write_kind(r, j, kind, which);
		journal_commit(j);
		if (which == LIVE)
			write_names(r, j, JOURNAL_MISSING);
		journal_commit(j);
	}
	write_names(r, j, JOURNAL_REMOVE);
	journal_commit(j);
}

/* ---- reading */

static void
secret_replay(struct resources *r, const struct journal_entry *e,
    const char *pem, size_t pem_len, char *why, size_t why_len)
{
	struct resource *at = resource_get(r, e->kind, e->name);
	struct resource_version *v = version_new(e->version, e->bytes,
	    e->len, e->from, r->now_ms);

	if (at == NULL || v == NULL || !resource_touch(r, at) ||
	    resource_of_file(at)) {
		version_put(v);
		return;
	}
	v->keys = r->image->keys;
	if (pem == NULL || compile_key(r->compiler, pem, pem_len, &v->key) ==
	    0) {
		(void)resource_put(r, at, v, NULL, why, why_len);
		resource_journal_put(r, at, v);
	}
	version_put(v);
}

/* One that lingered did so long enough. */
static void
missing_replay(struct resources *r, const struct journal_entry *e)
{
	struct resource *at = resource_find(r, e->kind, e->name);

	if (at != NULL && at->gone && at->version[LIVE] != NULL) {
		if (resource_touch(r, at))
			resource_drop_cluster(r, at);
	} else
		resources_missing(r, e->kind, e->name);
}

void
resources_replay(struct resources *r, const struct journal_entry *e,
    const char *pem, size_t pem_len)
{
	char why[512];

	switch (e->op) {
	case JOURNAL_REMOVE:
		resources_remove(r, e->kind, e->name);
		break;
	case JOURNAL_MISSING:
		missing_replay(r, e);
		break;
	case JOURNAL_MARK:
		resources_settle(r);
		break;
	case JOURNAL_PUT:
		if (e->kind == RESOURCE_SECRET)
			secret_replay(r, e, pem, pem_len, why, sizeof(why));
		else if (resources_put(r, e->kind, e->name, e->version,
		    e->bytes, e->len, e->from, why, sizeof(why)) == -1)
			log_warn("%s \"%s\" was accepted before and is not "
			    "now: %s", resource_about(e->kind)->word,
			    origin_plain(e->name), why);
		break;
	}
}
