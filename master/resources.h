/*
 * master/resources.h - all resources, by kind and name: which version of each
 * is live, which waits for what, and which was refused and why.
 *
 *            put, and it is whole            put, and it waits for others
 *   nothing ─────────────────────> live <──── next <───────────────── nothing
 *                                   │  ^       │ what it waits for is there,
 *                            put, it└──┘       │ or does not exist
 *                             is whole         └──> live
 *   refused: beside either; what was live, or waits, stays
 *
 *   listener ──> route configuration ──> cluster ──> endpoints, host names
 *      every arrow is an edge, found by compiling; who changes wakes those
 *      that point to it
 *
 * Invariants
 *   R1  Only live versions are in a generation, and what a live version names
 *       is live, or known not to exist (find: COMPILE_NOTHING).
 *   R2  A version that is accepted takes the place of an older one only when
 *       it is whole; until then the older one goes on (make before break).
 *       Where there is none, it does without a cluster that came and was
 *       refused.
 *   R3  A cluster that its source removed stays for as long as live routes
 *       name it, at most linger_ms.
 *   R4  A stage that is aborted leaves everything as it was.
 *   R5  What is named is wanted, and what nobody names is not (want). Host
 *       names too: their addresses are put as RESOURCE_NAME.
 *
 *   resources_begin ─> put, remove, missing, file ... ─> resources_end
 *                                  ─┬─> resources_commit
 *                                   └─> resources_abort
 *
 * Source: design.md 5; gRFC A74; reference/envoy-xds.md 2.5.
 * Test: t/unit/resources.c.
 */
#ifndef MASTER_RESOURCES_H
#define MASTER_RESOURCES_H

#include <stdio.h>

#include "master/compile.h"
#include "master/journal.h"

struct resources;

struct resources_settings {
	/* Somebody names it now, or nobody does any more (R5). May be NULL. */
	void	(*want)(void *arg, enum resource_kind kind, const char *name,
		    bool on);
	void	*arg;
	uint32_t missing_ms;	/* what is waited for and does not come in this
				   time does not exist, for now */
	uint32_t linger_ms;	/* R3 */
};

/* Who is told (R5) from now on, or NULL. */
void	resources_want(struct resources *r, void (*want)(void *arg,
	    enum resource_kind kind, const char *name, bool on), void *arg);
/* NULL: no memory. */
struct resources *resources_new(const struct resources_settings *s);
void	resources_free(struct resources *r);

/* ---- a stage. Its compile_stage is good until the end, ask is ours. -1: no
 * memory. */
int	resources_begin(struct resources *r, const struct compile_stage *s,
	    int64_t now_ms);
/* Whether one is open. */
bool	resources_is_open(const struct resources *r);
/* -1: refused, why; it is kept to be shown. A host name without bytes has no
 * addresses; one that nobody names is not put. */
int	resources_put(struct resources *r, enum resource_kind kind,
	    const char *name, const char *version, const uint8_t *bytes,
	    size_t len, enum resource_from from, char *why, size_t why_len);
/* Of one that was refused in this stage: the reason, in better words. */
void	resources_refused(struct resources *r, enum resource_kind kind,
	    const char *name, const char *why);
/* The endpoints of a live cluster are those in this Cluster message. -1: why. */
int	resources_reassign(struct resources *r,
	    const ProtobufCMessage *cluster, char *why, size_t why_len);
/* A listener that is accepted and can't be bound (why): what waits of it is
 * refused. */
void	resources_bar(struct resources *r, const char *listener,
	    const char *why);
void	resources_remove(struct resources *r, enum resource_kind kind,
	    const char *name);
/* What was refused of this kind, and is not sent any more, is not shown any
 * more. */
void	resources_forget(struct resources *r, enum resource_kind kind,
	    bool (*is_sent)(void *arg, const char *name), void *arg);
void	resources_missing(struct resources *r, enum resource_kind kind,
	    const char *name);
/* The static resources of a file, all or none: those of the file before that
 * are not in it go. -1: why; the stage is to be aborted. */
int	resources_file(struct resources *r, const struct yaml *yaml,
	    const ProtobufCMessage *bootstrap, char *why, size_t why_len);
/* Live ones of other sources, whose messages have this file's name in them, are
 * compiled anew; one that can't be ends the stage. */
void	resources_again(struct resources *r, const char *file);
/* Whether there are any, live or waiting. */
bool	resources_name(const struct resources *r, const char *file);
/* Tries what may be whole now. 0: out is staged; 1: nothing changed, and the
 * stage is over; -1: why, and all is as before. conf: the settings, or NULL. */
int	resources_end(struct resources *r, const struct conf *conf,
	    struct compiled *out, char *why, size_t why_len);
void	resources_commit(struct resources *r);
void	resources_abort(struct resources *r);

/* Whether somebody sends resources of this kind, so that one that is not there
 * can be waited for. */
void	resources_dynamic(struct resources *r, enum resource_kind kind,
	    bool on);

/* initial_fetch_timeout of clusters, from now on; 0: never. What else is waited
 * for has that of its ConfigSource, the longest of those who wait. */
void	resources_timeout(struct resources *r, uint32_t ms);
/* They are sent by name only: one that nobody names is not heard of any more. */
void	resources_named(struct resources *r, enum resource_kind kind,
	    bool on);
/* What was accepted is written there from now on; NULL: nowhere. */
void	resources_journal(struct resources *r, struct journal *j);
/* All that is not a file's, into j: its owner commits. */
void	resources_journal_write(const struct resources *r,
	    struct journal *j);
/* An entry of the journal of a master before us; pem: the key of a secret. */
void	resources_replay(struct resources *r, const struct journal_entry *e,
	    const char *pem, size_t pem_len);

/* All that was put so far is tried, as at a stage's end. */
void	resources_settle(struct resources *r);
/* What is sent by its name, and nobody names, goes. */
void	resources_prune(struct resources *r);
/* Another number than before: what is accepted may be another. */
uint64_t resources_changes(const struct resources *r);

/* What is due: a stage must be opened and ended for it. Milliseconds until
 * then, 0: now; -1: nothing waits. */
int64_t	resources_due(const struct resources *r, int64_t now_ms);

/* ---- questions */

struct resource_version {
	char		*text;		/* of its source, may be "" */
	uint8_t		*bytes;		/* the message */
	size_t		 len;
	enum resource_from from;
	int64_t		 since_ms;	/* accepted, or refused */
	struct compile_known *known;	/* of endpoints, or NULL */
	struct compile_key key;		/* of a secret: not in bytes */
	struct heap	*keys;		/* where it is held */
	unsigned	 refs;
};

struct resource_view {
	enum resource_kind kind;
	const char	*name;
	const struct resource_version *live, *next, *refused;	/* or NULL */
	const char	*why;		/* refused */
	bool		 wanted, missing, lingers;
	int64_t		 waits_since_ms;
};

/* So that what a view names outlasts the turn, whatever becomes of the set.
 * False: no memory, and there is nothing to let go. */
bool	resources_view_hold(struct resource_view *v);
void	resources_view_let_go(struct resource_view *v);
/* Each resource that a control plane could send, in no order. Names are those
 * in the set: origin_plain says what its source calls it. */
void	resources_each(const struct resources *r,
	    void (*each)(void *arg, const struct resource_view *v), void *arg);
/* Prints the names of what its next version waits for: "cluster a, cluster b". */
void	resources_waits_print(const struct resources *r,
	    enum resource_kind kind, const char *name, FILE *out);
/* False: there is none. */
bool	resources_find(const struct resources *r, enum resource_kind kind,
	    const char *name, struct resource_view *v);

#endif
