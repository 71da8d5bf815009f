/*
 * t/stress/store_check.c - looks at a store whose owner was killed:
 *
 *   C1  what was acknowledged is there, in the revision and versions it said
 *   C2  a write is there whole: its reason says how many changes it has
 *   C3  revisions are 1, 2, 3...; writes are in the order of submission
 *   C4  each change goes on from the version before, and its number is new
 *   C5  what the last look saw is unchanged (a hash over all of it)
 *   C6  items are what history leaves
 *   C7  a lease is as new as the newest acknowledged
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shm/clock.h"
#include "t/stress/store.h"
#include "worker/io/loop.h"

/* One change of history. */
struct row {
	uint64_t	 revision, number, from, to;
	uint32_t	 parts_n, item;
	bool		 deleted;
};

struct look {
	struct ground	*g;
	struct loop	 loop;
	struct store	*store;
	bool		 heard;
	struct row	*rows;		/* newest first */
	size_t		 rows_n, rows_size;
	bool		 more;
	uint64_t	 revision;
	struct state	 items[ITEMS];	/* by history */
};

static bool __attribute__((format(printf, 2, 3)))
found(struct ground *g, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(g->found, sizeof(g->found), fmt, args);
	va_end(args);
	return false;
}

/* ---- reading */

static void
row_add(struct look *l, const struct store_past *p)
{
	struct row *r;

	if (l->rows_n == l->rows_size) {
		l->rows_size = l->rows_size == 0 ? 4096 : 2 * l->rows_size;
		l->rows = realloc(l->rows, l->rows_size * sizeof(*l->rows));
		if (l->rows == NULL)
			abort();
	}
	r = &l->rows[l->rows_n++];
	*r = (struct row){ .revision = p->revision, .from = p->from,
		.to = p->to, .deleted = p->deleted };
	if (sscanf(p->why.p, "%" SCNu64 " %u", &r->number, &r->parts_n) != 2 ||
	    sscanf(p->name.p, "n%u", &r->item) != 1 || r->item >= ITEMS)
		found(l->g, "revision %" PRIu64 " has '%s' of '%s'",
		    p->revision, p->why.p, p->name.p);
}

static void
on_history(void *arg, const struct store_answer *a)
{
	struct look *l = arg;

	l->heard = true;
	if (a->result != STORE_OK)
		found(l->g, "history: %s", a->why);
	for (size_t i = 0; i < a->past_n; i++)
		row_add(l, &a->past[i]);
	l->more = a->more;
	l->revision = a->revision;
}

static void
item_compare(struct look *l, const struct store_item *i)
{
	uint64_t number;
	uint32_t item;

	if (sscanf(i->name.p, "n%u", &item) != 1 || item >= ITEMS ||
	    sscanf(i->body.p, "%" SCNu64, &number) != 1)
		found(l->g, "an item '%s' has '%s'", i->name.p, i->body.p);
	else if (l->items[item].live != i->version ||
	    l->items[item].number != number)		/* C6 */
		found(l->g, "item %u is in version %" PRIu64 " of write %"
		    PRIu64 ", by history in %" PRIu64 " of %" PRIu64, item,
		    i->version, number, l->items[item].live,
		    l->items[item].number);
}

static void
on_items(void *arg, const struct store_answer *a)
{
	struct look *l = arg;
	size_t live = 0;

	l->heard = true;
	if (a->result != STORE_OK)
		found(l->g, "items: %s", a->why);
	for (size_t i = 0; i < a->items_n; i++)
		item_compare(l, &a->items[i]);
	for (size_t i = 0; i < ITEMS; i++)
		live += l->items[i].live != 0;
	if (live != a->items_n)
		found(l->g, "%zu items, by history %zu", a->items_n, live);
}

static void
on_leases(void *arg, const struct store_answer *a)
{
	struct look *l = arg;
	uint64_t epochs[LEASES] = { 0 };
	uint32_t lease;

	l->heard = true;
	for (size_t i = 0; i < a->leases_n; i++)
		if (sscanf(a->leases[i].id.p, "l%u", &lease) == 1)
			epochs[lease % LEASES] = a->leases[i].epoch;
	for (size_t i = 0; i < LEASES; i++) {
		if (epochs[i] < l->g->epochs[i])	/* C7 */
			found(l->g, "lease %zu is of epoch %" PRIu64 ", %"
			    PRIu64 " was acknowledged", i, epochs[i],
			    l->g->epochs[i]);
		l->g->epochs[i] = epochs[i];
	}
}

static void
ask(struct look *l, const struct store_question *q, store_done *done)
{
	l->heard = false;
	if (store_ask(l->store, q, done, l) != 0)
		abort();
	while (!l->heard)
		loop_turn(&l->loop, -1);
}

static void
history_read(struct look *l)
{
	struct store_question q = { .kind = STORE_HISTORY,
		.limit = STORE_PAGE_MAX };

	do {
		ask(l, &q, on_history);
		if (l->rows_n > 0)
			q.revision = l->rows[l->rows_n - 1].revision;
	} while (l->more && l->g->found[0] == '\0');
}

/* ---- comparing */

/* C2, C3: the rows from at on are one whole write. 0: they are not. */
static size_t
write_rows(struct look *l, size_t at, uint64_t revision, uint64_t *number)
{
	const struct row *r = &l->rows[at];
	size_t n = 0;

	while (n <= at && l->rows[at - n].revision == r->revision)
		n++;
	if (r->revision != revision)
		found(l->g, "revision %" PRIu64 " comes after %" PRIu64,
		    r->revision, revision - 1);
	else if (n != r->parts_n)
		found(l->g, "write %" PRIu64 " has %zu of %u changes",
		    r->number, n, r->parts_n);
	else if (r->number <= *number)
		found(l->g, "write %" PRIu64 " comes after %" PRIu64,
		    r->number, *number);
	*number = r->number;
	return l->g->found[0] == '\0' ? n : 0;
}

/* C4 */
static void
row_apply(struct look *l, const struct row *r)
{
	struct state *s = &l->items[r->item];

	if (r->from != s->live || r->to != s->last + 1)
		found(l->g, "write %" PRIu64 " takes item %u from %" PRIu64
		    " to %" PRIu64 ", which is in %" PRIu64 ", last %" PRIu64,
		    r->number, r->item, r->from, r->to, s->live, s->last);
	*s = (struct state){ .live = r->deleted ? 0 : r->to, .last = r->to,
		.number = r->number };
}

static uint64_t
hash_row(uint64_t hash, const struct row *r)
{
	const uint64_t words[] = { r->revision, r->number, r->from, r->to,
		r->item, r->deleted };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		hash = (hash ^ words[i]) * 0x100000001b3u;
	return hash;
}

/* C1: the rows of a write, from at down, against the next acknowledgement. */
static void
ack_compare(struct look *l, const struct ack *a, size_t at, size_t n)
{
	if (a->revision != l->rows[at].revision || a->parts_n != n)
		found(l->g, "write %" PRIu64 " is revision %" PRIu64
		    " with %zu changes, %" PRIu64 " with %u was acknowledged",
		    a->number, l->rows[at].revision, n, a->revision,
		    a->parts_n);
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < n; k++)
			if (l->rows[at - k].item == a->items[i] &&
			    l->rows[at - k].to != a->versions[i])
				found(l->g, "write %" PRIu64 " has item %u in "
				    "version %" PRIu64 ", %" PRIu64
				    " was acknowledged", a->number,
				    a->items[i], l->rows[at - k].to,
				    a->versions[i]);
}

/* The next acknowledgement of a write that happened, or NULL. */
static const struct ack *
ack_next(const struct ground *g, size_t *at)
{
	for (; *at < g->acks_n; ++*at)
		if (g->acks[*at].parts_n > 0 &&
		    g->acks[*at].result == STORE_OK)
			return &g->acks[(*at)++];
	return NULL;
}

static bool
history_compare(struct look *l)
{
	struct ground *g = l->g;
	uint64_t revision = 0, number = 0, hash = 0;
	size_t n, next = 0;
	const struct ack *a = ack_next(g, &next);

	for (size_t left = l->rows_n; left > 0; left -= n) {
		n = write_rows(l, left - 1, ++revision, &number);
		if (n == 0)
			return false;
		for (size_t i = 0; i < n; i++) {
			row_apply(l, &l->rows[left - 1 - i]);
			hash = hash_row(hash, &l->rows[left - 1 - i]);
		}
		if (revision == g->revision && hash != g->hash)	/* C5 */
			return found(g, "history up to revision %" PRIu64
			    " is not what it was", revision);
		if (a != NULL && a->number == number) {
			ack_compare(l, a, left - 1, n);
			a = ack_next(g, &next);
		} else if (revision > g->revision)
			g->unheard++;
	}
	if (a != NULL)
		return found(g, "write %" PRIu64 " was acknowledged and is "
		    "not there", a->number);
	if (revision < g->revision || revision != l->revision)
		return found(g, "the newest revision is %" PRIu64 " or %"
		    PRIu64 ", was %" PRIu64, revision, l->revision,
		    g->revision);
	g->hash = hash;
	g->revision = revision;
	return g->found[0] == '\0';
}

/* What needs no file: each answer was the one that was due. */
static void
acks_compare(struct ground *g)
{
	for (size_t i = 0; i < g->acks_n; i++) {
		const struct ack *a = &g->acks[i];

		if (a->result != a->wanted)
			found(g, "the answer to %" PRIu64 " was %u, %u is "
			    "right", a->number, a->result, a->wanted);
		if (a->number > g->number)
			g->number = a->number;
		g->acked += a->parts_n > 0 && a->result == STORE_OK;
		g->conflicts += a->result == STORE_CONFLICT;
		g->leases += a->parts_n == 0;
		if (a->parts_n == 0 && g->epochs[a->items[0]] < a->number)
			g->epochs[a->items[0]] = a->number;
	}
}

static void
look_at(struct look *l)
{
	const struct store_question all = { .kind = STORE_ITEMS };
	const struct store_question leases = { .kind = STORE_LEASES };

	acks_compare(l->g);
	history_read(l);
	if (l->g->found[0] != '\0' || !history_compare(l))
		return;
	ask(l, &all, on_items);
	ask(l, &leases, on_leases);
	memcpy(l->g->items, l->items, sizeof(l->items));
	for (size_t i = 0; i < l->rows_n; i++)
		l->g->deletions += l->rows[i].deleted;
	l->g->parts = l->rows_n;
	/* Those that nobody heard of took numbers too. */
	if (l->rows_n > 0 && l->rows[0].number > l->g->number)
		l->g->number = l->rows[0].number;
	for (size_t i = 0; i < LEASES; i++)
		if (l->g->epochs[i] > l->g->number)
			l->g->number = l->g->epochs[i];
}

bool
store_check_look(struct ground *g)
{
	const struct store_settings set = { .path = g->path };
	struct look l = { .g = g };
	struct mono began = clock_now();
	char why[512];
	double ms;

	loop_init(&l.loop, sys_kernel_new());
	l.store = store_open(&l.loop, &set, why, sizeof(why));
	ms = (double)(clock_now().ns - began.ns) / 1e6;
	if (ms > g->open_ms_max)
		g->open_ms_max = ms;
	if (l.store == NULL || why[0] != '\0')
		found(g, "it does not open: %s", why);
	else
		look_at(&l);
	if (l.store != NULL)
		store_close(l.store);
	sys_kernel_free(l.loop.sys);
	free(l.rows);
	g->acks_n = 0;
	return g->found[0] == '\0';
}
