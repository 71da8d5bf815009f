/* t/unit/rest_edit.c - what a write does to each intent, as rest_edit.h's table
 * says; what is then written and shown. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xds/ems/rest_edit.h"

static struct store_item
item(const char *noun, const char *name, uint64_t version, const char *body)
{
	return (struct store_item){ .noun = store_text(noun),
	    .name = store_text(name), .version = version,
	    .body = store_text(body) };
}

/* wanted NULL: to be deleted. said -1: no version. */
static void
want(struct edits *e, const char *name, const char *wanted, int said)
{
	struct documents d = { .at = calloc(1, sizeof(*d.at)), .n = 1,
	    .size = 1 };

	d.at->noun = INTENT_SERVICE;
	strcpy(d.at->name, name);
	d.at->text = wanted == NULL ? NULL : strdup(wanted);
	d.at->n = wanted == NULL ? 0 : strlen(wanted);
	d.at->stated = said != -1;
	d.at->version = said == -1 ? 0 : (uint64_t)said;
	cr_assert(edits_take(e, &d));
	cr_assert_eq(d.n, 0, "they are the edits' now");
}

static enum edit_action
action(const char *wanted, int said, const char *there, uint64_t version,
    enum edit_rule rule)
{
	struct store_item i = item("service", "a", version, there);
	struct store_answer a = { .items = &i, .items_n = there != NULL };
	enum edit_action found;
	struct edits e;

	want(&e, "a", wanted, said);
	cr_assert(edits_compare(&e, &a, rule));
	cr_expect_eq(e.at->current, there == NULL ? 0 : version);
	found = e.at->action;
	edits_fini(&e);
	return found;
}

Test(rest_edit, the_table)
{
	static const struct {
		const char	*wanted;
		int		 said;
		const char	*there;
		uint64_t	 version;
		enum edit_action stated, safe, anyway;
	} rows[] = {
#define ALL(action)	EDIT_##action, EDIT_##action, EDIT_##action
		/* what is said counts, by whatever rule */
		{ "x", 0, NULL, 0, ALL(CREATE) },
		{ "x", 3, NULL, 0, ALL(CONFLICT) },
		{ "x", 3, "y", 3, ALL(CHANGE) },
		{ "x", 3, "x", 3, ALL(SAME) },
		{ "x", 3, "y", 4, ALL(CONFLICT) },
		{ "x", 4, "y", 3, ALL(CONFLICT) },
		{ "x", 0, "y", 3, ALL(CONFLICT) },
		{ NULL, 3, "y", 3, ALL(DELETE) },
		{ NULL, 3, "y", 4, ALL(CONFLICT) },
		{ NULL, 3, NULL, 0, ALL(CONFLICT) },
		{ NULL, 0, NULL, 0, ALL(SAME) },
		/* an older version and the text that is there */
		{ "x", 3, "x", 4, ALL(SAME) },
		{ "x", 1, "x", 4, ALL(SAME) },
		{ "x", 0, "x", 4, ALL(CONFLICT) },
		{ "x", 5, "x", 4, ALL(CONFLICT) },
		/* nothing is said */
		{ "x", -1, NULL, 0, EDIT_UNSTATED, EDIT_CREATE, EDIT_CREATE },
		{ "x", -1, "x", 4, EDIT_UNSTATED, EDIT_SAME, EDIT_SAME },
		{ "x", -1, "xx", 4, EDIT_UNSTATED, EDIT_UNSTATED,
		    EDIT_CHANGE },
		{ NULL, -1, NULL, 0, EDIT_UNSTATED, EDIT_SAME, EDIT_SAME },
		{ NULL, -1, "x", 4, EDIT_UNSTATED, EDIT_UNSTATED,
		    EDIT_DELETE },
#undef ALL
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const enum edit_action want_[] = { rows[i].stated,
		    rows[i].safe, rows[i].anyway };

		for (int rule = EDIT_STATED; rule <= EDIT_ANYWAY; rule++)
			cr_expect_eq(action(rows[i].wanted, rows[i].said,
			    rows[i].there, rows[i].version,
			    (enum edit_rule)rule), want_[rule],
			    "row %zu, rule %d", i, rule);
	}
}

Test(rest_edit, nobody_is_taken_for_another)
{
	/* By noun and name, as the store answers. */
	struct store_item items[] = { item("caller", "b", 9, "caller: b\n"),
	    item("service", "ab", 2, "2"), item("service", "b", 3, "3"),
	    item("service", "ba", 4, "4") };
	struct store_answer a = { .items = items, .items_n = 4,
	    .revision = 7 };
	struct edits e;

	want(&e, "b", "3", -1);
	cr_assert(edits_compare(&e, &a, EDIT_SAFE));
	cr_expect_eq(e.revision, 7);
	cr_expect_eq(e.at->current, 3);
	cr_expect_eq(e.at->action, EDIT_SAME);
	edits_fini(&e);
	want(&e, "a", "3", -1);
	cr_assert(edits_compare(&e, &a, EDIT_SAFE));
	cr_expect_eq(e.at->action, EDIT_CREATE);
	edits_fini(&e);
}

/* Only what changes is written, from the version that is there. */
Test(rest_edit, what_is_written)
{
	struct store_item items[] = { item("region", "us", 1, "region: us\n"),
	    item("service", "a", 2, "old"), item("service", "b", 3, "same"),
	    item("service", "c", 4, "gone") };
	struct store_item then[] = { item("service", "a", 1, "new"),
	    item("service", "b", 3, "same"), item("service", "d", 1, "more") };
	struct store_answer now = { .items = items, .items_n = 4 };
	struct store_answer back = { .items = then, .items_n = 3 };
	struct store_change c[5];
	const struct edit *first = NULL;
	size_t at[5], n;
	struct edits e;

	cr_assert(edits_back(&e, &back));
	cr_assert(edits_delete_others(&e, &now));
	cr_assert_eq(e.n, 5);
	cr_assert(edits_compare(&e, &now, EDIT_ANYWAY));
	cr_expect_eq(edits_refused(&e, &first), 0);
	n = edits_changes(&e, c, at);
	cr_assert_eq(n, 4);
	for (size_t i = 0; i < n; i++) {
		static const struct {
			const char	*name;
			uint64_t	 expect;
			const char	*body;
			size_t		 at;
		} row[] = { { "a", 2, "new", 0 }, { "d", 0, "more", 2 },
		    { "us", 1, NULL, 3 }, { "c", 4, NULL, 4 } };

		cr_expect_str_eq(c[i].name.p, row[i].name);
		cr_expect_eq(c[i].expect_version, row[i].expect);
		cr_expect_eq(at[i], row[i].at);
		cr_expect(row[i].body == NULL ? c[i].body.p == NULL :
		    strcmp(c[i].body.p, row[i].body) == 0);
	}
	cr_expect_eq(e.bytes, strlen("new" "same" "more" "region: us\n" "old"
	    "same" "gone"));
	edits_fini(&e);
}

Test(rest_edit, a_noun_of_later_is_left_alone)
{
	struct store_item items[] = { item("planet", "mars", 1, "p") };
	struct store_answer now = { .items = items, .items_n = 1 };
	struct edits e = { 0 };

	cr_assert(edits_delete_others(&e, &now));
	cr_expect_eq(e.n, 0);
	edits_fini(&e);
}

Test(rest_edit, why)
{
	char why[512];
	struct edit e = { .wanted = { .noun = INTENT_SERVICE, .name = "a",
	    .stated = true, .version = 3 }, .action = EDIT_CONFLICT,
	    .current = 4 };

	edit_why(&e, 0, why, sizeof(why));
	cr_expect_str_eq(why, "service/a is at version 4, and this was made "
	    "from version 3; nothing was changed");
	e.current = 0;
	edit_why(&e, 2, why, sizeof(why));
	cr_expect_str_eq(why, "service/a is not there (version 0), and this "
	    "was made from version 3 (and 2 more); nothing was changed");
	e.action = EDIT_UNSTATED;
	e.current = 4;
	edit_why(&e, 0, why, sizeof(why));
	cr_expect_str_eq(why, "service/a is at version 4: say from which "
	    "version this was made, by expect_version or \"# version: 4\" in "
	    "its first line; nothing was changed");
}

/* One object, as the door shows it. */
static char *
shown(const struct edit *e, bool conflict, bool diff)
{
	char *text;
	size_t n;
	FILE *f = open_memstream(&text, &n);
	struct print p;

	print_begin(&p, f, NULL);
	print_open(&p, NULL, '{');
	if (conflict)
		edit_print_conflict(&p, e);
	else
		edit_print(&p, e, diff);
	print_close(&p, '{');
	fclose(f);
	return text;
}

static void
shows(const struct edit *e, bool conflict, bool diff, const char *want_)
{
	char *text = shown(e, conflict, diff);

	cr_expect_str_eq(text, want_, "%s", text);
	free(text);
}

Test(rest_edit, what_is_shown)
{
	char was[] = "b\n", is[] = "c\n";
	struct edit e = { .wanted = { .noun = INTENT_SERVICE, .name = "a",
	    .text = is, .n = 2, .stated = true, .version = 3 },
	    .action = EDIT_CHANGE, .current = 4, .before = was, .to = 5 };

	shows(&e, false, false, "{\n \"noun\": \"service\",\n \"name\": "
	    "\"a\",\n \"action\": \"changed\",\n \"from\": 4,\n \"to\": 5\n}\n");
	shows(&e, false, true, "{\n \"noun\": \"service\",\n \"name\": "
	    "\"a\",\n \"action\": \"changed\",\n \"from\": 4,\n \"diff\": "
	    "\"--- service/a v4\\n+++ service/a planned\\n@@ -1 +1 @@\\n-b\\n"
	    "+c\\n\"\n}\n");
	e.wanted.text = NULL;
	shows(&e, true, false, "{\n \"noun\": \"service\",\n \"name\": "
	    "\"a\",\n \"expect_version\": 3,\n \"current_version\": 4,\n "
	    "\"current_body\": \"b\\n\",\n \"diff\": \"--- service/a v4\\n"
	    "+++ service/a deleted\\n@@ -1 +0,0 @@\\n-b\\n\"\n}\n");
}
