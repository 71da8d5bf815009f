/*
 * conf/yaml.c - reads YAML by libyaml's events, and JSON after jansson's
 * judgement, into the tree of yaml.h. The one home of both libraries.
 *
 *   file -> bytes -> '{' or .json?  yes: jansson (judges), json_walk (marks)
 *                                   no:  libyaml's events, one by one
 *
 * Depth and size are checked as the events come: libyaml itself is quadratic
 * in depth, and an alias costs it nothing, so that a 54-event file could stand
 * for a billion values. We refuse aliases; a configuration that needs them is
 * made by a program.
 *
 * Source: reference/dependencies.md 4 and 5. Test: t/unit/yaml.c.
 */
#include "conf/yaml.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <yaml.h>

#include "conf/tree.h"

#define TAG_PREFIX	"tag:yaml.org,2002:"

static struct mark
mark_of(yaml_mark_t m)
{
	return (struct mark){ (uint32_t)m.line + 1, (uint32_t)m.column + 1 };
}

/* Tags could change what a scalar means; only those that can't are known. */
static int
check_tag(struct tree *t, const yaml_char_t *tag, const char *harmless,
    struct mark at)
{
	const char *text = (const char *)tag;

	if (tag == NULL || strcmp(text, "!") == 0)
		return 0;
	if (strncmp(text, TAG_PREFIX, strlen(TAG_PREFIX)) == 0 &&
	    strcmp(text + strlen(TAG_PREFIX), harmless) == 0)
		return 0;
	return tree_fail(t, at, "tag \"%.64s\" is not supported", text);
}

static bool
is_null(const char *text)
{
	static const char *const nulls[] = { "", "~", "null", "Null", "NULL" };
	size_t i;

	for (i = 0; i < sizeof(nulls) / sizeof(nulls[0]); i++)
		if (strcmp(text, nulls[i]) == 0)
			return true;
	return false;
}

static int
take_scalar(struct tree *t, const yaml_event_t *e)
{
	const char *text = (const char *)e->data.scalar.value;
	struct mark at = mark_of(e->start_mark);
	enum tree_text what = TREE_QUOTED;

	if (check_tag(t, e->data.scalar.tag, "str", at) == -1)
		return -1;
	if (e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	    e->data.scalar.tag == NULL)
		what = is_null(text) ? TREE_NOTHING : TREE_PLAIN;
	return tree_text(t, text, e->data.scalar.length, what, at);
}

/* One event. 1: that was the last; -1: why is written. */
static int
take_event(struct tree *t, const yaml_event_t *e, int *documents)
{
	struct mark at = mark_of(e->start_mark);

	switch (e->type) {
	case YAML_DOCUMENT_START_EVENT:
		if ((*documents)++ > 0)
			return tree_fail(t, at, "a second document (---); "
			    "only one is read");
		return 0;
	case YAML_ALIAS_EVENT:
		return tree_fail(t, at, "aliases (*%.64s) are not supported; "
		    "write the value out", e->data.alias.anchor);
	case YAML_SCALAR_EVENT:
		return take_scalar(t, e);
	case YAML_SEQUENCE_START_EVENT:
		if (check_tag(t, e->data.sequence_start.tag, "seq", at) == -1)
			return -1;
		return tree_open(t, YAML_SEQUENCE, at);
	case YAML_MAPPING_START_EVENT:
		if (check_tag(t, e->data.mapping_start.tag, "map", at) == -1)
			return -1;
		return tree_open(t, YAML_MAPPING, at);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		return tree_close(t);
	case YAML_STREAM_END_EVENT:
		return 1;
	default:
		return 0;
	}
}

/* libyaml's complaint is often about the wrong end: the context helps. */
static int
fail_parser(struct tree *t, const yaml_parser_t *p, const char *bytes,
    size_t n)
{
	struct mark at = mark_of(p->problem_mark);
	const char *problem = p->problem != NULL ? p->problem : "not YAML";

	if (p->error == YAML_MEMORY_ERROR)
		return tree_fail(t, at, "no memory");
	if (p->error == YAML_READER_ERROR)
		return tree_fail(t, tree_mark(bytes, p->problem_offset < n ?
		    p->problem_offset : n), "%s", problem);
	if (p->context == NULL)
		return tree_fail(t, at, "%s", problem);
	return tree_fail(t, at, "%s (%s that begins in line %zu, column %zu)",
	    problem, p->context, p->context_mark.line + 1,
	    p->context_mark.column + 1);
}

static int
parse_yaml(struct tree *t, const char *bytes, size_t n)
{
	yaml_parser_t p;
	yaml_event_t e;
	int documents = 0, state = 0;

	if (!yaml_parser_initialize(&p))
		return tree_fail(t, (struct mark){ 1, 1 }, "no memory");
	yaml_parser_set_encoding(&p, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&p, (const unsigned char *)bytes, n);
	while (state == 0) {
		if (!yaml_parser_parse(&p, &e)) {
			state = fail_parser(t, &p, bytes, n);
			break;
		}
		state = take_event(t, &e, &documents);
		yaml_event_delete(&e);
	}
	yaml_parser_delete(&p);
	return state == -1 ? -1 : 0;
}

/* Numbers as reals: their text is kept, and 2^64 - 1 must pass. */
static int
parse_json(struct tree *t, const char *bytes, size_t n, bool guessed)
{
	json_error_t e;
	json_t *j;

	j = json_loadb(bytes, n, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, &e);
	if (j != NULL) {
		json_decref(j);
		return json_walk(t, bytes, n);
	}
	return tree_fail(t, (struct mark){ e.line < 1 ? 1 : (uint32_t)e.line,
	    e.column < 1 ? 1 : (uint32_t)e.column }, "%s%s",
	    json_error_code(&e) == json_error_null_character ?
	    "a NUL character in a string" : e.text,
	    guessed ? " (read as JSON, because it begins with '{')" : "");
}

static bool
named_json(const char *file)
{
	size_t n = strlen(file);

	return n >= 5 && strcmp(file + n - 5, ".json") == 0;
}

struct yaml *
yaml_read(const char *bytes, size_t n, const char *file, char *why,
    size_t why_len)
{
	struct tree *t = tree_new(file, why, why_len);
	struct yaml *y = NULL;
	int fail;

	if (t == NULL)
		return NULL;
	if (n >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0) {
		bytes += 3;		/* a byte order mark says nothing */
		n -= 3;
	}
	if (n > TREE_BYTES_MAX)
		fail = tree_fail(t, (struct mark){ 1, 1 },
		    "longer than %d bytes", TREE_BYTES_MAX);
	else if (named_json(file) || (n > 0 && bytes[0] == '{'))
		fail = parse_json(t, bytes, n, !named_json(file));
	else
		fail = parse_yaml(t, bytes, n);
	if (fail == 0)
		y = tree_done(t);
	tree_free(t);
	return y;
}

/* All of fd, in a buffer of its own; one byte over the limit is enough to be
 * refused. NULL: errno. */
static char *
read_all(int fd, size_t *n)
{
	size_t cap = 64 << 10;
	char *bytes = malloc(cap), *more;
	ssize_t got = 1;

	for (*n = 0; bytes != NULL && got > 0 && *n <= TREE_BYTES_MAX; ) {
		if (*n == cap) {
			if ((more = realloc(bytes, cap *= 2)) == NULL)
				break;
			bytes = more;
		}
		got = read(fd, bytes + *n, cap - *n);
		if (got > 0)
			*n += (size_t)got;
		else if (got == -1 && errno == EINTR)
			got = 1;
	}
	if (bytes != NULL && (got == 0 || *n > TREE_BYTES_MAX))
		return bytes;
	free(bytes);
	return NULL;
}

struct yaml *
yaml_open(const char *file, char *why, size_t why_len)
{
	struct yaml *y = NULL;
	char *bytes = NULL;
	size_t n = 0;
	int fd;

	fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd != -1)
		bytes = read_all(fd, &n);
	if (bytes == NULL)
		snprintf(why, why_len, "%s: can't be read: %s", file,
		    strerror(errno));
	else
		y = yaml_read(bytes, n, file, why, why_len);
	free(bytes);
	if (fd != -1)
		close(fd);
	return y;
}

const char *
yaml_library(void)
{
	static char text[64];

	snprintf(text, sizeof(text), "libyaml %s, jansson %s",
	    yaml_get_version_string(), jansson_version_str());
	return text;
}
