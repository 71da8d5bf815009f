/*
 * master/options.h - the command line, as said; nothing is opened or checked
 * against the world here.
 *
 *   godwit [-c FILE] [-o NAME=VALUE]...          runs in the foreground
 *          -1        in one process              -t  checks the file
 *          -s WORD   tells the one that runs     -V  version    -h  help
 *
 * Test: t/unit/options.c.
 */
#ifndef MASTER_OPTIONS_H
#define MASTER_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "conf/conf.h"

enum options_mode {
	OPTIONS_RUN, OPTIONS_SINGLE, OPTIONS_TEST, OPTIONS_SIGNAL,
	OPTIONS_VERSION, OPTIONS_HELP,
};

enum { OPTIONS_SETTINGS_MAX = 64 };

struct options {
	enum options_mode mode;
	const char	*file;		/* of -c, or the installed one */
	bool		 file_given;
	bool		 debuggable;	/* workers can be dumped and traced */
	const char	*signal;	/* the word of -s */
	const char	*settings[OPTIONS_SETTINGS_MAX];	/* of -o */
	int		 settings_n;
	bool		 as_root;	/* godwit was started so: we are,
					   or our keeper is */
};

/* Texts stay argv's. -1: why is one sentence. */
int	options_parse(struct options *o, int argc, char *const *argv,
	    char *why, size_t why_len);

/* Applies every -o to c, in order. */
int	options_apply(const struct options *o, struct conf *c, char *why,
	    size_t why_len);

/* Whether -o names this setting. */
bool	options_set(const struct options *o, const char *name);

void	options_help(FILE *out);

#endif
