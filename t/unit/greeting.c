/* t/unit/greeting.c - worker/io/greeting.c: what a caller's first bytes say. */
#include "worker/io/greeting.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char	*name, *first, *second;	/* what comes, in two pieces */
	enum greeting	 greeting;
} rows[] = {
	{ "the preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "",
	    GREETING_HTTP2 },
	{ "and more", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nabc", "",
	    GREETING_HTTP2 },
	{ "in two pieces", "PRI * HTTP/2.0\r\n", "\r\nSM\r\n\r\nabc",
	    GREETING_HTTP2 },
	{ "its first byte", "P", "RI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	    GREETING_HTTP2 },
	{ "half of it", "PRI * HT", "TP/2.0\r\n\r\nSM\r\n\r", GREETING_NOT_YET },
	{ "its last byte is wrong", "PRI * HTTP/2.0\r\n\r\nSM\r\n\rX", "",
	    GREETING_HTTP2 },
	{ "GET", "GET / HTTP/1.1\r\nhost: x\r\n\r\n", "", GREETING_HTTP1 },
	{ "GET, its first letter", "G", "", GREETING_HTTP1 },
	{ "HTTP/1.0", "HEAD / HTTP/1.0\n\n", "", GREETING_HTTP1 },
	{ "POST begins as PRI does", "POST /a HTTP/1.1\r\n", "",
	    GREETING_HTTP1 },
	{ "in two pieces", "P", "OST /a HTTP/1.1\r\n", GREETING_HTTP1 },
	{ "PROPFIND", "PR", "OPFIND /a HTTP/1.1\r\n", GREETING_HTTP1 },
	{ "PRI of HTTP/1", "PRI * HTTP/1.1\r\n\r\n", "", GREETING_HTTP1 },
	{ "a long path", "GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "",
	    GREETING_HTTP1 },
	{ "no HTTP", "INVALID CONNECTION PREFACE\r\n\r\n", "",
	    GREETING_HTTP2 },
	{ "HTTP/1 in its second line", "EHLO x\r\n HTTP/1.1\r\n", "",
	    GREETING_HTTP2 },
	{ "lower case", "get / HTTP/1.1\r\n", "", GREETING_HTTP2 },
	{ "TLS", "\26\3\1\2\1\1", "", GREETING_TLS },
	{ "TLS, its first byte", "\26", "", GREETING_TLS },
	{ "nearly TLS", "\26\4\1", "", GREETING_HTTP2 },
	{ "nearly both", "P", "\26\3\1", GREETING_HTTP2 },
	{ "garbage", "\377\376", "", GREETING_HTTP2 },
};
enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

Test(greeting, what_first_bytes_say)
{
	for (int i = 0; i < ROWS; i++) {
		enum greeting got = GREETING_NOT_YET;
		uint8_t seen = 0;

		got = greeting_next(&seen, (const uint8_t *)rows[i].first,
		    strlen(rows[i].first));
		if (rows[i].second[0] != '\0') {
			cr_assert_eq(got, GREETING_NOT_YET, "%s: at once",
			    rows[i].name);
			got = greeting_next(&seen,
			    (const uint8_t *)rows[i].second,
			    strlen(rows[i].second));
		}
		cr_assert_eq(got, rows[i].greeting, "%s: %d", rows[i].name,
		    got);
	}
}

Test(greeting, tls_begins_with_no_letter)
{
	cr_assert_eq(greeting_of_tls(22), GREETING_HTTP2);
	cr_assert_eq(greeting_of_tls(0xff), GREETING_HTTP2);
	cr_assert_eq(greeting_of_tls('P'), GREETING_CLEAR);
	cr_assert_eq(greeting_of_tls('G'), GREETING_CLEAR);
}

Test(greeting, an_answer_is_as_long_as_it_says)
{
	for (int g = GREETING_HTTP1; g < GREETINGS; g++) {
		char text[GREETING_ANSWER_BYTES];
		size_t n = greeting_answer((enum greeting)g, text);
		const char *body = strstr(text, "\r\n\r\n");
		const char *length = strstr(text, "content-length: ");

		cr_assert_eq(strncmp(text, "HTTP/1.1 400 ", 13), 0);
		cr_assert(strstr(text, "\r\nconnection: close\r\n") != NULL);
		cr_assert(body != NULL && length != NULL);
		cr_assert_eq(strtoul(length + 16, NULL, 10),
		    n - (size_t)(body + 4 - text), "%s", text);
		cr_assert_eq(text[n - 1], '\n');
		cr_assert(strlen(greeting_sentence((enum greeting)g)) > 0);
	}
}
