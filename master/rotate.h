/*
 * master/rotate.h - certificates, keys and CAs in files that are replaced while
 * they are in use: taken without a word from anybody.
 *
 *   watch.h: a file is another ─> what was accepted, compiled with its new bytes
 *         ┌───────────────────────────────┴──────┐
 *         good: a generation                     refused: the others without it
 *                                                 ├─ another file comes: again
 *                                                 └─ none for QUIET_MS: said
 *
 * The configuration is the one that was accepted last, never one that was
 * edited meanwhile: that waits for a reload. A certificate must not have
 * expired, and belongs to its key; of a pair the second file may come
 * QUIET_MS after the first. What is refused stays as it was read before, in
 * use and for a successor of ours; it keeps no other file back, and is tried
 * again when one changes, and every AGAIN_MS.
 *
 * Why the whole file is compiled: what a pair of files means is known there
 * and nowhere else, and equal blocks are found again (heap.h H1).
 *
 * Test: t/mesh/865-certificates.py.
 */
#ifndef MASTER_ROTATE_H
#define MASTER_ROTATE_H

#include "master/generations.h"

struct loop;
struct rotate;

struct rotate_owner {
	bool	(*idle)(void *arg);	/* a stage may begin */
	/* What is staged goes to the keeper, then rotate_end. -1: why; it was
	 * dropped. */
	int	(*staged)(void *arg, char *why, size_t why_len);
	void	*arg;
};

/* NULL: no memory. */
struct rotate	*rotate_new(struct loop *l, struct generations *g,
		    const struct rotate_owner *o);
void		 rotate_free(struct rotate *r);

/* Other files are accepted than before. */
void		 rotate_follow(struct rotate *r);
/* What was staged is published; or why not. */
void		 rotate_end(struct rotate *r, const char *why);
/* A sentence for each that is refused. */
void		 rotate_wrong(const struct rotate *r, void (*say)(void *arg,
		    const char *sentence), void *arg);

#endif
