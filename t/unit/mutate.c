/*
 * t/unit/mutate.c - worker/mutate.c: what plans make of headers.
 *
 * A row is headers, changes and what comes out, as text:
 *
 *   "a: 1|b: 2"      headers, one behind the other
 *   "= a x"          a level begins (=), then each change in a line of its
 *                    own: the kind's mark, the name, the value
 *
 *   - remove   + append   ? add if absent   * overwrite or add   ! overwrite
 *   ~ append with a comma   & as *, and an empty value counts
 *
 * In a value {a} is the header a, {a?b:3} that or b, cut at 3 bytes, and {}
 * the caller's address.
 */
#include "worker/mutate.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "t/lib/unit_sys.h"

static struct mem mem;

/* A plan being laid out: the texts lie far behind the rest. */
static struct {
	union {
		struct block_plan plan;
		uint8_t		 bytes[8192];
	};
	struct block_part parts[64];
} made;

enum { TEXTS_AT = 4096 };

static void
setup(void)
{
	mem_init(&mem, &unit_sys);
}

/* Nothing is left behind. */
static void
teardown(void)
{
	cr_assert_eq(mem.out_n, 0);
	mem_fini(&mem);
	cr_assert_eq(unit_blocks, 0);
}

TestSuite(mutate, .init = setup, .fini = teardown);

/* ---- headers as text */

static void
header_add(struct headers *h, const char *text, size_t n)
{
	const char *colon = memmem(text, n, ": ", 2);

	cr_assert(colon != NULL && headers_add(h, text, (size_t)(colon -
	    text), colon + 2, n - (size_t)(colon + 2 - text), 0));
}

static struct headers *
headers_read(const char *text)
{
	struct headers *h = headers_new(&mem);

	for (size_t n; *text != '\0'; text += n + (text[n] == '|')) {
		n = strcspn(text, "|");
		header_add(h, text, n);
	}
	return h;
}

static void
expect(struct headers *h, const char *want, const char *name)
{
	char is[2048] = "";
	size_t n = 0, bytes = 0;

	for (uint32_t i = 0; i < h->n; i++) {
		n += (size_t)snprintf(is + n, sizeof(is) - n, "%s%.*s: %.*s",
		    i == 0 ? "" : "|", (int)h->at[i].name_len, h->at[i].name,
		    (int)h->at[i].value_len, h->at[i].value);
		bytes += h->at[i].name_len + h->at[i].value_len + 32;
	}
	cr_expect_str_eq(is, want, "%s:\n  is  %s\n  not %s", name, is, want);
	cr_expect_eq(h->bytes, bytes, "%s: bytes", name);
}

/* ---- plans as text */

static struct block_span
span(const char *s, size_t n)
{
	struct block_span to = { made.plan.bytes, (uint32_t)n };

	memcpy(made.bytes + to.off, s, n);
	made.plan.bytes += (uint32_t)n + 1;
	cr_assert_lt(made.plan.bytes, sizeof(made.bytes));
	return to;
}

/* "a?b:3" */
static struct block_part
part_read(const char *s, size_t n)
{
	struct block_part p = { .kind = n == 0 ? PART_ADDRESS : PART_HEADER,
	    .bytes_max = UINT32_MAX };
	const char *cut = memchr(s, ':', n), *other;

	if (cut != NULL && cut > s) {
		p.bytes_max = (uint32_t)atoi(cut + 1);
		n = (size_t)(cut - s);
	}
	other = memchr(s, '?', n);
	if (n > 0)
		p.text = span(s, other == NULL ? n : (size_t)(other - s));
	if (other != NULL)
		p.other = span(other + 1, n - (size_t)(other + 1 - s));
	return p;
}

static void
value_read(struct block_mutation *m, const char *s, size_t n)
{
	m->part = made.plan.parts_n;
	for (size_t len; n > 0; s += len, n -= len) {
		const char *brace = memchr(s, '{', n);

		len = brace == NULL ? n : (size_t)(brace - s);
		if (len > 0) {
			made.parts[made.plan.parts_n++] = (struct block_part){
			    .kind = PART_TEXT, .text = span(s, len) };
			continue;
		}
		len = (size_t)((const char *)memchr(s, '}', n) - s) + 1;
		made.parts[made.plan.parts_n++] = part_read(s + 1, len - 2);
	}
	m->parts_n = made.plan.parts_n - m->part;
}

static struct block_mutation
mutation_read(const char *s, size_t n)
{
	static const struct { char mark; uint16_t kind, flags; } marks[] = {
		{ '-', MUTATION_REMOVE, 0 }, { '+', MUTATION_APPEND, 0 },
		{ '?', MUTATION_ADD_IF_ABSENT, 0 },
		{ '*', MUTATION_OVERWRITE_OR_ADD, 0 },
		{ '!', MUTATION_OVERWRITE, 0 },
		{ '~', MUTATION_APPEND, MUTATION_JOIN },
		{ '&', MUTATION_OVERWRITE_OR_ADD, MUTATION_KEEP_EMPTY },
	};
	struct block_mutation m = { .kind = UINT16_MAX };
	size_t name_len;

	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
		if (marks[i].mark == *s) {
			m.kind = marks[i].kind;
			m.flags = marks[i].flags;
		}
	cr_assert_neq(m.kind, UINT16_MAX, "%s", s);
	name_len = strcspn(s + 2, " \n");
	m.name = span(s + 2, name_len);
	if (n > name_len + 3)
		value_read(&m, s + name_len + 3, n - name_len - 3);
	return m;
}

static uint32_t
mutations_read(const char *text, uint32_t at)
{
	uint32_t n = 0;

	for (size_t len; *text != '\0'; text += len + (text[len] == '\n')) {
		struct block_mutation *m = &made.plan.mutations[at + n++];
		bool level = *text == '=';

		text += level ? 2 : 0;
		len = strcspn(text, "\n");
		*m = mutation_read(text, len);
		m->flags |= level ? MUTATION_LEVEL : 0;
	}
	return n;
}

static const struct block_plan *
plan_read(const char *request, const char *answer)
{
	memset(&made, 0, sizeof(made));
	made.plan.bytes = TEXTS_AT;
	made.plan.request_n = mutations_read(request, 0);
	made.plan.answer_n = mutations_read(answer, made.plan.request_n);
	memcpy((void *)(uintptr_t)block_parts(&made.plan), made.parts,
	    sizeof(made.parts));
	return &made.plan;
}

/* ---- rows */

#define P ":path: /p|"

static const struct {
	const char	*name, *before, *changes, *after;
} rows[] = {
	{ "nothing", P "a: 1", "", P "a: 1" },
	{ "remove", P "a: 1|b: 2|a: 3", "= - a", P "b: 2" },
	{ "remove what is not there", P "a: 1", "= - b\n- aa", P "a: 1" },
	{ "append to nothing", P "b: 1", "= + a x", P "b: 1|a: x" },
	{ "append beside", P "a: 1", "= + a x\n+ a y", P "a: 1|a: x|a: y" },
	{ "add if absent: it is", P "b: 1", "= ? a x", P "b: 1|a: x" },
	{ "add if absent: it is not", P "a: 1", "= ? a x", P "a: 1" },
	{ "two of those see the same", P "b: 1", "= ? a x\n? a y",
	    P "b: 1|a: x|a: y" },
	{ "but not in two levels", P "b: 1", "= ? a x\n= ? a y",
	    P "b: 1|a: x" },
	{ "overwrite all of a name", P "a: 1|b: 2|a: 3", "= * a x",
	    P "a: x|b: 2" },
	{ "or add", P "b: 1", "= * a x", P "b: 1|a: x" },
	{ "overwrite: it is there", P "a: 1|a: 2", "= ! a x", P "a: x" },
	{ "overwrite: it is not", P "b: 1", "= ! a x", P "b: 1" },
	{ "overwrite what was removed", P "a: 1", "= - a\n! a x", ":path: /p" },
	{ "remove, then add", P "a: 1", "= - a\n? a x", P "a: x" },
	{ "overwriting comes first", P "a: 1", "= + a x\n* a y",
	    P "a: y|a: x" },
	{ "the last overwrite wins", P "a: 1", "= * a x\n* a y", P "a: y" },
	{ "the last level wins", P "a: 1", "= * a x\n= * a y\n= * a z",
	    P "a: z" },
	{ "levels after one that only removes", P "a: 1|b: 2",
	    "= - a\n= - b\n= + c x", P "c: x" },
	{ "empty is not set", P "a: 1", "= + b\n* a", P "a: 1" },
	{ "unless it says so", P "a: 1", "= & b\n& a", P "a: |b: " },
	{ "join", P "via: 1", "= ~ via x\n~ via y", P "via: 1,x,y" },
	{ "join nothing", P "a: 1", "= ~ via x", P "a: 1|via: x" },
	{ "join what was overwritten", P "via: 1", "= ~ via x\n* via y",
	    P "via: y,x" },
	{ "join the first of two", P "via: 1|via: 2", "= ~ via x",
	    P "via: 1,x|via: 2" },
	{ "a header in a value", P "a: 1", "= + b <{a}{:path}>",
	    P "a: 1|b: <1/p>" },
	{ "a header alone", P "a: 1", "= + b {a}", P "a: 1|b: 1" },
	{ "a header that is not there", P "a: 1", "= + b {c}\n+ d x{c}y",
	    P "a: 1|d: xy" },
	{ "or another", P "a: 1|b: 2", "= + x {a?b}\n+ y {c?b}\n+ z {c?d}",
	    P "a: 1|b: 2|x: 1|y: 2" },
	{ "empty is there", P "a: |b: 2", "= & x {a?b}", P "a: |b: 2|x: " },
	{ "the first of several", P "a: 1|a: 2", "= + b {a}",
	    P "a: 1|a: 2|b: 1" },
	{ "cut", P "a: 12345", "= + b {a:3}\n+ c {a:5}\n+ d {a:0}\n"
	    "+ e {x?a:1}", P "a: 12345|b: 123|c: 12345|e: 1" },
	{ "values are those before the level", P "a: 1", "= * a 2\n+ b {a}",
	    P "a: 2|b: 1" },
	{ "but after its removals", P "a: 1", "= - a\n+ b x{a}",
	    P "b: x" },
	{ "and after the level before", P "a: 1", "= * a 2\n= + b {a}",
	    P "a: 2|b: 2" },
	{ "address", P "a: 1", "= + b <{}>", P "a: 1|b: <10.1.2.3>" },
	{ "the first is never removed", "a: 1|a: 2|b: 3", "= - a",
	    "a: 1|b: 3" },
};

Test(mutate, requests)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct headers *h = headers_read(rows[i].before);

		cr_assert(mutate_request(h, plan_read(rows[i].changes, ""),
		    "10.1.2.3"));
		expect(h, rows[i].after, rows[i].name);
		headers_put(h);
	}
}

/* The same of answers, when the request has nothing that is asked for. */
Test(mutate, answers)
{
	struct headers *request = headers_read(":path: /p|q: 7|a: 9");
	struct headers *h = headers_read(":status: 200|a: 1");

	cr_assert(mutate_answer(h, plan_read("= + no way", "= * a {q}-{a}\n"
	    "= + b {a}"), request, NULL));
	expect(h, ":status: 200|a: 7-9|b: 9", "of the request");
	expect(request, ":path: /p|q: 7|a: 9", "which stays");
	headers_put(h);
	headers_put(request);
}

/* More headers and bytes than a block holds inline. */
Test(mutate, many)
{
	char changes[4096] = "= + big {big}{big}";
	struct headers *h = headers_new(&mem);
	char big[3000];
	size_t n = strlen(changes);

	memset(big, 'b', sizeof(big));
	cr_assert(headers_add(h, ":path", 5, "/", 1, 0) &&
	    headers_add(h, "big", 3, big, sizeof(big), 0));
	for (int i = 0; i < 60; i++)
		n += (size_t)snprintf(changes + n, sizeof(changes) - n,
		    "\n+ h%d x", i);
	cr_assert(mutate_request(h, plan_read(changes, ""), NULL));
	cr_assert_eq(h->n, 63);
	cr_assert_eq(h->at[2].value_len, 2 * sizeof(big));
	cr_assert_eq(h->at[2].value[2 * sizeof(big) - 1], 'b');
	headers_put(h);
}

/* ---- where it goes */

static const struct {
	const char	*name, *before, *host, *path;
	uint32_t	 path_bytes;
	bool		 originals;
	const char	*after;
} targets[] = {
	{ "nothing", ":path: /a/M|:authority: x", "", "", 0, true,
	    ":path: /a/M|:authority: x" },
	{ "path", ":path: /a/M|:authority: x", "", "/b/", 3, false,
	    ":path: /b/M|:authority: x" },
	{ "its query stays", ":path: /a/M?a=/a/", "", "/b/", 3, false,
	    ":path: /b/M?a=/a/" },
	{ "the whole path", ":path: /a/M?q", "", "/c", 4, false,
	    ":path: /c?q" },
	{ "before all of it", ":path: /a", "", "/c", 0, false,
	    ":path: /c/a" },
	{ "host", ":path: /a|:authority: x", "y:1", "", 0, false,
	    ":path: /a|:authority: y:1" },
	{ "host, by a share", ":path: /a|:authority: x", "share", "", 0, true,
	    ":path: /a|:authority: share" },
	{ "host without authority", ":path: /a|host: x", "y", "", 0, false,
	    ":path: /a|host: y" },
	{ "no host at all", ":path: /a", "y", "", 0, true, ":path: /a" },
	{ "CONNECT", ":authority: x", "", "/b/", 0, true, ":authority: x" },
	{ "originals", ":path: /a/M?q|:authority: x", "y", "/b", 2, true,
	    ":path: /b/M?q|:authority: y|x-envoy-original-host: x|"
	    "x-envoy-original-path: /a/M?q" },
	{ "which the caller can't say", ":path: /a|x-envoy-original-path: 1|"
	    "x-envoy-original-path: 2", "", "/b", 2, true,
	    ":path: /b|x-envoy-original-path: /a" },
};

Test(mutate, where_it_goes)
{
	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		struct headers *h = headers_read(targets[i].before);

		plan_read("", "");
		if (*targets[i].host != '\0')
			made.plan.host = span(targets[i].host,
			    strlen(targets[i].host));
		if (*targets[i].path != '\0')
			made.plan.path = span(targets[i].path,
			    strlen(targets[i].path));
		made.plan.path_bytes = targets[i].path_bytes;
		made.plan.flags = strcmp(targets[i].host, "share") == 0 ? 0 :
		    PLAN_HOST_TOLD;
		cr_assert(mutate_target(h, &made.plan, targets[i].originals));
		expect(h, targets[i].after, targets[i].name);
		headers_put(h);
	}
}

/* Wherever memory ends, it is told and the block can be put. */
Test(mutate, no_memory)
{
	const struct block_plan *p = plan_read("= - a\n~ via {b}{b}\n"
	    "* c {b}x{b}\n+ d x", "");
	int n = 0;

	for (bool good = false; !good; n++) {
		struct headers *h = headers_read(":path: /|a: 1|via: 1");
		char b[4000];

		memset(b, 'b', sizeof(b));
		cr_assert(headers_add(h, "b", 1, b, sizeof(b), 0));
		unit_fail_at = n + 1;
		good = mutate_request(h, p, NULL);
		unit_fail_at = 0;
		headers_put(h);
		mem_fini(&mem);		/* nothing is kept for next time */
		mem_init(&mem, &unit_sys);
	}
	cr_assert_geq(n, 4);
}
