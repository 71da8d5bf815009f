/* xds/ems/rest_edit.c - see rest_edit.h. */
#include "xds/ems/rest_edit.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "shm/log.h"
#include "xds/ems/difference.h"

enum { TITLE_BYTES = INTENT_NAME_MAX + 64 };

/* ---- life */

bool
edits_take(struct edits *e, struct documents *d)
{
	*e = (struct edits){ .at = calloc(d->n + 1, sizeof(*e->at)) };
	if (e->at == NULL)
		return false;
	for (; e->n < d->n; e->n++) {
		e->at[e->n].wanted = d->at[e->n];
		d->at[e->n].text = NULL;
		e->bytes += e->at[e->n].wanted.n;
	}
	documents_fini(d);
	return true;
}

void
edits_fini(struct edits *e)
{
	for (size_t i = 0; i < e->n; i++) {
		free(e->at[i].wanted.text);
		free(e->at[i].before);
	}
	free(e->at);
	*e = (struct edits){ 0 };
}

/* ---- beside what is there */

static int
compare_text(const char *a, size_t a_n, struct store_text b)
{
	int differs = memcmp(a, b.p, a_n < b.n ? a_n : b.n);

	return differs != 0 ? differs : (a_n > b.n) - (a_n < b.n);
}

static int
compare_item(const void *key, const void *item)
{
	const struct document *d = key;
	const struct store_item *i = item;
	const char *noun = intent_word(d->noun);
	int differs = compare_text(noun, strlen(noun), i->noun);

	return differs != 0 ? differs : compare_text(d->name,
	    strlen(d->name), i->name);
}

static const struct store_item *
item_find(const struct store_answer *a, const struct document *d)
{
	return a->items_n == 0 ? NULL : bsearch(d, a->items, a->items_n,
	    sizeof(*a->items), compare_item);
}

static enum edit_action
action_of(const struct edit *e, enum edit_rule rule)
{
	const struct document *w = &e->wanted;
	bool same = e->before == NULL || w->text == NULL ? e->before ==
	    w->text : strcmp(e->before, w->text) == 0;

	if (w->stated && w->version != e->current)
		return same && w->version > 0 && w->version < e->current ?
		    EDIT_SAME : EDIT_CONFLICT;
	if (!w->stated && rule == EDIT_STATED)
		return EDIT_UNSTATED;
	if (same)
		return EDIT_SAME;
	if (e->before == NULL)
		return EDIT_CREATE;
	if (!w->stated && rule != EDIT_ANYWAY)
		return EDIT_UNSTATED;
	return w->text == NULL ? EDIT_DELETE : EDIT_CHANGE;
}

bool
edits_compare(struct edits *e, const struct store_answer *items,
    enum edit_rule rule)
{
	e->revision = items->revision;
	for (struct edit *at = e->at; at < e->at + e->n; at++) {
		const struct store_item *i = item_find(items, &at->wanted);

		if (i != NULL) {
			at->before = strndup(i->body.p, i->body.n);
			if (at->before == NULL)
				return false;
			e->bytes += i->body.n;
			at->current = i->version;
		}
		at->action = action_of(at, rule);
		at->to = at->current;
	}
	return true;
}

/* ---- back */

static bool
edit_add(struct edits *e, const struct store_item *i, bool text)
{
	struct edit *more = realloc(e->at, (e->n + 1) * sizeof(*more));
	char noun[STORE_NOUN_MAX + 1];
	struct edit *to;
	int found;

	if (more == NULL)
		return false;
	e->at = more;
	snprintf(noun, sizeof(noun), "%.*s", (int)i->noun.n, i->noun.p);
	found = intent_noun_find(noun);
	if (found == -1)		/* of a godwit-ems that knew more */
		return true;
	to = &e->at[e->n];
	*to = (struct edit){ .wanted.noun = (enum intent_noun)found };
	snprintf(to->wanted.name, sizeof(to->wanted.name), "%.*s",
	    (int)i->name.n, i->name.p);
	if (text) {
		to->wanted.text = strndup(i->body.p, i->body.n);
		if (to->wanted.text == NULL)
			return false;
		to->wanted.n = i->body.n;
		e->bytes += i->body.n;
	}
	e->n++;
	return true;
}

bool
edits_back(struct edits *e, const struct store_answer *items)
{
	*e = (struct edits){ 0 };
	for (size_t i = 0; i < items->items_n; i++)
		if (!edit_add(e, &items->items[i], true))
			return false;
	return true;
}

/* Those wanted so far are in the order of items. */
bool
edits_delete_others(struct edits *e, const struct store_answer *items)
{
	size_t wanted_n = e->n, at = 0;

	for (size_t i = 0; i < items->items_n; i++) {
		while (at < wanted_n && compare_item(&e->at[at].wanted,
		    &items->items[i]) < 0)
			at++;
		if ((at == wanted_n || compare_item(&e->at[at].wanted,
		    &items->items[i]) != 0) &&
		    !edit_add(e, &items->items[i], false))
			return false;
	}
	return true;
}

/* ---- what can't be done */

size_t
edits_refused(const struct edits *e, const struct edit **first)
{
	size_t n = 0;

	for (size_t i = 0; i < e->n; i++)
		if (e->at[i].action >= EDIT_CONFLICT && n++ == 0)
			*first = &e->at[i];
	return n;
}

void
edit_why(const struct edit *e, size_t others, char *why, size_t why_len)
{
	const char *noun = intent_word(e->wanted.noun);
	char more[48] = "", there[64];

	if (others > 0)
		snprintf(more, sizeof(more), " (and %zu more)", others);
	if (e->current == 0)
		snprintf(there, sizeof(there), "is not there (version 0)");
	else
		snprintf(there, sizeof(there), "is at version %" PRIu64,
		    e->current);
	if (e->action == EDIT_CONFLICT)
		why_set(why, why_len, "%s/%s %s, and this was made from "
		    "version %" PRIu64 "%s; nothing was changed", noun,
		    e->wanted.name, there, e->wanted.version, more);
	else
		why_set(why, why_len, "%s/%s %s: say from which version this "
		    "was made, by expect_version or \"# version: %" PRIu64
		    "\" in its first line%s; nothing was changed", noun,
		    e->wanted.name, there, e->current, more);
}

/* ---- what is written */

size_t
edits_changes(const struct edits *e, struct store_change *changes, size_t *at)
{
	size_t n = 0;

	for (size_t i = 0; i < e->n; i++) {
		const struct document *w = &e->at[i].wanted;

		if (e->at[i].action == EDIT_SAME)
			continue;
		at[n] = i;
		changes[n++] = (struct store_change){
		    store_text(intent_word(w->noun)), store_text(w->name),
		    e->at[i].current, { w->text, w->n } };
	}
	return n;
}

/* ---- printing */

void
edit_print_diff(struct print *p, const char *before_title, const char *before,
    const char *after_title, const char *after)
{
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);
	bool good;

	if (f == NULL)
		return;
	good = difference_print(f, before_title, before, after_title, after);
	if (fclose(f) == 0 && good && n > 0)
		print_text(p, "diff", text);
	free(text);
}

static void
title(char to[TITLE_BYTES], const struct edit *e, uint64_t version,
    const char *otherwise)
{
	if (version == 0)
		snprintf(to, TITLE_BYTES, "%s/%s %s",
		    intent_word(e->wanted.noun), e->wanted.name, otherwise);
	else
		snprintf(to, TITLE_BYTES, "%s/%s v%" PRIu64,
		    intent_word(e->wanted.noun), e->wanted.name, version);
}

static void
names_print(struct print *p, const struct edit *e)
{
	print_text(p, "noun", intent_word(e->wanted.noun));
	print_text(p, "name", e->wanted.name);
}

void
edit_print(struct print *p, const struct edit *e, bool diff)
{
	static const char *const words[] = { [EDIT_SAME] = "unchanged",
	    [EDIT_CREATE] = "created", [EDIT_CHANGE] = "changed",
	    [EDIT_DELETE] = "deleted" };
	char from[TITLE_BYTES], to[TITLE_BYTES];

	names_print(p, e);
	print_text(p, "action", words[e->action]);
	print_number(p, "from", e->current);
	if (!diff) {
		print_number(p, "to", e->to);
		return;
	}
	title(from, e, e->current, "not there");
	title(to, e, 0, e->wanted.text == NULL ? "deleted" : "planned");
	edit_print_diff(p, from, e->before, to, e->wanted.text);
}

void
edit_print_conflict(struct print *p, const struct edit *e)
{
	char from[TITLE_BYTES], to[TITLE_BYTES];

	names_print(p, e);
	if (e->wanted.stated)
		print_number(p, "expect_version", e->wanted.version);
	print_number(p, "current_version", e->current);
	if (e->before != NULL)
		print_text(p, "current_body", e->before);
	title(from, e, e->current, "not there");
	title(to, e, 0, e->wanted.text == NULL ? "deleted" : "yours");
	edit_print_diff(p, from, e->before, to, e->wanted.text);
}
