/*
 * xds/ems/documents.h - what a writer sends: intents, one document behind the
 * other, each with the version that it was made from.
 *
 *   # version: 3              as `get` wrote it: what it replaces; 0: nothing.
 *   service: a                Not a part of the text.
 *   owner: storage            # comments are
 *   ---
 *   region: us
 *
 * or, so that a program needn't part texts, and errors name files:
 *
 *   {"documents": [{"file": "a.yaml", "line": 1, "text": "service: a"}],
 *    "expect": {"service/a": 3, "service/b": 2}, "delete": ["service/b"]}
 *
 * A text begins with its first line that is not empty and ends with one line's
 * end; otherwise it stays as it came. Test: t/unit/documents.c.
 */
#ifndef XDS_EMS_DOCUMENTS_H
#define XDS_EMS_DOCUMENTS_H

#include "xds/ems/intent.h"

enum { DOCUMENTS_MAX = 1024 };

struct document {
	enum intent_noun noun;
	char		 name[INTENT_NAME_MAX + 1];
	char		*text;		/* NULL: it is to be deleted */
	size_t		 n;
	bool		 stated;	/* version was said */
	uint64_t	 version;
};

struct documents {
	struct document	*at;
	size_t		 n, size;
};

/* file: how a stream of YAML is called. -1: why, "file:line:col: path: what,
 * expected what"; d is to be freed all the same. */
int	documents_read(struct documents *d, const char *bytes, size_t n,
	    const char *file, char *why, size_t why_len);
void	documents_fini(struct documents *d);

/* "NOUN/NAME". False: it is none. */
bool	documents_item(const char *word, enum intent_noun *noun,
	    char name[INTENT_NAME_MAX + 1]);

#endif
