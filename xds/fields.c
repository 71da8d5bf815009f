/* xds/fields.c - see fields.h. */
#include "xds/fields.h"

#include <stdbool.h>
#include <string.h>

#include "conf/yaml.h"

/* A row whose name is NULL opens the rows of its message. */
static const struct field_row rows[] = {
#define MESSAGE(message)						\
	{ message, NULL, 0, FIELD_ACCEPT, "", "" },
#define ACCEPT(number, name, why)					\
	{ NULL, #name, number, FIELD_ACCEPT, "", why },
#define LATER(number, name, same, why)					\
	{ NULL, #name, number, FIELD_LATER, same, why },
#define REFUSE(number, name, same, why)					\
	{ NULL, #name, number, FIELD_REFUSE, same, why },
#include "xds/fields.def"
#undef MESSAGE
#undef ACCEPT
#undef LATER
#undef REFUSE
};

enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

const struct field_row *
field_row_find(const char *message, const char *name, uint32_t number)
{
	size_t i = 0;

	while (i < ROWS && (rows[i].message == NULL ||
	    strcmp(rows[i].message, message) != 0))
		i++;
	for (i++; i < ROWS && rows[i].message == NULL; i++)
		if (name != NULL ? yaml_same_name(rows[i].name, name) :
		    rows[i].number == number)
			return &rows[i];
	return NULL;
}

const struct field_row *
field_row_at(size_t i)
{
	return i < ROWS ? &rows[i] : NULL;
}
