/*
 * xds/ems/store_check.h - what the store takes: lengths, characters, and
 * whether it makes sense at all. Whoever asks is told; nobody is trusted.
 *
 * Each: 0, or -1 and why. Test: t/unit/store.c.
 */
#ifndef XDS_EMS_STORE_CHECK_H
#define XDS_EMS_STORE_CHECK_H

#include "xds/ems/store.h"

int	store_check_write(const struct store_write *w, char *why,
	    size_t why_len);
int	store_check_question(const struct store_question *q, char *why,
	    size_t why_len);
int	store_check_lease(const struct store_lease *l, char *why,
	    size_t why_len);
/* Of a removal. */
int	store_check_lease_id(struct store_text id, char *why, size_t why_len);

#endif
