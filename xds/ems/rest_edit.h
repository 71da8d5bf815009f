/*
 * xds/ems/rest_edit.h - what a writer wants of each intent, beside what is
 * there: what would be done, or why it can't be.
 *
 *   wanted        said       there        so
 *   a text        -, 0       nothing      CREATE
 *   a text        3          version 3    CHANGE, or SAME for the same text
 *   a text        3          version 4    CONFLICT, or SAME for the same text
 *   another text  -          version 4    UNSTATED: may be CHANGE (plan, force)
 *   the same      -          version 4    SAME
 *   nothing       3          version 3    DELETE
 *   nothing       -          nothing      SAME
 *
 * Whoever says no version may create, and repeat what is there; to replace it
 * he has to say what he has seen. Who says an older version and writes what is
 * there has what he wants (RFC 9110, 13.1.1): his answer may have been lost. Not
 * who says 0: of two that create one is told. Test: t/unit/rest_edit.c.
 */
#ifndef XDS_EMS_REST_EDIT_H
#define XDS_EMS_REST_EDIT_H

#include "xds/ems/documents.h"
#include "xds/ems/store.h"
#include "xds/print.h"

enum edit_action {
	EDIT_SAME, EDIT_CREATE, EDIT_CHANGE, EDIT_DELETE,
	EDIT_CONFLICT, EDIT_UNSTATED,
};

struct edit {
	struct document	 wanted;	/* the edit's own */
	enum edit_action action;
	uint64_t	 current;	/* version; 0: it is not there */
	char		*before;	/* the text there, or NULL */
	uint64_t	 to;		/* version that came of it */
};

struct edits {
	struct edit	*at;
	size_t		 n;
	size_t		 bytes;		/* of all texts */
	uint64_t	 revision;	/* that it was compared with */
};

/* d is empty then. False: no memory. */
bool	edits_take(struct edits *e, struct documents *d);
void	edits_fini(struct edits *e);

enum edit_rule {
	EDIT_STATED,		/* who says no version is refused, always */
	EDIT_SAFE,		/* the table above */
	EDIT_ANYWAY,		/* UNSTATED counts as what is there */
};
/* Fills current, before and action of each. items: by noun and name. False: no
 * memory. */
bool	edits_compare(struct edits *e, const struct store_answer *items,
	    enum edit_rule rule);
/* What leads from here to the items of another revision. False: no memory. */
bool	edits_back(struct edits *e, const struct store_answer *items);
/* Those of now that are not wanted yet, to be deleted. False: no memory. */
bool	edits_delete_others(struct edits *e, const struct store_answer *items);

/* How many can't be done; *first is the first of them. */
size_t	edits_refused(const struct edits *e, const struct edit **first);
/* That, as one sentence. */
void	edit_why(const struct edit *e, size_t others, char *why,
	    size_t why_len);

/* Those to be written; their place in e is in at[]. Both of e->n. */
size_t	edits_changes(const struct edits *e, struct store_change *changes,
	    size_t *at);

/* Fields of an object that is open. */
void	edit_print(struct print *p, const struct edit *e, bool diff);
void	edit_print_conflict(struct print *p, const struct edit *e);

/* "diff": difference.h, if there is one. */
void	edit_print_diff(struct print *p, const char *before_title,
	    const char *before, const char *after_title, const char *after);

#endif
