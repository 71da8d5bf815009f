/* t/unit/mem.c - worker/io/mem.c: classes, reuse, the shared frame. */
#include <criterion/criterion.h>
#include <string.h>

#include "t/lib/unit_sys.h"
#include "worker/io/mem.h"

#if !defined(__SANITIZE_ADDRESS__)
Test(mem, gives_back_what_was_freed)
{
	static const size_t sizes[] = { 0, 1, 63, 64, 65, 1023, 1024, 1025,
	    2112, 2113, 4160, 4161, 8256, 16394, 16448 };
	struct mem m;

	mem_init(&m, &unit_sys);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char *p = mem_alloc(&m, sizes[i]), *q;
		int had = unit_blocks;

		memset(p, 'x', sizes[i]);
		cr_assert_eq((uintptr_t)p % 16, 0);
		mem_free(&m, p);
		q = mem_alloc(&m, sizes[i]);
		cr_assert_eq(p, q, "size %zu came from elsewhere", sizes[i]);
		cr_assert_eq(unit_blocks, had, "size %zu asked libc again", sizes[i]);
		mem_free(&m, q);
	}
	cr_assert_eq(m.out_n, 0);
	mem_fini(&m);
	cr_assert_eq(unit_blocks, 0, "%d blocks leaked", unit_blocks);
}
#endif

Test(mem, large_blocks_go_straight_back)
{
	struct mem m;
	void *p;

	mem_init(&m, &unit_sys);
	p = mem_alloc(&m, 1000000);
	cr_assert_eq(unit_blocks, 1);
	mem_free(&m, p);
	cr_assert_eq(unit_blocks, 0);
	mem_fini(&m);
}

Test(mem, realloc_keeps_the_bytes)
{
	struct mem m;
	char *p;

	mem_init(&m, &unit_sys);
	p = mem_realloc(&m, NULL, 10);
	strcpy(p, "godwit");
	for (size_t size = 20; size < 100000; size *= 3) {
		p = mem_realloc(&m, p, size);
		cr_assert_str_eq(p, "godwit");
		memset(p + 7, 1, size - 7);
	}
	mem_free(&m, p);
	cr_assert_null(mem_realloc(&m, mem_alloc(&m, 5), 0));
	cr_assert_eq(m.out_n, 0);
	mem_fini(&m);
	cr_assert_eq(unit_blocks, 0);
}

Test(mem, frames_are_shared_one_to_a_session)
{
	struct mem m;
	void *frame[2], *own, *grown;

	mem_init(&m, &unit_sys);
	for (int i = 0; i < 2; i++) {
		mem_frame_begin(&m);
		frame[i] = mem_realloc(&m, NULL, MEM_FRAME_BYTES);
		own = mem_alloc(&m, MEM_FRAME_BYTES);
		mem_frame_end(&m);
		cr_assert_neq(own, frame[i], "one session got it twice");
		mem_free(&m, own);
	}
	cr_assert_eq(frame[0], frame[1]);
	mem_free(&m, frame[0]);
	own = mem_alloc(&m, MEM_FRAME_BYTES);
	cr_assert_neq(own, frame[0], "handed out outside of a session");
	mem_free(&m, own);
	memset(frame[1], 'f', MEM_FRAME_BYTES);
	grown = mem_realloc(&m, frame[1], MEM_FRAME_BYTES + 5);
	cr_assert_neq(grown, frame[1]);
	cr_assert_eq(((char *)grown)[MEM_FRAME_BYTES - 1], 'f');
	mem_free(&m, grown);
	mem_fini(&m);
	cr_assert_eq(unit_blocks, 0);
}
