/* xds/retry_on.c - see retry_on.h. */
#include "xds/retry_on.h"

#include <stddef.h>
#include <string.h>

#include "conf/yaml.h"

static const char *const words[] = {
#define WORD(word, bits) word,
#include "xds/retry_on.def"
#undef WORD
};

int
retry_on_find(const char *word, const char **best)
{
	*best = NULL;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(words[i], word) == 0)
			return (int)i;
		yaml_nearer(word, words[i], best);
	}
	return -1;
}
