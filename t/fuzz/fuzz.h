/*
 * t/fuzz/fuzz.h - what the targets of t/fuzz share: seeds, records, a proxy
 * without a network, and how a property fails.
 *
 *   make fuzz [T=NAME] [FUZZ_S=60]      clang, libFuzzer; corpora stay in
 *                                       build/fuzz/fuzz
 *   build/fuzz/fuzz/NAME.run seed DIR   writes inputs to start from
 *   SAY=1 build/fuzz/fuzz/NAME.run FILE     tells one input again
 */
#ifndef T_FUZZ_FUZZ_H
#define T_FUZZ_FUZZ_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shm/log.h"

int	LLVMFuzzerInitialize(int *argc, char ***argv);
int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Of the target. */
static void	seeds_write(const char *dir);

static inline void __attribute__((format(printf, 1, 2), noreturn))
fuzz_fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n");
	abort();
}

/* What came of an input, for who looks at one. */
static inline void __attribute__((format(printf, 1, 2)))
fuzz_say(const char *format, ...)
{
	va_list args;

	if (getenv("SAY") == NULL)
		return;
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n");
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	if (*argc == 3 && strcmp((*argv)[1], "seed") == 0) {
		seeds_write((*argv)[2]);
		exit(0);
	}
	log_open("fuzz", LOG_ERROR);
	return 0;
}

/* A stream that is ended has a reason. */
static inline void
fuzz_ended(const char *why)
{
	if (*why == '\0')
		fuzz_fail("it ended without a reason");
	fuzz_say("the stream is ended: %s", why);
}

/* ---- seeds */

static inline void
fuzz_seed(const char *dir, const char *name, const void *p, size_t n)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if ((f = fopen(path, "w")) == NULL || fwrite(p, 1, n, f) != n ||
	    fclose(f) != 0) {
		perror(path);
		exit(1);
	}
}

/* DIR.dict: words, each with end behind it, in libFuzzer's escapes. */
static inline void
fuzz_dictionary(const char *dir, const char *const *words, size_t n,
    const char *end)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s.dict", dir);
	if ((f = fopen(path, "w")) == NULL) {
		perror(path);
		exit(1);
	}
	for (size_t i = 0; i < n; i++)
		fprintf(f, "\"%s%s\"\n", words[i], end);
	fclose(f);
}

/* A file of the tree, from the top; the caller's, with a NUL behind it. */
static inline char *
fuzz_file(const char *path, size_t *n)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = fopen(path, "r");

	*n = 0;
	do {
		size += 65536;
		text = realloc(text, size);
		if (f == NULL || text == NULL) {
			perror(path);
			exit(1);
		}
		*n += fread(text + *n, 1, size - 1 - *n, f);
	} while (*n == size - 1);
	fclose(f);
	text[*n] = '\0';
	return text;
}

/* ---- an input as records: | what | length, 2 bytes | bytes | ... */

enum { RECORD_BYTES = 3 };

struct record {
	uint8_t		 what;
	uint8_t		*bytes;		/* a copy, to the byte; the caller's */
	size_t		 n;
};

static inline int
record_take(const uint8_t **at, const uint8_t *end, struct record *r)
{
	const uint8_t *p = *at;

	if (end - p < RECORD_BYTES)
		return 0;
	r->what = p[0];
	r->n = (size_t)(p[1] << 8 | p[2]);
	p += RECORD_BYTES;
	if (r->n > (size_t)(end - p))
		r->n = (size_t)(end - p);
	if ((r->bytes = malloc(r->n == 0 ? 1 : r->n)) == NULL)
		abort();
	memcpy(r->bytes, p, r->n);
	*at = p + r->n;
	return 1;
}

/* All of them, or until one says that it is over. */
static inline void
records_do(const uint8_t *at, size_t n, bool (*one)(void *arg,
    const struct record *r), void *arg)
{
	const uint8_t *end = at + n;
	bool goes_on = true;
	struct record r;

	while (goes_on && record_take(&at, end, &r)) {
		goes_on = one(arg, &r);
		free(r.bytes);
	}
}

static inline void
record_print(FILE *f, uint8_t what, const void *p, size_t n)
{
	const uint8_t head[] = { what, (uint8_t)(n >> 8), (uint8_t)n };

	fwrite(head, 1, sizeof(head), f);
	fwrite(p, 1, n, f);
}

#endif
