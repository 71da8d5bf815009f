/* xds/ems/store_check.c - see store_check.h. */
#include "xds/ems/store_check.h"

#include <stdlib.h>

#include "shm/log.h"
#include "xds/guard.h"

enum { PORT_MAX = 65535 };

/* Where in what is asked; at: "change 3: ", or "". */
struct reader {
	char		 at[32];
	char		*why;
	size_t		 why_len;
};

static int
text_check(const struct reader *r, const char *what, struct store_text t,
    size_t max)
{
	if (t.p == NULL)
		return 0;
	if (t.n > max)
		return why_set(r->why, r->why_len, "%sthe %s has %zu bytes, "
		    "%zu at most", r->at, what, t.n, max);
	if (!guard_text((const uint8_t *)t.p, t.n))
		return why_set(r->why, r->why_len, "%sthe %s has a NUL or is "
		    "not UTF-8", r->at, what);
	return 0;
}

static int
there_check(const struct reader *r, const char *what, struct store_text t)
{
	if (t.p == NULL || t.n == 0)
		return why_set(r->why, r->why_len, "%sit has no %s", r->at,
		    what);
	return 0;
}

static int
name_check(const struct reader *r, const char *what, struct store_text t)
{
	if (there_check(r, what, t) == -1 ||
	    text_check(r, what, t, STORE_NAME_MAX) == -1)
		return -1;
	for (size_t i = 0; i < t.n; i++)
		if ((unsigned char)t.p[i] < ' ' || t.p[i] == 0x7f)
			return why_set(r->why, r->why_len, "%sthe %s has a "
			    "control character at byte %zu", r->at, what, i);
	return 0;
}

static int
noun_check(const struct reader *r, struct store_text t)
{
	if (there_check(r, "noun", t) == -1)
		return -1;
	if (t.n > STORE_NOUN_MAX)
		return why_set(r->why, r->why_len, "%sthe noun has %zu bytes, "
		    "%d at most", r->at, t.n, STORE_NOUN_MAX);
	for (size_t i = 0; i < t.n; i++)
		if ((t.p[i] < 'a' || t.p[i] > 'z') && t.p[i] != '_')
			return why_set(r->why, r->why_len, "%sthe noun has "
			    "something that is neither a-z nor _ at byte %zu",
			    r->at, i);
	return 0;
}

static int
change_check(const struct reader *r, const struct store_change *c)
{
	if (noun_check(r, c->noun) == -1 ||
	    name_check(r, "name", c->name) == -1 ||
	    text_check(r, "body", c->body, STORE_BODY_MAX) == -1)
		return -1;
	if (c->body.p == NULL && c->expect_version == 0)
		return why_set(r->why, r->why_len, "%sa deletion says the "
		    "version it expects, 0 creates", r->at);
	return 0;
}

/* ---- no item twice */

static int
text_order(struct store_text a, struct store_text b)
{
	int order = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);

	return order != 0 ? order : (a.n > b.n) - (a.n < b.n);
}

static int
change_order(const void *a, const void *b)
{
	const struct store_change *x = *(const struct store_change *const *)a;
	const struct store_change *y = *(const struct store_change *const *)b;
	int order = text_order(x->noun, y->noun);

	return order != 0 ? order : text_order(x->name, y->name);
}

static int
twice_check(const struct reader *r, const struct store_write *w)
{
	const struct store_change *order[STORE_CHANGES_MAX];

	for (size_t i = 0; i < w->changes_n; i++)
		order[i] = &w->changes[i];
	qsort(order, w->changes_n, sizeof(order[0]), change_order);
	for (size_t i = 1; i < w->changes_n; i++)
		if (change_order(&order[i - 1], &order[i]) == 0)
			return why_set(r->why, r->why_len, "%.*s %.*s is in "
			    "it twice", (int)order[i]->noun.n,
			    order[i]->noun.p, (int)order[i]->name.n,
			    order[i]->name.p);
	return 0;
}

int
store_check_write(const struct store_write *w, char *why, size_t why_len)
{
	struct reader r = { .why = why, .why_len = why_len };
	size_t bytes = 0;

	if (w->changes_n == 0 || w->changes_n > STORE_CHANGES_MAX)
		return why_set(why, why_len, "a write of %zu changes, 1 to %d "
		    "are possible", w->changes_n, STORE_CHANGES_MAX);
	if (name_check(&r, "who", w->who) == -1 ||
	    text_check(&r, "reason", w->why, STORE_WHY_MAX) == -1)
		return -1;
	for (size_t i = 0; i < w->changes_n; i++) {
		why_set(r.at, sizeof(r.at), "change %zu: ", i + 1);
		if (change_check(&r, &w->changes[i]) == -1)
			return -1;
		bytes += w->changes[i].body.n;
	}
	if (bytes > STORE_WRITE_MAX)
		return why_set(why, why_len, "a write of %zu bytes, %d at "
		    "most", bytes, STORE_WRITE_MAX);
	return twice_check(&r, w);
}

int
store_check_question(const struct store_question *q, char *why,
    size_t why_len)
{
	struct reader r = { .why = why, .why_len = why_len };
	bool item = q->kind == STORE_ITEM ||
	    (q->kind == STORE_HISTORY &&
	    (q->noun.p != NULL || q->name.p != NULL));

	if (q->revision > INT64_MAX)
		return why_set(why, why_len, "there is no such revision");
	if (q->limit > STORE_PAGE_MAX)
		return why_set(why, why_len, "%u changes at once, %d at most",
		    q->limit, STORE_PAGE_MAX);
	if (item && name_check(&r, "name", q->name) == -1)
		return -1;
	if (!item && q->noun.p == NULL)
		return 0;
	return noun_check(&r, q->noun);
}

/* ---- leases */

int
store_check_lease_id(struct store_text id, char *why, size_t why_len)
{
	const struct reader r = { .why = why, .why_len = why_len };

	return name_check(&r, "id", id);
}

int
store_check_lease(const struct store_lease *l, char *why, size_t why_len)
{
	const struct reader r = { .why = why, .why_len = why_len };
	const struct {
		const char	*what;
		struct store_text text;
	} texts[] = {
		{ "region", l->region }, { "zone", l->zone },
		{ "version label", l->label },
	};

	if (name_check(&r, "id", l->id) == -1 ||
	    name_check(&r, "service", l->service) == -1 ||
	    name_check(&r, "address", l->address) == -1 ||
	    text_check(&r, "health check", l->checks, STORE_CHECKS_MAX) == -1)
		return -1;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (text_check(&r, texts[i].what, texts[i].text,
		    STORE_LEASE_TEXT_MAX) == -1)
			return -1;
	if (l->epoch == 0 || l->epoch > INT64_MAX)
		return why_set(why, why_len, "an epoch is 1 or more, and less "
		    "than 2^63");
	if (l->port == 0 || l->port > PORT_MAX)
		return why_set(why, why_len, "the port %u is none, 1 to %d "
		    "are", l->port, PORT_MAX);
	return 0;
}
