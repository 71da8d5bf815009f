/*
 * xds/ems/rest_door.c - a request, as libmicrohttpd brings it in pieces, and
 * its answer back (rest_inside.h).
 *
 *   head ──guard──> body ... ──whole──> route ──answered──> sent ──> over
 *     │ refused                          └─ waits: suspended ─┘
 *     └── a body that comes all the same is dropped, then the refusal is sent:
 *         who is still sending reads no answer
 */
#include "xds/ems/rest_inside.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { DROPPED_MAX = 2 * STORE_WRITE_MAX, STEP_BYTES = 4096 };

static const struct rest_route routes[] = {
#define ROUTE(method, path, function, needs, body, arguments)		\
	{ method, path, function, REST_ ## needs, body, arguments },
#include "xds/ems/rest.def"
#undef ROUTE
};
enum { ROUTES = sizeof(routes) / sizeof(routes[0]) };

/* ---- which route */

static const char *
part_end(const char *at)
{
	return at + strcspn(at, "/");
}

static bool
noun_take(struct request *q, const char *at, size_t n)
{
	char word[STORE_NOUN_MAX + 1];
	int noun;

	if (n >= sizeof(word))
		return false;
	memcpy(word, at, n);
	word[n] = '\0';
	if ((noun = intent_noun_find(word)) == -1)
		return false;
	q->noun = (enum intent_noun)noun;
	return true;
}

static bool
part_fits(struct request *q, const char *want, size_t want_n, const char *at,
    size_t n)
{
	if (want_n == 4 && memcmp(want, "NOUN", 4) == 0)
		return noun_take(q, at, n);
	if (want_n == 4 && memcmp(want, "NAME", 4) == 0) {
		if (n == 0 || n > INTENT_NAME_MAX)
			return false;
		memcpy(q->name, at, n);
		q->name[n] = '\0';
		return intent_name_is_good(q->name);
	}
	return want_n == n && memcmp(want, at, n) == 0;
}

static bool
path_fits(struct request *q, const char *want, const char *path)
{
	for (;;) {
		const char *want_end = part_end(want), *end = part_end(path);

		if (!part_fits(q, want, (size_t)(want_end - want), path,
		    (size_t)(end - path)))
			return false;
		if (*want_end == '\0' || *end == '\0')
			return *want_end == *end;
		want = want_end + 1;
		path = end + 1;
	}
}

static bool
method_fits(const struct rest_route *r, const char *method)
{
	return strcmp(r->method, method) == 0 || (strcmp(method, "HEAD") == 0
	    && strcmp(r->method, "GET") == 0);
}

/* False: it is answered. */
static bool
route_find(struct request *q, const char *path, const char *method)
{
	const struct rest_route *r;
	char there[64] = "";

	for (r = routes; r < routes + ROUTES; r++) {
		if (!path_fits(q, r->path, path))
			continue;
		if (method_fits(r, method)) {
			q->route = r;
			return true;
		}
		if (*there != '\0')
			strcat(there, ", ");
		strcat(there, r->method);
	}
	if (*there != '\0')
		answer_refuse(q, 405, "%.16s is not done with %.200s, "
		    "expected %s", method, path, there);
	else
		answer_refuse(q, 404, "there is no %.200s; "
		    "godwit-ems(8) lists what there is, of intents %s", path,
		    intent_words());
	return false;
}

/* ---- the query */

const char *
request_argument(const struct request *q, const char *name)
{
	return MHD_lookup_connection_value(q->connection,
	    MHD_GET_ARGUMENT_KIND, name);
}

const char *
request_header(const struct request *q, const char *name)
{
	return MHD_lookup_connection_value(q->connection, MHD_HEADER_KIND,
	    name);
}

bool
request_flag(const struct request *q, const char *name)
{
	const char *text = request_argument(q, name);

	return text != NULL && (strcmp(text, "1") == 0 ||
	    strcmp(text, "true") == 0);
}

int
request_number(struct request *q, const char *name, uint64_t *to)
{
	const char *text = request_argument(q, name);
	char *end;

	if (text == NULL)
		return 0;
	*to = strtoull(text, &end, 10);
	if (*text >= '0' && *text <= '9' && *end == '\0' &&
	    strlen(text) <= 18)
		return 1;
	answer_refuse(q, 400, "%s is \"%.40s\", expected a number", name,
	    text);
	return -1;
}

static bool
is_listed(const char *list, const char *name)
{
	size_t n;

	for (; *list != '\0'; list += n + (list[n] == ' ')) {
		n = strcspn(list, " ");
		if (strlen(name) == n && memcmp(list, name, n) == 0)
			return true;
	}
	return false;
}

static enum MHD_Result
argument_check(void *arg, enum MHD_ValueKind kind, const char *key,
    const char *value)
{
	struct request *q = arg;

	(void)kind;
	(void)value;
	if (is_listed(q->route->arguments, key))
		return MHD_YES;
	answer_refuse(q, 400, "?%.60s= has no meaning for %s %s%s%s", key,
	    q->route->method, q->route->path, *q->route->arguments == '\0' ?
	    "" : ", expected of: ", q->route->arguments);
	return MHD_NO;
}

/* ---- life */

static struct request *
request_new(struct rest_door *d, struct MHD_Connection *connection)
{
	struct request *q = calloc(1, sizeof(*q));

	if (q == NULL)
		return NULL;
	q->door = d;
	q->rest = d->rest;
	q->connection = connection;
	LIST_INSERT_HEAD(&q->rest->requests, q, link);
	return q;
}

static void
body_free(struct request *q)
{
	q->rest->held_bytes -= q->body_size;
	q->body_size = 0;
	free(q->body);
	q->body = NULL;
}

/* The rest may be gone when its caller is. */
void
request_free(struct request *q)
{
	if (q->state_free != NULL)
		q->state_free(q->state);
	if (q->file != NULL)
		fclose(q->file);
	free(q->out);
	free(q);
}

void
request_over(void *door, struct MHD_Connection *connection, void **state,
    enum MHD_RequestTerminationCode how)
{
	struct request *q = *state;

	(void)door;
	(void)connection;
	(void)how;
	if (q == NULL)
		return;
	*state = NULL;
	LIST_REMOVE(q, link);
	body_free(q);
	q->connection = NULL;
	q->rest = NULL;
	if (!q->waiting)
		request_free(q);
}

void
request_resume(struct request *q)
{
	if (!q->suspended)
		return;
	q->suspended = false;
	MHD_resume_connection(q->connection);
	loop_soon(q->rest->loop, &q->door->task);
}

/* ---- the body */

static bool
body_promised(struct request *q)
{
	const char *length = request_header(q, "Content-Length");
	unsigned long long n = length == NULL ? 0 : strtoull(length, NULL, 10);

	if (n <= q->route->body_max)
		return true;
	answer_refuse(q, 413, "the body has %llu bytes, expected %zu at most",
	    n, q->route->body_max);
	return false;
}

static bool
body_room(struct request *q, size_t n)
{
	size_t size = q->body_size * 2 + STEP_BYTES;
	char *more;

	if (q->body_n + n < q->body_size)
		return true;
	while (size <= q->body_n + n)
		size *= 2;
	if (q->rest->held_bytes + size - q->body_size > REST_HELD_BYTES) {
		answer_refuse(q, 503, "too much is being written at once, "
		    "come again later");
		return false;
	}
	if ((more = realloc(q->body, size)) == NULL) {
		answer_refuse(q, 503, "no memory is left");
		return false;
	}
	q->rest->held_bytes += size - q->body_size;
	q->body = more;
	q->body_size = size;
	return true;
}

static enum MHD_Result
body_take(struct request *q, const char *bytes, size_t n)
{
	if (q->answered) {
		q->dropped_n += n;
		return q->dropped_n > DROPPED_MAX ? MHD_NO : MHD_YES;
	}
	if (q->body_n + n > q->route->body_max)
		answer_refuse(q, 413, "the body has more than %zu bytes, "
		    "expected no more", q->route->body_max);
	else if (body_room(q, n)) {
		memcpy(q->body + q->body_n, bytes, n);
		q->body_n += n;
		q->body[q->body_n] = '\0';
	}
	return MHD_YES;
}

/* ---- the answer */

static void
headers_add(struct request *q, struct MHD_Response *r)
{
	MHD_add_response_header(r, "Content-Type", q->type == NULL ?
	    "application/json" : q->type);
	MHD_add_response_header(r, "Cache-Control", "no-store");
	MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
	if (q->status == 401)
		MHD_add_response_header(r, "WWW-Authenticate", "Bearer");
	if (q->status == 429 || q->status == 503)
		MHD_add_response_header(r, "Retry-After", "1");
}

static enum MHD_Result
send_answer(struct request *q)
{
	static char nothing[] = "{\"error\": \"no memory is left\"}\n";
	struct MHD_Response *r;
	enum MHD_Result done;

	if (q->sent)
		return MHD_YES;
	q->sent = true;
	if (q->out == NULL) {
		q->status = 503;
		r = MHD_create_response_from_buffer(sizeof(nothing) - 1,
		    nothing, MHD_RESPMEM_PERSISTENT);
	} else
		r = MHD_create_response_from_buffer(q->out_n, q->out,
		    MHD_RESPMEM_MUST_FREE);
	if (r == NULL)
		return MHD_NO;
	q->out = NULL;
	headers_add(q, r);
	q->rest->answers[q->status / 100 % 6]++;
	done = MHD_queue_response(q->connection, (unsigned)q->status, r);
	MHD_destroy_response(r);
	return done;
}

/* ---- up-calls of libmicrohttpd */

static enum MHD_Result
head_take(struct request *q, const char *url, const char *method)
{
	const char *expect;

	q->path = url;
	if (*url != '/' || !route_find(q, url, method) ||
	    !rest_may(q) || !body_promised(q))
		goto refused;
	MHD_get_connection_values(q->connection, MHD_GET_ARGUMENT_KIND,
	    argument_check, q);
	if (!q->answered)
		return MHD_YES;
refused:
	if (!q->answered)
		answer_refuse(q, 400, "the path does not begin with /");
	expect = request_header(q, "Expect");
	return expect == NULL ? MHD_YES : send_answer(q);
}

enum MHD_Result
request_take(void *door, struct MHD_Connection *connection, const char *url,
    const char *method, const char *version, const char *bytes, size_t *n,
    void **state)
{
	struct request *q = *state;

	(void)version;
	if (q == NULL) {
		*state = q = request_new(door, connection);
		return q == NULL ? MHD_NO : head_take(q, url, method);
	}
	if (*n > 0) {
		size_t all = *n;

		*n = 0;
		return body_take(q, bytes, all);
	}
	if (!q->begun && !q->answered) {
		q->begun = true;
		if (q->body == NULL && !body_room(q, 0))
			return send_answer(q);
		q->body[q->body_n] = '\0';
		q->route->answer(q);
		assert(q->answered || q->waiting);
		if (!q->answered) {
			q->suspended = true;
			MHD_suspend_connection(connection);
			return MHD_YES;
		}
	}
	if (!q->answered)
		answer_refuse(q, 503, "godwit-ems is leaving");
	return send_answer(q);
}
