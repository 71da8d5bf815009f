/* master/status.c - see status.h. */
#include "master/status.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "master/views.h"

enum { LINES_MAX = 20, SILENT_MS = 5000, COLUMN_MAX = 48 };

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

/* What its source calls it. */
static const char *
plain(const struct resource_view *v)
{
	return origin_plain(v->name);
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

/* ", RDS"; of ADS nothing. */
static const char *
feed_kind(const struct feed_status *f, char text[16])
{
	snprintf(text, 16, "%s%s", f->kind == -1 ? "" : ", ", f->kind == -1 ?
	    "" : resource_about((enum resource_kind)f->kind)->acronym);
	return text;
}

static void
stream_wrong(struct report *r, const struct feed_status *f)
{
	const struct subscribe_status *t = &f->stream;
	char lost[32], next[32], kind[16];
	int64_t now = r->now_ms;

	feed_kind(f, kind);
	switch (t->state) {
	case SUBSCRIBE_WAITING:
		say(r, "control plane %s%s: not connected for %s, tried again "
		    "in %s: %s", t->server, kind, status_span(now -
		    t->lost_ms, lost), status_span(t->next_ms - now, next),
		    t->why);
		break;
	case SUBSCRIBE_CONNECTING:
		say(r, "control plane %s%s: not connected for %s, connecting "
		    "to %s%s%s", t->server, kind, status_span(now -
		    t->lost_ms, lost), t->address, *t->why == '\0' ? "" :
		    ": ", t->why);
		break;
	case SUBSCRIBE_STREAMING:
		if (now - t->since_ms >= SILENT_MS)
			say(r, "control plane %s%s: connected, and silent for "
			    "%s", t->server, kind, status_span(now -
			    t->since_ms, lost));
		break;
	default:
		break;
	}
}

static void
feed_wrong(struct report *r, const struct feed_status *f)
{
	char ago[32];

	if (f->origin->path == NULL)
		stream_wrong(r, f);
	else if (*f->why != '\0')
		say(r, "%s: not taken %s ago%s: %s", resource_about(
		    (enum resource_kind)f->kind)->acronym, status_span(
		    r->now_ms - f->why_ms, ago), f->read_ms == 0 ? "" :
		    ", what it said before goes on", f->why);
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
	say(r, "%s \"%s\": version %s waits for %s, for %s", word, plain(v),
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
		    plain(v), v->refused->text, status_span(r->now_ms -
		    v->refused->since_ms, ago), v->live == NULL ?
		    ", there is no other" : "", v->why == NULL ? "" : v->why);
	else if (w == MISSING)
		say(r, "%s \"%s\": does not exist, asked for %s ago", word,
		    plain(v), status_span(r->now_ms - v->waits_since_ms, ago));
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
kinds_wrong(struct report *r, const struct feed_status *f)
{
	for (enum resource_kind kind = 0; kind < RESOURCE_KINDS; kind++) {
		const struct ads_status *a = &f->kinds[kind];

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
sentence_say(void *arg, const char *sentence)
{
	say(arg, "%s", sentence);
}

static void
wrong_print(struct report *r, FILE *out)
{
	if (r->s->rotate != NULL)
		rotate_wrong(r->s->rotate, sentence_say, r);
	if (r->s->certificates != NULL)
		certificates_warn(r->s->certificates, time(NULL), false,
		    certificate_say, r);
	for (size_t i = 0; i < r->s->feeds_n; i++) {
		feed_wrong(r, &r->s->feeds[i]);
		kinds_wrong(r, &r->s->feeds[i]);
	}
	if (r->s->registers != NULL)
		registers_wrong(r->s->registers, sentence_say, r);
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
stream_print(const struct report *r, const struct feed_status *s, FILE *out)
{
	static const char *const states[] = {
		[SUBSCRIBE_WAITING] = "not connected",
		[SUBSCRIBE_CONNECTING] = "connecting",
		[SUBSCRIBE_STREAMING] = "connected, nothing came yet",
		[SUBSCRIBE_SETTLED] = "connected",
	};
	const struct subscribe_status *t = &s->stream;
	const char *says = s->kinds[RESOURCE_CLUSTER].control_plane;
	char since[32], kind[16];

	fprintf(out, "%-15s%s%s%s%s%s%s, %s for %s, %s\n", "control plane",
	    t->server, feed_kind(s, kind), *t->address == '\0' ? "" : " at ", t->address,
	    *says == '\0' ? "" : ", calls itself ", says, states[t->state],
	    status_span(r->now_ms - t->since_ms, since),
	    s->origin->delta ? "delta" : "state of the world");
	if (s->held_up)
		fprintf(out, "%-15sthe last response waits for a change that "
		    "is under way\n", "");
	if (*t->why != '\0' && t->why_ms != 0)
		fprintf(out, "%-15s%s ago: %s\n", "last failure",
		    status_span(r->now_ms - t->why_ms, since), t->why);
	fprintf(out, "%-15s%" PRIu64 " begun, of %" PRIu64 " attempts\n",
	    "streams", t->streams, t->attempts);
}

static void
file_print(const struct report *r, const struct feed_status *s, FILE *out)
{
	char ago[32] = "", kind[16];

	fprintf(out, "%-15s%s%s, %s%s%s\n", "followed file", s->origin->path,
	    feed_kind(s, kind), s->read_ms == 0 ? "not taken yet" : "taken ",
	    s->read_ms == 0 ? "" : status_span(r->now_ms - s->read_ms, ago),
	    s->read_ms == 0 ? "" : " ago");
}

static void
feeds_print(const struct report *r, FILE *out)
{
	const struct status *s = r->s;

	if (s->feeds_n == 0)
		fprintf(out, "%-15snone is followed\n", "control plane");
	for (size_t i = 0; i < s->feeds_n && i < LINES_MAX; i++)
		if (s->feeds[i].origin->path == NULL)
			stream_print(r, &s->feeds[i], out);
		else
			file_print(r, &s->feeds[i], out);
	if (s->feeds_n > LINES_MAX)
		fprintf(out, "%-15sand %zu more\n", "", s->feeds_n -
		    LINES_MAX);
}

/* What all feeds say of a kind; the version is ADS's, or that of the first
 * that has one. */
static void
kind_sum(const struct status *s, enum resource_kind kind,
    struct ads_status *to)
{
	*to = (struct ads_status){ .version = "" };
	for (size_t i = 0; i < s->feeds_n; i++) {
		const struct ads_status *a = &s->feeds[i].kinds[kind];

		if (*to->version == '\0')
			to->version = a->version;
		to->accepted_n += a->accepted_n;
		to->rejected_n += a->rejected_n;
		if (a->since_ms > to->since_ms)
			to->since_ms = a->since_ms;
	}
}

static int
version_width(const struct status *s)
{
	struct ads_status sum;
	size_t width = 8, n;

	for (enum resource_kind kind = 0; kind < RESOURCE_KINDS; kind++) {
		kind_sum(s, kind, &sum);
		n = strlen(sum.version);
		width = n > width ? n : width;
	}
	return (int)(width < COLUMN_MAX ? width : COLUMN_MAX);
}

static void
kind_print(const struct report *r, enum resource_kind kind, int width,
    FILE *out)
{
	struct ads_status sum, *a = &sum;
	char ago[32] = "never";

	kind_sum(r->s, kind, a);
	if (a->since_ms != 0)
		status_span(r->now_ms - a->since_ms, ago);
	fprintf(out, "%-11s%5u %7u %7u %7u", resource_about(kind)->word,
	    count(r, kind, WRONGS), count(r, kind, WAITING),
	    count(r, kind, REFUSED), count(r, kind, MISSING));
	if (r->s->feeds_n > 0)
		fprintf(out, "   %s  %-*.*s %8" PRIu64 " %6" PRIu64 "   %s%s",
		    resource_about(kind)->acronym, width, width,
		    *a->version == '\0' ? "-" : a->version, a->accepted_n,
		    a->rejected_n, ago, a->since_ms != 0 ? " ago" : "");
	fputc('\n', out);
}

static void
kinds_print(const struct report *r, FILE *out)
{
	int width = version_width(r->s);

	fprintf(out, "\n%-11s%5s %7s %7s %7s", "", "live", "waiting",
	    "refused", "missing");
	if (r->s->feeds_n > 0)
		fprintf(out, "        %-*s %8s %6s   %s", width, "version",
		    "accepted", "nacked", "last response");
	fputc('\n', out);
	for (enum resource_kind kind = 0; kind < RESOURCE_KINDS; kind++)
		kind_print(r, kind, width, out);
}

static void
stands_print(const struct report *r, FILE *out)
{
	feeds_print(r, out);
	if (r->s->registers != NULL)
		registers_print(r->s->registers, out);
	fprintf(out, "%-15s%s\n", "file", r->s->file);
	fprintf(out, "%-15s%s\n", "generation", r->s->generation +
	    (strncmp(r->s->generation, "generation ", 11) == 0 ? 11 : 0));
	kinds_print(r, out);
}

int
status_print(const struct status *s, FILE *out)
{
	struct report r = { .s = s, .now_ms = s->now_ms };
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
