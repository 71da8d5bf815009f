/*
 * master/compile_at.c - where the message stands that is being compiled, and
 * refusals that say so.
 *
 * A place is a list on the stack, from the field up to the root: it costs
 * nothing until something is refused, and then becomes the path by which the
 * file is searched for line and column. Test: t/unit/compile.c.
 */
#include "master/compile_parts.h"

#include <stdarg.h>
#include <stdio.h>

#include "shm/log.h"

enum {
	PATH_BYTES = 1024, REASON_BYTES = 1024,
	KEY_BYTES = 256,	/* shown of one, so that the rest is too */
};

/* Appends what stands above first; returns the length so far. */
static size_t
path_add(const struct at *at, char *path, size_t path_len)
{
	size_t n = 0;
	int more;

	if (at->up != NULL)
		n = path_add(at->up, path, path_len);
	if (n >= path_len)
		return path_len;
	if (at->key != NULL)
		more = snprintf(path + n, path_len - n, "%s%s[\"%.*s\"]",
		    n > 0 ? "." : "", at->field, KEY_BYTES, at->key);
	else if (at->index >= 0)
		more = snprintf(path + n, path_len - n, "%s%s[%lld]",
		    n > 0 ? "." : "", at->field, (long long)at->index);
	else
		more = snprintf(path + n, path_len - n, "%s%s",
		    n > 0 ? "." : "", at->field);
	return more < 0 ? n : n + (size_t)more;
}

void
at_path(const struct at *at, char *path, size_t path_len)
{
	path[0] = '\0';
	path_add(at, path, path_len);
}

/* What stands in a file moves no cursor and begins no line of the log. */
static void
clean(char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
}

int
refuse(struct compiler *c, const struct at *at, const char *fmt, ...)
{
	const struct yaml_node *node;
	char path[PATH_BYTES], reason[REASON_BYTES];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reason, sizeof(reason), fmt, ap);
	va_end(ap);
	at_path(at, path, sizeof(path));
	clean(reason);
	if (c->yaml == NULL) {		/* not from a file */
		clean(path);
		return why_set(c->why, c->why_len, "%s: %s", path, reason);
	}
	node = yaml_find_path(c->yaml, path);
	clean(path);
	return why_set(c->why, c->why_len, "%s:%u:%u: %s: %s",
	    yaml_file(c->yaml), node->line, node->col, path, reason);
}

int
refuse_twice(struct compiler *c, const struct at *at, const struct at *first,
    const char *what, const char *name)
{
	const struct yaml_node *node;
	char path[PATH_BYTES];

	at_path(first, path, sizeof(path));
	if (c->yaml == NULL)
		return refuse(c, at, "%s \"%s\" is there twice, first at %s",
		    what, name, path);
	node = yaml_find_path(c->yaml, path);
	return refuse(c, at, "%s \"%s\" is there twice, first at %u:%u: %s",
	    what, name, node->line, node->col, path);
}

void
warn_at(struct compiler *c, const struct at *at, const char *what)
{
	const struct yaml_node *node;
	char path[PATH_BYTES];

	at_path(at, path, sizeof(path));
	if (c->yaml == NULL) {
		log_warn("%s: %s", path, what);
		return;
	}
	node = yaml_find_path(c->yaml, path);
	log_warn("%s:%u:%u: %s: %s", yaml_file(c->yaml), node->line,
	    node->col, path, what);
}
