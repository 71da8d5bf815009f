/* t/unit/rest_rate.c - xds/ems/rest_rate: a burst, then the rate; nobody gets
 * more by pauses, clocks that stand or other names in his bucket. */
#include <criterion/criterion.h>
#include <string.h>

#include "xds/ems/rest_rate.h"

static struct rest_rates rates;

static unsigned
taken(const char *who, unsigned tries, int64_t now_ms)
{
	unsigned n = 0;

	while (tries-- > 0)
		n += rest_rates_take(&rates, who, strlen(who), 1, now_ms);
	return n;
}

Test(rest_rate, burst_then_rate)
{
	rest_rates_init(&rates, 10, 25, 1);
	cr_expect_eq(taken("a", 100, 1000), 25);
	cr_expect_eq(taken("a", 100, 1099), 0);
	cr_expect_eq(taken("a", 100, 1100), 1);
	cr_expect_eq(taken("a", 100, 2100), 10);
	cr_expect_eq(taken("a", 100, 1000000), 25, "no more than the burst");
}

/* Asking in vain is not punished, and asking often brings no more. */
Test(rest_rate, by_the_millisecond)
{
	unsigned n = 0;

	rest_rates_init(&rates, 200, 1, 1);
	for (int64_t now = 0; now < 10000; now++)
		n += taken("a", 3, now);
	cr_expect_eq(n, 2000);
}

Test(rest_rate, apart_and_larger)
{
	rest_rates_init(&rates, 10, 25, 1);
	cr_expect_eq(taken("a", 100, 0), 25);
	cr_expect_eq(taken("b", 100, 0), 25);
	cr_expect(!rest_rates_take(&rates, "c", 1, 26, 0));
	cr_expect(rest_rates_take(&rates, "c", 1, 25, 0));
}

/* Many names: no more than all buckets hold. */
Test(rest_rate, many_names)
{
	unsigned n = 0;

	rest_rates_init(&rates, 10, 5, 1);
	for (unsigned i = 0; i < 200000; i++)
		n += rest_rates_take(&rates, &i, sizeof(i), 1, 0);
	cr_expect_eq(n, 5 * REST_BUCKETS);
}
