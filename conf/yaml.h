/*
 * conf/yaml.h - a YAML or JSON file as a tree in which every node knows where
 * it stood, so that every refusal can say file:line:col.
 *
 * Limits: 64 levels, 64 MiB, 4 million nodes. Aliases, merge keys, duplicate
 * keys, several documents and keys that are not text are refused. Scalars
 * keep their text; what they mean is the reader's question, by JSON's rules
 * (true and false only; a quoted 5 is a string).
 *
 * JSON (first byte '{', or a name ending in .json) is judged by jansson, whose
 * errors have line and column; its nodes carry no marks of their own, so what
 * jansson called JSON is walked once more for them (json.c; why not libyaml
 * is told there). Test: t/unit/yaml.c.
 */
#ifndef CONF_YAML_H
#define CONF_YAML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum yaml_kind { YAML_NULL, YAML_SCALAR, YAML_SEQUENCE, YAML_MAPPING };

struct yaml_node {
	enum yaml_kind	 kind;
	bool		 quoted;	/* scalar: a string for certain */
	uint32_t	 line, col;	/* from 1; of the value */
	char		*text;		/* scalar; NUL-terminated */
	size_t		 text_len;
	size_t		 n;		/* items, or pairs */
	struct yaml_node *items;	/* sequence: items; mapping: values */
	struct yaml_key	*keys;		/* mapping: keys[i] of items[i] */
};

struct yaml_key {
	char		*text;
	uint32_t	 line, col;
};

struct yaml;				/* a tree and its file name */

/* Reads a file, or bytes under the name that errors shall show.
 * NULL: why is "file:line:col: what is wrong". */
struct yaml	*yaml_open(const char *file, char *why, size_t why_len);
struct yaml	*yaml_read(const char *bytes, size_t n, const char *file,
		    char *why, size_t why_len);
void		 yaml_close(struct yaml *y);

const struct yaml_node *yaml_root(const struct yaml *y);
const char	*yaml_file(const struct yaml *y);

/* The value of a key of a mapping, or NULL. */
const struct yaml_node *yaml_find(const struct yaml_node *n, const char *key);

/* The deepest node on a path like "static_resources.clusters[3].lb_policy" or
 * metadata.filter_metadata["envoy.lb"], where the key of a map is quoted.
 * snake_case and camelCase name the same key. Never NULL. */
const struct yaml_node *yaml_find_path(const struct yaml *y, const char *path);

/* In all texts below this key of the mapping `of` (which path names), ${NAME}
 * becomes the environment's NAME. No such key: nothing. -1: why. */
int	 yaml_expand(struct yaml *y, const struct yaml_node *of,
	    const char *key, const char *path, char *why, size_t why_len);

/* Whether given is name (snake_case) or name's camelCase. */
bool	 yaml_same_name(const char *name, const char *given);

/* For "did you mean": sets *best (NULL at first) to name when given is likely
 * a slip for it, and more so than for the *best before. */
bool	 yaml_nearer(const char *given, const char *name, const char **best);

/* "libyaml 0.2.5, jansson 2.14" */
const char *yaml_library(void);

#endif
