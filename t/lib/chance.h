/*
 * t/lib/chance.h - numbers by chance that a seed repeats, for whatever in t/
 * tries many things: one more call, one more number.
 *
 * Source: Steele, Lea, Flood: "Fast splittable pseudorandom number
 * generators", 2014 (SplitMix64): any seed will do, 0 and neighbours too.
 */
#ifndef T_LIB_CHANCE_H
#define T_LIB_CHANCE_H

#include <stdint.h>

struct chance {
	uint64_t	state;		/* the seed, at first */
};

static inline uint64_t
chance_next(struct chance *c)
{
	uint64_t z = c->state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

/* 0..n-1 */
static inline uint32_t
chance_below(struct chance *c, uint32_t n)
{
	return (uint32_t)((chance_next(c) >> 32) * n >> 32);
}

#endif
