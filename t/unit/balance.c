/* t/unit/balance.c - worker/balance.c: who gets how much. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "t/lib/unit_word.h"
#include "worker/balance.h"

enum { N_MAX = 8 };

static struct block_balance *
balance(const uint32_t *weights, uint32_t n)
{
	struct block_balance *b = calloc(1, sizeof(*b) +
	    N_MAX * sizeof(b->endpoints[0]));

	b->endpoints_n = b->endpoints_all = n;
	for (uint32_t i = 0; i < n; i++) {
		b->endpoints[i].id = i;
		b->endpoints[i].weight = weights[i];
		b->weight_total += weights[i];
		b->weights_differ |= weights[i] != weights[0];
	}
	return b;
}

static uint32_t
no_active(void *arg, const struct block_endpoint *e)
{
	(void)arg;
	(void)e;
	return 0;
}

/* Endpoint 1 is busy. */
static uint32_t
one_busy(void *arg, const struct block_endpoint *e)
{
	(void)arg;
	return e->id == 1 ? 100 : 0;
}

Test(balance, round_robin_takes_turns)
{
	static const uint32_t same[] = { 3, 3, 3 };
	struct block_balance *b = balance(same, 3);
	uint32_t turn = UINT32_MAX - 2;		/* wraps on the way */
	uint32_t first = UINT32_MAX;
	struct balance_view v = { &turn, 0, no_active, NULL };

	turn = 0;
	for (uint32_t i = 0; i < 9; i++) {
		const struct block_endpoint *e = balance_pick(b,
		    LB_ROUND_ROBIN, &v);

		if (i == 0)
			first = e->id;
		cr_assert_eq(e->id, (first + i) % 3);
	}
	free(b);
}

Test(balance, weights_are_kept_in_short_runs)
{
	static const uint32_t weights[] = { 1, 2, 5 };
	struct block_balance *b = balance(weights, 3);
	static const enum lb_policy policies[] = { LB_ROUND_ROBIN,
	    LB_RANDOM };

	for (int p = 0; p < 2; p++) {
		uint32_t turn = 12345, got[3] = { 0 };
		struct balance_view v = { &turn, 1, no_active, NULL };
		int tolerance = p == 0 ? 3 : 40;

		for (int i = 0; i < 800; i++) {
			v.random = v.random * 6364136223846793005ull +
			    1442695040888963407ull;
			got[balance_pick(b, policies[p], &v)->id]++;
		}
		for (int i = 0; i < 3; i++)
			cr_assert_lt(abs((int)got[i] - (int)weights[i] * 100),
			    tolerance, "policy %d: endpoint %d got %u of 800",
			    p, i, got[i]);
	}
	free(b);
}

Test(balance, least_request_leaves_the_busy_one)
{
	static const uint32_t same[] = { 1, 1, 1, 1 };
	struct block_balance *b = balance(same, 4);
	uint32_t turn = 0, got[4] = { 0 };
	struct balance_view v = { &turn, 7, one_busy, NULL };

	for (int i = 0; i < 1000; i++) {
		v.random = v.random * 6364136223846793005ull +
		    1442695040888963407ull;
		got[balance_pick(b, LB_LEAST_REQUEST, &v)->id]++;
	}
	cr_assert_lt(got[1], 120, "the busy one got %u of 1000", got[1]);
	cr_assert_gt(got[0], 180);
	free(b);
}

/* As the router asks (worker/router.c). */
static uint32_t
by_words(void *arg, const struct block_endpoint *e)
{
	return word_get(arg, K, e->id, e->tag);
}

/* Worker 0 has much open to endpoint 2; worker 1 has nothing open anywhere and
 * leaves that endpoint alone, but for the picks that have no choice: 1 of 16. */
Test(balance, least_request_sees_the_other_workers, .init = unit_words_open,
    .fini = unit_words_close)
{
	static const uint32_t same[] = { 1, 1, 1, 1 };
	struct block_balance *b = balance(same, 4);
	uint32_t turn = 0, got[4] = { 0 };
	struct balance_view v = { &turn, 7, by_words, words };

	for (uint32_t i = 0; i < 4; i++)
		b->endpoints[i].tag = 5 + i;
	for (int i = 0; i < 400; i++)
		word_share_add(words, rows[0], K, 2, 7);
	for (int i = 0; i < 900; i++) {
		const struct block_endpoint *e;

		v.random = v.random * 6364136223846793005ull +
		    1442695040888963407ull;
		e = balance_pick(b, LB_LEAST_REQUEST, &v);
		word_share_add(words, rows[1], K, e->id, e->tag);
		got[e->id]++;
	}
	cr_assert_lt(got[2], 100, "the busy one got %u of 900", got[2]);
	cr_assert_gt(got[0], 200);
	b->endpoints[2].tag++;			/* another owner: idle */
	cr_assert_eq(by_words(words, &b->endpoints[2]), 0);
	free(b);
}

Test(balance, no_endpoint_is_no_pick)
{
	static const uint32_t none[] = { 1 };
	struct block_balance *b = balance(none, 0);
	uint32_t turn = 0;
	struct balance_view v = { &turn, 0, no_active, NULL };

	cr_assert_null(balance_pick(b, LB_ROUND_ROBIN, &v));
	cr_assert_null(balance_pick(b, LB_LEAST_REQUEST, &v));
	cr_assert_null(balance_pick(b, LB_RANDOM, &v));
	free(b);
}

/* Who was tried is not tried again while there is another. */
Test(balance, another_than_those_that_were_tried)
{
	static const uint32_t same[] = { 1, 1, 1 }, differ[] = { 1, 900, 1 };
	static const struct balance_tried tried[] = { { 1, 0 }, { 2, 0 },
	    { 0, 7 }, { 0, 0 } };
	static const enum lb_policy policies[] = { LB_ROUND_ROBIN,
	    LB_LEAST_REQUEST, LB_RANDOM };

	for (int p = 0; p < 6; p++) {
		struct block_balance *b = balance(p % 2 ? same : differ, 3);
		uint32_t turn = 5, got[3] = { 0 };
		struct balance_view v = { &turn, 1, one_busy, NULL, tried, 1 };

		for (uint32_t i = 0; i < 300; i++) {
			v.random = v.random * 6364136223846793005ull +
			    1442695040888963407ull;
			v.tried_n = 1 + i / 100;
			got[balance_pick(b, policies[p / 2], &v)->id]++;
		}
		cr_expect_eq(got[1], 0);
		cr_expect_gt(got[2], 0, "one of two");
		cr_expect_geq(got[0], 200, "another tag is another");
		v.tried_n = 4;
		cr_expect_not_null(balance_pick(b, policies[p / 2], &v),
		    "all were tried");
		free(b);
	}
}
