/*
 * shm/last.h - last words: what a worker that dies leaves in its row for the
 * keeper to print.
 *
 *   worker   begins a request: last_request   a few bytes of its path
 *            a signal that kills: the handler  which one, which address
 *   keeper   reaps it: last_text               "at address 0x8; the last request
 *                                              that it began: /pkg.Svc/Method"
 *
 * Only what is written before the death is there: kill -9 leaves the request
 * and no signal. The text is the caller's: it is cut, and the log escapes it.
 * Test: t/unit/last.c, t/mesh/400-failures.py.
 */
#ifndef SHM_LAST_H
#define SHM_LAST_H

#include <stddef.h>
#include <stdint.h>

enum { LAST_REQUEST_BYTES = 116 };

struct row;

struct last {				/* plain: read when its writer is dead */
	uint64_t	address;	/* that the signal tells of; 0 = none */
	uint64_t	turn;		/* when the request began */
	uint32_t	signal;		/* 0: none that could be caught */
	uint32_t	request_len;
	char		request[LAST_REQUEST_BYTES];
};

/* In the worker: the signals that kill write into its row from now on. */
void	last_open(struct row *r);
void	last_request(struct row *r, const uint8_t *path, size_t len);

/* In the keeper, before row_death. "" when there is nothing to tell. */
void	last_text(const struct row *r, char *out, size_t out_len);
/* Before a birth. */
void	last_clear(struct row *r);

#endif
