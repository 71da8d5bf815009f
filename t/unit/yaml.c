/* t/unit/yaml.c - the tree: values, marks, limits, refusals; see conf/yaml.h */
#include "conf/yaml.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char out[4096];
static size_t out_n;

static void
put(const char *text)
{
	out_n += (size_t)snprintf(out + out_n, sizeof(out) - out_n, "%s", text);
	if (out_n >= sizeof(out))
		out_n = sizeof(out) - 1;
}

/* null is ~, plain is as it is, quoted in quotes; "@line:col" after each. */
static void
dump(const struct yaml_node *n, bool marks)
{
	char at[32];
	size_t i;

	if (n->kind == YAML_NULL)
		put("~");
	if (n->kind == YAML_SCALAR) {
		cr_assert_eq(strlen(n->text), n->text_len);
		put(n->quoted ? "\"" : "");
		put(n->text);
		put(n->quoted ? "\"" : "");
	}
	if (n->kind == YAML_SEQUENCE || n->kind == YAML_MAPPING)
		put(n->kind == YAML_SEQUENCE ? "[" : "{");
	for (i = 0; i < n->n; i++) {
		put(i > 0 ? " " : "");
		if (n->kind == YAML_MAPPING) {
			put(n->keys[i].text);
			snprintf(at, sizeof(at), "@%u:%u", n->keys[i].line,
			    n->keys[i].col);
			put(marks ? at : "");
			put("=");
		}
		dump(&n->items[i], marks);
	}
	if (n->kind == YAML_SEQUENCE || n->kind == YAML_MAPPING)
		put(n->kind == YAML_SEQUENCE ? "]" : "}");
	snprintf(at, sizeof(at), "@%u:%u", n->line, n->col);
	put(marks ? at : "");
}

/* What reading gives: the dump or the refusal. */
static const char *
read_as(const char *bytes, size_t n, const char *file, bool marks)
{
	static char why[512];
	struct yaml *y = yaml_read(bytes, n, file, why, sizeof(why));

	if (y == NULL)
		return why;
	out[out_n = 0] = '\0';
	dump(yaml_root(y), marks);
	cr_assert_str_eq(yaml_file(y), file);
	yaml_close(y);
	return out;
}

struct sample {
	const char	*text, *want;
};

static void
check(const struct sample *s, size_t n, const char *file, bool marks)
{
	const char *got;
	size_t i;

	for (i = 0; i < n; i++) {
		got = read_as(s[i].text, strlen(s[i].text), file, marks);
		cr_expect_str_eq(got, s[i].want, "of:\n%s\n got: %s\nwant: %s",
		    s[i].text, got, s[i].want);
	}
}

#define CHECK(samples, file, marks)					\
	check(samples, sizeof(samples) / sizeof(samples[0]), file, marks)

Test(yaml, values)
{
	static const struct sample s[] = {
		{ "", "~" },
		{ "# only a remark\n", "~" },
		{ "a: 1\nb: [x, 'y', \"z\\n\"]\n", "{a=1 b=[x \"y\" \"z\n\"]}" },
		{ "a: |\n  one\n  two\nb: >\n  x\n  y\n",
		  "{a=\"one\ntwo\n\" b=\"x y\n\"}" },
		{ "a: NULL\nb: nULL\nc: on\nd: 0x10\n",
		  "{a=~ b=nULL c=on d=0x10}" },
		{ "a: !!str 5\nb: ! 6\nc: !!seq [1]\nd: !!map {}\n",
		  "{a=\"5\" b=\"6\" c=[1] d={}}" },
		{ "a: &x 1\nb: 2\n", "{a=1 b=2}" },
		{ "'<<': 1\n", "{<<=1}" },
		{ "---\na: 1\n...\n", "{a=1}" },
		{ "a: 1\r\nb: 2\r\n", "{a=1 b=2}" },
	}, marked[] = {
		{ "a: 1\nb:\n  - {c: null, d: ~, e: , f: \"\"}\n",
		  "{a@1:1=1@1:4 b@2:1=[{c@3:6=~@3:9 d@3:15=~@3:18 "
		  "e@3:21=~@3:24 f@3:26=\"\"@3:29}@3:5]@3:3}@1:1" },
		{ "\xef\xbb\xbf" "a: 1\n", "{a@1:1=1@1:4}@1:1" },
		{ "ä: 1\n", "{ä@1:1=1@1:4}@1:1" },
		{ "- ö: 2\n", "[{ö@1:3=2@1:6}@1:3]@1:1" },
	};

	CHECK(s, "f", false);
	CHECK(marked, "f", true);
}

Test(yaml, refusals)
{
	static const struct sample s[] = {
		{ "a: 1\nb: 2\na: 3\n",
		  "f:3:1: duplicate key \"a\", first in line 1" },
		{ "x: {a: 1, b: 2, 'b': 3}\n",
		  "f:1:17: duplicate key \"b\", first in line 1" },
		{ "a: &x 1\nb: *x\n", "f:2:4: aliases (*x) are not supported; "
		  "write the value out" },
		{ "&x [*x]\n", "f:1:5: aliases (*x) are not supported; "
		  "write the value out" },
		{ "a: {<<: {b: 1}}\n", "f:1:5: merge keys (<<) are not "
		  "supported; write the keys out" },
		{ "a: 1\n---\nb: 2\n",
		  "f:2:1: a second document (---); only one is read" },
		{ "? [a]\n: 1\n", "f:1:3: a key must be text" },
		{ "? {a: 1}\n: 1\n", "f:1:3: a key must be text" },
		{ "~: 1\n", "f:1:1: a key must be text" },
		{ "? \n: 1\n", "f:1:2: a key must be text" },
		{ "\"a\\0b\": 1\n", "f:1:1: a key must be text" },
		{ "a: !!binary aGk=\n", "f:1:4: tag \"tag:yaml.org,2002:"
		  "binary\" is not supported" },
		{ "a: !x [1]\n", "f:1:4: tag \"!x\" is not supported" },
		{ "a: !!set {b}\n",
		  "f:1:4: tag \"tag:yaml.org,2002:set\" is not supported" },
		{ "a:\n\tb: 1\n", "f:2:1: found character that cannot start "
		  "any token (while scanning for the next token that begins "
		  "in line 2, column 1)" },
		{ "a: [1, 2\nb: 3\n", "f:2:2: did not find expected ',' or "
		  "']' (while parsing a flow sequence that begins in line 1, "
		  "column 4)" },
		{ "a: 1\n b: 2\n",
		  "f:2:3: mapping values are not allowed in this context" },
		{ "a: 1\nb: \xff\n", "f:2:4: invalid leading UTF-8 octet" },
		{ "a: \x01\n", "f:1:4: control characters are not allowed" },
		{ "a: \"\\ud800\"\n", "f:1:7: found invalid Unicode character "
		  "escape code (while parsing a quoted scalar that begins in "
		  "line 1, column 4)" },
	};

	CHECK(s, "f", false);
	cr_expect_str_eq(read_as("a: \0", 4, "f", false),
	    "f:1:4: control characters are not allowed");
}

Test(yaml, json)
{
	static const struct sample s[] = {
		{ "\"x\"", "\"x\"" },
		{ "{\"a\":\"\\/\\\\\\\"\\b\\f\\n\\r\\t\"}",
		  "{a=\"/\\\"\b\f\n\r\t\"}" },
		{ "{\"a\":\"\xe2\x80\xa8\xc2\x85\x7f\"}",
		  "{a=\"\xe2\x80\xa8\xc2\x85\x7f\"}" },
		{ "{\"a\":18446744073709551615}", "{a=18446744073709551615}" },
		{ "{\"<<\":{},\"*a\":\"&b\"}", "{<<={} *a=\"&b\"}" },
		{ "[]", "[]" },
	}, marked[] = {
		{ "{\"a\": 1,\n \"b\": [true, null, \"x\", -1.5e3]}",
		  "{a@1:2=1@1:7 b@2:2=[true@2:8 ~@2:14 \"x\"@2:20 "
		  "-1.5e3@2:25]@2:7}@1:1" },
		{ "{\t\"a\"\n:\t1\n}", "{a@1:3=1@2:3}@1:1" },
		{ "\t[1]", "[1@1:3]@1:2" },
		{ "{\"a\":\"\\u00e4\\u20ac\\ud83d\\ude00\",\"b\":2}",
		  "{a@1:2=\"ä€😀\"@1:6 b@1:33=2@1:37}@1:1" },
	};

	CHECK(s, "f.json", false);
	CHECK(marked, "f.json", true);
}

Test(yaml, json_refusals)
{
	static const struct sample named[] = {
		{ "{\"a\":1,\"a\":2}",
		  "f.json:1:8: duplicate key \"a\", first in line 1" },
		{ "{\"a\":1\n \"b\":2}",
		  "f.json:2:4: '}' expected near '\"b\"'" },
		{ "{\"a\":\"\\u0000\"}",
		  "f.json:1:13: a NUL character in a string" },
		{ "{\"a\":1} x",
		  "f.json:1:9: end of file expected near 'x'" },
		{ "{\"a\":1e999}",
		  "f.json:1:10: real number overflow near '1e999'" },
		{ "{\"a\":01}", "f.json:1:6: invalid token near '0'" },
		{ "[\"\xff\"]", "f.json:1:2: unable to decode byte 0xff near '\"'" },
		{ "", "f.json:1:1: unexpected token near end of file" },
	}, guessed[] = {
		{ "{\"a\":1,}", "f:1:8: string or '}' expected near '}' "
		  "(read as JSON, because it begins with '{')" },
		{ "{a: 1}", "f:1:2: string or '}' expected near 'a' "
		  "(read as JSON, because it begins with '{')" },
	};

	CHECK(named, "f.json", false);
	CHECK(guessed, "f", false);
}

/* A long key is one word to libyaml's limit of 1,024, JSON has none. */
Test(yaml, long_keys)
{
	char text[5000] = "{\"";

	memset(text + 2, 'k', 3000);
	strcpy(text + 3002, "\": 7}");
	cr_expect(strstr(read_as(text, strlen(text), "f", false), "k=7}"));
}

static const char *
nested(int levels, bool json)
{
	static char text[5000];

	memset(text, '[', (size_t)levels);
	memset(text + levels, ']', (size_t)levels);
	text[levels * 2] = '\0';
	return read_as(text, strlen(text), json ? "f.json" : "f", false);
}

Test(yaml, limits)
{
	char why[256];
	char *big;
	size_t n = (64 << 20) + 1, i;

	cr_expect(nested(64, false)[0] == '[');
	cr_expect(nested(64, true)[0] == '[');
	cr_expect_str_eq(nested(65, false),
	    "f:1:65: nested deeper than 64 levels");
	cr_expect_str_eq(nested(2000, false),
	    "f:1:65: nested deeper than 64 levels");
	cr_expect_str_eq(nested(65, true),
	    "f.json:1:65: nested deeper than 64 levels");
	big = malloc(n);
	cr_assert_not_null(big);
	memset(big, ' ', n);
	cr_expect_str_eq(read_as(big, n, "f", false),
	    "f:1:1: longer than 67108864 bytes");
	for (i = 0; i < n; i++)
		big[i] = i % 2 == 0 ? '1' : ',';
	big[0] = '[';
	big[1] = '1';
	cr_expect_null(yaml_read(big, 9000000, "f", why, sizeof(why)));
	cr_expect_str_eq(why,
	    "f:1:8000001: more than 4000000 values in one file");
	free(big);
}

/* A hundred thousand keys, all different but the last: found, and soon. */
Test(yaml, many_keys)
{
	char *text = malloc(2000000);
	const char *got;
	size_t n = 0;
	int i;

	cr_assert_not_null(text);
	for (i = 0; i < 100000; i++)
		n += (size_t)sprintf(text + n, "k%d: 1\n", i);
	n += (size_t)sprintf(text + n, "k77: 2\n");
	got = read_as(text, n, "f", false);
	cr_expect_str_eq(got,
	    "f:100001:1: duplicate key \"k77\", first in line 78");
	free(text);
}

Test(yaml, open)
{
	char why[256], file[] = "/tmp/yaml-test-XXXXXX";
	int fd = mkstemp(file);
	struct yaml *y;

	cr_assert_null(yaml_open("/nowhere/x.yaml", why, sizeof(why)));
	cr_expect_str_eq(why, "/nowhere/x.yaml: can't be read: "
	    "No such file or directory");
	cr_assert_null(yaml_open("/tmp", why, sizeof(why)));
	cr_expect_str_eq(why, "/tmp: can't be read: Is a directory");
	cr_assert_eq(write(fd, "a: {b: 5}\n", 10), 10);
	close(fd);
	y = yaml_open(file, why, sizeof(why));
	cr_assert_not_null(y, "%s", why);
	cr_expect_str_eq(yaml_find(yaml_find(yaml_root(y), "a"), "b")->text,
	    "5");
	yaml_close(y);
	unlink(file);
}

Test(yaml, find_path)
{
	static const char text[] =
	    "static_resources:\n"
	    "  clusters:\n"
	    "  - name: one\n"
	    "  - lbPolicy: X\n"
	    "    metadata: {envoy.lb: {a.b: 1}}\n"
	    "    load_assignment: null\n";
	static const struct {
		const char	*path;
		uint32_t	 line, col;
	} s[] = {
		{ "", 1, 1 },
		{ "static_resources", 2, 3 },
		{ "static_resources.clusters", 3, 3 },
		{ "static_resources.clusters[1].lb_policy", 4, 15 },
		{ "static_resources.clusters[1].lbPolicy", 4, 15 },
		{ "static_resources.clusters[0].lb_policy", 3, 5 },
		{ "static_resources.clusters[2].lb_policy", 3, 3 },
		{ "static_resources.clusters[99999999999999999999]", 3, 3 },
		{ "static_resources.clusters[1].metadata[\"envoy.lb\"]", 5, 26 },
		{ "static_resources.clusters[1].metadata[\"envoy.lb\"]"
		  "[\"a.b\"]", 5, 32 },
		{ "static_resources.clusters[1].load_assignment.x", 6, 22 },
		{ "static_resources[0]", 2, 3 },
		{ "static_resources.clusters[1", 3, 3 },
	};
	const struct yaml_node *n;
	char why[256];
	struct yaml *y;
	size_t i;

	y = yaml_read(text, strlen(text), "f", why, sizeof(why));
	cr_assert_not_null(y, "%s", why);
	for (i = 0; i < sizeof(s) / sizeof(s[0]); i++) {
		n = yaml_find_path(y, s[i].path);
		cr_expect(n->line == s[i].line && n->col == s[i].col,
		    "%s: at %u:%u", s[i].path, n->line, n->col);
	}
	cr_expect_null(yaml_find(yaml_root(y), "nothing"));
	cr_expect_null(yaml_find(NULL, "nothing"));
	yaml_close(y);
}

Test(yaml, names)
{
	const char *best = NULL;

	cr_expect(yaml_same_name("lb_policy", "lb_policy"));
	cr_expect(yaml_same_name("lb_policy", "lbPolicy"));
	cr_expect(yaml_same_name("http2_protocol_options",
	    "http2ProtocolOptions"));
	cr_expect_not(yaml_same_name("lb_policy", "LbPolicy"));
	cr_expect_not(yaml_same_name("lb_policy", "lb_policies"));
	cr_expect_not(yaml_same_name("lb_policy", "lbPolic"));
	cr_expect_not(yaml_same_name("lb_policy", "lb_Policy"));
	cr_expect_not(yaml_nearer("banana", "workers", &best));
	cr_expect(yaml_nearer("wrokers", "workers", &best));
	cr_expect_not(yaml_nearer("wrokers", "walkers", &best));
	cr_expect(yaml_nearer("wrokers", "wrokers", &best));
	cr_expect_str_eq(best, "wrokers");
}
