/*
 * master/certificates.h - the certificates in use, and until when they are
 * good.
 *
 *   newest generation ─> listeners, clusters ─> TLS block ─┬─> chain ─┐
 *                                                          └─> CAs ───┴─> text
 *   a text of PEM is read once, however many have it, and for as long as one
 *   has it; days and seconds are counted when somebody asks
 *
 * A chain is good until its first certificate expires. A bundle of CAs: for
 * server.days_until_first_cert_expiring its first counts, as Envoy has it; for
 * a warning the one that lasts longest, for the others are there to be
 * replaced, and system bundles always have a dying one. (Envoy counts of a
 * chain its first certificate only: an intermediate that has expired is as
 * bad.)
 *
 * Warned about is what has less than 7 days to live, and less than a sixth of
 * its life: a week is what a human needs, and whoever renews by machine does
 * so at half or two thirds of a life, which may be a day.
 *
 * Source: Envoy's /certs (admin.v3.Certificates) and its statistics. Test:
 * t/unit/certificates.c, t/mesh/865-certificates.py.
 */
#ifndef MASTER_CERTIFICATES_H
#define MASTER_CERTIFICATES_H

#include <stdbool.h>
#include <stdio.h>

#include "shm/block.h"

struct certificates;

/* NULL: no memory. */
struct certificates *certificates_new(void);
void	certificates_free(struct certificates *c);

/* These are in use: whatever is asked is about them, for as long as this
 * generation is the newest. Of the same one nothing is done. */
void	certificates_look(struct certificates *c, const struct arena *a,
	    const struct block_root *root);

/* Whether they are of this one already. */
bool	certificates_are_of(const struct certificates *c,
	    const struct block_root *root);

/* 0: one has expired (or does today); UINT32_MAX: there is none. */
uint32_t certificates_days(const struct certificates *c, int64_t now_s);
/* Lines for /stats. */
void	certificates_stats(const struct certificates *c, int64_t now_s,
	    FILE *out);
/* JSON as Envoy answers /certs. */
void	certificates_print(const struct certificates *c, int64_t now_s,
	    FILE *out);

/* A sentence for each that has expired or is about to. fresh: only what was
 * not said by a call with fresh before. */
void	certificates_warn(struct certificates *c, int64_t now_s, bool fresh,
	    void (*say)(void *arg, bool expired, const char *sentence),
	    void *arg);

#endif
