/*
 * shm/path_hash.h - the hash of a path, or of its beginning, by which an
 * index of routes (block.h) is laid out and searched.
 *
 *   | 8 bytes | 8 bytes | ... | the last 8, which may overlap |  ─> 64 bits
 *
 * Master and worker must agree on it, which is why it lives here and why a
 * change of it is a change of BLOCK_LAYOUT. It resists nobody who looks for
 * two paths of one hash: who asks the index compares the bytes as well.
 *
 * Test: t/unit/route_index.c.
 */
#ifndef SHM_PATH_HASH_H
#define SHM_PATH_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t
path_hash_mix(uint64_t hash, uint64_t word)
{
	hash = (hash ^ word) * 0x9e3779b97f4a7c15ull;
	return hash ^ hash >> 32;
}

/* 1..7 bytes as one number. */
static inline uint64_t
path_hash_short(const char *p, size_t n)
{
	uint32_t head, tail;

	if (n < 4)
		return (uint64_t)(uint8_t)p[0] << 16 |
		    (uint64_t)(uint8_t)p[n / 2] << 8 | (uint8_t)p[n - 1];
	memcpy(&head, p, 4);
	memcpy(&tail, p + n - 4, 4);
	return (uint64_t)head << 32 | tail;
}

/* whole: the path is all of it, not the beginning of others. */
static inline uint64_t
path_hash(const char *p, size_t n, bool whole)
{
	uint64_t word, hash = (uint64_t)n << 1 | whole;
	size_t i;

	for (i = 0; i + 8 < n; i += 8) {
		memcpy(&word, p + i, 8);
		hash = path_hash_mix(hash, word);
	}
	if (n >= 8)
		memcpy(&word, p + n - 8, 8);
	else
		word = n == 0 ? 0 : path_hash_short(p, n);
	return path_hash_mix(path_hash_mix(hash, word), 0);
}

#endif
