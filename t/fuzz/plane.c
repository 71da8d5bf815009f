/*
 * t/fuzz/plane.c - what a control plane may send, against a proxy: the stream
 * (xds/ads.h), the guard, the messages, the set of resources, the compiler, and
 * what workers would read.
 *
 *   | flags | records |      flags: 1 delta
 *   RESPONSE bytes           of the control plane
 *   WAIT n                   n seconds go by
 *   AGAIN                    the stream breaks off, and begins anew
 *
 * Names that resources name are asked for, as the master does. What is accepted
 * is a generation, or waits; the image is verified when it is published (an
 * address-sanitizer build does so). The seeds are what godwit-ems sends.
 */
#include "t/fuzz/world.h"
#include "t/lib/answer.h"
#include "xds/ads.h"
#include "xds/ems/push.h"
#include "xds/ems/view.h"
#include "xds/proto/envoy/config/core.pb-c.h"

enum { RESPONSE, WAIT, AGAIN, WHATS };
enum { WHY_BYTES = 1024, SEED_ROUNDS = 40, NAMES_MAX = 64 };

/* ---- the proxy */

struct proxy {
	struct world	 world;
	struct ads	*ads;
	/* Names that are wanted, to be asked for when nothing is looked at. */
	char		*names[NAMES_MAX];
	enum resource_kind kinds[NAMES_MAX];
	int		 names_n;
};

static void
want(void *arg, const struct resource_view *v)
{
	struct proxy *p = arg;

	if (!v->wanted || p->names_n == NAMES_MAX || v->kind >= RESOURCE_KINDS ||
	    resource_about(v->kind)->whole)
		return;
	p->kinds[p->names_n] = v->kind;
	p->names[p->names_n++] = strdup(v->name);
}

static void
names_ask(struct proxy *p)
{
	resources_each(p->world.now.resources, want, p);
	while (p->names_n > 0) {
		p->names_n--;
		(void)ads_subscribe(p->ads, p->kinds[p->names_n],
		    p->names[p->names_n]);
		free(p->names[p->names_n]);
	}
}

static bool
on_update(void *arg, struct ads *a, struct ads_update *u)
{
	struct proxy *p = arg;

	world_begin(&p->world);
	for (size_t i = 0; i < u->items_n; i++) {
		struct ads_item *t = &u->items[i];

		p->world.why[0] = '\0';
		if (world_put(&p->world, u->kind, t->name, t->bytes, t->len) !=
		    -1)
			continue;
		if (p->world.why[0] == '\0')
			fuzz_fail("%s is refused without a reason", t->name);
		fuzz_say("%s: %s", t->name, p->world.why);
		ads_refuse(a, t, p->world.why);
	}
	for (size_t i = 0; i < u->removed_n; i++)
		resources_remove(p->world.now.resources, u->kind,
		    u->removed[i]);
	world_end(&p->world);
	return true;
}

static void
on_missing(void *arg, enum resource_kind kind, const char *name)
{
	struct proxy *p = arg;

	world_begin(&p->world);
	resources_missing(p->world.now.resources, kind, name);
	world_end(&p->world);
}

static void
on_wake(void *arg)
{
	(void)arg;
}

static void
proxy_open(struct proxy *p, bool delta)
{
	static const struct ads_events e = { on_update, on_missing, on_wake };
	Envoy__Config__Core__V3__Node node;
	uint8_t bytes[64];
	struct ads_settings s = { .node = bytes, .delta = delta,
	    .missing_ms = 15000 };

	memset(p, 0, sizeof(*p));
	world_open(&p->world);
	envoy__config__core__v3__node__init(&node);
	node.id = (char *)(uintptr_t)"p";
	node.user_agent_name = (char *)(uintptr_t)"godwit";
	s.node_len = protobuf_c_message_pack(&node.base, bytes);
	if ((p->ads = ads_new(&s, &e, p)) == NULL)
		abort();
	ads_wildcard(p->ads, RESOURCE_CLUSTER, true);
	ads_wildcard(p->ads, RESOURCE_LISTENER, true);
	ads_begin(p->ads, p->world.now_ms);
}

static void
proxy_close(struct proxy *p)
{
	ads_free(p->ads);
	world_close(&p->world);
}

/* What it says; to, or nowhere. */
static void
requests_take(struct proxy *p, struct push *to)
{
	char why[WHY_BYTES];
	uint8_t *bytes;
	size_t n;

	names_ask(p);
	while (ads_take(p->ads, p->world.now_ms, &bytes, &n)) {
		if (to != NULL && push_feed(to, bytes, n, 1000, why,
		    sizeof(why)) != 0)
			fuzz_fail("a seed is refused: %s", why);
		free(bytes);
	}
}

/* ---- seeds */

static const struct view_settings settings = { "mesh", "x-region" };
static struct view *seed_view;

static struct catalog *
seed_node(void *arg, const struct push_node *n, char *why, size_t why_len)
{
	(void)arg;
	(void)n;
	(void)why;
	(void)why_len;
	return &seed_view->catalog;
}

static void
seed_refused(void *arg, enum resource_kind kind, const char *why)
{
	(void)arg;
	(void)kind;
	fuzz_fail("a seed's resource is refused: %s", why);
}

static bool
response_pass(struct push *from, struct proxy *p, FILE *f)
{
	struct push_message m;
	char why[WHY_BYTES];
	uint8_t *bytes;
	size_t n;

	if (push_take(from, 1000, &m) != 1)
		return false;
	bytes = answer_bytes(&m, &n);
	record_print(f, RESPONSE, bytes, n);
	if (ads_feed(p->ads, bytes, n, p->world.now_ms, why, sizeof(why)) != 0)
		fuzz_fail("the seed's stream ended: %s", why);
	free(bytes);
	return true;
}

static void
seed_write(const char *dir, const char *name, bool delta)
{
	static const struct push_events e = { seed_node, seed_refused };
	const struct push_settings s = { .delta = delta, .kind = -1,
	    .identifier = "ems" };
	struct push *push = push_new(&s, &e, NULL);
	struct proxy p;
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	proxy_open(&p, delta);
	fputc(delta, f);
	for (int i = 0; i < SEED_ROUNDS; i++) {
		requests_take(&p, push);
		(void)response_pass(push, &p, f);
	}
	world_is_whole(&p.world);
	proxy_close(&p);
	push_free(push);
	fclose(f);
	fuzz_seed(dir, name, text, len);
	free(text);
}

static void
seed_intents(struct model *m)
{
	static const char *const texts[] = { "region: us", "region: eu",
	    "gateway: g\nregion: us\naddresses: ['10.0.0.1:1']",
	    "gateway: h\nregion: eu\naddresses: ['10.0.0.2:1']",
	    ("service: s\nversions: {a: {weight: 1}, b: {weight: 2}}\n"
	    "methods: {M: {deadline: 1s, retry: {max: 3}}}\n"
	    "regions: {order: [us, eu]}"),
	    "service: t\nregions: {allow: [us]}", "caller: c\nmay: [t, s/M]" };
	const struct model_endpoint e = { .id = "e", .address = "10.0.0.9",
	    .port = 80, .weight = 1, .region = "us", .version = "a" };
	char why[WHY_BYTES];

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct intent *in = intent_read(texts[i], strlen(texts[i]),
		    "f", why, sizeof(why)), *before;

		if (in == NULL || !model_swap(m, in->noun, in->name, in,
		    &before))
			fuzz_fail("%s", why);
	}
	if (!model_endpoint_put(m, "s", &e) || !model_endpoint_put(m, "t", &e)
	    || model_check(m, why, sizeof(why)) != 0)
		abort();
}

static void
seeds_write(const char *dir)
{
	const struct view_key keys[] = {
		{ VIEW_SIDECAR, "us", "", "127.0.0.1:9", world_folder, "" },
		{ VIEW_GATEWAY, "us", "g", "127.0.0.1:9", world_folder, "" },
	};
	char name[16], why[WHY_BYTES];
	struct model m;

	log_open("fuzz", LOG_ERROR);
	world_folder_open();
	model_init(&m);
	seed_intents(&m);
	for (int i = 0; i < 4; i++) {
		seed_view = view_new(&settings, &keys[i / 2], 0);
		if (view_compile(seed_view, &m, why, sizeof(why)) == -1)
			fuzz_fail("%s", why);
		snprintf(name, sizeof(name), "%d", i);
		seed_write(dir, name, i % 2);
		view_free(seed_view);
	}
	model_fini(&m);
}

/* ---- one input */

static bool
record_do(void *arg, const struct record *r)
{
	struct proxy *p = arg;
	struct world *w = &p->world;
	char why[WHY_BYTES] = "";

	switch (r->what % WHATS) {
	case RESPONSE:
		if (ads_feed(p->ads, r->bytes, r->n, w->now_ms, why,
		    sizeof(why)) == 0)
			break;
		fuzz_ended(why);
		return false;
	case WAIT:
		w->now_ms += 1000 * (int64_t)r->n;
		(void)ads_step(p->ads, w->now_ms);
		if (resources_due(w->now.resources, w->now_ms) == 0) {
			world_begin(w);
			world_end(w);
		}
		break;
	default:
		ads_end(p->ads);
		ads_begin(p->ads, w->now_ms);
	}
	requests_take(p, NULL);
	return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proxy p;

	if (size == 0)
		return 0;
	proxy_open(&p, data[0] & 1);
	requests_take(&p, NULL);
	records_do(data + 1, size - 1, record_do, &p);
	proxy_close(&p);
	return 0;
}
