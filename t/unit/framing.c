/* t/unit/framing.c - gRPC's messages out of bytes (xds/framing.h). */
#include "xds/framing.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define B(text)	text, sizeof(text) - 1

enum { BYTES_MAX = 20 };

/* Feeds pieces of cut bytes: "[abc][]" and what is left, or the refusal. */
static const char *
read_cut(const char *bytes, size_t n, size_t cut)
{
	static char out[512];
	char why[128] = "";
	struct framing f;
	const uint8_t *at, *end;
	uint8_t *piece;
	int rc = 0;

	out[0] = '\0';
	framing_init(&f, BYTES_MAX);
	for (size_t i = 0; i < n && rc != -1; i += cut) {
		size_t len = n - i < cut ? n - i : cut;

		piece = malloc(len);	/* for the sanitizer's eye */
		memcpy(piece, bytes + i, len);
		at = piece;
		end = piece + len;
		while ((rc = framing_take(&f, &at, end, why, sizeof(why))) ==
		    1)
			sprintf(out + strlen(out), "[%.*s]", (int)f.len,
			    f.len > 0 ? (const char *)f.bytes : "");
		cr_assert(rc == -1 || at == end);
		free(piece);
	}
	if (rc == -1)
		strcat(out, why);
	else if (framing_is_inside(&f))
		strcat(out, "...");
	framing_fini(&f);
	return out;
}

Test(framing, any_cut)
{
	static const struct {
		const char	*bytes;
		size_t		 n;
		const char	*want;
	} cases[] = {
		{ B(""), "" },
		{ B("\0\0\0\0\3abc"), "[abc]" },
		{ B("\0\0\0\0\0"), "[]" },
		{ B("\0\0\0\0\0\0\0\0\0\1a\0\0\0\0\0"), "[][a][]" },
		{ B("\0\0\0\0\3abc\0\0\0\0\2de"), "[abc][de]" },
		{ B("\0\0\0\0\24abcdefghijklmnopqrst"),
		    "[abcdefghijklmnopqrst]" },
		{ B("\0\0\0\0\25a"), "a message of 21 bytes; 20 at most" },
		{ B("\0\xff\xff\xff\xff"), "a message of 4294967295 bytes; 20 "
		    "at most" },
		{ B("\0\1\0\0\0a"), "a message of 16777216 bytes; 20 at most" },
		{ B("\1"), "a compressed message; we did not ask for "
		    "compression" },
		{ B("\0\0\0\0\1a\1\0"), "[a]a compressed message; we did not "
		    "ask for compression" },
		{ B("<html>"), "no gRPC message: it begins with byte 0x3c" },
		{ B("\0"), "..." },
		{ B("\0\0\0\0"), "..." },
		{ B("\0\0\0\0\3"), "..." },
		{ B("\0\0\0\0\1a\0\0\0\0\3ab"), "[a]..." },
	};
	const char *got;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t cut = 1; cut <= cases[i].n + 1; cut++) {
			got = read_cut(cases[i].bytes, cases[i].n, cut);
			cr_assert_str_eq(got, cases[i].want,
			    "%zu, in pieces of %zu: %s", i, cut, got);
		}
}

/* A length alone takes no memory. */
Test(framing, memory_follows_what_came)
{
	uint8_t prefix[FRAMING_PREFIX_BYTES], byte = 'a';
	const uint8_t *at = prefix;
	struct framing f;
	char why[64];

	framing_init(&f, 64 << 20);
	framing_prefix(prefix, 64 << 20);
	cr_assert_eq(framing_take(&f, &at, prefix + sizeof(prefix), why,
	    sizeof(why)), 0);
	cr_assert_eq(f.len, 64 << 20);
	cr_assert_eq(f.size, 0);
	at = &byte;
	cr_assert_eq(framing_take(&f, &at, &byte + 1, why, sizeof(why)), 0);
	cr_assert_leq(f.size, 4096);
	framing_reset(&f);
	cr_assert_not(framing_is_inside(&f));
	framing_fini(&f);
}

Test(framing, prefix)
{
	uint8_t prefix[FRAMING_PREFIX_BYTES];

	framing_prefix(prefix, 0x01020304);
	cr_assert_eq(memcmp(prefix, "\0\1\2\3\4", 5), 0);
}
