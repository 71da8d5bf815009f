/* t/unit/header.c - worker/io/header.c: names, blocks, their owner. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "t/lib/unit_sys.h"
#include "worker/io/header.h"

Test(header, names_have_ids)
{
	static const struct { const char *name; enum header_id id; } rows[] = {
		{ ":path", HEADER_path }, { ":method", HEADER_method },
		{ ":scheme", HEADER_scheme }, { ":status", HEADER_status },
		{ ":authority", HEADER_authority }, { "te", HEADER_te },
		{ "content-type", HEADER_content_type },
		{ "grpc-timeout", HEADER_grpc_timeout },
		{ "grpc-status", HEADER_grpc_status },
		{ "grpc-message", HEADER_grpc_message },
		{ "grpc-trace-bin", HEADER_grpc_trace_bin },
		{ "content-length", HEADER_content_length },
		{ "", HEADER_OTHER }, { "x", HEADER_OTHER },
		{ ":patH", HEADER_OTHER }, { ":pathx", HEADER_OTHER },
		{ "grpc-statuz", HEADER_OTHER }, { "ze", HEADER_OTHER },
		{ "a-name-that-is-longer-than-any-known-one", HEADER_OTHER },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		cr_assert_eq(header_id_find((const uint8_t *)rows[i].name,
		    strlen(rows[i].name)), rows[i].id, "%s", rows[i].name);
}

Test(header, every_row_is_under_its_length)
{
#define LENGTH(n)
#define HEADER(id, name, flags) \
	cr_assert_eq(header_id_find((const uint8_t *)name, \
	    sizeof(name) - 1), HEADER_##id, name);
#include "worker/io/header.def"
#undef LENGTH
#undef HEADER
}

Test(header, blocks_grow_and_keep_their_owner)
{
	static char value[5000];
	struct headers *h, *copy;
	struct mem m;
	char name[32];

	mem_init(&m, &unit_sys);
	h = headers_new(&m);
	cr_assert(headers_add_text(h, ":path", "/a.B/C"));
	memset(value, 'v', sizeof(value));
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "x-header-%d", i);
		cr_assert(headers_add(h, name, strlen(name), value,
		    (size_t)i * 25, 0));
	}
	cr_assert_eq(h->n, 201);
	for (uint32_t i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "x-header-%u", i);
		cr_assert_eq(headers_find_name(h, name, strlen(name)),
		    &h->at[i + 1]);
		cr_assert_eq(h->at[i + 1].value_len, i * 25);
	}
	cr_assert_eq(headers_of(h->at[0].name), h, "I2");
	copy = headers_copy(h);
	cr_assert_eq(headers_of(copy->at[0].name), copy, "I2 of a copy");
	cr_assert_eq(copy->n, h->n);
	cr_assert_eq(copy->bytes, h->bytes);
	headers_remove(copy, 1);
	cr_assert_null(headers_find_name(copy, "x-header-0", 10));
	headers_put(copy);
	headers_get(h);
	headers_put(h);
	cr_assert_neq(m.out_n, 0, "a counted block went too early");
	headers_put(h);
	cr_assert_eq(m.out_n, 0);
	mem_fini(&m);
	cr_assert_eq(unit_blocks, 0);
}

Test(header, changing_values_are_not_indexed)
{
	struct headers *h;
	struct mem m;

	mem_init(&m, &unit_sys);
	h = headers_new(&m);
	headers_add_text(h, ":path", "/");
	headers_add_text(h, "grpc-timeout", "1S");
	headers_add_text(h, "x-request-id", "1");
	headers_add_text(h, "user-agent", "me");
	cr_assert_eq(h->at[0].wire_flags, 0);
	cr_assert_eq(h->at[1].wire_flags, 1);
	cr_assert_eq(h->at[2].wire_flags, 1);
	cr_assert_eq(h->at[3].wire_flags, 0);
	headers_put(h);
	mem_fini(&m);
}

Test(header, no_memory_leaves_the_block_whole)
{
	static char value[3000];

	for (int fail = 1; fail < 12; fail++) {
		struct headers *h;
		struct mem m;
		uint32_t n = 0;

		mem_init(&m, &unit_sys);
		unit_fail_at = fail;
		h = headers_new(&m);
		for (int i = 0; h != NULL && i < 60; i++)
			if (headers_add(h, "name", 4, value, sizeof(value), 0))
				n++;
		unit_fail_at = 0;
		if (h != NULL) {
			cr_assert_eq(h->n, n);
			headers_put(h);
		}
		cr_assert_eq(m.out_n, 0);
		mem_fini(&m);
	}
	cr_assert_eq(unit_blocks, 0);
}

Test(header, the_only_one_of_its_name)
{
	struct headers *h;
	struct mem m;

	mem_init(&m, &unit_sys);
	h = headers_new(&m);
	headers_add_text(h, "a", "0");
	headers_add_text(h, "b", "1");
	headers_add_text(h, "b", "2");
	headers_add_text(h, "bb", "3");
	headers_add_text(h, "b", "4");
	cr_assert(headers_replace(h, "b", 1, "new", 3));
	cr_assert_eq(h->n, 3);
	cr_assert_eq(memcmp(h->at[1].value, "new", 3), 0);
	cr_assert_eq(h->at[2].name_len, 2);
	cr_assert_eq(h->bytes, 3 * 32 + 2 + 4 + 3);
	cr_assert(headers_replace(h, "c", 1, "x", 1));
	cr_assert(headers_replace(h, "a", 1, "y", 1));
	cr_assert_eq(h->n, 4);
	cr_assert_eq(h->at[0].value[0], 'y');
	headers_remove_name(h, "b", 1);
	headers_remove_name(h, "none", 4);
	cr_assert_eq(h->n, 3);
	cr_assert_eq(h->at[1].name_len, 2);
	headers_put(h);

	h = headers_new(&m);
	headers_remove_name(h, "a", 1);		/* of none */
	headers_put(h);
	mem_fini(&m);
	cr_assert_eq(unit_blocks, 0);
}
