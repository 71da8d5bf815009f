/* worker/reply.c - see reply.h. */
#include "worker/reply.h"

#include <stdio.h>
#include <string.h>

#include "worker/change.h"
#include "worker/io/percent.h"
#include "worker/relay.h"

enum { TEXT_BYTES_MAX = 1024 };

/* What is said: by the cause's row, or by the route that answers itself. */
struct word {
	int		 grpc, http;	/* status */
	const char	*text;
	size_t		 len;
};

/* Envoy's Utility::httpToGrpcStatus. */
static int
grpc_of_http(uint32_t http)
{
	switch (http) {
	case 400:
		return 13;		/* INTERNAL */
	case 401:
		return 16;		/* UNAUTHENTICATED */
	case 403:
		return 7;		/* PERMISSION_DENIED */
	case 404:
		return 12;		/* UNIMPLEMENTED */
	case 429:
	case 502:
	case 503:
	case 504:
		return 14;		/* UNAVAILABLE */
	default:
		return 2;		/* UNKNOWN, also for 200 */
	}
}

/* The cause in words, where Envoy says that there were several tries. */
static const char *
text_of(const struct stream *s, char *room, size_t room_len)
{
	static const char before[] =
	    "upstream connect error or disconnect/reset before headers. ";
	const char *text = cause_rows[s->cause].text;
	size_t n = sizeof(before) - 1;

	if (s->retry.done_n == 0 || strncmp(text, before, n) != 0)
		return text;
	snprintf(room, room_len, "%sretried and the latest %s", before,
	    text + n);
	return room;
}

static struct word
word_of(const struct stream *s, char room[TEXT_BYTES_MAX])
{
	const struct cause_row *row = &cause_rows[s->cause];
	const char *text = text_of(s, room, TEXT_BYTES_MAX);
	const struct block_plan *p;

	if (s->cause != CAUSE_direct_response)
		/* Envoy's rule: who had not sent all of its request was
		 * itself late. */
		return (struct word){ row->grpc, s->cause == CAUSE_deadline &&
		    !s->request_ended ? 408 : row->http, text, strlen(text) };
	p = &s->plan->block;
	return (struct word){ grpc_of_http(p->direct_status),
	    (int)p->direct_status, p->direct_body.off == 0 ? "" :
	    block_span_at(p, p->direct_body), p->direct_body.len };
}

static bool
add_number(struct headers *h, const char *name, int n)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", n);
	return headers_add_text(h, name, text);
}

static bool
set_text(struct headers *h, const char *name, const char *value)
{
	return headers_replace(h, name, strlen(name), value, strlen(value));
}

static bool
add_cause(struct headers *h, const struct stream *s)
{
	if (s->down->worker->root->settings.cause_off)
		return true;
	return headers_add_text(h, "godwit-cause", cause_rows[s->cause].word);
}

static bool
add_message(struct headers *h, struct word w)
{
	size_t cap = 3 * w.len + 1;
	char *message;
	bool good;

	if (w.len == 0)
		return true;
	message = mem_alloc(h->mem, cap);
	if (message == NULL)
		return false;
	percent_encode(w.text, message, cap);
	good = set_text(h, "grpc-message", message);
	mem_free(h->mem, message);
	return good;
}

/* A grpc-status that the route sets stays. */
static bool
add_status(struct headers *h, const struct stream *s)
{
	char room[TEXT_BYTES_MAX];
	struct word w = word_of(s, room);

	return (headers_find(h, HEADER_grpc_status) != NULL ||
	    add_number(h, "grpc-status", w.grpc)) && add_message(h, w) &&
	    add_cause(h, s);
}

/* An Envoy before us does not try again then. */
static bool
change(struct headers *h, struct stream *s)
{
	return (s->cause != CAUSE_overflow || !s->originals ||
	    headers_add_text(h, "x-envoy-overloaded", "true")) &&
	    change_answer(s, h);
}

static bool
head_grpc(struct headers *h, struct stream *s)
{
	if (!headers_add_text(h, ":status", "200") || !change(h, s))
		return false;
	headers_remove_name(h, "content-length", strlen("content-length"));
	return set_text(h, "content-type", "application/grpc") &&
	    add_status(h, s);
}

static bool
head_text(struct headers *h, struct word w)
{
	char text[24];

	if (w.len == 0) {
		headers_remove_name(h, "content-type", strlen("content-type"));
		headers_remove_name(h, "content-length",
		    strlen("content-length"));
		return true;
	}
	snprintf(text, sizeof(text), "%zu", w.len);
	return set_text(h, "content-length", text) &&
	    (headers_find(h, HEADER_content_type) != NULL ||
	    headers_add_text(h, "content-type", "text/plain"));
}

static bool
head_plain(struct headers *h, struct stream *s, struct word w)
{
	return add_number(h, ":status", w.http) && change(h, s) &&
	    head_text(h, w) && add_cause(h, s);
}

static bool
is_head(const struct stream *s)
{
	const struct header *method = headers_find(s->request, HEADER_method);

	return method != NULL && method->value_len == 4 &&
	    memcmp(method->value, "HEAD", 4) == 0;
}

/* The text of a plain answer; to HEAD there is none. */
static bool
send_plain(struct stream *s, struct headers *h)
{
	char room[TEXT_BYTES_MAX];
	struct word w = word_of(s, room);
	size_t n = is_head(s) ? 0 : w.len;

	if (!head_plain(h, s, w) || !h2_answer(&s->h2, h, n == 0))
		return false;
	if (n == 0)
		return true;
	s->held_bytes += n;
	s->down->worker->held_bytes += n;
	return h2_data(&s->h2, (const uint8_t *)w.text, n) &&
	    h2_end(&s->h2, NULL);
}

void
reply_whole(struct stream *s)
{
	struct headers *h = headers_new(&s->down->worker->io.mem);
	bool sent = false;

	if (h != NULL && s->grpc)
		sent = head_grpc(h, s) && h2_answer(&s->h2, h, true);
	else if (h != NULL)
		sent = send_plain(s, h);
	if (!sent)
		relay_reset(s, H2_INTERNAL_ERROR);
	if (h != NULL)
		headers_put(h);
}

void
reply_trailers(struct stream *s)
{
	struct headers *h = headers_new(&s->down->worker->io.mem);

	if (h == NULL || !add_status(h, s) || !h2_end(&s->h2, h))
		relay_reset(s, H2_INTERNAL_ERROR);
	if (h != NULL)
		headers_put(h);
}
