/* t/unit/difference.c - xds/ems/difference: patch(1)'s rules make the second
 * text out of the first and what was printed. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "t/lib/chance.h"
#include "xds/ems/difference.h"

static char *
difference(const char *a, const char *b)
{
	size_t n;
	char *text;
	FILE *f = open_memstream(&text, &n);

	cr_assert(difference_print(f, "a", a, "b", b));
	fclose(f);
	return text;
}

static void
shows(const char *a, const char *b, const char *want)
{
	char *text = difference(a, b);

	cr_expect_str_eq(text, want, "of \"%s\" and \"%s\":\n%s", a, b, text);
	free(text);
}

Test(difference, small_ones)
{
	shows("a\n", "a\n", "");
	shows(NULL, "a\n", "--- a\n+++ b\n@@ -0,0 +1 @@\n+a\n");
	shows("a\nb\n", NULL, "--- a\n+++ b\n@@ -1,2 +0,0 @@\n-a\n-b\n");
	shows("a\nb\nc\n", "a\nx\nc\n",
	    "--- a\n+++ b\n@@ -1,3 +1,3 @@\n a\n-b\n+x\n c\n");
	shows("a", "a\n", "--- a\n+++ b\n@@ -1 +1 @@\n-a\n"
	    "\\ No newline at end of file\n+a\n");
}

/* Seven lines alike part two hunks, six do not. */
Test(difference, hunks)
{
	shows("x\n1\n2\n3\n4\n5\n6\ny\n", "1\n2\n3\n4\n5\n6\n",
	    "--- a\n+++ b\n@@ -1,8 +1,6 @@\n-x\n 1\n 2\n 3\n 4\n 5\n 6\n-y\n");
	shows("x\n1\n2\n3\n4\n5\n6\n7\ny\n", "1\n2\n3\n4\n5\n6\n7\n",
	    "--- a\n+++ b\n@@ -1,4 +1,3 @@\n-x\n 1\n 2\n 3\n"
	    "@@ -6,4 +5,3 @@\n 5\n 6\n 7\n-y\n");
}

/* Applies text to a, as patch does with no fuzz; asserts that all fits. */
static char *
patched(const char *a, const char *text)
{
	char *to = calloc(1, strlen(a) + strlen(text) + 1), *out = to;
	const char *at = text;
	size_t n, line = 1, from, x, y, u, v;

	for (; *at != '\0'; at += n) {
		n = strcspn(at, "\n") + 1;
		if (strncmp(at, "---", 3) == 0 || strncmp(at, "+++", 3) == 0)
			continue;
		if (*at == '@') {
			u = v = 1;
			if (sscanf(at, "@@ -%zu,%zu", &x, &u) < 1)
				cr_assert(false, "no head of a hunk: %.40s", at);
			from = x + (u == 0);
			for (; line < from; line++, a += y) {
				y = strcspn(a, "\n") + 1;
				out = mempcpy(out, a, y);
			}
			continue;
		}
		if (*at != '+') {
			cr_assert(strncmp(a, at + 1, n - 1) == 0, "%.*s does "
			    "not stand at line %zu", (int)n, at, line);
			a += n - 1;
			line++;
		}
		if (*at != '-')
			out = mempcpy(out, at + 1, n - 1);
	}
	strcpy(out, a);
	return to;
}

static size_t
changed_n(const char *text)
{
	size_t n = 0;

	for (const char *at = text; at != NULL && *at != '\0';
	    at = strchr(at, '\n') + 1)
		n += (*at == '-' || *at == '+') && at[1] != '-' &&
		    at[1] != '+';
	return n;
}

/* Of texts of few words, changed a little: what is printed leads from one to
 * the other, and is no longer than what was done to it. */
Test(difference, random)
{
	struct chance c = { 7 };

	for (int round = 0; round < 3000; round++) {
		char a[512] = "", b[512] = "", *text, *made;
		size_t done = 0;

		for (unsigned i = chance_below(&c, 40); i > 0; i--) {
			char word[3] = { (char)('a' + chance_below(&c, 4)), '\n' };

			strcat(a, word);
			switch (chance_below(&c, 8)) {
			case 0:
				done++;
				break;
			case 1:
				done += 2;
				word[0] = 'z';
				/* FALLTHROUGH */
			default:
				strcat(b, word);
			}
		}
		text = difference(a, b);
		made = patched(a, text);
		cr_assert_str_eq(made, b, "round %d", round);
		cr_assert_leq(changed_n(text), done, "round %d: %zu done, but\n%s",
		    round, done, text);
		free(made);
		free(text);
	}
}

/* More than the search is for: still right, and soon. */
Test(difference, all_is_another)
{
	size_t lines = 100000;
	char *a = malloc(lines * 2 + 1), *b = malloc(lines * 2 + 1);
	char *text, *made;

	for (size_t i = 0; i < lines; i++) {
		memcpy(a + 2 * i, "a\n", 3);
		memcpy(b + 2 * i, i % 2 == 0 ? "a\n" : "b\n", 3);
	}
	text = difference(a, b);
	made = patched(a, text);
	cr_expect_str_eq(made, b);
	free(made);
	free(text);
	free(a);
	free(b);
}
