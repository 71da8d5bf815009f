/* t/unit/reply.c - worker/io/percent.c: grpc-message as gRPC and Envoy encode
 * it; worker/reply.c. */
#include <criterion/criterion.h>
#include <string.h>

#include "worker/io/percent.h"
#include "worker/reply.h"

Test(reply, message_encoding)
{
	static const struct { const char *text, *want; } rows[] = {
		{ "", "" }, { "no healthy upstream", "no healthy upstream" },
		{ "100%", "100%25" }, { "a\nb\x7f~", "a%0Ab%7F%7E" },
		{ "gr\xc3\xbc\xc3\x9f", "gr%C3%BC%C3%9F" },
	};
	char to[64];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		percent_encode(rows[i].text, to, sizeof(to));
		cr_assert_str_eq(to, rows[i].want);
	}
	percent_encode("aaaa%", to, 7);		/* no half escape */
	cr_assert_str_eq(to, "aaaa");
	percent_encode("aaaaaaaaaa", to, 4);
	cr_assert_str_eq(to, "aaa");
}

Test(reply, every_cause_can_be_told)
{
	for (int i = 0; i < CAUSES_N; i++) {
		const struct cause_row *row = &cause_rows[i];

		cr_assert(row->grpc >= 0 && row->grpc <= 16, "%s", row->word);
		cr_assert(i == CAUSE_none || row->grpc != 0, "%s", row->word);
		cr_assert_neq(strlen(row->flag), 0, "%s", row->word);
	}
}
