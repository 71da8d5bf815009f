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

static bool
put(struct view *v, struct model_service *s, bool is_seen)
{
	bool found;
	size_t at = model_place(v->sees, v->sees_n, s->name, &found);

	if (found == is_seen)
		return true;
	if (is_seen)
		return model_insert(&v->sees, &v->sees_n, &v->sees_size, at,
		    s);
	v->sees_n--;
	memmove(v->sees + at, v->sees + at + 1, (v->sees_n - at) *
	    sizeof(struct model_service *));
	return true;
}

static int
look(const struct pass *p, const Caller *c, bool anew)
{
	struct names n = { 0 };
	bool good = names_read(&n, c);

	for (size_t i = 0; good && i < p->model->services_n; i++) {
		struct model_service *s = p->model->services[i];

		if (anew || s->dirty)
			good = put(p->view, s, !s->gone && is_named(&n, s));
	}
	free(n.at);
	return good ? 0 : why_set(p->why, p->why_len, "no memory is left");
}

int
view_told(const struct pass *p, bool *anew)
{
	struct view *v = p->view;
	const struct intent *by = *v->key.caller == '\0' ? NULL :
	    model_only(p->model, v->key.caller);
	uint64_t number = by == NULL ? 0 : by->number;

	*anew = *anew || number != v->told_by;
	v->told_by = number;
	if (*anew)
		v->sees_n = 0;
	/* Which services there are, and what they are called. */
	if (by == NULL || (!*anew && !p->model->dirty_names))
		return 0;
	return look(p, by->message, *anew);
}

bool
view_sees(const struct view *v, const struct model_service *s)
{
	bool found = true;

	if (v->told_by != 0)
		(void)model_place(v->sees, v->sees_n, s->name, &found);
	return found;
}
