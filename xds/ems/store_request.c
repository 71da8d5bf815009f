/* xds/ems/store_request.c - see store_request.h. */
#include "xds/ems/store_request.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { CHUNK_BYTES = 1024, CHUNK_BYTES_MAX = 64 << 10, ALIGN_BYTES = 16 };

struct store_chunk {
	struct store_chunk *next;
	size_t		 used, size;
	_Alignas(ALIGN_BYTES) char bytes[];
};

struct store_request *
store_request_new(enum store_verb verb, store_done *done, void *arg)
{
	struct store_request *r = calloc(1, sizeof(*r));

	assert(done != NULL);
	if (r == NULL)
		return NULL;
	r->verb = verb;
	r->done = done;
	r->arg = arg;
	r->answer.why = r->why;
	return r;
}

void
store_request_free(struct store_request *r)
{
	struct store_chunk *next;

	for (struct store_chunk *c = r->chunks; c != NULL; c = next) {
		next = c->next;
		free(c);
	}
	free(r);
}

/* Each as large as all before it together, within reason. */
static struct store_chunk *
chunk_add(struct store_request *r, size_t n)
{
	size_t size = r->chunks == NULL ? CHUNK_BYTES : 2 * r->chunks->size;
	struct store_chunk *c;

	if (size > CHUNK_BYTES_MAX)
		size = CHUNK_BYTES_MAX;
	if (size < n)
		size = n;
	c = malloc(sizeof(*c) + size);
	if (c == NULL)
		return NULL;
	c->size = size;
	c->used = 0;
	c->next = r->chunks;
	r->chunks = c;
	return c;
}

void *
store_request_alloc(struct store_request *r, size_t n)
{
	struct store_chunk *c = r->chunks;
	void *p;

	n = (n + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES;
	if (c == NULL || c->size - c->used < n)
		c = chunk_add(r, n);
	if (c == NULL)
		return NULL;
	p = c->bytes + c->used;
	c->used += n;
	return p;
}

int
store_request_text(struct store_request *r, struct store_text *to,
    struct store_text from)
{
	char *p;

	*to = (struct store_text){ NULL, 0 };
	if (from.p == NULL)
		return 0;
	p = store_request_alloc(r, from.n + 1);
	if (p == NULL)
		return -1;
	memcpy(p, from.p, from.n);
	p[from.n] = '\0';
	*to = (struct store_text){ p, from.n };
	return 0;
}

/* A text of the input, in its place. */
static int
keep(struct store_request *r, struct store_text *text)
{
	r->bytes += text->n;
	return store_request_text(r, text, *text);
}

int
store_request_write(struct store_request *r, const struct store_write *w)
{
	size_t bytes = w->changes_n * sizeof(*w->changes);
	struct store_change *c = store_request_alloc(r, bytes);

	r->bytes += bytes;
	r->write = *w;
	r->write.changes = c;
	if (c == NULL || keep(r, &r->write.who) == -1 ||
	    keep(r, &r->write.why) == -1)
		return -1;
	for (size_t i = 0; i < w->changes_n; i++) {
		c[i] = w->changes[i];
		if (keep(r, &c[i].noun) == -1 || keep(r, &c[i].name) == -1 ||
		    keep(r, &c[i].body) == -1)
			return -1;
	}
	return 0;
}

int
store_request_question(struct store_request *r, const struct store_question *q)
{
	r->question = *q;
	if (keep(r, &r->question.noun) == -1)
		return -1;
	return keep(r, &r->question.name);
}

int
store_request_lease(struct store_request *r, const struct store_lease *from)
{
	struct store_lease *l = &r->lease;
	struct store_text *const texts[] = {
		&l->id, &l->service, &l->region, &l->zone, &l->address,
		&l->label, &l->checks,
	};

	*l = *from;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (keep(r, texts[i]) == -1)
			return -1;
	return 0;
}

void
store_request_again(struct store_request *r)
{
	r->why[0] = '\0';
	r->answer = (struct store_answer){ .why = r->why };
	r->made = NULL;
	r->made_n = 0;
}

void
store_request_say(struct store_request *r, enum store_result result,
    const char *fmt, ...)
{
	va_list args;

	store_request_again(r);
	r->answer.result = result;
	va_start(args, fmt);
	vsnprintf(r->why, sizeof(r->why), fmt, args);
	va_end(args);
}
