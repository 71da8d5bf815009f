/*
 * t/unit/deadline.c - worker/deadline.h: grpc-timeout read and written, and
 * which limits a route makes of it. (When they fire: t/mesh.)
 */
#include "worker/deadline.h"

#include <criterion/criterion.h>
#include <string.h>

enum { NONE = DEADLINE_NONE_MS };

static const struct {
	const char	*text;
	int64_t		 ms;
} values[] = {
	{ "1S", 1000 }, { "100m", 100 }, { "0m", 0 }, { "1H", 3600000 },
	{ "2M", 120000 }, { "1u", 1 }, { "1000u", 1 }, { "1001u", 2 },
	{ "1n", 1 }, { "1000001n", 2 }, { "99999999n", 100 },
	{ "99999999H", 99999999ll * 3600000 }, { "00000001S", 1000 },
	{ "", NONE }, { "S", NONE }, { "1", NONE }, { "1s", NONE },
	{ "1 S", NONE }, { "-1S", NONE }, { "+1S", NONE }, { " 1S", NONE },
	{ "1S ", NONE }, { "1.5S", NONE }, { "100000000S", NONE },
	{ "0x1S", NONE }, { "1h", NONE }, { "1MM", NONE },
};

Test(deadline, what_is_read)
{
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		cr_expect_eq(deadline_read((const uint8_t *)values[i].text,
		    strlen(values[i].text)), values[i].ms, "\"%s\"",
		    values[i].text);
}

static const struct {
	int64_t		 ms;
	const char	*text;
} written[] = {
	{ 0, "0m" }, { 1, "1m" }, { 99999999, "99999999m" },
	{ 100000000, "100000S" }, { 99999999999ll, "99999999S" },
	{ 100000000000ll, "1666666M" }, { 5999999999999ll, "99999999M" },
	{ 6000000000000ll, "1666666H" },
	{ 99999999ll * 3600000, "99999999H" }, { INT64_MAX, "99999999H" },
};

Test(deadline, what_is_written)
{
	char text[DEADLINE_TEXT_BYTES];

	for (size_t i = 0; i < sizeof(written) / sizeof(written[0]); i++) {
		deadline_write(written[i].ms, text);
		cr_expect_str_eq(text, written[i].text, "%lld",
		    (long long)written[i].ms);
	}
}

/* ---- what holds */

#define ROUTE .deadline = DEADLINE_ROUTE
#define GRPC .deadline = DEADLINE_GRPC_TIMEOUT
#define DURATION .deadline = DEADLINE_DURATION
#define OWN(ms) .flags = PLAN_DURATION, .duration_ms = ms
#define HEADER_MAX(ms) .flags = PLAN_GRPC_TIMEOUT_MAX, \
	.grpc_timeout_max_ms = ms
#define MAX(ms) .grpc_timeout_max_ms = ms
#define OFFSET(ms) .grpc_timeout_offset_ms = ms
#define TIMEOUT(ms) .timeout_ms = ms
#define SET(ms) DEADLINE_SET, ms

static const struct {
	const char	*name;
	struct block_plan plan;
	uint32_t	 listener_ms;
	bool		 grpc;
	int64_t		 grpc_timeout_ms;
	struct deadline_terms is;	/* duration, timeout, header */
} terms[] = {
	{ "nothing said: the route's timeout, grpc-timeout or not", { 0 }, 0, true, 5000,
	    { NONE, 0 } },
	{ "as set", { ROUTE, TIMEOUT(15000) }, 0, true, 5000,
	    { NONE, 15000 } },
	{ "and the listener's duration", { ROUTE, TIMEOUT(15000) }, 700, true, 5000,
	    { 700, 15000 } },
	{ "max_grpc_timeout 0: all of it", { GRPC, TIMEOUT(15000) }, 0, true, 5000,
	    { NONE, 5000, SET(5000) } },
	{ "no grpc-timeout: for ever", { GRPC, TIMEOUT(15000) }, 0, true, NONE,
	    { NONE, 0 } },
	{ "cut", { GRPC, MAX(3000) }, 0, true, 5000,
	    { NONE, 3000, SET(3000) } },
	{ "not cut", { GRPC, MAX(3000) }, 0, true, 2000,
	    { NONE, 2000, SET(2000) } },
	{ "the most where there is none", { GRPC, MAX(3000) }, 0, true, NONE,
	    { NONE, 3000, SET(3000) } },
	{ "of 0 as well", { GRPC, MAX(3000) }, 0, true, 0,
	    { NONE, 3000, SET(3000) } },
	{ "less an offset", { GRPC, OFFSET(100) }, 0, true, 5000,
	    { NONE, 4900, SET(4900) } },
	{ "which would leave nothing", { GRPC, OFFSET(5000) }, 0, true, 5000,
	    { NONE, 5000, SET(5000) } },
	{ "not gRPC: the timeout", { GRPC, TIMEOUT(15000) }, 0, false, 5000,
	    { NONE, 15000 } },
	{ "a duration of its own", { DURATION, OWN(2000) }, 0, true, NONE,
	    { 2000, 0, SET(2000) } },
	{ "timeout is not used", { DURATION, OWN(2000), TIMEOUT(1) }, 0, true, NONE,
	    { 2000, 0, SET(2000) } },
	{ "grpc-timeout neither, without grpc_timeout_header_max", { DURATION, OWN(2000) }, 0, true, 500,
	    { 2000, 0, SET(2000) } },
	{ "it wins over the listener's", { DURATION, OWN(2000) }, 700, true, NONE,
	    { 2000, 0, SET(2000) } },
	{ "0 too, and then nothing limits", { DURATION, OWN(0) }, 700, true, 500,
	    { NONE, 0, DEADLINE_REMOVE } },
	{ "0, and the listener said nothing", { DURATION, OWN(0) }, 0, true, 500,
	    { NONE, 0 } },
	{ "else the listener's", { DURATION, 0 }, 700, true, NONE,
	    { 700, 0, SET(700) } },
	{ "the header, no limit", { DURATION, HEADER_MAX(0) }, 0, true, 5000,
	    { 5000, 0, SET(5000) } },
	{ "the header, cut", { DURATION, HEADER_MAX(3000) }, 0, true, 5000,
	    { 3000, 0, SET(3000) } },
	{ "the header, less an offset", { DURATION, HEADER_MAX(3000), OFFSET(100) }, 0, true, 5000,
	    { 2900, 0, SET(2900) } },
	{ "an offset that leaves nothing: at once", { DURATION, HEADER_MAX(0), OFFSET(5000) }, 0, true, 5000,
	    { 0, 0, SET(0) } },
	{ "no header: the listener's", { DURATION, HEADER_MAX(0) }, 700, true, NONE,
	    { 700, 0, SET(700) } },
	{ "no header, no limit", { DURATION, HEADER_MAX(0) }, 0, true, NONE,
	    { NONE, 0 } },
	{ "not gRPC, but with the header", { DURATION, HEADER_MAX(0) }, 0, false, 5000,
	    { 5000, 0 } },
};

Test(deadline, what_holds)
{
	for (size_t i = 0; i < sizeof(terms) / sizeof(terms[0]); i++) {
		struct deadline_terms t = deadline_pick(&terms[i].plan,
		    terms[i].listener_ms, terms[i].grpc,
		    terms[i].grpc_timeout_ms);

		cr_expect_eq(t.duration_ms, terms[i].is.duration_ms, "%s",
		    terms[i].name);
		cr_expect_eq(t.timeout_ms, terms[i].is.timeout_ms, "%s",
		    terms[i].name);
		cr_expect_eq(t.header, terms[i].is.header, "%s",
		    terms[i].name);
		cr_expect_eq(t.header_ms, terms[i].is.header_ms, "%s",
		    terms[i].name);
	}
}
