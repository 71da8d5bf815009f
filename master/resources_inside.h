/*
 * master/resources_inside.h - what the files of the set of resources share,
 * and nobody else.
 *
 *   resources.c         the set: what is in it, and questions
 *   resources_edge.c    who names whom
 *   resources_put.c     what becomes of a version
 *   resources_file.c    those of a file
 *   resources_journal.c what a master's successor needs
 *   resources_stage.c   trying, undoing
 */
#ifndef MASTER_RESOURCES_INSIDE_H
#define MASTER_RESOURCES_INSIDE_H

#include <sys/queue.h>

#include "master/resources.h"

struct resource;

enum which { LIVE, NEXT, WHICHES };

struct edge {				/* from names to */
	LIST_ENTRY(edge) out, in;	/* of from's list, of to's */
	struct resource	*from, *to;
	enum which	 which;		/* version of from */
	bool		 waits;		/* to was not there */
	uint32_t	 missing_ms;	/* how long, 0: for ever */
};
LIST_HEAD(edges, edge);

struct resource {
	struct resource	*next_by_hash;
	TAILQ_ENTRY(resource) dirty_link;
	TAILQ_ENTRY(resource) due_link;	/* of the set: due_ms is set */
	uint64_t	 hash;
	struct resource_version *version[WHICHES];
	struct resource_version *refused;
	char		*why;		/* of refused */
	struct edges	 out[WHICHES];	/* attached: in to's in list */
	struct edges	 in;
	struct undo	*undo;		/* of this stage, or NULL */
	int64_t		 due_ms;	/* it is missing then, or lingered
					   enough; 0: nothing is due */
	int64_t		 waits_since_ms;	/* somebody waits for it */
	uint32_t	 patience_ms;	/* the longest who wait for it have;
					   0: for ever */
	uint32_t	 owner;		/* never 0, never again another's */
	uint32_t	 edges_n;	/* that lead here, attached or not */
	uint32_t	 seen;		/* the compilation that found it last */
	struct edge	*found;		/* by that one, while it runs */
	enum resource_kind kind;
	uint32_t	 in_file;	/* the last resources_file that had it */
	bool		 dirty;		/* queued: try it */
	bool		 again;		/* with dirty: its live version too */
	bool		 missing;
	bool		 gone;		/* its source removed it */
	char		 name[];
};
TAILQ_HEAD(dirty, resource);

/* How a resource was before this stage touched it. */
enum { NAME_BYTES = 1024 };

struct undo {
	SLIST_ENTRY(undo) link;
	struct resource	*resource;
	struct resource_version *version[WHICHES], *refused;
	char		*why;
	struct edges	 out[WHICHES];	/* not attached */
	bool		 saved[WHICHES];	/* out is */
	bool		 missing, gone;
	int64_t		 due_ms, waits_since_ms;
	uint32_t	 patience_ms;
};

struct resources {
	struct resources_settings settings;
	struct resource	**buckets;
	size_t		 buckets_n, resources_n;
	uint32_t	 owner_last, walk;
	struct dirty	 dirty;
	TAILQ_HEAD(due, resource) due;	/* soonest first */
	SLIST_HEAD(, undo) undos;
	/* Of the stage. */
	struct compiler	*compiler;
	struct compile_ask ask;
	struct image	*image;
	struct journal	*journal;	/* or NULL */
	int64_t		 now_ms;
	struct edges	 found;		/* by the compilation under way */
	struct resource	*trying;	/* routes, a host name: this version
					   of it is to be found */
	struct resource_version *trying_version;
	uint32_t	 file;		/* counts resources_file */
	uint64_t	 changes;	/* commits that touched something */
	bool		 dynamic[RESOURCE_KINDS_ALL];	/* somebody sends them */
	bool		 named[RESOURCE_KINDS_ALL];	/* by name only */
	uint32_t	 clusters_ms;	/* resources_timeout */
	bool		 open;
	bool		 changed;
	bool		 no_memory;
	char		 why[2048];	/* rather than that; or "" */
};

/* Each resource of the set; the body may not free it. */
#define EACH_RESOURCE(r, i, at) \
	for (size_t i = 0; i < (r)->buckets_n; i++) \
		for (at = (r)->buckets[i]; at != NULL; at = at->next_by_hash)

/* ---- resources.c */
/* Found or made. NULL: no memory. */
struct resource *resource_get(struct resources *r, enum resource_kind kind,
	    const char *name);
struct resource *resource_find(const struct resources *r,
	    enum resource_kind kind, const char *name);
struct resource_version *version_new(const char *text, const uint8_t *bytes,
	    size_t len, enum resource_from from, int64_t now_ms);
void	version_put(struct resource_version *v);	/* may be NULL */
void	version_set(struct resource *at, enum which which,
	    struct resource_version *v);	/* v: its caller's too */
/* Frees it when nothing is known of it and nobody names it. */
void	resource_tidy(struct resources *r, struct resource *at);
void	resource_due(struct resources *r, struct resource *at, int64_t ms);
/* Queued to be tried; again: its live version is compiled anew. */
void	resource_dirty(struct resources *r, struct resource *at, bool again);
/* The first change of it in this stage: remembers how it was. */
bool	resource_touch(struct resources *r, struct resource *at);

/* ---- resources_journal.c */
void	resource_journal_put(struct resources *r, const struct resource *at,
	    const struct resource_version *v);
void	resource_journal_remove(struct resources *r,
	    const struct resource *at);
void	resource_journal_missing(struct resources *r,
	    const struct resource *at);

/* ---- resources_put.c */
enum compile_found resource_ask(void *r, enum resource_kind kind,
	    const char *name, uint32_t missing_ms,
	    struct compile_answer *answer);
struct compile_resource resource_compile(const struct resource *at,
	    const struct resource_version *v);
/* The version of a secret, without its key. NULL: refused, why. */
struct resource_version *resource_secret_new(struct resources *r,
	    const char *text, const uint8_t *bytes, size_t len,
	    enum resource_from from, char *why, size_t why_len);
/* Compiles v; -1: refused. at was touched. */
int	resource_put(struct resources *r, struct resource *at,
	    struct resource_version *v, const struct compile_resource *from,
	    char *why, size_t why_len);
/* Nothing of it is refused any more. */
void	resource_accepted(struct resource *at);
/* The live version as it is now, for what it names has come or gone. */
void	resource_again(struct resources *r, struct resource *at);
void	resource_remove(struct resources *r, struct resource *at);
void	resource_missing(struct resources *r, struct resource *at);
/* Of a cluster that nobody names live, or that lingered enough. */
void	resource_drop_cluster(struct resources *r, struct resource *at);
bool	resource_of_file(const struct resource *at);

/* ---- resources_edge.c */
/* Of a compilation: what it finds from now on. */
void	edges_begin(struct resources *r);
void	edges_find(struct resources *r, struct resource *to, bool waits,
	    uint32_t missing_ms);
/* Of what was found, one is not named. */
void	edges_lose(struct resources *r, struct resource *to);
/* It is refused: what was found is forgotten. */
void	edges_drop(struct resources *r);
/* Its version was refused: whether it is waited for as long as before. */
void	edges_refused(struct resources *r, struct resource *to);
/* What was found are the edges of a version of at; those before are kept for
 * undo. */
void	edges_set(struct resources *r, struct resource *at, enum which which);
/* That version names nothing any more. */
void	edges_clear(struct resources *r, struct resource *at,
	    enum which which);
/* For commit and abort: the undo's are freed, or stand where they were. */
void	edges_commit(struct resources *r, struct undo *u);
void	edges_abort(struct resources *r, struct undo *u);
void	edges_free(struct resources *r, struct edges *e);
/* Whether a live version names it. */
bool	edges_live(const struct resource *at);

#endif
