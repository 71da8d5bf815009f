/*
 * xds/ems/documents.c - see documents.h.
 *
 * An intent is read where it stood, behind as many empty lines as were before
 * it, so that its errors have the right line.
 */
#include "xds/ems/documents.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/yaml.h"
#include "shm/log.h"

/* A text, and where it stands. */
struct piece {
	const char	*at;
	size_t		 n;
	const char	*file;
	size_t		 line;		/* of its first, from 1 */
};

struct reading {
	struct documents *documents;
	char		*why;
	size_t		 why_len;
};

static int
no_memory(struct reading *r)
{
	return why_set(r->why, r->why_len, "no memory is left");
}

/* ---- lines */

static size_t
line_n(const struct piece *p)
{
	const char *end = memchr(p->at, '\n', p->n);

	return end == NULL ? p->n : (size_t)(end - p->at) + 1;
}

static void
line_drop(struct piece *p)
{
	size_t n = line_n(p);

	p->at += n;
	p->n -= n;
	p->line++;
}

static bool
is_blank(const char *at, size_t n)
{
	while (n > 0 && memchr(" \t\r\n", at[n - 1], 4) != NULL)
		n--;
	return n == 0;
}

/* "---", and behind it nothing but a comment. */
static bool
is_border(const char *at, size_t n)
{
	if (n < 3 || memcmp(at, "---", 3) != 0)
		return false;
	return is_blank(at + 3, n - 3) || (n > 4 && (at[3] == ' ' ||
	    at[3] == '\t') && at[3 + strspn(at + 3, " \t")] == '#');
}

/* Nothing in it but comments. */
static bool
is_empty(struct piece p)
{
	for (; p.n > 0; line_drop(&p))
		if (!is_blank(p.at, line_n(&p)) && *p.at != '#')
			return false;
	return true;
}

/* "# version: 3" */
static bool
version_line(const char *at, size_t n, uint64_t *version)
{
	char line[64];
	int end = 0;

	if (n >= sizeof(line))
		return false;
	memcpy(line, at, n);
	line[n] = '\0';
	return sscanf(line, "# version: %20" SCNu64 " %n", version, &end) ==
	    1 && end > 0 && line[end] == '\0' &&
	    strchr(line, '-') == NULL;
}

/* ---- a document */

static struct document *
document_add(struct reading *r)
{
	struct documents *d = r->documents;
	struct document *more;

	if (d->n == DOCUMENTS_MAX) {
		why_set(r->why, r->why_len, "there are more than %d documents, "
		    "expected no more at once", DOCUMENTS_MAX);
		return NULL;
	}
	if (d->n == d->size) {
		d->size = d->size * 2 + 8;
		more = realloc(d->at, d->size * sizeof(*more));
		if (more == NULL) {
			no_memory(r);
			return NULL;
		}
		d->at = more;
	}
	d->at[d->n] = (struct document){ 0 };
	return &d->at[d->n++];
}

static struct document *
document_find(const struct documents *d, enum intent_noun noun,
    const char *name)
{
	for (size_t i = 0; i < d->n; i++)
		if (d->at[i].noun == noun && strcmp(d->at[i].name, name) == 0)
			return &d->at[i];
	return NULL;
}

static int
name_set(struct reading *r, struct document *to, enum intent_noun noun,
    const char *name)
{
	/* The last is to itself. */
	r->documents->n--;
	if (document_find(r->documents, noun, name) != NULL) {
		r->documents->n++;
		return why_set(r->why, r->why_len, "%s/%s is there twice, "
		    "expected each once", intent_word(noun), name);
	}
	r->documents->n++;
	to->noun = noun;
	snprintf(to->name, sizeof(to->name), "%s", name);
	return 0;
}

static int
text_copy(struct reading *r, struct document *to, const struct piece *p)
{
	size_t n = p->n;

	while (n > 0 && is_blank(p->at + n - 1, 1))
		n--;
	to->text = malloc(n + 2);
	if (to->text == NULL)
		return no_memory(r);
	memcpy(to->text, p->at, n);
	memcpy(to->text + n, "\n", 2);
	to->n = n + 1;
	return 0;
}

/* JSON is known by its first byte: it is read with its own lines. */
static struct intent *
intent_of(struct reading *r, const struct document *d, const struct piece *p)
{
	size_t before = *d->text == '{' ? 0 : p->line - 1;
	char *padded = malloc(before + d->n + 1);
	struct intent *i;

	if (padded == NULL) {
		no_memory(r);
		return NULL;
	}
	memset(padded, '\n', before);
	memcpy(padded + before, d->text, d->n + 1);
	i = intent_read(padded, before + d->n, p->file, r->why, r->why_len);
	free(padded);
	return i;
}

static int
document_read(struct reading *r, struct piece p)
{
	struct document *d;
	struct intent *i;
	int rc;

	while (p.n > 0 && is_blank(p.at, line_n(&p)))
		line_drop(&p);
	if ((d = document_add(r)) == NULL)
		return -1;
	if (version_line(p.at, line_n(&p), &d->version)) {
		d->stated = true;
		line_drop(&p);
	}
	if (text_copy(r, d, &p) == -1)
		return -1;
	i = intent_of(r, d, &p);
	if (i == NULL)
		return -1;
	rc = name_set(r, d, i->noun, i->name);
	intent_free(i);
	return rc;
}

/* Each document of a stream. */
static int
stream_read(struct reading *r, struct piece all)
{
	struct piece p = all;

	for (;;) {
		bool last = all.n == 0;

		if (last || is_border(all.at, line_n(&all))) {
			p.n = (size_t)(all.at - p.at);
			if (!is_empty(p) && document_read(r, p) == -1)
				return -1;
			if (last)
				return 0;
			line_drop(&all);
			p = all;
		} else
			line_drop(&all);
	}
}

/* ---- the form for programs */

static int
fail_at(struct reading *r, const struct yaml *y, const struct yaml_node *n,
    const char *what)
{
	return why_set(r->why, r->why_len, "%s:%u:%u: %s", yaml_file(y),
	    n->line, n->col, what);
}

static bool
number_read(const struct yaml_node *n, uint64_t *to)
{
	char *end;

	if (n == NULL || n->kind != YAML_SCALAR || n->quoted ||
	    n->text_len == 0 || n->text_len > 18 || n->text[0] == '-')
		return false;
	*to = strtoull(n->text, &end, 10);
	return *end == '\0';
}

static int
entry_read(struct reading *r, const struct yaml *y, const struct yaml_node *n)
{
	const struct yaml_node *text = n->kind == YAML_MAPPING ?
	    yaml_find(n, "text") : n, *file = yaml_find(n, "file");
	struct piece p = { .file = yaml_file(y), .line = 1 };
	uint64_t line;

	if (text == NULL || text->kind != YAML_SCALAR)
		return fail_at(r, y, n, "a document is a text, or "
		    "{\"text\": ..., \"file\": ..., \"line\": ...}");
	p.at = text->text;
	p.n = text->text_len;
	if (file != NULL && file->kind == YAML_SCALAR)
		p.file = file->text;
	if (number_read(yaml_find(n, "line"), &line) && line > 0 &&
	    line < 10000000)
		p.line = (size_t)line;
	return stream_read(r, p);
}

bool
documents_item(const char *word, enum intent_noun *noun,
    char name[INTENT_NAME_MAX + 1])
{
	char first[16];
	size_t n = strcspn(word, "/");
	int found;

	if (word[n] == '\0' || n >= sizeof(first))
		return false;
	memcpy(first, word, n);
	first[n] = '\0';
	found = intent_noun_find(first);
	if (found == -1 || !intent_name_is_good(word + n + 1))
		return false;
	*noun = (enum intent_noun)found;
	strcpy(name, word + n + 1);
	return true;
}

static int
deletion_read(struct reading *r, const struct yaml *y,
    const struct yaml_node *n)
{
	char name[INTENT_NAME_MAX + 1];
	enum intent_noun noun;
	struct document *d;

	if (n->kind != YAML_SCALAR || !documents_item(n->text, &noun, name))
		return fail_at(r, y, n, "what is to be deleted is written as "
		    "\"NOUN/NAME\"");
	d = document_add(r);
	return d == NULL ? -1 : name_set(r, d, noun, name);
}

static int
expect_read(struct reading *r, const struct yaml *y,
    const struct yaml_node *expect)
{
	char name[INTENT_NAME_MAX + 1];
	enum intent_noun noun;
	struct document *d;

	for (size_t i = 0; i < expect->n; i++) {
		const struct yaml_node *n = &expect->items[i];

		if (!documents_item(expect->keys[i].text, &noun, name) ||
		    (d = document_find(r->documents, noun, name)) == NULL)
			return fail_at(r, y, n, "expect: there is no such "
			    "document here, expected \"NOUN/NAME\" of one");
		if (!number_read(n, &d->version))
			return fail_at(r, y, n, "expect: a version is a "
			    "number, 0 for what is to be created");
		d->stated = true;
	}
	return 0;
}

static int
list_read(struct reading *r, const struct yaml *y, const char *key,
    int (*read)(struct reading *, const struct yaml *,
    const struct yaml_node *))
{
	const struct yaml_node *list = yaml_find(yaml_root(y), key);

	if (list == NULL)
		return 0;
	if (list->kind != YAML_SEQUENCE)
		return fail_at(r, y, list, "expected a list");
	for (size_t i = 0; i < list->n; i++)
		if (read(r, y, &list->items[i]) == -1)
			return -1;
	return 0;
}

static int
form_read(struct reading *r, const struct yaml *y)
{
	const struct yaml_node *expect = yaml_find(yaml_root(y), "expect");

	if (list_read(r, y, "documents", entry_read) == -1 ||
	    list_read(r, y, "delete", deletion_read) == -1)
		return -1;
	if (expect == NULL)
		return 0;
	if (expect->kind != YAML_MAPPING)
		return fail_at(r, y, expect, "expect: expected {\"NOUN/NAME\": "
		    "VERSION}");
	return expect_read(r, y, expect);
}

static bool
is_form(const struct yaml_node *root)
{
	static const char *const keys[] = { "documents", "delete", "expect" };
	size_t known = 0;

	if (root->kind != YAML_MAPPING)
		return false;
	for (size_t i = 0; i < root->n; i++)
		for (size_t j = 0; j < 3; j++)
			known += strcmp(root->keys[i].text, keys[j]) == 0;
	return known > 0 && known == root->n;
}

int
documents_read(struct documents *d, const char *bytes, size_t n,
    const char *file, char *why, size_t why_len)
{
	struct reading r = { d, why, why_len };
	struct piece all = { bytes, n, file, 1 };
	struct yaml *y;
	int rc;

	*d = (struct documents){ 0 };
	if (n > 0 && *bytes == '{') {
		y = yaml_read(bytes, n, file, why, why_len);
		if (y == NULL)
			return -1;
		rc = is_form(yaml_root(y)) ? form_read(&r, y) :
		    document_read(&r, all);
		yaml_close(y);
	} else
		rc = stream_read(&r, all);
	if (rc == 0 && d->n == 0)
		return why_set(why, why_len, "%s: there is no document in it, "
		    "expected an intent: \"service: NAME\", ...", file);
	return rc;
}

void
documents_fini(struct documents *d)
{
	for (size_t i = 0; i < d->n; i++)
		free(d->at[i].text);
	free(d->at);
	*d = (struct documents){ 0 };
}
