/* worker/reply.c - see reply.h. */
#include "worker/reply.h"

#include <stdio.h>
#include <string.h>

#include "worker/relay.h"

enum { MESSAGE_BYTES_MAX = 1024 };

void
reply_encode(const char *text, char *to, size_t cap)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t n = 0;

	for (; *text != '\0'; text++) {
		uint8_t c = (uint8_t)*text;
		bool plain = c >= 0x20 && c < 0x7e && c != '%';

		if (n + (plain ? 1 : 3) >= cap)
			break;
		if (plain) {
			to[n++] = (char)c;
			continue;
		}
		to[n++] = '%';
		to[n++] = hex[c >> 4];
		to[n++] = hex[c & 15];
	}
	to[n] = '\0';
}

static bool
add_number(struct headers *h, const char *name, int n)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", n);
	return headers_add_text(h, name, text);
}

static bool
add_cause(struct headers *h, const struct stream *s)
{
	if (s->down->worker->root->settings.cause_off)
		return true;
	return headers_add_text(h, "godwit-cause", cause_rows[s->cause].word);
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

static bool
add_status(struct headers *h, const struct stream *s)
{
	const struct cause_row *row = &cause_rows[s->cause];
	char message[MESSAGE_BYTES_MAX], room[MESSAGE_BYTES_MAX];

	reply_encode(text_of(s, room, sizeof(room)), message, sizeof(message));
	return add_number(h, "grpc-status", row->grpc) &&
	    (message[0] == '\0' ||
	    headers_add_text(h, "grpc-message", message)) && add_cause(h, s);
}

static bool
head_grpc(struct headers *h, const struct stream *s)
{
	return headers_add_text(h, ":status", "200") &&
	    headers_add_text(h, "content-type", "application/grpc") &&
	    add_status(h, s);
}

/* Envoy's rule: who had not sent all of its request was itself late. */
static int
http_of(const struct stream *s)
{
	return s->cause == CAUSE_deadline && !s->request_ended ? 408 :
	    cause_rows[s->cause].http;
}

static bool
head_plain(struct headers *h, const struct stream *s, const char *text)
{
	return add_number(h, ":status", http_of(s)) &&
	    add_number(h, "content-length", (int)strlen(text)) &&
	    (text[0] == '\0' ||
	    headers_add_text(h, "content-type", "text/plain")) &&
	    add_cause(h, s);
}

/* To HEAD there is no body. */
static bool
is_head(const struct stream *s)
{
	const struct header *method = headers_find(s->request, HEADER_method);

	return method != NULL && method->value_len == 4 &&
	    memcmp(method->value, "HEAD", 4) == 0;
}

static bool
send_plain(struct stream *s, struct headers *h)
{
	char room[MESSAGE_BYTES_MAX];
	const char *text = text_of(s, room, sizeof(room));
	size_t n = is_head(s) ? 0 : strlen(text);

	if (!head_plain(h, s, text) || !h2_answer(&s->h2, h, n == 0))
		return false;
	if (n == 0)
		return true;
	s->held_bytes += n;
	s->down->worker->held_bytes += n;
	return h2_data(&s->h2, (const uint8_t *)text, n) &&
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
