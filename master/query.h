/*
 * master/query.h - what follows '?' in a path of admin.sock: NAME=VALUE parted
 * by '&', with %XX. Test: t/unit/query.c.
 */
#ifndef MASTER_QUERY_H
#define MASTER_QUERY_H

#include <stdbool.h>
#include <stddef.h>

/* 1: it is there, and value has its text; 0: it is not; -1: it is too long for
 * value, or no text (%00, half a %XX). */
int	query_find(const char *query, const char *name, char *value,
	    size_t value_len);
/* The first name in query that is not in this list, which ends in NULL; cut
 * to 63 bytes. NULL: all are. */
const char *query_unknown(const char *query, const char *const *names,
	    char unknown[64]);
/* text with %XX for what may not stand in a value. False: it is too long. */
bool	query_quote(const char *text, char *out, size_t out_len);

#endif
