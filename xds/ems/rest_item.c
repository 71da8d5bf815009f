/*
 * xds/ems/rest_item.c - reading intents: one, all of a noun, what they were, and
 * what two versions differ in (rest_inside.h).
 */
#include "xds/ems/rest_inside.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "xds/ems/rest_edit.h"

/* The answer, if the store has one. NULL: it is answered otherwise. */
static struct print *
came_begin(struct request *q, const struct store_answer *a)
{
	if (a->result == STORE_OK)
		return answer_begin(q, 200);
	answer_store(q, a->result, a->why);
	return NULL;
}

/* ---- what is there */

static void
item_print(struct print *p, const struct store_item *i)
{
	answer_put_store(p, "noun", i->noun);
	answer_put_store(p, "name", i->name);
	print_number(p, "version", i->version);
	print_number(p, "revision", i->revision);
	answer_put_store(p, "body", i->body);
}

static void
one_came(struct request *q, const struct store_answer *a)
{
	struct print *p;

	if (a->result != STORE_OK)
		answer_store(q, a->result, a->why);
	else if (a->items_n == 0)
		answer_refuse(q, 404, "there is no %s \"%s\"%s",
		    intent_word(q->noun), q->name, request_argument(q,
		    "revision") == NULL ? "" : " in that revision");
	else if ((p = answer_begin(q, 200)) != NULL) {
		item_print(p, a->items);
		answer_end(q);
	}
}

static void
all_came(struct request *q, const struct store_answer *a)
{
	struct print *p;

	if ((p = came_begin(q, a)) == NULL)
		return;
	print_number(p, "revision", a->revision);
	print_open(p, "items", '[');
	for (size_t i = 0; i < a->items_n; i++) {
		print_open(p, NULL, '{');
		item_print(p, &a->items[i]);
		print_close(p, '{');
	}
	print_close(p, '[');
	answer_end(q);
}

void
rest_get(struct request *q)
{
	struct store_question item = { .kind = STORE_ITEM,
	    .noun = store_text(intent_word(q->noun)),
	    .name = store_text(q->name) };

	if (request_number(q, "revision", &item.revision) != -1)
		answer_ask(q, &item, one_came);
}

void
rest_list(struct request *q)
{
	struct store_question items = { .kind = STORE_ITEMS,
	    .noun = store_text(intent_word(q->noun)) };

	if (request_number(q, "revision", &items.revision) != -1)
		answer_ask(q, &items, all_came);
}

/* ---- history */

static void
when_print(struct print *p, int64_t when_ms)
{
	time_t s = (time_t)(when_ms / 1000);
	char text[64];
	struct tm tm;
	size_t n;

	gmtime_r(&s, &tm);
	n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + n, sizeof(text) - n, ".%03dZ", (int)(when_ms % 1000));
	print_text(p, "when", text);
}

static void
past_print(struct print *p, const struct store_past *at)
{
	print_number(p, "revision", at->revision);
	when_print(p, at->when_ms);
	answer_put_store(p, "who", at->who);
	answer_put_store(p, "why", at->why);
	answer_put_store(p, "noun", at->noun);
	answer_put_store(p, "name", at->name);
	print_number(p, "from", at->from);
	print_number(p, "to", at->to);
	print_text(p, "action", at->deleted ? "deleted" : at->from == 0 ?
	    "created" : "changed");
}

static void
history_came(struct request *q, const struct store_answer *a)
{
	struct print *p;

	if ((p = came_begin(q, a)) == NULL)
		return;
	print_number(p, "revision", a->revision);
	print_flag(p, "more", a->more);
	print_open(p, "history", '[');
	for (size_t i = 0; i < a->past_n; i++) {
		print_open(p, NULL, '{');
		past_print(p, &a->past[i]);
		print_close(p, '{');
	}
	print_close(p, '[');
	answer_end(q);
}

/* False: it is answered. */
static bool
item_named(struct request *q, bool must)
{
	const char *noun = request_argument(q, "noun");
	const char *name = request_argument(q, "name");
	int found = noun == NULL ? -1 : intent_noun_find(noun);

	if (noun == NULL && name == NULL && !must)
		return true;
	if (found == -1 || name == NULL || !intent_name_is_good(name)) {
		answer_refuse(q, 400, "expected ?noun= and ?name= of an "
		    "intent%s", must ? "" : ", or neither");
		return false;
	}
	q->noun = (enum intent_noun)found;
	snprintf(q->name, sizeof(q->name), "%s", name);
	return true;
}

void
rest_history(struct request *q)
{
	struct store_question h = { .kind = STORE_HISTORY,
	    .no_bodies = true };
	uint64_t limit = 100;

	if (!item_named(q, false) ||
	    request_number(q, "before", &h.revision) == -1 ||
	    request_number(q, "limit", &limit) == -1)
		return;
	if (limit == 0 || limit > STORE_PAGE_MAX) {
		answer_refuse(q, 400, "limit is %" PRIu64 ", expected 1..%d",
		    limit, STORE_PAGE_MAX);
		return;
	}
	h.limit = (uint32_t)limit;
	if (*q->name != '\0') {
		h.noun = store_text(intent_word(q->noun));
		h.name = store_text(q->name);
	}
	answer_ask(q, &h, history_came);
}

/* ---- two versions: where each was made, then its text, then the other's */

struct versions {
	uint64_t	 from, to;	/* to 0: the newest */
	uint64_t	 from_revision, to_revision;
	bool		 from_said;
	char		*before;
};

static void
versions_free(void *state)
{
	struct versions *v = state;

	free(v->before);
	free(v);
}

static void
text_ask(struct request *q, uint64_t revision,
    void (*next)(struct request *q, const struct store_answer *a))
{
	const struct store_question item = { .kind = STORE_ITEM,
	    .noun = store_text(intent_word(q->noun)),
	    .name = store_text(q->name), .revision = revision };

	answer_ask(q, &item, next);
}

static const char *
text_of(const struct store_answer *a)
{
	return a->items_n == 0 ? "" : a->items->body.p;
}

static void
after_came(struct request *q, const struct store_answer *a)
{
	char from[REST_TITLE_BYTES], to[REST_TITLE_BYTES];
	struct versions *v = q->state;
	struct print *p;

	if ((p = came_begin(q, a)) == NULL)
		return;
	print_text(p, "noun", intent_word(q->noun));
	print_text(p, "name", q->name);
	print_number(p, "from", v->from);
	print_number(p, "to", v->to);
	snprintf(from, sizeof(from), "%s/%s v%" PRIu64, intent_word(q->noun),
	    q->name, v->from);
	snprintf(to, sizeof(to), "%s/%s v%" PRIu64, intent_word(q->noun),
	    q->name, v->to);
	edit_print_diff(p, from, v->before, to, text_of(a));
	answer_end(q);
}

static void
before_came(struct request *q, const struct store_answer *a)
{
	struct versions *v = q->state;

	if (a->result != STORE_OK)
		answer_store(q, a->result, a->why);
	else if ((v->before = strdup(text_of(a))) == NULL)
		answer_refuse(q, 503, "no memory is left");
	else
		text_ask(q, v->to_revision, after_came);
}

/* Newest first. Version 0 is before all: nothing. */
static void
versions_find(struct versions *v, const struct store_answer *a)
{
	for (size_t i = 0; i < a->past_n; i++) {
		const struct store_past *at = &a->past[i];

		if (v->to == 0)
			v->to = at->to;
		if (at->to == v->to) {
			v->to_revision = at->revision;
			if (!v->from_said)
				v->from = at->from;
		}
		if (at->to == v->from)
			v->from_revision = at->revision;
	}
}

static void
places_came(struct request *q, const struct store_answer *a)
{
	static const struct store_answer nothing = { .result = STORE_OK };
	struct versions *v = q->state;

	if (a->result != STORE_OK) {
		answer_store(q, a->result, a->why);
		return;
	}
	versions_find(v, a);
	if (v->to_revision == 0 || (v->from != 0 && v->from_revision == 0))
		answer_refuse(q, 404, "%s \"%s\" has no version %" PRIu64
		    " among its last %d changes", intent_word(q->noun),
		    q->name, v->to_revision == 0 ? v->to : v->from,
		    STORE_PAGE_MAX);
	else if (v->from == 0)
		before_came(q, &nothing);
	else
		text_ask(q, v->from_revision, before_came);
}

void
rest_diff(struct request *q)
{
	struct versions *v;
	int said;

	if (!item_named(q, true))
		return;
	if ((v = calloc(1, sizeof(*v))) == NULL) {
		answer_refuse(q, 503, "no memory is left");
		return;
	}
	q->state = v;
	q->state_free = versions_free;
	said = request_number(q, "from", &v->from);
	v->from_said = said == 1;
	if (said != -1 && request_number(q, "to", &v->to) != -1) {
		const struct store_question h = { .kind = STORE_HISTORY,
		    .noun = store_text(intent_word(q->noun)),
		    .name = store_text(q->name), .limit = STORE_PAGE_MAX,
		    .no_bodies = true };

		answer_ask(q, &h, places_came);
	}
}
