/*
 * master/ctl/table.h - rows for people: columns as wide as their widest, two
 * blanks between them. What comes from elsewhere can't steer a terminal. Test:
 * t/mesh/910-rest.py.
 */
#ifndef MASTER_CTL_TABLE_H
#define MASTER_CTL_TABLE_H

#include <stddef.h>

enum { TABLE_COLUMNS = 10 };

struct table {
	char		*(*rows)[TABLE_COLUMNS];
	size_t		 n, size;
	int		 column;	/* of the row under way */
};

/* A row more; cells follow. */
void	table_row(struct table *t);
void	table_cell(struct table *t, const char *format, ...)
	    __attribute__((format(printf, 2, 3)));
/* Prints, and empties it. */
void	table_print(struct table *t);

/* text[0..n) without what steers a terminal. */
void	plain_print(const char *text, size_t n);

#endif
