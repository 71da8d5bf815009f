/* t/unit/documents.c - what a writer sends, as documents (xds/ems/documents.h).
 *
 * Each is logged as "NOUN/NAME vN 'TEXT'", v- when no version was said, and
 * "deleted" in the place of a text. */
#include "xds/ems/documents.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOG_BYTES = 4096 };

static const char *
read_all(const char *text)
{
	static char log[LOG_BYTES];
	char *copy = malloc(strlen(text) + 1), why[1024] = "";
	struct documents d = { 0 };
	int rc;

	/* No NUL behind it: for the sanitizer's eye. */
	memcpy(copy, text, strlen(text));
	log[0] = '\0';
	rc = documents_read(&d, copy, strlen(text), "f", why, sizeof(why));
	free(copy);
	for (size_t i = 0; i < d.n && rc == 0; i++) {
		char *at = log + strlen(log);

		at += sprintf(at, "%s/%s v", intent_word(d.at[i].noun),
		    d.at[i].name);
		if (d.at[i].stated)
			at += sprintf(at, "%" PRIu64, d.at[i].version);
		else
			*at++ = '-';
		if (d.at[i].text == NULL)
			sprintf(at, " deleted\n");
		else
			sprintf(at, " '%.*s'\n", (int)d.at[i].n,
			    d.at[i].text);
	}
	documents_fini(&d);
	if (rc == -1)
		strcpy(log, why);
	return log;
}

static const struct {
	const char	*what, *text, *log;
} cases[] = {
	{ "one", "region: us\n", "region/us v- 'region: us\n'\n" },
	{ "an end of a line is added", "region: us",
	    "region/us v- 'region: us\n'\n" },
	{ "several, and empty ones between", "---\nregion: us\n---\n\n---\n"
	    "region: eu\n---\n", "region/us v- 'region: us\n'\n"
	    "region/eu v- 'region: eu\n'\n" },
	{ "the version is no part of the text, comments are",
	    "# version: 3\n# mine\nservice: a # yes\n",
	    "service/a v3 '# mine\nservice: a # yes\n'\n" },
	{ "version 0 creates", "# version: 0\nregion: us\n",
	    "region/us v0 'region: us\n'\n" },
	{ "JSON is a document too", "{\"region\": \"us\"}\n",
	    "region/us v- '{\"region\": \"us\"}\n'\n" },
	{ "for programs", "{\"documents\": [{\"file\": \"a\", \"text\": "
	    "\"region: us\"}], \"expect\": {\"region/us\": 2, \"region/eu\": "
	    "4}, \"delete\": [\"region/eu\"]}",
	    "region/us v2 'region: us\n'\nregion/eu v4 deleted\n" },
	{ "an error has the line where it stands", "region: us\n---\n\n"
	    "service: a\nownr: b\n", NULL },
	{ "and of a program's file", "{\"documents\": [{\"file\": \"g\", "
	    "\"line\": 10, \"text\": \"service: a\\nownr: b\"}]}", NULL },
	{ "one twice", "region: us\n---\nregion: us\n", NULL },
	{ "none at all", "", NULL },
};

static const char *const errors[] = {
	"f:5:1: ownr: ", "g:11:1: ownr: ",
	"region/us is there twice, expected each once",
	"f: there is no document in it, expected an intent",
};

Test(documents, cases)
{
	size_t error = 0;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *log = read_all(cases[i].text);

		if (cases[i].log != NULL)
			cr_expect_str_eq(log, cases[i].log, "%s: %s",
			    cases[i].what, log);
		else
			cr_expect_not_null(strstr(log, errors[error++]),
			    "%s: %s", cases[i].what, log);
	}
}

Test(documents, items)
{
	char name[INTENT_NAME_MAX + 1];
	enum intent_noun noun;

	cr_assert(documents_item("service/a.B", &noun, name));
	cr_assert_eq(noun, INTENT_SERVICE);
	cr_assert_str_eq(name, "a.B");
	cr_assert(!documents_item("service", &noun, name));
	cr_assert(!documents_item("service/", &noun, name));
	cr_assert(!documents_item("planet/mars", &noun, name));
	cr_assert(!documents_item("service/a b", &noun, name));
}
