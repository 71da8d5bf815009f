/*
 * master/status_config.c - /config: resources, one version a line, or one of
 * them whole. See status.h.
 */
#include "master/status.h"

#include <limits.h>
#include <string.h>
#include <strings.h>

#include "master/query.h"
#include "master/views.h"
#include "shm/clock.h"

enum { MEMORY_BYTES_MAX = 512 << 20, COLUMN_MAX = 48 };

/* ---- one resource a line */

struct listing {
	const struct resources *resources;
	const struct subscription *from;	/* or NULL */
	int64_t		 now_ms;
	int		 name_width, from_width, version_width;
	FILE		*out;
};

static void
wider(int *width, const char *text)
{
	size_t n = strlen(text);

	if (n > (size_t)*width)
		*width = n < COLUMN_MAX ? (int)n : COLUMN_MAX;
}

/* "control plane" is ADS's. */
static const char *
from_text(const struct listing *l, const struct resource_view *v,
    const struct resource_version *of, char *text, size_t text_len)
{
	const char *origin = of == NULL || of->from != FROM_PLANE ||
	    l->from == NULL ? NULL : subscription_origin(l->from, v->kind,
	    v->name, text, text_len);

	return of == NULL ? "-" : origin != NULL ? origin :
	    views_from(of->from);
}

static void
line(const struct listing *l, const struct resource_view *v,
    const struct resource_version *of)
{
	char since[32] = "", from[PATH_MAX + 16];

	if (of != NULL)
		status_span(l->now_ms - of->since_ms, since);
	fprintf(l->out, "%-10s %-*s  %-*s  %-*s  %10s  ",
	    resource_about(v->kind)->word, l->name_width, origin_plain(v->name),
	    l->from_width, from_text(l, v, of, from, sizeof(from)),
	    l->version_width, of == NULL || *of->text == '\0' ? "-" :
	    of->text, since);
}

/* Each of its versions, or that there is none. */
static void
lines(const struct listing *l, const struct resource_view *v)
{
	if (v->live != NULL) {
		line(l, v, v->live);
		fprintf(l->out, "live%s\n", v->lingers ? ", removed by its "
		    "source, still in use" : "");
	}
	if (v->next != NULL) {
		line(l, v, v->next);
		fputs("waits for ", l->out);
		resources_waits_print(l->resources, v->kind, v->name, l->out);
		fputc('\n', l->out);
	}
	if (v->refused != NULL) {
		line(l, v, v->refused);
		fprintf(l->out, "refused: %s\n", v->why == NULL ? "" :
		    v->why);
	}
	if (v->live == NULL && v->next == NULL && v->refused == NULL) {
		line(l, v, NULL);
		fprintf(l->out, "%s\n", v->missing ? "does not exist" :
		    "asked for");
	}
}

static void
widen(struct listing *l, const struct resource_view *v)
{
	const struct resource_version *all[] = { v->live, v->next };
	char from[PATH_MAX + 16];

	wider(&l->name_width, origin_plain(v->name));
	for (size_t i = 0; i < 2; i++) {
		wider(&l->version_width, all[i] == NULL ? "" : all[i]->text);
		wider(&l->from_width, from_text(l, v, all[i], from,
		    sizeof(from)));
	}
}

static void
list(struct listing *l, const struct views *all, int kind)
{
	size_t first = kind == -1 ? 0 : all->first[kind];
	size_t end = kind == -1 ? all->n : all->first[kind + 1];

	for (size_t i = first; i < end; i++)
		widen(l, &all->at[i]);
	fprintf(l->out, "%-10s %-*s  %-*s  %-*s  %10s  %s\n", "kind",
	    l->name_width, "name", l->from_width, "from", l->version_width,
	    "version", "since", "state");
	for (size_t i = first; i < end; i++)
		lines(l, &all->at[i]);
}

/* ---- one of them */

static void
one(struct listing *l, const struct resource_view *v,
    struct load_arena *memory)
{
	const struct resource_version *of = v->live != NULL ? v->live :
	    v->next != NULL ? v->next : v->refused;
	struct print p;

	widen(l, v);
	lines(l, v);
	if (of == NULL || of->len == 0)	/* a refused secret: none */
		return;
	fputc('\n', l->out);
	print_begin(&p, l->out, memory);
	views_body(&p, NULL, v->kind, of, true);
}

/* Those of this name: of each source that has one. */
static int
named(struct listing *l, const struct views *all, enum resource_kind kind,
    const char *name)
{
	struct load_arena *memory = load_arena_new(MEMORY_BYTES_MAX);
	unsigned n = 0;

	for (size_t i = all->first[kind]; memory != NULL &&
	    i < all->first[kind + 1]; i++)
		if (strcmp(origin_plain(all->at[i].name), name) == 0) {
			if (n++ > 0)
				fputc('\n', l->out);
			one(l, &all->at[i], memory);
		}
	if (memory == NULL)
		fprintf(l->out, "no memory\n");
	else if (n == 0)
		fprintf(l->out, "there is no %s \"%s\"\n",
		    resource_about(kind)->word, name);
	load_arena_free(memory);
	return memory == NULL ? 503 : n == 0 ? 404 : 200;
}

/* "cluster", "clusters", "CDS", or how one begins; -1: none. */
static int
kind_find(const char *text)
{
	size_t n = strlen(text), word;

	for (int kind = 0; kind < RESOURCE_KINDS; kind++) {
		const struct resource_about *a =
		    resource_about((enum resource_kind)kind);

		word = strlen(a->word);
		if (strcasecmp(text, a->acronym) == 0 || (n > 0 &&
		    strncasecmp(text, a->word, n) == 0) || (n == word + 1 &&
		    strncasecmp(text, a->word, word) == 0 && text[word] == 's'))
			return kind;
	}
	return -1;
}

static int
kind_unknown(const char *text, FILE *out)
{
	fprintf(out, "\"%s\" is no kind of resource, expected", text);
	for (int kind = 0; kind < RESOURCE_KINDS; kind++)
		fprintf(out, "%s %s", kind == 0 ? "" :
		    kind == RESOURCE_KINDS - 1 ? " or" : ",",
		    resource_about((enum resource_kind)kind)->word);
	fputc('\n', out);
	return 400;
}

int
status_config(const struct resources *r, const struct subscription *from,
    const char *query, FILE *out)
{
	struct listing l = { r, from, clock_now().ns / 1000000, 4, 13, 7,
	    out };
	char kind[64], name[1024];
	int has_kind = query_find(query, "kind", kind, sizeof(kind));
	int has_name = query_find(query, "name", name, sizeof(name));
	int of = -1, code = 200;
	struct views all;

	if (has_kind == -1 || has_name == -1 || (has_name && !has_kind)) {
		fprintf(out, "expected kind=KIND, and name=NAME after it\n");
		return 400;
	}
	if (has_kind && (of = kind_find(kind)) == -1)
		return kind_unknown(kind, out);
	if (!views_init(&all, r))
		code = 503;
	else if (has_name)
		code = named(&l, &all, (enum resource_kind)of, name);
	else
		list(&l, &all, of);
	views_fini(&all);
	return code;
}
