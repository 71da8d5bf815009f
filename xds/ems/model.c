/* xds/ems/model.c - see model.h. */
#include "xds/ems/model.h"

#include <stdlib.h>
#include <string.h>

#include "shm/log.h"

typedef Godwit__Ems__V1__Gateway Gateway;
typedef Godwit__Ems__V1__Service Service;
typedef Godwit__Ems__V1__Caller Caller;

/* ---- arrays by name */

/* Where name is among n, or would be. */
static size_t
search(const void *list, size_t n, const char *(*name_at)(const void *list,
    size_t i), const char *name, bool *found)
{
	size_t low = 0, high = n;

	*found = false;
	while (low < high && !*found) {
		size_t mid = (low + high) / 2;
		int rc = strcmp(name_at(list, mid), name);

		*found = rc == 0;
		if (rc < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return high;
}

static const char *
service_name(const void *list, size_t i)
{
	return ((struct model_service *const *)list)[i]->name;
}

size_t
model_place(struct model_service *const *list, size_t n, const char *name,
    bool *found)
{
	return search(list, n, service_name, name, found);
}

static size_t
service_at(const struct model *m, const char *name, bool *found)
{
	return model_place(m->services, m->services_n, name, found);
}

static const char *
intent_name(const void *list, size_t i)
{
	return ((struct intent *const *)list)[i]->name;
}

static size_t
intent_at(const struct model *m, enum intent_noun noun, const char *name,
    bool *found)
{
	return search(m->intents[noun], m->intents_n[noun], intent_name, name,
	    found);
}

/* Room for one more pointer at place i of n. */
static bool
insert(void ***list, size_t *n, size_t *size, size_t i, void *p)
{
	size_t to_size = *size == 0 ? 16 : *size * 2;
	void **to;

	if (*n == *size) {
		if ((to = realloc(*list, to_size * sizeof(*to))) == NULL)
			return false;
		*list = to;
		*size = to_size;
	}
	memmove(*list + i + 1, *list + i, (*n - i) * sizeof(**list));
	(*list)[i] = p;
	(*n)++;
	return true;
}

bool
model_insert(struct model_service ***list, size_t *n, size_t *size, size_t i,
    struct model_service *s)
{
	return insert((void ***)(void *)list, n, size, i, s);
}

/* ---- questions */

struct intent *
model_intent(const struct model *m, enum intent_noun noun, const char *name)
{
	bool found;
	size_t i = intent_at(m, noun, name, &found);

	return found ? m->intents[noun][i] : NULL;
}

struct model_service *
model_service(const struct model *m, const char *name)
{
	bool found;
	size_t i = service_at(m, name, &found);

	return found ? m->services[i] : NULL;
}

const struct intent *
model_only(const struct model *m, const char *caller)
{
	const struct intent *i = model_intent(m, INTENT_CALLER, caller);

	return i != NULL && ((const Caller *)i->message)->only ? i : NULL;
}

size_t
model_grpc_n(const struct model_service *s)
{
	const Service *m = model_message(s);

	return m == NULL || m->n_grpc == 0 ? 1 : m->n_grpc;
}

const char *
model_grpc(const struct model_service *s, size_t i)
{
	const Service *m = model_message(s);

	return m == NULL || m->n_grpc == 0 ? s->name : m->grpc[i];
}

bool
model_allows(const struct model_service *s, const char *region)
{
	const Service *m = model_message(s);

	if (m == NULL || m->regions == NULL || m->regions->n_allow == 0)
		return true;
	for (size_t i = 0; i < m->regions->n_allow; i++)
		if (strcmp(m->regions->allow[i], region) == 0)
			return true;
	return false;
}

bool
model_is_live(const struct model_service *s, const char *region)
{
	const struct model_endpoint *e;

	TAILQ_FOREACH(e, &s->endpoints, link)
		if (e->health != MODEL_DRAINING &&
		    strcmp(e->region, region) == 0)
			return true;
	return false;
}

bool
model_has_gateway(const struct model *m, const char *region)
{
	for (size_t i = 0; i < m->intents_n[INTENT_GATEWAY]; i++) {
		const Gateway *g = m->intents[INTENT_GATEWAY][i]->message;

		if (strcmp(g->region, region) == 0)
			return true;
	}
	return false;
}

/* ---- services */

static void
names_dirty(struct model *m)
{
	m->dirty_names = m->unchecked = true;
}

static struct model_service *
service_get(struct model *m, const char *name)
{
	bool found;
	size_t i = service_at(m, name, &found);
	struct model_service *s;

	if (found)
		return m->services[i];
	if ((s = calloc(1, sizeof(*s))) == NULL ||
	    (s->name = strdup(name)) == NULL) {
		free(s);
		return NULL;
	}
	TAILQ_INIT(&s->endpoints);
	names_dirty(m);
	s->recast = true;
	if (insert((void ***)(void *)&m->services, &m->services_n,
	    &m->services_size, i, s))
		return s;
	free(s->name);
	free(s);
	return NULL;
}

static void
service_dirty(struct model *m, struct model_service *s)
{
	bool gone = s->intent == NULL && TAILQ_EMPTY(&s->endpoints);

	if (gone != s->gone) {
		names_dirty(m);
		s->recast = true;
	}
	s->dirty = m->dirty_some = true;
	s->gone = gone;
}

void
model_recast(struct model *m, struct model_service *s)
{
	s->recast = true;
	service_dirty(m, s);
}

static void
part_drop(struct model_service *s, uint32_t view)
{
	struct model_part *p = &s->parts[view];

	body_put(p->pins);
	body_put(p->routes);
	body_put(p->host);
	*p = (struct model_part){ 0 };
}

static void
service_free(struct model_service *s)
{
	struct model_endpoint *e;

	while ((e = TAILQ_FIRST(&s->endpoints)) != NULL) {
		TAILQ_REMOVE(&s->endpoints, e, link);
		free(e);
	}
	for (uint32_t i = 0; i < s->parts_n; i++)
		part_drop(s, i);
	free(s->parts);
	free(s->name);
	free(s);
}

struct model_part *
model_part(struct model_service *s, uint32_t view)
{
	struct model_part *to;

	if (view < s->parts_n)
		return &s->parts[view];
	if ((to = realloc(s->parts, (view + 1) * sizeof(*to))) == NULL)
		return NULL;
	memset(to + s->parts_n, 0, (view + 1 - s->parts_n) * sizeof(*to));
	s->parts = to;
	s->parts_n = view + 1;
	return &s->parts[view];
}

void
model_parts_drop(struct model *m, uint32_t view)
{
	for (size_t i = 0; i < m->services_n; i++)
		if (view < m->services[i]->parts_n)
			part_drop(m->services[i], view);
}

void
model_clean(struct model *m)
{
	size_t n = 0;

	for (size_t i = 0; i < m->services_n; i++) {
		m->services[i]->dirty = m->services[i]->recast = false;
		if (m->services[i]->gone)
			service_free(m->services[i]);
		else
			m->services[n++] = m->services[i];
	}
	m->services_n = n;
	m->dirty_all = m->dirty_some = m->dirty_names = false;
}

/* ---- intents */

static bool
intent_put(struct model *m, struct intent *i, struct intent **before)
{
	bool found;
	size_t at = intent_at(m, i->noun, i->name, &found);

	i->number = ++m->puts_n;
	*before = found ? m->intents[i->noun][at] : NULL;
	if (!found && !insert((void ***)(void *)&m->intents[i->noun],
	    &m->intents_n[i->noun], &m->intents_size[i->noun], at, i))
		return false;
	m->intents[i->noun][at] = i;
	return true;
}

static struct intent *
intent_remove(struct model *m, enum intent_noun noun, const char *name)
{
	bool found;
	size_t at = intent_at(m, noun, name, &found);
	struct intent *i = found ? m->intents[noun][at] : NULL;

	if (found)
		memmove(m->intents[noun] + at, m->intents[noun] + at + 1,
		    (--m->intents_n[noun] - at) * sizeof(i));
	return i;
}

bool
model_swap(struct model *m, enum intent_noun noun, const char *name,
    struct intent *i, struct intent **before)
{
	struct model_service *s = noun != INTENT_SERVICE ? NULL : i == NULL ?
	    model_service(m, name) : service_get(m, name);

	*before = NULL;
	if (noun == INTENT_SERVICE && i != NULL && s == NULL)
		return false;
	if (i == NULL)
		*before = intent_remove(m, noun, name);
	else if (!intent_put(m, i, before)) {
		if (s != NULL)
			service_dirty(m, s);
		return false;
	}
	if (noun == INTENT_CALLER || noun == INTENT_SERVICE)
		names_dirty(m);
	else if (noun != INTENT_LIMIT)
		m->dirty_all = true;
	m->dirty_some = m->unchecked = true;
	if (s != NULL) {
		s->intent = i;
		model_recast(m, s);
	}
	return true;
}

/* ---- endpoints */

static struct model_endpoint *
endpoint_find(const struct model_service *s, const char *id)
{
	struct model_endpoint *e;

	TAILQ_FOREACH(e, &s->endpoints, link)
		if (strcmp(e->id, id) == 0)
			return e;
	return NULL;
}

static void
endpoint_insert(struct model_service *s, struct model_endpoint *e)
{
	struct model_endpoint *at;

	TAILQ_FOREACH(at, &s->endpoints, link)
		if (strcmp(at->id, e->id) > 0)
			break;
	if (at != NULL)
		TAILQ_INSERT_BEFORE(at, e, link);
	else
		TAILQ_INSERT_TAIL(&s->endpoints, e, link);
	s->endpoints_n++;
}

bool
model_endpoint_put(struct model *m, const char *service,
    const struct model_endpoint *from)
{
	struct model_service *s = service_get(m, service);
	struct model_endpoint *e, saved;
	bool is_new;

	if (s == NULL)
		return false;
	e = endpoint_find(s, from->id);
	is_new = e == NULL;
	if (is_new && (e = calloc(1, sizeof(*e))) == NULL)
		return false;
	saved = *e;
	*e = *from;
	e->link = saved.link;
	if (is_new)
		endpoint_insert(s, e);
	service_dirty(m, s);
	return true;
}

void
model_endpoint_remove(struct model *m, const char *service, const char *id)
{
	struct model_service *s = model_service(m, service);
	struct model_endpoint *e = s == NULL ? NULL : endpoint_find(s, id);

	if (e == NULL)
		return;
	TAILQ_REMOVE(&s->endpoints, e, link);
	s->endpoints_n--;
	free(e);
	service_dirty(m, s);
}

/* ---- life */

void
model_init(struct model *m)
{
	*m = (struct model){ 0 };
}

void
model_fini(struct model *m)
{
	for (int noun = 0; noun < INTENT_NOUNS; noun++) {
		for (size_t i = 0; i < m->intents_n[noun]; i++)
			intent_free(m->intents[noun][i]);
		free(m->intents[noun]);
	}
	for (size_t i = 0; i < m->services_n; i++)
		service_free(m->services[i]);
	free(m->services);
	*m = (struct model){ 0 };
}
