/*
 * t/fuzz/verify.c - shm/verify.c against any bytes: it must not read outside
 * of the arena, and what it passes a worker must be able to read.
 *
 *   0          4      5                                       size
 *   | root ref | fold | what lies behind the control page ... |
 *
 * The arena is a heap copy of exactly that size, so that the sanitizer sees a
 * read beyond it. fold makes bytes_max smaller than the arena: 256 - fold
 * parts of 256.
 *
 * A mutator of our own knows that much: numbers and refs are 32 bits and lie
 * at multiples of 4; a ref that names another block is more likely to get
 * somewhere than a random one.
 */
#include "shm/verify.h"

#include "t/fuzz/fuzz.h"
#include "t/lib/sample.h"

enum { HEAD_BYTES = 5, SEED_BYTES = 1 << 20 };

size_t	LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max,
	    unsigned int seed);
size_t	LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);

/* ---- seeds */

static void
seed_write(const char *dir, const char *name, const struct arena *a,
    block_ref root)
{
	size_t n = a->used_bytes - ARENA_CONTROL_BYTES;
	uint8_t *bytes = calloc(1, HEAD_BYTES + n);

	if (bytes == NULL)
		abort();
	memcpy(bytes, &root, sizeof(root));
	memcpy(bytes + HEAD_BYTES, a->base + ARENA_CONTROL_BYTES, n);
	fuzz_seed(dir, name, bytes, HEAD_BYTES + n);
	free(bytes);
}

static void
seeds_write(const char *dir)
{
	struct arena a = { .base = calloc(1, SEED_BYTES),
	    .size_bytes = SEED_BYTES, .used_bytes = ARENA_CONTROL_BYTES };
	struct sample s;

	if (a.base == NULL)
		exit(1);
	sample_put(&s, &a);
	seed_write(dir, "whole", &a, s.root_ref);
	a.used_bytes = ARENA_CONTROL_BYTES;
	seed_write(dir, "endpoints", &a, sample_put_endpoints(&a, 9, 2));
	free(a.base);
}

/* ---- one input */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a = { .fd = -1 };
	char why[256];
	const char *wrong;
	block_ref root;

	if (size < HEAD_BYTES)
		return 0;
	memcpy(&root, data, sizeof(root));
	a.size_bytes = ARENA_CONTROL_BYTES + size - HEAD_BYTES;
	a.base = malloc(a.size_bytes);
	memset(a.base, 0xdb, ARENA_CONTROL_BYTES);
	memcpy(a.base + ARENA_CONTROL_BYTES, data + HEAD_BYTES,
	    size - HEAD_BYTES);
	if (verify(&a, NULL, root, a.size_bytes * (256 - data[4]) / 256, why,
	    sizeof(why)) == 0) {
		wrong = sample_read(&a, root);
		if (wrong != NULL)
			fuzz_fail("passed, but: %s", wrong);
	}
	free(a.base);
	return 0;
}

/* ---- the mutator */

static uint32_t
next(uint32_t *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

static uint32_t
word_like(const uint8_t *data, size_t words, uint32_t *state)
{
	uint32_t first = ARENA_CONTROL_BYTES / ARENA_UNIT_BYTES, n;

	switch (next(state) % 6) {
	case 0:
		return next(state) % 4;
	case 1:
		return UINT32_MAX - next(state) % 4;
	case 2:				/* one that is there already */
		memcpy(&n, data + next(state) % words * 4, sizeof(n));
		return n;
	case 3:				/* around the end */
		return first + (uint32_t)(words / 4) + next(state) % 4 - 2;
	case 4:
		return next(state) % (uint32_t)(words * 8 + 1);
	default:
		return first + next(state) % (uint32_t)(words / 4 + 1);
	}
}

size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max,
    unsigned int seed)
{
	uint32_t state = seed, n;
	size_t words = (size - (size < HEAD_BYTES ? size : HEAD_BYTES)) / 4;
	uint8_t *body = data + HEAD_BYTES;

	if (words == 0 || next(&state) % 4 == 0)
		return LLVMFuzzerMutate(data, size, max);
	for (uint32_t i = next(&state) % 3; ; i--) {
		n = word_like(body, words, &state);
		memcpy(body + next(&state) % words * 4, &n, sizeof(n));
		if (i == 0)
			return size;
	}
}
