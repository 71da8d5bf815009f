/*
 * master/compile_match.c - what a request must look like for a route: its
 * path and its headers.
 *
 * What compares without regard to case is made lower case here, once, so that
 * a worker lowers only the request's side.
 *
 * Regular expressions are refused by name: they need a bounded matcher
 * (design, 9), which is not built yet.
 *
 * Source: config.route.v3.RouteMatch and HeaderMatcher, type.matcher.v3.
 * Test: t/unit/compile.c.
 */
#include "master/compile_parts.h"

#include <string.h>

#define PATH(name) ENVOY__CONFIG__ROUTE__V3__ROUTE_MATCH__PATH_SPECIFIER_##name
#define HEADER_CASE(name) \
	ENVOY__CONFIG__ROUTE__V3__HEADER_MATCHER__HEADER_MATCH_SPECIFIER_##name
#define STRING(name) \
	ENVOY__TYPE__MATCHER__V3__STRING_MATCHER__MATCH_PATTERN_##name

static const char regex_later[] =
    "regular expressions are not built yet, expected %s";

static int
not_empty(struct compiler *c, const struct at *up, const char *field,
    const char *text)
{
	const struct at at = AT(up, field);

	return *text != '\0' ? 0 :
	    refuse(c, &at, "is empty, expected at least one byte");
}

int
compile_string(struct compiler *c, const struct at *at,
    const StringMatcher *m, const char **text, enum header_match_kind *kind)
{
	const struct at regex = AT(at, "safe_regex");

	switch (m->match_pattern_case) {
	case STRING(EXACT):
		*kind = HEADER_EXACT;
		*text = m->exact;
		return 0;
	case STRING(PREFIX):
		*kind = HEADER_PREFIX;
		*text = m->prefix;
		return not_empty(c, at, "prefix", *text);
	case STRING(SUFFIX):
		*kind = HEADER_SUFFIX;
		*text = m->suffix;
		return not_empty(c, at, "suffix", *text);
	case STRING(CONTAINS):
		*kind = HEADER_CONTAINS;
		*text = m->contains;
		return not_empty(c, at, "contains", *text);
	case STRING(SAFE_REGEX):
		return refuse(c, &regex, regex_later,
		    "exact, prefix, suffix or contains");
	default:
		return refuse(c, at, "is empty, expected exact, prefix, "
		    "suffix or contains");
	}
}

/* ---- headers */

struct header {
	const char	*text;		/* what the value is compared with */
	enum header_match_kind kind;
	bool		 invert, any_case;
	int64_t		 from, to;
};

static int
header_range(struct compiler *c, const struct at *up,
    const Envoy__Type__V3__Int64Range *m, struct header *h)
{
	const struct at at = AT(up, "range_match");

	h->kind = HEADER_RANGE;
	h->from = m->start;
	h->to = m->end;
	return m->start < m->end ? 0 :
	    refuse(c, &at, "no number is in it, expected start below end");
}

static int
header_text(struct compiler *c, const struct at *at, const char *field,
    enum header_match_kind kind, const char *text, struct header *h)
{
	h->kind = kind;
	h->text = text;
	return kind == HEADER_EXACT ? 0 : not_empty(c, at, field, text);
}

static int
header_specifier(struct compiler *c, const struct at *at,
    const HeaderMatcher *m, struct header *h)
{
	const struct at string = AT(at, "string_match");
	const struct at regex = AT(at, "safe_regex_match");

	switch (m->header_match_specifier_case) {
	case HEADER_CASE(EXACT_MATCH):
		return header_text(c, at, "exact_match", HEADER_EXACT,
		    m->exact_match, h);
	case HEADER_CASE(PREFIX_MATCH):
		return header_text(c, at, "prefix_match", HEADER_PREFIX,
		    m->prefix_match, h);
	case HEADER_CASE(SUFFIX_MATCH):
		return header_text(c, at, "suffix_match", HEADER_SUFFIX,
		    m->suffix_match, h);
	case HEADER_CASE(CONTAINS_MATCH):
		return header_text(c, at, "contains_match", HEADER_CONTAINS,
		    m->contains_match, h);
	case HEADER_CASE(RANGE_MATCH):
		return header_range(c, at, m->range_match, h);
	case HEADER_CASE(STRING_MATCH):
		h->any_case = m->string_match->ignore_case;
		return compile_string(c, &string, m->string_match, &h->text,
		    &h->kind);
	case HEADER_CASE(SAFE_REGEX_MATCH):
		return refuse(c, &regex, regex_later, "string_match");
	case HEADER_CASE(PRESENT_MATCH):
		h->invert = !m->present_match;
		return 0;
	default:
		return 0;	/* nothing said: it must be there */
	}
}

/* Header names in HTTP/2 are lower case, and Host is called :authority. */
static int
header_name(struct compiler *c, const struct at *up, const char *name,
    block_ref *ref)
{
	static const char bad[] = " \t\r\n\"(),/;<=>?@[\\]{}";
	const struct at at = AT(up, "name");
	char *to;

	if (*name == '\0' || strcspn(name, bad) != strlen(name) ||
	    strchr(name + 1, ':') != NULL)
		return refuse(c, &at, "\"%s\" is no name of a header, "
		    "expected one like x-region", name);
	if ((to = lower(c, name)) == NULL)
		return -1;
	return put_text(c, strcmp(to, "host") == 0 ? ":authority" : to, ref);
}

int
compile_header(struct compiler *c, const struct at *at,
    const HeaderMatcher *m, struct block_header_match *b)
{
	struct header h = { .text = "", .kind = HEADER_PRESENT };

	if (header_name(c, at, m->name, &b->name) < 0 ||
	    header_specifier(c, at, m, &h) < 0 ||
	    (h.any_case && (h.text = lower(c, h.text)) == NULL) ||
	    put_text(c, h.text, &b->value) < 0)
		return -1;
	b->kind = (uint8_t)h.kind;
	b->flags = (uint8_t)((h.invert != (m->invert_match != 0) ?
	    HEADER_INVERT : 0) |
	    (m->treat_missing_header_as_empty ? HEADER_MISSING_AS_EMPTY : 0) |
	    (h.any_case ? HEADER_ANY_CASE : 0));
	b->range_from = h.from;
	b->range_to = h.to;
	return 0;
}

static int
compile_headers(struct compiler *c, const struct at *up, const RouteMatch *m,
    struct block_route *to)
{
	const struct at all = AT(up, "headers");
	struct block_header_matches *b;
	size_t i, bytes = sizeof(*b) + m->n_headers * sizeof(b->at[0]);

	if (m->n_headers == 0)
		return 0;
	if (m->n_headers > UINT16_MAX)
		return refuse(c, &all, "has %zu items, expected at most %d",
		    m->n_headers, UINT16_MAX);
	if ((b = scratch(c, bytes)) == NULL)
		return -1;
	for (i = 0; i < m->n_headers; i++) {
		const struct at at = AT_ITEM(up, "headers", i);

		if (compile_header(c, &at, m->headers[i], &b->at[i]) < 0)
			return -1;
	}
	b->n = (uint32_t)m->n_headers;
	return put_block(c, BLOCK_HEADER_MATCHES, b, bytes, &to->headers);
}

/* ---- paths */

/* "/pkg.Service" matches itself and what follows it after a slash. */
static int
separated_prefix(struct compiler *c, const struct at *up, const char *path)
{
	const struct at at = AT(up, "path_separated_prefix");
	size_t n = strlen(path);

	if (n < 2 || path[n - 1] == '/' || strpbrk(path, "?#") != NULL)
		return refuse(c, &at, "\"%s\", expected at least two bytes "
		    "without ? and #, the last no /", path);
	return 0;
}

static int
path_specifier(struct compiler *c, const struct at *at, const RouteMatch *m,
    const char **path, enum match_kind *kind)
{
	const struct at regex = AT(at, "safe_regex");

	switch (m->path_specifier_case) {
	case PATH(PREFIX):
		*kind = MATCH_PREFIX;
		*path = m->prefix;
		return 0;
	case PATH(PATH):
		*kind = MATCH_PATH;
		*path = m->path;
		return 0;
	case PATH(PATH_SEPARATED_PREFIX):
		*kind = MATCH_SEPARATED_PREFIX;
		*path = m->path_separated_prefix;
		return separated_prefix(c, at, *path);
	case PATH(SAFE_REGEX):
		return refuse(c, &regex, regex_later,
		    "prefix, path or path_separated_prefix");
	default:
		return refuse(c, at, "names no path, expected prefix, path or "
		    "path_separated_prefix");
	}
}

int
compile_match(struct compiler *c, const struct at *at, const RouteMatch *m,
    struct block_route *to)
{
	bool any_case = m->case_sensitive != NULL && !m->case_sensitive->value;
	enum match_kind kind = MATCH_PREFIX;
	const char *path = "";

	if (path_specifier(c, at, m, &path, &kind) < 0 ||
	    (any_case && (path = lower(c, path)) == NULL) ||
	    put_text(c, path, &to->path) < 0)
		return -1;
	to->kind = (uint8_t)kind;
	to->flags = (uint8_t)((any_case ? MATCH_ANY_CASE : 0) |
	    (m->grpc != NULL ? MATCH_GRPC : 0));
	to->path_len = (uint32_t)strlen(path);
	return compile_headers(c, at, m, to);
}
