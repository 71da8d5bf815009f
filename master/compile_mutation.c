/*
 * master/compile_mutation.c - headers to add and to remove, of all levels that
 * a route has, flattened into one list for the request and one for the answer.
 *
 *   share of a split, route, virtual host, configuration
 *   share of a split, configuration, virtual host, route   most_specific_...
 *
 * which is the order in which they are done, so that the last word is the
 * configuration's or the route's. worker/mutate.h says what a level is.
 *
 * Refused: names that begin with a colon, and host (Envoy refuses them too);
 * adding names that belong to one connection (RFC 9113 section 8.2.2), which
 * Envoy takes.
 *
 * Source: HeaderValueOption, Envoy's HeaderParser. Test: t/unit/compile.c.
 */
#include "master/compile_parts.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

enum { LEVEL_ITEMS_MAX = 1000, VALUE_BYTES_MAX = 16384 };

/* ---- a plan in the making */

/* Room for n more of what there are `used` of, each `bytes` long. */
static int
grow(struct compiler *c, void *at, size_t used, size_t n, size_t *cap,
    size_t bytes)
{
	size_t room = *cap == 0 ? 16 : *cap;
	void *old, *more;

	if (used + n <= *cap)
		return 0;
	while (room < used + n)
		room *= 2;
	if ((more = scratch(c, room * bytes)) == NULL)
		return -1;
	memcpy(&old, at, sizeof(old));
	if (used > 0)
		memcpy(more, old, used * bytes);
	memcpy(at, &more, sizeof(more));
	*cap = room;
	return 0;
}

/* Offsets are from the texts' begin and by one too large until draft_put. */
int
draft_text(struct compiler *c, struct plan_draft *d, const char *s, size_t n,
    struct block_span *span)
{
	if (grow(c, &d->text, d->text_bytes, n + 1, &d->text_cap, 1) < 0)
		return -1;
	span->off = (uint32_t)d->text_bytes + 1;
	span->len = (uint32_t)n;
	memcpy(d->text + d->text_bytes, s, n);
	d->text[d->text_bytes + n] = '\0';
	d->text_bytes += n + 1;
	return 0;
}

int
draft_part(struct compiler *c, struct plan_draft *d, struct block_part part)
{
	if (grow(c, &d->parts, d->plan.parts_n, 1, &d->parts_cap,
	    sizeof(part)) < 0)
		return -1;
	d->parts[d->plan.parts_n++] = part;
	return 0;
}

int
draft_mutation(struct compiler *c, struct plan_draft *d, struct block_mutation m)
{
	if (grow(c, &d->mutations, d->mutations_n, 1, &d->mutations_cap,
	    sizeof(m)) < 0)
		return -1;
	d->mutations[d->mutations_n++] = m;
	return 0;
}

static void
span_place(struct block_span *s, size_t texts_at)
{
	if (s->off != 0)
		s->off += (uint32_t)texts_at - 1;
}

static void
spans_place(struct plan_draft *d, size_t texts_at)
{
	size_t i;

	span_place(&d->plan.direct_body, texts_at);
	span_place(&d->plan.host, texts_at);
	span_place(&d->plan.path, texts_at);
	for (i = 0; i < d->mutations_n; i++)
		span_place(&d->mutations[i].name, texts_at);
	for (i = 0; i < d->plan.parts_n; i++) {
		span_place(&d->parts[i].text, texts_at);
		span_place(&d->parts[i].other, texts_at);
	}
}

int
draft_put(struct compiler *c, struct plan_draft *d, block_ref *ref)
{
	size_t mutations = d->mutations_n * sizeof(d->mutations[0]);
	size_t parts = d->plan.parts_n * sizeof(d->parts[0]);
	size_t texts_at = sizeof(d->plan) + mutations + parts;
	size_t bytes = texts_at + d->text_bytes;
	uint8_t *b = scratch(c, bytes);

	if (b == NULL)
		return -1;
	spans_place(d, texts_at);
	d->plan.bytes = (uint32_t)bytes;
	memcpy(b, &d->plan, sizeof(d->plan));
	if (mutations > 0)
		memcpy(b + sizeof(d->plan), d->mutations, mutations);
	if (parts > 0)
		memcpy(b + sizeof(d->plan) + mutations, d->parts, parts);
	if (d->text_bytes > 0)
		memcpy(b + texts_at, d->text, d->text_bytes);
	((struct block_plan *)(void *)b)->hash = put_hash(b +
	    offsetof(struct block_plan, bytes), bytes -
	    offsetof(struct block_plan, bytes), 0);
	return put_block(c, BLOCK_PLAN, b, bytes, ref);
}

/* ---- names and values */

static bool
is_token(const char *s)
{
	static const char marks[] = "!#$%&'*+-.^_`|~";

	for (; *s != '\0'; s++)
		if (!isalnum((unsigned char)*s) && strchr(marks, *s) == NULL)
			return false;
	return true;
}

static bool
is_one_of(const char *name, const char *const *names)
{
	while (*names != NULL && strcmp(*names, name) != 0)
		names++;
	return *names != NULL;
}

/* In lower case. NULL: refused. */
static char *
name_read(struct compiler *c, const struct at *at, const char *name)
{
	char *to = lower(c, name);

	if (to == NULL)
		return NULL;
	if (*name == ':' || strcmp(to, "host") == 0)
		refuse(c, at, "\"%s\" can't be changed so, expected a name "
		    "without a colon that is not host (host_rewrite_literal "
		    "and prefix_rewrite are for those)", name);
	else if (*name == '\0' || !is_token(name))
		refuse(c, at, "\"%s\" is no name of a header, expected one "
		    "like x-region", name);
	else
		return to;
	return NULL;
}

/* Those can be removed: they are never there. */
static int
hop_check(struct compiler *c, const struct at *at, const char *name)
{
	static const char *const hops[] = { "connection", "keep-alive",
	    "proxy-connection", "transfer-encoding", "upgrade", NULL };

	return !is_one_of(name, hops) ? 0 : refuse(c, at, "\"%s\" is about "
	    "one connection only, HTTP/2 has no such header", name);
}

static int
value_check(struct compiler *c, const struct at *at, const char *value)
{
	const char *p;

	if (strlen(value) > VALUE_BYTES_MAX)
		return refuse(c, at, "has %zu bytes, expected at most %d",
		    strlen(value), VALUE_BYTES_MAX);
	for (p = value; *p != '\0'; p++)
		if (((unsigned char)*p < ' ' && *p != '\t') || *p == 0x7f)
			return refuse(c, at, "has a control character at "
			    "byte %zu, which no header may have",
			    (size_t)(p - value));
	return 0;
}

/* Names of which Envoy keeps one value, further ones behind a comma of it:
 * what of its inline headers may come before a gRPC service. */
static bool
joins(const char *name, bool request)
{
	static const char *const both[] = { "cache-control", "content-type",
	    "via", "x-request-id", NULL };
	static const char *const requests[] = { "accept", "authorization",
	    "grpc-timeout", "origin", "referer", "te", "user-agent",
	    "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto",
	    NULL };
	static const char *const answers[] = { "age", "date", "etag", "grpc-message",
	    "grpc-status", "location", "server", "vary", NULL };

	return is_one_of(name, both) ||
	    is_one_of(name, request ? requests : answers);
}

/* ---- one change */

static int
action_read(struct compiler *c, const struct at *up,
    const HeaderValueOption *m, uint16_t *kind)
{
	const struct at append = AT(up, "append");

	*kind = (uint16_t)(MUTATION_APPEND + m->append_action);
	if (m->append == NULL)
		return 0;
	if (m->append_action != 0)
		return refuse(c, &append, "is set beside append_action, "
		    "expected that alone");
	*kind = m->append->value ? MUTATION_APPEND :
	    MUTATION_OVERWRITE_OR_ADD;
	return 0;
}

static int
add_compile(struct compiler *c, const struct at *at,
    const HeaderValueOption *m, bool request, struct plan_draft *d)
{
	static const struct rule rules[] = {
		{ "header", RULE_SET, .text = "a key and a value" },
		{ NULL, RULE_SET, 0, 0, NULL },
	};
	const struct at header = AT(at, "header");
	const struct at key = AT(&header, "key"), value = AT(&header, "value");
	struct block_mutation b = { .kind = 0 };
	const char *name;

	if (rule_check(c, at, &m->base, rules) < 0 ||
	    action_read(c, at, m, &b.kind) < 0 ||
	    (name = name_read(c, &key, m->header->key)) == NULL ||
	    hop_check(c, &key, name) < 0 ||
	    value_check(c, &value, m->header->value) < 0 ||
	    draft_text(c, d, name, strlen(name), &b.name) < 0 ||
	    compile_value(c, &value, m->header->value, d, &b) < 0)
		return -1;
	b.flags = (uint16_t)((m->keep_empty_value ? MUTATION_KEEP_EMPTY : 0) |
	    (joins(name, request) ? MUTATION_JOIN : 0));
	return draft_mutation(c, d, b);
}

static int
remove_compile(struct compiler *c, const struct at *at, const char *name,
    struct plan_draft *d)
{
	struct block_mutation b = { .kind = MUTATION_REMOVE };

	name = name_read(c, at, name);
	return name == NULL ||
	    draft_text(c, d, name, strlen(name), &b.name) < 0 ? -1 :
	    draft_mutation(c, d, b);
}

/* ---- levels */

static int
level_compile(struct compiler *c, const struct level *l, bool request,
    struct plan_draft *d)
{
	const char *add = request ? "request_headers_to_add" :
	    "response_headers_to_add";
	const char *removal = request ? "request_headers_to_remove" :
	    "response_headers_to_remove";
	size_t i, first = d->mutations_n;
	size_t add_n = request ? l->request.add_n : l->answer.add_n;
	size_t remove_n = request ? l->request.remove_n : l->answer.remove_n;

	for (i = 0; i < remove_n; i++) {
		const struct at at = AT_ITEM(l->at, removal, i);

		if (remove_compile(c, &at, (request ? l->request.remove :
		    l->answer.remove)[i], d) < 0)
			return -1;
	}
	for (i = 0; i < add_n; i++) {
		const struct at at = AT_ITEM(l->at, add, i);

		if (i == LEVEL_ITEMS_MAX)
			return refuse(c, &at, "is one too many, expected at "
			    "most %d", LEVEL_ITEMS_MAX);
		if (add_compile(c, &at, (request ? l->request.add :
		    l->answer.add)[i], request, d) < 0)
			return -1;
	}
	if (d->mutations_n > first)
		d->mutations[first].flags |= MUTATION_LEVEL;
	return 0;
}

int
compile_mutations(struct compiler *c, const struct levels *l, bool request,
    struct plan_draft *d)
{
	const struct level *const order[] = { &l->share,
	    l->most_specific ? &l->config : &l->route, &l->host,
	    l->most_specific ? &l->route : &l->config };
	size_t i, first = d->mutations_n;

	for (i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		if (order[i]->at != NULL &&
		    level_compile(c, order[i], request, d) < 0)
			return -1;
	if (request)
		d->plan.request_n = (uint32_t)(d->mutations_n - first);
	else
		d->plan.answer_n = (uint32_t)(d->mutations_n - first);
	return 0;
}
