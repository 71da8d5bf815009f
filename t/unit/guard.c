/* t/unit/guard.c - bytes that may be unpacked, and bytes that may not. */
#include "xds/guard.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "t/lib/everything.h"
#include "xds/proto/envoy/config/cluster.pb-c.h"
#include "xds/proto/envoy/config/rbac.pb-c.h"
#include "xds/proto/google/protobuf/wrappers.pb-c.h"

static const char *
look_as(const ProtobufCMessageDescriptor *d, const void *bytes, size_t n,
    enum guard_policy policy)
{
	static char why[512];
	uint8_t *copy = malloc(n > 0 ? n : 1);	/* for the sanitizer's eye */

	memcpy(copy, bytes, n);
	why[0] = '\0';
	if (guard_check(d, copy, n, policy, why, sizeof(why)) == 0)
		cr_expect_str_eq(why, "");
	free(copy);
	return why;
}

static const char *
look(const void *bytes, size_t n, enum guard_policy policy)
{
	return look_as(everything(), bytes, n, policy);
}

struct sample {
	const char	*bytes;
	size_t		 n;
	const char	*want;
};

#define B(text)	text, sizeof(text) - 1

Test(guard, table)
{
	static const struct sample s[] = {
		{ B(""), "" },
		{ B("\x08\x05"), "" },
		{ B("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "" },
		{ B("\x1d" "abcd" "\x31" "abcdefgh"), "" },
		{ B("\x72\x03" "abc"), "" },
		{ B("\x7a\x03" "\xff\x00\xfe"), "" },
		{ B("\x8a\x01\x00"), "" },
		{ B("\x8a\x01\x02\x08\x01"), "" },
		{ B("\x92\x01\x03\x01\x80\x01"), "" },	/* many, packed */
		{ B("\x90\x01\x05"), "" },		/* many, one */
		{ B("\xe2\x01\x08" "abcdefgh"), "" },	/* fixed, packed */
		{ B("\xa2\x01\x02\x01\x00"), "" },	/* colours */
		{ B("\x80\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "" },
		{ B("\xb2\x01\x05\x08\x01\x12\x01" "a"), "" },	/* names */
		{ B("\x08"), "t.Everything field 1 (i32): ends within a "
		  "number" },
		{ B("\x08\x80"), "t.Everything field 1 (i32): ends within a "
		  "number" },
		{ B("\x80"), "t.Everything: ends within a number" },
		{ B("\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02"),
		  "t.Everything field 1 (i32): a number of more than 64 bits" },
		{ B("\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"),
		  "t.Everything field 1 (i32): a number of more than 64 bits" },
		{ B("\x88\x80\x80\x80\x80\x00"),
		  "t.Everything: a number that does not end" },
		{ B("\x88\x80\x80\x80\x10\x00"),
		  "t.Everything: a field number that can't be" },
		{ B("\x00\x01"),
		  "t.Everything: a field number that can't be" },
		{ B("\x1d" "abc"), "t.Everything field 3 (f32): ends within "
		  "a number" },
		{ B("\x31" "abcdefg"), "t.Everything field 6 (f64): ends "
		  "within a number" },
		{ B("\x72\x04" "abc"), "t.Everything field 14 (text): longer "
		  "than what holds it" },
		{ B("\x72\xff\xff\xff\xff\x0f"), "t.Everything field 14 "
		  "(text): longer than what holds it" },
		{ B("\x72\x83\x80\x80\x80\x80\x00" "abc"), "t.Everything "
		  "field 14 (text): a number that does not end" },
		{ B("\x72\x03" "a\0c"), "t.Everything field 14 (text): a "
		  "string that has a NUL or is not UTF-8" },
		{ B("\x72\x01\xff"), "t.Everything field 14 (text): a "
		  "string that has a NUL or is not UTF-8" },
		{ B("\xaa\x01\x01\xff"), "t.Everything field 21 (words): a "
		  "string that has a NUL or is not UTF-8" },
		{ B("\xb2\x01\x03\x12\x01\xff"), "t.Everything.NamesEntry "
		  "field 2 (value): a string that has a NUL or is not UTF-8" },
		{ B("\x0a\x01\x05"), "t.Everything field 1 (i32): not of the "
		  "type it should have" },
		{ B("\x0d" "abcd"), "t.Everything field 1 (i32): not of the "
		  "type it should have" },
		{ B("\x70\x05"), "t.Everything field 14 (text): not of the "
		  "type it should have" },
		{ B("\x88\x01\x05"), "t.Everything field 17 (child): not of "
		  "the type it should have" },
		{ B("\x0b\x0c"), "t.Everything field 1 (i32): a wire type "
		  "that can't be" },
		{ B("\x0e"), "t.Everything field 1 (i32): a wire type that "
		  "can't be" },
		{ B("\x92\x01\x01\x80"), "t.Everything field 18 (many): ends "
		  "within a number" },
		{ B("\xe2\x01\x07" "abcdefg"), "t.Everything field 28 "
		  "(fixed): ends within a number" },
		{ B("\x8a\x01\x01\x08\x05"), "t.Everything field 1 (i32): "
		  "ends within a number" },	/* not the parent's 05 */
		{ B("\x80\x01\x07"), "t.Everything field 16 (colour): an "
		  "unknown enum value" },
		{ B("\xa2\x01\x02\x01\x07"), "t.Everything field 20 "
		  "(colours): an unknown enum value" },
		{ B("\x9a\x01\x00\x9a\x01\x00"), "" },	/* children */
		{ B("\x8a\x01\x04\x8a\x01\x01\x00"), "t.Everything: a field "
		  "number that can't be" },
		{ B("\x8a\x01\x00\x8a\x01\x00"), "t.Everything field 17 "
		  "(child): a message given twice" },
		{ B("\xca\x01\x00\xca\x01\x00"), "t.Everything field 25 "
		  "(child_one): a message given twice" },
		{ B("\x8a\x01\x03\x8a\x01\x00\xca\x01\x00"), "" },
		{ B("\xf8\x01\x07"), "t.Everything field 31: unknown field" },
		{ B("\x8a\x01\x03\xf8\x01\x07"), "t.Everything field 31: "
		  "unknown field" },
	};
	const char *got;
	size_t i;

	for (i = 0; i < sizeof(s) / sizeof(s[0]); i++) {
		got = look(s[i].bytes, s[i].n, GUARD_UNKNOWN);
		cr_expect_str_eq(got, s[i].want, "%zu:\n got: %s\nwant: %s", i,
		    got, s[i].want);
	}
}

Test(guard, lenient)
{
	cr_expect_str_eq(look(B("\xf8\x01\x07"), GUARD_LENIENT), "");
	cr_expect_str_eq(look(B("\xfa\x01\x01\xff"), GUARD_LENIENT), "");
	cr_expect_str_eq(look(B("\x80\x01\x07"), GUARD_LENIENT), "");
	cr_expect_str_eq(look(B("\xfa\x01\x02\xff"), GUARD_LENIENT),
	    "t.Everything field 31: longer than what holds it");
	cr_expect_str_eq(look(B("\xfb\x01\xfc\x01"), GUARD_LENIENT),
	    "t.Everything field 31: a wire type that can't be");
}

/* levels messages in each other, the outermost among them. */
static const char *
nested(const ProtobufCMessageDescriptor *d, uint8_t tag, int levels)
{
	static uint8_t bytes[400000];
	uint8_t *end = bytes + sizeof(bytes), *at = end, length[5];
	size_t n, left;

	while (--levels > 0) {
		for (n = 0, left = (size_t)(end - at); n == 0 || left > 0;
		    left >>= 7)
			length[n++] = (uint8_t)((left & 0x7f) |
			    (left > 0x7f ? 0x80 : 0));
		at -= n;
		memcpy(at, length, n);
		if (tag > 0x7f)
			*--at = 0x01;
		*--at = tag;
	}
	return look_as(d, at, (size_t)(end - at), GUARD_UNKNOWN);
}

Test(guard, depth)
{
	cr_expect_str_eq(nested(everything(), 0x8a, 64), "");
	cr_expect_str_eq(nested(everything(), 0x8a, 65),
	    "t.Everything field 17 (child): nested too deep");
	cr_expect_str_eq(nested(everything(), 0x8a, 70000),
	    "t.Everything field 17 (child): nested too deep");
}

/* Rules that hold themselves: not_rule in not_rule, not_id in not_id. */
Test(guard, depth_of_rules)
{
	const ProtobufCMessageDescriptor *permission =
	    &envoy__config__rbac__v3__permission__descriptor;
	const ProtobufCMessageDescriptor *principal =
	    &envoy__config__rbac__v3__principal__descriptor;

	cr_expect_str_eq(nested(permission, 0x42, 64), "");
	cr_expect_str_eq(nested(permission, 0x42, 65), "envoy.config.rbac.v3."
	    "Permission field 8 (not_rule): nested too deep");
	cr_expect_str_eq(nested(principal, 0x42, 70000), "envoy.config.rbac."
	    "v3.Principal field 8 (not_id): nested too deep");
}

/* Amplifiers: many empty messages, long packed lists. */
Test(guard, sizes)
{
	size_t n = (64 << 20) + 1, i;
	uint8_t *bytes = malloc(n);
	char why[256];

	cr_assert_not_null(bytes);
	for (i = 0; i + 3 <= n; i += 3)
		memcpy(bytes + i, "\x9a\x01\x00", 3);
	cr_expect_eq(guard_check(everything(), bytes, n, GUARD_UNKNOWN, why,
	    sizeof(why)), -1);
	cr_expect_str_eq(why, "t.Everything: longer than a message may be");
	cr_expect_eq(guard_check(everything(), bytes, 3 * (8 << 20),
	    GUARD_UNKNOWN, why, sizeof(why)), 0);
	cr_expect_eq(guard_check(everything(), bytes, 3 * (8 << 20) + 3,
	    GUARD_UNKNOWN, why, sizeof(why)), -1);
	cr_expect_str_eq(why, "t.Everything field 19 (children): more fields "
	    "than a message may have");
	memset(bytes, 1, n);
	memcpy(bytes, "\x92\x01\x80\x80\x80\x08", 6);
	cr_expect_eq(guard_check(everything(), bytes, 6 + (16 << 20),
	    GUARD_UNKNOWN, why, sizeof(why)), -1);
	cr_expect_str_eq(why, "t.Everything field 18 (many): more fields "
	    "than a message may have");
	free(bytes);
}

Test(guard, text)
{
	static const struct {
		const char	*text;
		size_t		 n;
		bool		 ok;
	} s[] = {
		{ B(""), true }, { B("abc\x7f\t\n"), true },
		{ B("\xc2\x80"), true }, { B("\xdf\xbf"), true },
		{ B("\xe0\xa0\x80"), true }, { B("\xed\x9f\xbf"), true },
		{ B("\xee\x80\x80"), true }, { B("\xef\xbf\xbf"), true },
		{ B("\xf0\x90\x80\x80"), true },
		{ B("\xf4\x8f\xbf\xbf"), true },
		{ B("a\0"), false }, { B("\0"), false },
		{ B("\x80"), false }, { B("\xbf"), false },
		{ B("\xc0\x80"), false }, { B("\xc1\xbf"), false },
		{ B("\xc2"), false }, { B("\xc2\x41"), false },
		{ B("\xc2\xc0"), false },
		{ B("\xe0\x9f\xbf"), false }, { B("\xe0\xa0"), false },
		{ B("\xed\xa0\x80"), false }, { B("\xed\xbf\xbf"), false },
		{ B("\xe1\x80\x41"), false },
		{ B("\xf0\x8f\xbf\xbf"), false },
		{ B("\xf4\x90\x80\x80"), false },
		{ B("\xf5\x80\x80\x80"), false }, { B("\xff"), false },
		{ B("\xf1\x80\x80"), false },
	};
	size_t i;

	for (i = 0; i < sizeof(s) / sizeof(s[0]); i++)
		cr_expect_eq(guard_text((const uint8_t *)s[i].text, s[i].n),
		    s[i].ok, "%zu", i);
}
