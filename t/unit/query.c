/* t/unit/query.c - what follows '?' in a path of admin.sock (master/query.h). */
#include "master/query.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

Test(query, find)
{
	static const struct {
		const char	*query, *name;
		int		 rc;
		const char	*value;
	} s[] = {
		{ "", "a", 0, "" },
		{ "a=1", "a", 1, "1" },
		{ "a", "a", 1, "" },
		{ "a=", "a", 1, "" },
		{ "b=2&a=1&c", "a", 1, "1" },
		{ "b&a", "a", 1, "" },
		{ "a=1&a=2", "a", 1, "1" },
		{ "aa=1", "a", 0, "" },
		{ "a=%2Fx%20y+z%26", "a", 1, "/x y z&" },
		{ "a=b=c", "a", 1, "b=c" },
		{ "a=%", "a", -1, "" },
		{ "a=%2", "a", -1, "" },
		{ "a=%2&b=1", "a", -1, "" },
		{ "a=%zz", "a", -1, "" },
		{ "a=%00", "a", -1, "" },
		{ "a=1234567890123456", "a", -1, "" },
		{ "a=123456789012345", "a", 1, "123456789012345" },
	};
	char value[16];

	for (size_t i = 0; i < sizeof(s) / sizeof(s[0]); i++) {
		cr_expect_eq(query_find(s[i].query, s[i].name, value,
		    sizeof(value)), s[i].rc, "%s", s[i].query);
		if (s[i].rc == 1)
			cr_expect_str_eq(value, s[i].value, "%s", s[i].query);
	}
}

Test(query, unknown)
{
	static const char *const names[] = { "a", "bc", NULL };
	static const struct {
		const char	*query, *unknown;
	} s[] = {
		{ "", NULL }, { "a=1&bc", NULL }, { "&a&", NULL },
		{ "b=1", "b" }, { "a&bcd=2", "bcd" },
	};
	char unknown[64];

	for (size_t i = 0; i < sizeof(s) / sizeof(s[0]); i++) {
		const char *got = query_unknown(s[i].query, names, unknown);

		cr_expect_eq(got == NULL, s[i].unknown == NULL, "%s",
		    s[i].query);
		if (got != NULL && s[i].unknown != NULL)
			cr_expect_str_eq(got, s[i].unknown);
	}
}

/* Whatever is quoted is found again. */
Test(query, quote)
{
	char text[256], out[1024], path[1100], back[256];

	for (int i = 1; i < 256; i++)
		text[i - 1] = (char)i;
	text[255] = '\0';
	cr_assert(query_quote(text, out, sizeof(out)));
	cr_expect_null(strpbrk(out, " &=?/#+"));
	snprintf(path, sizeof(path), "x=1&name=%s&y=2", out);
	cr_expect_eq(query_find(path, "name", back, sizeof(back)), 1);
	cr_expect_str_eq(back, text);
	cr_expect_not(query_quote(text, out, 100));
}
