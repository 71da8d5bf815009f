/* xds/resource.c - see resource.h. */
#include "xds/resource.h"

#include <string.h>

static const struct resource_about kinds[] = {
#define RESOURCE(id, word, message, whole, acronym, service, method) \
	{ word, message, whole, acronym, service, method },
#include "xds/resource.def"
#undef RESOURCE
	[RESOURCE_NAME] = { "host name", "", false, "DNS", "", "" },
};

const struct resource_about *
resource_about(enum resource_kind kind)
{
	return &kinds[kind];
}

int
resource_kind_find(const char *type_url)
{
	static const char host[] = "type.googleapis.com/";

	if (strncmp(type_url, host, sizeof(host) - 1) == 0)
		type_url += sizeof(host) - 1;
	for (int i = 0; i < RESOURCE_KINDS; i++)
		if (strcmp(kinds[i].message, type_url) == 0)
			return i;
	return -1;
}
