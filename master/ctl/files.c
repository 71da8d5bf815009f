/* master/ctl/files.c - see files.h. */
#include "master/ctl/files.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "shm/log.h"
#include "xds/guard.h"
#include "xds/print.h"

enum { FILE_BYTES_MAX = 16 << 20 };

struct files {
	struct print	 print;
	char		*why;
	size_t		 why_len;
	size_t		 n;
};

static int
text_print(struct files *to, const char *name, char *text, size_t n)
{
	if (!guard_text((const uint8_t *)text, n) ||
	    memchr(text, '\0', n) != NULL)
		return why_set(to->why, to->why_len, "%s: is not UTF-8, or "
		    "has a NUL", name);
	text[n] = '\0';
	print_open(&to->print, NULL, '{');
	print_text(&to->print, "file", name);
	print_number(&to->print, "line", 1);
	print_text(&to->print, "text", text);
	print_close(&to->print, '{');
	to->n++;
	return 0;
}

static int
stream_read(struct files *to, const char *name, FILE *f)
{
	char *text = malloc(FILE_BYTES_MAX + 1);
	size_t n = text == NULL ? 0 : fread(text, 1, FILE_BYTES_MAX + 1, f);
	int rc;

	if (text == NULL)
		return why_set(to->why, to->why_len, "no memory");
	if (ferror(f))
		rc = why_set(to->why, to->why_len, "%s: %s", name,
		    strerror(errno));
	else if (n > FILE_BYTES_MAX)
		rc = why_set(to->why, to->why_len, "%s: more than %d bytes",
		    name, FILE_BYTES_MAX);
	else
		rc = text_print(to, name, text, n);
	free(text);
	return rc;
}

static int
file_read(struct files *to, const char *path)
{
	FILE *f = fopen(path, "re");
	int rc;

	if (f == NULL)
		return why_set(to->why, to->why_len, "%s: %s", path,
		    strerror(errno));
	rc = stream_read(to, path, f);
	fclose(f);
	return rc;
}

static int
is_document(const struct dirent *d)
{
	const char *dot = strrchr(d->d_name, '.');

	return d->d_name[0] != '.' && dot != NULL && (strcmp(dot, ".yaml") ==
	    0 || strcmp(dot, ".yml") == 0 || strcmp(dot, ".json") == 0);
}

static int
folder_read(struct files *to, const char *path)
{
	struct dirent **all;
	char file[4096];
	int n = scandir(path, &all, is_document, alphasort), rc = 0;

	if (n == -1)
		return why_set(to->why, to->why_len, "%s: %s", path,
		    strerror(errno));
	if (n == 0)
		rc = why_set(to->why, to->why_len, "%s: no .yaml, .yml or "
		    ".json in it", path);
	for (int i = 0; i < n; i++) {
		snprintf(file, sizeof(file), "%s/%s", path, all[i]->d_name);
		if (rc == 0)
			rc = file_read(to, file);
		free(all[i]);
	}
	free(all);
	return rc;
}

static int
path_read(struct files *to, const char *path)
{
	struct stat s;

	if (strcmp(path, "-") == 0)
		return stream_read(to, "standard input", stdin);
	if (stat(path, &s) == 0 && S_ISDIR(s.st_mode))
		return folder_read(to, path);
	return file_read(to, path);
}

char *
files_read(char *const *paths, size_t paths_n, size_t *n, char *why,
    size_t why_len)
{
	struct files to = { .why = why, .why_len = why_len };
	char *body = NULL;
	FILE *f = open_memstream(&body, n);
	int rc = 0;

	if (f == NULL) {
		why_set(why, why_len, "no memory");
		return NULL;
	}
	print_begin(&to.print, f, NULL);
	print_open(&to.print, NULL, '{');
	print_open(&to.print, "documents", '[');
	for (size_t i = 0; i < paths_n && rc == 0; i++)
		rc = path_read(&to, paths[i]);
	print_close(&to.print, '[');
	print_close(&to.print, '{');
	if (fclose(f) != 0 && rc == 0)
		rc = why_set(why, why_len, "no memory");
	if (rc == 0)
		return body;
	free(body);
	return NULL;
}
