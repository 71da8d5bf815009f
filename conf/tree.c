/*
 * conf/tree.c - see tree.h; and what is asked of a finished tree (yaml.h).
 *
 * Values wait on one stack until their collection closes, then move into an
 * array of the exact size:
 *
 *   stack   | root { | listeners [ | {...} {...} {...} |   <- n
 *   levels    base 0   base 1        base 2
 *                                    close: items = copy of [base 2, n), n = 2
 *
 * Invariants
 *   I1  A level whose kind is YAML_MAPPING has a key waiting (has_key) exactly
 *       when the next value belongs to it.
 *   I2  Everything reachable from the root lies in the chunks of struct yaml.
 *
 * Test: t/unit/yaml.c.
 */
#include "conf/tree.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES = 64 << 10 };

struct chunk {
	struct chunk	*next;
	size_t		 used, size;
	uint64_t	 bytes[];	/* aligns all we keep here */
};

struct yaml {
	struct chunk	*chunks;	/* newest first */
	struct yaml_node root;
	char		*file;
};

struct waiting {			/* on the stack, see the head */
	struct yaml_node node;
	struct yaml_key	 key;		/* unused in a sequence */
};

struct level {
	enum yaml_kind	 kind;
	struct mark	 at;
	size_t		 base;
	struct yaml_key	 key;		/* of the value to come */
	bool		 has_key;	/* I1 */
};

struct tree {
	struct yaml	*y;
	struct waiting	*stack;
	size_t		 n, cap, nodes;
	struct level	 levels[TREE_DEPTH_MAX];
	int		 depth;
	char		*why;
	size_t		 why_len;
};

static void *
chunk_alloc(struct yaml *y, size_t n)
{
	struct chunk *c = y->chunks;
	size_t size;

	n = (n + sizeof(uint64_t) - 1) & ~(sizeof(uint64_t) - 1);
	if (c == NULL || c->size - c->used < n) {
		size = n > CHUNK_BYTES ? n : CHUNK_BYTES;
		if ((c = malloc(sizeof(*c) + size)) == NULL)
			return NULL;
		c->used = 0;
		c->size = size;
		c->next = y->chunks;
		y->chunks = c;
	}
	c->used += n;
	return (char *)c->bytes + c->used - n;
}

char *
tree_keep(struct yaml *y, const char *text, size_t len)
{
	char *copy = chunk_alloc(y, len + 1);

	if (copy != NULL) {
		memcpy(copy, text, len);
		copy[len] = '\0';
	}
	return copy;
}

struct tree *
tree_new(const char *file, char *why, size_t why_len)
{
	struct tree *t = calloc(1, sizeof(*t));

	snprintf(why, why_len, "%s: no memory", file);
	if (t == NULL)
		return NULL;
	t->why = why;
	t->why_len = why_len;
	t->y = calloc(1, sizeof(*t->y));
	if (t->y == NULL ||
	    (t->y->file = tree_keep(t->y, file, strlen(file))) == NULL) {
		tree_free(t);
		return NULL;
	}
	return t;
}

void
tree_free(struct tree *t)
{
	if (t == NULL)
		return;
	yaml_close(t->y);
	free(t->stack);
	free(t);
}

int
tree_fail(struct tree *t, struct mark at, const char *fmt, ...)
{
	va_list ap;
	int n;

	n = snprintf(t->why, t->why_len, "%s:%u:%u: ", t->y->file,
	    (unsigned)at.line, (unsigned)at.col);
	if (n < 0 || (size_t)n >= t->why_len)
		return -1;
	va_start(ap, fmt);
	vsnprintf(t->why + n, t->why_len - (size_t)n, fmt, ap);
	va_end(ap);
	return -1;
}

static struct level *
innermost(struct tree *t)
{
	return t->depth == 0 ? NULL : &t->levels[t->depth - 1];
}

static bool
awaits_key(struct tree *t)
{
	struct level *l = innermost(t);

	return l != NULL && l->kind == YAML_MAPPING && !l->has_key;
}

/* A finished value goes where it belongs: onto the stack, or to the root. */
static int
put_value(struct tree *t, const struct yaml_node *value)
{
	struct level *l = innermost(t);
	struct waiting *more;
	size_t cap;

	if (l == NULL) {
		t->y->root = *value;
		return 0;
	}
	if (t->n == t->cap) {
		cap = t->cap == 0 ? 256 : t->cap * 2;
		more = realloc(t->stack, cap * sizeof(*more));
		if (more == NULL)
			return tree_fail(t, l->at, "no memory");
		t->stack = more;
		t->cap = cap;
	}
	t->stack[t->n].node = *value;
	t->stack[t->n].key = l->key;
	l->has_key = false;
	t->n++;
	return 0;
}

static int
count_node(struct tree *t, struct mark at)
{
	if (++t->nodes > TREE_NODES_MAX)
		return tree_fail(t, at, "more than %d values in one file",
		    TREE_NODES_MAX);
	return 0;
}

int
tree_open(struct tree *t, enum yaml_kind kind, struct mark at)
{
	struct level *l;

	if (awaits_key(t))
		return tree_fail(t, at, "a key must be text");
	if (t->depth == TREE_DEPTH_MAX)
		return tree_fail(t, at, "nested deeper than %d levels",
		    TREE_DEPTH_MAX);
	if (count_node(t, at) == -1)
		return -1;
	l = &t->levels[t->depth++];
	*l = (struct level){ .kind = kind, .at = at, .base = t->n };
	return 0;
}

static int
put_key(struct tree *t, const char *text, size_t len, enum tree_text what,
    struct mark at)
{
	struct level *l = innermost(t);

	if (what == TREE_NOTHING || memchr(text, '\0', len) != NULL)
		return tree_fail(t, at, "a key must be text");
	if (what == TREE_PLAIN && strcmp(text, "<<") == 0)
		return tree_fail(t, at,
		    "merge keys (<<) are not supported; write the keys out");
	l->key.text = tree_keep(t->y, text, len);
	l->key.line = at.line;
	l->key.col = at.col;
	l->has_key = true;
	return l->key.text == NULL ? tree_fail(t, at, "no memory") : 0;
}

int
tree_text(struct tree *t, const char *text, size_t len, enum tree_text what,
    struct mark at)
{
	struct yaml_node node = { .line = at.line, .col = at.col };

	if (awaits_key(t))
		return put_key(t, text, len, what, at);
	if (count_node(t, at) == -1)
		return -1;
	if (what != TREE_NOTHING) {
		node.kind = YAML_SCALAR;
		node.quoted = what == TREE_QUOTED;
		node.text_len = len;
		node.text = tree_keep(t->y, text, len);
		if (node.text == NULL)
			return tree_fail(t, at, "no memory");
	}
	return put_value(t, &node);
}

static int
key_order(const void *a, const void *b)
{
	const struct yaml_key *x = a, *y = b;
	int order = strcmp(x->text, y->text);

	if (order == 0)
		order = (x->line > y->line) - (x->line < y->line);
	if (order == 0)
		order = (x->col > y->col) - (x->col < y->col);
	return order;
}

/* Sorted, not compared pair by pair: a million keys must not cost a day. */
static int
check_keys(struct tree *t, const struct yaml_key *keys, size_t n)
{
	struct yaml_key *sorted;
	int fail = 0;
	size_t i;

	if (n < 2)
		return 0;
	if ((sorted = malloc(n * sizeof(*sorted))) == NULL)
		return tree_fail(t, innermost(t)->at, "no memory");
	memcpy(sorted, keys, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), key_order);
	for (i = 1; i < n && fail == 0; i++)
		if (strcmp(sorted[i - 1].text, sorted[i].text) == 0)
			fail = tree_fail(t, (struct mark){ sorted[i].line,
			    sorted[i].col }, "duplicate key \"%.64s\", first "
			    "in line %u", sorted[i].text,
			    (unsigned)sorted[i - 1].line);
	free(sorted);
	return fail;
}

int
tree_close(struct tree *t)
{
	struct level *l = innermost(t);
	struct yaml_node node = { .kind = l->kind, .line = l->at.line,
	    .col = l->at.col, .n = t->n - l->base };
	size_t i;

	assert(!l->has_key);
	if (node.n > 0)
		node.items = chunk_alloc(t->y, node.n * sizeof(*node.items));
	if (node.n > 0 && l->kind == YAML_MAPPING)
		node.keys = chunk_alloc(t->y, node.n * sizeof(*node.keys));
	if (node.n > 0 && (node.items == NULL ||
	    (l->kind == YAML_MAPPING && node.keys == NULL)))
		return tree_fail(t, l->at, "no memory");
	for (i = 0; i < node.n; i++) {
		node.items[i] = t->stack[l->base + i].node;
		if (l->kind == YAML_MAPPING)
			node.keys[i] = t->stack[l->base + i].key;
	}
	if (l->kind == YAML_MAPPING && check_keys(t, node.keys, node.n) == -1)
		return -1;
	t->n = l->base;
	t->depth--;
	return put_value(t, &node);
}

struct yaml *
tree_done(struct tree *t)
{
	struct yaml *y = t->y;

	assert(t->depth == 0);
	if (t->nodes == 0)
		y->root = (struct yaml_node){ .line = 1, .col = 1 };
	t->y = NULL;
	t->why[0] = '\0';
	return y;
}

struct mark
tree_mark(const char *bytes, size_t n)
{
	struct mark at = { 1, 1 };
	size_t i;

	for (i = 0; i < n; i++) {
		if (bytes[i] == '\n') {
			at.line++;
			at.col = 1;
		} else if ((bytes[i] & 0xc0) != 0x80)
			at.col++;
	}
	return at;
}

void
yaml_close(struct yaml *y)
{
	struct chunk *c, *next;

	if (y == NULL)
		return;
	for (c = y->chunks; c != NULL; c = next) {
		next = c->next;
		free(c);
	}
	free(y);
}

const struct yaml_node *
yaml_root(const struct yaml *y)
{
	return &y->root;
}

const char *
yaml_file(const struct yaml *y)
{
	return y->file;
}
