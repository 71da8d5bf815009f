/*
 * t/unit/checkpoint_damage.c - C2 of master/checkpoint.h: whatever a disk does
 * to a file, it is read as it was written or not at all.
 */
#include "master/checkpoint.h"

#include "t/lib/unit_checkpoint.h"

enum { BLOCK = 512, FOLLY = 8000 };

static struct chance chance = { 6 };

/* ---- damage */

static bool
cut(struct image *m, size_t at)
{
	m->len = at;
	return true;
}

static bool
flip(struct image *m, size_t at)
{
	size_t n = m->len - at < BLOCK ? m->len - at : BLOCK;

	m->bytes[at + chance_below(&chance, (uint32_t)n)] ^=
	    (uint8_t)(1 << chance_below(&chance, 8));
	return true;
}

static bool
zero(struct image *m, size_t at)
{
	memset(m->bytes + at, 0, m->len - at < BLOCK ? m->len - at : BLOCK);
	return true;
}

/* With the next one; false where there is none. */
static bool
swap(struct image *m, size_t at)
{
	uint8_t block[BLOCK];

	if (at + 2 * BLOCK > m->len)
		return false;
	memcpy(block, m->bytes + at, BLOCK);
	memcpy(m->bytes + at, m->bytes + at + BLOCK, BLOCK);
	memcpy(m->bytes + at + BLOCK, block, BLOCK);
	return true;
}

static bool
twice(struct image *m, size_t at)
{
	size_t rest = m->len - at;

	memmove(m->bytes + at + BLOCK, m->bytes + at, rest);
	m->len += BLOCK;
	return rest >= BLOCK;
}

static bool
over_the_next(struct image *m, size_t at)
{
	if (at + 2 * BLOCK > m->len)
		return false;
	memcpy(m->bytes + at + BLOCK, m->bytes + at, BLOCK);
	return true;
}

static bool
drop(struct image *m, size_t at)
{
	if (at + BLOCK > m->len)
		return false;
	memmove(m->bytes + at, m->bytes + at + BLOCK, m->len - at - BLOCK);
	m->len -= BLOCK;
	return true;
}

/* A block of the file of before: it was never written over. */
static struct image before;

static bool
stale(struct image *m, size_t at)
{
	size_t n = m->len - at < BLOCK ? m->len - at : BLOCK;

	if (at + n > before.len)
		return false;
	memcpy(m->bytes + at, before.bytes + at, n);
	return true;
}

static bool
grow(struct image *m, size_t at)
{
	memset(m->bytes + m->len, 0, at + 1);
	m->len += at + 1;
	return true;
}

static const struct damage {
	const char	*what;
	bool		(*do_to)(struct image *m, size_t at);
} damages[] = {
	{ "cut", cut }, { "flip", flip }, { "zero", zero },
	{ "swap", swap }, { "twice", twice }, { "drop", drop },
	{ "over the next", over_the_next }, { "stale", stale },
	{ "grow", grow },
};

/* Damaged at this place the newer must not be read, and the older is; and when
 * both are, nothing. */
static void
damaged(const struct damage *d, const struct image *whole, size_t at,
    size_t bytes_n)
{
	static struct image m, old;
	uint64_t got;

	memcpy(&m, whole, sizeof(m));
	if (!d->do_to(&m, at) || same(&m, whole) || same(&m, &before))
		return;
	image_save(&m, SECOND);
	got = read_sized(false, bytes_n);
	cr_assert_eq(got, 1, "%s at %zu: got %llu: %s", d->what, at,
	    (unsigned long long)got, why);
	image_load(&old, FIRST);
	image_save(&m, FIRST);
	got = read_sized(false, bytes_n);
	cr_assert_eq(got, 0, "%s at %zu, both: got %llu", d->what, at,
	    (unsigned long long)got);
	image_save(&old, FIRST);
}

static void
damage_all(size_t records_n, size_t bytes_n, size_t step)
{
	static struct image whole;

	folder_open();
	write_as(WHO, 1, records_n, bytes_n);
	image_load(&before, FIRST);
	write_as(WHO, 2, records_n, bytes_n);
	image_load(&whole, SECOND);
	cr_assert_eq(read_sized(false, bytes_n), 2, "%s", why);
	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++)
		for (size_t at = 0; at < whole.len; at += step)
			damaged(&damages[i], &whole, at, bytes_n);
	image_save(&whole, SECOND);
	cr_assert_eq(read_sized(false, bytes_n), 2, "%s", why);
	folder_close();
}

Test(checkpoint_damage, damage_at_every_block)
{
	damage_all(RECORDS, BYTES, BLOCK);
}

static bool
flip_here(struct image *m, size_t at)
{
	m->bytes[at] ^= (uint8_t)(1 << at % 8);
	return true;
}

Test(checkpoint_damage, damage_at_every_byte)
{
	static const struct damage here = { "flip here", flip_here };
	static struct image whole;

	damage_all(SMALL_RECORDS, SMALL_BYTES, 1);
	folder_open();
	write_as(WHO, 1, SMALL_RECORDS, SMALL_BYTES);
	write_as(WHO, 2, SMALL_RECORDS, SMALL_BYTES);
	image_load(&whole, SECOND);
	for (size_t at = 0; at < whole.len; at++)
		damaged(&here, &whole, at, SMALL_BYTES);
	folder_close();
}

/* ---- rubbish with a good checksum: nothing is read beyond it */

static void
folly(struct image *m)
{
	static const uint64_t odd[] = { 0, 1, 255, 1 << 16, UINT32_MAX,
		UINT64_MAX, UINT64_MAX - 40, 1ull << 63, CHECKPOINT_BYTES_MAX };
	size_t at;

	for (uint32_t n = 1 + chance_below(&chance, 3); n > 0; n--) {
		at = chance_below(&chance, (uint32_t)m->len - 8);
		if (chance_below(&chance, 2) == 0)
			m->bytes[at] = (uint8_t)chance_next(&chance);
		else
			memcpy(m->bytes + at, &odd[chance_below(&chance, 9)],
			    chance_below(&chance, 2) == 0 ? 4 : 8);
	}
	if (chance_below(&chance, 4) == 0)
		m->len = HEAD + chance_below(&chance, (uint32_t)(m->len -
		    HEAD));
}

Test(checkpoint_damage, rubbish_with_a_good_checksum)
{
	static struct image whole, m;
	struct checkpoint_record r;
	struct checkpoint *c;
	uint64_t sum = 0;
	size_t at, taken = 0;

	folder_open();
	write_as(WHO, 1, SMALL_RECORDS, SMALL_BYTES);
	image_load(&whole, FIRST);
	for (int i = 0; i < FOLLY; i++) {
		memcpy(&m, &whole, sizeof(m));
		folly(&m);
		sign(&m);
		image_save(&m, FIRST);
		c = checkpoint_read(folder, WHO, "all", false, why,
		    sizeof(why));
		at = 0;
		while (c != NULL && checkpoint_next(c, &at, &r))
			sum += strlen(r.source) + strlen(r.name) +
			    strlen(r.version) + XXH3_64bits(r.bytes, r.len);
		taken += c != NULL;
		checkpoint_free(c);
	}
	/* Some are taken, since only bytes of a message changed. */
	cr_assert(taken > FOLLY / 100 && taken < FOLLY / 2, "%zu of %d, %llu",
	    taken, FOLLY, (unsigned long long)sum);
	folder_close();
}
