/*
 * xds/print_json.c - JSON's letters: brackets, keys, texts, one to a line with
 * one blank a level, as Envoy writes it. See print.h.
 *
 * Source: RFC 8259. Test: t/unit/print.c.
 */
#include "xds/print_inside.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>


void
print_begin(struct print *p, FILE *out, struct load_arena *memory)
{
	*p = (struct print){ .out = out, .memory = memory, .first = true };
}

/* ---- values */

static void
quoted_byte(struct print *p, unsigned char c)
{
	static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
	const char *at = c == '\0' ? NULL : strchr(from, c);

	if (at != NULL) {
		putc_unlocked('\\', p->out);
		putc_unlocked(to[at - from], p->out);
	} else
		fprintf(p->out, "\\u%04x", c);
}

/* The text is UTF-8: the guard has seen it, or it is ours. */
void
print_quoted(struct print *p, const char *text, size_t n)
{
	size_t i, from = 0;
	unsigned char c;

	putc_unlocked('"', p->out);
	for (i = 0; i < n; i++) {
		c = (unsigned char)text[i];
		if (c >= ' ' && c != '"' && c != '\\' && c != 0x7f)
			continue;
		fwrite_unlocked(text + from, 1, i - from, p->out);
		quoted_byte(p, c);
		from = i + 1;
	}
	fwrite_unlocked(text + from, 1, n - from, p->out);
	putc_unlocked('"', p->out);
}

void
print_base64(struct print *p, const uint8_t *bytes, size_t n)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789+/";
	uint32_t bits;
	size_t i, j, more;

	putc_unlocked('"', p->out);
	for (i = 0; i < n; i += 3) {
		more = n - i < 3 ? n - i : 3;
		bits = 0;
		for (j = 0; j < 3; j++)
			bits = bits << 8 | (j < more ? bytes[i + j] : 0);
		for (j = 0; j < 4; j++)
			putc_unlocked(j > more ? '=' :
			    digits[bits >> (18 - 6 * j) & 63], p->out);
	}
	putc_unlocked('"', p->out);
}

/* The fewest digits that read back as the same; digits: enough for sure. */
void
print_real(struct print *p, double number, int digits)
{
	char text[40];

	if (isnan(number) || isinf(number)) {
		fputs(isnan(number) ? "\"NaN\"" : number > 0 ?
		    "\"Infinity\"" : "\"-Infinity\"", p->out);
		return;
	}
	for (int n = digits - 3; n <= digits; n++) {
		snprintf(text, sizeof(text), "%.*g", n, number);
		if (digits > 9 ? strtod(text, NULL) == number :
		    strtof(text, NULL) == (float)number)
			break;
	}
	fputs(text, p->out);
}

/* ---- structure */

static void
line(struct print *p)
{
	static const char blanks[] = "\n                                      "
	    "                                         ";
	unsigned n = p->depth + 1, all = sizeof(blanks) - 1;

	fwrite_unlocked(blanks, 1, n < all ? n : all, p->out);
	for (; n > all; n--)
		putc_unlocked(' ', p->out);
}

void
print_key(struct print *p, const char *key)
{
	if (!p->first)
		putc_unlocked(',', p->out);
	if (p->depth > 0)
		line(p);
	p->first = false;
	if (key == NULL)
		return;
	print_quoted(p, key, strlen(key));
	fputs_unlocked(": ", p->out);
}

void
print_open(struct print *p, const char *key, char bracket)
{
	print_key(p, key);
	putc_unlocked(bracket, p->out);
	p->depth++;
	p->first = true;
}

void
print_close(struct print *p, char bracket)
{
	p->depth--;
	if (!p->first)
		line(p);
	putc_unlocked(bracket == '{' ? '}' : ']', p->out);
	p->first = false;
	if (p->depth == 0)
		putc_unlocked('\n', p->out);
}

void
print_text(struct print *p, const char *key, const char *text)
{
	print_key(p, key);
	print_quoted(p, text, strlen(text));
}

void
print_number(struct print *p, const char *key, uint64_t number)
{
	print_key(p, key);
	fprintf(p->out, "%" PRIu64, number);
}

void
print_flag(struct print *p, const char *key, bool flag)
{
	print_key(p, key);
	fputs_unlocked(flag ? "true" : "false", p->out);
}
