/*
 * conf/json.c - walks text that jansson has called JSON, to learn where each
 * value stood (tree.h). It judges nothing: whatever the grammar promises is
 * asserted, not answered.
 *
 * Why not libyaml, whose flow style is almost JSON (tried, version 0.2.5): it
 * refuses the surrogate pairs that JSON writes for characters over U+FFFF and
 * keys longer than 1,024 characters or apart from their colon, folds U+2028
 * inside strings into something else, and is quadratic in depth.
 *
 * Source: RFC 8259. Test: t/unit/yaml.c.
 */
#include "conf/tree.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct walk {
	const char	*at, *end;
	struct mark	 mark;		/* of *at */
	struct tree	*tree;
	char		*text;		/* room for any string of the file */
};

static void
step(struct walk *w)
{
	assert(w->at < w->end);
	if (*w->at == '\n') {
		w->mark.line++;
		w->mark.col = 1;
	} else if ((*w->at & 0xc0) != 0x80)
		w->mark.col++;
	w->at++;
}

/* Spaces, and the commas and colons that stand where they must. */
static void
skip(struct walk *w)
{
	while (w->at < w->end && strchr(" \t\r\n,:", *w->at) != NULL)
		step(w);
}

static uint32_t
hex4(struct walk *w)
{
	uint32_t code = 0;
	int i;

	for (i = 0; i < 4; i++) {
		char c = *w->at;

		code = code << 4 | (uint32_t)(c <= '9' ? c - '0' :
		    (c | 0x20) - 'a' + 10);
		step(w);
	}
	return code;
}

static char *
put_utf8(char *to, uint32_t code)
{
	if (code < 0x80) {
		*to++ = (char)code;
	} else if (code < 0x800) {
		*to++ = (char)(0xc0 | code >> 6);
		*to++ = (char)(0x80 | (code & 0x3f));
	} else if (code < 0x10000) {
		*to++ = (char)(0xe0 | code >> 12);
		*to++ = (char)(0x80 | (code >> 6 & 0x3f));
		*to++ = (char)(0x80 | (code & 0x3f));
	} else {
		*to++ = (char)(0xf0 | code >> 18);
		*to++ = (char)(0x80 | (code >> 12 & 0x3f));
		*to++ = (char)(0x80 | (code >> 6 & 0x3f));
		*to++ = (char)(0x80 | (code & 0x3f));
	}
	return to;
}

/* After a backslash. A pair of surrogates is one character (section 7). */
static char *
unescape(struct walk *w, char *to)
{
	static const char from[] = "bfnrt", into[] = "\b\f\n\r\t";
	const char *known = strchr(from, *w->at);
	char c = *w->at;
	uint32_t code;

	step(w);
	if (c != 'u') {
		*to++ = known != NULL ? into[known - from] : c;
		return to;
	}
	code = hex4(w);
	if (code >= 0xd800 && code < 0xdc00) {
		step(w);
		step(w);
		code = 0x10000 + ((code - 0xd800) << 10) + hex4(w) - 0xdc00;
	}
	return put_utf8(to, code);
}

static int
walk_string(struct walk *w)
{
	struct mark at = w->mark;
	char *to = w->text;

	for (step(w); *w->at != '"'; ) {
		if (*w->at == '\\') {
			step(w);
			to = unescape(w, to);
		} else {
			*to++ = *w->at;
			step(w);
		}
	}
	step(w);
	*to = '\0';
	return tree_text(w->tree, w->text, (size_t)(to - w->text),
	    TREE_QUOTED, at);
}

/* A number, true, false or null. */
static int
walk_word(struct walk *w)
{
	struct mark at = w->mark;
	char *to = w->text;

	while (w->at < w->end && strchr(" \t\r\n,:]}", *w->at) == NULL) {
		*to++ = *w->at;
		step(w);
	}
	*to = '\0';
	return tree_text(w->tree, w->text, (size_t)(to - w->text),
	    strcmp(w->text, "null") == 0 ? TREE_NOTHING : TREE_PLAIN, at);
}

static int
walk_token(struct walk *w)
{
	int fail;

	switch (*w->at) {
	case '{':
	case '[':
		fail = tree_open(w->tree, *w->at == '{' ? YAML_MAPPING :
		    YAML_SEQUENCE, w->mark);
		step(w);
		return fail;
	case '}':
	case ']':
		step(w);
		return tree_close(w->tree);
	case '"':
		return walk_string(w);
	default:
		return walk_word(w);
	}
}

int
json_walk(struct tree *t, const char *bytes, size_t n)
{
	struct walk w = { .at = bytes, .end = bytes + n, .mark = { 1, 1 },
	    .tree = t, .text = malloc(n + 1) };
	int fail = 0;

	if (w.text == NULL)
		return tree_fail(t, w.mark, "no memory");
	for (skip(&w); w.at < w.end && fail == 0; skip(&w))
		fail = walk_token(&w);
	free(w.text);
	return fail;
}
