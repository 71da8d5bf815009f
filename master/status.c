/* master/status.c - see status.h. */
#include "master/status.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "master/query.h"
#include "master/views.h"
#include "shm/clock.h"

enum { MEMORY_BYTES_MAX = 512 << 20, LINES_MAX = 20, SILENT_MS = 5000,
    COLUMN_MAX = 48 };

const char *
status_span(int64_t ms, char text[32])
{
	long long s = ms / 1000;

	if (ms < 10000)
		snprintf(text, 32, "%.1f s", (double)(ms < 0 ? 0 : ms) / 1000);
	else if (s < 120)
		snprintf(text, 32, "%lld s", s);
	else if (s < 3600)
		snprintf(text, 32, "%lld min", s / 60);
	else if (s < 86400)
		snprintf(text, 32, "%lld h %lld min", s / 3600, s / 60 % 60);
	else
		snprintf(text, 32, "%lld d %lld h", s / 86400, s / 3600 % 24);
	return text;
}

/* ---- what is wrong */

enum wrong { REFUSED, MISSING, WAITING, WRONGS };

struct report {
	const struct status *s;
	struct views	 views;
	int64_t		 now_ms;
	char		*wrong;		/* the sentences */
	size_t		 wrong_bytes;
	FILE		*out;		/* into wrong */
	unsigned	 n;		/* of them */
};

static void	say(struct report *r, const char *fmt, ...)
		    __attribute__((format(printf, 2, 3)));

static void
say(struct report *r, const char *fmt, ...)
{
	va_list ap;

	r->n++;
	fputs("  ", r->out);
	va_start(ap, fmt);
	vfprintf(r->out, fmt, ap);
	va_end(ap);
	fputc('\n', r->out);
}

static void
stream_wrong(struct report *r)
{
	const struct subscribe_status *t = &r->s->subscription.stream;
	char lost[32], next[32];
	int64_t now = r->now_ms;

	switch (t->state) {
	case SUBSCRIBE_WAITING:
		say(r, "control plane %s: not connected for %s, tried again "
		    "in %s: %s", t->server, status_span(now - t->lost_ms,
		    lost), status_span(t->next_ms - now, next), t->why);
		break;
	case SUBSCRIBE_CONNECTING:
		say(r, "control plane %s: not connected for %s, connecting to "
		    "%s%s%s", t->server, status_span(now - t->lost_ms, lost),
		    t->address, *t->why == '\0' ? "" : ": ", t->why);
		break;
	case SUBSCRIBE_STREAMING:
		if (now - t->since_ms >= SILENT_MS)
			say(r, "control plane %s: connected, and silent for "
			    "%s", t->server, status_span(now - t->since_ms,
			    lost));
		break;
	default:
		break;
	}
}

static bool
is_wrong(const struct resource_view *v, enum wrong w)
{
	switch (w) {
	case REFUSED:
		return v->refused != NULL;
	case MISSING:
		return v->missing && v->live == NULL && v->next == NULL &&
		    v->refused == NULL;
	default:
		return v->next != NULL;
	}
}

static void
waiting_say(struct report *r, const struct resource_view *v, const char *word)
{
	char ago[32], *waits = NULL;
	size_t n;
	FILE *f = open_memstream(&waits, &n);

	if (f == NULL)
		return;
	resources_waits_print(r->s->resources, v->kind, v->name, f);
	fclose(f);
	say(r, "%s \"%s\": version %s waits for %s, for %s", word, v->name,
	    v->next->text, n == 0 ? "the next change" : waits,
	    status_span(r->now_ms - v->next->since_ms, ago));
	free(waits);
}

static void
wrong_say(struct report *r, const struct resource_view *v, enum wrong w)
{
	const char *word = resource_about(v->kind)->word;
	char ago[32];

	if (w == REFUSED)
		say(r, "%s \"%s\": version %s refused %s ago%s: %s", word,
		    v->name, v->refused->text, status_span(r->now_ms -
		    v->refused->since_ms, ago), v->live == NULL ?
		    ", there is no other" : "", v->why == NULL ? "" : v->why);
	else if (w == MISSING)
		say(r, "%s \"%s\": does not exist, asked for %s ago", word,
		    v->name, status_span(r->now_ms - v->waits_since_ms, ago));
	else
		waiting_say(r, v, word);
}

/* Some of each, all counted. */
static void
resources_wrong(struct report *r, enum wrong w)
{
	unsigned n = 0;

	for (size_t i = 0; i < r->views.n; i++) {
		if (!is_wrong(&r->views.at[i], w))
			continue;
		if (n++ < LINES_MAX)
			wrong_say(r, &r->views.at[i], w);
	}
	if (n <= LINES_MAX)
		return;
	say(r, "and %u more such resources, see /config", n - LINES_MAX);
	r->n += n - LINES_MAX - 1;
}

static unsigned
count(const struct report *r, enum resource_kind kind, enum wrong w)
{
	const struct views *all = &r->views;
	unsigned n = 0;

	for (size_t i = all->first[kind]; i < all->first[kind + 1]; i++)
		n += w == WRONGS ? all->at[i].live != NULL :
		    is_wrong(&all->at[i], w);
	return n;
}

/* What was refused and has no name in the set. */
static void
kinds_wrong(struct report *r)
{
	for (enum resource_kind kind = 0; kind < RESOURCE_KINDS; kind++) {
		const struct ads_status *a = &r->s->subscription.kinds[kind];

		if (a->refused && count(r, kind, REFUSED) == 0)
			say(r, "%s: the last response was refused: %s",
			    resource_about(kind)->acronym, a->why);
	}
}

static void
certificate_say(void *arg, bool expired, const char *sentence)
{
	(void)expired;
	say(arg, "%s", sentence);
}

static void
file_say(void *arg, const char *sentence)
{
	say(arg, "%s", sentence);
}

static void
wrong_print(struct report *r, FILE *out)
{
	if (r->s->rotate != NULL)
		rotate_wrong(r->s->rotate, file_say, r);
	if (r->s->certificates != NULL)
		certificates_warn(r->s->certificates, time(NULL), false,
		    certificate_say, r);
	if (r->s->followed) {
		stream_wrong(r);
		kinds_wrong(r);
	}
	for (enum wrong w = 0; w < WRONGS; w++)
		resources_wrong(r, w);
	fflush(r->out);
	if (r->n == 0)
		fprintf(out, "all is well\n\n");
	else
		fprintf(out, "%u thing%s wrong:\n%s\n", r->n, r->n == 1 ?
		    " is" : "s are", r->wrong);
}

/* ---- how things stand */

static void
stream_print(const struct report *r, FILE *out)
{
	static const char *const states[] = {
		[SUBSCRIBE_WAITING] = "not connected",
		[SUBSCRIBE_CONNECTING] = "connecting",
		[SUBSCRIBE_STREAMING] = "connected, nothing came yet",
		[SUBSCRIBE_SETTLED] = "connected",
	};
	const struct subscription_status *s = &r->s->subscription;
	const struct subscribe_status *t = &s->stream;
	const char *says = s->kinds[RESOURCE_CLUSTER].control_plane;
	char since[32];

	fprintf(out, "%-15s%s%s%s%s%s, %s for %s, %s\n", "control plane",
	    t->server, *t->address == '\0' ? "" : " at ", t->address,
	    *says == '\0' ? "" : ", calls itself ", says, states[t->state],
	    status_span(r->now_ms - t->since_ms, since),
	    s->delta ? "delta" : "state of the world");
	if (s->held_up)
		fprintf(out, "%-15sthe last response waits for a change that "
		    "is under way\n", "");
	if (*t->why != '\0' && t->why_ms != 0)
		fprintf(out, "%-15s%s ago: %s\n", "last failure",
		    status_span(r->now_ms - t->why_ms, since), t->why);
	fprintf(out, "%-15s%" PRIu64 " begun, of %" PRIu64 " attempts\n",
	    "streams", t->streams, t->attempts);
}

static int
version_width(const struct status *s)
{
	size_t width = 8, n;

	for (int kind = 0; kind < RESOURCE_KINDS; kind++) {
		n = strlen(s->subscription.kinds[kind].version);
		width = n > width ? n : width;
	}
	return (int)(width < COLUMN_MAX ? width : COLUMN_MAX);
}

static void
kind_print(const struct report *r, enum resource_kind kind, int width,
    FILE *out)
{
	static const struct ads_status none = { .version = "" };
	const struct ads_status *a = r->s->followed ?
	    &r->s->subscription.kinds[kind] : &none;
	char ago[32] = "never";

	if (a->since_ms != 0)
		status_span(r->now_ms - a->since_ms, ago);
	fprintf(out, "%-11s%5u %7u %7u %7u", resource_about(kind)->word,
	    count(r, kind, WRONGS), count(r, kind, WAITING),
	    count(r, kind, REFUSED), count(r, kind, MISSING));
	if (r->s->followed)
		fprintf(out, "   %s  %-*.*s %8" PRIu64 " %6" PRIu64 "   %s%s",
		    resource_about(kind)->acronym, width, width,
		    *a->version == '\0' ? "-" : a->version, a->accepted_n,
		    a->rejected_n, ago, a->since_ms != 0 ? " ago" : "");
	fputc('\n', out);
}

static void
kinds_print(const struct report *r, FILE *out)
{
	int width = r->s->followed ? version_width(r->s) : 0;

	fprintf(out, "\n%-11s%5s %7s %7s %7s", "", "live", "waiting",
	    "refused", "missing");
	if (r->s->followed)
		fprintf(out, "        %-*s %8s %6s   %s", width, "version",
		    "accepted", "nacked", "last response");
	fputc('\n', out);
	for (enum resource_kind kind = 0; kind < RESOURCE_KINDS; kind++)
		kind_print(r, kind, width, out);
}

static void
stands_print(const struct report *r, FILE *out)
{
	if (r->s->followed)
		stream_print(r, out);
	else
		fprintf(out, "%-15snone is followed\n", "control plane");
	fprintf(out, "%-15s%s\n", "file", r->s->file);
	fprintf(out, "%-15s%s\n", "generation", r->s->generation +
	    (strncmp(r->s->generation, "generation ", 11) == 0 ? 11 : 0));
	kinds_print(r, out);
}

int
status_print(const struct status *s, FILE *out)
{
	struct report r = { .s = s, .now_ms = s->subscription.now_ms };
	bool good = views_init(&r.views, s->resources);

	r.out = open_memstream(&r.wrong, &r.wrong_bytes);
	good = good && r.out != NULL;
	if (good) {
		wrong_print(&r, out);
		stands_print(&r, out);
	} else
		fprintf(out, "no memory\n");
	if (r.out != NULL)
		fclose(r.out);
	free(r.wrong);
	views_fini(&r.views);
	return good ? 200 : 503;
}

/* ---- one resource a line */

struct widths {
	int	name, version;
};

static void
wider(int *width, const char *text)
{
	size_t n = strlen(text);

	if (n > (size_t)*width)
		*width = n < COLUMN_MAX ? (int)n : COLUMN_MAX;
}

static void
line(const struct resource_view *v, const struct resource_version *of,
    const struct widths *w, int64_t now_ms, FILE *out)
{
	char since[32] = "";

	if (of != NULL)
		status_span(now_ms - of->since_ms, since);
	fprintf(out, "%-10s %-*s  %-13s  %-*s  %10s  ",
	    resource_about(v->kind)->word, w->name, v->name,
	    of == NULL ? "-" : views_from(of->from), w->version,
	    of == NULL || *of->text == '\0' ? "-" : of->text, since);
}

/* Each of its versions, or that there is none. */
static void
lines(const struct resources *r, const struct resource_view *v,
    const struct widths *w, FILE *out)
{
	int64_t now_ms = clock_now().ns / 1000000;

	if (v->live != NULL) {
		line(v, v->live, w, now_ms, out);
		fprintf(out, "live%s\n", v->lingers ? ", removed by its "
		    "source, still in use" : "");
	}
	if (v->next != NULL) {
		line(v, v->next, w, now_ms, out);
		fputs("waits for ", out);
		resources_waits_print(r, v->kind, v->name, out);
		fputc('\n', out);
	}
	if (v->refused != NULL) {
		line(v, v->refused, w, now_ms, out);
		fprintf(out, "refused: %s\n", v->why == NULL ? "" : v->why);
	}
	if (v->live == NULL && v->next == NULL && v->refused == NULL) {
		line(v, NULL, w, now_ms, out);
		fprintf(out, "%s\n", v->missing ? "does not exist" :
		    "asked for");
	}
}

static void
list(const struct resources *r, const struct views *all, int kind, FILE *out)
{
	size_t first = kind == -1 ? 0 : all->first[kind];
	size_t end = kind == -1 ? all->n : all->first[kind + 1];
	struct widths w = { 4, 7 };
	const struct resource_view *v;

	for (size_t i = first; i < end; i++) {
		v = &all->at[i];
		wider(&w.name, v->name);
		wider(&w.version, v->live == NULL ? "" : v->live->text);
		wider(&w.version, v->next == NULL ? "" : v->next->text);
	}
	fprintf(out, "%-10s %-*s  %-13s  %-*s  %10s  %s\n", "kind", w.name,
	    "name", "from", w.version, "version", "since", "state");
	for (size_t i = first; i < end; i++)
		lines(r, &all->at[i], &w, out);
}

/* ---- one of them */

static int
one(const struct resources *r, enum resource_kind kind, const char *name,
    FILE *out)
{
	struct load_arena *memory = load_arena_new(MEMORY_BYTES_MAX);
	const struct resource_version *of;
	struct widths w = { (int)strlen(name), 7 };
	struct resource_view v;
	struct print p;

	if (memory == NULL || !resources_find(r, kind, name, &v)) {
		fprintf(out, memory == NULL ? "no memory\n" :
		    "there is no %s \"%s\"\n", resource_about(kind)->word,
		    name);
		load_arena_free(memory);
		return memory == NULL ? 503 : 404;
	}
	lines(r, &v, &w, out);
	of = v.live != NULL ? v.live : v.next != NULL ? v.next : v.refused;
	if (of != NULL && of->len > 0) {	/* a refused secret: none */
		fputc('\n', out);
		print_begin(&p, out, memory);
		views_body(&p, NULL, kind, of, true);
	}
	load_arena_free(memory);
	return 200;
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
status_config(const struct resources *r, const char *query, FILE *out)
{
	char kind[64], name[1024];
	int has_kind = query_find(query, "kind", kind, sizeof(kind));
	int has_name = query_find(query, "name", name, sizeof(name));
	struct views all;
	int of = -1;

	if (has_kind == -1 || has_name == -1 || (has_name && !has_kind)) {
		fprintf(out, "expected kind=KIND, and name=NAME after it\n");
		return 400;
	}
	if (has_kind && (of = kind_find(kind)) == -1)
		return kind_unknown(kind, out);
	if (has_name)
		return one(r, (enum resource_kind)of, name, out);
	if (views_init(&all, r))
		list(r, &all, of, out);
	views_fini(&all);
	return all.no_memory ? 503 : 200;
}
