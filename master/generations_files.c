/*
 * master/generations_files.c - which files the accepted generation was read
 * from. See generations.h.
 */
#include "master/generations.h"

#include <string.h>

int
generations_kept(const struct generations *g)
{
	return g->kept_staged != -1 ? g->kept_staged : g->kept_now;
}

struct files {
	const struct generations *g;
	void		(*each)(void *arg, const char *name,
			    const struct watch_stamp *stamp);
	void		*arg;
};

static void
file_each(void *arg, const char *name, const struct watch_stamp *stamp)
{
	const struct files *f = arg;

	if (strcmp(name, f->g->options->file) != 0)
		f->each(f->arg, name, stamp);
}

void
generations_files(const struct generations *g, void (*each)(void *arg,
    const char *name, const struct watch_stamp *stamp), void *arg)
{
	struct sources *s = sources_over(g->kept_now, &g->image.secrets,
	    SOURCES_KEPT_FIRST);
	struct files f = { g, each, arg };

	if (s != NULL)
		sources_each(s, file_each, &f);
	sources_free(s);
}
