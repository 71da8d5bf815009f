/*
 * master/generations.h - from the file to a generation in the arena: what the
 * master, godwit -1 and godwit -t share.
 *
 *   file ──yaml──> tree ──conf──> settings
 *                    └─────xds/load──> messages ──compile──> blocks ──publish
 *
 * Invariants
 *   I1  What is refused leaves the published generation and the settings as
 *       they were.
 *   I2  The descriptor of the arena and the listeners stay those of the first
 *       generation: a file that needs others is refused by the name of what
 *       it changed.
 *
 * Test: t/unit/generations.c, t/mesh/.
 */
#ifndef MASTER_GENERATIONS_H
#define MASTER_GENERATIONS_H

#include "conf/conf.h"
#include "master/compile.h"
#include "master/control.h"
#include "master/options.h"

struct generations {
	const struct options *options;
	struct conf	 conf;		/* of the newest accepted file */
	struct arena	 arena;
	struct names	*names;
	struct compiled	 newest;	/* generation.number 0: none yet */
	struct yaml	*tree;		/* between open and first */
};

/* Reads the file as far as our own settings go, and makes the arena. -1:
 * why, "file:line:col: path: reason" where it is the file's. */
int	generations_open(struct generations *g, const struct options *o,
	    char *why, size_t why_len);
/* Compiles and publishes generation 1. -1: why. */
int	generations_first(struct generations *g, char *why, size_t why_len);
/* Reads the file again and publishes the next generation. -1: why. */
int	generations_next(struct generations *g, char *why, size_t why_len);
void	generations_close(struct generations *g);

/* What the keeper must know of the settings. -1: why (no such user). */
int	generations_settings(const struct generations *g,
	    struct control_settings *s, char *why, size_t why_len);

/* The i-th listener, as the keeper wants it. */
void	generations_listener(const struct generations *g, int i,
	    struct control_listener *l);

/* "generation 2: 2 listeners, 5 clusters, 12 endpoints". */
void	generations_text(const struct generations *g, char *out,
	    size_t out_len);

const struct block_root *generations_root(const struct generations *g);

/* Only the settings of the file, for godwit -s, which need not be able to
 * read the rest. -1: why. */
int	generations_conf(struct conf *c, const struct options *o, char *why,
	    size_t why_len);

#endif
