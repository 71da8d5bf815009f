/* worker/io/greeting.c - see greeting.h. */
#include "worker/io/greeting.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { TLS_HANDSHAKE_RECORD = 22, TLS_MAJOR = 3 };

static const struct {
	const char	*answer, *sentence;
} rows[GREETINGS] = {
	[GREETING_HTTP1] = {
	    "This port speaks HTTP/2 only, no HTTP/1.1 "
	    "(curl --http2-prior-knowledge does).",
	    "the peer speaks HTTP/1, this port HTTP/2 only" },
	[GREETING_TLS] = {
	    "This port speaks HTTP/2 in clear text, no TLS.",
	    "the peer speaks TLS, this port clear text only" },
	[GREETING_CLEAR] = {
	    "This port speaks HTTP/2 over TLS, nothing else.",
	    "the peer speaks clear text, this port TLS only" },
};

size_t
greeting_answer(enum greeting g, char to[GREETING_ANSWER_BYTES])
{
	int n = snprintf(to, GREETING_ANSWER_BYTES, "HTTP/1.1 400 Bad Request"
	    "\r\ncontent-type: text/plain\r\ncontent-length: %zu\r\n"
	    "connection: close\r\n\r\n%s\n", strlen(rows[g].answer) + 1,
	    rows[g].answer);

	assert(n > 0 && n < GREETING_ANSWER_BYTES);
	return (size_t)n;
}

const char *
greeting_sentence(enum greeting g)
{
	return rows[g].sentence;
}

static bool
is_letter(uint8_t c)
{
	return c >= 'A' && c <= 'Z';
}

/* A method, as far as it is here; a line that is whole names its protocol. */
static bool
is_http1(const uint8_t *p, size_t n)
{
	const uint8_t *end = memchr(p, '\n', n);
	size_t len = end == NULL ? n : (size_t)(end - p);

	return is_letter(p[0]) &&
	    (end == NULL || memmem(p, len, " HTTP/1.", 8) != NULL);
}

enum greeting
greeting_next(uint8_t *seen, const uint8_t *p, size_t n)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
	size_t here = n < (size_t)(GREETING_BYTES - *seen) ? n :
	    (size_t)(GREETING_BYTES - *seen), same = 0;
	bool first = *seen == 0;

	while (same < here && p[same] == (uint8_t)preface[*seen + same])
		same++;
	*seen = (uint8_t)(*seen + same);
	if (same == here)
		return *seen < GREETING_BYTES ? GREETING_NOT_YET :
		    GREETING_HTTP2;
	if (first && p[0] == TLS_HANDSHAKE_RECORD &&
	    (n == 1 || p[1] == TLS_MAJOR))
		return GREETING_TLS;
	/* After "PR" that came before, the rest of a method. */
	return is_http1(p, n) ? GREETING_HTTP1 : GREETING_HTTP2;
}

enum greeting
greeting_of_tls(uint8_t first)
{
	return is_letter(first) ? GREETING_CLEAR : GREETING_HTTP2;
}
