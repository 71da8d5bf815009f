/* worker/mutate.c - see mutate.h. */
#include "worker/mutate.h"

#include <assert.h>
#include <string.h>

struct change {
	struct headers	*to;
	const struct block_plan *plan;
	const struct headers *request;
	const char	*address;
};

struct value {
	const char	*p;
	size_t		 len;
	bool		 set;
};

static const char *
text_at(const struct block_plan *p, struct block_span s)
{
	return block_span_at(p, s);
}

/* ---- values ---- */

static struct value
header_value(const struct change *c, const struct block_part *part)
{
	const struct header *h = headers_find_name(c->request,
	    text_at(c->plan, part->text), part->text.len);

	if (h == NULL && part->other.off != 0)
		h = headers_find_name(c->request,
		    text_at(c->plan, part->other), part->other.len);
	if (h == NULL)
		return (struct value){ "", 0, true };
	return (struct value){ (const char *)h->value, h->value_len <
	    part->bytes_max ? h->value_len : part->bytes_max, true };
}

static struct value
part_value(const struct change *c, const struct block_part *part)
{
	switch ((enum part_kind)part->kind) {
	case PART_TEXT:
		return (struct value){ text_at(c->plan, part->text),
		    part->text.len, true };
	case PART_HEADER:
		return header_value(c, part);
	case PART_ADDRESS:
		return (struct value){ c->address, strlen(c->address), true };
	}
	return (struct value){ "", 0, true };
}

/* Several parts one behind the other. */
static bool
parts_join(const struct change *c, const struct block_part *parts, uint32_t n,
    struct value *v)
{
	size_t len = 0;
	char *to;

	for (uint32_t i = 0; i < n; i++)
		len += part_value(c, &parts[i]).len;
	to = (char *)headers_room(c->to, len);
	if (to == NULL)
		return false;
	*v = (struct value){ to, len, true };
	for (uint32_t i = 0; i < n; i++) {
		struct value part = part_value(c, &parts[i]);

		memcpy(to, part.p, part.len);
		to += part.len;
	}
	return true;
}

static bool
is_wanted(const struct change *c, const struct block_mutation *m)
{
	if (m->kind != MUTATION_ADD_IF_ABSENT && m->kind != MUTATION_OVERWRITE)
		return true;
	return (headers_find_name(c->to, text_at(c->plan, m->name),
	    m->name.len) != NULL) == (m->kind == MUTATION_OVERWRITE);
}

static bool
value_make(const struct change *c, const struct block_mutation *m,
    struct value *v)
{
	const struct block_part *parts = &block_parts(c->plan)[m->part];

	*v = (struct value){ "", 0, is_wanted(c, m) };
	if (!v->set)
		return true;
	if (m->parts_n == 1)
		*v = part_value(c, parts);
	else if (m->parts_n > 1 && !parts_join(c, parts, m->parts_n, v))
		return false;
	v->set = v->len > 0 || m->flags & MUTATION_KEEP_EMPTY;
	return true;
}

/* ---- one change ---- */

static bool
join(struct headers *h, const struct header *at, struct value v)
{
	size_t len = at->value_len + 1 + v.len;
	uint8_t *to = headers_room(h, len);

	if (to == NULL)
		return false;
	memcpy(to, at->value, at->value_len);
	to[at->value_len] = ',';
	memcpy(to + at->value_len + 1, v.p, v.len);
	return headers_set(h, (uint32_t)(at - h->at), to, len);
}

static bool
add(const struct change *c, const struct block_mutation *m, struct value v)
{
	const char *name = text_at(c->plan, m->name);
	const struct header *at = m->flags & MUTATION_JOIN ?
	    headers_find_name(c->to, name, m->name.len) : NULL;

	return at != NULL ? join(c->to, at, v) :
	    headers_add(c->to, name, m->name.len, v.p, v.len, 0);
}

static bool
overwrites(const struct block_mutation *m)
{
	return m->kind == MUTATION_OVERWRITE ||
	    m->kind == MUTATION_OVERWRITE_OR_ADD;
}

static bool
apply(const struct change *c, const struct block_mutation *m, struct value v)
{
	return overwrites(m) ? headers_replace(c->to, text_at(c->plan,
	    m->name), m->name.len, v.p, v.len) : add(c, m, v);
}

/* ---- a level ---- */

/* Steps 2 to 4, for the n mutations behind the removals. */
static bool
level_set(const struct change *c, const struct block_mutation *m, uint32_t n)
{
	struct value *values = mem_alloc(c->to->mem, n * sizeof(*values));
	bool good = values != NULL;

	for (uint32_t i = 0; good && i < n; i++)
		good = value_make(c, &m[i], &values[i]);
	for (int adds = 0; adds < 2; adds++)
		for (uint32_t i = 0; good && i < n; i++)
			if (values[i].set && overwrites(&m[i]) != adds)
				good = apply(c, &m[i], values[i]);
	if (values != NULL)
		mem_free(c->to->mem, values);
	return good;
}

/* From m to the next level or the end. Removals come first there. */
static uint32_t
level_apply(const struct change *c, const struct block_mutation *m, uint32_t n)
{
	uint32_t end = 1, i = 0;

	while (end < n && !(m[end].flags & MUTATION_LEVEL))
		end++;
	for (; i < end && m[i].kind == MUTATION_REMOVE; i++)
		headers_remove_name(c->to, text_at(c->plan, m[i].name),
		    m[i].name.len);
	return i == end || level_set(c, m + i, end - i) ? end : 0;
}

static bool
mutate(const struct change *c, const struct block_mutation *m, uint32_t n)
{
	for (uint32_t i = 0, end; i < n; i += end) {
		end = level_apply(c, m + i, n - i);
		if (end == 0)
			return false;
	}
	return true;
}

bool
mutate_request(struct headers *h, const struct block_plan *p,
    const char *address)
{
	const struct change c = { h, p, h, address };

	return mutate(&c, p->mutations, p->request_n);
}

bool
mutate_answer(struct headers *h, const struct block_plan *p,
    const struct headers *request, const char *address)
{
	const struct change c = { h, p, request, address };

	return mutate(&c, &p->mutations[p->request_n], p->answer_n);
}

/* ---- where it goes ---- */

static bool
original_set(struct headers *h, const char *name, uint32_t i)
{
	return headers_replace(h, name, strlen(name), h->at[i].value,
	    h->at[i].value_len);
}

static bool
host_set(struct headers *h, const struct block_plan *p, bool originals)
{
	const struct header *at = headers_find(h, HEADER_authority);
	uint32_t i;

	if (at == NULL)
		at = headers_find(h, HEADER_host);
	if (at == NULL)
		return true;
	i = (uint32_t)(at - h->at);
	originals = originals && p->flags & PLAN_HOST_TOLD;
	return (!originals || original_set(h, "x-envoy-original-host", i)) &&
	    headers_set(h, i, text_at(p, p->host), p->host.len);
}

static bool
path_set(struct headers *h, const struct block_plan *p, bool originals)
{
	const struct header *at = headers_find(h, HEADER_path);
	size_t rest;
	uint8_t *to;
	uint32_t i;

	if (at == NULL)
		return true;		/* CONNECT has none */
	assert(at->value_len >= p->path_bytes);
	i = (uint32_t)(at - h->at);
	rest = at->value_len - p->path_bytes;
	to = headers_room(h, p->path.len + rest);
	if (to == NULL)
		return false;
	memcpy(to, text_at(p, p->path), p->path.len);
	memcpy(to + p->path.len, at->value + p->path_bytes, rest);
	return (!originals || original_set(h, "x-envoy-original-path", i)) &&
	    headers_set(h, i, to, p->path.len + rest);
}

bool
mutate_target(struct headers *h, const struct block_plan *p, bool originals)
{
	return (p->host.off == 0 || host_set(h, p, originals)) &&
	    (p->path.off == 0 || path_set(h, p, originals));
}
