/*
 * conf/tree.h - builds the tree of yaml.h from the bottom up, for the two
 * readers of text: yaml.c (libyaml's events) and json.c (JSON's own walk).
 * Private to conf/.
 *
 *   tree_open(MAPPING)  tree_text("a")  tree_text("1")  tree_close()
 *                       \- a key       \- its value
 *
 * The limits of yaml.h are kept here, once for both.
 */
#ifndef CONF_TREE_H
#define CONF_TREE_H

#include "conf/yaml.h"

enum {
	TREE_DEPTH_MAX = 64,
	TREE_BYTES_MAX = 64 << 20,
	TREE_NODES_MAX = 4000000,
};

struct mark {
	uint32_t	 line, col;	/* from 1; col in characters */
};

enum tree_text {
	TREE_PLAIN,			/* what it means is open */
	TREE_QUOTED,			/* a string for certain */
	TREE_NOTHING,			/* null, and no text */
};

struct tree;

/* NULL: no memory. */
struct tree *tree_new(const char *file, char *why, size_t why_len);
/* Frees the builder, and the tree unless tree_done handed it over. */
void	tree_free(struct tree *t);

/* -1 from here on: why is written, give up. text is copied. */
int	tree_open(struct tree *t, enum yaml_kind kind, struct mark at);
int	tree_close(struct tree *t);
int	tree_text(struct tree *t, const char *text, size_t len,
	    enum tree_text what, struct mark at);

/* Writes "file:line:col: ..." and returns -1. */
int	tree_fail(struct tree *t, struct mark at, const char *fmt, ...)
	    __attribute__((format(printf, 3, 4)));

/* The whole tree; an empty file is one null. */
struct yaml *tree_done(struct tree *t);

/* A copy that lives as long as the tree. NULL: no memory. */
char	*tree_keep(struct yaml *y, const char *text, size_t len);

/* Where byte n of the text is. */
struct mark tree_mark(const char *bytes, size_t n);

/* Bytes that jansson called JSON, into t; see json.c. -1: why. */
int	json_walk(struct tree *t, const char *bytes, size_t n);

#endif
