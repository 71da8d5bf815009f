/*
 * xds/fields.h - the fields of Envoy's messages that our subset leaves out,
 * and what to do when one is given; the table is xds/fields.def. A field that
 * is neither in a descriptor nor here is unknown, and refused as such.
 * Test: t/unit/load.c, t/unit/guard.c.
 */
#ifndef XDS_FIELDS_H
#define XDS_FIELDS_H

#include <stddef.h>
#include <stdint.h>

enum field_rule {
	FIELD_ACCEPT,		/* means nothing here and does no harm */
	FIELD_LATER,		/* means something that is not built yet */
	FIELD_REFUSE,		/* would change routing or security */
};

struct field_row {
	const char	*message;	/* full name */
	const char	*name;
	uint32_t	 number;	/* on the wire */
	enum field_rule	 rule;
	const char	*same;		/* texts that say what leaving it out
					 * says, parted by '|'; "" none */
	const char	*why;
};

/* By name (either spelling), or by number where name is NULL; or NULL. */
const struct field_row *field_row_find(const char *message, const char *name,
	    uint32_t number);

/* Row i of the table, for tests; NULL after the last. */
const struct field_row *field_row_at(size_t i);

#endif
