/* worker/io/percent.c - see percent.h. */
#include "worker/io/percent.h"

#include <stdbool.h>

void
percent_encode(const char *text, char *to, size_t cap)
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

static int
hex(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void
percent_decode(const uint8_t *from, size_t len, char *to, size_t cap)
{
	const uint8_t *p = from, *end = from + len;
	size_t n = 0;

	for (; p < end && n + 1 < cap; p++) {
		bool is_code = *p == '%' && end - p > 2 && hex(p[1]) >= 0 &&
		    hex(p[2]) >= 0;

		to[n++] = (char)(is_code ? hex(p[1]) << 4 | hex(p[2]) : *p);
		p += is_code ? 2 : 0;
	}
	to[n] = '\0';
}
