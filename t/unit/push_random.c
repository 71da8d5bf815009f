/*
 * t/unit/push_random.c - xds/ems/push.h against xds/ads.h, by chance: the
 * control plane's side of a stream and godwit's, a catalog that changes, and
 * nothing between them.
 *
 *   a step   resources come, change, go | the proxy wants other names | a few
 *            responses or requests pass | the stream breaks | time passes
 *   at times all is let settle
 *
 * The catalog is two, of which the second has some kinds of the first's
 * (catalog.h C4); a stream gets one of them.
 *
 * After settling a proxy holds what the catalog has of what it wants, except
 * what it refused (content 9): of that it holds what it took before, or
 * nothing; and the control plane believes it is told all. SotW says of names
 * that are not `whole` only what there is, not that something is gone.
 */
#include "xds/ems/push.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "t/lib/answer.h"
#include "t/lib/chance.h"
#include "xds/ads.h"
#include "xds/proto/envoy/config/core.pb-c.h"

enum { SEEDS = 400, STEPS = 250, NAMES = 7, PROXIES = 3, BAD = 9,
	CATALOGS = 2 };

struct proxy {
	struct ads	*ads;
	struct push	*push;
	bool		 delta;
	bool		 wild[RESOURCE_KINDS], wanted[RESOURCE_KINDS][NAMES];
	int		 holds[RESOURCE_KINDS][NAMES];	/* 0: nothing */
	bool		 refused;	/* in this update */
};

static struct world {
	struct chance	 chance;
	struct catalog	 catalogs[CATALOGS];
	struct proxy	 proxies[PROXIES];
	int		 has[RESOURCE_KINDS][NAMES];
	/* One more for each content that went by. */
	int64_t		 now_ms;
	unsigned	 seed, step;
} w;

#define CHECK(truth, ...) cr_assert(truth, "seed %u, step %u: " #truth, w.seed, \
	w.step)

static uint32_t
below(uint32_t n)
{
	return chance_below(&w.chance, n);
}

static const char *
name_of(uint32_t i)
{
	static const char *const names[NAMES] = { "a", "b", "c", "d", "e",
	    "f", "g" };

	return names[i];
}

/* ---- the proxy's owner */

static bool
on_update(void *arg, struct ads *a, struct ads_update *u)
{
	struct proxy *p = arg;

	for (size_t i = 0; i < u->items_n; i++) {
		int at = u->items[i].name[0] - 'a';
		int content = u->items[i].bytes[u->items[i].len - 1];

		if (content == BAD)
			ads_refuse(a, &u->items[i], "it is bad");
		else
			p->holds[u->kind][at] = content;
	}
	for (size_t i = 0; i < u->removed_n; i++)
		p->holds[u->kind][u->removed[i][0] - 'a'] = 0;
	return true;
}

static void
on_missing(void *arg, enum resource_kind kind, const char *name)
{
	struct proxy *p = arg;

	CHECK(p->holds[kind][name[0] - 'a'] == 0);
}

static void
on_wake(void *arg)
{
	(void)arg;
}

/* ---- the control plane's */

static struct catalog *
on_node(void *arg, const struct push_node *n, char *why, size_t why_len)
{
	(void)arg;
	(void)why;
	(void)why_len;
	CHECK(strcmp(n->id, "p") == 0);
	return &w.catalogs[below(CATALOGS)];
}

static void
on_refused(void *arg, enum resource_kind kind, const char *why)
{
	(void)arg;
	(void)kind;
	CHECK(strstr(why, "it is bad") != NULL || strstr(why,
	    "would remove all") != NULL);
}

static const struct push_events push_events = { on_node, on_refused };
static const struct ads_events ads_events = { on_update, on_missing,
    on_wake };

static void
connect(struct proxy *p)
{
	const struct push_settings s = { .delta = p->delta, .kind = -1,
	    .identifier = "ems" };

	p->push = push_new(&s, &push_events, p);
	CHECK(p->push != NULL);
	ads_begin(p->ads, w.now_ms);
}

static void
break_off(struct proxy *p)
{
	push_free(p->push);
	ads_end(p->ads);
	connect(p);
}

static void
proxy_open(struct proxy *p)
{
	static const char *const agents[] = { "godwit", "envoy" };
	Envoy__Config__Core__V3__Node node;
	char id[] = "p";
	uint8_t bytes[64];
	struct ads_settings s = { .node = bytes, .missing_ms = 500 };

	envoy__config__core__v3__node__init(&node);
	node.id = id;
	node.user_agent_name = (char *)(uintptr_t)agents[below(2)];
	s.node_len = protobuf_c_message_pack(&node.base, bytes);
	*p = (struct proxy){ .delta = below(2) == 0 };
	s.delta = p->delta;
	s.node_once = below(2) == 0;
	p->ads = ads_new(&s, &ads_events, p);
	connect(p);
}

/* ---- what passes between them */

static bool
request_pass(struct proxy *p)
{
	char why[256] = "";
	uint8_t *bytes;
	size_t n;

	if (!ads_take(p->ads, w.now_ms, &bytes, &n))
		return false;
	cr_assert(push_feed(p->push, bytes, n, w.now_ms, why,
	    sizeof(why)) == 0, "seed %u, step %u: %s", w.seed, w.step, why);
	free(bytes);
	return true;
}

static bool
response_pass(struct proxy *p)
{
	struct push_message m;
	uint8_t *bytes;
	size_t n;
	char why[256] = "";
	int rc = push_take(p->push, w.now_ms, &m);

	CHECK(rc != -1);
	if (rc == 0)
		return false;
	bytes = answer_bytes(&m, &n);
	cr_assert(ads_feed(p->ads, bytes, n, w.now_ms, why, sizeof(why)) == 0,
	    "seed %u, step %u: %s", w.seed, w.step, why);
	free(bytes);
	return true;
}

/* ---- steps */

static struct body *
resource_new(uint32_t name, int content)
{
	uint8_t bytes[8] = { 1 << 3 | 2, 1, (uint8_t)name_of(name)[0], 15 << 3,
	    (uint8_t)content };

	return body_copy(bytes, 5);
}

static void
resource_put(enum resource_kind kind, uint32_t name, int content)
{
	struct body *b = resource_new(name, content);

	for (int i = 0; i < CATALOGS; i++)
		if (!catalog_owns(&w.catalogs[i], kind))
			;
		else if (content == 0)
			catalog_remove(&w.catalogs[i], kind, name_of(name));
		else
			CHECK(catalog_put(&w.catalogs[i], kind, name_of(name),
			    b));
	body_put(b);
}

static void
change(void)
{
	for (int i = 0; i < CATALOGS; i++)
		catalog_begin(&w.catalogs[i]);
	for (uint32_t i = 1 + below(4); i > 0; i--) {
		enum resource_kind kind = below(RESOURCE_KINDS);
		uint32_t name = below(NAMES);

		w.has[kind][name] = below(4) == 0 ? 0 : 1 + (int)below(BAD);
		resource_put(kind, name, w.has[kind][name]);
	}
	for (int i = 0; i < CATALOGS; i++)
		catalog_end(&w.catalogs[i]);
}

static void
want(struct proxy *p)
{
	enum resource_kind kind = below(RESOURCE_KINDS);
	uint32_t name = below(NAMES);

	if (resource_about(kind)->whole && below(3) == 0) {
		p->wild[kind] = !p->wild[kind];
		ads_wildcard(p->ads, kind, p->wild[kind]);
	} else if ((p->wanted[kind][name] = !p->wanted[kind][name]))
		CHECK(ads_subscribe(p->ads, kind, name_of(name)));
	else
		ads_unsubscribe(p->ads, kind, name_of(name));
	/* What is not wanted any more is not held any more. */
	for (uint32_t i = 0; i < NAMES; i++)
		if (!p->wild[kind] && !p->wanted[kind][i])
			p->holds[kind][i] = 0;
}

static void
one_check(const struct proxy *p, enum resource_kind kind, uint32_t name)
{
	bool wanted = p->wild[kind] || p->wanted[kind][name];
	int has = w.has[kind][name], holds = p->holds[kind][name];

	if (!wanted)
		CHECK(holds == 0);
	else if (has == BAD)
		return;			/* what it took before, or nothing */
	else if (has != 0 || p->delta || resource_about(kind)->whole)
		cr_assert(holds == has, "seed %u, step %u: %s %s of a%s proxy: "
		    "holds %d, there is %d", w.seed, w.step,
		    resource_about(kind)->acronym, name_of(name),
		    p->delta ? " delta" : " SotW", holds, has);
}

static void
settle(void)
{
	for (int i = 0; i < PROXIES; i++) {
		struct proxy *p = &w.proxies[i];

		/* All pauses, too; what is bad comes again for ever. */
		for (int round = 0; round < 4; round++) {
			w.now_ms += 500000;
			ads_step(p->ads, w.now_ms);
			for (int wait = 0; wait < 2; wait++) {
				while (request_pass(p) || response_pass(p))
					;
				w.now_ms += PUSH_AWAIT_MS;
			}
		}
		for (enum resource_kind k = 0; k < RESOURCE_KINDS; k++) {
			struct push_status s;

			push_status(p->push, k, &s);
			CHECK(!s.outstanding);
			for (uint32_t name = 0; name < NAMES; name++)
				one_check(p, k, name);
		}
	}
}

static void
step(void)
{
	struct proxy *p = &w.proxies[below(PROXIES)];

	switch (below(8)) {
	case 0:
	case 1:
		change();
		break;
	case 2:
		want(p);
		break;
	case 3:
	case 4:
		request_pass(p);
		break;
	case 5:
	case 6:
		response_pass(p);
		break;
	case 7:
		w.now_ms += below(400);
		ads_step(p->ads, w.now_ms);
		if (below(6) == 0)
			break_off(p);
		break;
	}
	if (below(25) == 0)
		settle();
}

/* Nothing is kept for nobody. */
static void
end(void)
{
	size_t live = 0;

	for (int i = 0; i < PROXIES; i++) {
		push_free(w.proxies[i].push);
		ads_free(w.proxies[i].ads);
	}
	for (int k = 0; k < RESOURCE_KINDS; k++) {
		live = 0;
		for (int name = 0; name < NAMES; name++)
			live += w.has[k][name] != 0;
		for (int i = 0; i < CATALOGS; i++) {
			CHECK(w.catalogs[i].kinds[k]->live_n == live);
			CHECK(w.catalogs[i].kinds[k]->entries_n == live);
		}
	}
	for (int i = 0; i < CATALOGS; i++)
		catalog_fini(&w.catalogs[CATALOGS - 1 - i]);
}

static void
catalogs_open(void)
{
	for (int i = 0; i < CATALOGS; i++)
		CHECK(catalog_init(&w.catalogs[i]));
	for (enum resource_kind k = 0; k < RESOURCE_KINDS; k++)
		if (below(2) == 0)
			catalog_share(&w.catalogs[1], &w.catalogs[0], k);
}

Test(push_random, settles)
{
	for (unsigned seed = 1; seed <= SEEDS; seed++) {
		memset(&w, 0, sizeof(w));
		w.seed = seed;
		w.now_ms = 1;
		w.chance.state = seed;
		catalogs_open();
		for (int i = 0; i < PROXIES; i++)
			proxy_open(&w.proxies[i]);
		for (w.step = 0; w.step < STEPS; w.step++)
			step();
		settle();
		end();
	}
}
