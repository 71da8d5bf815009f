/*
 * t/unit/print.c - messages to JSON (xds/print.h): each kind of value by a
 * table, and, of every file that the loader takes, that what is printed loads
 * as the same bytes.
 */
#include "xds/print.h"

#include <criterion/criterion.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "t/lib/everything.h"
#include "xds/load.h"
#include "xds/proto/envoy/config/bootstrap.pb-c.h"
#include "xds/proto/envoy/config/core.pb-c.h"
#include "xds/proto/envoy/extensions/tls.pb-c.h"
#include "xds/proto/google/protobuf/any.pb-c.h"
#include "xds/proto/google/protobuf/duration.pb-c.h"
#include "xds/proto/google/protobuf/wrappers.pb-c.h"

enum { BYTES_MAX = 16 << 20 };

static const ProtobufCMessage *
load(struct load_arena *m, const ProtobufCMessageDescriptor *d,
    const char *text, size_t n, const char *file)
{
	const ProtobufCMessage *message = NULL;
	char why[1024];
	struct yaml *y = yaml_read(text, n, file, why, sizeof(why));

	if (y != NULL)
		message = load_message(m, d, y, yaml_root(y), "", why,
		    sizeof(why));
	yaml_close(y);
	cr_expect(message != NULL, "%s\n%s", why, text);
	return message;
}

/* The caller frees. */
static char *
print(struct load_arena *m, const ProtobufCMessage *message, bool whole)
{
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);
	struct print p;

	print_begin(&p, f, m);
	p.whole = whole;
	print_message(&p, NULL, message, NULL);
	fclose(f);
	return text;
}

/* ---- every type */

struct sample {
	const char	*in, *want;	/* want: its lines joined by a blank */
};

static void
check(const ProtobufCMessageDescriptor *d, const struct sample *s, size_t n)
{
	struct load_arena *m = load_arena_new(BYTES_MAX);
	char *got, *to;

	for (size_t i = 0; i < n; i++) {
		got = print(m, load(m, d, s[i].in, strlen(s[i].in), "f"),
		    false);
		to = got;
		for (const char *at = got; *at != '\0'; at++) {
			if (*at != '\n')
				*to++ = *at;
			else if (at[1] != '\0')
				at += strspn(at, "\n ") - 1, *to++ = ' ';
		}
		*to = '\0';
		cr_expect_str_eq(got, s[i].want, "%s\n got: %s\nwant: %s",
		    s[i].in, got, s[i].want);
		free(got);
	}
	load_arena_free(m);
}

#define CHECK(d, samples)						\
	check(d, samples, sizeof(samples) / sizeof(samples[0]))

Test(print, scalars)
{
	static const struct sample s[] = {
		{ "{}", "{}" },
		{ "i32: -5", "{ \"i32\": -5 }" },
		{ "s32: -2147483648", "{ \"s32\": -2147483648 }" },
		{ "f32: 7", "{ \"f32\": 7 }" },
		{ "i64: -9223372036854775808",
		  "{ \"i64\": \"-9223372036854775808\" }" },
		{ "s64: 1", "{ \"s64\": \"1\" }" },
		{ "f64: 2", "{ \"f64\": \"2\" }" },
		{ "u32: 4294967295", "{ \"u32\": 4294967295 }" },
		{ "x32: 7", "{ \"x32\": 7 }" },
		{ "u64: 18446744073709551615",
		  "{ \"u64\": \"18446744073709551615\" }" },
		{ "x64: 3", "{ \"x64\": \"3\" }" },
		{ "real32: 0.1", "{ \"real32\": 0.1 }" },
		{ "real32: 16777217", "{ \"real32\": 16777216 }" },
		{ "real64: 0.1", "{ \"real64\": 0.1 }" },
		{ "real64: 0.30000000000000004",
		  "{ \"real64\": 0.30000000000000004 }" },
		{ "real64: NaN", "{ \"real64\": \"NaN\" }" },
		{ "real64: -Infinity", "{ \"real64\": \"-Infinity\" }" },
		{ "flag: true", "{ \"flag\": true }" },
		{ "flag: false", "{}" },
		{ "text: \"a\\\"b\\\\c\\n\\x01ä\\x7f\"",
		  "{ \"text\": \"a\\\"b\\\\c\\n\\u0001ä\\u007f\" }" },
		{ "raw: aGVsbG8", "{ \"raw\": \"aGVsbG8=\" }" },
		{ "raw: aGVsbG8h", "{ \"raw\": \"aGVsbG8h\" }" },
		{ "raw: AA==", "{ \"raw\": \"AA==\" }" },
		{ "colour: GREEN", "{ \"colour\": \"GREEN\" }" },
		{ "colour: -1", "{ \"colour\": \"DARK\" }" },
	};

	CHECK(everything(), s);
}

Test(print, structure)
{
	static const struct sample s[] = {
		{ "child: {}", "{ \"child\": {} }" },
		{ "child: {child: {i32: 1}, u32: 2}",
		  "{ \"child\": { \"u32\": 2, \"child\": { \"i32\": 1 } } }" },
		{ "children: [{i32: 1}, {}]",
		  "{ \"children\": [ { \"i32\": 1 }, {} ] }" },
		{ "many: [1, -2]", "{ \"many\": [ \"1\", \"-2\" ] }" },
		{ "flags: [true, false]", "{ \"flags\": [ true, false ] }" },
		{ "colours: [RED, NONE]",
		  "{ \"colours\": [ \"RED\", \"NONE\" ] }" },
		{ "words: [\"\", a]", "{ \"words\": [ \"\", \"a\" ] }" },
		{ "names: {5: a, \"-6\": \"\"}",
		  "{ \"names\": { \"5\": \"a\", \"-6\": \"\" } }" },
		{ "by_bool: {true: {i32: 1}, false: {}}",
		  "{ \"by_bool\": { \"true\": { \"i32\": 1 }, \"false\": {} } }" },
		{ "text_one: \"\"", "{ \"text_one\": \"\" }" },
		{ "bool_one: false", "{ \"bool_one\": false }" },
		{ "child_one: {}", "{ \"child_one\": {} }" },
	};

	CHECK(everything(), s);
}

Test(print, durations)
{
	static const struct sample s[] = {
		{ "0s", "\"0s\"" },
		{ "1s", "\"1s\"" },
		{ "1.5s", "\"1.500s\"" },
		{ "0.000001s", "\"0.000001s\"" },
		{ "-1.000000001s", "\"-1.000000001s\"" },
		{ "-0.5s", "\"-0.500s\"" },
		{ "-315576000000s", "\"-315576000000s\"" },
	};

	CHECK(&google__protobuf__duration__descriptor, s);
}

Test(print, wrappers)
{
	static const struct sample number[] = { { "0", "0" }, { "5", "5" } },
	    wide[] = { { "5", "\"5\"" } }, text[] = { { "''", "\"\"" } },
	    flag[] = { { "false", "false" }, { "true", "true" } };

	CHECK(&google__protobuf__uint32_value__descriptor, number);
	CHECK(&google__protobuf__uint64_value__descriptor, wide);
	CHECK(&google__protobuf__string_value__descriptor, text);
	CHECK(&google__protobuf__bool_value__descriptor, flag);
}

#define URL	"type.googleapis.com/"

Test(print, any)
{
	static const struct sample s[] = {
		{ "#\n{'@type': " URL "envoy.config.cluster.v3.Cluster, name: c}",
		  "{ \"@type\": \"" URL "envoy.config.cluster.v3.Cluster\", "
		  "\"name\": \"c\" }" },
		{ "#\n{'@type': " URL "google.protobuf.Duration, value: 1.5s}",
		  "{ \"@type\": \"" URL "google.protobuf.Duration\", "
		  "\"value\": \"1.500s\" }" },
		{ "#\n{'@type': " URL "google.protobuf.Any, value: {'@type': " URL
		  "google.protobuf.UInt32Value, value: 5}}",
		  "{ \"@type\": \"" URL "google.protobuf.Any\", \"value\": { "
		  "\"@type\": \"" URL "google.protobuf.UInt32Value\", "
		  "\"value\": 5 } }" },
	};

	CHECK(&google__protobuf__any__descriptor, s);
}

Test(print, structs)
{
	static const struct sample s[] = {
		{ "metadata: {a: 1.5, b: true, c: null, d: [x, [], {}, {e: f}]}",
		  "{ \"metadata\": { \"a\": 1.5, \"b\": true, \"c\": null, "
		  "\"d\": [ \"x\", [], {}, { \"e\": \"f\" } ] } }" },
		{ "metadata: {\"\\\"\": \"\"}",
		  "{ \"metadata\": { \"\\\"\": \"\" } }" },
	};

	CHECK(&envoy__config__core__v3__node__descriptor, s);
}

/* What calls itself a Struct and is none is shown as its bytes. */
Test(print, broken_structs)
{
	static const struct {
		const char	*what, *bytes;
		size_t		 n;
		const char	*want;
	} s[] = {
		{ "ends early", "\x0a\x05\x0a", 3, "\"CgUK\"" },
		{ "another field", "\x12\x00", 2, "\"EgA=\"" },
		{ "no Value", "\x0a\x05\x0a\x01""a\x12\x07", 7,
		  "\"CgUKAWESBw==\"" },
		{ "an empty Value", "\x0a\x05\x0a\x01""a\x12\x00", 7,
		  "{ \"a\": null }" },
		{ "two kinds", "\x0a\x09\x0a\x01""a\x12\x04\x20\x01\x20\x01",
		  11, "\"CgkKAWESBCABIAE=\"" },
		{ "no UTF-8", "\x0a\x08\x0a\x01""a\x12\x03\x1a\x01\xff", 10,
		  "\"CggKAWESAxoB/w==\"" },
	};
	struct load_arena *m = load_arena_new(BYTES_MAX);
	Envoy__Config__Core__V3__Node node;
	char want[256], *got;

	for (size_t i = 0; i < sizeof(s) / sizeof(s[0]); i++) {
		envoy__config__core__v3__node__init(&node);
		node.metadata = (ProtobufCBinaryData){ .len = s[i].n,
		    .data = (uint8_t *)(uintptr_t)s[i].bytes };
		got = print(m, &node.base, false);
		for (char *at = got; (at = strchr(at, '\n')) != NULL; )
			memmove(at, at + strspn(at, "\n "),
			    strlen(at + strspn(at, "\n ")) + 1);
		snprintf(want, sizeof(want), "{\"metadata\": %s}",
		    i == 3 ? "{\"a\": null}" : s[i].want);
		cr_expect_str_eq(got, want, "%s", s[i].what);
		free(got);
	}
	load_arena_free(m);
}

/* ---- private keys */

Test(print, keys_are_not_shown)
{
	static const struct sample s[] = {
		{ "name: a\ntls_certificate: {certificate_chain: {inline_string:"
		  " chain}, private_key: {inline_string: hidden}}",
		  "{ \"name\": \"a\", \"tls_certificate\": { "
		  "\"certificate_chain\": { \"inline_string\": \"chain\" }, "
		  "\"private_key\": { \"inline_string\": \"[redacted]\" } } }" },
		{ "tls_certificate: {private_key: {inline_bytes: aGVsbG8=}}",
		  "{ \"tls_certificate\": { \"private_key\": { "
		  "\"inline_bytes\": \"W3JlZGFjdGVkXQ==\" } } }" },
		{ "tls_certificate: {private_key: {filename: /a.key}}",
		  "{ \"tls_certificate\": { \"private_key\": { \"filename\": "
		  "\"/a.key\" } } }" },
	};

	CHECK(&envoy__extensions__transport_sockets__tls__v3__secret__descriptor,
	    s);
}

/* ---- bytes */

Test(print, bytes)
{
	static const struct {
		const char	*url, *bytes;
		size_t		 n;
		const char	*want;
	} s[] = {
		{ "envoy.config.cluster.v3.Cluster", "\x0a\x01""a", 3,
		  "{\n \"@type\": \"" URL "envoy.config.cluster.v3.Cluster\",\n"
		  " \"name\": \"a\"\n}\n" },
		/* A field that the subset lacks has no name. */
		{ URL "envoy.config.cluster.v3.Cluster",
		  "\x0a\x01""a\x9a\x01\x00", 6,
		  "{\n \"@type\": \"" URL "envoy.config.cluster.v3.Cluster\",\n"
		  " \"name\": \"a\"\n}\n" },
		{ URL "envoy.config.cluster.v3.Cluster", "\x0a\x05""a", 3,
		  "{\n \"@type\": \"" URL "envoy.config.cluster.v3.Cluster\",\n"
		  " \"value\": \"[not shown: 3 bytes]\"\n}\n" },
		{ "nothing.Known", "\x0a", 1, "{\n \"@type\": \"" URL
		  "nothing.Known\",\n \"value\": \"[not shown: 1 bytes]\"\n}\n" },
	};
	struct load_arena *m = load_arena_new(BYTES_MAX);
	char *text;
	size_t n;

	for (size_t i = 0; i < sizeof(s) / sizeof(s[0]); i++) {
		FILE *f = open_memstream(&text, &n);
		struct print p;

		print_begin(&p, f, m);
		print_bytes(&p, NULL, s[i].url, (const uint8_t *)s[i].bytes,
		    s[i].n);
		fclose(f);
		cr_expect_str_eq(text, s[i].want);
		free(text);
	}
	load_arena_free(m);
}

/* An Any that holds an Any that holds ...: opened as far as it goes. */
Test(print, deep)
{
	static char name[] = URL "google.protobuf.Any";
	struct load_arena *m = load_arena_new(BYTES_MAX);
	Google__Protobuf__Any any;
	uint8_t *bytes = NULL, *next;
	size_t len = 0, opened = 0;
	char *got;

	for (int i = 0; i < 5000; i++) {
		google__protobuf__any__init(&any);
		any.type_url = name;
		any.value = (ProtobufCBinaryData){ len, bytes };
		len = protobuf_c_message_get_packed_size(&any.base);
		next = malloc(len);
		protobuf_c_message_pack(&any.base, next);
		free(bytes);
		bytes = next;
	}
	any.value = (ProtobufCBinaryData){ len, bytes };
	got = print(m, &any.base, false);
	for (const char *at = got; (at = strstr(at, "@type")) != NULL; at++)
		opened++;
	cr_expect_gt(opened, 20);
	cr_expect_lt(opened, 250);
	free(got);
	free(bytes);
	load_arena_free(m);
}

/* ---- there and back */

static uint8_t *
pack(const ProtobufCMessage *m, size_t *len)
{
	uint8_t *bytes;

	*len = protobuf_c_message_get_packed_size(m);
	bytes = malloc(*len + 1);
	protobuf_c_message_pack(m, bytes);
	return bytes;
}

static void
check_there_and_back(const char *path)
{
	const ProtobufCMessageDescriptor *d =
	    &envoy__config__bootstrap__v3__bootstrap__descriptor;
	struct load_arena *m = load_arena_new(BYTES_MAX);
	const ProtobufCMessage *there, *back = NULL;
	size_t n, there_n, back_n;
	char *in = calloc(1, 1 << 20), *text;
	uint8_t *there_bytes, *back_bytes;
	FILE *f = fopen(path, "r");

	n = fread(in, 1, (1 << 20) - 1, f);
	fclose(f);
	if ((there = load(m, d, in, n, path)) != NULL) {
		text = print(m, there, true);
		back = load(m, d, text, strlen(text), "f.json");
		free(text);
	}
	if (back != NULL) {
		there_bytes = pack(there, &there_n);
		back_bytes = pack(back, &back_n);
		cr_expect_arr_eq(there_bytes, back_bytes, there_n, "%s", path);
		cr_expect_eq(there_n, back_n, "%s", path);
		free(there_bytes);
		free(back_bytes);
	}
	free(in);
	load_arena_free(m);
}

Test(print, there_and_back)
{
	static const char *const patterns[] = { "t/data/load/*.ok",
	    "conf/examples/two-regions/*.yaml" };
	glob_t g;
	char path[512];

	for (size_t p = 0; p < 2; p++) {
		cr_assert_eq(glob(patterns[p], 0, NULL, &g), 0,
		    "run this from the top of the tree");
		cr_expect_geq(g.gl_pathc, 2, "%s", patterns[p]);
		for (size_t i = 0; i < g.gl_pathc; i++) {
			snprintf(path, sizeof(path), "%s", g.gl_pathv[i]);
			if (p == 0)
				strcpy(strstr(path, ".ok"), ".in.yaml");
			if (access(path, R_OK) == -1)
				strcpy(strstr(path, ".yaml"), ".json");
			check_there_and_back(path);
		}
		globfree(&g);
	}
}
