/* worker/balance.c - see balance.h. */
#include "worker/balance.h"

#include <stdbool.h>
#include <stddef.h>

/* 2^64 divided by the golden ratio. */
static const uint64_t GOLDEN = 0x9e3779b97f4a7c15ull;

/* The endpoint at point of the total weight, 0 <= point < total. */
static const struct block_endpoint *
at_weight(const struct block_balance *b, uint64_t point)
{
	uint32_t i;

	for (i = 0; i < b->endpoints_n - 1; i++) {
		if (point < b->endpoints[i].weight)
			break;
		point -= b->endpoints[i].weight;
	}
	return &b->endpoints[i];
}

/* fraction / 2^64 of n. */
static uint64_t
share(uint64_t fraction, uint64_t n)
{
	return (uint64_t)(((unsigned __int128)fraction * n) >> 64);
}

static const struct block_endpoint *
spread(const struct block_balance *b, uint64_t fraction)
{
	if (b->weights_differ)
		return at_weight(b, share(fraction, b->weight_total));
	return &b->endpoints[share(fraction, b->endpoints_n)];
}

static const struct block_endpoint *
round_robin(const struct block_balance *b, uint32_t *turn)
{
	uint32_t n = (*turn)++;

	if (b->weights_differ)
		return spread(b, n * GOLDEN);
	return &b->endpoints[n % b->endpoints_n];
}

/* The less busy of two picked at random (Envoy's default of two choices). */
static const struct block_endpoint *
least_request(const struct block_balance *b, const struct balance_view *v)
{
	const struct block_endpoint *one = spread(b, v->random);
	const struct block_endpoint *two = spread(b, v->random * GOLDEN);

	if (one == two)
		return one;
	return v->active(v->arg, one) <= v->active(v->arg, two) ? one : two;
}

static bool
is_tried(const struct block_endpoint *e, const struct balance_view *v)
{
	for (uint32_t i = 0; i < v->tried_n; i++)
		if (v->tried[i].id == e->id && v->tried[i].tag == e->tag)
			return true;
	return false;
}

/* e, or the next one that was not tried, or e when all were. */
static const struct block_endpoint *
other(const struct block_balance *b, const struct block_endpoint *e,
    const struct balance_view *v)
{
	const struct block_endpoint *at = e;

	while (is_tried(at, v)) {
		at = at + 1 == b->endpoints + b->endpoints_n ? b->endpoints :
		    at + 1;
		if (at == e)
			break;
	}
	return at;
}

static const struct block_endpoint *
pick(const struct block_balance *b, enum lb_policy policy,
    const struct balance_view *v)
{
	switch (policy) {
	case LB_ROUND_ROBIN:
		return round_robin(b, v->turn);
	case LB_LEAST_REQUEST:
		return least_request(b, v);
	case LB_RANDOM:
		break;
	}
	return spread(b, v->random);
}

const struct block_endpoint *
balance_pick(const struct block_balance *b, enum lb_policy policy,
    const struct balance_view *v)
{
	return b->endpoints_n == 0 ? NULL : other(b, pick(b, policy, v), v);
}
