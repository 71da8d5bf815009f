/*
 * conf/find.c - finding things by name in a tree (yaml.h): keys in either
 * spelling, paths, and the name that was probably meant.
 *
 *   static_resources.clusters[3].metadata.filter_metadata["envoy.lb"]
 *   \- a key         \- item 3                          \- this very key
 *
 * Test: t/unit/yaml.c.
 */
#include "conf/yaml.h"

#include <string.h>

enum { NAME_MAX_BYTES = 64 };	/* longer names are not guessed at */

const struct yaml_node *
yaml_find(const struct yaml_node *n, const char *key)
{
	size_t i;

	if (n == NULL || n->kind != YAML_MAPPING)
		return NULL;
	for (i = 0; i < n->n; i++)
		if (strcmp(n->keys[i].text, key) == 0)
			return &n->items[i];
	return NULL;
}

/* JSON's spelling: each '_' goes, and the letter after it is a capital. */
static bool
same_camel(const char *name, const char *given)
{
	bool up = false;
	char c;

	for (; *name != '\0'; name++) {
		if (*name == '_') {
			up = true;
			continue;
		}
		c = *name;
		if (up && c >= 'a' && c <= 'z')
			c = (char)(c - 'a' + 'A');
		up = false;
		if (*given++ != c)
			return false;
	}
	return *given == '\0';
}

bool
yaml_same_name(const char *name, const char *given)
{
	return strcmp(name, given) == 0 || same_camel(name, given);
}

static const struct yaml_node *
find_name(const struct yaml_node *n, const char *name)
{
	size_t i;

	if (n->kind != YAML_MAPPING)
		return NULL;
	for (i = 0; i < n->n; i++)
		if (yaml_same_name(name, n->keys[i].text))
			return &n->items[i];
	return NULL;
}

static const struct yaml_node *
find_index(const struct yaml_node *n, const char *digits)
{
	size_t i = 0;

	for (; *digits >= '0' && *digits <= '9' && i <= n->n; digits++)
		i = i * 10 + (size_t)(*digits - '0');
	if (n->kind != YAML_SEQUENCE || i >= n->n)
		return NULL;
	return &n->items[i];
}

/* Copies the next step of a path; returns what follows it, NULL at the end.
 * *kind is '.', '[' (an index) or '"' (a key as it is). */
static const char *
path_step(const char *path, char *kind, char *step, size_t step_len)
{
	const char *end;
	size_t n;

	if (*path == '.')
		path++;
	if (*path == '\0')
		return NULL;
	*kind = *path != '[' ? '.' : path[1] == '"' ? '"' : '[';
	path += *kind == '"' ? 2 : *kind == '[' ? 1 : 0;
	end = *kind == '"' ? strstr(path, "\"]") : *kind == '[' ?
	    strchr(path, ']') : path + strcspn(path, ".[");
	if (end == NULL)
		return NULL;
	n = (size_t)(end - path);
	if (n >= step_len)
		return NULL;
	memcpy(step, path, n);
	step[n] = '\0';
	return end + (*kind == '"' ? 2 : *kind == '[' ? 1 : 0);
}

const struct yaml_node *
yaml_find_path(const struct yaml *y, const char *path)
{
	const struct yaml_node *n = yaml_root(y), *next;
	char step[512], kind = '.';

	while ((path = path_step(path, &kind, step, sizeof(step))) != NULL) {
		next = kind == '[' ? find_index(n, step) :
		    kind == '"' ? yaml_find(n, step) : find_name(n, step);
		if (next == NULL)
			break;
		n = next;
	}
	return n;
}

/* Letters to change, add or drop (Levenshtein). */
static size_t
distance(const char *a, const char *b)
{
	size_t row[NAME_MAX_BYTES + 1], i, j, corner, above, best;
	size_t bn = strlen(b);

	for (j = 0; j <= bn; j++)
		row[j] = j;
	for (i = 1; a[i - 1] != '\0'; i++) {
		corner = row[0];
		row[0] = i;
		for (j = 1; j <= bn; j++) {
			above = row[j];
			best = corner + (a[i - 1] != b[j - 1]);
			if (above + 1 < best)
				best = above + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			corner = above;
			row[j] = best;
		}
	}
	return row[bn];
}

bool
yaml_nearer(const char *given, const char *name, const char **best)
{
	size_t most = strlen(given) / 3 + 1, now;

	if (strlen(given) > NAME_MAX_BYTES || strlen(name) > NAME_MAX_BYTES)
		return false;
	if (*best != NULL && (now = distance(given, *best)) <= most)
		most = now - (now > 0);
	if (distance(given, name) > most)
		return false;
	*best = name;
	return true;
}
