/*
 * xds/ems/push_name.c - what a stream asks for and has, a cell for each entry
 * of the catalog (push_inside.h).
 */
#include "xds/ems/push_inside.h"

#include <stdlib.h>
#include <string.h>

enum { NUMBERS = 1 << 28 };

/* ---- lists */

static bool
list_room(struct push_list *l, size_t n)
{
	size_t size = l->size == 0 ? 32 : l->size;
	struct catalog_entry **to;

	if (l->n + n <= l->size)
		return true;
	while (size < l->n + n)
		size *= 2;
	if ((to = realloc(l->at, size * sizeof(*to))) == NULL)
		return false;
	l->at = to;
	l->size = size;
	return true;
}

bool
push_list_add(struct push_list *l, struct catalog_entry *e)
{
	if (!list_room(l, 1))
		return false;
	l->at[l->n++] = e;
	catalog_hold_more(e);
	return true;
}

bool
push_list_move(struct push_list *to, struct push_list *from)
{
	if (from->n == 0)
		return true;
	if (!list_room(to, from->n))
		return false;
	memcpy(to->at + to->n, from->at, from->n * sizeof(*from->at));
	to->n += from->n;
	free(from->at);
	*from = (struct push_list){ 0 };
	return true;
}

void
push_list_drop(struct push *s, struct push_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		catalog_drop(s->catalog, l->at[i]);
	free(l->at);
	*l = (struct push_list){ 0 };
}

/* ---- cells */

push_cell
push_cell_number(const struct catalog_entry *e)
{
	return ((e->number - 1) % NUMBERS + 1) * CELL_NUMBER;
}

push_cell *
push_cell_get(struct push *s, struct catalog_entry *e)
{
	struct push_kind *k = &s->kinds[e->kind];
	uint32_t n = k->cells_n == 0 ? 16 : k->cells_n;
	push_cell *to;

	if (e->index < k->cells_n)
		return &k->cells[e->index];
	while (n <= e->index)
		n *= 2;
	if ((to = realloc(k->cells, n * sizeof(*to))) == NULL)
		return NULL;
	memset(to + k->cells_n, 0, (n - k->cells_n) * sizeof(*to));
	k->cells = to;
	k->cells_n = n;
	return &k->cells[e->index];
}

bool
push_cell_set(struct push *s, struct catalog_entry *e, push_cell cell)
{
	struct push_kind *k = &s->kinds[e->kind];
	push_cell *at = push_cell_get(s, e), before;

	if (at == NULL)
		return false;
	before = *at;
	*at = cell;
	k->names_n += (cell & CELL_NAMED) != 0;
	k->names_n -= (before & CELL_NAMED) != 0;
	k->awaited_n += (cell & CELL_AWAITED) != 0;
	k->awaited_n -= (before & CELL_AWAITED) != 0;
	if (before == 0 && cell != 0)
		catalog_hold_more(e);
	else if (before != 0 && cell == 0)
		catalog_drop(s->catalog, e);
	return true;
}

bool
push_cell_has(struct push *s, struct catalog_entry *e)
{
	push_cell flags = push_cell_of(&s->kinds[e->kind], e) &
	    (CELL_NAMED | CELL_AWAITED);

	return push_cell_set(s, e, flags | push_cell_number(e));
}

bool
push_anew(struct push *s, struct catalog_entry *e)
{
	struct push_kind *k = &s->kinds[e->kind];
	uint32_t n = k->anew_size == 0 ? 16 : k->anew_size * 2, *to;
	push_cell cell = push_cell_of(k, e);

	if ((cell & CELL_ANEW) != 0)
		return true;
	if (k->anew_n == k->anew_size) {
		if ((to = realloc(k->anew, n * sizeof(*to))) == NULL)
			return false;
		k->anew = to;
		k->anew_size = n;
	}
	/* What it has stays known: it may go before it is sent again. */
	if (!push_cell_set(s, e, cell | CELL_ANEW))
		return false;
	k->anew[k->anew_n++] = e->index;
	return true;
}

bool
push_gone_anew(struct push *s, struct catalog_entry *e)
{
	return push_anew(s, e) && push_cell_set(s, e,
	    push_cell_of(&s->kinds[e->kind], e) | CELL_NUMBER);
}

/* ---- names */

bool
push_subscribe(struct push *s, enum resource_kind kind, const char *name)
{
	struct push_kind *k = &s->kinds[kind];
	struct catalog_entry *e = catalog_hold(s->catalog, kind, name);
	push_cell cell;
	bool good;

	if (e == NULL)
		return false;
	cell = (push_cell_of(k, e) | CELL_NAMED) & ~(push_cell)
	    CELL_AWAITED;
	good = push_cell_set(s, e, cell) && push_anew(s, e);
	catalog_drop(s->catalog, e);	/* the cell holds it */
	return good;
}

void
push_unsubscribe(struct push *s, enum resource_kind kind,
    const char *name)
{
	struct push_kind *k = &s->kinds[kind];
	struct catalog_entry *e = catalog_find(s->catalog, kind, name);
	push_cell cell = e == NULL ? 0 : push_cell_of(k, e);

	if ((cell & CELL_NAMED) == 0)
		return;
	/* In anew it stays until that is looked at. */
	cell = k->wildcard ? cell & ~(push_cell)CELL_NAMED :
	    cell & CELL_ANEW;
	(void)push_cell_set(s, e, cell);
}

void
push_narrow(struct push *s, enum resource_kind kind)
{
	struct push_kind *k = &s->kinds[kind];

	k->wildcard = k->in_step = false;
	for (uint32_t i = 0; i < k->cells_n; i++)
		if (k->cells[i] != 0 && (k->cells[i] & CELL_NAMED) == 0)
			(void)push_cell_set(s, s->catalog->kinds[kind]->at[i],
			    k->cells[i] & CELL_ANEW);
}

void
push_names_fini(struct push *s)
{
	for (int kind = 0; kind < RESOURCE_KINDS; kind++) {
		struct push_kind *k = &s->kinds[kind];

		for (uint32_t i = 0; i < k->cells_n; i++)
			if (k->cells[i] != 0)
				(void)push_cell_set(s,
				    s->catalog->kinds[kind]->at[i], 0);
		push_list_drop(s, &k->last);
		push_list_drop(s, &k->refused);
		free(k->cells);
		free(k->anew);
		free(k->why);
	}
}
