/*
 * master/checkpoint.h - accepted resources on disk, so that a proxy starts at
 * full service when no control plane answers: the format, writing, reading.
 *
 *   head     magic, layout, sequence, length, when, how many, checksum
 *   text     identity: whose file this is
 *   record   lengths, then kind, source, name, version (each with its NUL),
 *   ...      then bytes
 *
 *   write:  BASE.new <─ all, fsync; renamed to BASE.a or BASE.b, the one
 *           that is not the newest whole; fsync of the folder
 *   read:   of BASE.a and BASE.b the newest that is whole
 *
 * Why no names like BASE and BASE.old: to turn those takes two renames, and
 * what a crash leaves between them must be told from what a crash left before.
 *
 * Invariants
 *   C1  The newest whole file is never touched: whenever power or process
 *       ends, it is there, or a newer one.
 *   C2  What is read is what was written, all of it, or nothing: the checksum
 *       is over every byte, head included.
 *   C3  Nobody else's file is taken: regular, of our user, not writable by
 *       others (secrets: not readable either), of the same identity.
 *   C4  Kinds are written by their message's name: a later order of
 *       resource.def reads an earlier file.
 *   C5  Keys are wiped from memory after use.
 *
 * The checksum is against disks, not against forgers: they are C3's.
 * Test: t/unit/checkpoint.c.
 */
#ifndef MASTER_CHECKPOINT_H
#define MASTER_CHECKPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "xds/resource.h"

enum { CHECKPOINT_BYTES_MAX = 1 << 30 };

struct checkpoint_record {
	enum resource_kind kind;
	const char	*source;	/* what it is to its owner */
	const char	*name;
	const char	*version;	/* of its control plane */
	const uint8_t	*bytes;		/* the packed message */
	size_t		 len;
};

/* One pair of files: secrets go into one of their own. */
struct checkpoint_part {
	const char	*base;		/* "resources" */
	bool		 secret;	/* C3, C5 */
	const struct checkpoint_record *records;
	size_t		 records_n;
};

struct checkpoint_about {
	uint64_t	 sequence;	/* of the file: one more each time */
	int64_t		 written_s;	/* since 1970 */
	size_t		 records_n;
	const char	*file;		/* "resources.a" */
};

struct checkpoint;

/* Writes one of DIR/BASE's files, mode 0600; makes DIR if only that is lacking.
 * -1: why; what was there is there. */
int	checkpoint_write(const char *dir, const char *identity,
	    const struct checkpoint_part *part, char *why, size_t why_len);

/* NULL: none, or none that is whole. why says what was passed over, also when
 * an older one was found; "" when nothing was. */
struct checkpoint *checkpoint_read(const char *dir, const char *identity,
	    const char *base, bool secret, char *why, size_t why_len);
void	checkpoint_free(struct checkpoint *c);

void	checkpoint_about(const struct checkpoint *c,
	    struct checkpoint_about *a);
/* The next record, in the order of writing; *at is 0 for the first. Its texts
 * and bytes are good until checkpoint_free. False: that was the last. */
bool	checkpoint_next(const struct checkpoint *c, size_t *at,
	    struct checkpoint_record *r);

#endif
