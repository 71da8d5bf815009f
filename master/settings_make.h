/*
 * master/settings_make.h - our own settings out of a file's tree and -o, and
 * those of them that the keeper is told.
 *
 *   tree, -o ──settings_conf──> struct conf ──settings_make──> control_settings
 *
 * Test: t/mesh/200-reload.py.
 */
#ifndef MASTER_SETTINGS_MAKE_H
#define MASTER_SETTINGS_MAKE_H

#include "conf/conf.h"
#include "master/control.h"
#include "master/options.h"

/* ${NAME} in what is not Envoy's alone: node and godwit. -1: why. */
int	settings_expand(struct yaml *tree, char *why, size_t why_len);
/* Only in where the godwit of this file is: who asks that, in another
 * environment, need not know the rest. */
int	settings_expand_place(struct yaml *tree, char *why, size_t why_len);
/* The settings of a tree (NULL: no file), with -o over them. -1: why. */
int	settings_conf(struct conf *c, const struct options *o,
	    const struct yaml *tree, char *why, size_t why_len);
/* -1: why; there is no such user. */
int	settings_make(const struct conf *c, bool as_root,
	    struct control_settings *s, char *why, size_t why_len);

#endif
