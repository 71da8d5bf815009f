/*
 * t/unit/view_set.c - views that come and go (xds/ems/view_set.h), on a mesh
 * that changes by chance.
 *
 *   a step   the mesh changes | somebody of some kind comes | somebody goes
 *   after    each view that is used has what one of its kind would have that
 *            shares with nobody; one that has something else than before has
 *            news; nothing is counted wrong (V1 to V4)
 */
#include "xds/ems/view_set.h"

#include "t/lib/unit_view.h"

enum { SEEDS = 25, STEPS = 150, USERS = 24, KEY_BYTES = 64 };

static struct world {
	struct model	 model;
	struct view_set	 views;
	struct user {
		struct view	*view;	/* or NULL */
		uint64_t	 signature;	/* of what it had */
	} users[USERS];
	unsigned	 seed, step;
} w;

#define CHECK(truth) cr_assert(truth, "seed %u, step %u: " #truth, w.seed, \
	w.step)

static void
world_open(void)
{
	w = (struct world){ .seed = w.seed };
	model_init(&w.model);
	view_set_init(&w.views, &settings, &w.model);
	intent_take(&w.model, "region: us", "x");
	intent_take(&w.model, "region: eu", "x");
	model_clean(&w.model);
}

static void
world_close(void)
{
	view_set_fini(&w.views);
	model_fini(&w.model);
}

/* ---- steps */

static struct view *
sidecar(const char *region, const char *listen, const char *tls)
{
	const struct view_key k = { VIEW_SIDECAR, region, "", listen, tls,
	    "" };
	char why[512] = "";
	struct view *v = view_set_get(&w.views, &k, why, sizeof(why));

	if (v == NULL)
		cr_assert_str_eq(why, "proxies that are connected are of 1024 "
		    "kinds (by role, region, tls and caller), expected no "
		    "more");
	return v;
}

/* As any of a few, or, so that some idle ones must go, of many. */
static struct view *
come(void)
{
	static const char *const regions[] = { "us", "eu" };
	static const char *const gateways[] = { "g", "h" };
	char listen[KEY_BYTES], tls[KEY_BYTES], why[512];
	struct view_key k = { below(3), regions[below(2)], "", "", "", "" };
	struct view *v;

	snprintf(listen, sizeof(listen), "127.0.0.1:%u", 1 + below(4));
	snprintf(tls, sizeof(tls), "/tls%u", below(below(3) == 0 ? 80 : 2));
	if (k.role == VIEW_GATEWAY)
		k.gateway = gateways[below(2)];
	if (k.role != VIEW_GRPC) {
		k.listen = listen;
		k.tls = tls;
	}
	if (k.role == VIEW_SIDECAR && below(3) == 0)
		k.caller = below(2) == 0 ? "c" : "d";
	v = view_set_get(&w.views, &k, why, sizeof(why));
	CHECK(v != NULL && view_is(v, &k));
	return v;
}

static void
publish(void)
{
	char why[512];
	struct view *v;

	CHECK(model_check(&w.model, why, sizeof(why)) == 0);
	TAILQ_FOREACH(v, &w.views.all, link)
		CHECK(view_compile(v, &w.model, why, sizeof(why)) != -1);
	model_clean(&w.model);
}

static void
go(struct user *u)
{
	view_set_put(&w.views, u->view);
	*u = (struct user){ 0 };
}

/* ---- what must be */

static uint64_t
alone(const struct view *v)
{
	uint32_t number = view_set_number(&w.views);
	struct view *anew = view_new(&settings, &v->key, number);
	uint64_t signature;
	char why[512];

	CHECK(view_compile(anew, &w.model, why, sizeof(why)) != -1);
	signature = view_signature(anew);
	view_free(anew);
	view_set_number_put(&w.views, number);
	return signature;
}

static void
user_check(struct user *u, bool published)
{
	uint64_t signature = view_signature(u->view);

	CHECK(!published || u->view->news == (signature != u->signature));
	CHECK((w.step % 10 != 0 && *u->view->key.caller == '\0') ||
	    signature == alone(u->view));
	u->signature = signature;
}

/* As many as the users and the views that share say. */
static unsigned
users_of(const struct view *v)
{
	const struct view *at;
	unsigned n = 0;

	for (int i = 0; i < USERS; i++)
		n += w.users[i].view == v;
	TAILQ_FOREACH(at, &w.views.all, link)
		for (int i = 0; i < RESOURCE_KINDS; i++)
			n += at != v && at->of[i] == v;
	TAILQ_FOREACH(at, &w.views.all, link)
		n += at->base == v;
	return n;
}

/* Of one number one view, and no parts without one. */
static void
numbers_check(void)
{
	unsigned of[VIEW_SET_NUMBERS] = { 0 };
	const struct view *v;

	TAILQ_FOREACH(v, &w.views.all, link)
		if (view_set_has_parts(v))
			of[v->number]++;
	for (uint32_t n = 0; n < VIEW_SET_NUMBERS; n++)
		CHECK(of[n] == w.views.numbers[n]);
	for (size_t i = 0; i < w.model.services_n; i++)
		for (size_t n = 0; n < w.model.services[i]->parts_n; n++)
			CHECK(of[n] == 1 ||
			    w.model.services[i]->parts[n].routes == NULL);
}

static void
counts_check(void)
{
	const struct view *v;
	size_t all = 0, whole = 0, idle = 0;

	TAILQ_FOREACH(v, &w.views.all, link) {
		bool is_whole = view_owns(v, RESOURCE_CLUSTER);

		all++;
		whole += is_whole;
		idle += v->users == 0;
		CHECK(v->users == users_of(v));
		CHECK(v->users > 0 || is_whole);
	}
	CHECK(all == w.views.all_n);
	CHECK(whole == w.views.whole_n);
	CHECK(idle == w.views.idle_n);
	CHECK(idle <= VIEW_SET_IDLE_MAX);
}

static void
step(void)
{
	struct user *u = &w.users[below(USERS)];
	bool published = below(2) == 0;

	if (published) {
		change(&w.model);
		publish();
	} else if (u->view != NULL)
		go(u);
	else
		u->view = come();
	for (int i = 0; i < USERS; i++)
		if (w.users[i].view != NULL)
			user_check(&w.users[i], published);
	counts_check();
	numbers_check();
}

Test(view_set, come_and_go)
{
	for (w.seed = 1; w.seed <= SEEDS; w.seed++) {
		chance.state = w.seed;
		world_open();
		for (w.step = 0; w.step < STEPS; w.step++)
			step();
		for (int i = 0; i < USERS; i++)
			if (w.users[i].view != NULL)
				go(&w.users[i]);
		counts_check();
		world_close();
	}
}

/* ---- limits */

static struct view *
numbered(unsigned n)
{
	char tls[KEY_BYTES];

	snprintf(tls, sizeof(tls), "/tls%u", n);
	return sidecar("us", "127.0.0.1:1", tls);
}

Test(view_set, one_after_the_other)
{
	struct view *v;

	world_open();
	for (unsigned n = 0; n < 2 * VIEW_SET_WHOLE_MAX; n++) {
		v = numbered(n);
		cr_assert_not_null(v);
		view_set_put(&w.views, v);
		/* The first has what the others have, too. */
		cr_assert_leq(w.views.all_n, VIEW_SET_IDLE_MAX + 1);
	}
	/* The longest idle went first: the last ones are still the same. */
	v = numbered(2 * VIEW_SET_WHOLE_MAX - 5);
	cr_assert_eq(w.views.idle_n, VIEW_SET_IDLE_MAX - 1);
	cr_assert_eq(w.views.all_n, VIEW_SET_IDLE_MAX + 1);
	view_set_put(&w.views, v);
	world_close();
}

Test(view_set, at_once)
{
	struct view *held[VIEW_SET_WHOLE_MAX], *light[VIEW_SET_WHOLE_MAX], *more;
	char listen[KEY_BYTES];

	world_open();
	for (unsigned n = 0; n < VIEW_SET_WHOLE_MAX; n++)
		cr_assert_not_null(held[n] = numbered(n));
	cr_assert_null(numbered(VIEW_SET_WHOLE_MAX));
	cr_assert_null(sidecar("eu", "127.0.0.1:1", "/tls0"));
	/* Where they listen is not limited. */
	for (unsigned n = 0; n < VIEW_SET_WHOLE_MAX; n++) {
		snprintf(listen, sizeof(listen), "127.0.0.1:%u", n + 2);
		cr_assert_not_null(light[n] = sidecar("us", listen, "/tls7"));
	}
	cr_assert_eq(w.views.all_n, 2 * VIEW_SET_WHOLE_MAX);
	/* An idle one gives way to one of a new kind; one that is used, if only
	 * by light ones, does not. */
	view_set_put(&w.views, held[7]);
	cr_assert_null(numbered(VIEW_SET_WHOLE_MAX));
	view_set_put(&w.views, held[9]);
	cr_assert_not_null(more = numbered(VIEW_SET_WHOLE_MAX));
	cr_assert_null(numbered(9));
	for (unsigned n = 0; n < VIEW_SET_WHOLE_MAX; n++)
		view_set_put(&w.views, light[n]);
	cr_assert_eq(w.views.all_n, VIEW_SET_WHOLE_MAX);
	view_set_put(&w.views, more);
	for (unsigned n = 0; n < VIEW_SET_WHOLE_MAX; n++)
		if (n != 7 && n != 9)
			view_set_put(&w.views, held[n]);
	/* The rest of us has what tls0 has of the region: it stays, too. */
	cr_assert_leq(w.views.all_n, VIEW_SET_IDLE_MAX + 1);
	world_close();
}
