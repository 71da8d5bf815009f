/*
 * master/generations.h - from the file to a generation in the arena: what the
 * master, godwit -1 and godwit -t share.
 *
 *   file ──sources──> bytes ──yaml──> tree ──conf──> settings
 *                                      └──xds/load──> messages ──compile──> blocks
 *
 *   open ─> stage ─┬─> publish ─> reclaim, as workers move on
 *                  └─> drop        (somebody refused: all is as before)
 *
 * Invariants
 *   I1  What is refused, or staged and dropped, leaves the published
 *       generation, the settings and the names as they were.
 *   I2  Numbers only grow: over arenas, and over the masters of a keeper.
 *   I3  An arena that workers were sent away from is kept until every one of
 *       them said that it uses a generation of the new one.
 *
 * Test: t/unit/generations.c, generations_change.c, generations_move.c,
 * t/mesh/.
 */
#ifndef MASTER_GENERATIONS_H
#define MASTER_GENERATIONS_H

#include "conf/conf.h"
#include "master/compile.h"
#include "master/control.h"
#include "master/options.h"
#include "master/resources.h"
#include "master/watch.h"

struct generations {
	const struct options *options;
	struct conf	 conf;		/* of the newest accepted file */
	struct image	 image;
	struct image	 before;	/* I3; arena.fd -1: none */
	struct names	*names;
	struct resources *resources;
	struct origins	*origins;	/* that resources name */
	struct compiled	 newest;	/* generation.number 0: none yet */
	uint64_t	 moved;		/* the first one in this arena */
	uint64_t	 compactions;
	/* Between stage and publish or drop. */
	bool		 is_staged;
	bool		 staged_file;	/* it is a file, not a change */
	bool		 dynamic_always;	/* tests: with no control plane too */
	bool		 check_tls;	/* certificates are tried on OpenSSL; set
					   by who serves with them */
	struct compile_checked checked;
	struct compiled	 staged;
	struct conf	 staged_conf;
	struct dynamic	 dynamic, staged_dynamic;	/* of conf's file */
	struct register_list registers, staged_registers;	/* the same */
	/* Asked, if set, when the settings are known and nothing that the file
	 * names was read yet. -1 refuses the file. */
	int		(*conf_known)(void *arg, const struct conf *c,
			    const struct control_settings *s, char *why,
			    size_t why_len);
	void		*conf_known_arg;
	/* Asked, if set, in the first stage of a master that succeeds nobody,
	 * where something is followed: puts what it sent before. */
	void		(*restore)(void *arg, struct resources *r,
			    const struct dynamic *d);
	void		*restore_arg;
	struct journal	 journal;	/* of what a control plane sends */
	int		 kept_journal_fd;	/* of a dead master; -1: none */
	struct sources	*change_sources;	/* of generations_change */
	/* Memfds of what was read (sources.h): of what is accepted, and of what
	 * is staged where that read more; -1: none. */
	int		 kept_now, kept_staged;
	const struct generations_file *renewed;	/* by generations_renew */
	size_t		 renewed_n;
	/* Of a successor: what its first stage reads instead of the disk. */
	struct sources	*kept;
	struct arena	 kept_secrets;
};

/* What is left of a dead master: its arenas, its file, its control plane's
 * resources (journal.h; -1: nothing). */
enum { GENERATIONS_KEPT, GENERATIONS_ARENA, GENERATIONS_SECRETS,
    GENERATIONS_JOURNAL, GENERATIONS_KEPT_N };

struct generations_file {
	const char	*name;
	bool		 blamed;	/* it was refused because of this one */
	bool		 same;		/* as it was accepted: not read */
};

/* An empty image. -1: why. */
int	generations_open(struct generations *g, const struct options *o,
	    char *why, size_t why_len);
/* As the successor of a master that died: its first stage reads what kept_fd
 * kept, and goes on with the numbers and names of the arena of arena_fd. The
 * descriptors stay the caller's. -1: why. */
int	generations_open_kept(struct generations *g, const struct options *o,
	    const int fds[GENERATIONS_KEPT_N], char *why, size_t why_len);
void	generations_close(struct generations *g);

/* Reads the file and compiles it. *kept_fd, when it is not NULL, becomes the
 * memfd of what was read, the caller's. -1: why, "file:line:col: path:
 * reason" where it is the file's. */
int	generations_stage(struct generations *g, int *kept_fd, char *why,
	    size_t why_len);
/* The same of the file that was accepted last, with the certificates and keys
 * that it and a control plane's resources name as they were accepted, but for
 * these, which are read anew. -1: why, and which of them are to blame; none:
 * it is not for what is in them. 1: all are the same, and nothing is staged. */
int	generations_renew(struct generations *g, struct generations_file *files,
	    size_t n, char *why, size_t why_len);
/* What was read for what is staged, or else accepted; ours. -1: nothing. */
int	generations_kept(const struct generations *g);
/* Each certificate and key of it. */
void	generations_files(const struct generations *g, void (*each)(void *arg,
	    const char *name, const struct watch_stamp *stamp), void *arg);
void	generations_publish(struct generations *g);
void	generations_drop(struct generations *g);
/* stage and publish. -1: why. */
int	generations_next(struct generations *g, char *why, size_t why_len);

/*
 * A change that a control plane sends: between begin and end the caller puts
 * and removes in g->resources. end: 0: staged, as by generations_stage; 1:
 * nothing is to be published; -1: why.
 */
int	generations_change_begin(struct generations *g, int64_t now_ms,
	    char *why, size_t why_len);
int	generations_change_end(struct generations *g, char *why,
	    size_t why_len);
/* One cluster's endpoints are now those of m, the whole Cluster: publishes
 * the next generation, at the cost of what changed. -1: why. */
int	generations_assign(struct generations *g, const ProtobufCMessage *m,
	    char *why, size_t why_len);
/* The journal was worn, and a new one is in its place. */
bool	generations_journal_renew(struct generations *g);
/* Whether there is something to follow, so that resources come that are not the
 * file's. */
bool	generations_follows(const struct generations *g);
/* Whether what is staged has the same listeners to bind as the newest. */
bool	generations_same_listeners(const struct generations *g);

/* Every living worker uses `oldest` or a newer generation. */
void	generations_reclaim(struct generations *g, uint64_t oldest);
/* Moves to a fresh arena when half of this one is dead: a generation more,
 * which workers must be led to. 1: moved; 0: not worth it; -1: why. */
int	generations_compact(struct generations *g, char *why, size_t why_len);

/* What the keeper must know of the settings that are staged, or else in use.
 * -1: why (no such user). */
int	generations_settings(const struct generations *g,
	    struct control_settings *s, char *why, size_t why_len);
/* The i-th listener of what is staged, or else in use. */
void	generations_listener(const struct generations *g, int i,
	    struct control_listener *l);
int	generations_listeners_n(const struct generations *g);

/* "generation 2: 2 listeners, 5 clusters, 12 endpoints", of the newest. */
void	generations_text(const struct generations *g, char *out,
	    size_t out_len);

const struct block_root *generations_root(const struct generations *g);

/* Only the settings of the file, for godwit -s, which need not be able to
 * read the rest. -1: why. */
int	generations_conf(struct conf *c, const struct options *o, char *why,
	    size_t why_len);

#endif
