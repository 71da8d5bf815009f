/* master/ctl/table.c - see table.h. */
#include "master/ctl/table.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
plain_print(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		putchar(((unsigned char)text[i] < ' ' && text[i] != '\n' &&
		    text[i] != '\t') || text[i] == 0x7f ? '?' : text[i]);
}

void
table_row(struct table *t)
{
	size_t size = t->size * 2 + 16;
	char *(*more)[TABLE_COLUMNS];

	t->column = 0;
	if (t->n == t->size) {
		if ((more = realloc(t->rows, size * sizeof(*more))) == NULL)
			abort();
		t->rows = more;
		t->size = size;
	}
	memset(t->rows[t->n++], 0, sizeof(*t->rows));
}

void
table_cell(struct table *t, const char *format, ...)
{
	char **cell = &t->rows[t->n - 1][t->column++];
	va_list args;

	va_start(args, format);
	if (vasprintf(cell, format, args) == -1)
		abort();
	va_end(args);
	for (char *at = *cell; *at != '\0'; at++)
		if (*at == '\n' || *at == '\t')
			*at = ' ';
}

static size_t
width(const char *text)
{
	size_t n = 0;

	for (; *text != '\0'; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

static size_t
column_width(const struct table *t, int column)
{
	size_t most = 0, n;

	for (size_t i = 0; i < t->n; i++) {
		n = t->rows[i][column] == NULL ? 0 :
		    width(t->rows[i][column]);
		most = n > most ? n : most;
	}
	return most;
}

static void
row_print(char *const *row, const size_t *widths)
{
	int last = TABLE_COLUMNS - 1;

	while (last > 0 && (row[last] == NULL || *row[last] == '\0'))
		last--;
	for (int c = 0; c <= last; c++) {
		const char *text = row[c] == NULL ? "" : row[c];

		plain_print(text, strlen(text));
		if (c < last)
			printf("%*s", (int)(widths[c] - width(text)) + 2, "");
	}
	putchar('\n');
}

void
table_print(struct table *t)
{
	size_t widths[TABLE_COLUMNS];

	for (int c = 0; c < TABLE_COLUMNS; c++)
		widths[c] = column_width(t, c);
	for (size_t i = 0; i < t->n; i++) {
		row_print(t->rows[i], widths);
		for (int c = 0; c < TABLE_COLUMNS; c++)
			free(t->rows[i][c]);
	}
	free(t->rows);
	*t = (struct table){ 0 };
}
