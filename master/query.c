/* master/query.c - see query.h. Source: RFC 3986. */
#include "master/query.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The byte of "XX", -1 if it is none. */
static int
hex_byte(const char *at)
{
	char text[3] = { at[0], at[0] == '\0' ? '\0' : at[1], '\0' };

	if (!isxdigit((unsigned char)text[0]) ||
	    !isxdigit((unsigned char)text[1]))
		return -1;
	return (int)strtol(text, NULL, 16);
}

static int
decode(const char *from, size_t n, char *value, size_t value_len)
{
	size_t to = 0;
	int c;

	for (size_t i = 0; i < n; i++) {
		c = from[i] == '+' ? ' ' : (unsigned char)from[i];
		if (c == '%') {
			c = i + 2 < n ? hex_byte(from + i + 1) : -1;
			i += 2;
		}
		if (c <= 0 || to + 1 >= value_len)
			return -1;
		value[to++] = (char)c;
	}
	value[to] = '\0';
	return 1;
}

int
query_find(const char *query, const char *name, char *value, size_t value_len)
{
	size_t n, name_n, want = strlen(name);

	for (; *query != '\0'; query += n + (query[n] == '&')) {
		n = strcspn(query, "&");
		name_n = strcspn(query, "=&");
		if (name_n != want || strncmp(query, name, want) != 0)
			continue;
		return decode(query + name_n + (name_n < n),
		    n - name_n - (name_n < n), value, value_len);
	}
	return 0;
}

static bool
listed(const char *const *names, const char *name, size_t n)
{
	for (; *names != NULL; names++)
		if (strlen(*names) == n && strncmp(*names, name, n) == 0)
			return true;
	return false;
}

const char *
query_unknown(const char *query, const char *const *names, char unknown[64])
{
	size_t n, name_n;

	for (; *query != '\0'; query += n + (query[n] == '&')) {
		n = strcspn(query, "&");
		name_n = strcspn(query, "=&");
		if (n == 0 || listed(names, query, name_n))
			continue;
		snprintf(unknown, 64, "%.*s", (int)name_n, query);
		return unknown;
	}
	return NULL;
}

bool
query_quote(const char *text, char *out, size_t out_len)
{
	size_t n = 0;

	for (; *text != '\0' && n + 3 < out_len; text++) {
		if (isalnum((unsigned char)*text) || strchr("-._~", *text))
			out[n++] = *text;
		else
			n += (size_t)snprintf(out + n, 4, "%%%02X",
			    (unsigned char)*text);
	}
	out[n] = '\0';
	return *text == '\0';
}
