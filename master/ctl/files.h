/*
 * master/ctl/files.h - files and folders as the body of /v1/apply and /v1/plan
 * (xds/ems/documents.h): each file with its name, so that a refusal names it.
 * Of a folder: all .yaml, .yml and .json in it, by name; "-" is what comes on
 * standard input. Test: t/mesh/910-rest.py.
 */
#ifndef MASTER_CTL_FILES_H
#define MASTER_CTL_FILES_H

#include <stddef.h>

/* A body of malloc. NULL: why. */
char	*files_read(char *const *paths, size_t paths_n, size_t *n, char *why,
	    size_t why_len);

#endif
