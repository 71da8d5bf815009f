/*
 * xds/ems/view_told.c - which services a caller's view has: those that its
 * intent's may names, kept as the model changes.
 *
 *   the intent is another, or the view is new ──> all services are looked at
 *   else                                      ──> those that are dirty
 */
#include "xds/ems/view_inside.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "shm/log.h"

/* Hashes of the names in may, sorted. */
struct names {
	uint64_t	*at;
	size_t		 n;
};

static int
compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static bool
names_read(struct names *to, const Caller *c)
{
	to->n = c->n_may;
	if ((to->at = calloc(to->n + 1, sizeof(*to->at))) == NULL)
		return false;
	for (size_t i = 0; i < to->n; i++)
		to->at[i] = XXH3_64bits(c->may[i], strcspn(c->may[i], "/"));
	if (to->n > 0)
		qsort(to->at, to->n, sizeof(*to->at), compare);
	return true;
}

static bool
names_have(const struct names *n, const char *name)
{
	uint64_t hash = XXH3_64bits(name, strlen(name));

	return bsearch(&hash, n->at, n->n, sizeof(hash), compare) != NULL;
}

/* By its own name, or by a gRPC name that it answers. */
static bool
is_named(const struct names *n, const struct model_service *s)
{
	bool found = names_have(n, s->name);

	for (size_t i = 0; !found && i < model_grpc_n(s); i++)
		found = names_have(n, model_grpc(s, i));
	return found;
}

/* ---- the list, by name */

static size_t
place(const struct view *v, const char *name, bool *found)
{
	size_t low = 0, high = v->sees_n;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (strcmp(v->sees[middle]->name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*found = low < v->sees_n && strcmp(v->sees[low]->name, name) == 0;
	return low;
}

static bool
put(struct view *v, struct model_service *s, bool is_seen)
{
	struct model_service **to;
	size_t size = v->sees_size == 0 ? 16 : 2 * v->sees_size;
	bool found;
	size_t at = place(v, s->name, &found);

	if (found != is_seen && v->sees_n == v->sees_size && is_seen) {
		to = realloc(v->sees, size * sizeof(struct model_service *));
		if (to == NULL)
			return false;
		v->sees = to;
		v->sees_size = size;
	}
	if (found && !is_seen) {
		v->sees_n--;
		memmove(v->sees + at, v->sees + at + 1, (v->sees_n - at) *
		    sizeof(struct model_service *));
	} else if (!found && is_seen) {
		memmove(v->sees + at + 1, v->sees + at, (v->sees_n - at) *
		    sizeof(struct model_service *));
		v->sees_n++;
	}
	if (is_seen)
		v->sees[at] = s;
	return true;
}

/* NULL: it is told of all. */
static const struct intent *
teller(const struct view *v, const struct model *m)
{
	const struct intent *i = *v->key.caller == '\0' ? NULL :
	    model_intent(m, INTENT_CALLER, v->key.caller);

	return i != NULL && ((const Caller *)i->message)->only ? i : NULL;
}

int
view_told(const struct pass *p, bool *anew)
{
	struct view *v = p->view;
	const struct model *m = p->model;
	const struct intent *by = teller(v, m);
	uint64_t number = by == NULL ? 0 : by->number;
	struct names n = { 0 };
	bool good = true;

	*anew = *anew || number != v->told_by;
	v->told_by = number;
	if (*anew)
		v->sees_n = 0;
	if (by == NULL)
		return 0;
	good = names_read(&n, by->message);
	for (size_t i = 0; good && i < m->services_n; i++)
		if (*anew || m->services[i]->dirty)
			good = put(v, m->services[i], !m->services[i]->gone &&
			    is_named(&n, m->services[i]));
	free(n.at);
	return good ? 0 : why_set(p->why, p->why_len, "no memory is left");
}

bool
view_sees(const struct view *v, const struct model_service *s)
{
	bool found = true;

	if (v->told_by != 0)
		(void)place(v, s->name, &found);
	return found;
}
