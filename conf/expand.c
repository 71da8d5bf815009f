/*
 * conf/expand.c - ${NAME} in a file's texts becomes what the environment says,
 * for what only the place where a proxy runs knows: a pod's name and address.
 *
 *   advertise: ${POD_IP}:50051  ──getenv──>  advertise: 10.0.0.5:50051
 *
 * Invariants
 *   E1  Only what the caller names is looked at: elsewhere "${" means itself,
 *       since the rest of a file is Envoy's, with formats and patterns.
 *   E2  A value is not looked at again, and changes neither the tree nor
 *       whether a text is a string: it can't become a list or another key.
 *   E3  A variable that is not there is refused, not taken as empty.
 *
 * Test: t/unit/expand.c.
 */
#include "conf/tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_BYTES = 256, NAME_BYTES = 128 };

struct expansion {
	struct yaml	*yaml;
	char		*why;
	size_t		 why_len;
};

static int	walk(const struct expansion *e, struct yaml_node *n,
		    const char *path);

static int
fail(const struct expansion *e, const struct yaml_node *n, const char *path,
    const char *what, const char *name)
{
	snprintf(e->why, e->why_len, "%s:%u:%u: %s: %s%s",
	    yaml_file(e->yaml), (unsigned)n->line, (unsigned)n->col, path,
	    what, name);
	return -1;
}

/* The name between "${" and "}"; the byte behind, or NULL: it is none. */
static const char *
name_read(const char *at, char name[NAME_BYTES])
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz_0123456789";
	size_t n = strspn(at, letters);

	if (n == 0 || n >= NAME_BYTES || at[n] != '}' ||
	    (*at >= '0' && *at <= '9'))
		return NULL;
	memcpy(name, at, n);
	name[n] = '\0';
	return at + n + 1;
}

static int
print(const struct expansion *e, const struct yaml_node *n, const char *path,
    FILE *out)
{
	const char *at = n->text, *next, *value;
	char name[NAME_BYTES];

	while ((next = strstr(at, "${")) != NULL) {
		fwrite(at, 1, (size_t)(next - at), out);
		if ((at = name_read(next + 2, name)) == NULL)
			return fail(e, n, path, "expected the name of a "
			    "variable and \"}\" behind \"${\"", "");
		if ((value = getenv(name)) == NULL)
			return fail(e, n, path, "the environment has no ",
			    name);
		fputs(value, out);
	}
	fputs(at, out);
	return 0;
}

static int
text_expand(const struct expansion *e, struct yaml_node *n, const char *path)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	int rc = out == NULL ? fail(e, n, path, "no memory", "") :
	    print(e, n, path, out);

	if (out != NULL && fclose(out) == EOF && rc == 0)
		rc = fail(e, n, path, "no memory", "");
	if (rc == 0) {
		n->text = tree_keep(e->yaml, text, len);
		n->text_len = len;
		if (n->text == NULL)
			rc = fail(e, n, path, "no memory", "");
	}
	free(text);
	return rc;
}

static int
items_walk(const struct expansion *e, const struct yaml_node *n,
    const char *path)
{
	char below[PATH_BYTES];

	for (size_t i = 0; i < n->n; i++) {
		if (n->kind == YAML_MAPPING)
			snprintf(below, sizeof(below), "%s.%s", path,
			    n->keys[i].text);
		else
			snprintf(below, sizeof(below), "%s[%zu]", path, i);
		if (walk(e, &n->items[i], below) == -1)
			return -1;
	}
	return 0;
}

/* No deeper than a tree may be: TREE_DEPTH_MAX. */
static int
walk(const struct expansion *e, struct yaml_node *n, const char *path)
{
	if (n->kind != YAML_SCALAR)
		return items_walk(e, n, path);
	/* A text with a NUL in it is refused by who reads it. */
	if (strlen(n->text) != n->text_len || strstr(n->text, "${") == NULL)
		return 0;
	return text_expand(e, n, path);
}

int
yaml_expand(struct yaml *y, const struct yaml_node *of, const char *key,
    const char *path, char *why, size_t why_len)
{
	const struct expansion e = { y, why, why_len };

	for (size_t i = 0; of != NULL && of->kind == YAML_MAPPING && i < of->n;
	    i++)
		if (yaml_same_name(key, of->keys[i].text) &&
		    walk(&e, &of->items[i], path) == -1)
			return -1;
	return 0;
}
