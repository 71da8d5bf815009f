/*
 * t/unit/ads_random.c - xds/ads.h against a model of a server, by chance.
 *
 *   a step   the server's resources change | it sends | we want other names |
 *            requests are taken | time passes | the stream breaks | an answer
 *            comes that was put off | hostile bytes
 *   at times all is let settle: no answer put off, nothing left to say
 *
 * After settling, what the owner holds is what the server has of what is
 * wanted, each in its newest version that is not bad, and every response was
 * answered once. A failure tells seed and step; seeds are the same in every
 * run.
 */
#include "xds/ads.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "t/lib/chance.h"
#include "xds/proto/envoy/service/discovery.pb-c.h"

enum { SEEDS = 500, STEPS = 300, NAMES = 6, KINDS = 2, NONCES = 4096 };

/* Names are the letters a..; a version is a number, 0: there is none; one that
 * ends in 9 is bad. */
struct side {
	int		 has[NAMES];	/* the server's truth */
	int		 version;	/* of all: grows with each change */
	/* What the server knows of us, on this stream. */
	bool		 asked, wildcard, named[NAMES], force;
	int		 sent_version, known[NAMES];
	bool		 again[NAMES];	/* subscribed: to be sent */
	bool		 open[NONCES];	/* delta: sent, not answered */
	bool		 was_empty[NONCES];
	int		 nonce, answers;
	/* What we want and hold. */
	bool		 wanted[NAMES], wild;
	int		 holds[NAMES], shown[NAMES];
};

static const enum resource_kind kinds[KINDS] = { RESOURCE_CLUSTER,
	RESOURCE_ENDPOINT };

static struct world {
	struct chance	 chance;
	struct ads	*ads;
	struct side	 sides[KINDS];
	bool		 delta, up, pending, may_wait;
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

static struct side *
side_of(enum resource_kind kind)
{
	CHECK(kind == kinds[0] || kind == kinds[1]);
	return &w.sides[kind == kinds[1]];
}

/* ---- the owner */

static void
verdict(struct ads *a, struct ads_update *u)
{
	struct side *s = side_of(u->kind);

	for (size_t i = 0; i < u->items_n; i++) {
		int name = u->items[i].name[0] - 'a';
		int version = atoi((const char *)u->items[i].bytes + 5);

		CHECK(name >= 0 && name < NAMES);
		CHECK(s->wild || s->wanted[name]);
		if (version % 10 == 9)
			ads_refuse(a, &u->items[i], "it is bad");
		else
			s->holds[name] = version;
	}
	for (size_t i = 0; i < u->removed_n; i++) {
		CHECK(s->holds[u->removed[i][0] - 'a'] > 0);
		s->holds[u->removed[i][0] - 'a'] = 0;
	}
}

static bool
on_update(void *arg, struct ads *a, struct ads_update *u)
{
	(void)arg;
	CHECK(!w.pending);
	verdict(a, u);
	w.pending = w.may_wait && below(4) == 0;
	return !w.pending;
}

static void
on_missing(void *arg, enum resource_kind kind, const char *name)
{
	struct side *s = side_of(kind);

	(void)arg;
	CHECK(s->wanted[name[0] - 'a']);
	CHECK(s->holds[name[0] - 'a'] == 0);
}

static void
on_wake(void *arg)
{
	(void)arg;
}

static void
answer(void)
{
	if (!w.pending)
		return;
	w.pending = false;
	ads_answer(w.ads, w.now_ms);
}

static int	take(void);

static void
want(struct side *s, enum resource_kind kind)
{
	int name = (int)below(NAMES);
	char text[2] = { (char)('a' + name), '\0' };

	if (kind == kinds[0] && below(6) == 0 && !w.pending) {
		s->wild = !s->wild;
		ads_wildcard(w.ads, kind, s->wild);
		for (int i = 0; !s->wild && i < NAMES; i++)
			if (!s->wanted[i])
				s->holds[i] = 0;
		take();
	} else if (!s->wanted[name]) {
		s->wanted[name] = true;
		CHECK(ads_subscribe(w.ads, kind, text));
	} else {
		s->wanted[name] = false;
		ads_unsubscribe(w.ads, kind, text);
		if (!s->wild)
			s->holds[name] = 0;
	}
}

/* ---- the server hears */

static void
hear_answer(struct side *s, const char *nonce, bool is_refused)
{
	int n = atoi(nonce);

	if (nonce[0] == '\0')
		return;
	if (w.delta) {
		CHECK(s->open[n]);
		s->open[n] = false;
		s->answers++;
	} else {
		CHECK(n == s->nonce);
		s->open[n] = false;
	}
	/* What was taken for a mistake is said again. */
	if (is_refused && s->was_empty[n]) {
		s->force = true;
		for (int i = 0; i < NAMES; i++)
			if (s->has[i] == 0)
				s->known[i] = -1;
	}
}

static void
hear_sotw(const uint8_t *bytes, size_t n)
{
	Envoy__Service__Discovery__V3__DiscoveryRequest *m =
	    envoy__service__discovery__v3__discovery_request__unpack(NULL, n,
	    bytes);
	struct side *s = side_of((enum resource_kind)resource_kind_find(
	    m->type_url));
	bool named[NAMES] = { false }, any = false, wildcard = false;

	for (size_t i = 0; i < m->n_resource_names; i++) {
		if (m->resource_names[i][0] == '*')
			wildcard = true;
		else
			named[m->resource_names[i][0] - 'a'] = true;
		any = true;
	}
	if (!s->asked) {
		wildcard |= !any;
		/* It has all of this version: nothing to send. */
		if (atoi(m->version_info) == s->version && wildcard)
			s->sent_version = s->version;
	} else if (!any && !s->force) {
		bool had = false;

		for (int i = 0; i < NAMES; i++)
			had |= s->named[i];
		wildcard = s->wildcard && !had && s->answers == 0;
	}
	s->answers += any;		/* SotW: names were sent */
	if (wildcard && !s->wildcard && s->asked)
		s->force = true;
	for (int i = 0; i < NAMES; i++)
		if (named[i] && !s->named[i])
			s->force = true;
	memcpy(s->named, named, sizeof(named));
	s->wildcard = wildcard;
	s->asked = true;
	hear_answer(s, m->response_nonce, m->error_detail != NULL);
	envoy__service__discovery__v3__discovery_request__free_unpacked(m,
	    NULL);
}

static void
hear_names(struct side *s, char **names, size_t n, bool subscribe)
{
	for (size_t i = 0; i < n; i++) {
		if (names[i][0] == '*') {
			CHECK(s->wildcard || subscribe);
			s->wildcard = subscribe;
			continue;
		}
		s->named[names[i][0] - 'a'] = subscribe;
		s->again[names[i][0] - 'a'] = subscribe;
		if (s->asked)		/* we may have dropped it */
			s->known[names[i][0] - 'a'] = -1;
	}
}

static void
hear_delta(const uint8_t *bytes, size_t n)
{
	Envoy__Service__Discovery__V3__DeltaDiscoveryRequest *m =
	    envoy__service__discovery__v3__delta_discovery_request__unpack(
	    NULL, n, bytes);
	struct side *s = side_of((enum resource_kind)resource_kind_find(
	    m->type_url));

	CHECK(!s->asked || m->n_initial_resource_versions == 0);
	if (!s->asked && m->n_resource_names_subscribe == 0)
		s->wildcard = true;
	for (size_t i = 0; i < m->n_initial_resource_versions; i++) {
		int name = m->initial_resource_versions[i]->key[0] - 'a';

		s->known[name] = atoi(m->initial_resource_versions[i]->value);
		CHECK(s->known[name] == s->holds[name]);
	}
	hear_names(s, m->resource_names_subscribe,
	    m->n_resource_names_subscribe, true);
	hear_names(s, m->resource_names_unsubscribe,
	    m->n_resource_names_unsubscribe, false);
	for (int i = 0; i < NAMES; i++) {
		if (!s->asked)		/* it has said what it holds */
			s->again[i] &= s->known[i] == 0;
		if (!s->named[i] && !s->wildcard)
			s->known[i] = 0;
	}
	s->asked = true;
	hear_answer(s, m->response_nonce, m->error_detail != NULL);
	envoy__service__discovery__v3__delta_discovery_request__free_unpacked(
	    m, NULL);
}

static int
take(void)
{
	uint8_t *bytes;
	size_t n;
	int taken = 0;

	for (; ads_take(w.ads, w.now_ms, &bytes, &n); taken++) {
		CHECK(w.up && taken < 50);
		if (w.delta)
			hear_delta(bytes, n);
		else
			hear_sotw(bytes, n);
		free(bytes);
	}
	return taken;
}

/* ---- the server speaks: by hand, so that the bytes are no round trip */

struct out {
	uint8_t		 bytes[4096];
	size_t		 n;
};

static void
put(struct out *o, int field, const void *bytes, size_t n)
{
	o->bytes[o->n++] = (uint8_t)(field << 3 | 2);
	o->bytes[o->n++] = (uint8_t)(n | 0x80);
	o->bytes[o->n++] = (uint8_t)(n >> 7);
	memcpy(o->bytes + o->n, bytes, n);
	o->n += n;
}

static void
put_text(struct out *o, int field, const char *text)
{
	put(o, field, text, strlen(text));
}

static void
put_resource(struct out *o, enum resource_kind kind, int name, int version)
{
	struct out inner = { .n = 0 }, any = { .n = 0 }, wrap = { .n = 0 };
	char text[16];

	snprintf(text, sizeof(text), "%c", 'a' + name);
	inner.bytes[inner.n++] = 1 << 3 | 2;	/* name: two bytes of head */
	inner.bytes[inner.n++] = 1;
	inner.bytes[inner.n++] = (uint8_t)text[0];
	inner.bytes[inner.n++] = 15 << 3 | 2;	/* version, at byte 5 */
	inner.bytes[inner.n++] = 12;
	snprintf((char *)inner.bytes + inner.n, 13, "%-11d", version);
	inner.n += 12;
	put_text(&any, 1, resource_about(kind)->message);
	put(&any, 2, inner.bytes, inner.n);
	if (!w.delta) {
		put(o, 2, any.bytes, any.n);
		return;
	}
	put_text(&wrap, 3, text);
	snprintf(text, sizeof(text), "%d", version);
	put_text(&wrap, 1, text);
	put(&wrap, 2, any.bytes, any.n);
	put(o, 2, wrap.bytes, wrap.n);
}

static bool
put_delta(struct out *o, struct side *s, enum resource_kind kind, bool *empty)
{
	bool any = false;
	char text[2] = "";

	*empty = true;
	for (int i = 0; i < NAMES; i++) {
		if (!s->named[i] && !s->wildcard)
			continue;
		if (s->has[i] == 0 ? s->known[i] == 0 && !s->again[i] :
		    s->known[i] == s->has[i] && !s->again[i])
			continue;
		any = true;
		text[0] = (char)('a' + i);
		if (s->has[i] == 0)
			put_text(o, 6, text);
		else
			put_resource(o, kind, i, s->has[i]);
		*empty &= s->has[i] == 0;
		s->known[i] = s->has[i];
		s->again[i] = false;
	}
	return any;
}

static bool
put_sotw(struct out *o, struct side *s, enum resource_kind kind, bool *empty)
{
	*empty = true;
	if (s->sent_version == s->version && !s->force)
		return false;
	for (int i = 0; i < NAMES; i++)
		if ((s->named[i] || s->wildcard) && s->has[i] > 0) {
			put_resource(o, kind, i, s->has[i]);
			*empty = false;
		}
	s->sent_version = s->version;
	s->force = false;
	return true;
}

static bool
speak(struct side *s, enum resource_kind kind)
{
	struct out o = { .n = 0 };
	char text[32], why[256] = "";
	bool empty;
	uint8_t *copy;

	if (!w.up || w.pending || !s->asked || s->nonce + 1 >= NONCES ||
	    !(w.delta ? put_delta : put_sotw)(&o, s, kind, &empty))
		return false;
	snprintf(text, sizeof(text), "%d", s->version);
	put_text(&o, 1, text);
	put_text(&o, 4, resource_about(kind)->message);
	snprintf(text, sizeof(text), "%d", ++s->nonce);
	put_text(&o, 5, text);
	s->open[s->nonce] = true;
	s->was_empty[s->nonce] = empty;
	copy = malloc(o.n);
	memcpy(copy, o.bytes, o.n);
	cr_assert_eq(ads_feed(w.ads, copy, o.n, w.now_ms, why, sizeof(why)),
	    0, "seed %u, step %u: %s", w.seed, w.step, why);
	free(copy);
	return true;
}

static void
change(struct side *s)
{
	int name = (int)below(NAMES);

	s->version++;
	s->has[name] = below(3) == 0 ? 0 : s->version * 10 +
	    (below(5) == 0 ? 9 : 0);
}

/* ---- the stream */

static void
cut(void)
{
	ads_end(w.ads);
	w.up = false;
	for (int i = 0; i < KINDS; i++) {
		struct side *s = &w.sides[i];

		s->asked = s->wildcard = s->force = false;
		s->sent_version = -1;
		s->answers = s->nonce = 0;
		memset(s->named, 0, sizeof(s->named));
		memset(s->again, 0, sizeof(s->again));
		memset(s->known, 0, sizeof(s->known));
		memset(s->open, 0, sizeof(s->open));
	}
}

static void
begin(void)
{
	w.up = true;
	ads_begin(w.ads, w.now_ms);
}

/* ---- what must be true */

static void
check_side(const struct side *s, enum resource_kind kind)
{
	size_t held = 0;
	struct ads_status status;

	for (int i = 0; i < NAMES; i++) {
		held += s->holds[i] > 0;
		if (!s->wild && !s->wanted[i])
			CHECK(s->holds[i] == 0);
		else if (s->has[i] == 0)
			CHECK(s->holds[i] == 0 || (!w.delta &&
			    !resource_about(kind)->whole));
		else if (s->has[i] % 10 != 9)
			CHECK(s->holds[i] == s->has[i]);
	}
	for (int i = 1; i <= s->nonce; i++)
		CHECK(!s->open[i] || (!w.delta && i < s->nonce));
	ads_status(w.ads, kind, &status);
	CHECK(status.held_n == held);
}

static void
settle(void)
{
	bool more = true;

	w.may_wait = false;
	answer();
	if (!w.up)
		begin();
	for (int turn = 0; more; turn++) {
		CHECK(turn < 200);
		w.now_ms += 31000;	/* no NACK is held back longer */
		ads_step(w.ads, w.now_ms);
		more = take() > 0;
		for (int i = 0; i < KINDS; i++)
			more |= speak(&w.sides[i], kinds[i]);
	}
	for (int i = 0; i < KINDS; i++)
		check_side(&w.sides[i], kinds[i]);
	w.may_wait = true;
}

static void
step(void)
{
	uint32_t which = below(KINDS);
	struct side *s = &w.sides[which];

	switch (below(12)) {
	case 0: case 1:
		change(s);
		break;
	case 2: case 3:
		want(s, kinds[which]);
		break;
	case 4: case 5:
		speak(s, kinds[which]);
		break;
	case 6: case 7:
		take();
		break;
	case 8:
		w.now_ms += below(20000);
		ads_step(w.ads, w.now_ms);
		break;
	case 9:
		answer();
		break;
	case 10:
		if (!w.up)
			begin();
		else if (below(4) == 0)
			cut();
		break;
	default:
		if (below(5) == 0)
			settle();
	}
}

static void
play(unsigned seed, bool delta)
{
	static const struct ads_events events = { on_update, on_missing,
		on_wake };
	const struct ads_settings settings = { .delta = delta,
		.missing_ms = 15000 };

	memset(&w, 0, sizeof(w));
	w.seed = seed;
	w.chance.state = seed;
	w.delta = delta;
	w.ads = ads_new(&settings, &events, NULL);
	w.up = true;
	ads_begin(w.ads, 0);
	cut();
	for (w.step = 0; w.step < STEPS; w.step++)
		step();
	settle();
	ads_free(w.ads);
}

Test(ads_random, state_of_the_world, .timeout = 60)
{
	for (unsigned seed = 1; seed <= SEEDS; seed++)
		play(seed, false);
}

Test(ads_random, incremental, .timeout = 60)
{
	for (unsigned seed = 1; seed <= SEEDS; seed++)
		play(seed, true);
}

/* ---- hostile: a good response, bytes of it changed or cut off */

static bool
any_update(void *arg, struct ads *a, struct ads_update *u)
{
	(void)arg;
	for (size_t i = 0; i < u->items_n; i++) {
		cr_assert_gt(strlen(u->items[i].name), 0);
		if (u->items[i].len > 0 && u->items[i].bytes[0] % 2 == 0)
			ads_refuse(a, &u->items[i], "\xff, you see");
	}
	return true;
}

static void
any_missing(void *arg, enum resource_kind kind, const char *name)
{
	(void)arg;
	(void)kind;
	(void)name;
}

static void
hurt(uint8_t *bytes, size_t *n)
{
	for (uint32_t i = below(4) + 1; i > 0; i--)
		bytes[below((uint32_t)*n)] = (uint8_t)below(256);
	if (below(4) == 0)
		*n = below((uint32_t)*n) + 1;
}

Test(ads_random, hostile_bytes, .timeout = 60)
{
	static const struct ads_events events = { any_update, any_missing,
		on_wake };
	struct ads_settings settings = { .missing_ms = 10 };
	uint8_t *bytes, *copy;
	char why[256];
	size_t n;
	int taken = 0, fed = 0, ended = 0;

	for (unsigned seed = 1; seed <= 20000; seed++) {
		struct out o = { .n = 0 };

		w.chance.state = seed;
		w.delta = settings.delta = seed % 2 == 1;
		w.ads = ads_new(&settings, &events, NULL);
		ads_wildcard(w.ads, kinds[0], true);
		ads_begin(w.ads, 0);
		for (int i = 0; i < 3; i++)
			put_resource(&o, kinds[0], i, 10);
		put_text(&o, 1, "1");
		put_text(&o, 4, resource_about(kinds[0])->message);
		put_text(&o, 5, "n");
		put_text(&o, 6, w.delta ? "b" : "");
		for (int i = 0; i < 3; i++) {
			n = o.n;
			copy = malloc(n);	/* for the sanitizer's eye */
			memcpy(copy, o.bytes, n);
			hurt(copy, &n);
			fed++;
			ended += ads_feed(w.ads, copy, n, i, why,
			    sizeof(why)) == -1;
			free(copy);
			for (; ads_take(w.ads, 100000 * i, &bytes, &n); taken++)
				free(bytes);
			ads_step(w.ads, 100000 * i);
		}
		ads_free(w.ads);
	}
	cr_assert_gt(ended, fed / 10);
	cr_assert_gt(taken, fed / 10);
}
