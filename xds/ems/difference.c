/*
 * xds/ems/difference.c - see difference.h.
 *
 *   lines ──same at both ends off──> search ──> a mark at each line that goes
 *   or comes ──> hunks: what is marked, and three lines around
 */
#include "xds/ems/difference.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct line {
	const char	*at;
	size_t		 n;		/* its end too, if it has one */
};

struct side {
	struct line	*lines;
	bool		*marked;	/* it is in no other */
	size_t		 n;
};

struct search {
	const struct line *a, *b;
	int		 a_n, b_n;
	int		*steps;		/* of d: d + 1 places, one behind the
					 * other */
};

/* ---- lines */

static bool
side_init(struct side *s, const char *text)
{
	size_t n = 1;

	for (const char *at = text; *at != '\0'; at++)
		n += *at == '\n';
	s->lines = calloc(n, sizeof(*s->lines));
	s->marked = calloc(n, sizeof(*s->marked));
	if (s->lines == NULL || s->marked == NULL)
		return false;
	for (; *text != '\0'; text += s->lines[s->n++].n) {
		n = strcspn(text, "\n");
		s->lines[s->n] = (struct line){ text, n + (text[n] == '\n') };
	}
	return true;
}

static void
side_fini(struct side *s)
{
	free(s->lines);
	free(s->marked);
}

static bool
same(const struct line *a, const struct line *b)
{
	return a->n == b->n && memcmp(a->at, b->at, a->n) == 0;
}

/* ---- the search: on diagonal k = x - y, as far as d changes lead */

static int *
steps_of(const struct search *s, int d)
{
	return s->steps + (size_t)d * ((size_t)d + 1) / 2;
}

/* Diagonals are -d, -d + 2, ... d, at 0, 1, ... d. */
static int
reach(const struct search *s, int d, int k)
{
	return k < -d || k > d ? -1 : steps_of(s, d)[(k + d) / 2];
}

/* Whether the way to diagonal k by d changes ends with a line of b. */
static bool
comes_down(const struct search *s, int d, int k)
{
	return k == -d || (k != d && reach(s, d - 1, k - 1) <
	    reach(s, d - 1, k + 1));
}

static int
furthest(const struct search *s, int d, int k)
{
	int x = d == 0 ? 0 : comes_down(s, d, k) ? reach(s, d - 1, k + 1) :
	    reach(s, d - 1, k - 1) + 1, y = x - k;

	while (x < s->a_n && y < s->b_n && y >= 0 &&
	    same(&s->a[x], &s->b[y])) {
		x++;
		y++;
	}
	return x;
}

/* How many changes it takes; -1: more than most. */
static int
search_run(struct search *s, int most)
{
	for (int d = 0; d <= most; d++)
		for (int k = -d; k <= d; k += 2) {
			int x = furthest(s, d, k);

			steps_of(s, d)[(k + d) / 2] = x;
			if (x >= s->a_n && x - k >= s->b_n)
				return d;
		}
	return -1;
}

static void
search_mark(const struct search *s, int d, bool *a, bool *b)
{
	int x = s->a_n, y = s->b_n;

	for (; d > 0; d--) {
		int k = x - y;

		if (comes_down(s, d, k)) {
			x = reach(s, d - 1, k + 1);
			y = x - (k + 1);
			b[y] = true;
		} else {
			x = reach(s, d - 1, k - 1);
			y = x - (k - 1);
			a[x] = true;
		}
	}
}

static bool
mark(struct side *a, struct side *b)
{
	size_t first = 0, last = 0, most;
	struct search s;
	int d;

	while (first < a->n && first < b->n &&
	    same(&a->lines[first], &b->lines[first]))
		first++;
	while (last < a->n - first && last < b->n - first &&
	    same(&a->lines[a->n - 1 - last], &b->lines[b->n - 1 - last]))
		last++;
	s = (struct search){ .a = a->lines + first, .b = b->lines + first,
	    .a_n = (int)(a->n - first - last),
	    .b_n = (int)(b->n - first - last) };
	most = (size_t)s.a_n + (size_t)s.b_n;
	if (most > DIFFERENCE_MAX)
		most = DIFFERENCE_MAX;
	s.steps = calloc((most + 1) * (most + 2) / 2, sizeof(*s.steps));
	if (s.steps == NULL)
		return false;
	d = search_run(&s, (int)most);
	if (d >= 0)
		search_mark(&s, d, a->marked + first, b->marked + first);
	else {
		memset(a->marked + first, true, (size_t)s.a_n);
		memset(b->marked + first, true, (size_t)s.b_n);
	}
	free(s.steps);
	return true;
}

/* ---- hunks */

static void
line_print(FILE *out, char sign, const struct line *l)
{
	putc(sign, out);
	fwrite(l->at, 1, l->n, out);
	if (l->n == 0 || l->at[l->n - 1] != '\n')
		fputs("\n\\ No newline at end of file\n", out);
}

/* Where the hunk ends that begins at a[x]: behind it are more than twice
 * DIFFERENCE_AROUND lines that are the same, or none. */
static void
hunk_end(const struct side *a, const struct side *b, size_t *x, size_t *y)
{
	size_t alike = 0, i = *x, j = *y;

	while (i < a->n || j < b->n) {
		if (i < a->n && a->marked[i])
			i++;
		else if (j < b->n && b->marked[j])
			j++;
		else {
			if (alike++ == 2 * DIFFERENCE_AROUND)
				break;
			i++;
			j++;
			continue;
		}
		alike = 0;
		*x = i;
		*y = j;
	}
}

static size_t
least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Line numbers of an empty part are of the line before it. */
static void
range_print(FILE *out, char sign, size_t from, size_t n)
{
	fprintf(out, n == 1 ? "%c%zu" : "%c%zu,%zu", sign, from + (n > 0), n);
}

static void
hunk_print(FILE *out, const struct side *a, const struct side *b, size_t x,
    size_t y, size_t a_end, size_t b_end)
{
	fputs("@@ ", out);
	range_print(out, '-', x, a_end - x);
	putc(' ', out);
	range_print(out, '+', y, b_end - y);
	fputs(" @@\n", out);
	while (x < a_end || y < b_end)
		if (x < a_end && a->marked[x])
			line_print(out, '-', &a->lines[x++]);
		else if (y < b_end && b->marked[y])
			line_print(out, '+', &b->lines[y++]);
		else {
			line_print(out, ' ', &a->lines[x++]);
			y++;
		}
}

/* From a[x], b[y], which is marked, to the hunk's end, where they are then. */
static void
hunk_take(FILE *out, const struct side *a, const struct side *b, size_t *x,
    size_t *y)
{
	size_t before = least(DIFFERENCE_AROUND, least(*x, *y)), after;
	size_t a_from = *x - before, b_from = *y - before;

	hunk_end(a, b, x, y);
	after = least(DIFFERENCE_AROUND, least(a->n - *x, b->n - *y));
	hunk_print(out, a, b, a_from, b_from, *x + after, *y + after);
}

static void
hunks_print(FILE *out, const struct side *a, const struct side *b)
{
	size_t x = 0, y = 0;

	while (x < a->n || y < b->n)
		if ((x < a->n && a->marked[x]) || (y < b->n && b->marked[y]))
			hunk_take(out, a, b, &x, &y);
		else {
			x++;
			y++;
		}
}

bool
difference_print(FILE *out, const char *before_title, const char *before,
    const char *after_title, const char *after)
{
	struct side a = { 0 }, b = { 0 };
	bool good;

	before = before == NULL ? "" : before;
	after = after == NULL ? "" : after;
	if (strcmp(before, after) == 0)
		return true;
	good = side_init(&a, before) && side_init(&b, after) && mark(&a, &b);
	if (good) {
		fprintf(out, "--- %s\n+++ %s\n", before_title, after_title);
		hunks_print(out, &a, &b);
	}
	side_fini(&a);
	side_fini(&b);
	return good;
}
