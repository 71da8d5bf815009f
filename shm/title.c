/* shm/title.c - see title.h. */
#include "shm/title.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern char **environ;

/* Like the log's handle: a process has one. */
static struct {
	char	*at;			/* NULL: nowhere to write */
	size_t	 room;
	char	**args, **env;		/* the copies, for good */
} title;

/* The strings elsewhere, in one piece; NULL: no memory. */
static char **
strings_copy(char **strings)
{
	size_t n = 0, bytes = 0;
	char **copy, *to;

	for (; strings[n] != NULL; n++)
		bytes += strlen(strings[n]) + 1;
	copy = malloc((n + 1) * sizeof(char *) + bytes);
	if (copy == NULL)
		return NULL;
	to = (char *)(copy + n + 1);
	for (size_t i = 0; i < n; i++) {
		copy[i] = strcpy(to, strings[i]);
		to += strlen(to) + 1;
	}
	copy[n] = NULL;
	return copy;
}

/* How far the strings go on from end without a gap. */
static char *
strings_end(char **strings, char *end)
{
	for (size_t i = 0; strings[i] != NULL && strings[i] == end; i++)
		end += strlen(end) + 1;
	return end;
}

char **
title_open(int argc, char **argv)
{
	title.args = strings_copy(argv);
	title.env = strings_copy(environ);
	if (argc < 1 || title.args == NULL || title.env == NULL)
		return argv;
	title.at = argv[0];
	title.room = (size_t)(strings_end(environ, strings_end(argv,
	    argv[0])) - argv[0]);
	environ = title.env;
	return title.args;
}

void
title_set(const char *who, const char *doing)
{
	int n;

	if (title.at == NULL)
		return;
	n = snprintf(title.at, title.room, "godwit: %s%s%s", who,
	    *doing == '\0' ? "" : ": ", doing);
	if (n > 0 && (size_t)n < title.room)
		memset(title.at + n, 0, title.room - (size_t)n);
}
