/* t/unit/buf.c - worker/io/buf.c: bytes in order, room, and no memory. */
#include "worker/io/buf.h"

#include <criterion/criterion.h>
#include <string.h>

#include "t/lib/unit_process.h"
#include "t/lib/unit_sys.h"

static void
invariant_check(const struct buf *b)
{
	cr_assert_leq(b->pos, b->last);
	cr_assert_leq(b->last, b->cap);
	cr_assert(b->pos < b->last || b->pos == 0, "empty, and not at 0");
}

/* Byte n of the stream that goes through is n % 251. */
Test(buf, gives_back_what_was_put)
{
	uint64_t put = 0, taken = 0, most = 0;
	uint8_t bytes[9000];
	struct buf b;

	buf_init(&b, &unit_sys);
	cr_assert_eq(buf_len(&b), 0);
	for (int i = 0; i < 20000; i++) {
		size_t n = unit_random() % (unit_random() % 10 == 0 ?
		    sizeof(bytes) : 200);

		if (unit_random() % 2 == 0) {
			for (size_t j = 0; j < n; j++)
				bytes[j] = (put + j) % 251;
			cr_assert(buf_put(&b, bytes, n));
			put += n;
		} else {
			n = n < buf_len(&b) ? n : buf_len(&b);
			for (size_t j = 0; j < n; j++)
				cr_assert_eq(b.data[b.pos + j],
				    (taken + j) % 251);
			buf_take(&b, n);
			taken += n;
		}
		cr_assert_eq(buf_len(&b), put - taken);
		invariant_check(&b);
		most = buf_len(&b) > most ? buf_len(&b) : most;
	}
	cr_assert_gt(most, 20000, "it never grew");
	cr_assert_leq(b.cap, 8 * most, "it grew without need");
	cr_assert_eq(unit_blocks, 1);
	buf_clear(&b);
	cr_assert_eq(buf_len(&b), 0);
	buf_fini(&b);
	buf_fini(&b);
	cr_assert_eq(unit_blocks, 0);
	cr_assert(buf_put(&b, "again", 5), "fini is init, but for sys");
	buf_fini(&b);
}

Test(buf, room_is_there_before_it_counts)
{
	struct buf b;
	uint8_t *to;

	buf_init(&b, &unit_sys);
	cr_assert_not_null(buf_room(&b, 0));
	for (size_t n = 1; n < 100000; n = n * 3 + 1) {
		size_t len = buf_len(&b);

		to = buf_room(&b, n);
		cr_assert_not_null(to);
		cr_assert_eq(buf_len(&b), len, "room is not content");
		memset(to, 'r', n);
		b.last += n;
		cr_assert_eq(b.data[b.pos], 'r');
		invariant_check(&b);
	}
	cr_assert(buf_put(&b, NULL, 0));
	buf_fini(&b);
}

/* A buffer of one size at its every state, roughly, and every wish. */
Test(buf, room_is_as_much_as_was_asked_for)
{
	static const uint8_t bytes[4096];
	struct buf b;

	for (size_t put = 1; put <= 4096; put += 195) {
		buf_init(&b, &unit_sys);
		cr_assert(buf_put(&b, bytes, put));
		cr_assert_not_null(buf_room(&b, 4096 - put));
		cr_assert_eq(b.cap, 4096, "%zu put: the rest fits", put);
		buf_fini(&b);
		for (size_t taken = 0; taken <= put; taken += 195)
			for (size_t n = 1; n <= 8192; n += 195) {
				buf_init(&b, &unit_sys);
				cr_assert(buf_put(&b, bytes, put));
				buf_take(&b, taken);
				cr_assert_not_null(buf_room(&b, n));
				cr_assert_geq(b.cap - b.last, n,
				    "%zu put, %zu taken: no room for %zu",
				    put, taken, n);
				cr_assert(b.cap == 4096 || put + n > 4096,
				    "it grew without need");
				cr_assert_eq(buf_len(&b), put - taken);
				buf_fini(&b);
			}
	}
}

/* A byte in, a byte out, and almost full: what moves must be paid for. */
Test(buf, moves_seldom)
{
	struct buf b;
	int moves = 0;
	size_t pos;

	buf_init(&b, &unit_sys);
	for (int i = 0; i < 4096; i++)
		cr_assert(buf_put(&b, "f", 1));
	for (int i = 0; i < 1000000; i++) {
		buf_take(&b, 1);
		pos = b.pos;
		cr_assert(buf_put(&b, "g", 1));
		moves += b.pos < pos;
	}
	cr_assert_leq(moves, 1000000 / 4096 + 1, "%d moves of 4 KiB", moves);
	cr_assert_leq(b.cap, 4 * 4096);
	buf_fini(&b);
}

Test(buf, keeps_what_it_has_when_memory_ends)
{
	struct buf b;

	buf_init(&b, &unit_sys);
	unit_fail_at = 1;
	cr_assert_not(buf_put(&b, "x", 1));
	cr_assert_null(b.data);
	cr_assert(buf_put(&b, "kept", 4));
	unit_fail_at = 1;
	cr_assert_null(buf_room(&b, 10000));
	cr_assert_eq(buf_len(&b), 4);
	cr_assert_arr_eq(b.data, "kept", 4);
	cr_assert_null(buf_room(&b, SIZE_MAX));
	cr_assert_null(buf_room(&b, SIZE_MAX / 2 + 2));
	cr_assert_eq(buf_len(&b), 4);
	cr_assert(buf_put(&b, "!", 1));
	buf_fini(&b);
	cr_assert_eq(unit_blocks, 0);
}
