/* t/unit/request_id.c - worker/request_id.c: the form of a request id. (When
 * one is made: t/mesh/620-envoy-routes.py.) */
#include "worker/request_id.h"

#include <criterion/criterion.h>
#include <string.h>

Test(request_id, form)
{
	static const struct { uint64_t a, b; const char *text; } rows[] = {
		{ 0, 0, "00000000-0000-4000-8000-000000000000" },
		{ UINT64_MAX, UINT64_MAX,
		    "ffffffff-ffff-4fff-bfff-ffffffffffff" },
		{ 0x0123456789abcdefull, 0x0123456789abcdefull,
		    "01234567-89ab-4def-8123-456789abcdef" },
		{ 0xfedcba9876543210ull, 0x4000000000000001ull,
		    "fedcba98-7654-4210-8000-000000000001" },
	};
	char text[REQUEST_ID_BYTES + 1];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memset(text, 0, sizeof(text));
		request_id_write(rows[i].a, rows[i].b, text);
		cr_expect_str_eq(text, rows[i].text, "%s", text);
	}
}
