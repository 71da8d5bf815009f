/* t/unit/chunk.c - worker/io/chunk.c: bytes in = bytes out, in any pieces. */
#include <criterion/criterion.h>
#include <string.h>

#include "t/lib/unit_sys.h"
#include "worker/io/chunk.h"

Test(chunk, any_pieces_in_and_out)
{
	static const size_t pieces[] = { 1, 2, 959, 960, 961, 16383, 16384,
	    16385, 50000 };
	enum { N = sizeof(pieces) / sizeof(pieces[0]), BYTES = 200000 };
	static uint8_t in[BYTES], out[BYTES];
	struct mem m;

	mem_init(&m, &unit_sys);
	for (size_t i = 0; i < BYTES; i++)
		in[i] = (uint8_t)(i * 7 + i / 251);
	for (size_t put = 0; put < N; put++)
		for (size_t take = 0; take < N; take++) {
			struct chunks q = { 0 };
			size_t wrote = 0, read = 0, n;

			while (read < BYTES) {
				n = pieces[put];
				if (n > BYTES - wrote)
					n = BYTES - wrote;
				cr_assert(chunks_put(&q, &m, in + wrote, n));
				wrote += n;
				n = pieces[take];
				if (n > q.bytes)
					n = q.bytes;
				chunks_take(&q, &m, out + read, n);
				read += n;
				cr_assert_eq(q.bytes, wrote - read);
			}
			cr_assert_eq(memcmp(in, out, BYTES), 0,
			    "in %zu, out %zu", pieces[put], pieces[take]);
			cr_assert_eq(m.out_n, 0);
		}
	mem_fini(&m);
	cr_assert_eq(unit_blocks, 0);
}

Test(chunk, a_small_message_holds_a_small_chunk_and_drop_lets_go)
{
	struct chunks q = { 0 };
	struct mem m;
	uint8_t p[100] = { 0 };

	mem_init(&m, &unit_sys);
	cr_assert(chunks_put(&q, &m, p, sizeof(p)));
	cr_assert_eq(m.out_n, 1);
	cr_assert(chunks_put(&q, &m, p, sizeof(p)));
	cr_assert_eq(m.out_n, 1, "the room was not used");
	chunks_drop(&q, &m);
	cr_assert_eq(q.bytes, 0);
	cr_assert_eq(m.out_n, 0);
	mem_fini(&m);
}

Test(chunk, no_memory_is_said)
{
	static uint8_t p[40000];
	struct chunks q = { 0 };
	struct mem m;

	mem_init(&m, &unit_sys);
	unit_fail_at = 2;
	cr_assert_not(chunks_put(&q, &m, p, sizeof(p)));
	unit_fail_at = 0;
	cr_assert_eq(q.bytes, CHUNK_LARGE_BYTES);
	chunks_drop(&q, &m);
	mem_fini(&m);
	cr_assert_eq(unit_blocks, 0);
}
