/*
 * t/unit/known.c - assignments of which most was compiled before: by chance,
 * each is put into two sets of resources; one is made to forget what it knows,
 * so that it decodes all. Blocks, ids and refusals must be the same.
 *
 *   an assignment ─┬─> remembers ─> balance, why ─┐
 *   of the last,   │                              ├─ the same bytes
 *   a little other └─> forgets ───> balance, why ─┘
 */
#include "master/resources.h"

#include <criterion/criterion.h>

#include "shm/log.h"
#include "t/lib/chance.h"
#include "t/lib/unit_resources.h"
#include "xds/wire.h"

enum {
	ENDPOINTS = 400, ENDPOINTS_CAP = 1000, LOCALITIES = 3,
	ENDPOINT_BYTES = 80, ROUNDS = 600,
};

struct endpoint {			/* packed */
	uint8_t		 bytes[ENDPOINT_BYTES];
	size_t		 n;
	uint32_t	 locality;
};

struct text {				/* an assignment, packed */
	uint8_t		 bytes[128 << 10];
	size_t		 n;
};

static struct endpoint endpoints[ENDPOINTS_CAP];
static size_t endpoints_n;
static uint32_t ip_last;
static struct chance dice;
static struct generations remembers, forgets;

static const uint8_t *
number(uint8_t tag, uint32_t n)
{
	static uint8_t to[6];

	to[0] = tag;
	for (int i = 1; i < 6; i++, n >>= 7)
		to[i] = (uint8_t)((n & 0x7f) | (i < 5 ? 0x80 : 0));
	return to;
}

/* A length or a number in five bytes, or as it should be. */
static void
put_number(struct text *t, uint8_t tag, uint32_t n, bool padded)
{
	if (padded || n >= 1 << 14) {
		memcpy(t->bytes + t->n, number(tag, n), 6);
		t->n += 6;
		return;
	}
	t->bytes[t->n++] = tag;
	if (n >= 1 << 7)
		t->bytes[t->n++] = (uint8_t)(n | 0x80);
	t->bytes[t->n++] = (uint8_t)(n >= 1 << 7 ? n >> 7 : n);
}

static void
put_bytes(struct text *t, int field, const void *bytes, size_t n, bool padded)
{
	put_number(t, (uint8_t)WIRE_TAG(field), (uint32_t)n, padded);
	memcpy(t->bytes + t->n, bytes, n);
	t->n += n;
}

/* Number 0: field left out. */
static void
endpoint_make(struct endpoint *e, uint32_t ip, uint32_t health,
    uint32_t weight)
{
	struct text inner = { .n = 0 }, outer = { .n = 0 };
	char name[32];

	snprintf(name, sizeof(name), "10.%u.%u.%u", ip >> 16, ip >> 8 & 255,
	    ip & 255);
	put_bytes(&inner, 2, name, strlen(name), false);
	put_number(&inner, 3 << WIRE_FIELD_BITS, 80, false);
	put_bytes(&outer, 1, inner.bytes, inner.n, false);	/* socket */
	inner = outer;
	outer.n = 0;
	put_bytes(&outer, 1, inner.bytes, inner.n, false);	/* address */
	inner = outer;
	outer.n = 0;
	put_bytes(&outer, 1, inner.bytes, inner.n, false);	/* endpoint */
	if (health > 0)
		put_number(&outer, 2 << WIRE_FIELD_BITS, health, false);
	if (weight > 0) {
		inner.n = 0;
		put_number(&inner, 1 << WIRE_FIELD_BITS, weight, false);
		put_bytes(&outer, 4, inner.bytes, inner.n, false);
	}
	cr_assert_leq(outer.n, ENDPOINT_BYTES);
	memcpy(e->bytes, outer.bytes, outer.n);
	e->n = outer.n;
}

static void
endpoint_new(size_t at)
{
	memmove(&endpoints[at + 1], &endpoints[at],
	    (endpoints_n++ - at) * sizeof(endpoints[0]));
	endpoints[at].locality = chance_below(&dice, LOCALITIES);
	endpoint_make(&endpoints[at], ++ip_last, 0, 1 +
	    chance_below(&dice, 3));
}

static void
endpoint_drop(size_t at)
{
	memmove(&endpoints[at], &endpoints[at + 1],
	    (--endpoints_n - at) * sizeof(endpoints[0]));
}

/* ---- changes that are good */

static void
change_one(void)
{
	size_t at = chance_below(&dice, (uint32_t)endpoints_n);
	size_t other = chance_below(&dice, (uint32_t)endpoints_n);
	struct endpoint swap = endpoints[at];

	switch (chance_below(&dice, 6)) {
	case 0:
		if (endpoints_n < ENDPOINTS_CAP - 1)
			endpoint_new(at);
		break;
	case 1:
		if (endpoints_n > ENDPOINTS / 2)
			endpoint_drop(at);
		break;
	case 2:
		endpoints[at].locality = chance_below(&dice, LOCALITIES);
		break;
	case 3:
		endpoints[at] = endpoints[other];
		endpoints[other] = swap;
		break;
	default:			/* 4 and 5: another health, weight */
		endpoint_make(&endpoints[at], ++ip_last,
		    chance_below(&dice, 4), chance_below(&dice, 9));
	}
}

static void
change(void)
{
	uint32_t n = chance_below(&dice, 10) > 0 ? chance_below(&dice, 4) :
	    chance_below(&dice, ENDPOINTS);

	while (n-- > 0)
		change_one();
}

/* Of the last field put, which has n bytes, fewer than 128. */
static void
tag_pad(struct text *t, size_t n)
{
	uint8_t *tag = t->bytes + t->n - n - 2;

	memmove(tag + 1, tag, n + 2);
	tag[0] |= 0x80;
	tag[1] = 0;
	t->n++;
}

/* ---- what is sent: once in a while it is odd */

static void
locality_put(struct text *t, uint32_t locality, uint32_t odd)
{
	static struct text l;

	l.n = 0;
	if (odd == 1)			/* its name, which nobody asks for */
		put_bytes(&l, 1, "\x0a\x01r", 3, false);
	if (odd == 2)			/* a priority, refused */
		put_number(&l, 5 << WIRE_FIELD_BITS, 1, false);
	for (size_t i = 0; i < endpoints_n; i++) {
		if (endpoints[i].locality != locality)
			continue;
		put_bytes(&l, 2, endpoints[i].bytes, endpoints[i].n,
		    odd == 3 && i % 3 == 0);
		if (odd == 6 && i % 3 == 0)	/* a tag of two bytes */
			tag_pad(&l, endpoints[i].n);
	}
	if (odd == 4)			/* twice: refused */
		put_bytes(&l, 2, endpoints[endpoints_n / 2].bytes,
		    endpoints[endpoints_n / 2].n, false);
	if (odd == 5)			/* an endpoint that says nothing */
		put_bytes(&l, 2, "", 0, false);
	put_bytes(t, 2, l.bytes, l.n, odd == 3);
}

static void
assignment_make(struct text *t)
{
	uint32_t odd = chance_below(&dice, 20);

	t->n = 0;
	if (odd != 7)			/* no name: refused */
		put_bytes(t, 1, "s", 1, false);
	for (uint32_t i = 0; i < LOCALITIES; i++)
		locality_put(t, i, i == 1 ? odd : 0);
	if (odd == 8)			/* an empty policy */
		put_bytes(t, 4, "", 0, false);
	if (odd == 9)			/* an unknown field: refused */
		put_number(t, 9 << WIRE_FIELD_BITS, 1, false);
	if (odd == 10)			/* rubbish, somewhere */
		t->bytes[chance_below(&dice, (uint32_t)t->n)] ^=
		    (uint8_t)(1 << chance_below(&dice, 8));
	if (odd == 11)			/* not all */
		t->n = chance_below(&dice, (uint32_t)t->n);
}

/* ---- both sets */

static void
world_begin(struct generations *to)
{
	cr_assert_eq(generations_open(to, &unit_options, why, sizeof(why)), 0,
	    "%s", why);
	to->dynamic_always = true;
	cr_assert_eq(generations_next(to, why, sizeof(why)), 0, "%s", why);
}

/* ignored: the stage is dropped at its end. -1: refused. */
static int
world_put(struct generations *to, enum resource_kind kind, const char *name,
    const struct text *t, bool ignored)
{
	int rc, end;

	refusal[0] = '\0';
	cr_assert_eq(generations_change_begin(to, 1000, why, sizeof(why)), 0);
	rc = resources_put(to->resources, kind, name, "1", t->bytes, t->n,
	    FROM_PLANE, refusal, sizeof(refusal));
	end = generations_change_end(to, why, sizeof(why));
	cr_assert_neq(end, -1, "%s", why);
	if (end == 0 && ignored)
		generations_drop(to);
	else if (end == 0)
		generations_publish(to);
	generations_reclaim(to, UINT64_MAX);
	return rc;
}

static struct compile_known **
known(struct generations *to)
{
	static struct compile_known *none;
	struct resource_view v;
	struct resource_version *live;

	if (!resources_find(to->resources, RESOURCE_ENDPOINT, "s", &v) ||
	    v.live == NULL)
		return &none;
	memcpy(&live, &v.live, sizeof(live));	/* ours, in this test */
	return &live->known;
}

static void
forget(struct generations *to)
{
	compile_known_free(*known(to));
	*known(to) = NULL;
}

static const struct block_balance *
balance_of(struct generations *to, const char *name)
{
	const struct arena *a = &to->image.arena;
	struct name_id id;

	cr_assert_eq(names_known(to->names, NAMES_CLUSTER, name, strlen(name),
	    &id), 0);
	return arena_at(a, block_cluster_find(a, generations_root(to),
	    id.id)->balance);
}

static size_t
balance_bytes(const struct block_balance *b)
{
	return sizeof(*b) + b->endpoints_n * sizeof(b->endpoints[0]);
}

static void
same(const char *cluster, int round)
{
	const struct block_balance *a = balance_of(&remembers, cluster);
	const struct block_balance *b = balance_of(&forgets, cluster);

	cr_assert_eq(balance_bytes(a), balance_bytes(b), "round %d", round);
	cr_assert_eq(memcmp(a, b, balance_bytes(a)), 0, "round %d", round);
	cr_assert_eq(heap_allocated(remembers.image.blocks),
	    heap_allocated(forgets.image.blocks), "round %d", round);
	cr_assert_eq(remembers.newest.generation.endpoints_n,
	    forgets.newest.generation.endpoints_n, "round %d", round);
	cr_assert_eq(names_tag(remembers.names), names_tag(forgets.names));
	cr_assert_eq(names_count(remembers.names, NAMES_ENDPOINT),
	    names_count(forgets.names, NAMES_ENDPOINT), "round %d", round);
}

/* The live one's endpoints that were not decoded. */
static size_t
known_n(void)
{
	const struct compile_known *k = *known(&remembers);
	size_t n = 0;

	for (size_t i = 0; k != NULL && i < k->n; i++)
		n += k->all[i].known;
	return n;
}

/* Another message each time, with another lb_policy. */
static void
cluster_put(const char *name)
{
	static uint32_t policy;
	struct text t;
	uint8_t *bytes = pack(0, name, "eds s", &t.n);

	memcpy(t.bytes, bytes, t.n);
	free(bytes);
	put_number(&t, 6 << WIRE_FIELD_BITS, policy++ % 2, false);
	world_put(&remembers, RESOURCE_CLUSTER, name, &t, false);
	forget(&forgets);
	world_put(&forgets, RESOURCE_CLUSTER, name, &t, false);
}

static void
worlds_open(void)
{
	log_open("known", LOG_ERROR);
	unit_folder_open();
	unit_write(unit_file, "godwit: {}\n");
	world_begin(&remembers);
	world_begin(&forgets);
	while (endpoints_n < ENDPOINTS)
		endpoint_new(endpoints_n);
}

static void
worlds_close(void)
{
	generations_close(&remembers);
	generations_close(&forgets);
	unit_folder_close();
}

Test(known, at_random, .timeout = 120)
{
	static struct endpoint before[ENDPOINTS_CAP];
	static struct text t;
	size_t before_n, reused = 0, of = 0;
	int refused_n = 0;

	dice.state = 7;
	worlds_open();
	for (int round = 0; round < ROUNDS; round++) {
		bool ignored = chance_below(&dice, 8) == 0;
		char words[sizeof(refusal)];
		int rc;

		if (round == 3)		/* endpoints were there before it */
			cluster_put("a");
		if (round == 50 || round == 300)
			cluster_put(round == 50 ? "b" : "a");
		memcpy(before, endpoints, sizeof(before));
		before_n = endpoints_n;
		change();
		assignment_make(&t);
		rc = world_put(&remembers, RESOURCE_ENDPOINT, "s", &t,
		    ignored);
		strcpy(words, refusal);
		forget(&forgets);
		cr_assert_eq(world_put(&forgets, RESOURCE_ENDPOINT, "s", &t,
		    ignored), rc, "round %d: %s%s", round, words, refusal);
		cr_assert_str_eq(words, refusal, "round %d", round);
		if (rc == -1 || ignored) {
			memcpy(endpoints, before, sizeof(before));
			endpoints_n = before_n;
		} else {
			reused += known_n();
			of += endpoints_n;
		}
		refused_n += rc == -1;
		if (round >= 3)
			same("a", round);
		if (round >= 50)
			same("b", round);
	}
	cr_assert_gt(refused_n, ROUNDS / 10, "%d", refused_n);
	cr_assert_lt(refused_n, ROUNDS / 2, "%d", refused_n);
	cr_assert_gt(reused, of / 2, "%zu of %zu", reused, of);
	worlds_close();
}

static void
put_all(bool ignored)
{
	static struct text t;

	t.n = 0;
	put_bytes(&t, 1, "s", 1, false);
	for (uint32_t j = 0; j < LOCALITIES; j++)
		locality_put(&t, j, 0);
	cr_assert_eq(world_put(&remembers, RESOURCE_ENDPOINT, "s", &t,
	    ignored), 0, "%s", refusal);
}

/* One changes, comes or goes: all others are known, and names are asked for
 * that one alone, also after a stage that is dropped and another cluster
 * message. */
Test(known, all_but_one)
{
	struct name_id id;

	dice.state = 1;
	worlds_open();
	cluster_put("a");
	for (int i = 0; i < 40; i++) {
		size_t at = chance_below(&dice, (uint32_t)endpoints_n);

		put_all(false);
		if (i == 10)
			cluster_put("a");
		cr_assert_eq(names_known(remembers.names, NAMES_CLUSTER, "a",
		    1, &id), 0);
		if (i == 0) {	/* they were tried before the cluster was */
			endpoint_new(at);
			continue;
		}
		if (i == 30)	/* the same once more, as by SotW */
			put_all(false);
		cr_assert_eq((*known(&remembers))->set,
		    names_set(remembers.names, id), "%d", i);
		cr_assert_geq(known_n(), endpoints_n - 1, "%d: %zu", i,
		    known_n());
		if (i % 3 == 0)
			endpoint_new(at);
		else if (i % 3 == 1)
			endpoint_drop(at);
		else
			endpoint_make(&endpoints[at], ++ip_last, 3, 7);
		if (i == 20)
			put_all(true);
		cr_assert_eq((*known(&remembers))->set,
		    names_set(remembers.names, id), "%d", i);
	}
	worlds_close();
}

/* Small ones are not remembered: they are cheap, and there are many. */
Test(known, small_ones_take_no_room)
{
	static struct text t;

	worlds_open();
	cluster_put("a");
	endpoints_n = 50;
	t.n = 0;
	put_bytes(&t, 1, "s", 1, false);
	locality_put(&t, 0, 0);
	locality_put(&t, 1, 0);
	cr_assert_eq(world_put(&remembers, RESOURCE_ENDPOINT, "s", &t, false),
	    0, "%s", refusal);
	cr_assert_null(*known(&remembers));
	worlds_close();
}
