/*
 * t/unit/load.c - YAML to messages (xds/load.h).
 *
 * t/data/load/NAME.in.yaml (or .in.json) is read as a Bootstrap and gives
 * NAME.ok, the message as text, or NAME.err, the refusal, letter for letter.
 * With UPDATE=1 in the environment the file is written instead: look at the
 * difference before you keep it.
 */
#include "xds/load.h"

#include <criterion/criterion.h>
#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "t/lib/dump.h"
#include "t/lib/everything.h"
#include "xds/fields.h"
#include "xds/proto/envoy/config/bootstrap.pb-c.h"
#include "xds/proto/envoy/config/core.pb-c.h"
#include "xds/proto/google/protobuf/any.pb-c.h"
#include "xds/proto/google/protobuf/duration.pb-c.h"
#include "xds/proto/google/protobuf/wrappers.pb-c.h"

enum { BYTES_MAX = 16 << 20 };

/* The message as text, or the refusal; the caller frees. */
static char *
load_text(const char *bytes, size_t n, const char *file,
    const ProtobufCMessageDescriptor *d, bool *ok)
{
	struct load_arena *m = load_arena_new(BYTES_MAX);
	const ProtobufCMessage *message = NULL;
	char *text = NULL, why[1024] = "";
	size_t text_len = 0;
	FILE *f = open_memstream(&text, &text_len);
	struct yaml *y;

	y = yaml_read(bytes, n, file, why, sizeof(why));
	if (y != NULL)
		message = load_message(m, d, y, yaml_root(y), "", why,
		    sizeof(why));
	yaml_close(y);			/* I3: the message does not need it */
	if (message != NULL)
		dump_message(f, m, message);
	else
		fprintf(f, "%s\n", why);
	fclose(f);
	*ok = message != NULL;
	load_arena_free(m);
	return text;
}

/* ---- golden files */

static char *
read_file(const char *path, size_t *n)
{
	char *text = calloc(1, 1 << 20);
	FILE *f = fopen(path, "r");

	if (f == NULL) {
		free(text);
		return NULL;
	}
	*n = fread(text, 1, (1 << 20) - 1, f);
	fclose(f);
	return text;
}

static void
write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	cr_assert_not_null(f, "%s", path);
	fputs(text, f);
	fclose(f);
}

static void
check_golden(const char *path)
{
	const char *name = strrchr(path, '/') + 1;
	char want_path[512], *in, *got, *want;
	size_t n, want_n;
	bool ok;

	in = read_file(path, &n);
	cr_assert_not_null(in, "%s", path);
	got = load_text(in, n, name,
	    &envoy__config__bootstrap__v3__bootstrap__descriptor, &ok);
	snprintf(want_path, sizeof(want_path), "%.*s.%s",
	    (int)(strstr(path, ".in.") - path), path, ok ? "ok" : "err");
	if (getenv("UPDATE") != NULL)
		write_file(want_path, got);
	want = read_file(want_path, &want_n);
	cr_expect(want != NULL, "%s is missing; got:\n%s", want_path, got);
	if (want != NULL)
		cr_expect_str_eq(got, want, "%s:\n got: %s\nwant: %s", path,
		    got, want);
	free(in);
	free(got);
	free(want);
}

Test(load, golden)
{
	glob_t g;
	size_t i;

	cr_assert_eq(glob("t/data/load/*.in.*", 0, NULL, &g), 0,
	    "run this from the top of the tree");
	cr_expect_gt(g.gl_pathc, 30);
	for (i = 0; i < g.gl_pathc; i++)
		check_golden(g.gl_pathv[i]);
	globfree(&g);
}

/* ---- every type */

struct sample {
	const char	*text, *want;	/* want: message on one line, or why */
};

static void
check(const ProtobufCMessageDescriptor *d, const struct sample *s, size_t n)
{
	char *got, *at;
	size_t i;
	bool ok;

	for (i = 0; i < n; i++) {
		got = load_text(s[i].text, strlen(s[i].text), "f", d, &ok);
		for (at = got; (at = strchr(at, '\n')) != NULL; )
			*at = at[1] != '\0' ? ' ' : '\0';
		cr_expect_str_eq(got, s[i].want, "%s\n got: %s\nwant: %s",
		    s[i].text, got, s[i].want);
		free(got);
	}
}

#define CHECK(d, samples)						\
	check(d, samples, sizeof(samples) / sizeof(samples[0]))

Test(load, numbers)
{
	static const struct sample s[] = {
		{ "i32: -2147483648", "i32: -2147483648" },
		{ "i32: 2147483647", "i32: 2147483647" },
		{ "i32: \"5\"", "i32: 5" },
		{ "i32: 5.0", "i32: 5" },
		{ "i32: 1e3", "i32: 1000" },
		{ "i32: 1.5e1", "i32: 15" },
		{ "i32: 1200e-2", "i32: 12" },
		{ "i32: -0", "" },
		{ "i32: 0e999999999999", "" },
		{ "s32: -5", "s32: -5" },
		{ "f32: -5", "f32: -5" },
		{ "i64: -9223372036854775808", "i64: -9223372036854775808" },
		{ "s64: \"9223372036854775807\"", "s64: 9223372036854775807" },
		{ "f64: 9.223372036854775807e18", "f64: 9223372036854775807" },
		{ "u32: 4294967295", "u32: 4294967295" },
		{ "x32: 7", "x32: 7" },
		{ "u64: 18446744073709551615", "u64: 18446744073709551615" },
		{ "x64: \"18446744073709551615\"",
		  "x64: 18446744073709551615" },
		{ "i32: 2147483648", "f:1:6: i32: \"2147483648\" is out of "
		  "range; expected -2147483648 to 2147483647" },
		{ "i32: -2147483649", "f:1:6: i32: \"-2147483649\" is out of "
		  "range; expected -2147483648 to 2147483647" },
		{ "i32: 1.5", "f:1:6: i32: \"1.5\" is not a whole number; "
		  "expected -2147483648 to 2147483647" },
		{ "i32: 1e-1", "f:1:6: i32: \"1e-1\" is not a whole number; "
		  "expected -2147483648 to 2147483647" },
		{ "i32: 1e99", "f:1:6: i32: \"1e99\" is out of range; "
		  "expected -2147483648 to 2147483647" },
		{ "i32: banana", "f:1:6: i32: \"banana\" is not a number; "
		  "expected -2147483648 to 2147483647" },
		{ "i32: 0x10", "f:1:6: i32: \"0x10\" is not a number; "
		  "expected -2147483648 to 2147483647" },
		{ "i32: 010", "f:1:6: i32: \"010\" is not a number; "
		  "expected -2147483648 to 2147483647" },
		{ "i32: +1", "f:1:6: i32: \"+1\" is not a number; "
		  "expected -2147483648 to 2147483647" },
		{ "i32: \" 1\"", "f:1:6: i32: \" 1\" is not a number; "
		  "expected -2147483648 to 2147483647" },
		{ "i32: true", "f:1:6: i32: \"true\" is not a number; "
		  "expected -2147483648 to 2147483647" },
		{ "i32: [1]", "f:1:6: i32: a list is not a number; "
		  "expected -2147483648 to 2147483647" },
		{ "i64: 9223372036854775808", "f:1:6: i64: "
		  "\"9223372036854775808\" is out of range; expected "
		  "-9223372036854775808 to 9223372036854775807" },
		{ "u32: -1", "f:1:6: u32: \"-1\" is out of range; expected 0 "
		  "to 4294967295" },
		{ "u32: 4294967296", "f:1:6: u32: \"4294967296\" is out of "
		  "range; expected 0 to 4294967295" },
		{ "u64: 18446744073709551616", "f:1:6: u64: "
		  "\"18446744073709551616\" is out of range; expected 0 to "
		  "18446744073709551615" },
	};

	CHECK(everything(), s);
}

Test(load, reals)
{
	static const struct sample s[] = {
		{ "real64: 0.1", "real64: 0.10000000000000001" },
		{ "real64: -1e300", "real64: -1.0000000000000001e+300" },
		{ "real64: \"1.5\"", "real64: 1.5" },
		{ "real64: NaN", "real64: nan" },
		{ "real64: \"Infinity\"", "real64: inf" },
		{ "real32: -Infinity", "real32: -inf" },
		{ "real32: 0.1", "real32: 0.100000001" },
		{ "real32: 3.4e38", "real32: 3.39999995e+38" },
		{ "real32: 1e39", "f:1:9: real32: \"1e39\" is out of range; "
		  "expected -3.40282e+38 to 3.40282e+38" },
		{ "real64: 1e309", "f:1:9: real64: \"1e309\" is out of range; "
		  "expected -1.79769e+308 to 1.79769e+308" },
		{ "real64: .inf", "f:1:9: real64: \".inf\" is not a number; "
		  "expected one, or NaN, Infinity, -Infinity" },
		{ "real64: 1.", "f:1:9: real64: \"1.\" is not a number; "
		  "expected one, or NaN, Infinity, -Infinity" },
		{ "real64: {}", "f:1:9: real64: a mapping is not a number; "
		  "expected one, or NaN, Infinity, -Infinity" },
	};

	CHECK(everything(), s);
}

Test(load, bools_and_strings)
{
	static const struct sample s[] = {
		{ "flag: true", "flag: true" },
		{ "flag: false", "" },
		{ "flag: null", "" },
		{ "flag: yes", "f:1:7: flag: \"yes\" is not true or false" },
		{ "flag: True", "f:1:7: flag: \"True\" is not true or false" },
		{ "flag: 1", "f:1:7: flag: \"1\" is not true or false" },
		{ "flag: \"true\"", "f:1:7: flag: \"true\" is a string; "
		  "expected true or false without quotes" },
		{ "text: abc", "text: \"abc\"" },
		{ "text: on", "text: \"on\"" },
		{ "text: 1.2.3.4", "text: \"1.2.3.4\"" },
		{ "text: 0x10", "text: \"0x10\"" },
		{ "text: \"5\"", "text: \"5\"" },
		{ "text: 'true'", "text: \"true\"" },
		{ "text: |\n  5\n", "text: \"5\\x0a\"" },
		{ "text: ä", "text: \"\\xc3\\xa4\"" },
		{ "text: \"\"", "" },
		{ "text: 5", "f:1:7: text: \"5\" is not a string; put it in "
		  "quotes" },
		{ "text: -1.5e3", "f:1:7: text: \"-1.5e3\" is not a string; "
		  "put it in quotes" },
		{ "text: true", "f:1:7: text: \"true\" is not a string; put "
		  "it in quotes" },
		{ "text: [a]", "f:1:7: text: a list is not a string" },
		{ "text: \"a\\0b\"", "f:1:7: text: a text that has a NUL "
		  "character or is not UTF-8" },
		{ "words: [a, \"b\"]", "words: \"a\" words: \"b\"" },
		{ "words: [a, 1]", "f:1:12: words[1]: \"1\" is not a string; "
		  "put it in quotes" },
	};

	CHECK(everything(), s);
}

Test(load, bytes)
{
	static const struct sample s[] = {
		{ "raw: aGVsbG8=", "raw: \"hello\"" },
		{ "raw: aGVsbG8", "raw: \"hello\"" },
		{ "raw: aGVsbG8h", "raw: \"hello!\"" },
		{ "raw: \"++//\"", "raw: \"\\xfb\\xef\\xff\"" },
		{ "raw: \"--__\"", "raw: \"\\xfb\\xef\\xff\"" },
		{ "raw: \"AA==\"", "raw: \"\\x00\"" },
		{ "raw: \"\"", "" },
		{ "raw: a", "f:1:6: raw: not base64 (its length)" },
		{ "raw: aGVsbG8==", "f:1:6: raw: not base64 "
		  "(its length)" },
		{ "raw: aGV*", "f:1:6: raw: not base64 (its "
		  "character 4)" },
		{ "raw: a===", "f:1:6: raw: not base64 (its "
		  "character 2)" },
		{ "raw: 1234", "f:1:6: raw: \"1234\" is not a string; put it "
		  "in quotes" },
		{ "raw: {a: b}", "f:1:6: raw: a mapping is not a string" },
	};

	CHECK(everything(), s);
}

Test(load, enums)
{
	static const struct sample s[] = {
		{ "colour: RED", "colour: RED" },
		{ "colour: \"GREEN\"", "colour: GREEN" },
		{ "colour: 2", "colour: GREEN" },
		{ "colour: -1", "colour: DARK" },
		{ "colour: NONE", "" },
		{ "colours: [RED, 0]", "colours: RED colours: NONE" },
		{ "colour: GREAN", "f:1:9: colour: \"GREAN\" is not a Colour; "
		  "did you mean GREEN? expected one of DARK, NONE, RED, GREEN" },
		{ "colour: 3", "f:1:9: colour: \"3\" is not a Colour; "
		  "expected one of DARK, NONE, RED, GREEN" },
		{ "colour: 4294967296", "f:1:9: colour: \"4294967296\" is not "
		  "a Colour; expected one of DARK, NONE, RED, GREEN" },
		{ "colour: [RED]", "f:1:9: colour: a list is not a Colour; "
		  "expected one of DARK, NONE, RED, GREEN" },
	};

	CHECK(everything(), s);
}

Test(load, structure)
{
	static const struct sample s[] = {
		{ "", "" },
		{ "{}", "" },
		{ "child: {}", "child: { }" },
		{ "child: {i32: 1}", "child: {   i32: 1 }" },
		{ "children: [{i32: 1}, {}]",
		  "children: {   i32: 1 } children: { }" },
		{ "many: [1, \"-2\"]", "many: 1 many: -2" },
		{ "many: []", "" },
		{ "flags: [true, false]", "flags: true flags: false" },
		{ "fixed: [1]", "fixed: 1" },
		{ "names: {5: a, \"-6\": b}", "names: {   key: 5   value: "
		  "\"a\" } names: {   key: -6   value: \"b\" }" },
		{ "by_bool: {true: {i32: 1}, \"false\": {}}", "by_bool: {   "
		  "key: true   value: {     i32: 1   } } by_bool: {   value: "
		  "{   } }" },
		{ "byBool: {true: {}}", "by_bool: {   key: true   value: {   "
		  "} }" },
		{ "text_one: \"\"", "text_one: \"\"" },
		{ "bool_one: false", "bool_one: false" },
		{ "textOne: a\nbool_one: null", "text_one: \"a\"" },
		{ "[]", "f:1:1: a list is not a mapping (t.Everything)" },
		{ "5", "f:1:1: \"5\" is not a mapping (t.Everything)" },
		{ "child: 5", "f:1:8: child: \"5\" is not a mapping "
		  "(t.Everything)" },
		{ "children: {}", "f:1:11: children: a mapping is not a list" },
		{ "children: [null]", "f:1:12: children[0]: null is not an "
		  "item of a list" },
		{ "many: 1", "f:1:7: many: \"1\" is not a list" },
		{ "names: [a]", "f:1:8: names: a list is not a mapping" },
		{ "names: {a: b}", "f:1:9: names[\"a\"]: \"a\" is not a "
		  "number; expected -2147483648 to 2147483647" },
		{ "names: {1: null}", "f:1:12: names[\"1\"]: null is not a "
		  "value of a map" },
		{ "by_bool: {yes: {}}", "f:1:11: by_bool[\"yes\"]: \"yes\" is "
		  "not true or false" },
		{ "by_bool: {true: {child: {i3: 1}}}", "f:1:26: by_bool"
		  "[\"true\"].child.i3: unknown field; did you mean i32? "
		  "expected one of i32, s32, f32, i64, s64, f64, u32, x32, "
		  "u64, x64, real32, real64, flag, text, raw, colour, child, "
		  "many, children, colours, words, names, by_bool, text_one, "
		  "child_one, bool_one, flags, fixed" },
		{ "text_one: a\nchild_one: {}", "f:2:1: child_one: only one "
		  "of \"text_one\" and \"child_one\" can be set" },
		{ "by_bool: {}\nbyBool: {}", "f:2:1: by_bool: given twice, in "
		  "snake_case and in camelCase" },
		{ "by_bool: null\nbyBool: {}", "f:2:1: by_bool: given twice, "
		  "in snake_case and in camelCase" },
	};

	CHECK(everything(), s);
}

Test(load, durations)
{
	static const struct sample s[] = {
		{ "1s", "seconds: 1" },
		{ "\"1.5s\"", "seconds: 1 nanos: 500000000" },
		{ "-1.000000001s", "seconds: -1 nanos: -1" },
		{ "-0.5s", "nanos: -500000000" },
		{ "0s", "" },
		{ "315576000000s", "seconds: 315576000000" },
		{ "315576000001s", "f:1:1: \"315576000001s\" is out of range; "
		  "expected -315576000000s to 315576000000s" },
		{ "99999999999999999999s", "f:1:1: \"99999999999999999999s\" "
		  "is out of range; expected -315576000000s to 315576000000s" },
		{ "-99999999999999999999s", "f:1:1: \"-99999999999999999999s\" "
		  "is out of range; expected -315576000000s to 315576000000s" },
		{ "1", "f:1:1: \"1\" is not a duration; expected seconds like "
		  "\"1.5s\"" },
		{ "1.0000000001s", "f:1:1: \"1.0000000001s\" is not a "
		  "duration; expected seconds like \"1.5s\"" },
		{ "1.s", "f:1:1: \"1.s\" is not a duration; expected seconds "
		  "like \"1.5s\"" },
		{ ".5s", "f:1:1: \".5s\" is not a duration; expected seconds "
		  "like \"1.5s\"" },
		{ "1m", "f:1:1: \"1m\" is not a duration; expected seconds "
		  "like \"1.5s\"" },
		{ "--1s", "f:1:1: \"--1s\" is not a duration; expected seconds "
		  "like \"1.5s\"" },
		{ "#\n{seconds: 1}", "f:2:1: a mapping is not a duration; "
		  "expected seconds like \"1.5s\"" },
	};

	CHECK(&google__protobuf__duration__descriptor, s);
}

Test(load, wrappers)
{
	static const struct sample number[] = {
		{ "5", "value: 5" },
		{ "#\n{value: 5}", "f:2:1: a mapping is not a number; expected 0 "
		  "to 4294967295" },
	}, text[] = {
		{ "abc", "value: \"abc\"" },
	}, real[] = {
		{ "1e2", "value: 100" },
	}, flag[] = {
		{ "true", "value: true" },
	}, raw[] = {
		{ "aGk=", "value: \"hi\"" },
	};

	CHECK(&google__protobuf__uint32_value__descriptor, number);
	CHECK(&google__protobuf__string_value__descriptor, text);
	CHECK(&google__protobuf__double_value__descriptor, real);
	CHECK(&google__protobuf__bool_value__descriptor, flag);
	CHECK(&google__protobuf__bytes_value__descriptor, raw);
}

#define URL	"'@type': type.googleapis.com/"

Test(load, any)
{
	static const struct sample s[] = {
		{ "#\n{" URL "envoy.config.core.v3.Nothing}", "f:2:11: @type: "
		  "\"type.googleapis.com/envoy.config.core.v3.Nothing\" is "
		  "not a type known here" },
		{ "#\n{" URL "envoy.config.cluster.v3.Clustre}", "f:2:11: @type: "
		  "\"type.googleapis.com/envoy.config.cluster.v3.Clustre\" is "
		  "not a type known here; did you mean "
		  "\"type.googleapis.com/envoy.config.cluster.v3.Cluster\"?" },
		{ "#\n{" URL "xds.type.v3.TypedStruct, value: {}}", "f:2:11: "
		  "@type: xds.type.v3.TypedStruct is not supported yet; name "
		  "the type itself in \"@type\"" },
		{ "#\n{'@type': envoy.config.cluster.v3.Cluster}", "f:2:11: "
		  "@type: \"envoy.config.cluster.v3.Cluster\" is not a type "
		  "URL; expected \"type.googleapis.com/NAME\"" },
		{ "#\n{'@type': [a]}", "f:2:11: @type: a list is not a string" },
		{ "#\n{name: a}", "f:2:1: no \"@type\"" },
		{ "a", "f:1:1: \"a\" is not a mapping with \"@type\"" },
		{ "#\n{" URL "google.protobuf.Duration, value: 1.5s}",
		  "type_url: \"type.googleapis.com/google.protobuf.Duration\" "
		  "value: \"\\x08\\x01\\x10\\x80\\xca\\xb5\\xee\\x01\"" },
		{ "#\n{value: {" URL "google.protobuf.UInt32Value, value: 5}, "
		  URL "google.protobuf.Any}", "type_url: "
		  "\"type.googleapis.com/google.protobuf.Any\" value: "
		  "\"\\x0a/type.googleapis.com/google.protobuf.UInt32Value"
		  "\\x12\\x02\\x08\\x05\"" },
		{ "#\n{" URL "google.protobuf.Duration, value: 5}", "f:2:64: "
		  "value: \"5\" is not a duration; expected seconds like "
		  "\"1.5s\"" },
		{ "#\n{" URL "google.protobuf.Duration}", "f:2:1: no \"value\" "
		  "beside \"@type\"" },
		{ "#\n{" URL "google.protobuf.Duration, seconds: 5}", "f:2:57: "
		  "seconds: unknown field; expected \"value\" beside \"@type\"" },
		{ "#\n{" URL "envoy.config.cluster.v3.Cluster, name: c}",
		  "type_url: \"type.googleapis.com/"
		  "envoy.config.cluster.v3.Cluster\" value: \"\\x0a\\x01c\"" },
		{ "#\n{" URL "envoy.config.cluster.v3.Cluster, nam: c}",
		  "f:2:64: nam: unknown field; did you mean name? expected "
		  "one of name, type, eds_cluster_config, connect_timeout, "
		  "per_connection_buffer_limit_bytes, lb_policy, "
		  "circuit_breakers, "
		  "http_protocol_options, http2_protocol_options, "
		  "dns_refresh_rate, dns_lookup_family, transport_socket, "
		  "metadata, common_lb_config, alt_stat_..." },
	};

	CHECK(&google__protobuf__any__descriptor, s);
}

/* By hand from google/protobuf/struct.proto. */
Test(load, structs)
{
	static const struct sample s[] = {
		{ "metadata: {a: b}", "metadata: \"\\x0a\\x08\\x0a\\x01a\\x12"
		  "\\x03\\x1a\\x01b\"" },
		{ "metadata: {a: 1.5, b: true, c: null}", "metadata: \"\\x0a"
		  "\\x0e\\x0a\\x01a\\x12\\x09\\x11\\x00\\x00\\x00\\x00\\x00"
		  "\\x00\\xf8?\\x0a\\x07\\x0a\\x01b\\x12\\x02 \\x01\\x0a\\x07"
		  "\\x0a\\x01c\\x12\\x02\\x08\\x00\"" },
		{ "metadata: {a: {b: [\"1\"]}}", "metadata: \"\\x0a\\x15\\x0a"
		  "\\x01a\\x12\\x10*\\x0e\\x0a\\x0c\\x0a\\x01b\\x12\\x072\\x05"
		  "\\x0a\\x03\\x1a\\x011\"" },
		{ "metadata: {}", "" },
		{ "metadata: [a]", "f:1:11: metadata: a list is not a "
		  "mapping" },
		{ "metadata: {a: [{b: \"\\0\"}]}", "f:1:20: metadata[\"a\"][0]"
		  "[\"b\"]: a text that has a NUL character or is not UTF-8" },
	};

	CHECK(&envoy__config__core__v3__node__descriptor, s);
}

Test(load, struct_depth)
{
	char text[256] = "metadata: {a: ", *got;
	bool ok;

	memset(text + 14, '[', 29);
	memset(text + 43, ']', 29);
	strcpy(text + 72, "}");
	got = load_text(text, strlen(text), "f",
	    &envoy__config__core__v3__node__descriptor, &ok);
	cr_expect(ok, "%s", got);
	free(got);
	memset(text + 14, '[', 30);
	memset(text + 44, ']', 30);
	strcpy(text + 74, "}");
	got = load_text(text, strlen(text), "f",
	    &envoy__config__core__v3__node__descriptor, &ok);
	cr_expect(!ok);
	cr_expect(strstr(got, "nested deeper than 30 levels"), "%s", got);
	free(got);
}

/* ---- memory, and bytes from the wire */

Test(load, arena)
{
	struct load_arena *m = load_arena_new(200000);
	uint8_t *a = load_alloc(m, 100), *b = load_alloc(m, 100000);
	size_t i;

	cr_assert_not_null(a);
	cr_assert_not_null(b);
	cr_expect_eq((uintptr_t)a % 16, 0);
	cr_expect_eq((uintptr_t)b % 16, 0);
	for (i = 0; i < 100000; i++)
		cr_assert_eq(b[i], 0);
	cr_expect_not_null(load_alloc(m, 0));
	cr_expect_null(load_alloc(m, 100000));
	cr_expect_null(load_alloc(m, SIZE_MAX));
	cr_expect_not_null(load_alloc(m, 90000));
	load_arena_free(m);
	load_arena_free(NULL);
}

Test(load, over_the_cap)
{
	static const char text[] = "child: {child: {child: {}}}";
	struct load_arena *m = load_arena_new(900);
	char why[256];
	struct yaml *y;

	y = yaml_read(text, strlen(text), "f", why, sizeof(why));
	cr_expect_null(load_message(m, everything(), y, yaml_root(y), "x", why,
	    sizeof(why)));
	cr_expect_str_eq(why, "f:1:16: x.child.child: more memory than these "
	    "messages may take");
	yaml_close(y);
	load_arena_free(m);
}

Test(load, from_any)
{
	static const struct {
		const char	*type, *bytes;
		size_t		 n;
		const char	*want;
	} s[] = {
		{ "type.googleapis.com/google.protobuf.UInt32Value",
		  "\x08\x05", 2, "" },
		{ "google.protobuf.UInt32Value", "", 0, "" },
		{ "google.protobuf.UInt32Value", "\x08", 1,
		  "google.protobuf.UInt32Value field 1 (value): ends within "
		  "a number" },
		{ "google.protobuf.UInt32Value", "\x10\x05", 2,
		  "google.protobuf.UInt32Value field 2: unknown field" },
		{ "x/envoy.config.cluster.v3.Cluster", "\x9a\x01\x00", 3,
		  "envoy.config.cluster.v3.Cluster field 19: "
		  "outlier_detection: not built yet: ejecting endpoints that "
		  "fail" },
		{ "x/envoy.config.cluster.v3.Cluster", "\xda\x03\x00", 3,
		  "envoy.config.cluster.v3.Cluster field 59: "
		  "transport_socket_matcher: can't be ignored and is not "
		  "supported: transport sockets by request" },
		{ "x/envoy.config.cluster.v3.Cluster", "\xea\x03\x00", 3,
		  "" },
		{ "x/nothing", "", 0, "\"x/nothing\" is not a type known "
		  "here" },
	};
	struct load_arena *m = load_arena_new(BYTES_MAX);
	const ProtobufCMessage *got;
	char why[512];
	size_t i;

	for (i = 0; i < sizeof(s) / sizeof(s[0]); i++) {
		why[0] = '\0';
		got = load_any(m, s[i].type, (const uint8_t *)s[i].bytes,
		    s[i].n, why, sizeof(why));
		cr_expect_eq(got != NULL, s[i].want[0] == '\0', "%s", why);
		cr_expect_str_eq(why, s[i].want);
	}
	load_arena_free(m);
}

/* ---- the tables */

static const ProtobufCMessageDescriptor *seen[512];
static size_t seen_n;

static void
gather(const ProtobufCMessageDescriptor *d)
{
	size_t i;

	for (i = 0; i < seen_n; i++)
		if (seen[i] == d)
			return;
	cr_assert_lt(seen_n, 512);
	seen[seen_n++] = d;
	for (i = 0; i < d->n_fields; i++)
		if (d->fields[i].type == PROTOBUF_C_TYPE_MESSAGE)
			gather(d->fields[i].descriptor);
}

/* Every message that a row of types.def reaches. */
static void
gather_all(void)
{
	static const char *const names[] = {
#define TYPE(package, message) #package "." #message,
#define WRAPPER(package, message) TYPE(package, message)
#define STRUCT(message, field)
#define REDACT(message, field)
#include "xds/types.def"
#undef TYPE
#undef WRAPPER
#undef STRUCT
#undef REDACT
	};
#define TYPE(package, message)						\
	extern const ProtobufCMessageDescriptor				\
	    package##__##message##__descriptor;
#define WRAPPER(package, message) TYPE(package, message)
#define STRUCT(message, field)
#define REDACT(message, field)
#include "xds/types.def"
#undef TYPE
#define TYPE(package, message) &package##__##message##__descriptor,
	static const ProtobufCMessageDescriptor *const types[] = {
#include "xds/types.def"
	};
#undef TYPE
#undef WRAPPER
#undef STRUCT
#undef REDACT
	size_t i;

	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		cr_expect_eq(load_type_find(types[i]->name), types[i], "%s",
		    names[i]);
		gather(types[i]);
	}
}

static const ProtobufCMessageDescriptor *
seen_find(const char *name)
{
	size_t i;

	for (i = 0; i < seen_n; i++)
		if (strcmp(seen[i]->name, name) == 0)
			return seen[i];
	return NULL;
}

/* A row says what to do about a field that xds/proto lacks; when the field
 * comes, the row must go. */
Test(load, fields_table)
{
	const ProtobufCMessageDescriptor *d = NULL;
	const ProtobufCFieldDescriptor *f;
	const struct field_row *row;
	const char *message = "";
	uint32_t last = 0;
	size_t i;

	gather_all();
	for (i = 0; (row = field_row_at(i)) != NULL; i++) {
		if (row->message != NULL) {
			cr_expect_lt(strcmp(message, row->message), 0,
			    "%s: not in order", row->message);
			message = row->message;
			d = seen_find(message);
			cr_expect(d != NULL, "%s: not in xds/proto", message);
			last = 0;
			continue;
		}
		cr_expect(last < row->number || row->number == 0,
		    "%s.%s: not in order", message, row->name);
		last = row->number;
		cr_expect_neq(row->why[0], '\0');
		if (d == NULL)
			continue;
		f = protobuf_c_message_descriptor_get_field(d, row->number);
		if (f == NULL)
			f = protobuf_c_message_descriptor_get_field_by_name(d,
			    row->name);
		cr_expect(f == NULL, "%s.%s: is in xds/proto now; the row "
		    "must go", message, row->name);
	}
	cr_expect_gt(i, 200);
}

Test(load, struct_table)
{
	static const struct {
		const char	*message, *field;
	} rows[] = {
#define TYPE(package, message)
#define WRAPPER(package, message)
#define STRUCT(message, field) { message, field },
#define REDACT(message, field)
#include "xds/types.def"
	};
	const ProtobufCMessageDescriptor *d;
	const ProtobufCFieldDescriptor *f;
	size_t i;

	gather_all();
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		d = seen_find(rows[i].message);
		cr_assert_not_null(d, "%s", rows[i].message);
		f = protobuf_c_message_descriptor_get_field_by_name(d,
		    rows[i].field);
		cr_assert_not_null(f, "%s.%s", rows[i].message, rows[i].field);
		cr_expect_eq(f->type, PROTOBUF_C_TYPE_BYTES);
	}
}
