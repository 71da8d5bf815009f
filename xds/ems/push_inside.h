/*
 * xds/ems/push_inside.h - what the files of xds/ems/push share.
 *
 *   push.c            its life, questions
 *   push_request.c  what a request says
 *   push_name.c     cells: what is asked for, and what it has
 *   push_owed.c     what is owed of a kind, and when (E4)
 *   push_answer.c   that as a response
 */
#ifndef XDS_EMS_PUSH_INSIDE_H
#define XDS_EMS_PUSH_INSIDE_H

#include "xds/ems/push.h"

/* Of an entry, by its index; 0: nothing. Not 0: a holder of the entry. */
typedef uint32_t push_cell;
enum {
	CELL_NAMED = 1,			/* asked for by name */
	CELL_AWAITED = 2,		/* E4: it will be asked for */
	CELL_ANEW = 4,			/* in anew */
	CELL_FLAGS = 7,
	CELL_NUMBER = 8,		/* times entry->number: what it has */
};

struct push_list {			/* each is held */
	struct catalog_entry **at;
	size_t		 n, size;
};

struct push_kind {
	push_cell	*cells;
	uint32_t	*anew;		/* indices: owed though not changed */
	uint32_t	 cells_n, names_n, awaited_n, anew_n, anew_size;
	bool		 asked, wildcard;
	bool		 named;		/* SotW: names were said once */
	bool		 first;		/* nothing was sent yet */
	bool		 outstanding;
	bool		 held;		/* only removals are owed, and wait */
	bool		 in_step;	/* wildcard, and has all up to position */
	uint64_t	 position;	/* E1: told up to here */
	uint64_t	 sent, answered;
	uint64_t	 nonce;		/* of the last response; 0: none yet */
	uint64_t	 names_hash;	/* SotW: of the last request */
	uint64_t	 accepted_n, refused_n;
	int64_t		 since_ms;
	char		*why;
	struct push_list last;		/* of the response outstanding */
	struct push_list refused;	/* E2 */
	int64_t		 again_ms;	/* those are sent then; 0: none */
	int64_t		 pause_ms;	/* of the refusal before */
};

struct push {
	struct push_settings settings;
	const struct push_events *events;
	void		*arg;
	char		 identifier[65];
	struct catalog	*catalog;
	struct push_kind kinds[RESOURCE_KINDS];
	uint64_t	 nonce;
	int64_t		 awaited_ms;	/* since then; awaited_n > 0 */
	bool		 ordered;
};

/* What goes into a response. */
struct push_owed {
	struct push_list entries, gone;
	size_t		 bytes;
	bool		 more;		/* E3: there is another response */
	bool		 held;
	uint64_t	 position;	/* after it */
};

/* ---- push_name.c */
bool	push_list_add(struct push_list *l, struct catalog_entry *e);
/* What from has too; from is empty then. False: no memory, all is as before. */
bool	push_list_move(struct push_list *to, struct push_list *from);
void	push_list_drop(struct push *s, struct push_list *l);
/* Room for the cell of e. NULL: no memory. */
push_cell *push_cell_get(struct push *s, struct catalog_entry *e);
static inline push_cell
push_cell_of(const struct push_kind *k, const struct catalog_entry *e)
{
	return e->index < k->cells_n ? k->cells[e->index] : 0;
}
/* Another value; counts holders and names. */
bool	push_cell_set(struct push *s, struct catalog_entry *e,
	    push_cell cell);
/* The value, without flags, of one that has e as it is. */
push_cell push_cell_number(const struct catalog_entry *e);
/* It has e as it is. */
bool	push_cell_has(struct push *s, struct catalog_entry *e);
/* It is to be sent though it did not change. False: no memory. */
bool	push_anew(struct push *s, struct catalog_entry *e);
bool	push_subscribe(struct push *s, enum resource_kind kind,
	    const char *name);
void	push_unsubscribe(struct push *s, enum resource_kind kind,
	    const char *name);
/* Wildcard no more: what was had by it alone is forgotten. */
void	push_narrow(struct push *s, enum resource_kind kind);
void	push_names_fini(struct push *s);

/* It was told that e is gone, and does not believe it. */
bool	push_gone_anew(struct push *s, struct catalog_entry *e);

/* ---- push_owed.c */
/* 1: filled; 0: nothing now. -1: no memory. */
int	push_owed(struct push *s, enum resource_kind kind, int64_t now_ms,
	    struct push_owed *o);
void	push_owed_fini(struct push *s, struct push_owed *o);

/* ---- push_answer.c */
/* NULL: no memory. */
struct body *push_answer(struct push *s, enum resource_kind kind,
	    const struct push_owed *o);

#endif
