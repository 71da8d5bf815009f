/*
 * conf/conf.c - see conf.h: the rows of conf.def as code, and the one reader
 * that a file and -o share.
 *
 *   workers: 4        a node of the file  \
 *                                           set() by kind of row
 *   -o workers=4      text                /
 *
 * Values are read by JSON's rules, as everywhere: a text that looks like a
 * number or a bool needs quotes in the file (none with -o, where all is text).
 *
 * Test: t/unit/conf.c.
 */
#include "conf/conf.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/cpu.h"

enum kind { KIND_NUMBER, KIND_TEXT, KIND_CHOICE, KIND_LIST };

struct row {
	enum kind	 kind;
	const char	*name;
	size_t		 offset, size;	/* in struct conf */
	int64_t		 number, min, max;
	const char	*text, *choices;
	bool		 reloadable;
	const char	*help;
};

static const struct row rows[] = {
#define ROW(kind, name, ...)						\
	{ kind, #name, offsetof(struct conf, name),			\
	    sizeof(((struct conf *)0)->name), __VA_ARGS__ },
#define NUMBER(name, value, min, max, reloadable, help)			\
	ROW(KIND_NUMBER, name, value, min, max, "", "", reloadable, help)
#define TEXT(name, value, reloadable, help)				\
	ROW(KIND_TEXT, name, 0, 0, 0, value, "", reloadable, help)
#define CHOICE(name, value, choices, reloadable, help)			\
	ROW(KIND_CHOICE, name, 0, 0, 0, value, choices, reloadable, help)
#define LIST(name, help)						\
	{ KIND_LIST, #name, 0, 0, 0, 0, 0, "", "", true, help },
#include "conf/conf.def"
#undef NUMBER
#undef TEXT
#undef CHOICE
#undef LIST
#undef ROW
};

enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

struct sentence {			/* what is wrong, without a place */
	char		text[400];
};

static int
say(struct sentence *s, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static int
say(struct sentence *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s->text, sizeof(s->text), fmt, ap);
	va_end(ap);
	return -1;
}

static int64_t *
number_of(struct conf *c, const struct row *r)
{
	return (int64_t *)(void *)((char *)c + r->offset);
}

static char *
text_of(struct conf *c, const struct row *r)
{
	return (char *)c + r->offset;
}

void
conf_init(struct conf *c)
{
	size_t i;

	memset(c, 0, sizeof(*c));
	for (i = 0; i < ROWS; i++) {
		if (rows[i].kind == KIND_NUMBER)
			*number_of(c, &rows[i]) = rows[i].number;
		else if (rows[i].kind != KIND_LIST)
			snprintf(text_of(c, &rows[i]), rows[i].size, "%s",
			    rows[i].text);
	}
}

static const struct row *
row_find(const char *name)
{
	size_t i;

	for (i = 0; i < ROWS; i++)
		if (yaml_same_name(rows[i].name, name))
			return &rows[i];
	return NULL;
}

static int
fail_unknown(const char *name, struct sentence *why)
{
	const char *best = NULL;
	char names[300] = "";
	size_t i, n = 0;

	for (i = 0; i < ROWS; i++) {
		yaml_nearer(name, rows[i].name, &best);
		if (n < sizeof(names))
			n += (size_t)snprintf(names + n, sizeof(names) - n,
			    "%s%s", i > 0 ? ", " : "", rows[i].name);
	}
	if (best != NULL)
		return say(why, "unknown setting; did you mean %s?", best);
	return say(why, "unknown setting; expected one of %s", names);
}

/* ---- one value */

static int
set_number(struct conf *c, const struct row *r, const char *text,
    struct sentence *why)
{
	const char *digits = text + (*text == '-');
	char *end;
	long long value;

	errno = 0;
	value = strtoll(digits, &end, 10);
	if (*digits < '0' || *digits > '9' || *end != '\0' ||
	    (*digits == '0' && digits[1] != '\0'))
		return say(why, "\"%.64s\" is not a %snumber; expected "
		    "%" PRId64 " to %" PRId64, text, *digits >= '0' &&
		    *digits <= '9' && *end == '.' ? "whole " : "", r->min,
		    r->max);
	if (*text == '-')
		value = -value;
	if (errno == ERANGE || value < r->min || value > r->max)
		return say(why, "%.64s is out of range; expected %" PRId64
		    " to %" PRId64, text, r->min, r->max);
	*number_of(c, r) = value;
	return 0;
}

static int
set_text(struct conf *c, const struct row *r, const char *text,
    struct sentence *why)
{
	if (strlen(text) >= r->size)
		return say(why, "\"%.64s...\" is too long; expected at most "
		    "%zu bytes", text, r->size - 1);
	strcpy(text_of(c, r), text);
	return 0;
}

static int
set_choice(struct conf *c, const struct row *r, const char *text,
    struct sentence *why)
{
	const char *at = r->choices;
	size_t n;

	for (;; at += n + 1) {
		n = strcspn(at, "|");
		if (strlen(text) == n && strncmp(at, text, n) == 0)
			return set_text(c, r, text, why);
		if (at[n] == '\0')
			break;
	}
	return say(why, "\"%.64s\" is none of the choices; expected one of %s",
	    text, r->choices);
}

static int
set(struct conf *c, const struct row *r, const char *text,
    struct sentence *why)
{
	switch (r->kind) {
	case KIND_NUMBER:
		return set_number(c, r, text, why);
	case KIND_TEXT:
		return set_text(c, r, text, why);
	case KIND_LIST:
		return say(why, "it is a list, which stands in the file only");
	default:
		return set_choice(c, r, text, why);
	}
}

int
conf_set(struct conf *c, const char *name_value, char *why, size_t why_len)
{
	const char *equals = strchr(name_value, '=');
	struct sentence s;
	const struct row *r;
	char name[64];
	int fail;

	if (equals == NULL || equals == name_value) {
		snprintf(why, why_len, "\"%.64s\": expected name=value",
		    name_value);
		return -1;
	}
	snprintf(name, sizeof(name), "%.*s", (int)(equals - name_value),
	    name_value);
	r = row_find(name);
	fail = r == NULL ? fail_unknown(name, &s) : set(c, r, equals + 1, &s);
	if (fail == -1)
		snprintf(why, why_len, "%s: %s", r != NULL ? r->name : name,
		    s.text);
	return fail;
}

/* ---- the file */

/* Whether JSON would call a plain scalar a string. */
static bool
is_string(const struct yaml_node *n)
{
	const char *text = n->text;
	char *end;

	if (n->quoted)
		return true;
	if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
		return false;
	text += *text == '-';
	if (*text < '0' || *text > '9' || text[strspn(text, "0123456789.eE+-")]
	    != '\0')
		return true;
	strtod(text, &end);
	return *end != '\0';
}

static int
set_node(struct conf *c, const struct row *r, const struct yaml_node *n,
    struct sentence *why)
{
	if (n->kind != YAML_SCALAR)
		return say(why, "a %s is not one value",
		    n->kind == YAML_SEQUENCE ? "list" : "mapping");
	if (strlen(n->text) != n->text_len)
		return say(why, "a NUL character in a value");
	if (r->kind != KIND_NUMBER && !is_string(n))
		return say(why, "\"%.64s\" is not a string; put it in quotes",
		    n->text);
	return set(c, r, n->text, why);
}

int
conf_load(struct conf *c, const struct yaml *y, const struct yaml_node *godwit,
    char *why, size_t why_len)
{
	bool seen[ROWS] = { false };
	struct sentence s;
	size_t i;

	if (godwit == NULL || godwit->kind == YAML_NULL)
		return 0;
	if (godwit->kind != YAML_MAPPING) {
		snprintf(why, why_len, "%s:%u:%u: godwit: expected a mapping "
		    "of settings", yaml_file(y), (unsigned)godwit->line,
		    (unsigned)godwit->col);
		return -1;
	}
	for (i = 0; i < godwit->n; i++) {
		const struct yaml_key *key = &godwit->keys[i];
		const struct yaml_node *n = &godwit->items[i];
		const struct row *r = row_find(key->text);
		bool at_key = r == NULL || seen[r - rows];
		int fail = 0;

		if (r == NULL)
			fail = fail_unknown(key->text, &s);
		else if (seen[r - rows])
			fail = say(&s, "given twice, in snake_case and in "
			    "camelCase");
		else if (n->kind != YAML_NULL && r->kind != KIND_LIST)
			fail = set_node(c, r, n, &s);
		if (r != NULL)
			seen[r - rows] = true;
		if (fail == 0)
			continue;
		snprintf(why, why_len, "%s:%u:%u: godwit.%.64s: %s",
		    yaml_file(y), (unsigned)(at_key ? key->line : n->line),
		    (unsigned)(at_key ? key->col : n->col),
		    r != NULL ? r->name : key->text, s.text);
		return -1;
	}
	return 0;
}

/* ---- the whole */

const char *
conf_fixed_change(const struct conf *from, const struct conf *to)
{
	size_t i;

	for (i = 0; i < ROWS; i++)
		if (!rows[i].reloadable && memcmp((const char *)from +
		    rows[i].offset, (const char *)to + rows[i].offset,
		    rows[i].kind == KIND_NUMBER ? sizeof(int64_t) :
		    strlen((const char *)from + rows[i].offset) + 1) != 0)
			return rows[i].name;
	return NULL;
}

/* Without a login session there is no XDG_RUNTIME_DIR; a folder of our own
 * under /tmp then, whose owner and rights the keeper checks. */
static void
resolve_run_dir(struct conf *c, bool as_root)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");

	if (as_root)
		snprintf(c->run_dir, sizeof(c->run_dir), "/run/godwit");
	else if (runtime != NULL && runtime[0] == '/' &&
	    strlen(runtime) < sizeof(c->run_dir) - sizeof("/godwit"))
		snprintf(c->run_dir, sizeof(c->run_dir), "%s/godwit", runtime);
	else
		snprintf(c->run_dir, sizeof(c->run_dir), "/tmp/godwit-%u",
		    (unsigned)geteuid());
}

void
conf_resolve(struct conf *c, bool as_root)
{
	const struct row *workers = row_find("workers");

	if (c->run_dir[0] == '\0')
		resolve_run_dir(c, as_root);
	if (c->workers == 0) {
		c->workers = cpu_count();
		if (c->workers > workers->max)
			c->workers = workers->max;
	}
}

static void
help_row(const struct row *r, FILE *out)
{
	if (r->kind == KIND_NUMBER)
		fprintf(out, "  %s=%" PRId64 "  (%" PRId64 " to %" PRId64 ")",
		    r->name, r->number, r->min, r->max);
	else if (r->kind == KIND_LIST)
		fprintf(out, "  %s  (list)", r->name);
	else if (r->kind == KIND_CHOICE)
		fprintf(out, "  %s=%s  (%s)", r->name, r->text, r->choices);
	else
		fprintf(out, "  %s=%s  (text)", r->name, r->text);
	fprintf(out, "%s\n      %s\n", r->reloadable ? "" :
	    "  at start only", r->help);
}

void
conf_help(FILE *out)
{
	size_t i;

	for (i = 0; i < ROWS; i++)
		help_row(&rows[i], out);
}
