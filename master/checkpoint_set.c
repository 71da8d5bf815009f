/* master/checkpoint_set.c - see checkpoint_set.h. */
#include "master/checkpoint_set.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "shm/log.h"

enum source { SOURCE_LIVE, SOURCE_MISSING, SOURCE_GONE, SOURCE_NEXT, SOURCES };

static const char *const sources[] = {
	[SOURCE_LIVE] = "live", [SOURCE_MISSING] = "missing",
	[SOURCE_GONE] = "gone", [SOURCE_NEXT] = "next",
};

/* SOURCES: none that this program knows. */
static enum source
source_find(const char *text)
{
	enum source i = 0;

	while (i < SOURCES && strcmp(sources[i], text) != 0)
		i++;
	return i;
}

/* ---- from a set */

static struct checkpoint_record *
add(struct checkpoint_set *s, enum source source,
    const struct resource_view *v)
{
	struct checkpoint_records *to = v->kind == RESOURCE_SECRET ?
	    &s->secrets : &s->plain;
	size_t size = to->size == 0 ? 64 : to->size * 2;
	struct checkpoint_record *all = to->all;

	if (to->n == to->size) {
		all = realloc(all, size * sizeof(*all));
		if (all == NULL) {
			s->failed = true;
			return NULL;
		}
		to->all = all;
		to->size = size;
	}
	all[to->n] = (struct checkpoint_record){ v->kind, sources[source],
	    v->name, "", NULL, 0 };
	return &all[to->n++];
}

static void
add_version(struct checkpoint_set *s, enum source source,
    const struct resource_view *v, const struct resource_version *from)
{
	struct checkpoint_record *r;

	if (from == NULL || from->from == FROM_FILE ||
	    (r = add(s, source, v)) == NULL)
		return;
	r->version = from->text;
	r->bytes = from->bytes;
	r->len = from->len;
	if (v->kind != RESOURCE_SECRET)
		return;
	r->bytes = compile_secret_join(from->bytes, from->len,
	    from->key.ref == 0 ? NULL : arena_at(s->keys, from->key.ref),
	    &r->len);
	s->failed |= r->bytes == NULL;
}

static void
add_all(void *arg, const struct resource_view *v)
{
	struct checkpoint_set *s = arg;

	add_version(s, SOURCE_LIVE, v, v->live);
	add_version(s, SOURCE_NEXT, v, v->next);
	/* A secret is waited for however long. */
	if (v->missing && v->wanted && v->kind != RESOURCE_SECRET)
		(void)add(s, SOURCE_MISSING, v);
	if (v->lingers)
		(void)add(s, SOURCE_GONE, v);
}

/* Names last, so that the same set makes the same records. */
static int
compare(const void *left, const void *right)
{
	const struct checkpoint_record *a = left, *b = right;
	int by_source = (int)source_find(a->source) -
	    (int)source_find(b->source);
	int by_kind = (int)a->kind - (int)b->kind;

	return by_source != 0 ? by_source : by_kind != 0 ? by_kind :
	    strcmp(a->name, b->name);
}

static uint64_t
hash_text(const char *text, uint64_t hash)
{
	return XXH3_64bits_withSeed(text, strlen(text), hash);
}

static void
end(struct checkpoint_records *rs)
{
	uint64_t hash = rs->n;

	if (rs->n > 0)
		qsort(rs->all, rs->n, sizeof(*rs->all), compare);
	for (size_t i = 0; i < rs->n; i++) {
		const struct checkpoint_record *r = &rs->all[i];

		hash = hash_text(r->source, hash + (uint64_t)r->kind);
		hash = hash_text(r->version, hash_text(r->name, hash));
		hash = XXH3_64bits_withSeed(r->bytes, r->len, hash);
	}
	rs->hash = hash;
}

int
checkpoint_set_make(struct checkpoint_set *s, const struct resources *r,
    const struct arena *keys)
{
	*s = (struct checkpoint_set){ .keys = keys };
	resources_each(r, add_all, s);
	if (s->failed) {
		checkpoint_set_free(s);
		return -1;
	}
	end(&s->plain);
	end(&s->secrets);
	return 0;
}

void
checkpoint_set_free(struct checkpoint_set *s)
{
	for (size_t i = 0; i < s->secrets.n; i++) {
		const struct checkpoint_record *r = &s->secrets.all[i];
		uint8_t *bytes;

		/* Made by us: const only to who reads it. */
		memcpy(&bytes, &r->bytes, sizeof(bytes));
		if (bytes != NULL)
			explicit_bzero(bytes, r->len);
		free(bytes);
	}
	free(s->plain.all);
	free(s->secrets.all);
	*s = (struct checkpoint_set){ .keys = NULL };
}

/* ---- into a set */

struct putting {
	struct resources *r;
	const struct checkpoint_left_out *out;
	struct checkpoint_put how;
	enum source	 at;		/* all before it was put */
};

bool
checkpoint_left_out(const struct checkpoint_left_out *o, const char *listener)
{
	for (size_t i = 0; i < o->n; i++)
		if (strcmp(o->names[i], listener) == 0)
			return true;
	return false;
}

static void
put_version(struct putting *p, const struct checkpoint_record *r)
{
	char why[512];

	if (r->kind == RESOURCE_LISTENER && checkpoint_left_out(p->out,
	    r->name))
		return;
	if (resources_put(p->r, r->kind, r->name, r->version, r->bytes,
	    r->len, FROM_CHECKPOINT, why, sizeof(why)) == 0) {
		p->how.accepted++;
		return;
	}
	p->how.refused++;
	log_warn("the checkpoint's %s \"%s\" was accepted before and is not "
	    "now: %s", resource_about(r->kind)->word,
	    origin_plain(r->name), why);
}

static void
put_one(struct putting *p, const struct checkpoint_record *r)
{
	enum source source = source_find(r->source);

	if (source != p->at)
		resources_settle(p->r);
	p->at = source;
	switch (source) {
	case SOURCE_LIVE:
	case SOURCE_NEXT:
		put_version(p, r);
		break;
	case SOURCE_MISSING:
		resources_missing(p->r, r->kind, r->name);
		break;
	case SOURCE_GONE:
		resources_remove(p->r, r->kind, r->name);
		break;
	default:			/* of a newer program */
		break;
	}
}

static void
put_secrets(struct putting *p, const struct checkpoint *secrets)
{
	struct checkpoint_record r;
	size_t at = 0;

	while (secrets != NULL && checkpoint_next(secrets, &at, &r))
		put_one(p, &r);
}

/* Secrets come after clusters and before listeners, as they would if they
 * were in the same file: nobody keeps what nobody names. */
struct checkpoint_put
checkpoint_set_put(struct resources *r, const struct checkpoint *plain,
    const struct checkpoint *secrets, const struct checkpoint_left_out *out)
{
	struct putting p = { .r = r, .out = out };
	struct checkpoint_record one;
	bool secrets_put = false;
	size_t at = 0;

	while (plain != NULL && checkpoint_next(plain, &at, &one)) {
		if (!secrets_put && (one.kind > RESOURCE_SECRET ||
		    source_find(one.source) != SOURCE_LIVE)) {
			put_secrets(&p, secrets);
			secrets_put = true;
		}
		put_one(&p, &one);
	}
	if (!secrets_put)
		put_secrets(&p, secrets);
	resources_settle(r);
	resources_prune(r);
	return p.how;
}
